//! Where checkpoints go: outside, out of reach of who keeps the log.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mlops_core::report::clean;
use mlops_core::{Error, Result, sync_directory_of};

use super::note::{DASH, NOTE_BYTES, SignedNote};

/// Takes signed checkpoints and keeps them.
///
/// A checkpoint convicts whoever changes the log later, so it has to lie where they can't change
/// it as well: on another machine, in an object store with a retention lock, in a repository that
/// others clone.
///
/// # Contract
/// When `put` returns, the note is kept for good, after all that came before it.
pub trait Sink: Debug + Send + Sync {
    /// Keeps a note.
    ///
    /// # Errors
    /// A store that can't be written.
    fn put(&self, note: &SignedNote) -> Result<()>;
}

/// Keeps checkpoints in a file: every note followed by an empty line, appended and synced.
/// [`read_checkpoints`] reads it, and a file of one note as well.
///
/// ```
/// use mlops_core::{Digest, Error};
/// use mlops_registry::audit::{Checkpoint, FileSink, NoteSigner, Sink, read_checkpoints};
///
/// # let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
/// let path = directory.path().join("checkpoints.txt");
/// let signer = NoteSigner::generate("registry.example.com/loans")?;
/// let note = Checkpoint::new(signer.name(), 0, Digest::of([]))?.sign(&signer)?;
/// FileSink::open(&path)?.put(&note)?;
///
/// let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
/// assert_eq!(read_checkpoints(&text)?, [note]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// Several processes may share one file: each locks it while it writes, and looks at what the
/// others added.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    /// `None` until the first note; then the file is made with that in it.
    open: Mutex<Option<Open>>,
}

/// The file, and up to where it is known to be whole notes.
#[derive(Debug)]
struct Open {
    file: File,
    whole: u64,
}

impl FileSink {
    /// Opens the file, or makes it when the first note comes. Half a note at its end, from a
    /// crash within `put`, is cut off.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] for a file that holds something else than notes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut options = OpenOptions::new();
        let open = match options.read(true).write(true).open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(Error::io(&path, e)),
            Ok(file) => {
                let mut open = Open { file, whole: 0 };
                open.alone(&path, |open| open.settle(&path))?;
                Some(open)
            }
        };
        Ok(Self { path, open: Mutex::new(open) })
    }

    /// The first note is there whole or not at all, because half of it would look like any file;
    /// and it replaces nothing.
    fn put_first(&self, text: &str) -> Result<Open> {
        let io = |e| Error::io(&self.path, e);
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", crate::tracking::random_id()?));
        let temp = PathBuf::from(name);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create_new(true).open(&temp).map_err(io)?;
        let named = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&temp, &self.path))
            .or_else(|e| match e.kind() {
                // Not every file system has hard links.
                ErrorKind::Unsupported | ErrorKind::PermissionDenied
                    if !fs::exists(&self.path)? =>
                {
                    fs::rename(&temp, &self.path)
                }
                _ => Err(e),
            });
        // Its other name, or what failed.
        fs::remove_file(&temp).ok();
        match named {
            Ok(()) => sync_directory_of(&self.path)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let (expected, found) =
                    ("no file, as when it was opened", "one that was made since: open it anew");
                return Err(Error::invalid("file of checkpoints", expected, found));
            }
            Err(e) => return Err(io(e)),
        }
        Ok(Open { file, whole: text.len() as u64 })
    }
}

impl Open {
    /// Runs while no other process reads or writes the file through a sink.
    fn alone<T>(&mut self, path: &Path, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match self.file.lock() {
            Ok(()) => {}
            // Where files can't be locked, one process at a time is the user's to see to.
            Err(e) if e.kind() == ErrorKind::Unsupported => return work(self),
            Err(e) => return Err(Error::io(path, e)),
        }
        let done = work(self);
        let unlocked = self.file.unlock().map_err(|e| Error::io(path, e));
        let done = done?;
        unlocked.map(|()| done)
    }

