//! Record batches written down in place, for tests, examples and small programs.

/// A record batch of named columns, all nullable; a [`Result`](crate::Result).
///
/// ```
/// use arrow::array::{Float64Array, StringArray};
/// use mlops_core::batch;
/// let batch = batch! {
///     "age" => Float64Array::from(vec![Some(31.0), None]),
///     "city" => StringArray::from(vec!["Oslo", "Bergen"]),
/// }?;
/// assert_eq!(batch.num_rows(), 2);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[macro_export]
macro_rules! batch {
    ($($name:expr => $array:expr),* $(,)?) => {
        $crate::arrow::array::RecordBatch::try_from_iter_with_nullable([$((
            $name,
            ::std::sync::Arc::new($array) as $crate::arrow::array::ArrayRef,
            true,
        )),*])
        .map_err($crate::Error::from)
    };
}
