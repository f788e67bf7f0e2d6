//! KSWIN, the Kolmogorov–Smirnov test in a sliding window.

use std::collections::VecDeque;

use mlops_core::bytes::{bad, put_f64, put_len, put_u8, put_u64, take_len, take_u8, take_u64};
use mlops_core::stats::{Draws, ks_two_sample_exact};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{open_probability, require, take_ordered};

/// Options of [`Kswin`]; the defaults are those of Raab et al. (2020) and `frouros` (`river` has an
/// `alpha` of .005).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KswinOptions {
    /// The level of each test, in (0, 1); .0001.
    pub alpha: f64,
    /// The values in the window, at least twice `recent` and at most 1,000,000; 100.
    pub window: usize,
    /// The latest of them, that are tested against a sample of as many of the others, 2 to 1,000;
    /// 30.
    pub recent: usize,
    /// The seed of the samples; 0.
    pub seed: u64,
}

impl Default for KswinOptions {
    fn default() -> Self {
        Self { alpha: 0.0001, window: 100, recent: 30, seed: 0 }
    }
}

impl KswinOptions {
    fn check(&self) -> Result<()> {
        open_probability("alpha", self.alpha)?;
        require("recent", self.recent, (2..=1000).contains(&self.recent), "2 to 1000")?;
        let enough = (2 * self.recent..=1_000_000).contains(&self.window);
        require("window", self.window, enough, "twice `recent` or more, at most 1,000,000")
    }
}

/// Kolmogorov–Smirnov windowing: the latest values, against a sample of those before them.
///
/// Once the window is full, at every value the latest `recent` are compared with as many drawn
/// without replacement from the rest of the window, by the two-sample test; an exact p-value of at
/// most `alpha` is a drift, after which the window goes on with the latest values alone. It takes
/// anything that can be put in order; `O(window + recent · log recent)` a value. Its statistic is
/// `D`.
///
/// The draws are keyed by the seed and the position in the stream, so that the same stream gives the
/// same changes, resumed or not. `river.drift.KSWIN` and `frouros` `KSWIN` do the same with another
/// generator; `river` asks for `D > .1` besides, and forgets the whole window after a drift.
///
/// # References
/// Raab, Heusinger, Schleif (2020), doi:10.1016/j.neucom.2019.11.111.
#[derive(Clone, Debug, PartialEq)]
pub struct Kswin {
    options: KswinOptions,
    clock: Clock,
    /// The least `recent · D` that is a drift.
    critical: u64,
    window: VecDeque<f64>,
    /// `recent · D` of the last test.
    last: Option<u64>,
    /// Room for the two samples: what is in it means nothing.
    sample: Scratch,
    latest: Scratch,
}

/// Memory that is used again and again: all of it is equal.
#[derive(Clone, Debug, Default)]
struct Scratch(Vec<f64>);

impl PartialEq for Scratch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The stream of draws that is this detector's.
const STREAM: u32 = 0x6b73;

impl Kswin {
    fn start(options: KswinOptions) -> Result<Self> {
        let r = options.recent as u64;
        let mut critical = None;
        for k in 1..=r {
            if ks_two_sample_exact(k as f64 / r as f64, r, r)? <= options.alpha {
                critical = Some(k);
                break;
            }
        }
        let Some(critical) = critical else {
            let what = format!("alpha of a test of {r} and {r} values");
            return Err(Error::invalid(what, "one that the test can reach", options.alpha));
        };
        Ok(Self {
            options,
            clock: Clock::default(),
            critical,
            window: VecDeque::new(),
            last: None,
            sample: Scratch::default(),
            latest: Scratch::default(),
        })
    }

    /// The least `D` that is a drift.
    pub fn critical(&self) -> f64 {
        self.critical as f64 / self.options.recent as f64
    }

    fn push(&mut self, x: f64) -> Signal {
        let KswinOptions { window, recent, seed, .. } = self.options;
        if self.window.len() == window {
            self.window.pop_front();
        }
        self.window.push_back(x);
        if self.window.len() < window {
            return Signal::None;
        }
        let older = window - recent;
        let (sample, latest) = (&mut self.sample.0, &mut self.latest.0);
        sample.clear();
        sample.extend(self.window.range(..older));
        if older > recent {
            // The first steps of a shuffle are a sample without replacement.
            let mut draws = Draws::new(seed, STREAM, self.clock.seen);
            for i in 0..recent {
                let j = i + draws.below((older - i) as u64) as usize;
                sample.swap(i, j);
            }
            sample.truncate(recent);
        }
        latest.clear();
        latest.extend(self.window.range(older..));
        sample.sort_unstable_by(f64::total_cmp);
        latest.sort_unstable_by(f64::total_cmp);
        let most = largest_difference(sample, latest);
        self.last = Some(most);
        Signal::of(most >= self.critical, false)
    }

    fn forget(&mut self) {
        let older = self.window.len().saturating_sub(self.options.recent);
        self.window.drain(..older);
        self.last = None;
    }

    fn restart(&mut self) {
        self.window.clear();
        self.last = None;
    }

    fn level(&self) -> Option<f64> {
        self.last.map(|k| k as f64 / self.options.recent as f64)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_len(out, self.window.len());
        for x in &self.window {
            put_f64(out, *x);
        }
        put_u8(out, self.last.is_some().into());
        put_u64(out, self.last.unwrap_or(0));
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let n = take_len(bytes, 8)?;
        if n > self.options.window {
            return Err(bad(bytes, format!("at most {} values", self.options.window), n));
        }
        for _ in 0..n {
            self.window.push_back(take_ordered(bytes)?);
        }
        let (some, last) = (take_u8(bytes)?, take_u64(bytes)?);
        self.last = match (some, last) {
            (0, 0) => None,
            (1, k) if k <= self.options.recent as u64 => Some(k),
            _ => return Err(bad(bytes, format!("at most {}", self.options.recent), last)),
        };
        Ok(())
    }
}

/// `n · D` of two sorted samples of `n` values each.
fn largest_difference(a: &[f64], b: &[f64]) -> u64 {
    let (mut i, mut j, mut most) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] == x {
            i += 1;
        }
        while j < b.len() && b[j] == x {
            j += 1;
        }
        most = most.max(i.abs_diff(j));
    }
    most as u64
}

stream_detector!(Kswin(KswinOptions), "kswin", 1, Input::Ordered);
