//! Tests of one operand against what is written down: each is a single loop over the values.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Scalar};
use arrow::array::{LargeStringArray, StringArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::compute::kernels::cmp;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use mlops_core::Result;
use regex::Regex;

use super::ast::Comparison;
use super::like::Like;
use super::scalar::Datum;

/// What is asked of a value that is not null.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// The answer does not depend on it.
    Always(bool),
    /// Of an integer, a count of time, or a decimal in units of its scale.
    Whole(Comparison, i128),
    Float(Comparison, f64),
    Text(Comparison, String),
    WholeIn(Members<i128>),
    /// The bits of floats, of which there is one zero and no NaN.
    FloatIn(Members<u64>),
    TextIn(Members<Box<str>>),
    Like(Like),
    Regex(Regex),
}

/// A set: few are compared one by one, many are hashed.
#[derive(Clone, Debug)]
pub(super) struct Members<T> {
    list: Vec<T>,
    hashed: Option<HashSet<T, BuildHasherDefault<Mix>>>,
}

/// So few that comparing with each is faster than hashing.
const FEW: usize = 8;

impl<T: Clone + Ord + std::hash::Hash> Members<T> {
    pub(super) fn new(mut list: Vec<T>) -> Self {
        list.sort_unstable();
        list.dedup();
        let hashed = (list.len() > FEW).then(|| list.iter().cloned().collect());
        Self { list, hashed }
    }

    fn contains<Q: ?Sized + std::hash::Hash + Eq>(&self, value: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        match &self.hashed {
            Some(hashed) => hashed.contains(value),
            None => self.list.iter().any(|member| member.borrow() == value),
        }
    }
}

/// A hash of a few instructions: who writes the set chooses what collides, nobody else can.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        // 2⁶⁴ over the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_i128(&mut self, value: i128) {
        self.write_u64(value as u64 ^ (value >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits and its tag from the high ones.
        self.0 ^ self.0 >> 32
    }
}

