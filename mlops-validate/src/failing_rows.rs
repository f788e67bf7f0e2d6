//! The first failing rows: a bounded list that does not depend on the order of the scan.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::bytes::{
    add_count, put_len, put_str, put_u8, put_u64, take_count, take_len, take_str, take_u8, take_u64,
};
use mlops_core::{Result, RowId, Rows};
use serde::{Deserialize, Serialize};

/// A row that failed, and the value that it failed with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub(crate) struct FailingRow {
    /// The row's name.
    pub id: RowId,
    /// Its value as text, cut after 64 characters; `None` where it is null.
    pub value: Option<String>,
}

/// How many failing rows were seen, and the smallest [`KEPT`](Self::KEPT) of them by origin and
/// number: a function of the multiset of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailingRows {
    pub(crate) count: u64,
    /// Sorted.
    pub(crate) first: Vec<FailingRow>,
}

impl FailingRows {
    /// As many as Great Expectations shows.
    pub(crate) const KEPT: usize = 20;

    /// Takes in the rows of a batch whose bit is set.
    pub(crate) fn update(
        &mut self,
        rows: &Rows<'_>,
        column: &ArrayRef,
        failing: &BooleanBuffer,
    ) -> Result<()> {
        let count = failing.count_set_bits();
        self.count += count as u64;
        if count == 0 {
            return Ok(());
        }
        let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?;
        for index in failing.set_indices() {
            let row = rows.first_row() + index as u64;
            // Rows of a batch ascend: behind the first that is too late all are.
            if let Some(last) = self.first.get(Self::KEPT - 1)
                && (rows.origin(), row) > (last.id.origin.as_str(), last.id.row)
            {
                break;
            }
            let value = column
                .is_valid(index)
                .then(|| formatter.value(index).to_string().chars().take(64).collect());
            self.keep(FailingRow { id: rows.row_id(index), value });
        }
        Ok(())
    }

    fn keep(&mut self, row: FailingRow) {
        let at = self.first.partition_point(|r| *r <= row);
        if at < Self::KEPT {
            self.first.insert(at, row);
            self.first.truncate(Self::KEPT);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        add_count(&mut self.count, other.count);
        for row in other.first {
            self.keep(row);
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.count);
        put_len(out, self.first.len());
        for row in &self.first {
            put_str(out, &row.id.origin);
            put_u64(out, row.id.row);
            match &row.value {
                Some(value) => {
                    put_u8(out, 1);
                    put_str(out, value);
                }
                None => put_u8(out, 0),
            }
        }
    }

    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self> {
        use mlops_core::bytes::bad;
        let count = take_count(bytes)?;
        let n = take_len(bytes, 17)?;
        if n as u64 != count.min(Self::KEPT as u64) {
            return Err(bad(bytes, format!("{} rows kept", count.min(Self::KEPT as u64)), n));
        }
        let mut first: Vec<FailingRow> = Vec::with_capacity(n);
        for _ in 0..n {
            let id = RowId { origin: take_str(bytes)?, row: take_u64(bytes)? };
            let value = match take_u8(bytes)? {
                0 => None,
                1 => Some(take_str(bytes)?),
                tag => return Err(bad(bytes, "0 or 1", tag)),
            };
            let row = FailingRow { id, value };
            if first.last().is_some_and(|last| *last > row) {
                return Err(bad(bytes, "rows in order", row.id));
            }
            first.push(row);
        }
        Ok(Self { count, first })
    }

    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.first.len() * (size_of::<FailingRow>() + 64)
    }

    /// The names of the rows kept.
    pub(crate) fn ids(&self) -> Vec<RowId> {
        self.first.iter().map(|r| r.id.clone()).collect()
    }
}
