//! Counting values in the cells of sorted edges: below, at, between.
//!
//! A [`Dyadic`] grid finds the bucket of a value without a search, and is cut so that hardly a
//! bucket holds more than one edge: then one comparison tells the cell. Where every edge is the
//! first number of its bucket not even that is needed. The few values whose bucket holds more edges
//! are searched for.

use multiversion::multiversion;

use super::dyadic::{ASIDE, Cut, Dyadic, NotFinite, Valid, WINDOW};
use super::kernel::BLOCK;

/// The name of a number's sign and exponent.
fn octave_of(y: f64) -> u16 {
    (y.to_bits() >> 52) as u16
}

/// Numbers of this size and larger could overflow when others of their kind are added.
const MOST_OFFSET: f64 = 1e270;
const MANTISSA: u64 = (1 << 52) - 1;

/// Sorted edges, ready to be counted at.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    dyadic: Dyadic,
    /// The edges, then NaN for all that has no edge to be compared with.
    edges: Vec<f64>,
    k: usize,
    of: Of,
    /// The codes of the crowded cell aside, where they are few: most often the extremes of data are
    /// the only edges that no grid point meets.
    crowded: Option<[u32; Self::FEW]>,
    is_snapped: bool,
}

/// What there is in a bucket.
#[derive(Clone, Debug)]
enum Of {
    /// By bucket: the one edge in it or next to it, or the name of a cell aside.
    Edge(Vec<u16>),
    ManyEdges(Vec<u32>),
    /// By code: the place of the cell, which may be the one aside of values to search for.
    Cell(Vec<u16>),
    ManyCells(Vec<u32>),
}

/// Behind the edges stand this many places of values that are in no cell: those of rows without a
/// value, and of buckets with several edges.
const PLACES: usize = ASIDE + 1;

impl Grid {
    /// For finite edges, strictly increasing, without −0.
    pub(super) fn new(edges: &[f64]) -> Self {
        let k = edges.len();
        let mut padded = edges.to_vec();
        padded.resize(k + 1 + PLACES, f64::NAN);
        let place = |layout: &Layout| {
            let dyadic = layout.dyadic();
            let buckets: Vec<_> = edges.iter().map(|&e| dyadic.bucket(e)).collect();
            (dyadic, buckets)
        };
        let all = groups(edges, 0.0);
        let layout = Layout::snapped(&all)
            .or_else(|| Layout::snapped(&groups_but(edges, 0.0, limit(edges, k / Self::ODD))));
        let snapped = layout.map(|layout| place(&layout)).and_then(|(dyadic, buckets)| {
            let (of, odd) = cells(&dyadic, &buckets);
            (odd <= k / Self::ODD).then_some((dyadic, of, odd == 0))
        });
        let (dyadic, of, is_snapped) = snapped.unwrap_or_else(|| {
            let (dyadic, buckets) = place(&Layout::best(edges, &all));
            let of = neighbours(&dyadic, &buckets);
            (dyadic, of, false)
        });
        let mut grid = Self { dyadic, edges: padded, k, of, crowded: None, is_snapped };
        grid.crowded = grid.few_crowded();
        grid
    }

    /// Of so many edges one may lie anywhere within its bucket, and the values there are searched
    /// for: the extremes of data are no simple fractions.
    const ODD: usize = 256;

    /// So many codes of crowded buckets can be found at once.
    const FEW: usize = 4;

    /// How many counters [`count`](Self::count) needs besides those of the cells; they are 0 again
    /// when it is done.
    pub(super) const BESIDES: usize = PLACES;

    /// Where a cell is counted, of k edges: all between edges first, as few data are at edges, or
    /// all are.
    pub(super) fn place(k: usize, cell: usize) -> usize {
        cell / 2 + if cell.is_multiple_of(2) { 0 } else { Self::at_edges(k) }
    }

    /// The place of the first edge's own cell.
    fn at_edges(k: usize) -> usize {
        k + 1 + PLACES
    }

