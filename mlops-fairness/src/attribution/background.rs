//! The background: the rows that say what a feature is where it is not known.

use std::collections::{BinaryHeap, HashSet};

use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use mlops_core::states::RowCount;
use mlops_core::stats::Draws;
use mlops_core::{DataSource, DataSourceExt, Error, Result};

/// The stream of draws that choose rows.
const BACKGROUND: u32 = 0x6267_726f;

/// Rows, with weights or without, over which the features that a coalition lacks are averaged.
///
/// A coalition's value is the mean prediction of the row with the absent features taken from each
/// row of the background: the interventional value function (Janzing, Minorics & Blöbaum 2020,
/// arXiv:1910.13413; shap: `maskers.Independent`).
#[derive(Clone, Debug, PartialEq)]
pub struct Background {
    rows: RecordBatch,
    weights: Option<Vec<f64>>,
}

impl Background {
    /// These rows, all alike.
    ///
    /// # Errors
    /// [`Error::Undefined`] for no rows.
    pub fn new(rows: RecordBatch) -> Result<Self> {
        if rows.num_rows() == 0 {
            return Err(Error::undefined("the background's mean", "there are no rows"));
        }
        Ok(Self { rows, weights: None })
    }

    /// These rows, each with its weight.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Length`] for another number of weights;
    /// [`Error::Invalid`] for one that is negative or not finite, or a sum of 0.
    pub fn weighted(rows: RecordBatch, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != rows.num_rows() {
            return Err(Error::Length {
                left: "the background".into(),
                left_len: rows.num_rows(),
                right: "its weights".into(),
                right_len: weights.len(),
            });
        }
        if let Some(bad) = weights.iter().find(|w| !(**w >= 0.0 && w.is_finite())) {
            return Err(Error::invalid("weight", "a finite number that is not negative", bad));
        }
        let total: f64 = weights.iter().sum();
        let is_usable = total > 0.0 && total.is_finite();
        if !weights.is_empty() && !is_usable {
            return Err(Error::invalid("weights of the background", "a positive sum", total));
        }
        Ok(Self { weights: Some(weights), ..Self::new(rows)? })
    }

    /// At most so many rows of a source, each set of rows as likely as any other: those with the
    /// smallest of random numbers that the seed gives them by their place, in their order. One pass,
    /// in memory only what is kept and a batch.
    ///
    /// # Errors
    /// Those of the source; [`Error::Undefined`] if it has no rows, or none are wanted.
    pub fn sample(source: &dyn DataSource, rows: usize, seed: u64) -> Result<Self> {
        // Random number and place of what is kept; the largest is the first to go.
        let mut kept = BinaryHeap::new();
        let mut place = 0_u64;
        let mut parts: Vec<(Vec<u64>, RecordBatch)> = Vec::new();
        source.scan().in_order(&RowCount, |seen| {
            let batch = seen.batch()?;
            let (mut places, mut taken) = (Vec::new(), Vec::new());
            for row in 0..batch.num_rows() as u64 {
                let draw = (Draws::new(seed, BACKGROUND, place).next_u64(), place);
                if kept.len() < rows || kept.peek().is_some_and(|most| draw < *most) {
                    kept.push(draw);
                    if kept.len() > rows {
                        kept.pop();
                    }
                    places.push(place);
                    taken.push(row);
                }
                place += 1;
            }
            if !taken.is_empty() {
                parts.push((places, take_record_batch(batch, &UInt64Array::from(taken))?));
            }
            Ok(())
        })?;
        let kept: HashSet<u64> = kept.into_iter().map(|(_, place)| place).collect();
        let mut chosen = Vec::with_capacity(parts.len());
        for (places, part) in parts {
            let still: BooleanArray = places.iter().map(|p| Some(kept.contains(p))).collect();
            chosen.push(filter_record_batch(&part, &still)?);
        }
        Self::new(concat_batches(&source.schema(), &chosen)?)
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The weights, where they differ.
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use mlops_core::{MemorySource, batch};

    use super::*;

    #[test]
    fn a_sample_is_the_same_however_the_rows_come() {
        let rows = batch! { "x" => Int64Array::from_iter_values(0..1000) }.unwrap();
        let whole = Background::sample(&MemorySource::from(rows.clone()), 50, 3).unwrap();
        let parts = [rows.slice(0, 7), rows.slice(7, 600), rows.slice(607, 393)];
        let parts = MemorySource::new(rows.schema(), parts).unwrap();
        assert_eq!(Background::sample(&parts, 50, 3).unwrap(), whole);
        let kept = whole.rows().column(0).as_primitive::<Int64Type>().values().to_vec();
        assert!(kept.len() == 50 && kept.windows(2).all(|p| p[0] < p[1]));
        let mean = kept.iter().sum::<i64>() as f64 / 50.0;
        // Four standard errors of the mean of 50 of 0..1000.
        assert!((mean - 499.5).abs() < 4.0 * 288.7 / 50f64.sqrt(), "{mean}");
        let all = Background::sample(&parts, 5000, 3).unwrap();
        assert_eq!(all.rows(), &rows);
    }

    #[test]
    fn nothing_and_bad_weights_are_errors() {
        let rows = batch! { "x" => Int64Array::from(vec![1, 2]) }.unwrap();
        assert!(Background::new(rows.slice(0, 0)).is_err());
        assert!(Background::sample(&MemorySource::from(rows.clone()), 0, 1).is_err());
        for bad in [vec![1.0], vec![1.0, -1.0], vec![0.0, 0.0], vec![f64::NAN, 1.0]] {
            assert!(Background::weighted(rows.clone(), bad).is_err());
        }
        assert!(Background::weighted(rows, vec![0.0, 2.0]).is_ok());
    }
}
