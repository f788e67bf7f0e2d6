//! Are like people treated alike? A question about rows, not about groups.

use arrow::array::RecordBatch;
use mlops_core::{Error, Result, Rows};
use rayon::prelude::*;

/// How alike predictions are among neighbours: 1 less the mean distance of a row's prediction from
/// the mean prediction of the k rows that are nearest to it, itself among them; in `[0, 1]`, 1 is
/// perfect.
///
/// Near is the Euclidean distance over the features as they stand: bring them to like scales
/// first. Of rows at one distance those that come first are nearer. It looks at every pair of
/// rows, so that it is for samples of some ten thousand: O(n² · features) on all threads, O(n)
/// memory.
///
/// Zemel et al. 2013. AIF360: `consistency_score`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::batch;
/// let rows = batch! {
///     "years" => Float64Array::from(vec![1.0, 1.1, 9.0, 9.1]),
///     "said" => Float64Array::from(vec![0.0, 0.0, 1.0, 1.0]),
/// }?;
/// assert_eq!(mlops_fairness::consistency(&rows, &["years"], "said", 2)?, 1.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::ColumnNotFound`]; [`Error::ColumnType`] for what is no number; [`Error::Value`] for
/// null, NaN and infinite features and predictions, with their row; [`Error::Invalid`] for a k of
/// 0 or of more than there are rows, and without features.
pub fn consistency(rows: &RecordBatch, features: &[&str], y_pred: &str, k: usize) -> Result<f64> {
    let n = rows.num_rows();
    if k == 0 || k > n {
        return Err(Error::invalid("neighbours", format!("1 to {n}, the number of rows"), k));
    }
    if features.is_empty() {
        return Err(Error::invalid("features", "one or more", "none"));
    }
    let view = Rows::new(rows);
    let column = |name: &str| {
        let values = crate::groups::numbers(&view, name)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(row) => Err(Error::Value {
                column: name.into(),
                row: row as u64,
                expected: "a finite number".into(),
                found: values[row].to_string(),
            }),
        }
    };
    let columns = features.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?;
    let said = column(y_pred)?;
    // Every row adds up its own, in the order of the rows.
    let apart: Vec<f64> = (0..n)
        .into_par_iter()
        .map_init(
            || (vec![0.0_f64; n], Vec::<u32>::with_capacity(n)),
            |(distances, order), row| {
                distances.fill(0.0);
                for column in &columns {
                    let here = column[row];
                    for (distance, value) in distances.iter_mut().zip(column) {
                        *distance += (value - here) * (value - here);
                    }
                }
                order.clear();
                order.extend(0..n as u32);
                if k < n {
                    order.select_nth_unstable_by(k - 1, |&a, &b| {
                        distances[a as usize].total_cmp(&distances[b as usize]).then(a.cmp(&b))
                    });
                }
                let mean = crate::counts::total(order[..k].iter().map(|&i| said[i as usize]));
                (said[row] - mean / k as f64).abs()
            },
        )
        .collect();
    Ok(1.0 - crate::counts::total(apart) / n as f64)
}
