//! How an expectation is made ready for one schema: what it measures, and how it judges.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use mlops_core::states::RowCount;
use mlops_core::{Analyzer, Error, Finding, Handle, Judge, Measurements, Plan, Result, Verdict};
use serde_json::json;

use crate::Expectation;
use crate::condition::{Condition, Where};
use crate::context::Lookups;
use crate::failing_rows::{FailingRows, in_words};
use crate::outcome::{Measured, Outcome};
use crate::place::Place;
use crate::row_test::{ColumnTest, RowTest, Unexpected};
use crate::value_test::{Always, ValueTest};
use crate::values::value_type;

/// An expectation made ready for one schema.
pub(crate) struct Compiled {
    pub(crate) judge: Judge<Outcome>,
    /// Which rows fail it, where rows can.
    pub(crate) rows: Option<RowRule>,
}

/// Which rows fail an expectation.
#[derive(Clone)]
pub(crate) enum RowRule {
    /// Each row tells by itself.
    Test(Arc<dyn RowTest>),
    /// Rows can tell only after all have been measured.
    AfterAll(Arc<AfterAll>),
    /// And not even how many fail is known before they have been asked, in a second pass.
    SecondPass(Box<SecondPass>),
}

/// What is asked of the rows once all have been measured.
#[derive(Clone)]
pub(crate) struct SecondPass {
    pub(crate) make: Arc<AfterAll>,
    /// What is expected, in words.
    pub(crate) expected: Arc<str>,
    /// Of which rows it is asked; the test that is made does not know.
    pub(crate) condition: Option<Condition>,
}

/// Makes the test of rows of what was measured over all of them.
pub(crate) type AfterAll = dyn Fn(&Measurements) -> Result<Arc<dyn RowTest>> + Send + Sync;

/// What a measured value means.
pub(crate) struct Observation {
    pub(crate) verdict: Verdict,
    /// In words.
    pub(crate) observed: String,
    /// The number behind the verdict, where there is one.
    pub(crate) number: Option<f64>,
    pub(crate) measured: Measured,
    /// The rows that were answered for without being read.
    pub(crate) settled_rows: u64,
}

