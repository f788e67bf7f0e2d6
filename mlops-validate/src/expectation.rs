//! One question about data, and how it is written down.

use std::fmt;

use arrow::datatypes::Schema;
use mlops_core::{Error, Plan, Result, Severity};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::check::{Check, Subject};
use crate::compile::{Compiled, Compiler};
use crate::condition::Condition;
use crate::context::Lookups;
use crate::expression::Expression;
use crate::place::Place;
use crate::row_test::NullPolicy;

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
    /// What a row without a value is; left out unless told.
    pub nulls: NullPolicy,
    /// The rows that it is about: those for which this is true. All, unless told; `where` in a
    /// suite's text.
    pub condition: Option<Expression>,
    /// A name of its own in the suite.
    pub id: Option<String>,
    /// Words for people.
    pub description: Option<String>,
    /// What others keep here; it means nothing to a suite.
    pub meta: Map<String, Value>,
}

impl<C: Into<Check>> From<C> for Expectation {
    fn from(check: C) -> Self {
        Self {
            check: check.into(),
            mostly: 1.0,
            severity: Severity::Critical,
            nulls: NullPolicy::Skip,
            condition: None,
            id: None,
            description: None,
            meta: Map::new(),
        }
    }
}

impl Expectation {
    /// The same, content with this share of the rows that are looked at, compared in `f64` as
    /// `(looked at − unexpected) / looked at >= mostly`. Only for checks of rows.
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

    /// The same, with this answer to rows without a value. Only for checks of the values of one
    /// column.
    #[must_use]
    pub fn nulls(mut self, policy: NullPolicy) -> Self {
        self.nulls = policy;
        self
    }

    /// The same, of the rows for which a condition is true: `where_("country = 'NO'")?`.
    ///
    /// Where the condition is unknown, because of a null, the row is left out.
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn where_(mut self, condition: &str) -> Result<Self> {
        self.condition = Some(Expression::parse(condition)?);
        Ok(self)
    }

    /// The same, with a name of its own in the suite.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same, with words for people.
    #[must_use]
    pub fn description(mut self, words: impl Into<String>) -> Self {
        self.description = Some(words.into());
        self
    }

    /// The same, with something that is kept for others and means nothing here.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

    /// The kind's name, as suites write it.
    pub fn kind(&self) -> &'static str {
        self.check.name()
    }

    /// The column that is asked about, `None` for questions about the table or several columns.
    pub fn column(&self) -> Option<&str> {
        match self.check.kind().subject() {
            Subject::Column(column) => Some(column),
            Subject::Table | Subject::Columns(_) | Subject::Expression(_) => None,
        }
    }

    /// All columns that are asked about.
    pub fn columns(&self) -> Vec<String> {
        self.check.kind().subject().columns()
    }

    /// What is asked about, in words: a column, columns, `table`.
    pub fn subject(&self) -> String {
        self.check.kind().subject().to_string()
    }

    /// Whether the question makes sense in itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty range, a pattern that does not parse, a `mostly` that is no
    /// share, a `mostly` or `nulls` where rows do not answer one by one.
    pub fn check_usable(&self) -> Result<()> {
        let kind = self.check.kind();
        if !(0.0..=1.0).contains(&self.mostly) {
            let what = format!("`mostly` of {self}");
            return Err(Error::invalid(what, "a share in [0, 1]", self.mostly));
        }
        if !kind.of_rows() && self.mostly != 1.0 {
            let what = format!("`mostly` of {self}");
            return Err(Error::invalid(what, "none: it is no question of rows", self.mostly));
        }
        let nulls = match kind.subject() {
            Subject::Column(_) | Subject::Expression(_) => kind.of_rows(),
            Subject::Columns(_) => matches!(self.check, Check::CustomRows(_)),
            Subject::Table => false,
        };
        if self.nulls != NullPolicy::Skip && !nulls {
            let what = format!("`nulls` of {self}");
            let found = format!("{:?}", self.nulls);
            return Err(Error::invalid(what, "none: it is no question of values", found));
        }
        kind.check_usable().map_err(|e| e.within(self.to_string()))
    }

    /// Adds what must be measured to the plan.
    pub(crate) fn compile(
        &self,
        schema: &Schema,
        given: &Lookups<'_>,
        plan: &mut Plan,
    ) -> Result<Compiled> {
        self.check_usable()?;
        let kind = self.check.kind();
        let bound = self.condition.as_ref().map(|c| Condition::new(c, schema)).transpose();
        let condition = match bound {
            Ok(condition) => condition,
            Err(error) => {
                let to = Compiler::new(self, schema, given, plan, None);
                let expected = "a condition that these columns can answer";
                return Ok(to.refused(expected, error.to_string()));
            }
        };
        let mut to = Compiler::new(self, schema, given, plan, condition.as_ref());
        let mut missing = kind.subject().columns();
        missing.retain(|column| {
            let there = schema.column_with_name(column).is_some();
            !(there || kind.reads_paths() && Place::find(schema, column).is_some())
        });
        if let [first, more @ ..] = missing.as_slice() {
            let (expected, missing) = if more.is_empty() {
                ("the column to be there", format!("no column `{first}`"))
            } else {
                ("the columns to be there", format!("no columns `{}`", missing.join("`, `")))
            };
            let found = format!("{missing}; the columns are: {}", names(schema));
            return Ok(to.refused(expected, found));
        }
        let mut compiled = kind.compile(&mut to)?;
        if let Some(condition) = &condition {
            compiled.rows = compiled.rows.map(|rule| rule.under(condition));
        }
        Ok(compiled)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.check.kind().subject() {
            Subject::Table => f.write_str(self.kind()),
            subject => write!(f, "{}({subject})", self.kind()),
        }
    }
}

fn names(schema: &Schema) -> String {
    let mut names: Vec<_> = schema.fields().iter().take(12).map(|f| f.name().as_str()).collect();
    if schema.fields().len() > 12 {
        names.push("…");
    }
    names.join(", ")
}

/// What stands beside the check in a suite's text.
#[derive(Serialize, Deserialize)]
pub(crate) struct Beside {
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    mostly: f64,
    #[serde(default, skip_serializing_if = "is_default")]
    severity: Severity,
    #[serde(default, skip_serializing_if = "is_default")]
    nulls: NullPolicy,
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    condition: Option<Expression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

impl Beside {
    pub(crate) const FIELDS: [&'static str; 7] =
        ["mostly", "severity", "nulls", "where", "id", "description", "meta"];
}

fn whole() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_whole(share: &f64) -> bool {
    *share == 1.0
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Serialize for Expectation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            check: &'a Check,
            #[serde(flatten)]
            beside: Beside,
        }
        Flat {
            check: &self.check,
            beside: Beside {
                mostly: self.mostly,
                severity: self.severity,
                nulls: self.nulls,
                condition: self.condition.clone(),
                id: self.id.clone(),
                description: self.description.clone(),
                meta: self.meta.clone(),
            },
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
        let mut beside = Map::new();
        for field in Beside::FIELDS {
            if let Some(value) = map.remove(field) {
                beside.insert(field.to_owned(), value);
            }
        }
        let error = |e: serde_json::Error| D::Error::custom(format!("{place}: {e}"));
        let Beside { mostly, severity, nulls, condition, id, description, meta } =
            Beside::deserialize(Value::Object(beside)).map_err(error)?;
        let check = Check::deserialize(Value::Object(map)).map_err(error)?;
        let read = Self { check, mostly, severity, nulls, condition, id, description, meta };
        read.check_usable().map_err(D::Error::custom)?;
        Ok(read)
    }
}
