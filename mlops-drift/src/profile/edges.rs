//! The first look at a reference: where its values lie, in bounded memory.

use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u64, take_count, take_len, take_u8, take_u64,
};
use mlops_core::states::Counters;
use mlops_core::{Analyzer, Description, Digest, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::profile::few::Few;
use crate::profile::found_edges::{FoundEdges, Run};
use crate::profile::keys::{BLOCK, Extent, ZERO, all_keys, is_finite, some_keys};
use crate::profile::look::{Look, Parts};

/// Parts for each share of the values in the runs that are looked at again.
const PARTS_PER_EDGE: u64 = 4;

/// Finds where the finite numbers of a column lie, so that edges can be chosen at equal ranks: the
/// first of the two analyzers of a profile, before [`CountAtCells`](crate::CountAtCells).
///
/// Values are counted one by one while no more than the edges are distinct. Where more are, the keys
/// of the floats (their bits, made monotone) are counted by their leading bits, which leaves runs
/// of floats with many values unresolved. [`again`](Self::again) looks at these runs only, each cut
/// in parts by the number of values that it has: once for most data, then at what is narrow amid
/// the wide, as atoms amid a continuum. Every look counts in places that are fixed before it, so
/// that its state is the same for any order, batches and partitions, and stays within
/// [`state_bytes`](Self::state_bytes) whatever the number of rows.
///
/// Null, NaN and ±∞ are passed over; −0 is 0. Numbers are read as [`Rows::numbers`] reads them:
/// integers and decimals as the nearest `f64`, dates and times in their unit.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_drift::FindEdges;
///
/// let x = Float64Array::from_iter_values((0..1000).map(|i| f64::from(i % 7)));
/// let source = MemorySource::from(batch! { "x" => x }?);
/// let found = source.measure(&FindEdges::new("x", 4096)?)?;
/// assert_eq!((found.n(), found.distinct()), (1000, Some(7)));
/// assert_eq!(found.edges(4096)?, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// assert_eq!(found.edges(3)?, [0.0, 3.0, 6.0]); // minimum, median, maximum
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct FindEdges {
    column: String,
    edges: usize,
    look: Arc<Look>,
    /// Of a look at runs only: how many of the lowest bits are 0 in all keys.
    grain: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    column: String,
    edges: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<(u32, Vec<Parts>)>,
}

impl TryFrom<Written> for FindEdges {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let find = Self::new(written.column, written.edges)?;
        match written.again {
            None => Ok(find),
            Some((grain, _)) if grain >= u64::BITS => {
                Err(Error::invalid("bits that are 0 in all keys", "below 64", grain))
            }
            Some((grain, runs)) => {
                let look = Arc::new(Look::again(runs, find.edges)?);
                Ok(Self { look, grain: Some(grain), ..find })
            }
        }
    }
}

impl From<FindEdges> for Written {
    fn from(find: FindEdges) -> Self {
        let again = find.grain.map(|grain| (grain, find.look.runs().to_vec()));
        Self { column: find.column, edges: find.edges, again }
    }
}

impl FindEdges {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "drift_edges";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// Looks at this column, for up to so many edges.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are 2 to 65,536 edges.
    pub fn new(column: impl Into<String>, edges: usize) -> Result<Self> {
        if !(2..=1 << 16).contains(&edges) {
            return Err(Error::invalid("edges", "2 to 65,536", edges));
        }
        Ok(Self { column: column.into(), edges, look: Arc::new(Look::first()), grain: None })
    }

