//! The state behind every measurement by group: a cell for each combination of values that
//! several columns have.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u32, take_len, take_str, take_u8, take_u32,
};
use mlops_core::{Error, Result};

use crate::codes::{Codes, Label};
use crate::tally::{AllKeys, Places, tally};

/// What is remembered of the rows of one combination.
pub(crate) trait Cell: Clone + Debug + Default + Send + Sync + 'static {
    /// What the bytes are read by.
    type Options;
    /// The least bytes that one takes.
    const BYTES: usize;
    fn is_empty(&self) -> bool;
    fn merge(&mut self, other: Self, options: &Self::Options);
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(bytes: &mut &[u8], options: &Self::Options) -> Result<Self>;
    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// Cells by combination. Labels have codes in order of appearance, which the canonical bytes do
/// not show.
#[derive(Clone, Debug)]
pub(crate) struct CrossTab<T> {
    columns: Vec<Column>,
    cells: Cells<T>,
    all: AllKeys,
}

#[derive(Clone, Debug, Default)]
struct Column {
    labels: Vec<Label>,
    codes: HashMap<Label, u32>,
    /// The labels of the last batch and their codes: of one dictionary the next has the same.
    recent: (Vec<Label>, Vec<u32>),
    /// Where the code stands in a key, and how many bits it has.
    shift: u32,
    bits: u32,
}

/// Cells by key.
#[derive(Clone, Debug)]
enum Cells<T> {
    /// Every key below the length.
    Dense(Vec<T>),
    Sparse(HashMap<u128, T>),
}

/// The most bytes of cells that stand in one table whether or not there are rows.
const DENSE_BYTES: usize = 1 << 20;

impl<T: Cell> CrossTab<T> {
    pub(crate) fn new(columns: usize) -> Self {
        let cells = Cells::Dense(vec![T::default()]);
        Self { columns: vec![Column::default(); columns], cells, all: AllKeys::default() }
    }

    /// For each column what each of its labels adds to a key. `None` where the combinations of
    /// labels are beyond what a key can hold, which no data have that are worth a look.
    fn parts(&mut self, labels: &[&[Label]]) -> Option<Vec<Vec<u128>>> {
        let codes: Vec<Vec<u32>> = self
            .columns
            .iter_mut()
            .zip(labels)
            .map(|(column, labels)| column.codes(labels))
            .collect();
        self.widen()?;
        let shifted = codes.iter().zip(&self.columns).map(|(codes, column)| {
            codes.iter().map(|&code| u128::from(code) << column.shift).collect()
        });
        Some(shifted.collect())
    }

    /// Makes room for the codes that came in.
    fn widen(&mut self) -> Option<()> {
        let need = |column: &Column| column.labels.len().next_power_of_two().trailing_zeros();
        if self.columns.iter().all(|column| need(column) <= column.bits) {
            return Some(());
        }
        let before = self.columns.clone();
        let mut shift = 0;
        for column in self.columns.iter_mut().rev() {
            column.bits = column.bits.max(need(column));
            column.shift = shift;
            shift += column.bits;
        }
        if shift > 120 {
            self.columns = before;
            return None;
        }
        let moved = |key: u128| {
            let codes = before.iter().zip(&self.columns);
            codes.map(|(old, new)| u128::from(old.of(key)) << new.shift).sum()
        };
        let old = std::mem::replace(&mut self.cells, Cells::with_bits(shift));
        for (key, cell) in old.into_iter() {
            *self.cells.at(moved(key)) = cell;
        }
        Some(())
    }

    /// Counts rows.
    pub(crate) fn count(
        &mut self,
        columns: &[&Codes],
        labels: &[&[Label]],
        rows: usize,
        mut add: impl FnMut(&mut T, u64),
    ) -> Option<()> {
        if rows == 0 {
            return Some(());
        }
        let parts = self.parts(labels)?;
        let (cells, all) = (&mut self.cells, &mut self.all);
        tally(columns, &parts, rows, all, |key, n| add(cells.at(key), n));
        Some(())
    }

    /// Takes in a value for each row, those of a combination together.
    pub(crate) fn group<V: Copy + Default>(
        &mut self,
        columns: &[&Codes],
        labels: &[&[Label]],
        values: &[V],
        mut add: impl FnMut(&mut T, &[V]),
    ) -> Option<()> {
        if values.is_empty() {
            return Some(());
        }
        let parts = self.parts(labels)?;
        Places::of(columns, &parts, values.len())
            .group(values, |key, values| add(self.cells.at(key), values));
        Some(())
    }

