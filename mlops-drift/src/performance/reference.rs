//! Reading what a fit needs.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use mlops_core::{DataSource, Error, Names, Result, Rows, Scan, is_numeric};

/// Shows these columns of every batch, in the order of the rows.
pub(super) fn each_batch(
    source: &dyn DataSource,
    columns: &[String],
    mut each: impl FnMut(&Rows<'_>) -> Result<()>,
) -> Result<()> {
    let schema = source.schema();
    let mut projection = Vec::new();
    for column in columns {
        let index = schema.index_of(column).map_err(|_| Error::ColumnNotFound {
            column: column.clone(),
            available: schema.fields().iter().map(|f| f.name().clone()).collect(),
        })?;
        projection.push(index);
    }
    projection.sort_unstable();
    projection.dedup();
    for (index, partition) in source.partitions()?.iter().enumerate() {
        let mut first_row = partition.first_row;
        for batch in source.read(index, Some(&projection), Scan::BATCH_SIZE)? {
            let batch = batch?;
            let names = Names::of(batch.schema_ref());
            each(&Rows::of(&batch, names, &partition.origin, first_row))?;
            first_row = first_row.saturating_add(batch.num_rows() as u64);
        }
    }
    Ok(())
}

/// Whether each row has this label; `None` where it has none (null, NaN). Numbers are compared as
/// numbers, booleans with `true` and `false` or 1 and 0, all else as text.
pub(super) fn is_positive(
    rows: &Rows<'_>,
    column: &str,
    positive: &str,
) -> Result<Vec<Option<bool>>> {
    let array = rows.column(column)?;
    let unfit = |expected: &str| {
        Error::invalid(
            format!("the positive label of `{column}`"),
            expected,
            format!("`{positive}`"),
        )
    };
    if array.data_type() == &DataType::Boolean {
        let wanted = match positive {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(unfit("`true` or `false`")),
        };
        return Ok(array.as_boolean().iter().map(|v| v.map(|v| v == wanted)).collect());
    }
    let plain = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    };
    if is_numeric(plain) && plain != &DataType::Boolean {
        let wanted: f64 = positive.parse().map_err(|_| unfit("a number"))?;
        if wanted.is_nan() {
            return Err(unfit("a number"));
        }
        let numbers = rows.numbers(column)?;
        return Ok(numbers
            .iter()
            .map(|v| v.filter(|v| !v.is_nan()).map(|v| v == wanted))
            .collect());
    }
    let categories = rows.categories(column)?;
    let labels = categories.labels();
    let wanted: Vec<bool> = (0..labels.len()).map(|i| labels.value(i) == positive).collect();
    Ok(categories.codes().iter().map(|code| code.map(|code| wanted[code as usize])).collect())
}

/// The first few labels of a column in their order, as an error shows them.
pub(super) fn labels(source: &dyn DataSource, column: &str) -> Result<String> {
    const SHOWN: usize = 5;
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut more = false;
    each_batch(source, &[column.to_owned()], |rows| {
        // Numbers as numbers: `is_positive` compares them so.
        let mut add = |label: String| {
            found.insert(label);
            if found.len() > SHOWN {
                found.pop_last();
                more = true;
            }
        };
        let array = rows.column(column)?;
        if array.data_type() == &DataType::Boolean {
            array.as_boolean().iter().flatten().for_each(|label| add(label.to_string()));
        } else if let Ok(numbers) = rows.numbers(column) {
            numbers.iter().flatten().for_each(|x| add((x + 0.0).to_string()));
        } else {
            let categories = rows.categories(column)?;
            let occur: BTreeSet<u32> = categories.codes().iter().flatten().collect();
            for code in occur {
                add(categories.labels().value(code as usize).to_owned());
            }
        }
        Ok(())
    })?;
    let mut shown: Vec<String> = found.into_iter().map(|label| format!("`{label}`")).collect();
    if more {
        shown.push("…".to_owned());
    }
    Ok(shown.join(", "))
}
