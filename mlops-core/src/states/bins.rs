//! The bins of a reproducible sum: integers on an absolute grid, a function of the multiset.
//!
//! The grid has a unit `u_g` = 2^(40·g) for each integer g. A window of K units stands on it; its
//! top g is the smallest with |x| ≤ u_{g+1}/2 for every x seen, that is with RNE(x, u_{g+1}) = 0,
//! where RNE(x, u) is x rounded to a multiple of u, ties to even. Each x is cut into slices
//! RNE(x, `u_g`) − RNE(x, u_{g+1}), and the bin of g holds Σ slice / `u_g`. A larger |x|
//! moves the window up; the lowest bins are then dropped, as if they had never been. So the state
//! depends on the values and not on their order, and a merge is an addition of integers.

use super::wide::Wide;
use crate::bytes::{bad, put_i32, put_i128, take_i32, take_i128};
use crate::{Error, Result, State};

/// The bits of a bin.
pub(super) const WIDTH: i32 = 40;
/// More than any sum of 2⁶³ values needs, and little enough that what is read back can be added.
const BIN_LIMIT: i128 = 1 << 104;

/// The grid unit that stands on top for values of at most this magnitude: |m| · 2^k, m ≠ 0.
fn top_of(m: i128, k: i32) -> i32 {
    let magnitude = m.unsigned_abs();
    let floor = 127 - magnitude.leading_zeros() as i32;
    let ceil_log2 = k + floor + i32::from(!magnitude.is_power_of_two());
    ceil_log2.div_euclid(WIDTH)
}

/// A finite number as integer · 2^exponent.
pub(super) fn decompose(x: f64) -> (i64, i32) {
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let (m, k) =
        if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    (if x < 0.0 { -m } else { m }, k)
}

/// K bins and where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bins<const K: usize> {
    /// The unit of the first bin; none while all that was seen is 0.
    top: Option<i32>,
    bins: [i128; K],
}

impl<const K: usize> Bins<K> {
    pub(super) const EMPTY: Self = Self { top: None, bins: [0; K] };

    pub(super) fn top(&self) -> Option<i32> {
        self.top
    }

    /// The exponent of two of the unit of a bin.
    fn exponent(top: i32, bin: usize) -> i32 {
        WIDTH * (top - bin as i32)
    }

    /// The window for finite values of at most this magnitude (not 0), moved up if it must be.
    pub(super) fn reach(&mut self, max: f64) -> i32 {
        let (m, k) = decompose(max);
        self.raise(top_of(i128::from(m), k))
    }

    /// The window with its top at least here.
    pub(super) fn raise(&mut self, top: i32) -> i32 {
        match self.top {
            Some(now) if now >= top => return now,
            Some(now) => {
                let by = top.abs_diff(now) as usize;
                for i in (0..K).rev() {
                    self.bins[i] = if i >= by { self.bins[i - by] } else { 0 };
                }
            }
            None => {}
        }
        self.top = Some(top);
        top
    }

    /// Takes in m · 2^k, |m| < 2¹⁰⁷.
    pub(super) fn add_scaled(&mut self, m: i128, k: i32) {
        if m == 0 {
            return;
        }
        let top = self.raise(top_of(m, k));
        let mut rest = m;
        for (i, bin) in self.bins.iter_mut().enumerate() {
            let shift = Self::exponent(top, i) - k;
            if shift <= 0 {
                // All that is left is a multiple of this unit, and at most half the one above.
                *bin = bin.wrapping_add(rest << -shift);
                return;
            }
            if shift <= 120 {
                let half = 1i128 << (shift - 1);
                let floor = rest >> shift;
                let below = rest - (floor << shift);
                let up = below > half || (below == half && floor & 1 == 1);
                let slice = floor + i128::from(up);
                *bin = bin.wrapping_add(slice);
                rest -= slice << shift;
            }
        }
    }

    /// Takes in slices that a kernel cut for the window as it stands, from bin `first` on.
    pub(super) fn add_slices(&mut self, first: usize, slices: &[i64]) {
        for (bin, slice) in self.bins[first..].iter_mut().zip(slices) {
            *bin = bin.wrapping_add(i128::from(*slice));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Some(theirs) = other.top else { return };
        let mine = self.raise(theirs);
        let down = mine.abs_diff(theirs) as usize;
        for (bin, &value) in self.bins.iter_mut().skip(down).zip(&other.bins) {
            *bin = bin.wrapping_add(value);
        }
    }

    /// The sum as an integer below 2^(104 + 40·K), and the exponent of two of its unit.
    pub(super) fn total(&self) -> (Wide, i32) {
        let Some(top) = self.top else { return (Wide::ZERO, 0) };
        let mut total = Wide::ZERO;
        for &bin in &self.bins {
            total = total.shl(WIDTH as u32).add(Wide::from(bin));
        }
        (total, Self::exponent(top, K - 1))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_i32(out, self.top.unwrap_or(i32::MIN));
        for &bin in &self.bins {
            put_i128(out, bin);
        }
    }

    /// Reads bins whose window stands within these tops.
    pub(super) fn decode(bytes: &mut &[u8], least: i32, most: i32) -> Result<Self> {
        let top = match take_i32(bytes)? {
            i32::MIN => None,
            top if (least..=most).contains(&top) => Some(top),
            top => return Err(bad(bytes, format!("a window from {least} to {most}"), top)),
        };
        let mut bins = [0; K];
        for bin in &mut bins {
            *bin = take_i128(bytes)?;
            if bin.unsigned_abs() > BIN_LIMIT.unsigned_abs() || (top.is_none() && *bin != 0) {
                return Err(bad(bytes, "a bin of at most 2^104, 0 without a window", *bin));
            }
        }
        Ok(Self { top, bins })
    }
}

/// A state's bytes as hexadecimal text, for serde.
pub(super) fn to_text(state: &impl State) -> String {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    to_hex(&bytes)
}

/// The state that [`to_text`] wrote, and nothing behind it.
pub(super) fn from_text<S>(text: &str, decode: impl Fn(&mut &[u8]) -> Result<S>) -> Result<S> {
    let bytes = from_hex(text)?;
    let rest = &mut bytes.as_slice();
    let state = decode(rest)?;
    if rest.is_empty() { Ok(state) } else { Err(bad(rest, "the end", "more bytes")) }
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, b| {
        // Writing to a string can't fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// The bytes of hexadecimal text.
fn from_hex(text: &str) -> Result<Vec<u8>> {
    let wrong = || Error::invalid("state", "pairs of hexadecimal digits", text);
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}