    /// The codes of crowded buckets, the last of them again and again.
    fn few_crowded(&self) -> Option<[u32; Self::FEW]> {
        let (Of::Cell(of), name) = (&self.of, u16::try_from(self.crowded()).ok()?) else {
            return None;
        };
        let mut codes = of.iter().enumerate().filter(|(_, place)| **place == name);
        let mut few = [codes.next()?.0 as u32; Self::FEW];
        for i in 1..few.len() {
            few[i] = codes.next().map_or(few[i - 1], |(code, _)| code as u32);
        }
        codes.next().is_none().then_some(few)
    }

    /// Whether it counts all values without comparing.
    pub(super) fn is_snapped(&self) -> bool {
        self.is_snapped
    }

    /// The edges moved, by a small part of their distances, to where this is so. Some may meet.
    pub(super) fn snap(edges: &[f64]) -> Vec<f64> {
        let mut edges = edges.to_vec();
        // Where edges have met, the rest may be cut less finely.
        while !Self::new(&edges).is_snapped() {
            let groups = groups(&edges, 0.0);
            let (low, _) = window(&groups);
            let bits = |octave: u16| {
                let group = groups.iter().find(|group| group.octave == octave);
                let edges = group.map_or(1, |group| group.edges);
                (edges.next_power_of_two().ilog2() + Layout::SPARE_BITS as u32).max(6)
            };
            let before = edges.clone();
            for edge in &mut edges {
                let sign = edge.to_bits() & !(u64::MAX >> 1);
                *edge = f64::from_bits(
                    sign | nearest(edge.abs(), low, |e| bits(e | (sign >> 52) as u16)),
                ) + 0.0;
            }
            edges.sort_unstable_by(f64::total_cmp);
            edges.dedup();
            if edges == before {
                break;
            }
        }
        edges
    }

    /// Counts the finite values of up to [`BLOCK`] rows in the [places](Self::place) of their cells:
    /// cell 2i + 1 is that of edge i, the even ones are between. Tells how many are not finite.
    pub(super) fn count(&self, values: &[f64], valid: &Valid, counters: &mut [u32]) -> NotFinite {
        let mut at = [0; BLOCK];
        match &self.of {
            Of::Edge(of) => self.compare(of, values, valid, &mut at, counters),
            Of::ManyEdges(of) => self.compare(of, values, valid, &mut at, counters),
            Of::Cell(of) => self.look_up(of, values, valid, &mut at, counters),
            Of::ManyCells(of) => self.look_up(of, values, valid, &mut at, counters),
        }
    }

    /// Appends the finite values that lie in the cells that are wanted, by place.
    pub(super) fn select(
        &self,
        wanted: &[bool],
        values: &[f64],
        valid: &Valid,
        found: &mut Vec<f64>,
    ) {
        let mut at = [0; BLOCK];
        match &self.of {
            Of::Edge(of) => self.selected(of, wanted, values, valid, &mut at, found),
            Of::ManyEdges(of) => self.selected(of, wanted, values, valid, &mut at, found),
            Of::Cell(of) => self.looked_up(of, wanted, values, valid, &mut at, found),
            Of::ManyCells(of) => self.looked_up(of, wanted, values, valid, &mut at, found),
        }
    }

    fn selected<T: Copy + Into<u32>>(
        &self,
        of: &[T],
        wanted: &[bool],
        values: &[f64],
        valid: &Valid,
        at: &mut [u32; BLOCK],
        found: &mut Vec<f64>,
    ) {
        self.dyadic.locate::<false>(values, valid, at);
        let crowded = self.crowded();
        let (mut some, mut n) = ([0.0; BLOCK], 0);
        let (mut crowd, mut m) = ([0.0; BLOCK], 0);
        for (&x, &at) in values.iter().zip(&*at) {
            let i = of[at as usize].into() as usize;
            let edge = self.edges[i];
            let place = place_beside(i, x, edge, Self::at_edges(self.k));
            some[n] = x;
            n += usize::from(wanted[place]);
            crowd[m] = x;
            m += usize::from(place == crowded);
        }
        found.extend_from_slice(&some[..n]);
        let crowd = &crowd[..m];
        self.search(crowd, at, |x, place| found.extend(wanted[place].then_some(x)));
    }

