//! A registry in one SQLite file.

use std::fmt;
use std::num::NonZero;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mlops_core::{Error, Result, Roles};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::sql::{
    Cell, Columns, Database, Readers, Row, Sql, Verification, args, forward_erasure, forward_log,
    forward_outbox, forward_registry, forward_stored, stored,
};
use crate::tracking::Group;
use crate::tracking::sql::forward_tracker;

mod open;

pub use open::Journal;

/// How many idle connections for reading are kept.
const IDLE_READERS: usize = 4;
/// How often several connections try to begin at once.
const TRIES: usize = 3;

/// A registry in one SQLite file: rows and the bytes of artifacts.
///
/// Any number of threads may share one value, and any number of processes one file. Every method
/// that changes something is one transaction, durable when it returns; see the
/// [crate's documentation](crate#what-a-crash-can-do).
pub struct SqliteRegistry {
    store: Store,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    roles: Roles,
    beside: Option<stored::Beside>,
    /// SQLite's locks are lost in a forked child.
    process: u32,
    group: Group,
}

/// What a connection was opened for.
#[derive(Clone, Debug)]
struct Store {
    path: PathBuf,
    /// The path as errors show it.
    name: String,
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
                Error::invalid(self.name.clone(), "a whole registry", error)
            }
            _ => Error::other(self.name.clone(), error),
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
    /// [`Error::Invalid`] for what is no path (nothing, `:memory:`, an address such as
    /// `sqlite:///registry.db`), a directory, a file that is no registry (it is left as it is), a
    /// registry of a newer release, or one that is damaged; [`Error::Io`] where the system says
    /// no, and for a directory that is not there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_with(path, open::journal_for(path))
    }

    /// [`open`](Self::open) with a journal of choice. WAL where it can lose data is refused.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, journal: Journal) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        open::check_path(&path)?;
        let store = Store { name: path.display().to_string(), path, journal };
        let writer = Mutex::new(store.create_or_open()?);
        let readers = Mutex::default();
        let (roles, beside) = (Roles::default(), None);
        let (process, group) = (std::process::id(), Group::default());
        Ok(Self { store, writer, readers, roles, beside, process, group })
    }

    /// The same, with the host's word on who has which role, for policies that name one
    /// ([`PromotionPolicy::approver_roles`](mlops_core::PromotionPolicy)).
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
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
    /// every artifact against its digest, here and in the store beside it, every row against its
    /// seal, every version's digest against its artifacts, every gate report against the bytes it
    /// speaks of, numbers and revisions without gaps, every history against the rules, and the
    /// audit log: its chain, and that every change has its entry. Of tracking, whose rows have no
    /// seals, it checks the checksums of all points and that metrics, parameters and datasets
    /// agree with their runs.
    ///
    /// Damage is a [`Problem`](crate::Problem) in the result. Takes time in proportion to the file.
    ///
    /// # Errors
    /// A file that can't be read at all.
    pub fn verify(&self) -> Result<Verification> {
        stored::verify(self)
    }

    /// An idle connection for reading, or a new one.
    fn reader(&self) -> Result<Connection> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.store.connect_reader(), Ok)
    }

    /// Lets the next one read with this connection.
    fn keep(&self, db: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(db);
        }
    }

    fn same_process(&self) -> Result<()> {
        let here = std::process::id();
        if here == self.process {
            return Ok(());
        }
        Err(Error::invalid(
            self.store.name.clone(),
            format!("use in the process that opened it, {}", self.process),
            format!("process {here}, forked from it: open it anew"),
        ))
    }
}

forward_registry!(SqliteRegistry);
forward_tracker!(SqliteRegistry);

impl crate::tracking::sql::Store for SqliteRegistry {
    fn group(&self) -> &Group {
        &self.group
    }
}

forward_log!(SqliteRegistry);

forward_outbox!(SqliteRegistry);

forward_erasure!(SqliteRegistry);

forward_stored!(SqliteRegistry);

impl Database for SqliteRegistry {
    fn roles(&self) -> &Roles {
        &self.roles
    }

    fn beside(&self) -> Option<&stored::Beside> {
        self.beside.as_ref()
    }

