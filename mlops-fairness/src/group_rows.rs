//! The rows of groups, for metrics that no counts can give.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use mlops_core::{DataSource, Error, Names, Result, Rows, Scan};
use rayon::prelude::*;

use crate::codes::Label;
use crate::groups::group;
use crate::tally::Places;
use crate::{Group, GroupCell, Groups, MetricFrame, Undefined};

/// The rows of a group: what a metric is a function of that no counts can give.
///
/// Everything else of this crate keeps counts, and no row; this keeps the rows that it is asked
/// for, in memory. The frame is like any other: values by group, differences, ratios, extremes,
/// cells of control features.
///
/// ```
/// use mlops_core::arrow::array::{AsArray, Float64Array, StringArray};
/// use mlops_core::arrow::datatypes::Float64Type;
/// use mlops_core::{MemorySource, batch};
/// use mlops_fairness::{GroupRows, Groups, Method, Undefined, Value};
///
/// let people = MemorySource::from(batch! {
///     "sex" => StringArray::from(vec!["F", "M", "F", "M", "F"]),
///     "wage" => Float64Array::from(vec![10.0, 30.0, 20.0, 50.0, 90.0]),
/// }?);
/// let frame = GroupRows::of(&people, &Groups::by(["sex"]), ["wage"])?;
/// let median = ("median wage", |rows: &GroupRows| -> Value {
///     let rows = rows.batch()?;
///     let mut wages = rows.column(0).as_primitive::<Float64Type>().values().to_vec();
///     wages.sort_by(f64::total_cmp);
///     wages.get(wages.len() / 2).copied().ok_or_else(|| Undefined::new("no rows"))
/// });
/// assert_eq!(frame.difference(median, Method::BetweenGroups), Ok(30.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupRows {
    batches: Vec<RecordBatch>,
}

impl GroupRows {
    /// The rows of a source by group, of these columns, in this order. Each group has its rows in
    /// the order of the source; everyone is the groups one after the other.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::Invalid`] for more than [`Groups::MAX`] groups and for
    /// bins that are none; those of the source.
    pub fn of<S: Into<String>>(
        source: &dyn DataSource,
        groups: &Groups,
        columns: impl IntoIterator<Item = S>,
    ) -> Result<MetricFrame<Self>> {
        let schema = source.schema();
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let mut read: Vec<usize> = Vec::new();
        for column in columns.iter().chain(groups.columns()) {
            read.push(schema.index_of(column).map_err(|_| Error::ColumnNotFound {
                column: column.clone(),
                available: schema.fields().iter().map(|field| field.name().clone()).collect(),
            })?);
        }
        read.sort_unstable();
        read.dedup();
        let whole = schema.clone();
        let parts: Vec<Vec<(Group, RecordBatch)>> = (0..source.partitions()?.len())
            .into_par_iter()
            .map(|partition| {
                let mut found = Vec::new();
                for batch in source.read(partition, Some(&read), Scan::BATCH_SIZE)? {
                    let batch = batch?;
                    let names = Names::projected(batch.schema_ref(), &whole);
                    split(&Rows::of(&batch, names, "", 0), groups, &columns, &mut found)?;
                }
                Ok(found)
            })
            .collect::<Result<_>>()?;
        let mut cells: BTreeMap<Group, Self> = BTreeMap::new();
        for (group, batch) in parts.into_iter().flatten() {
            cells.entry(group).or_default().batches.push(batch);
            if cells.len() > Groups::MAX {
                return Err(groups.too_many());
            }
        }
        Ok(groups.frame(cells))
    }

    /// The rows as they were read.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The rows in one batch.
    ///
    /// # Errors
    /// [`Undefined`] without rows.
    pub fn batch(&self) -> Result<RecordBatch, Undefined> {
        let first = self.batches.first().ok_or_else(|| Undefined::new("no rows"))?;
        concat_batches(first.schema_ref(), &self.batches)
            .map_err(|error| Undefined::new(error.to_string()))
    }
}

