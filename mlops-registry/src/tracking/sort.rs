//! What runs are sorted by, and where a page ends.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::filter::{Attribute, Field, Order, Value};
use super::limits::shown;
use super::query::Query;
use super::search::{Reader, place};

/// The longest token of a page that is looked at, in bytes.
const TOKEN_BYTES: usize = 1 << 17;

/// A value to sort by. Numbers are kept by their bits where they leave the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Key {
    Number(#[serde(with = "bits")] f64),
    Time(i64),
    Text(String),
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

/// Numbers as integers that stand in the order of a search: values, then NaN, then nothing,
/// whichever the direction.
mod rank {
    pub(super) const NAN: u64 = u64::MAX - 1;
    pub(super) const MISSING: u64 = u64::MAX;

    const SIGN: u64 = 1 << 63;

    pub(super) fn of(x: f64, descending: bool) -> u64 {
        if x.is_nan() {
            return NAN;
        }
        // Both zeros are one number.
        let bits = (x + 0.0).to_bits();
        let ascending = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        if descending { !ascending } else { ascending }
    }

    /// The number of a rank; `None` where there was none.
    pub(super) fn number(rank: u64, descending: bool) -> Option<f64> {
        match rank {
            MISSING => None,
            NAN => Some(f64::NAN),
            _ => {
                let ascending = if descending { !rank } else { rank };
                let bits = if ascending & SIGN == 0 { !ascending } else { ascending ^ SIGN };
                Some(f64::from_bits(bits))
            }
        }
    }
}

/// What an order sorts by, with the rows that have it, as it was read.
pub(super) enum Keys {
    Ranks(Vec<(i64, u64)>),
    Times(Vec<(i64, i64)>),
    Texts(Vec<(i64, String)>),
}

impl Keys {
    pub(super) fn read(reader: &dyn Reader, order: &Order) -> Result<Self> {
        let mut keys = match &order.field {
            Field::Metric(_) => Self::Ranks(Vec::new()),
            Field::Attribute(Attribute::Started | Attribute::Ended) => Self::Times(Vec::new()),
            _ => Self::Texts(Vec::new()),
        };
        reader.column(&order.field, None, &mut |row, value| match (&mut keys, value) {
            (Self::Ranks(all), Value::Number(x)) => all.push((row, rank::of(x, order.descending))),
            (Self::Times(all), Value::Time(time)) => all.push((row, time)),
            (Self::Texts(all), Value::Text(text)) => all.push((row, text.to_owned())),
            // A field has values of one kind.
            _ => {}
        })?;
        Ok(keys)
    }

    /// The same for each of the rows in view.
    fn of(self, rows: &[(i64, i64)]) -> Column {
        fn spread<T: Clone, U>(
            rows: &[(i64, i64)],
            keys: Vec<(i64, U)>,
            none: T,
            some: impl Fn(U) -> T,
        ) -> Vec<T> {
            let mut column = vec![none; rows.len()];
            place(rows, keys, |i, key| column[i] = some(key));
            column
        }
        match self {
            Self::Ranks(keys) => Column::Ranks(spread(rows, keys, rank::MISSING, |rank| rank)),
            Self::Times(keys) => Column::Times(spread(rows, keys, None, Some)),
            Self::Texts(keys) => Column::Texts(spread(rows, keys, None, Some)),
        }
    }
}

/// What an order sorts by, for every row in view.
enum Column {
    /// They know their direction.
    Ranks(Vec<u64>),
    Times(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

/// Values in their direction, then nothing.
fn last<T: Ord>(a: Option<T>, b: Option<T>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

impl Column {
    fn compare(&self, a: usize, b: usize, descending: bool) -> Ordering {
        match self {
            Self::Ranks(ranks) => ranks[a].cmp(&ranks[b]),
            Self::Times(times) => last(times[a], times[b], descending),
            Self::Texts(texts) => last(texts[a].as_deref(), texts[b].as_deref(), descending),
        }
    }

    /// [`compare`](Self::compare) with what a token says; what is of another kind is nothing.
    fn compare_to(&self, a: usize, key: &Key, descending: bool) -> Ordering {
        match (self, key) {
            (Self::Ranks(ranks), Key::Number(x)) => ranks[a].cmp(&rank::of(*x, descending)),
            (Self::Ranks(ranks), _) => ranks[a].cmp(&rank::MISSING),
            (Self::Times(times), Key::Time(time)) => last(times[a], Some(*time), descending),
            (Self::Times(times), _) => last(times[a], None, descending),
            (Self::Texts(texts), Key::Text(text)) => {
                last(texts[a].as_deref(), Some(text.as_str()), descending)
            }
            (Self::Texts(texts), _) => last(texts[a].as_deref(), None, descending),
        }
    }

    fn key(&self, i: usize, descending: bool) -> Key {
        let key = match self {
            Self::Ranks(ranks) => rank::number(ranks[i], descending).map(Key::Number),
            Self::Times(times) => times[i].map(Key::Time),
            Self::Texts(texts) => texts[i].clone().map(Key::Text),
        };
        key.unwrap_or(Key::Missing)
    }
}

/// Where a run stands in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The beginning of the query's digest.
    query: String,
    keys: Vec<Key>,
    started: i64,
    row: i64,
}

impl Position {
    pub(super) fn token(mut self, query: &Query) -> Result<String> {
        query.digest()?.hex()[..16].clone_into(&mut self.query);
        let json = serde_json::to_vec(&self).map_err(|e| Error::other("token of a page", e))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    pub(super) fn read(token: &str, query: &Query) -> Result<Self> {
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
pub(super) struct SortKeys<'a> {
    rows: &'a [(i64, i64)],
    columns: Vec<(Column, bool)>,
}

impl<'a> SortKeys<'a> {
    pub(super) fn new(rows: &'a [(i64, i64)], orders: &[Order], keys: Vec<Keys>) -> Self {
        let columns = keys.into_iter().zip(orders);
        Self { rows, columns: columns.map(|(k, order)| (k.of(rows), order.descending)).collect() }
    }

    pub(super) fn compare(&self, a: usize, b: usize) -> Ordering {
        let orders = self.columns.iter().map(|(column, down)| column.compare(a, b, *down));
        orders
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.last_resort(b).cmp(&self.last_resort(a)))
    }

    pub(super) fn compare_to(&self, a: usize, b: &Position) -> Ordering {
        let columns = self.columns.iter().zip(&b.keys);
        columns
            .map(|((column, descending), key)| column.compare_to(a, key, *descending))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| (b.started, b.row).cmp(&self.last_resort(a)))
    }

    /// The latest first, and of those the last made.
    fn last_resort(&self, i: usize) -> (i64, i64) {
        (self.rows[i].1, self.rows[i].0)
    }

    pub(super) fn position(&self, i: usize) -> Position {
        let keys = self.columns.iter().map(|(column, descending)| column.key(i, *descending));
        let (started, row) = self.last_resort(i);
        Position { query: String::new(), keys: keys.collect(), started, row }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LADDER: [f64; 9] =
        [f64::NEG_INFINITY, f64::MIN, -1.0, -5e-324, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY];

    #[test]
    fn nothing_comes_last_and_nan_before_it() {
        for descending in [false, true] {
            let mut ladder: Vec<u64> = LADDER.iter().map(|x| rank::of(*x, descending)).collect();
            if descending {
                ladder.reverse();
            }
            ladder.push(rank::of(-f64::NAN, descending));
            ladder.push(rank::MISSING);
            assert!(ladder.is_sorted_by(|a, b| a < b), "{ladder:x?}");
            assert_eq!(rank::of(0.0, descending), rank::of(-0.0, descending));
            assert_eq!(last(Some(1), Some(2), descending).is_gt(), descending);
            assert_eq!(last(Some(1), None, descending), Ordering::Less);
            assert_eq!(last(None, Some(1), descending), Ordering::Greater);
            assert_eq!(last::<i64>(None, None, descending), Ordering::Equal);
        }
    }

    proptest! {
        #[test]
        fn ranks_stand_as_numbers_do(a: f64, b: f64, descending: bool) {
            let order = rank::of(a, descending).cmp(&rank::of(b, descending));
            let numbers = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            prop_assert_eq!(order, if descending { numbers.reverse() } else { numbers });
            prop_assert_eq!(rank::number(rank::of(a, descending), descending), Some(a));
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
