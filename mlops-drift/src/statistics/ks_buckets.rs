//! The extremes of F − G of two large samples, exactly, without sorting them.
//!
//! Both are counted once in some tens of thousands of cells that a sample of theirs suggests, and F
//! and G are then known between them. Inside an open cell `(a, b)` F − G is at most `F(b−) − G(a)`:
//! only cells whose bound is beyond the largest difference between cells are looked into, and only
//! their values are sorted. The finer the cells, the fewer values: half as wide, a quarter.
//!
//! Data without atoms are counted in the buckets of a [`Cut`], which hold about as many values each.
//! Others are counted at edges: an atom that the sample has seen is an edge, so that its many copies
//! need no second look.

use arrow::array::{Array, Float64Array};
use mlops_core::states::{Histogram, HistogramCounts, HistogramState};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, Error, Result, State};
use rayon::prelude::*;

use crate::statistics::alternative::Alternative;
use crate::statistics::ks_cut::Cut;

/// With fewer values than this sorting is quicker.
pub(crate) const WORTHWHILE: usize = 1 << 17;
/// Values of each side that edges are made of.
const SAMPLE: usize = 1 << 12;
/// As many edges as can be counted at speed.
pub(crate) const EDGES: usize = 1 << 15;
/// Of so many values of the sample one may be there already, where data are said to have no atoms.
const ATOMS: usize = 16;
/// Buckets that data without atoms are counted in: as many as the counters of a core's own cache.
const BUCKETS: u32 = 1 << 16;
/// Of so many values one may need a second look; else edges may part them better.
const SECOND_LOOK: u64 = 8;
/// Edges to a gap of the sample, at most.
const FINEST: usize = 8;

/// The largest differences of two empirical distribution functions either way, times `n m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extremes {
    pub(crate) n: u64,
    pub(crate) m: u64,
    /// `n m · max (F − G)`.
    pub(crate) plus: u128,
    /// `n m · max (G − F)`.
    pub(crate) minus: u128,
}

/// Which of the extremes is wanted: the other may come out smaller than it is, and cells that can
/// hold only that one need no look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Larger,
    Plus,
    Minus,
    Both,
}

impl From<Alternative> for Wanted {
    fn from(alternative: Alternative) -> Self {
        match alternative {
            Alternative::TwoSided => Self::Larger,
            Alternative::Greater => Self::Plus,
            Alternative::Less => Self::Minus,
        }
    }
}

impl Extremes {
    /// The extremes of two sorted samples.
    pub(crate) fn of_sorted(reference: &[f64], current: &[f64]) -> Self {
        let (n, m) = (reference.len() as u64, current.len() as u64);
        let mut found = Self { n, m, plus: 0, minus: 0 };
        found.walk(reference, current, (0, 0));
        found
    }

    /// Takes in F − G at these sorted values, with so many values below them.
    fn walk(&mut self, reference: &[f64], current: &[f64], below: (u64, u64)) {
        let (mut i, mut j) = (0, 0);
        while let (Some(&a), Some(&b)) = (reference.get(i), current.get(j)) {
            let x = a.min(b);
            i += reference[i..].iter().take_while(|&&a| a == x).count();
            j += current[j..].iter().take_while(|&&b| b == x).count();
            self.take_in((below.0 + i as u64, below.1 + j as u64));
        }
        // Where one side ends the difference is the largest before the other goes on.
        self.take_in((below.0 + i as u64, below.1 + j as u64));
        self.take_in((below.0 + reference.len() as u64, below.1 + current.len() as u64));
    }

    /// Takes in F − G where so many values of each side are below or at a point.
    fn take_in(&mut self, (f, g): (u64, u64)) {
        let f = u128::from(f) * u128::from(self.m);
        let g = u128::from(g) * u128::from(self.n);
        self.plus = self.plus.max(f.saturating_sub(g));
        self.minus = self.minus.max(g.saturating_sub(f));
    }
}

/// F and G of two samples at edges, and the open cells that may hold larger differences.
#[derive(Clone, Debug)]
pub(crate) struct Enclosed {
    found: Extremes,
    open: Vec<Open>,
}

/// A cell between two edges, and what lies below it.
#[derive(Clone, Copy, Debug)]
struct Open {
    cell: usize,
    below: (u64, u64),
    inside: (u64, u64),
}

