//! The measurement behind every row-by-row expectation: which rows are looked at, and which fail.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::{Analyzer, ColumnStatistics, Description, Limit, Result, Rows, State, Statistics};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::failing_rows::FailingRows;
use crate::place::Place;
use crate::record::Value;
use crate::value_test::ValueTest;
use crate::values::apply;

/// What a row without a value is to a check of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NullPolicy {
    /// Not looked at, and not counted: Great Expectations' way.
    #[default]
    Skip,
    /// Looked at, and well.
    Pass,
    /// Looked at, and unexpected.
    Fail,
}

/// A question that each row answers by itself.
///
/// Two ways to ask it, which must agree: of a batch, and of one record at serving time.
pub(crate) trait RowTest: Debug + Send + Sync + 'static {
    /// The columns that it reads, which are also what a failing row is shown with.
    fn columns(&self) -> Vec<String>;

    /// What is tested, written down: equal tests are made once.
    fn params(&self) -> serde_json::Value;

    /// Asks all rows of a batch.
    fn test(&self, rows: &Rows<'_>) -> Result<Tested>;

    /// How many rows are looked at, if what is known of the rows proves that none of them fails.
    /// Where one may fail they are read: it must be named.
    fn settle(&self, known: &Statistics) -> Result<Option<u64>> {
        let _ = known;
        Ok(None)
    }

    /// What a failing row is shown with; the columns unless told.
    fn shown(&self, rows: &Rows<'_>) -> Result<Vec<ArrayRef>> {
        self.columns().iter().map(|c| rows.column(c).cloned()).collect()
    }

    /// Asks one record, its values in the order of the schema that this was compiled for; without
    /// an allocation where that can be.
    fn test_record(&self, record: &[Value<'_>]) -> Answer;

    /// Whether single records can be asked at all.
    fn judges_records(&self) -> bool {
        true
    }
}

/// What the rows of a batch answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tested {
    /// The rows that were looked at; `None` for all of them.
    pub(crate) looked_at: Option<BooleanBuffer>,
    /// Those of them that fail; `None` for none.
    pub(crate) failing: Option<BooleanBuffer>,
}

/// What one record answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Pass,
    Fail,
    /// Not looked at.
    Skip,
}

/// How many rows were looked at, and which of them failed.
#[derive(Clone, Debug)]
pub(crate) struct Unexpected(pub(crate) Arc<dyn RowTest>);

/// The state and the result of [`Unexpected`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnexpectedRows {
    pub(crate) looked_at: u64,
    pub(crate) failing: FailingRows,
}

impl Analyzer for Unexpected {
    type State = UnexpectedRows;
    type Output = UnexpectedRows;

    fn columns(&self) -> Vec<String> {
        self.0.columns()
    }

    fn start(&self) -> UnexpectedRows {
        UnexpectedRows::default()
    }

    fn update(&self, state: &mut UnexpectedRows, rows: &Rows<'_>) -> Result<()> {
        let tested = self.0.test(rows)?;
        let looked_at = tested.looked_at.map_or(rows.len(), |rows| rows.count_set_bits());
        add_count(&mut state.looked_at, looked_at as u64);
        match tested.failing {
            Some(failing) if failing.count_set_bits() > 0 => {
                state.failing.update(rows, &self.0.shown(rows)?, &failing)
            }
            _ => Ok(()),
        }
    }

    fn settle(&self, state: &mut UnexpectedRows, statistics: &Statistics) -> Result<bool> {
        let Some(looked_at) = self.0.settle(statistics)? else { return Ok(false) };
        add_count(&mut state.looked_at, looked_at);
        Ok(true)
    }

    fn finish(&self, state: UnexpectedRows) -> Result<UnexpectedRows> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<UnexpectedRows> {
        let looked_at = take_count(bytes)?;
        let failing = FailingRows::decode(bytes)?;
        if failing.count() > looked_at {
            let expected = format!("at most {looked_at} failing rows");
            return Err(mlops_core::bytes::bad(bytes, expected, failing.count()));
        }
        Ok(UnexpectedRows { looked_at, failing })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/unexpected", 2, &self.0.params()))
    }
}

