//! From a p-value and limits of an effect to a verdict.

use std::fmt;

use mlops_core::stats::Interval;
use mlops_core::{Error, Finding, Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::monitor::report::show_p;

/// When a comparison of several columns fails and when it passes.
///
/// *Fail*: the test rejects at `alpha` and the lower limit of the effect is over the floor.
/// *Pass*: the upper limit of the effect is within the floor. *Inconclusive* otherwise, and below
/// `min_rows` on either side: "not significant" is not a pass. `B` permutations give no p-value
/// below `1/(B + 1)`: where that is above `alpha` nothing can fail, and the reason says so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictRule {
    /// The level of the test; 0.05.
    pub alpha: f64,
    /// The confidence of both limits of the effect together; 0.95.
    pub confidence: f64,
    /// Rows of each side below which there is no verdict; 30.
    pub min_rows: u64,
}

impl Default for VerdictRule {
    fn default() -> Self {
        Self { alpha: 0.05, confidence: 0.95, min_rows: 30 }
    }
}

impl VerdictRule {
    pub(crate) fn check(&self) -> Result<()> {
        for (what, x) in [("level of a test", self.alpha), ("confidence", self.confidence)] {
            if !(x > 0.0 && x < 1.0) {
                return Err(Error::invalid(what, "a number between 0 and 1", x));
            }
        }
        Ok(())
    }
}

/// What a test says: its p-value, the effect with its limits, the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Judged {
    /// P of a statistic this large or larger where nothing drifted.
    pub p_value: f64,
    /// How many permutations it was counted in: it is never below `1/(replicates + 1)`.
    pub replicates: u32,
    /// The size of the drift; each test says in which unit.
    pub effect: f64,
    /// Confidence limits of the effect in the two populations; `None` where they are undefined.
    pub interval: Option<Interval>,
    /// The effect up to which drift does not matter.
    pub floor: f64,
    /// The answer.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
}

/// The options that all tests by permutations of the labels have.
macro_rules! test_options {
    ($test:ty) => {
        impl $test {
            /// The same with so many permutations.
            #[must_use]
            pub fn replicates(mut self, replicates: u32) -> Self {
                self.replicates = replicates;
                self
            }

            /// The same with this floor of the effect.
            #[must_use]
            pub fn floor(mut self, floor: f64) -> Self {
                self.floor = floor;
                self
            }

            /// The same with this rule.
            #[must_use]
            pub fn rule(mut self, rule: $crate::multivariate::VerdictRule) -> Self {
                self.rule = rule;
                self
            }
        }
    };
}
pub(super) use test_options;

/// What a verdict rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    pub(crate) p_value: f64,
    pub(crate) replicates: u32,
    pub(crate) effect: f64,
    pub(crate) interval: Option<Interval>,
    pub(crate) floor: f64,
    /// The rows of the smaller side.
    pub(crate) rows: u64,
}

impl Judged {
    pub(crate) fn new(rule: &VerdictRule, evidence: Evidence) -> Self {
        let Evidence { p_value, replicates, effect, interval, floor, rows } = evidence;
        // Infinite limits say nothing.
        let interval = interval.filter(|i| i.low.is_finite() && i.high.is_finite());
        let rejected = p_value <= rule.alpha;
        // The p-value is never below this.
        let least = 1.0 / (f64::from(replicates) + 1.0);
        let (verdict, reason) = match interval {
            _ if rows < rule.min_rows => {
                let reason = format!("{rows} rows, fewer than {}", rule.min_rows);
                (Verdict::Inconclusive, reason)
            }
            Some(limits) if limits.high <= floor => {
                (Verdict::Pass, format!("the effect is at most {:.4}", limits.high))
            }
            _ if least > rule.alpha => {
                let enough = (1.0 / rule.alpha - 1e-9).ceil() - 1.0;
                let reason = format!(
                    "{replicates} permutations can never reject at {}: it takes {enough}",
                    rule.alpha
                );
                (Verdict::Inconclusive, reason)
            }
            None => (Verdict::Inconclusive, "the limits of the effect are undefined".to_owned()),
            Some(limits) if rejected && limits.low > floor => {
                (Verdict::Fail, format!("the effect is at least {:.4}", limits.low))
            }
            Some(_) if rejected => {
                (Verdict::Inconclusive, "drift, but it may be within the floor".to_owned())
            }
            Some(_) => {
                (Verdict::Inconclusive, "no evidence of drift, nor of its absence".to_owned())
            }
        };
        Self { p_value, replicates, effect, interval, floor, verdict, reason }
    }

    /// The answer as a finding about these columns.
    pub fn finding(&self, check: &str, subject: &str) -> Finding {
        let expected = format!("an effect within {}", self.floor);
        let finding = Finding::new(check, subject, self.verdict, expected, self.reason.clone())
            .with_value(self.effect)
            .with_p_value(self.p_value);
        match self.interval {
            Some(limits) => finding.with_interval(limits.low, limits.high),
            None => finding,
        }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: effect {:.4}", self.verdict, self.effect)?;
        if let Some(limits) = self.interval {
            write!(f, " {limits}")?;
        }
        write!(f, ", floor {}, p = {}", self.floor, show_p(Some(self.p_value)))?;
        write!(f, " ({} permutations); {}", self.replicates, self.reason)
    }
}

/// Refuses a floor that is none.
pub(crate) fn check_floor(floor: f64) -> Result<()> {
    if floor.is_finite() && floor >= 0.0 {
        Ok(())
    } else {
        Err(Error::invalid("floor of an effect", "a number of at least 0", floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_permutations_to_reject_are_said() {
        let judged = |replicates: u32, limits: Option<(f64, f64)>| {
            let interval = limits.map(|(low, high)| Interval::new(low, high, 0.95).unwrap());
            let p_value = 1.0 / (f64::from(replicates) + 1.0);
            let evidence =
                Evidence { p_value, replicates, effect: 0.5, interval, floor: 0.1, rows: 500 };
            Judged::new(&VerdictRule::default(), evidence)
        };
        assert_eq!(judged(19, Some((0.4, 0.6))).verdict, Verdict::Fail);
        for limits in [Some((0.4, 0.6)), None] {
            let few = judged(9, limits);
            assert_eq!(few.verdict, Verdict::Inconclusive);
            assert_eq!(few.reason, "9 permutations can never reject at 0.05: it takes 19");
        }
        assert_eq!(judged(9, Some((0.0, 0.05))).verdict, Verdict::Pass);
        assert_eq!(judged(18, Some((0.4, 0.6))).verdict, Verdict::Inconclusive);
    }
}
