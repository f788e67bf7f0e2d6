//! States of files that did not change, kept on the disk: the next pass reads only the others.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mlops_core::bytes::{
    bad, put_len, put_str, put_u16, state_from_bytes, state_to_bytes, take, take_len, take_str,
    take_u16,
};
use mlops_core::{
    Analyzer, Assessment, AtomicFile, DataSource, Digest, Error, Measurements, Plan, PlanState,
    Result, Scan, State, Validator, sync_directory_of,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 4] = *b"MLSE";
const VERSION: u16 = 1;
/// No state comes near it; a file that does is not read into memory.
const MOST_BYTES: u64 = 1 << 30;

/// A directory of states, one for each origin (a file of a table, say) and plan that measured it.
///
/// [`run`](Self::run) is a scan that reads only the origins whose state is not here yet: validating
/// a table of 10,000 files after one new file reads that file. The states of the others are
/// decoded and merged, and the result is the same bits as a scan of everything. What is used again
/// is decided by
///
/// - the plan's description: kinds, versions and parameters of all that is measured;
/// - the types of the columns that it reads;
/// - the origin's name, which failing rows carry, and its
///   [fingerprint](DataSource::fingerprint): of a file its length, the times of its last change (on
///   Unix also of its entry, which no `touch` sets back), and how it is read. A change that keeps
///   the length and falls into the same tick of the file system's clock (some milliseconds) as the
///   one before goes unseen.
///
/// An origin without a fingerprint is scanned every time. Entries carry a checksum: one that is
/// damaged is measured again, and [`Reuse::damaged`] says so. They are written whole or not at all,
/// by any number of processes at once. A state in which a measurement failed is not kept.
///
/// Opening the files is the source's own affair: a Parquet or Arrow file costs its footer, a text
/// file whose types are inferred is read to infer them (so give it a schema).
///
/// ```
/// use mlops_core::{DataSourceExt, Error, Plan, states::NumericSummary};
/// use mlops_validate::history::StateStore;
/// # use mlops_core::{Batches, DataSource, Digest, MemorySource, Partition, Result, batch};
/// # use mlops_core::arrow::{array::Float64Array, datatypes::SchemaRef};
/// # #[derive(Debug)]
/// # struct Day(MemorySource);
/// # impl DataSource for Day {
/// #     fn schema(&self) -> SchemaRef { self.0.schema() }
/// #     fn partitions(&self) -> Result<Vec<Partition>> { self.0.partitions() }
/// #     fn read(&self, at: usize, columns: Option<&[usize]>, rows: usize) -> Result<Batches> {
/// #         self.0.read(at, columns, rows)
/// #     }
/// #     fn fingerprint(&self, _: &str) -> Option<Digest> { Some(Digest::of("day 1")) }
/// # }
/// # let days = Day(MemorySource::from(batch! { "income" => Float64Array::from(vec![1.0, 3.0]) }?));
/// # let dir = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
///
/// let store = StateStore::open(dir.path())?;
/// let mut plan = Plan::new();
/// let income = plan.add(NumericSummary::new("income"));
/// let (_, first) = store.run(days.scan(), &plan)?;
/// assert_eq!((first.reused, first.scanned), (0, 1));
/// let (measured, second) = store.run(days.scan(), &plan)?;
/// assert_eq!((second.reused, second.scanned), (1, 0));
/// assert_eq!(measured.get(&income)?.mean(), Some(2.0));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateStore {
    directory: PathBuf,
}

/// What a [`StateStore`] spared a pass, and what it did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reuse {
    /// The origins whose state was here.
    pub reused: u64,
    /// The origins that were read.
    pub scanned: u64,
    /// Of those read: the entries that were here but damaged, each with what is wrong.
    pub damaged: Vec<String>,
    /// Of those read: the origins that will be read again next time, each with the reason.
    pub unstored: Vec<String>,
}

impl fmt::Display for Reuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} scanned, {} reused", self.scanned, self.reused)?;
        for (what, list) in [("damaged", &self.damaged), ("not stored", &self.unstored)] {
            if let Some(first) = list.first() {
                write!(f, ", {} {what} ({first}", list.len())?;
                f.write_str(if list.len() > 1 { ", …)" } else { ")" })?;
            }
        }
        Ok(())
    }
}

