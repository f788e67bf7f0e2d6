//! One record at serving time, judged before a model sees it.

use std::sync::Arc;

use arrow::datatypes::Schema;
use mlops_core::{Error, Plan, Result, Severity, Verdict};

use crate::compile::RowRule;
use crate::row_test::{Answer, RowTest};
use crate::{Context, Expectation, Suite};

/// A value of a record: what a suite judges before a model sees it.
///
/// Dates, times and timestamps are counts in the unit of the column's type, decimals are floats;
/// a dictionary's value is the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number, or the count of a date, time or timestamp.
    Int(i64),
    /// A whole number without a sign.
    UInt(u64),
    /// A float or a decimal.
    Float(f64),
    /// A text.
    Text(&'a str),
}

macro_rules! from {
    ($($type:ty => $variant:ident($into:ty)),* $(,)?) => {$(
        impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Self::$variant(<$into>::from(value))
            }
        }
    )*};
}

from! {
    bool => Bool(bool),
    i8 => Int(i64), i16 => Int(i64), i32 => Int(i64), i64 => Int(i64),
    u8 => UInt(u64), u16 => UInt(u64), u32 => UInt(u64), u64 => UInt(u64),
    f32 => Float(f64), f64 => Float(f64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A suite made ready to judge single records; made by [`Suite::for_records`].
///
/// It holds the expectations that one row answers by itself. What needs many rows (a count, a
/// mean, uniqueness) or looks into structs and lists is named by
/// [`not_judged`](Self::not_judged). A record either fits an expectation or not: `mostly` means
/// nothing here. Judging allocates nothing, but for tests of
/// texts that must write a text first (a length of a number, a lower case).
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_core::arrow::datatypes::{DataType, Field, Schema};
/// use mlops_validate::{Suite, Value, in_range, in_set, not_null};
///
/// let suite = Suite::new("requests")
///     .expect(not_null("age"))
///     .expect(in_range("age", 18..=99))
///     .expect(in_set("country", ["NO", "SE"]));
/// let schema = Schema::new(vec![
///     Field::new("age", DataType::Int64, true),
///     Field::new("country", DataType::Utf8, true),
/// ]);
/// let judge = suite.for_records(&schema)?;
/// assert_eq!(judge.verdict(&[31.into(), "NO".into()])?, Verdict::Pass);
/// let bad = [Value::Int(150), Value::Text("DK")];
/// assert_eq!(judge.verdict(&bad)?, Verdict::Fail);
/// let why: Vec<_> = judge.failures(&bad)?.map(ToString::to_string).collect();
/// assert_eq!(why, ["in_range(age)", "in_set(country)"]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordJudge {
    width: usize,
    tests: Vec<(Expectation, Arc<dyn RowTest>)>,
    not_judged: Vec<Expectation>,
}

impl Suite {
    /// The suite made ready to judge records whose values stand in the order of this schema.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an expectation that is unusable, or that no record of this schema can
    /// answer: of a column that is not there or of another type.
    pub fn for_records(&self, schema: &Schema) -> Result<RecordJudge> {
        self.for_records_with(schema, &Context::default())
    }

    /// As [`for_records`](Self::for_records), with the other sources that expectations compare
    /// with; what of them is looked up is held in memory.
    ///
    /// # Errors
    /// As [`for_records`](Self::for_records); so is a source that is not given.
    pub fn for_records_with(&self, schema: &Schema, context: &Context) -> Result<RecordJudge> {
        let (_, rules) = self.compile(schema, context, &mut Plan::new())?;
        let mut judge =
            RecordJudge { width: schema.fields().len(), tests: Vec::new(), not_judged: Vec::new() };
        for (expectation, rule) in std::iter::zip(&self.expectations, rules) {
            match rule {
                Some(RowRule::Test(test)) if test.judges_records() => {
                    judge.tests.push((expectation.clone(), test));
                }
                None if expectation.check.kind().of_rows() => {
                    return Err(Error::invalid(
                        expectation.to_string(),
                        "columns of the records, of a type that it can read",
                        expectation.subject(),
                    ));
                }
                Some(_) | None => judge.not_judged.push(expectation.clone()),
            }
        }
        Ok(judge)
    }
}

impl RecordJudge {
    /// Pass where every critical expectation that looks at the record is met, fail where one is
    /// not, inconclusive where none looks at it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a record of another number of values.
    pub fn verdict(&self, record: &[Value<'_>]) -> Result<Verdict> {
        self.check_width(record)?;
        let mut verdict = Verdict::Inconclusive;
        for (expectation, test) in &self.tests {
            if expectation.severity == Severity::Critical {
                match test.test_record(record) {
                    Answer::Fail => return Ok(Verdict::Fail),
                    Answer::Pass => verdict = Verdict::Pass,
                    Answer::Skip => {}
                }
            }
        }
        Ok(verdict)
    }

    /// The expectations that the record does not meet, of any severity, in the suite's order.
    ///
    /// # Errors
    /// As [`verdict`](Self::verdict).
    pub fn failures<'r>(
        &'r self,
        record: &'r [Value<'r>],
    ) -> Result<impl Iterator<Item = &'r Expectation>> {
        self.check_width(record)?;
        let failing =
            |(_, test): &&(Expectation, Arc<dyn RowTest>)| test.test_record(record) == Answer::Fail;
        Ok(self.tests.iter().filter(failing).map(|(expectation, _)| expectation))
    }

    /// The expectations that no single record can answer.
    pub fn not_judged(&self) -> &[Expectation] {
        &self.not_judged
    }

    fn check_width(&self, record: &[Value<'_>]) -> Result<()> {
        if record.len() == self.width {
            return Ok(());
        }
        Err(Error::invalid("record", format!("{} values", self.width), record.len()))
    }
}
