//! The loops over plain slices that sums are made of, compiled for each machine and chosen at run
//! time, all with the same bits: floats are only added where that is exact, and what is folded are
//! integers, whose order does not matter.

use multiversion::multiversion;

use super::bins::WIDTH;
use super::wide::pow2;

/// The values of a block: its slices fit `i64` with room, and it stays in the nearest cache.
pub(super) const BLOCK: usize = 1024;

/// The bits of +∞: a magnitude below them is finite.
const INFINITE: u64 = 0x7ff0_0000_0000_0000;
const MAGNITUDE: u64 = !(1 << 63);

/// 1.5 · 2⁵² units: added to a value of at most 2⁵¹ units it rounds that to a multiple of the
/// unit, ties to even, and its last bits are the multiple.
pub(super) fn magic(unit: i32) -> f64 {
    1.5 * pow2(WIDTH * unit + 52)
}

/// The largest magnitude of a block as bits; at least [`INFINITE`] if one is not finite.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn max_magnitude(values: &[f64]) -> u64 {
    max_magnitude_here(values)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn max_magnitude_here(values: &[f64]) -> u64 {
    values.iter().fold(0, |max, x| max.max(x.to_bits() & MAGNITUDE))
}

/// Whether the magnitude bits are those of a finite number.
pub(super) fn is_finite(magnitude: u64) -> bool {
    magnitude < INFINITE
}

/// Cuts the rest of a value at this unit: the slice as an integer above the magic's bits, and what
/// is left.
#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn cut(rest: f64, magic: f64) -> (u64, f64) {
    let shifted = rest + magic;
    (shifted.to_bits(), rest - (shifted - magic))
}

/// The sum of so many slices, from that of what [`cut`] gave.
fn slices_of(sum: u64, n: usize, magic: f64) -> i64 {
    sum.wrapping_sub(magic.to_bits().wrapping_mul(n as u64)) as i64
}

/// The sums of the three slices of finite values under these magics.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn slices(values: &[f64], m: [f64; 3]) -> [i64; 3] {
    slices_here(values, m)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn slices_here(values: &[f64], m: [f64; 3]) -> [i64; 3] {
    let mut sums = [0u64; 3];
    for &x in values {
        let (a, rest) = cut(x, m[0]);
        let (b, rest) = cut(rest, m[1]);
        let (c, _) = cut(rest, m[2]);
        sums[0] = sums[0].wrapping_add(a);
        sums[1] = sums[1].wrapping_add(b);
        sums[2] = sums[2].wrapping_add(c);
    }
    std::array::from_fn(|i| slices_of(sums[i], values.len(), m[i]))
}

/// What a pass over a block finds beside its sums. The order of `min` and `max` is that of
/// [`key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) magnitude: u64,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) zeros: u64,
    pub(super) negatives: u64,
}

/// An integer that is ordered as the number is; −0 below +0, NaN beyond the infinities.
#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
pub(super) fn key(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The number of a [`key`].
pub(super) fn from_key(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63) as u64 >> 1) as i64) as u64)
}

/// Largest magnitude, minimum and maximum, zeros and negatives of a block.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn range(values: &[f64]) -> Range {
    range_here(values)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn range_here(values: &[f64]) -> Range {
    let (mut magnitude, mut min, mut max) = (0, i64::MAX, i64::MIN);
    let (mut zeros, mut negatives) = (0, 0);
    for &x in values {
        let k = key(x);
        magnitude = magnitude.max(x.to_bits() & MAGNITUDE);
        min = min.min(k);
        max = max.max(k);
        zeros += u64::from(x == 0.0);
        negatives += u64::from(x < 0.0);
    }
    Range { magnitude, min, max, zeros, negatives }
}

/// The slices of a block's values and of their squares.
pub(super) type Slices = ([i64; 3], [i64; 4]);

