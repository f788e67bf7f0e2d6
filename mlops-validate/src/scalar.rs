//! A value written in a suite: what bounds and sets are made of.

use std::fmt;

use arrow::datatypes::DataType;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::values::{Domain, domain, temporal};

/// A number, a text or a boolean, as a suite writes it. Dates and timestamps are text
/// (`2026-01-31`, `2026-01-31T12:00:00Z`) and are read in the column's own type.
///
/// ```
/// use mlops_validate::Scalar;
/// assert_eq!(Scalar::from(18).to_string(), "18");
/// assert_eq!(serde_json::from_str::<Scalar>("0.5")?, Scalar::Float(0.5));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// A whole number, from −2⁶³ to 2⁶⁴ − 1.
    Int(i128),
    /// A finite number.
    Float(f64),
    /// A text, date or timestamp.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Float(v) => v.fmt(f),
            Self::Text(v) => write!(f, "`{v}`"),
        }
    }
}

impl Scalar {
    /// As an expression writes it.
    pub(crate) fn in_sql(&self) -> String {
        match self {
            Self::Bool(v) => if *v { "TRUE" } else { "FALSE" }.into(),
            Self::Int(v) => v.to_string(),
            // With a point or an exponent, so that it stays a float.
            Self::Float(v) => format!("{v:?}"),
            Self::Text(v) => format!("'{}'", v.replace('\'', "''")),
        }
    }

    /// Whether a column of this type can hold it at all.
    pub(crate) fn fits(&self, data_type: &DataType) -> bool {
        match self {
            Self::Bool(_) => domain(data_type) == Some(Domain::Bool),
            Self::Int(_) | Self::Float(_) => {
                matches!(domain(data_type), Some(Domain::Int | Domain::Float))
                    && !data_type.is_temporal()
            }
            Self::Text(_) if data_type.is_temporal() => temporal(self, data_type).is_some(),
            Self::Text(_) => domain(data_type) == Some(Domain::Text),
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident($into:ty)),* $(,)?) => {$(
        impl From<$type> for Scalar {
            fn from(value: $type) -> Self {
                Self::$variant(<$into>::from(value))
            }
        }
    )*};
}

from! {
    bool => Bool(bool),
    i8 => Int(i128), i16 => Int(i128), i32 => Int(i128), i64 => Int(i128),
    u8 => Int(i128), u16 => Int(i128), u32 => Int(i128), u64 => Int(i128),
    f32 => Float(f64), f64 => Float(f64),
    &str => Text(String), String => Text(String), &String => Text(String),
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(v) => serializer.serialize_bool(*v),
            Self::Int(v) => match (i64::try_from(*v), u64::try_from(*v)) {
                (Ok(v), _) => serializer.serialize_i64(v),
                (_, Ok(v)) => serializer.serialize_u64(v),
                _ => Err(serde::ser::Error::custom(format!("{v} does not fit into 64 bits"))),
            },
            Self::Float(v) if v.is_finite() => serializer.serialize_f64(*v),
            Self::Float(v) => Err(serde::ser::Error::custom(format!("{v} is not a bound"))),
            Self::Text(v) => serializer.serialize_str(v),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or a boolean")
            }

            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(v))
            }

            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Scalar, E> {
                Ok(Scalar::Int(v.into()))
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Scalar, E> {
                Ok(Scalar::Int(v.into()))
            }

            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Scalar, E> {
                if v.is_finite() {
                    Ok(Scalar::Float(v))
                } else {
                    Err(E::custom(format!("expected a finite number, found {v}")))
                }
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(v.to_owned()))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_there_and_back() {
        for scalar in [
            Scalar::Bool(true),
            Scalar::Int(-(1 << 63)),
            Scalar::Int((1 << 64) - 1),
            Scalar::Float(0.1),
            Scalar::Float(1.0),
            Scalar::Text("2026-01-31".into()),
            Scalar::Text("18".into()),
        ] {
            let text = serde_json::to_string(&scalar).unwrap();
            assert_eq!(serde_json::from_str::<Scalar>(&text).unwrap(), scalar, "{text}");
        }
        assert!(serde_json::to_string(&Scalar::Int(1 << 64)).is_err());
        assert!(serde_json::to_string(&Scalar::Float(f64::NAN)).is_err());
        assert!(serde_json::from_str::<Scalar>("null").is_err());
    }
}
