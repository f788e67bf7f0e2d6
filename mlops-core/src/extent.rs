//! What the values of a column span: nulls, the least and the greatest, in exact form.

use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type,
    Decimal64Type, Decimal128Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use multiversion::multiversion;

use crate::{Error, Result};

/// What the values of a column span in a batch: [`Rows::extent`](crate::Rows::extent).
///
/// A check that holds for the whole range holds for every row, so that only batches that reach
/// beyond it need a look at single rows.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{Extent, Span};
/// let extent = Extent::of("x", &Float64Array::from(vec![Some(2.5), None, Some(f64::NAN)]))?;
/// assert_eq!((extent.rows, extent.nulls), (3, 1));
/// assert_eq!(extent.span, Span::Float { range: Some((2.5, 2.5)), nans: 1 });
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Extent {
    /// How many rows there are.
    pub rows: usize,
    /// How many of them have no value.
    pub nulls: usize,
    /// What the others span.
    pub span: Span,
}

/// The least and the greatest of values, `None` where there is no value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// Of integers; of booleans as 0 and 1; of dates, times, timestamps, durations and months in their own
    /// unit; of decimals as the integer before scaling.
    Int(Option<(i128, i128)>),
    /// Of floats of any width, which `f64` holds exactly. A zero has no sign here: which of −0 and
    /// +0 came first would depend on the order.
    Float {
        /// The least and the greatest that is not NaN, infinities included.
        range: Option<(f64, f64)>,
        /// How many values are NaN.
        nans: usize,
    },
}

impl Extent {
    /// The extent of an array; the name is the one that an error tells.
    ///
    /// An array of type `Null` has no integers. A dictionary spans what its rows have, not what it
    /// holds.
    ///
    /// # Errors
    /// [`Error::ColumnType`] for text, nested types, intervals that have days, and decimals of 256 bits.
    pub fn of(name: &str, array: &dyn Array) -> Result<Self> {
        let wrong = || {
            let expected = "a number of at most 128 bits, boolean, date, time or timestamp";
            Error::column_type(name, expected, array.data_type())
        };
        let rows = array.len();
        let span = match array.data_type() {
            DataType::Dictionary(_, value) => {
                let plain = cast(array, value).map_err(|_| wrong())?;
                // A dictionary of dictionaries is nothing that arrow makes.
                return match plain.data_type() {
                    DataType::Dictionary(..) => Err(wrong()),
                    _ => Self::of(name, &plain).map_err(|_| wrong()),
                };
            }
            DataType::Float16 => {
                return Self::of(name, &cast(array, &DataType::Float32)?);
            }
            DataType::Null => {
                return Ok(Self { rows, nulls: rows, span: Span::Int(None) });
            }
            DataType::Boolean => {
                let array = array.as_boolean();
                let (yes, no) = (array.true_count() > 0, array.false_count() > 0);
                let range = (yes || no).then_some((i128::from(!no), i128::from(yes)));
                Some(Span::Int(range))
            }
            _ => of_primitive(array),
        };
        let span = span.ok_or_else(wrong)?;
        Ok(Self { rows, nulls: array.null_count(), span })
    }

    /// How many values there are.
    pub fn values(&self) -> usize {
        self.rows - self.nulls
    }
}

