//! What the values of a column or an expression are, whatever their Arrow type.

use std::fmt;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields, Float16Type, Schema, TimeUnit};
use mlops_core::{Error, Result};

use super::ast::{Literal, Target};
use super::scalar::{Datum, parse_decimal};
use super::time::{self, DAY_NANOS, NANOS, Written};
use crate::record::Value;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// `NULL` as it is written, of any kind.
    Null,
    Bool,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned: columns only.
    UInt,
    Float,
    /// 128 bits, in units of ten to the minus this.
    Decimal(i8),
    Text,
    /// 64 bits, a count of a unit of time.
    Time(Clock),
    /// A list, bytes: what is there or not, and no more is known.
    Other,
}

/// How time is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    pub(super) sort: Sort,
    /// Nanoseconds in a unit.
    pub(super) unit: i128,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sort {
    Date,
    Timestamp(Zone),
    TimeOfDay,
    Duration,
}

/// What stands behind a timestamp's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Zone {
    /// No zone: the wall clock of somewhere.
    None,
    /// Always so many seconds ahead of UTC.
    Fixed(i32),
    /// A name, whose rules are not known here.
    Named,
}

impl Clock {
    pub(super) const DATE: Self = Self { sort: Sort::Date, unit: DAY_NANOS };
    pub(super) const MICROS: Self = Self { sort: Sort::Timestamp(Zone::None), unit: 1000 };

    /// A written time as a count of the unit, rounded down, and whether nothing was lost.
    pub(super) fn count(self, text: &str) -> Option<(i128, bool)> {
        let nanos = match (self.sort, time::parse(text)) {
            (Sort::TimeOfDay, _) => time::parse_clock(text)?,
            (Sort::Date | Sort::Timestamp(_), Some(Written { nanos, offset, .. })) => {
                let ahead = match (offset, self.sort) {
                    (Some(ahead), _) | (None, Sort::Timestamp(Zone::Fixed(ahead))) => ahead,
                    (None, Sort::Timestamp(Zone::Named)) => return None,
                    _ => 0,
                };
                nanos - i128::from(ahead) * NANOS
            }
            _ => return None,
        };
        Some((nanos.div_euclid(self.unit), nanos.rem_euclid(self.unit) == 0))
    }

    /// What a text must look like to be such a time.
    pub(super) fn written(self) -> &'static str {
        match self.sort {
            Sort::Date => "a date like 2026-01-31",
            Sort::Timestamp(Zone::Named) => {
                "a timestamp with its offset, like 2026-01-31T12:30:00Z, as the column's zone is a name"
            }
            Sort::Timestamp(_) => "a timestamp like 2026-01-31T12:30:00Z",
            Sort::TimeOfDay => "a time of day like 12:30:00",
            Sort::Duration => "a duration column",
        }
    }

    /// Whether the two count the same thing, perhaps in different units.
    pub(super) fn meets(self, other: Self) -> bool {
        let dated = |sort| matches!(sort, Sort::Date | Sort::Timestamp(_));
        dated(self.sort) && dated(other.sort) || self.sort == other.sort
    }
}

impl Kind {
    pub(super) fn of(data_type: &DataType) -> Self {
        let nanos = |unit: &TimeUnit| match unit {
            TimeUnit::Second => NANOS,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1000,
            TimeUnit::Nanosecond => 1,
        };
        match data_type {
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool,
            DataType::UInt64 => Self::UInt,
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
                if *scale >= 0 =>
            {
                Self::Decimal(*scale)
            }
            // Decimals wider than what is reckoned with, too: the nearest numbers.
            other if other.is_floating() || other.is_decimal() => Self::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Date32 => Self::Time(Clock::DATE),
            DataType::Date64 => Self::Time(Clock { sort: Sort::Date, unit: 1_000_000 }),
            DataType::Timestamp(unit, zone) => {
                let zone = match zone.as_deref() {
                    None => Zone::None,
                    Some(zone) => time::fixed_offset(zone).map_or(Zone::Named, Zone::Fixed),
                };
                Self::Time(Clock { sort: Sort::Timestamp(zone), unit: nanos(unit) })
            }
            DataType::Time32(unit) | DataType::Time64(unit) => {
                Self::Time(Clock { sort: Sort::TimeOfDay, unit: nanos(unit) })
            }
            DataType::Duration(unit) => {
                Self::Time(Clock { sort: Sort::Duration, unit: nanos(unit) })
            }
            other if other.is_integer() => Self::Int,
            _ => Self::Other,
        }
    }

