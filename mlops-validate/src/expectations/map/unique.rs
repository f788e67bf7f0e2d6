//! No value stands twice.

use std::sync::Arc;

use mlops_core::{Result, Rows};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, RowRule};
use crate::keys::{KeyCounts, Keys, Missing};
use crate::record::Value;
use crate::row_test::{Answer, RowTest, Tested};

/// No two rows have the same value; *every* row of a group of equal ones is unexpected.
///
/// Exact, in memory that is bounded: see [`Keys`]. Nulls are left out; all NaN are one value, and
/// so are 0 and −0. Great Expectations: `expect_column_values_to_be_unique`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Unique {
    /// The column.
    pub column: String,
}

/// Expects no value to stand twice: [`Unique`].
pub fn unique(column: impl Into<String>) -> Expectation {
    Unique { column: column.into() }.into()
}

impl Kind for Unique {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let columns = vec![self.column.clone()];
        let Ok(keys) = Keys::new(to.schema, &columns, Missing::Any) else {
            return to.wrong_type(&self.column, "a column of values that can be compared");
        };
        let handle = to.add(keys);
        let rule = RowRule::AfterAll(Arc::new(move |m| {
            let keys = m.get(&handle)?.clone();
            Ok(Arc::new(StandsOnce { columns: columns.clone(), keys }))
        }));
        Ok(to.row_judge("values that stand once", "rows with a value", rule, handle, |found| {
            (found.keyed, &found.failing)
        }))
    }
}

/// Whether a row's key stands in no other row: known only after all have been seen.
#[derive(Debug)]
pub(crate) struct StandsOnce {
    pub(crate) columns: Vec<String>,
    pub(crate) keys: KeyCounts,
}

impl RowTest for StandsOnce {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn params(&self) -> serde_json::Value {
        serde_json::json!({"stands_once": self.columns})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        Ok(Tested {
            looked_at: self.keys.keyed_rows(rows)?,
            failing: Some(self.keys.repeated(rows)?),
        })
    }

    fn test_record(&self, _: &[Value<'_>]) -> Answer {
        Answer::Skip
    }
}