    fn read<T>(&self, mut work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        self.same_process()?;
        let mut db = self.reader()?;
        let result = {
            let snapshot = db.transaction().map_err(|e| self.store.error(e))?;
            work(&Open { store: &self.store, db: &*snapshot })
        };
        // A connection that met an error may have met a damaged page; the next is a fresh one.
        if result.is_ok() {
            self.keep(db);
        }
        result
    }

    fn read_together<T>(
        &self,
        enough: impl Fn(&dyn Sql) -> Result<bool>,
        mut work: impl FnMut(&mut Readers<'_>) -> Result<T>,
    ) -> Result<T> {
        self.same_process()?;
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        // Without a log a reader that has begun and a writer that waits for it shut out the next.
        let several = self.store.journal == Journal::Wal && threads > 1;
        if !several || !self.read(|sql| enough(sql))? {
            return self.read(|sql| work(&mut Readers::One(sql)));
        }
        let readers = (0..threads.min(IDLE_READERS)).map(|_| self.reader());
        let mut readers = readers.collect::<Result<Vec<_>>>()?;
        begin_together(&mut readers).map_err(|e| self.store.error(e))?;
        let result = {
            let open = |db| Box::new(Open { store: &self.store, db }) as Box<dyn Sql + Send>;
            work(&mut Readers::Several(readers.iter_mut().map(open).collect()))
        };
        if result.is_ok() {
            let ended = readers.into_iter().filter(|db| db.execute_batch("COMMIT").is_ok());
            ended.for_each(|db| self.keep(db));
        }
        result
    }

    fn write<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        self.same_process()?;
        let mut db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.transact(&mut db, work)
    }

    fn write_over<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        self.same_process()?;
        let mut db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.overwrite(&db, Overwrite::Pages)?;
        let result = self.store.transact(&mut db, work);
        // A connection that stayed this way would only be slower.
        self.store.overwrite(&db, Overwrite::Rows).and(result)
    }

    fn forget(&self) -> Result<bool> {
        if self.store.journal != Journal::Wal {
            return Ok(true);
        }
        let db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Old pages are in the log until it is folded in and cut.
        let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        busy.map(|busy| busy == 0).map_err(|e| self.store.error(e))
    }
}

/// What SQLite overwrites of what is deleted.
#[derive(Clone, Copy)]
enum Overwrite {
    /// Rows in pages that are written anyway.
    Rows,
    /// Pages that are free now, too.
    Pages,
}

/// Begins a transaction of one snapshot on these connections. If others keep committing in
/// between, only on the first; the rest are closed.
fn begin_together(readers: &mut Vec<Connection>) -> rusqlite::Result<()> {
    let version = |db: &Connection| -> rusqlite::Result<i64> {
        db.pragma_query_value(None, "data_version", |row| row.get(0))
    };
    for _ in 0..TRIES {
        let Some((first, others)) = readers.split_first() else { return Ok(()) };
        // A transaction has its snapshot from its first look on. The version is another one
        // when a commit came after the last time that this connection looked.
        let before = version(first)?;
        for db in others.iter().chain([first]) {
            db.execute_batch("BEGIN")?;
            version(db)?;
        }
        if version(first)? == before {
            return Ok(());
        }
        for db in &*readers {
            db.execute_batch("COMMIT")?;
        }
    }
    readers.truncate(1);
    readers.iter().try_for_each(|db| db.execute_batch("BEGIN"))
}

impl Store {
    fn overwrite(&self, db: &Connection, what: Overwrite) -> Result<()> {
        self.pragma(
            db,
            "secure_delete",
            if matches!(what, Overwrite::Rows) { "FAST" } else { "ON" },
        )
    }

    fn transact<T>(
        &self,
        db: &mut Connection,
        mut work: impl FnMut(&dyn Sql) -> Result<T>,
    ) -> Result<T> {
        let transaction = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| self.error(e))?;
        let value = work(&Open { store: self, db: &*transaction })?;
        transaction.commit().map_err(|e| self.error(e))?;
        Ok(value)
    }
}

/// A transaction of a connection.
struct Open<'c, D> {
    store: &'c Store,
    db: D,
}

