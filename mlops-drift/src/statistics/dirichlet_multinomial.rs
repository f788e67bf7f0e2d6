//! The law of current counts in bins that are quantiles of the reference: thresholds and p-values
//! of any distance, whatever the distribution of the values.

use std::fmt;

use mlops_core::stats::{Draws, chi_square_sf};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::draw::dirichlet_multinomial;
use crate::statistics::hypergeometric::MOST_DRAWN_FROM;
use crate::statistics::monte_carlo::{MonteCarlo, SimulatedP, checked_alpha};
use crate::statistics::psi::{PsiTest, psi};
use crate::statistics::shares::ZeroCells;
use crate::statistics::tables::check;

/// The law of the current counts in bins that end on order statistics of the reference.
///
/// The shares of a distribution between the order statistics of `n` of its values are
/// Dirichlet(1, …, 1), `n + 1` of them, whatever the continuous distribution (Wilks). So the shares
/// of bins `(lo, hi]` that end on reference values are Dirichlet with the reference rows of each
/// bin as parameters, and 1 more in the last, which ends on none; and `m` current values of the same
/// distribution fall into the bins by the Dirichlet–multinomial law. This is exact at any `n` and
/// `m`, and holds the reference's own sampling error: nothing is assumed, nothing estimated.
///
/// For continuous values, and edges that are values. With ties, or edges between neighbouring values
/// as a stored profile may have them, fewer are rejected: of level 5 %, 1 to 5 % where bins hold
/// five rows, 4 to 5 % where they hold 25. An empty bin (below a constant reference, say) has the
/// parameter 1. For categories, whose cells were not made from the reference's order,
/// use [`permutation_p`](crate::statistics::permutation_p).
///
/// ```
/// use mlops_drift::statistics::{DirichletMultinomial, MonteCarlo, ZeroCells};
/// // Ten bins of ten rows each: what does PSI reach where nothing drifted?
/// let law = DirichletMultinomial::of_quantile_bins(&[10; 10])?;
/// let threshold = law.psi_threshold(100, ZeroCells::AddHalf, 0.05, MonteCarlo::new(1))?;
/// assert!((0.29..0.33).contains(&threshold.value), "{threshold}");
/// // At sizes that the χ² law is good for no draw is made.
/// let law = DirichletMultinomial::of_quantile_bins(&[1000; 10])?;
/// let threshold = law.psi_threshold(10_000, ZeroCells::AddHalf, 0.05, MonteCarlo::new(1))?;
/// assert!((threshold.value - 16.918977604620448 * 2e-4).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # References
/// Wilks (1962), *Mathematical Statistics*, §8.7; Mosimann (1962), doi:10.1093/biomet/49.1-2.65;
/// Yurdakul & Naranjo (2020), doi:10.21314/JRMV.2020.227.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirichletMultinomial {
    reference: Vec<u64>,
    parameters: Vec<u64>,
    n: u64,
}

impl DirichletMultinomial {
    /// The law by the reference's counts in bins `(lo, hi]`, of which all but the last end on a
    /// value of the reference.
    ///
    /// # Errors
    /// [`Error::Undefined`] where the reference counts no rows, [`Error::Invalid`] for more than
    /// 2³⁹ of them.
    pub fn of_quantile_bins(reference: &[u64]) -> Result<Self> {
        let (n, _) = check("the law of quantile bins", reference, reference)?;
        few_enough(n)?;
        let last = reference.len() - 1;
        let parameters = reference
            .iter()
            .enumerate()
            .map(|(bin, &rows)| if bin == last { rows + 1 } else { rows.max(1) })
            .collect();
        Ok(Self { reference: reference.to_vec(), parameters, n })
    }

    /// The reference's counts.
    pub fn reference(&self) -> &[u64] {
        &self.reference
    }

    /// The parameters of the shares' Dirichlet law.
    pub fn parameters(&self) -> &[u64] {
        &self.parameters
    }

