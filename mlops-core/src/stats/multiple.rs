//! Adjusted p-values for many tests at once.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How p-values are adjusted for their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Correction {
    /// m·p; holds the family-wise error rate.
    Bonferroni,
    /// Holm 1979: step-down; holds the family-wise error rate, and never below Bonferroni's power.
    Holm,
    /// Benjamini and Hochberg 1995: holds the false discovery rate of independent or positively
    /// dependent tests.
    #[default]
    BenjaminiHochberg,
    /// Benjamini and Yekutieli 2001: holds the false discovery rate under any dependence.
    BenjaminiYekutieli,
}

/// Adjusted p-values, in the order of the raw ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Adjusted {
    /// How they were adjusted.
    pub correction: Correction,
    /// The adjusted p-values, each at least the raw one; `None` where there was none.
    pub p_values: Vec<Option<f64>>,
    /// How many tests there were: those with a p-value.
    pub tested: usize,
    /// How many had no p-value and count for nothing.
    pub left_out: usize,
}

impl Adjusted {
    /// Whether each test is rejected at this level; a test without a p-value never is.
    pub fn rejected(&self, alpha: f64) -> impl Iterator<Item = bool> + '_ {
        self.p_values.iter().map(move |p| p.is_some_and(|p| p <= alpha))
    }
}

impl std::fmt::Display for Adjusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} p-values adjusted ({:?})", self.tested, self.correction)?;
        if self.left_out > 0 {
            write!(f, ", {} without one left out", self.left_out)?;
        }
        Ok(())
    }
}

/// Adjusts p-values for their number. Tests without a p-value are left out of that number.
///
/// O(m log m). `statsmodels.stats.multitest.multipletests` with `bonferroni`, `holm`, `fdr_bh` and
/// `fdr_by`.
///
/// # Errors
/// [`Error::Invalid`] where a p-value is not in \[0, 1\].
///
/// ```
/// use mlops_core::stats::{Correction, adjust};
/// let adjusted = adjust(Correction::Holm, &[Some(0.01), None, Some(0.04)])?;
/// assert_eq!(adjusted.p_values, [Some(0.02), None, Some(0.04)]);
/// assert_eq!((adjusted.tested, adjusted.left_out), (2, 1));
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn adjust(correction: Correction, p_values: &[Option<f64>]) -> Result<Adjusted> {
    let mut tests = Vec::with_capacity(p_values.len());
    for (i, p) in p_values.iter().enumerate() {
        if let Some(p) = *p {
            if !(0.0..=1.0).contains(&p) {
                return Err(Error::invalid(format!("p-value {i}"), "a number in [0, 1]", p));
            }
            tests.push((p, i));
        }
    }
    tests.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let count = tests.len() as f64;
    let mut adjusted = vec![None; p_values.len()];
    match correction {
        Correction::Bonferroni => {
            for &(p, i) in &tests {
                adjusted[i] = Some((p * count).min(1.0));
            }
        }
        Correction::Holm => {
            let mut largest = 0.0_f64;
            for (rank, &(p, i)) in tests.iter().enumerate() {
                largest = largest.max((p * (count - rank as f64)).min(1.0));
                adjusted[i] = Some(largest);
            }
        }
        Correction::BenjaminiHochberg | Correction::BenjaminiYekutieli => {
            let dependence = if correction == Correction::BenjaminiYekutieli {
                (1..=tests.len()).rev().map(|k| (k as f64).recip()).sum()
            } else {
                1.0
            };
            let mut smallest = 1.0_f64;
            for (rank, &(p, i)) in tests.iter().enumerate().rev() {
                // The last rank's share is exactly 1, so that no adjusted value falls below its p.
                let share = count / (rank + 1) as f64;
                smallest = smallest.min(p * share * dependence);
                adjusted[i] = Some(smallest);
            }
        }
    }
    Ok(Adjusted {
        correction,
        p_values: adjusted,
        tested: tests.len(),
        left_out: p_values.len() - tests.len(),
    })
}

/// [`adjust`] by Bonferroni, for p-values that are all there.
///
/// # Errors
/// As [`adjust`].
pub fn bonferroni(p_values: &[f64]) -> Result<Vec<f64>> {
    all(Correction::Bonferroni, p_values)
}

/// [`adjust`] by Holm, for p-values that are all there.
///
/// # Errors
/// As [`adjust`].
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>> {
    all(Correction::Holm, p_values)
}

/// [`adjust`] by Benjamini and Hochberg, for p-values that are all there.
///
/// # Errors
/// As [`adjust`].
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>> {
    all(Correction::BenjaminiHochberg, p_values)
}

/// [`adjust`] by Benjamini and Yekutieli, for p-values that are all there.
///
/// # Errors
/// As [`adjust`].
pub fn benjamini_yekutieli(p_values: &[f64]) -> Result<Vec<f64>> {
    all(Correction::BenjaminiYekutieli, p_values)
}

fn all(correction: Correction, p_values: &[f64]) -> Result<Vec<f64>> {
    let p_values: Vec<_> = p_values.iter().copied().map(Some).collect();
    Ok(adjust(correction, &p_values)?.p_values.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Correction; 4] = [
        Correction::Bonferroni,
        Correction::Holm,
        Correction::BenjaminiHochberg,
        Correction::BenjaminiYekutieli,
    ];

    #[test]
    fn what_is_no_p_value_is_named() {
        for p in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            let error = adjust(Correction::Holm, &[Some(0.5), Some(p)]).unwrap_err();
            assert!(error.to_string().starts_with("p-value 1"), "{error}");
        }
        let nothing = adjust(Correction::Holm, &[None]).unwrap();
        assert_eq!((nothing.tested, nothing.left_out, nothing.p_values), (0, 1, vec![None]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn adjusted_is_at_least_raw_and_in_order(
            mut p in prop::collection::vec(
                prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64, 0.0..1e-9_f64], 0..40),
        ) {
            p.sort_by(f64::total_cmp);
            for correction in ALL {
                let adjusted = all(correction, &p).unwrap();
                for (a, p) in adjusted.iter().zip(&p) {
                    prop_assert!((*p..=1.0).contains(a), "{correction:?}: {p} became {a}");
                }
                prop_assert!(adjusted.is_sorted());
            }
            let [bonferroni, holm, bh, by] = ALL.map(|c| all(c, &p).unwrap());
            for i in 0..p.len() {
                prop_assert!(holm[i] <= bonferroni[i] && bh[i] <= holm[i] * (1.0 + 1e-15));
                prop_assert!(bh[i] <= by[i]);
            }
        }
    }
}
