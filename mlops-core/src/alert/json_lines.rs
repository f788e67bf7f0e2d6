//! A sink that appends to a file, an alert a line.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Alert, AlertSink};
use crate::{Error, Result, sync_directory_of};

/// Appends each alert as a line of JSON, and syncs it before it says that the alert arrived.
#[derive(Debug)]
pub struct JsonLinesSink {
    path: PathBuf,
    file: Mutex<File>,
}

impl JsonLinesSink {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let open = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = open.map_err(|e| Error::io(&path, e))?;
        sync_directory_of(&path)?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AlertSink for JsonLinesSink {
    fn send(&self, alert: &Alert) -> Result<()> {
        let json = serde_json::to_string(alert).map_err(|e| Error::other("an alert as JSON", e))?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut append = || {
            // A process that died in mid-line, or a write that failed, must not spoil this line.
            let whole = ends_with_newline(&mut file)?;
            let line = format!("{}{json}\n", if whole { "" } else { "\n" });
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        append().map_err(|e| Error::io(&self.path, e))
    }
}

/// Whether the file is empty or its last line is whole.
fn ends_with_newline(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Severity, Timestamp};

    #[test]
    fn a_line_an_alert_even_after_half_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alerts.jsonl");
        let alert = Alert::new("a", Severity::Info, "line\nbreak", "s", Timestamp::from_millis(0));
        JsonLinesSink::open(&path).unwrap().send(&alert).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"half").unwrap();
        JsonLinesSink::open(&path).unwrap().send(&alert).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        for line in [lines[0], lines[2]] {
            assert_eq!(serde_json::from_str::<Alert>(line).unwrap(), alert);
        }
        crate::conformance::alert_sink(&JsonLinesSink::open(&path).unwrap());
        assert!(JsonLinesSink::open(directory.path()).is_err());
    }
}
