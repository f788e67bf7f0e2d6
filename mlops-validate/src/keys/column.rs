//! The key columns of a batch, in the form in which keys are compared.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Float64Array, Int32Array,
    Int64Array, LargeBinaryArray, LargeStringArray, OffsetSizeTrait, UInt64Array, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int8Type, Int16Type, IntervalUnit, UInt8Type, UInt16Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::bytes::{take, take_u8, take_u32, take_u64};
use mlops_core::{Error, Result};
use serde_json::Value;

use super::chunk::Key;
use crate::failing_rows::value_at;

/// What the values of a column are to a key: one for all physical types of the same values, so
/// that states meet and key sets of two sources compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 64 bits that are equal exactly where the values are; of this type when printed.
    Word(DataType),
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// Wide numbers of this type, as their bytes.
    Wide(DataType, usize),
    /// Fields in order.
    Struct(Vec<(String, Kind)>),
    /// Any number of these.
    List(Box<Kind>),
    /// A column without a type has no values.
    Null,
}

impl Kind {
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        use DataType as T;
        Some(match data_type {
            T::Null => Self::Null,
            T::Boolean => Self::Word(T::Boolean),
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 => {
                Self::Word(T::Int64)
            }
            T::UInt64 => Self::Word(T::UInt64),
            T::Float16 | T::Float32 | T::Float64 => Self::Word(T::Float64),
            T::Date32
            | T::Date64
            | T::Time32(_)
            | T::Time64(_)
            | T::Timestamp(_, _)
            | T::Duration(_)
            | T::Interval(IntervalUnit::YearMonth)
            | T::Decimal32(_, _)
            | T::Decimal64(_, _) => Self::Word(data_type.clone()),
            T::Interval(IntervalUnit::DayTime) => Self::Wide(data_type.clone(), 8),
            T::Interval(IntervalUnit::MonthDayNano) | T::Decimal128(_, _) => {
                Self::Wide(data_type.clone(), 16)
            }
            T::Decimal256(_, _) => Self::Wide(data_type.clone(), 32),
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Text,
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Self::Binary,
            T::Dictionary(_, values) => Self::of(values)?,
            T::RunEndEncoded(_, values) => Self::of(values.data_type())?,
            T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::Map(item, _) => {
                Self::List(Box::new(Self::of(item.data_type())?))
            }
            T::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|f| Some((f.name().clone(), Self::of(f.data_type())?)))
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }

    /// The name in a description.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Word(t) | Self::Wide(t, _) => t.to_string(),
            Self::Text => "text".into(),
            Self::Binary => "binary".into(),
            Self::Null => "null".into(),
            Self::List(item) => format!("[{}]", item.name()),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, kind)| format!("{name:?}: {}", kind.name()))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }

    /// The values of 64-bit keys, as they were read.
    pub(super) fn words_to_array(data_type: &DataType, words: Vec<i64>) -> Result<ArrayRef> {
        Ok(match data_type {
            DataType::Boolean => {
                Arc::new(words.into_iter().map(|w| Some(w != 0)).collect::<BooleanArray>())
            }
            DataType::UInt64 => {
                Arc::new(words.into_iter().map(|w| w as u64).collect::<UInt64Array>())
            }
            DataType::Float64 => {
                Arc::new(words.into_iter().map(float_of_word).collect::<Float64Array>())
            }
            DataType::Int64 => Arc::new(Int64Array::from(words)),
            other => {
                let counts: ArrayRef = match other.primitive_width() {
                    Some(4) => Arc::new(words.iter().map(|&w| w as i32).collect::<Int32Array>()),
                    _ => Arc::new(Int64Array::from(words)),
                };
                make_array(counts.to_data().into_builder().data_type(other.clone()).build()?)
            }
        })
    }

    /// A value off the front of its bytes, as it is shown.
    fn value(&self, bytes: &mut &[u8]) -> Result<Value> {
        match self {
            _ if take_u8(bytes)? == 0 => Ok(Value::Null),
            Self::Word(t) => {
                let word = take_u64(bytes)? as i64;
                value_at(&Self::words_to_array(t, vec![word])?, 0)
            }
            other => {
                let mut out = String::new();
                other.print(bytes, &mut out)?;
                Ok(text(&out))
            }
        }
    }

    /// Prints a value, not null, off the front of its bytes.
    fn print(&self, bytes: &mut &[u8], out: &mut String) -> Result<()> {
        match self {
            Self::Word(t) => {
                let word = take_u64(bytes)? as i64;
                out.push_str(&print_one(&Self::words_to_array(t, vec![word])?)?);
            }
            Self::Wide(t, width) => {
                let raw = take(bytes, *width)?;
                // Arrow wants them aligned.
                let mut words = Vec::with_capacity(width.div_ceil(16));
                for chunk in raw.chunks(16) {
                    let mut whole = [0; 16];
                    whole[..chunk.len()].copy_from_slice(chunk);
                    words.push(i128::from_le_bytes(whole));
                }
                let data = arrow::array::ArrayData::builder(t.clone())
                    .len(1)
                    .add_buffer(Buffer::from_vec(words))
                    .build()?;
                out.push_str(&print_one(&make_array(data))?);
            }
            Self::Text => {
                let n = take_u32(bytes)? as usize;
                out.push_str(&String::from_utf8_lossy(take(bytes, n)?));
            }
            Self::Binary => {
                let n = take_u32(bytes)? as usize;
                print_binary(take(bytes, n)?, out);
            }
            Self::Null => {}
            Self::Struct(fields) => {
                out.push('{');
                for (i, (name, kind)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    out.push_str(name);
                    out.push_str(": ");
                    kind.print_nullable(bytes, out)?;
                }
                out.push('}');
            }
            Self::List(item) => {
                out.push('[');
                for i in 0..take_u32(bytes)? {
                    out.push_str(if i > 0 { ", " } else { "" });
                    item.print_nullable(bytes, out)?;
                }
                out.push(']');
            }
        }
        Ok(())
    }

    fn print_nullable(&self, bytes: &mut &[u8], out: &mut String) -> Result<()> {
        if take_u8(bytes)? == 0 {
            out.push_str("null");
            return Ok(());
        }
        self.print(bytes, out)
    }
}

