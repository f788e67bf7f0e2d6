//! Checkpoints: a log's size and root under a signature (C2SP tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlops_core::report::clean;
use mlops_core::{Digest, Error, Result};

use super::entry::Head;
use super::log::{self, Log};
use super::merkle::MerkleTree;
use super::note::{NoteSigner, NoteVerifier, SignedNote};
use super::sink::Sink;

/// How many entries a log has, and the root of the Merkle tree over them. Its text is that of
/// C2SP's tlog-checkpoint: the log's origin, the size, and the root in base64, a line each.
///
/// ```
/// use mlops_core::Digest;
/// use mlops_registry::audit::{Checkpoint, NoteSigner};
///
/// let signer = NoteSigner::generate("registry.example.com/loans")?;
/// let checkpoint = Checkpoint::new(signer.name(), 0, Digest::of([]))?;
/// let note = checkpoint.sign(&signer)?;
/// assert_eq!(Checkpoint::open(&note, &signer.verifier())?, checkpoint);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Which log: what its key is named.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Lines that others may have added; this library adds none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// That the log of this origin had this size and root.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an origin that is empty or has control characters.
    pub fn new(origin: impl Into<String>, size: u64, root: Digest) -> Result<Self> {
        let origin = origin.into();
        if origin.is_empty() || origin.contains(char::is_control) {
            let expected = "some text without control characters";
            return Err(Error::invalid("origin of the checkpoint", expected, clean(&origin)));
        }
        Ok(Self { origin, size, root, extensions: Vec::new() })
    }

    /// The checkpoint in a note signed by this key.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key has another name than the log's origin.
    pub fn sign(&self, signer: &NoteSigner) -> Result<SignedNote> {
        self.check_origin(signer.name())?;
        signer.sign(self.to_string())
    }

    /// The checkpoint in a note, if this key signed it for the log of its own name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a note without the key's signature, of another log, or of another
    /// form.
    pub fn open(note: &SignedNote, key: &NoteVerifier) -> Result<Self> {
        note.verify(key)?;
        let checkpoint: Self = note.text().parse()?;
        checkpoint.check_origin(key.name())?;
        Ok(checkpoint)
    }

    fn check_origin(&self, key: &str) -> Result<()> {
        if self.origin == key {
            return Ok(());
        }
        let expected = format!("{key}, the key's name");
        Err(Error::invalid("origin of the checkpoint", expected, clean(&self.origin)))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root.as_bytes());
        writeln!(f, "{}\n{}\n{root}", self.origin, self.size)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |expected: &str, found: &str| {
            Error::invalid("checkpoint", expected, format!("`{:.80}`", clean(found)))
        };
        let whole = || bad("the lines origin, size and root", text);
        let mut lines = text.strip_suffix('\n').ok_or_else(whole)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(whole());
        };
        let canonical = |n: &u64| n.to_string() == size;
        let number = size.parse().ok().filter(canonical);
        let number = number.ok_or_else(|| bad("a size in decimal digits", size))?;
        let bytes = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| bad("a root of 32 bytes in base64", root))?;
        let mut checkpoint = Self::new(origin, number, Digest::from_bytes(bytes))?;
        for line in lines {
            if line.is_empty() {
                return Err(bad("no empty line", line));
            }
            checkpoint.extensions.push(line.to_owned());
        }
        Ok(checkpoint)
    }
}

/// Signs checkpoints of a log as it grows.
///
/// It remembers what it signed: of a log whose past was changed meanwhile, or that is shorter, it
/// signs nothing. It reads every entry once, and holds 64 bytes for each.
#[derive(Clone, Debug)]
pub struct Notary {
    signer: NoteSigner,
    tree: MerkleTree,
    head: Head,
}

impl Notary {
    /// One that signs with this key, whose name is the log's origin.
    pub fn new(signer: NoteSigner) -> Self {
        Self { signer, tree: MerkleTree::new(), head: Head::empty() }
    }

    /// The public half of its key.
    pub fn verifier(&self) -> NoteVerifier {
        self.signer.verifier()
    }

    /// The tree over all entries read so far, for proofs.
    pub const fn tree(&self) -> &MerkleTree {
        &self.tree
    }

