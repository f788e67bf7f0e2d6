//! What the footer of a Parquet file says of a column, where it can be relied upon.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, make_comparator};
use arrow::compute::{SortOptions, concat};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type};
use mlops_core::{ColumnStatistics, Limit};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{ColumnOrder, SortOrder, Type};
use parquet::file::metadata::RowGroupMetaData;

/// A column over some row groups; `None` where nothing is known of it.
///
/// Not known are columns that are nested, whose leaves count other nulls; bounds in an order that
/// the format leaves open (96-bit timestamps, intervals) or that old writers got wrong (the
/// bounds without a declared order, but for signed integers); and bounds of some row groups where
/// another has none.
pub(crate) fn column(
    metadata: &ArrowReaderMetadata,
    root: usize,
    field: &Field,
    groups: &[usize],
) -> Option<ColumnStatistics> {
    let schema = metadata.parquet_schema();
    // A root with one leaf that is the root itself, and not repeated.
    let root_of =
        |leaf: usize| (leaf < schema.num_columns()).then(|| schema.get_column_root_idx(leaf));
    // Leaves stand in the order of their roots.
    let (mut leaf, mut end) = (0, schema.num_columns());
    while leaf < end {
        let middle = leaf.midpoint(end);
        if root_of(middle).is_some_and(|at| at < root) {
            leaf = middle + 1;
        } else {
            end = middle;
        }
    }
    if root_of(leaf) != Some(root) || root_of(leaf + 1) == Some(root) {
        return None;
    }
    let described = schema.column(leaf);
    if described.path().parts().len() != 1 || described.max_rep_level() > 0 {
        return None;
    }
    let all = metadata.metadata().row_groups();
    let groups: Vec<&RowGroupMetaData> =
        groups.iter().map(|&group| all.get(group)).collect::<Option<_>>()?;
    let nulls_of = |group: &RowGroupMetaData| -> Option<u64> {
        if described.max_def_level() == 0 {
            return Some(0);
        }
        let nulls = group.column(leaf).statistics()?.null_count_opt()?;
        (i64::try_from(nulls).ok()? <= group.num_rows()).then_some(nulls)
    };
    let nulls: Option<Vec<u64>> = groups.iter().map(|group| nulls_of(group)).collect();
    let total = nulls.as_ref().and_then(|n| n.iter().try_fold(0u64, |a, &b| a.checked_add(b)));
    let known = ColumnStatistics::new(total);
    // Groups with values; the others bound nothing.
    let groups: Vec<&RowGroupMetaData> = match &nulls {
        None => groups,
        Some(nulls) => groups
            .into_iter()
            .zip(nulls)
            .filter(|(group, nulls)| u64::try_from(group.num_rows()).is_ok_and(|n| n > **nulls))
            .map(|(group, _)| group)
            .collect(),
    };
    let order = metadata.metadata().file_metadata().column_order(leaf);
    let Some((min, max)) = bounds(metadata, leaf, field, &groups, order) else {
        return Some(known);
    };
    Some(known.between(min, max))
}

fn bounds(
    metadata: &ArrowReaderMetadata,
    leaf: usize,
    field: &Field,
    groups: &[&RowGroupMetaData],
    order: ColumnOrder,
) -> Option<(Option<Limit>, Option<Limit>)> {
    let schema = metadata.parquet_schema();
    let value_type = match field.data_type() {
        DataType::Dictionary(_, value) => value,
        other => other,
    };
    let physical = schema.column(leaf).physical_type();
    let signed = matches!(
        value_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
    ) && matches!(physical, Type::INT32 | Type::INT64);
    let defined = match order {
        ColumnOrder::TYPE_DEFINED_ORDER(order) => order != SortOrder::UNDEFINED,
        _ => false,
    };
    for group in groups {
        let stated = group.column(leaf).statistics()?;
        // Signed integers are the one order that everybody always had.
        if !signed && (!defined || stated.is_min_max_deprecated()) {
            return None;
        }
    }
    let converter = StatisticsConverter::from_column_index(leaf, field, schema).ok()?;
    let mins = converter.row_group_mins(groups.iter().copied()).ok()?;
    let maxes = converter.row_group_maxes(groups.iter().copied()).ok()?;
    let exact = |least: bool| {
        groups.iter().all(|group| {
            group.column(leaf).statistics().is_some_and(|stated| {
                if least { stated.min_is_exact() } else { stated.max_is_exact() }
            })
        })
    };
    let min = extreme(&mins, value_type, Ordering::Less).map(|v| (v, exact(true)));
    let max = extreme(&maxes, value_type, Ordering::Greater).map(|v| (v, exact(false)));
    if let (Some((min, _)), Some((max, _))) = (&min, &max) {
        // Bounds that are no bounds.
        let both = concat(&[min, max]).ok()?;
        if make_comparator(&both, &both, SortOptions::default()).ok()?(0, 1).is_gt() {
            return None;
        }
    }
    Some((
        min.and_then(|(value, exact)| limit(&value, exact, -0.0)),
        max.and_then(|(value, exact)| limit(&value, exact, 0.0)),
    ))
}

/// The least or the greatest of bounds that are all known.
fn extreme(bounds: &ArrayRef, expected: &DataType, wanted: Ordering) -> Option<ArrayRef> {
    if bounds.is_empty() || bounds.null_count() > 0 || bounds.data_type() != expected {
        return None;
    }
    // Writers should leave NaN out; one that did not knows no bound.
    for i in 0..bounds.len() {
        let is_nan = match bounds.data_type() {
            DataType::Float16 => bounds.as_primitive::<Float16Type>().value(i).is_nan(),
            DataType::Float32 => bounds.as_primitive::<Float32Type>().value(i).is_nan(),
            DataType::Float64 => bounds.as_primitive::<Float64Type>().value(i).is_nan(),
            _ => false,
        };
        if is_nan {
            return None;
        }
    }
    let compare = make_comparator(bounds, bounds, SortOptions::default()).ok()?;
    let best =
        (0..bounds.len()).reduce(|best, i| if compare(i, best) == wanted { i } else { best })?;
    Some(bounds.slice(best, 1))
}

/// A bound; one that is a zero of floats has the sign that is farther out, since writers need not
/// tell them apart, and is then not known to be a row's.
fn limit(value: &ArrayRef, exact: bool, zero: f64) -> Option<Limit> {
    let zeroed: Option<ArrayRef> = match value.data_type() {
        DataType::Float64 if value.as_primitive::<Float64Type>().value(0) == 0.0 => {
            Some(std::sync::Arc::new(arrow::array::Float64Array::from(vec![zero])))
        }
        DataType::Float32 if value.as_primitive::<Float32Type>().value(0) == 0.0 => {
            Some(std::sync::Arc::new(arrow::array::Float32Array::from(vec![zero as f32])))
        }
        // Rare, and not worth a type of its own.
        DataType::Float16 => return None,
        _ => None,
    };
    match zeroed {
        Some(zero) => Limit::new(&zero, false),
        None => Limit::new(value, exact),
    }
}
