//! How often each category occurs.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::Array;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::values;
use crate::bytes::{add_count, bad, put_len, put_str, put_u64, take_len, take_str};
use crate::{Analyzer, Description, Error, Result, Rows, State};

/// Counts of a column that [`Rows::categories`] can read, by label.
///
/// Up to `cap` distinct labels every count is exact. Beyond it the `cap` labels with the smallest
/// xxh3 hash are kept, each with its exact count, and the rows of all others are counted together
/// in [`overflow`](CategoryTable::overflow): which labels are kept depends on the set of labels
/// alone, never on order. The kept are then a uniform sample of the labels, not the most
/// frequent. Nulls are counted apart.
///
/// ```
/// use arrow::array::StringArray;
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::CategoryCounts};
/// let city = StringArray::from(vec![Some("Oslo"), None, Some("Bergen"), Some("Oslo")]);
/// let source = MemorySource::from(batch! { "city" => city }?);
/// let table = source.measure(&CategoryCounts::new("city"))?;
/// assert_eq!((table.count("Oslo"), table.count("Rome"), table.nulls), (2, 0, 1));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CategoryCounts {
    column: String,
    cap: usize,
}

#[derive(Serialize, Deserialize)]
struct Written {
    column: String,
    cap: usize,
}

impl TryFrom<Written> for CategoryCounts {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::new(written.column).with_cap(written.cap)
    }
}

impl From<CategoryCounts> for Written {
    fn from(counts: CategoryCounts) -> Self {
        Self { column: counts.column, cap: counts.cap }
    }
}

impl CategoryCounts {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "category_counts";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;
    /// The labels that are counted one by one unless told otherwise.
    pub const CAP: usize = 10_000;

    /// Counts of this column, with [`CAP`](Self::CAP).
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into(), cap: Self::CAP }
    }

    /// The same with this cap.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cap of 0.
    pub fn with_cap(self, cap: usize) -> Result<Self> {
        if cap == 0 {
            return Err(Error::invalid("cap of categories", "at least 1", cap));
        }
        Ok(Self { cap, ..self })
    }

    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The most distinct labels that are counted one by one.
    pub fn cap(&self) -> usize {
        self.cap
    }
}

/// What [`CategoryCounts`] has counted so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryState {
    cap: usize,
    /// By hash, then label: the canonical order, and the order of who goes first.
    labels: BTreeMap<(u64, Box<str>), u64>,
    nulls: u64,
    overflow: u64,
}

impl CategoryState {
    fn add(&mut self, hash: u64, label: Box<str>, count: u64) {
        use std::collections::btree_map::Entry;
        if self.labels.len() == self.cap
            && let Some((last, _)) = self.labels.last_key_value()
            && (last.0, &last.1) < (hash, &label)
        {
            add_count(&mut self.overflow, count);
            return;
        }
        match self.labels.entry((hash, label)) {
            Entry::Occupied(mut entry) => {
                add_count(entry.get_mut(), count);
            }
            Entry::Vacant(entry) => {
                entry.insert(count);
                if self.labels.len() > self.cap
                    && let Some((_, dropped)) = self.labels.pop_last()
                {
                    add_count(&mut self.overflow, dropped);
                }
            }
        }
    }
}

impl State for CategoryState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            let reason = format!("caps of {} and {}", self.cap, other.cap);
            return Err(Error::merge("category counts", reason));
        }
        add_count(&mut self.nulls, other.nulls);
        add_count(&mut self.overflow, other.overflow);
        for ((hash, label), count) in other.labels {
            self.add(hash, label, count);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.nulls);
        put_u64(out, self.overflow);
        put_len(out, self.labels.len());
        for ((_, label), &count) in &self.labels {
            put_str(out, label);
            put_u64(out, count);
        }
    }

    fn size(&self) -> usize {
        let labels: usize = self.labels.keys().map(|(_, label)| label.len() + 48).sum();
        size_of::<Self>() + labels
    }
}

