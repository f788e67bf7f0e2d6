//! A cut of the numbers into buckets that hold about as many values each, found without a search.

use arrow::array::{Array, Float64Array};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::statistics::ks_buckets::{from_key, key, pieces};

/// Values whose places are found together.
const BLOCK: usize = 1024;
/// A 16th of an octave: numbers of one sign, exponent and first 4 bits of the mantissa.
const SEGMENT_BITS: u32 = 48;
/// Segments of each sign: 64 octaves down from the largest number, smaller ones in the last.
const SEGMENTS: u64 = 1024;
const MAGNITUDE: u64 = !(1 << 63);
/// Every so many values of the sample are taken for equally many of the data.
const KNOT: usize = 4;

/// A larger number never stands in a lower bucket. Segments of the numbers are cut into equal
/// buckets, as many as suit the share of the sample in them.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// Added first: brings numbers far from 0 and close to each other to it. Rounding is monotone.
    offset: f64,
    /// The first segment's name.
    low: u64,
    /// By segment, the negative ones behind the others: the lowest bucket, and how many.
    first: [u32; 2 * SEGMENTS as usize],
    width: [u32; 2 * SEGMENTS as usize],
    buckets: u32,
}

impl Cut {
    /// Places behind the buckets: of NaN and of null.
    pub(crate) const APART: usize = 2;

    /// So many buckets, 1 at least, for values like these, finite and ascending; `None` without any.
    pub(crate) fn new(sample: &[f64], buckets: u32) -> Option<Self> {
        let (&min, &max) = (sample.first()?, sample.last()?);
        let around_zero =
            (min <= 0.0 && max >= 0.0) || min.abs().min(max.abs()) < 4.0 * (max - min);
        let offset = if around_zero { 0.0 } else { -min };
        let largest = (min + offset).abs().max((max + offset).abs());
        let low = (largest.to_bits() >> SEGMENT_BITS).saturating_sub(SEGMENTS - 1);
        let mut knots: Vec<_> = sample.iter().step_by(KNOT).map(|x| x + offset).collect();
        knots.push(max + offset);
        let (mut first, mut width) = ([0; 2 * SEGMENTS as usize], [1; 2 * SEGMENTS as usize]);
        let (mut from, mut knot) = (0, 0);
        for segment in (SEGMENTS..2 * SEGMENTS).rev().chain(0..SEGMENTS) {
            let end = match segment.checked_sub(SEGMENTS) {
                // Up to 0 it holds all that is small.
                Some(0) => 0.0,
                Some(negative) => -f64::from_bits((low + negative) << SEGMENT_BITS),
                None => f64::from_bits((low + segment + 1) << SEGMENT_BITS),
            };
            let share = share_below(&knots, &mut knot, end);
            let to = (share * f64::from(buckets - 1)) as u32;
            let to = to.clamp(from, buckets - 1);
            first[segment as usize] = from;
            width[segment as usize] = (to - from).max(1);
            from = to;
        }
        Some(Self { offset, low, first, width, buckets })
    }

    /// The bucket of a number; that behind the last for NaN.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
    fn place(&self, x: f64) -> u32 {
        let bits = (x + self.offset).to_bits();
        let (least, end) = (self.low << SEGMENT_BITS, (self.low + SEGMENTS) << SEGMENT_BITS);
        let magnitude = (bits & MAGNITUDE).clamp(least, end - 1);
        // All bits set if negative: then the order of magnitudes is turned round.
        let sign = (bits as i64 >> 63) as u64;
        let segment = (magnitude >> SEGMENT_BITS) - self.low + (sign & SEGMENTS);
        let segment = (segment % (2 * SEGMENTS)) as usize;
        let within = u64::from(((magnitude ^ sign) >> (SEGMENT_BITS - 32)) as u32);
        let up = (within * u64::from(self.width[segment])) >> 32;
        let place = self.first[segment] + up as u32;
        if x.is_nan() { self.buckets } else { place }
    }

