//! Finds the runs that a query asks for, column by column, over whatever keeps them.
//!
//! One engine for every backend, so that all have the same words for equality, patterns, NaN and
//! order, whichever collation or type a database has. A backend gives the rows in view and, for
//! each field that the query names, one column; only the runs of the page are read whole.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::filter::{Field, Filter, Order, Test, Value};
use super::limits::shown;
use super::query::{Page, Query};
use super::run::Run;

/// The longest token of a page that is looked at, in bytes.
const TOKEN_BYTES: usize = 1 << 17;

/// Where runs are kept. Rows are numbers that grow with the order in which runs were made.
pub(super) trait Source {
    /// Every run in view: its row and its start, rows ascending.
    fn rows(&mut self, query: &Query) -> Result<Vec<(i64, i64)>>;

    /// The values of a field in the query's experiments, and of others perhaps, with their rows;
    /// a run without a value is left out. So may be a value to which the test says no, if there
    /// is one.
    fn column(
        &mut self,
        query: &Query,
        field: &Field,
        test: Option<&Test>,
        each: &mut dyn FnMut(i64, Value<'_>),
    ) -> Result<()>;

    /// These runs, in this order.
    fn fetch(&mut self, rows: &[i64]) -> Result<Vec<Run>>;
}

pub(super) fn search(source: &mut dyn Source, query: &Query) -> Result<Page<Run>> {
    query.check()?;
    let after = query.page.as_deref().map(|token| Position::read(token, query)).transpose()?;
    let rows = source.rows(query)?;
    let found = matching(source, query, &rows)?;
    let mut keys = SortKeys::new(source, query, &rows)?;

    let mut chosen: Vec<usize> = (0..rows.len()).filter(|i| found.holds(*i)).collect();
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
        Some(last) if more => Some(keys.take(*last).token(query)?),
        _ => None,
    };
    let page: Vec<i64> = chosen.into_iter().map(|i| rows[i].0).collect();
    Ok(Page::new(source.fetch(&page)?, next))
}

/// Finds the place of a row among those in view. Columns mostly come in the same order.
struct Finder<'a> {
    rows: &'a [(i64, i64)],
    next: usize,
}

impl Finder<'_> {
    /// How many rows may be left out before the next one is looked for everywhere.
    const NEAR: usize = 16;

    fn find(&mut self, row: i64) -> Option<usize> {
        let near = self.rows.iter().skip(self.next).take(Self::NEAR);
        match near.take_while(|r| r.0 <= row).position(|r| r.0 == row) {
            Some(skipped) => self.next += skipped,
            None => self.next = self.rows.binary_search_by_key(&row, |r| r.0).ok()?,
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// Which of the rows pass.
enum Found {
    All,
    These(Vec<bool>),
}

impl Found {
    fn holds(&self, i: usize) -> bool {
        match self {
            Self::All => true,
            Self::These(found) => found[i],
        }
    }
}

fn matching(source: &mut dyn Source, query: &Query, rows: &[(i64, i64)]) -> Result<Found> {
    let mut tests: BTreeMap<&Field, Vec<(&Test, Vec<bool>)>> = BTreeMap::new();
    gather(&query.filter, &mut tests);
    for (field, tests) in &mut tests {
        for (test, found) in tests.iter_mut() {
            *found = vec![test.of_nothing(); rows.len()];
        }
        // A dataset's field has several values: any of them may pass.
        let null = |test: &Test| matches!(test, Test::Null { .. });
        let mut finder = Finder { rows, next: 0 };
        // What it says no to is as good as nothing, if it says no to nothing, too.
        let only = match tests.as_slice() {
            [(test, _)] if !test.of_nothing() => Some(*test),
            _ => None,
        };
        source.column(query, field, only, &mut |row, value| {
            let Some(i) = finder.find(row) else { return };
            for (test, found) in tests.iter_mut() {
                found[i] = if null(test) { test.of(value) } else { found[i] || test.of(value) };
            }
        })?;
    }
    Ok(combine(&query.filter, &mut tests, rows.len()))
}

fn gather<'f>(filter: &'f Filter, tests: &mut BTreeMap<&'f Field, Vec<(&'f Test, Vec<bool>)>>) {
    match filter {
        Filter::Everything => {}
        Filter::Is(field, test) => tests.entry(field).or_default().push((test, Vec::new())),
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|p| gather(p, tests)),
        Filter::Not(inner) => gather(inner, tests),
    }
}

fn combine(
    filter: &Filter,
    tests: &mut BTreeMap<&Field, Vec<(&Test, Vec<bool>)>>,
    rows: usize,
) -> Found {
    let mut many = |parts: &[Filter], any: bool| {
        let mut all = vec![!any; rows];
        for part in parts {
            let part = combine(part, tests, rows);
            for (i, all) in all.iter_mut().enumerate() {
                *all = if any { *all | part.holds(i) } else { *all & part.holds(i) };
            }
        }
        Found::These(all)
    };
    match filter {
        Filter::Everything => Found::All,
        Filter::And(parts) => many(parts, false),
        Filter::Or(parts) => many(parts, true),
        Filter::Not(inner) => {
            let inner = combine(inner, tests, rows);
            Found::These((0..rows).map(|i| !inner.holds(i)).collect())
        }
        Filter::Is(field, test) => {
            let same = tests.get_mut(field).and_then(|tests| {
                let at = tests.iter().position(|(t, _)| std::ptr::eq(*t, test))?;
                Some(tests.swap_remove(at).1)
            });
            Found::These(same.unwrap_or_else(|| vec![false; rows]))
        }
    }
}

