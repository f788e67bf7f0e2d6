//! A sum of floats that does not depend on their order.

use serde::{Deserialize, Serialize};

use super::bins::{Bins, decompose, from_text, to_text};
use super::kernel::{self, BLOCK};
use super::wide::Wide;
use crate::{Error, Result, State};

/// The units within which the fast path's constants are normal numbers.
const FAST: std::ops::RangeInclusive<i32> = -22..=22;
/// The units that finite numbers can reach.
pub(super) const TOPS: (i32, i32) = (-27, 25);

/// An order-free, reproducible sum of finite numbers: the same bits for any order, batches,
/// partitions or threads, on any machine.
///
/// Each value is rounded to a multiple of a unit that depends only on the largest magnitude M of
/// all values, not more than M·2⁻⁸⁰·2, cut into three slices of 40 bits, and the slices are added
/// as integers. So
///
/// |value − exact sum| ≤ n·M·2⁻⁸⁰ + half a unit in the last place of the result
///
/// and a sum of integers, or of any values within 80 bits of each other, is exact before that
/// one last rounding, however its terms cancel. The state takes 52 bytes.
///
/// NaN and ±∞ never enter: adding them changes nothing and is told to the caller, who counts
/// them apart. −0 is 0.
///
/// Demmel and Nguyen, *Parallel Reproducible Summation*, IEEE Trans. Computers 64 (2015),
/// doi:10.1109/TC.2014.2345391. Python's `math.fsum` rounds the exact sum.
///
/// ```
/// use mlops_core::states::Sum;
/// let values = [1e16, 1.0, -1e16];
/// assert_eq!(values.iter().sum::<f64>(), 0.0); // left to right
/// assert_eq!(Sum::of(&values).value(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sum(pub(super) Bins<3>);

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

impl Sum {
    /// The sum of nothing: 0.
    pub const fn new() -> Self {
        Self(Bins::EMPTY)
    }

    /// The sum of the finite ones among these values.
    pub fn of(values: &[f64]) -> Self {
        let mut sum = Self::new();
        sum.add_slice(values);
        sum
    }

    /// Takes in one value; whether it did, that is whether the value is finite.
    pub fn add(&mut self, x: f64) -> bool {
        if x.is_finite() {
            let (m, k) = decompose(x);
            self.0.add_scaled(i128::from(m), k);
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
    fn add_block(&mut self, block: &[f64], magnitude: u64) {
        if magnitude == 0 {
            return;
        }
        let top = self.0.reach(f64::from_bits(magnitude));
        if FAST.contains(&top) {
            let magics = [0, 1, 2].map(|i| kernel::magic(top - i));
            self.0.add_slices(0, &kernel::slices(block, magics));
        } else {
            for &x in block {
                self.add(x);
            }
        }
    }

    /// The sum, rounded once to the nearest `f64`, ties to even; ±∞ where it is beyond the range.
    pub fn value(&self) -> f64 {
        let (total, exponent) = self.0.total();
        total.round(exponent, false)
    }

    /// The sum divided by a count, rounded once; `None` for a count of 0.
    pub fn mean(&self, n: u64) -> Option<f64> {
        let (total, exponent) = self.0.total();
        (n > 0).then(|| total.ratio(exponent, n, 1))
    }

    /// The sum as an integer and the exponent of two of its unit.
    pub(super) fn total(&self) -> (Wide, i32) {
        self.0.total()
    }

    /// Reads a sum back.
    ///
    /// # Errors
    /// [`Error::Decode`] on bytes that `encode` would not have written.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self> {
        Bins::decode(bytes, TOPS.0, TOPS.1).map(Self)
    }
}

impl Extend<f64> for Sum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for x in values {
            self.add(x);
        }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::new();
        sum.extend(values);
        sum
    }
}

impl State for Sum {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.0.merge(&other.0);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> Self {
        to_text(&sum)
    }
}

impl TryFrom<String> for Sum {
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

