//! Integers of 768 bits, in which sums become numbers without losing a bit on the way.

const LIMBS: usize = 12;

/// A sign and a magnitude below 2⁷⁶⁸. Results beyond that are cut off: callers state why theirs fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    negative: bool,
    limbs: [u64; LIMBS],
}

impl Wide {
    pub(super) const ZERO: Self = Self { negative: false, limbs: [0; LIMBS] };

    pub(super) fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs == [0; LIMBS]
    }

    /// The number of bits of the magnitude.
    pub(super) fn bits(&self) -> u32 {
        match self.limbs.iter().rposition(|&l| l != 0) {
            Some(i) => 64 * (i as u32 + 1) - self.limbs[i].leading_zeros(),
            None => 0,
        }
    }

    #[must_use]
    pub(super) fn shl(self, bits: u32) -> Self {
        let (whole, part) = ((bits / 64) as usize, bits % 64);
        let mut limbs = [0; LIMBS];
        for i in (whole..LIMBS).rev() {
            let low = self.limbs[i - whole];
            limbs[i] = low << part;
            if part > 0 && i > whole {
                limbs[i] |= self.limbs[i - whole - 1] >> (64 - part);
            }
        }
        Self { negative: self.negative, limbs }
    }

    #[must_use]
    pub(super) fn neg(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    #[must_use]
    pub(super) fn add(self, other: Self) -> Self {
        if self.negative == other.negative {
            let mut limbs = self.limbs;
            let mut carry = false;
            for (a, b) in limbs.iter_mut().zip(other.limbs) {
                let (sum, one) = a.overflowing_add(b);
                let (sum, two) = sum.overflowing_add(u64::from(carry));
                (*a, carry) = (sum, one || two);
            }
            return Self { negative: self.negative, limbs };
        }
        // The larger less the smaller, under the sign of the larger.
        let larger_first = self.limbs.iter().rev().ge(other.limbs.iter().rev());
        let (large, small) = if larger_first { (self, other) } else { (other, self) };
        let mut limbs = large.limbs;
        let mut borrow = false;
        for (a, b) in limbs.iter_mut().zip(small.limbs) {
            let (rest, one) = a.overflowing_sub(b);
            let (rest, two) = rest.overflowing_sub(u64::from(borrow));
            (*a, borrow) = (rest, one || two);
        }
        Self { negative: large.negative, limbs }
    }

    #[must_use]
    pub(super) fn mul(self, other: Self) -> Self {
        let mut limbs = [0u64; LIMBS];
        for (i, &a) in self.limbs.iter().enumerate() {
            let mut carry = 0u128;
            for (limb, &b) in limbs[i..].iter_mut().zip(&other.limbs) {
                let t = u128::from(a) * u128::from(b) + u128::from(*limb) + carry;
                *limb = t as u64;
                carry = t >> 64;
            }
        }
        Self { negative: self.negative != other.negative, limbs }
    }

    /// The quotient towards zero, and whether something was left.
    fn div_small(self, divisor: u64) -> (Self, bool) {
        let mut limbs = self.limbs;
        let mut rest = 0u128;
        for limb in limbs.iter_mut().rev() {
            let t = (rest << 64) | u128::from(*limb);
            *limb = (t / u128::from(divisor)) as u64;
            rest = t % u128::from(divisor);
        }
        (Self { negative: self.negative, limbs }, rest != 0)
    }

    /// `self · 2^exponent / (a · b)`, rounded once, to the nearest with ties to even; ±∞ beyond
    /// the range of `f64`. The magnitude must be below 2⁵⁶⁰, and `a` and `b` not 0.
    pub(super) fn ratio(self, exponent: i32, a: u64, b: u64) -> f64 {
        // Two divisors of 64 bits leave at least 72 bits of quotient.
        let up = 200u32.saturating_sub(self.bits());
        let (quotient, left_a) = self.shl(up).div_small(a);
        let (quotient, left_b) = quotient.div_small(b);
        quotient.round(exponent - up as i32, left_a || left_b)
    }

    /// `self · 2^exponent`, rounded once; `more` says that a little is missing from the magnitude.
    pub(super) fn round(self, exponent: i32, more: bool) -> f64 {
        let bits = self.bits() as i32;
        if bits == 0 {
            return 0.0;
        }
        // The place of the result's last bit: 53 bits, fewer where the result is subnormal.
        let last = (exponent + bits - 53).max(-1074);
        let cut = last - exponent;
        let magnitude = if cut <= 0 {
            scale(self.low_bits(0) as f64, exponent)
        } else if cut > bits {
            0.0
        } else {
            let kept = self.low_bits(cut as u32);
            let half = self.bit(cut as u32 - 1);
            let below = more || self.any_below(cut as u32 - 1);
            let up = half && (below || kept & 1 == 1);
            scale((kept + u64::from(up)) as f64, last)
        };
        if self.negative { -magnitude } else { magnitude }
    }

    fn bit(&self, at: u32) -> bool {
        self.limbs.get((at / 64) as usize).is_some_and(|l| l >> (at % 64) & 1 == 1)
    }

    /// 64 bits from this place on.
    fn low_bits(&self, at: u32) -> u64 {
        let (whole, part) = ((at / 64) as usize, at % 64);
        let limb = |i: usize| self.limbs.get(i).copied().unwrap_or(0);
        let low = limb(whole) >> part;
        if part == 0 { low } else { low | limb(whole + 1) << (64 - part) }
    }

    fn any_below(&self, at: u32) -> bool {
        let (whole, part) = ((at / 64) as usize, at % 64);
        let low = self.limbs.iter().take(whole).any(|&l| l != 0);
        let limb = self.limbs.get(whole).copied().unwrap_or(0);
        low || limb & ((1 << part) - 1) != 0
    }
}

