//! Versions of models, who approved them, and which one is in production: in one SQLite file, in a
//! PostgreSQL database (feature `postgres`), or in memory.
//!
//! A version is files, numbers and who made them; its digest speaks for its bytes. Gates and
//! approvals gather on it. An alias (`champion`, `staging`) moves to it only when every gate is
//! open and enough people other than its author agreed, and every move is kept: who, why, when,
//! from where.
//!
//! ```
//! use mlops_core::{
//!     Approval, Assessment, Error, Finding, GateReport, NewVersion, Promotion, Registry,
//!     RegistryExt, Rollback, Timestamp, Verdict,
//! };
//! # #[cfg(feature = "sqlite")]
//! # fn main() -> mlops_core::Result<()> {
//! # let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
//! # let path = directory.path().join("registry.db");
//! use mlops_registry::SqliteRegistry;
//!
//! let registry = SqliteRegistry::open(path)?;
//! let now: Timestamp = "2026-01-31T12:00:00Z".parse()?;
//!
//! // Two versions; the second is to replace the first.
//! for (coefficient, auc) in [("1.5", 0.79), ("1.7", 0.81)] {
//!     let new = NewVersion::new("loans", "ana")
//!         .with_artifact("model.json", coefficient)
//!         .with_metric("roc_auc", auc);
//!     let version = registry.register(new, now)?;
//!
//!     let promotion = || Promotion {
//!         model: "loans".into(),
//!         alias: "champion".into(),
//!         version: version.number,
//!         actor: "ana".into(),
//!         reason: format!("ROC AUC {auc}"),
//!         expected_revision: version.number - 1,
//!         key: None,
//!     };
//!     // Nothing was measured, nobody agreed: it stays where it is.
//!     assert!(matches!(registry.promote(promotion(), now), Err(Error::Blocked { .. })));
//!
//!     let finding = Finding::new("roc_auc", "hold-out", Verdict::Pass, "≥ 0.75", auc.to_string());
//!     let report = GateReport::new(version.digest, Assessment::new("quality", 9000, vec![finding]), now);
//!     registry.record_gate("loans", version.number, report)?;
//!     let approval = Approval { by: "ben".into(), comment: "read the report".into(), at: now };
//!     registry.approve("loans", version.number, approval)?;
//!     registry.promote(promotion(), now)?;
//! }
//! assert_eq!(registry.load("loans", "champion", "model.json")?.1, b"1.7");
//!
//! registry.rollback(
//!     Rollback {
//!         model: "loans".into(),
//!         alias: "champion".into(),
//!         actor: "ben".into(),
//!         reason: "complaints".into(),
//!         expected_revision: registry.revision("loans", "champion")?,
//!         key: None,
//!     },
//!     now,
//! )?;
//! let (version, bytes) = registry.load("loans", "champion", "model.json")?;
//! assert_eq!((version.number, bytes.as_slice()), (1, &b"1.5"[..]));
//! assert_eq!(registry.history("loans", "champion")?.len(), 3);
//!
//! // What was in production at a time, and on whose word?
//! let why = registry.why("loans", "champion", now)?;
//! assert_eq!((why.alias.version, why.change.actor.as_str()), (Some(1), "ben"));
//! assert_eq!(why.version.approvals[0].by, "ben");
//! println!("{why}");
//! assert!(registry.verify()?.is_whole());
//! println!("{}", registry.list("loans")?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # One file
//!
//! [`SqliteRegistry`] keeps the bytes of artifacts inside the database, once per digest, in rows
//! of 256 KiB. A version, its files and its row are then one transaction of one engine whose
//! crash safety is proven, with no second store that could disagree; the registry is one file to
//! copy, back up, sign and hand over; and there is no path through which a hostile name could
//! leave it. The price is that an artifact passes through the journal (about twice the writes)
//! and is held in memory, which suits models up to some GiB. Larger ones go to a store beside it
//! ([`with_artifacts`](SqliteRegistry::with_artifacts), [`artifacts`]): bytes first, then the
//! transaction, and they are read as a stream.
//!
//! While the file is open, SQLite keeps `…-wal` and `…-shm` beside it, and folds them in when
//! the last process closes it. After a crash they belong to the file: copy all three, or open
//! and close it first.
//!
//! # What a crash can do
//!
//! Every method that changes something is one `BEGIN IMMEDIATE` transaction, and when it returns,
//! the disk has it: WAL (or the rollback journal, see [`Journal`]) with `synchronous=EXTRA`, and
//! `fullfsync` on macOS. A process that is killed, a full disk or a failing write leaves the
//! registry as it was before the call or as it is after it, never between. An `Err` from a write
//! that the system failed may, after a crash that follows at once, turn out to have been kept;
//! register and promote again would then see it. A refused request leaves no trace.
//!
//! `foreign_keys`, `cell_size_check` and `busy_timeout` (30 s) are on, `trusted_schema` is off.
//! A file is opened only if its header says that it is a registry of this release or an older
//! one; any other file is left as it is. SQLite's releases from 3.7.0 to 3.51.2 can lose
//! committed data under WAL; with one of those linked in, and on network file systems, the
//! rollback journal is used.
//!
//! Every row carries the SHA-256 of what it says, and every read compares it: a flipped bit is an
//! error or a [`Problem`] of [`SqliteRegistry::verify`], not another answer. That finds accidents;
//! it does not stop somebody who owns the file and rewrites the digests, too.
//!
//! # What can be proven
//!
//! Every change appends an entry to the [audit log](audit) in its own transaction: there is no
//! change without its entry and no entry without its change, and `verify` holds them against each
//! other. Each registry is an [`audit::Log`] to export, and to make checkpoints of that are kept
//! elsewhere.
//!
//! Who does not know whether a request got through repeats it under its key
//! ([`Promotion::key`](mlops_core::Promotion)): it is done once.
//!
//! The same entries, in the same order, are what an [`outbox`] delivers to whoever wants to hear of
//! changes. A person can be [erased](SqliteRegistry::erase), and everything still verifies; what a
//! version was made from is its [`Recipe`].
//!
//! # One database
//!
//! `PostgresRegistry` has the same tables and the same SQL in a schema of its own: `SERIALIZABLE`
//! transactions that lock out the schema's other writers, run again where PostgreSQL gives one up.
//! Everything else said here holds there as well, as far as the server keeps what it
//! acknowledged.

