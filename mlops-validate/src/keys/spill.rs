//! How much memory key sets hold, and the file that takes what is beyond it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use mlops_core::{Error, Result};

/// What all states of one analyzer hold together.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) limit: u64,
    pub(super) directory: Option<PathBuf>,
    used: AtomicU64,
    file: Mutex<Weak<SpillFile>>,
}

impl Budget {
    pub(super) fn new(limit: u64, directory: Option<PathBuf>) -> Self {
        Self { limit, directory, used: AtomicU64::new(0), file: Mutex::default() }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }

    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.used.fetch_add(bytes as u64, Ordering::Relaxed);
        Held { budget: self.clone(), bytes }
    }

    /// The file of the states that are alive; it goes with the last of them.
    pub(super) fn file(&self) -> Result<Arc<SpillFile>> {
        // A panic elsewhere leaves nothing half done here.
        let mut known = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.upgrade() {
            return Ok(file);
        }
        let directory = self.directory.clone().unwrap_or_else(std::env::temp_dir);
        // It has no name: the system takes it back however the process ends.
        let file = tempfile::tempfile_in(&directory).map_err(|e| full(&directory, e))?;
        let file = Arc::new(SpillFile { directory, file: Mutex::new((file, 0)) });
        *known = Arc::downgrade(&file);
        Ok(file)
    }
}

fn full(directory: &PathBuf, e: std::io::Error) -> Error {
    Error::io(directory, e).within("a temporary file of keys beyond the memory limit")
}

/// Memory that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    pub(super) bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes as u64, Ordering::Relaxed);
    }
}

/// Where keys go that memory does not take.
#[derive(Debug)]
pub(super) struct SpillFile {
    directory: PathBuf,
    /// With its length.
    file: Mutex<(File, u64)>,
}

impl SpillFile {
    /// Appends, and says where.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let at = file.1;
        let written = file.0.seek(SeekFrom::Start(at)).and_then(|_| file.0.write_all(bytes));
        written.map_err(|e| full(&self.directory, e))?;
        file.1 += bytes.len() as u64;
        Ok(at)
    }

    pub(super) fn read(&self, at: u64, n: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n as usize];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.0.seek(SeekFrom::Start(at)).and_then(|_| file.0.read_exact(&mut bytes));
        read.map_err(|e| full(&self.directory, e))?;
        Ok(bytes)
    }
}

/// Keys in a file, by the first bits of their hashes.
#[derive(Clone, Debug)]
pub(super) struct Spilled {
    pub(super) file: Arc<SpillFile>,
    /// Where each part stands, and its bytes.
    pub(super) parts: Arc<[(u64, u64)]>,
}

/// The parts, chosen by the first byte of a hash: what is in the file is worked on one part at a
/// time.
pub(super) const PARTS: usize = 256;

impl Spilled {
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.1).sum()
    }
}
