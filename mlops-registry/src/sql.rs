//! What the registries in databases share: one text of every query, over whichever database a
//! driver speaks to.
//!
//! SQL is written as SQLite has it, with placeholders `?1`, `?2`, …, and keeps to what PostgreSQL
//! understands as well (`RETURNING`, `ON CONFLICT`, no functions of one of them only). Types are
//! those of [`Cell`]. Tables stand in [`schema`].

use std::borrow::Cow;
use std::fmt::Display;

use mlops_core::{Digest, Error, Result, Roles, Timestamp};

pub(crate) mod audit;
pub(crate) mod erase;
pub(crate) mod outbox;
mod readers;
pub(crate) mod registry;
mod rows;
pub(crate) mod schema;
mod seal;
pub(crate) mod stored;
mod verify;

pub(crate) use audit::forward_log;
pub(crate) use erase::forward_erasure;
pub(crate) use outbox::forward_outbox;
pub(crate) use readers::Readers;
pub(crate) use registry::forward_registry;
pub(crate) use stored::forward_stored;
pub use verify::{Problem, Verification};

/// A database: how work gets its transaction.
pub(crate) trait Database {
    /// Who has which role.
    fn roles(&self) -> &Roles;

    /// The store of artifacts beside it.
    fn beside(&self) -> Option<&stored::Beside>;

    /// Runs this on one snapshot.
    fn read<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T>;

    /// Runs this on one snapshot, which several connections may read at once if there is enough
    /// to read: the first closure says so.
    fn read_together<T>(
        &self,
        _: impl Fn(&dyn Sql) -> Result<bool>,
        mut work: impl FnMut(&mut Readers<'_>) -> Result<T>,
    ) -> Result<T> {
        self.read(|sql| work(&mut Readers::One(sql)))
    }

    /// Runs this in a transaction that no other writer of the database interleaves with, and
    /// commits if it succeeds. It may be run again where the database asks for that.
    fn write<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T>;

    /// [`write`](Self::write) where nothing of what is overwritten or deleted stays in the
    /// database's pages, as far as it can see to that.
    fn write_over<T>(&self, work: impl FnMut(&dyn Sql) -> Result<T>) -> Result<T> {
        self.write(work)
    }

    /// Gets rid of copies that the database keeps of what was overwritten; whether it could.
    fn forget(&self) -> Result<bool>;
}

/// A transaction that is open.
pub(crate) trait Sql {
    /// The database's name, for errors; without a password.
    fn place(&self) -> &str;

    /// Runs a statement that gives no rows; how many rows it changed.
    fn execute(&self, sql: &str, args: &[Cell<'_>]) -> Result<u64>;

    /// Runs a statement and looks at each of the rows that it gives, as they come.
    fn query(
        &self,
        sql: &str,
        args: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()>;

    /// Lifts the guards that keep rows from being changed (`false`), or sets them again, within
    /// this transaction.
    fn guard(&self, set: bool) -> Result<()>;

    /// What the database finds wrong with its own pages and references.
    fn self_check(&self) -> Result<Vec<String>>;
}

/// A value, of a row or for a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

impl Cell<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Int(_) => "an integer",
            Self::Real(_) => "a number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        }
    }
}

macro_rules! cells {
    ($($from:ty => $value:ident, $make:expr;)*) => {$(
        impl<'a> From<$from> for Cell<'a> {
            fn from($value: $from) -> Self {
                $make
            }
        }
    )*};
}

cells! {
    i64 => value, Cell::Int(value);
    // Not a number is stored as nothing, which is what SQLite itself does with it.
    f64 => value, if value.is_nan() { Cell::Null } else { Cell::Real(value) };
    Timestamp => value, Cell::Int(value.millis());
    &'a str => value, Cell::Text(value.into());
    &'a String => value, Cell::Text(value.as_str().into());
    &'a [u8] => value, Cell::Blob(value.into());
    &'a Vec<u8> => value, Cell::Blob(value.as_slice().into());
    &'a Digest => value, Cell::Blob(value.as_bytes().as_slice().into());
    Digest => value, Cell::Blob(value.as_bytes().to_vec().into());
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// Values for placeholders: `args![model, number]`.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Cell::from($value)),*] };
}
pub(crate) use args;

/// The columns of a row, as a driver has them.
pub(crate) trait Columns {
    fn cell(&self, column: usize) -> Result<Cell<'_>>;

