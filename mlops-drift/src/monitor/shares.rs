//! Shares of rows that can drift themselves: what is missing, and what one side has and the other
//! has not.

use std::fmt;

use mlops_core::stats::{
    Interval, Proportion, ProportionPair, beta_quantile, clopper_pearson,
    miettinen_nurminen_difference, normal_quantile,
};
use mlops_core::{Result, Verdict};
use serde::{Deserialize, Serialize};

use super::counted::Context;
use super::rule::DriftRule;
use crate::profile::cells::{Cells, Kind};
use crate::profile::counts::ColumnCounts;
use crate::profile::reference::ColumnProfile;
use crate::statistics::{
    Alternative, FisherExact, Outside, UnseenMass, chi_square, fisher_exact, out_of_range,
};

/// Rows of a column that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Share {
    /// Null.
    Null,
    /// Not a number.
    Nan,
    /// −∞.
    NegativeInfinite,
    /// +∞.
    PositiveInfinite,
    /// Current rows whose category the reference has not: new categories. A share of the values.
    Unseen,
    /// Reference rows whose category the current data have not: vanished categories.
    Vanished,
    /// Current numbers below the reference's smallest or above its largest.
    OutOfRange,
}

impl Share {
    /// Whether it is about missing rows, not about values that one side only has.
    pub fn is_missing(self) -> bool {
        !matches!(self, Self::Unseen | Self::Vanished | Self::OutOfRange)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Null => "null",
            Self::Nan => "NaN",
            Self::NegativeInfinite => "-inf",
            Self::PositiveInfinite => "+inf",
            Self::Unseen => "new categories",
            Self::Vanished => "vanished categories",
            Self::OutOfRange => "out of range",
        })
    }
}

/// How such a share changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShareChange {
    /// What is counted.
    pub share: Share,
    /// Its share in the reference; of what the reference has not by definition, what is to be
    /// expected by chance.
    pub reference: f64,
    /// Its share in the current data; of vanished categories, what is to be expected by chance.
    pub current: f64,
    /// Of missing rows: Fisher's exact test. Of new and vanished categories: Good and Turing's
    /// unseen mass. Out of range: the beta-binomial law.
    pub p_value: f64,
    /// The same after correction over all tests of all columns.
    pub adjusted_p_value: f64,
    /// Confidence limits of the change of the populations' shares, signed for missing rows.
    pub interval: Interval,
    /// The floor that the change must reach.
    pub floor: f64,
    /// The verdict on this change alone.
    pub verdict: Verdict,
}

impl ShareChange {
    /// Whether any data with these margins could have been rejected. A share that is 0 or 1 on both
    /// sides could not, whatever the data's order, and does not count as a test.
    pub(crate) fn could_change(&self) -> bool {
        let settled =
            self.reference == self.current && (self.reference == 0.0 || self.reference == 1.0);
        !(self.share.is_missing() && settled)
    }

    /// Whether a page has anything to say about it.
    pub(crate) fn worth_a_line(&self) -> bool {
        match self.share {
            Share::Unseen | Share::OutOfRange => self.current > 0.0,
            Share::Vanished => self.reference > 0.0,
            _ => self.reference > 0.0 || self.current > 0.0,
        }
    }

    /// The least and the most that the change can be, whichever way it went.
    fn size(&self) -> (f64, f64) {
        let (low, high) = (self.interval.low, self.interval.high);
        (low.max(-high).max(0.0), high.max(-low))
    }

