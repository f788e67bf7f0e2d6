//! A registry in one SQLite file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mlops_core::{
    Alias, AliasChange, Approval, Error, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, Result, Rollback, Timestamp, Version,
};
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

mod open;
mod rows;
mod seal;
mod verify;

pub use open::Journal;
pub use verify::{Problem, Verification};

/// How many idle connections for reading are kept.
const IDLE_READERS: usize = 4;

/// A registry in one SQLite file: rows and the bytes of artifacts.
///
/// Any number of threads may share one value, and any number of processes one file. Every method
/// that changes something is one transaction, durable when it returns; see the
/// [crate's documentation](crate#what-a-crash-can-do).
pub struct SqliteRegistry {
    store: Store,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// SQLite's locks are lost in a forked child.
    process: u32,
}

/// What a connection was opened for.
#[derive(Clone, Debug)]
struct Store {
    path: PathBuf,
    journal: Journal,
}

impl Store {
    /// SQLite's error in the words of the house.
    fn error(&self, error: rusqlite::Error) -> Error {
        let io = |kind: std::io::ErrorKind, error: rusqlite::Error| {
            Error::io(&self.path, std::io::Error::new(kind, error))
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => io(std::io::ErrorKind::StorageFull, error),
            Some(ErrorCode::ReadOnly) => io(std::io::ErrorKind::ReadOnlyFilesystem, error),
            Some(ErrorCode::PermissionDenied) => io(std::io::ErrorKind::PermissionDenied, error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                io(std::io::ErrorKind::ResourceBusy, error)
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Error::invalid(self.path.display().to_string(), "a whole registry", error)
            }
            _ => Error::other(self.path.display().to_string(), error),
        }
    }
}

impl fmt::Debug for SqliteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRegistry")
            .field("path", &self.store.path)
            .field("journal", &self.store.journal)
            .finish_non_exhaustive()
    }
}

impl SqliteRegistry {
    /// Opens the registry in this file, and makes it where there is none or the file is empty.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a directory, a file that is no registry (it is left as it is), a
    /// registry of a newer release, or one that is damaged; [`Error::Io`] where the system says
    /// no.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_with(path, open::journal_for(path))
    }

    /// [`open`](Self::open) with a journal of choice. WAL where it can lose data is refused.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, journal: Journal) -> Result<Self> {
        let store = Store { path: path.as_ref().to_path_buf(), journal };
        let writer = Mutex::new(store.create_or_open()?);
        let readers = Mutex::default();
        Ok(Self { store, writer, readers, process: std::process::id() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.store.path
    }

    /// The journal in use.
    pub fn journal(&self) -> Journal {
        self.store.journal
    }

    /// Reads everything and says what is not as it was written: SQLite's own check of its pages,
    /// every artifact against its digest, every row against its seal, every version's digest
    /// against its artifacts, every gate report against the bytes it speaks of, numbers and
    /// revisions without gaps, and every history against the rules.
    ///
    /// Damage is a [`Problem`] in the result. Takes time in proportion to the file.
    ///
    /// # Errors
    /// A file that can't be read at all.
    pub fn verify(&self) -> Result<Verification> {
        self.read(|store, db| Ok(store.verify(db)))
    }

    fn same_process(&self) -> Result<()> {
        let here = std::process::id();
        if here == self.process {
            return Ok(());
        }
        Err(Error::invalid(
            self.store.path.display().to_string(),
            format!("use in the process that opened it, {}", self.process),
            format!("process {here}, forked from it: open it anew"),
        ))
    }

    /// Runs this on one snapshot of the file.
    fn read<T>(&self, work: impl FnOnce(&Store, &Connection) -> Result<T>) -> Result<T> {
        self.same_process()?;
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut db = match idle {
            Some(db) => db,
            None => self.store.connect_reader()?,
        };
        let result = {
            let snapshot = db.transaction().map_err(|e| self.store.error(e))?;
            work(&self.store, &snapshot)
        };
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection that met an error may have met a damaged page; the next is a fresh one.
        if result.is_ok() && readers.len() < IDLE_READERS {
            readers.push(db);
        }
        result
    }

    /// Runs this in a transaction that no other process or thread interleaves with, and commits
    /// if it succeeds.
    fn write<T>(&self, work: impl FnOnce(&Store, &Connection) -> Result<T>) -> Result<T> {
        self.same_process()?;
        let mut db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| self.store.error(e))?;
        let value = work(&self.store, &transaction)?;
        transaction.commit().map_err(|e| self.store.error(e))?;
        Ok(value)
    }
}

impl Registry for SqliteRegistry {
    fn register(&self, version: NewVersion, at: Timestamp) -> Result<Version> {
        version.check()?;
        // Hashed before anybody is kept waiting.
        let mut made = version.to_version(0, at);
        self.write(|store, db| {
            let sql = "INSERT INTO model (name) VALUES (?1) ON CONFLICT DO NOTHING";
            store.run(db, sql, [&made.model])?;
            let sql = "SELECT max(v.number) FROM version v JOIN model m ON m.id = v.model
                       WHERE m.name = ?1";
            let last = store.one(db, sql, [&made.model], |row| row.get::<_, Option<i64>>(0))?;
            made.number = last.flatten().unwrap_or(0).cast_unsigned() + 1;
            store.insert_version(db, &made, &version.artifacts)
        })?;
        Ok(made)
    }

