//! Directories to manifests and back.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use mlops_core::{Error, OnProgress, Progress, Result, sync_directory_of};

use super::files::{open_regular, random_name};
use super::manifest::{Entry, Limits, Manifest, Mode};
use super::store::{ArtifactStore, Blob, Transfer};
use super::verified::{of_io, pump};

/// How deep a directory may be nested: a path of the longest length has no more parts.
const DEPTH: usize = 256;

/// A file that was found: its path within the directory, and its own.
struct Source {
    path: String,
    file: PathBuf,
}

/// Progress of many files as one.
struct Sum<'a> {
    to: Option<&'a dyn OnProgress>,
    before: u64,
    total: Option<u64>,
}

impl OnProgress for Sum<'_> {
    fn on_progress(&self, progress: &Progress) {
        let Some(to) = self.to else { return };
        let mut whole = *progress;
        whole.bytes = self.before.saturating_add(progress.bytes);
        whole.bytes_total = self.total;
        to.on_progress(&whole);
    }
}

/// Every file below, sorted; links and special files are refused.
fn walk(directory: &Path, limits: &Limits) -> Result<(Vec<Source>, u64)> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |e| Error::io(&path, e)
    };
    let found = |path: &Path, found: &str| {
        Error::invalid(path.display().to_string(), "a directory or a file of it", found)
    };
    let meta = fs::symlink_metadata(directory).map_err(io(directory))?;
    if !meta.is_dir() {
        return Err(found(directory, if meta.is_symlink() { "a link" } else { "a file" }));
    }
    let mut sources = Vec::new();
    let mut total = 0_u64;
    let mut open = vec![(directory.to_path_buf(), String::new(), 0)];
    while let Some((at, prefix, depth)) = open.pop() {
        if depth > DEPTH {
            return Err(found(&at, "a directory that is nested too deeply"));
        }
        for item in fs::read_dir(&at).map_err(io(&at))? {
            let item = item.map_err(io(&at))?;
            let file = item.path();
            let name = item.file_name();
            let name = name.to_str().ok_or_else(|| found(&file, "a name that is no Unicode"))?;
            let path = format!("{prefix}{name}");
            let meta = fs::symlink_metadata(&file).map_err(io(&file))?;
            if meta.is_dir() {
                open.push((file, format!("{path}/"), depth + 1));
            } else if meta.is_file() {
                total = total.saturating_add(meta.len());
                sources.push(Source { path, file });
            } else {
                let what = if meta.is_symlink() { "a link" } else { "a special file" };
                return Err(found(&file, what));
            }
            if sources.len() > limits.files || total > limits.bytes {
                let expected = format!("at most {} files of {} bytes", limits.files, limits.bytes);
                return Err(Error::invalid(directory.display().to_string(), expected, "more"));
            }
        }
    }
    sources.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    mlops_core::check_paths(sources.iter().map(|source| source.path.as_str()))?;
    Ok((sources, total))
}

/// The manifest of what is below, where `take` gives the names of a file's bytes.
fn entries(
    directory: &Path,
    limits: &Limits,
    transfer: &Transfer<'_>,
    mut take: impl FnMut(&mut dyn Read, &Transfer<'_>) -> Result<Blob>,
) -> Result<Manifest> {
    let (sources, total) = walk(directory, limits)?;
    let mut entries = Vec::with_capacity(sources.len());
    let mut before = 0_u64;
    for Source { path, file } in sources {
        let mut open = open_regular(&file)?;
        let mode = open.metadata().map_err(|e| Error::io(&file, e))?;
        let sum = Sum { to: transfer.progress, before, total: Some(total) };
        let one = Transfer { expect: None, total: None, ..*transfer };
        let one = one.on_progress(&sum).at_most(limits.file_bytes);
        let blob = take(&mut open, &one).map_err(|e| e.within(file.display().to_string()))?;
        before = before.saturating_add(blob.size);
        entries.push(Entry::new(path, blob.size, blob.digest, mode_of(&mode)));
    }
    Manifest::new(entries, limits)
}

pub(super) fn read(directory: &Path, limits: &Limits, transfer: &Transfer<'_>) -> Result<Manifest> {
    entries(directory, limits, transfer, |file, one| pump(file, one, |_| Ok(())))
}

pub(super) fn put<S: ArtifactStore + ?Sized>(
    store: &S,
    directory: &Path,
    transfer: &Transfer<'_>,
) -> Result<(Manifest, Blob)> {
    // Without a lease of the caller's, the files are safe at least until the manifest is there.
    let own = if transfer.lease.is_none() { Some(store.lease()?) } else { None };
    let transfer = Transfer { lease: transfer.lease.or(own.as_ref()), ..*transfer };
    let manifest =
        entries(directory, &Limits::default(), &transfer, |file, one| store.put(file, one))?;
    let json = manifest.to_json()?;
    let quiet = Transfer { progress: None, total: None, at_most: None, ..transfer };
    let blob = store.put(&mut json.as_slice(), &quiet)?;
    if let Some(lease) = own {
        lease.release()?;
    }
    Ok((manifest, blob))
}

#[cfg(unix)]
fn mode_of(meta: &fs::Metadata) -> Mode {
    use std::os::unix::fs::PermissionsExt;
    if meta.permissions().mode() & 0o100 == 0 { Mode::Plain } else { Mode::Executable }
}

#[cfg(not(unix))]
fn mode_of(_: &fs::Metadata) -> Mode {
    Mode::Plain
}

/// A directory that is gone unless it is kept.
struct Scratch(Option<PathBuf>);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            fs::remove_dir_all(path).ok();
        }
    }
}