    /// The kind of a literal.
    pub(super) fn of_literal(literal: &Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(_) => Self::Bool,
            Literal::Int(v) if i64::try_from(*v).is_err() => Self::UInt,
            Literal::Int(_) => Self::Int,
            Literal::Float(_) => Self::Float,
            Literal::Text(_) => Self::Text,
            Literal::Date(_) => Self::Time(Clock::DATE),
            Literal::Timestamp(text) => {
                let fine = Clock::MICROS.count(text).is_some_and(|(_, exact)| !exact);
                let zoned = time::parse(text).is_some_and(|written| written.offset.is_some());
                let zone = if zoned { Zone::Fixed(0) } else { Zone::None };
                let unit = if fine { 1 } else { 1000 };
                Self::Time(Clock { sort: Sort::Timestamp(zone), unit })
            }
        }
    }

    /// The kind that a `CAST` gives.
    pub(super) fn of_target(target: Target) -> Self {
        match target {
            Target::Boolean => Self::Bool,
            Target::Bigint => Self::Int,
            Target::Double => Self::Float,
            Target::Text => Self::Text,
            Target::Date => Self::Time(Clock::DATE),
            Target::Timestamp => Self::Time(Clock::MICROS),
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::UInt | Self::Float | Self::Decimal(_))
    }

    /// The Arrow type that values of this kind are given out in.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Null | Self::Other => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::UInt => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Decimal(scale) => DataType::Decimal128(38, scale),
            Self::Text => DataType::LargeUtf8,
            Self::Time(clock) => {
                let unit = match clock.unit {
                    1 => TimeUnit::Nanosecond,
                    1000 => TimeUnit::Microsecond,
                    1_000_000 => TimeUnit::Millisecond,
                    _ => TimeUnit::Second,
                };
                match clock.sort {
                    Sort::Date if clock.unit == DAY_NANOS => DataType::Date32,
                    Sort::Date => DataType::Date64,
                    Sort::Timestamp(Zone::None) => DataType::Timestamp(unit, None),
                    Sort::Timestamp(_) => DataType::Timestamp(unit, Some("UTC".into())),
                    Sort::TimeOfDay if clock.unit >= 1_000_000 => DataType::Time32(unit),
                    Sort::TimeOfDay => DataType::Time64(unit),
                    Sort::Duration => DataType::Duration(unit),
                }
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Int | Self::UInt => "integer",
            Self::Float => "float",
            Self::Decimal(_) => "decimal",
            Self::Text => "text",
            Self::Time(clock) => match clock.sort {
                Sort::Date => "date",
                Sort::Timestamp(_) => "timestamp",
                Sort::TimeOfDay => "time",
                Sort::Duration => "duration",
            },
            Self::Other => "a type without operators",
        })
    }
}

/// A column that an expression reads.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The column, and the fields of structs on the way.
    pub(super) path: Vec<String>,
    /// Its place in a record; a field of a struct has none.
    pub(super) place: Option<usize>,
    pub(super) data_type: DataType,
    pub(super) kind: Kind,
}

impl Slot {
    pub(super) fn find(path: &[String], schema: &Schema) -> Result<Self> {
        let mut fields: &Fields = schema.fields();
        for (depth, name) in path.iter().enumerate() {
            let Some(at) = fields.iter().position(|field| field.name() == name) else {
                let above = path[..depth].join(".");
                let full = |name: &str| match above.as_str() {
                    "" => name.to_owned(),
                    above => format!("{above}.{name}"),
                };
                return Err(Error::ColumnNotFound {
                    column: full(name),
                    available: fields.iter().map(|field| full(field.name())).collect(),
                });
            };
            let place = (depth == 0).then_some(at);
            let data_type = fields[at].data_type();
            match data_type {
                DataType::Struct(inner) if depth + 1 < path.len() => fields = inner,
                DataType::Struct(inner) => {
                    let named = path.join(".");
                    let fields: Vec<_> = inner.iter().map(|f| f.name().as_str()).collect();
                    let expected = format!("one of its fields ({})", fields.join(", "));
                    return Err(Error::column_type(named, expected, "the struct"));
                }
                other if depth + 1 < path.len() => {
                    let named = path[..=depth].join(".");
                    return Err(Error::column_type(named, "a struct", other));
                }
                other => {
                    let kind = Kind::of(other);
                    return Ok(Self { path: path.to_vec(), place, data_type: other.clone(), kind });
                }
            }
        }
        Err(Error::invalid("column", "a name", "none"))
    }

    /// The type of its values: of a dictionary that of the dictionary's.
    fn value_type(&self) -> &DataType {
        crate::values::value_type(&self.data_type)
    }

    /// A value of it in the precision of the column.
    pub(super) fn round(&self, value: f64) -> f64 {
        match self.value_type() {
            DataType::Float32 => f64::from(value as f32),
            DataType::Float16 => {
                <Float16Type as ArrowPrimitiveType>::Native::from_f64(value).to_f64()
            }
            _ => value,
        }
    }

