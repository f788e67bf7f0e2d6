//! One question about data, and how it is written down.

use std::fmt;

use arrow::datatypes::Schema;
use mlops_core::{Error, Finding, Handle, Judge, Measurements, Plan, Result, Severity, Verdict};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::expectations::{
    InRange, InSet, MatchesRegex, NotNull, RowCount, StringLength, TableSchema, Unique,
};
use crate::failing_rows::FailingRows;
use crate::unexpected::{NullCount, Nulls, Test, Unexpected};

/// What is asked: one variant a kind, named as suites name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "expectation", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// The columns, their types, and whether they may be null.
    Schema(TableSchema),
    /// How many rows there are.
    RowCount(RowCount),
    /// No value is missing.
    NotNull(NotNull),
    /// No value stands twice.
    Unique(Unique),
    /// Values lie between bounds.
    InRange(InRange),
    /// Values are of a set.
    InSet(InSet),
    /// Texts match a pattern.
    MatchesRegex(MatchesRegex),
    /// Texts have a length.
    StringLength(StringLength),
}

/// A question about data: a [`Check`], the share of rows that must pass, and how much it matters.
///
/// Made by the functions of this crate ([`not_null`](crate::not_null),
/// [`in_range`](crate::in_range), …) and narrowed by the methods; in a suite's text it is one flat
/// map. A kind or field that does not exist is an error.
///
/// ```
/// use mlops_core::Severity;
/// use mlops_validate::{Expectation, in_range};
///
/// let text = r#"{"expectation": "in_range", "column": "age", "min": 18, "max": 99,
///                "mostly": 0.99, "severity": "warning"}"#;
/// let read: Expectation = serde_json::from_str(text)?;
/// assert_eq!(read, in_range("age", 18..=99).mostly(0.99).severity(Severity::Warning));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Expectation {
    /// What is asked.
    pub check: Check,
    /// The share of the rows with a value that must pass, in `[0, 1]`; 1 unless narrowed.
    pub mostly: f64,
    /// How much a failure matters; critical unless told.
    pub severity: Severity,
}

impl Expectation {
    pub(crate) fn new(check: Check) -> Self {
        Self { check, mostly: 1.0, severity: Severity::Critical }
    }

    /// The same, content with this share of the rows that have a value, compared in `f64` as
    /// `(with value − unexpected) / with value >= mostly`. Only for checks of rows.
    #[must_use]
    pub fn mostly(mut self, share: f64) -> Self {
        self.mostly = share;
        self
    }

