//! An estimate of a metric, its band, and limits.

use std::fmt;

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
}

impl PerformanceLimit {
    /// The metric must be at least this.
    pub fn at_least(metric: impl Into<String>, value: f64) -> Self {
        Self { metric: metric.into(), at_least: Some(value), at_most: None }
    }

    /// The metric must be at most this.
    pub fn at_most(metric: impl Into<String>, value: f64) -> Self {
        Self { metric: metric.into(), at_least: None, at_most: Some(value) }
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
        // Not so of NaN.
        if low <= high {
            return Ok(());
        }
        let what = format!("limit of `{}`", self.metric);
        Err(Error::invalid(what, "numbers, the least not above the largest", self.expected()))
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

/// A finding for each limit.
pub(super) fn findings(
    how: &str,
    limits: &[PerformanceLimit],
    find: impl Fn(&str) -> Option<Estimate>,
) -> Result<Vec<Finding>> {
    let judge = |limit: &PerformanceLimit| {
        limit.check()?;
        let estimate = find(&limit.metric).ok_or_else(|| {
            Error::invalid("metric of a limit", "one that is estimated", &limit.metric)
        })?;
        let verdict = limit.verdict(estimate.interval);
        let mut finding = Finding::new(
            format!("{how}_{}", limit.metric),
            "the model",
            verdict,
            limit.expected(),
            estimate.to_string(),
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
        let verdict = |limit: PerformanceLimit| {
            findings("estimated", &[limit], |m| (m == "accuracy").then(|| estimate.clone()))
                .unwrap()[0]
                .verdict
        };
        assert_eq!(verdict(PerformanceLimit::at_least("accuracy", 0.8)), Verdict::Pass);
        assert_eq!(verdict(PerformanceLimit::at_least("accuracy", 0.9)), Verdict::Inconclusive);
        assert_eq!(verdict(PerformanceLimit::at_least("accuracy", 0.95)), Verdict::Fail);
        assert_eq!(verdict(PerformanceLimit::at_most("accuracy", 0.8)), Verdict::Fail);
        assert!(findings("estimated", &[PerformanceLimit::at_most("mae", 0.8)], |_| None).is_err());
        let nonsense = [
            PerformanceLimit::at_least("accuracy", f64::NAN),
            PerformanceLimit::at_most("accuracy", f64::NAN),
            PerformanceLimit { at_most: Some(0.1), ..PerformanceLimit::at_least("accuracy", 0.2) },
        ];
        for limit in nonsense {
            assert!(findings("estimated", &[limit], |_| Some(estimate.clone())).is_err());
        }
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
