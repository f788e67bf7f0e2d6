//! Quantiles that do not depend on the order of the rows.

use std::fmt;

use arrow::array::Array;
use serde::{Deserialize, Serialize};

use super::kernel::{from_key, key};
use super::numeric_summary::{put_range, take_range};
use super::values;
use crate::bytes::{
    add_count, bad, put_i64, put_len, put_u8, put_u64, take_i64, take_len, take_u8,
};
use crate::{Analyzer, Description, Error, Result, Rows, State};

/// The low bits of a key that a bucket ignores: it keeps sign, exponent and 7 bits of mantissa.
const BUCKET_SHIFT: u32 = 45;

/// Quantiles of a column that [`Rows::numbers`] can read.
///
/// Up to `cap` distinct finite values they are exact (type 7 of Hyndman and Fan,
/// doi:10.1080/00031305.1996.10473566; the default of `numpy.quantile`). Beyond it values are
/// counted in fixed log-linear buckets, 128 to the octave, and every order statistic is known to
/// within its bucket: a quantile between values of one sign is off by a share of at most 1/128
/// (below the smallest normal number: by 2⁻¹⁰²⁹), and [`bounds`](QuantileTable::bounds) holds the
/// exact one. Which it is depends on the number of distinct values alone, never on order.
/// Null, NaN and ±∞ are counted apart. −0 is 0.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::Quantiles};
/// let source = MemorySource::from(batch! { "x" => Float64Array::from(vec![4.0, 1.0, 2.0, 3.0]) }?);
/// let table = source.measure(&Quantiles::new("x"))?;
/// assert_eq!((table.quantile(0.5), table.quantile(0.25)), (Some(2.5), Some(1.75)));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    column: String,
    cap: usize,
}

impl Quantiles {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "quantiles";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;
    /// The distinct values that are kept exactly unless told otherwise.
    pub const CAP: usize = 4096;

    /// The quantiles of this column, with [`CAP`](Self::CAP).
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into(), cap: Self::CAP }
    }

    /// The same, exact up to this many distinct values; 0 for buckets always.
    #[must_use]
    pub fn with_cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }

    /// The quantiles of plain values, none of them null.
    pub fn of(&self, values: &[f64]) -> QuantileTable {
        let mut state = self.start();
        state.add(values);
        QuantileTable(state)
    }
}

/// What [`Quantiles`] has counted so far.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileState {
    cap: usize,
    /// Nulls, NaN, +∞, −∞.
    apart: [u64; 4],
    min: Option<f64>,
    max: Option<f64>,
    /// Whether the keys are those of buckets.
    coarse: bool,
    /// Keys with counts, increasing.
    counts: Vec<(i64, u64)>,
}

impl QuantileState {
    fn add(&mut self, values: &[f64]) {
        let mut keys = Vec::with_capacity(values.len());
        for &x in values {
            if x.is_finite() {
                // −0 is 0.
                keys.push(key(x + 0.0));
            } else if x.is_nan() {
                self.apart[1] += 1;
            } else {
                self.apart[if x > 0.0 { 2 } else { 3 }] += 1;
            }
        }
        let (Some(&low), Some(&high)) = (keys.iter().min(), keys.iter().max()) else { return };
        self.reach(from_key(low), from_key(high));
        let counted = if self.coarse {
            count_buckets(&mut keys, low >> BUCKET_SHIFT, high >> BUCKET_SHIFT)
        } else {
            count_sorted(&mut keys)
        };
        self.counts = union(&self.counts, &counted);
        self.coarsen_if_full();
    }

    fn reach(&mut self, min: f64, max: f64) {
        self.min = Some(self.min.map_or(min, |m| m.min(min)));
        self.max = Some(self.max.map_or(max, |m| m.max(max)));
    }

    fn coarsen_if_full(&mut self) {
        if !self.coarse && self.counts.len() > self.cap {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.coarse = true;
        for (key, _) in &mut self.counts {
            *key >>= BUCKET_SHIFT;
        }
        self.counts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                add_count(&mut kept.1, next.1);
            }
            same
        });
    }
}

