//! Two classifiers on the same rows: McNemar's test and Tango's interval.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::{Interval, edge, scored, two_sided_z};
use super::tails::{binomial_cdf, binomial_pmf};
use crate::{Error, Result};

/// On how many rows two classifiers were right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PairedOutcomes {
    /// Rows that both were right or both wrong about.
    pub concordant: u64,
    /// Rows that only the current one (a challenger) was right about.
    pub only_current: u64,
    /// Rows that only the reference (a champion) was right about.
    pub only_reference: u64,
}

impl PairedOutcomes {
    /// How many rows there are.
    pub fn n(self) -> u64 {
        self.concordant + self.only_current + self.only_reference
    }
}

/// McNemar's test that two classifiers are right equally often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct McNemar {
    /// Rows that only one of them was right about.
    pub discordant: u64,
    /// The exact two-sided p-value: never too small.
    pub p_value: f64,
    /// The mid-p value: half the weight of the observed outcome; nearer to its level on average.
    pub mid_p_value: f64,
}

impl fmt::Display for McNemar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "McNemar: {} discordant rows, exact p = {:.4e}, mid-p = {:.4e}",
            self.discordant, self.p_value, self.mid_p_value
        )
    }
}

/// McNemar's exact test and its mid-p form. With no discordant row both are 1.
///
/// `statsmodels.stats.contingency_tables.mcnemar(exact=True)`; mid-p as Fagerland, Lydersen and
/// Laake 2013, doi:10.1186/1471-2288-13-91.
///
/// # Errors
/// [`Error::Undefined`] for more than 10¹¹ discordant rows.
///
/// ```
/// use mlops_core::stats::{PairedOutcomes, mcnemar};
/// let rows = PairedOutcomes { concordant: 90, only_current: 1, only_reference: 9 };
/// assert!((mcnemar(rows)?.p_value - 22.0 / 1024.0).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn mcnemar(rows: PairedOutcomes) -> Result<McNemar> {
    let discordant = rows.only_current + rows.only_reference;
    let fewer = rows.only_current.min(rows.only_reference);
    let tail = binomial_cdf(fewer, discordant, 0.5)?;
    let observed = binomial_pmf(fewer, discordant, 0.5)?;
    Ok(McNemar {
        discordant,
        p_value: (2.0 * tail).min(1.0),
        mid_p_value: if rows.only_current == rows.only_reference {
            1.0
        } else {
            (2.0 * tail - observed).clamp(0.0, 1.0)
        },
    })
}

/// Tango's score interval of the difference of two accuracies on the same rows, current less
/// reference.
///
/// Tango 1998, Statistics in Medicine 17:891; the search halves a bracket to the last
/// bit.
///
/// # Errors
/// [`Error::Undefined`] without rows; [`Error::Invalid`] for a confidence outside (0, 1).
pub fn tango_difference(rows: PairedOutcomes, confidence: f64) -> Result<Interval> {
    let z = two_sided_z(confidence)?;
    if rows.n() == 0 {
        return Err(Error::undefined("a difference of accuracies", "there are no rows"));
    }
    let n = rows.n() as f64;
    let (b, c) = (rows.only_current as f64, rows.only_reference as f64);
    let beyond = |difference: f64| {
        // The most likely share of "only reference", given the difference.
        let linear = (2.0 * n - b + c) * difference - b - c;
        let constant = c * difference * (1.0 - difference);
        let root = (linear * linear + 8.0 * n * constant).max(0.0).sqrt();
        let share = ((root - linear) / (4.0 * n)).max(0.0);
        let variance = n * (2.0 * share + difference * (1.0 - difference));
        scored(b - c - n * difference, variance) > z * z
    };
    let estimate = (b - c) / n;
    Interval::new(edge(estimate, -1.0, &beyond), edge(estimate, 1.0, &beyond), confidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(concordant: u64, only_current: u64, only_reference: u64) -> PairedOutcomes {
        PairedOutcomes { concordant, only_current, only_reference }
    }

    #[test]
    fn models_that_agree_do_not_differ() {
        let test = mcnemar(rows(10, 0, 0)).unwrap();
        assert_eq!((test.p_value, test.mid_p_value), (1.0, 1.0));
        assert!(tango_difference(rows(0, 0, 0), 0.95).is_err());
        let interval = tango_difference(rows(50, 0, 0), 0.95).unwrap();
        assert!(interval.low < 0.0 && interval.high > 0.0);
    }

    /// Also where a count is 0.
    #[test]
    fn tango_equals_the_roots_of_his_equation() {
        for (all, b, c) in [(50_u64, 12, 2), (50, 0, 0), (54, 14, 0), (30, 29, 1), (200, 3, 40)] {
            let interval = tango_difference(rows(all - b - c, b, c), 0.95).unwrap();
            for limit in [interval.low, interval.high] {
                if limit.abs() == 1.0 {
                    continue;
                }
                // The likelihood of (b, c) along the difference, searched without the closed form.
                let (n, bf, cf) = (all as f64, b as f64, c as f64);
                let slope = |q: f64| {
                    let part = |k: f64, p: f64| if k == 0.0 { 0.0 } else { k / p };
                    part(bf, q + limit) + part(cf, q)
                        - part(2.0 * (n - bf - cf), 1.0 - 2.0 * q - limit)
                };
                let (mut low, mut high) = ((-limit).max(0.0), (1.0 - limit) / 2.0);
                for _ in 0..200 {
                    let middle = f64::midpoint(low, high);
                    if slope(middle) > 0.0 { low = middle } else { high = middle }
                }
                let variance = n * (2.0 * low + limit * (1.0 - limit));
                let z = (bf - cf - n * limit).abs() / variance.sqrt();
                assert!((z - 1.959963984540054).abs() < 1e-6, "{all} {b} {c}: {limit} has z {z}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sides_swap(a in 0_u64..500, b in 0_u64..60, c in 0_u64..60) {
            let (one, other) = (mcnemar(rows(a, b, c)).unwrap(), mcnemar(rows(a, c, b)).unwrap());
            prop_assert_eq!(one, other);
            prop_assert!(one.mid_p_value <= one.p_value && (0.0..=1.0).contains(&one.p_value));
            if a + b + c > 0 {
                let one = tango_difference(rows(a, b, c), 0.9).unwrap();
                let other = tango_difference(rows(a, c, b), 0.9).unwrap();
                prop_assert!((one.low + other.high).abs() < 1e-9, "{one} {other}");
                let estimate = (b as f64 - c as f64) / (a + b + c) as f64;
                prop_assert!(one.contains(estimate));
            }
        }
    }
}