impl Enclosed {
    /// From counts at the same edges.
    pub(crate) fn of(
        reference: &HistogramCounts,
        current: &HistogramCounts,
        wanted: Wanted,
    ) -> Result<Self> {
        let all = |side: &str, counts: &HistogramCounts| {
            total(side, counts.rows().saturating_sub(counts.nulls), counts.nans)
        };
        let (n, m) = (all("reference", reference)?, all("current data", current)?);
        let start = (reference.negative_infinities, current.negative_infinities);
        // The odd cells are edges.
        let may_open = |cell| cell % 2 == 0;
        Ok(Self::among((n, m), start, (&reference.cells, &current.cells), may_open, wanted))
    }

    /// From counts in the same buckets, which hold everything.
    fn of_buckets(n: (u64, u64), reference: &[u64], current: &[u64], wanted: Wanted) -> Self {
        Self::among(n, (0, 0), (reference, current), |_| true, wanted)
    }

    /// From the sizes of the samples, what is below the first cell, and counts in cells.
    fn among(
        (n, m): (u64, u64),
        start: (u64, u64),
        (reference, current): (&[u64], &[u64]),
        may_open: impl Fn(usize) -> bool,
        wanted: Wanted,
    ) -> Self {
        let mut found = Extremes { n, m, plus: 0, minus: 0 };
        let cells = || reference.iter().zip(current).enumerate();
        let mut at = start;
        found.take_in(at);
        for (_, (r, c)) in cells() {
            at = (at.0 + r, at.1 + c);
            found.take_in(at);
        }
        let cross = |f: u64, g: u64| (u128::from(f) * u128::from(m), u128::from(g) * u128::from(n));
        let larger = found.plus.max(found.minus);
        let (beyond_plus, beyond_minus) = match wanted {
            Wanted::Larger => (larger, larger),
            Wanted::Plus => (found.plus, u128::MAX),
            Wanted::Minus => (u128::MAX, found.minus),
            Wanted::Both => (found.plus, found.minus),
        };
        let mut open = Vec::new();
        at = start;
        for (cell, (&r, &c)) in cells() {
            let (below, inside) = (at, (r, c));
            at = (at.0 + r, at.1 + c);
            // With values of one side only the extremes are at the ends.
            if r == 0 || c == 0 || !may_open(cell) {
                continue;
            }
            let (low_f, low_g) = cross(below.0, below.1);
            let (high_f, high_g) = cross(at.0, at.1);
            if high_f.saturating_sub(low_g) > beyond_plus
                || high_g.saturating_sub(low_f) > beyond_minus
            {
                open.push(Open { cell, below, inside });
            }
        }
        Self { found, open }
    }

    /// For each cell whether it must be looked into.
    pub(crate) fn wanted(&self, cells: usize) -> Vec<bool> {
        let mut wanted = vec![false; cells];
        for open in &self.open {
            wanted[open.cell] = true;
        }
        wanted
    }

    /// The cells that must be looked into, ascending, and how many values they hold.
    pub(crate) fn open_cells(&self) -> impl Iterator<Item = (usize, u64)> {
        self.open.iter().map(|open| (open.cell, open.inside.0.saturating_add(open.inside.1)))
    }

    /// How many values of each side these cells hold.
    pub(crate) fn inside(&self) -> (u64, u64) {
        let sides = self.open.iter().map(|open| open.inside);
        sides.fold((0, 0), |sum, side| (sum.0 + side.0, sum.1 + side.1))
    }

    /// The extremes, given all values of the wanted cells.
    pub(crate) fn refine(self, mut reference: Vec<f64>, mut current: Vec<f64>) -> Extremes {
        rayon::join(
            || reference.par_sort_unstable_by(f64::total_cmp),
            || current.par_sort_unstable_by(f64::total_cmp),
        );
        let (mut x, mut y) = (reference.as_slice(), current.as_slice());
        let mut found = self.found;
        for open in &self.open {
            // Cells ascend, and so do their values.
            let (a, b);
            (a, x) = x.split_at(x.len().min(open.inside.0 as usize));
            (b, y) = y.split_at(y.len().min(open.inside.1 as usize));
            found.walk(a, b, open.below);
        }
        found
    }
}

