//! The first failing rows: a bounded list that does not depend on the order of the scan.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u64, take_count, take_len, take_str, take_u64,
};
use mlops_core::{Result, RowGroup, RowId, Rows, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row that failed, and the values that it failed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// The row's name.
    pub row: RowId,
    /// The row group of the file that it stands in, of files that have such groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_group: Option<RowGroup>,
    /// What stands in the columns of the expectation, in their order: numbers, texts (cut after
    /// 256 characters), booleans, `null`; other types as the text that they print as.
    pub values: Vec<Value>,
}

/// A row in the state: its values as the JSON of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    row: RowId,
    values: String,
}

/// How many failing rows were seen, and the smallest so many of them by origin and number: a
/// function of the multiset of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailingRows {
    count: u64,
    /// Sorted.
    first: Vec<Kept>,
}

impl FailingRows {
    /// As many as Great Expectations shows.
    pub(crate) const KEPT: usize = 20;

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes in the rows of a batch whose bit is set, shown with these columns.
    pub(crate) fn update(
        &mut self,
        rows: &Rows<'_>,
        columns: &[ArrayRef],
        failing: &BooleanBuffer,
    ) -> Result<()> {
        let count = failing.count_set_bits();
        add_count(&mut self.count, count as u64);
        if count == 0 {
            return Ok(());
        }
        for index in failing.set_indices() {
            let row = rows.row_id(index);
            // Rows of a batch ascend: behind the first that is too late all are.
            if self.first.get(Self::KEPT - 1).is_some_and(|last| row > last.row) {
                break;
            }
            let values: Vec<_> =
                columns.iter().map(|c| value_at(c, index)).collect::<Result<_>>()?;
            self.keep(Kept { row, values: Value::from(values).to_string() });
        }
        Ok(())
    }

    /// Takes in a row whose values are known.
    pub(crate) fn keep_row(&mut self, row: RowId, values: &[Value]) {
        self.keep(Kept { row, values: Value::from(values).to_string() });
    }

    /// Counts rows of which the first are kept by [`keep_row`](Self::keep_row).
    pub(crate) fn add(&mut self, rows: u64) {
        add_count(&mut self.count, rows);
    }

    fn keep(&mut self, row: Kept) {
        let at = self.first.partition_point(|r| *r <= row);
        if at < Self::KEPT {
            self.first.insert(at, row);
            self.first.truncate(Self::KEPT);
        }
    }

    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let count = take_count(bytes)?;
        let n = take_len(bytes, 17)?;
        if n as u64 != count.min(Self::KEPT as u64) {
            return Err(bad(bytes, format!("{} rows kept", count.min(Self::KEPT as u64)), n));
        }
        let mut first: Vec<Kept> = Vec::with_capacity(n);
        for _ in 0..n {
            let row = RowId { origin: take_str(bytes)?, row: take_u64(bytes)? };
            let kept = Kept { row, values: take_str(bytes)? };
            if first.last().is_some_and(|last| *last > kept) {
                return Err(bad(bytes, "rows in order", kept.row));
            }
            if serde_json::from_str::<Vec<Value>>(&kept.values).is_err() {
                return Err(bad(bytes, "a list of values as JSON", kept.values));
            }
            first.push(kept);
        }
        Ok(Self { count, first })
    }

    /// The rows kept.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |kept: &Kept| Sample {
            row: kept.row.clone(),
            row_group: None,
            values: serde_json::from_str(&kept.values).unwrap_or_default(),
        };
        self.first.iter().map(sample).collect()
    }
}

impl State for FailingRows {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.count, other.count);
        for row in other.first {
            self.keep(row);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.count);
        put_len(out, self.first.len());
        for kept in &self.first {
            put_str(out, &kept.row.origin);
            put_u64(out, kept.row.row);
            put_str(out, &kept.values);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.first.len() * (size_of::<Kept>() + 64)
    }
}

/// A value of an array, to be shown: whole numbers and finite floats as numbers, the other floats
/// and all other types as text, `null` where there is none.
pub(crate) fn value_at(array: &ArrayRef, index: usize) -> Result<Value> {
    if !array.is_valid(index) {
        return Ok(Value::Null);
    }
    if let DataType::Dictionary(_, _) = array.data_type() {
        let dictionary = array.as_any_dictionary();
        return value_at(dictionary.values(), dictionary.normalized_keys()[index]);
    }
    let text = {
        let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())?;
        formatter.value(index).to_string()
    };
    Ok(match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(index)),
        other if other.is_integer() => {
            text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from))
        }
        .unwrap_or(Value::Null),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let number: Option<f64> = text.parse().ok().filter(|v: &f64| v.is_finite());
            number.map_or_else(|| Value::String(text), Value::from)
        }
        _ => Value::String(text.chars().take(256).collect()),
    })
}

/// A value in words.
pub(crate) fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().take(64).collect(),
        other => other.to_string(),
    }
}