    /// The counts of `m` current values where nothing drifted: one draw.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2³⁹ rows.
    pub fn draw(&self, m: u64, draws: &mut Draws) -> Result<Vec<u64>> {
        few_enough(m)?;
        let mut counts = vec![0; self.parameters.len()];
        dirichlet_multinomial(&self.parameters, m, draws, &mut counts);
        Ok(counts)
    }

    /// P of a statistic this large or larger where nothing drifted, by simulation.
    /// `statistic(reference, current)` is large where there is drift.
    ///
    /// # Errors
    /// [`Error::Undefined`] where the current data count no rows or the statistic is undefined on
    /// the counts themselves; [`Error::Length`] for other cells; [`Error::Invalid`] for more than
    /// 2³⁹ rows, or no draws.
    pub fn p_value(
        &self,
        current: &[u64],
        statistic: impl Fn(&[u64], &[u64]) -> Result<f64>,
        how: MonteCarlo,
    ) -> Result<SimulatedP> {
        let (_, m) = check("the law of quantile bins", &self.reference, current)?;
        few_enough(m)?;
        let observed = statistic(&self.reference, current)?;
        let mut counts = vec![0; self.parameters.len()];
        how.p_value(observed, |draws| {
            dirichlet_multinomial(&self.parameters, m, draws, &mut counts);
            statistic(&self.reference, &counts).ok()
        })
    }

    /// What a statistic stays within, with probability `1 − alpha`, where nothing drifted and
    /// there are `m` current values: it drifted where it is *above* the threshold.
    ///
    /// Of `B` draws the `⌊alpha (B + 1)⌋`-th largest, which holds the level exactly, draws
    /// included. All `how.replicates` are drawn.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a level outside (0, 1) or one that so few draws can't tell, and for
    /// more than 2³⁹ rows; [`Error::Undefined`] for no rows, and where the statistic is undefined
    /// on as many draws as may lie above the threshold.
    pub fn threshold(
        &self,
        m: u64,
        alpha: f64,
        statistic: impl Fn(&[u64], &[u64]) -> Result<f64>,
        how: MonteCarlo,
    ) -> Result<Threshold> {
        const WHAT: &str = "a threshold";
        let rank = (checked_alpha(alpha)? * (f64::from(how.replicates) + 1.0) + 1e-9) as usize;
        let rank = rank.min(how.replicates as usize);
        few_enough(m)?;
        if m == 0 {
            return Err(Error::undefined(WHAT, "there are no current rows"));
        }
        if rank == 0 {
            let expected = format!("at least 1 / {alpha} − 1");
            return Err(Error::invalid("the draws of a simulation", expected, how.replicates));
        }
        let mut counts = vec![0; self.parameters.len()];
        let mut values: Vec<f64> = (0..how.replicates)
            .map(|replicate| {
                dirichlet_multinomial(&self.parameters, m, &mut how.draws(replicate), &mut counts);
                let value = statistic(&self.reference, &counts).ok();
                value.filter(|value| !value.is_nan()).unwrap_or(f64::INFINITY)
            })
            .collect();
        let at = values.len() - rank;
        let (_, &mut value, _) = values.select_nth_unstable_by(at, f64::total_cmp);
        if value.is_infinite() {
            return Err(Error::undefined(WHAT, "the statistic is undefined on too many draws"));
        }
        Ok(Threshold { value, alpha, replicates: Some(how.replicates) })
    }