/// How many values a side has, if they can be compared.
fn total(side: &str, n: u64, nans: u64) -> Result<u64> {
    match n {
        _ if nans > 0 => Err(Error::undefined("ks", format!("the {side} holds NaN"))),
        0 => Err(Error::undefined("ks", format!("the {side} has no values"))),
        n => Ok(n),
    }
}

/// The extremes of two arrays that have enough values for this; nulls are left out.
pub(crate) fn of_arrays(
    reference: &Float64Array,
    current: &Float64Array,
    wanted: Wanted,
) -> Result<Extremes> {
    let whole = reference.null_count() + current.null_count() == 0 && !reference.is_empty();
    if whole && reference.values()[..] == current.values()[..] {
        // Nothing parts equal data, and all of it would be looked into. NaN is not equal to NaN.
        let n = reference.len() as u64;
        return Ok(Extremes { n, m: n, plus: 0, minus: 0 });
    }
    let mut sample = sample(reference, current);
    sample.sort_unstable_by(f64::total_cmp);
    let again = sample.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if again * ATOMS <= sample.len()
        && let Some(cut) = Cut::new(&sample, BUCKETS)
        && let Some(found) = by_buckets(&cut, reference, current, wanted, SECOND_LOOK)?
    {
        return Ok(found);
    }
    by_edges(edges_of(sample), reference, current, wanted)
}

/// The extremes from counts in buckets, if no more than one in so many values needs a second look.
fn by_buckets(
    cut: &Cut,
    reference: &Float64Array,
    current: &Float64Array,
    wanted: Wanted,
    second_look: u64,
) -> Result<Option<Extremes>> {
    let (r, c) = rayon::join(|| cut.count(reference), || cut.count(current));
    let buckets = r.len() - Cut::APART;
    let all =
        |side: &str, counts: &[u64]| total(side, counts[..=buckets].iter().sum(), counts[buckets]);
    let n = (all("reference", &r)?, all("current data", &c)?);
    let enclosed = Enclosed::of_buckets(n, &r[..buckets], &c[..buckets], wanted);
    let inside = enclosed.inside();
    if enclosed.open.is_empty() {
        return Ok(Some(enclosed.found));
    }
    if (inside.0 + inside.1).saturating_mul(second_look) > n.0 + n.1 {
        return Ok(None);
    }
    let wanted = enclosed.wanted(r.len());
    let (r, c) = rayon::join(|| cut.select(reference, &wanted), || cut.select(current, &wanted));
    Ok(Some(enclosed.refine(r, c)))
}

/// The extremes from counts at edges.
fn by_edges(
    edges: Vec<f64>,
    reference: &Float64Array,
    current: &Float64Array,
    wanted: Wanted,
) -> Result<Extremes> {
    let histogram = Histogram::new("values", edges)?;
    let (r, c) = rayon::join(|| count(&histogram, reference), || count(&histogram, current));
    let enclosed = Enclosed::of(&histogram.finish(r?)?, &histogram.finish(c?)?, wanted)?;
    if enclosed.open.is_empty() {
        return Ok(enclosed.found);
    }
    let wanted = enclosed.wanted(2 * histogram.edges().len() + 1);
    let (r, c) = rayon::join(
        || select(&histogram, reference, &wanted),
        || select(&histogram, current, &wanted),
    );
    Ok(enclosed.refine(r?, c?))
}

/// Finite values of both arrays.
fn sample(reference: &Float64Array, current: &Float64Array) -> Vec<f64> {
    let mut sample = Vec::with_capacity(2 * SAMPLE);
    for array in [reference, current].into_iter().filter(|array| !array.is_empty()) {
        // Not at equal steps: data have periods.
        let place = |i| Draws::new(0, 0, i).below(array.len() as u64) as usize;
        let valid = (0..SAMPLE as u64).map(place).filter(|&row| array.is_valid(row));
        sample.extend(valid.map(|row| array.value(row)).filter(|x| x.is_finite()));
    }
    sample
}

