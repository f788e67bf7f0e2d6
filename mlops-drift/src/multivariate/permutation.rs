//! Permutations of two sides that tell where they are and can be stopped.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use mlops_core::stats::{Draws, Resampling};
use mlops_core::{Cancel, DataSource, Error, OnProgress, Progress, Result, Scan};
use rayon::prelude::*;

/// Who watches a long test, and who may stop it. The parts that its [`Progress`] counts in
/// `partitions` are the replicates, or the blocks of rows, of the test.
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    progress: Option<&'a dyn OnProgress>,
    cancel: Option<&'a Cancel>,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl<'a> Watch<'a> {
    /// Nobody.
    pub fn none() -> Self {
        Self::default()
    }

    /// Tells this listener after every part.
    #[must_use]
    pub fn on_progress(mut self, listener: &'a dyn OnProgress) -> Self {
        self.progress = Some(listener);
        self
    }

    /// Stops before the next part once this switch is thrown.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// A scan that it watches.
    pub(crate) fn scan(self, source: &'a dyn DataSource) -> Scan<'a> {
        let mut scan = Scan::new(source);
        if let Some(listener) = self.progress {
            scan = scan.on_progress(listener);
        }
        match self.cancel {
            Some(cancel) => scan.cancel(cancel),
            None => scan,
        }
    }

    /// Does every part, in parallel, and gives what they gave in their order.
    pub(crate) fn parts<T: Send>(
        self,
        parts: usize,
        each: impl Fn(usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let done = AtomicU64::new(0);
        (0..parts)
            .into_par_iter()
            .map(|part| {
                if let Some(cancel) = self.cancel {
                    cancel.check()?;
                }
                let made = each(part)?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if let Some(listener) = self.progress {
                    let mut progress = Progress::default();
                    progress.partitions = done;
                    progress.partitions_total = Some(parts as u64);
                    listener.on_progress(&progress);
                }
                Ok(made)
            })
            .collect()
    }
}

/// How the labels of a test are permuted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permutations {
    pub(crate) how: Resampling,
    /// Points of the reference.
    pub(crate) n: usize,
    /// Current points.
    pub(crate) m: usize,
}

impl Permutations {
    /// # Errors
    /// [`Error::Invalid`] without replicates.
    pub(crate) fn new(seed: u64, stream: u32, replicates: u32, n: usize, m: usize) -> Result<Self> {
        if replicates == 0 {
            return Err(Error::invalid("the permutations", "at least 1", 0));
        }
        let mut how = Resampling::new(seed, replicates);
        how.stream = stream;
        Ok(Self { how, n, m })
    }

    /// For each point whether a replicate takes it for a current one, as it does `m` of them.
    pub(crate) fn labels(&self, replicate: usize) -> Vec<bool> {
        let mut draws = Draws::new(self.how.seed, self.how.stream, replicate as u64);
        let all = self.n + self.m;
        // The smaller side is drawn: Fisher and Yates, stopped as soon as it is full.
        let (few, current_is_few) = if self.m <= self.n { (self.m, true) } else { (self.n, false) };
        let mut order: Vec<usize> = (0..all).collect();
        let mut labels = vec![!current_is_few; all];
        for i in 0..few {
            order.swap(i, i + draws.below((all - i) as u64) as usize);
            labels[order[i]] = current_is_few;
        }
        labels
    }

    /// The labels as they are.
    pub(crate) fn own(&self) -> Vec<bool> {
        (0..self.n + self.m).map(|i| i >= self.n).collect()
    }

    /// `(k + 1)/(B + 1)` with `k` of the `B` permuted statistics at least as large as the observed,
    /// or nearer to it than rounding can tell.
    pub(crate) fn p_value(observed: f64, permuted: &[f64], rounding: f64) -> f64 {
        let bound = observed - rounding - 1e-13 * observed.abs();
        let reached = permuted.iter().filter(|x| x.is_nan() || **x >= bound).count();
        (reached as f64 + 1.0) / (permuted.len() as f64 + 1.0)
    }

    pub(crate) fn replicates(&self) -> usize {
        self.how.replicates as usize
    }
}

/// The value at this share of the sorted values that is not below it: conservative for an upper
/// limit. `None` where they are too few: with `B` of them the largest stands for `B/(B + 1)`.
pub(crate) fn upper_quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    // Not one more for the rounding of a product.
    let at = (share * (values.len() as f64 + 1.0) - 1e-9).ceil() as usize;
    values.get(at.max(1) - 1).copied()
}