    /// The column, if it is an integer, without a detour.
    fn int(&self, column: usize) -> Option<i64> {
        match self.cell(column) {
            Ok(Cell::Int(value)) => Some(value),
            _ => None,
        }
    }
}

/// A row that a query gives.
pub(crate) struct Row<'r> {
    columns: &'r dyn Columns,
    place: &'r str,
}

impl<'r> Row<'r> {
    pub(crate) fn new(columns: &'r dyn Columns, place: &'r str) -> Self {
        Self { columns, place }
    }

    /// The value of this column, counted from 0.
    pub(crate) fn get<T: FromCell>(&self, column: usize) -> Result<T> {
        self.with(column, T::from_cell)
    }

    /// The integer in this column; where there are many rows.
    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        self.columns.int(column).map_or_else(|| self.get(column), Ok)
    }

    /// What this makes of the column, which need not be copied.
    pub(crate) fn with<T>(
        &self,
        column: usize,
        read: impl FnOnce(&Cell<'_>) -> Result<T, &'static str>,
    ) -> Result<T> {
        let cell = self.columns.cell(column)?;
        read(&cell).map_err(|expected| Error::Decode {
            what: format!("{}, column {column} of a row", self.place),
            offset: 0,
            expected: expected.into(),
            found: cell.kind().into(),
        })
    }
}

/// What a column can be read as; an error says what was expected.
pub(crate) trait FromCell: Sized {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str>;
}

impl FromCell for i64 {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        if let Cell::Int(value) = cell { Ok(*value) } else { Err("an integer") }
    }
}

impl FromCell for f64 {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        if let Cell::Real(value) = cell { Ok(*value) } else { Err("a number") }
    }
}

impl FromCell for String {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        if let Cell::Text(value) = cell { Ok(value.clone().into_owned()) } else { Err("a text") }
    }
}

impl FromCell for Vec<u8> {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        if let Cell::Blob(value) = cell { Ok(value.clone().into_owned()) } else { Err("bytes") }
    }
}

impl FromCell for Digest {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        let Cell::Blob(value) = cell else { return Err("32 bytes of digest") };
        let bytes = <[u8; 32]>::try_from(&**value).map_err(|_| "32 bytes of digest")?;
        Ok(Self::from_bytes(bytes))
    }
}

impl FromCell for Timestamp {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        i64::from_cell(cell).map(Self::from_millis)
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: &Cell<'_>) -> Result<Self, &'static str> {
        if *cell == Cell::Null { Ok(None) } else { T::from_cell(cell).map(Some) }
    }
}

impl dyn Sql + '_ {
    /// Every row that a query gives.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        args: &[Cell<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.query(sql, args, &mut |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row that a query gives, if it gives any.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        args: &[Cell<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut first = None;
        self.query(sql, args, &mut |row| {
            if first.is_none() {
                first = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(first)
    }

    /// The number that `INSERT … RETURNING` gives of the row that it made.
    pub(crate) fn insert(&self, sql: &str, args: &[Cell<'_>]) -> Result<i64> {
        let id = self.one(sql, args, |row| row.get(0))?;
        id.ok_or_else(|| self.damaged("a new row", "its number", "nothing"))
    }

    /// An error for a row that is not what was written.
    pub(crate) fn damaged(&self, place: &str, expected: &str, found: impl Display) -> Error {
        Error::Decode {
            what: format!("{}, {place}", self.place()),
            offset: 0,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Compares the seal that was stored with that of what was read.
    pub(crate) fn sealed(&self, place: &str, stored: &[u8], seal: Digest) -> Result<()> {
        if stored == seal.as_bytes() {
            return Ok(());
        }
        Err(self.damaged(place, "what its seal says", "something else"))
    }
}