pub mod artifacts;
pub mod audit;
pub mod card;
#[cfg(feature = "mlflow")]
pub mod mlflow;
pub mod outbox;
pub mod tracking;

#[cfg(feature = "async")]
mod async_registry;
mod backend;
mod draft;
mod erasure;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod reproduce;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use mlops_core::Error;

#[cfg(feature = "async")]
pub use async_registry::AsyncRegistry;
pub use backend::Backend;
pub use erasure::Erased;
pub use memory::MemoryRegistry;
#[cfg(feature = "postgres")]
pub use postgres::PostgresRegistry;
pub use reproduce::{FileOutcome, Recipe, Reproduction};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{Problem, Verification};
#[cfg(feature = "sqlite")]
pub use sqlite::{Journal, SqliteRegistry};

/// The error of a version that is not there, given the numbers of those that are, and the names
/// of the models where there are none.
fn no_version(
    model: &str,
    number: u64,
    last: u64,
    models: impl IntoIterator<Item = impl std::fmt::Display>,
) -> Error {
    let versions = match last {
        0 => return Error::not_found("model", model, models),
        1 => "v1".to_owned(),
        last => format!("v1 to v{last}"),
    };
    Error::not_found("version", format!("{model} v{number}"), [versions])
}

fn no_artifact(version: &mlops_core::Version, name: &str) -> Error {
    let mlops_core::Version { model, number, artifacts, .. } = version;
    let existing = artifacts.iter().map(|artifact| &artifact.name);
    Error::not_found("artifact", format!("{name} of {model} v{number}"), existing)
}