/// A value to sort by. Numbers are kept by their bits where they leave the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Key {
    Number(#[serde(with = "bits")] f64),
    Time(i64),
    Text(String),
    #[default]
    Missing,
}

mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

impl Key {
    /// Where it stands whichever the direction: values, then NaN, then nothing.
    fn class(&self) -> u8 {
        match self {
            Self::Number(x) if x.is_nan() => 1,
            Self::Missing => 2,
            _ => 0,
        }
    }

    fn compare(&self, other: &Self, descending: bool) -> Ordering {
        self.class().cmp(&other.class()).then_with(|| {
            let order = match (self, other) {
                (Self::Number(a), Self::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
                (Self::Time(a), Self::Time(b)) => a.cmp(b),
                (Self::Text(a), Self::Text(b)) => a.cmp(b),
                _ => Ordering::Equal,
            };
            if descending { order.reverse() } else { order }
        })
    }
}

/// Where a run stands in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    /// The beginning of the query's digest.
    query: String,
    keys: Vec<Key>,
    started: i64,
    row: i64,
}

impl Position {
    fn token(mut self, query: &Query) -> Result<String> {
        query.digest()?.hex()[..16].clone_into(&mut self.query);
        let json = serde_json::to_vec(&self).map_err(|e| Error::other("token of a page", e))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    fn read(token: &str, query: &Query) -> Result<Self> {
        const EXPECTED: &str = "what the page before gave";
        let bad = |expected: &str| Error::invalid("token of a page", expected, shown(token));
        if token.len() > TOKEN_BYTES {
            return Err(bad(EXPECTED));
        }
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad(EXPECTED))?;
        let position: Self = serde_json::from_slice(&json).map_err(|_| bad(EXPECTED))?;
        if position.keys.len() != query.order.len() {
            return Err(bad(EXPECTED));
        }
        if position.query != query.digest()?.hex()[..16] {
            return Err(bad("one of the same search"));
        }
        Ok(position)
    }
}

/// What the rows are sorted by, a column an order.
struct SortKeys<'a> {
    rows: &'a [(i64, i64)],
    orders: &'a [Order],
    columns: Vec<Vec<Key>>,
}

impl<'a> SortKeys<'a> {
    fn new(source: &mut dyn Source, query: &'a Query, rows: &'a [(i64, i64)]) -> Result<Self> {
        let mut columns = Vec::with_capacity(query.order.len());
        for order in &query.order {
            let mut column = vec![Key::Missing; rows.len()];
            let mut finder = Finder { rows, next: 0 };
            source.column(query, &order.field, None, &mut |row, value| {
                if let Some(i) = finder.find(row) {
                    column[i] = match value {
                        Value::Number(x) => Key::Number(x),
                        Value::Time(t) => Key::Time(t),
                        Value::Text(text) => Key::Text(text.to_owned()),
                    };
                }
            })?;
            columns.push(column);
        }
        Ok(Self { rows, orders: &query.order, columns })
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let keys = self.columns.iter().zip(self.orders);
        keys.map(|(column, order)| column[a].compare(&column[b], order.descending))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.last_resort(b).cmp(&self.last_resort(a)))
    }

    fn compare_to(&self, a: usize, b: &Position) -> Ordering {
        let keys = self.columns.iter().zip(self.orders).zip(&b.keys);
        keys.map(|((column, order), key)| column[a].compare(key, order.descending))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| (b.started, b.row).cmp(&self.last_resort(a)))
    }

    /// The latest first, and of those the last made.
    fn last_resort(&self, i: usize) -> (i64, i64) {
        (self.rows[i].1, self.rows[i].0)
    }

    fn take(&mut self, i: usize) -> Position {
        let keys = self.columns.iter_mut().map(|column| std::mem::take(&mut column[i])).collect();
        let (started, row) = self.last_resort(i);
        Position { query: String::new(), keys, started, row }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_last_and_nan_before_it() {
        let mut keys = [
            Key::Missing,
            Key::Number(f64::NAN),
            Key::Number(1.0),
            Key::Number(f64::INFINITY),
            Key::Number(-1.0),
        ];
        for (descending, order) in
            [(false, [-1.0, 1.0, f64::INFINITY]), (true, [f64::INFINITY, 1.0, -1.0])]
        {
            keys.sort_by(|a, b| a.compare(b, descending));
            assert_eq!(keys[..3], order.map(Key::Number));
            assert!(matches!(keys[3], Key::Number(x) if x.is_nan()));
            assert_eq!(keys[4], Key::Missing);
        }
    }

    #[test]
    fn tokens_are_read_back_and_belong_to_a_query() {
        let query = Query::new().order_by("metrics.auc").and_then(|q| q.order_by("params.x"));
        let query = query.expect("a query");
        let keys = vec![Key::Number(f64::NAN), Key::Text("ü".into())];
        let position = Position { query: String::new(), keys, started: -5, row: 7 };
        let token = position.token(&query).expect("a token");
        let read = Position::read(&token, &query).expect("the same query");
        assert!(matches!(read.keys[..], [Key::Number(x), Key::Text(_)] if x.is_nan()));
        assert_eq!((read.started, read.row), (-5, 7));
        assert!(Position::read(&token, &query.clone().limit(3)).is_ok(), "another size of page");
        assert!(Position::read(&token, &query.clone().experiment(1)).is_err(), "another query");
        for bad in ["", "x", "e30", "!!!!", &"A".repeat(TOKEN_BYTES + 1), &token[1..]] {
            let error = Position::read(bad, &query).expect_err(bad);
            assert!(error.to_string().len() < 300, "an error of sane length");
        }
    }
}
