//! A file that is there whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mlops_core::{Digest, Error, Hasher, Result};
use tempfile::NamedTempFile;

use super::Written;

/// A file being written under a passing name beside its own. [`commit`](Self::commit) syncs it
/// and gives it its name; until then, and if it is dropped, there is nothing (or what was there
/// before) under that name.
#[derive(Debug)]
pub(crate) struct WholeFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    hasher: Hasher,
    bytes: u64,
}

impl WholeFile {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::invalid("path to write", "the name of a file", path.display()))?;
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // As any new file would have it, less the umask; a temporary one is for its owner only.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory(path)).map_err(|e| Error::io(path, e))?;
        let file = BufWriter::with_capacity(256 << 10, file);
        Ok(Self { path: path.to_path_buf(), file, hasher: Digest::hasher(), bytes: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs, renames, and syncs the directory: after this the file outlives a power cut.
    pub(crate) fn commit(self, rows: u64) -> Result<Written> {
        let path = self.path;
        let io = |e| Error::io(&path, e);
        let file = self.file.into_inner().map_err(|e| io(e.into_error()))?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&path).map_err(|e| io(e.error))?;
        // Windows has no handle of a directory to sync.
        if cfg!(unix) {
            File::open(directory(&path)).and_then(|d| d.sync_all()).map_err(io)?;
        }
        Ok(Written { path, rows, bytes: self.bytes, digest: self.hasher.finish() })
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
