//! The reference profile: what is kept of a reference so that the data need not travel.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u16, put_u64, take, take_f64, take_len, take_str, take_u8,
    take_u16, take_u64,
};
use mlops_core::{AtomicFile, DataSource, Digest, Error, Result, Scan};
use serde::{Deserialize, Serialize};

use crate::profile::cells::{Cells, Kind};
use crate::profile::counts::{ColumnCounts, CountAtCells, MOST_ROWS};
use crate::profile::family::Family;
use crate::profile::fit;
use crate::windows::calendar::date;

/// The first bytes of a stored profile.
const MAGIC: [u8; 4] = *b"MLDP";
/// The version of its bytes.
const VERSION: u16 = 1;

/// A column of a profile: its cells and what the reference counted in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnProfile {
    /// How it was counted, and others will be.
    pub(crate) count: CountAtCells,
    pub(crate) family: Family,
    pub(crate) kind: Kind,
    pub(crate) counts: ColumnCounts,
}

impl ColumnProfile {
    /// The column.
    pub fn name(&self) -> &str {
        self.count.column()
    }

    /// The family of its type.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether it is counted as numbers or as categories, and why.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its cells.
    pub fn cells(&self) -> &Cells {
        self.count.cells()
    }

    /// What was counted.
    pub fn counts(&self) -> &ColumnCounts {
        &self.counts
    }

    /// Whether the reference has a single value, null or not finite apart.
    pub(crate) fn is_constant(&self) -> bool {
        let mut taken = self.counts.cells.iter().enumerate().filter(|(_, count)| **count > 0);
        let single = match self.cells() {
            Cells::Edges(_) => taken.next().is_some_and(|(cell, _)| cell % 2 == 1),
            Cells::Labels(labels) => taken.next().is_some_and(|(cell, _)| cell < labels.len()),
        };
        single && taken.next().is_none()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_str(out, self.name());
        put_u8(out, self.family.code());
        put_u8(
            out,
            match self.kind {
                Kind::Numeric => 0,
                Kind::Categorical => 1,
                Kind::FewIntegers => 2,
                Kind::SampledLabels => 3,
            },
        );
        self.cells().encode(out);
        self.counts.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let name = take_str(bytes)?;
        let code = take_u8(bytes)?;
        let family =
            Family::from_code(code).ok_or_else(|| bad(bytes, "a family of types", code))?;
        let kind = match take_u8(bytes)? {
            0 => Kind::Numeric,
            1 => Kind::Categorical,
            2 => Kind::FewIntegers,
            3 => Kind::SampledLabels,
            other => return Err(bad(bytes, "a kind of column", other)),
        };
        let cells = if kind == Kind::Numeric {
            let n = take_len(bytes, 8)?;
            Cells::Edges((0..n).map(|_| take_f64(bytes)).collect::<Result<_>>()?)
        } else {
            let n = take_len(bytes, 8)?;
            Cells::Labels((0..n).map(|_| take_str(bytes)).collect::<Result<_>>()?)
        };
        cells.check().map_err(|expected| bad(bytes, expected, "others"))?;
        let counts = ColumnCounts::decode(bytes, &cells)?;
        Ok(Self { count: CountAtCells::new(name, cells)?, family, kind, counts })
    }
}

/// What is remembered of a reference: for every column its cells, and the counts in them.
///
/// Fitted by scans ([`fit`](Self::fit)) that choose the cells, and one that counts in them. It
/// takes some tens of KiB a column at most, whatever the number of rows, and is the same bits
/// whatever the threads, batches and partitions. Stored beside a model version, it stands for the
/// training data ([`save`](Self::save), [`to_bytes`](Self::to_bytes), or serde).
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, batch};
/// use mlops_drift::{ProfileOptions, ReferenceProfile};
///
/// let source = MemorySource::from(batch! { "x" => Float64Array::from(vec![1.0, 2.0, 2.0, 3.0]) }?);
/// let profile = ReferenceProfile::fit(&source, &ProfileOptions::default())?;
/// let x = profile.column("x").unwrap();
/// assert_eq!(x.counts().cells(), [0, 1, 0, 2, 0, 1, 0]); // around the edges 1, 2, 3
/// assert_eq!(ReferenceProfile::from_bytes(&profile.to_bytes())?, profile);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
#[non_exhaustive]
pub struct ReferenceProfile {
    rows: u64,
    columns: Vec<ColumnProfile>,
}

/// The same before its invariants are checked.
#[derive(Serialize, Deserialize)]
struct Raw {
    format: u16,
    rows: u64,
    columns: Vec<ColumnProfile>,
}

impl TryFrom<Raw> for ReferenceProfile {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        if raw.format != VERSION {
            return Err(Error::invalid("format of a profile", VERSION.to_string(), raw.format));
        }
        Self::new(raw.rows, raw.columns)
    }
}

