//! An estimate of a metric, its band, and limits.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;

use mlops_core::stats::{Interval, normal_quantile};
use mlops_core::{Error, Finding, Result, Verdict};
use serde::{Deserialize, Serialize};

/// A metric that was estimated without labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The metric: `accuracy`, `mae`.
    pub metric: String,
    /// The estimate; `None` where the metric has no value.
    pub value: Option<f64>,
    /// The standard deviation of the difference between the estimate and the metric that these
    /// rows will turn out to have.
    pub std_error: Option<f64>,
    /// Where that metric lies with the confidence, if what is assumed holds.
    pub interval: Option<Interval>,
    /// The metric of the reference, from its labels.
    pub reference: Option<f64>,
    /// Why there is no value.
    pub reason: Option<String>,
}

impl Estimate {
    pub(super) fn undefined(metric: &str, reference: Option<f64>, reason: &str) -> Self {
        Self {
            metric: metric.to_owned(),
            value: None,
            std_error: None,
            interval: None,
            reference,
            reason: Some(reason.to_owned()),
        }
    }

    /// The estimate with its normal band, within what the metric can be.
    pub(super) fn of(
        metric: &str,
        value: f64,
        variance: f64,
        (least, most): (f64, f64),
        confidence: f64,
        reference: Option<f64>,
    ) -> Result<Self> {
        if !value.is_finite() || !variance.is_finite() {
            return Ok(Self::undefined(metric, reference, "it is beyond the range of f64"));
        }
        let std_error = variance.max(0.0).sqrt();
        let half = -normal_quantile((1.0 - confidence) / 2.0)? * std_error;
        let limit = |x: f64| x.clamp(least, most);
        let interval = Interval::new(limit(value - half), limit(value + half), confidence)?;
        Ok(Self {
            metric: metric.to_owned(),
            value: Some(value),
            std_error: Some(std_error),
            interval: Some(interval),
            reference,
            reason: None,
        })
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value, self.interval) {
            (Some(value), Some(interval)) => write!(f, "{} {value:.4} {interval}", self.metric)?,
            _ => write!(f, "{} undefined: {}", self.metric, self.reason.as_deref().unwrap_or("-"))?,
        }
        match self.reference {
            Some(reference) => write!(f, " (reference {reference:.4})"),
            None => Ok(()),
        }
    }
}

/// How good a metric must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PerformanceLimit {
    /// The metric: `accuracy`, `mae`.
    pub metric: String,
    /// The least value that is good enough.
    pub at_least: Option<f64>,
    /// The largest value that is good enough.
    pub at_most: Option<f64>,
    /// Rows that must count for an answer; 30.
    #[serde(default = "min_rows")]
    pub min_rows: u64,
    /// The largest share of rows that may be left out for an answer, in \[0, 1\]; .05.
    #[serde(default = "max_left_out")]
    pub max_left_out: f64,
}

fn min_rows() -> u64 {
    30
}

fn max_left_out() -> f64 {
    0.05
}

impl PerformanceLimit {
    /// The metric must be at least this.
    pub fn at_least(metric: impl Into<String>, value: f64) -> Self {
        Self::of(metric.into(), Some(value), None)
    }

    /// The metric must be at most this.
    pub fn at_most(metric: impl Into<String>, value: f64) -> Self {
        Self::of(metric.into(), None, Some(value))
    }

    fn of(metric: String, at_least: Option<f64>, at_most: Option<f64>) -> Self {
        let (min_rows, max_left_out) = (min_rows(), max_left_out());
        Self { metric, at_least, at_most, min_rows, max_left_out }
    }

    /// The same with no answer below so many rows that count.
    #[must_use]
    pub fn min_rows(mut self, rows: u64) -> Self {
        self.min_rows = rows;
        self
    }

    /// The same with no answer where a larger share of the rows was left out.
    #[must_use]
    pub fn max_left_out(mut self, share: f64) -> Self {
        self.max_left_out = share;
        self
    }

