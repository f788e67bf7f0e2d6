//! Connections that read one snapshot side by side.

use std::sync::atomic::{AtomicUsize, Ordering};

use mlops_core::{Error, Result};

use super::Sql;

/// Transactions of one snapshot.
pub(crate) enum Readers<'s> {
    /// One, which stays on its thread.
    One(&'s dyn Sql),
    /// Several, each for a thread of its own; at least one.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "SQLite's alone are cheap"))]
    Several(Vec<Box<dyn Sql + Send + 's>>),
}

impl Readers<'_> {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Several(all) => all.len(),
        }
    }

    /// One of them.
    pub(crate) fn one(&self) -> &dyn Sql {
        match self {
            Self::One(sql) => *sql,
            Self::Several(all) => &*all[0],
        }
    }

    /// What the jobs of these numbers give, in their order; the error of the first that fails.
    /// Whoever of the readers has nothing to do takes the next.
    pub(crate) fn each<T: Send>(
        &mut self,
        jobs: usize,
        job: impl Fn(&dyn Sql, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let Self::Several(all) = self else {
            return (0..jobs).map(|i| job(self.one(), i)).collect();
        };
        let next = AtomicUsize::new(0);
        let take = &|sql: &dyn Sql| {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= jobs {
                    return done;
                }
                let result = job(sql, i);
                if result.is_err() {
                    // Nobody needs the rest.
                    next.store(jobs, Ordering::Relaxed);
                }
                done.push((i, result));
            }
        };
        let mut done = std::thread::scope(|scope| {
            let Some((first, others)) = all.split_first_mut() else { return Ok(Vec::new()) };
            let threads: Vec<_> = others
                .iter_mut()
                .take(jobs.saturating_sub(1))
                .map(|reader| scope.spawn(move || take(&**reader)))
                .collect();
            let mut done = take(&**first);
            for thread in threads {
                let theirs = thread.join();
                done.extend(theirs.map_err(|_| Error::other("a search", "a thread panicked"))?);
            }
            Ok::<_, Error>(done)
        })?;
        done.sort_unstable_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, result)| result).collect()
    }
}
