//! No value is missing.

use mlops_core::{Result, Rows};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::row_test::{Answer, RowTest, Tested};
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

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let index = to.schema.index_of(&self.column)?;
        Ok(to.rows("a value", "rows", HasValue { column: self.column.clone(), index }))
    }
}

/// Whether a row has a value in the column.
#[derive(Debug)]
pub(crate) struct HasValue {
    pub(crate) column: String,
    pub(crate) index: usize,
}

impl RowTest for HasValue {
    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn params(&self) -> serde_json::Value {
        json!({"not_null": self.column})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let present = present(rows.column(&self.column)?);
        Ok(Tested { looked_at: None, failing: present.map(|present| !&present) })
    }

    fn test_record(&self, record: &[Value<'_>]) -> Answer {
        Answer::from_bool(!matches!(record.get(self.index), None | Some(Value::Null)))
    }
}
