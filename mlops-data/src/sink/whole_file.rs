//! A file that is there whole or not at all, and knows its digest.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use mlops_core::{AtomicFile, Digest, Error, Hasher, Result};

use super::Written;

/// An [`AtomicFile`] behind a buffer that counts and digests what passes.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: BufWriter<AtomicFile>,
    hasher: Hasher,
    bytes: u64,
}

impl WholeFile {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = BufWriter::with_capacity(256 << 10, AtomicFile::create(path)?);
        Ok(Self { file, hasher: Digest::hasher(), bytes: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.get_ref().path()
    }

    /// After this the file outlives a power cut.
    pub(crate) fn commit(self, rows: u64) -> Result<Written> {
        let path = self.path().to_path_buf();
        let file = self.file.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
        file.commit()?;
        Ok(Written { path, rows, bytes: self.bytes, digest: self.hasher.finish() })
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