impl State for UnexpectedRows {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.looked_at, other.looked_at);
        self.failing.merge(other.failing)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.looked_at);
        self.failing.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<u64>() + self.failing.size()
    }
}

/// A test of the values of one column, or of what stands within it.
pub(crate) struct ColumnTest {
    pub(crate) place: Place,
    pub(crate) nulls: NullPolicy,
    /// What is tested, with all that changes an answer: the check and the column's type.
    pub(crate) params: serde_json::Value,
    pub(crate) test: Box<dyn ValueTest>,
}

impl Debug for ColumnTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnTest").field("params", &self.params).finish_non_exhaustive()
    }
}

impl RowTest for ColumnTest {
    fn columns(&self) -> Vec<String> {
        vec![self.place.column.clone()]
    }

    fn params(&self) -> serde_json::Value {
        json!({"test": self.params, "nulls": self.nulls})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let column = rows.column(&self.place.column)?;
        self.place.test(column, self.nulls, &|values| apply(values, &*self.test))
    }

    fn settle(&self, known: &Statistics) -> Result<Option<u64>> {
        let Some(column) = known.column(&self.place.column) else { return Ok(None) };
        let Some(nulls) = column.null_count.filter(|_| self.place.is_column()) else {
            return Ok(None);
        };
        let rows = known.rows();
        let looked_at = match self.nulls {
            NullPolicy::Skip => rows - nulls,
            NullPolicy::Fail if nulls > 0 => return Ok(None),
            NullPolicy::Pass | NullPolicy::Fail => rows,
        };
        Ok((nulls == rows || self.passes_between(column)?).then_some(looked_at))
    }

    fn shown(&self, rows: &Rows<'_>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.place.shown(rows.column(&self.place.column)?)?])
    }

    fn judges_records(&self) -> bool {
        self.place.is_column()
    }

    fn test_record(&self, record: &[Value<'_>]) -> Answer {
        match (record.get(self.place.index).copied().unwrap_or(Value::Null), self.nulls) {
            (Value::Null, NullPolicy::Skip) => Answer::Skip,
            (Value::Null, NullPolicy::Pass) => Answer::Pass,
            (Value::Null, NullPolicy::Fail) => Answer::Fail,
            (value, _) => Answer::from_bool(self.test.of_value(value)),
        }
    }
}

impl ColumnTest {
    /// Whether what is known of the values proves that all pass: both ends do and with them what
    /// lies between, or the ends are one value.
    fn passes_between(&self, known: &ColumnStatistics) -> Result<bool> {
        let (Some(min), Some(max)) = (&known.min, &known.max) else { return Ok(false) };
        // A NaN lies between no bounds, and may be there.
        if min.value.data_type().is_floating() {
            return Ok(false);
        }
        if !self.test.is_interval() && min.value.to_data() != max.value.to_data() {
            return Ok(false);
        }
        let passes = |limit: &Limit| apply(&limit.value, &*self.test).map(|bits| bits.value(0));
        Ok(passes(min)? && passes(max)?)
    }
}

impl Tested {
    /// Which values fail, and which are there, under a policy: what is said to fail of a value
    /// that is not there means nothing.
    pub(crate) fn of_values(
        failing: Option<BooleanBuffer>,
        present: Option<BooleanBuffer>,
        nulls: NullPolicy,
    ) -> Self {
        let Some(present) = present else { return Self { looked_at: None, failing } };
        let failing = failing.map(|failing| &failing & &present);
        match nulls {
            NullPolicy::Skip => Self { looked_at: Some(present), failing },
            NullPolicy::Pass => Self { looked_at: None, failing },
            NullPolicy::Fail => {
                let missing = !&present;
                let failing = failing.map_or(missing.clone(), |failing| &failing | &missing);
                Self { looked_at: None, failing: Some(failing) }
            }
        }
    }
}

impl Answer {
    pub(crate) fn from_bool(pass: bool) -> Self {
        if pass { Self::Pass } else { Self::Fail }
    }
}