/// Sorts keys and counts the equal.
fn count_sorted(keys: &mut [i64]) -> Vec<(i64, u64)> {
    keys.sort_unstable();
    keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect()
}

/// Counts keys by bucket, of which the first and last are known.
fn count_buckets(keys: &mut [i64], first: i64, last: i64) -> Vec<(i64, u64)> {
    let span = (last - first) as usize + 1;
    if span > 4 * keys.len() + 1024 {
        for key in keys.iter_mut() {
            *key >>= BUCKET_SHIFT;
        }
        return count_sorted(keys);
    }
    let mut counts = vec![0u64; span];
    for key in keys {
        counts[((*key >> BUCKET_SHIFT) - first) as usize] += 1;
    }
    let seen = counts.into_iter().enumerate().filter(|(_, c)| *c > 0);
    seen.map(|(i, c)| (first + i as i64, c)).collect()
}

/// The counts of both, in order.
fn union(a: &[(i64, u64)], b: &[(i64, u64)]) -> Vec<(i64, u64)> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(&&(x, n)), Some(&&(y, m))) if x == y => {
                let mut both = n;
                add_count(&mut both, m);
                out.push((x, both));
                a.next();
                b.next();
            }
            (Some(x), Some(y)) => out.extend(if x.0 < y.0 { a.next() } else { b.next() }),
            (Some(_), None) => out.extend(a.by_ref()),
            (None, Some(_)) => out.extend(b.by_ref()),
            (None, None) => return out,
        }
    }
}

impl State for QuantileState {
    fn merge(&mut self, mut other: Self) -> Result<()> {
        if self.cap != other.cap {
            let reason = format!("caps of {} and {}", self.cap, other.cap);
            return Err(Error::merge("quantiles", reason));
        }
        for (mine, theirs) in self.apart.iter_mut().zip(other.apart) {
            add_count(mine, theirs);
        }
        if let (Some(min), Some(max)) = (other.min, other.max) {
            self.reach(min, max);
        }
        if self.coarse && !other.coarse {
            other.coarsen();
        } else if other.coarse && !self.coarse {
            self.coarsen();
        }
        self.counts = union(&self.counts, &other.counts);
        self.coarsen_if_full();
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for count in self.apart {
            put_u64(out, count);
        }
        put_range(out, self.min, self.max);
        put_u8(out, u8::from(self.coarse));
        put_len(out, self.counts.len());
        for &(key, count) in &self.counts {
            put_i64(out, key);
            put_u64(out, count);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * size_of::<(i64, u64)>()
    }
}

/// The quantiles of a column, asked for one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileTable(QuantileState);

impl QuantileTable {
    /// How many values are finite.
    pub fn n(&self) -> u64 {
        self.0.counts.iter().fold(0, |sum, &(_, n)| sum.saturating_add(n))
    }

    /// Rows without a value.
    pub fn nulls(&self) -> u64 {
        self.0.apart[0]
    }

    /// Rows that are NaN.
    pub fn nans(&self) -> u64 {
        self.0.apart[1]
    }

    /// Rows that are ±∞.
    pub fn infinities(&self) -> u64 {
        self.0.apart[2].saturating_add(self.0.apart[3])
    }

    /// The smallest finite value, exactly.
    pub fn min(&self) -> Option<f64> {
        self.0.min
    }

    /// The largest finite value, exactly.
    pub fn max(&self) -> Option<f64> {
        self.0.max
    }

    /// Whether the quantiles are exact.
    pub fn is_exact(&self) -> bool {
        !self.0.coarse
    }

    /// The distinct finite values with their counts, increasing; `None` beyond the cap.
    pub fn values(&self) -> Option<Vec<(f64, u64)>> {
        let exact = || self.0.counts.iter().map(|&(k, n)| (from_key(k), n)).collect();
        self.is_exact().then(exact)
    }