fn print_one(array: &ArrayRef) -> Result<String> {
    let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())?;
    Ok(formatter.value(0).try_to_string()?)
}

fn print_binary(bytes: &[u8], out: &mut String) {
    for byte in bytes.iter().take(64) {
        // Writing to a string can't fail.
        let _ = write!(out, "{byte:02x}");
    }
}

/// How the keys of a set are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One column, nulls left out, whose values are 64 bits.
    Words(DataType),
    /// One column, nulls left out, of text (or bytes).
    Plain { text: bool },
    /// All else: for each column a byte that says whether it is there, and the value's bytes.
    Rows(Vec<Kind>),
}

impl Form {
    pub(super) fn of(columns: &[(String, Kind)], nulls_left_out: bool) -> Self {
        match columns {
            [(_, Kind::Word(t))] if nulls_left_out => Self::Words(t.clone()),
            [(_, Kind::Text)] if nulls_left_out => Self::Plain { text: true },
            [(_, Kind::Binary)] if nulls_left_out => Self::Plain { text: false },
            _ => Self::Rows(columns.iter().map(|(_, kind)| kind.clone()).collect()),
        }
    }

    pub(super) fn is_words(&self) -> bool {
        matches!(self, Self::Words(_))
    }

    /// A key's values as they are shown, one for each column; texts are cut after 256 characters.
    pub(super) fn values(&self, key: &[u8]) -> Result<Vec<Value>> {
        let mut bytes = key;
        match self {
            Self::Words(t) => {
                let word = take_u64(&mut bytes)? as i64;
                Ok(vec![value_at(&Kind::words_to_array(t, vec![word])?, 0)?])
            }
            Self::Plain { text: true } => Ok(vec![text(&String::from_utf8_lossy(key))]),
            Self::Plain { text: false } => {
                let mut out = String::new();
                print_binary(key, &mut out);
                Ok(vec![text(&out)])
            }
            Self::Rows(columns) => columns.iter().map(|kind| kind.value(&mut bytes)).collect(),
        }
    }

    /// The order in which keys are listed: of numbers and dates their own, else that of bytes.
    pub(super) fn order(&self, a: Key<'_>, b: Key<'_>) -> Ordering {
        match (self, a, b) {
            (Self::Words(DataType::UInt64), Key::Word(a), Key::Word(b)) => {
                (a as u64).cmp(&(b as u64))
            }
            (_, Key::Word(a), Key::Word(b)) => a.cmp(&b),
            (_, Key::Bytes(a), Key::Bytes(b)) => a.cmp(b),
            // One form has one sort of keys.
            (_, Key::Word(_), Key::Bytes(_)) => Ordering::Less,
            (_, Key::Bytes(_), Key::Word(_)) => Ordering::Greater,
        }
    }

