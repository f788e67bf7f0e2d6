//! Where among sorted edges a value stands: a table of first guesses, then few comparisons.
//!
//! A monotone function takes values to the cells of a table; edges of a lower cell are below the
//! value, those of a higher cell above it, and only those of its own cell are compared. The
//! function is linear in the value, or in its logarithm where that spreads the edges better.

use multiversion::multiversion;

use super::kernel::key;

/// Cells for an edge: with them, edges at quantiles rarely share one.
const CELLS_PER_EDGE: usize = 4;
const MOST_CELLS: usize = 1 << 15;
/// 2⁵²: added to a number from 0 to 2³² it leaves the whole part in the lowest bits.
const TO_INTEGER: f64 = 4_503_599_627_370_496.0;

#[derive(Clone, Copy, Debug)]
enum Spread {
    /// (x − lo) · inv
    Linear { lo: f64, inv: f64 },
    /// (key(x) − lo) >> shift
    Log { lo: i64, shift: u32 },
}

impl Spread {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
    fn cell(self, x: f64, last: u32) -> usize {
        match self {
            // 0 · ∞ is NaN, which `max` makes 0; rounding is monotone.
            Self::Linear { lo, inv } => {
                let at = ((x - lo) * inv).max(0.0).min(f64::from(last));
                (at + TO_INTEGER).to_bits() as u32 as usize
            }
            Self::Log { lo, shift } => {
                let at = key(x).saturating_sub(lo).max(0) >> shift;
                at.min(i64::from(last)) as usize
            }
        }
    }
}

/// Sorted edges, ready to be searched.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    spread: Spread,
    /// The number of edges in the cells below each.
    starts: Vec<u32>,
    /// The edges, and +∞ so often that any window fits.
    edges: Vec<f64>,
    /// The most edges in one cell.
    window: usize,
}

impl Grid {
    /// For finite edges, strictly increasing, without −0.
    pub(super) fn new(edges: &[f64]) -> Self {
        let (Some(&lo), Some(&hi)) = (edges.first(), edges.last()) else {
            let spread = Spread::Linear { lo: 0.0, inv: 0.0 };
            return Self { spread, starts: vec![0], edges: vec![f64::INFINITY], window: 0 };
        };
        let cells = (CELLS_PER_EDGE * edges.len()).next_power_of_two().min(MOST_CELLS);
        let inv = cells as f64 / (hi - lo);
        let linear = Spread::Linear { lo, inv: if inv.is_nan() { 0.0 } else { inv } };
        let range = key(hi).abs_diff(key(lo));
        let shift = (64 - range.leading_zeros()).saturating_sub(cells.trailing_zeros());
        let log = Spread::Log { lo: key(lo), shift };
        let [linear, log] = [linear, log].map(|spread| Self::spread(edges, spread, cells));
        if linear.window <= log.window { linear } else { log }
    }

    fn spread(edges: &[f64], spread: Spread, cells: usize) -> Self {
        let mut counts = vec![0u32; cells];
        for &edge in edges {
            counts[spread.cell(edge, cells as u32 - 1)] += 1;
        }
        let window = counts.iter().max().map_or(0, |&n| n as usize);
        let mut below = 0;
        let starts = counts
            .into_iter()
            .map(|n| {
                below += n;
                below - n
            })
            .collect();
        let edges =
            edges.iter().copied().chain(std::iter::repeat_n(f64::INFINITY, window + 1)).collect();
        Self { spread, starts, edges, window }
    }

    /// For each finite value twice the number of edges below it, and one more where an edge is
    /// equal to it.
    pub(super) fn locate(&self, values: &[f64], out: &mut [u32]) {
        match (self.spread, self.window) {
            (Spread::Linear { lo, inv }, 0..=1) => linear::<1>(self, lo, inv, values, out),
            (Spread::Linear { lo, inv }, 2) => linear::<2>(self, lo, inv, values, out),
            (Spread::Linear { lo, inv }, 3..=4) => linear::<4>(self, lo, inv, values, out),
            (spread, _) => by_halving(self, spread, values, out),
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn place(edges: &[f64], at: usize, x: f64) -> u32 {
    2 * at as u32 + u32::from(edges[at] == x)
}

#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn linear<const WINDOW: usize>(grid: &Grid, lo: f64, inv: f64, values: &[f64], out: &mut [u32]) {
    let last = grid.starts.len() as u32 - 1;
    // A window of 4 may look one past what a cell of 3 needs.
    let most = grid.edges.len().saturating_sub(WINDOW + 1);
    for (&x, out) in values.iter().zip(out) {
        let start = grid.starts[Spread::Linear { lo, inv }.cell(x, last)] as usize;
        let from = start.min(most);
        let below: usize =
            grid.edges[from..from + WINDOW].iter().map(|&e| usize::from(e < x)).sum();
        *out = place(&grid.edges, from + below, x);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn by_halving(grid: &Grid, spread: Spread, values: &[f64], out: &mut [u32]) {
    let last = grid.starts.len() as u32 - 1;
    for (&x, out) in values.iter().zip(out) {
        let mut at = grid.starts[spread.cell(x, last)] as usize;
        let mut size = grid.window;
        // The steps don't depend on the value.
        while size > 0 {
            let half = size.div_ceil(2);
            at += if grid.edges[at + half - 1] < x { half } else { 0 };
            size -= half;
        }
        *out = place(&grid.edges, at, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(mut edges: Vec<f64>, mut values: Vec<f64>) {
        edges.retain(|e| e.is_finite());
        for edge in &mut edges {
            *edge += 0.0;
        }
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        for &e in &edges {
            values.extend([e, -e, e.next_up(), e.next_down(), e * 1.1]);
        }
        values.extend([0.0, -0.0, f64::MAX, f64::MIN, 5e-324]);
        values.retain(|x| x.is_finite());
        let mut out = vec![0; values.len()];
        let grid = Grid::new(&edges);
        grid.locate(&values, &mut out);
        for (x, at) in values.into_iter().zip(out) {
            let below = edges.partition_point(|&e| e < x);
            let want = 2 * below as u32 + u32::from(edges.get(below) == Some(&x));
            assert_eq!(at, want, "{x} among {edges:?} by {:?}", grid.spread);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn as_a_plain_search_says(
            even in prop::collection::vec(-100i32..100, 0..60),
            wild in prop::collection::vec(any::<f64>(), 0..40),
            bell in prop::collection::vec((-3.0..3.0f64, 0.5..6.0f64), 0..60),
            values in prop::collection::vec(prop_oneof![any::<f64>(), -200.0..200.0f64], 0..60),
        ) {
            check(even.into_iter().map(|e| f64::from(e) / 4.0).collect(), values.clone());
            check(wild, values.clone());
            check(bell.into_iter().map(|(x, s)| (x * s).exp()).collect(), values);
        }
    }

    #[test]
    fn awkward_edges() {
        check(vec![], vec![1.0]);
        check(vec![0.0], vec![-1.0]);
        check(vec![f64::MIN, 0.0, f64::MAX], vec![1e300]);
        check(vec![0.0, 5e-324, 1e-323], vec![1.0]);
        check(
            (0..300).map(|i| 1.0 + f64::from(i) * f64::EPSILON).chain([1e9]).collect(),
            vec![2.0],
        );
    }
}
