//! Helpers for a team's own `#[test]`s of data, models and transforms: two lines each.
//!
//! The functions that begin with `assert_` **panic** where what they assert does not hold, with a
//! message that says what was expected and what was found, as assertions do; what can't be asked at
//! all (a column that is not there) is a panic, too. For code that is no test there are their
//! siblings that begin with `check_` and return a `Result`.
//!
//! ```
//! use mlops_core::arrow::array::Float64Array;
//! use mlops_core::model::LinearModel;
//! use mlops_core::{MemorySource, batch};
//! use mlops_validate::Metric;
//! use mlops_validate::testing::*;
//!
//! let model = LinearModel::regression(["area"], [2.0], 10.0)?;
//! let flats = batch! {
//!     "area" => Float64Array::from_iter_values((0..200).map(f64::from)),
//!     "price" => Float64Array::from_iter_values((0..200).map(|i| f64::from(2 * i + i % 21))),
//! }?;
//! assert_quality(&model, &flats, "price", at_most(Metric::Mae, 8.0));
//! assert_schema(&MemorySource::from(flats.clone()), &flats.schema());
//! let doubled = |rows: &mlops_core::arrow::array::RecordBatch| {
//!     let twice = mlops_core::to_numbers("area", rows.column(0))?.unary::<_, mlops_core::arrow::datatypes::Float64Type>(|x| 2.0 * x);
//!     batch! { "area" => twice }
//! };
//! assert_row_wise(&flats, doubled);
//! assert_handles_nulls(&flats, ["area"], doubled);
//! # Ok::<(), mlops_core::Error>(())
//! ```

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use mlops_core::{Assessment, DataSource, Error, Model, Result};

use crate::gates::{Bound, Metric, Perturbation, QualityGate, Target};

/// A metric with what it must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    metric: Metric,
    bound: Bound,
}

/// At least so much of a metric.
pub fn at_least(metric: Metric, bound: f64) -> Quality {
    Quality { metric, bound: Bound::AtLeast(bound) }
}

/// At most so much of a metric, as of a loss or an error.
pub fn at_most(metric: Metric, bound: f64) -> Quality {
    Quality { metric, bound: Bound::AtMost(bound) }
}

/// Asserts that a model is good enough on rows with labels, at the 95 % limit: too few rows are
/// not enough. Of two classes the last is the positive one; see [`Target`] for other models.
///
/// # Panics
/// Where it is not, or can't be asked.
#[track_caller]
pub fn assert_quality(model: &dyn Model, data: &RecordBatch, label: &str, wanted: Quality) {
    fine(check_quality(model, data, &Target::new(label), wanted).map(drop));
}

/// As [`assert_quality`], with the target described.
///
/// # Errors
/// [`Error::Blocked`] where the quality is not shown; those of
/// [`QualityGate::judge_model`].
pub fn check_quality(
    model: &dyn Model,
    data: &RecordBatch,
    target: &Target,
    wanted: Quality,
) -> Result<Assessment> {
    QualityGate::new("quality")
        .bound(wanted.metric, wanted.bound)
        .judge_model(model, data, target)?
        .require_pass()
}

/// Asserts that a source has exactly these columns, in this order, with these types. Whether a
/// column may hold nulls counts where `expected` says that it may not.
///
/// # Panics
/// Where it has others, with every difference.
#[track_caller]
pub fn assert_schema(source: &dyn DataSource, expected: &Schema) {
    fine(check_schema(&source.schema(), expected));
}

