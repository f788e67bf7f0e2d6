//! Rows under a condition: what `where` does to a measurement and to a test of rows.

use std::sync::Arc;

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use mlops_core::{Analyzer, Description, Measurements, Result, Rows, Selected};
use serde_json::json;

use crate::compile::{RowRule, SecondPass};
use crate::expression::{BoundExpression, Expression};
use crate::record::Value;
use crate::row_test::{Answer, RowTest, Tested};

/// A condition made ready for one schema.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    expression: BoundExpression,
    columns: Vec<String>,
    /// Under this name the rows that it selects are shared by all that look at them.
    key: Arc<str>,
}

impl Condition {
    pub(crate) fn new(condition: &Expression, schema: &Schema) -> Result<Self> {
        Ok(Self {
            expression: condition.bind(schema)?,
            columns: condition.columns(),
            key: format!("where {condition}").into(),
        })
    }

    /// The rows for which it is true; where it is unknown they are left out.
    fn select(&self, rows: &Rows<'_>) -> Result<Arc<Selected>> {
        rows.shared(&self.key, || rows.select(&self.expression.truth(rows)?))
    }
}

/// A measurement of the rows for which a condition is true.
#[derive(Debug)]
pub(crate) struct Where<A> {
    pub(crate) condition: Condition,
    pub(crate) analyzer: A,
}

impl<A: Analyzer> Analyzer for Where<A> {
    type State = A::State;
    type Output = A::Output;

    fn columns(&self) -> Vec<String> {
        let mut columns = self.analyzer.columns();
        columns.extend(self.condition.columns.iter().cloned());
        columns.sort();
        columns.dedup();
        columns
    }

    fn start(&self) -> A::State {
        self.analyzer.start()
    }

    fn update(&self, state: &mut A::State, rows: &Rows<'_>) -> Result<()> {
        self.analyzer.update(state, &self.condition.select(rows)?.rows())
    }

    fn finish(&self, state: A::State) -> Result<A::Output> {
        self.analyzer.finish(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<A::State> {
        self.analyzer.decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        let params = json!({"where": &*self.condition.key, "of": self.analyzer.description()?});
        Some(Description::new("validate/where", 1, &params))
    }
}

/// A test of the rows for which a condition is true.
#[derive(Debug)]
struct WhereTest {
    condition: Condition,
    test: Arc<dyn RowTest>,
}

impl RowTest for WhereTest {
    fn columns(&self) -> Vec<String> {
        self.test.columns()
    }

    fn params(&self) -> serde_json::Value {
        json!({"where": &*self.condition.key, "of": self.test.params()})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let truth = self.condition.expression.truth(rows)?;
        let chosen = match truth.nulls() {
            Some(nulls) => truth.values() & nulls.inner(),
            None => truth.values().clone(),
        };
        let selected = self.condition.select(rows)?;
        let tested = self.test.test(&selected.rows())?;
        let back = |bits: BooleanBuffer| scatter(&bits, &chosen);
        Ok(Tested {
            looked_at: Some(tested.looked_at.map_or_else(|| chosen.clone(), back)),
            failing: tested.failing.map(back),
        })
    }

    fn test_record(&self, record: &[Value<'_>]) -> Answer {
        match self.condition.expression.truth_of(record) {
            Some(true) => self.test.test_record(record),
            _ => Answer::Skip,
        }
    }

    fn judges_records(&self) -> bool {
        self.test.judges_records()
    }
}

/// The bits of the chosen rows at the places of these rows among all.
fn scatter(bits: &BooleanBuffer, chosen: &BooleanBuffer) -> BooleanBuffer {
    let mut all = vec![false; chosen.len()];
    for (place, bit) in chosen.set_indices().zip(bits.iter()) {
        all[place] = bit;
    }
    all.into()
}

fn under(test: Arc<dyn RowTest>, condition: Condition) -> Arc<dyn RowTest> {
    Arc::new(WhereTest { condition, test })
}

impl RowRule {
    /// The same of the rows for which a condition is true.
    pub(crate) fn under(self, condition: &Condition) -> Self {
        let condition = condition.clone();
        match self {
            Self::Test(test) => Self::Test(under(test, condition)),
            Self::AfterAll(learn) => Self::AfterAll(Arc::new(move |measured| {
                Ok(under(learn(measured)?, condition.clone()))
            })),
            Self::SecondPass(second) => {
                Self::SecondPass(Box::new(SecondPass { condition: Some(condition), ..*second }))
            }
        }
    }

    /// The test of rows, once all have been measured.
    pub(crate) fn test(&self, measured: &Measurements) -> Result<Arc<dyn RowTest>> {
        match self {
            Self::Test(test) => Ok(test.clone()),
            Self::AfterAll(make) => make(measured),
            Self::SecondPass(second) => {
                let test = (second.make)(measured)?;
                Ok(match &second.condition {
                    Some(condition) => under(test, condition.clone()),
                    None => test,
                })
            }
        }
    }
}
