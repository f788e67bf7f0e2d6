//! How often a hold-out has been looked at, and what each look costs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mlops_core::{Digest, Error, Finding, Result, Severity, Timestamp, Verdict, sync_directory_of};
use serde::{Deserialize, Serialize};

/// How the chance of a wrong promotion is shared among the uses of a hold-out.
///
/// The k-th use has the level α(k), a share of the gate's own α = 1 − confidence, and Σ α(k) ≤ α:
/// over all uses together, a wrong promotion is no more likely than α (half of it, one-sided).
/// Bonferroni's inequality asks for nothing else as long as the verdict is all that the next model
/// learns from: before the first promotion there is one history, so that the models are as good as
/// chosen beforehand. Who reads the numbers, too, learns more than this accounts for.
///
/// C. Dwork et al. 2015, *The reusable holdout*, doi:10.1126/science.aaa9375; A. Blum and M. Hardt
/// 2015, *The Ladder*, arXiv:1502.04585.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Spending {
    /// α(k) = α · 6/(π² k²): any number of uses, the first ones the strongest.
    #[default]
    Quadratic,
    /// α(k) = α/n for n uses, and nothing after them: the gate is inconclusive from then on.
    Equal(u32),
    /// α(k) = α: nothing is spent, but from the second use on a warning says what the uses add up
    /// to.
    Warn,
}

impl Spending {
    /// The share of α that the k-th use (from 1) has; 0 where nothing is left.
    pub fn share(self, k: u64) -> f64 {
        match self {
            _ if k == 0 => 0.0,
            Self::Quadratic => {
                let k = k as f64;
                6.0 / (std::f64::consts::PI * k).powi(2)
            }
            Self::Equal(n) if k <= u64::from(n) => 1.0 / f64::from(n),
            Self::Equal(_) => 0.0,
            Self::Warn => 1.0,
        }
    }
}

/// One use of a hold-out, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HoldoutUse {
    /// The digest of the hold-out's data.
    pub holdout: Digest,
    /// What was judged on it: a model's digest, or its name and version.
    pub subject: String,
    /// When it was first judged.
    pub at: Timestamp,
    /// The how-many-th use it is, from 1.
    pub k: u64,
    /// How the chance of a wrong promotion is shared.
    pub spending: Spending,
}

impl HoldoutUse {
    /// The confidence that a gate of this confidence has left for this use. With nothing left it
    /// is the gate's own, and [`finding`](Self::finding) blocks.
    pub fn confidence(&self, of_the_gate: f64) -> f64 {
        match self.spending.share(self.k) {
            0.0 => of_the_gate,
            // Of less than this no limit is computed with any meaning.
            share => 1.0 - ((1.0 - of_the_gate) * share).max(1e-12),
        }
    }

    /// What a gate says of it.
    pub fn finding(&self) -> Finding {
        let share = self.spending.share(self.k);
        let subject = format!("hold-out {}", self.holdout.hex().get(..12).unwrap_or_default());
        let of = format!("use {}", self.k);
        let (verdict, severity, expected, observed) = match self.spending {
            Spending::Warn if self.k > 1 => (
                Verdict::Inconclusive,
                Severity::Warning,
                "a hold-out that is used once".to_owned(),
                format!("{of}: an equal model has had {} chances to look better", self.k),
            ),
            _ if share == 0.0 => (
                Verdict::Inconclusive,
                Severity::Critical,
                "a use that its budget covers".to_owned(),
                format!("{of}: nothing is left of it; take a fresh hold-out"),
            ),
            _ => (
                Verdict::Pass,
                Severity::Info,
                "a use that its budget covers".to_owned(),
                format!("{of}, at {:.3} % of the gate's error", 100.0 * share),
            ),
        };
        Finding::new("holdout_uses", subject, verdict, expected, observed)
            .with_severity(severity)
            .with_value(self.k as f64)
    }
}

impl fmt::Display for HoldoutUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "use {} of hold-out {}, by {} at {}", self.k, self.holdout, self.subject, self.at)
    }
}

