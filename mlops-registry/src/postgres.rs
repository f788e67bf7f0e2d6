//! A registry in PostgreSQL.

use std::cell::{Cell as Slot, RefCell};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mlops_core::{Error, Result, Roles};

use crate::sql::{
    Database, Sql, Verification, forward_erasure, forward_log, forward_outbox, forward_registry,
    forward_stored, stored,
};
use crate::tracking::Group;
use crate::tracking::sql::forward_tracker;

mod connect;
mod session;

use connect::Server;
use session::{Session, Transaction};

/// How many idle connections are kept.
const IDLE: usize = 8;
/// How often a transaction is run again that met another.
const RETRIES: u32 = 12;
/// The longest wait before it is.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A registry in a PostgreSQL database, for a team: the same tables and the same rules as in one
/// file, the bytes of artifacts included.
///
/// Any number of threads may share one value, and any number of processes and machines one
/// database. The tables lie in a schema of their own, `mlops` unless another is named
/// ([`connect_in`](Self::connect_in)), which is made where it is missing. The database's encoding
/// must be UTF-8.
///
/// Every method that changes something is one `SERIALIZABLE` transaction that first locks out the
/// other writers of the schema, and is durable when it returns, as far as the server's settings go
/// (`synchronous_commit = off` is set right for the session; `fsync = off` is the server's own
/// business). Transactions that PostgreSQL gives up in favour of another (40001, 40P01) are run
/// again, up to twelve times with a growing pause. Where the connection breaks while a commit is under way, nobody
/// can say whether it was kept: the call is an `Err`. Give the request a key, and repeat it.
///
/// Connections by an address are plain TCP or a Unix socket; an address that asks for TLS
/// (`sslmode=require`, `verify-ca`, `verify-full`) is refused, never served without. For TLS, give
/// a function that opens connections ([`connect_with`](Self::connect_with)) by a TLS of the host's
/// choice; the client is that of the crate `postgres` 0.19. It blocks: from an asynchronous
/// program, use it on a thread where blocking is allowed.
pub struct PostgresRegistry {
    server: Server,
    idle: Mutex<Vec<Session>>,
    roles: Roles,
    beside: Option<stored::Beside>,
    group: Group,
}

impl fmt::Debug for PostgresRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresRegistry")
            .field("server", &self.server.place)
            .finish_non_exhaustive()
    }
}

impl PostgresRegistry {
    /// Opens the registry in schema `mlops` of this database, and makes it where there is none:
    /// `postgresql://user:password@host:5432/database`, or `host=/run/postgresql user=…`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that can't be read (it is not shown, because it may hold
    /// a password), a schema that is no registry or one of a newer release; [`Error::Io`] where
    /// the server can't be reached or says no.
    pub fn connect(url: &str) -> Result<Self> {
        Self::connect_in(url, "mlops")
    }

    /// [`connect`](Self::connect) with a schema of choice: lower-case ASCII letters, digits and
    /// `_`, at most 63, no digit first.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and [`Error::Invalid`] for a name that can't be a schema.
    pub fn connect_in(url: &str, schema: &str) -> Result<Self> {
        Self::open(Server::of_url(url, schema)?)
    }

    /// The registry in this schema, over connections that this function opens: how TLS, a
    /// password from elsewhere, or a proxy comes in. The name stands for the database in errors.
    ///
    /// ```ignore
    /// // With rustls, by the crate tokio-postgres-rustls:
    /// let tls = tokio_postgres_rustls::MakeRustlsConnect::new(rustls_config);
    /// let url = "postgresql://ana@db.example/models?sslmode=require";
    /// let registry = PostgresRegistry::connect_with("db.example", "mlops", move || {
    ///     postgres::Client::connect(url, tls.clone())
    /// })?;
    /// ```
    ///
    /// # Errors
    /// As [`connect_in`](Self::connect_in).
    pub fn connect_with(
        name: &str,
        schema: &str,
        open: impl Fn() -> Result<postgres::Client, postgres::Error> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::open(Server::new(name, schema, Box::new(open))?)
    }

    fn open(server: Server) -> Result<Self> {
        let mut session = server.session()?;
        server.migrate(&mut session)?;
        let (idle, roles) = (Mutex::new(vec![session]), Roles::default());
        Ok(Self { server, idle, roles, beside: None, group: Group::default() })
    }