    /// The quantile of this share, 0 ≤ q ≤ 1; of buckets the best guess, with the values of a
    /// bucket spread evenly over it. `None` without finite values or for another q.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.between(q, |low, high, share| low + (high - low) * share)
    }

    /// The least and the largest that the exact quantile can be; equal where it is exact.
    pub fn bounds(&self, q: f64) -> Option<(f64, f64)> {
        Some((self.between(q, |low, _, _| low)?, self.between(q, |_, high, _| high)?))
    }

    /// Type 7 over order statistics that `pick` chooses from a bucket's ends and the share of the
    /// bucket's values that stand before it.
    fn between(&self, q: f64, pick: impl Fn(f64, f64, f64) -> f64) -> Option<f64> {
        let n = self.n();
        if n == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let at = q * (n - 1) as f64;
        let rank = (at.floor() as u64).min(n - 1);
        let low = self.order_statistic(rank, &pick)?;
        let share = at - rank as f64;
        if share <= 0.0 {
            return Some(low);
        }
        let high = self.order_statistic((rank + 1).min(n - 1), &pick)?;
        // From the nearer end, which keeps the result between them.
        let value = if share < 0.5 {
            low + (high - low) * share
        } else {
            high - (high - low) * (1.0 - share)
        };
        // Ends of opposite signs may be too far apart for their difference.
        let value = if value.is_finite() { value } else { low * (1.0 - share) + high * share };
        Some(value)
    }

    fn order_statistic(&self, rank: u64, pick: &impl Fn(f64, f64, f64) -> f64) -> Option<f64> {
        if rank == 0 {
            return self.0.min;
        }
        if rank + 1 == self.n() {
            return self.0.max;
        }
        let mut before = 0u64;
        for &(key, count) in &self.0.counts {
            if rank - before < count {
                if self.is_exact() {
                    return Some(from_key(key));
                }
                let (min, max) = (self.0.min?, self.0.max?);
                let low = from_key(key << BUCKET_SHIFT).max(min);
                let last = (key << BUCKET_SHIFT) | ((1 << BUCKET_SHIFT) - 1);
                let high = from_key(last).min(max);
                let share = ((rank - before) as f64 + 0.5) / count as f64;
                return Some(pick(low, high, share).clamp(low, high));
            }
            before = before.saturating_add(count);
        }
        None
    }
}

impl fmt::Display for QuantileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.n())?;
        for (name, q) in [("min", 0.0), ("q1", 0.25), ("median", 0.5), ("q3", 0.75), ("max", 1.0)] {
            if let Some(x) = self.quantile(q) {
                write!(f, ", {name} {x}")?;
            }
        }
        if self.is_exact() { Ok(()) } else { write!(f, " (to within 1/128)") }
    }
}

impl Analyzer for Quantiles {
    type State = QuantileState;
    type Output = QuantileTable;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> QuantileState {
        let (min, max) = (None, None);
        QuantileState {
            cap: self.cap,
            apart: [0; 4],
            min,
            max,
            coarse: self.cap == 0,
            counts: Vec::new(),
        }
    }

    fn update(&self, state: &mut QuantileState, rows: &Rows<'_>) -> Result<()> {
        let array = rows.numbers(&self.column)?;
        state.apart[0] += array.null_count() as u64;
        if array.null_count() == 0 {
            state.add(array.values());
        } else {
            let mut valid = Vec::with_capacity(array.len() - array.null_count());
            values::for_each_block(array, |block| valid.extend_from_slice(block));
            state.add(&valid);
        }
        Ok(())
    }