    /// Fail, pass or neither, with its reason.
    pub(crate) fn judge(&mut self, alpha: f64, enough: bool) -> (Verdict, String) {
        let (least, most) = self.size();
        self.verdict = if !enough {
            Verdict::Inconclusive
        } else if self.adjusted_p_value <= alpha && least > self.floor {
            Verdict::Fail
        } else if most <= self.floor {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
        (self.verdict, self.said())
    }

    /// Whether the samples differ in it at all.
    pub(crate) fn changed(&self) -> bool {
        self.reference != self.current
    }

    fn said(&self) -> String {
        let percent = |share: f64| match share * 100.0 {
            x if x > 0.0 && x < 0.05 => "less than 0.1 %".to_owned(),
            x => format!("{x:.1} %"),
        };
        let (before, now) = (percent(self.reference), percent(self.current));
        match self.share {
            Share::Unseen => format!(
                "{now} of the values are of new categories, where {before} are to be expected"
            ),
            Share::Vanished => format!(
                "{before} of the reference are of vanished categories, where {now} are to be expected"
            ),
            Share::OutOfRange => {
                format!("{now} of the values are out of the reference's range")
            }
            share if self.changed() => {
                format!("{share} went from {before} to {now} of the rows")
            }
            share if self.verdict.is_pass() => format!("{share} stayed at {now} of the rows"),
            share => {
                format!("too few rows to say that {share} changed by at most {}", self.floor)
            }
        }
    }
}

/// What columns without missing rows and without values out of range have in common: limits whose
/// search takes longer than most statistics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    /// Of a share that is 0 on both sides.
    none_missing: Option<(ProportionPair, Interval)>,
    /// The upper limit of the share that is beyond so many reference values.
    beyond: Option<(u64, f64)>,
    /// The limits of a share that none of so many current values has.
    none_outside: Option<(u64, Interval)>,
}

impl Common {
    pub(crate) fn of(rule: &DriftRule, n: u64, m: u64) -> Self {
        let pair = ProportionPair {
            reference: Proportion { successes: 0, n },
            current: Proportion { successes: 0, n: m },
        };
        // Of no rows there are none.
        let confidence = rule.confidence;
        let none_missing = miettinen_nurminen_difference(pair, confidence).ok();
        Self {
            none_missing: none_missing.map(|limits| (pair, limits)),
            beyond: most_beyond(n, confidence).ok().map(|limit| (n, limit)),
            none_outside: clopper_pearson(0, m, confidence).ok().map(|limits| (m, limits)),
        }
    }

    /// The limits of a difference of any two shares.
    fn difference(&self, pair: ProportionPair, confidence: f64) -> Result<Interval> {
        match self.none_missing {
            Some((none, limits)) if none == pair => Ok(limits),
            _ => miettinen_nurminen_difference(pair, confidence),
        }
    }

    /// The upper limit of the share that is beyond any number of reference values.
    fn most_beyond(&self, n: u64, confidence: f64) -> Result<f64> {
        match self.beyond {
            Some((of, limit)) if of == n => Ok(limit),
            _ => most_beyond(n, confidence),
        }
    }

    /// The limits of a share of any rows.
    fn share(&self, rows: u64, of: u64, confidence: f64) -> Result<Interval> {
        match self.none_outside {
            Some((m, limits)) if (0, m) == (rows, of) => Ok(limits),
            _ => clopper_pearson(rows, of, confidence),
        }
    }
}

/// The upper limit of the share of a continuous distribution that is beyond the ends of `n` values.
fn most_beyond(n: u64, confidence: f64) -> Result<f64> {
    beta_quantile(0.5 + 0.5 * confidence, 2.0, n as f64 - 1.0)
}

/// Nulls always, NaN and infinities where a side has any.
pub(crate) fn missing(
    context: &Context<'_>,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<Vec<ShareChange>> {
    let rule = context.rule;
    let (n, m) = (reference.rows(), current.rows());
    if n == 0 || m == 0 {
        return Ok(Vec::new());
    }
    let kinds = [
        (Share::Null, reference.nulls(), current.nulls()),
        (Share::Nan, reference.nan(), current.nan()),
        (Share::NegativeInfinite, reference.negative_infinite(), current.negative_infinite()),
        (Share::PositiveInfinite, reference.positive_infinite(), current.positive_infinite()),
    ];
    kinds
        .into_iter()
        .filter(|(kind, a, c)| *kind == Share::Null || *a > 0 || *c > 0)
        .map(|(share, a, c)| {
            let pair = ProportionPair {
                reference: Proportion { successes: a, n },
                current: Proportion { successes: c, n: m },
            };
            let p_value = if n.saturating_add(m) <= FisherExact::MOST_ROWS {
                fisher_exact(pair, Alternative::TwoSided)?.p_value
            } else {
                chi_square(&[a, n - a], &[c, m - c])?.p_value
            };
            Ok(ShareChange {
                share,
                reference: a as f64 / n as f64,
                current: c as f64 / m as f64,
                p_value,
                adjusted_p_value: 1.0,
                interval: context.common.difference(pair, rule.confidence)?,
                floor: rule.missing,
                verdict: Verdict::Inconclusive,
            })
        })
        .collect()
}

