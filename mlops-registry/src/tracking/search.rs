//! Finds the runs that a query asks for, column by column, over whatever keeps them.
//!
//! One engine for every backend, so that all have the same words for equality, patterns, NaN and
//! order, whichever collation or type a database has. A backend gives the rows in view and, for
//! each field that the query names, one column, several of them at once where it can; only the
//! runs of the page are read whole.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use mlops_core::Result;

use super::filter::{Field, Filter, Order, Test, Value};
use super::query::{Page, Query};
use super::run::Run;
use super::sort::{Keys, Position, SortKeys};

/// Reads a snapshot of runs. Rows are numbers that grow with the order in which runs were made.
pub(super) trait Reader {
    /// Every run in view: its row and its start, rows ascending.
    fn rows(&self, query: &Query) -> Result<Vec<(i64, i64)>>;

    /// The values of a field in the query's experiments, and of others perhaps, with their rows;
    /// a run without a value is left out. So may be a value to which the test says no, if there
    /// is one.
    fn column(
        &self,
        field: &Field,
        test: Option<&Test>,
        each: &mut dyn FnMut(i64, Value<'_>),
    ) -> Result<()>;

    /// These runs, in this order.
    fn fetch(&self, rows: &[i64]) -> Result<Vec<Run>>;
}

/// Where runs are kept: readers of one snapshot.
pub(super) trait Source {
    /// How many of them work at once.
    fn readers(&self) -> usize;