/// As [`assert_schema`], of a schema.
///
/// # Errors
/// [`Error::Blocked`] with every difference.
///
/// ```
/// use mlops_core::arrow::datatypes::{DataType, Field, Schema};
/// use mlops_validate::testing::check_schema;
/// let schema = |of: &[(&str, DataType)]| {
///     Schema::new(of.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>())
/// };
/// let expected = schema(&[("id", DataType::Int64), ("age", DataType::Float64)]);
/// let found = schema(&[("age", DataType::Utf8), ("note", DataType::Utf8)]);
/// assert_eq!(
///     check_schema(&found, &expected).unwrap_err().to_string(),
///     "the schema is blocked: column `id` is missing; column `age` is Utf8, expected Float64; \
///      column `note` is not expected"
/// );
/// ```
pub fn check_schema(found: &Schema, expected: &Schema) -> Result<()> {
    let mut reasons = Vec::new();
    for field in expected.fields() {
        let name = field.name();
        match found.field_with_name(name) {
            Err(_) => reasons.push(format!("column `{name}` is missing")),
            Ok(other) if other.data_type() != field.data_type() => reasons.push(format!(
                "column `{name}` is {}, expected {}",
                other.data_type(),
                field.data_type()
            )),
            Ok(other) if other.is_nullable() && !field.is_nullable() => {
                reasons.push(format!("column `{name}` may hold nulls, expected none"));
            }
            Ok(_) => {}
        }
    }
    for field in found.fields() {
        if expected.field_with_name(field.name()).is_err() {
            reasons.push(format!("column `{}` is not expected", field.name()));
        }
    }
    let names = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    if reasons.is_empty() && names(found) != names(expected) {
        reasons.push(format!(
            "the columns come as {}, expected {}",
            names(found).join(", "),
            names(expected).join(", ")
        ));
    }
    blocked("the schema", reasons)
}

/// Asserts that a transform looks at each row by itself: that of a slice is the slice of that of
/// the whole, for one row as for all, bit by bit. A service that transforms one record then gets
/// what training had.
///
/// # Panics
/// Where it does not, with the column and row.
#[track_caller]
pub fn assert_row_wise(
    data: &RecordBatch,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) {
    fine(check_row_wise(data, transform));
}

/// As [`assert_row_wise`].
///
/// # Errors
/// [`Error::Blocked`] where a slice differs or has another number of rows; those of the transform.
pub fn check_row_wise(
    data: &RecordBatch,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) -> Result<()> {
    let what = "the transform of each row by itself";
    let n = data.num_rows();
    if n < 2 {
        return Err(Error::invalid(what, "two rows at least to test it with", n));
    }
    let whole = transform(data)?;
    if whole.num_rows() != n {
        let found = format!("{n} rows became {}", whole.num_rows());
        return blocked(what, vec![found]);
    }
    for size in [1, 2, 7, n.div_ceil(2)] {
        // Of single rows no more than a few hundred.
        let step = size.max(n.div_ceil(256));
        for at in (0..n).step_by(step) {
            let size = size.min(n - at);
            let part = transform(&data.slice(at, size))
                .map_err(|error| error.within(format!("{size} rows from {at} on")))?;
            let label = format!("{size} rows from row {at} on");
            same(what, &label, &part, &whole.slice(at, size), at)?;
        }
    }
    let none = transform(&data.slice(0, 0)).map_err(|error| error.within("no rows"))?;
    same(what, "no rows", &none, &whole.slice(0, 0), 0)
}

/// Asserts that transforming twice is transforming once, as of a cleaning step.
///
/// # Panics
/// Where it is not, with the column and row.
#[track_caller]
pub fn assert_idempotent(
    data: &RecordBatch,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) {
    fine(check_idempotent(data, transform));
}

/// As [`assert_idempotent`].
///
/// # Errors
/// [`Error::Blocked`] where the second time changes something; those of the transform.
pub fn check_idempotent(
    data: &RecordBatch,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) -> Result<()> {
    let once = transform(data)?;
    let twice = transform(&once).map_err(|error| error.within("the second time"))?;
    same("the transform of what is transformed", "the second time", &twice, &once, 0)
}

/// Asserts that a transform gives these columns, on all rows, on one, on none, and where a column
/// has no values: the model's input keeps its shape.
///
/// # Panics
/// Where it gives others.
#[track_caller]
pub fn assert_same_columns(
    data: &RecordBatch,
    expected: &Schema,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) {
    fine(check_same_columns(data, expected, transform));
}

/// As [`assert_same_columns`].
///
/// # Errors
/// [`Error::Blocked`] with every difference; those of the transform.
pub fn check_same_columns(
    data: &RecordBatch,
    expected: &Schema,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) -> Result<()> {
    for rows in [data.num_rows(), 1, 0] {
        let part = transform(&data.slice(0, rows.min(data.num_rows())))
            .map_err(|error| error.within(format!("{rows} rows")))?;
        check_schema(&part.schema(), expected)
            .map_err(|error| error.within(format!("{rows} rows")))?;
    }
    Ok(())
}