    fn looked_up<T: Copy + Into<u32>>(
        &self,
        of: &[T],
        wanted: &[bool],
        values: &[f64],
        valid: &Valid,
        at: &mut [u32; BLOCK],
        found: &mut Vec<f64>,
    ) {
        self.dyadic.locate::<true>(values, valid, at);
        let crowded = self.crowded();
        let (mut some, mut n) = ([0.0; BLOCK], 0);
        let (mut crowd, mut m) = ([0.0; BLOCK], 0);
        for (&x, &at) in values.iter().zip(&*at) {
            let place = of[at as usize].into() as usize;
            some[n] = x;
            n += usize::from(wanted[place]);
            crowd[m] = x;
            m += usize::from(place == crowded);
        }
        found.extend_from_slice(&some[..n]);
        let crowd = &crowd[..m];
        self.search(crowd, at, |x, place| found.extend(wanted[place].then_some(x)));
    }

    fn compare<T: Copy + Into<u32>>(
        &self,
        of: &[T],
        values: &[f64],
        valid: &Valid,
        at: &mut [u32; BLOCK],
        counters: &mut [u32],
    ) -> NotFinite {
        let found = self.dyadic.locate::<false>(values, valid, at);
        compared(of, &self.edges, Self::at_edges(self.k), values, at, counters);
        self.count_aside(of, values, at, counters);
        found
    }

    fn look_up<T: Copy + Into<u32>>(
        &self,
        of: &[T],
        values: &[f64],
        valid: &Valid,
        at: &mut [u32; BLOCK],
        counters: &mut [u32],
    ) -> NotFinite {
        let found = self.dyadic.locate::<true>(values, valid, at);
        for &at in &at[..values.len()] {
            counters[of[at as usize].into() as usize] += 1;
        }
        self.count_aside(of, values, at, counters);
        found
    }

    /// The place aside of values that have to be searched for.
    fn crowded(&self) -> usize {
        self.k + 1 + ASIDE
    }

    /// Forgets the rows without a value, and counts those values in their cells that stand aside
    /// because there are edges in their buckets.
    fn count_aside<T: Copy + Into<u32>>(
        &self,
        of: &[T],
        values: &[f64],
        at: &mut [u32; BLOCK],
        counters: &mut [u32],
    ) {
        for i in 0..ASIDE {
            counters[self.k + 1 + i] = 0;
        }
        if std::mem::take(&mut counters[self.crowded()]) == 0 {
            return;
        }
        let (mut crowd, mut n) = ([0.0; BLOCK], 0);
        if let Some(codes) = &self.crowded {
            n = crowd_of(codes, values, at, &mut crowd);
        } else {
            for (&x, &at) in values.iter().zip(&*at) {
                crowd[n] = x;
                n += usize::from(of[at as usize].into() as usize == self.crowded());
            }
        }
        self.search(&crowd[..n], at, |_, place| counters[place] += 1);
    }

    /// Finds the place of each value's cell among the edges themselves.
    fn search(&self, values: &[f64], at: &mut [u32; BLOCK], mut each: impl FnMut(f64, usize)) {
        if values.is_empty() {
            return;
        }
        at.fill(0);
        let edges = &self.edges[..self.k];
        search(edges, values, at);
        for (&x, &below) in values.iter().zip(&*at) {
            let below = below as usize;
            let at_edge = edges.get(below) == Some(&x);
            each(x, below + if at_edge { Self::at_edges(self.k) } else { 0 });
        }
    }
}

/// The bits of the grid point next to a magnitude, where octaves are cut by these bits.
fn nearest(magnitude: f64, low: u16, bits: impl Fn(u16) -> u32) -> u64 {
    let exponent = octave_of(magnitude);
    if exponent <= low {
        return 0;
    }
    let last = low + WINDOW - 2;
    if exponent > last {
        // The last one.
        return ((u64::from(last) + 1) << 52) - (1 << (52 - bits(last)));
    }
    let unit = 1 << (52 - bits(exponent));
    let up = (magnitude.to_bits() + unit / 2) & !(unit - 1);
    if octave_of(f64::from_bits(up)) > last { up - unit } else { up }
}

/// The place of a value in one of the cells around the i-th edge; below an edge that is NaN.
#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn place_beside(i: usize, x: f64, edge: f64, at_edges: usize) -> usize {
    i + usize::from(x > edge) + if x == edge { at_edges } else { 0 }
}