    /// What the jobs of these numbers give, in their order.
    fn each<T: Send>(
        &mut self,
        jobs: usize,
        job: impl Fn(&dyn Reader, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>>;
}

/// What is to be read before anything is known of the runs.
enum Job<'q> {
    Rows,
    Field(&'q Field, Vec<&'q Test>),
    Order(&'q Order),
}

/// What a [`Job`] gives.
enum Answer {
    Rows(Vec<(i64, i64)>),
    /// For each test the rows of which it says something else than of nothing.
    Field(Vec<Vec<i64>>),
    Order(Keys),
}

impl Job<'_> {
    fn run(&self, reader: &dyn Reader, query: &Query) -> Result<Answer> {
        match self {
            Self::Rows => reader.rows(query).map(Answer::Rows),
            Self::Order(order) => Keys::read(reader, order).map(Answer::Order),
            Self::Field(field, tests) => {
                let mut found = vec![Vec::new(); tests.len()];
                // What it says no to is as good as nothing, if it says no to nothing, too.
                let only = match tests.as_slice() {
                    [test] if !test.of_nothing() => Some(*test),
                    _ => None,
                };
                reader.column(field, only, &mut |row, value| {
                    for (test, found) in tests.iter().zip(&mut found) {
                        if test.of(value) != test.of_nothing() {
                            found.push(row);
                        }
                    }
                })?;
                Ok(Answer::Field(found))
            }
        }
    }
}

pub(super) fn search(source: &mut impl Source, query: &Query) -> Result<Page<Run>> {
    query.check()?;
    let after = query.page.as_deref().map(|token| Position::read(token, query)).transpose()?;

    let mut leaves = Vec::new();
    gather(&query.filter, &mut leaves);
    let mut fields: BTreeMap<&Field, Vec<usize>> = BTreeMap::new();
    for (leaf, (field, _)) in leaves.iter().enumerate() {
        fields.entry(field).or_default().push(leaf);
    }
    let mut jobs = vec![Job::Rows];
    jobs.extend(query.order.iter().map(Job::Order));
    jobs.extend(
        fields.iter().map(|(field, its)| {
            Job::Field(field, its.iter().map(|leaf| leaves[*leaf].1).collect())
        }),
    );
    let answers = source.each(jobs.len(), |reader, i| jobs[i].run(reader, query))?;

    let (mut rows, mut keys, mut found) = (Vec::new(), Vec::new(), vec![Vec::new(); leaves.len()]);
    let mut fields = fields.into_values();
    for answer in answers {
        match answer {
            Answer::Rows(all) => rows = all,
            Answer::Order(of) => keys.push(of),
            Answer::Field(its) => {
                for (leaf, its) in fields.next().into_iter().flatten().zip(its) {
                    found[leaf] = its;
                }
            }
        }
    }
    let mut leaves = leaves.iter().zip(found).map(|((_, test), others)| {
        let nothing = test.of_nothing();
        let mut passes = vec![nothing; rows.len()];
        place(&rows, others.into_iter().map(|row| (row, ())), |i, ()| passes[i] = !nothing);
        passes
    });
    let passes = combine(&query.filter, &mut leaves, rows.len());
    let keys = SortKeys::new(&rows, &query.order, keys);

    let mut chosen: Vec<usize> = match passes {
        None => (0..rows.len()).collect(),
        Some(passes) => (0..rows.len()).filter(|i| passes[*i]).collect(),
    };
    if let Some(after) = &after {
        chosen.retain(|i| keys.compare_to(*i, after) == Ordering::Greater);
    }
    let more = chosen.len() > query.limit;
    if query.order.is_empty() && rows.is_sorted_by_key(|row| row.1) {
        // Made in the order in which they started: they are sorted already.
        chosen.reverse();
        chosen.truncate(query.limit);
    } else {
        if more {
            chosen.select_nth_unstable_by(query.limit - 1, |a, b| keys.compare(*a, *b));
            chosen.truncate(query.limit);
        }
        chosen.sort_unstable_by(|a, b| keys.compare(*a, *b));
    }

    let next = match chosen.last() {
        Some(last) if more => Some(keys.position(*last).token(query)?),
        _ => None,
    };
    let page: Vec<i64> = chosen.into_iter().map(|i| rows[i].0).collect();
    let parts: Vec<_> = page.chunks(page.len().div_ceil(source.readers()).max(1)).collect();
    let runs = source.each(parts.len(), |reader, i| reader.fetch(parts[i]))?;
    Ok(Page::new(runs.into_iter().flatten().collect(), next))
}

/// Says the place of each of these rows among those in view, if it has one. Columns mostly come
/// in the same order.
pub(super) fn place<T>(
    rows: &[(i64, i64)],
    values: impl IntoIterator<Item = (i64, T)>,
    mut each: impl FnMut(usize, T),
) {
    /// How many rows may be left out before the next one is looked for everywhere.
    const NEAR: usize = 16;
    let mut next = 0;
    for (row, value) in values {
        let near = rows.iter().skip(next).take(NEAR);
        let found = match near.take_while(|r| r.0 <= row).position(|r| r.0 == row) {
            Some(skipped) => next + skipped,
            None => match rows.binary_search_by_key(&row, |r| r.0) {
                Ok(found) => found,
                Err(_) => continue,
            },
        };
        next = found + 1;
        each(found, value);
    }
}

/// The tests of a filter, from left to right.
fn gather<'f>(filter: &'f Filter, leaves: &mut Vec<(&'f Field, &'f Test)>) {
    match filter {
        Filter::Everything => {}
        Filter::Is(field, test) => leaves.push((field, test)),
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|p| gather(p, leaves)),
        Filter::Not(inner) => gather(inner, leaves),
    }
}

/// Which rows pass, from those that pass each test of [`gather`]; all if it is `None`.
fn combine(
    filter: &Filter,
    leaves: &mut impl Iterator<Item = Vec<bool>>,
    rows: usize,
) -> Option<Vec<bool>> {
    let (parts, any) = match filter {
        Filter::Everything => return None,
        Filter::Is(..) => return leaves.next(),
        Filter::Not(inner) => {
            let mut inner = combine(inner, leaves, rows).unwrap_or_else(|| vec![true; rows]);
            for passes in &mut inner {
                *passes = !*passes;
            }
            return Some(inner);
        }
        Filter::And(parts) => (parts, false),
        Filter::Or(parts) => (parts, true),
    };
    let mut all = vec![!any; rows];
    for part in parts {
        match combine(part, leaves, rows) {
            None if any => all.fill(true),
            None => {}
            Some(part) => {
                for (all, part) in all.iter_mut().zip(part) {
                    *all = if any { *all | part } else { *all & part };
                }
            }
        }
    }
    Some(all)
}