    /// Keys of a single column as an array; `None` for others.
    pub(super) fn to_array(&self, keys: &[Key<'_>]) -> Result<Option<ArrayRef>> {
        let words = || keys.iter().filter_map(|k| k.word()).collect();
        let bytes = || keys.iter().filter_map(|k| k.bytes());
        Ok(match self {
            Self::Words(t) => Some(Kind::words_to_array(t, words())?),
            Self::Plain { text: true } => {
                let texts = bytes().map(String::from_utf8_lossy);
                Some(Arc::new(texts.map(Some).collect::<LargeStringArray>()))
            }
            Self::Plain { text: false } => {
                Some(Arc::new(bytes().map(Some).collect::<LargeBinaryArray>()))
            }
            Self::Rows(_) => None,
        })
    }
}

fn text(text: &str) -> Value {
    Value::String(text.chars().take(256).collect())
}

/// Bytes in whichever array they came.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    Small(BinaryArray),
    Large(LargeBinaryArray),
    View(BinaryViewArray),
}

impl Bytes {
    pub(super) fn value(&self, row: usize) -> &[u8] {
        match self {
            Self::Small(a) => a.value(row),
            Self::Large(a) => a.value(row),
            Self::View(a) => a.value(row),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Small(a) => a.len(),
            Self::Large(a) => a.len(),
            Self::View(a) => a.len(),
        }
    }

    /// The memory that the values take, however much larger the buffers are that they lie in.
    pub(super) fn size(&self) -> usize {
        fn offsets<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
            match offsets {
                [first, .., last] => last.as_usize() - first.as_usize() + size_of_val(offsets),
                _ => 0,
            }
        }
        match self {
            Self::Small(a) => offsets(a.value_offsets()),
            Self::Large(a) => offsets(a.value_offsets()),
            Self::View(a) => a.len() * 16 + a.total_buffer_bytes_used(),
        }
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Small(a) => a.nulls(),
            Self::Large(a) => a.nulls(),
            Self::View(a) => a.nulls(),
        }
    }
}

/// A column made ready.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    Words(ScalarBuffer<i64>, Option<NullBuffer>),
    Bytes(Bytes),
    Wide { width: usize, bytes: Buffer, nulls: Option<NullBuffer> },
    Struct(Vec<Reader>, Option<NullBuffer>),
    List { ends: Vec<(usize, usize)>, item: Box<Reader>, nulls: Option<NullBuffer> },
    Null(NullBuffer),
}

impl Reader {
    pub(super) fn new(name: &str, kind: &Kind, array: &ArrayRef) -> Result<Self> {
        let data_type = array.data_type();
        if Kind::of(data_type).as_ref() != Some(kind) {
            return Err(Error::column_type(name, kind.name(), data_type));
        }
        match data_type {
            DataType::Dictionary(_, values) => {
                return Self::new(name, kind, &cast(array, values)?);
            }
            DataType::RunEndEncoded(_, values) => {
                return Self::new(name, kind, &cast(array, values.data_type())?);
            }
            _ => {}
        }
        let nulls = array.nulls().filter(|n| n.null_count() > 0).cloned();
        Ok(match kind {
            Kind::Word(_) => Self::Words(words(array)?, nulls),
            Kind::Text | Kind::Binary => Self::Bytes(bytes(array)?),
            Kind::Wide(_, width) => {
                let data = array.to_data();
                let from = data.offset() * width;
                let bytes = data.buffers()[0].slice_with_length(from, array.len() * width);
                Self::Wide { width: *width, bytes, nulls }
            }
            Kind::Struct(fields) => {
                let columns = array.as_struct().columns();
                let fields = std::iter::zip(fields, columns)
                    .map(|((_, kind), column)| Self::new(name, kind, column))
                    .collect::<Result<_>>()?;
                Self::Struct(fields, nulls)
            }
            Kind::List(item) => {
                fn ends<O: OffsetSizeTrait>(offsets: &[O]) -> Vec<(usize, usize)> {
                    offsets.windows(2).map(|w| (w[0].as_usize(), w[1].as_usize())).collect()
                }
                let (mut ends, values): (Vec<_>, ArrayRef) = match data_type {
                    DataType::List(_) => {
                        let list = array.as_list::<i32>();
                        (ends(list.value_offsets()), list.values().clone())
                    }
                    DataType::LargeList(_) => {
                        let list = array.as_list::<i64>();
                        (ends(list.value_offsets()), list.values().clone())
                    }
                    DataType::Map(_, _) => {
                        let map = array.as_map();
                        (ends(map.value_offsets()), Arc::new(map.entries().clone()))
                    }
                    _ => {
                        let list = array.as_fixed_size_list();
                        let n = list.value_length() as usize;
                        // A slice of such a list has sliced values.
                        let ends = (0..list.len()).map(|i| (i * n, (i + 1) * n)).collect();
                        (ends, list.values().clone())
                    }
                };
                // A slice does not pay for the values of the others.
                let from = ends.first().map_or(0, |(from, _)| *from);
                let to = ends.last().map_or(0, |(_, to)| *to);
                for (start, end) in &mut ends {
                    (*start, *end) = (*start - from, *end - from);
                }
                let values = values.slice(from, to - from);
                Self::List { ends, item: Box::new(Self::new(name, item, &values)?), nulls }
            }
            Kind::Null => Self::Null(NullBuffer::new_null(array.len())),
        })
    }

