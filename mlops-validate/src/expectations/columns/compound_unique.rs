//! No combination of the values of several columns stands twice.

use std::sync::Arc;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, check_columns};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, RowRule};
use crate::expectations::map::StandsOnce;
use crate::keys::{Keys, Missing};

/// No two rows have the same values in all of these columns; *every* row of a group of equal ones
/// is unexpected. A missing value is a value, equal to itself.
///
/// Exact, in memory that is bounded: see [`Keys`]. Great Expectations:
/// `expect_compound_columns_to_be_unique`; deequ: `areUnique`, `isPrimaryKey`; dbt:
/// `unique_combination_of_columns`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CompoundUnique {
    /// The columns, at least two.
    pub columns: Vec<String>,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects no combination of values of these columns to stand twice: [`CompoundUnique`].
pub fn compound_unique<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Expectation {
    let columns = columns.into_iter().map(Into::into).collect();
    CompoundUnique { columns, ignore_rows: IgnoreRows::AllMissing }.into()
}

impl Kind for CompoundUnique {
    fn subject(&self) -> Subject<'_> {
        Subject::Columns(self.columns.iter().map(String::as_str).collect())
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        check_columns(&self.columns)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        const EXPECTED: &str = "combinations that stand once";
        let missing = match self.ignore_rows {
            IgnoreRows::AllMissing => Missing::All,
            IgnoreRows::AnyMissing => Missing::Any,
            IgnoreRows::Never => Missing::Never,
        };
        let columns = self.columns.clone();
        let keys = match Keys::new(to.schema, &columns, missing) {
            Ok(keys) => keys,
            Err(error) => return Ok(to.refused(EXPECTED, error.to_string())),
        };
        let handle = to.add(keys);
        let rule = RowRule::AfterAll(Arc::new(move |m| {
            let keys = m.get(&handle)?.clone();
            Ok(Arc::new(StandsOnce { columns: columns.clone(), keys }))
        }));
        Ok(to.row_judge(EXPECTED, "rows", rule, handle, |found| (found.keyed, &found.failing)))
    }
}
