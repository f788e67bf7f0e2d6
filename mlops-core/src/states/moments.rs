//! Mean and variance of numbers, in any order, without cancellation.

use serde::{Deserialize, Serialize};

use super::bins::{Bins, decompose, from_text, to_text};
use super::kernel::{self, BLOCK};
use super::sum::Sum;
use super::values;
use super::wide::Wide;
use crate::bytes::{add_count, bad, put_u64};
use crate::{Error, Result, State};

/// The units of the values within which squares stay normal numbers, or are too small to count.
const FAST: std::ops::RangeInclusive<i32> = -10..=10;

/// Count, Σx and Σx² of finite numbers, order-free as [`Sum`] is, and what follows from them.
///
/// Σx² is summed as p + e, the rounded square and its exact error, in four slices of 40 bits, so
/// that mean² can be taken away from it in integers: the variance of values with a huge mean and
/// a small spread is right. With M the largest magnitude,
///
/// |variance − exact| ≤ 2⁻¹¹⁷·M² + 2⁻⁷⁹·M·|mean|·r + half a unit in the last place
///
/// where r is the share of values below 2⁻²⁷·M; the middle term vanishes where there are none.
/// NaN and ±∞ are left out, as by [`Sum`].
///
/// ```
/// use mlops_core::states::Moments;
/// let m = Moments::of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]);
/// assert_eq!(m.mean(), Some(1e9 + 2.0));
/// assert_eq!(m.variance(1), Some(1.0)); // numpy: var(ddof=1)
/// assert_eq!(Moments::of(&[]).mean(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moments {
    n: u64,
    sum: Sum,
    squares: Bins<4>,
}

impl Default for Moments {
    fn default() -> Self {
        Self::new()
    }
}

impl Moments {
    /// The moments of nothing.
    pub const fn new() -> Self {
        Self { n: 0, sum: Sum::new(), squares: Bins::EMPTY }
    }

    /// The moments of the finite ones among these values.
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::new();
        moments.add_slice(values);
        moments
    }

    /// Takes in one value; whether it did, that is whether the value is finite.
    pub fn add(&mut self, x: f64) -> bool {
        if self.sum.add(x) {
            self.n += 1;
            let (m, k) = decompose(x);
            let square = i128::from(m) * i128::from(m);
            let (p, e) = rounded(square);
            self.squares.add_scaled(p, 2 * k);
            self.squares.add_scaled(e, 2 * k);
        }
        x.is_finite()
    }

    /// Takes in many values; how many of them it left out because they are not finite.
    pub fn add_slice(&mut self, values: &[f64]) -> u64 {
        let mut left_out = 0;
        for block in values.chunks(BLOCK) {
            let magnitude = kernel::max_magnitude(block);
            if kernel::is_finite(magnitude) {
                self.add_block(block, magnitude);
            } else {
                left_out += block.iter().map(|&x| u64::from(!self.add(x))).sum::<u64>();
            }
        }
        left_out
    }

    /// Takes in at most [`BLOCK`] finite values with this largest magnitude.
    pub(super) fn add_block(&mut self, block: &[f64], magnitude: u64) {
        if magnitude == 0 {
            self.n += block.len() as u64;
            return;
        }
        let max = f64::from_bits(magnitude);
        let top = self.sum.0.reach(max);
        if FAST.contains(&top) {
            self.n += block.len() as u64;
            let square_top = self.squares.reach(max * max);
            let m = [0, 1, 2].map(|i| kernel::magic(top - i));
            let s = [0, 1, 2, 3].map(|i| kernel::magic(square_top - i));
            // A block far below what was seen before has squares that round to 0, right or not.
            let (sums, squares) = kernel::square_slices(block, m, s);
            self.sum.0.add_slices(0, &sums);
            self.squares.add_slices(0, &squares);
        } else {
            for &x in block {
                self.add(x);
            }
        }
    }

    /// How many values there are.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Σx, rounded once.
    pub fn sum(&self) -> f64 {
        self.sum.value()
    }

    /// Σx², rounded once; ±∞ where it is beyond the range.
    pub fn sum_of_squares(&self) -> f64 {
        let (total, exponent) = self.squares.total();
        total.round(exponent, false)
    }

    /// Σx/n, rounded once; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        self.sum.mean(self.n)
    }

    /// (Σx² − (Σx)²/n) / (n − ddof), rounded once; `None` with `ddof` values or fewer, or where it
    /// is beyond the range of `f64`. `numpy.var(x, ddof)`.
    pub fn variance(&self, ddof: u64) -> Option<f64> {
        let divisor = self.n.checked_sub(ddof).filter(|&d| d > 0)?;
        let (sum, sum_exponent) = self.sum.total();
        let (squares, square_exponent) = self.squares.total();
        if sum.is_zero() && squares.is_zero() {
            return Some(0.0);
        }
        // n·Σx² − (Σx)² in integers of one unit. The windows stand within two units of each
        // other, so that neither shift is beyond 160 bits.
        let mean_exponent = 2 * sum_exponent;
        let exponent = mean_exponent.min(square_exponent);
        let n_squares =
            squares.mul(Wide::from(i128::from(self.n))).shl(square_exponent.abs_diff(exponent));
        let squared_sum = sum.mul(sum).shl(mean_exponent.abs_diff(exponent));
        let numerator = n_squares.add(squared_sum.neg());
        if numerator.is_negative() {
            // Within the bound of the error, around 0.
            return Some(0.0);
        }
        Some(numerator.ratio(exponent, self.n, divisor)).filter(|v| v.is_finite())
    }

    /// The root of [`variance`](Self::variance).
    pub fn std(&self, ddof: u64) -> Option<f64> {
        self.variance(ddof).map(f64::sqrt)
    }

    /// Reads moments back.
    ///
    /// # Errors
    /// [`Error::Decode`] on bytes that `encode` would not have written.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let n = values::take_count(bytes)?;
        let sum = Sum::decode(bytes)?;
        // Of a magnitude in (2^(40g−1), 2^(40g+39)] the square is in (2^(80g−2), 2^(80g+78)].
        let squares = match sum.0.top() {
            Some(top) => Bins::decode(bytes, 2 * top - 1, 2 * top + 1)?,
            None => Bins::decode(bytes, 0, -1)?,
        };
        let moments = Self { n, sum, squares };
        if sum.0.top().is_some() != squares.top().is_some() || (n == 0 && sum.0.top().is_some()) {
            return Err(bad(bytes, "windows that belong together", "others"));
        }
        Ok(moments)
    }
}

