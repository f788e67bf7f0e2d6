//! The exact two-sample Kolmogorov–Smirnov test of data larger than memory.

use mlops_core::bytes::{bad, put_f64, put_len, take_f64, take_len};
use mlops_core::states::Histogram;
use mlops_core::{Analyzer, Error, Result, Rows, Scan, State};

use crate::statistics::alternative::Alternative;
use crate::statistics::ks::KsTest;
use crate::statistics::ks_buckets::{EDGES, Enclosed, Wanted, between, edges_of};

/// Values of both sides that may be held at once: 32 MiB.
const MOST_VALUES: u64 = 1 << 22;
/// Partitions of each source that are looked into for a sample, and rows of each.
const LOOKS: usize = 16;
const ROWS: usize = 256;

/// The two-sided two-sample Kolmogorov–Smirnov test of a column of two sources, exactly, in bounded
/// memory: [`ks_two_sample`](crate::statistics::ks_two_sample) of data that need not fit.
///
/// Edges come from a small sample. One scan of each source counts at them, another collects the
/// values of the few cells that can hold `D`. Where these are more than 32 MiB of values they are
/// first cut into finer ones, by a scan more: data whose atoms the sample did not see, or two
/// samples of one distribution that are very large. About 5 MB besides, for each thread. The
/// result does not depend on the order of rows, partitions or threads.
///
/// Progress is told, and the test cancelled, as the scans say; the counts of rows start again with
/// each scan. Values are those of [`Rows::numbers`], without nulls.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, Scan, batch};
/// use mlops_drift::statistics::ks_two_sources;
/// let source = |from: i32| -> mlops_core::Result<MemorySource> {
///     let x = Float64Array::from_iter_values((from..from + 1000).map(f64::from));
///     Ok(MemorySource::from(batch! { "x" => x }?))
/// };
/// let (reference, current) = (source(0)?, source(100)?);
/// let test = ks_two_sources(Scan::new(&reference), Scan::new(&current), "x")?;
/// assert_eq!(test.statistic, 0.1);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] if a side has no values or holds NaN; those of the scans;
/// [`Error::Invalid`] if a source gave other rows at the second look.
pub fn ks_two_sources(reference: Scan<'_>, current: Scan<'_>, column: &str) -> Result<KsTest> {
    exactly(reference, current, column, MOST_VALUES)
}

fn exactly(reference: Scan<'_>, current: Scan<'_>, column: &str, most: u64) -> Result<KsTest> {
    let mut sample = Vec::new();
    for scan in [reference, current] {
        look_into(scan, column, &mut sample)?;
    }
    let mut edges = edges_of(sample);
    loop {
        let histogram = Histogram::new(column, edges)?;
        let counts = (reference.run(&histogram)?, current.run(&histogram)?);
        let enclosed = Enclosed::of(&counts.0, &counts.1, Wanted::Larger)?;
        let (r, c) = enclosed.inside();
        if r.saturating_add(c) > most
            && let Some(finer) = finer(&enclosed, histogram.edges())
        {
            edges = finer;
            continue;
        }
        if r == 0 && c == 0 {
            let found = enclosed.refine(Vec::new(), Vec::new());
            return KsTest::of(found, Alternative::TwoSided);
        }
        let wanted = enclosed.wanted(2 * histogram.edges().len() + 1);
        let collect = |scan: Scan<'_>, expected: u64| {
            let values = Collect { histogram: histogram.clone(), wanted: wanted.clone(), expected };
            let found = scan.run(&values)?;
            if found.len() as u64 == expected { Ok(found) } else { Err(changed(column)) }
        };
        let found = enclosed.refine(collect(reference, r)?, collect(current, c)?);
        return KsTest::of(found, Alternative::TwoSided);
    }
}

fn changed(column: &str) -> Error {
    Error::invalid(format!("values of `{column}`"), "the same at every scan", "others")
}

/// Takes in the first rows of some partitions.
fn look_into(scan: Scan<'_>, column: &str, sample: &mut Vec<f64>) -> Result<()> {
    let source = scan.source();
    let Ok(index) = source.schema().index_of(column) else {
        // The scan will say so.
        return Ok(());
    };
    let partitions = source.partitions()?.len();
    for partition in (0..partitions).step_by(partitions.div_ceil(LOOKS).max(1)) {
        if let Some(batch) = source.read(partition, Some(&[index]), ROWS)?.next() {
            let batch = batch?;
            let rows = Rows::new(&batch);
            sample.extend(rows.numbers(column)?.iter().flatten().filter(|x| x.is_finite()));
        }
    }
    Ok(())
}

/// These edges and others inside of the cells that are open, more where there are more values.
/// `None` where there is no number between the edges any more.
fn finer(enclosed: &Enclosed, edges: &[f64]) -> Option<Vec<f64>> {
    let (r, c) = enclosed.inside();
    let all = u128::from(r) + u128::from(c);
    let mut finer = edges.to_vec();
    for (cell, inside) in enclosed.open_cells() {
        // An even cell 2i lies between the edges i − 1 and i.
        let low = (cell / 2).checked_sub(1).and_then(|i| edges.get(i)).copied();
        let high = edges.get(cell / 2).copied();
        let share = u128::from(inside) * EDGES as u128 / all.max(1);
        finer.extend(between(low, high, share as u64 + 1));
    }
    let more = finer.len() > edges.len();
    finer.sort_unstable_by(f64::total_cmp);
    more.then_some(finer)
}

/// Collects the values in some cells.
#[derive(Clone, Debug)]
struct Collect {
    histogram: Histogram,
    wanted: Vec<bool>,
    /// How many there will be.
    expected: u64,
}

