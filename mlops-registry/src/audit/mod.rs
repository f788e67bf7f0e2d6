//! What was done, so that it can be proven: an audit log whose entries are chained by their
//! hashes, a Merkle tree over them, and signed checkpoints of it.
//!
//! Every change of a registry appends an [`Entry`] in the same transaction. An entry holds the
//! hash of the one before it, and its own hash is the leaf of a Merkle tree.

mod canonical;
mod checkpoint;
mod entry;
mod log;
mod merkle;
mod note;
mod personal;
mod sink;

pub use canonical::canonical_json;
pub use checkpoint::{Checkpoint, Notary};
pub use entry::{Draft, Entry, Head};
pub use log::{Log, export};
pub use merkle::{ConsistencyProof, InclusionProof, MerkleTree, leaf_hash};
pub use note::{NoteSigner, NoteVerifier, SignedNote};
pub use personal::{Personal, Salt};
pub use sink::{FileSink, Sink, read_checkpoints};