    /// The threshold of [`psi`]: by its χ² law, `χ²₁₋α (1/n + 1/m)`, where every cell expects
    /// [`PsiTest::MIN_EXPECTED`] rows on either side, else by [simulation](Self::threshold).
    ///
    /// # Errors
    /// As [`threshold`](Self::threshold), and those of the rule for empty cells.
    pub fn psi_threshold(
        &self,
        m: u64,
        zero_cells: ZeroCells,
        alpha: f64,
        how: MonteCarlo,
    ) -> Result<Threshold> {
        let alpha = checked_alpha(alpha)?;
        let (n, rows) = (self.n as f64, m as f64);
        let least = self.reference.iter().min().copied().unwrap_or(0) as f64;
        if self.reference.len() > 1 && least.min(least / n * rows) >= PsiTest::MIN_EXPECTED {
            let quantile = chi_square_quantile(alpha, self.reference.len() as f64 - 1.0)?;
            let value = quantile * (1.0 / n + 1.0 / rows);
            return Ok(Threshold { value, alpha, replicates: None });
        }
        self.threshold(m, alpha, |r, c| psi(r, c, zero_cells), how)
    }
}

fn few_enough(rows: u64) -> Result<()> {
    if rows <= MOST_DRAWN_FROM / 2 {
        Ok(())
    } else {
        Err(Error::invalid("the rows of quantile bins", "at most 2^39", rows))
    }
}

/// The x with P(X > x) = alpha, to the float.
fn chi_square_quantile(alpha: f64, df: f64) -> Result<f64> {
    // Positive floats have the order of their bits.
    let (mut low, mut high) = (0u64, f64::MAX.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if chi_square_sf(f64::from_bits(middle), df)? > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(f64::from_bits(high))
}

/// What a distance stays within where nothing drifted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Threshold {
    /// The distance; drift is above it.
    pub value: f64,
    /// How often it is exceeded where nothing drifted, at most.
    pub alpha: f64,
    /// How many draws it was found by; `None` where the χ² law gave it.
    pub replicates: Option<u32>,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "threshold {:.4} at level {}", self.value, self.alpha)?;
        match self.replicates {
            Some(replicates) => write!(f, ", by {replicates} draws"),
            None => f.write_str(", by the χ² law"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::chi_square;

    #[test]
    fn parameters_are_the_spacings() {
        let law = DirichletMultinomial::of_quantile_bins(&[3, 4, 5]).unwrap();
        assert_eq!(law.parameters(), [3, 4, 6]);
        let constant = DirichletMultinomial::of_quantile_bins(&[0, 9, 0]).unwrap();
        assert_eq!(constant.parameters(), [1, 9, 1]);
        assert!(DirichletMultinomial::of_quantile_bins(&[]).is_err());
        assert!(DirichletMultinomial::of_quantile_bins(&[0, 0]).is_err());
        assert!(DirichletMultinomial::of_quantile_bins(&[1 << 50, 0]).is_err());
    }

    #[test]
    fn a_threshold_is_where_p_values_pass() {
        let law = DirichletMultinomial::of_quantile_bins(&[6, 6, 6, 7]).unwrap();
        let how = MonteCarlo { replicates: 499, stop_after: None, ..MonteCarlo::new(3) };
        let statistic = |r: &[u64], c: &[u64]| chi_square(r, c).map(|test| test.statistic);
        let threshold = law.threshold(30, 0.05, statistic, how).unwrap();
        for replicate in 0..60 {
            let current = law.draw(30, &mut Draws::new(8, 0, replicate)).unwrap();
            let test = law.p_value(&current, statistic, how).unwrap();
            assert_eq!(test.p_value <= 0.05, test.statistic > threshold.value + 1e-9, "{test}");
        }
        let least = law.threshold(30, 1.0 - f64::EPSILON / 2.0, statistic, how).unwrap();
        assert!(least.value < threshold.value, "a level next to 1 is one");
        assert!(law.threshold(30, 0.001, statistic, how).is_err(), "too few draws to tell");
        assert!(law.threshold(0, 0.05, statistic, how).is_err());
        assert!(law.p_value(&[1, 2], statistic, how).is_err());
        let refusing = law.psi_threshold(5, ZeroCells::Refuse, 0.05, how);
        assert!(refusing.is_err(), "five rows leave a bin empty more often than not");
    }
}