    pub(super) fn nulls(&self) -> Option<&NullBuffer> {
        let nulls = match self {
            Self::Words(_, nulls)
            | Self::Wide { nulls, .. }
            | Self::Struct(_, nulls)
            | Self::List { nulls, .. } => nulls.as_ref(),
            Self::Bytes(bytes) => bytes.nulls(),
            Self::Null(nulls) => Some(nulls),
        };
        nulls.filter(|n| n.null_count() > 0)
    }

    /// Appends a row's bytes, which say where they end, so that different rows differ.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.nulls().is_some_and(|n| n.is_null(row)) {
            out.push(0);
            return Ok(());
        }
        out.push(1);
        match self {
            Self::Words(words, _) => out.extend_from_slice(&words[row].to_le_bytes()),
            Self::Bytes(bytes) => {
                let value = bytes.value(row);
                out.extend_from_slice(&length(value.len())?.to_le_bytes());
                out.extend_from_slice(value);
            }
            Self::Wide { width, bytes, .. } => {
                out.extend_from_slice(&bytes.as_slice()[row * width..(row + 1) * width]);
            }
            Self::Struct(fields, _) => {
                for field in fields {
                    field.write(row, out)?;
                }
            }
            Self::List { ends, item, .. } => {
                let (from, to) = ends[row];
                out.extend_from_slice(&length(to - from)?.to_le_bytes());
                for i in from..to {
                    item.write(i, out)?;
                }
            }
            Self::Null(_) => {}
        }
        Ok(())
    }
}

fn length(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::invalid("a key's value", "less than 4 GiB", n))
}

/// The values as 64 bits each, in an order of their own; the same buffer where it has them.
fn words(array: &ArrayRef) -> Result<ScalarBuffer<i64>> {
    let data_type = array.data_type();
    macro_rules! widened {
        ($type:ty) => {
            array.as_primitive::<$type>().values().iter().map(|&v| i64::from(v)).collect()
        };
    }
    Ok(match data_type {
        DataType::Boolean => array.as_boolean().values().iter().map(i64::from).collect(),
        DataType::Int8 => widened!(Int8Type),
        DataType::Int16 => widened!(Int16Type),
        DataType::UInt8 => widened!(UInt8Type),
        DataType::UInt16 => widened!(UInt16Type),
        DataType::Float64 => {
            array.as_primitive::<Float64Type>().values().iter().map(|&v| word_of_float(v)).collect()
        }
        DataType::Float16 | DataType::Float32 => return words(&cast(array, &DataType::Float64)?),
        other => {
            let data = array.to_data();
            let (buffer, at, n) = (data.buffers()[0].clone(), data.offset(), data.len());
            match other.primitive_width() {
                Some(8) => ScalarBuffer::new(buffer, at, n),
                _ if *other == DataType::UInt32 => {
                    ScalarBuffer::<u32>::new(buffer, at, n).iter().map(|&v| i64::from(v)).collect()
                }
                _ => {
                    ScalarBuffer::<i32>::new(buffer, at, n).iter().map(|&v| i64::from(v)).collect()
                }
            }
        }
    })
}

/// Ordered as the floats are; one NaN, one zero.
fn word_of_float(v: f64) -> i64 {
    let bits = if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() } as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn float_of_word(word: i64) -> f64 {
    f64::from_bits((word ^ (((word >> 63) as u64) >> 1) as i64) as u64)
}

fn bytes(array: &ArrayRef) -> Result<Bytes> {
    Ok(match array.data_type() {
        DataType::Utf8 => Bytes::Small(array.as_string::<i32>().clone().into()),
        DataType::LargeUtf8 => Bytes::Large(array.as_string::<i64>().clone().into()),
        DataType::Binary => Bytes::Small(array.as_binary::<i32>().clone()),
        DataType::LargeBinary => Bytes::Large(array.as_binary::<i64>().clone()),
        DataType::FixedSizeBinary(_) => {
            Bytes::Large(cast(array, &DataType::LargeBinary)?.as_binary::<i64>().clone())
        }
        DataType::Utf8View => {
            Bytes::View(compacted(array.as_string_view().clone().to_binary_view()))
        }
        _ => Bytes::View(compacted(array.as_binary_view().clone())),
    })
}

/// A reader's views may keep whole pages alive for a few values.
fn compacted(views: BinaryViewArray) -> BinaryViewArray {
    let held: usize = views.data_buffers().iter().map(Buffer::len).sum();
    if held > 4 * views.total_buffer_bytes_used() + (1 << 16) { views.gc() } else { views }
}
