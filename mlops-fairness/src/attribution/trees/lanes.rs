//! Rows in lanes.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Mul, Sub};

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