/// The expectation in hand, the schema it is made ready for, and the plan that it adds to.
pub(crate) struct Compiler<'a> {
    pub(crate) of: &'a Expectation,
    pub(crate) schema: &'a Schema,
    /// The time and the other sources.
    pub(crate) given: &'a Lookups<'a>,
    plan: &'a mut Plan,
    condition: Option<&'a Condition>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(
        of: &'a Expectation,
        schema: &'a Schema,
        given: &'a Lookups<'a>,
        plan: &'a mut Plan,
        condition: Option<&'a Condition>,
    ) -> Self {
        Self { of, schema, given, plan, condition }
    }

    /// Adds a measurement of the rows that the expectation is about.
    pub(crate) fn add<A: Analyzer>(&mut self, analyzer: A) -> Handle<A::Output>
    where
        A::Output: Sync,
    {
        match self.condition {
            None => self.plan.add(analyzer),
            Some(condition) => self.plan.add(Where { condition: condition.clone(), analyzer }),
        }
    }

    /// The column's field.
    pub(crate) fn field(&self, column: &str) -> Result<&'a Field> {
        Ok(self.schema.field_with_name(column)?)
    }

    /// The type of a column's values: of a dictionary that of what it holds.
    pub(crate) fn value_type(&self, column: &str) -> Result<&'a DataType> {
        Ok(value_type(self.field(column)?.data_type()))
    }

    /// The answer that no data can change.
    pub(crate) fn fixed(&self, expected: impl Into<String>, seen: Observation) -> Compiled {
        let outcome = outcome(self.of, &expected.into(), seen);
        Compiled { judge: Judge::new(move |_| Ok(outcome.clone())), rows: None }
    }

    /// The answer to a column that can't be measured: a fail, with the reason.
    pub(crate) fn refused(&self, expected: impl Into<String>, found: String) -> Compiled {
        self.fixed(
            expected,
            Observation {
                verdict: Verdict::Fail,
                observed: found.clone(),
                number: None,
                measured: Measured::Failed(found),
                settled_rows: 0,
            },
        )
    }

    /// The answer to a column whose type the check can't read.
    pub(crate) fn wrong_type(&self, column: &str, expected: impl Into<String>) -> Result<Compiled> {
        let data_type = self.field(column)?.data_type();
        Ok(self.refused(expected, format!("column `{column}` of type {data_type}")))
    }

    /// Judges the values of one column, or of what stands within it, row by row. `make` gives the
    /// test for their type, `None` where there is none; `wanted` says what it can read.
    pub(crate) fn values(
        &mut self,
        expected: impl Into<String>,
        column: &str,
        wanted: &str,
        make: impl FnOnce(&DataType) -> Result<Option<Box<dyn ValueTest>>>,
    ) -> Result<Compiled> {
        let place = Place::find(self.schema, column).ok_or_else(|| Error::ColumnNotFound {
            column: column.to_owned(),
            available: self.schema.fields().iter().map(|f| f.name().clone()).collect(),
        })?;
        let test: Box<dyn ValueTest> = match value_type(&place.data_type) {
            // What a reader makes of a column without a single value.
            DataType::Null => Box::new(Always(true)),
            data_type => {
                let Some(test) = make(data_type)? else {
                    let found = format!("column `{column}` of type {}", place.data_type);
                    return Ok(self.refused(wanted, found));
                };
                test
            }
        };
        let params = json!({
            "check": self.of.check,
            "type": self.schema.field(place.index).data_type().to_string(),
        });
        let test = ColumnTest { place, nulls: self.of.nulls, params, test };
        Ok(self.rows(expected, "rows with a value", test))
    }

    /// Judges rows by a test that is made of what was measured over all of them, in a second
    /// pass. Where `make` says that there can be none, the answer is inconclusive.
    pub(crate) fn second_pass(
        &mut self,
        expected: impl Into<String>,
        vacuous: impl Fn(&Measurements) -> Result<bool> + Send + Sync + 'static,
        make: impl Fn(&Measurements) -> Result<Arc<dyn RowTest>> + Send + Sync + 'static,
    ) -> Compiled {
        let expected = expected.into();
        let make: Arc<AfterAll> = Arc::new(make);
        let rule = RowRule::SecondPass(Box::new(SecondPass {
            make: make.clone(),
            expected: expected.as_str().into(),
            condition: None,
        }));
        let first = self.judged(expected, move |m| {
            if vacuous(m)? {
                return Ok(Observation::vacuous("no rows with a value: nothing was measured"));
            }
            make(m)?;
            let found = "needs a second pass over the rows, which `Suite::check` makes".to_owned();
            Ok(Observation {
                verdict: Verdict::Inconclusive,
                observed: found.clone(),
                number: None,
                measured: Measured::Failed(found),
                settled_rows: 0,
            })
        });
        Compiled { judge: first.judge, rows: Some(rule) }
    }

    /// Judges rows, each by itself; `what` names those that are looked at.
    pub(crate) fn rows(
        &mut self,
        expected: impl Into<String>,
        what: &'static str,
        test: impl RowTest,
    ) -> Compiled {
        self.rows_of(expected, what, Arc::new(test))
    }

    /// The same of a test that is shared.
    pub(crate) fn rows_of(
        &mut self,
        expected: impl Into<String>,
        what: &'static str,
        test: Arc<dyn RowTest>,
    ) -> Compiled {
        let unexpected = self.add(Unexpected(test.clone()));
        self.row_judge(expected, what, RowRule::Test(test), unexpected, |found| {
            (found.looked_at, &found.failing)
        })
    }

    /// Judges rows by a measurement that knows how many were looked at, and which of them fail.
    pub(crate) fn row_judge<T: Sync + 'static>(
        &mut self,
        expected: impl Into<String>,
        what: &'static str,
        rule: RowRule,
        handle: Handle<T>,
        rows: impl Fn(&T) -> (u64, &FailingRows) + Send + Sync + 'static,
    ) -> Compiled {
        let all = self.add(RowCount);
        let (of, expected) = (self.of.clone(), expected.into());
        let judge = Judge::new(move |m| {
            let mut seen = match (m.get(&all), m.get(&handle)) {
                (Ok(&all), Ok(found)) => {
                    let (looked_at, failing) = rows(found);
                    of_rows(&of, all, looked_at, what, failing)
                }
                (Err(error), _) | (_, Err(error)) => unmeasured(&error),
            };
            seen.settled_rows = m.settled(&handle)?.rows;
            Ok(outcome(&of, &expected, seen))
        });
        Compiled { judge, rows: Some(rule) }
    }

    /// Judges what was measured over all rows. An error is an answer, too: inconclusive.
    pub(crate) fn measured<T: Sync + 'static>(
        &mut self,
        expected: impl Into<String>,
        handle: Handle<T>,
        judge: impl Fn(&T) -> Result<Observation> + Send + Sync + 'static,
    ) -> Compiled {
        self.judged(expected, move |m| {
            let seen = judge(m.get(&handle)?)?;
            Ok(Observation { settled_rows: m.settled(&handle)?.rows, ..seen })
        })
    }

    /// Judges whatever was measured. An error is an answer, too: inconclusive.
    pub(crate) fn judged(
        &mut self,
        expected: impl Into<String>,
        judge: impl Fn(&Measurements) -> Result<Observation> + Send + Sync + 'static,
    ) -> Compiled {
        let (of, expected) = (self.of.clone(), expected.into());
        let judge = Judge::new(move |m| {
            let seen = judge(m).unwrap_or_else(|error| unmeasured(&error));
            Ok(outcome(&of, &expected, seen))
        });
        Compiled { judge, rows: None }
    }
}