    /// Reads what was added since the last time, and signs a checkpoint over all of it.
    ///
    /// # Errors
    /// A log that can't be read, [`Error::Invalid`] for one that no longer begins as it did.
    pub fn sign(&mut self, log: &(impl Log + ?Sized)) -> Result<SignedNote> {
        if self.head.len > 0 {
            // The last entry that was read speaks for all before it.
            let at = self.head.len - 1;
            let now =
                log.entries(at..self.head.len)?.pop().map(|entry| entry.hash()).transpose()?;
            if now != Some(self.head.hash) {
                let found = now.map_or_else(|| "no entry".to_owned(), |hash| hash.to_string());
                return Err(Error::invalid(
                    format!("audit entry {at}"),
                    format!("{}, as it was signed before", self.head.hash),
                    found,
                ));
            }
        }
        let (mut tree, mut head) = (self.tree.clone(), self.head);
        log::for_each_from(log, head.len, |entry| {
            entry.follows(head)?;
            head = entry.head()?;
            tree.push(head.hash);
            Ok(())
        })?;
        let checkpoint = Checkpoint::new(self.signer.name(), head.len, tree.root())?;
        let note = checkpoint.sign(&self.signer)?;
        (self.tree, self.head) = (tree, head);
        Ok(note)
    }

    /// Signs a text that is no checkpoint: its first line is not the log's origin.
    pub(super) fn attest(&self, text: String) -> Result<SignedNote> {
        self.signer.sign(text)
    }

    /// Signs a checkpoint and gives it to the sink: when this returns, the sink has it.
    ///
    /// # Errors
    /// Those of [`sign`](Self::sign) and of the sink.
    pub fn publish(
        &mut self,
        log: &(impl Log + ?Sized),
        sink: &(impl Sink + ?Sized),
    ) -> Result<SignedNote> {
        let note = self.sign(log)?;
        sink.put(&note)?;
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::Timestamp;

    use super::super::{Draft, Entry, Salt};
    use super::*;

    fn push(log: &mut Vec<Entry>, subject: &str) {
        let head = log.last().map_or(Ok(Head::empty()), Entry::head).unwrap();
        let draft = Draft::new(Timestamp::from_millis(0), "ana", "register", subject);
        log.push(Entry::next(head, draft, Salt::from_bytes([0; 32])).unwrap());
    }

    /// The example of the specification.
    #[test]
    fn the_text_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\n\
            CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            ("example.com/behind-the-sofa", 20852163)
        );
        assert_eq!(checkpoint.to_string(), text);
        let more: Checkpoint = format!("{text}more\n").parse().unwrap();
        assert_eq!(more.extensions, ["more"]);
        for bad in [
            "",
            "a\n1\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
        ] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_speaks_for_the_log_of_its_name() {
        let signer = NoteSigner::from_seed("a", [1; 32]).unwrap();
        let checkpoint = Checkpoint::new("b", 0, Digest::of([])).unwrap();
        assert!(checkpoint.sign(&signer).is_err());
        let note = signer.sign(checkpoint.to_string()).unwrap();
        assert!(Checkpoint::open(&note, &signer.verifier()).is_err());
    }

    #[test]
    fn a_notary_signs_no_other_past() {
        let mut notary = Notary::new(NoteSigner::from_seed("log", [1; 32]).unwrap());
        let mut log = Vec::new();
        let open = |note: SignedNote, notary: &Notary| {
            Checkpoint::open(&note, &notary.verifier()).unwrap()
        };
        let first = notary.sign(&log).unwrap();
        assert_eq!(open(first, &notary).size, 0);
        for n in 1..5 {
            push(&mut log, &format!("loans v{n}"));
            let checkpoint = open(notary.sign(&log).unwrap(), &notary);
            let tree: MerkleTree = log.iter().map(|e| e.hash().unwrap()).collect();
            assert_eq!((checkpoint.size, checkpoint.root), (n, tree.root()));
        }
        let shorter = log[..3].to_vec();
        assert!(notary.sign(&shorter).is_err());
        let mut another = Vec::new();
        for _ in 0..6 {
            push(&mut another, "loans v7");
        }
        assert!(notary.sign(&another).is_err());
        push(&mut log, "loans v5");
        assert_eq!(open(notary.sign(&log).unwrap(), &notary).size, 5);
    }
}
