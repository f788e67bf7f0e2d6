//! What there is to know about the keys of a source.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use mlops_core::{Error, Result, RowId, Rows};
use serde_json::Value;

use super::Keys;
use super::chunk::{Folded, Group, Key};
use super::column::Form;
use super::fold::First;
use super::kernel::Frequencies;
use super::state::Shared;
use crate::Sample;
use crate::failing_rows::FailingRows;

/// The keys of a source: how many, how often, which of them are repeated.
///
/// *Rows with a key* are all rows but those that [`Missing`](super::Missing) leaves out. All
/// numbers are exact.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyCounts {
    /// All rows.
    pub rows: u64,
    /// Rows in which some key column is null.
    pub any_null: u64,
    /// Rows in which all key columns are null.
    pub all_null: u64,
    /// Rows with a key.
    pub keyed: u64,
    /// Different keys.
    pub distinct: u64,
    /// Keys that stand in one row alone.
    pub unique: u64,
    /// Rows whose key stands in another row, too: every copy counts.
    pub repeated_rows: u64,
    /// For every count, how many keys stand so often.
    pub frequencies: BTreeMap<u64, u64>,
    /// The keys that stand most often.
    pub most_common: MostCommon,
    /// All keys, in order, where there are at most [`Keys::LISTED`].
    pub listed: Option<ListedKeys>,
    /// The bytes that went to a temporary file because memory was beyond its limit; the only thing
    /// here that depends on how the measurement was made. 0 is: all stayed in memory.
    pub spilled_bytes: u64,
    pub(crate) failing: FailingRows,
    keys: Keys,
    set: KeySet,
}

/// The keys that stand most often.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MostCommon {
    /// How often; 0 where there are no keys.
    pub count: u64,
    /// How many keys stand so often.
    pub ties: u64,
    /// The first [`Keys::MOST_COMMON`] of these in their order, one value for each key column.
    /// Where every key stands once and they are too many to be [listed](KeyCounts::listed), none.
    pub keys: Vec<Vec<Value>>,
}

/// Keys with their counts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ListedKeys {
    /// For each key one value for each key column, as they are shown.
    pub keys: Vec<Vec<Value>>,
    /// How often each key stands.
    pub counts: Vec<u64>,
    /// The keys of a single column as an array: whole numbers but `UInt64` are `Int64`, floats
    /// `Float64`, texts `LargeUtf8`, dates and the like as they are. `None` for several columns,
    /// nested and wide types, and where null is a key.
    pub array: Option<ArrayRef>,
}

impl KeyCounts {
    /// Whether no key stands twice.
    pub fn is_unique(&self) -> bool {
        self.repeated_rows == 0
    }

    /// Keys that stand once, over rows with a key, in `[0, 1]`; deequ's `Uniqueness`. `None`
    /// without such rows.
    pub fn uniqueness(&self) -> Option<f64> {
        ratio(self.unique, self.keyed)
    }

    /// Different keys over rows with a key, in `[0, 1]`; deequ's `Distinctness`, Great
    /// Expectations' proportion of unique values. `None` without such rows.
    pub fn distinctness(&self) -> Option<f64> {
        ratio(self.distinct, self.keyed)
    }

    /// Keys that stand once over different keys, in `[0, 1]`; deequ's `UniqueValueRatio`. `None`
    /// without keys.
    pub fn unique_value_ratio(&self) -> Option<f64> {
        ratio(self.unique, self.distinct)
    }

    /// Shannon's entropy of the keys, −Σ p·ln p with p = count / rows with a key, in nats, in
    /// `[0, ln distinct]`; deequ's `Entropy`. `None` without keys.
    pub fn entropy(&self) -> Option<f64> {
        entropy(self.frequencies.iter().map(|(&count, &keys)| (count, keys)))
    }

    /// The rows of a batch whose key stands more than once among all rows.
    ///
    /// # Errors
    /// A column that is missing or of another type.
    pub fn repeated(&self, rows: &Rows<'_>) -> Result<BooleanBuffer> {
        self.rows_where(rows, |group| group.count() > 1)
    }

