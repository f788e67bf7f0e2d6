//! Opening a file: whose it is, how old it is, and the settings under which nothing is lost.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mlops_core::{Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{Open, Overwrite, Store};
use crate::sql::Sql;
use crate::sql::schema::{self, Dialect, Guard};

/// `mlop`: the number in the header of the file that says whose it is.
const APPLICATION: u32 = 0x6d6c_6f70;
/// The newest schema that this release knows.
const SCHEMA: u32 = schema::VERSION;
/// How SQLite spells its tables.
pub(super) const DIALECT: Dialect = Dialect {
    words: [
        ("{id}", "INTEGER PRIMARY KEY"),
        ("{int}", "INTEGER"),
        ("{real}", "REAL"),
        ("{text}", "TEXT"),
        ("{blob}", "BLOB"),
        ("{table}", " STRICT"),
        ("{keyed}", " STRICT, WITHOUT ROWID"),
    ],
    guard: |&Guard { name, table, operation, of, words }| {
        format!(
            "\nCREATE TRIGGER {name}_{} BEFORE {operation}{of} ON {table} \
             BEGIN SELECT RAISE (ABORT, '{words}'); END;",
            if operation == "UPDATE" { "is_final" } else { "stays" },
        )
    },
};
/// How long a connection waits for another process.
const BUSY: Duration = Duration::from_secs(30);
/// How many statements a connection keeps prepared: all texts of ours, and some searches.
const STATEMENTS: usize = 128;
/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How SQLite keeps a change whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Journal {
    /// A log of new pages beside the file, folded in now and then and when the last process
    /// closes it: readers never wait. The default.
    Wal,
    /// A copy of the old pages beside the file while a change is made: for SQLite libraries whose
    /// WAL can lose data, and for shares, where WAL can't work.
    Rollback,
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wal => "wal",
            Self::Rollback => "delete",
        })
    }
}

/// WAL where it is safe, else the rollback journal.
pub(super) fn journal_for(path: &Path) -> Journal {
    if wal_is_sound(rusqlite::version_number()) && network_file_system(path).is_none() {
        Journal::Wal
    } else {
        Journal::Rollback
    }
}

/// Releases from 3.7.0 to 3.51.2 lose committed transactions when two connections write and reset
/// the log at one instant; 3.51.3 mends it, and so do 3.50.7 and 3.44.6 on their branches.
fn wal_is_sound(version: i32) -> bool {
    version >= 3_051_003
        || (3_050_007..3_051_000).contains(&version)
        || (3_044_006..3_045_000).contains(&version)
}

/// Whether a registry can lie here: SQLite has meanings of its own for some names, and waits for
/// others.
pub(super) fn check_path(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let bad = |expected: &str| {
        let found = format!("`{:.200}`", text.escape_debug());
        Err(Error::invalid("path of the registry", expected, found))
    };
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    if text.is_empty() {
        return bad("the name of a file");
    }
    if text == ":memory:" {
        return bad("the name of a file (a registry in memory is `MemoryRegistry`)");
    }
    if text.contains("://") || ["sqlite", "file"].contains(&scheme) {
        return bad("the path of a file, as `registry.db`, and no address");
    }
    if text.contains('\0') {
        return bad("the path of a file without a zero byte");
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent.map(|parent| (parent, std::fs::metadata(parent))) {
        Some((parent, Err(e))) => Err(Error::io(parent, e)),
        Some((parent, Ok(meta))) if !meta.is_dir() => {
            let e = std::io::ErrorKind::NotADirectory.into();
            Err(Error::io(parent, e))
        }
        _ => Ok(()),
    }
}

/// The kind of network file system that the file lies on, where the system says so.
fn network_file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    network_mount(&mounts, &parent.canonicalize().ok()?)
}

/// The kind of the mount that holds this directory, if it is one of the network's.
fn network_mount(mounts: &str, directory: &Path) -> Option<String> {
    const NETWORK: [&str; 22] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "9p",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ocfs2",
        "gfs2",
        "pvfs2",
        "orangefs",
        "vboxsf",
        "virtiofs",
        "davfs",
    ];
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((PathBuf::from(unescape(fields.next()?)), fields.next()?))
    });
    // Of two mounts on one directory the later is the one that is seen.
    let (_, kind) = mounted
        .filter(|(at, _)| directory.starts_with(at))
        .max_by_key(|(at, _)| at.components().count())?;
    let network = NETWORK.contains(&kind) || kind.starts_with("fuse.");
    network.then(|| kind.to_owned())
}