/// An entry of a [`StateStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredState {
    /// The name of the origin that was measured.
    pub origin: String,
    /// Its fingerprint then.
    pub fingerprint: Digest,
    /// The size of the entry in bytes.
    pub bytes: u64,
}

/// An origin of a source, and the name of its entry if it may have one.
struct Origin {
    name: String,
    entry: Result<(Digest, Digest), String>,
}

impl StateStore {
    /// The store in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref().to_path_buf();
        std::fs::create_dir_all(&directory).map_err(|e| Error::io(&directory, e))?;
        let store = Self { directory };
        store.lock_file()?;
        Ok(store)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Measures a source, of which it reads only the origins whose states are not here; those are
    /// then kept. Options of the scan (progress, cancelling, batch size) are the caller's.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names a member of the plan that has no description; those of the
    /// scan. That an entry can't be read or written is none: see [`Reuse`].
    pub fn run(&self, scan: Scan<'_>, plan: &Plan) -> Result<(Measurements, Reuse)> {
        let (state, reuse) = self.state(scan, plan)?;
        Ok((plan.finish(state)?, reuse))
    }

    /// Judges a source, as [`run`](Self::run) measures it.
    ///
    /// # Errors
    /// As [`run`](Self::run), and those of [`Validator::plan`].
    pub fn validate(
        &self,
        scan: Scan<'_>,
        validator: &dyn Validator,
    ) -> Result<(Assessment, Reuse)> {
        let mut plan = Plan::new();
        let judge = validator.plan(&scan.source().schema(), &mut plan)?;
        let (measured, reuse) = self.run(scan, &plan)?;
        Ok((judge.judge(&measured)?, reuse))
    }

    /// The state of a source, as [`run`](Self::run) comes by it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn state(&self, scan: Scan<'_>, plan: &Plan) -> Result<(PlanState, Reuse)> {
        let origins = origins(scan.source(), plan)?;
        let mut reuse = Reuse::default();
        let loaded = origins
            .par_iter()
            .map(|origin| {
                let mut loaded = Loaded::default();
                match origin.entry.as_ref().map(|(key, _)| self.load(key, plan)) {
                    Ok(Ok(Some(state))) => {
                        loaded.state = Some(state);
                        loaded.reused = 1;
                    }
                    Ok(Err(error)) => {
                        loaded.damaged.push(format!("{}: {error}", origin.name));
                        loaded.missing.insert(origin.name.as_str());
                    }
                    Ok(Ok(None)) | Err(_) => {
                        loaded.missing.insert(origin.name.as_str());
                    }
                }
                Ok(loaded)
            })
            .try_reduce(Loaded::default, Loaded::and)?;
        (reuse.reused, reuse.damaged) = (loaded.reused, loaded.damaged);