/// Edges that part values like these into small shares: the values, and steps between neighbours.
///
/// A histogram counts the fastest where edges don't crowd: they are moved to a grid within their
/// octave and thinned out to one at each point. What is there more than once is an atom, and stays.
pub(crate) fn edges_of(mut sample: Vec<f64>) -> Vec<f64> {
    for value in &mut sample {
        // −0 is 0.
        *value += 0.0;
    }
    sample.sort_unstable_by(f64::total_cmp);
    let values: Vec<_> = sample.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let steps = (EDGES / values.len().max(1)).clamp(1, FINEST) as u64;
    let mut edges = Vec::with_capacity(steps as usize * values.len());
    for (i, &(edge, times)) in values.iter().enumerate() {
        edges.push((edge, times > 1));
        if let Some(&(next, _)) = values.get(i + 1) {
            let share = |step| step as f64 / steps as f64;
            let between = (1..steps).map(|i| edge * (1.0 - share(i)) + next * share(i) + 0.0);
            edges.extend(between.filter(|&x| edge < x && x < next).map(|x| (x, false)));
        }
    }
    let octave = |x: f64| x.to_bits() >> 52;
    let mut thin: Vec<f64> = Vec::with_capacity(edges.len());
    for edges in edges.chunk_by(|a, b| octave(a.0) == octave(b.0)) {
        let (first, last) = (edges[0].0.to_bits(), edges[edges.len() - 1].0.to_bits());
        let step = (first.abs_diff(last) / edges.len() as u64).max(1).ilog2();
        for point in edges.chunk_by(|a, b| a.0.to_bits() >> step == b.0.to_bits() >> step) {
            let atoms = point.iter().filter(|edge| edge.1).map(|edge| edge.0);
            let before = thin.len();
            thin.extend(atoms);
            if thin.len() == before {
                thin.push(f64::from_bits(point[0].0.to_bits() >> step << step) + 0.0);
            }
        }
    }
    // −0 of the negative side may have met 0.
    thin.dedup();
    thin
}

/// Up to so many numbers between two (or beyond one), ascending, at equal steps on the floats' own
/// grid.
pub(crate) fn between(low: Option<f64>, high: Option<f64>, most: u64) -> impl Iterator<Item = f64> {
    let bound = |x: Option<f64>, else_: i64| x.map_or(else_, key);
    // Beyond the edges lie the infinities, which are counted apart.
    let low = bound(low, key(f64::NEG_INFINITY));
    let high = bound(high, key(f64::INFINITY));
    let inside = high.abs_diff(low).saturating_sub(1);
    let steps = most.min(inside);
    (1..=steps).map(move |i| {
        let up = u128::from(i) * (u128::from(inside) + 1) / (u128::from(steps) + 1);
        from_key(low.wrapping_add(up as i64))
    })
}

/// An integer that is ordered as the number is; both zeros are 0.
pub(crate) fn key(x: f64) -> i64 {
    let magnitude = (x.to_bits() & !(1 << 63)) as i64;
    if x < 0.0 { -magnitude } else { magnitude }
}

pub(crate) fn from_key(key: i64) -> f64 {
    f64::from_bits(key.unsigned_abs()).copysign(if key < 0 { -1.0 } else { 1.0 })
}

/// The array in as many pieces as there are threads, and some more for balance.
pub(crate) fn pieces(array: &Float64Array) -> impl IndexedParallelIterator<Item = Float64Array> {
    let step = array.len().div_ceil(4 * rayon::current_num_threads());
    // 32 bits hold the counts of a piece.
    let step = step.clamp(1, u32::MAX as usize);
    let n = array.len().div_ceil(step);
    (0..n).into_par_iter().map(move |i| {
        let from = i * step;
        array.slice(from, step.min(array.len() - from))
    })
}

fn count(histogram: &Histogram, array: &Float64Array) -> Result<HistogramState> {
    pieces(array)
        .map(|piece| {
            let mut state = histogram.start();
            histogram.add(&mut state, &piece);
            Ok(state)
        })
        .try_reduce(
            || histogram.start(),
            |mut a, b| {
                a.merge(b)?;
                Ok(a)
            },
        )
}