    /// The same, mattering this much; only critical ones decide a suite's verdict.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The kind's name, as suites write it.
    pub fn kind(&self) -> &'static str {
        match &self.check {
            Check::Schema(_) => "schema",
            Check::RowCount(_) => "row_count",
            Check::NotNull(_) => "not_null",
            Check::Unique(_) => "unique",
            Check::InRange(_) => "in_range",
            Check::InSet(_) => "in_set",
            Check::MatchesRegex(_) => "matches_regex",
            Check::StringLength(_) => "string_length",
        }
    }

    /// The column that is asked about, `None` for questions about the table.
    pub fn column(&self) -> Option<&str> {
        match &self.check {
            Check::Schema(_) | Check::RowCount(_) => None,
            Check::NotNull(c) => Some(&c.column),
            Check::Unique(c) => Some(&c.column),
            Check::InRange(c) => Some(&c.column),
            Check::InSet(c) => Some(&c.column),
            Check::MatchesRegex(c) => Some(&c.column),
            Check::StringLength(c) => Some(&c.column),
        }
    }

    /// Whether the question makes sense in itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty range, a pattern that does not parse, a `mostly` that is no
    /// share or stands at a question about the table.
    pub fn check_usable(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.mostly) {
            let what = format!("`mostly` of {self}");
            return Err(Error::invalid(what, "a share in [0, 1]", self.mostly));
        }
        if self.column().is_none() && self.mostly != 1.0 {
            let what = format!("`mostly` of {self}");
            return Err(Error::invalid(what, "none: it is about the table", self.mostly));
        }
        match &self.check {
            Check::Schema(c) => c.check_usable(),
            Check::RowCount(c) => c.check_usable(),
            Check::NotNull(_) | Check::Unique(_) | Check::InSet(_) => Ok(()),
            Check::InRange(c) => c.check_usable(),
            Check::MatchesRegex(c) => c.compile().map(drop),
            Check::StringLength(c) => c.check_usable(),
        }
        .map_err(|e| e.within(self.to_string()))
    }

    /// Adds what must be measured to the plan.
    pub(crate) fn compile(&self, schema: &Schema, plan: &mut Plan) -> Result<Compiled> {
        self.check_usable()?;
        let rows = plan.add(mlops_core::states::RowCount);
        if let Some(column) = self.column()
            && schema.column_with_name(column).is_none()
        {
            return Ok(self.fixed(
                Verdict::Fail,
                "the column to be there",
                format!("no column `{column}`; the columns are: {}", names(schema)),
            ));
        }
        match &self.check {
            Check::Schema(c) => Ok(c.compile(self, schema, plan)),
            Check::RowCount(c) => Ok(c.compile(self, rows)),
            Check::NotNull(c) => Ok(c.compile(self, plan)),
            Check::Unique(c) => Ok(c.compile(self, schema, plan)),
            Check::InRange(c) => c.compile(self, schema, plan),
            Check::InSet(c) => c.compile(self, schema, plan),
            Check::MatchesRegex(c) => c.compile_for(self, schema, plan),
            Check::StringLength(c) => c.compile(self, schema, plan),
        }
    }

    /// The answer that no data can change.
    pub(crate) fn fixed(
        &self,
        verdict: Verdict,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Compiled {
        let finding = self.finding(verdict, expected, observed);
        Compiled { judge: Judge::new(move |_| Ok(finding.clone())), rule: None }
    }

    /// The answer to a column whose type the check can't read.
    pub(crate) fn wrong_type(&self, schema: &Schema, expected: &str) -> Compiled {
        let found = self
            .column()
            .and_then(|c| schema.field_with_name(c).ok())
            .map_or_else(String::new, |f| f.data_type().to_string());
        self.fixed(Verdict::Fail, expected, format!("a column of type {found}"))
    }

    /// A finding of this expectation.
    pub(crate) fn finding(
        &self,
        verdict: Verdict,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Finding {
        let subject = self.column().unwrap_or("table");
        Finding::new(self.kind(), subject, verdict, expected, observed).with_severity(self.severity)
    }

    /// Judges single values, nulls aside: what all map expectations have in common.
    pub(crate) fn of_values(
        &self,
        expected: impl Into<String>,
        column: &str,
        schema: &Schema,
        plan: &mut Plan,
        passes: impl Fn(&arrow::array::ArrayRef) -> Result<arrow::buffer::BooleanBuffer>
        + Send
        + Sync
        + 'static,
    ) -> Compiled {
        let data_type =
            schema.field_with_name(column).map(|f| f.data_type().to_string()).unwrap_or_default();
        let test = Test {
            column: column.to_owned(),
            params: serde_json::json!({"check": self.check, "type": data_type}),
            passes: std::sync::Arc::new(passes),
        };
        let nulls = plan.add(NullCount { column: column.to_owned() });
        let unexpected = plan.add(Unexpected(test.clone()));
        let (this, expected) = (self.clone(), expected.into());
        let judge = Judge::new(move |m| {
            Ok(match (m.get(&nulls), m.get(&unexpected)) {
                (Ok(nulls), Ok(failing)) => {
                    let with_value = nulls.rows - nulls.nulls.count.min(nulls.rows);
                    this.of_rows(&expected, with_value, "rows with a value", failing)
                }
                (Err(error), _) | (_, Err(error)) => this.unmeasured(&expected, &error),
            })
        });
        Compiled { judge, rule: Some(RowRule::Test(test)) }
    }

    /// The finding of a check of rows: how many were looked at, and which of them failed.
    pub(crate) fn of_rows(
        &self,
        expected: &str,
        looked_at: u64,
        what: &str,
        failing: &FailingRows,
    ) -> Finding {
        let expected = match self.mostly {
            1.0 => expected.to_owned(),
            mostly => format!("{expected} in at least {}", percent(mostly)),
        };
        if looked_at == 0 {
            return self.finding(
                Verdict::Inconclusive,
                expected,
                format!("no {what}: nothing was measured"),
            );
        }
        let share = (looked_at - failing.count.min(looked_at)) as f64 / looked_at as f64;
        let mut observed = if failing.count == 0 {
            format!("all of {looked_at} {what}")
        } else {
            let unexpected = percent(failing.count as f64 / looked_at as f64);
            format!("{} of {looked_at} {what} ({unexpected}) unexpected", failing.count)
        };
        let mut examples: Vec<_> =
            failing.first.iter().filter_map(|row| row.value.as_deref()).collect();
        let mut seen = std::collections::HashSet::new();
        examples.retain(|value| seen.insert(*value));
        if !examples.is_empty() {
            examples.truncate(5);
            observed = format!("{observed}: `{}`", examples.join("`, `"));
        }
        self.finding(Verdict::from_bool(share >= self.mostly), expected, observed)
            .with_value(share)
            .with_rows(failing.count, failing.ids())
    }

    /// The finding of a measurement that could not be made.
    pub(crate) fn unmeasured(&self, expected: &str, error: &Error) -> Finding {
        self.finding(Verdict::Inconclusive, expected, error.to_string())
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column() {
            Some(column) => write!(f, "{}({column})", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// An expectation made ready for one schema.
pub(crate) struct Compiled {
    pub(crate) judge: Judge<Finding>,
    /// Which rows fail it, where rows can.
    pub(crate) rule: Option<RowRule>,
}

/// Which rows fail an expectation.
#[derive(Clone, Debug)]
pub(crate) enum RowRule {
    /// Those without a value.
    Null(String),
    /// Those whose value fails a test.
    Test(Test),
    /// Those whose value stands in another row, too: known only after a pass.
    Duplicate(String, Handle<crate::expectations::Duplicates>),
}

/// The nulls of a column, for expectations that judge them.
pub(crate) fn nulls<'m>(m: &'m Measurements, handle: &Handle<Nulls>) -> Result<&'m Nulls> {
    m.get(handle)
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

fn names(schema: &Schema) -> String {
    let mut names: Vec<_> = schema.fields().iter().take(12).map(|f| f.name().as_str()).collect();
    if schema.fields().len() > 12 {
        names.push("…");
    }
    names.join(", ")
}

impl Serialize for Expectation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            check: &'a Check,
            #[serde(skip_serializing_if = "Option::is_none")]
            mostly: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            severity: Option<Severity>,
        }
        Flat {
            check: &self.check,
            mostly: (self.mostly != 1.0).then_some(self.mostly),
            severity: (self.severity != Severity::Critical).then_some(self.severity),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Expectation {
    /// By way of a map, because serde can't both flatten and refuse unknown fields.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::<String, Value>::deserialize(deserializer)?;
        let place = match (map.get("expectation"), map.get("column")) {
            (Some(Value::String(kind)), Some(Value::String(column))) => format!("{kind}({column})"),
            (Some(Value::String(kind)), _) => kind.clone(),
            _ => "expectation".to_owned(),
        };
        let error = |e: serde_json::Error| D::Error::custom(format!("{place}: {e}"));
        let mostly = match map.remove("mostly") {
            Some(share) => f64::deserialize(share)
                .map_err(|e| D::Error::custom(format!("{place}: `mostly`: {e}")))?,
            None => 1.0,
        };
        let severity = match map.remove("severity") {
            Some(severity) => Severity::deserialize(severity)
                .map_err(|e| D::Error::custom(format!("{place}: `severity`: {e}")))?,
            None => Severity::Critical,
        };
        let check = Check::deserialize(Value::Object(map)).map_err(error)?;
        let read = Self { check, mostly, severity };
        read.check_usable().map_err(D::Error::custom)?;
        Ok(read)
    }
}
