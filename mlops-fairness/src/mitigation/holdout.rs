//! Rows to mitigate with, and others to judge it by.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use mlops_core::stats::Draws;
use mlops_core::{Error, Result};

use super::row_key::RowKeys;

/// Rows to fit on and rows held out, of one batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Holdout {
    /// To fit a mitigation on.
    pub fit: RecordBatch,
    /// To judge it by.
    pub held_out: RecordBatch,
}

/// Splits rows by their values: about this share is held out, and equal rows are never on both
/// sides, so that what is judged was not seen. The same rows fall on the same sides in any order
/// and any batch.
///
/// # Errors
/// [`Error::Invalid`] for a share outside (0, 1); an error of arrow for columns that have no order.
///
/// ```
/// use mlops_core::arrow::array::Int32Array;
/// use mlops_core::batch;
/// let rows = batch! { "x" => Int32Array::from_iter_values(0..1000) }?;
/// let split = mlops_fairness::mitigation::hold_out(&rows, 0.3, 7)?;
/// assert_eq!(split.fit.num_rows() + split.held_out.num_rows(), 1000);
/// assert!((250..350).contains(&split.held_out.num_rows()));
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn hold_out(rows: &RecordBatch, share: f64, seed: u64) -> Result<Holdout> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::invalid("the share held out", "a number in (0, 1)", share));
    }
    let columns: Vec<String> =
        rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    let keys = RowKeys::of(rows, &columns)?;
    let held: Vec<bool> = (0..rows.num_rows())
        .map(|row| Draws::new(seed, 2, keys.key(row)).bernoulli(share))
        .collect();
    let side = |of: bool| -> Result<RecordBatch> {
        let mask: BooleanArray = held.iter().map(|&held| Some(held == of)).collect();
        Ok(filter_record_batch(rows, &mask)?)
    };
    Ok(Holdout { fit: side(false)?, held_out: side(true)? })
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{DictionaryArray, Float64Array, StringArray};
    use mlops_core::arrow::datatypes::Int8Type;
    use mlops_core::batch;

    use super::*;

    #[test]
    fn equal_rows_are_on_one_side() {
        let rows = batch! {
            "g" => StringArray::from_iter_values((0..400).map(|i| ["a", "b"][i % 2])),
            "x" => (0..400).map(|i| (i % 5 > 0).then_some(f64::from(i % 40))).collect::<Float64Array>(),
        }
        .unwrap();
        let split = hold_out(&rows, 0.4, 1).unwrap();
        let texts = |batch: &RecordBatch| -> std::collections::BTreeSet<String> {
            (0..batch.num_rows())
                .map(|row| format!("{:?}", batch.slice(row, 1).columns()))
                .collect()
        };
        assert!(texts(&split.fit).is_disjoint(&texts(&split.held_out)));
        assert!(split.fit.num_rows() > 0 && split.held_out.num_rows() > 0);
        // A dictionary is what it stands for.
        let keys = |rows: &RecordBatch| {
            let keys = RowKeys::of(rows, &["g".into()]).unwrap();
            (0..400).map(|row| keys.key(row)).collect::<Vec<_>>()
        };
        let dictionary: DictionaryArray<Int8Type> = (0..400).map(|i| ["a", "b"][i % 2]).collect();
        assert_eq!(keys(&batch! { "g" => dictionary }.unwrap()), keys(&rows));
        for share in [0.0, 1.0, f64::NAN] {
            assert!(hold_out(&rows, share, 1).is_err());
        }
        assert_eq!(hold_out(&rows.slice(0, 0), 0.5, 1).unwrap().fit.num_rows(), 0);
    }
}