/// `None` for what is no primitive array, or has values without an order or too wide.
fn of_primitive(array: &dyn Array) -> Option<Span> {
    macro_rules! one_of {
        ($($pattern:pat => $type:ty,)*) => {
            match array.data_type() {
                $($pattern => Some(span(array.as_primitive::<$type>())),)*
                _ => None,
            }
        };
    }
    use DataType::{Duration, Interval, Time32, Time64, Timestamp};
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    one_of! {
        DataType::Int8 => Int8Type,
        DataType::Int16 => Int16Type,
        DataType::Int32 => Int32Type,
        DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type,
        DataType::UInt16 => UInt16Type,
        DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
        DataType::Float32 => Float32Type,
        DataType::Float64 => Float64Type,
        DataType::Decimal32(..) => Decimal32Type,
        DataType::Decimal64(..) => Decimal64Type,
        DataType::Decimal128(..) => Decimal128Type,
        DataType::Date32 => Date32Type,
        DataType::Date64 => Date64Type,
        Time32(Second) => Time32SecondType,
        Time32(Millisecond) => Time32MillisecondType,
        Time64(Microsecond) => Time64MicrosecondType,
        Time64(Nanosecond) => Time64NanosecondType,
        Timestamp(Second, _) => TimestampSecondType,
        Timestamp(Millisecond, _) => TimestampMillisecondType,
        Timestamp(Microsecond, _) => TimestampMicrosecondType,
        Timestamp(Nanosecond, _) => TimestampNanosecondType,
        Duration(Second) => DurationSecondType,
        Duration(Millisecond) => DurationMillisecondType,
        Duration(Microsecond) => DurationMicrosecondType,
        Duration(Nanosecond) => DurationNanosecondType,
        Interval(IntervalUnit::YearMonth) => IntervalYearMonthType,
    }
}

fn span<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Span
where
    T::Native: Native,
{
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    T::Native::span(array.values(), nulls.map(words).as_deref())
}

/// Which rows have a value, 64 to a word.
fn words(nulls: &NullBuffer) -> Vec<u64> {
    let chunks = nulls.inner().bit_chunks();
    chunks.iter().chain([chunks.remainder_bits()]).collect()
}

/// What the values of a primitive array are made of.
trait Native: ArrowNativeType {
    /// What those span whose bit is set, or all.
    fn span(values: &[Self], valid: Option<&[u64]>) -> Span;
}

/// The loops over one type, compiled for each machine and chosen at run time.
///
/// Each lane has its own least, greatest and count of NaN, so that nothing waits for what the lane
/// before it found. A row without a value is read as `none`, which changes neither least nor
/// greatest.
macro_rules! lanes {
    ($native:ident $count:ident $lanes:literal $is_nan:expr) => {
        const LANES: usize = $lanes;

        #[derive(Clone, Copy)]
        struct Lanes {
            min: [$native; LANES],
            max: [$native; LANES],
            nans: [$count; LANES],
        }

        #[inline(always)]
        fn take(lanes: &mut Lanes, values: &[$native; LANES]) {
            for i in 0..LANES {
                let x = values[i];
                // NaN compares with nothing and is passed over.
                lanes.min[i] = if x < lanes.min[i] { x } else { lanes.min[i] };
                lanes.max[i] = if x > lanes.max[i] { x } else { lanes.max[i] };
                lanes.nans[i] += $count::from($is_nan(x));
            }
        }

        /// Takes in all values; how many were read as `none` besides.
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        fn all(mut lanes: Lanes, values: &[$native], none: $native) -> (Lanes, usize) {
            let (chunks, rest) = values.as_chunks::<LANES>();
            for chunk in chunks {
                take(&mut lanes, chunk);
            }
            let mut last = [none; LANES];
            last[..rest.len()].copy_from_slice(rest);
            take(&mut lanes, &last);
            (lanes, LANES - rest.len())
        }

        /// Takes in the values whose bit is set; how many were read as `none` besides.
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        fn some(
            mut lanes: Lanes,
            values: &[$native],
            valid: &[u64],
            none: $native,
        ) -> (Lanes, usize) {
            let mut added = 0;
            for (values, &word) in values.chunks(64).zip(valid) {
                let mut here = [none; 64];
                for (i, (here, &x)) in here.iter_mut().zip(values).enumerate() {
                    *here = if word >> i & 1 == 1 { x } else { none };
                }
                for chunk in here.as_chunks::<LANES>().0 {
                    take(&mut lanes, chunk);
                }
                added += word.count_zeros() as usize;
            }
            (lanes, added)
        }

        fn fill(
            lanes: Lanes,
            values: &[$native],
            valid: Option<&[u64]>,
            none: $native,
        ) -> (Lanes, usize) {
            match valid {
                None => all(lanes, values, none),
                Some(valid) => some(lanes, values, valid, none),
            }
        }
    };
}