/// The uses of hold-outs: in memory, or in a file that only grows.
///
/// A use is written, and on the disk, *before* the gate is asked: a look that nobody counted can't
/// happen, not even by a crash. Judging the same subject on the same hold-out again gives the use
/// it had, for it shows nothing new.
///
/// The file has a line of JSON for each use, and each line the digest of all before it, so that a
/// line that was changed or taken out is an error. It is locked while it is read and written: any
/// number of processes may share it. What a crash left of a half-written last line is cut off; its
/// gate was never asked.
///
/// ```
/// use mlops_core::{Digest, Timestamp};
/// use mlops_validate::{HoldoutLedger, Spending};
///
/// let ledger = HoldoutLedger::in_memory();
/// let (holdout, at) = (Digest::of(b"rows"), Timestamp::from_millis(0));
/// let first = ledger.spend(holdout, "churn@3", at, Spending::Quadratic)?;
/// let second = ledger.spend(holdout, "churn@4", at, Spending::Quadratic)?;
/// assert_eq!((first.k, second.k, ledger.uses(holdout)?), (1, 2, 2));
/// assert!((1.0 - first.confidence(0.95) - 0.05 * 0.6079).abs() < 1e-5);
/// assert!((1.0 - second.confidence(0.95) - 0.05 * 0.1520).abs() < 1e-5);
/// assert_eq!(ledger.spend(holdout, "churn@3", at, Spending::Quadratic)?, first);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct HoldoutLedger(Store);

#[derive(Debug)]
enum Store {
    Memory(Mutex<Uses>),
    File(PathBuf),
}

type Uses = BTreeMap<Digest, Vec<Entry>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    subject: String,
    at: Timestamp,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    holdout: Digest,
    subject: String,
    at: Timestamp,
    chain: Digest,
}

impl Line {
    fn chain(before: Digest, holdout: Digest, entry: &Entry) -> Digest {
        let mut hasher = Digest::hasher();
        hasher.update(before.as_bytes());
        hasher.update(holdout.as_bytes());
        hasher.update(entry.at.millis().to_le_bytes());
        hasher.update(&entry.subject);
        hasher.finish()
    }
}

/// What a file holds: its uses, the digest of its last line, and where that ends.
struct Contents {
    uses: Uses,
    chain: Digest,
    end: u64,
}

impl HoldoutLedger {
    /// A ledger that is forgotten with the process: for tests, and for one session's search.
    pub fn in_memory() -> Self {
        Self(Store::Memory(Mutex::default()))
    }

    /// The ledger in this file, which is made if it is not there; its directory must be.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Parse`] for a file that is no ledger, or in which a line was
    /// changed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let there = path.exists();
        let mut file = locked(&path)?;
        if !there {
            file.sync_all().map_err(|e| Error::io(&path, e))?;
            sync_directory_of(&path)?;
        }
        read(&path, &mut file)?;
        Ok(Self(Store::File(path)))
    }

    /// Counts a use of this hold-out by this subject, durably, and says what is left for it.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Invalid`] for an empty subject, or a budget of 0 uses.
    pub fn spend(
        &self,
        holdout: Digest,
        subject: &str,
        at: Timestamp,
        spending: Spending,
    ) -> Result<HoldoutUse> {
        if subject.is_empty() {
            return Err(Error::invalid("the subject", "a model's name or digest", "nothing"));
        }
        if spending == Spending::Equal(0) {
            return Err(Error::invalid("the budget of a hold-out", "at least 1 use", 0));
        }
        let entry = Entry { subject: subject.to_owned(), at };
        let (k, at) = match &self.0 {
            Store::Memory(uses) => {
                let mut uses = uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let of = uses.entry(holdout).or_default();
                if find(of, subject).is_none() {
                    of.push(entry);
                }
                find(of, subject)
            }
            Store::File(path) => {
                let mut file = locked(path)?;
                let contents = read(path, &mut file)?;
                let of = contents.uses.get(&holdout).map_or(&[][..], Vec::as_slice);
                let found = find(of, subject);
                if found.is_none() {
                    append(path, &mut file, &contents, holdout, &entry)?;
                }
                found.or(Some((of.len() as u64 + 1, at)))
            }
        }
        .ok_or_else(|| Error::undefined("a use of a hold-out", "it was not kept"))?;
        Ok(HoldoutUse { holdout, subject: subject.to_owned(), at, k, spending })
    }

    /// How often this hold-out was used.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn uses(&self, holdout: Digest) -> Result<u64> {
        let count = |uses: &Uses| uses.get(&holdout).map_or(0, |of| of.len() as u64);
        match &self.0 {
            Store::Memory(uses) => {
                Ok(count(&uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)))
            }
            Store::File(path) => Ok(count(&read(path, &mut locked(path)?)?.uses)),
        }
    }
}