    fn finish(&self, state: QuantileState) -> Result<QuantileTable> {
        Ok(QuantileTable(state))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<QuantileState> {
        let mut state = self.start();
        for count in &mut state.apart {
            *count = values::take_count(bytes)?;
        }
        (state.min, state.max) = take_range(bytes)?;
        state.coarse = match take_u8(bytes)? {
            0 if self.cap > 0 => false,
            1 => true,
            other => return Err(bad(bytes, "1, or 0 under a cap", other)),
        };
        let n = take_len(bytes, 16)?;
        if !state.coarse && n > self.cap {
            return Err(bad(bytes, format!("at most {} values", self.cap), n));
        }
        let shift = if state.coarse { BUCKET_SHIFT } else { 0 };
        let bucket = |x: f64| key(x) >> shift;
        let mut rows = state.apart.iter().try_fold(0u64, |sum, &c| sum.checked_add(c));
        for _ in 0..n {
            let (at, count) = (take_i64(bytes)?, values::take_count(bytes)?);
            rows = rows.and_then(|r| r.checked_add(count));
            // Between the ends, and so a finite number; +0's key is 0, and that of −0 is −1.
            let inside = state.min.is_some_and(|m| bucket(m) <= at)
                && state.max.is_some_and(|m| at <= bucket(m))
                && (state.coarse || at != -1);
            let in_order = state.counts.last().is_none_or(|last| last.0 < at);
            if !inside || !in_order || count == 0 || rows.is_none_or(|r| r > values::MOST_ROWS) {
                return Err(bad(bytes, "keys in order with counts", at));
            }
            state.counts.push((at, count));
        }
        let ends = (state.counts.first().map(|c| c.0), state.counts.last().map(|c| c.0));
        if ends != (state.min.map(bucket), state.max.map(bucket)) {
            return Err(bad(bytes, "the ends among the keys", n));
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn type_7(sorted: &[f64], q: f64) -> f64 {
        let at = q * (sorted.len() - 1) as f64;
        let i = at.floor() as usize;
        let next = sorted[(i + 1).min(sorted.len() - 1)];
        sorted[i] + (next - sorted[i]) * (at - i as f64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bounds_hold_the_exact_quantile(
            mut values in prop::collection::vec(-1e3..1e3f64, 1..400),
            q in 0.0..=1.0f64,
        ) {
            let exact = Quantiles::new("x").of(&values);
            let coarse = Quantiles::new("x").with_cap(10).of(&values);
            values.sort_by(f64::total_cmp);
            let want = type_7(&values, q);
            let got = exact.quantile(q).unwrap();
            prop_assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0));
            prop_assert_eq!(exact.bounds(q), Some((got, got)));
            let (low, high) = coarse.bounds(q).unwrap();
            prop_assert!(low <= got && got <= high, "{low} {got} {high}");
            let guess = coarse.quantile(q).unwrap();
            prop_assert!(low <= guess && guess <= high);
            prop_assert_eq!(coarse.is_exact(), values.len() <= 10);
            // A bucket's width is a share of the values beside the quantile.
            let at = q * (values.len() - 1) as f64;
            let beside = values[at.floor() as usize].abs().max(values[at.ceil() as usize].abs());
            prop_assert!((guess - got).abs() <= beside / 127.0);
        }
    }

    #[test]
    fn as_numpy_says() {
        // numpy.quantile([3, 1, 4, 1, 5, 9, 2, 6], [.1, .33, .9])
        let table = Quantiles::new("x").of(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]);
        for (q, want) in [(0.1, 1.0), (0.33, 2.31), (0.9, 6.9)] {
            let got = table.quantile(q).unwrap();
            assert!((got - want).abs() < 1e-12, "{q}: {got}");
        }
        assert_eq!(table.quantile(1.5), None);
        assert_eq!(Quantiles::new("x").of(&[f64::NAN]).quantile(0.5), None);
    }

    #[test]
    fn the_widest_range() {
        let table = Quantiles::new("x").of(&[f64::MIN, f64::MAX]);
        assert_eq!(table.quantile(0.5), Some(0.0));
        let table = Quantiles::new("x").with_cap(0).of(&[f64::MIN, -0.0, f64::MAX]);
        assert_eq!((table.quantile(0.0), table.quantile(1.0)), (Some(f64::MIN), Some(f64::MAX)));
    }
}