    /// The analyzer that looks again at the runs which are unresolved for this many edges; `None`
    /// if there are none. What it finds goes into [`FoundEdges::refine`].
    pub fn again(&self, found: &FoundEdges) -> Option<Self> {
        if !found.runs.iter().any(|run| found.is_unresolved(run, self.edges)) {
            return None;
        }
        // After the first look all runs that edges may lie in, and then only what still hides one.
        let wanted = |run: &&Run| {
            let edges = if self.grain.is_none() { 4 * self.edges } else { self.edges };
            found.is_unresolved(run, edges)
        };
        let wanted: Vec<_> = found.runs.iter().filter(wanted).collect();
        let n = wanted.iter().fold(0u128, |sum, run| sum + u128::from(run.count));
        let parts = wanted.into_iter().map(|run| {
            let share = u128::from(PARTS_PER_EDGE * self.edges as u64) * u128::from(run.count);
            let most = (share / n.max(1)) as u64;
            Parts::new(run.low, run.high, most, found.grain)
        });
        let look = Arc::new(Look::again(parts.collect(), self.edges).ok()?);
        let column = self.column.clone();
        Some(Self { column, edges: self.edges, look, grain: Some(found.grain) })
    }

    /// Whether it looks again at the run with this key.
    pub(super) fn looks_at(&self, key: u64) -> bool {
        self.grain.is_some() && self.look.counter(key) > 0
    }

    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The most bytes of memory that a state takes: 384 KiB for 4,096 edges, and 896 KiB beyond some
    /// four billion rows.
    pub fn state_bytes(&self) -> usize {
        size_of::<EdgesState>() + 4 * Look::most_counters(self.edges) + Few::most_bytes(self.edges)
    }
}

/// What [`FindEdges`] has seen so far.
#[derive(Clone, Debug)]
pub struct EdgesState {
    look: Arc<Look>,
    /// So many distinct keys are counted one by one.
    most: usize,
    few: Few,
    /// Of more keys by counter of the look; none while they are few.
    counts: Counters,
    /// In a first look, of those that are counted by counter.
    extent: Extent,
}

impl EdgesState {
    fn is_few(&self) -> bool {
        self.counts.is_empty()
    }

    /// Counts keys of finite values.
    fn add(&mut self, keys: &[u64]) {
        let (look, mut left) = (&*self.look, keys);
        if self.is_few() {
            let taken = if look.is_first() {
                self.few.add(keys, self.most, |_| true)
            } else {
                self.few.add(keys, self.most, |key| look.counter(key) > 0)
            };
            left = &keys[taken..];
            if left.is_empty() {
                return;
            }
            self.spread();
        }
        if self.look.is_first() {
            self.extent = self.extent.and(Extent::of(left));
        }
        let look = &*self.look;
        self.counts.add(left, |key| look.counter(key));
    }

    /// From one by one to the counters.
    fn spread(&mut self) {
        self.counts = Counters::new(self.look.counters());
        for (key, count) in std::mem::replace(&mut self.few, Few::new()).iter() {
            self.add_many(key, count);
        }
    }

    /// Adds to the counter of a key.
    fn add_many(&mut self, key: u64, count: u64) {
        self.counts.add_count(self.look.counter(key), count);
        if self.look.is_first() {
            let zeros = if key == ZERO { count } else { 0 };
            self.extent = self.extent.and(Extent { zeros, ..Extent::of(&[key]) });
        }
    }

    /// The counters of keys that are in a run, with their places.
    fn counters(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().enumerate().skip(1).filter(|(_, count)| *count > 0)
    }

    /// Whether the extent can be that of these counts.
    fn agrees(&self) -> bool {
        let Extent { zeros, low, high, bits } = self.extent;
        let at = |key| is_finite(key).then(|| self.look.counter(key));
        let (first, last) = (self.counters().next(), self.counters().last());
        low <= high
            && at(low) == first.map(|(at, _)| at)
            && at(high) == last.map(|(at, _)| at)
            && zeros <= self.counts.get(self.look.counter(ZERO))
            && (low | high) & !bits == 0
    }
}

impl Analyzer for FindEdges {
    type State = EdgesState;
    type Output = FoundEdges;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> EdgesState {
        EdgesState {
            look: self.look.clone(),
            most: self.edges,
            few: Few::new(),
            counts: Counters::new(0),
            extent: Extent::NONE,
        }
    }