/// The number and time of the use by this subject.
fn find(uses: &[Entry], subject: &str) -> Option<(u64, Timestamp)> {
    uses.iter().zip(1..).find(|(entry, _)| entry.subject == subject).map(|(e, k)| (k, e.at))
}

/// The file, held alone until it is closed.
fn locked(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path);
    let file = file.map_err(|e| Error::io(path, e))?;
    file.lock().map_err(|e| Error::io(path, e))?;
    Ok(file)
}

fn read(path: &Path, file: &mut File) -> Result<Contents> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(|e| Error::io(path, e))?;
    // A last line without its end was never synced.
    let end = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let mut contents =
        Contents { uses: Uses::new(), chain: Digest::of(b"hold-outs"), end: end as u64 };
    for (number, line) in (1..).zip(bytes[..end].split_inclusive(|&b| b == b'\n')) {
        let bad = |expected: &str, found: String| Error::Parse {
            path: path.to_path_buf(),
            line: number,
            expected: expected.into(),
            found,
        };
        let line: Line =
            serde_json::from_slice(line).map_err(|e| bad("a use of a hold-out", e.to_string()))?;
        let entry = Entry { subject: line.subject, at: line.at };
        let chain = Line::chain(contents.chain, line.holdout, &entry);
        if chain != line.chain {
            let expected = "the digest of this line and all before it";
            return Err(bad(expected, "another: a line was changed or taken out".into()));
        }
        contents.chain = chain;
        contents.uses.entry(line.holdout).or_default().push(entry);
    }
    Ok(contents)
}

