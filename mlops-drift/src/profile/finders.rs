//! The first look at a reference: where its values lie, in bounded memory.

use arrow::array::{Array, Float64Array};
use mlops_core::bytes::{add_count, bad, put_len, put_u8, put_u64, take_len, take_u8, take_u64};
use mlops_core::{Analyzer, Error, Result, Rows, State};

/// Finds where the finite numbers of a column lie: every distinct value with its count while there
/// are at most `cap` of them, then the same for ever wider runs of the floats' own grid.
#[derive(Clone, Debug)]
pub(crate) struct ValueFinder {
    pub(crate) column: String,
    pub(crate) cap: usize,
}

/// What [`ValueFinder`] has seen: sorted buckets, each the run of floats whose keys agree but for
/// the lowest `shift` bits. The shift is the smallest that leaves at most `cap` buckets, which
/// depends on the multiset of values alone: a part never needs a larger one than the whole. At the
/// widest, a bucket is a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueState {
    shift: u8,
    cap: usize,
    most: u64,
    /// The smallest key in the bucket, and how many values it has.
    buckets: Vec<(u64, u64)>,
}

/// Order of the floats as order of integers; −0 is +0.
fn key_of(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn value_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

impl ValueState {
    /// How many distinct values there are, where that is known.
    pub(crate) fn distinct(&self) -> Option<usize> {
        (self.shift == 0).then_some(self.buckets.len())
    }

    /// The smallest value of each bucket.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.buckets.iter().map(|(key, _)| value_of(*key))
    }

    /// At most this many edges (at least 2), at equally spaced ranks, always with the extremes. All
    /// of the values, where there are no more.
    pub(crate) fn edges(&self, most: usize) -> Vec<f64> {
        if self.buckets.is_empty() {
            return Vec::new();
        }
        let n = self.buckets.iter().fold(0u64, |sum, b| sum.saturating_add(b.1));
        let mut edges = Vec::with_capacity(most);
        if self.shift == 0 && self.buckets.len() <= most {
            edges.extend(self.values());
            return edges;
        }
        let (mut bucket, mut through) = (0, self.buckets[0].1);
        for i in 0..most as u64 - 1 {
            let rank = (u128::from(n - 1) * u128::from(i) / (most as u128 - 1)) as u64;
            while through <= rank {
                bucket += 1;
                through = through.saturating_add(self.buckets[bucket].1);
            }
            edges.push(value_of(self.buckets[bucket].0));
        }
        edges.push(value_of(self.most));
        edges.dedup();
        edges
    }

    /// Takes in sorted buckets of a grid that is not wider than `shift`, which this one's may be
    /// narrower than, too.
    fn absorb(&mut self, other: &[(u64, u64)]) {
        let shift = self.shift;
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.buckets.len() + other.len());
        let (mut left, mut right) = (self.buckets.iter().peekable(), other.iter().peekable());
        while let Some(&(key, count)) = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a.0 <= b.0 => left.next(),
            (Some(_), None) => left.next(),
            _ => right.next(),
        } {
            match merged.last_mut() {
                Some(last) if last.0 >> shift == key >> shift => add_count(&mut last.1, count),
                _ => merged.push((key, count)),
            }
        }
        self.buckets = merged;
        while self.buckets.len() > self.cap && self.shift < 63 {
            self.shift += 1;
            let shift = self.shift;
            self.buckets.dedup_by(|next, kept| {
                let same = next.0 >> shift == kept.0 >> shift;
                if same {
                    add_count(&mut kept.1, next.1);
                }
                same
            });
        }
    }
}

impl Analyzer for ValueFinder {
    type State = ValueState;
    type Output = ValueState;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> ValueState {
        ValueState { shift: 0, cap: self.cap, most: 0, buckets: Vec::new() }
    }

    fn update(&self, state: &mut ValueState, rows: &Rows<'_>) -> Result<()> {
        let values: &Float64Array = rows.numbers(&self.column)?;
        let finite = |x: &f64| x.is_finite();
        let mut keys: Vec<u64> = if values.null_count() == 0 {
            values.values().iter().copied().filter(finite).map(key_of).collect()
        } else {
            values.iter().flatten().filter(finite).map(key_of).collect()
        };
        keys.sort_unstable();
        if let Some(last) = keys.last() {
            state.most = state.most.max(*last);
        }
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for key in keys {
            match runs.last_mut() {
                Some(last) if last.0 >> state.shift == key >> state.shift => last.1 += 1,
                _ => runs.push((key, 1)),
            }
        }
        state.absorb(&runs);
        Ok(())
    }

