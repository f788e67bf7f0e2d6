//! Rows that a function of the host finds good.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use mlops_core::{Error, Result, Rows};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::row_test::{Answer, NullPolicy, RowTest, Tested};

/// A function of the host judges every row by some of its columns.
///
/// The function must be one of rows: the same answer for a row whatever batch it comes in. Null
/// answers are what `nulls` says, skipped unless told. A suite that holds one can't be written
/// down, and single records are not judged by it.
#[derive(Clone)]
#[non_exhaustive]
pub struct CustomRows {
    /// What it is called in findings.
    pub name: String,
    /// The columns that it reads.
    pub columns: Vec<String>,
    judge: Arc<JudgeRows>,
}

type JudgeRows = dyn Fn(&Rows<'_>) -> Result<BooleanArray> + Send + Sync;

/// Expects this function to find every row good: [`CustomRows`].
///
/// ```
/// use mlops_core::arrow::array::{AsArray, BooleanArray, Int64Array};
/// use mlops_core::arrow::datatypes::Int64Type;
/// use mlops_core::{MemorySource, ValidatorExt, batch};
/// use mlops_validate::{Suite, custom_rows};
///
/// let even = custom_rows("even", ["n"], |rows| {
///     let n = rows.column("n")?.as_primitive::<Int64Type>();
///     Ok(BooleanArray::from_unary(n, |n| n % 2 == 0))
/// });
/// let data = MemorySource::from(batch! { "n" => Int64Array::from(vec![2, 3, 4]) }?);
/// let found = Suite::new("numbers").expect(even).validate(&data)?;
/// assert_eq!(found.findings[0].rows[0].row, 1);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn custom_rows<S: Into<String>>(
    name: impl Into<String>,
    columns: impl IntoIterator<Item = S>,
    judge: impl Fn(&Rows<'_>) -> Result<BooleanArray> + Send + Sync + 'static,
) -> Expectation {
    CustomRows {
        name: name.into(),
        columns: columns.into_iter().map(Into::into).collect(),
        judge: Arc::new(judge),
    }
    .into()
}

impl fmt::Debug for CustomRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomRows")
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl PartialEq for CustomRows {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.judge, &other.judge)
            && self.name == other.name
            && self.columns == other.columns
    }
}

impl Serialize for CustomRows {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        let message = format!("`{}` is a function and can't be written down", self.name);
        Err(serde::ser::Error::custom(message))
    }
}

impl<'de> Deserialize<'de> for CustomRows {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("a function is given in code, it can't be written down"))
    }
}

impl Kind for CustomRows {
    fn subject(&self) -> Subject<'_> {
        Subject::Columns(self.columns.iter().map(String::as_str).collect())
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let test = CustomTest { of: self.clone(), nulls: to.of.nulls };
        Ok(to.rows(format!("`{}` to hold", self.name), "rows with an answer", test))
    }
}

#[derive(Debug)]
struct CustomTest {
    of: CustomRows,
    nulls: NullPolicy,
}

impl RowTest for CustomTest {
    fn columns(&self) -> Vec<String> {
        self.of.columns.clone()
    }

    fn params(&self) -> serde_json::Value {
        // Two functions of one name are two: they are told apart by where they stand.
        let place = Arc::as_ptr(&self.of.judge).cast::<()>() as usize;
        json!({"custom": self.of.name, "function": place, "nulls": self.nulls})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let answers = (self.of.judge)(rows)?;
        if answers.len() != rows.len() {
            let what = format!("answers of `{}`", self.of.name);
            return Err(Error::invalid(what, format!("{} rows", rows.len()), answers.len()));
        }
        let no = !answers.values();
        let known = answers.nulls().filter(|n| n.null_count() > 0).map(|n| n.inner().clone());
        Ok(match (known, self.nulls) {
            (None, _) => Tested { looked_at: None, failing: Some(no) },
            (Some(known), NullPolicy::Skip) => {
                Tested { failing: Some(&no & &known), looked_at: Some(known) }
            }
            (Some(known), NullPolicy::Pass) => {
                Tested { looked_at: None, failing: Some(&no & &known) }
            }
            (Some(known), NullPolicy::Fail) => {
                Tested { looked_at: None, failing: Some(&no | &!&known) }
            }
        })
    }

    fn test_record(&self, _: &[Value<'_>]) -> Answer {
        Answer::Skip
    }

    fn judges_records(&self) -> bool {
        false
    }
}