/// Asserts that a transform takes nulls: with each of these columns empty in every second row, and
/// in every row, it gives as many rows and the same columns as ever.
///
/// # Panics
/// Where it fails, or loses rows or columns.
#[track_caller]
pub fn assert_handles_nulls<S: AsRef<str>>(
    data: &RecordBatch,
    columns: impl IntoIterator<Item = S>,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) {
    fine(check_handles_nulls(data, columns, transform));
}

/// As [`assert_handles_nulls`].
///
/// # Errors
/// [`Error::Blocked`] where rows or columns are lost; those of the transform, with the column.
pub fn check_handles_nulls<S: AsRef<str>>(
    data: &RecordBatch,
    columns: impl IntoIterator<Item = S>,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) -> Result<()> {
    let expected = transform(data)?.schema();
    for column in columns {
        let column = column.as_ref();
        let all = Perturbation::missing(column).apply(data)?;
        // Every second row as it was.
        let schema = all.schema();
        let rows: Vec<_> = (0..data.num_rows())
            .map(|row| {
                let of = if row % 2 == 0 { data } else { &all };
                Ok(RecordBatch::try_new(schema.clone(), of.slice(row, 1).columns().to_vec())?)
            })
            .collect::<Result<_>>()?;
        let some = concat_batches(&schema, &rows)?;
        for (input, how) in [(all, "all"), (some, "half")] {
            let context = format!("column `{column}` with nulls in {how} of its rows");
            keeps(&transform, &input, &expected, &context)?;
        }
    }
    Ok(())
}

/// Asserts that a transform takes a value that its training data did not have.
///
/// # Panics
/// Where it fails, or loses rows or columns.
#[track_caller]
pub fn assert_handles_unseen(
    data: &RecordBatch,
    column: &str,
    value: &str,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) {
    fine(check_handles_unseen(data, column, value, transform));
}

/// As [`assert_handles_unseen`].
///
/// # Errors
/// [`Error::Blocked`] where rows or columns are lost; those of the transform;
/// [`Error::Invalid`] for a value that the column can't hold.
pub fn check_handles_unseen(
    data: &RecordBatch,
    column: &str,
    value: &str,
    transform: impl Fn(&RecordBatch) -> Result<RecordBatch>,
) -> Result<()> {
    let expected = transform(data)?.schema();
    let unseen = Perturbation::set(column, value).apply(data)?;
    keeps(&transform, &unseen, &expected, &format!("column `{column}` with `{value}`"))
}

/// Training and test rows, as they go into a pipeline and come out.
#[derive(Clone, Debug)]
pub struct Split {
    /// The rows that are fitted on.
    pub train: RecordBatch,
    /// The rows that are not.
    pub test: RecordBatch,
}

/// Asserts that a pipeline does not fit on test rows: with other test rows (half of them, and the
/// same with the training rows behind them) it does the same to the training rows, and to those
/// test rows that stayed.
///
/// `pipeline` fits on what it should and transforms both.
///
/// # Panics
/// Where the test rows have an influence, with the column and row.
///
/// ```should_panic
/// use mlops_core::arrow::array::{AsArray, Float64Array};
/// use mlops_core::arrow::datatypes::Float64Type;
/// use mlops_core::batch;
/// use mlops_validate::testing::{Split, assert_not_fit_on_test};
///
/// let rows = |of: std::ops::Range<i32>| batch! { "x" => Float64Array::from_iter_values(of.map(f64::from)) };
/// let data = Split { train: rows(0..50)?, test: rows(50..90)? };
/// assert_not_fit_on_test(&data, |data| {
///     // The mean of both: the common slip.
///     let of = |batch: &mlops_core::arrow::array::RecordBatch| batch.column(0).as_primitive::<Float64Type>().clone();
///     let (train, test) = (of(&data.train), of(&data.test));
///     let n = (train.len() + test.len()) as f64;
///     let mean = train.values().iter().chain(test.values()).sum::<f64>() / n;
///     let less = |x: Float64Array| batch! { "x" => x.unary::<_, Float64Type>(|x| x - mean) };
///     Ok(Split { train: less(train)?, test: less(test)? })
/// });
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[track_caller]
pub fn assert_not_fit_on_test(data: &Split, pipeline: impl Fn(&Split) -> Result<Split>) {
    fine(check_not_fit_on_test(data, pipeline));
}