/// The rows of a batch by group.
fn split(
    rows: &Rows<'_>,
    groups: &Groups,
    columns: &[String],
    found: &mut Vec<(Group, RecordBatch)>,
) -> Result<()> {
    let codes = groups.codes(rows)?;
    let codes: Vec<_> = codes.iter().map(|codes| &**codes).collect();
    // A number in a mixed radix, the first column highest.
    let mut parts: Vec<Vec<u128>> = vec![Vec::new(); codes.len()];
    let mut radix = 1_u128;
    for (column, parts) in codes.iter().zip(&mut parts).rev() {
        *parts = (0..column.labels.len() as u128).map(|code| code * radix).collect();
        let labels = column.labels.len().max(1) as u128;
        radix = radix.checked_mul(labels).ok_or_else(|| groups.too_many())?;
    }
    let batch = rows.batch()?;
    let places = columns
        .iter()
        .map(|column| Ok(batch.schema_ref().index_of(column)?))
        .collect::<Result<Vec<_>>>()?;
    let batch = batch.project(&places)?;
    let numbers: Vec<u32> = (0..rows.len() as u32).collect();
    let mut error = None;
    Places::of(&codes, &parts, rows.len()).group(&numbers, |key, numbers| {
        let mut left = key;
        let mut labels: Vec<Label> = Vec::with_capacity(codes.len());
        for column in codes.iter().rev() {
            let n = column.labels.len().max(1) as u128;
            labels.push(column.labels.get((left % n) as usize).cloned().flatten());
            left /= n;
        }
        labels.reverse();
        match take_record_batch(&batch, &UInt32Array::from(numbers.to_vec())) {
            Ok(rows) => found.push((group(&labels), rows)),
            Err(e) => error = Some(e),
        }
    });
    error.map_or(Ok(()), |error| Err(error.into()))
}

impl GroupCell for GroupRows {
    fn add(&mut self, other: &Self) {
        self.batches.extend_from_slice(&other.batches);
    }

    fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{AsArray, Float64Array, Int64Array, StringArray};
    use mlops_core::arrow::datatypes::Int64Type;
    use mlops_core::{MemorySource, batch};

    use super::*;
    use crate::{Method, Value};

    fn people(n: i64) -> RecordBatch {
        batch! {
            "sex" => (0..n).map(|i| (i % 7 != 3).then(|| ["F", "M"][(i % 2) as usize])).collect::<StringArray>(),
            "age" => Float64Array::from_iter_values((0..n).map(|i| (i % 90) as f64)),
            "id" => Int64Array::from_iter_values(0..n),
        }
        .unwrap()
    }

    fn ids(rows: &GroupRows) -> Vec<i64> {
        let ids = rows.batches().iter().flat_map(|b| b["id"].as_primitive::<Int64Type>().values());
        ids.copied().collect()
    }

    #[test]
    fn every_row_is_in_its_group_in_its_order() {
        let n = 40_000;
        let groups = Groups::by(["sex", "age"]);
        let groups = Groups { bins: [("age".to_owned(), vec![30.0, 60.0])].into(), ..groups };
        let all = people(n);
        let whole = GroupRows::of(&MemorySource::from(all.clone()), &groups, ["id"]).unwrap();
        assert_eq!(whole.groups().len(), 9);
        for (group, rows) in whole.groups() {
            let expected: Vec<i64> = (0..n)
                .filter(|i| {
                    let sex = (i % 7 != 3).then(|| ["F", "M"][(i % 2) as usize].to_owned());
                    let age = ["< 30", "[30, 60)", "≥ 60"][((i % 90) / 30) as usize];
                    group.values == [sex, Some(age.to_owned())]
                })
                .collect();
            assert_eq!(ids(rows), expected, "{group}");
        }
        // In parts it is the same, batch by batch.
        let parts = vec![all.slice(0, 17), all.slice(17, 0), all.slice(17, n as usize - 17)];
        let parts = MemorySource::new(all.schema(), parts).unwrap();
        let parts = GroupRows::of(&parts, &groups, ["id"]).unwrap();
        for ((a, one), (b, other)) in whole.groups().zip(parts.groups()) {
            assert_eq!((a, one.batch().unwrap()), (b, other.batch().unwrap()));
        }
        assert_eq!(whole.total().rows(), n as u64);
        let dropped = whole.without_nulls();
        assert_eq!((dropped.groups().len(), dropped.total().rows()), (6, n as u64));
    }

    #[test]
    fn nothing_is_undefined_and_what_is_missing_is_named() {
        let mean = |rows: &GroupRows| -> Value {
            let ids = ids(rows);
            let n = ids.len() as f64;
            if ids.is_empty() {
                Err(Undefined::new("no rows"))
            } else {
                Ok(ids.iter().sum::<i64>() as f64 / n)
            }
        };
        let none = MemorySource::from(people(0));
        let frame = GroupRows::of(&none, &Groups::by(["sex"]), ["id"]).unwrap();
        assert!(frame.difference(mean, Method::BetweenGroups).is_err());
        assert!(frame.total().batch().is_err());
        for (features, column) in [("sex", "z"), ("z", "id")] {
            let error = GroupRows::of(&none, &Groups::by([features]), [column]).unwrap_err();
            assert!(matches!(error, Error::ColumnNotFound { .. }));
        }
        let some = MemorySource::from(people(11));
        let frame = GroupRows::of(&some, &Groups::by(Vec::<String>::new()), ["id", "sex"]).unwrap();
        assert_eq!(frame.value(mean), Ok(5.0));
        let ids = Groups::by(["id"]);
        let many = MemorySource::from(people(10_001));
        assert!(GroupRows::of(&many, &ids, ["sex"]).is_err());
    }
}