    fn update(&self, state: &mut EdgesState, rows: &Rows<'_>) -> Result<()> {
        let array: &Float64Array = rows.numbers(&self.column)?;
        let values = array.values();
        let valid = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut keys = [0; BLOCK];
        for at in (0..values.len()).step_by(BLOCK) {
            let part = &values[at..values.len().min(at + BLOCK)];
            let n = match valid {
                Some(valid) => {
                    let valid = valid.inner().slice(at, part.len());
                    some_keys(part, valid.bit_chunks().iter_padded(), &mut keys)
                }
                None if all_keys(part, &mut keys) => part.len(),
                None => some_keys(part, std::iter::repeat(u64::MAX), &mut keys),
            };
            state.add(&keys[..n]);
        }
        Ok(())
    }

    fn finish(&self, state: EdgesState) -> Result<FoundEdges> {
        Ok(if state.is_few() {
            FoundEdges::values_of(&state.few.sorted())
        } else {
            FoundEdges::parts_of(&self.look, &state.counts, state.extent, self.grain, self.edges)
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<EdgesState> {
        let mut state = self.start();
        let few = match take_u8(bytes)? {
            0 => true,
            1 => false,
            other => return Err(bad(bytes, "0 or 1", other)),
        };
        if !few && self.look.is_first() {
            let zeros = take_count(bytes)?;
            let (low, high, bits) = (take_u64(bytes)?, take_u64(bytes)?, take_u64(bytes)?);
            state.extent = Extent { zeros, low, high, bits };
        }
        let n = take_len(bytes, 16)?;
        let mut counts = Vec::with_capacity(n);
        let (mut last, mut total) = (None, 0);
        for _ in 0..n {
            let (at, count) = (take_u64(bytes)?, take_count(bytes)?);
            total += u128::from(count);
            let known = if few {
                is_finite(at) && self.look.counter(at) > 0
            } else {
                (1..self.look.counters() as u64).contains(&at)
            };
            if !known || last >= Some(at) || count == 0 || total > 1 << 56 {
                return Err(bad(bytes, "keys or counters in order with counts of rows", at));
            }
            last = Some(at);
            counts.push((at, count));
        }
        // Fewer values would have been counted one by one, and more would not.
        if few && n > self.edges || !few && total <= self.edges as u128 {
            return Err(bad(bytes, "counters where keys are too many, and only there", n));
        }
        if few {
            for (key, count) in counts {
                state.few.add_count(key, count, self.edges);
            }
            return Ok(state);
        }
        state.counts = Counters::new(self.look.counters());
        for (at, count) in counts {
            state.counts.add_count(at as usize, count);
        }
        if self.look.is_first() && !state.agrees() {
            return Err(bad(bytes, "an extent that the counts hold", "another"));
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }

    /// Thousands of runs take a millisecond to write as text, and as long as a scan of a column.
    fn identity(&self) -> Option<Digest> {
        let mut bytes = Vec::new();
        put_str(&mut bytes, &self.column);
        put_len(&mut bytes, self.edges);
        if let Some(grain) = self.grain {
            put_u8(&mut bytes, grain as u8);
            for run in self.look.runs() {
                put_u64(&mut bytes, run.low);
                put_u64(&mut bytes, run.high);
                put_u8(&mut bytes, run.shift as u8);
            }
        }
        Some(Digest::of(bytes))
    }
}

impl State for EdgesState {
    fn merge(&mut self, mut other: Self) -> Result<()> {
        if self.most != other.most
            || !(Arc::ptr_eq(&self.look, &other.look) || self.look == other.look)
        {
            return Err(Error::merge("counts of keys", "the other was counted in another look"));
        }
        if self.is_few() && !other.is_few() {
            std::mem::swap(self, &mut other);
        }
        if other.is_few() {
            for (key, count) in other.few.iter() {
                if self.is_few() && !self.few.add_count(key, count, self.most) {
                    self.spread();
                }
                if !self.is_few() {
                    self.add_many(key, count);
                }
            }
            return Ok(());
        }
        self.extent = self.extent.and(other.extent);
        self.counts.merge(&other.counts);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, u8::from(!self.is_few()));
        let counts: Vec<_> = if self.is_few() {
            self.few.sorted()
        } else {
            self.counters().map(|(at, count)| (at as u64, count)).collect()
        };
        if !self.is_few() && self.look.is_first() {
            put_u64(out, self.extent.zeros);
            put_u64(out, self.extent.low);
            put_u64(out, self.extent.high);
            put_u64(out, self.extent.bits);
        }
        put_len(out, counts.len());
        for (at, count) in counts {
            put_u64(out, at);
            put_u64(out, count);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.few.size() + self.counts.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, NullArray};
    use mlops_core::{batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::profile::keys::key_of;

    fn found(values: &[f64], edges: usize) -> FoundEdges {
        let find = FindEdges::new("x", edges).expect("edges");
        let rows = batch! { "x" => Float64Array::from(values.to_vec()) }.expect("a batch");
        let look = |find: &FindEdges| {
            let mut state = find.start();
            find.update(&mut state, &Rows::new(&rows)).expect("values");
            find.finish(state).expect("runs")
        };
        let mut found = look(&find);
        while let Some(again) = find.again(&found) {
            let finer = look(&again);
            found.refine(&again, finer).expect("the same values");
        }
        found
    }

    #[test]
    fn the_contract_holds_on_nasty_data() {
        let mut values: Vec<_> =
            (0..90).map(|i| Some((f64::from(i) * 1.7).sin().exp2() * -1.3e9)).collect();
        values.extend((0..60).map(|i| Some(f64::from(i % 37).exp2())));
        // An atom, and its neighbour in the same bucket.
        values.extend((0..40).map(|_| Some(0.123)).chain([Some(0.123f64.next_up())]));
        values.extend([None, Some(f64::NAN), Some(f64::INFINITY), Some(-0.0), Some(5e-324)]);
        values.extend([Some(0.0), Some(f64::MAX), Some(f64::MIN), Some(f64::NEG_INFINITY), None]);
        let n = values.len();
        let rows = batch! {
            "x" => Float64Array::from(values),
            "i" => Int32Array::from_iter_values((0..n as i32).map(|i| i % 7)),
            "nothing" => NullArray::new(n),
        }
        .expect("a batch");
        for column in ["x", "i", "nothing"] {
            let find = FindEdges::new(column, 30).expect("edges");
            conformance::analyzer(&find, &rows);
            let mut state = find.start();
            find.update(&mut state, &Rows::new(&rows)).expect("values");
            let again = find.again(&find.finish(state).expect("runs"));
            assert_eq!(again.is_some(), column == "x");
            if let Some(again) = again {
                conformance::analyzer(&again, &rows);
                let written = again.description().expect("a description");
                assert_eq!(written.parse::<FindEdges>().expect("an analyzer"), again);
            }
        }
        assert!(FindEdges::new("x", 1).is_err());
    }

    #[test]
    fn few_values_are_their_own_edges() {
        let runs = found(&[3.0, -0.0, 0.0, 2.5, 3.0, f64::NEG_INFINITY], 100);
        assert_eq!((runs.distinct(), runs.n()), (Some(3), 5));
        assert_eq!(runs.edges(10).expect("edges"), [0.0, 2.5, 3.0]);
        assert_eq!(runs.edges(2).expect("edges"), [0.0, 3.0]);
        assert!(found(&[f64::NAN], 4).edges(4).expect("edges").is_empty());
    }

    #[test]
    fn edges_lie_at_equal_ranks() {
        let values: Vec<_> = (0..10_000).map(|i| f64::from(i) / 7.0).collect();
        let edges = found(&values, 101).edges(101).expect("edges");
        assert_eq!(edges.len(), 101);
        for (i, edge) in edges.iter().enumerate() {
            assert!((edge * 7.0 - 99.99 * i as f64).abs() <= 60.0, "{i}: {edge}");
        }
    }

    #[test]
    fn many_edges_are_simple_fractions_but_for_the_extremes() {
        let values: Vec<_> = (0..50_000u64).map(|i| (i * i % 99_991) as f64 / 7e4).collect();
        let edges = found(&values, 1000).edges(1000).expect("edges");
        assert!(edges.len() > 900, "{}", edges.len());
        for edge in &edges[1..edges.len() - 1] {
            assert_eq!(edge.to_bits() % (1 << 40), 0, "{edge}");
        }
        let (low, high) = (edges[0], edges[edges.len() - 1]);
        assert!(values.contains(&low) && values.contains(&high));
        // A heavy value that is no simple fraction is worth more than speed.
        let mut heavy = values;
        heavy.extend([1.1234567; 1000]);
        let edges = found(&heavy, 1000).edges(1000).expect("edges");
        assert!(edges.contains(&1.1234567));
    }

    #[test]
    fn crowds_side_by_side_are_looked_into_apart() {
        // Where numbers of all sizes make runs wide, four of these hold a fifth of the values each.
        let values: Vec<_> = (0..20_000)
            .map(|i| {
                let place = (f64::from(i) * 1.7).sin().abs();
                let cluster = [1.0, 1.5, 2.0, 2.5].get(i as usize % 5);
                cluster.map_or((1000.0 * (place - 0.5)).exp2(), |at| at + 1e-9 * place)
            })
            .collect();
        for most in [12, 50, 100] {
            let edges = found(&values, most).edges(most).expect("edges");
            for pair in edges.windows(2) {
                let between = values.iter().filter(|x| pair[0] < **x && **x < pair[1]).count();
                assert!(between * (most - 1) <= 3 * values.len() + most, "{between} in {pair:?}");
            }
        }
    }

    #[test]
    fn what_changed_between_two_looks_is_an_error() {
        let find = FindEdges::new("x", 8).expect("edges");
        let look = |find: &FindEdges, n: i32| {
            let x = Float64Array::from_iter_values((0..n).map(|i| 1e9 + f64::from(i % 7).sqrt()));
            let rows = batch! { "x" => x }.expect("a batch");
            let mut state = find.start();
            find.update(&mut state, &Rows::new(&rows)).expect("values");
            find.finish(state).expect("runs")
        };
        let run = Run { low: key_of(1e9), high: key_of(2e9), count: 20_000 };
        let mut found = FoundEdges { n: 20_000, grain: 0, runs: vec![run] };
        let again = find.again(&found).expect("one run with all values");
        assert!(found.clone().refine(&again, look(&again, 19_999)).is_err());
        assert!(found.clone().refine(&find, look(&find, 20_000)).is_err());
        found.refine(&again, look(&again, 20_000)).expect("the same values");
        assert_eq!((found.n(), found.distinct()), (20_000, Some(7)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn edges_increase_and_hold_the_extremes_and_the_atoms(
            mut values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..900),
            atom in any::<f64>().prop_filter("finite", |x| x.is_finite()),
            atoms in 0usize..900,
            edges in 2usize..40,
        ) {
            values.extend(std::iter::repeat_n(atom, atoms));
            let runs = found(&values, edges);
            let plain = runs.edges(edges).expect("edges");
            let near = runs.snapped(&plain, edges).expect("edges");
            for chosen in [Some(plain), near].into_iter().flatten() {
            prop_assert!(chosen.len() <= edges && chosen.windows(2).all(|w| w[0] < w[1]));
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
            prop_assert_eq!((chosen[0], *chosen.last().expect("an edge")), (low, high));
            if atoms * edges > 2 * values.len() {
                prop_assert!(chosen.contains(&atom), "{atom} among {chosen:?}");
            }
            for pair in chosen.windows(2) {
                let between = values.iter().filter(|x| pair[0] < **x && **x < pair[1]).count();
                prop_assert!(between * (edges - 1) <= 3 * values.len() + edges, "{between} in {pair:?}");
            }
            }
        }

        #[test]
        fn hostile_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let find = FindEdges::new("x", 8).expect("edges");
            if let Ok(state) = find.decode(&mut bytes.as_slice()) {
                drop(find.finish(state).map(|found| (found.edges(8), found.edges(600), found.n())));
            }
        }
    }
}