/// As [`assert_not_fit_on_test`].
///
/// # Errors
/// [`Error::Blocked`] where the test rows have an influence; those of the pipeline.
pub fn check_not_fit_on_test(
    data: &Split,
    pipeline: impl Fn(&Split) -> Result<Split>,
) -> Result<()> {
    let what = "a fit without the test rows";
    let n = data.test.num_rows();
    if n < 2 {
        return Err(Error::invalid(what, "two test rows at least to test it with", n));
    }
    let whole = pipeline(data)?;
    let half = data.test.slice(0, n / 2);
    let more = concat_batches(&half.schema(), [&half, &data.train])?;
    for (test, label) in [(half, "with half of the test rows"), (more, "with other test rows")] {
        let other = pipeline(&Split { train: data.train.clone(), test })
            .map_err(|error| error.within(label))?;
        same(what, &format!("train {label}"), &other.train, &whole.train, 0)?;
        let kept = (n / 2).min(whole.test.num_rows()).min(other.test.num_rows());
        let label = format!("test {label}");
        same(what, &label, &other.test.slice(0, kept), &whole.test.slice(0, kept), 0)?;
    }
    Ok(())
}

/// That a transform takes these rows, loses none, and gives the columns that it always gives.
fn keeps(
    transform: &impl Fn(&RecordBatch) -> Result<RecordBatch>,
    input: &RecordBatch,
    expected: &SchemaRef,
    context: &str,
) -> Result<()> {
    let output = transform(input).map_err(|error| error.within(context))?;
    check_schema(&output.schema(), expected).map_err(|error| error.within(context))?;
    if output.num_rows() == input.num_rows() {
        return Ok(());
    }
    let reason = format!("{} rows became {}", input.num_rows(), output.num_rows());
    blocked("the transform", vec![reason]).map_err(|error| error.within(context))
}

/// That two batches are equal, bit by bit.
fn same(
    what: &str,
    label: &str,
    found: &RecordBatch,
    expected: &RecordBatch,
    first_row: usize,
) -> Result<()> {
    check_schema(&found.schema(), &expected.schema()).map_err(|error| error.within(label))?;
    if found.num_rows() != expected.num_rows() {
        let reason =
            format!("{label}: {} rows, expected {}", found.num_rows(), expected.num_rows());
        return blocked(what, vec![reason]);
    }
    for (index, field) in expected.schema_ref().fields().iter().enumerate() {
        let (one, other) = (found.column(index), expected.column(index));
        if Arc::ptr_eq(one, other) || one.to_data() == other.to_data() {
            continue;
        }
        let differs = |row: &usize| one.slice(*row, 1).to_data() != other.slice(*row, 1).to_data();
        if let Some(row) = (0..one.len()).find(differs) {
            let show = |array: &dyn Array| {
                if array.is_null(row) {
                    Ok("null".to_owned())
                } else {
                    array_value_to_string(array, row)
                }
            };
            let reason = format!(
                "{label}: column `{}`, row {}: {}, expected {}",
                field.name(),
                first_row + row,
                show(one)?,
                show(other)?
            );
            return blocked(what, vec![reason]);
        }
    }
    Ok(())
}

fn blocked(what: &str, reasons: Vec<String>) -> Result<()> {
    if reasons.is_empty() { Ok(()) } else { Err(Error::Blocked { what: what.into(), reasons }) }
}

