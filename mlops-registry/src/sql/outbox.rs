//! Consumers of the audit log, in a database.

use mlops_core::{Result, Timestamp, check_name};

use super::{Database, Sql, args};
use crate::outbox::{Consumer, Progress, Turn, no_consumer};

pub(crate) fn subscribe(db: &impl Database, consumer: &str, from: u64) -> Result<()> {
    check_name("consumer", consumer)?;
    db.write(|sql| {
        let insert = "INSERT INTO consumer (name, next, failures) VALUES (?1, ?2, 0)
                      ON CONFLICT DO NOTHING";
        sql.execute(insert, args![consumer, place(from)])?;
        Ok(())
    })
}

pub(crate) fn seek(db: &impl Database, consumer: &str, next: u64) -> Result<()> {
    if check_name("consumer", consumer).is_err() {
        return Err(no_consumer(consumer));
    }
    db.write(|sql| {
        // Who has the turn loses it.
        let update = "UPDATE consumer SET next = ?2, failures = 0, problem = NULL, holder = NULL,
                                          held_until = NULL, delivered_at = NULL WHERE name = ?1";
        match sql.execute(update, args![consumer, place(next)])? {
            0 => Err(no_consumer(consumer)),
            _ => Ok(()),
        }
    })
}

pub(crate) fn unsubscribe(db: &impl Database, consumer: &str) -> Result<()> {
    if check_name("consumer", consumer).is_err() {
        return Ok(());
    }
    db.write(|sql| sql.execute("DELETE FROM consumer WHERE name = ?1", args![consumer]).map(drop))
}

pub(crate) fn consumers(db: &impl Database) -> Result<Vec<Consumer>> {
    db.read(|sql| Ok(sql.consumers_where("")?.into_iter().map(|(consumer, _)| consumer).collect()))
}

pub(crate) fn turn(
    db: &impl Database,
    consumer: &str,
    at: Timestamp,
    until: Timestamp,
) -> Result<Option<Turn>> {
    if check_name("consumer", consumer).is_err() {
        return Err(no_consumer(consumer));
    }
    let turn = Turn::new(consumer, 0)?;
    db.write(|sql| {
        let (found, _) = sql.consumer(consumer)?.ok_or_else(|| no_consumer(consumer))?;
        if found.held_until.is_some_and(|until| until > at) {
            return Ok(None);
        }
        let update = "UPDATE consumer SET holder = ?2, held_until = ?3 WHERE name = ?1";
        sql.execute(update, args![consumer, &turn.holder, until])?;
        Ok(Some(Turn { next: found.next, ..turn.clone() }))
    })
}

pub(crate) fn progress(db: &impl Database, turn: &Turn, progress: &Progress) -> Result<()> {
    db.write(|sql| {
        let found = sql.consumer(&turn.consumer)?;
        let held = found.filter(|(_, holder)| holder.as_ref() == Some(&turn.holder));
        let (mut consumer, _) = held.ok_or_else(|| turn.lost())?;
        progress.apply(&mut consumer);
        let holder = progress.until.map(|_| turn.holder.as_str());
        let update = "UPDATE consumer SET next = ?2, failures = ?3, problem = ?4,
                                          delivered_at = ?5, held_until = ?6, holder = ?7
                      WHERE name = ?1";
        let Consumer { name, next, failures, problem, delivered_at, held_until } = &consumer;
        let (next, failures) = (place(*next), place(*failures));
        let problem = problem.as_deref();
        let row = args![name, next, failures, problem, *delivered_at, *held_until, holder];
        sql.execute(update, row).map(drop)
    })
}

/// A number as it is kept. No log gets so long.
fn place(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl dyn Sql + '_ {
    fn consumer(&self, name: &str) -> Result<Option<(Consumer, Option<String>)>> {
        let mut all = self.consumers_where(name)?;
        Ok(all.pop())
    }

    /// The consumer of this name, or all, each with who has the turn.
    fn consumers_where(&self, name: &str) -> Result<Vec<(Consumer, Option<String>)>> {
        let query = "SELECT name, next, failures, problem, delivered_at, held_until, holder
                     FROM consumer WHERE ?1 = '' OR name = ?1 ORDER BY name";
        self.all(query, args![name], |row| {
            let mut consumer =
                Consumer::new(&row.get::<String>(0)?, row.get::<i64>(1)?.cast_unsigned());
            consumer.failures = row.get::<i64>(2)?.cast_unsigned();
            consumer.problem = row.get(3)?;
            consumer.delivered_at = row.get(4)?;
            consumer.held_until = row.get(5)?;
            Ok((consumer, row.get(6)?))
        })
    }
}

/// Makes a [`Database`] an [`Outbox`](crate::outbox::Outbox).
macro_rules! forward_outbox {
    ($database:ty) => {
        impl $crate::outbox::Outbox for $database {
            fn subscribe(&self, consumer: &str, from: u64) -> mlops_core::Result<()> {
                $crate::sql::outbox::subscribe(self, consumer, from)
            }

            fn seek(&self, consumer: &str, next: u64) -> mlops_core::Result<()> {
                $crate::sql::outbox::seek(self, consumer, next)
            }

            fn unsubscribe(&self, consumer: &str) -> mlops_core::Result<()> {
                $crate::sql::outbox::unsubscribe(self, consumer)
            }

            fn consumers(&self) -> mlops_core::Result<Vec<$crate::outbox::Consumer>> {
                $crate::sql::outbox::consumers(self)
            }

            fn turn(
                &self,
                consumer: &str,
                at: mlops_core::Timestamp,
                until: mlops_core::Timestamp,
            ) -> mlops_core::Result<Option<$crate::outbox::Turn>> {
                $crate::sql::outbox::turn(self, consumer, at, until)
            }

            fn progress(
                &self,
                turn: &$crate::outbox::Turn,
                progress: &$crate::outbox::Progress,
            ) -> mlops_core::Result<()> {
                $crate::sql::outbox::progress(self, turn, progress)
            }
        }
    };
}
pub(crate) use forward_outbox;
