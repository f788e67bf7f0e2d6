//! Verification of a log from its export and its checkpoints alone, without the registry.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, Read as _};

use mlops_core::{Digest, Error, Result};

use super::checkpoint::Checkpoint;
use super::entry::{Entry, Head, LINE_BYTES};
use super::log::{self, Log};
use super::merkle::MerkleTree;
use super::note::{NoteVerifier, SignedNote};
use super::sink::split_notes;

/// How many flaws are kept; all are counted.
const FLAWS: usize = 1000;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// A line is no entry, or not the one that follows the line before.
    Entry {
        /// The line, from 1.
        line: u64,
        /// What was expected and what was found.
        problem: String,
    },
    /// A checkpoint is none, or this key did not sign it.
    Checkpoint {
        /// Its place among the checkpoints, from 1.
        number: usize,
        /// What was expected and what was found.
        problem: String,
    },
    /// The log has another root than was signed: an entry was changed, removed or reordered, and
    /// the hashes after it made anew.
    Root {
        /// How many entries the checkpoint speaks of.
        size: u64,
        /// The root that was signed.
        signed: Digest,
        /// The root that the log has.
        found: Digest,
    },
    /// The log ends before entries that were signed.
    Truncated {
        /// How many entries it has.
        entries: u64,
        /// How many a checkpoint speaks of.
        signed: u64,
    },
    /// A personal value is gone, and no later entry says that it was erased.
    Erased {
        /// The entry's number.
        entry: u64,
    },
    /// There is no checkpoint that holds, so that the log may have been written anew from its
    /// first entry on.
    NoCheckpoint,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { line, problem } => write!(f, "line {line}: {problem}"),
            Self::Checkpoint { number, problem } => write!(f, "checkpoint {number}: {problem}"),
            Self::Root { size, signed, found } => write!(
                f,
                "the first {size} entries are not those that were signed: their root is {found}, \
                 signed was {signed}"
            ),
            Self::Truncated { entries, signed } => {
                write!(f, "the log ends after {entries} entries, signed were {signed}")
            }
            Self::Erased { entry } => write!(
                f,
                "entry {entry}: a personal value is gone, and no later entry says that it was erased"
            ),
            Self::NoCheckpoint => f.write_str("no checkpoint holds"),
        }
    }
}

/// What a [`Verifier`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditVerification {
    /// How many entries the log has.
    pub entries: u64,
    /// The root of the Merkle tree over them.
    pub root: Digest,
    /// How many checkpoints were signed by the key and have the log's root.
    pub checkpoints: usize,
    /// How many entries the largest of these speaks of. What comes after may still be changed by
    /// who keeps the log.
    pub signed: u64,
    /// How many entries have erased values.
    pub erased: u64,
    /// What is wrong, at most a thousand flaws.
    pub flaws: Vec<Flaw>,
    /// How many flaws there are.
    pub flaw_count: u64,
}

impl AuditVerification {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.flaw_count == 0
    }

    /// This where nothing is wrong, else an error.
    ///
    /// # Errors
    /// [`Error::Blocked`] with the flaws.
    pub fn require_whole(self) -> Result<Self> {
        if self.is_whole() {
            return Ok(self);
        }
        let reasons = self.flaws.iter().map(Flaw::to_string).collect();
        Err(Error::Blocked { what: "audit log".into(), reasons })
    }
}

impl fmt::Display for AuditVerification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, root, checkpoints, signed, erased, .. } = self;
        writeln!(f, "{entries} entries, root {root}")?;
        writeln!(f, "{checkpoints} checkpoints hold, over the first {signed} entries")?;
        if *erased > 0 {
            writeln!(f, "{erased} entries had personal values that were erased")?;
        }
        for flaw in &self.flaws {
            writeln!(f, "{flaw}")?;
        }
        match self.flaw_count {
            0 => f.write_str("whole"),
            n if n > self.flaws.len() as u64 => write!(f, "NOT whole: {n} flaws, the first above"),
            n => write!(f, "NOT whole: {n} flaws"),
        }
    }
}

