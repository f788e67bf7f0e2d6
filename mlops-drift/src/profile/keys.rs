//! The order of floats as an order of integers.

use mlops_core::bytes::add_count;
use multiversion::multiversion;

/// The key of 0.
pub(super) const ZERO: u64 = 1 << 63;
/// The magnitude of infinity: those of finite numbers are smaller.
const INFINITE: u64 = 0x7ff0_0000_0000_0000;
/// Values whose keys are made at once: keys that stay in the nearest cache.
pub(super) const BLOCK: usize = 2048;

/// Larger for larger floats; −0 is +0. As many of the lowest bits are 0 as of the float's own, so
/// that integers and floats of less precision can be told by their keys.
#[inline]
pub(super) fn key_of(x: f64) -> u64 {
    let bits = x.to_bits();
    let sign = (bits as i64 >> 63) as u64;
    ((bits & !ZERO) ^ sign).wrapping_sub(sign).wrapping_add(ZERO)
}

/// The float with this key.
pub(super) fn value_of(key: u64) -> f64 {
    f64::from_bits(if key >= ZERO { key - ZERO } else { ZERO | (ZERO - key) })
}

/// Whether it is the key of a finite number: 0 is not.
pub(super) fn is_finite(key: u64) -> bool {
    key.abs_diff(ZERO) < INFINITE
}

/// The keys of all, and whether all are of finite numbers.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn all_keys(values: &[f64], keys: &mut [u64; BLOCK]) -> bool {
    let mut largest = 0;
    for (key, x) in keys.iter_mut().zip(values) {
        *key = key_of(*x);
        largest = largest.max(x.to_bits() & !ZERO);
    }
    largest < INFINITE
}

/// The keys of those that are finite and whose bit is set, and how many there are.
pub(super) fn some_keys(
    values: &[f64],
    valid: impl Iterator<Item = u64>,
    keys: &mut [u64; BLOCK],
) -> usize {
    let mut n = 0;
    for (values, word) in values.chunks(64).zip(valid) {
        for (i, x) in values.iter().enumerate() {
            keys[n % BLOCK] = key_of(*x);
            n += usize::from(x.is_finite()) & (word >> i & 1) as usize;
        }
    }
    n
}

/// What is known of a set of keys besides their counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many are that of 0.
    pub(super) zeros: u64,
    pub(super) low: u64,
    pub(super) high: u64,
    /// The bits that are set in one of them.
    pub(super) bits: u64,
}

impl Extent {
    pub(super) const NONE: Self = Self { zeros: 0, low: u64::MAX, high: 0, bits: 0 };

    pub(super) fn of(keys: &[u64]) -> Self {
        extent(keys)
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        add_count(&mut self.zeros, other.zeros);
        Self {
            zeros: self.zeros,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            bits: self.bits | other.bits,
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn extent(keys: &[u64]) -> Extent {
    let mut all = Extent::NONE;
    for &key in keys {
        all.zeros += u64::from(key == ZERO);
        all.low = all.low.min(key);
        all.high = all.high.max(key);
        all.bits |= key;
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(a.partial_cmp(&b), Some(key_of(a).cmp(&key_of(b))));
            prop_assert_eq!(value_of(key_of(a)).to_bits(), (a + 0.0).to_bits());
            prop_assert!(is_finite(key_of(a)) && key_of(a) > 0);
            if a != 0.0 {
                prop_assert_eq!(key_of(a).trailing_zeros(), a.to_bits().trailing_zeros());
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_passed_over() {
        let values = [1.0, f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY, -3.5];
        let mut keys = [0; BLOCK];
        assert!(!all_keys(&values, &mut keys));
        assert!(keys[..6].iter().zip(values).all(|(key, x)| is_finite(*key) == x.is_finite()));
        let n = some_keys(&values, std::iter::repeat(!0b10_0000), &mut keys);
        assert_eq!(keys[..n].iter().map(|key| value_of(*key)).collect::<Vec<_>>(), [1.0, 0.0]);
        assert!(!is_finite(0) && !is_finite(u64::MAX));
        let extent = Extent { zeros: 1, low: ZERO, high: key_of(1.0), bits: key_of(1.0) };
        assert_eq!(Extent::of(&keys[..n]), extent);
    }
}
