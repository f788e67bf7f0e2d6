//! The first look at a reference: where its values lie, in bounded memory.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, Float64Array};
use mlops_core::bytes::{add_count, bad, put_u8, put_u64, take_count, take_u8, take_u64};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::profile::found_edges::{FoundEdges, ZERO, value_of};
use crate::profile::pages::Pages;

/// Pages of counters for each edge that is wanted; there are eight counters in a page.
const PAGES_PER_EDGE: usize = 2;
/// Fewer edges don't make fewer pages.
const LEAST_PAGES: usize = 64;
/// Values whose keys are made and counted at once: the more, the sooner the shift is right.
const BLOCK: usize = 1 << 14;
/// Order of the floats as order of integers; −0 is +0.
fn key_of(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    let sign = (bits as i64 >> 63) as u64;
    bits ^ (sign | ZERO)
}

/// Finds where the finite numbers of a column lie, so that edges can be chosen at equal ranks: the
/// first of the two analyzers of a profile, before [`CountAtCells`](crate::CountAtCells).
///
/// The keys of the floats (their bits, made monotone) are counted by their upper bits: by all bits
/// while there are few distinct values, then by ever fewer, so that the state stays within
/// [`state_bytes`](Self::state_bytes), whatever the number of rows. How many bits depends on the
/// set of values alone, so that the state is the same for any order, batches and partitions.
///
/// What it finds may leave a run of floats with many values unresolved: of data with atoms amid a
/// continuum, or in narrow clusters far apart. [`again`](Self::again) looks at these runs only.
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
    within: Option<Within>,
    /// The buckets of `within`, to be looked up.
    known: Buckets,
}

/// The runs to be looked at again: their buckets at a shift, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Within {
    shift: u8,
    buckets: Vec<u64>,
}

type Buckets = HashSet<u64, BuildHasherDefault<Spread>>;

/// Buckets may differ in any bits, and a table looks at the highest and the lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, bucket: u64) {
        // 2⁶⁴ over the golden ratio.
        let product = u128::from(self.0 ^ bucket) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    column: String,
    edges: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Within>,
}

impl TryFrom<Written> for FindEdges {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let find = Self::new(written.column, written.edges)?;
        let Some(within) = written.within else { return Ok(find) };
        let increasing = within.buckets.windows(2).all(|w| w[0] < w[1]);
        if !increasing || within.shift > 63 {
            return Err(Error::invalid("runs to look at again", "buckets in order", "others"));
        }
        Ok(Self { known: within.buckets.iter().copied().collect(), within: Some(within), ..find })
    }
}

impl From<FindEdges> for Written {
    fn from(find: FindEdges) -> Self {
        Self { column: find.column, edges: find.edges, within: find.within }
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
        Ok(Self { column: column.into(), edges, within: None, known: Buckets::default() })
    }

    /// The analyzer that looks again at the runs which are unresolved for this many edges; `None`
    /// if there are none. What it finds goes into [`FoundEdges::refine`].
    pub fn again(&self, found: &FoundEdges) -> Option<Self> {
        let runs = found.runs.iter().filter(|run| found.is_unresolved(run, self.edges));
        let buckets: Vec<_> = runs.map(|run| run.low >> found.shift).collect();
        if buckets.is_empty() {
            return None;
        }
        let known = buckets.iter().copied().collect();
        let within = Some(Within { shift: found.shift as u8, buckets });
        Some(Self { column: self.column.clone(), edges: self.edges, within, known })
    }

    /// Whether it looks again at the run with this key.
    pub(super) fn looks_at(&self, key: u64) -> bool {
        self.within.as_ref().is_some_and(|within| self.known.contains(&(key >> within.shift)))
    }

    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    fn pages(&self) -> usize {
        (self.edges * PAGES_PER_EDGE).max(LEAST_PAGES)
    }

    /// The most bytes of memory that a state takes: 704 KiB for 4,096 edges.
    pub fn state_bytes(&self) -> usize {
        size_of::<EdgesState>() + Pages::most_bytes(self.pages())
    }