    /// The rows of a batch that have a key; `None` for all.
    pub(crate) fn keyed_rows(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>> {
        self.keys.keyed_rows(rows)
    }

    /// The rows of a batch whose key is among the keys that were counted. A row without a key is
    /// not.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the keys were [kept](Keys::keep_all); a column that is missing or
    /// of another type.
    pub fn contains(&self, rows: &Rows<'_>) -> Result<BooleanBuffer> {
        if !self.keys.keeps_all() {
            return Err(Error::invalid("keys", "all of them to be kept", "the repeated ones"));
        }
        self.rows_where(rows, |_| true)
    }

    /// As [`contains`](Self::contains), of rows whose key columns have these names, in the order of
    /// the [key set](Keys::new)'s.
    ///
    /// # Errors
    /// As [`contains`](Self::contains), and [`Error::Invalid`] for another number of columns.
    pub fn contains_columns(&self, rows: &Rows<'_>, columns: &[String]) -> Result<BooleanBuffer> {
        if !self.keys.keeps_all() {
            return Err(Error::invalid("keys", "all of them to be kept", "the repeated ones"));
        }
        self.lookup(&self.keys.clone().renamed(columns)?, rows, |_| true)
    }

    /// The first rows, by origin and number, whose key stands in another row, too, with its values.
    pub fn repeated_samples(&self) -> Vec<Sample> {
        self.failing.samples()
    }

    fn rows_where(&self, rows: &Rows<'_>, test: impl Fn(Group) -> bool) -> Result<BooleanBuffer> {
        self.lookup(&self.keys, rows, test)
    }

    fn lookup(
        &self,
        keys: &Keys,
        rows: &Rows<'_>,
        test: impl Fn(Group) -> bool,
    ) -> Result<BooleanBuffer> {
        if self.set.folded.len() == 0 {
            return Ok(BooleanBuffer::new_unset(rows.len()));
        }
        let read = keys.read(rows)?.raw;
        let is_in = |row: usize| {
            let Some(hash) = read.hash(row) else { return false };
            self.set.find(hash, read.key(row)).is_some_and(|at| test(self.set.folded.groups[at]))
        };
        Ok(BooleanBuffer::collect_bool(rows.len(), is_in))
    }
}

impl fmt::Display for KeyCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyed, distinct, unique, repeated_rows, .. } = self;
        write!(f, "{keyed} rows with a key, {distinct} distinct, {unique} of them once")?;
        write!(f, ", {repeated_rows} rows share theirs")?;
        if self.spilled_bytes > 0 {
            write!(f, " ({} MiB in a temporary file)", self.spilled_bytes.div_ceil(1 << 20))?;
        }
        Ok(())
    }
}

fn ratio(a: u64, b: u64) -> Option<f64> {
    (b > 0).then(|| a as f64 / b as f64)
}

/// The entropy, in nats, of groups given as a count and how many have it; `None` without rows.
///
/// −Σ keys·p·ln p with p = count / n, folded in the order given: exactly 0 for one key.
pub(crate) fn entropy(groups: impl Iterator<Item = (u64, u64)> + Clone) -> Option<f64> {
    let rows: f64 = groups.clone().map(|(count, keys)| count as f64 * keys as f64).sum();
    // Of shares, as ln n − (Σ c·ln c) / n leaves a rounding error where all is one key.
    let term = |(count, keys): (u64, u64)| {
        let share = count as f64 / rows;
        keys as f64 * (share * share.ln())
    };
    // A difference, for that of nothing is 0 and not −0.
    (rows > 0.0).then(|| 0.0 - groups.map(term).sum::<f64>())
}

/// Keys that can be asked for.
#[derive(Clone, Debug)]
struct KeySet {
    folded: Arc<Folded>,
    index: Arc<Index>,
}

impl KeySet {
    fn find(&self, hash: u64, key: Key<'_>) -> Option<usize> {
        let same = self.index.find(&self.folded.hashes, hash)?;
        (same..self.folded.len())
            .take_while(|&at| self.folded.hashes[at] == hash)
            .find(|&at| self.folded.key(at) == key)
    }
}

/// Where in a sorted list of hashes to look for one.
#[derive(Debug)]
pub(super) struct Index {
    bits: u32,
    starts: Vec<usize>,
}

impl Index {
    pub(super) fn new(hashes: &[u64]) -> Self {
        // About one hash a place, so that its neighbours are in the same line of the cache.
        let bits = hashes.len().max(1).ilog2();
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        let mut at = 0;
        for place in 0..1usize << bits {
            while at < hashes.len() && Self::place(hashes[at], bits) < place {
                at += 1;
            }
            starts.push(at);
        }
        starts.push(hashes.len());
        Self { bits, starts }
    }