/// The values whose codes are among these; how many.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn crowd_of(
    codes: &[u32; Grid::FEW],
    values: &[f64],
    at: &[u32; BLOCK],
    crowd: &mut [f64; BLOCK],
) -> usize {
    let mut n = 0;
    for (values, at) in values.chunks(32).zip(at.chunks(32)) {
        let is_crowded = |at: &u32| codes.iter().fold(0, |any, code| any | u32::from(at == code));
        if at.iter().fold(0, |any, at| any | is_crowded(at)) == 0 {
            continue;
        }
        for (&x, at) in values.iter().zip(at) {
            crowd[n] = x;
            n += is_crowded(at) as usize;
        }
    }
    n
}

/// Counts each value in the cell that one comparison tells.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn compared<T: Copy + Into<u32>>(
    of: &[T],
    edges: &[f64],
    at_edges: usize,
    values: &[f64],
    at: &[u32; BLOCK],
    counters: &mut [u32],
) {
    for (&x, &at) in values.iter().zip(at) {
        let i = of[at as usize].into() as usize;
        counters[place_beside(i, x, edges[i], at_edges)] += 1;
    }
}

/// The number of edges below each value, by halving; all values take each step together.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn search(edges: &[f64], values: &[f64], below: &mut [u32; BLOCK]) {
    let mut size = edges.len();
    while size > 0 {
        let half = size.div_ceil(2);
        for (&x, below) in values.iter().zip(below.iter_mut()) {
            let past = edges[*below as usize + half - 1] < x;
            // A branch would be wrong half of the time.
            *below += std::hint::select_unpredictable(past, half as u32, 0);
        }
        size -= half;
    }
}

/// By bucket: the only edge in it; the name of the crowded, where there are several; else any edge
/// next to it.
fn neighbours(dyadic: &Dyadic, buckets: &[(usize, bool)]) -> Of {
    let k = buckets.len();
    let mut of = vec![0u32; dyadic.buckets()];
    for (i, of) in of.iter_mut().take(ASIDE).enumerate() {
        *of = (k + 1 + i) as u32;
    }
    let mut below = 0;
    for (bucket, _) in dyadic.ascending() {
        let inside = buckets[below..].iter().take_while(|b| b.0 == bucket).count();
        of[bucket] = match inside {
            0 => below.min(k.saturating_sub(1)) as u32,
            1 => below as u32,
            _ => (k + 1 + ASIDE) as u32,
        };
        below += inside;
    }
    match of.iter().map(|&c| u16::try_from(c)).collect() {
        Ok(short) => Of::Edge(short),
        Err(_) => Of::ManyEdges(of),
    }
}

/// By code: the place of the cell, where each edge is the first number of a bucket of its own; that
/// of the crowded, where there is another. How many edges are there.
fn cells(dyadic: &Dyadic, buckets: &[(usize, bool)]) -> (Of, usize) {
    let k = buckets.len();
    let mut of = vec![0u32; 2 * dyadic.buckets()];
    for (i, of) in of.iter_mut().take(ASIDE).enumerate() {
        *of = (k + 1 + i) as u32;
    }
    let crowded = (k + 1 + ASIDE) as u32;
    let (mut below, mut odd) = (0, 0);
    for (bucket, negative) in dyadic.ascending() {
        let inside = buckets[below..].iter().take_while(|b| b.0 == bucket).count();
        let first = inside == 1 && !buckets[below].1;
        let cell = below as u32;
        let at_edge = (Grid::at_edges(k) + below) as u32;
        // Below 0 the first number, the smallest in magnitude, is the largest.
        (of[dyadic.buckets() + bucket], of[bucket]) = match (inside, first, negative) {
            (0, ..) => (cell, cell),
            (_, true, false) => (at_edge, cell + 1),
            (_, true, true) => (at_edge, cell),
            (_, false, _) => (crowded, crowded),
        };
        below += inside;
        odd += if first { 0 } else { inside };
    }
    let of = match of.iter().map(|&c| u16::try_from(c)).collect() {
        Ok(short) => Of::Cell(short),
        Err(_) => Of::ManyCells(of),
    };
    (of, odd)
}

/// The most bits of the mantissa that an edge needs, but for so many edges that need the most.
fn limit(edges: &[f64], odd: usize) -> u32 {
    let mut needed: Vec<_> = edges.iter().map(|&edge| exact_bits(edge)).collect();
    needed.sort_unstable_by_key(|&bits| std::cmp::Reverse(bits));
    needed.get(odd).copied().unwrap_or(0)
}