    /// The smallest number in this bucket or a higher one; +∞ if there is none.
    fn lowest(&self, place: u32) -> f64 {
        let (mut low, mut high) = (key(f64::NEG_INFINITY), key(f64::INFINITY));
        while low < high {
            let middle = low + (high.abs_diff(low) / 2) as i64;
            if self.place(from_key(middle)) >= place {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        from_key(low)
    }

    /// How many values stand in each bucket, then how many are NaN, then how many are null. The
    /// infinities are numbers like any other.
    pub(crate) fn count(&self, array: &Float64Array) -> Vec<u64> {
        let cells = self.buckets as usize + Self::APART;
        let merge = |mut all: Vec<u64>, piece: Vec<u32>| {
            all.iter_mut().zip(piece).for_each(|(all, n)| *all += u64::from(n));
            all
        };
        pieces(array)
            .map(|piece| {
                let mut counts = vec![0u32; cells];
                self.for_each_block(&piece, |_, places| {
                    for &place in places {
                        counts[place as usize] += 1;
                    }
                });
                counts
            })
            .fold(|| vec![0; cells], merge)
            .reduce(
                || vec![0; cells],
                |mut a, b| {
                    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                    a
                },
            )
    }

    /// The values in the buckets that are wanted, one of them at least: for each whether it is, then
    /// [`APART`](Self::APART) times not.
    pub(crate) fn select(&self, array: &Float64Array, wanted: &[bool]) -> Vec<f64> {
        let at = |cell: Option<usize>| self.lowest(cell.unwrap_or_default() as u32);
        let low = at(wanted.iter().position(|&wanted| wanted));
        let high = at(wanted.iter().rposition(|&wanted| wanted).map(|last| last + 1));
        pieces(array)
            .map(|piece| {
                let mut found = Vec::new();
                if piece.null_count() > 0 {
                    self.for_each_block(&piece, |values, places| {
                        choose(wanted, values, places, &mut found);
                    });
                } else {
                    // Most often they lie close together, and a place need be found of few.
                    let (mut near, mut places) = ([0.0; BLOCK], [0; BLOCK]);
                    for values in piece.values().chunks(BLOCK) {
                        let mut n = 0;
                        for &x in values {
                            near[n] = x;
                            n += usize::from(x >= low) & usize::from(x <= high);
                        }
                        find(self, &near[..n], &mut places);
                        choose(wanted, &near[..n], &places, &mut found);
                    }
                }
                found
            })
            .reduce(Vec::new, |mut a, b| {
                a.extend_from_slice(&b);
                a
            })
    }

    /// Shows all rows in blocks, with their places.
    fn for_each_block(&self, array: &Float64Array, mut each: impl FnMut(&[f64], &[u32])) {
        let mut places = [0; BLOCK];
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let chunks = nulls.map(|nulls| nulls.inner().bit_chunks());
        let mut words = chunks.iter().flat_map(|c| c.iter().chain([c.remainder_bits()]));
        for values in array.values().chunks(BLOCK) {
            find(self, values, &mut places);
            if nulls.is_some() {
                for (places, word) in places.chunks_mut(64).zip(words.by_ref()) {
                    for (i, place) in places.iter_mut().enumerate() {
                        let valid = word >> i & 1 == 1;
                        *place = if valid { *place } else { self.buckets + 1 };
                    }
                }
            }
            each(values, &places[..values.len()]);
        }
    }
}

/// Appends the values whose places are wanted.
fn choose(wanted: &[bool], values: &[f64], places: &[u32], found: &mut Vec<f64>) {
    let (mut some, mut n) = ([0.0; BLOCK], 0);
    for (&x, &place) in values.iter().zip(places) {
        some[n] = x;
        n += usize::from(wanted[place as usize]);
    }
    found.extend_from_slice(&some[..n]);
}

/// The places of up to [`BLOCK`] values.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn find(cut: &Cut, values: &[f64], places: &mut [u32; BLOCK]) {
    for (&x, place) in values.iter().zip(places) {
        *place = cut.place(x);
    }
}

/// The share of the data below this, where the knots cut them into equal shares. Goes on from this
/// knot: what is asked for ascends.
fn share_below(knots: &[f64], knot: &mut usize, x: f64) -> f64 {
    while knots.get(*knot + 1).is_some_and(|&next| next <= x) {
        *knot += 1;
    }
    let (Some(&a), Some(&b)) = (knots.get(*knot), knots.get(*knot + 1)) else { return 1.0 };
    let within = if x <= a {
        0.0
    } else if (a < 0.0) == (b < 0.0) && a != 0.0 {
        // Wide gaps are those of heavy tails.
        key(x).abs_diff(key(a)) as f64 / key(b).abs_diff(key(a)) as f64
    } else {
        (x / 2.0 - a / 2.0) / (b / 2.0 - a / 2.0)
    };
    (*knot as f64 + within) / (knots.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let one = prop_oneof![
            any::<f64>().prop_filter("numbers", |x| x.is_finite()),
            -5.0..5.0f64,
            (-20i32..20).prop_map(f64::from),
            (0.0..1e9f64).prop_map(|x| 1.7e12 + x),
            Just(-0.0),
        ];
        prop::collection::vec(one, 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn places_ascend(mut sample in numbers(), values in numbers(), buckets in 1u32..3000) {
            sample.sort_by(f64::total_cmp);
            let cut = Cut::new(&sample, buckets).unwrap();
            let mut all = [sample, values].concat();
            all.extend(all.clone().iter().flat_map(|x| [x.next_up(), x.next_down(), -x]));
            all.extend([0.0, -0.0, f64::MIN, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 5e-324]);
            all.sort_by(f64::total_cmp);
            let places: Vec<_> = all.iter().map(|&x| cut.place(x)).collect();
            prop_assert!(places.is_sorted());
            prop_assert!(places.iter().all(|&place| place < buckets));
            prop_assert_eq!(cut.place(-0.0), cut.place(0.0));
            prop_assert_eq!(cut.place(f64::NAN), buckets);
            prop_assert_eq!(cut.place(-f64::NAN), buckets);
            // What this machine dispatches to, against the plain code.
            let mut found = [0; BLOCK];
            for (values, places) in all.chunks(BLOCK).zip(places.chunks(BLOCK)) {
                find(&cut, values, &mut found);
                prop_assert_eq!(&found[..values.len()], places);
            }
            for (x, &place) in all.iter().zip(&places) {
                let lowest = cut.lowest(place);
                prop_assert!(lowest <= *x && cut.place(lowest) == place);
                prop_assert!(place == 0 || cut.place(lowest.next_down()) < place);
            }
        }
    }

    #[test]
    fn buckets_hold_about_as_many() {
        let uniform = |i: u32| (f64::from(i) + 0.5) / 100_000.0;
        let laws: [fn(f64) -> f64; 4] =
            [|u| u, |u| u - 0.5, |u| (20.0 * (u - 0.5)).exp(), |u| 1.7e12 + 1e9 * u];
        for law in laws {
            let all: Vec<_> = (0..100_000).map(|i| law(uniform(i))).collect();
            let sample: Vec<_> = all.iter().step_by(50).copied().collect();
            let cut = Cut::new(&sample, 1000).unwrap();
            let counts = cut.count(&Float64Array::from(all));
            assert_eq!(counts.iter().sum::<u64>(), 100_000);
            assert!(counts.iter().all(|&n| n < 400), "{:?}", counts.iter().max());
        }
    }
}
