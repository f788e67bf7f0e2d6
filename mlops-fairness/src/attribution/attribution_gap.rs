//! A gap between groups, split into what each feature has in it.

use std::fmt;

use mlops_core::stats::{Interval, student_t_quantile};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{CohortSummary, Summary};
use crate::Group;

/// What is compared between two groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapOf {
    /// The mean prediction: margin, probability or value, as it was explained. The split is exact.
    MeanPrediction,
    /// The share of rows whose prediction is at least the threshold. The split is approximate: a
    /// row's being selected or not is shared among the features that pushed it that way from the
    /// base value, in proportion to φ.
    SelectionRate,
}

/// The difference between two groups, split into parts of features that add up to it.
///
/// `mean prediction of A − of B = Σ_j (mean φ_j of A − of B)`, because both have one base value:
/// exact, up to the rounding and the additivity error of the attributions
/// ([`residual`](Self::residual)). The intervals of the parts are Welch's, and hold together for
/// all features (Bonferroni). They are about the rows as draws of their groups, with the model and
/// its background as they are.
///
/// shap: `plots.group_difference`, which draws bands of random splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionGap {
    /// What is compared.
    pub of: GapOf,
    /// Whether the split follows from the model (of a mean) or from a rule of sharing (of a
    /// selection rate).
    pub is_exact: bool,
    /// The group that is compared.
    pub group: Group,
    /// The group that it is compared with.
    pub against: Group,
    /// The difference.
    pub difference: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// The features' parts, the largest first.
    pub parts: Vec<GapPart>,
    /// What the parts leave of the difference.
    pub residual: f64,
}

/// A feature's part of a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GapPart {
    /// The feature.
    pub feature: String,
    /// What it has in the difference.
    pub difference: f64,
    /// Its limits, which hold for all features together; `None` where a group has fewer than two
    /// rows.
    pub interval: Option<Interval>,
}

/// A mean with its spread and number.
#[derive(Clone, Copy)]
struct Mean {
    value: f64,
    std_dev: Option<f64>,
    n: u64,
}

/// Welch's interval of a difference of means.
fn welch(a: Mean, b: Mean, confidence: f64) -> Result<Option<Interval>> {
    let (Some(sa), Some(sb)) = (a.std_dev, b.std_dev) else { return Ok(None) };
    let difference = a.value - b.value;
    let [va, vb] = [(sa, a.n), (sb, b.n)].map(|(s, n)| s * s / n as f64);
    let variance = va + vb;
    if variance == 0.0 {
        return Interval::new(difference, difference, confidence).map(Some);
    }
    // Shares first: squares of tiny variances would vanish.
    let [pa, pb] = [va / variance, vb / variance];
    let freedom = 1.0 / (pa * pa / (a.n - 1) as f64 + pb * pb / (b.n - 1) as f64);
    let t = student_t_quantile(0.5 + confidence / 2.0, freedom)?;
    let half = t * variance.sqrt();
    Interval::new(difference - half, difference + half, confidence).map(Some)
}

impl Summary {
    /// The cohort of this name: its values, with a comma between those of several columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none; of a summary without cohorts it says how to get some.
    pub fn cohort(&self, group: &str) -> Result<&CohortSummary> {
        if self.by.is_empty() {
            let expected = "a summary by cohort: `AttributionSummary::by([\"column\"])`";
            return Err(Error::invalid(format!("cohort `{group}`"), expected, "no cohorts"));
        }
        self.cohorts.iter().find(|c| c.group.to_string() == group).ok_or_else(|| {
            let known: Vec<_> = self.cohorts.iter().map(|c| c.group.to_string()).collect();
            Error::invalid("cohort", format!("one of: {}", known.join("; ")), group)
        })
    }

