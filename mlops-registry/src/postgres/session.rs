//! A connection, and a transaction on it.

use std::borrow::Cow;
use std::cell::{Cell as Slot, RefCell};
use std::collections::HashMap;

use mlops_core::{Error, Result};
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{ToSql, Type};
use postgres::{Client, Statement};

use super::connect::{DIALECT, Server};
use crate::sql::{Cell, Columns, Row, Sql};

/// A connection and the statements that it knows.
pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
    /// Whether a transaction was begun on it.
    pub(super) used: bool,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: HashMap::new(), used: false }
    }

    fn statement(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(&numbered(sql))?;
        // Texts are ours and few; a search that is put together may have many.
        if self.statements.len() >= 200 {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Whether PostgreSQL gave the transaction up in favour of another.
pub(super) fn gave_way(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
    })
}

/// `?1` as PostgreSQL writes it, `$1`; quoted text stays as it is.
fn numbered(sql: &str) -> String {
    let mut quoted = false;
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        quoted ^= c == '\'';
        let placeholder = c == '?' && !quoted && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if placeholder { '$' } else { c });
    }
    out
}

/// PostgreSQL has no text with a NUL in it. So `\x00` is written as `\x01` and `0`, and `\x01`
/// itself as `\x01` and `1`: the order of texts stays what it is.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', '\u{1}']) {
        return text.into();
    }
    text.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0").into()
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1}') {
        return text.into();
    }
    text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}").into()
}

/// A transaction that is open.
pub(super) struct Transaction<'s> {
    pub(super) server: &'s Server,
    pub(super) session: RefCell<&'s mut Session>,
    /// Whether what failed may succeed if all of it is done again.
    pub(super) again: &'s Slot<bool>,
}

impl Transaction<'_> {
    fn fail(&self, error: postgres::Error) -> Error {
        // A connection that is gone before it was asked to commit has kept nothing.
        if gave_way(&error) || error.is_closed() {
            self.again.set(true);
        }
        self.server.error(error)
    }

    fn nested(&self) -> Error {
        Error::other(self.server.place.clone(), "a query within the rows of a query")
    }
}

impl Sql for Transaction<'_> {
    fn place(&self) -> &str {
        &self.server.place
    }

    fn execute(&self, sql: &str, args: &[Cell<'_>]) -> Result<u64> {
        let mut session = self.session.try_borrow_mut().map_err(|_| self.nested())?;
        let statement = session.statement(sql).map_err(|e| self.fail(e))?;
        let wires: Vec<_> = args.iter().map(Wire::of).collect();
        let params = params(&statement, &wires);
        session.client.execute(&statement, &params).map_err(|e| self.fail(e))
    }

    fn query(
        &self,
        sql: &str,
        args: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut session = self.session.try_borrow_mut().map_err(|_| self.nested())?;
        let statement = session.statement(sql).map_err(|e| self.fail(e))?;
        let wires: Vec<_> = args.iter().map(Wire::of).collect();
        let params = params(&statement, &wires);
        let rows = session.client.query_raw(&statement, params);
        let mut rows = rows.map_err(|e| self.fail(e))?;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let columns = Fields { row: &row, place: &self.server.place };
            each(&Row::new(&columns, &self.server.place))?;
        }
        Ok(())
    }

    fn guard(&self, set: bool) -> Result<()> {
        let verb = if set { "ENABLE" } else { "DISABLE" };
        let mut session = self.session.try_borrow_mut().map_err(|_| self.nested())?;
        for (_, table, _) in DIALECT.guards() {
            let sql = format!("ALTER TABLE {table} {verb} TRIGGER USER");
            session.client.batch_execute(&sql).map_err(|e| self.fail(e))?;
        }
        Ok(())
    }

    fn self_check(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// A value as it is sent.
enum Wire<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn of(cell: &'a Cell<'_>) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Int(value) => Self::Int(*value),
            Cell::Real(value) => Self::Real(*value),
            Cell::Text(value) => Self::Text(escaped(value)),
            Cell::Blob(value) => Self::Blob(value),
        }
    }
}

/// The values of a statement's placeholders; NULL needs the type that is wanted.
fn params<'p>(statement: &Statement, wires: &'p [Wire<'_>]) -> Vec<&'p (dyn ToSql + Sync)> {
    let wanted = statement.params().iter().map(Some).chain(std::iter::repeat(None));
    wires
        .iter()
        .zip(wanted)
        .map(|(wire, wanted)| -> &(dyn ToSql + Sync) {
            match wire {
                Wire::Int(value) => value,
                Wire::Real(value) => value,
                Wire::Text(value) => value,
                Wire::Blob(value) => value,
                Wire::Null => match wanted {
                    Some(&Type::BYTEA) => &None::<&[u8]>,
                    Some(&Type::FLOAT8) => &None::<f64>,
                    Some(&Type::INT8) => &None::<i64>,
                    _ => &None::<&str>,
                },
            }
        })
        .collect()
}

/// The fields of a row that came.
struct Fields<'r> {
    row: &'r postgres::Row,
    place: &'r str,
}

impl Columns for Fields<'_> {
    fn cell(&self, column: usize) -> Result<Cell<'_>> {
        let fail = |e: postgres::Error| Error::other(self.place, e);
        let kind = self.row.columns().get(column).map(postgres::Column::type_);
        let cell = match kind {
            Some(&Type::INT8) => {
                self.row.try_get::<_, Option<i64>>(column).map_err(fail)?.map(Cell::from)
            }
            Some(&Type::INT4) => self
                .row
                .try_get::<_, Option<i32>>(column)
                .map_err(fail)?
                .map(|value| Cell::Int(value.into())),
            Some(&Type::FLOAT8) => {
                self.row.try_get::<_, Option<f64>>(column).map_err(fail)?.map(Cell::Real)
            }
            Some(&Type::BYTEA) => {
                self.row.try_get::<_, Option<&[u8]>>(column).map_err(fail)?.map(Cell::from)
            }
            _ => self
                .row
                .try_get::<_, Option<&str>>(column)
                .map_err(fail)?
                .map(|text| Cell::Text(unescaped(text))),
        };
        Ok(cell.unwrap_or(Cell::Null))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn placeholders_are_translated_and_quoted_text_is_not() {
        assert_eq!(
            numbered("SELECT '?1', a FROM b WHERE c = ?1 AND d = ?12 AND e ? 'x'"),
            "SELECT '?1', a FROM b WHERE c = $1 AND d = $12 AND e ? 'x'"
        );
    }

    proptest! {
        #[test]
        fn every_text_comes_back_in_its_order(
            a in "[\0\u{1}\u{2}01ä]{0,8}",
            b in "[\0\u{1}\u{2}01ä]{0,8}",
        ) {
            let (sent, other) = (escaped(&a), escaped(&b));
            prop_assert!(!sent.contains('\0'));
            prop_assert_eq!(&*unescaped(&sent), a.as_str());
            prop_assert_eq!(sent.cmp(&other), a.cmp(&b));
        }
    }
}
