//! Labelled scores in order, ties together: what ROC and precision-recall curves are made of.

use rayon::prelude::*;

use crate::{Error, Result};

/// So many positives and negatives share one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tie {
    pub(crate) positives: u64,
    pub(crate) negatives: u64,
}

/// More rows would overflow the integer moments of [`super::roc_auc_delong`].
const MAX_ROWS: usize = 1 << 31;

/// Checks what every function of labels and scores needs.
pub(crate) fn check(y_true: &[bool], y_score: &[f64]) -> Result<()> {
    if y_true.len() != y_score.len() {
        return Err(Error::Length {
            left: "y_true".into(),
            left_len: y_true.len(),
            right: "y_score".into(),
            right_len: y_score.len(),
        });
    }
    if y_true.len() >= MAX_ROWS {
        return Err(Error::invalid("labelled scores", "fewer than 2^31 rows", y_true.len()));
    }
    match y_score.iter().position(|s| s.is_nan()) {
        None => Ok(()),
        Some(row) => Err(Error::Value {
            column: "y_score".into(),
            row: row as u64,
            expected: "a number".into(),
            found: "NaN".into(),
        }),
    }
}

/// Bits that order as the floats do; −0 and 0 are one.
fn key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The ties in order of their score, from the smallest.
pub(crate) fn ties(y_true: &[bool], y_score: &[f64]) -> Vec<Tie> {
    let mut rows: Vec<(u64, bool)> =
        y_score.par_iter().zip(y_true).map(|(&score, &label)| (key(score), label)).collect();
    rows.par_sort_unstable();
    rows.chunk_by(|a, b| a.0 == b.0)
        .map(|tie| {
            // Within a tie negatives come first.
            let negatives = tie.partition_point(|row| !row.1);
            Tie { positives: (tie.len() - negatives) as u64, negatives: negatives as u64 }
        })
        .collect()
}

/// For each row twice its number of opposites that are ordered rightly against it, a tie counting
/// half: for a positive the negatives below, for a negative the positives above.
pub(crate) fn doubled_placements(y_true: &[bool], y_score: &[f64]) -> Vec<u64> {
    let mut rows: Vec<(u64, u32)> =
        y_score.iter().enumerate().map(|(row, &score)| (key(score), row as u32)).collect();
    rows.par_sort_unstable();
    let all_positives = y_true.iter().filter(|&&label| label).count() as u64;
    let (mut positives, mut negatives) = (0, 0);
    let mut placements = vec![0; rows.len()];
    for tie in rows.chunk_by(|a, b| a.0 == b.0) {
        let p = tie.iter().filter(|row| y_true[row.1 as usize]).count() as u64;
        let q = tie.len() as u64 - p;
        for &(_, row) in tie {
            placements[row as usize] = if y_true[row as usize] {
                2 * negatives + q
            } else {
                2 * (all_positives - positives) - p
            };
        }
        positives += p;
        negatives += q;
    }
    placements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_hold_together() {
        let y_true = [true, false, true, false, true];
        let y_score = [0.0, -0.0, f64::INFINITY, -3.0, f64::NEG_INFINITY];
        let tie = |positives, negatives| Tie { positives, negatives };
        assert_eq!(ties(&y_true, &y_score), [tie(1, 0), tie(0, 1), tie(1, 1), tie(1, 0)]);
        assert_eq!(doubled_placements(&y_true, &y_score), [3, 3, 4, 4, 0]);
    }
}