/// Checks logs against the checkpoints that were signed of them.
///
/// ```
/// use mlops_core::Timestamp;
/// use mlops_registry::audit::{self, Draft, Entry, Head, NoteSigner, Notary, Salt, Verifier};
///
/// let mut log: Vec<Entry> = Vec::new();
/// let mut head = Head::empty();
/// for subject in ["loans v1", "loans v2"] {
///     let draft = Draft::new(Timestamp::from_millis(0), "ana", "register", subject);
///     let entry = Entry::next(head, draft, Salt::random()?)?;
///     head = entry.head()?;
///     log.push(entry);
/// }
/// let mut notary = Notary::new(NoteSigner::generate("registry.example.com")?);
/// let checkpoint = notary.sign(&log)?.to_string();
/// let mut lines = Vec::new();
/// audit::export(&log, &mut lines)?;
///
/// let verifier = Verifier::new(&notary.verifier(), &checkpoint);
/// assert!(verifier.verify(lines.as_slice())?.is_whole());
/// let at = lines.windows(2).position(|w| w == b"v2").unwrap();
/// lines[at + 1] = b'3';
/// println!("{}", verifier.verify(lines.as_slice())?);
/// assert!(!verifier.verify(lines.as_slice())?.is_whole());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    /// Size and root, ascending by size.
    signed: Vec<(u64, Digest)>,
    flaws: Flaws,
}

impl Verifier {
    /// One that trusts this key, and these checkpoints as far as the key signed them: a note, or
    /// several as a [`FileSink`](super::FileSink) keeps them.
    ///
    /// Get the key from somebody who is trusted, not from where the log lies.
    pub fn new(key: &NoteVerifier, checkpoints: &str) -> Self {
        let mut signed = Vec::new();
        let mut flaws = Flaws::default();
        for (i, range) in split_notes(checkpoints).into_iter().enumerate() {
            let note = checkpoints[range].parse::<SignedNote>();
            match note.and_then(|note| Checkpoint::open(&note, key)) {
                Ok(checkpoint) => signed.push((checkpoint.size, checkpoint.root)),
                Err(e) => flaws.add(Flaw::Checkpoint { number: i + 1, problem: e.to_string() }),
            }
        }
        if signed.is_empty() {
            flaws.add(Flaw::NoCheckpoint);
        }
        signed.sort_unstable();
        Self { signed, flaws }
    }

    /// One that has no checkpoints. It finds accidents and careless edits in the log's middle; a
    /// log that was cut at its end, or written anew from some entry on, is whole to it.
    pub fn of_chain_alone() -> Self {
        Self { signed: Vec::new(), flaws: Flaws::default() }
    }

    /// Checks an [`export`](super::export) of a log: that every line is an entry, byte for byte,
    /// and follows the one before, that the log has the roots that were signed, and that values
    /// that are gone were erased by an entry of the log.
    ///
    /// It holds some 64 bytes for every entry, and one line.
    ///
    /// # Errors
    /// [`Error::Io`] if the export can't be read. What is wrong with it is a [`Flaw`].
    pub fn verify(&self, mut log: impl BufRead) -> Result<AuditVerification> {
        let mut walk = self.walk();
        let mut line = Vec::new();
        let mut end = true;
        loop {
            line.clear();
            // A line feed, and a byte to see that it is too long.
            let mut limited = (&mut log).take(LINE_BYTES as u64 + 2);
            let n = limited
                .read_until(b'\n', &mut line)
                .map_err(|e| Error::io("export of the audit log", e))?;
            if n == 0 {
                break;
            }
            // The rest of a line that is too long is no entry either.
            let whole = line.pop_if(|last| *last == b'\n').is_some();
            if end || whole {
                let bad = |expected: &str, found: String| {
                    Err(Error::invalid("audit entry", expected, found))
                };
                let text = str::from_utf8(&line);
                walk.entry(match text {
                    _ if !whole => bad("a line feed after it", format!("{} bytes", line.len())),
                    Ok(text) => Entry::from_json(text),
                    Err(e) => bad("UTF-8", format!("another byte at {}", e.valid_up_to())),
                });
            }
            end = whole;
        }
        Ok(walk.finish())
    }

