//! Expectations under one name, judged in one pass.

use std::path::Path;

use arrow::datatypes::Schema;
use mlops_core::{
    Assessment, DataSource, Error, Judge, Measurements, Plan, Result, Scan, Validator,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::compile::{Compiler, RowRule};
use crate::context::{Context, Lookups};
use crate::{Expectation, Validation};

/// A list of expectations under one name: a [`Validator`].
///
/// ```
/// use mlops_core::arrow::array::{Int32Array, StringArray};
/// use mlops_core::{MemorySource, ValidatorExt, Verdict, batch};
/// use mlops_validate::{Suite, in_range, in_set, not_null, row_count};
///
/// let suite = Suite::new("applications")
///     .expect(row_count(1..))
///     .expect(not_null("age"))
///     .expect(in_range("age", 18..=99))
///     .expect(in_set("sex", ["F", "M"]).mostly(0.5));
/// let data = MemorySource::from(batch! {
///     "age" => Int32Array::from(vec![31, 150, 47]),
///     "sex" => StringArray::from(vec![Some("F"), Some("M"), None]),
/// }?);
/// let found = suite.validate(&data)?;
/// assert_eq!(found.verdict, Verdict::Fail);
/// assert_eq!(found.failures().next().unwrap().rows[0].to_string(), "memory:1");
///
/// let read = Suite::from_yaml(&suite.to_yaml()?)?;
/// assert_eq!(read, suite);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Suite {
    /// The name under which it answers, and the name of its gate.
    pub name: String,
    /// The expectations.
    pub expectations: Vec<Expectation>,
    /// What others keep here, and what inference says of itself; it means nothing to a judge.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl Suite {
    /// A suite that expects nothing yet, and so passes nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), expectations: Vec::new(), meta: Map::new() }
    }

    /// The same, expecting this as well.
    #[must_use]
    pub fn expect(mut self, expectation: impl Into<Expectation>) -> Self {
        self.expectations.push(expectation.into());
        self
    }

    /// The suite as YAML, which [`from_yaml`](Self::from_yaml) reads back as it was.
    ///
    /// # Errors
    /// A bound that can't be written down, as one that is not finite.
    pub fn to_yaml(&self) -> Result<String> {
        self.check_usable()?;
        serde_saphyr::to_string(self).map_err(|e| Error::other("writing a suite as YAML", e))
    }

    /// A suite from YAML.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the line of what does not parse, of an unknown kind or field,
    /// and of an expectation that is unusable.
    pub fn from_yaml(text: &str) -> Result<Self> {
        // Norway is no `false`: only `true` and `false` are booleans, as in YAML 1.2.
        let options = serde_saphyr::options! { strict_booleans: true };
        let suite = serde_saphyr::from_str_with_options(text, options);
        suite.map_err(|e| Error::invalid("suite", "YAML of a suite", e))
    }

    /// The suite as indented JSON, which [`from_json`](Self::from_json) reads back as it was.
    ///
    /// # Errors
    /// A bound that can't be written down, as one that is not finite.
    pub fn to_json(&self) -> Result<String> {
        self.check_usable()?;
        serde_json::to_string_pretty(self).map_err(|e| Error::other("writing a suite as JSON", e))
    }

    /// A suite from JSON.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| Error::invalid("suite", "JSON of a suite", e))
    }

    /// A suite from a file whose name ends in `.yaml`, `.yml` or `.json`.
    ///
    /// # Errors
    /// [`Error::Io`]; as [`from_yaml`](Self::from_yaml), with the file's name.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let suite = match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Self::from_json(&text),
            Some("yaml" | "yml") => Self::from_yaml(&text),
            _ => {
                Err(Error::invalid("name of a suite's file", "*.yaml, *.yml or *.json", "another"))
            }
        };
        suite.map_err(|e| e.within(path.display().to_string()))
    }

    /// Whether every expectation makes sense in itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first that does not.
    pub fn check_usable(&self) -> Result<()> {
        self.expectations.iter().try_for_each(Expectation::check_usable)
    }

    /// Judges a source in one pass (a second one is made only where an expectation needs it, as
    /// [`ZScore`](crate::ZScore) does), and gives the numbers behind every verdict;
    /// [`validate`](mlops_core::ValidatorExt::validate) gives the findings alone.
    ///
    /// # Errors
    /// Those of the source and of [`check_usable`](Self::check_usable).
    pub fn check(&self, source: &dyn DataSource) -> Result<Validation> {
        self.check_with(source, &Context::default())
    }

    /// As [`check`](Self::check), with the time and the other sources that expectations compare
    /// with. Of another source each set of keys is read once, before the pass.
    ///
    /// # Errors
    /// As [`check`](Self::check). Another source that can't be read makes the expectations that
    /// need it inconclusive.
    pub fn check_with(&self, source: &dyn DataSource, context: &Context) -> Result<Validation> {
        let (schema, mut plan) = (source.schema(), Plan::new());
        let (judge, rules) = self.compile(&schema, context, &mut plan)?;
        let measured = Scan::new(source).run(&plan)?;
        let found = judge.judge(&measured)?;
        let again = |plan: &Plan| Scan::new(source).run(plan);
        Ok(self.second_pass(found, &schema, &rules, &measured, again)?.located_in(source))
    }

    /// Answers what the first pass could not, with a second one where it is needed.
    pub(crate) fn second_pass(
        &self,
        found: Validation,
        schema: &Schema,
        rules: &[Option<RowRule>],
        measured: &Measurements,
        scan: impl FnOnce(&Plan) -> Result<Measurements>,
    ) -> Result<Validation> {
        // What rows are tested for was looked up when the first pass was made ready.
        let nothing = Context::default();
        let given = Lookups::new(&nothing);
        let mut plan = Plan::new();
        let mut judges = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            // What is undefined after the first pass has its answer.
            if let Some(RowRule::SecondPass(second)) = rule
                && let Ok(test) = (second.make)(measured)
            {
                let (of, condition) = (&self.expectations[index], second.condition.as_ref());
                let mut to = Compiler::new(of, schema, &given, &mut plan, condition);
                let compiled = to.rows_of(&*second.expected, "rows with a value", test);
                judges.push((index, compiled.judge));
            }
        }
        if judges.is_empty() {
            return Ok(found);
        }
        let measured = scan(&plan)?;
        let mut outcomes = found.outcomes;
        for (index, judge) in judges {
            outcomes[index] = judge.judge(&measured)?;
        }
        Ok(Validation::new(found.suite, found.rows, outcomes))
    }

    /// Adds what must be measured, and gives the judge of the numbers: for a suite that rides on
    /// another scan, as its [`Validator`] half does, or is judged again with every merged state.
    ///
    /// # Errors
    /// As [`check_usable`](Self::check_usable).
    pub fn plan_check(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Validation>> {
        self.plan_check_with(schema, &Context::default(), plan)
    }

    /// As [`plan_check`](Self::plan_check), with the time and the other sources, which are read
    /// here.
    ///
    /// # Errors
    /// As [`check_usable`](Self::check_usable).
    pub fn plan_check_with(
        &self,
        schema: &Schema,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<Judge<Validation>> {
        Ok(self.compile(schema, context, plan)?.0)
    }

    /// Adds what must be measured, and gives the judge, with the rule of each expectation that
    /// says which rows fail it.
    pub(crate) fn compile(
        &self,
        schema: &Schema,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(Judge<Validation>, Vec<Option<RowRule>>)> {
        let given = Lookups::new(context);
        let rows = plan.add(mlops_core::states::RowCount);
        let mut judges = Vec::with_capacity(self.expectations.len());
        let mut rules = Vec::with_capacity(self.expectations.len());
        for expectation in &self.expectations {
            let compiled = expectation.compile(schema, &given, plan)?;
            judges.push(compiled.judge);
            rules.push(compiled.rows);
        }
        let (name, outcomes) = (self.name.clone(), Judge::all(judges));
        let judge = Judge::new(move |m| {
            Ok(Validation::new(name.clone(), *m.get(&rows)?, outcomes.judge(m)?))
        });
        Ok((judge, rules))
    }
}

impl Validator for Suite {
    fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        Ok(self.compile(schema, &Context::default(), plan)?.0.map(|found| found.assessment()))
    }
}
