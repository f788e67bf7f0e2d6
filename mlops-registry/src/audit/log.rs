//! A log that can be read, and its export as JSON lines.

use std::fmt::Debug;
use std::io::Write;
use std::ops::Range;

use mlops_core::{Error, Result};

use super::entry::{Entry, Head};

/// How many entries are read at a time.
const CHUNK: u64 = 1024;

/// A log of [entries](Entry) that can be read. Registries are logs; so is a `Vec<Entry>`.
///
/// # Contract
/// - Entry `n` has the number `n`, and the hash of entry `n − 1` as the one before.
/// - A log grows at its end. Of what was read once nothing changes but that personal values are
///   erased.
pub trait Log: Debug + Send + Sync {
    /// How many entries it has.
    ///
    /// # Errors
    /// A store that can't be read.
    fn len(&self) -> Result<u64>;

    /// The entries with these numbers, in order; fewer where the log ends before.
    ///
    /// # Errors
    /// A store that can't be read, or entries in it that are none.
    fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>>;

    /// Whether it has no entry.
    ///
    /// # Errors
    /// A store that can't be read.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl Log for Vec<Entry> {
    fn len(&self) -> Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>> {
        let last = self.as_slice().len();
        let at = |n: u64| usize::try_from(n).map_or(last, |n| n.min(last));
        let (start, end) = (at(range.start), at(range.end));
        Ok(self.get(start..end).map(<[Entry]>::to_vec).unwrap_or_default())
    }
}

/// Hands on the entries of a log from this one on, as long as it was when this began, in chunks.
pub(super) fn for_each_from(
    log: &(impl Log + ?Sized),
    mut at: u64,
    mut f: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    let len = log.len()?;
    while at < len {
        let end = len.min(at.saturating_add(CHUNK));
        let entries = log.entries(at..end)?;
        if entries.len() as u64 != end - at {
            let expected = format!("entries {at} to {}", end - 1);
            return Err(Error::invalid(
                "audit log",
                expected,
                format!("{} of them", entries.len()),
            ));
        }
        entries.into_iter().try_for_each(&mut f)?;
        at = end;
    }
    Ok(())
}

/// Writes a log as JSON lines, an entry per line ([`Entry::to_json`]), and gives its end. The
/// chain is checked on the way.
///
/// # Errors
/// A log that can't be read or whose chain is broken; [`Error::Io`] of the writer.
pub fn export(log: &(impl Log + ?Sized), mut out: impl Write) -> Result<Head> {
    let mut head = Head::empty();
    let io = |e| Error::io("export of the audit log", e);
    for_each_from(log, 0, |entry| {
        entry.follows(head)?;
        head = entry.head()?;
        let mut line = entry.to_json()?;
        line.push('\n');
        out.write_all(line.as_bytes()).map_err(io)
    })?;
    out.flush().map_err(io)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use mlops_core::Timestamp;

    use super::super::{Draft, Salt};
    use super::*;

    fn log(len: u64) -> Vec<Entry> {
        let mut log: Vec<Entry> = Vec::new();
        for n in 0..len {
            let head = log.last().map_or(Ok(Head::empty()), Entry::head).unwrap();
            let draft = Draft::new(Timestamp::from_millis(0), "ana", "gate", format!("loans v{n}"));
            log.push(Entry::next(head, draft, Salt::from_bytes([0; 32])).unwrap());
        }
        log
    }

    #[test]
    fn ranges_end_with_the_log() {
        let log = log(3);
        assert_eq!(log.entries(1..2).unwrap(), log[1..2]);
        assert_eq!(log.entries(2..u64::MAX).unwrap(), log[2..]);
        assert_eq!(log.entries(7..9).unwrap(), []);
        assert!(!Log::is_empty(&log).unwrap());
        assert!(Log::is_empty(&Vec::new()).unwrap());
    }

    #[test]
    fn an_export_has_a_line_per_entry() {
        let log = log(CHUNK + 2);
        let mut out = Vec::new();
        let head = export(&log, &mut out).unwrap();
        assert_eq!(head, log.as_slice().last().unwrap().head().unwrap());
        let text = String::from_utf8(out).unwrap();
        let read: Result<Vec<_>> = text.lines().map(Entry::from_json).collect();
        assert_eq!(read.unwrap(), log);
    }

    #[test]
    fn a_broken_chain_is_not_exported() {
        let mut log = log(3);
        log.remove(1);
        assert!(export(&log, Vec::new()).is_err());
    }
}