    /// The gap in mean predictions between two cohorts, split exactly.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cohort that is not there, or a confidence that is not inside (0, 1).
    pub fn gap(&self, group: &str, against: &str, confidence: f64) -> Result<AttributionGap> {
        let (a, b) = (self.cohort(group)?, self.cohort(against)?);
        let mean = |c: &CohortSummary| Mean {
            value: c.mean_prediction,
            std_dev: c.prediction_std_dev,
            n: c.rows,
        };
        let of = |c: &CohortSummary, j: usize| Mean {
            value: c.features[j].mean,
            std_dev: c.features[j].std_dev,
            n: c.rows,
        };
        let all = welch(mean(a), mean(b), check(confidence)?)?;
        let difference = a.mean_prediction - b.mean_prediction;
        self.split(GapOf::MeanPrediction, (a, b), (difference, all), of, confidence)
    }

    /// The gap in selection rates between two cohorts, split by a rule of sharing: approximate
    /// ([`GapOf::SelectionRate`]).
    ///
    /// # Errors
    /// As [`gap`](Self::gap); [`Error::Invalid`] without a threshold.
    pub fn selection_gap(
        &self,
        group: &str,
        against: &str,
        confidence: f64,
    ) -> Result<AttributionGap> {
        if self.threshold.is_none() {
            let expected = "a summary with `AttributionSummary::threshold(..)`";
            return Err(Error::invalid("selection gap", expected, "no threshold"));
        }
        let (a, b) = (self.cohort(group)?, self.cohort(against)?);
        let (Some(sa), Some(sb)) = (a.selected, b.selected) else {
            return Err(Error::invalid("selection gap", "rows that are selected or not", "none"));
        };
        let rate = |selected: u64, n: u64| {
            let p = selected as f64 / n as f64;
            let spread = (p * (1.0 - p) * n as f64 / (n.max(2) - 1) as f64).sqrt();
            Mean { value: p, std_dev: (n > 1).then_some(spread), n }
        };
        let of = |c: &CohortSummary, j: usize| {
            let (value, std_dev) = c.features[j].share.unwrap_or((0.0, None));
            Mean { value, std_dev, n: c.rows }
        };
        let [ra, rb] = [rate(sa, a.rows), rate(sb, b.rows)];
        let all = welch(ra, rb, check(confidence)?)?;
        self.split(GapOf::SelectionRate, (a, b), (ra.value - rb.value, all), of, confidence)
    }

    fn split(
        &self,
        of: GapOf,
        (a, b): (&CohortSummary, &CohortSummary),
        (difference, interval): (f64, Option<Interval>),
        mean: impl Fn(&CohortSummary, usize) -> Mean,
        confidence: f64,
    ) -> Result<AttributionGap> {
        let n = self.features.len();
        let each = 1.0 - (1.0 - confidence) / n.max(1) as f64;
        let mut parts = Vec::with_capacity(n);
        for (j, feature) in self.features.iter().enumerate() {
            let (of_a, of_b) = (mean(a, j), mean(b, j));
            parts.push(GapPart {
                feature: feature.feature.clone(),
                difference: of_a.value - of_b.value,
                interval: welch(of_a, of_b, each)?,
            });
        }
        let residual = difference - parts.iter().map(|p| p.difference).sum::<f64>();
        parts.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
        Ok(AttributionGap {
            of,
            is_exact: of == GapOf::MeanPrediction,
            group: a.group.clone(),
            against: b.group.clone(),
            difference,
            interval,
            parts,
            residual,
        })
    }
}

fn check(confidence: f64) -> Result<f64> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(confidence)
    } else {
        Err(Error::invalid("confidence", "a number inside (0, 1)", confidence))
    }
}

impl fmt::Display for AttributionGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.of {
            GapOf::MeanPrediction => "mean prediction",
            GapOf::SelectionRate => "selection rate (split approximately)",
        };
        write!(f, "{what} of {} − {}: {:.6}", self.group, self.against, self.difference)?;
        for part in &self.parts {
            write!(f, "\n  {:>12.6}", part.difference)?;
            if let Some(limits) = &part.interval {
                write!(f, "  [{:.6}, {:.6}]", limits.low, limits.high)?;
            }
            write!(f, "  {}", part.feature)?;
        }
        Ok(())
    }
}
