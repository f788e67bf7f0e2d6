//! Changes of several threads, committed together.
//!
//! A commit waits for the disk, some milliseconds. Whoever comes meanwhile queues up; the next to
//! have its turn commits what all of them want, each in a savepoint of its own, and so a hundred
//! threads wait for one disk write instead of a hundred. One thread alone waits for nobody.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlops_core::{Error, Result};

use crate::sql::{Database, Sql, args};

/// A change of a database that may be made again where the database asks for that.
type Change = Box<dyn FnMut(&dyn Sql) -> Result<()> + Send>;

/// How many changes are committed together at most.
const MOST: usize = 512;

/// The changes that wait for the next commit.
#[derive(Default)]
pub(crate) struct Group {
    waiting: Mutex<Vec<Arc<Job>>>,
    turn: Mutex<()>,
}

struct Job {
    change: Mutex<Change>,
    /// `None` until it was tried.
    outcome: Mutex<Option<Result<()>>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}

impl Group {
    /// Makes this change in a transaction, alone or with those of other threads, and returns when
    /// it is durable, or refused, with what it gave.
    pub(super) fn write<T: Send + 'static>(
        &self,
        db: &impl Database,
        mut change: impl FnMut(&dyn Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let given = Arc::new(Mutex::new(None));
        let give = Arc::clone(&given);
        let job = Arc::new(Job {
            change: Mutex::new(Box::new(move |sql| {
                let value = change(sql)?;
                *lock(&give) = Some(value);
                Ok(())
            })),
            outcome: Mutex::new(None),
        });
        lock(&self.waiting).push(Arc::clone(&job));
        loop {
            let turn = lock(&self.turn);
            if let Some(outcome) = lock(&job.outcome).take() {
                outcome?;
                let value = lock(&given).take();
                return value.ok_or_else(|| Error::invalid("change", "what it gave", "nothing"));
            }
            let mut waiting = lock(&self.waiting);
            let n = waiting.len().min(MOST);
            let jobs: Vec<_> = waiting.drain(..n).collect();
            drop(waiting);
            if jobs.is_empty() {
                return Err(Error::invalid("change", "an outcome", "a panic of whoever made it"));
            }
            // Ours is among them, unless more than can go together came before it.
            commit(db, &jobs);
            drop(turn);
        }
    }
}

fn commit(db: &impl Database, jobs: &[Arc<Job>]) {
    if let [only] = jobs {
        let outcome = db.write(|sql| (lock(&only.change))(sql));
        *lock(&only.outcome) = Some(outcome);
        return;
    }
    let mut refused: Vec<Option<Error>> = Vec::new();
    let all = db.write(|sql| {
        refused.clear();
        for job in jobs {
            sql.execute("SAVEPOINT change", args![])?;
            refused.push(match (lock(&job.change))(sql) {
                Ok(()) => None,
                Err(error) if is_refusal(&error) => {
                    sql.execute("ROLLBACK TO SAVEPOINT change", args![])?;
                    Some(error)
                }
                Err(error) => return Err(error),
            });
            sql.execute("RELEASE SAVEPOINT change", args![])?;
        }
        Ok(())
    });
    match all {
        Ok(()) => {
            for (job, refused) in jobs.iter().zip(refused) {
                *lock(&job.outcome) = Some(refused.map_or(Ok(()), Err));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for job in jobs {
                let source = Arc::clone(&error);
                let context = "a commit of several changes".to_owned();
                *lock(&job.outcome) = Some(Err(Error::Within { context, source }));
            }
        }
    }
}

/// Whether the request was at fault and not the system.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Invalid { .. } | Error::NotFound { .. } | Error::Conflict { .. })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