impl<D: Deref<Target = Connection>> Open<'_, D> {
    fn rows(
        &self,
        sql: &str,
        args: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> rusqlite::Result<Result<()>> {
        let mut statement = self.db.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let columns = Fields { row, place: &self.store.name };
            let seen = each(&Row::new(&columns, &self.store.name));
            if seen.is_err() {
                return Ok(seen);
            }
        }
        Ok(Ok(()))
    }
}

impl<D: Deref<Target = Connection>> Sql for Open<'_, D> {
    fn place(&self) -> &str {
        &self.store.name
    }

    fn execute(&self, sql: &str, args: &[Cell<'_>]) -> Result<u64> {
        let run = || {
            let mut statement = self.db.prepare_cached(sql)?;
            bind(&mut statement, args)?;
            statement.raw_execute()
        };
        run().map(|changed| changed as u64).map_err(|e| self.store.error(e))
    }

    fn query(
        &self,
        sql: &str,
        args: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        self.rows(sql, args, each).map_err(|e| self.store.error(e))?
    }

    fn guard(&self, set: bool) -> Result<()> {
        for (name, _, create) in open::DIALECT.guards() {
            let sql = if set { create } else { format!("DROP TRIGGER {name}_is_final") };
            self.db.execute_batch(&sql).map_err(|e| self.store.error(e))?;
        }
        Ok(())
    }

    fn self_check(&self) -> Result<Vec<String>> {
        let sql: &dyn Sql = self;
        let mut problems =
            sql.all("PRAGMA integrity_check", args![], |row| row.get::<String>(0))?;
        problems.retain(|line| line != "ok");
        for table in sql.all("PRAGMA foreign_key_check", args![], |row| row.get::<String>(0))? {
            problems.push(format!("a row of `{table}` refers to one that is not there"));
        }
        Ok(problems)
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, args: &[Cell<'_>]) -> rusqlite::Result<()> {
    for (cell, at) in args.iter().zip(1..) {
        match cell {
            Cell::Null => statement.raw_bind_parameter(at, rusqlite::types::Null),
            Cell::Int(value) => statement.raw_bind_parameter(at, value),
            Cell::Real(value) => statement.raw_bind_parameter(at, value),
            Cell::Text(value) => statement.raw_bind_parameter(at, &**value),
            Cell::Blob(value) => statement.raw_bind_parameter(at, &**value),
        }?;
    }
    Ok(())
}

/// The fields of SQLite's current row.
struct Fields<'r> {
    row: &'r rusqlite::Row<'r>,
    place: &'r str,
}

impl Columns for Fields<'_> {
    fn int(&self, column: usize) -> Option<i64> {
        match self.row.get_ref(column) {
            Ok(ValueRef::Integer(value)) => Some(value),
            _ => None,
        }
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>> {
        let other = |e| Error::other(self.place, e);
        Ok(match self.row.get_ref(column).map_err(other)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Real(value) => Cell::Real(value),
            ValueRef::Text(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|e| Error::Decode {
                    what: format!("{}, column {column} of a row", self.place),
                    offset: e.valid_up_to() as u64,
                    expected: "UTF-8".into(),
                    found: "other bytes".into(),
                })?;
                Cell::Text(text.into())
            }
            ValueRef::Blob(bytes) => Cell::Blob(bytes.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_begins_together_sees_one_instant() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Connection::open(folder.path().join("n.db")).expect("a connection");
        let writer = open();
        let make = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                    CREATE TABLE t (n INTEGER NOT NULL); INSERT INTO t VALUES (0)";
        writer.execute_batch(make).expect("a table");
        let done = &AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    writer.execute_batch("UPDATE t SET n = n + 1").expect("a commit");
                }
            });
            let look = |_| {
                let mut readers: Vec<_> = (0..3).map(|_| open()).collect();
                begin_together(&mut readers)?;
                let read = |db: &Connection| db.query_row("SELECT n FROM t", [], |row| row.get(0));
                readers.iter().map(read).collect()
            };
            let seen: rusqlite::Result<Vec<Vec<i64>>> = (0..1_000).map(look).collect();
            done.store(true, Ordering::Relaxed);
            seen
        });
        let seen = seen.expect("transactions");
        for seen in &seen {
            assert!(seen.iter().all(|n| *n == seen[0]), "{seen:?}");
        }
        assert!(seen.iter().any(|seen| seen.len() == 3), "never together");
    }
}
