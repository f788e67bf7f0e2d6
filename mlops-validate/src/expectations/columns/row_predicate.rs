//! What the kinds of several columns have in common: an expression, and rows that are left out.

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use mlops_core::{Error, Result, Rows};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::check::Check;
use crate::compile::{Compiled, Compiler};
use crate::expression::{BoundExpression, Expression};
use crate::record::Value;
use crate::row_test::{Answer, NullPolicy, RowTest, Tested};
use crate::values::present;

/// Which rows a question about several columns leaves out for their missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreRows {
    /// Those in which all values are missing. Great Expectations: `both_values_are_missing`,
    /// `all_values_are_missing`, its default.
    #[default]
    AllMissing,
    /// Those in which any value is missing. Great Expectations: `either_value_is_missing`,
    /// `any_value_is_missing`.
    AnyMissing,
    /// None. Great Expectations: `neither`, `never`.
    Never,
}

/// What an answer that is unknown, because of a null, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Rows are left out by their columns; where the expression still knows nothing, it fails.
    Out(IgnoreRows),
    /// Unknown answers are skipped, or pass, or fail.
    Unknown(NullPolicy),
}

/// A row passes if the expression is true for it.
#[derive(Debug)]
pub(super) struct RowPredicate {
    columns: Vec<String>,
    indices: Vec<usize>,
    expression: BoundExpression,
    left: Left,
    params: serde_json::Value,
}

impl RowPredicate {
    /// The expression over these columns; `check` and the columns' types tell it from others.
    pub(super) fn new(
        expression: &Expression,
        columns: Vec<String>,
        left: Left,
        check: &Check,
        schema: &Schema,
    ) -> Result<Self> {
        let indices: Vec<_> =
            columns.iter().map(|c| Ok(schema.index_of(c)?)).collect::<Result<_>>()?;
        let types: Vec<_> =
            indices.iter().map(|&i| schema.field(i).data_type().to_string()).collect();
        Ok(Self {
            expression: expression.bind(schema)?,
            params: json!({"check": check, "types": types, "left": format!("{left:?}")}),
            columns,
            indices,
            left,
        })
    }

    /// The rows that are looked at, for their values alone.
    fn looked_at(&self, rows: &Rows<'_>, ignore: IgnoreRows) -> Result<Option<BooleanBuffer>> {
        let mut all: Option<BooleanBuffer> = None;
        for (i, column) in self.columns.iter().enumerate() {
            let there = present(rows.column(column)?);
            all = match (ignore, all, there) {
                // One column that is never null is enough for all rows.
                (IgnoreRows::Never, ..) | (IgnoreRows::AllMissing, _, None) => return Ok(None),
                (_, None, there) if i == 0 => there,
                (IgnoreRows::AnyMissing, all, None) => all,
                (_, None, there) => there,
                (IgnoreRows::AllMissing, Some(all), Some(there)) => Some(&all | &there),
                (IgnoreRows::AnyMissing, Some(all), Some(there)) => Some(&all & &there),
            };
        }
        Ok(all)
    }
}

impl RowTest for RowPredicate {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn params(&self) -> serde_json::Value {
        self.params.clone()
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let truth = self.expression.truth(rows)?;
        let known = truth.nulls().filter(|n| n.null_count() > 0).map(|n| n.inner().clone());
        let holds = match &known {
            Some(known) => truth.values() & known,
            None => truth.values().clone(),
        };
        Ok(match (self.left, known) {
            (Left::Out(ignore), _) => match self.looked_at(rows, ignore)? {
                Some(looked_at) => {
                    let failing = &looked_at & &!&holds;
                    Tested { looked_at: Some(looked_at), failing: Some(failing) }
                }
                None => Tested { looked_at: None, failing: Some(!&holds) },
            },
            (Left::Unknown(NullPolicy::Skip), Some(known)) => {
                let failing = &known & &!&holds;
                Tested { looked_at: Some(known), failing: Some(failing) }
            }
            (Left::Unknown(NullPolicy::Pass), Some(known)) => {
                Tested { looked_at: None, failing: Some(&known & &!&holds) }
            }
            (Left::Unknown(_), _) => Tested { looked_at: None, failing: Some(!&holds) },
        })
    }

    fn test_record(&self, record: &[Value<'_>]) -> Answer {
        let truth = self.expression.truth_of(record);
        let missing = |i: &usize| matches!(record.get(*i), None | Some(Value::Null));
        let left_out = match self.left {
            Left::Out(IgnoreRows::AllMissing) => self.indices.iter().all(missing),
            Left::Out(IgnoreRows::AnyMissing) => self.indices.iter().any(missing),
            Left::Out(IgnoreRows::Never) | Left::Unknown(_) => false,
        };
        match (left_out, truth, self.left) {
            (true, ..) | (_, None, Left::Unknown(NullPolicy::Skip)) => Answer::Skip,
            (_, Some(true), _) | (_, None, Left::Unknown(NullPolicy::Pass)) => Answer::Pass,
            _ => Answer::Fail,
        }
    }
}

impl Compiler<'_> {
    /// Judges rows by an expression over these columns.
    pub(super) fn predicate(
        &mut self,
        expected: String,
        expression: &Expression,
        columns: &[&str],
        left: Left,
    ) -> Compiled {
        let columns = columns.iter().map(|&c| c.to_owned()).collect();
        match RowPredicate::new(expression, columns, left, &self.of.check, self.schema) {
            Ok(test) => self.rows(expected, "rows", test),
            // Columns of types that have no such answer.
            Err(error) => self.refused(expected, error.to_string()),
        }
    }
}

/// A column's name as an expression writes it.
pub(super) fn name(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// At least two columns, none twice.
pub(super) fn check_columns(columns: &[String]) -> Result<()> {
    let found = || columns.join(", ");
    if columns.len() < 2 {
        return Err(Error::invalid("columns", "at least two", found()));
    }
    if (1..columns.len()).any(|i| columns[..i].contains(&columns[i])) {
        return Err(Error::invalid("columns", "each column once", found()));
    }
    Ok(())
}
