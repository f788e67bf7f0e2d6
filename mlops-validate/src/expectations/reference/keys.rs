//! The rows of some columns of a source, to be looked up.

use std::collections::HashSet;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::row::{RowConverter, Rows, SortField};
use mlops_core::{DataSource, Error, Result, Scan};

use crate::values::value_type;

/// The type as which two columns compare, `None` where they don't: integers with integers and
/// floats, decimals with decimals and integers, texts of any layout, and equal types.
pub(super) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    let (a, b) = (value_type(a), value_type(b));
    let text = |t: &DataType| matches!(t, T::Utf8 | T::LargeUtf8 | T::Utf8View);
    let decimal = |t: &DataType| match t {
        T::Decimal32(_, s) | T::Decimal64(_, s) | T::Decimal128(_, s) => Some(*s),
        other if other.is_integer() => Some(0),
        _ => None,
    };
    Some(match (a, b) {
        (a, b) if text(a) && text(b) => T::LargeUtf8,
        (a, b) if a.is_integer() && b.is_integer() => {
            match (a.is_unsigned_integer(), b.is_unsigned_integer()) {
                (true, true) => T::UInt64,
                _ if *a == T::UInt64 || *b == T::UInt64 => T::Decimal128(20, 0),
                _ => T::Int64,
            }
        }
        (a, b) if a.is_numeric() && b.is_numeric() => match (decimal(a), decimal(b)) {
            (Some(a), Some(b)) => T::Decimal128(38, a.max(b)),
            _ => T::Float64,
        },
        (a, b) if a == b && !a.is_nested() => a.clone(),
        _ => return None,
    })
}

/// The rows of these columns, in a form in which equal rows have equal bytes.
pub(super) fn rows_of<'a>(
    find: impl Fn(&str) -> Result<&'a ArrayRef>,
    columns: &[String],
    types: &[DataType],
) -> Result<(Vec<ArrayRef>, Rows)> {
    let mut arrays = Vec::with_capacity(columns.len());
    for (column, data_type) in columns.iter().zip(types) {
        let mut array = cast(find(column)?, data_type)?;
        if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
            // −0 is 0, and all NaN are one.
            let one = |x: f64| if x.is_nan() { f64::NAN } else { x + 0.0 };
            array = std::sync::Arc::new(floats.unary::<_, Float64Type>(one));
        }
        arrays.push(array);
    }
    let converter = RowConverter::new(types.iter().cloned().map(SortField::new).collect())?;
    let rows = converter.convert_columns(&arrays)?;
    Ok((arrays, rows))
}

fn missing(column: &str, schema: &Schema) -> Error {
    let available = schema.fields().iter().map(|f| f.name().clone()).collect();
    Error::ColumnNotFound { column: column.into(), available }
}

/// All different rows of these columns of a source.
#[derive(Debug)]
pub(super) struct KeySet(HashSet<Box<[u8]>>);

impl KeySet {
    pub(super) fn read(
        source: &dyn DataSource,
        columns: &[String],
        types: &[DataType],
    ) -> Result<Self> {
        let schema = source.schema();
        let places: Vec<_> =
            columns.iter().map(|c| schema.index_of(c)).collect::<Result<_, _>>()?;
        let mut keys = HashSet::new();
        for partition in 0..source.partitions()?.len() {
            for batch in source.read(partition, Some(&places), Scan::BATCH_SIZE)? {
                let batch = batch?;
                let find = |column: &str| {
                    batch.column_by_name(column).ok_or_else(|| missing(column, &schema))
                };
                let (_, rows) = rows_of(find, columns, types)?;
                for row in &rows {
                    if !keys.contains(row.as_ref()) {
                        keys.insert(row.as_ref().into());
                    }
                }
            }
        }
        Ok(Self(keys))
    }

    pub(super) fn contains(&self, row: &[u8]) -> bool {
        self.0.contains(row)
    }
}