/// How many leading bits of the mantissa hold all of it.
fn exact_bits(x: f64) -> u32 {
    52 - (x.to_bits() & MANTISSA).trailing_zeros().min(52)
}

/// The edges of one sign and exponent, counted from an offset.
#[derive(Clone, Debug)]
struct Group {
    octave: u16,
    edges: usize,
    /// How many leading bits of the mantissa tell how many of the neighbours apart.
    apart: [u32; 53],
    /// How many leading bits of the mantissa hold all of the edges but the odd.
    exact: u32,
}

impl Group {
    /// So many bits part an octave with an odd edge: few values are then in one bucket with it.
    const ODD_BITS: u32 = 10;

    /// How many neighbours so many bits leave together.
    fn together(&self, bits: u32) -> usize {
        self.edges - 1 - self.apart[..=bits as usize].iter().sum::<u32>() as usize
    }

    /// The fewest bits that tell as many edges apart as this many do.
    fn bits(&self, most: u32) -> u32 {
        let best = self.together(most);
        (0..most).find(|&bits| self.together(bits) == best).unwrap_or(most)
    }

    fn exponent(&self) -> u16 {
        self.octave % 2048
    }
}

/// Edges by octave, ascending.
fn groups(edges: &[f64], offset: f64) -> Vec<Group> {
    groups_but(edges, offset, 52)
}

/// The same, where edges that need more bits than this are odd.
fn groups_but(edges: &[f64], offset: f64, most_bits: u32) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = 0;
    for edge in edges {
        let y = edge + offset;
        let bits = y.to_bits();
        let exact = match exact_bits(y) {
            bits if bits > most_bits => Group::ODD_BITS,
            bits => bits,
        };
        match groups.last_mut().filter(|group| group.octave == octave_of(y)) {
            Some(group) => {
                group.edges += 1;
                group.exact = group.exact.max(exact);
                if let Some(n) =
                    group.apart.get_mut(((bits ^ last) << 12).leading_zeros() as usize + 1)
                {
                    *n += 1;
                }
            }
            None => {
                groups.push(Group { octave: octave_of(y), edges: 1, apart: [0; 53], exact });
            }
        }
        last = bits;
    }
    groups.sort_by_key(|group| group.octave);
    groups
}

/// How the octaves are cut, and how many edges are then left in crowded buckets.
#[derive(Debug)]
struct Layout {
    offset: f64,
    cuts: Vec<Cut>,
    window: Option<u16>,
    crowded: usize,
}

impl Layout {
    /// Buckets for each edge, at least, where there are no more edges than that.
    const SPARE_BITS: i32 = 2;
    const MOST_BUCKETS: usize = 1 << 19;
    /// Of so many edges one may be in a crowded bucket, where that spares a table.
    const TOLERANCE: usize = 512;

    /// The layout that leaves the fewest edges crowded: numbers may lie close around 0, or far away
    /// from it (times are).
    fn best(edges: &[f64], around_zero: &[Group]) -> Self {
        let plain = Self::new(around_zero, 0.0);
        if plain.crowded * 64 <= edges.len() {
            return plain;
        }
        let others = [edges.first(), edges.last(), edges.get(edges.len() / 2)];
        let offsets = others.into_iter().flatten().filter(|e| e.abs() < MOST_OFFSET);
        offsets
            .map(|e| Self::new(&groups(edges, -e), -e))
            .fold(plain, |best, other| if other.crowded < best.crowded { other } else { best })
    }

    fn new(groups: &[Group], offset: f64) -> Self {
        let edges = groups.iter().map(|group| group.edges).sum::<usize>();
        let (window, outside) = window(groups);
        // Many values may be 0, which must not stand in a crowd.
        let few = outside == 0
            || outside * Self::TOLERANCE <= edges && groups.iter().all(|g| g.exponent() > 0);
        let window = Some(window).filter(|_| few);
        let mut cuts = Vec::new();
        for spare in (-40..=Self::SPARE_BITS).rev() {
            cuts = groups.iter().map(|group| cut(group, spare)).collect();
            if cuts.iter().map(|cut| 1usize << cut.bits).sum::<usize>() <= Self::MOST_BUCKETS {
                break;
            }
        }
        let left = groups.iter().zip(&cuts).map(|(group, cut)| {
            if window.is_some_and(|low| !fits(low, group.exponent())) {
                0
            } else {
                group.together(cut.bits)
            }
        });
        let crowded = left.sum::<usize>() + if window.is_some() { outside } else { 0 };
        Self { offset, cuts, window, crowded }
    }

