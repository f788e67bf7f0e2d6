//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A file that appears under its name only once it is complete.
///
/// The bytes go to a temporary file in the same directory; [`commit`](Self::commit) syncs it,
/// renames it over the name, and syncs the directory, so that after a crash at any instant the
/// name has either its old bytes or all the new ones. Dropped without a commit, it leaves nothing
/// (a process that is killed leaves a file that starts with `.` and ends with `.tmp`).
///
/// ```
/// use std::io::Write;
/// use mlops_core::{AtomicFile, Error};
///
/// # let dir = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
/// let path = dir.path().join("profile.json");
/// let mut file = AtomicFile::create(&path)?;
/// file.write_all(b"{}").map_err(|e| Error::io(&path, e))?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert!(path.exists());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temp: NamedTempFile,
}

impl AtomicFile {
    /// Starts a file that will have this name; its directory must be there.
    ///
    /// # Errors
    /// [`Error::Io`] with the path if it has no file name, or its directory can't be written to.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Some(name) = path.file_name() else {
            let reason = "the path has no file name";
            return Err(Error::io(path, io::Error::new(io::ErrorKind::InvalidInput, reason)));
        };
        if path.is_dir() {
            let reason = "a directory has this name";
            return Err(Error::io(path, io::Error::new(io::ErrorKind::AlreadyExists, reason)));
        }
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // Temporary files are private by default; a result is not, and the umask still counts.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let temp = builder.tempfile_in(directory(path)).map_err(|e| Error::io(path, e))?;
        Ok(Self { path: path.to_path_buf(), temp })
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the bytes go to meanwhile, for writers that want the `File` itself.
    pub fn as_file(&self) -> &File {
        self.temp.as_file()
    }

    /// Waits until the bytes are on the disk, without giving the file its name yet. Two files that
    /// belong together are both synced before the first is committed.
    ///
    /// # Errors
    /// [`Error::Io`], as of a full disk.
    pub fn sync(&mut self) -> Result<()> {
        self.temp
            .flush()
            .and_then(|()| self.temp.as_file().sync_all())
            .map_err(|e| Error::io(&self.path, e))
    }

    /// Syncs the bytes, gives the file its name (over a file that had it), syncs the directory.
    ///
    /// # Errors
    /// [`Error::Io`]; then the name has the bytes it had before.
    pub fn commit(mut self) -> Result<()> {
        self.sync()?;
        self.temp.persist(&self.path).map_err(|e| Error::io(&self.path, e.error))?;
        sync_directory_of(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

/// Waits until the entries of the directory that this file stands in are on the disk: what makes
/// a rename or a removal last. Does nothing where the system syncs directories by itself.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_directory_of(path: impl AsRef<Path>) -> Result<()> {
    #[cfg(unix)]
    {
        let directory = directory(path.as_ref());
        File::open(directory).and_then(|d| d.sync_all()).map_err(|e| Error::io(directory, e))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn old_bytes_until_the_commit_and_new_ones_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.bin");
        std::fs::write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["x.bin"]);
    }

    #[test]
    fn dropped_without_a_commit_it_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(dir.path().join("x.bin")).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(dir.path()).len(), 1);
        drop(file);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_missing_directory_or_name_is_an_error_with_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(dir.path().join("not/there.bin")).unwrap_err();
        assert!(error.to_string().contains("there.bin"), "{error}");
        assert!(AtomicFile::create(dir.path().join("..")).is_err());
        assert!(AtomicFile::create(dir.path()).is_err());
    }
}