    /// Numbers of any size, or of like size, with both signs.
    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let scaled = |range: std::ops::Range<i32>| {
            prop::collection::vec((-1.0..1.0f64, range).prop_map(|(x, e)| x * pow2(e)), 0..300)
        };
        prop_oneof![
            scaled(-20..20),
            scaled(-300..300),
            scaled(-1022..1023),
            prop::collection::vec(any::<f64>(), 0..100),
            prop::collection::vec(-5i32..5, 0..50)
                .prop_map(|v| v.into_iter().map(f64::from).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_fast_path_has_the_bits_of_the_integers(values in numbers(), cut in 0usize..300) {
            let one_by_one: Sum = values.iter().copied().collect();
            prop_assert_eq!(Sum::of(&values), one_by_one);
            let (a, b) = values.split_at(cut.min(values.len()));
            let mut merged = Sum::of(b);
            merged.merge(Sum::of(a)).unwrap();
            prop_assert_eq!(merged, one_by_one);
            let mut bytes = Vec::new();
            merged.encode(&mut bytes);
            prop_assert_eq!(Sum::decode(&mut bytes.as_slice()).unwrap(), merged);
            prop_assert_eq!(Sum::try_from(String::from(merged)).unwrap(), merged);
        }

        #[test]
        fn integers_are_exact(values in prop::collection::vec(-(1i64 << 53)..(1 << 53), 0..300)) {
            let exact: i128 = values.iter().map(|&x| i128::from(x)).sum();
            let floats: Vec<_> = values.iter().map(|&x| x as f64 * pow2(-30)).collect();
            prop_assert_eq!(Sum::of(&floats).value(), exact as f64 * pow2(-30));
            let cancelled: Vec<_> = floats.iter().chain(&floats).enumerate()
                .map(|(i, x)| if i < floats.len() { *x } else { -x }).collect();
            prop_assert_eq!(Sum::of(&cancelled).value(), 0.0);
        }

        #[test]
        fn the_error_is_within_the_bound(
            parts in prop::collection::vec((-1.0..1.0f64, -200i32..200), 1..200),
        ) {
            let values: Vec<_> = parts.iter().map(|(x, e)| x * pow2(*e)).collect();
            // Everything is a multiple of 2⁻³²⁰ here, but for what is smaller still.
            let exact = values.iter().fold(Wide::ZERO, |sum, &x| {
                let (m, k) = decompose(x);
                match u32::try_from(k + 320) {
                    Ok(up) => sum.add(Wide::from(i128::from(m)).shl(up)),
                    Err(_) => sum,
                }
            });
            let sum = Sum::of(&values);
            let (total, exponent) = sum.total();
            let ours = total.shl((exponent + 320).max(0) as u32);
            let difference = exact.add(ours.neg()).round(-320, false).abs();
            let max = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let n = values.len() as f64;
            prop_assert!(exponent + 320 >= 0 || max < 1e-60);
            if exponent + 320 >= 0 {
                prop_assert!(difference <= n * max * pow2(-80), "{difference} of {max}");
            }
        }

        #[test]
        fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(mut sum) = Sum::decode(&mut bytes.as_slice()) {
                sum.merge(sum).unwrap();
                sum.add(1.0);
                let _ = (sum.value(), sum.mean(3));
            }
        }
    }

    /// Printed by Python 3's `math.fsum` for the same lists.
    #[test]
    fn as_fsum_says() {
        let cases: [(&[f64], f64); 7] = [
            (&[0.1; 10], 1.0),
            (&[1e308, 1e308, -1e308], 1e308),
            (&[9007199254740992.0, -0.5, -5.551115123125783e-17], 9007199254740991.0),
            (&[9007199254740992.0, 1.0, 2.0f64.powi(-100)], 9007199254740993.0),
            (&[1e16, 1.0, 1e-16], 10000000000000002.0),
            (&[5e-324, 5e-324, -1e-323, 5e-324], 5e-324),
            (&[1.0, 1e100, 1.0, -1e100], 2.0),
        ];
        for (values, want) in cases {
            let max = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let bound = values.len() as f64 * max * pow2(-80) + want * f64::EPSILON;
            let got = Sum::of(values).value();
            assert!((got - want).abs() <= bound, "{values:?}: {got}, not {want}");
        }
        // Within 80 bits of each other, and so to the bit.
        assert_eq!(Sum::of(&[0.1; 10]).value(), 1.0);
        assert_eq!(Sum::of(&[1e16, 1.0, 1e-6]).value(), 10000000000000002.0);
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(Sum::of(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(Sum::of(&[f64::MAX, f64::MAX]).mean(2), Some(f64::MAX));
        assert_eq!(Sum::of(&[-5e-324, -5e-324]).value(), -1e-323);
        assert_eq!(Sum::of(&[-0.0]).value().to_bits(), 0);
        assert_eq!(Sum::of(&[]).mean(0), None);
        let mut sum = Sum::new();
        assert_eq!(sum.add_slice(&[1.0, f64::NAN, f64::INFINITY, 2.0]), 2);
        assert_eq!((sum.value(), sum.add(f64::NEG_INFINITY)), (3.0, false));
    }
}
