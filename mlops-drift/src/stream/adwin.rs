//! ADWIN, a window that is as long as nothing changes.

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_len, put_u64, take_count, take_len};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{open_probability, require, take_finite, take_not_negative};

/// Options of [`Adwin`]; the defaults are those of Bifet's implementation in MOA, and of `river`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdwinOptions {
    /// The confidence `δ` of a cut, in (0, 1); .002.
    pub delta: f64,
    /// Cuts are looked for at every so many values, at least 1; 32.
    pub clock: u64,
    /// Buckets of one size, 2 to 1,024; 5. More of them find a change more exactly, and take longer.
    pub max_buckets: usize,
    /// The least values on each side of a cut, at least 1; 5.
    pub min_side: u64,
    /// The window must be longer than this before cuts are looked for; 10.
    pub min_values: u64,
}

impl Default for AdwinOptions {
    fn default() -> Self {
        Self { delta: 0.002, clock: 32, max_buckets: 5, min_side: 5, min_values: 10 }
    }
}

impl AdwinOptions {
    fn check(&self) -> Result<()> {
        open_probability("delta", self.delta)?;
        require("clock", self.clock, self.clock >= 1, "1 or more")?;
        let some = (2..=1024).contains(&self.max_buckets);
        require("max_buckets", self.max_buckets, some, "2 to 1024")?;
        require("min_side", self.min_side, self.min_side >= 1, "1 or more")
    }
}

/// Adaptive windowing: a window of the latest values that drops its older part whenever the means of
/// two parts differ.
///
/// The window is kept as buckets of 1, 2, 4, … values, at most `max_buckets` of a size. At every
/// `clock`-th value it is cut between any two buckets; where the means of the two sides, of `n₀` and
/// `n₁` values, differ by more than `ε = √(2 m σ² ln(2 ln n/δ)) + ⅔ m ln(2 ln n/δ)`, with
/// `m = 1/(n₀ − s + 1) + 1/(n₁ − s + 1)`, `s` the least side, and `σ²` the variance of the window,
/// it drops its oldest bucket and looks again. That is a drift; the window goes on with what is
/// left, which is from after the change. It takes numbers; memory and the look are
/// `O(max_buckets · log n)`, a value costs `O(1)` besides. Its statistic is the largest
/// `|μ₀ − μ₁| / ε` of the last look (more than 1 is a drift).
///
/// `river.drift.ADWIN` makes the same cuts, but forgets the whole window with the next value; so does
/// who calls [`reset`](super::StreamDetector::reset) at a drift. `frouros` `ADWIN`, and `river` up to
/// 0.21, make no cut after the newest bucket of each size and so see changes later than MOA, the
/// authors' implementation, does.
///
/// # References
/// Bifet and Gavaldà (2007), doi:10.1137/1.9781611972771.42.
#[derive(Clone, Debug, PartialEq)]
pub struct Adwin {
    options: AdwinOptions,
    clock: Clock,
    /// Values since the last reset.
    values: u64,
    /// Buckets of 1, 2, 4, … values, the oldest of a size first.
    rows: Vec<Vec<Bucket>>,
    last: Option<f64>,
}

/// The sum of some values and of their squared differences from their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bucket {
    total: f64,
    squares: f64,
}

/// Values in a part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    n: f64,
    sum: Bucket,
}

impl Part {
    fn and(self, other: Self) -> Self {
        if self.n == 0.0 || other.n == 0.0 {
            return if self.n == 0.0 { other } else { self };
        }
        let apart = self.sum.total / self.n - other.sum.total / other.n;
        let between = self.n * other.n / (self.n + other.n) * (apart * apart);
        Self {
            n: self.n + other.n,
            sum: Bucket {
                total: self.sum.total + other.sum.total,
                squares: self.sum.squares + other.sum.squares + between,
            },
        }
    }
}

/// Values in a bucket of row `row`.
fn values_in(row: usize) -> f64 {
    (row as f64).exp2()
}

