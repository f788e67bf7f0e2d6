//! Tests of single values, made of closures and of dispatch by the width of a number.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use mlops_core::{Error, Result, is_text};

use crate::record::Value;

/// A test of single values that are there, compiled for the type of one column.
///
/// It sees integers (dates and times as counts), `f32` (half floats, too), `f64`, decimals, text,
/// bytes or booleans; of a dictionary it sees every value once.
pub(crate) trait ValueTest: Send + Sync + 'static {
    /// For every value whether it passes; what stands at a null means nothing.
    fn of_array(&self, values: &ArrayRef) -> Result<BooleanBuffer>;

    /// Whether what passes is an interval in the order of the column's type: all between two
    /// values that pass does, too.
    fn is_interval(&self) -> bool {
        false
    }

    /// Whether one value, which is not null, passes.
    fn of_value(&self, value: Value<'_>) -> bool;
}

/// Runs `$body` over the values of an array of integers of any width, as `&[$native]`.
macro_rules! over_integers {
    ($array:expr, |$values:ident: &[$native:ident]| $body:expr) => {{
        use arrow::array::AsArray;
        use arrow::datatypes as types;
        macro_rules! over {
            ($type:ident, $width:ty) => {{
                type $native = $width;
                let $values: &[$native] = $array.as_primitive::<types::$type>().values();
                Ok($body)
            }};
        }
        match $array.data_type() {
            types::DataType::Int8 => over!(Int8Type, i8),
            types::DataType::Int16 => over!(Int16Type, i16),
            types::DataType::Int32 => over!(Int32Type, i32),
            types::DataType::Int64 => over!(Int64Type, i64),
            types::DataType::UInt8 => over!(UInt8Type, u8),
            types::DataType::UInt16 => over!(UInt16Type, u16),
            types::DataType::UInt32 => over!(UInt32Type, u32),
            types::DataType::UInt64 => over!(UInt64Type, u64),
            _ => crate::value_test::unsupported($array),
        }
    }};
}

/// Runs `$body` over the values of an array of `f32` or `f64`, as `&[$native]`.
macro_rules! over_floats {
    ($array:expr, |$values:ident: &[$native:ident]| $body:expr) => {{
        use arrow::array::AsArray;
        use arrow::datatypes as types;
        macro_rules! over {
            ($type:ident, $width:ty) => {{
                type $native = $width;
                let $values: &[$native] = $array.as_primitive::<types::$type>().values();
                Ok($body)
            }};
        }
        match $array.data_type() {
            types::DataType::Float32 => over!(Float32Type, f32),
            types::DataType::Float64 => over!(Float64Type, f64),
            _ => crate::value_test::unsupported($array),
        }
    }};
}

pub(crate) use {over_floats, over_integers};

/// An array of a type that the test was not made for.
pub(crate) fn unsupported<T>(array: &dyn Array) -> Result<T> {
    Err(Error::invalid("values", "the type that the scan announced", array.data_type()))
}

/// For every text of an array whether it passes; integers are read as they print.
pub(crate) fn test_text(array: &ArrayRef, test: impl Fn(&str) -> bool) -> Result<BooleanBuffer> {
    macro_rules! over {
        ($strings:expr) => {{
            let strings = $strings;
            // Where it is null the array holds some text, which is never looked at again.
            Ok(BooleanBuffer::collect_bool(strings.len(), |row| test(strings.value(row))))
        }};
    }
    match array.data_type() {
        DataType::Utf8 => over!(array.as_string::<i32>()),
        DataType::LargeUtf8 => over!(array.as_string::<i64>()),
        DataType::Utf8View => over!(array.as_string_view()),
        other if other.is_integer() => {
            let text = cast(array, &DataType::Utf8)?;
            over!(text.as_string::<i32>())
        }
        _ => unsupported(array),
    }
}

/// A test of texts; integers are read as they print.
pub(crate) struct Texts<F>(pub(crate) F);