/// The bits by which floats are told apart: both zeros are one.
pub(super) fn float_bits(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

impl Test {
    /// What a single value is answered.
    pub(super) fn of(&self, value: &Datum<'_>) -> Option<bool> {
        Some(match (self, value) {
            (_, Datum::Null) => return None,
            (Self::Always(answer), _) => *answer,
            (Self::Float(op, bound), Datum::Float(value)) => holds(*op, value, bound),
            (Self::FloatIn(members), Datum::Float(value)) => members.contains(&float_bits(*value)),
            (Self::Text(op, bound), Datum::Text(value)) => holds::<str>(*op, value, bound),
            (Self::TextIn(members), Datum::Text(value)) => members.contains(&**value),
            (Self::Like(like), Datum::Text(value)) => like.matches(value),
            (Self::Regex(regex), Datum::Text(value)) => regex.is_match(value),
            (Self::Whole(op, bound), value) => holds(*op, &value.whole()?, bound),
            (Self::WholeIn(members), value) => members.contains(&value.whole()?),
            _ => return None,
        })
    }

    /// What every value of an array is answered; null where it is. The array may be of any type
    /// of its kind, but no dictionary.
    pub(super) fn over(&self, array: &ArrayRef) -> Result<BooleanArray> {
        if let Self::Text(op, bound) = self {
            return text_over(*op, array, bound);
        }
        let buffer = match self {
            Self::Always(true) => BooleanBuffer::new_set(array.len()),
            Self::Always(false) => BooleanBuffer::new_unset(array.len()),
            Self::TextIn(members) => pack_text(array, |v| members.contains(v))?,
            Self::Like(like) => like.over(array)?,
            Self::Regex(regex) => pack_text(array, |v| regex.is_match(v))?,
            _ => self.numbers(array)?,
        };
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(BooleanArray::new(buffer, nulls))
    }

    fn numbers(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        macro_rules! whole {
            ($type:ty) => {
                self.whole(array.as_primitive::<$type>().values())
            };
        }
        macro_rules! float {
            ($type:ty) => {
                self.float(array.as_primitive::<$type>().values())
            };
        }
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        Ok(match array.data_type() {
            DataType::Int8 => whole!(Int8Type),
            DataType::Int16 => whole!(Int16Type),
            DataType::Int32 => whole!(Int32Type),
            DataType::Int64 => whole!(Int64Type),
            DataType::UInt8 => whole!(UInt8Type),
            DataType::UInt16 => whole!(UInt16Type),
            DataType::UInt32 => whole!(UInt32Type),
            DataType::UInt64 => whole!(UInt64Type),
            DataType::Decimal32(_, _) => whole!(Decimal32Type),
            DataType::Decimal64(_, _) => whole!(Decimal64Type),
            DataType::Decimal128(_, _) => whole!(Decimal128Type),
            DataType::Date32 => whole!(Date32Type),
            DataType::Date64 => whole!(Date64Type),
            DataType::Timestamp(Second, _) => whole!(TimestampSecondType),
            DataType::Timestamp(Millisecond, _) => whole!(TimestampMillisecondType),
            DataType::Timestamp(Microsecond, _) => whole!(TimestampMicrosecondType),
            DataType::Timestamp(Nanosecond, _) => whole!(TimestampNanosecondType),
            DataType::Time32(Second) => whole!(Time32SecondType),
            DataType::Time32(_) => whole!(Time32MillisecondType),
            DataType::Time64(Microsecond) => whole!(Time64MicrosecondType),
            DataType::Time64(_) => whole!(Time64NanosecondType),
            DataType::Duration(Second) => whole!(DurationSecondType),
            DataType::Duration(Millisecond) => whole!(DurationMillisecondType),
            DataType::Duration(Microsecond) => whole!(DurationMicrosecondType),
            DataType::Duration(Nanosecond) => whole!(DurationNanosecondType),
            DataType::Float32 => float!(Float32Type),
            DataType::Float64 => float!(Float64Type),
            DataType::Float16 => {
                type Half = <Float16Type as ArrowPrimitiveType>::Native;
                let values: &[Half] = array.as_primitive::<Float16Type>().values();
                let values: Vec<f32> = values.iter().map(|v| v.to_f32()).collect();
                self.float(&values)
            }
            _ => return crate::value_test::unsupported(array),
        })
    }

    fn whole<T>(&self, values: &[T]) -> BooleanBuffer
    where
        T: Copy + PartialOrd + TryFrom<i128> + Into<i128>,
    {
        match self {
            Self::Whole(op, bound) => {
                if let Ok(bound) = T::try_from(*bound) {
                    return compare_all(*op, values, bound);
                }
                // Beyond all that the type can hold.
                let answer = match op {
                    Comparison::Lt | Comparison::LtEq => *bound > 0,
                    Comparison::Gt | Comparison::GtEq => *bound < 0,
                    op => *op == Comparison::NotEq,
                };
                pack(values, |_| answer)
            }
            Self::WholeIn(members) if members.hashed.is_none() => {
                let few: Vec<T> =
                    members.list.iter().filter_map(|&member| T::try_from(member).ok()).collect();
                // Of bits, not of branches.
                pack(values, |v| few.iter().fold(0, |found, m| found | u8::from(v == *m)) != 0)
            }
            Self::WholeIn(members) => pack(values, |v| members.contains(&v.into())),
            _ => pack(values, |_| false),
        }
    }

    fn float<T: Copy + Into<f64>>(&self, values: &[T]) -> BooleanBuffer {
        let bound = match self {
            Self::Float(_, bound) => *bound,
            Self::FloatIn(members) => {
                return pack(values, |v| members.contains(&float_bits(v.into())));
            }
            _ => return pack(values, |_| false),
        };
        match self {
            Self::Float(Comparison::Eq | Comparison::NotDistinct, _) => {
                pack(values, |v| v.into() == bound)
            }
            Self::Float(Comparison::NotEq | Comparison::Distinct, _) => {
                pack(values, |v| v.into() != bound)
            }
            Self::Float(Comparison::Lt, _) => pack(values, |v| v.into() < bound),
            Self::Float(Comparison::LtEq, _) => pack(values, |v| v.into() <= bound),
            Self::Float(Comparison::Gt, _) => pack(values, |v| v.into() > bound),
            _ => pack(values, |v| v.into() >= bound),
        }
    }
}

fn holds<T: PartialOrd + ?Sized>(op: Comparison, left: &T, right: &T) -> bool {
    match op {
        Comparison::Eq | Comparison::NotDistinct => left == right,
        Comparison::NotEq | Comparison::Distinct => left != right,
        Comparison::Lt => left < right,
        Comparison::LtEq => left <= right,
        Comparison::Gt => left > right,
        Comparison::GtEq => left >= right,
    }
}

/// Whether each value stands so to the bound.
fn compare_all<T: Copy + PartialOrd>(op: Comparison, values: &[T], bound: T) -> BooleanBuffer {
    match op {
        Comparison::Eq | Comparison::NotDistinct => pack(values, |v| v == bound),
        Comparison::NotEq | Comparison::Distinct => pack(values, |v| v != bound),
        Comparison::Lt => pack(values, |v| v < bound),
        Comparison::LtEq => pack(values, |v| v <= bound),
        Comparison::Gt => pack(values, |v| v > bound),
        Comparison::GtEq => pack(values, |v| v >= bound),
    }
}

/// Whether each pair of values stands so.
pub(super) fn compare_pairs<T: Copy + PartialOrd>(
    op: Comparison,
    left: &[T],
    right: &[T],
) -> BooleanBuffer {
    match op {
        Comparison::Eq | Comparison::NotDistinct => pack_pairs(left, right, |l, r| l == r),
        Comparison::NotEq | Comparison::Distinct => pack_pairs(left, right, |l, r| l != r),
        Comparison::Lt => pack_pairs(left, right, |l, r| l < r),
        Comparison::LtEq => pack_pairs(left, right, |l, r| l <= r),
        Comparison::Gt => pack_pairs(left, right, |l, r| l > r),
        Comparison::GtEq => pack_pairs(left, right, |l, r| l >= r),
    }
}

/// A bit for each value, 64 at a time, without branches or bounds.
fn pack<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> BooleanBuffer {
    let word = |values: &[T]| {
        values.iter().enumerate().fold(0_u64, |word, (i, &v)| word | u64::from(test(v)) << i)
    };
    let words: Vec<u64> = values.chunks(64).map(word).collect();
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

/// A bit for each text; where a row is null it holds some text, which means nothing.
pub(super) fn pack_text(array: &ArrayRef, test: impl Fn(&str) -> bool) -> Result<BooleanBuffer> {
    macro_rules! over {
        ($texts:expr) => {{
            let texts = $texts;
            Ok(BooleanBuffer::collect_bool(texts.len(), |row| test(texts.value(row))))
        }};
    }
    match array.data_type() {
        DataType::Utf8 => over!(array.as_string::<i32>()),
        DataType::LargeUtf8 => over!(array.as_string::<i64>()),
        DataType::Utf8View => over!(array.as_string_view()),
        _ => crate::value_test::unsupported(array),
    }
}

fn pack_pairs<T: Copy>(left: &[T], right: &[T], test: impl Fn(T, T) -> bool) -> BooleanBuffer {
    let word = |(left, right): (&[T], &[T])| {
        let pairs = left.iter().zip(right).enumerate();
        pairs.fold(0_u64, |word, (i, (&l, &r))| word | u64::from(test(l, r)) << i)
    };
    let words: Vec<u64> = left.chunks(64).zip(right.chunks(64)).map(word).collect();
    BooleanBuffer::new(Buffer::from_vec(words), 0, left.len().min(right.len()))
}

/// Texts against a text, by their bytes.
fn text_over(op: Comparison, array: &ArrayRef, bound: &str) -> Result<BooleanArray> {
    let bound: ArrayRef = match array.data_type() {
        DataType::Utf8 => std::sync::Arc::new(StringArray::from(vec![bound])),
        DataType::LargeUtf8 => std::sync::Arc::new(LargeStringArray::from(vec![bound])),
        DataType::Utf8View => std::sync::Arc::new(StringViewArray::from(vec![bound])),
        _ => return crate::value_test::unsupported(array),
    };
    kernel(op, array, &Scalar::new(bound))
}

/// Arrow's own comparison, for what it compares as SQL does: everything but floats.
pub(super) fn kernel(
    op: Comparison,
    left: &dyn arrow::array::Datum,
    right: &dyn arrow::array::Datum,
) -> Result<BooleanArray> {
    Ok(match op {
        Comparison::Eq => cmp::eq(left, right)?,
        Comparison::NotEq => cmp::neq(left, right)?,
        Comparison::Lt => cmp::lt(left, right)?,
        Comparison::LtEq => cmp::lt_eq(left, right)?,
        Comparison::Gt => cmp::gt(left, right)?,
        Comparison::GtEq => cmp::gt_eq(left, right)?,
        Comparison::Distinct => cmp::distinct(left, right)?,
        Comparison::NotDistinct => cmp::not_distinct(left, right)?,
    })
}