/// An integer below 2¹⁰⁶ as its nearest multiple with 53 significant bits, ties to even, and the
/// rest.
fn rounded(square: i128) -> (i128, i128) {
    let shift = (128 - square.leading_zeros()).saturating_sub(53);
    if shift == 0 {
        return (square, 0);
    }
    let floor = square >> shift;
    let below = square - (floor << shift);
    let half = 1i128 << (shift - 1);
    let up = below > half || (below == half && floor & 1 == 1);
    let p = (floor + i128::from(up)) << shift;
    (p, square - p)
}

impl State for Moments {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.n, other.n);
        self.sum.merge(other.sum)?;
        self.squares.merge(&other.squares);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        self.sum.encode(out);
        self.squares.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl From<Moments> for String {
    fn from(moments: Moments) -> Self {
        to_text(&moments)
    }
}

impl TryFrom<String> for Moments {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        from_text(&text, Self::decode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::wide::pow2;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_fast_path_has_the_bits_of_the_integers(
            like in prop::collection::vec((-1.0..1.0f64, -30i32..30), 0..200),
            wide in prop::collection::vec((-1.0..1.0f64, -600i32..600), 0..100),
            shift in -380i32..380,
        ) {
            let like: Vec<_> = like.into_iter().map(|(x, e)| x * pow2(e + shift)).collect();
            let wide: Vec<_> = wide.into_iter().map(|(x, e)| x * pow2(e)).collect();
            for values in [&like, &wide] {
                let mut one_by_one = Moments::new();
                for &x in values {
                    one_by_one.add(x);
                }
                prop_assert_eq!(Moments::of(values), one_by_one);
            }
            let mut merged = Moments::of(&like);
            merged.merge(Moments::of(&wide)).unwrap();
            let all: Vec<_> = wide.iter().chain(&like).copied().collect();
            prop_assert_eq!(merged, Moments::of(&all));
            let mut bytes = Vec::new();
            merged.encode(&mut bytes);
            prop_assert_eq!(Moments::decode(&mut bytes.as_slice()).unwrap(), merged);
        }

        #[test]
        fn a_huge_mean_leaves_the_variance_right(
            centre in -(1i64 << 44)..(1 << 44),
            offsets in prop::collection::vec(-50i64..50, 2..200),
        ) {
            let values: Vec<_> = offsets.iter().map(|d| (centre + d) as f64).collect();
            let n = offsets.len() as i128;
            let sum: i128 = offsets.iter().map(|&d| i128::from(d)).sum();
            let squares: i128 = offsets.iter().map(|&d| i128::from(d * d)).sum();
            let want = (n * squares - sum * sum) as f64 / (n * (n - 1)) as f64;
            let moments = Moments::of(&values);
            prop_assert_eq!(moments.variance(1), Some(want));
            let mean = (i128::from(centre) * n + sum) as f64 / n as f64;
            prop_assert!((moments.mean().unwrap() - mean).abs() <= mean.abs() * 2.0 * f64::EPSILON);
        }

        #[test]
        fn hostile_bytes_do_no_harm(
            noise in prop::collection::vec(any::<u8>(), 0..140),
            values in prop::collection::vec(any::<f64>(), 0..5),
            at in 0usize..128,
            byte in any::<u8>(),
        ) {
            let mut mutated = Vec::new();
            Moments::of(&values).encode(&mut mutated);
            mutated[at] = byte;
            for bytes in [noise, mutated] {
                if let Ok(mut moments) = Moments::decode(&mut bytes.as_slice()) {
                    moments.merge(moments).unwrap();
                    moments.add_slice(&[1.0, 2.0]);
                    let _ = (moments.mean(), moments.variance(1), moments.std(0));
                }
            }
        }
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(Moments::of(&[1.0]).variance(1), None);
        assert_eq!(Moments::of(&[1.0]).variance(0), Some(0.0));
        assert_eq!(Moments::of(&[0.0, -0.0]).variance(1), Some(0.0));
        assert_eq!(Moments::of(&[1e200, -1e200]).variance(0), None, "10⁴⁰⁰ is no f64");
        assert_eq!(Moments::of(&[1e-300, -1e-300]).variance(0), Some(0.0), "10⁻⁶⁰⁰ neither");
        assert_eq!(Moments::of(&[3e-160, -3e-160]).variance(0), Some(3e-160 * 3e-160));
    }

    /// `numpy.var` of the values less 10⁹, which is exact there.
    #[test]
    fn as_numpy_says() {
        let values: Vec<_> = (0..10_000).map(|i| 1e9 + f64::from(i % 7)).collect();
        let shifted: Vec<_> = values.iter().map(|x| x - 1e9).collect();
        assert_eq!(Moments::of(&values).variance(1), Moments::of(&shifted).variance(1));
        assert!((Moments::of(&values).variance(0).unwrap() - 3.9998).abs() < 1e-3);
    }
}
