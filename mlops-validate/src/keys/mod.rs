//! The keys of a source: exact uniqueness and all that derives from how often keys stand, in one
//! pass for each set of key columns.
//!
//! `column` brings the values of any types into one form, `chunk` holds them, `state` gives up
//! memory where there is too much, `fold` groups anything, `kernel` counts what is still at hand
//! at the speed of memory, `counts` is the result.

mod chunk;
mod column;
mod counts;
mod finish;
mod fold;
mod kernel;
mod spill;
mod state;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::LargeBinaryArray;
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::Schema;
use mlops_core::bytes::add_count;
use mlops_core::{Analyzer, Description, Error, Result, Rows};
use serde::{Deserialize, Serialize};

pub use counts::{KeyCounts, ListedKeys, MostCommon};
pub use state::KeysState;

use chunk::{Chunk, Numbers, Raw, RawKeys, Shape, hash_bytes};
use column::{Bytes, Form, Kind, Reader};
use spill::Budget;
use state::Shared;

type KeySetShared = Arc<Shared>;

/// Which rows have no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Those in which any key column is null; Great Expectations' `any_value_is_missing`.
    Any,
    /// Those in which all key columns are null; Great Expectations' `all_values_are_missing`, and
    /// deequ's way. In other rows null is a value, equal to itself.
    #[default]
    All,
    /// None: null is a value everywhere. Great Expectations' `never`.
    Never,
}

/// How often the values of a column, or the rows of several, stand among all rows: exactly.
///
/// Values compare across physical types: whole numbers of any width (but `UInt64` by itself),
/// floats of any width (all NaN are one value, and so are 0 and −0), texts and bytes of any
/// layout, dictionaries by their values; dates, times and decimals with those of their own type;
/// structs and lists by what is in them.
///
/// Batches are held as they came, memory sources' without a copy, and counted at the end: 8 bytes
/// a row for numbers, 8 bytes and the text for texts. Beyond the [limit](Self::memory_limit)
/// repeated keys are folded into counts, and what remains goes to a temporary file, which vanishes
/// with the state; the result is the same, and [says so](KeyCounts::spilled_bytes). Equal hashes
/// are never taken for equal values.
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::{DataSource, DataSourceExt, MemorySource, batch};
/// use mlops_validate::{Keys, Missing};
///
/// let source = MemorySource::from(batch! {
///     "day" => StringArray::from(vec!["mon", "mon", "tue", "mon"]),
///     "shop" => StringArray::from(vec![Some("a"), Some("b"), None, Some("a")]),
/// }?);
/// let keys = source.measure(&Keys::new(&source.schema(), &["day", "shop"], Missing::All)?)?;
/// assert_eq!((keys.keyed, keys.distinct, keys.unique), (4, 3, 2));
/// let rows: Vec<_> = keys.repeated_samples().iter().map(|s| s.row.row).collect();
/// assert_eq!(rows, [0, 3]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    columns: Vec<(String, Kind)>,
    keep_all: bool,
    shared: Arc<Shared>,
}

impl Keys {
    /// The memory that states of one analyzer hold together unless told otherwise: 1 GiB.
    pub const MEMORY_LIMIT: u64 = 1 << 30;
    /// As many different keys are listed in the result.
    pub const LISTED: usize = 10_000;
    /// As many of the most common keys are shown.
    pub const MOST_COMMON: usize = 100;