    /// The layout in which every edge is the first number of a bucket, if that does not take too
    /// many.
    fn snapped(groups: &[Group]) -> Option<Self> {
        let edges = groups.iter().map(|group| group.edges).sum::<usize>();
        let (window, outside) = window(groups);
        let cuts: Vec<_> = groups
            .iter()
            // 0 alone is the first number as it is.
            .map(|group| Cut {
                octave: group.octave,
                bits: if group.octave == 0 { group.exact } else { group.exact.max(1) },
            })
            .collect();
        let buckets = cuts.iter().map(|cut| 1usize << cut.bits.max(4)).sum::<usize>();
        let most = (16 * edges).clamp(8192, Self::MOST_BUCKETS);
        (buckets <= most).then_some(())?;
        let window = Some(window).filter(|_| outside == 0);
        Some(Self { offset: 0.0, cuts, window, crowded: 0 })
    }

    fn dyadic(&self) -> Dyadic {
        Dyadic::new(self.offset, &self.cuts, self.window)
    }
}

/// The cut of an octave with so many more bits than its number of edges has.
fn cut(group: &Group, spare: i32) -> Cut {
    let most = (group.edges.next_power_of_two().ilog2() as i32 + spare).clamp(0, 52);
    let bits = if group.edges == 1 { 0 } else { group.bits(most as u32) };
    Cut { octave: group.octave, bits }
}

/// Whether octaves of this exponent are cut in the window.
fn fits(low: u16, exponent: u16) -> bool {
    (low + 1..low + WINDOW - 1).contains(&exponent)
}

