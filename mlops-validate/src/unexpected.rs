//! The two measurements behind every row-by-row expectation: nulls, and values that fail a test.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde_json::Value;

use crate::failing_rows::FailingRows;
use crate::values::{apply, present};

/// How many rows there are and which are null; all expectations of a column share it.
#[derive(Clone, Debug)]
pub(crate) struct NullCount {
    pub(crate) column: String,
}

/// Rows, and those of them that are null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nulls {
    pub(crate) rows: u64,
    pub(crate) nulls: FailingRows,
}

impl Analyzer for NullCount {
    type State = Nulls;
    type Output = Nulls;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> Nulls {
        Nulls::default()
    }

    fn update(&self, state: &mut Nulls, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        state.rows += rows.len() as u64;
        if let Some(failing) = nulls_of(column) {
            state.nulls.update(rows, column, &failing)?;
        }
        Ok(())
    }

    fn finish(&self, state: Nulls) -> Result<Nulls> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Nulls> {
        Ok(Nulls { rows: take_count(bytes)?, nulls: FailingRows::decode(bytes)? })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/null_count", 1, &self.column))
    }
}

impl State for Nulls {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.rows, other.rows);
        self.nulls.merge(other.nulls);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        self.nulls.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<u64>() + self.nulls.size()
    }
}

/// The rows without a value, `None` where all have one.
pub(crate) fn nulls_of(column: &ArrayRef) -> Option<BooleanBuffer> {
    present(column).map(|present| !&present)
}

/// Whether each value of an array passes; compiled for the type of one column.
pub(crate) type Passes = dyn Fn(&ArrayRef) -> Result<BooleanBuffer> + Send + Sync;

/// A test of single values: nulls always pass.
#[derive(Clone)]
pub(crate) struct Test {
    pub(crate) column: String,
    /// What is tested, written down: equal tests are made once.
    pub(crate) params: Value,
    pub(crate) passes: Arc<Passes>,
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Test {
    /// The rows whose value does not pass.
    pub(crate) fn failing(&self, column: &ArrayRef) -> Result<BooleanBuffer> {
        let failing = !&apply(column, &*self.passes)?;
        Ok(match present(column) {
            Some(present) => &failing & &present,
            None => failing,
        })
    }
}

/// Which values fail a test.
#[derive(Clone, Debug)]
pub(crate) struct Unexpected(pub(crate) Test);

impl Analyzer for Unexpected {
    type State = FailingRows;
    type Output = FailingRows;

    fn columns(&self) -> Vec<String> {
        vec![self.0.column.clone()]
    }

    fn start(&self) -> FailingRows {
        FailingRows::default()
    }

    fn update(&self, state: &mut FailingRows, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.0.column)?;
        state.update(rows, column, &self.0.failing(column)?)
    }

    fn finish(&self, state: FailingRows) -> Result<FailingRows> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<FailingRows> {
        FailingRows::decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/unexpected", 1, &self.0.params))
    }
}

impl State for FailingRows {
    fn merge(&mut self, other: Self) -> Result<()> {
        Self::merge(self, other);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Self::encode(self, out);
    }

    fn size(&self) -> usize {
        Self::size(self)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int64Array,
        RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
    };
    use arrow::datatypes::Int8Type;
    use mlops_core::bytes::{state_from_bytes, state_to_bytes};
    use mlops_core::{MemorySource, Plan, Scan, batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::expectations::Distinct;
    use crate::{Suite, in_range, in_set, unique};

    fn nasty() -> RecordBatch {
        let every = |i: i64| (i % 5 != 0).then_some(i);
        let rows = 0..97_i64;
        let floats = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324, 1.0];
        batch! {
            "int" => rows.clone().map(|i| every(i).map(|i| i * i % 11)).collect::<Int64Array>(),
            "uint" => rows.clone().map(|i| every(i).map(|i| u64::MAX - (i % 3) as u64)).collect::<UInt64Array>(),
            "float" => rows.clone().map(|i| every(i).map(|i| floats[i as usize % 8])).collect::<Float64Array>(),
            "half" => rows.clone().map(|i| every(i).map(|i| i as f32 / 7.0)).collect::<Float32Array>(),
            "text" => rows.clone().map(|i| every(i).map(|i| format!("é{}", i % 13))).collect::<StringArray>(),
            "view" => rows.clone().map(|i| every(i).map(|i| format!("long enough not to be inlined {i}"))).collect::<StringViewArray>(),
            "coded" => rows.clone().map(|i| every(i).map(|i| ["a", "b", "c"][i as usize % 3])).collect::<DictionaryArray<Int8Type>>(),
            "bool" => rows.clone().map(|i| every(i).map(|i| i % 2 == 0)).collect::<BooleanArray>(),
            "when" => rows.clone().map(|i| every(i).map(|i| i * 1_000_000 - 40_000_000)).collect::<TimestampMicrosecondArray>(),
            "price" => rows.map(|i| every(i).map(i128::from)).collect::<Decimal128Array>(),
            "none" => Int64Array::new_null(97),
        }
        .unwrap()
    }

    #[test]
    fn states_keep_the_contract_on_nasty_data() {
        let rows = nasty();
        let mut suite = Suite::new("s")
            .expect(in_range("int", 2..=7))
            .expect(in_range("uint", 5..u64::MAX))
            .expect(in_range("float", 0.0..1.0))
            .expect(in_range("half", 0.1..))
            .expect(in_range("text", "é2"..="é4"))
            .expect(in_set("view", ["b"]))
            .expect(in_set("coded", ["a", "c"]))
            .expect(in_set("bool", [true]))
            .expect(in_range("when", "1970-01-01"..))
            .expect(in_range("price", 10..=20));
        for field in rows.schema().fields() {
            conformance::analyzer(&NullCount { column: field.name().clone() }, &rows);
            suite = suite.expect(unique(field.name()));
            let data_type = crate::values::value_type(field.data_type()).clone();
            conformance::analyzer(&Distinct { column: field.name().clone(), data_type }, &rows);
        }
        let mut plan = Plan::new();
        suite.compile(&rows.schema(), &mut plan).unwrap();
        conformance::analyzer(&plan, &rows);
        let source = MemorySource::from(rows.clone());
        conformance::validator(&suite, &source);

        // What a dictionary, a slice and a copy say is the same.
        let state = Scan::new(&source).state(&plan).unwrap();
        let bytes = state_to_bytes(&plan, &state).unwrap();
        let back = state_from_bytes(&plan, &bytes).unwrap();
        assert_eq!(state_to_bytes(&plan, &back).unwrap(), bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn hostile_bytes_are_an_error_or_a_state(bytes: Vec<u8>, flip in 0_usize..4096, to: u8) {
            let rows = nasty();
            let distinct =
                Distinct { column: "text".into(), data_type: arrow::datatypes::DataType::Utf8 };
            let mut state = distinct.start();
            distinct.update(&mut state, &Rows::new(&rows)).unwrap();
            let mut encoded = Vec::new();
            state.encode(&mut encoded);
            let at = flip % encoded.len();
            encoded[at] = to;
            for hostile in [&bytes, &encoded] {
                let nulls = NullCount { column: "text".into() };
                drop(nulls.decode(&mut hostile.as_slice()));
                if let Ok(state) = distinct.decode(&mut hostile.as_slice()) {
                    let mut again = Vec::new();
                    state.encode(&mut again);
                    prop_assert!(hostile.starts_with(&again));
                }
            }
        }
    }
}