/// The slices of finite values and of their squares, each square cut as p + e with p = RN(x²) and
/// e = x² − p exactly. No |p| may be beyond half the unit above the first of `s`; e is then below
/// half the first.
pub(super) fn square_slices(values: &[f64], m: [f64; 3], s: [f64; 4]) -> Slices {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") {
        return square_slices_fma(values, m, s);
    }
    #[cfg(target_arch = "aarch64")]
    return square_slices_fma(values, m, s);
    #[cfg(not(target_arch = "aarch64"))]
    square_slices_split(values, m, s)
}

/// With the hardware's fused multiplication.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn square_slices_fma(values: &[f64], m: [f64; 3], s: [f64; 4]) -> Slices {
    square_slices_with(values, m, s, |x, p| x.mul_add(x, -p))
}

/// Without: Veltkamp's splitting and Dekker's product, which give the same e.
#[cfg(any(not(target_arch = "aarch64"), test))]
fn square_slices_split(values: &[f64], m: [f64; 3], s: [f64; 4]) -> Slices {
    square_slices_with(values, m, s, |x, p| {
        let spread = 134_217_729.0 * x;
        let high = spread - (spread - x);
        let low = x - high;
        ((high * high - p) + 2.0 * (high * low)) + low * low
    })
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn square_slices_with(
    values: &[f64],
    m: [f64; 3],
    s: [f64; 4],
    error: impl Fn(f64, f64) -> f64,
) -> Slices {
    let (mut sums, mut squares) = ([0u64; 3], [0u64; 4]);
    for &x in values {
        let (a, rest) = cut(x, m[0]);
        let (b, rest) = cut(rest, m[1]);
        let (c, _) = cut(rest, m[2]);
        sums[0] = sums[0].wrapping_add(a);
        sums[1] = sums[1].wrapping_add(b);
        sums[2] = sums[2].wrapping_add(c);
        let p = x * x;
        let e = error(x, p);
        let (a, rest) = cut(p, s[0]);
        let (b, rest) = cut(rest, s[1]);
        let (c, rest) = cut(rest, s[2]);
        let (d, _) = cut(rest, s[3]);
        let (f, rest) = cut(e, s[1]);
        let (g, rest) = cut(rest, s[2]);
        let (h, _) = cut(rest, s[3]);
        squares[0] = squares[0].wrapping_add(a);
        squares[1] = squares[1].wrapping_add(b.wrapping_add(f));
        squares[2] = squares[2].wrapping_add(c.wrapping_add(g));
        squares[3] = squares[3].wrapping_add(d.wrapping_add(h));
    }
    // All units but the first cut both p and e.
    let n = |i| values.len() * if i == 0 { 1 } else { 2 };
    (
        std::array::from_fn(|i| slices_of(sums[i], values.len(), m[i])),
        std::array::from_fn(|i| slices_of(squares[i], n(i), s[i])),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// What this machine dispatches to, against the plain compilation and Dekker's product.
        #[test]
        fn every_path_has_the_same_bits(
            bits in prop::collection::vec(any::<u64>(), 0..200),
            small in prop::collection::vec(-1e9..1e9f64, 0..200),
            top in -8i32..8,
        ) {
            let any: Vec<_> = bits.into_iter().map(f64::from_bits).collect();
            prop_assert_eq!(max_magnitude(&any), max_magnitude_here(&any));
            prop_assert_eq!(range(&any), range_here(&any));
            // Of magnitudes that this window holds.
            let scaled: Vec<_> = small.iter().map(|x| x * pow2(WIDTH * top)).collect();
            let m = [0, 1, 2].map(|i| magic(top - i));
            prop_assert_eq!(slices(&scaled, m), slices_here(&scaled, m));
            let s = [0, 1, 2, 3].map(|i| magic(2 * top + 1 - i));
            let portable = square_slices_split(&scaled, m, s);
            prop_assert_eq!(square_slices(&scaled, m, s), portable);
            let fused = square_slices_with(&scaled, m, s, |x, p| x.mul_add(x, -p));
            prop_assert_eq!(fused, portable);
        }

        #[test]
        fn keys_are_ordered_as_numbers(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(from_key(key(a)).to_bits(), a.to_bits());
            if a < b {
                prop_assert!(key(a) < key(b));
            }
        }
    }
}