/// The first place whose bit is set.
fn first_valid(len: usize, valid: Option<&[u64]>) -> Option<usize> {
    match valid {
        None => (len > 0).then_some(0),
        Some(words) => {
            let at = words.iter().position(|&word| word != 0)?;
            Some(64 * at + words[at].trailing_zeros() as usize)
        }
    }
}

macro_rules! integers {
    ($($native:ident $count:ident $lanes:literal;)*) => {$(
        impl Native for $native {
            fn span(values: &[Self], valid: Option<&[u64]>) -> Span {
                lanes!($native $count $lanes |_| false);
                let Some(&first) = first_valid(values.len(), valid).and_then(|i| values.get(i)) else {
                    return Span::Int(None);
                };
                let lanes = Lanes { min: [first; LANES], max: [first; LANES], nans: [0; LANES] };
                let (lanes, _) = fill(lanes, values, valid, first);
                let min = lanes.min.into_iter().fold(first, $native::min);
                let max = lanes.max.into_iter().fold(first, $native::max);
                Span::Int(Some((min.into(), max.into())))
            }
        }
    )*};
}

integers! {
    i8 u8 64;
    i16 u16 32;
    i32 u32 32;
    i64 u64 32;
    i128 u64 4;
    u8 u8 64;
    u16 u16 32;
    u32 u32 32;
    u64 u64 32;
}

macro_rules! floats {
    ($($native:ident $count:ident $lanes:literal;)*) => {$(
        impl Native for $native {
            fn span(values: &[Self], valid: Option<&[u64]>) -> Span {
                lanes!($native $count $lanes $native::is_nan);
                let (least, most) = ($native::NEG_INFINITY, $native::INFINITY);
                let lanes = Lanes { min: [most; LANES], max: [least; LANES], nans: [0; LANES] };
                let (lanes, added) = fill(lanes, values, valid, $native::NAN);
                let nans = lanes.nans.iter().map(|&n| n as usize).sum::<usize>() - added;
                let n = match valid {
                    None => values.len(),
                    Some(words) => words.iter().map(|word| word.count_ones() as usize).sum(),
                };
                // Adding +0 takes the sign off a zero.
                let min = f64::from(lanes.min.into_iter().fold(most, $native::min)) + 0.0;
                let max = f64::from(lanes.max.into_iter().fold(least, $native::max)) + 0.0;
                Span::Float { range: (nans < n).then_some((min, max)), nans }
            }
        }
    )*};
}