    /// Goes to the end of the last whole note, and cuts off what follows: nobody writes it any
    /// more.
    fn settle(&mut self, path: &Path) -> Result<()> {
        let io = |e| Error::io(path, e);
        let len = self.file.metadata().map_err(io)?.len();
        if len != self.whole {
            let mut bytes = Vec::new();
            self.file.seek(SeekFrom::Start(0)).map_err(io)?;
            self.file.read_to_end(&mut bytes).map_err(io)?;
            let whole = whole_notes(&bytes).map_err(|e| e.within(path.display().to_string()))?;
            if whole < bytes.len() {
                self.file.set_len(whole as u64).and_then(|()| self.file.sync_all()).map_err(io)?;
            }
            self.whole = whole as u64;
        }
        self.file.seek(SeekFrom::Start(self.whole)).map(drop).map_err(io)
    }
}

impl Sink for FileSink {
    fn put(&self, note: &SignedNote) -> Result<()> {
        let text = format!("{note}\n");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut() else {
            *open = Some(self.put_first(&text)?);
            return Ok(());
        };
        open.alone(&self.path, |open| {
            open.settle(&self.path)?;
            let written = open.file.write_all(text.as_bytes()).and_then(|()| open.file.sync_all());
            if let Err(e) = written {
                // Nothing half-written may stand before the next note; if this fails, too, the
                // next to come cuts it off.
                let _ = open.file.set_len(open.whole);
                return Err(Error::io(&self.path, e));
            }
            open.whole += text.len() as u64;
            Ok(())
        })
    }
}

/// The notes of a text of one or many with an empty line between, as [`FileSink`] keeps them.
///
/// Nothing is verified; [`Verifier`](super::Verifier) does.
///
/// # Errors
/// [`Error::Invalid`] with the note that is none.
pub fn read_checkpoints(text: &str) -> Result<Vec<SignedNote>> {
    let mut notes = Vec::new();
    for range in split_notes(text) {
        let note = &text[range];
        let what = || format!("checkpoint {}", notes.len() + 1);
        notes.push(note.parse().map_err(|e: Error| e.within(what()))?);
    }
    Ok(notes)
}

/// Cuts a text into notes: one ends after the last of its signatures.
pub(super) fn split_notes(text: &str) -> Vec<Range<usize>> {
    let mut notes = Vec::new();
    let (mut start, mut at, mut signed) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        let signature = line.starts_with(DASH);
        if signed && !signature {
            notes.push(start..at);
            // The empty line that parts two notes; anything else begins one.
            start = if line == "\n" { at + 1 } else { at };
        }
        signed = signature;
        at += line.len();
    }
    if start < text.len() {
        notes.push(start..text.len());
    }
    notes
}