pub(super) fn write<S: ArtifactStore + ?Sized>(
    manifest: &Manifest,
    store: &S,
    into: &Path,
    transfer: &Transfer<'_>,
) -> Result<()> {
    let taken = || Error::io(into, io::ErrorKind::AlreadyExists.into());
    let Some(name) = into.file_name() else {
        let reason = "the path has no last part";
        return Err(Error::io(into, io::Error::new(io::ErrorKind::InvalidInput, reason)));
    };
    if fs::symlink_metadata(into).is_ok() {
        return Err(taken());
    }
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", random_name()?));
    let scratch = into.with_file_name(hidden);
    fs::create_dir(&scratch).map_err(|e| Error::io(&scratch, e))?;
    let mut guard = Scratch(Some(scratch.clone()));

    let total = manifest.bytes();
    let mut before = 0_u64;
    let mut directories = vec![scratch.clone()];
    for entry in &manifest.entries {
        let file = scratch.join(&entry.path);
        if let Some(parent) = file.parent() {
            make_directories(&scratch, parent, &mut directories)?;
        }
        let sum = Sum { to: transfer.progress, before, total: Some(total) };
        let one = transfer.on_progress(&sum);
        let from = store.get(entry.sha256, &one);
        let mut from = from.map_err(|e| e.within(format!("file `{}`", entry.path)))?;
        if from.size() != entry.size {
            return Err(Error::Decode {
                what: format!("file `{}`", entry.path),
                offset: 0,
                expected: format!("{} bytes", entry.size),
                found: format!("{} stored", from.size()),
            });
        }
        write_file(&file, entry.mode, &mut from)?;
        before = before.saturating_add(entry.size);
    }
    transfer.check()?;
    // Children before their parents.
    directories.sort_unstable_by_key(|path| std::cmp::Reverse(path.components().count()));
    for directory in &directories {
        sync_directory_of(directory.join("x"))?;
    }
    // Over an empty directory a rename succeeds; over anything else it fails.
    if fs::symlink_metadata(into).is_ok() {
        return Err(taken());
    }
    fs::rename(&scratch, into).map_err(|e| Error::io(into, e))?;
    guard.0 = None;
    sync_directory_of(into)
}

/// Makes what is missing between the root and this directory, none of it through a link: the root
/// was made by us, under a name that nobody could know.
fn make_directories(root: &Path, directory: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let mut missing = Vec::new();
    let mut at = directory;
    while at != root && !at.exists() {
        missing.push(at.to_path_buf());
        let Some(parent) = at.parent() else { break };
        at = parent;
    }
    for path in missing.into_iter().rev() {
        fs::create_dir(&path).map_err(|e| Error::io(&path, e))?;
        made.push(path);
    }
    Ok(())
}

fn write_file(path: &Path, mode: Mode, from: &mut dyn Read) -> Result<()> {
    let mut options = File::options();
    // Names that this file system takes for one are an error, never overwritten.
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if mode == Mode::Executable { 0o755 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = mode;
    let io = |e| Error::io(path, e);
    let mut file = options.open(path).map_err(io)?;
    let mut buffer = vec![0; super::verified::CHUNK];
    loop {
        let n = from.read(&mut buffer).map_err(|e| of_io(&path.display().to_string(), e))?;
        if n == 0 {
            break;
        }
        file.write_all(&buffer[..n]).map_err(io)?;
    }
    file.sync_all().map_err(io)
}