fn append(
    path: &Path,
    file: &mut File,
    contents: &Contents,
    holdout: Digest,
    entry: &Entry,
) -> Result<()> {
    let chain = Line::chain(contents.chain, holdout, entry);
    let line = Line { holdout, subject: entry.subject.clone(), at: entry.at, chain };
    let mut text =
        serde_json::to_string(&line).map_err(|e| Error::other("a use of a hold-out", e))?;
    text.push('\n');
    file.set_len(contents.end)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

    fn spend(ledger: &HoldoutLedger, data: &[u8], subject: &str) -> u64 {
        ledger.spend(Digest::of(data), subject, AT, Spending::Quadratic).unwrap().k
    }

    #[test]
    fn uses_are_counted_by_hold_out_and_once_for_each_subject() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holdouts.jsonl");
        for ledger in [HoldoutLedger::in_memory(), HoldoutLedger::open(&path).unwrap()] {
            assert_eq!(spend(&ledger, b"a", "m1"), 1);
            assert_eq!(spend(&ledger, b"a", "m2"), 2);
            assert_eq!(spend(&ledger, b"b", "m2"), 1);
            assert_eq!(spend(&ledger, b"a", "m1"), 1);
            assert_eq!(ledger.uses(Digest::of(b"a")).unwrap(), 2);
            assert_eq!(ledger.uses(Digest::of(b"c")).unwrap(), 0);
            assert!(ledger.spend(Digest::of(b"a"), "", AT, Spending::Warn).is_err());
            assert!(ledger.spend(Digest::of(b"a"), "x", AT, Spending::Equal(0)).is_err());
        }
        let again = HoldoutLedger::open(&path).unwrap();
        assert_eq!(spend(&again, b"a", "m3"), 3);
    }

    #[test]
    fn a_crash_at_any_byte_loses_no_use_that_was_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holdouts.jsonl");
        let ledger = HoldoutLedger::open(&path).unwrap();
        spend(&ledger, b"a", "m1");
        let one = std::fs::read(&path).unwrap();
        spend(&ledger, b"a", "m2");
        let two = std::fs::read(&path).unwrap();
        for cut in one.len()..two.len() {
            std::fs::write(&path, &two[..cut]).unwrap();
            let ledger = HoldoutLedger::open(&path).unwrap();
            assert_eq!(ledger.uses(Digest::of(b"a")).unwrap(), 1, "{cut} bytes");
            assert_eq!(spend(&ledger, b"a", "m2"), 2);
            assert_eq!(std::fs::read(&path).unwrap(), two);
        }
    }

    #[test]
    fn a_changed_or_missing_line_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holdouts.jsonl");
        let ledger = HoldoutLedger::open(&path).unwrap();
        for subject in ["m1", "m2", "m3"] {
            spend(&ledger, b"a", subject);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for hurt in [
            text.replace("m2", "m9"),
            format!("{}\n{}\n", lines[0], lines[2]),
            text.replace("m2", "\u{0}"),
            "[]\n".into(),
        ] {
            std::fs::write(&path, hurt).unwrap();
            assert!(matches!(HoldoutLedger::open(&path), Err(Error::Parse { .. })));
            assert!(ledger.spend(Digest::of(b"a"), "m4", AT, Spending::Warn).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_hostile_file_is_an_error_or_a_ledger(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400, flip: u8,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("holdouts.jsonl");
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(ledger) = HoldoutLedger::open(&path) {
                prop_assert_eq!(spend(&ledger, b"a", "m1"), 1);
            }
            std::fs::remove_file(&path).unwrap();
            let ledger = HoldoutLedger::open(&path).unwrap();
            spend(&ledger, b"a", "m1");
            spend(&ledger, b"a", "m2");
            let mut hurt = std::fs::read(&path).unwrap();
            let at = at % hurt.len();
            let before = hurt[at];
            hurt[at] ^= flip;
            std::fs::write(&path, &hurt).unwrap();
            // Never more uses, and fewer only where the end of the last line is what was hurt; a
            // letter case in a digest's digits changes nothing.
            if let Ok(ledger) = HoldoutLedger::open(&path) {
                let uses = ledger.uses(Digest::of(b"a")).unwrap();
                let cut = at + 1 == hurt.len() && hurt[at] != before;
                prop_assert!(uses == 2 || (cut && uses == 1), "{} uses", uses);
            }
        }
    }

    #[test]
    fn many_writers_count_every_use_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holdouts.jsonl");
        let mut numbers: Vec<u64> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let path = &path;
                    scope.spawn(move || {
                        let ledger = HoldoutLedger::open(path).unwrap();
                        (0..5).map(|i| spend(&ledger, b"a", &format!("{writer}-{i}"))).collect()
                    })
                })
                .collect();
            writers.into_iter().flat_map(|w| -> Vec<u64> { w.join().unwrap() }).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_spent_never_exceeds_the_whole() {
        for spending in [Spending::Quadratic, Spending::Equal(12)] {
            let spent: f64 = (1..100_000).map(|k| spending.share(k)).sum();
            assert!(spent <= 1.0 + 1e-12 && spent > 0.999, "{spending:?}: {spent}");
        }
        let last = |k, spending| HoldoutUse {
            holdout: Digest::of(b"a"),
            subject: "m".into(),
            at: AT,
            k,
            spending,
        };
        let over = last(13, Spending::Equal(12));
        assert_eq!(over.finding().verdict, Verdict::Inconclusive);
        assert_eq!(over.finding().severity, Severity::Critical);
        assert_eq!(last(2, Spending::Warn).finding().severity, Severity::Warning);
        let far = last(u64::MAX, Spending::Quadratic).confidence(0.95);
        assert!(far > 0.999_999 && far < 1.0);
    }
}