/// What one side has and the other has not, of a column with enough values on both.
pub(crate) fn novelty(
    context: &Context<'_>,
    column: &ColumnProfile,
    current: &ColumnCounts,
) -> Result<Vec<ShareChange>> {
    let (rule, reference) = (context.rule, column.counts());
    let floor = rule.novelty_of(column.name());
    match column.cells() {
        Cells::Edges(_) => Ok(beyond(context, floor, reference, current)?.into_iter().collect()),
        // Of sampled labels it is not known which the last cell holds.
        Cells::Labels(_) if column.kind() == Kind::SampledLabels => Ok(Vec::new()),
        Cells::Labels(labels) => {
            let (r, c) = (reference.cells(), current.cells());
            let (known, other) = (labels.len(), c[labels.len()]);
            let seen = UnseenMass::of(&r[..known])?;
            let new = exclusive(Share::Unseen, rule, floor, seen, (other, current.values()))?;
            // The same the other way round. What the current data have beyond the reference's
            // labels may each be alone in its category, as far as that is chance and not drift.
            let chance = seen.upper_limit(0.5 + 0.5 * rule.confidence)? * current.values() as f64;
            let mut seen = UnseenMass::of(&c[..known]).unwrap_or(UnseenMass {
                n: 0,
                singletons: 0,
                doubletons: 0,
            });
            seen.n += other;
            seen.singletons += other.min(chance.ceil() as u64);
            let gone = r.iter().zip(c).filter(|(_, c)| **c == 0).map(|(r, _)| r).sum();
            let mut gone =
                exclusive(Share::Vanished, rule, floor, seen, (gone, reference.values()))?;
            (gone.reference, gone.current) = (gone.current, gone.reference);
            Ok(vec![new, gone])
        }
    }
}

/// Rows of one side in categories that the other side, of which `seen` is known, has not.
fn exclusive(
    share: Share,
    rule: &DriftRule,
    floor: f64,
    seen: UnseenMass,
    (rows, of): (u64, u64),
) -> Result<ShareChange> {
    let both = 0.5 + 0.5 * rule.confidence;
    let z = normal_quantile(both)?;
    let now = clopper_pearson(rows, of, rule.confidence)?;
    let estimate = seen.estimate();
    let variance = seen.singletons as f64 * (1.0 - estimate) + 2.0 * seen.doubletons as f64;
    let least = (estimate - z * variance.sqrt() / seen.n as f64).max(0.0);
    let (low, high) = (now.low - seen.upper_limit(both)?, now.high - least);
    Ok(ShareChange {
        share,
        reference: estimate,
        current: rows as f64 / of as f64,
        p_value: seen.p_value(rows, of)?,
        adjusted_p_value: 1.0,
        interval: Interval::new(low.max(0.0), high.max(0.0), rule.confidence)?,
        floor,
        verdict: Verdict::Inconclusive,
    })
}

fn beyond(
    context: &Context<'_>,
    floor: f64,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<Option<ShareChange>> {
    let (n, m) = (reference.values(), current.values());
    let (Some(theirs), Some(mine)) = (reference.summary(), current.summary()) else {
        return Ok(None);
    };
    if n < 2 || m == 0 {
        return Ok(None);
    }
    // The outer edges are the reference's ends. Where they are not (profiles that were merged),
    // only the outermost values are known to be outside.
    let outside = |cell: usize, further: bool| {
        if reference.cells()[cell] == 0 { current.cells()[cell] } else { u64::from(further) }
    };
    let last = reference.cells().len() - 1;
    let outside = Outside {
        below: outside(0, mine.min < theirs.min),
        above: outside(last, mine.max > theirs.max),
    };
    let rows = outside.below + outside.above;
    if n.saturating_add(m) > FisherExact::MOST_ROWS {
        return Ok(None);
    }
    let test = out_of_range(n, outside, m)?;
    let confidence = context.rule.confidence;
    let now = context.common.share(rows, m, confidence)?;
    let before = context.common.most_beyond(n, confidence)?;
    Ok(Some(ShareChange {
        share: Share::OutOfRange,
        reference: 2.0 / (n as f64 + 1.0),
        current: test.share,
        p_value: test.p_more,
        adjusted_p_value: 1.0,
        interval: Interval::new((now.low - before).max(0.0), now.high, confidence)?,
        floor,
        verdict: Verdict::Inconclusive,
    }))
}