/// What [`Collect`] has found, in any order.
#[derive(Clone, Debug)]
struct Collected(Vec<f64>);

impl State for Collected {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.0.extend(other.0);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        put_len(out, sorted.len());
        for x in sorted {
            put_f64(out, x);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + size_of::<f64>() * self.0.capacity()
    }
}

impl Analyzer for Collect {
    type State = Collected;
    type Output = Vec<f64>;

    fn columns(&self) -> Vec<String> {
        vec![self.histogram.column().to_owned()]
    }

    fn start(&self) -> Collected {
        Collected(Vec::new())
    }

    fn update(&self, state: &mut Collected, rows: &Rows<'_>) -> Result<()> {
        let column = self.histogram.column();
        self.histogram.select(rows.numbers(column)?, &self.wanted, &mut state.0)?;
        // Whatever the source has become, the memory stays bounded.
        if state.0.len() as u64 > self.expected { Err(changed(column)) } else { Ok(()) }
    }

    fn finish(&self, state: Collected) -> Result<Vec<f64>> {
        Ok(state.0)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Collected> {
        let n = take_len(bytes, size_of::<f64>())?;
        let values: Vec<_> = (0..n).map(|_| take_f64(bytes)).collect::<Result<_>>()?;
        if values.iter().all(|x| x.is_finite())
            && values.is_sorted_by(|a, b| a.total_cmp(b).is_le())
        {
            Ok(Collected(values))
        } else {
            Err(bad(bytes, "finite values in order", "others"))
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};
    use mlops_core::{Cancel, MemorySource, batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::statistics::ks_two_sample;

    fn source(array: &Float64Array) -> MemorySource {
        let batch = batch! { "x" => array.clone() }.unwrap();
        let pieces = (0..batch.num_rows()).step_by(97);
        let pieces = pieces.map(|at| batch.slice(at, 97.min(batch.num_rows() - at)));
        MemorySource::new(batch.schema(), pieces.collect::<Vec<_>>()).unwrap()
    }

    fn values() -> impl Strategy<Value = Float64Array> {
        let wild = prop_oneof![Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), -1e9..1e9];
        let one = prop_oneof![
            8 => (-20i32..20).prop_map(|i| f64::from(i) / 10.0),
            8 => -2.0..2.0f64,
            1 => wild,
        ];
        prop::collection::vec(prop::option::weighted(0.9, one), 1..1500)
            .prop_map(Float64Array::from)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn as_in_memory(a in values(), b in values(), most in prop_oneof![Just(0u64), 0u64..500]) {
            let Ok(want) = ks_two_sample(&a, &b) else { return Ok(()) };
            let (reference, current) = (source(&a), source(&b));
            let (reference, current) = (Scan::new(&reference), Scan::new(&current));
            prop_assert_eq!(ks_two_sources(reference, current, "x").unwrap(), want);
            // Cells are cut until there is no number between two edges.
            prop_assert_eq!(exactly(reference, current, "x", most).unwrap(), want);
        }
    }

    #[test]
    fn an_atom_that_the_sample_missed_is_found_at_last() {
        // The first rows of the only partition say nothing of the rest.
        let column = |heavy: usize| {
            let head = (0..2000).map(f64::from);
            head.chain(std::iter::repeat_n(0.1 + 0.2, heavy)).collect::<Vec<_>>()
        };
        let (a, b) = (Float64Array::from(column(3000)), Float64Array::from(column(5000)));
        let one =
            |array: &Float64Array| MemorySource::from(batch! { "x" => array.clone() }.unwrap());
        let (reference, current) = (one(&a), one(&b));
        let (reference, current) = (Scan::new(&reference), Scan::new(&current));
        let want = ks_two_sample(&a, &b).unwrap();
        assert_eq!(exactly(reference, current, "x", 10).unwrap(), want);
        assert_eq!(ks_two_sources(reference, current, "x").unwrap(), want);
    }

    #[test]
    fn what_cannot_be_tested_is_an_error() {
        let nan = source(&Float64Array::from(vec![1.0, f64::NAN]));
        let one = source(&Float64Array::from(vec![1.0]));
        let integers =
            MemorySource::from(batch! { "x" => Int64Array::from(vec![1, 2, 3]) }.unwrap());
        let of = |a: &MemorySource, b: &MemorySource, column: &str| {
            ks_two_sources(Scan::new(a), Scan::new(b), column)
        };
        assert!(matches!(of(&nan, &one, "x"), Err(Error::Undefined { .. })));
        assert!(matches!(of(&one, &one, "y"), Err(Error::ColumnNotFound { .. })));
        assert_eq!(of(&integers, &one, "x").unwrap().statistic, 2.0 / 3.0);
        let cancel = Cancel::new();
        cancel.cancel();
        let stopped = Scan::new(&one).cancel(&cancel);
        assert!(matches!(ks_two_sources(stopped, Scan::new(&one), "x"), Err(Error::Cancelled)));
    }

    #[test]
    fn the_contract_holds_on_nasty_data() {
        let x = vec![Some(f64::NAN), Some(-0.0), None, Some(0.0), Some(0.5), Some(f64::INFINITY)];
        let rows = batch! { "x" => Float64Array::from(x) }.unwrap();
        let histogram = Histogram::new("x", vec![-1.0, 1.0]).unwrap();
        let wanted = vec![false, false, true, true, false];
        conformance::analyzer(&Collect { histogram, wanted, expected: 100 }, &rows);
    }
}
