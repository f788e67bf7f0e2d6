//! The lengths of texts, in characters.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use mlops_core::bytes::{bad, put_u8, put_u64, take_u8, take_u64};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::Serialize;

/// The shortest and the longest text of a column, in Unicode scalar values; nulls are left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lengths {
    pub(crate) column: String,
}

/// The state and the result of [`Lengths`]; `None` without texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LengthRange(pub(crate) Option<(u64, u64)>);

impl LengthRange {
    fn reach(&mut self, low: u64, high: u64) {
        self.0 = Some(self.0.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
    }

    fn add(&mut self, text: &str) {
        let n = text.chars().count() as u64;
        self.reach(n, n);
    }
}

impl Analyzer for Lengths {
    type State = LengthRange;
    type Output = LengthRange;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> LengthRange {
        LengthRange::default()
    }

    fn update(&self, state: &mut LengthRange, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().iter().flatten().for_each(|t| state.add(t)),
            DataType::LargeUtf8 => {
                column.as_string::<i64>().iter().flatten().for_each(|t| state.add(t));
            }
            DataType::Utf8View => {
                column.as_string_view().iter().flatten().for_each(|t| state.add(t));
            }
            other if mlops_core::is_text(other) => {
                let categories = rows.categories(&self.column)?;
                let mut seen = vec![false; categories.labels().len()];
                for code in categories.codes().iter().flatten() {
                    seen[code as usize] = true;
                }
                let labels = categories.labels().iter().zip(seen);
                labels.filter(|(_, seen)| *seen).filter_map(|(t, _)| t).for_each(|t| state.add(t));
            }
            other => return Err(Error::column_type(&*self.column, "text", other)),
        }
        Ok(())
    }

    fn finish(&self, state: LengthRange) -> Result<LengthRange> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<LengthRange> {
        match take_u8(bytes)? {
            0 => Ok(LengthRange(None)),
            1 => match (take_u64(bytes)?, take_u64(bytes)?) {
                (low, high) if low <= high => Ok(LengthRange(Some((low, high)))),
                (low, high) => Err(bad(bytes, format!("at least {low}"), high)),
            },
            tag => Err(bad(bytes, "0 or 1", tag)),
        }
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/lengths", 1, self))
    }
}

impl State for LengthRange {
    fn merge(&mut self, other: Self) -> Result<()> {
        if let Some((low, high)) = other.0 {
            self.reach(low, high);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, u8::from(self.0.is_some()));
        if let Some((low, high)) = self.0 {
            put_u64(out, low);
            put_u64(out, high);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
