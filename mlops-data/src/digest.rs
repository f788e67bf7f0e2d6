//! What data a model was trained on, in 32 bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::bytes::{bad, put_str, put_u8, put_u64, take_u64};
use mlops_core::{Analyzer, DataSource, Description, Digest, Error, Result, Rows, Scan, State};
use serde::Serialize;

/// The digest of a table's content: the columns' names and types in their order, and the rows
/// with how often each is there, in any order.
///
/// Each row has a SHA-256; the digest is that of the schema, the number of rows, and the sum of
/// the rows' hashes modulo 2²⁵⁶. So it is the same however the rows are ordered, cut into
/// partitions, or stored: text is text, in a dictionary or not, and integers of any width are one
/// type, as are floats. −0 is not 0; all NaN are one. It tells data apart; it does not withstand
/// somebody who chooses rows so that their sums agree.
///
/// ```
/// use arrow::array::Int64Array;
/// use mlops_core::{MemorySource, batch};
/// let source = |x| Ok::<_, mlops_core::Error>(MemorySource::from(batch! { "x" => Int64Array::from(x) }?));
/// let one = mlops_data::digest(&source(vec![1, 2, 3])?)?;
/// assert_eq!(one, mlops_data::digest(&source(vec![3, 1, 2])?)?);
/// assert_ne!(one, mlops_data::digest(&source(vec![3, 1, 1])?)?);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetDigest {
    columns: Vec<(String, Kind)>,
}

/// How values of a column are written for the hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
enum Kind {
    Boolean,
    Integer,
    Float,
    Text,
    /// As it prints, with the type's name.
    Printed(String),
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::Boolean => Self::Boolean,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            // Some of these are beyond 64 signed bits.
            DataType::UInt64 => Self::Printed("UInt64".into()),
            other if other.is_integer() => Self::Integer,
            other if mlops_core::is_text(other) => Self::Text,
            other => Self::Printed(other.to_string()),
        }
    }
}

/// The digest of all rows of a source: [`DatasetDigest`] of its schema.
///
/// # Errors
/// Those of the source.
pub fn digest(source: &dyn DataSource) -> Result<Digest> {
    Scan::new(source).run(&DatasetDigest::of(&source.schema()))
}

impl DatasetDigest {
    /// The digest of tables of this schema.
    pub fn of(schema: &Schema) -> Self {
        let columns = schema.fields().iter();
        Self { columns: columns.map(|f| (f.name().clone(), Kind::of(f.data_type()))).collect() }
    }
}

/// The rows that a [`DatasetDigest`] has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestState {
    rows: u64,
    /// Little-endian, modulo 2²⁵⁶.
    sum: [u64; 4],
}

impl DigestState {
    fn add(&mut self, other: [u64; 4]) {
        let mut carry = false;
        for (mine, theirs) in self.sum.iter_mut().zip(other) {
            let (sum, one) = mine.overflowing_add(theirs);
            let (sum, two) = sum.overflowing_add(u64::from(carry));
            *mine = sum;
            carry = one || two;
        }
    }
}

impl State for DigestState {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.rows = self.rows.wrapping_add(other.rows);
        self.add(other.sum);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        for word in self.sum {
            put_u64(out, word);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl Analyzer for DatasetDigest {
    type State = DigestState;
    type Output = Digest;

    fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    fn start(&self) -> DigestState {
        DigestState::default()
    }

    fn update(&self, state: &mut DigestState, rows: &Rows<'_>) -> Result<()> {
        let mut texts = vec![Vec::new(); rows.len()];
        for (name, kind) in &self.columns {
            write_column(name, kind, rows.column(name)?, &mut texts)?;
        }
        for text in texts {
            let hash = *Digest::of(text).as_bytes();
            let mut words = [0; 4];
            for (word, bytes) in words.iter_mut().zip(hash.chunks_exact(8)) {
                *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            }
            state.add(words);
        }
        state.rows = state.rows.wrapping_add(rows.len() as u64);
        Ok(())
    }

    fn finish(&self, state: DigestState) -> Result<Digest> {
        let mut text = b"mlops dataset 1\n".to_vec();
        for (name, kind) in &self.columns {
            put_str(&mut text, name);
            put_str(&mut text, &format!("{kind:?}"));
        }
        state.encode(&mut text);
        Ok(Digest::of(text))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<DigestState> {
        let rows = take_u64(bytes)?;
        let mut sum = [0; 4];
        for word in &mut sum {
            *word = take_u64(bytes)?;
        }
        let state = DigestState { rows, sum };
        if rows == 0 && sum != [0; 4] {
            return Err(bad(bytes, "a sum of no rows", "another"));
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("dataset_digest", 1, &self.columns))
    }
}

/// Appends each row's value: 0 for null, else 1 and the value.
fn write_column(name: &str, kind: &Kind, array: &ArrayRef, rows: &mut [Vec<u8>]) -> Result<()> {
    if Kind::of(array.data_type()) != *kind {
        return Err(Error::column_type(name, format!("{kind:?}"), array.data_type()));
    }
    let plain = match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value)?,
        _ => Arc::clone(array),
    };
    let mut each = |value: &mut dyn FnMut(usize, &mut Vec<u8>) -> Result<()>| -> Result<()> {
        let nulls = plain.logical_nulls();
        for (row, out) in rows.iter_mut().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                put_u8(out, 0);
            } else {
                put_u8(out, 1);
                value(row, out)?;
            }
        }
        Ok(())
    };
    match kind {
        Kind::Boolean => {
            let values = plain.as_boolean();
            each(&mut |row, out| {
                put_u8(out, values.value(row).into());
                Ok(())
            })
        }
        Kind::Integer => {
            let values = cast(&plain, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            each(&mut |row, out| {
                out.extend_from_slice(&values.value(row).to_le_bytes());
                Ok(())
            })
        }
        Kind::Float => {
            let values = cast(&plain, &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            each(&mut |row, out| {
                let x = values.value(row);
                let x = if x.is_nan() { f64::NAN } else { x };
                put_u64(out, x.to_bits());
                Ok(())
            })
        }
        Kind::Text => {
            let values = cast(&plain, &DataType::LargeUtf8)?;
            let values = values.as_string::<i64>();
            each(&mut |row, out| {
                put_str(out, values.value(row));
                Ok(())
            })
        }
        Kind::Printed(_) => {
            let options = FormatOptions::default();
            let values = ArrayFormatter::try_new(&plain, &options)?;
            each(&mut |row, out| {
                put_str(out, &values.value(row).try_to_string()?);
                Ok(())
            })
        }
    }
}
