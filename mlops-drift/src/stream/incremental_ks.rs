//! The Kolmogorov–Smirnov test of two windows, kept up to date in `O(log n)`.

use std::collections::VecDeque;

use mlops_core::bytes::{bad, put_f64, put_len, take_len};
use mlops_core::stats::{ks_two_sample_asymptotic, ks_two_sample_exact};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{open_probability, require, take_ordered};
use super::prefix_tree::PrefixTree;

/// What the latest values are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KsReference {
    /// The first values of the stream, or since the last drift: slow changes add up.
    #[default]
    Fixed,
    /// The values right before the latest ones: only quick changes are seen.
    Sliding,
}

/// Options of [`IncrementalKs`]; `alpha` and the fixed reference are those of dos Reis et al. (2016).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncrementalKsOptions {
    /// The values in the reference, 1 to 1,000,000; 200.
    pub reference: usize,
    /// The latest values that are compared with it, 1 to 1,000,000; 200.
    pub window: usize,
    /// The level of each test, in (0, 1); .001.
    pub alpha: f64,
    /// Whether the reference stays; [`KsReference::Fixed`].
    pub mode: KsReference,
}

impl Default for IncrementalKsOptions {
    fn default() -> Self {
        Self { reference: 200, window: 200, alpha: 0.001, mode: KsReference::Fixed }
    }
}

impl IncrementalKsOptions {
    fn check(&self) -> Result<()> {
        for (what, n) in [("reference", self.reference), ("window", self.window)] {
            require(what, n, (1..=1_000_000).contains(&n), "1 to 1,000,000")?;
        }
        open_probability("alpha", self.alpha)
    }
}

/// The two-sample Kolmogorov–Smirnov test of a window of the latest values and a reference, exactly,
/// at every value.
///
/// `D = max |F − G|` of the two windows, as in [`ks_two_sample`](crate::statistics::ks_two_sample),
/// is kept in a balanced tree whose nodes hold the extremes of `F − G` below them: a value that
/// comes or goes costs `O(log n)`, and `D` is exact with any ties. A p-value of at most `alpha`
/// (exact up to 10,000 values a side of one size or a product of 2²⁰, asymptotic beyond) is a drift;
/// then the latest values become the reference. It takes anything that can be put in order; it
/// remembers both windows. Its statistic is `D`, undefined until both windows are full.
///
/// `river.stats.KolmogorovSmirnov` is the same tree as a randomised one without the test; it takes
/// the extremes between equal values, too, so that two samples that are equal but tied have `D` up
/// to 1. `frouros` `IncrementalKSTest` sorts anew at each value.
///
/// # References
/// Dos Reis, Flach, Matwin, Batista (2016), doi:10.1145/2939672.2939836.
#[derive(Clone, Debug)]
pub struct IncrementalKs {
    options: IncrementalKsOptions,
    clock: Clock,
    /// The least `n · m · D` that is a drift.
    critical: u64,
    reference: VecDeque<f64>,
    latest: VecDeque<f64>,
    /// The reference's values weigh `m` and the latest `−n`.
    tree: PrefixTree,
}

/// The tree's shape depends on how it grew, and means nothing.
impl PartialEq for IncrementalKs {
    fn eq(&self, other: &Self) -> bool {
        (&self.options, &self.clock, &self.reference, &self.latest)
            == (&other.options, &other.clock, &other.reference, &other.latest)
    }
}

impl IncrementalKs {
    fn start(options: IncrementalKsOptions) -> Result<Self> {
        let (n, m) = (options.reference as u64, options.window as u64);
        let critical = critical(n, m, options.alpha)?;
        let (reference, latest) = (VecDeque::new(), VecDeque::new());
        let (clock, tree) = (Clock::default(), PrefixTree::default());
        Ok(Self { options, clock, critical, reference, latest, tree })
    }

    /// The least `D` that is a drift.
    pub fn critical(&self) -> f64 {
        self.distance(self.critical)
    }

    fn distance(&self, crossed: u64) -> f64 {
        crossed as f64 / (self.options.reference as f64 * self.options.window as f64)
    }

    fn add_reference(&mut self, x: f64) {
        self.reference.push_back(x);
        self.tree.add(x, self.options.window as i64);
    }

    fn push(&mut self, x: f64) -> Signal {
        let IncrementalKsOptions { reference, window, mode, .. } = self.options;
        if self.reference.len() < reference {
            self.add_reference(x);
            return Signal::None;
        }
        if self.latest.len() == window
            && let Some(oldest) = self.latest.pop_front()
        {
            self.tree.remove(oldest, -(reference as i64));
            if mode == KsReference::Sliding {
                if let Some(first) = self.reference.pop_front() {
                    self.tree.remove(first, window as i64);
                }
                self.add_reference(oldest);
            }
        }
        self.latest.push_back(x);
        self.tree.add(x, -(reference as i64));
        let full = self.latest.len() == window;
        Signal::of(full && self.tree.largest() >= self.critical, false)
    }

    fn forget(&mut self) {
        let latest = std::mem::take(&mut self.latest);
        self.restart();
        let more = latest.len().saturating_sub(self.options.reference);
        for x in latest.into_iter().skip(more) {
            self.add_reference(x);
        }
    }

    fn restart(&mut self) {
        self.reference.clear();
        self.latest.clear();
        self.tree.clear();
    }

    fn level(&self) -> Option<f64> {
        let full = self.latest.len() == self.options.window;
        full.then(|| self.distance(self.tree.largest()))
    }

    fn put(&self, out: &mut Vec<u8>) {
        for values in [&self.reference, &self.latest] {
            put_len(out, values.len());
            for x in values {
                put_f64(out, *x);
            }
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let IncrementalKsOptions { reference, window, .. } = self.options;
        let n = take_len(bytes, 8)?;
        if n > reference {
            return Err(bad(bytes, format!("at most {reference} values"), n));
        }
        for _ in 0..n {
            let x = take_ordered(bytes)?;
            self.add_reference(x);
        }
        let m = take_len(bytes, 8)?;
        if m > window || (m > 0 && n < reference) {
            return Err(bad(bytes, "latest values after a full reference", m));
        }
        for _ in 0..m {
            let x = take_ordered(bytes)?;
            self.latest.push_back(x);
            self.tree.add(x, -(reference as i64));
        }
        Ok(())
    }
}

/// The least `n · m · D` whose p-value is at most `alpha`.
fn critical(n: u64, m: u64, alpha: f64) -> Result<u64> {
    let exact = (n == m && n <= 10_000) || n * m <= 1 << 20;
    let p_value = |crossed: u64| {
        let d = crossed as f64 / (n as f64 * m as f64);
        if exact { ks_two_sample_exact(d, n, m) } else { ks_two_sample_asymptotic(d, n, m) }
    };
    let (mut low, mut high) = (0, n * m);
    if p_value(high)? > alpha {
        let what = format!("alpha of a test of {n} and {m} values");
        return Err(Error::invalid(what, "one that the test can reach", alpha));
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if p_value(middle)? <= alpha { high = middle } else { low = middle }
    }
    Ok(high)
}

stream_detector!(IncrementalKs(IncrementalKsOptions), "incremental_ks", 1, Input::Ordered);