    /// Why these rows are not enough for an answer.
    fn lacks(&self, on: Basis) -> Option<String> {
        let Basis { rows, left_out } = on;
        if rows < self.min_rows {
            return Some(format!("{rows} rows count, fewer than {}", self.min_rows));
        }
        let all = rows.saturating_add(left_out);
        let share = left_out as f64 / all.max(1) as f64;
        (share > self.max_left_out).then(|| {
            let most = self.max_left_out;
            format!("{left_out} of {all} rows were left out, a larger share than {most}")
        })
    }

    /// Pass if the whole band is within the limit, fail if it is all outside, else inconclusive.
    fn verdict(&self, band: Option<Interval>) -> Verdict {
        let Some(band) = band else { return Verdict::Inconclusive };
        let low = self.at_least.unwrap_or(f64::NEG_INFINITY);
        let high = self.at_most.unwrap_or(f64::INFINITY);
        if band.low >= low && band.high <= high {
            Verdict::Pass
        } else if band.high < low || band.low > high {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        }
    }

    fn check(&self) -> Result<()> {
        let low = self.at_least.unwrap_or(f64::NEG_INFINITY);
        let high = self.at_most.unwrap_or(f64::INFINITY);
        if !(0.0..=1.0).contains(&self.max_left_out) {
            let what = format!("rows left out for the limit of `{}`", self.metric);
            return Err(Error::invalid(what, "a share in [0, 1]", self.max_left_out));
        }
        let what = format!("limit of `{}`", self.metric);
        // Not so of NaN.
        if !matches!(low.partial_cmp(&high), Some(Ordering::Less | Ordering::Equal)) {
            let expected = "numbers, the least not above the largest";
            return Err(Error::invalid(what, expected, self.expected()));
        }
        let range = range_of(&self.metric);
        let asked = [self.at_least, self.at_most];
        match asked.into_iter().flatten().find(|limit| !range.contains(limit)) {
            Some(limit) => {
                let expected = format!("a value from {} to {}", range.start(), range.end());
                Err(Error::invalid(what, expected, limit))
            }
            None => Ok(()),
        }
    }

    fn expected(&self) -> String {
        match (self.at_least, self.at_most) {
            (Some(low), Some(high)) => format!("between {low} and {high}"),
            (Some(low), None) => format!("at least {low}"),
            (None, Some(high)) => format!("at most {high}"),
            (None, None) => "anything".to_owned(),
        }
    }
}

/// What a metric can be, as far as that is known here: 95 is no accuracy.
fn range_of(metric: &str) -> RangeInclusive<f64> {
    match metric {
        "accuracy" | "balanced_accuracy" | "precision" | "recall" | "specificity" | "f1"
        | "roc_auc" | "pr_auc" | "average_precision" | "brier" => 0.0..=1.0,
        "mcc" => -1.0..=1.0,
        _ => f64::NEG_INFINITY..=f64::INFINITY,
    }
}

/// The rows that estimates rest on, and those that do not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basis {
    pub(super) rows: u64,
    pub(super) left_out: u64,
}