    pub(crate) fn merge(&mut self, other: Self, options: &T::Options) -> Result<()> {
        let labels: Vec<_> = other.columns.iter().map(|column| column.labels.as_slice()).collect();
        let parts = self.parts(&labels).ok_or_else(|| {
            Error::invalid("groups of two states", "combinations that fit a key", "more")
        })?;
        for (key, cell) in other.cells.into_iter() {
            let codes = other.columns.iter().zip(&parts);
            let key = codes.map(|(column, parts)| parts[column.of(key) as usize]).sum();
            self.cells.at(key).merge(cell, options);
        }
        Ok(())
    }

    /// How many combinations of the first columns have rows, or more than `most`.
    pub(crate) fn combinations(&self, columns: usize, most: usize) -> usize {
        let labels = self.columns[..columns].iter();
        let room = labels.fold(1_usize, |n, column| n.saturating_mul(column.labels.len()));
        if room <= most {
            // They cannot be more.
            return room;
        }
        let shift = columns.checked_sub(1).map_or(u128::BITS - 1, |last| self.columns[last].shift);
        let mut found = HashSet::new();
        for (key, _) in self.cells.iter() {
            found.insert(key >> shift);
            if found.len() > most {
                break;
            }
        }
        found.len()
    }

    /// How many labels a column has seen.
    pub(crate) fn labels(&self, column: usize) -> usize {
        self.columns[column].labels.len()
    }

    /// The cells in the order of their labels, null first.
    pub(crate) fn into_cells(self) -> BTreeMap<Vec<Label>, T> {
        let columns = self.columns;
        let cells = self.cells.into_iter().map(|(key, cell)| {
            let label = |column: &Column| column.labels[column.of(key) as usize].clone();
            (columns.iter().map(label).collect(), cell)
        });
        cells.collect()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        // The labels that have rows, in order, and for each code its rank.
        let mut used: Vec<Vec<bool>> =
            self.columns.iter().map(|column| vec![false; column.labels.len()]).collect();
        for (key, _) in self.cells.iter() {
            for (column, used) in self.columns.iter().zip(&mut used) {
                used[column.of(key) as usize] = true;
            }
        }
        let mut ranks = Vec::new();
        for (column, used) in self.columns.iter().zip(&used) {
            let mut codes: Vec<u32> =
                (0..).zip(used).filter(|(_, used)| **used).map(|(code, _)| code).collect();
            codes.sort_by_key(|&code| &column.labels[code as usize]);
            put_len(out, codes.len());
            let mut rank = vec![0_u32; column.labels.len()];
            for (at, code) in (0..).zip(codes) {
                rank[code as usize] = at;
                put_label(out, column.labels[code as usize].as_deref());
            }
            ranks.push(rank);
        }
        let mut entries: Vec<(Vec<u32>, &T)> = self
            .cells
            .iter()
            .map(|(key, cell)| {
                let codes = self.columns.iter().zip(&ranks);
                (codes.map(|(column, rank)| rank[column.of(key) as usize]).collect(), cell)
            })
            .collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        put_len(out, entries.len());
        for (ranks, cell) in entries {
            for rank in ranks {
                put_u32(out, rank);
            }
            cell.encode(out);
        }
    }

    pub(crate) fn decode(columns: usize, bytes: &mut &[u8], options: &T::Options) -> Result<Self> {
        let mut tab = Self::new(columns);
        let mut labels: Vec<Vec<Label>> = Vec::with_capacity(columns);
        for _ in 0..columns {
            let n = take_len(bytes, 1)?;
            let mut found: Vec<Label> = Vec::new();
            for _ in 0..n {
                let label = take_label(bytes)?;
                if found.last().is_some_and(|last| *last >= label) {
                    return Err(bad(bytes, "labels in ascending order", format!("{label:?}")));
                }
                found.push(label);
            }
            labels.push(found);
        }
        let slices: Vec<_> = labels.iter().map(Vec::as_slice).collect();
        let Some(parts) = tab.parts(&slices) else {
            return Err(bad(bytes, "labels that a key can hold", "more"));
        };
        let mut used: Vec<Vec<bool>> =
            labels.iter().map(|found| vec![false; found.len()]).collect();
        let mut last: Option<Vec<u32>> = None;
        for _ in 0..take_len(bytes, T::BYTES + 4 * columns)? {
            let ranks = (0..columns).map(|_| take_u32(bytes)).collect::<Result<Vec<_>>>()?;
            let mut key = 0;
            for ((&rank, parts), used) in ranks.iter().zip(&parts).zip(&mut used) {
                let (Some(part), Some(used)) =
                    (parts.get(rank as usize), used.get_mut(rank as usize))
                else {
                    return Err(bad(bytes, format!("one of {} labels", parts.len()), rank));
                };
                key += part;
                *used = true;
            }
            if last.as_ref().is_some_and(|last| *last >= ranks) {
                return Err(bad(bytes, "combinations in ascending order", format!("{ranks:?}")));
            }
            let cell = T::decode(bytes, options)?;
            if cell.is_empty() {
                return Err(bad(bytes, "a combination that has rows", format!("{ranks:?}")));
            }
            last = Some(ranks);
            *tab.cells.at(key) = cell;
        }
        if used.iter().flatten().any(|used| !used) {
            return Err(bad(bytes, "labels that have rows", "one without"));
        }
        Ok(tab)
    }