    /// Counts values, no more than there is room for their keys.
    fn add_block(
        &self,
        state: &mut EdgesState,
        values: impl Iterator<Item = f64>,
        keys: &mut [u64],
    ) {
        let mut n = 0;
        for x in values {
            keys[n] = key_of(x);
            n += usize::from(x.is_finite());
        }
        if let Some(within) = &self.within {
            let mut kept = 0;
            for i in 0..n {
                let key = keys[i];
                // 0 is a run of its own, and never unresolved.
                if key != ZERO && self.known.contains(&(key >> within.shift)) {
                    keys[kept] = key;
                    kept += 1;
                }
            }
            n = kept;
        }
        for &key in &keys[..n] {
            state.zeros += u64::from(key == ZERO);
            state.ends = (state.ends.0.min(key), state.ends.1.max(key));
        }
        state.pages.add(&keys[..n]);
    }
}

/// What [`FindEdges`] has seen so far.
#[derive(Clone, Debug)]
pub struct EdgesState {
    pages: Pages,
    /// How many of the values are 0.
    zeros: u64,
    /// The smallest and the largest key.
    ends: (u64, u64),
}

const NO_ENDS: (u64, u64) = (u64::MAX, 0);

impl Analyzer for FindEdges {
    type State = EdgesState;
    type Output = FoundEdges;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> EdgesState {
        EdgesState { pages: Pages::new(self.pages()), zeros: 0, ends: NO_ENDS }
    }

    fn update(&self, state: &mut EdgesState, rows: &Rows<'_>) -> Result<()> {
        let array: &Float64Array = rows.numbers(&self.column)?;
        let values = array.values();
        let mut keys = vec![0; values.len().min(BLOCK)];
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                for block in values.chunks(BLOCK) {
                    self.add_block(state, block.iter().copied(), &mut keys);
                }
            }
            Some(nulls) => {
                let mut valid = nulls.valid_indices().map(|row| values[row]).peekable();
                while valid.peek().is_some() {
                    self.add_block(state, valid.by_ref().take(BLOCK), &mut keys);
                }
            }
        }
        Ok(())
    }

    fn finish(&self, state: EdgesState) -> Result<FoundEdges> {
        let within = self.within.as_ref().map(|within| within.shift);
        Ok(FoundEdges::of(&state.pages, state.zeros, state.ends, self.edges, within))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<EdgesState> {
        let zeros = take_count(bytes)?;
        let ends = match take_u8(bytes)? {
            0 => NO_ENDS,
            1 => (take_u64(bytes)?, take_u64(bytes)?),
            other => return Err(bad(bytes, "0 or 1", other)),
        };
        let pages = Pages::decode(bytes, self.pages())?;
        let buckets = pages.buckets();
        let shift = pages.shift();
        let agree = match (buckets.first(), buckets.last()) {
            (Some(first), Some(last)) => {
                let of_zero = buckets.iter().find(|(bucket, _)| *bucket == ZERO >> shift);
                ends.0 <= ends.1
                    && (ends.0 >> shift, ends.1 >> shift) == (first.0, last.0)
                    && value_of(ends.0).is_finite()
                    && value_of(ends.1).is_finite()
                    && zeros <= of_zero.map_or(0, |(_, count)| *count)
            }
            _ => ends == NO_ENDS && zeros == 0,
        };
        if agree {
            Ok(EdgesState { pages, zeros, ends })
        } else {
            Err(bad(bytes, "finite extremes and zeros that the counts hold", "others"))
        }
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

impl State for EdgesState {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.pages.merge(&other.pages)?;
        add_count(&mut self.zeros, other.zeros);
        self.ends = (self.ends.0.min(other.ends.0), self.ends.1.max(other.ends.1));
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.zeros);
        put_u8(out, u8::from(self.ends != NO_ENDS));
        if self.ends != NO_ENDS {
            put_u64(out, self.ends.0);
            put_u64(out, self.ends.1);
        }
        self.pages.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.pages.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, NullArray};
    use mlops_core::{batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::profile::found_edges::Run;

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
        let mut found = FoundEdges { n: 20_000, shift: 48, runs: vec![run] };
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