    /// Checks a log where it lies.
    ///
    /// # Errors
    /// A log that can't be read. What is wrong with it is a [`Flaw`].
    pub fn verify_log(&self, log: &(impl Log + ?Sized)) -> Result<AuditVerification> {
        let mut walk = self.walk();
        log::for_each_from(log, 0, |entry| {
            walk.entry(Ok(entry));
            Ok(())
        })?;
        Ok(walk.finish())
    }

    fn walk(&self) -> Walk<'_> {
        Walk {
            signed: &self.signed,
            holding: 0,
            lines: 0,
            previous: Some(Head::empty()),
            tree: MerkleTree::new(),
            gone: Vec::new(),
            said: BTreeSet::new(),
            flaws: self.flaws.clone(),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Flaws {
    first: Vec<Flaw>,
    count: u64,
}

impl Flaws {
    fn add(&mut self, flaw: Flaw) {
        self.count += 1;
        if self.first.len() < FLAWS {
            self.first.push(flaw);
        }
    }
}

struct Walk<'a> {
    signed: &'a [(u64, Digest)],
    holding: usize,
    lines: u64,
    /// The end of the log so far; `None` after a line that is no entry.
    previous: Option<Head>,
    tree: MerkleTree,
    /// Entries of which a value is gone.
    gone: Vec<u64>,
    /// Entries of which a later one says that they were erased.
    said: BTreeSet<u64>,
    flaws: Flaws,
}

impl Walk<'_> {
    fn entry(&mut self, read: Result<Entry>) {
        self.lines += 1;
        let place = self.lines - 1;
        let read = read.and_then(|entry| {
            let head = entry.head()?;
            Ok((entry, head))
        });
        let (entry, head) = match read {
            Ok(read) => read,
            Err(e) => {
                self.flaws.add(Flaw::Entry { line: self.lines, problem: e.to_string() });
                self.previous = None;
                // Its place is taken, and no root over it will be the one that was signed.
                self.tree.push(Digest::from_bytes([0; 32]));
                return;
            }
        };
        // After a line that is no entry, the number at least is known.
        let before = self.previous.unwrap_or(Head { len: place, hash: entry.previous() });
        if let Err(e) = entry.follows(before) {
            self.flaws.add(Flaw::Entry { line: self.lines, problem: e.to_string() });
        }
        if entry.is_erased() {
            self.gone.push(entry.seq());
        }
        self.said.extend(entry.erases().into_iter().filter(|n| *n < entry.seq()));
        self.tree.push(head.hash);
        self.previous = Some(head);
    }

