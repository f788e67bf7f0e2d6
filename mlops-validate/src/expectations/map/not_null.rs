//! No value is missing, or every one is.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use mlops_core::{Result, Rows, Statistics};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::place::Place;
use crate::record::Value;
use crate::row_test::{Answer, NullPolicy, RowTest, Tested};
use crate::values::present;

/// No value of the column is null; the share of `mostly` is of all rows.
///
/// A NaN is a value. Great Expectations: `expect_column_values_to_not_be_null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotNull {
    /// The column.
    pub column: String,
}

/// Expects every row to have a value in the column: [`NotNull`].
pub fn not_null(column: impl Into<String>) -> Expectation {
    NotNull { column: column.into() }.into()
}

impl Kind for NotNull {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        presence(to, "a value", &self.column, true)
    }
}

/// Every value of the column is null; the share of `mostly` is of all rows.
///
/// A NaN is a value, and so is an empty text. Great Expectations:
/// `expect_column_values_to_be_null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IsNull {
    /// The column.
    pub column: String,
}

/// Expects no row to have a value in the column: [`IsNull`].
pub fn is_null(column: impl Into<String>) -> Expectation {
    IsNull { column: column.into() }.into()
}

impl Kind for IsNull {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        presence(to, "no value", &self.column, false)
    }
}

fn presence(to: &mut Compiler<'_>, words: &str, column: &str, wanted: bool) -> Result<Compiled> {
    match Place::find(to.schema, column) {
        Some(place) => Ok(to.rows(words, "rows", HasValue { place, wanted })),
        None => to.wrong_type(column, words),
    }
}

/// Whether a row has a value, and whether it should. Of the items of a list all must.
#[derive(Debug)]
pub(crate) struct HasValue {
    place: Place,
    wanted: bool,
}

impl HasValue {
    /// Expects a value in this column of the schema.
    pub(crate) fn of(schema: &Schema, column: &str) -> Option<Self> {
        Some(Self { place: Place::find(schema, column)?, wanted: true })
    }
}

impl RowTest for HasValue {
    fn columns(&self) -> Vec<String> {
        vec![self.place.column.clone()]
    }

    fn params(&self) -> serde_json::Value {
        json!({"present": self.wanted, "place": format!("{:?}", self.place)})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let column = rows.column(&self.place.column)?;
        let nulls = if self.wanted { NullPolicy::Fail } else { NullPolicy::Pass };
        let all = |values: &ArrayRef| {
            let n = values.len();
            let all = BooleanBuffer::new_set(n);
            Ok(if self.wanted { all } else { BooleanBuffer::new_unset(n) })
        };
        if self.place.is_column() && self.wanted {
            let failing = present(column).map(|present| !&present);
            return Ok(Tested { looked_at: None, failing });
        }
        self.place.test(column, nulls, &all)
    }

    fn settle(&self, known: &Statistics) -> Result<Option<u64>> {
        let nulls = known.column(&self.place.column).and_then(|column| column.null_count);
        let Some(nulls) = nulls.filter(|_| self.place.is_column()) else { return Ok(None) };
        let wanted = if self.wanted { 0 } else { known.rows() };
        Ok((nulls == wanted).then_some(known.rows()))
    }

    fn shown(&self, rows: &Rows<'_>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.place.shown(rows.column(&self.place.column)?)?])
    }

    fn judges_records(&self) -> bool {
        self.place.is_column()
    }

    fn test_record(&self, record: &[Value<'_>]) -> Answer {
        let there = !matches!(record.get(self.place.index), None | Some(Value::Null));
        Answer::from_bool(there == self.wanted)
    }
}