/// The panic of an assertion that does not hold.
#[track_caller]
fn fine(found: Result<()>) {
    if let Err(error) = found {
        panic!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Float64Array, StringArray};
    use arrow::compute::kernels::numeric::{mul, sub};
    use arrow::datatypes::Float64Type;
    use mlops_core::batch;
    use mlops_core::model::LinearModel;

    fn rows() -> RecordBatch {
        batch! {
            "x" => Float64Array::from_iter_values((0..40).map(|i| f64::from(i) / 3.0)),
            "s" => StringArray::from_iter_values((0..40).map(|i| ["a", "b"][i % 2])),
        }
        .unwrap()
    }

    fn x(batch: &RecordBatch) -> Float64Array {
        batch.column(0).as_primitive::<Float64Type>().clone()
    }

    fn doubled(batch: &RecordBatch) -> Result<RecordBatch> {
        let two = Float64Array::new_scalar(2.0);
        let column = mul(&x(batch), &two)?;
        Ok(RecordBatch::try_from_iter_with_nullable([("x", column, true)])?)
    }

    /// Less the mean of the batch: looks at other rows.
    fn centred(batch: &RecordBatch) -> Result<RecordBatch> {
        let mean = x(batch).iter().flatten().sum::<f64>() / batch.num_rows() as f64;
        let column = sub(&x(batch), &Float64Array::new_scalar(mean))?;
        Ok(RecordBatch::try_from_iter_with_nullable([("x", column, true)])?)
    }

    #[test]
    fn transforms_that_keep_their_word_and_that_do_not() {
        assert_row_wise(&rows(), doubled);
        let error = check_row_wise(&rows(), centred).unwrap_err().to_string();
        assert!(error.contains("column `x`, row 0: 0.0, expected -6.5"), "{error}");
        let error = check_row_wise(&rows(), |b| Ok(b.slice(0, b.num_rows() / 2))).unwrap_err();
        assert!(error.to_string().contains("40 rows became 20"), "{error}");
        let small = |b: &RecordBatch| {
            batch! { "x" => x(b).unary::<_, Float64Type>(|x| x.clamp(0.0, 5.0)) }
        };
        assert_idempotent(&rows(), small);
        assert!(check_idempotent(&rows(), doubled).is_err());
        assert_handles_nulls(&rows(), ["x", "s"], doubled);
        assert!(check_handles_nulls(&rows(), ["q"], doubled).is_err());
        let strict = |b: &RecordBatch| match x(b).null_count() {
            0 => doubled(b),
            nulls => Err(Error::invalid("x", "values", format!("{nulls} nulls"))),
        };
        let error = check_handles_nulls(&rows(), ["x"], strict).unwrap_err().to_string();
        assert!(error.contains("column `x` with nulls in all of its rows"), "{error}");
        assert_handles_unseen(&rows(), "s", "new", doubled);
        let known = |b: &RecordBatch| {
            let labels = mlops_core::Categories::of("s", b.column(1))?;
            let names: Vec<_> = labels.labels().iter().flatten().map(str::to_owned).collect();
            let columns = names.into_iter().map(|name| (name, b.column(0).clone(), true));
            Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
        };
        let error = check_handles_unseen(&rows(), "s", "new", known).unwrap_err().to_string();
        assert!(error.contains("column `new` is not expected"), "{error}");
        assert_same_columns(&rows(), &doubled(&rows()).unwrap().schema(), doubled);
        assert!(check_same_columns(&rows(), &rows().schema(), doubled).is_err());
    }

    #[test]
    fn a_fit_on_test_rows_is_found() {
        let data = Split { train: rows().slice(0, 25), test: rows().slice(25, 15) };
        let fit = |of_both: bool| {
            move |data: &Split| {
                let all = if of_both {
                    concat_batches(&data.train.schema(), [&data.train, &data.test])?
                } else {
                    data.train.clone()
                };
                let mean = x(&all).iter().flatten().sum::<f64>() / all.num_rows() as f64;
                let less = |batch: &RecordBatch| {
                    batch! { "x" => x(batch).unary::<_, Float64Type>(|x| x - mean) }
                };
                Ok(Split { train: less(&data.train)?, test: less(&data.test)? })
            }
        };
        assert_not_fit_on_test(&data, fit(false));
        let error = check_not_fit_on_test(&data, fit(true)).unwrap_err().to_string();
        assert!(error.contains("train with half of the test rows"), "{error}");
    }

    #[test]
    #[should_panic(expected = "accuracy of model: 0.5000")]
    fn too_bad_a_model_panics_with_its_number() {
        let model = LinearModel::logistic(["x"], [0.0], 1.0, "no", "yes").unwrap();
        let data = batch! {
            "x" => Float64Array::from(vec![0.0; 400]),
            "y" => StringArray::from_iter_values((0..400).map(|i| ["no", "yes"][i % 2])),
        }
        .unwrap();
        assert_quality(&model, &data, "y", at_least(Metric::Accuracy, 0.8));
    }

    #[test]
    fn the_order_of_columns_counts() {
        let batch = rows();
        let swapped = batch.project(&[1, 0]).unwrap();
        let error = check_schema(&swapped.schema(), &batch.schema()).unwrap_err().to_string();
        assert!(error.contains("the columns come as s, x, expected x, s"), "{error}");
        check_schema(&batch.schema(), &batch.schema()).unwrap();
    }
}
