//! Where a column changes, by a detector that reads it in order.

use arrow::array::{Array, Float64Array};
use mlops_core::report::clean;
use mlops_core::{DataSource, Error, Result, RowId, Scan, to_numbers};
use serde::{Deserialize, Serialize};

use super::detector::{Signal, StreamDetector};

/// A row at which a detector said something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangePoint {
    /// The row.
    pub row: RowId,
    /// Drift, or the warning that was the first of its row of warnings.
    pub signal: Signal,
    /// The detector's statistic there.
    pub statistic: Option<f64>,
}

/// What a detector found in a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangePoints {
    /// The column.
    pub column: String,
    /// The rows that were read.
    pub rows: u64,
    /// Those without a value, which the detector did not see.
    pub nulls: u64,
    /// The drifts and the beginnings of warnings, in order.
    pub changes: Vec<ChangePoint>,
}

impl ChangePoints {
    fn new(column: &str) -> Self {
        Self { column: column.to_owned(), rows: 0, nulls: 0, changes: Vec::new() }
    }

    /// The rows at which the column has drifted.
    pub fn drifts(&self) -> impl Iterator<Item = &RowId> {
        self.changes.iter().filter(|change| change.signal.is_drift()).map(|change| &change.row)
    }

    fn take_in(
        &mut self,
        detector: &mut dyn StreamDetector,
        last: &mut Signal,
        (origin, first): (&str, u64),
        values: &Float64Array,
    ) -> Result<()> {
        for i in 0..values.len() {
            let row = first.saturating_add(i as u64);
            self.rows += 1;
            if values.is_null(i) {
                self.nulls += 1;
                continue;
            }
            let signal = detector.update(values.value(i)).map_err(|e| match e {
                Error::Invalid { expected, found, .. } => {
                    Error::Value { column: self.column.clone(), row, expected, found }
                }
                other => other.within(format!("column `{}`, row {row}", self.column)),
            })?;
            if signal.is_drift() || (signal.is_warning() && !last.is_warning()) {
                let row = RowId { origin: origin.to_owned(), row };
                self.changes.push(ChangePoint { row, signal, statistic: detector.statistic() });
            }
            *last = signal;
        }
        Ok(())
    }
}

impl std::fmt::Display for ChangePoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.drifts().count();
        write!(
            f,
            "{}: {n} drifts in {} rows, {} of them null",
            clean(&self.column),
            self.rows,
            self.nulls
        )?;
        for change in &self.changes {
            write!(f, "\n  {}  {}", clean(&change.row.to_string()), change.signal)?;
        }
        Ok(())
    }
}

/// Reads an array in order and says where it changes; its rows are named after the column.
///
/// Nulls are left out and counted. The detector goes on where it is, so that one array after the
/// other can be read.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_drift::stream::{PageHinkley, PageHinkleyOptions, change_points_in};
/// let mut detector =
///     PageHinkley::new(PageHinkleyOptions { threshold: 5.0, ..PageHinkleyOptions::default() })?;
/// let latency: Float64Array =
///     (0..200).map(|i| (i != 7).then_some(if i < 100 { 1.0 } else { 2.0 })).collect();
/// let found = change_points_in(&mut detector, "latency", &latency)?;
/// assert_eq!(found.drifts().map(|row| row.row).collect::<Vec<_>>(), [105]);
/// assert_eq!((found.rows, found.nulls), (200, 1));
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] with the row of a value that the detector does not take, NaN among them.
pub fn change_points_in(
    detector: &mut dyn StreamDetector,
    column: &str,
    values: &Float64Array,
) -> Result<ChangePoints> {
    let mut found = ChangePoints::new(column);
    found.take_in(detector, &mut Signal::None, (column, 0), values)?;
    Ok(found)
}

/// Reads a column of a source in the order of its rows, on one thread, and says where it changes.
///
/// The answer depends on the order of the rows, and so on the order in which the source lists its
/// partitions; it does not depend on the size of the batches. Nulls are left out and counted.
///
/// # Errors
/// Those of the source; [`Error::ColumnType`] for a column that is not of numbers; [`Error::Value`]
/// with the row of a value that the detector does not take, NaN among them.
pub fn change_points(
    detector: &mut dyn StreamDetector,
    source: &dyn DataSource,
    column: &str,
) -> Result<ChangePoints> {
    let schema = source.schema();
    let index = schema.index_of(column).map_err(|_| Error::ColumnNotFound {
        column: column.to_owned(),
        available: schema.fields().iter().map(|field| field.name().clone()).collect(),
    })?;
    let mut found = ChangePoints::new(column);
    let mut last = Signal::None;
    for (place, partition) in source.partitions()?.iter().enumerate() {
        let mut first = partition.first_row;
        for batch in source.read(place, Some(&[index]), Scan::BATCH_SIZE)? {
            let batch = batch?;
            let Some(array) = batch.columns().first() else {
                return Err(Error::invalid("a batch", "one column", 0));
            };
            let values = to_numbers(column, array)?;
            found
                .take_in(detector, &mut last, (&partition.origin, first), &values)
                .map_err(|e| e.within(partition.origin.as_str()))?;
            first = first.saturating_add(values.len() as u64);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};
    use mlops_core::{MemorySource, batch};

    use super::*;
    use crate::stream::{Ddm, DdmOptions, PageHinkley, PageHinkleyOptions};

    #[test]
    fn a_column_of_a_source_is_read_in_order() {
        let rows = MemorySource::PARTITION_ROWS as u64 + 1017;
        let change = rows - 1000;
        let error = |i: u64| {
            let every = if i < change { 20 } else { 2 };
            (i % 5 != 3).then(|| i32::from(i.is_multiple_of(every)))
        };
        let source = MemorySource::from(
            batch! { "id" => Int32Array::from_iter_values(0..rows as i32),
            "error" => (0..rows).map(error).collect::<Int32Array>() }
            .unwrap(),
        );
        let mut detector = PageHinkley::new(PageHinkleyOptions::default()).unwrap();
        let found = change_points(&mut detector, &source, "error").unwrap();
        let nulls = (0..rows).filter(|i| error(*i).is_none()).count() as u64;
        assert_eq!((found.rows, found.nulls, detector.seen()), (rows, nulls, rows - nulls));

        let whole: Float64Array = (0..rows).map(|i| error(i).map(f64::from)).collect();
        let mut again = PageHinkley::new(PageHinkleyOptions::default()).unwrap();
        let same = change_points_in(&mut again, "error", &whole).unwrap();
        let rows = |found: &ChangePoints| found.drifts().map(|r| r.row).collect::<Vec<_>>();
        assert!(rows(&found).iter().any(|row| *row >= change), "{found}");
        assert_eq!(rows(&found), rows(&same));
        assert_eq!(found.changes[0].row.origin, "memory");
    }

    #[test]
    fn what_the_detector_does_not_take_names_the_row() {
        let source = MemorySource::from(
            batch! { "x" => Float64Array::from(vec![Some(0.0), None, Some(f64::NAN)]),
            "name" => StringArray::from(vec!["a", "b", "c"]) }
            .unwrap(),
        );
        let mut detector = Ddm::new(DdmOptions::default()).unwrap();
        let mut said =
            |column: &str| change_points(&mut detector, &source, column).unwrap_err().to_string();
        assert!(
            said("x").contains("column `x`, row 2: expected 0 or 1, found NaN"),
            "{}",
            said("x")
        );
        assert!(said("name").contains("column `name`"));
        assert!(said("y").contains("`y` is not there"));
    }
}
