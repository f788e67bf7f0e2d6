//! Rows in lanes, and what a tree's steps compute with them.
//!
//! Every loop runs over all rows of a group, with the quadrature nodes written out within, so that
//! it becomes vector instructions; masks choose, nothing branches.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
#![expect(clippy::needless_range_loop, reason = "rows and nodes index several arrays alike")]

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Mul, Sub};

use super::program::{PairConstants, Repeat, SplitConstants};

/// The numbers that a kernel computes with.
pub(super) trait Real:
    Copy
    + Debug
    + Default
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Mul<Output = Self>
    + Sub<Output = Self>
    + 'static
{
    fn of(x: f64) -> Self;
    fn to_f64(self) -> f64;
    /// `yes` where all bits are set, `no` where none is: by bits, since a branch over two values at
    /// hand becomes a gather of one of two addresses.
    fn pick(mask: u8, yes: Self, no: Self) -> Self;
}

impl Real for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn pick(mask: u8, yes: Self, no: Self) -> Self {
        let mask = i64::from(mask as i8) as u64;
        Self::from_bits((yes.to_bits() & mask) | (no.to_bits() & !mask))
    }
}

impl Real for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn pick(mask: u8, yes: Self, no: Self) -> Self {
        let mask = i32::from(mask as i8) as u32;
        Self::from_bits((yes.to_bits() & mask) | (no.to_bits() & !mask))
    }
}

/// A value of each row of a group.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Lanes<T, const W: usize>(pub(super) [T; W]);

impl<T: Real, const W: usize> Default for Lanes<T, W> {
    fn default() -> Self {
        Self([T::default(); W])
    }
}

/// Whether something holds for each row of a group: all bits are set, or none.
pub(super) type Mask<const W: usize> = Lanes<u8, W>;

impl<const W: usize> Mask<W> {
    pub(super) const ALL: Self = Self([u8::MAX; W]);
}

/// One of two by a mask.
#[inline(always)]
pub(super) fn pick<T: Real>(mask: u8, yes: T, no: T) -> T {
    T::pick(mask, yes, no)
}

/// C or S of a group of rows, node after node.
pub(super) type Slot<T, const Q: usize, const W: usize> = [Lanes<T, W>; Q];

#[inline(always)]
pub(super) fn plain_pair<T: Real, const Q: usize, const W: usize>(
    pair: &PairConstants<T, Q>,
    left: &Mask<W>,
    own: &mut Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let pair = *pair;
    for i in 0..W {
        let m = left.0[i];
        let mut c = own[0].0[i];
        for q in 1..Q {
            c += own[q].0[i];
        }
        phi.0[i] += c * pick(m, pair.out_left, pair.out_right);
        for q in 0..Q {
            own[q].0[i] = pick(m, pair.left[q], pair.right[q]);
        }
    }
}

#[inline(always)]
pub(super) fn repeated_pair<T: Real, const Q: usize, const W: usize>(
    pair: &PairConstants<T, Q>,
    repeat: &Repeat<T, Q>,
    left: &Mask<W>,
    hot: &Mask<W>,
    own: &mut Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let pair = *pair;
    let repeat = *repeat;
    let zero = T::default();
    for i in 0..W {
        let (m, h) = (left.0[i], hot.0[i]);
        let mut c = own[0].0[i] * repeat.slope[0];
        for q in 1..Q {
            c += own[q].0[i] * repeat.slope[q];
        }
        phi.0[i] += c * pick(h, pick(m, pair.out_left, pair.out_right), zero);
        for q in 0..Q {
            own[q].0[i] = pick(h, pick(m, pair.left[q], pair.right[q]), repeat.cold);
        }
    }
}

#[inline(always)]
pub(super) fn three<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    pair: &PairConstants<T, Q>,
    masks: &[Mask<W>; 2],
    own: &mut Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
    pair_phi: &mut Lanes<T, W>,
) {
    let split = *split;
    let pair = *pair;
    for i in 0..W {
        let (m, n) = (masks[0].0[i], masks[1].0[i]);
        let (mut sum, mut below) = (T::default(), T::default());
        for q in 0..Q {
            let c = own[q].0[i];
            let share = pick(m, split.left[q], split.right[q]);
            let passed = c * share;
            let step = pick(n, pair.left[q], pair.right[q]) - split.leaf;
            let here = c * step;
            (sum, below) = if q == 0 { (here, passed) } else { (sum + here, below + passed) };
            own[q].0[i] = split.leaf + share * step;
        }
        phi.0[i] += sum * pick(m, split.out_left, split.out_right);
        pair_phi.0[i] += below * pick(n, pair.out_left, pair.out_right);
    }
}

#[inline(always)]
pub(super) fn four<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    pairs: [&PairConstants<T, Q>; 2],
    masks: &[Mask<W>; 3],
    own: &mut Slot<T, Q, W>,
    [phi, first_phi, second_phi]: [&mut Lanes<T, W>; 3],
) {
    let (split, first, second) = (*split, *pairs[0], *pairs[1]);
    for i in 0..W {
        let (m, n, o) = (masks[0].0[i], masks[1].0[i], masks[2].0[i]);
        let (mut sum, mut to_first, mut to_second) = (T::default(), T::default(), T::default());
        for q in 0..Q {
            let c = own[q].0[i];
            let share = pick(m, split.left[q], split.right[q]);
            let passed = c * share;
            let rest = c - passed;
            let other = pick(o, second.left[q], second.right[q]);
            let step = pick(n, first.left[q], first.right[q]) - other;
            let here = c * step;
            if q == 0 {
                (sum, to_first, to_second) = (here, passed, rest);
            } else {
                (sum, to_first, to_second) = (sum + here, to_first + passed, to_second + rest);
            }
            own[q].0[i] = other + share * step;
        }
        phi.0[i] += sum * pick(m, split.out_left, split.out_right);
        first_phi.0[i] += to_first * pick(n, first.out_left, first.out_right);
        second_phi.0[i] += to_second * pick(o, second.out_left, second.out_right);
    }
}