/// Counts by label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CategoryTable {
    /// The count of each label that is counted by itself.
    pub counts: BTreeMap<String, u64>,
    /// Rows without a value.
    pub nulls: u64,
    /// Rows of labels beyond the cap.
    pub overflow: u64,
}

impl CategoryTable {
    /// The rows of a label; 0 if it was not seen, or is one of those beyond the cap.
    pub fn count(&self, label: &str) -> u64 {
        self.counts.get(label).copied().unwrap_or(0)
    }

    /// The rows that have a value.
    pub fn n(&self) -> u64 {
        self.counts.values().fold(self.overflow, |sum, &n| sum.saturating_add(n))
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.n().saturating_add(self.nulls)
    }

    /// Whether every label is counted by itself.
    pub fn is_complete(&self) -> bool {
        self.overflow == 0
    }

    /// Labels and counts, the most frequent first, ties by label.
    pub fn by_count(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.counts.iter().map(|(l, &c)| (l.as_str(), c)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all
    }
}

impl fmt::Display for CategoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        write!(f, "{} rows, {} null, {} labels", self.rows(), self.nulls, self.counts.len())?;
        for (i, (label, count)) in self.by_count().into_iter().take(SHOWN).enumerate() {
            write!(f, "{} {label:?} {count}", if i == 0 { ":" } else { "," })?;
        }
        if self.counts.len() > SHOWN {
            write!(f, ", …")?;
        }
        if self.overflow > 0 {
            write!(f, "; {} rows of labels beyond the cap", self.overflow)?;
        }
        Ok(())
    }
}

impl Analyzer for CategoryCounts {
    type State = CategoryState;
    type Output = CategoryTable;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> CategoryState {
        CategoryState { cap: self.cap, labels: BTreeMap::new(), nulls: 0, overflow: 0 }
    }

    fn update(&self, state: &mut CategoryState, rows: &Rows<'_>) -> Result<()> {
        let categories = rows.categories(&self.column)?;
        let (codes, labels) = (categories.codes(), categories.labels());
        let mut counts = vec![0u64; labels.len()];
        if codes.null_count() == 0 {
            for &code in codes.values() {
                counts[code as usize] += 1;
            }
        } else {
            for code in codes.iter().flatten() {
                counts[code as usize] += 1;
            }
            state.nulls += codes.null_count() as u64;
        }
        for (label, count) in labels.iter().zip(counts) {
            if let Some(label) = label.filter(|_| count > 0) {
                state.add(xxh3_64(label.as_bytes()), label.into(), count);
            }
        }
        Ok(())
    }

    fn finish(&self, state: CategoryState) -> Result<CategoryTable> {
        Ok(CategoryTable {
            counts: state.labels.into_iter().map(|((_, l), c)| (l.into(), c)).collect(),
            nulls: state.nulls,
            overflow: state.overflow,
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CategoryState> {
        let mut state = self.start();
        state.nulls = values::take_count(bytes)?;
        state.overflow = values::take_count(bytes)?;
        let n = take_len(bytes, 16)?;
        if n > self.cap || (state.overflow > 0 && n < self.cap) {
            return Err(bad(bytes, format!("as many labels as the cap of {}", self.cap), n));
        }
        let mut rows = state.nulls.checked_add(state.overflow);
        for _ in 0..n {
            let label: Box<str> = take_str(bytes)?.into();
            let count = values::take_count(bytes)?;
            let key = (xxh3_64(label.as_bytes()), label);
            let in_order = state.labels.last_key_value().is_none_or(|(last, _)| *last < key);
            rows = rows.and_then(|r| r.checked_add(count));
            if !in_order || count == 0 || rows.is_none_or(|r| r > values::MOST_ROWS) {
                return Err(bad(bytes, "labels in the order of their hash, with counts", count));
            }
            state.labels.insert(key, count);
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}