    /// The keys that these columns make.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::ColumnType`] for unions; [`Error::Invalid`] for no
    /// columns.
    pub fn new<S: AsRef<str>>(schema: &Schema, columns: &[S], missing: Missing) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::invalid("key columns", "at least one", "none"));
        }
        let kind_of = |name: &str| {
            let Some((_, field)) = schema.column_with_name(name) else {
                let available = schema.fields().iter().map(|f| f.name().clone()).collect();
                return Err(Error::ColumnNotFound { column: name.into(), available });
            };
            let kind = Kind::of(field.data_type()).ok_or_else(|| {
                Error::column_type(name, "values that can be compared", field.data_type())
            })?;
            Ok((name.to_owned(), kind))
        };
        let columns = columns.iter().map(|c| kind_of(c.as_ref())).collect::<Result<Vec<_>>>()?;
        // Of one column the two are the same.
        let missing = match missing {
            Missing::All if columns.len() == 1 => Missing::Any,
            missing => missing,
        };
        let shared = Shared {
            form: Form::of(&columns, missing == Missing::Any),
            missing,
            budget: Arc::new(Budget::new(Self::MEMORY_LIMIT, None)),
            mask: u64::MAX,
        };
        Ok(Self { columns, keep_all: false, shared: shared.into() })
    }

    /// The same, with another limit, in bytes, of what all its states hold together. Finishing,
    /// merging and writing states take some times as much for a while.
    #[must_use]
    pub fn memory_limit(self, bytes: u64) -> Self {
        let directory = self.shared.budget.directory.clone();
        self.with_budget(Budget::new(bytes, directory))
    }

    /// The same, with its temporary file in this directory, not the system's.
    #[must_use]
    pub fn spill_to(self, directory: impl Into<PathBuf>) -> Self {
        let limit = self.shared.budget.limit;
        self.with_budget(Budget::new(limit, Some(directory.into())))
    }

    fn with_budget(self, budget: Budget) -> Self {
        let Shared { form, missing, mask, .. } = &*self.shared;
        let (form, missing, mask) = (form.clone(), *missing, *mask);
        let shared = Shared { form, missing, mask, budget: budget.into() };
        Self { shared: shared.into(), ..self }
    }

    /// The same, keeping all keys in the result, so that it can be asked
    /// [which rows' keys are among them](KeyCounts::contains); else only the repeated ones are.
    #[must_use]
    pub fn keep_all(self) -> Self {
        Self { keep_all: true, ..self }
    }

    fn keeps_all(&self) -> bool {
        self.keep_all
    }

    /// The same for columns of other names.
    fn renamed(mut self, names: &[String]) -> Result<Self> {
        if names.len() != self.columns.len() {
            let expected = format!("{} of them", self.columns.len());
            return Err(Error::invalid("key columns", expected, names.len()));
        }
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.0.clone_from(name);
        }
        Ok(self)
    }

    fn readers(&self, rows: &Rows<'_>) -> Result<Vec<Reader>> {
        let reader = |(name, kind): &(String, Kind)| Reader::new(name, kind, rows.column(name)?);
        self.columns.iter().map(reader).collect()
    }

    /// The rows that have a key; `None` for all.
    fn keyed(
        &self,
        all_there: Option<BooleanBuffer>,
        any_there: Option<BooleanBuffer>,
    ) -> Option<BooleanBuffer> {
        let there = match self.shared.missing {
            Missing::Any => all_there,
            Missing::All => any_there,
            Missing::Never => None,
        };
        there.filter(|there| there.count_set_bits() < there.len())
    }

    fn keyed_rows(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>> {
        let (all_there, any_there) = there(&self.readers(rows)?);
        Ok(self.keyed(all_there, any_there))
    }

    /// The keys of a batch.
    fn read(&self, rows: &Rows<'_>) -> Result<Read> {
        let n = rows.len();
        if u32::try_from(n).is_err() {
            return Err(Error::invalid("a batch", "fewer than 2^32 rows", n));
        }
        let readers = self.readers(rows)?;
        let (all_there, any_there) = there(&readers);
        let without = |there: &Option<BooleanBuffer>| {
            there.as_ref().map_or(0, |there| n - there.count_set_bits())
        };
        let (any_null, all_null) = (without(&all_there), without(&any_there));
        let valid = self.keyed(all_there, any_there).map(NullBuffer::new);

        let hashed = |bytes: Bytes| {
            let mask = self.shared.mask;
            let hashes = match &valid {
                None => (0..n).map(|row| hash_bytes(bytes.value(row), mask)).collect(),
                Some(valid) => {
                    let mut hashes = vec![0; n];
                    for row in valid.valid_indices() {
                        hashes[row] = hash_bytes(bytes.value(row), mask);
                    }
                    hashes
                }
            };
            RawKeys::Bytes(bytes, hashes)
        };
        let keys = match (&self.shared.form, readers.as_slice()) {
            (Form::Words(_), [Reader::Words(words, _)]) => RawKeys::Words(words.clone()),
            (Form::Plain { .. }, [Reader::Bytes(bytes)]) => hashed(bytes.clone()),
            _ => {
                let mut data = Vec::with_capacity(n * 10 * readers.len());
                let mut offsets: Vec<i64> = Vec::with_capacity(n + 1);
                offsets.push(0);
                for row in 0..n {
                    if valid.as_ref().is_none_or(|valid| valid.is_valid(row)) {
                        for reader in &readers {
                            reader.write(row, &mut data)?;
                        }
                    }
                    offsets.push(data.len() as i64);
                }
                let offsets = OffsetBuffer::new(offsets.into());
                hashed(Bytes::Large(LargeBinaryArray::try_new(offsets, data.into(), None)?))
            }
        };
        let raw = Raw {
            keys,
            valid,
            origin: rows.origin().into(),
            numbers: Numbers::of(rows),
            shape: None,
            held: self.shared.budget.hold(0),
        };
        let (any_null, all_null) = (any_null as u64, all_null as u64);
        Ok(Read { raw, any_null, all_null })
    }
}