    fn models(&self) -> Result<Vec<String>> {
        self.read(|store, db| {
            store.all(db, "SELECT name FROM model ORDER BY name", [], |row| row.get(0))
        })
    }

    fn versions(&self, model: &str) -> Result<Vec<u64>> {
        self.read(|store, db| {
            let sql = "SELECT v.number FROM version v JOIN model m ON m.id = v.model
                       WHERE m.name = ?1 ORDER BY v.number";
            let numbers = store.all(db, sql, [model], |row| row.get::<_, i64>(0))?;
            Ok(numbers.into_iter().map(i64::cast_unsigned).collect())
        })
    }

    fn version(&self, model: &str, number: u64) -> Result<Version> {
        self.read(|store, db| Ok(store.whole_version(db, model, number)?.1))
    }

    fn artifact(&self, model: &str, number: u64, name: &str) -> Result<Vec<u8>> {
        self.read(|store, db| {
            let (_, version) = store.version_row(db, model, number)?;
            let artifact = version.artifacts.iter().find(|a| a.name == name);
            let artifact = artifact.ok_or_else(|| crate::no_artifact(model, number, name))?;
            store.blob(db, artifact.digest)
        })
    }

    fn record_gate(&self, model: &str, number: u64, report: GateReport) -> Result<()> {
        let json = serde_json::to_string(&report).map_err(|e| Error::other("gate report", e))?;
        // JSON has no NaN: what would not be read back as it is now is refused now.
        if serde_json::from_str::<GateReport>(&json).ok().as_ref() != Some(&report) {
            return Err(Error::invalid(
                format!("gate `{:.60}`", report.gate),
                "finite numbers in its findings",
                "others",
            ));
        }
        self.write(|store, db| {
            let (id, version) = store.version_row(db, model, number)?;
            version.check_gate(&report)?;
            let seal = seal::gate(model, number, &json);
            let sql = "INSERT INTO gate (version, report, seal) VALUES (?1, ?2, ?3)";
            store.run(db, sql, params![id, json, seal.as_bytes()])?;
            Ok(())
        })
    }

    fn approve(&self, model: &str, number: u64, approval: Approval) -> Result<()> {
        self.write(|store, db| {
            let (id, version) = store.version_row(db, model, number)?;
            version.check_approval(&approval)?;
            let seal = seal::approval(model, number, &approval);
            let sql = "INSERT INTO approval (version, person, comment, at, seal)
                       VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            let at = approval.at.millis();
            let row = params![id, approval.by, approval.comment, at, seal.as_bytes()];
            store.run(db, sql, row)?;
            Ok(())
        })
    }

    fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy> {
        self.read(|store, db| store.policy_row(db, model, alias))
    }

    fn set_policy(
        &self,
        model: &str,
        alias: &str,
        policy: PromotionPolicy,
        actor: &str,
        at: Timestamp,
    ) -> Result<()> {
        policy.check(model, alias, actor)?;
        let json = serde_json::to_string(&policy).map_err(|e| Error::other("policy", e))?;
        self.write(|store, db| {
            let seal = seal::policy(model, alias, &json, actor, at.millis());
            let sql = "INSERT INTO policy (model, alias, policy, actor, at, seal)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            store.run(db, sql, params![model, alias, json, actor, at.millis(), seal.as_bytes()])?;
            Ok(())
        })
    }

    fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias> {
        self.write(|store, db| {
            let Promotion { model, alias, version, .. } = &promotion;
            let (_, version) = store.whole_version(db, model, *version)?;
            let policy = store.policy_row(db, model, alias)?;
            let last = store.last_change(db, model, alias)?;
            let change = promotion.decide(&version, &policy, last.as_ref(), at)?;
            store.insert_change(db, &change)?;
            Ok(change.to_alias())
        })
    }

    fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias> {
        self.write(|store, db| {
            let history = store.history_rows(db, &rollback.model, &rollback.alias)?;
            let target = rollback.target(&history)?;
            let (_, version) = store.whole_version(db, &rollback.model, target)?;
            let change = rollback.decide(&version, &history, at)?;
            store.insert_change(db, &change)?;
            Ok(change.to_alias())
        })
    }

    fn alias(&self, model: &str, alias: &str) -> Result<Option<Alias>> {
        self.read(|store, db| {
            Ok(store.last_change(db, model, alias)?.as_ref().map(AliasChange::to_alias))
        })
    }

    fn aliases(&self, model: &str) -> Result<Vec<Alias>> {
        self.read(|store, db| {
            let sql = "SELECT DISTINCT c.alias FROM alias_change c JOIN model m ON m.id = c.model
                       WHERE m.name = ?1 ORDER BY c.alias";
            let names = store.all(db, sql, [model], |row| row.get::<_, String>(0))?;
            let mut aliases = Vec::with_capacity(names.len());
            for name in names {
                aliases.extend(store.last_change(db, model, &name)?.map(|c| c.to_alias()));
            }
            Ok(aliases)
        })
    }

    fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
        self.read(|store, db| store.history_rows(db, model, alias))
    }
}