/// Up to where the bytes are whole notes; an error unless what follows can be the start of one.
fn whole_notes(bytes: &[u8]) -> Result<usize> {
    let bad = |found: &str| {
        let expected = "signed notes with an empty line after each";
        Error::invalid("file of checkpoints", expected, format!("`{:.80}`", clean(found)))
    };
    // A crash may have cut a character in two.
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => {
            str::from_utf8(&bytes[..e.valid_up_to()]).map_err(|_| bad("no UTF-8"))?
        }
        Err(_) => return Err(bad("no UTF-8")),
    };
    let mut whole = 0;
    let mut notes = 0;
    for note in split_notes(text) {
        let end = note.end;
        if text[end..].starts_with('\n') {
            text[note].parse::<SignedNote>()?;
            whole = end + 1;
            notes += 1;
        }
    }
    let rest = &text[whole..];
    if bytes.len() > whole && (notes == 0 || rest.len() > NOTE_BYTES) {
        return Err(bad(rest));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use mlops_core::Digest;

    use super::super::{Checkpoint, NoteSigner};
    use super::*;

    fn note(size: u64) -> SignedNote {
        let signer = NoteSigner::from_seed("log", [1; 32]).unwrap();
        let mut note = Checkpoint::new("log", size, Digest::of([])).unwrap().sign(&signer).unwrap();
        NoteSigner::from_seed("witness", [2; 32]).unwrap().cosign(&mut note);
        note
    }

    #[test]
    fn notes_stand_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.txt");
        for n in 0..4 {
            FileSink::open(&path).unwrap().put(&note(n)).unwrap();
        }
        let sink = FileSink::open(&path).unwrap();
        sink.put(&note(4)).unwrap();
        sink.put(&note(5)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(read_checkpoints(&text).unwrap(), (0..6).map(note).collect::<Vec<_>>());
        assert_eq!(read_checkpoints(&note(7).to_string()).unwrap(), [note(7)]);
        assert_eq!(read_checkpoints("").unwrap(), []);
        assert!(read_checkpoints("\n").is_err());
    }

    /// Sinks in one process stand for processes: their files are opened apart.
    #[test]
    fn many_share_one_file_and_one_dies_halfway() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.txt");
        FileSink::open(&path).unwrap().put(&note(0)).unwrap();
        let stays = FileSink::open(&path).unwrap();
        let half = format!("{}\n", note(77));
        let mut dead = OpenOptions::new().append(true).open(&path).unwrap();
        dead.write_all(&half.as_bytes()[..half.len() / 2]).unwrap();
        drop(dead);
        stays.put(&note(1)).unwrap();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for i in 0..10 {
                        FileSink::open(path).unwrap().put(&note(2 + n * 10 + i)).unwrap();
                    }
                });
            }
        });
        stays.put(&note(42)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut notes: Vec<_> =
            read_checkpoints(&text).unwrap().iter().map(ToString::to_string).collect();
        notes.sort();
        let mut expected: Vec<_> = (0..43).map(|n| note(n).to_string()).collect();
        expected.sort();
        assert_eq!(notes, expected, "each once");
    }

    #[test]
    fn the_first_notes_of_many_replace_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.txt");
        let sinks: Vec<_> = (0..8).map(|_| FileSink::open(&path).unwrap()).collect();
        let kept: Vec<u64> = std::thread::scope(|scope| {
            let all: Vec<_> = sinks
                .iter()
                .zip(0..)
                .map(|(sink, n)| scope.spawn(move || sink.put(&note(n)).is_ok().then_some(n)))
                .collect();
            all.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        let text = fs::read_to_string(&path).unwrap();
        let expected: Vec<_> = kept.iter().map(|n| note(*n)).collect();
        assert_eq!((read_checkpoints(&text).unwrap(), kept.len()), (expected, 1));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn half_a_note_is_cut_off_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.txt");
        let (first, second) = (format!("{}\n", note(1)), format!("{}\n", note(2)));
        for cut in 0..=second.len() {
            fs::write(&path, [first.as_bytes(), &second.as_bytes()[..cut]].concat()).unwrap();
            FileSink::open(&path).unwrap().put(&note(3)).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let notes = read_checkpoints(&text).unwrap();
            let expected = if cut == second.len() {
                vec![note(1), note(2), note(3)]
            } else {
                vec![note(1), note(3)]
            };
            assert_eq!(notes, expected, "{cut}");
        }
    }

    #[test]
    fn another_file_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        for other in [b"buy milk\n".as_slice(), b"\xff\xfe", b"a\n\nb\n\xe2\x80\x94 c\n\n"] {
            fs::write(&path, other).unwrap();
            assert!(FileSink::open(&path).is_err());
            assert_eq!(fs::read(&path).unwrap(), other);
        }
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.txt");
        let (a, b) = (FileSink::open(&path).unwrap(), FileSink::open(&path).unwrap());
        a.put(&note(1)).unwrap();
        assert!(b.put(&note(2)).is_err());
        assert_eq!(read_checkpoints(&fs::read_to_string(&path).unwrap()).unwrap(), [note(1)]);
    }
}
