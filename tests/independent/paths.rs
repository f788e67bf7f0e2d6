//! The many paths that one result is taken on.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int64Array, LargeStringArray, StringArray, StringViewArray, UInt32Array, UInt64Array,
    make_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use mlops::core::{Analyzer, DataSourceExt, MemorySource, Result, Scan};

use crate::cases::{bits, on_threads};

/// The same array as a slice out of a longer one, whose other rows are its own in reverse and
/// nulls; and with a validity buffer that says that all is valid.
pub(crate) fn slices(array: &ArrayRef) -> Vec<ArrayRef> {
    let n = array.len() as u32;
    let back = take(array, &UInt32Array::from_iter_values((0..n).rev()), None).expect("take");
    let holes = take(array, &UInt32Array::from(vec![None; 3]), None).expect("take");
    let longer = concat(&[&back, &holes, array, &holes, &back]).expect("concat");
    let masked = array.to_data().into_builder();
    let valid = array.nulls().cloned().unwrap_or_else(|| NullBuffer::new_valid(array.len()));
    let masked = masked.nulls(Some(valid)).build().expect("the same array");
    vec![Arc::clone(array), longer.slice(array.len() + 3, array.len()), make_array(masked)]
}

/// Rows in another order, by a step that meets each row once.
pub(crate) fn shuffled(array: &ArrayRef) -> ArrayRef {
    let n = array.len();
    let step = (7..1000).find(|k| gcd(*k, n.max(1)) == 1).expect("a step");
    take(array, &UInt32Array::from_iter_values((0..n).map(|i| (i * step % n) as u32)), None)
        .expect("take")
}

pub(crate) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The same bits for these two columns on every path; `run` gives the first.
#[track_caller]
pub(crate) fn pair_paths(
    what: &str,
    a: &ArrayRef,
    b: &ArrayRef,
    run: impl Fn(&dyn Array, &dyn Array) -> Result<f64> + Sync,
) -> Result<f64> {
    let first = run(a, b);
    for (a, b) in slices(a).iter().zip(slices(b)) {
        let result = on_threads(what, || bits(&run(a, &b)));
        assert_eq!(result, bits(&first), "{what}: a slice, or an all-valid buffer");
    }
    let mixed = run(&shuffled(a), &shuffled(b));
    assert_eq!(bits(&mixed), bits(&first), "{what}: rows in another order");
    first
}

/// The same rows as one batch, as a slice, and in batches of several sizes, some empty.
pub(crate) fn sources(batch: &RecordBatch) -> Vec<MemorySource> {
    let n = batch.num_rows();
    let schema = batch.schema();
    let columns = batch.columns().iter().map(|c| slices(c).swap_remove(1)).collect();
    let sliced = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a slice");
    let mut all = vec![MemorySource::from(batch.clone()), MemorySource::from(sliced.clone())];
    for size in [1, 7, n.div_ceil(2).max(1)] {
        let mut parts: Vec<_> =
            (0..n).step_by(size).map(|i| sliced.slice(i, size.min(n - i))).collect();
        parts.insert(parts.len() / 2, sliced.slice(0, 0));
        all.push(MemorySource::new(Arc::clone(&schema), parts).expect("batches"));
    }
    all
}

/// What an analyzer finds, the same on every path.
#[track_caller]
pub(crate) fn measured<A: Analyzer<Output: PartialEq + std::fmt::Debug>>(
    what: &str,
    analyzer: &A,
    batch: &RecordBatch,
) -> A::Output {
    let first = MemorySource::from(batch.clone()).measure(analyzer).expect(what);
    let same = |other: A::Output| assert_eq!(other, first, "{what}");
    for source in sources(batch) {
        for size in [1, 3, Scan::BATCH_SIZE] {
            same(on_threads(what, || {
                Scan::new(&source).batch_size(size).run(analyzer).expect(what)
            }));
        }
    }
    let columns = batch.columns().iter().map(shuffled).collect();
    let mixed = RecordBatch::try_new(batch.schema(), columns).expect("rows in another order");
    same(MemorySource::from(mixed).measure(analyzer).expect(what));
    first
}

/// Numbers among nulls that have garbage under them.
pub(crate) fn among_nulls(values: &[Option<f64>]) -> (Float64Array, u64) {
    let garbage = [f64::NAN, 1e308, f64::NEG_INFINITY, -7.0];
    let (mut out, mut valid) = (Vec::new(), Vec::new());
    for (i, value) in values.iter().enumerate() {
        if i % 3 == 1 {
            out.push(garbage[i % 4]);
            valid.push(false);
        }
        out.push(value.unwrap_or(garbage[(i + 1) % 4]));
        valid.push(value.is_some());
    }
    let nulls = valid.iter().filter(|v| !**v).count() as u64;
    (Float64Array::new(out.into(), Some(NullBuffer::from(valid))), nulls)
}

/// Labels in every type that has them, with the positive one in words.
pub(crate) fn labels(y: &[u64]) -> Vec<(ArrayRef, &'static str)> {
    let words = || y.iter().map(|y| Some(["no", "yes"][*y as usize]));
    let many =
        y.iter().enumerate().map(|(i, y)| if *y == 1 { "yes" } else { ["no", "", "Yes"][i % 3] });
    vec![
        (Arc::new(words().collect::<StringArray>()) as ArrayRef, "yes"),
        (Arc::new(words().collect::<LargeStringArray>()), "yes"),
        (Arc::new(words().collect::<StringViewArray>()), "yes"),
        (Arc::new(words().collect::<DictionaryArray<Int32Type>>()), "yes"),
        (Arc::new(StringArray::from_iter_values(many)), "yes"),
        (Arc::new(y.iter().map(|y| Some(*y == 1)).collect::<BooleanArray>()), "true"),
        (Arc::new(Int64Array::from_iter_values(y.iter().map(|y| *y as i64))), "1"),
        (Arc::new(Int8Array::from_iter_values(y.iter().map(|y| 1 - 2 * *y as i8))), "-1"),
        (
            Arc::new(UInt64Array::from_iter_values(y.iter().map(|y| u64::MAX - *y))),
            "18446744073709551614",
        ),
        (Arc::new(Float64Array::from_iter_values(y.iter().map(|y| *y as f64))), "1"),
        (Arc::new(Float32Array::from_iter_values(y.iter().map(|y| *y as f32 / 2.0))), "0.5"),
    ]
}