    fn finish(mut self) -> AuditVerification {
        let entries = self.tree.len();
        let mut largest = 0;
        let mut longest: Option<u64> = None;
        for &(size, signed) in self.signed {
            match self.tree.root_at(size) {
                Ok(found) if found == signed => {
                    self.holding += 1;
                    largest = size;
                }
                Ok(found) => self.flaws.add(Flaw::Root { size, signed, found }),
                Err(_) => longest = Some(size),
            }
        }
        if let Some(signed) = longest {
            self.flaws.add(Flaw::Truncated { entries, signed });
        }
        for &entry in self.gone.iter().filter(|n| !self.said.contains(n)) {
            self.flaws.add(Flaw::Erased { entry });
        }
        AuditVerification {
            entries,
            root: self.tree.root(),
            checkpoints: self.holding,
            signed: largest,
            erased: self.gone.len() as u64,
            flaws: self.flaws.first,
            flaw_count: self.flaws.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::Timestamp;

    use super::super::{Draft, Notary, NoteSigner, Salt, export};
    use super::*;

    fn signer() -> NoteSigner {
        NoteSigner::from_seed("registry.example.com", [5; 32]).unwrap()
    }

    fn push(log: &mut Vec<Entry>, draft: Draft) {
        let head = log.last().map_or(Ok(Head::empty()), Entry::head).unwrap();
        log.push(Entry::next(head, draft, Salt::from_bytes([6; 32])).unwrap());
    }

    fn log(len: usize) -> Vec<Entry> {
        let mut log = Vec::new();
        for n in 0..len {
            let draft = Draft::new(Timestamp::from_millis(n as i64), "ana", "gate", "loans v1")
                .with_personal("reason", format!("reason {n}"))
                .with_detail(serde_json::json!({"auc": 0.5 + n as f64 / 16.0}));
            push(&mut log, draft);
        }
        log
    }

    fn lines(log: &Vec<Entry>) -> Vec<u8> {
        let mut out = Vec::new();
        export(log, &mut out).unwrap();
        out
    }

    /// Checkpoints after two entries and after all.
    fn verifier(log: &[Entry]) -> Verifier {
        let mut notary = Notary::new(signer());
        let first = notary.sign(&log[..2].to_vec()).unwrap();
        let second = notary.sign(&log.to_vec()).unwrap();
        Verifier::new(&signer().verifier(), &format!("{first}\n{second}\n"))
    }

    fn holds(verifier: &Verifier, lines: &[u8]) -> bool {
        verifier.verify(lines).unwrap().is_whole()
    }

    #[test]
    fn a_whole_log_is_whole() {
        let log = log(5);
        let verifier = verifier(&log);
        let seen = verifier.verify(lines(&log).as_slice()).unwrap();
        assert!(seen.is_whole(), "{seen}");
        assert_eq!((seen.entries, seen.checkpoints, seen.signed, seen.erased), (5, 2, 5, 0));
        assert_eq!(verifier.verify_log(&log).unwrap(), seen);
        assert!(Verifier::of_chain_alone().verify_log(&log).unwrap().is_whole());
        assert!(seen.to_string().ends_with("whole"));
        seen.require_whole().unwrap();
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let log = log(4);
        let (verifier, lines) = (verifier(&log), lines(&log));
        for at in 0..lines.len() {
            for bit in 0..8 {
                let mut other = lines.clone();
                other[at] ^= 1 << bit;
                assert!(!holds(&verifier, &other), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn every_removed_or_added_byte_is_found() {
        let log = log(4);
        let (verifier, lines) = (verifier(&log), lines(&log));
        for at in 0..lines.len() {
            let mut other = lines.clone();
            other.remove(at);
            assert!(!holds(&verifier, &other), "without byte {at}");
            for byte in [b' ', b'0', b'\n'] {
                let mut other = lines.clone();
                other.insert(at, byte);
                assert!(!holds(&verifier, &other), "{byte} before byte {at}");
            }
        }
    }

    #[test]
    fn every_row_removed_doubled_or_moved_is_found() {
        let log = log(6);
        let (verifier, chain) = (verifier(&log), Verifier::of_chain_alone());
        let bytes = lines(&log);
        let rows: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        assert!(holds(&verifier, &rows.concat()));
        for i in 0..rows.len() {
            let mut other = rows.clone();
            other.remove(i);
            assert!(!holds(&verifier, &other.concat()), "without row {i}");
            // A chain alone does not miss its end.
            assert_eq!(holds(&chain, &other.concat()), i + 1 == rows.len());
            let mut other = rows.clone();
            other.insert(i, rows[i]);
            assert!(!holds(&verifier, &other.concat()), "row {i} twice");
            assert!(!holds(&chain, &other.concat()));
            for j in 0..i {
                let mut other = rows.clone();
                other.swap(i, j);
                assert!(!holds(&verifier, &other.concat()), "rows {i} and {j} swapped");
                assert!(!holds(&chain, &other.concat()));
            }
        }
        for len in 0..rows.len() {
            let seen = verifier.verify(rows[..len].concat().as_slice()).unwrap();
            let cut = Flaw::Truncated { entries: len as u64, signed: 6 };
            assert!(seen.flaws.contains(&cut), "{seen}");
        }
    }

    #[test]
    fn a_log_written_anew_is_found_by_its_checkpoint_alone() {
        let real = log(5);
        let mut forged = real[..1].to_vec();
        for n in 1..5 {
            push(&mut forged, Draft::new(Timestamp::from_millis(n), "ana", "gate", "loans v2"));
        }
        assert!(holds(&Verifier::of_chain_alone(), &lines(&forged)));
        let seen = verifier(&real).verify(lines(&forged).as_slice()).unwrap();
        assert!(matches!(seen.flaws[..], [Flaw::Root { size: 2, .. }, Flaw::Root { size: 5, .. }]));
        assert_eq!((seen.checkpoints, seen.signed), (0, 0));
        // Nor does it help to sign it with another key.
        let other = NoteSigner::from_seed("registry.example.com", [7; 32]).unwrap();
        let note = Notary::new(other).sign(&forged).unwrap().to_string();
        let seen =
            Verifier::new(&signer().verifier(), &note).verify(lines(&forged).as_slice()).unwrap();
        assert!(matches!(seen.flaws[..], [Flaw::Checkpoint { number: 1, .. }, Flaw::NoCheckpoint]));
    }

    #[test]
    fn what_follows_the_last_checkpoint_is_counted_apart() {
        let mut log = log(3);
        let verifier = verifier(&log);
        push(&mut log, Draft::new(Timestamp::from_millis(9), "ben", "gate", "loans v1"));
        let seen = verifier.verify_log(&log).unwrap();
        assert!(seen.is_whole());
        assert_eq!((seen.entries, seen.signed), (4, 3));
    }

    #[test]
    fn an_erased_value_needs_an_entry_that_says_so() {
        let mut log = log(3);
        let verifier = verifier(&log);
        log[1].erase();
        let seen = verifier.verify(lines(&log).as_slice()).unwrap();
        assert_eq!(seen.flaws, [Flaw::Erased { entry: 1 }]);
        push(&mut log, Draft::erasure(Timestamp::from_millis(9), "ben", [1]));
        let seen = verifier.verify(lines(&log).as_slice()).unwrap();
        assert!(seen.is_whole(), "{seen}");
        assert_eq!(seen.erased, 1);
        // An erasure speaks of the past.
        log[3].erase();
        assert_eq!(verifier.verify_log(&log).unwrap().flaws, [Flaw::Erased { entry: 3 }]);
    }

    #[test]
    fn every_flipped_bit_of_a_checkpoint_is_found() {
        let log = log(2);
        let note = Notary::new(signer()).sign(&log).unwrap().to_string();
        for at in 0..note.len() {
            for bit in [0, 1, 5] {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(other) = String::from_utf8(bytes) else { continue };
                let verifier = Verifier::new(&signer().verifier(), &other);
                assert!(!verifier.verify_log(&log).unwrap().is_whole(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn hostile_bytes_are_flaws() {
        let verifier = Verifier::of_chain_alone();
        for bytes in [&b"\xff\n"[..], b"{}\n", b"\n\n\n", b"[[[[", b"no line feed"] {
            assert!(!holds(&verifier, bytes));
        }
        let long = vec![b'a'; 3 * LINE_BYTES];
        let seen = verifier.verify(long.as_slice()).unwrap();
        assert_eq!((seen.entries, seen.flaw_count), (1, 1), "{seen}");
        let many = b"x\n".repeat(FLAWS + 5);
        let seen = verifier.verify(many.as_slice()).unwrap();
        assert_eq!((seen.flaws.len(), seen.flaw_count), (FLAWS, FLAWS as u64 + 5));
        assert!(seen.to_string().ends_with("the first above"));
    }
}
