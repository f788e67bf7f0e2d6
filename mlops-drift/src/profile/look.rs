//! Where a look at a column counts.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Of the key of a float, sign, exponent and 4 bits of the fraction: what the first look counts by.
const LEADING: u32 = 16;
/// So many leading bits of a key find the run that it is in, or where to search for it.
const INDEX: u32 = 16;

/// A run of keys to be counted in parts that agree but for `shift` bits of the distance from its
/// lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parts {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) shift: u32,
}

impl Parts {
    /// As few bits as make no more than `most` parts, and no fewer than `grain`.
    pub(super) fn new(low: u64, high: u64, most: u64, grain: u32) -> Self {
        let width = high - low;
        let bits = (u64::BITS - width.leading_zeros()).saturating_sub(most.max(1).ilog2());
        Self { low, high, shift: bits.max(grain).min(u64::BITS - 1) }
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> usize {
        ((self.high - self.low) >> self.shift).saturating_add(1) as usize
    }

    /// The part at this place: its lowest and its highest key.
    pub(super) fn part(&self, at: u64) -> (u64, u64) {
        let low = self.low + (at << self.shift);
        (low, low.saturating_add((1 << self.shift) - 1).min(self.high))
    }
}

/// A run, ready to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    low: u64,
    width: u64,
    shift: u32,
    /// The counter of the first part.
    first: u32,
}

/// The counters of a look: one for each part of each run, behind one for keys that are in no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    runs: Vec<Parts>,
    /// The runs, behind so many that hold no key that a search never begins before them.
    placed: Vec<Placed>,
    /// By the leading bits of the distance from `low`: where among so many runs to search.
    starts: Vec<u32>,
    span: usize,
    low: u64,
    shift: u32,
    counters: usize,
}

impl Look {
    /// The counters of the first look, and of one for so many edges.
    pub(super) fn most_counters(edges: usize) -> usize {
        (1 << LEADING).max(4 * edges) + 1
    }

    /// At all keys.
    pub(super) fn first() -> Self {
        let whole = Parts { low: 0, high: u64::MAX, shift: u64::BITS - LEADING };
        Self::of(vec![whole], 1 << LEADING)
    }

    /// At these runs.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is one, and they are in order and have no more parts than a
    /// look for so many edges may have.
    pub(super) fn again(runs: Vec<Parts>, edges: usize) -> Result<Self> {
        let apart = runs.windows(2).all(|pair| pair[0].high < pair[1].low);
        let valid = |run: &Parts| {
            (1..=run.high).contains(&run.low) && run.shift < u64::BITS && run.len() < 1 << 31
        };
        let bad = |found: &dyn std::fmt::Display| {
            Err(Error::invalid("runs to look at again", "some in order, of few parts", found))
        };
        if runs.is_empty() || !apart || !runs.iter().all(valid) {
            return bad(&"others");
        }
        let parts = runs.iter().fold(0, |sum, run| sum + run.len());
        if parts >= Self::most_counters(edges) {
            return bad(&format!("{parts} parts"));
        }
        Ok(Self::of(runs, parts))
    }