    fn place(hash: u64, bits: u32) -> usize {
        // Twice, because nothing is shifted by 64.
        ((hash >> 1) >> (63 - bits)) as usize
    }

    /// The first of these hashes that is this one.
    #[inline]
    pub(super) fn find(&self, hashes: &[u64], hash: u64) -> Option<usize> {
        let place = Self::place(hash, self.bits);
        let (from, to) = (self.starts[place], self.starts[place + 1]);
        let near = &hashes[from..to];
        // Hashes that somebody chose may crowd.
        let at = match near.len() {
            0 => return None,
            1..=16 => near.iter().position(|&h| h >= hash)?,
            _ => near.partition_point(|&h| h < hash),
        };
        (near.get(at) == Some(&hash)).then_some(from + at)
    }
}

/// What is found out of the folded or counted keys, made into the result.
pub(super) struct Found {
    pub(super) frequencies: Frequencies,
    /// Those that stand more than once, or all where they are kept.
    pub(super) set: Folded,
    /// All keys, where there are few.
    pub(super) all: Option<Folded>,
    pub(super) first: First,
    pub(super) spilled_bytes: u64,
}

/// The row counts of a state.
pub(super) struct RowCounts {
    pub(super) rows: u64,
    pub(super) any_null: u64,
    pub(super) all_null: u64,
    pub(super) keyed: u64,
}

impl Found {
    pub(super) fn result(self, keys: Keys, shared: &Shared, rows: &RowCounts) -> Result<KeyCounts> {
        let form = &shared.form;
        let frequencies = self.frequencies.finish();
        let count_of = |(&count, &keys): (&u64, &u64)| u128::from(count) * u128::from(keys);
        let repeated: u128 = frequencies.range(2..).map(count_of).sum();
        let mut failing = FailingRows::default();
        failing.add(u64::try_from(repeated).unwrap_or(u64::MAX));
        for place in &self.first.0 {
            let row = RowId { origin: place.origin.as_ref().to_owned(), row: place.row };
            failing.keep_row(row, &form.values(&place.key)?);
        }
        let mut most_common = MostCommon::default();
        if let Some((&count, &ties)) = frequencies.last_key_value() {
            let among = if count > 1 { Some(&self.set) } else { self.all.as_ref() };
            let keys = among.map_or(Ok(Vec::new()), |keys| most(form, keys, count))?;
            most_common = MostCommon { count, ties, keys };
        }
        let listed = self.all.as_ref().map(|all| list(form, all)).transpose()?;
        let index = Index::new(&self.set.hashes);
        Ok(KeyCounts {
            rows: rows.rows,
            any_null: rows.any_null,
            all_null: rows.all_null,
            keyed: rows.keyed,
            distinct: frequencies.values().sum(),
            unique: frequencies.get(&1).copied().unwrap_or(0),
            repeated_rows: failing.count(),
            frequencies,
            most_common,
            listed,
            spilled_bytes: self.spilled_bytes,
            failing,
            keys,
            set: KeySet { folded: self.set.into(), index: index.into() },
        })
    }
}

/// The first keys that stand so often.
fn most(form: &Form, keys: &Folded, count: u64) -> Result<Vec<Vec<Value>>> {
    let mut first: Vec<usize> = Vec::new();
    for at in (0..keys.len()).filter(|&at| keys.groups[at].count() == count) {
        let key = keys.key(at);
        let before = |&i: &usize| form.order(keys.key(i), key).is_lt();
        if first.len() == Keys::MOST_COMMON && first.last().is_some_and(before) {
            continue;
        }
        first.insert(first.partition_point(before), at);
        first.truncate(Keys::MOST_COMMON);
    }
    first.into_iter().map(|at| form.values(&keys.key(at).to_vec())).collect()
}

fn list(form: &Form, all: &Folded) -> Result<ListedKeys> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_unstable_by(|&a, &b| form.order(all.key(a), all.key(b)));
    let keys: Vec<_> = order.iter().map(|&at| all.key(at)).collect();
    Ok(ListedKeys {
        array: form.to_array(&keys)?,
        keys: keys.iter().map(|key| form.values(&key.to_vec())).collect::<Result<_>>()?,
        counts: order.iter().map(|&at| all.groups[at].count()).collect(),
    })
}