        let missing = loaded.missing;
        let entries: HashMap<_, _> = origins.iter().map(|o| (o.name.as_str(), &o.entry)).collect();
        let fresh = Mutex::new((loaded.state, 0, Vec::new()));
        let whole = scan.by_origin(
            plan,
            |name| missing.contains(name),
            |name, state| {
                let failure = state.failures().next().map(ToString::to_string);
                let stored = match (failure, entries.get(name)) {
                    (Some(failure), _) => Err(failure),
                    (None, Some(Ok((key, print)))) => {
                        self.store(key, name, print, plan, &state).map_err(|e| e.to_string())
                    }
                    (None, Some(Err(reason))) => Err(reason.clone()),
                    (None, None) => Err("the source lists other origins by now".into()),
                };
                let mut fresh = fresh.lock().unwrap_or_else(PoisonError::into_inner);
                fresh.1 += 1;
                if let Err(reason) = stored {
                    fresh.2.push(format!("{name}: {reason}"));
                }
                fresh.0 = merged(fresh.0.take(), Some(state))?;
                Ok(())
            },
        )?;
        let (state, scanned, unstored) = fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
        (reuse.scanned, reuse.unstored) = (scanned, unstored);
        // Threads come by in any order; a report does not.
        reuse.damaged.sort();
        reuse.unstored.sort();
        Ok((merged(Some(whole), state)?.unwrap_or_else(|| plan.start()), reuse))
    }

    /// What is here, in the order of the origins' names; entries that can't be read are left out.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory can't be listed.
    pub fn entries(&self) -> Result<Vec<StoredState>> {
        let mut entries: Vec<_> =
            self.files()?.iter().filter_map(|path| header(path).ok()).collect();
        entries.sort_by(|a, b| (&a.origin, a.fingerprint).cmp(&(&b.origin, b.fingerprint)));
        Ok(entries)
    }

    /// Removes the entries of which this is not true, those that can't be read, and what killed
    /// processes left half-written; says how many entries went. Waits for those who are storing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn retain(&self, keep: impl Fn(&StoredState) -> bool) -> Result<u64> {
        let lock = self.lock_file()?;
        lock.lock().map_err(|e| Error::io(&self.directory, e))?;
        let mut removed = 0;
        for path in self.files()? {
            if header(&path).is_ok_and(|entry| keep(&entry)) {
                continue;
            }
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
            removed += 1;
        }
        for path in self.listed(|name| name.starts_with('.') && name.ends_with(".state.tmp"))? {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
        sync_directory_of(self.directory.join("."))?;
        Ok(removed)
    }

    /// Removes the entries of origins that vanished or changed: all but those that these sources
    /// have now. Name every source whose states are kept here.
    ///
    /// # Errors
    /// [`Error::Io`]; those of listing a source.
    pub fn keep_only(&self, sources: &[&dyn DataSource]) -> Result<u64> {
        let mut current = HashSet::new();
        for source in sources {
            for partition in source.partitions()? {
                if let Some(print) = source.fingerprint(&partition.origin) {
                    current.insert((partition.origin, print));
                }
            }
        }
        self.retain(|entry| current.contains(&(entry.origin.clone(), entry.fingerprint)))
    }

    /// Whoever stores holds this shared, whoever removes holds it alone.
    fn lock_file(&self) -> Result<File> {
        let path = self.directory.join(".lock");
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        open.map_err(|e| Error::io(&path, e))
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.directory.join(format!("{}.state", key.hex()))
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        self.listed(|name| {
            let hex = name.strip_suffix(".state");
            hex.is_some_and(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
        })
    }

    fn listed(&self, mine: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
        let io = |e| Error::io(&self.directory, e);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_name().to_str().is_some_and(&mine) {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }

    /// The state of this entry; `None` if there is none.
    fn load(&self, key: &Digest, plan: &Plan) -> Result<Option<PlanState>> {
        let path = self.path(key);
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| Error::io(&path, e))?,
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::io(&path, e))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Error::invalid("entry", format!("at most {MOST_BYTES} bytes"), "more"));
        }
        let Some((body, checksum)) = bytes.split_last_chunk::<32>() else {
            return Err(bad(&bytes, "an entry", format!("{} bytes", bytes.len())));
        };
        if Digest::of(body).as_bytes() != checksum {
            return Err(bad(checksum, "the entry's checksum", "other bytes"));
        }
        let rest = &mut &*body;
        let (found, ..) = take_header(rest)?;
        if found != *key {
            return Err(bad(rest, "the entry of this name", "another"));
        }
        let n = take_len(rest, 1)?;
        let state = take(rest, n)?;
        if !rest.is_empty() {
            return Err(bad(rest, "the end", format!("{} more bytes", rest.len())));
        }
        state_from_bytes(plan, state).map(Some)
    }

    fn store(
        &self,
        key: &Digest,
        origin: &str,
        fingerprint: &Digest,
        plan: &Plan,
        state: &PlanState,
    ) -> Result<()> {
        let state = state_to_bytes(plan, state)?;
        let mut bytes = Vec::with_capacity(state.len() + origin.len() + 128);
        bytes.extend_from_slice(&MAGIC);
        put_u16(&mut bytes, VERSION);
        bytes.extend_from_slice(key.as_bytes());
        put_str(&mut bytes, origin);
        bytes.extend_from_slice(fingerprint.as_bytes());
        put_len(&mut bytes, state.len());
        bytes.extend_from_slice(&state);
        let checksum = Digest::of(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        if bytes.len() as u64 > MOST_BYTES {
            let found = format!("{}", bytes.len());
            return Err(Error::invalid("entry", format!("at most {MOST_BYTES} bytes"), found));
        }
        let path = self.path(key);
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(|e| Error::io(&self.directory, e))?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(&bytes).map_err(|e| Error::io(&path, e))?;
        file.commit()
    }
}

