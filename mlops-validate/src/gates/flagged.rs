//! Rows that a question was answered badly for: how many, and the first of them by name.

use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u64, take_count, take_len, take_str, take_u64, too_many,
};
use mlops_core::{Result, RowId, Rows, State};

/// How many rows were asked, could not be asked, and are flagged, with the names of the first of
/// these: a function of the multiset of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FlaggedState {
    /// Rows that were asked.
    pub(super) rows: u64,
    /// Rows that could not be.
    pub(super) nulls: u64,
    /// Rows that are flagged.
    pub(super) flagged: u64,
    /// The first of these, sorted.
    pub(super) first: Vec<RowId>,
}

/// As many rows are named.
const NAMED: usize = 20;

impl FlaggedState {
    /// Takes in the answers for the rows of a batch: `None` where a row could not be asked.
    pub(super) fn update(&mut self, rows: &Rows<'_>, flagged: impl Fn(usize) -> Option<bool>) {
        for index in 0..rows.len() {
            self.rows += 1;
            match flagged(index) {
                None => self.nulls += 1,
                Some(false) => {}
                Some(true) => {
                    self.flagged += 1;
                    self.name(rows, index);
                }
            }
        }
    }

    fn name(&mut self, rows: &Rows<'_>, index: usize) {
        let row = rows.row_number(index);
        if let Some(last) = self.first.get(NAMED - 1)
            && (rows.origin(), row) >= (last.origin.as_str(), last.row)
        {
            return;
        }
        let id = rows.row_id(index);
        let at = self.first.partition_point(|first| *first <= id);
        self.first.insert(at, id);
        self.first.truncate(NAMED);
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let (rows, nulls, flagged) = (take_count(bytes)?, take_count(bytes)?, take_count(bytes)?);
        if nulls.checked_add(flagged).is_none_or(|part| part > rows) {
            return Err(too_many(bytes));
        }
        let named = take_len(bytes, 16)?;
        if named as u64 != flagged.min(NAMED as u64) {
            return Err(bad(bytes, "the names of the first flagged rows", named));
        }
        let mut first = Vec::with_capacity(named);
        for _ in 0..named {
            first.push(RowId { origin: take_str(bytes)?, row: take_u64(bytes)? });
        }
        if !first.is_sorted() {
            return Err(bad(bytes, "sorted rows", "others"));
        }
        Ok(Self { rows, nulls, flagged, first })
    }
}

impl State for FlaggedState {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.nulls, other.nulls);
        add_count(&mut self.flagged, other.flagged);
        self.first.extend(other.first);
        self.first.sort();
        self.first.truncate(NAMED);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for count in [self.rows, self.nulls, self.flagged] {
            put_u64(out, count);
        }
        put_len(out, self.first.len());
        for row in &self.first {
            put_str(out, &row.origin);
            put_u64(out, row.row);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + self.first.iter().map(|row| size_of::<RowId>() + row.origin.len()).sum::<usize>()
    }
}