    fn finish(&self, state: ValueState) -> Result<ValueState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ValueState> {
        let shift = take_u8(bytes)?;
        let most = take_u64(bytes)?;
        let n = take_len(bytes, 16)?;
        let buckets: Vec<_> =
            (0..n).map(|_| Ok((take_u64(bytes)?, take_u64(bytes)?))).collect::<Result<_>>()?;
        let sorted = shift < 64
            && n <= self.cap.max(2)
            && buckets.windows(2).all(|w| w[0].0 >> shift < w[1].0 >> shift)
            && buckets.iter().all(|b| b.1 > 0 && value_of(b.0).is_finite());
        let sum = buckets.iter().try_fold(0u64, |sum, b| sum.checked_add(b.1));
        if !sorted || sum.is_none() || buckets.last().map_or(0, |b| b.0) > most {
            return Err(bad(bytes, "buckets of finite values in order", "others"));
        }
        Ok(ValueState { shift, cap: self.cap, most, buckets })
    }
}

impl State for ValueState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            return Err(Error::merge("values", format!("caps {} and {}", self.cap, other.cap)));
        }
        self.most = self.most.max(other.most);
        self.shift = self.shift.max(other.shift);
        self.absorb(&other.buckets);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, self.shift);
        put_u64(out, self.most);
        put_len(out, self.buckets.len());
        for (key, count) in &self.buckets {
            put_u64(out, *key);
            put_u64(out, *count);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + 16 * self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, NullArray};
    use mlops_core::{batch, conformance};
    use proptest::prelude::*;

    use super::*;

    fn found(values: &[f64], cap: usize) -> ValueState {
        let finder = ValueFinder { column: "x".into(), cap };
        let rows = batch! { "x" => Float64Array::from(values.to_vec()) }.expect("a batch");
        let mut state = finder.start();
        finder.update(&mut state, &Rows::new(&rows)).expect("values");
        state
    }

    #[test]
    fn the_contract_holds_on_nasty_data() {
        let mut values: Vec<_> = (0..300).map(|i| Some(f64::from(i % 97).exp2() * -1.3)).collect();
        values.extend([None, Some(f64::NAN), Some(f64::INFINITY), Some(-0.0), Some(5e-324)]);
        let n = values.len();
        let rows = batch! {
            "x" => Float64Array::from(values),
            "i" => Int32Array::from_iter_values((0..n as i32).map(|i| i % 7)),
            "nothing" => NullArray::new(n),
        }
        .expect("a batch");
        for column in ["x", "i", "nothing"] {
            for cap in [1, 8, 1000] {
                conformance::analyzer(&ValueFinder { column: column.into(), cap }, &rows);
            }
        }
    }

    #[test]
    fn few_values_are_their_own_edges() {
        let state = found(&[3.0, -0.0, 0.0, 2.5, 3.0, f64::NEG_INFINITY], 100);
        assert_eq!(state.distinct(), Some(3));
        assert_eq!(state.edges(10), [0.0, 2.5, 3.0]);
        assert_eq!(state.edges(2), [0.0, 3.0]);
        assert!(found(&[f64::NAN], 4).edges(4).is_empty());
    }

    #[test]
    fn edges_lie_at_equal_ranks() {
        let values: Vec<_> = (0..10_000).map(|i| f64::from(i) / 7.0).collect();
        let edges = found(&values, 1 << 14).edges(101);
        assert_eq!(edges.len(), 101);
        for (i, edge) in edges.iter().enumerate() {
            assert!((edge * 7.0 - 99.99 * i as f64).abs() <= 1.0, "{i}: {edge}");
        }
    }

    proptest! {
        #[test]
        fn edges_increase_and_hold_the_extremes(
            values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..300),
            cap in 1usize..64,
            most in 2usize..40,
        ) {
            let edges = found(&values, cap).edges(most);
            prop_assert!(edges.len() <= most && edges.windows(2).all(|w| w[0] < w[1]));
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
            prop_assert_eq!((edges[0], *edges.last().expect("an edge")), (low, high));
        }

        #[test]
        fn hostile_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let finder = ValueFinder { column: "x".into(), cap: 8 };
            drop(finder.decode(&mut bytes.as_slice()));
        }
    }
}