#[inline(always)]
pub(super) fn down2<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    left: &Mask<W>,
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
    second: &mut Slot<T, Q, W>,
) {
    let split = *split;
    for i in 0..W {
        let m = left.0[i];
        for q in 0..Q {
            let c = own[q].0[i];
            let passed = c * pick(m, split.left[q], split.right[q]);
            first[q].0[i] = passed;
            second[q].0[i] = c - passed;
        }
    }
}

#[inline(always)]
pub(super) fn down1<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    left: &Mask<W>,
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
) {
    let split = *split;
    for i in 0..W {
        let m = left.0[i];
        for q in 0..Q {
            first[q].0[i] = own[q].0[i] * pick(m, split.left[q], split.right[q]);
        }
    }
}

#[inline(always)]
pub(super) fn down2_repeated<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    repeat: &Repeat<T, Q>,
    left: &Mask<W>,
    hot: &Mask<W>,
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
    second: &mut Slot<T, Q, W>,
) {
    let split = *split;
    let repeat = *repeat;
    for i in 0..W {
        let (m, h) = (left.0[i], hot.0[i]);
        for q in 0..Q {
            let c = own[q].0[i];
            let share = pick(h, pick(m, split.left[q], split.right[q]), repeat.cold);
            let passed = c * share;
            first[q].0[i] = passed;
            second[q].0[i] = c - passed;
        }
    }
}

#[inline(always)]
pub(super) fn down1_repeated<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    repeat: &Repeat<T, Q>,
    left: &Mask<W>,
    hot: &Mask<W>,
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
) {
    let split = *split;
    let repeat = *repeat;
    for i in 0..W {
        let (m, h) = (left.0[i], hot.0[i]);
        for q in 0..Q {
            let share = pick(h, pick(m, split.left[q], split.right[q]), repeat.cold);
            first[q].0[i] = own[q].0[i] * share;
        }
    }
}

#[inline(always)]
pub(super) fn up2<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    left: &Mask<W>,
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    second: &Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let split = *split;
    for i in 0..W {
        let m = left.0[i];
        let mut sum = T::default();
        for q in 0..Q {
            let other = second[q].0[i];
            let step = first[q].0[i] - other;
            let here = own[q].0[i] * step;
            sum = if q == 0 { here } else { sum + here };
            own[q].0[i] = other + pick(m, split.left[q], split.right[q]) * step;
        }
        phi.0[i] += sum * pick(m, split.out_left, split.out_right);
    }
}

#[inline(always)]
pub(super) fn up1<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    left: &Mask<W>,
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let split = *split;
    for i in 0..W {
        let m = left.0[i];
        let mut sum = T::default();
        for q in 0..Q {
            let step = first[q].0[i] - split.leaf;
            let here = own[q].0[i] * step;
            sum = if q == 0 { here } else { sum + here };
            own[q].0[i] = split.leaf + pick(m, split.left[q], split.right[q]) * step;
        }
        phi.0[i] += sum * pick(m, split.out_left, split.out_right);
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a split and all that its step touches")]
pub(super) fn up2_repeated<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    repeat: &Repeat<T, Q>,
    left: &Mask<W>,
    hot: &Mask<W>,
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    second: &Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let split = *split;
    let repeat = *repeat;
    let zero = T::default();
    for i in 0..W {
        let (m, h) = (left.0[i], hot.0[i]);
        let mut sum = zero;
        for q in 0..Q {
            let other = second[q].0[i];
            let step = first[q].0[i] - other;
            let here = own[q].0[i] * repeat.slope[q] * step;
            sum = if q == 0 { here } else { sum + here };
            let share = pick(h, pick(m, split.left[q], split.right[q]), repeat.cold);
            own[q].0[i] = other + share * step;
        }
        phi.0[i] += sum * pick(h, pick(m, split.out_left, split.out_right), zero);
    }
}

#[inline(always)]
pub(super) fn up1_repeated<T: Real, const Q: usize, const W: usize>(
    split: &SplitConstants<T, Q>,
    repeat: &Repeat<T, Q>,
    left: &Mask<W>,
    hot: &Mask<W>,
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let split = *split;
    let repeat = *repeat;
    let zero = T::default();
    for i in 0..W {
        let (m, h) = (left.0[i], hot.0[i]);
        let mut sum = zero;
        for q in 0..Q {
            let step = first[q].0[i] - split.leaf;
            let here = own[q].0[i] * repeat.slope[q] * step;
            sum = if q == 0 { here } else { sum + here };
            let share = pick(h, pick(m, split.left[q], split.right[q]), repeat.cold);
            own[q].0[i] = split.leaf + share * step;
        }
        phi.0[i] += sum * pick(h, pick(m, split.out_left, split.out_right), zero);
    }
}
