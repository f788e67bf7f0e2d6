//! One row, as a service has it.

use std::collections::BTreeMap;

/// A value of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

macro_rules! from {
    ($($type:ty => |$x:ident| $value:expr),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from($x: $type) -> Self {
                $value
            }
        }
    )*};
}

from! {
    bool => |x| Self::Boolean(x),
    i32 => |x| Self::Integer(x.into()),
    i64 => |x| Self::Integer(x),
    f64 => |x| Self::Number(x),
    &str => |x| Self::Text(x.to_owned()),
    String => |x| Self::Text(x),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row: values by column.
///
/// ```
/// use mlops_data::Record;
/// let record = Record::from([("age", 31.into()), ("city", "Oslo".into()), ("debt", None::<f64>.into())]);
/// assert!(record.get("age").is_some());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record(BTreeMap<String, Value>);

impl Record {
    /// A row without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same row with this value.
    #[must_use]
    pub fn with(mut self, column: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(column.into(), value.into());
        self
    }

    /// The value of a column; `None` if the record does not speak of it.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// The columns that it speaks of, sorted.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<(S, Value)> for Record {
    fn from_iter<I: IntoIterator<Item = (S, Value)>>(values: I) -> Self {
        Self(values.into_iter().map(|(column, value)| (column.into(), value)).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[(S, Value); N]> for Record {
    fn from(values: [(S, Value); N]) -> Self {
        values.into_iter().collect()
    }
}