fn select(histogram: &Histogram, array: &Float64Array, wanted: &[bool]) -> Result<Vec<f64>> {
    pieces(array)
        .map(|piece| {
            let mut found = Vec::new();
            histogram.select(&piece, wanted, &mut found).map(|()| found)
        })
        .try_reduce(Vec::new, |mut a, b| {
            a.extend_from_slice(&b);
            Ok(a)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(array: &Float64Array) -> Vec<f64> {
        let mut values: Vec<f64> = array.iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn values(n: usize) -> impl Strategy<Value = Float64Array> {
        let wild = prop_oneof![Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), -1e9..1e9];
        let one = prop_oneof![
            8 => (-20i32..20).prop_map(|i| f64::from(i) / 10.0),
            8 => -2.0..2.0f64,
            1 => wild,
        ];
        prop::collection::vec(prop::option::weighted(0.9, one), 1..n).prop_map(Float64Array::from)
    }

    /// Whether what was wanted is the same.
    fn agree(wanted: Wanted, found: Extremes, want: Extremes) -> bool {
        let larger = |of: Extremes| of.plus.max(of.minus);
        match wanted {
            Wanted::Both => found == want,
            Wanted::Plus => found.plus == want.plus,
            Wanted::Minus => found.minus == want.minus,
            Wanted::Larger => larger(found) == larger(want),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn as_sorting_says(a in values(2000), b in values(2000), from in 0usize..50) {
            let a = a.slice(from.min(a.len() - 1), a.len() - from.min(a.len() - 1));
            let (x, y) = (sorted(&a), sorted(&b));
            prop_assume!(!x.is_empty() && !y.is_empty());
            let want = Extremes::of_sorted(&x, &y);
            prop_assert_eq!(of_arrays(&a, &b, Wanted::Both).unwrap(), want);
            prop_assert_eq!(of_arrays(&a, &b, Wanted::Plus).unwrap().plus, want.plus);
            prop_assert_eq!(of_arrays(&a, &b, Wanted::Minus).unwrap().minus, want.minus);
            let larger = of_arrays(&a, &b, Wanted::Larger).unwrap();
            prop_assert_eq!(larger.plus.max(larger.minus), want.plus.max(want.minus));
            // Against the definition.
            let (n, m) = (x.len() as i128, y.len() as i128);
            let at = |p: f64| {
                let count = |of: &[f64]| of.iter().filter(|&&x| x <= p).count() as i128;
                count(&x) * m - count(&y) * n
            };
            let all: Vec<_> = x.iter().chain(&y).step_by(7).map(|&p| at(p)).collect();
            prop_assert!(all.iter().all(|&d| d <= want.plus as i128 && -d <= want.minus as i128));
            // Buckets made for the reference, for hardly anything and for other numbers.
            let finite: Vec<_> = x.iter().copied().filter(|x| x.is_finite()).collect();
            for (sample, buckets) in [(&finite[..], 100), (&[0.1], 7), (&[1e9, 1.1e9], 3000)] {
                let Some(cut) = Cut::new(sample, buckets) else { continue };
                for wanted in [Wanted::Both, Wanted::Larger, Wanted::Plus, Wanted::Minus] {
                    let found = by_buckets(&cut, &a, &b, wanted, 0).unwrap().unwrap();
                    prop_assert!(agree(wanted, found, want), "{wanted:?}: {found:?}, {want:?}");
                    if let Some(found) = by_buckets(&cut, &a, &b, wanted, 8).unwrap() {
                        prop_assert!(agree(wanted, found, want), "{wanted:?}: {found:?}, {want:?}");
                    }
                }
            }
            // Few edges leave much to be looked into.
            for edges in [vec![], vec![0.0], vec![-1.05, 0.1, 0.3]] {
                let h = Histogram::new("x", edges).unwrap();
                let counts = |array: &Float64Array| h.finish(count(&h, array).unwrap()).unwrap();
                for wanted in [Wanted::Both, Wanted::Larger, Wanted::Plus, Wanted::Minus] {
                    let enclosed = Enclosed::of(&counts(&a), &counts(&b), wanted).unwrap();
                    let cells = enclosed.wanted(2 * h.edges().len() + 1);
                    let select = |array: &Float64Array| select(&h, array, &cells).unwrap();
                    let found = enclosed.refine(select(&a), select(&b));
                    prop_assert!(agree(wanted, found, want), "{wanted:?}: {found:?}, {want:?}");
                }
            }
        }
    }

    #[test]
    fn edges_are_thinned_but_for_atoms() {
        let mut draws = Draws::new(1, 0, 0);
        let mut sample: Vec<f64> = (0..4000).map(|_| draws.normal()).collect();
        sample.extend([0.1 + 0.2; 3].iter().chain(&[-0.7; 2]).chain(&[0.0, -0.0]));
        let edges = edges_of(sample);
        assert!(edges.is_sorted_by(|a, b| a < b) && (8_000..40_000).contains(&edges.len()));
        for atom in [0.1 + 0.2, -0.7, 0.0] {
            assert!(edges.contains(&atom));
        }
        // Times are far from 0 and close to each other.
        let times: Vec<f64> = (0..4000).map(|_| 1.7e12 + (1e9 * draws.uniform()).floor()).collect();
        assert!((8_000..40_000).contains(&edges_of(times).len()));
        assert_eq!(edges_of(vec![]), Vec::<f64>::new());
        assert_eq!(edges_of(vec![3.5]), [3.5]);
    }

    #[test]
    fn numbers_between() {
        let of = |low, high, most| between(low, high, most).collect::<Vec<_>>();
        assert_eq!(of(Some(1.0), Some(2.0), 3), [1.25, 1.5, 1.75]);
        assert_eq!(of(Some(-5e-324), Some(1e-323), 9), [0.0, 5e-324]);
        assert!(of(Some(1.0), Some(1.0f64.next_up()), 9).is_empty());
        assert_eq!(of(None, Some(f64::MIN.next_up()), 9), [f64::MIN]);
        assert!(of(Some(f64::MAX), None, 9).is_empty());
        let all = of(None, None, 1000);
        assert!(all.len() == 1000 && all.is_sorted_by(|a, b| a < b));
        assert!(all.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn data_without_atoms_and_with_some_are_counted_in_their_ways() {
        let drawn = |seed: u64, of: fn(f64) -> f64| -> Float64Array {
            let mut draws = Draws::new(seed, 0, 0);
            (0..40_000).map(|i| (i % 9 > 0).then(|| of(draws.normal()))).collect()
        };
        // In one bucket there are two heaps, one of them far from 0: edges part them.
        let heaps = |z: f64| if z > 0.0 { 1e9 + z * 1e-3 } else { z * 1e-9 };
        for (of, buckets) in
            [(|z| z) as fn(f64) -> f64, |z| (3.0 * z).exp(), |z| 1e12 + 1e6 * z, heaps]
                .into_iter()
                .zip([true, true, true, false])
        {
            let (a, b) = (drawn(1, of), drawn(2, of));
            let mut sample = sample(&a, &b);
            sample.sort_by(f64::total_cmp);
            let cut = Cut::new(&sample, BUCKETS).unwrap();
            let want = Extremes::of_sorted(&sorted(&a), &sorted(&b));
            let found = by_buckets(&cut, &a, &b, Wanted::Both, SECOND_LOOK).unwrap();
            assert_eq!(found, buckets.then_some(want));
            assert_eq!(of_arrays(&a, &b, Wanted::Both).unwrap(), want);
            // Whatever the threads.
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let again = pool.install(|| of_arrays(&a, &b, Wanted::Larger)).unwrap();
                assert!(agree(Wanted::Larger, again, want));
            }
        }
    }

    #[test]
    fn what_has_no_order_is_an_error() {
        let of = |values: Vec<Option<f64>>| Float64Array::from(values);
        let one = of(vec![Some(1.0)]);
        for bad in [of(vec![]), of(vec![None]), of(vec![Some(1.0), Some(f64::NAN)])] {
            assert!(matches!(of_arrays(&one, &bad, Wanted::Both), Err(Error::Undefined { .. })));
            assert!(matches!(of_arrays(&bad, &one, Wanted::Both), Err(Error::Undefined { .. })));
            let cut = Cut::new(&[1.0], 10).unwrap();
            for (a, b) in [(&one, &bad), (&bad, &one)] {
                let found = by_buckets(&cut, a, b, Wanted::Both, 0);
                assert!(matches!(found, Err(Error::Undefined { .. })));
            }
        }
        // What stands under a null is not looked at.
        let masked = Float64Array::new(
            vec![f64::NAN, 3.0].into(),
            Some(arrow::buffer::NullBuffer::from(vec![false, true])),
        );
        let found = of_arrays(&one, &masked, Wanted::Both).unwrap();
        assert_eq!(found, Extremes { n: 1, m: 1, plus: 1, minus: 0 });
    }
}
