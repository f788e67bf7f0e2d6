//! The records of past runs, in a file or in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mlops_core::{Error, Result, Timestamp, Verdict, sync_directory_of};
use serde::{Deserialize, Serialize};

use super::record::MetricRecord;

/// No record comes near it; a longer line is not read into memory.
const MOST_BYTES: u64 = 64 << 20;

/// The records of past runs: a file of JSON lines, or memory.
///
/// A record is on the disk when [`append`](Self::append) returns. Any number of processes may
/// append at once: each holds the file's lock while it does. A process that dies in mid-line leaves
/// a torn line, which is recognised when the file is next read or appended to, cut off by the next
/// append, and told by [`torn_lines`](Self::torn_lines). Anything else that is no record is an error
/// with its line.
///
/// ```
/// use mlops_core::{Error, Timestamp};
/// use mlops_validate::history::{HistoryQuery, MetricHistory, MetricRecord};
///
/// # let dir = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
/// let history = MetricHistory::open(dir.path().join("metrics.jsonl"))?;
/// for (day, rows) in [(1, 900.0), (2, 950.0), (3, 910.0)] {
///     let at = Timestamp::from_millis(day * 86_400_000);
///     history.append(&MetricRecord::new("applications", at).metric("rows", "table", rows))?;
/// }
/// let since = HistoryQuery::of("applications").from(Timestamp::from_millis(2 * 86_400_000));
/// assert_eq!(history.series("rows", "table", &since)?.values(), [950.0, 910.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct MetricHistory {
    place: Place,
    torn: Mutex<Vec<TornLine>>,
}

#[derive(Debug)]
enum Place {
    Memory(Mutex<Vec<MetricRecord>>),
    File(PathBuf),
}

/// A line that a process did not finish before it died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TornLine {
    /// The file.
    pub path: PathBuf,
    /// Where it starts.
    pub at: u64,
    /// How long it is.
    pub bytes: u64,
}

impl fmt::Display for TornLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, at, bytes } = self;
        write!(f, "{}: the last line, at byte {at}, ends early ", path.display())?;
        write!(f, "(its writer died): {bytes} bytes are no record")
    }
}

/// Which records are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// Only those of this suite or dataset.
    pub dataset: Option<String>,
    /// Only those with all of these tags.
    pub tags: BTreeMap<String, String>,
    /// Only those at or after this time.
    pub from: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
    /// Not those whose verdict was a fail.
    pub without_failed: bool,
}

impl HistoryQuery {
    /// All records.
    pub fn new() -> Self {
        Self::default()
    }

    /// The records of this suite or dataset.
    pub fn of(dataset: impl Into<String>) -> Self {
        Self { dataset: Some(dataset.into()), ..Self::default() }
    }

    /// The same, only with this tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same, only at or after this time.
    #[must_use]
    pub fn from(mut self, time: Timestamp) -> Self {
        self.from = Some(time);
        self
    }

    /// The same, only before this time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// The same, without the records whose verdict was a fail.
    #[must_use]
    pub fn without_failed(mut self) -> Self {
        self.without_failed = true;
        self
    }

    /// Whether this record is asked for.
    pub fn matches(&self, record: &MetricRecord) -> bool {
        self.dataset.as_ref().is_none_or(|d| *d == record.dataset)
            && self.tags.iter().all(|(key, value)| record.tags.get(key) == Some(value))
            && self.from.is_none_or(|from| record.time >= from)
            && self.until.is_none_or(|until| record.time < until)
            && !(self.without_failed && record.verdict == Some(Verdict::Fail))
    }
}

/// One metric of one subject over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Series {
    /// Times, ascending, and the values then; records without the metric are left out.
    pub points: Vec<(Timestamp, f64)>,
}

impl Series {
    /// The metric of this subject in these records, in their order.
    pub fn of(records: &[MetricRecord], name: &str, subject: &str) -> Self {
        let point = |r: &MetricRecord| Some((r.time, r.get(name, subject)?));
        Self { points: records.iter().filter_map(point).collect() }
    }

    /// The values, in the order of time.
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|(_, value)| *value).collect()
    }
}

impl MetricHistory {
    /// A history that is gone with the process.
    pub fn in_memory() -> Self {
        Self { place: Place::Memory(Mutex::default()), torn: Mutex::default() }
    }

