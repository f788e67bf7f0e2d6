//! What was done, so that it can be proven: an audit log whose entries are chained by their
//! hashes, a Merkle tree over them, and signed checkpoints of it.
//!
//! Every change of a registry appends an [`Entry`] in the same transaction. An entry holds the
//! hash of the one before it, and its own hash is the leaf of a Merkle tree (RFC 6962). A
//! [`Notary`] signs the root as a [`Checkpoint`], and a [`Sink`] keeps it elsewhere. From an
//! [`export`] and the checkpoints alone, a [`Verifier`] finds every byte that was changed, and
//! every entry that was removed, moved or cut off.
//!
//! ```
//! use mlops_core::{Error, Timestamp};
//! use mlops_registry::audit::{
//!     Draft, Entry, FileSink, Head, NoteSigner, Notary, Salt, Verifier, export,
//! };
//!
//! // A registry does this for every change.
//! let at: Timestamp = "2026-01-31T12:00:00Z".parse()?;
//! let draft = Draft::new(at, "ana", "promote", "loans@champion")
//!     .with_personal("reason", "ROC AUC 0.81")
//!     .with_detail(serde_json::json!({"version": 2, "previous": 1}));
//! let log = vec![Entry::next(Head::empty(), draft, Salt::random()?)?];
//!
//! // Now and then, somebody signs how far it has come, and keeps that elsewhere.
//! # let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
//! # let path = directory.path().join("checkpoints.txt");
//! let mut notary = Notary::new(NoteSigner::generate("registry.example.com/loans")?);
//! notary.publish(&log, &FileSink::open(&path)?)?;
//!
//! // An auditor has the export, the checkpoints and the key.
//! let mut lines = Vec::new();
//! export(&log, &mut lines)?;
//! let checkpoints = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
//! let seen = Verifier::new(&notary.verifier(), &checkpoints).verify(lines.as_slice())?;
//! assert!(seen.is_whole());
//! println!("{seen}");
//! # Ok::<(), Error>(())
//! ```
//!
//! # What this shows, and what it can't
//!
//! A chain alone finds accidents and careless edits. **Whoever owns the file can write all of it
//! anew**, from any entry on, with hashes that fit, and can cut off its end: nothing in the file
//! speaks against it. That takes a checkpoint that was signed before and lies where they can't
//! reach it; of the entries up to that checkpoint nothing can be changed any more without being
//! found. Entries after the last checkpoint are as safe as the file alone, so sign often. Who has
//! the signing key, too, can sign another past; two checkpoints that contradict each other then
//! show it, if somebody has the first. And a log says what it was told: times and names are those
//! that the caller gave.
//!
//! # Personal data
//!
//! Who did something and what they wrote are [`Personal`] values: the chain has their salted
//! hashes, and the values stand beside. They can be erased, and everything still verifies; that
//! they were erased has to be an entry of the log itself ([`Draft::erasure`]). What a person wrote
//! into a `subject` or `detail` can't be erased.

mod checkpoint;
mod entry;
mod log;
mod merkle;
mod note;
mod pack;
mod personal;
mod signing;
mod sink;
mod verify;

pub use checkpoint::{Checkpoint, Notary};
pub(crate) use entry::{APPROVED_BY, POLICY_BY};
pub use entry::{Draft, Entry, Head};
pub use log::{Log, export};
pub use merkle::{ConsistencyProof, InclusionProof, MerkleTree, leaf_hash};
pub use note::{NoteSigner, NoteVerifier, SignedNote};
pub use pack::EvidencePack;
pub use personal::{Personal, Salt};
pub use signing::{ModelManifest, ModelSigner, ModelVerifier};
pub use sink::{FileSink, Sink, read_checkpoints};
pub use verify::{AuditVerification, Flaw, Verifier};