impl<F: Fn(&str) -> bool + Send + Sync + 'static> Texts<F> {
    /// The test, for a column of text.
    pub(crate) fn only(data_type: &DataType, passes: F) -> Option<Box<dyn ValueTest>> {
        is_text(data_type).then(|| Box::new(Self(passes)) as Box<dyn ValueTest>)
    }

    /// The test, for a column of text or of integers.
    pub(crate) fn or_integers(data_type: &DataType, passes: F) -> Option<Box<dyn ValueTest>> {
        let reads = is_text(data_type) || data_type.is_integer();
        reads.then(|| Box::new(Self(passes)) as Box<dyn ValueTest>)
    }
}

impl<F: Fn(&str) -> bool + Send + Sync + 'static> ValueTest for Texts<F> {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        test_text(array, &self.0)
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        of_text(value, &self.0)
    }
}

/// Whether a text, or an integer as it prints, passes.
pub(crate) fn of_text(value: Value<'_>, test: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Text(text) => test(text),
        Value::Int(v) => test(Digits::of(v.into()).text()),
        Value::UInt(v) => test(Digits::of(v.into()).text()),
        _ => false,
    }
}

/// A test of texts that an interval passes, in the order of their bytes.
pub(crate) struct TextInterval<F>(pub(crate) F);

impl<F: Fn(&str) -> bool + Send + Sync + 'static> ValueTest for TextInterval<F> {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        test_text(array, &self.0)
    }

    fn is_interval(&self) -> bool {
        true
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        matches!(value, Value::Text(text) if (self.0)(text))
    }
}

/// An integer as it prints, without an allocation.
struct Digits {
    bytes: [u8; 40],
    start: usize,
}

impl Digits {
    fn of(value: i128) -> Self {
        let (mut bytes, mut start, mut rest) = ([b'0'; 40], 40, value.unsigned_abs());
        loop {
            start -= 1;
            bytes[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Self { bytes, start }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).unwrap_or_default()
    }
}

/// A test of numbers as `f64`: of floats, decimals, and integers, which round beyond 2⁵³.
pub(crate) struct Numbers<F>(pub(crate) F);

impl<F: Fn(f64) -> bool + Send + Sync + 'static> ValueTest for Numbers<F> {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let numbers = cast(array, &DataType::Float64)?;
        let values = numbers.as_primitive::<arrow::datatypes::Float64Type>().values();
        Ok(BooleanBuffer::collect_bool(values.len(), |row| (self.0)(values[row])))
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        match value {
            Value::Int(v) => (self.0)(v as f64),
            Value::UInt(v) => (self.0)(v as f64),
            Value::Float(v) => (self.0)(v),
            _ => false,
        }
    }
}

/// What every value passes, or none.
pub(crate) struct Always(pub(crate) bool);

impl ValueTest for Always {
    fn is_interval(&self) -> bool {
        true
    }

    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let n = array.len();
        Ok(if self.0 { BooleanBuffer::new_set(n) } else { BooleanBuffer::new_unset(n) })
    }

    fn of_value(&self, _: Value<'_>) -> bool {
        self.0
    }
}

/// A test of booleans: whether `false` and `true` pass.
pub(crate) struct Booleans {
    pub(crate) no: bool,
    pub(crate) yes: bool,
}

impl ValueTest for Booleans {
    // Between the two there is nothing.
    fn is_interval(&self) -> bool {
        true
    }

    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let Some(values) = array.as_boolean_opt() else { return unsupported(array) };
        let n = values.len();
        Ok(match (self.no, self.yes) {
            (true, true) => BooleanBuffer::new_set(n),
            (false, false) => BooleanBuffer::new_unset(n),
            (false, true) => values.values().clone(),
            (true, false) => !values.values(),
        })
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        matches!(value, Value::Bool(v) if if v { self.yes } else { self.no })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_print_as_rust_prints_them() {
        for v in [0, 1, -1, 10, i128::from(i64::MIN), i128::from(u64::MAX), i128::MIN, i128::MAX] {
            assert_eq!(Digits::of(v).text(), v.to_string());
        }
    }
}