    /// The history in this file, which need not be there yet; its directory must be.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Parse`] with the line of what is no record.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let history = Self { place: Place::File(path), torn: Mutex::default() };
        history.records(&HistoryQuery::new())?;
        Ok(history)
    }

    /// Adds a record. It is on the disk when this returns, or it is not there at all.
    ///
    /// # Errors
    /// [`Error::Io`], as of a full disk.
    pub fn append(&self, record: &MetricRecord) -> Result<()> {
        match &self.place {
            Place::Memory(records) => {
                records.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
                Ok(())
            }
            Place::File(path) => self.append_to(path, record),
        }
    }

    /// The records that are asked for, in the order of their times. Of records of one dataset with
    /// the same tags and time only the last appended counts: a run that was made again.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Parse`] with the line of what is no record.
    pub fn records(&self, query: &HistoryQuery) -> Result<Vec<MetricRecord>> {
        let mut found = Newest::default();
        match &self.place {
            Place::Memory(records) => {
                let records = records.lock().unwrap_or_else(PoisonError::into_inner);
                records.iter().for_each(|record| found.push(record.clone()));
            }
            Place::File(path) => self.read(path, &mut |record| found.push(record))?,
        }
        let mut records = found.records;
        // Only now: a run that failed may have been made again.
        records.retain(|record| query.matches(record));
        records.sort_by_key(|record| record.time);
        Ok(records)
    }

    /// A metric of a subject over time, in the records that are asked for.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn series(&self, name: &str, subject: &str, query: &HistoryQuery) -> Result<Series> {
        Ok(Series::of(&self.records(query)?, name, subject))
    }

    /// The torn lines that were met since the history was opened.
    pub fn torn_lines(&self) -> Vec<TornLine> {
        self.torn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, line: TornLine) {
        let mut torn = self.torn.lock().unwrap_or_else(PoisonError::into_inner);
        if !torn.contains(&line) {
            torn.push(line);
        }
    }

    fn append_to(&self, path: &Path, record: &MetricRecord) -> Result<()> {
        let io = |e| Error::io(path, e);
        let mut line = serde_json::to_vec(record).map_err(|e| Error::other("a record", e))?;
        line.push(b'\n');
        if line.len() as u64 > MOST_BYTES {
            let found = format!("{} bytes", line.len());
            return Err(Error::invalid("record", format!("at most {MOST_BYTES} bytes"), found));
        }
        // Opened each time, so that a file that was moved away is not written to behind its name.
        let mut file =
            File::options().read(true).append(true).create(true).open(path).map_err(io)?;
        file.lock().map_err(io)?;
        let len = self.mend(path, &mut file)?;
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // As much as can be done on a disk that is full: not even a part of it stays.
            drop(file.set_len(len));
            return Err(io(error));
        }
        if len == 0 { sync_directory_of(path) } else { Ok(()) }
    }

    /// Sees to it that the file ends with a whole line; gives its length.
    fn mend(&self, path: &Path, file: &mut File) -> Result<u64> {
        let io = |e| Error::io(path, e);
        let len = file.seek(SeekFrom::End(0)).map_err(io)?;
        let start = last_line(file, len).map_err(io)?;
        if len - start > MOST_BYTES {
            let what = format!("{}, last line", path.display());
            return Err(Error::invalid(what, format!("at most {MOST_BYTES} bytes"), "more"));
        }
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        let mut line = Vec::new();
        Read::by_ref(file).take(MOST_BYTES).read_to_end(&mut line).map_err(io)?;
        match Line::of(&line) {
            Line::Torn => {
                file.set_len(start).and_then(|()| file.sync_all()).map_err(io)?;
                self.tell(TornLine { path: path.to_path_buf(), at: start, bytes: len - start });
                Ok(start)
            }
            // Someone's editor left the last newline out.
            Line::Record(_) | Line::Other(_) if !line.ends_with(b"\n") => {
                file.write_all(b"\n").map_err(io)?;
                Ok(len + 1)
            }
            Line::Record(_) | Line::Blank | Line::Other(_) => Ok(len),
        }
    }

    fn read(&self, path: &Path, each: &mut dyn FnMut(MetricRecord)) -> Result<()> {
        let io = |e| Error::io(path, e);
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(io)?,
        };
        file.lock_shared().map_err(io)?;
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        let (mut at, mut number, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let n = (&mut reader).take(MOST_BYTES).read_until(b'\n', &mut line).map_err(io)? as u64;
            if n == 0 {
                return Ok(());
            }
            number += 1;
            let bad = |found: String| Error::Parse {
                path: path.to_path_buf(),
                line: number,
                expected: "a record of metrics as JSON".into(),
                found,
            };
            if n == MOST_BYTES && !line.ends_with(b"\n") {
                return Err(bad(format!("more than {MOST_BYTES} bytes")));
            }
            match Line::of(&line) {
                Line::Record(record) => each(*record),
                Line::Blank => {}
                Line::Torn if reader.fill_buf().map_err(io)?.is_empty() => {
                    self.tell(TornLine { path: path.to_path_buf(), at, bytes: n });
                }
                Line::Torn => return Err(bad("half a record with others behind it".into())),
                Line::Other(error) => return Err(bad(error)),
            }
            at += n;
        }
    }
}

/// What a line is, with its newline if it has one.
enum Line {
    Record(Box<MetricRecord>),
    Blank,
    /// Not all of it was written: no newline and no record, or zeros where the system had made
    /// room for bytes that never came.
    Torn,
    /// Somebody wrote something else.
    Other(String),
}

impl Line {
    fn of(line: &[u8]) -> Self {
        if line.trim_ascii().is_empty() {
            return Self::Blank;
        }
        match serde_json::from_slice(line) {
            Ok(record) => Self::Record(Box::new(record)),
            Err(_) if line.contains(&0) => Self::Torn,
            Err(e) if !line.ends_with(b"\n") && e.is_eof() => Self::Torn,
            Err(e) => Self::Other(e.to_string()),
        }
    }
}

/// Where the last line starts, whether or not it ends with a newline.
fn last_line(file: &mut File, len: u64) -> std::io::Result<u64> {
    const STEP: u64 = 1 << 16;
    // The newline that ends the file ends the last line.
    let mut end = len.saturating_sub(1);
    let mut chunk = Vec::new();
    while end > 0 && len - end <= MOST_BYTES {
        let from = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(from))?;
        chunk.clear();
        Read::by_ref(file).take(end - from).read_to_end(&mut chunk)?;
        if let Some(newline) = chunk.iter().rposition(|b| *b == b'\n') {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(end)
}

/// Records, of which a later one takes the place of an earlier of the same run.
#[derive(Default)]
struct Newest {
    records: Vec<MetricRecord>,
    places: HashMap<(Timestamp, String, BTreeMap<String, String>), usize>,
}

impl Newest {
    fn push(&mut self, record: MetricRecord) {
        let key = (record.time, record.dataset.clone(), record.tags.clone());
        let place = *self.places.entry(key).or_insert(self.records.len());
        match self.records.get_mut(place) {
            Some(earlier) => *earlier = record,
            None => self.records.push(record),
        }
    }
}