/// What was found of some origins.
#[derive(Default)]
struct Loaded<'a> {
    state: Option<PlanState>,
    reused: u64,
    missing: HashSet<&'a str>,
    damaged: Vec<String>,
}

impl Loaded<'_> {
    fn and(mut self, mut other: Self) -> Result<Self> {
        self.state = merged(self.state, other.state)?;
        self.reused += other.reused;
        if self.missing.len() < other.missing.len() {
            std::mem::swap(&mut self.missing, &mut other.missing);
        }
        self.missing.extend(other.missing);
        self.damaged.append(&mut other.damaged);
        Ok(self)
    }
}

fn merged(one: Option<PlanState>, two: Option<PlanState>) -> Result<Option<PlanState>> {
    match (one, two) {
        (Some(mut one), Some(two)) => {
            one.merge(two)?;
            Ok(Some(one))
        }
        (one, None) | (None, one) => Ok(one),
    }
}

/// The origins of a source, with the keys of their entries in this plan.
fn origins(source: &dyn DataSource, plan: &Plan) -> Result<Vec<Origin>> {
    let Some(description) = plan.description() else {
        let member = plan.undescribed().unwrap_or_default();
        let expected = "measurements that have a description";
        return Err(Error::invalid("plan whose states are to be kept", expected, member));
    };
    let schema = source.schema();
    let mut common = Vec::new();
    common.extend_from_slice(description.digest().as_bytes());
    for column in plan.columns() {
        put_str(&mut common, &column);
        let found = schema.field_with_name(&column).map(|f| f.data_type().to_string());
        put_str(&mut common, &found.unwrap_or_default());
    }
    let mut origins: Vec<Origin> = Vec::new();
    let mut known: HashMap<String, (usize, u64)> = HashMap::new();
    for partition in source.partitions()? {
        match known.get_mut(&partition.origin) {
            None => {
                let entry = match source.fingerprint(&partition.origin) {
                    None => Err("nothing tells whether it changed".to_owned()),
                    Some(print) => {
                        let mut key = common.clone();
                        put_str(&mut key, &partition.origin);
                        key.extend_from_slice(print.as_bytes());
                        Ok((Digest::of(key), print))
                    }
                };
                known.insert(partition.origin.clone(), (origins.len(), partition.first_row));
                origins.push(Origin { name: partition.origin, entry });
            }
            Some((_, last)) if *last < partition.first_row => *last = partition.first_row,
            // A file that is listed twice gives twice its rows: nobody else's entry.
            Some((index, _)) => {
                origins[*index].entry = Err("its rows are there more than once".to_owned());
            }
        }
    }
    Ok(origins)
}

fn take_header(bytes: &mut &[u8]) -> Result<(Digest, String, Digest)> {
    let magic = take(bytes, MAGIC.len())?;
    if magic != MAGIC {
        return Err(bad(bytes, "the magic MLSE", format!("{magic:02x?}")));
    }
    let version = take_u16(bytes)?;
    if version != VERSION {
        return Err(bad(bytes, format!("version {VERSION}"), version));
    }
    let digest = |bytes: &mut &[u8]| -> Result<Digest> {
        let mut raw = [0; 32];
        raw.copy_from_slice(take(bytes, 32)?);
        Ok(Digest::from_bytes(raw))
    };
    let key = digest(bytes)?;
    let origin = take_str(bytes)?;
    Ok((key, origin, digest(bytes)?))
}

/// What an entry is of, without its state.
fn header(path: &Path) -> Result<StoredState> {
    let io = |e| Error::io(path, e);
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut head = Vec::new();
    file.take(1 << 16).read_to_end(&mut head).map_err(io)?;
    let (_, origin, fingerprint) = take_header(&mut head.as_slice())?;
    Ok(StoredState { origin, fingerprint, bytes })
}