    fn of(runs: Vec<Parts>, parts: usize) -> Self {
        let (low, high) = match (runs.first(), runs.last()) {
            (Some(first), Some(last)) => (first.low, last.high),
            _ => (0, 0),
        };
        // One run is found wherever it is looked for.
        let bits = if runs.len() == 1 { 1 } else { INDEX };
        let shift = (u64::BITS - (high - low).leading_zeros()).saturating_sub(bits);
        let low = low >> shift << shift;
        // Of each cell the first run that reaches into it or begins later, and the last that begins
        // no later than it ends.
        let cells = ((high - low) >> shift) as usize + 1;
        let (mut a, mut b) = (0, 0);
        let mut span = 1;
        let lasts: Vec<usize> = (0..cells as u64)
            .map(|cell| {
                let first = low + (cell << shift);
                let last = first.saturating_add((1 << shift) - 1);
                while runs.get(a).is_some_and(|run| run.high < first) {
                    a += 1;
                }
                while runs.get(b + 1).is_some_and(|run| run.low <= last) {
                    b += 1;
                }
                span = span.max((b + 1).saturating_sub(a));
                b
            })
            .collect();
        let span = span.next_power_of_two();
        // The last of `span` is at this place; before the first run there are span − 1 others.
        let starts = lasts.into_iter().map(|last| last as u32).collect();
        let mut placed = vec![Placed { low: 0, width: 0, shift: 0, first: 0 }; span - 1];
        let mut first = 1;
        for run in &runs {
            placed.push(Placed {
                low: run.low,
                width: run.high - run.low,
                shift: run.shift,
                first,
            });
            first += run.len() as u32;
        }
        Self { runs, placed, starts, span, low, shift, counters: parts + 1 }
    }

    pub(super) fn runs(&self) -> &[Parts] {
        &self.runs
    }

    /// Whether it looks at all keys.
    pub(super) fn is_first(&self) -> bool {
        self.runs.first().is_some_and(|run| run.low == 0)
    }

    pub(super) fn counters(&self) -> usize {
        self.counters
    }

    /// The counter of a key (not 0); 0 of one that is in no run.
    #[inline]
    pub(super) fn counter(&self, key: u64) -> usize {
        let cell = (key.wrapping_sub(self.low) >> self.shift).min(self.starts.len() as u64 - 1);
        let mut at = self.starts[cell as usize] as usize;
        let mut step = self.span / 2;
        while step > 0 {
            if self.placed[at + step].low <= key {
                at += step;
            }
            step /= 2;
        }
        let run = &self.placed[at];
        let distance = key.wrapping_sub(run.low);
        let counter = u64::from(run.first) + (distance >> run.shift);
        if distance <= run.width { counter as usize } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_key_has_the_counter_of_its_part(
            ends in prop::collection::vec(1u64..5000, 2..40),
            scale in 0u32..50,
            from in any::<u64>(),
            most in 1u64..40,
            keys in prop::collection::vec(any::<u64>(), 40),
        ) {
            let mut ends: Vec<_> =
                ends.into_iter().map(|k| (from >> 1).saturating_add(k << scale)).collect();
            ends.sort_unstable();
            ends.dedup();
            let runs: Vec<_> = ends
                .chunks_exact(2)
                .map(|pair| Parts::new(pair[0].max(1), pair[1], most, 0))
                .collect();
            prop_assume!(!runs.is_empty());
            let look = Look::again(runs.clone(), 4096).expect("runs in order");
            let mut keys = keys;
            keys.extend(ends.iter().flat_map(|k| [k.saturating_sub(1), *k, k.saturating_add(1)]));
            keys.extend(runs.iter().map(|run| run.low + (run.high - run.low) / 3));
            for key in keys.into_iter().filter(|key| *key > 0) {
                let mut counter = 1;
                let mut expected = 0;
                for run in &runs {
                    for at in 0..run.len() as u64 {
                        let (low, high) = run.part(at);
                        if (low..=high).contains(&key) {
                            expected = counter;
                        }
                        counter += 1;
                    }
                    prop_assert!(run.len() as u64 <= most, "{run:?}");
                }
                prop_assert_eq!(look.counter(key), expected);
                prop_assert_eq!(look.counters(), counter);
            }
        }
    }

    #[test]
    fn what_no_look_has_is_an_error() {
        let run = |low, high, shift| Parts { low, high, shift };
        for runs in [
            vec![],
            vec![run(0, 9, 0)],
            vec![run(9, 8, 0)],
            vec![run(1, 8, 64)],
            vec![run(1, u64::MAX, 0)],
            vec![run(1, 1 << 40, 10)],
            vec![run(1, 8, 0), run(8, 9, 0)],
        ] {
            assert!(Look::again(runs, 4096).is_err());
        }
    }
}