floats! {
    f64 u64 32;
    f32 u32 32;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray,
        Float16Array, Float32Array, Float64Array, Int8Array, Int64Array, IntervalYearMonthArray,
        NullArray, StringArray, TimestampMicrosecondArray, UInt8Array, UInt64Array,
    };
    use arrow::datatypes::i256;
    use proptest::prelude::*;

    use super::*;

    /// The same by looking at one value after the other.
    fn slowly(values: &[Option<f64>]) -> Span {
        let all = || values.iter().flatten().copied().filter(|x| !x.is_nan());
        let least = all().reduce(|a, b| if b < a { b } else { a });
        let most = all().reduce(|a, b| if b > a { b } else { a });
        let nans = values.iter().flatten().filter(|x| x.is_nan()).count();
        Span::Float { range: least.zip(most), nans }
    }

    fn extent(array: &dyn Array) -> Extent {
        Extent::of("x", array).unwrap()
    }

    fn value() -> impl Strategy<Value = f64> {
        let special = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324];
        prop_oneof![3 => -9.0..9.0f64, 1 => prop::sample::select(special.to_vec())]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_what_a_look_at_every_value_finds(
            weight in prop::sample::select(vec![0.02, 0.5, 0.98, 1.0]),
            seed in prop::collection::vec((value(), 0.0..1.0f64), 0..300),
            from in 0usize..70,
        ) {
            let values: Vec<_> = seed.iter().map(|(x, p)| (*p < weight).then_some(*x)).collect();
            let from = from.min(values.len());
            let narrow: Vec<_> = values.iter().map(|x| x.map(|x| x as f32)).collect();
            let ints: Vec<_> = values.iter().map(|x| x.map(|x| x as i64)).collect();
            let bytes: Vec<_> = values.iter().map(|x| x.map(|x| x as u8)).collect();
            let rest = &values[from..];
            let array = Float64Array::from(values.clone()).slice(from, rest.len());
            let found = extent(&array);
            prop_assert_eq!((found.rows, found.nulls), (rest.len(), array.null_count()));
            prop_assert_eq!(found.span, slowly(rest));
            let wide: Vec<_> = narrow[from..].iter().map(|x| x.map(f64::from)).collect();
            let array = Float32Array::from(narrow).slice(from, rest.len());
            prop_assert_eq!(extent(&array).span, slowly(&wide));
            let range = |all: Vec<i128>| all.iter().min().copied().zip(all.iter().max().copied());
            let expected = range(ints[from..].iter().flatten().map(|&x| x.into()).collect());
            let array = Int64Array::from(ints).slice(from, rest.len());
            prop_assert_eq!(extent(&array).span, Span::Int(expected));
            let expected = range(bytes[from..].iter().flatten().map(|&x| x.into()).collect());
            let array = UInt8Array::from(bytes).slice(from, rest.len());
            prop_assert_eq!(extent(&array).span, Span::Int(expected));
        }
    }

    #[test]
    fn every_type_in_its_exact_form() {
        let int = |a: i128, b: i128| Span::Int(Some((a, b)));
        let of = |array: &dyn Array| extent(array).span;
        assert_eq!(of(&UInt64Array::from(vec![u64::MAX, 1])), int(1, u64::MAX.into()));
        assert_eq!(
            of(&Int64Array::from(vec![i64::MIN, i64::MAX])),
            int(i64::MIN.into(), i64::MAX.into())
        );
        assert_eq!(
            of(&Int64Array::from(vec![Some(i64::MAX), None])),
            int(i64::MAX.into(), i64::MAX.into())
        );
        assert_eq!(of(&Decimal128Array::from(vec![i128::MIN + 7, 5])), int(i128::MIN + 7, 5));
        assert_eq!(of(&Date32Array::from(vec![-4, 3])), int(-4, 3));
        assert_eq!(
            of(&TimestampMicrosecondArray::from(vec![-4, 3]).with_timezone("UTC")),
            int(-4, 3)
        );
        assert_eq!(of(&IntervalYearMonthArray::from(vec![14, 2])), int(2, 14));
        assert_eq!(of(&BooleanArray::from(vec![Some(true), None])), int(1, 1));
        assert_eq!(of(&BooleanArray::from(vec![true, false])), int(0, 1));
        assert_eq!(of(&BooleanArray::from(vec![None::<bool>])), Span::Int(None));
        assert_eq!(of(&Int64Array::from(Vec::<i64>::new())), Span::Int(None));
        assert_eq!(extent(&NullArray::new(3)).nulls, 3);
        let half = cast(&Float32Array::from(vec![1.5, -2.0]), &DataType::Float16).unwrap();
        assert!(half.as_any().is::<Float16Array>());
        assert_eq!(of(&half), Span::Float { range: Some((-2.0, 1.5)), nans: 0 });
        // What a dictionary holds and no row has does not count.
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(900), None]));
        let keys = Int8Array::from(vec![Some(0), Some(2), None]);
        let found = extent(&DictionaryArray::new(keys, values));
        assert_eq!((found.span, found.nulls, found.values()), (int(1, 1), 2, 1));
        // Two zeros are one.
        let Span::Float { range: Some((min, max)), .. } = of(&Float64Array::from(vec![-0.0]))
        else {
            panic!("a range");
        };
        assert_eq!((min.to_bits(), max.to_bits()), (0, 0));

        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let wide: ArrayRef = Arc::new(Decimal256Array::from(vec![i256::ONE]));
        for array in [text, wide] {
            let error = Extent::of("x", &array).unwrap_err().to_string();
            assert!(
                error.contains("`x`") && error.contains(&array.data_type().to_string()),
                "{error}"
            );
        }
    }
}
