//! What is known of all scores of one group and label besides their order.

use mlops_core::bytes::{add_count, bad, put_u64, take_count};
use mlops_core::states::{Moments, Sum};
use mlops_core::{Result, State};
use serde::{Deserialize, Serialize};

/// What is known of all scores of one group and class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) rows: u64,
    /// Without a label or a score.
    pub(crate) unscored: u64,
    /// With a weight that is none.
    pub(crate) invalid: u64,
    /// With a score that is no probability.
    pub(crate) outside: u64,
    /// Score less class, of probabilities; the square of it, and −ln of what was given to the class.
    pub(crate) residuals: Moments,
    pub(crate) squares: Moments,
    pub(crate) losses: Moments,
    pub(crate) weighted: Option<Box<WeightedSide>>,
}

/// The same by weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WeightedSide {
    /// Of all rows with a score.
    pub(crate) weights: Moments,
    /// Of probabilities Σw times 1, residual, residual², residual⁴, loss, loss².
    pub(crate) sums: [Sum; 6],
}

impl Side {
    /// Takes in rows of a score, a weight and the class: negative, positive or none.
    pub(super) fn take(&mut self, rows: &[(f64, f64, u8)], weighted: bool) {
        add_count(&mut self.rows, rows.len() as u64);
        let mut columns: [Vec<f64>; 3] = Default::default();
        let mut weights = Vec::new();
        for &(score, weight, class) in rows {
            if !weight.is_finite() {
                self.invalid += 1;
                continue;
            }
            if class > 1 || score.is_nan() {
                self.unscored += 1;
                continue;
            }
            if weighted {
                weights.push(weight);
            }
            if !(0.0..=1.0).contains(&score) {
                self.outside += 1;
                continue;
            }
            let residual = score - f64::from(class);
            // As far from 0 and 1 as scikit-learn keeps them.
            let p = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            let loss = -if class == 1 { p.ln() } else { (-p).ln_1p() };
            let square = residual * residual;
            for (column, x) in columns.iter_mut().zip([residual, square, loss]) {
                column.push(x);
            }
            if weighted {
                let sums = &mut self.weighted.get_or_insert_default().sums;
                let terms = [1.0, residual, square, square * square, loss, loss * loss];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum.add(weight * term);
                }
            }
        }
        let [residuals, squares, losses] = columns;
        self.residuals.add_slice(&residuals);
        self.squares.add_slice(&squares);
        self.losses.add_slice(&losses);
        if weighted {
            self.weighted.get_or_insert_default().weights.add_slice(&weights);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.unscored, other.unscored);
        add_count(&mut self.invalid, other.invalid);
        add_count(&mut self.outside, other.outside);
        // Merging sums never fails.
        let _ = self.residuals.merge(other.residuals);
        let _ = self.squares.merge(other.squares);
        let _ = self.losses.merge(other.losses);
        if let Some(theirs) = &other.weighted {
            let mine = self.weighted.get_or_insert_default();
            let _ = mine.weights.merge(theirs.weights);
            for (mine, theirs) in mine.sums.iter_mut().zip(theirs.sums) {
                let _ = mine.merge(theirs);
            }
        }
    }

    /// Rows that have a score.
    pub(crate) fn scored(&self) -> u64 {
        self.residuals.n().saturating_add(self.outside)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for n in [self.rows, self.unscored, self.invalid, self.outside] {
            put_u64(out, n);
        }
        for moments in [&self.residuals, &self.squares, &self.losses] {
            moments.encode(out);
        }
        if let Some(weighted) = &self.weighted {
            weighted.weights.encode(out);
            weighted.sums.iter().for_each(|sum| sum.encode(out));
        }
    }

    pub(super) fn decode(bytes: &mut &[u8], weighted: bool) -> Result<Self> {
        let mut side = Self {
            rows: take_count(bytes)?,
            unscored: take_count(bytes)?,
            invalid: take_count(bytes)?,
            outside: take_count(bytes)?,
            residuals: Moments::decode(bytes)?,
            squares: Moments::decode(bytes)?,
            losses: Moments::decode(bytes)?,
            weighted: None,
        };
        let known = side.scored().saturating_add(side.unscored).saturating_add(side.invalid);
        let n = side.residuals.n();
        if known != side.rows || side.squares.n() != n || side.losses.n() != n {
            return Err(bad(bytes, format!("scores of {} rows", side.rows), known));
        }
        if weighted {
            let weights = Moments::decode(bytes)?;
            if weights.n() != side.scored() {
                let expected = format!("weights of {} rows", side.scored());
                return Err(bad(bytes, expected, weights.n()));
            }
            let mut sums: [Sum; 6] = Default::default();
            for sum in &mut sums {
                *sum = Sum::decode(bytes)?;
            }
            side.weighted = Some(Box::new(WeightedSide { weights, sums }));
        }
        Ok(side)
    }
}