    pub(crate) fn size(&self) -> usize {
        let labels = self.columns.iter().flat_map(|column| &column.labels);
        let text: usize = labels.map(|l| 80 + l.as_ref().map_or(0, |label| label.len())).sum();
        let cells: usize = self.cells.iter().map(|(_, cell)| 16 + cell.size()).sum();
        text + cells + self.cells.empty_bytes()
    }
}

/// The same multiset of rows, whatever the codes.
impl<T: Cell> PartialEq for CrossTab<T> {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |tab: &Self| {
            let mut bytes = Vec::new();
            tab.encode(&mut bytes);
            bytes
        };
        bytes(self) == bytes(other)
    }
}

impl Column {
    fn codes(&mut self, labels: &[Label]) -> Vec<u32> {
        /// Fewer are looked up as fast as they are compared.
        const MANY: usize = 32;
        if labels.len() < MANY {
            return labels.iter().map(|label| self.code(label)).collect();
        }
        if self.recent.0 != labels {
            let codes = labels.iter().map(|label| self.code(label)).collect();
            self.recent = (labels.to_vec(), codes);
        }
        self.recent.1.clone()
    }

    fn code(&mut self, label: &Label) -> u32 {
        if let Some(&code) = self.codes.get(label) {
            return code;
        }
        let code = self.labels.len() as u32;
        self.labels.push(label.clone());
        self.codes.insert(label.clone(), code);
        code
    }

    fn of(&self, key: u128) -> u32 {
        (key >> self.shift) as u32 & ((1_u64 << self.bits) - 1) as u32
    }
}

impl<T: Cell> Cells<T> {
    fn with_bits(bits: u32) -> Self {
        match 1_usize.checked_shl(bits) {
            Some(n) if n <= (DENSE_BYTES / size_of::<T>().max(1)).max(1) => {
                Self::Dense(vec![T::default(); n])
            }
            _ => Self::Sparse(HashMap::new()),
        }
    }

    fn at(&mut self, key: u128) -> &mut T {
        match self {
            Self::Dense(cells) => &mut cells[key as usize],
            Self::Sparse(cells) => cells.entry(key).or_default(),
        }
    }

    fn empty_bytes(&self) -> usize {
        match self {
            Self::Dense(cells) => {
                cells.iter().filter(|cell| cell.is_empty()).count() * size_of::<T>()
            }
            Self::Sparse(_) => 0,
        }
    }

    /// Those that have rows, in no order that means something.
    fn iter(&self) -> Box<dyn Iterator<Item = (u128, &T)> + '_> {
        match self {
            Self::Dense(cells) => {
                Box::new((0..).zip(cells).filter(|(_, cell): &(u128, &T)| !cell.is_empty()))
            }
            Self::Sparse(cells) => Box::new(
                cells.iter().map(|(&key, cell)| (key, cell)).filter(|(_, cell)| !cell.is_empty()),
            ),
        }
    }

    fn into_iter(self) -> Box<dyn Iterator<Item = (u128, T)>> {
        match self {
            Self::Dense(cells) => {
                Box::new((0..).zip(cells).filter(|(_, cell): &(u128, T)| !cell.is_empty()))
            }
            Self::Sparse(cells) => Box::new(cells.into_iter().filter(|(_, cell)| !cell.is_empty())),
        }
    }
}

/// The bytes of a label; null is one, too.
pub(crate) fn put_label(out: &mut Vec<u8>, label: Option<&str>) {
    match label {
        None => put_u8(out, 0),
        Some(text) => {
            put_u8(out, 1);
            put_str(out, text);
        }
    }
}

/// A label back.
pub(crate) fn take_label<T: From<String>>(bytes: &mut &[u8]) -> Result<Option<T>> {
    match take_u8(bytes)? {
        0 => Ok(None),
        1 => Ok(Some(take_str(bytes)?.into())),
        tag => Err(bad(bytes, "0 or 1", tag)),
    }
}