impl From<ReferenceProfile> for Raw {
    fn from(profile: ReferenceProfile) -> Self {
        Self { format: VERSION, rows: profile.rows, columns: profile.columns }
    }
}

impl ReferenceProfile {
    /// A profile of these columns, if they agree with themselves and each other.
    pub(crate) fn new(rows: u64, columns: Vec<ColumnProfile>) -> Result<Self> {
        for column in &columns {
            let wrong = |expected: &str, found: &dyn fmt::Display| {
                let what = format!("column `{}` of a profile", column.name());
                Err(Error::invalid(what, expected, found))
            };
            if column.cells().is_categorical() == (column.kind == Kind::Numeric) {
                return wrong("edges for numbers, labels for categories", &column.kind);
            }
            if let Err(expected) = column.counts.check(column.cells()) {
                return wrong(expected, &"others");
            }
            if column.counts.rows() != rows {
                return wrong(&format!("counts of {rows} rows"), &column.counts.rows());
            }
        }
        let mut names: Vec<_> = columns.iter().map(ColumnProfile::name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::invalid("columns of a profile", "each name once", twice[0]));
        }
        Ok(Self { rows, columns })
    }

    /// Profiles a reference. Columns of types that are not compared (nested, binary, intervals) are
    /// left out.
    ///
    /// A scan finds the cells ([`FindEdges`](crate::FindEdges),
    /// [`CategoryCounts`](mlops_core::states::CategoryCounts)), and another one counts in them
    /// ([`CountAtCells`](crate::CountAtCells)). Between the two, a column of more distinct values
    /// than edges is looked at again: once, or some times if it hides atoms amid a continuum, or has
    /// clusters far apart.
    ///
    /// Sizes, by default: 4,096 edges take 40 to 48 KiB in bytes (10⁴ to 10⁹ rows), and 96 KiB in
    /// memory; a label takes its length and 9 to 13 bytes. While the edges of a column of numbers
    /// are found, a state takes at most 384 KiB, one of up to 65,536 labels some 8 MiB; while it
    /// counts 64 KiB. There is a state for each column and thread, so columns are scanned in
    /// groups that stay within [`ProfileOptions::memory`](crate::ProfileOptions::memory).
    ///
    /// Integers beyond 2⁵³ and decimals are the nearest `f64`; integers that fall on the same one
    /// are not told apart.
    ///
    /// # Errors
    /// Those of the source; a column that the options name and the source has not; no column that
    /// could be compared; options out of range.
    pub fn fit(source: &dyn DataSource, options: &fit::ProfileOptions) -> Result<Self> {
        Self::fit_by(fit::scan(source), options)
    }

    /// The same by scans like this one: of this batch size, with someone who is told of the
    /// progress of each, or a switch to stop it.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Error::Cancelled`].
    pub fn fit_by(scan: Scan<'_>, options: &fit::ProfileOptions) -> Result<Self> {
        fit::fit(scan, options)
    }

    /// Counts other data in the cells of this profile: one scan, or one for each group of columns
    /// that fits the memory. The result is a profile of its own that [`merge`](Self::merge)s with
    /// this one, and that a [`DriftMonitor`](crate::DriftMonitor) can compare with it.
    ///
    /// # Errors
    /// Those of the source; a column that is missing or of another family of types.
    pub fn count(&self, source: &dyn DataSource) -> Result<Self> {
        self.count_by(fit::scan(source))
    }

    /// The same by scans like this one.
    ///
    /// # Errors
    /// As [`count`](Self::count); [`Error::Cancelled`].
    pub fn count_by(&self, scan: Scan<'_>) -> Result<Self> {
        let described = |c: &ColumnProfile| fit::Described {
            count: c.count.clone(),
            family: c.family,
            kind: c.kind,
        };
        let columns = self.columns.iter().map(described).collect();
        fit::count(scan, columns, fit::MEMORY)
    }

    /// The rows of the reference.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns, in the order of the schema.
    pub fn columns(&self) -> &[ColumnProfile] {
        &self.columns
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|c| c.name() == name)
    }

    /// The same without these columns.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] for a column that the profile has not: a name that is misspelt
    /// would leave a column in unnoticed.
    pub fn without(mut self, names: &[&str]) -> Result<Self> {
        if let Some(name) = names.iter().find(|name| self.column(name).is_none()) {
            let available = self.columns.iter().map(|c| c.name().to_owned()).collect();
            return Err(Error::ColumnNotFound { column: (*name).to_owned(), available });
        }
        self.columns.retain(|c| !names.contains(&c.name()));
        Ok(self)
    }

    /// Takes in what another profile counted in the same cells.
    ///
    /// # Errors
    /// [`Error::Merge`] if it has other columns or cells, as only counts at equal edges add up, or for
    /// more than 2⁵⁶ rows.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        self.same_cells(&other)?;
        if self.rows.checked_add(other.rows).is_none_or(|n| n > MOST_ROWS) {
            return Err(Error::merge("profiles", "more than 2^56 rows"));
        }
        self.rows += other.rows;
        for (mine, theirs) in self.columns.iter_mut().zip(other.columns) {
            mine.counts.add(&theirs.counts)?;
        }
        Ok(())
    }

    pub(crate) fn same_cells(&self, other: &Self) -> Result<()> {
        if self.columns.len() != other.columns.len() {
            let reason = format!("{} columns and {}", self.columns.len(), other.columns.len());
            return Err(Error::merge("profiles", reason));
        }
        for (mine, theirs) in self.columns.iter().zip(&other.columns) {
            if mine.name() != theirs.name() {
                let reason = format!("column `{}` and column `{}`", mine.name(), theirs.name());
                return Err(Error::merge("profiles", reason));
            }
            if mine.kind != theirs.kind || mine.cells() != theirs.cells() {
                let reason = format!("column `{}` has other cells", mine.name());
                return Err(Error::merge("profiles", reason));
            }
        }
        Ok(())
    }

    /// The canonical bytes: equal profiles give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        put_u64(&mut payload, self.rows);
        put_len(&mut payload, self.columns.len());
        for column in &self.columns {
            column.encode(&mut payload);
        }
        let mut out = Vec::with_capacity(payload.len() + 46);
        out.extend_from_slice(&MAGIC);
        put_u16(&mut out, VERSION);
        out.extend_from_slice(Digest::of(&payload).as_bytes());
        put_len(&mut out, payload.len());
        out.extend_from_slice(&payload);
        out
    }

    /// A profile from bytes that [`to_bytes`](Self::to_bytes) made.
    ///
    /// # Errors
    /// [`Error::Decode`] with the byte where they stop making sense; [`Error::Invalid`] if they
    /// contradict themselves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let whole = bytes.len() as u64;
        Self::decode(bytes).map_err(|error| match error {
            Error::Decode { offset, expected, found, .. } => Error::Decode {
                what: "reference profile".into(),
                offset: whole.saturating_sub(offset),
                expected,
                found,
            },
            other => other,
        })
    }

    fn decode(mut rest: &[u8]) -> Result<Self> {
        let bytes = &mut rest;
        let magic = take(bytes, MAGIC.len())?;
        if magic != MAGIC {
            return Err(bad(bytes, "the magic MLDP", format!("{magic:02x?}")));
        }
        let version = take_u16(bytes)?;
        if version != VERSION {
            return Err(bad(bytes, format!("version {VERSION}"), version));
        }
        let digest = take(bytes, 32)?;
        let n = take_len(bytes, 1)?;
        if n != bytes.len() {
            return Err(bad(bytes, format!("{n} bytes"), bytes.len()));
        }
        if Digest::of(*bytes).as_bytes() != digest {
            return Err(bad(bytes, "bytes of the stored digest", "others"));
        }
        let rows = take_u64(bytes)?;
        // A column takes 32 bytes at the very least.
        let n = take_len(bytes, 32)?;
        let columns = (0..n).map(|_| ColumnProfile::decode(bytes)).collect::<Result<_>>()?;
        if !bytes.is_empty() {
            return Err(bad(bytes, "the end", format!("{} more bytes", bytes.len())));
        }
        Self::new(rows, columns)
    }

    /// The digest of the canonical bytes: the identity of the reference.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_bytes())
    }

    /// Writes the bytes to a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut file = AtomicFile::create(path)?;
        file.write_all(&self.to_bytes()).map_err(|e| Error::io(path, e))?;
        file.commit()
    }

    /// Reads a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`from_bytes`](Self::from_bytes).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        Self::from_bytes(&bytes).map_err(|e| e.within(path.display().to_string()))
    }
}

impl fmt::Display for ReferenceProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reference profile of {} rows, {} columns", self.rows, self.columns.len())?;
        for column in &self.columns {
            write!(
                f,
                "\n  {:<24} {:<13} {}, {} cells",
                column.name(),
                column.family.to_string(),
                column.kind,
                column.cells().len()
            )?;
            if let Some(summary) = column.counts.summary()
                && let (Some(min), Some(max), Some(mean)) =
                    (summary.min, summary.max, summary.mean())
            {
                if column.family == Family::Days {
                    let [min, max, mean] = [min, max, mean].map(|day| date(day as i64));
                    write!(f, ", from {min} to {max}, mean {mean}")?;
                } else {
                    // Six digits of it.
                    let size = if mean == 0.0 { 1.0 } else { mean.abs() };
                    let whole = size.log10().floor().clamp(-12.0, 5.0);
                    write!(f, ", from {min} to {max}, mean {mean:.*}", (5.0 - whole) as usize)?;
                }
            }
            if column.counts.missing() > 0 {
                write!(f, ", {} null or not finite", column.counts.missing())?;
            }
        }
        Ok(())
    }
}
