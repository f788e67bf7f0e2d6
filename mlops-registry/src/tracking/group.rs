//! Changes of several threads, committed together.
//!
//! A commit waits for the disk, some milliseconds. Whoever comes meanwhile queues up; the next to
//! have its turn commits what all of them want, each in a savepoint of its own, and so a hundred
//! threads wait for one disk write instead of a hundred. One thread alone waits for nobody.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mlops_core::{Error, Result};

use crate::sql::{Database, Sql, args};

/// A change of a database that may be made again where the database asks for that.
type Change = Box<dyn FnMut(&dyn Sql) -> Result<()> + Send>;

/// How many changes are committed together at most.
const MOST: usize = 512;

/// The changes that wait for the next commit.
#[derive(Default)]
pub(crate) struct Group {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Job>>,
    /// Whether somebody commits, or was told to.
    busy: bool,
}

struct Job {
    change: Mutex<Change>,
    news: Mutex<News>,
    changed: Condvar,
}

/// What a waiting thread is told.
enum News {
    None,
    /// It is its turn to commit.
    Lead,
    Done(Result<()>),
}

impl Job {
    fn tell(&self, news: News) {
        *lock(&self.news) = news;
        self.changed.notify_one();
    }

    fn hear(&self) -> News {
        let mut news = lock(&self.news);
        loop {
            match std::mem::replace(&mut *news, News::None) {
                News::None => {
                    news = self.changed.wait(news).unwrap_or_else(PoisonError::into_inner);
                }
                heard => return heard,
            }
        }
    }
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
            news: Mutex::new(News::None),
            changed: Condvar::new(),
        });
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(Arc::clone(&job));
        let mut lead = !std::mem::replace(&mut queue.busy, true);
        drop(queue);
        loop {
            if lead {
                self.lead(db);
            }
            match job.hear() {
                News::Done(outcome) => {
                    outcome?;
                    let value = lock(&given).take();
                    return value.ok_or_else(|| Error::invalid("change", "an outcome", "none"));
                }
                News::Lead | News::None => lead = true,
            }
        }
    }

    /// Commits what waits, ours among it, and hands on to the first of those that came meanwhile.
    /// Whoever is done hears of it at once and does not queue for it.
    fn lead(&self, db: &impl Database) {
        let jobs: Vec<_> = {
            let mut queue = lock(&self.queue);
            let n = queue.waiting.len().min(MOST);
            queue.waiting.drain(..n).collect()
        };
        // Told whatever happens, a panic of a change included: nobody waits for ever.
        let turn = Turn { group: self, jobs };
        commit(db, &turn.jobs);
    }
}

struct Turn<'g> {
    group: &'g Group,
    jobs: Vec<Arc<Job>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for job in &self.jobs {
                let panicked = Error::invalid("change", "an outcome", "a panic of whoever made it");
                job.tell(News::Done(Err(panicked)));
            }
        }
        let mut queue = lock(&self.group.queue);
        match queue.waiting.front() {
            Some(next) => next.tell(News::Lead),
            None => queue.busy = false,
        }
    }
}

fn commit(db: &impl Database, jobs: &[Arc<Job>]) {
    if let [only] = jobs {
        let outcome = db.write(|sql| (lock(&only.change))(sql));
        only.tell(News::Done(outcome));
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
                job.tell(News::Done(refused.map_or(Ok(()), Err)));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for job in jobs {
                let source = Arc::clone(&error);
                let context = "a commit of several changes".to_owned();
                job.tell(News::Done(Err(Error::Within { context, source })));
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