/// The window that holds the most edges, and how many are crowded outside of it.
fn window(groups: &[Group]) -> (u16, usize) {
    let mut edges = vec![0usize; 2048];
    for group in groups.iter().filter(|group| group.exponent() > 0) {
        edges[usize::from(group.exponent())] += group.edges;
    }
    let inside = usize::from(WINDOW) - 2;
    let mut sum: usize = edges[1..=inside].iter().sum();
    let (mut most, mut low) = (sum, 0);
    for next in 1..=2047 - usize::from(WINDOW) {
        sum = sum + edges[next + inside] - edges[next];
        if sum > most {
            (most, low) = (sum, next as u16);
        }
    }
    let ends = [(0, false), (0, true), (1 << 11, false), (1 << 11, true)];
    let crowded = ends.map(|(sign, above)| {
        let there = groups.iter().filter(|group| {
            let exponent = group.exponent();
            group.octave & 1 << 11 == sign && !fits(low, exponent) && (exponent > low) == above
        });
        let n = there.map(|group| group.edges).sum::<usize>();
        if n > 1 { n } else { 0 }
    });
    (low, crowded.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::super::dyadic::ALL_VALID;
    use super::*;
    use proptest::prelude::*;

    fn tidy(mut edges: Vec<f64>) -> Vec<f64> {
        edges.retain(|e| e.is_finite());
        for edge in &mut edges {
            *edge += 0.0;
        }
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges
    }

    fn check(edges: Vec<f64>, mut values: Vec<f64>) -> Grid {
        let edges = tidy(edges);
        for &e in &edges {
            values.extend([e, -e, e.next_up(), e.next_down(), e * 1.1]);
        }
        values.extend([0.0, -0.0, f64::MAX, f64::MIN, 5e-324, f64::NAN, f64::INFINITY]);
        let grid = Grid::new(&edges);
        let mut counters = vec![0u32; 2 * edges.len() + 1 + Grid::BESIDES];
        let mut want = vec![0u32; 2 * edges.len() + 1 + Grid::BESIDES];
        let cells = 2 * edges.len() + 1;
        let place = |cell| Grid::place(edges.len(), cell);
        let mut wanted = vec![false; cells + Grid::BESIDES];
        (0..cells).for_each(|cell| wanted[place(cell)] = cell % 5 < 2);
        let mut some = Vec::new();
        for block in values.chunks(BLOCK) {
            let words: [u64; BLOCK / 64] = std::array::from_fn(|i| 0xdead_beef_1234_5677 << i);
            for valid in [ALL_VALID, words] {
                let found = grid.count(block, &valid, &mut counters);
                let mut odd = NotFinite::default();
                let rows = block.iter().enumerate();
                for (_, x) in rows.filter(|(i, _)| valid[i / 64] >> (i % 64) & 1 == 1) {
                    odd.nans += u32::from(x.is_nan());
                    odd.positive += u32::from(*x == f64::INFINITY);
                    odd.negative += u32::from(*x == f64::NEG_INFINITY);
                    if x.is_finite() {
                        let below = edges.partition_point(|e| e < x);
                        let cell = 2 * below + usize::from(edges.get(below) == Some(x));
                        want[place(cell)] += 1;
                        if wanted[place(cell)] {
                            some.push(*x);
                        }
                    }
                }
                assert_eq!(found, odd);
                let mut selected = Vec::new();
                grid.select(&wanted, block, &valid, &mut selected);
                selected.sort_by(f64::total_cmp);
                some.sort_by(f64::total_cmp);
                assert_eq!(selected, std::mem::take(&mut some));
            }
        }
        assert_eq!(counters, want, "{} edges {edges:?}", edges.len());
        grid
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
            check(bell.iter().map(|(x, _)| 1.7e18 + x * 1e12).collect(), values.clone());
            check(wild, values.clone());
            check(bell.into_iter().map(|(x, s)| (x * s).exp()).collect(), values);
        }

        #[test]
        fn what_is_snapped_stays_near_and_is_counted_without_comparing(
            wild in prop::collection::vec(any::<f64>(), 0..40),
            bell in prop::collection::vec(-3.0..3.0f64, 2..200),
        ) {
            let near = Grid::snap(&tidy(bell.clone()));
            for x in &bell {
                let moved = near.iter().map(|e| (e - x).abs()).fold(f64::INFINITY, f64::min);
                prop_assert!(moved <= x.abs() / 128.0 + 1e-8, "{x}: {moved}");
            }
            for edges in [near, Grid::snap(&tidy(wild))] {
                prop_assert!(edges.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(&Grid::snap(&edges), &edges);
                prop_assert!(check(edges, bell.clone()).is_snapped());
            }
        }
    }

    #[test]
    fn awkward_edges() {
        check(vec![], vec![1.0]);
        check(vec![0.0], vec![-1.0]);
        check(vec![f64::MIN, 0.0, f64::MAX], vec![1e300]);
        check(vec![0.0, 5e-324, 1e-323], vec![1.0]);
        let close = (0..300).map(|i| 1.0 + f64::from(i) * f64::EPSILON).chain([1e9]);
        check(close.collect(), vec![2.0]);
        let two_heaps = (0..300).flat_map(|i| [f64::from(i) * 1e-9, 1e9 + f64::from(i) * 1e-6]);
        check(two_heaps.collect(), vec![2.0]);
        let wide = (-1000..1000).map(|e| 1.3 * f64::from(e).exp2());
        check(wide.collect(), vec![0.5; 3000]);
        // More edges than 16 bits can name.
        let many = (0..70_000).map(|i| f64::from(i) * 0.37 - 9000.0);
        check(many.collect(), vec![4.25; 10]);
    }

    #[test]
    fn integers_are_counted_without_comparing() {
        let whole: Vec<_> = (-50..5000).map(f64::from).collect();
        assert!(check(whole.clone(), vec![0.5]).is_snapped());
        assert_eq!(Grid::snap(&whole), whole);
        assert!(!check(vec![0.1, 0.2, 0.3], vec![0.5]).is_snapped());
        // But for the few values near an odd one.
        let mut odd = whole;
        odd.extend([-70.3, 17.2, 5123.7]);
        let odd = check(odd, vec![0.5, 17.1, 17.3, -60.0, -71.0, 5e3, 6e3]);
        assert!(!odd.is_snapped() && matches!(odd.of, Of::Cell(_)));
    }
}
