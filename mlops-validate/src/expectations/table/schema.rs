//! The columns, their types, and whether they may be null.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use mlops_core::{Error, Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::expectations::map::HasValue;
use crate::row_test::Unexpected;
use crate::values::value_type;

/// The table has these columns.
///
/// Great Expectations: `expect_table_columns_to_match_set` and `…_ordered_list`,
/// `expect_column_values_to_be_of_type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TableSchema {
    /// The columns.
    pub columns: Vec<ColumnSchema>,
    /// Whether others may be there, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_extra: bool,
    /// Whether they stand in this order (others may stand between them, where allowed).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
}

/// What is expected of one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ColumnSchema {
    /// Its name.
    pub name: String,
    /// Its type; any, if it is not said.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub column_type: Option<ColumnType>,
    /// Whether nulls may be there. Where they may not, a column that is declared nullable (as
    /// all are that come from a text file) is well as long as it has none.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub nullable: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_yes(b: &bool) -> bool {
    *b
}

/// The type of a column: a family of Arrow types by its name (`integer`, `number`, `text`,
/// `boolean`, `date`, `timestamp`), or one Arrow type exactly (`Int64`, `Utf8`). Of a family, a
/// dictionary counts by its values.
///
/// ```
/// use mlops_core::arrow::datatypes::DataType;
/// use mlops_validate::ColumnType;
/// let number: ColumnType = "number".parse()?;
/// assert!(number.matches(&DataType::Int32) && number.matches(&DataType::Float64));
/// let exact: ColumnType = "Int64".parse()?;
/// assert!(!exact.matches(&DataType::Int32));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ColumnType {
    /// Whole numbers of any width.
    Integer,
    /// Whole numbers, floats and decimals: a text file without a fraction in a batch still has a
    /// column of numbers.
    Number,
    /// Text.
    Text,
    /// Booleans.
    Boolean,
    /// Dates.
    Date,
    /// Timestamps of any unit and zone.
    Timestamp,
    /// This Arrow type exactly.
    Arrow(DataType),
}

impl ColumnType {
    const FAMILIES: [Self; 6] =
        [Self::Integer, Self::Number, Self::Text, Self::Boolean, Self::Date, Self::Timestamp];

    /// Whether a column of this Arrow type is one.
    pub fn matches(&self, data_type: &DataType) -> bool {
        let values = value_type(data_type);
        match self {
            Self::Integer => values.is_integer(),
            Self::Number => values.is_numeric(),
            Self::Text => {
                matches!(values, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
            }
            Self::Boolean => *values == DataType::Boolean,
            Self::Date => matches!(values, DataType::Date32 | DataType::Date64),
            Self::Timestamp => matches!(values, DataType::Timestamp(_, _)),
            Self::Arrow(exact) => exact == data_type,
        }
    }

    /// The family of an Arrow type, or the type itself where it is of none. Floats are of the
    /// family of numbers, integers of that of integers.
    pub fn of(data_type: &DataType) -> Self {
        Self::FAMILIES
            .into_iter()
            .find(|family| family.matches(data_type))
            .unwrap_or_else(|| Self::Arrow(data_type.clone()))
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::Text => f.write_str("text"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Arrow(exact) => exact.fmt(f),
        }
    }
}

impl FromStr for ColumnType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(family) = Self::FAMILIES.into_iter().find(|f| f.to_string() == text) {
            return Ok(family);
        }
        text.parse().map(Self::Arrow).map_err(|_| {
            let expected = "integer, number, text, boolean, date, timestamp or an Arrow type";
            Error::invalid("type of a column", expected, text)
        })
    }
}

impl TryFrom<String> for ColumnType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(t: ColumnType) -> Self {
        t.to_string()
    }
}

impl From<DataType> for ColumnType {
    fn from(exact: DataType) -> Self {
        Self::Arrow(exact)
    }
}

/// A column of this name and type, that may be null.
pub fn column(name: impl Into<String>, column_type: impl Into<ColumnType>) -> ColumnSchema {
    ColumnSchema { name: name.into(), column_type: Some(column_type.into()), nullable: true }
}

impl ColumnSchema {
    /// The same, without nulls.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.nullable = false;
        self
    }
}

/// Expects exactly these columns, in any order: [`TableSchema`]. Its methods allow more, or ask
/// for the order.
pub fn schema(columns: impl IntoIterator<Item = ColumnSchema>) -> TableSchema {
    TableSchema { columns: columns.into_iter().collect(), allow_extra: false, ordered: false }
}

impl TableSchema {
    /// The same, content with more columns than these.
    #[must_use]
    pub fn allow_extra(mut self) -> Self {
        self.allow_extra = true;
        self
    }

    /// The same, in this order.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// What is wrong with a schema, by its words alone.
    fn differences(&self, schema: &Schema) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut places = Vec::new();
        for expected in &self.columns {
            let Some((place, field)) = schema.column_with_name(&expected.name) else {
                wrong.push(format!("`{}` is missing", expected.name));
                continue;
            };
            places.push(place);
            if let Some(column_type) = &expected.column_type
                && !column_type.matches(field.data_type())
            {
                let found = field.data_type();
                wrong.push(format!("`{}` is of type {found}, not {column_type}", expected.name));
            }
        }
        if !self.allow_extra {
            let known = |name: &str| self.columns.iter().any(|c| c.name == name);
            let extra = schema.fields().iter().filter(|f| !known(f.name()));
            wrong.extend(extra.map(|f| format!("`{}` is not expected", f.name())));
        }
        if self.ordered && !places.is_sorted() {
            let order: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            wrong.push(format!("the order is {}", order.join(", ")));
        }
        wrong
    }
}

impl Kind for TableSchema {
    fn subject(&self) -> Subject<'_> {
        Subject::Table
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        let mut names: Vec<_> = self.columns.iter().map(|c| &c.name).collect();
        names.sort();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::invalid("schema", "each column once", pair[0])),
            None if names.is_empty() => Err(Error::invalid("schema", "some columns", "none")),
            None => Ok(()),
        }
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let wrong = self.differences(to.schema);
        let mut must_not = Vec::new();
        for column in self.columns.iter().filter(|c| !c.nullable) {
            if let Some(test) = HasValue::of(to.schema, &column.name) {
                must_not.push((column.name.clone(), to.add(Unexpected(Arc::new(test)))));
            }
        }
        let expected = format!(
            "{}{} columns{}",
            if self.allow_extra { "at least " } else { "" },
            self.columns.len(),
            if self.ordered { " in order" } else { "" },
        );
        let columns: Vec<_> = to.schema.fields().iter().map(|f| f.name().clone()).collect();
        Ok(to.judged(expected, move |m| {
            let mut wrong = wrong.clone();
            for (name, handle) in &must_not {
                let nulls = &m.get(handle)?.failing;
                if let Some(first) = nulls.samples().first() {
                    let n = nulls.count();
                    wrong.push(format!("`{name}` has {n} nulls, the first in {}", first.row));
                }
            }
            let observed = if wrong.is_empty() {
                format!("{} columns, as expected", columns.len())
            } else {
                wrong.join("; ")
            };
            Ok(Observation::new(Verdict::from_bool(wrong.is_empty()), observed, columns.clone()))
        }))
    }
}