    /// The same, with the host's word on who has which role, for policies that name one
    /// ([`PromotionPolicy::approver_roles`](mlops_core::PromotionPolicy)).
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
    }

    /// The schema that holds the tables.
    pub fn schema(&self) -> &str {
        &self.server.schema
    }

    /// Reads everything and says what is not as it was written: every artifact against its
    /// digest, every row against its seal, every version's digest against its artifacts, every
    /// gate report against the bytes it speaks of, numbers and revisions without gaps, every
    /// history against the rules, and the audit log: its chain, and that every change has its
    /// entry. Of tracking, whose rows have no seals, it checks the checksums of all points and
    /// that metrics, parameters and datasets agree with their runs. The server's pages are its own
    /// to check (`data_checksums`, `amcheck`).
    ///
    /// Damage is a [`Problem`](crate::Problem) in the result. Takes time in proportion to the
    /// bytes.
    ///
    /// # Errors
    /// A database that can't be read at all.
    pub fn verify(&self) -> Result<Verification> {
        stored::verify(self)
    }

    /// An idle connection, or a new one.
    fn session(&self) -> Result<Session> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(session) if session.client.is_closed() => {}
                Some(session) => return Ok(session),
                None => return self.server.session(),
            }
        }
    }

    fn transact<T>(&self, begin: &str, mut work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        let mut pause = Duration::from_millis(1);
        for attempt in 0.. {
            let (result, again) = self.attempt(begin, &mut work);
            if !again || attempt >= RETRIES {
                return result;
            }
            tracing::debug!(attempt, place = self.server.place, "a transaction met another");
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        // The loop has no other end.
        Err(Error::other(self.server.place.clone(), "no attempt was made"))
    }

    /// One run of the work, and whether another may end otherwise.
    fn attempt<T>(
        &self,
        begin: &str,
        work: &mut impl FnMut(&dyn Sql) -> Result<T>,
    ) -> (Result<T>, bool) {
        let mut session = match self.session() {
            Ok(session) => session,
            Err(e) => return (Err(e), false),
        };
        if let Err(e) = session.client.batch_execute(begin) {
            // A connection that slept through a restart of the server.
            let again = session::gave_way(&e) || (session.used && session.client.is_closed());
            return (Err(self.server.error(e)), again);
        }
        session.used = true;
        let again = Slot::new(false);
        let result = {
            let open = Transaction {
                server: &self.server,
                session: RefCell::new(&mut session),
                again: &again,
            };
            work(&open)
        };
        let (result, again) = match result {
            Ok(value) => match session.client.batch_execute("COMMIT") {
                Ok(()) => (Ok(value), false),
                Err(e) => {
                    let again = session::gave_way(&e);
                    (Err(self.server.error(e)), again)
                }
            },
            Err(e) => (Err(e), again.get()),
        };
        // A connection that says no to this is closed by being dropped, which rolls back, too.
        let clean = result.is_ok() || session.client.batch_execute("ROLLBACK").is_ok();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if clean && idle.len() < IDLE {
            idle.push(session);
        }
        (result, again)
    }
}

forward_registry!(PostgresRegistry);
forward_tracker!(PostgresRegistry);

impl crate::tracking::sql::Store for PostgresRegistry {
    fn group(&self) -> &Group {
        &self.group
    }
}

forward_log!(PostgresRegistry);

forward_outbox!(PostgresRegistry);

forward_erasure!(PostgresRegistry);

forward_stored!(PostgresRegistry);

impl Database for PostgresRegistry {
    fn beside(&self) -> Option<&stored::Beside> {
        self.beside.as_ref()
    }

    fn roles(&self) -> &Roles {
        &self.roles
    }

    fn read<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        self.transact("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work)
    }

    fn write<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        // The lock takes no snapshot: what follows sees all that the writers before it did.
        self.transact(
            "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE registry IN EXCLUSIVE MODE",
            work,
        )
    }

    fn forget(&self) -> Result<bool> {
        // Old rows stay until VACUUM, which is the server's or its owner's to run.
        Ok(false)
    }
}
