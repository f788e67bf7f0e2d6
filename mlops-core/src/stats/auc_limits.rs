//! Limits of areas under ROC curves that hold for few rows, too.

use super::delong::RocAuc;
use super::interval::{Interval, edge};
use crate::Result;

/// With fewer rows of either label `DeLong`'s normal approximation is not trusted.
pub const FEW_FOR_DELONG: u64 = 20;

/// The Kullback–Leibler divergence of two Bernoulli distributions, in nats.
fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p == 0.0 { 0.0 } else { p * (p / q).ln() };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

/// Limits of the mean of a kernel with values in \[0, 1\] over all pairs of a positive and a
/// negative, valid for any distribution and number of rows: Hoeffding's bound of such means by
/// those over min(n₁, n₀) disjoint pairs, with Chernoff's exponent. `tail` is what each side may
/// miss.
///
/// W. Hoeffding 1963, section 5b, doi:10.1080/01621459.1963.10500830. At a mean of 1 (or 0) the
/// lower (upper) limit is Clopper and Pearson's for as many pairs. Of no pairs, 0 and 1.
pub fn pair_mean_limits(mean: f64, pairs: u64, tail: f64) -> (f64, f64) {
    if pairs == 0 {
        return (0.0, 1.0);
    }
    let enough = -tail.ln() / pairs as f64;
    let limit = |end: f64| {
        if mean == end { end } else { edge(mean, end, &|at| divergence(mean, at) > enough) }
    };
    (limit(0.0), limit(1.0))
}

impl RocAuc {
    /// Limits that hold for few rows, too: `DeLong`'s on the logit scale
    /// ([`interval`](Self::interval)), or [`pair_mean_limits`] where a label has fewer than
    /// [`FEW_FOR_DELONG`] rows or the estimated variance is 0, as where the scores separate the
    /// labels.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a confidence outside (0, 1).
    ///
    /// ```
    /// use mlops_core::stats::roc_auc_delong;
    /// let roc = roc_auc_delong(&[false, false, true, true], &[0.1, 0.2, 0.7, 0.8])?;
    /// assert!(roc.interval(0.95).is_err());
    /// let limits = roc.limits(0.95)?;
    /// assert!(limits.low < 0.2 && limits.high == 1.0); // two pairs know little
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    pub fn limits(&self, confidence: f64) -> Result<Interval> {
        let rarer = self.positives.min(self.negatives);
        if rarer >= FEW_FOR_DELONG
            && let Ok(interval) = self.interval(confidence)
        {
            return Ok(interval);
        }
        let (low, high) = pair_mean_limits(self.auc, rarer, (1.0 - confidence) / 2.0);
        Interval::new(low.min(self.auc), high.max(self.auc), confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Draws, clopper_pearson, normal_cdf, roc_auc_delong};

    #[test]
    fn at_the_end_of_the_range_they_are_clopper_and_pearsons() {
        for n in [1, 3, 12, 500] {
            let exact = clopper_pearson(n, n, 0.95).unwrap();
            let (low, high) = pair_mean_limits(1.0, n, 0.025);
            assert!((low - exact.low).abs() < 1e-12, "{n}: {low} {exact}");
            assert_eq!(high, 1.0);
            assert_eq!(pair_mean_limits(0.0, n, 0.025).0, 0.0);
        }
        assert_eq!(pair_mean_limits(0.5, 0, 0.025), (0.0, 1.0));
    }

    #[test]
    fn limits_cover_what_they_say() {
        let truth = normal_cdf(2.0 / 2.0_f64.sqrt());
        for (n, least) in [(16_u32, 0.95), (120, 0.92)] {
            let runs = 300;
            let mut held = 0;
            for run in 0..runs {
                let mut draws = Draws::new(5, n, run);
                let labels: Vec<bool> = (0..n).map(|row| row % 2 == 0).collect();
                let scores: Vec<f64> = labels
                    .iter()
                    .map(|&label| if label { 2.0 } else { 0.0 } + draws.normal())
                    .collect();
                let roc = roc_auc_delong(&labels, &scores).unwrap();
                held += u32::from(roc.limits(0.95).unwrap().contains(truth));
            }
            assert!(f64::from(held) / runs as f64 >= least, "{n} rows: {held} of {runs}");
        }
        let roc = roc_auc_delong(&[true, false], &[1.0, 0.0]).unwrap();
        assert!(roc.limits(1.0).is_err());
    }
}