    /// Its value in a record.
    pub(super) fn load<'a>(&self, record: &[Value<'a>]) -> Datum<'a> {
        let value = self.place.and_then(|place| record.get(place));
        let Some(&value) = value else { return Datum::Null };
        let whole = match value {
            Value::Int(v) => Some(i128::from(v)),
            Value::UInt(v) => Some(i128::from(v)),
            _ => None,
        };
        let read = match (self.kind, value) {
            (_, Value::Null) => None,
            (Kind::Bool, Value::Bool(v)) => Some(Datum::Bool(v)),
            (Kind::Text, Value::Text(v)) => Some(Datum::Text(v.into())),
            (Kind::Int, _) => {
                whole.filter(|v| self.holds(*v)).and_then(|v| i64::try_from(v).ok()).map(Datum::Int)
            }
            (Kind::UInt, _) => whole.and_then(|v| u64::try_from(v).ok()).map(Datum::UInt),
            (Kind::Float, Value::Float(v)) => Some(Datum::Float(self.round(v))),
            (Kind::Float, _) => whole.map(|v| Datum::Float(self.round(v as f64))),
            (Kind::Decimal(scale), _) => match value {
                Value::Text(v) => parse_decimal(v, scale),
                Value::Float(v) => Some((v * 10_f64.powi(scale.into())).round())
                    .filter(|v| v.abs() < 1e38)
                    .map(|v| v as i128),
                _ => whole.and_then(|v| v.checked_mul(10_i128.checked_pow(scale as u32)?)),
            }
            .filter(|v| self.holds(*v))
            .map(Datum::Wide),
            (Kind::Time(clock), Value::Text(v)) => clock
                .count(v)
                .filter(|(count, _)| self.holds(*count))
                .and_then(|(count, _)| i64::try_from(count).ok())
                .map(Datum::Int),
            (Kind::Time(_), _) => {
                whole.filter(|v| self.holds(*v)).and_then(|v| i64::try_from(v).ok()).map(Datum::Int)
            }
            // That it is there is all there is to know.
            (Kind::Other, _) => Some(Datum::Bool(true)),
            _ => None,
        };
        read.unwrap_or(Datum::Null)
    }

    /// Whether the column's type can hold this whole number.
    fn holds(&self, value: i128) -> bool {
        match self.value_type() {
            DataType::Int8 => i8::try_from(value).is_ok(),
            DataType::Int16 => i16::try_from(value).is_ok(),
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) => {
                i32::try_from(value).is_ok()
            }
            DataType::UInt8 => u8::try_from(value).is_ok(),
            DataType::UInt16 => u16::try_from(value).is_ok(),
            DataType::UInt32 => u32::try_from(value).is_ok(),
            DataType::Decimal32(p, _) | DataType::Decimal64(p, _) | DataType::Decimal128(p, _) => {
                10_u128.checked_pow((*p).into()).is_some_and(|most| value.unsigned_abs() < most)
            }
            _ => true,
        }
    }

    /// Its array in a batch, dictionaries and all.
    pub(super) fn array(&self, rows: &mlops_core::Rows<'_>) -> Result<ArrayRef> {
        let name = self.path.first().map_or("", String::as_str);
        let mut array = rows.column(name)?.clone();
        for field in &self.path[1..] {
            let Some(parent) = array.as_struct_opt() else {
                return Err(Error::column_type(name, "a struct", array.data_type()));
            };
            let Some(child) = parent.column_by_name(field) else {
                return Err(Error::ColumnNotFound {
                    column: field.clone(),
                    available: parent.column_names().iter().map(|&n| n.to_owned()).collect(),
                });
            };
            // A field of a struct that is not there is not there either.
            array = match parent.nulls() {
                Some(nulls) if nulls.null_count() > 0 => {
                    let nulls = arrow::buffer::NullBuffer::union(Some(nulls), child.nulls());
                    let data = child.to_data().into_builder().nulls(nulls).build()?;
                    make_array(data)
                }
                _ => child.clone(),
            };
        }
        if *array.data_type() == self.data_type {
            Ok(array)
        } else {
            let expected = format!("{}, as it was bound", self.data_type);
            Err(Error::column_type(self.path.join("."), expected, array.data_type()))
        }
    }
}

/// An array as its kind is reckoned with: 64-bit integers and floats, 128-bit decimals, text as it
/// is, booleans. Dictionaries have been read through.
pub(super) fn canonical(array: &ArrayRef, kind: Kind) -> Result<ArrayRef> {
    if let DataType::Dictionary(_, value) = array.data_type() {
        return canonical(&cast(array, value)?, kind);
    }
    let to = match kind {
        Kind::Int => DataType::Int64,
        Kind::UInt => DataType::UInt64,
        Kind::Float => DataType::Float64,
        Kind::Decimal(scale) => match array.data_type() {
            DataType::Decimal128(_, _) => return Ok(array.clone()),
            _ => DataType::Decimal128(38, scale),
        },
        Kind::Time(_) => {
            let counts = match array.data_type() {
                DataType::Date32 | DataType::Time32(_) => DataType::Int32,
                _ => DataType::Int64,
            };
            // The same buffers under another name.
            let array = make_array(array.to_data().into_builder().data_type(counts).build()?);
            return if *array.data_type() == DataType::Int64 {
                Ok(array)
            } else {
                Ok(cast(&array, &DataType::Int64)?)
            };
        }
        _ => return Ok(array.clone()),
    };
    if *array.data_type() == to { Ok(array.clone()) } else { Ok(cast(array, &to)?) }
}