impl Adwin {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: AdwinOptions) -> Result<Self> {
        Ok(Self { options, clock: Clock::default(), values: 0, rows: Vec::new(), last: None })
    }

    /// How many values the window holds.
    pub fn width(&self) -> u64 {
        // Saturating for the sake of states that were read.
        self.rows.iter().enumerate().fold(0, |sum: u64, (row, buckets)| {
            sum.saturating_add((buckets.len() as u64).saturating_mul(1 << row))
        })
    }

    /// The mean of the window; `None` while it is empty.
    pub fn mean(&self) -> Option<f64> {
        let all = self.window();
        (all.n > 0.0).then(|| all.sum.total / all.n)
    }

    /// The variance of the window, over its number of values; `None` while it is empty.
    pub fn variance(&self) -> Option<f64> {
        let all = self.window();
        (all.n > 0.0).then(|| all.sum.squares / all.n)
    }

    /// The buckets, the oldest first.
    fn oldest_first(&self) -> impl Iterator<Item = Part> + '_ {
        self.rows.iter().enumerate().rev().flat_map(|(row, buckets)| {
            buckets.iter().map(move |sum| Part { n: values_in(row), sum: *sum })
        })
    }

    fn window(&self) -> Part {
        self.oldest_first().fold(Part::default(), Part::and)
    }

    fn push(&mut self, x: f64) -> Signal {
        self.values += 1;
        self.insert(Bucket { total: x, squares: 0.0 });
        if !self.values.is_multiple_of(self.options.clock)
            || self.width() <= self.options.min_values
        {
            return Signal::None;
        }
        let (mut drift, mut most) = (false, None);
        loop {
            let ratio = self.largest_cut();
            most = most.max_by_order(ratio);
            if ratio.is_none_or(|ratio| ratio <= 1.0) {
                break;
            }
            drift = true;
            self.drop_oldest();
        }
        self.last = most;
        Signal::of(drift, false)
    }

    fn insert(&mut self, bucket: Bucket) {
        let mut carried = Some(bucket);
        for row in 0.. {
            let Some(bucket) = carried.take() else { break };
            if row == self.rows.len() {
                self.rows.push(Vec::with_capacity(self.options.max_buckets + 1));
            }
            let buckets = &mut self.rows[row];
            buckets.push(bucket);
            if buckets.len() > self.options.max_buckets {
                let n = values_in(row);
                let pair = Part { n, sum: buckets[0] }.and(Part { n, sum: buckets[1] });
                buckets.drain(..2);
                carried = Some(pair.sum);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.rows.last_mut() {
            oldest.remove(0);
            while self.rows.last().is_some_and(Vec::is_empty) {
                self.rows.pop();
            }
        }
    }

    /// The largest difference of the means over its bound, of all cuts with enough on both sides.
    fn largest_cut(&self) -> Option<f64> {
        let all = self.window();
        let least = self.options.min_side as f64;
        let log = (2.0 * all.n.ln() / self.options.delta).ln();
        let variance = all.sum.squares / all.n;
        let (mut n, mut total) = (0.0, 0.0);
        let mut most: Option<f64> = None;
        for bucket in self.oldest_first() {
            n += bucket.n;
            total += bucket.sum.total;
            let rest = all.n - n;
            if n < least || rest < least {
                continue;
            }
            let m = 1.0 / (n - least + 1.0) + 1.0 / (rest - least + 1.0);
            let bound = (2.0 * m * variance * log).sqrt() + 2.0 / 3.0 * log * m;
            let apart = (total / n - (all.sum.total - total) / rest).abs();
            most = most.max_by_order(Some(apart / bound));
        }
        most
    }

    #[expect(clippy::unused_self, reason = "the window has dropped its older part already")]
    fn forget(&mut self) {}

    fn restart(&mut self) {
        self.values = 0;
        self.rows.clear();
        self.last = None;
    }

    fn level(&self) -> Option<f64> {
        self.last
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.values);
        put_len(out, self.rows.len());
        for buckets in &self.rows {
            put_len(out, buckets.len());
            for bucket in buckets {
                put_f64(out, bucket.total);
                put_f64(out, bucket.squares);
            }
        }
        put_f64(out, self.last.unwrap_or(-1.0));
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.values = take_count(bytes)?;
        let rows = take_len(bytes, 8)?;
        // 2⁵⁶ values are more than anyone has.
        if rows > 56 {
            return Err(bad(bytes, "at most 56 sizes of buckets", rows));
        }
        for row in 0..rows {
            let n = take_len(bytes, 16)?;
            if n > self.options.max_buckets || (n == 0 && row + 1 == rows) {
                return Err(bad(bytes, format!("1 to {} buckets", self.options.max_buckets), n));
            }
            let bucket = |bytes: &mut &[u8]| {
                let (total, squares) = (take_finite(bytes)?, take_not_negative(bytes)?);
                // As of as many of the largest values.
                if total.abs() > 1e160 || squares > 1e300 {
                    return Err(bad(bytes, "sums of numbers to 1e140", total));
                }
                Ok(Bucket { total, squares })
            };
            self.rows.push((0..n).map(|_| bucket(bytes)).collect::<Result<_>>()?);
        }
        // In more bits than a window of 2⁵⁶ rows of 1,024 buckets needs.
        let wide = self.rows.iter().enumerate().map(|(row, b)| (b.len() as u128) << row);
        let width: u128 = wide.sum();
        if width > u128::from(self.values) {
            return Err(bad(bytes, format!("a window of at most {}", self.values), width));
        }
        let last = take_finite(bytes)?;
        if last < 0.0 && last != -1.0 {
            return Err(bad(bytes, "a ratio", last));
        }
        self.last = (last >= 0.0).then_some(last);
        Ok(())
    }
}

/// The larger of two that may be missing.
trait MaxByOrder {
    fn max_by_order(self, other: Self) -> Self;
}

impl MaxByOrder for Option<f64> {
    fn max_by_order(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        }
    }
}

stream_detector!(Adwin(AdwinOptions), "adwin", 1, Input::Number);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StreamDetector;

    #[test]
    fn a_window_longer_than_any_is_refused() {
        let options = AdwinOptions { max_buckets: 1024, ..AdwinOptions::default() };
        let mut adwin = Adwin::new(options).unwrap();
        let mut bytes = Vec::new();
        adwin.clock.encode(&mut bytes);
        put_u64(&mut bytes, 1 << 56);
        put_len(&mut bytes, 56);
        for _ in 0..56 {
            put_len(&mut bytes, 1024);
            bytes.extend([0; 1024 * 16]);
        }
        put_f64(&mut bytes, -1.0);
        assert!(adwin.decode(&mut bytes.as_slice()).is_err());
        assert_eq!(adwin.width(), 0);
    }

    #[test]
    fn the_window_goes_on_with_what_came_after_the_change() {
        let mut adwin = Adwin::new(AdwinOptions::default()).unwrap();
        for i in 0..2000 {
            let level = if i < 1500 { 0.0 } else { 5.0 };
            adwin.update(level + f64::from(i * 7919 % 13) / 13.0).unwrap();
        }
        assert!((480..=520).contains(&adwin.width()), "{}", adwin.width());
        assert!((adwin.mean().unwrap() - 5.46).abs() < 0.1, "{:?}", adwin.mean());
    }
}