impl From<i128> for Wide {
    fn from(value: i128) -> Self {
        let magnitude = value.unsigned_abs();
        let mut limbs = [0; LIMBS];
        limbs[0] = magnitude as u64;
        limbs[1] = (magnitude >> 64) as u64;
        Self { negative: value < 0, limbs }
    }
}

/// `x · 2^exponent` where that is exact or overflows.
fn scale(x: f64, exponent: i32) -> f64 {
    // In three steps, each a power of two within the range.
    let exponent = exponent.clamp(-2200, 2200);
    let first = exponent / 3;
    let second = (exponent - first) / 2;
    x * pow2(first) * pow2(second) * pow2(exponent - first - second)
}

/// 2^e for −1022 ≤ e ≤ 1023.
pub(super) fn pow2(e: i32) -> f64 {
    f64::from_bits(((1023 + e) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_i128(a in any::<i64>(), b in any::<i64>(), c in 1u64..) {
            let (wide_a, wide_b) = (Wide::from(i128::from(a)), Wide::from(i128::from(b)));
            let value = |w: Wide| {
                let m = u128::from(w.limbs[1]) << 64 | u128::from(w.limbs[0]);
                if w.negative { -(m as i128) } else { m as i128 }
            };
            let (a, b) = (i128::from(a), i128::from(b));
            prop_assert_eq!(value(wide_a.add(wide_b)), a + b);
            prop_assert_eq!(value(wide_a.mul(wide_b)), a * b);
            prop_assert_eq!(value(wide_a.shl(33)), a << 33);
            prop_assert_eq!(wide_a.mul(wide_b).round(0, false), (a * b) as f64);
            prop_assert_eq!(value(wide_a.mul(wide_b).div_small(c).0), a * b / i128::from(c));
        }

        #[test]
        fn a_ratio_is_rounded_once(a in any::<i32>(), b in 1u32.., e in -1000i32..1000) {
            // 53 bits hold both, so the division of floats is the rounded truth.
            let want = f64::from(a) / f64::from(b);
            let got = Wide::from(i128::from(a)).shl(300).ratio(e - 300, u64::from(b), 1);
            if (1e-280..1e280).contains(&(want.abs() * pow2(e))) {
                prop_assert_eq!(got, want * pow2(e));
            }
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let one = Wide::from(1);
        assert_eq!(one.round(-1074, false), f64::from_bits(1));
        assert_eq!(one.round(-1075, false), 0.0, "half of the smallest: ties to even");
        assert_eq!(one.round(-1075, true), f64::from_bits(1));
        assert_eq!(Wide::from(3).round(-1075, false), f64::from_bits(2));
        assert_eq!(Wide::from((1 << 53) - 1).round(971, false), f64::MAX);
        assert_eq!(Wide::from(1 << 53).round(971, false), f64::INFINITY);
        assert_eq!(Wide::from((1 << 54) - 1).round(970, false), f64::INFINITY);
        assert_eq!(Wide::from(-5).round(0, false), -5.0);
    }
}
