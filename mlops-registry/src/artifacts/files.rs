//! What stores on a file system have in common.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use mlops_core::{Error, Result, sync_directory_of};

/// 128 random bits as 32 digits: a name that nobody has.
pub(super) fn random_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::other("random bytes", e.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Opens a file for reading that is a file: no link to one, no device, no pipe that would wait.
pub(super) fn open_regular(path: &Path) -> Result<File> {
    let io = |e| Error::io(path, e);
    let seen = fs::symlink_metadata(path).map_err(io)?;
    refuse_other_than_file(path, &seen)?;
    let file = File::open(path).map_err(io)?;
    let opened = file.metadata().map_err(io)?;
    if !same_file(&seen, &opened) {
        let reason = "another file took the name at this moment";
        return Err(Error::io(path, io::Error::other(reason)));
    }
    Ok(file)
}

/// Whether this is a regular file.
pub(super) fn refuse_other_than_file(path: &Path, meta: &Metadata) -> Result<()> {
    let found = match meta {
        meta if meta.is_file() => return Ok(()),
        meta if meta.is_symlink() => "a link",
        meta if meta.is_dir() => "a directory",
        _ => "a special file",
    };
    Err(Error::invalid(path.display().to_string(), "a file", found))
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.is_file() && b.is_file() && a.len() == b.len()
}

/// Makes a directory if it is not there, and what is above it below the root; a link in its place
/// is refused. A new one is on the disk when this returns.
pub(super) fn directory(path: &Path) -> Result<()> {
    for attempt in 0..2 {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => return Ok(()),
            Ok(meta) => {
                let found = if meta.is_symlink() { "a link" } else { "a file" };
                return Err(Error::invalid(path.display().to_string(), "a directory", found));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && attempt == 0 => {}
            Err(e) => return Err(Error::io(path, e)),
        }
        match fs::create_dir(path) {
            // Another may have been first; what it made is looked at, too.
            Ok(()) => sync_directory_of(path)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => sync_directory_of(path)?,
            Err(e) => return Err(Error::io(path, e)),
        }
    }
    Ok(())
}

/// A new file that nobody else has, for writing and reading.
pub(super) fn create_new(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    options.open(path).map_err(|e| Error::io(path, e))
}

/// Removes a file; one that is not there is removed already.
pub(super) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// What the system says of a name; `None` if nothing has it.
pub(super) fn look(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}
