//! Whether a file is still the one that was opened.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use mlops_core::{Digest, Error, Result};

/// A file's length and the time of its last change. What was learnt of a file when it was opened
/// (its types, its parts, its footer) is not true of another, which it may be read as by mistake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    changed: Option<SystemTime>,
    /// When the system last wrote to the file's entry, in seconds and nanoseconds: no program
    /// sets it back, as `cp -p` and `touch` do with the other.
    status: Option<(i64, i64)>,
}

impl Stamp {
    /// The stamp of an open file, which must be one that can be read again: no pipe or directory.
    pub(crate) fn of(path: &Path, file: &File) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| Error::io(path, e))?;
        if !metadata.is_file() {
            let found = if metadata.is_dir() { "a directory" } else { "a device or pipe" };
            return Err(Error::invalid(path.display().to_string(), "a file", found));
        }
        #[cfg(unix)]
        let status = {
            use std::os::unix::fs::MetadataExt;
            Some((metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let status = None;
        Ok(Self { len: metadata.len(), changed: metadata.modified().ok(), status })
    }

    /// What changes with the file: of its length, its times, and how it is read. A change within
    /// one tick of the file system's clock (some milliseconds) that keeps the length goes unseen.
    pub(crate) fn fingerprint(&self, reading: &str) -> Option<Digest> {
        let changed = self.changed?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let times = (changed.as_nanos(), self.status);
        Some(Digest::of(format!("{} bytes, {times:?}, {reading}", self.len)))
    }

    /// Whether nothing at all was done to the file: what its footer said then is what it says.
    ///
    /// # Errors
    /// As [`reopen`](Self::reopen), for a file that is another by its length or time.
    pub(crate) fn is_untouched(&self, path: &Path) -> Result<bool> {
        Ok(Self::of(path, &self.reopen(path)?)?.status == self.status)
    }

    /// Opens the file again, if it is still the same.
    pub(crate) fn reopen(&self, path: &Path) -> Result<File> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let now = Self::of(path, &file)?;
        // Who may read a file may change under a scan; its bytes may not.
        if (now.len, now.changed) == (self.len, self.changed) {
            return Ok(file);
        }
        let expected = format!("{} bytes, unchanged since it was opened", self.len);
        let found = if now.len == self.len {
            "as many, changed since".to_owned()
        } else {
            format!("{} bytes", now.len)
        };
        Err(Error::invalid(path.display().to_string(), expected, found))
    }
}