/// The rows in which all columns have a value, and those in which any has; `None` for all rows.
fn there(readers: &[Reader]) -> (Option<BooleanBuffer>, Option<BooleanBuffer>) {
    let mut all_there: Option<BooleanBuffer> = None;
    let mut any_there: Option<BooleanBuffer> = None;
    for (i, reader) in readers.iter().enumerate() {
        let there = reader.nulls().map(NullBuffer::inner);
        if let Some(there) = there {
            all_there = Some(all_there.map_or_else(|| there.clone(), |all| &all & there));
        }
        any_there = match (there, any_there) {
            (Some(there), _) if i == 0 => Some(there.clone()),
            (Some(there), Some(any)) => Some(&any | there),
            _ => None,
        };
    }
    (all_there, any_there)
}

struct Read {
    raw: Raw,
    any_null: u64,
    all_null: u64,
}

/// What the fast ways of counting want to know of words.
fn shape_of(raw: &Raw) -> Option<Shape> {
    let RawKeys::Words(words) = &raw.keys else { return None };
    let Some(valid) = &raw.valid else { return kernel::shape(words) };
    let mut shape: Option<Shape> = None;
    let mut last = i64::MIN;
    for row in valid.valid_indices() {
        let word = words[row];
        shape = Some(match shape {
            None => Shape { ascending: true, min: word, max: word },
            Some(shape) => Shape {
                ascending: shape.ascending && last < word,
                min: shape.min.min(word),
                max: shape.max.max(word),
            },
        });
        last = word;
    }
    shape
}

impl Analyzer for Keys {
    type State = KeysState;
    type Output = KeyCounts;

    fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|c| c.0.clone()).collect()
    }

    fn start(&self) -> KeysState {
        KeysState::new(self.shared.clone())
    }

    fn update(&self, state: &mut KeysState, rows: &Rows<'_>) -> Result<()> {
        let Read { mut raw, any_null, all_null } = self.read(rows)?;
        add_count(&mut state.rows, rows.len() as u64);
        add_count(&mut state.any_null, any_null);
        add_count(&mut state.all_null, all_null);
        if raw.count() == 0 {
            return Ok(());
        }
        // With what finishing takes.
        let bytes = match &raw.keys {
            RawKeys::Words(words) => words.len() * 16,
            RawKeys::Bytes(bytes, _) => bytes.size() + bytes.len() * 16,
        };
        raw.held = self.shared.budget.hold(bytes + raw.numbers.size());
        raw.shape = shape_of(&raw);
        state.push(Chunk::Raw(raw.into()))
    }

    fn finish(&self, state: KeysState) -> Result<KeyCounts> {
        self.found(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<KeysState> {
        KeysState::decode(self.shared.clone(), bytes)
    }

    fn description(&self) -> Option<Description> {
        let columns: Vec<_> =
            self.columns.iter().map(|(name, kind)| (name.clone(), kind.name())).collect();
        let params = (columns, self.shared.missing, self.keep_all);
        Some(Description::new("validate/keys", 1, &params))
    }
}