/// Spaces and the like in a mount point are written in octal, as in `\040`.
fn unescape(field: &str) -> String {
    let mut out = String::new();
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok());
        if let Some(code) = code {
            out.push(char::from(code));
            rest = &rest[at + 4..];
        } else {
            out.push('\\');
            rest = &rest[at + 1..];
        }
    }
    out + rest
}

/// What the first bytes of a file say.
enum Header {
    Empty,
    Ours(u32),
    Other(String),
}

impl Store {
    /// A connection for writing to a file that is ours: made, if need be.
    pub(super) fn create_or_open(&self) -> Result<Connection> {
        if self.journal == Journal::Wal {
            self.refuse_unsound_wal()?;
        }
        self.refuse_foreign_file()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&self.path, flags).map_err(|e| self.error(e))?;
        self.settle(&db)?;
        self.migrate(&mut db)?;
        self.set_journal(&db)?;
        Ok(db)
    }

    /// A connection that only reads.
    pub(super) fn connect_reader(&self) -> Result<Connection> {
        // Not read-only for the system: a reader, too, may have to recover a log.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags).map_err(|e| self.error(e))?;
        self.settle(&db)?;
        self.pragma(&db, "query_only", "ON")?;
        Ok(db)
    }

    fn refuse_unsound_wal(&self) -> Result<()> {
        if !wal_is_sound(rusqlite::version_number()) {
            return Err(Error::invalid(
                "SQLite",
                "3.51.3 or newer, or 3.50.7 or 3.44.6 on their branches, for a WAL that loses nothing",
                rusqlite::version(),
            ));
        }
        match network_file_system(&self.path) {
            None => Ok(()),
            Some(kind) => {
                Err(Error::invalid(self.name.clone(), "a local file system for WAL", kind))
            }
        }
    }

    /// Looks at the file before SQLite does, so that what is not ours stays as it is.
    fn refuse_foreign_file(&self) -> Result<()> {
        let journal = with_suffix(&self.path, "-journal");
        for _ in 0..50 {
            match self.header()? {
                Header::Empty => return Ok(()),
                Header::Ours(version) => return self.known(version),
                Header::Other(found) => {
                    // Another process may be making it at this very moment; then there is a
                    // journal, and what stands in the file is not yet to be believed.
                    if journal.exists() {
                        std::thread::sleep(Duration::from_millis(10));
                    } else if let Header::Other(_) = self.header()? {
                        return Err(self.not_ours(found));
                    }
                }
            }
        }
        // Whoever was making it died. SQLite takes back what was half done, and `migrate` looks.
        Ok(())
    }

    fn header(&self) -> Result<Header> {
        let io = |e| Error::io(&self.path, e);
        let meta = match std::fs::metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Header::Empty),
            meta => meta.map_err(io)?,
        };
        if !meta.is_file() {
            let found = if meta.is_dir() { "a directory" } else { "something else" };
            return Err(Error::invalid(
                self.name.clone(),
                "a registry, or the name of a file to be made",
                found,
            ));
        }
        let mut head = Vec::new();
        let file = std::fs::File::open(&self.path).map_err(io)?;
        file.take(100).read_to_end(&mut head).map_err(io)?;
        let number = |at: usize| -> Option<u32> {
            Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?))
        };
        Ok(match (head.starts_with(MAGIC), number(60), number(68)) {
            _ if head.is_empty() => Header::Empty,
            (true, Some(version), Some(APPLICATION)) => Header::Ours(version),
            (true, _, Some(id)) => {
                Header::Other(format!("an SQLite file of another application ({id:#010x})"))
            }
            _ => Header::Other("another kind of file".to_owned()),
        })
    }

    fn not_ours(&self, found: impl fmt::Display) -> Error {
        Error::invalid(self.name.clone(), "an mlops registry", found)
    }

    fn known(&self, version: u32) -> Result<()> {
        match version {
            1..=SCHEMA => Ok(()),
            _ => Err(Error::invalid(
                format!("schema of {}", self.name),
                format!("1 to {SCHEMA}; a newer release made this file"),
                version,
            )),
        }
    }

    pub(super) fn pragma(&self, db: &Connection, name: &str, value: &str) -> Result<()> {
        db.pragma_update(None, name, value).map_err(|e| self.error(e))
    }

    fn settle(&self, db: &Connection) -> Result<()> {
        db.busy_timeout(BUSY).map_err(|e| self.error(e))?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        for (name, value) in [
            // A commit returns after the disk has it; EXTRA also syncs the directory after the
            // rollback journal is gone, else a power cut could bring the journal back.
            ("synchronous", "EXTRA"),
            // On macOS fsync alone leaves the bytes in the drive's cache.
            ("fullfsync", "ON"),
            ("checkpoint_fullfsync", "ON"),
            ("foreign_keys", "ON"),
            // A file from elsewhere can't run functions through its schema.
            ("trusted_schema", "OFF"),
            ("cell_size_check", "ON"),
            // The log is folded in every 16 MiB: each time waits for the disk twice more.
            ("wal_autocheckpoint", "4096"),
            // A large artifact leaves a large log; keep no more than this of it.
            ("journal_size_limit", "16777216"),
        ] {
            self.pragma(db, name, value)?;
        }
        self.overwrite(db, Overwrite::Rows)
    }

    /// Brings the schema to today's in one transaction. Processes that open a new or an older
    /// file at once queue up here, and the first does it.
    fn migrate(&self, db: &mut Connection) -> Result<()> {
        let fail = |e| self.error(e);
        if self.identity(db)? == (APPLICATION, SCHEMA) {
            return Ok(());
        }
        let transaction =
            db.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(fail)?;
        let from = match self.identity(&transaction)? {
            (APPLICATION, version) => {
                self.known(version)?;
                version
            }
            (0, 0) => {
                let sql = "SELECT count(*) FROM sqlite_schema";
                let objects = transaction.query_row(sql, [], |row| row.get::<_, i64>(0));
                if objects.map_err(fail)? > 0 {
                    return Err(self.not_ours("an SQLite file of another application"));
                }
                0
            }
            (id, _) => {
                let found = format!("an SQLite file of another application ({id:#010x})");
                return Err(self.not_ours(found));
            }
        };
        for version in from..SCHEMA {
            transaction.execute_batch(&DIALECT.step(version)).map_err(fail)?;
        }
        let sql: &dyn Sql = &Open { store: self, db: &*transaction };
        sql.after_migration(from)?;
        self.pragma(&transaction, "application_id", &APPLICATION.to_string())?;
        self.pragma(&transaction, "user_version", &SCHEMA.to_string())?;
        transaction.commit().map_err(fail)
    }

    fn identity(&self, db: &Connection) -> Result<(u32, u32)> {
        let number = |name| {
            let value = db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.map(|n| n as u32).map_err(|e| self.error(e))
        };
        Ok((number("application_id")?, number("user_version")?))
    }

    fn set_journal(&self, db: &Connection) -> Result<()> {
        let wanted = self.journal.to_string();
        let deadline = std::time::Instant::now() + BUSY;
        loop {
            // The change of a journal does not wait for other connections by itself.
            let set = db
                .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
                .and_then(|mode| {
                    if mode == wanted {
                        return Ok(mode);
                    }
                    db.pragma_update_and_check(None, "journal_mode", &wanted, |row| {
                        row.get::<_, String>(0)
                    })
                });
            match set {
                Ok(mode) if mode == wanted => return Ok(()),
                Err(e) if !is_busy(&e) => return Err(self.error(e)),
                Ok(mode) if std::time::Instant::now() >= deadline => {
                    let what = format!("journal of {}", self.name);
                    return Err(Error::invalid(what, wanted, mode));
                }
                Err(e) if std::time::Instant::now() >= deadline => return Err(self.error(e)),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_lose_data_are_known() {
        for bad in [3_007_000, 3_044_005, 3_045_000, 3_050_006, 3_051_000, 3_051_002] {
            assert!(!wal_is_sound(bad), "{bad}");
        }
        for good in [3_044_006, 3_050_007, 3_051_003, 3_053_001, 4_000_000] {
            assert!(wal_is_sound(good), "{good}");
        }
        assert!(wal_is_sound(rusqlite::version_number()), "the bundled one is sound");
    }

    #[test]
    fn shares_are_known_by_the_longest_mount() {
        let mounts = "\
/dev/sda / ext4 rw 0 0
server:/x /mnt/share nfs4 rw 0 0
/dev/sdb /mnt/share/local ext4 rw 0 0
//nas/y /mnt/two\\040words cifs rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
/dev/sdc /odd\\ ext4 rw 0 0
";
        let kind = |path: &str| network_mount(mounts, Path::new(path));
        assert_eq!(kind("/home"), None);
        assert_eq!(kind("/mnt/share/a/b").as_deref(), Some("nfs4"));
        assert_eq!(kind("/mnt/shared"), None, "a name that only starts alike");
        assert_eq!(kind("/mnt/share/local"), None);
        assert_eq!(kind("/mnt/two words").as_deref(), Some("cifs"));
        assert_eq!(kind("/mnt/ssh/x").as_deref(), Some("fuse.sshfs"));
        assert_eq!(network_mount("", Path::new("/")), None);
    }
}