/// A finding for each limit.
pub(super) fn findings(
    how: &str,
    on: Basis,
    limits: &[PerformanceLimit],
    estimates: &[Estimate],
) -> Result<Vec<Finding>> {
    let judge = |limit: &PerformanceLimit| {
        limit.check()?;
        let estimate = estimates.iter().find(|e| e.metric == limit.metric).ok_or_else(|| {
            let there: Vec<&str> = estimates.iter().map(|e| e.metric.as_str()).collect();
            let expected = format!("one of {}", there.join(", "));
            Error::invalid("metric of a limit", expected, format!("`{}`", limit.metric))
        })?;
        let (verdict, observed) = match limit.lacks(on) {
            Some(reason) => (Verdict::Inconclusive, format!("{estimate}; {reason}")),
            None => (limit.verdict(estimate.interval), estimate.to_string()),
        };
        let mut finding = Finding::new(
            format!("{how}_{}", limit.metric),
            "the model",
            verdict,
            limit.expected(),
            observed,
        );
        if let Some(value) = estimate.value {
            finding = finding.with_value(value);
        }
        if let Some(band) = estimate.interval {
            finding = finding.with_interval(band.low, band.high);
        }
        Ok(finding)
    };
    limits.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_three_answers() {
        let estimate = Estimate::of("accuracy", 0.9, 0.0004, (0.0, 1.0), 0.95, None).unwrap();
        let many = Basis { rows: 1000, left_out: 50 };
        let verdict = |limit: PerformanceLimit| {
            findings("estimated", many, &[limit], std::slice::from_ref(&estimate)).unwrap()[0]
                .verdict
        };
        assert_eq!(verdict(PerformanceLimit::at_least("accuracy", 0.8)), Verdict::Pass);
        assert_eq!(verdict(PerformanceLimit::at_least("accuracy", 0.9)), Verdict::Inconclusive);
        assert_eq!(verdict(PerformanceLimit::at_least("accuracy", 0.95)), Verdict::Fail);
        assert_eq!(verdict(PerformanceLimit::at_most("accuracy", 0.8)), Verdict::Fail);
        let unknown = PerformanceLimit::at_most("mae", 0.8);
        let error = findings("estimated", many, &[unknown], std::slice::from_ref(&estimate));
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "metric of a limit: expected one of accuracy, found `mae`");
        let nonsense = [
            PerformanceLimit::at_least("accuracy", f64::NAN),
            PerformanceLimit::at_most("accuracy", f64::NAN),
            PerformanceLimit { at_most: Some(0.1), ..PerformanceLimit::at_least("accuracy", 0.2) },
            PerformanceLimit::at_least("accuracy", 0.2).max_left_out(f64::NAN),
            PerformanceLimit::at_least("accuracy", 95.0),
        ];
        for limit in nonsense {
            let found = findings("estimated", many, &[limit], std::slice::from_ref(&estimate));
            assert!(found.is_err());
        }
        // A band however narrow is no answer of few rows, nor of the few that were left.
        let good = PerformanceLimit::at_least("accuracy", 0.2);
        let observed = |rows, left_out, limit: &PerformanceLimit| {
            let (on, limit) = (Basis { rows, left_out }, std::slice::from_ref(limit));
            let found = findings("estimated", on, limit, std::slice::from_ref(&estimate)).unwrap();
            (found[0].verdict, found[0].observed.clone())
        };
        let band = "accuracy 0.9000 [0.8608, 0.9392]";
        let (verdict, text) = observed(29, 0, &good);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(text, format!("{band}; 29 rows count, fewer than 30"));
        assert_eq!(observed(30, 0, &good), (Verdict::Pass, band.to_owned()));
        assert_eq!(observed(1, 0, &good.clone().min_rows(1)).0, Verdict::Pass);
        let (verdict, text) = observed(200, 2800, &good);
        assert_eq!(verdict, Verdict::Inconclusive);
        let reason = "2800 of 3000 rows were left out, a larger share than 0.05";
        assert_eq!(text, format!("{band}; {reason}"));
        assert_eq!(observed(200, 2800, &good.clone().max_left_out(1.0)).0, Verdict::Pass);
        let written: PerformanceLimit =
            serde_json::from_str(r#"{"metric": "accuracy", "at_least": 0.2, "at_most": null}"#)
                .unwrap();
        assert_eq!(written, good);

        let most = Estimate::of("x", 0.9, 1e-9, (0.0, 1.0), 1.0 - f64::EPSILON / 2.0, None);
        assert!(most.unwrap().interval.unwrap().low > 0.89);
        assert_eq!(PerformanceLimit::at_least("x", 0.5).verdict(None), Verdict::Inconclusive);
        assert_eq!(estimate.to_string(), "accuracy 0.9000 [0.8608, 0.9392]");
        let none = Estimate::undefined("precision", Some(0.5), "nothing was predicted positive");
        let text = "precision undefined: nothing was predicted positive (reference 0.5000)";
        assert_eq!(none.to_string(), text);
        let wild = Estimate::of("mse", f64::INFINITY, 1.0, (0.0, 1.0), 0.95, None).unwrap();
        assert_eq!((wild.value, wild.interval), (None, None));
    }
}
