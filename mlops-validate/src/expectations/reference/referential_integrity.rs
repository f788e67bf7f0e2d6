//! Every key is among those of another source.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use mlops_core::{Error, Result, Rows};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keys::{KeySet, common, rows_of};
use super::{not_given, unread};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::row_test::{Answer, NullPolicy, RowTest, Tested};
use crate::values::present;

/// Every value of a column, or every tuple of several, stands in columns of another source.
///
/// Rows with a null among their keys are left out (`nulls` of a single column says otherwise).
/// Integers compare with integers and floats by value, texts of any layout with each other, other
/// types with their own. The other source is read before the pass; its different keys are held in
/// memory. Not given, the expectation is inconclusive. deequ: `ReferentialIntegrity`; dbt:
/// `relationships`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ReferentialIntegrity {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The name of the other source.
    pub source: String,
    /// Its columns, in the order of `columns`.
    pub references: Vec<String>,
}

/// Expects every tuple of these columns among those of columns of another source:
/// [`ReferentialIntegrity`].
pub fn referential_integrity<C: Into<String>, R: Into<String>>(
    columns: impl IntoIterator<Item = C>,
    source: impl Into<String>,
    references: impl IntoIterator<Item = R>,
) -> Expectation {
    ReferentialIntegrity {
        columns: columns.into_iter().map(Into::into).collect(),
        source: source.into(),
        references: references.into_iter().map(Into::into).collect(),
    }
    .into()
}

impl Kind for ReferentialIntegrity {
    fn subject(&self) -> Subject<'_> {
        match self.columns.as_slice() {
            [one] => Subject::Column(one),
            several => Subject::Columns(several.iter().map(String::as_str).collect()),
        }
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        let (n, m) = (self.columns.len(), self.references.len());
        if n == 0 || n != m {
            let expected = "as many columns as references, and at least one";
            return Err(Error::invalid("keys", expected, format!("{n} and {m}")));
        }
        Ok(())
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected =
            format!("keys among `{}` of `{}`", self.references.join("`, `"), self.source);
        in_source(to, &expected, &self.columns, &self.source, &self.references, false)
    }
}

/// Judges every row by whether its values stand together in another source.
pub(super) fn in_source(
    to: &mut Compiler<'_>,
    expected: &str,
    columns: &[String],
    source: &str,
    references: &[String],
    null_is_a_value: bool,
) -> Result<Compiled> {
    let Some(other) = to.given.source(source) else {
        return Ok(unread(to, expected, not_given(source)));
    };
    let schema = other.schema();
    let mut types = Vec::with_capacity(columns.len());
    for (column, reference) in columns.iter().zip(references) {
        let Ok(field) = schema.field_with_name(reference) else {
            return Ok(unread(to, expected, format!("no column `{reference}` in `{source}`")));
        };
        match common(to.field(column)?.data_type(), field.data_type()) {
            Some(data_type) => types.push(data_type),
            None => return to.wrong_type(column, format!("values like {}", field.data_type())),
        }
    }
    let place =
        json!([source, references, types.iter().map(ToString::to_string).collect::<Vec<_>>()]);
    let read = || KeySet::read(other, references, &types);
    let keys = match to.given.once(place.to_string(), read) {
        Ok(keys) => keys,
        Err(error) => return Ok(unread(to, expected, error.to_string())),
    };
    let test = InSource {
        columns: columns.to_vec(),
        types,
        nulls: if null_is_a_value { None } else { Some(to.of.nulls) },
        keys,
        place,
    };
    Ok(to.rows(expected, "rows with a key", test))
}

/// Whether the values of some columns stand together in another source.
#[derive(Debug)]
struct InSource {
    columns: Vec<String>,
    types: Vec<DataType>,
    /// What a row with a null among its keys is; `None` where null is a value.
    nulls: Option<NullPolicy>,
    keys: Arc<KeySet>,
    place: serde_json::Value,
}

impl RowTest for InSource {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn params(&self) -> serde_json::Value {
        // What was read of a source is told apart by where it stands.
        let keys = Arc::as_ptr(&self.keys) as usize;
        json!({"columns": self.columns, "in": self.place, "keys": keys, "nulls": self.nulls})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let (arrays, keys) = rows_of(|c| rows.column(c), &self.columns, &self.types)?;
        let found = |row: usize| self.keys.contains(keys.row(row).as_ref());
        let failing = BooleanBuffer::collect_bool(rows.len(), |row| !found(row));
        let there = arrays.iter().filter_map(present).reduce(|a, b| &a & &b);
        Ok(match (there, self.nulls) {
            (None, _) | (_, None) => Tested { looked_at: None, failing: Some(failing) },
            (Some(there), Some(NullPolicy::Skip)) => {
                Tested { failing: Some(&failing & &there), looked_at: Some(there) }
            }
            (Some(there), Some(NullPolicy::Pass)) => {
                Tested { looked_at: None, failing: Some(&failing & &there) }
            }
            (Some(there), Some(NullPolicy::Fail)) => {
                Tested { looked_at: None, failing: Some(&failing | &!&there) }
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