impl Observation {
    /// A value that was computed, with what it means.
    pub(crate) fn new(
        verdict: Verdict,
        observed: impl Into<String>,
        value: impl Into<serde_json::Value>,
    ) -> Self {
        let measured = Measured::Value(value.into());
        Self { verdict, observed: observed.into(), number: None, measured, settled_rows: 0 }
    }

    /// The same, with the number behind the verdict.
    pub(crate) fn with_number(mut self, number: f64) -> Self {
        self.number = Some(number);
        self
    }

    /// There is no answer, for a reason that is told.
    pub(crate) fn inconclusive(observed: impl Into<String>, measured: Measured) -> Self {
        let (verdict, observed) = (Verdict::Inconclusive, observed.into());
        Self { verdict, observed, number: None, measured, settled_rows: 0 }
    }

    /// Nothing was there to be measured: inconclusive.
    pub(crate) fn vacuous(observed: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Inconclusive,
            observed: observed.into(),
            number: None,
            measured: Measured::Vacuous,
            settled_rows: 0,
        }
    }
}

/// The observation of a measurement that could not be made.
fn unmeasured(error: &Error) -> Observation {
    Observation {
        verdict: Verdict::Inconclusive,
        observed: error.to_string(),
        number: None,
        measured: Measured::Failed(error.to_string()),
        settled_rows: 0,
    }
}

/// How many rows were looked at, and which of them failed.
fn of_rows(
    of: &Expectation,
    all: u64,
    looked_at: u64,
    what: &str,
    failing: &FailingRows,
) -> Observation {
    if looked_at == 0 {
        return Observation::vacuous(format!("no {what}: nothing was measured"));
    }
    let (unexpected, samples) = (failing.count().min(looked_at), failing.samples());
    let share = (looked_at - unexpected) as f64 / looked_at as f64;
    let mut observed = if unexpected == 0 {
        format!("all of {looked_at} {what}")
    } else {
        let part = percent(unexpected as f64 / looked_at as f64);
        format!("{unexpected} of {looked_at} {what} ({part}) unexpected")
    };
    let words = |values: &Vec<serde_json::Value>| match values.as_slice() {
        [serde_json::Value::Null] => None,
        values => Some(values.iter().map(in_words).collect::<Vec<_>>().join(", ")),
    };
    let mut seen = HashSet::new();
    let mut examples: Vec<_> = samples.iter().filter_map(|s| words(&s.values)).collect();
    examples.retain(|value| seen.insert(value.clone()));
    if !examples.is_empty() {
        examples.truncate(5);
        observed = format!("{observed}: `{}`", examples.join("`, `"));
    }
    Observation {
        verdict: Verdict::from_bool(share >= of.mostly),
        observed,
        number: Some(share),
        measured: Measured::Rows {
            element_count: all,
            missing_count: all.saturating_sub(looked_at),
            unexpected_count: unexpected,
            samples,
        },
        settled_rows: 0,
    }
}

fn outcome(of: &Expectation, expected: &str, seen: Observation) -> Outcome {
    let expected = match of.mostly {
        1.0 => expected.to_owned(),
        mostly => format!("{expected} in at least {}", percent(mostly)),
    };
    let mut finding = Finding::new(of.kind(), of.subject(), seen.verdict, expected, seen.observed)
        .with_severity(of.severity);
    if let Some(number) = seen.number {
        finding = finding.with_value(number);
    }
    if let Measured::Rows { unexpected_count, samples, .. } = &seen.measured {
        let rows = samples.iter().map(|s| s.row.clone()).collect();
        finding = finding.with_rows(*unexpected_count, rows);
    }
    Outcome {
        expectation: of.clone(),
        finding,
        measured: seen.measured,
        settled_rows: seen.settled_rows,
    }
}

/// A share in percent, with as many digits as tell it from 0 and 100.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let rounded = format!("{percent:.2}");
    let text = rounded.trim_end_matches('0').trim_end_matches('.');
    match text {
        "0" if share > 0.0 => "<0.01 %".into(),
        "100" if share < 1.0 => ">99.99 %".into(),
        text => format!("{text} %"),
    }
}
