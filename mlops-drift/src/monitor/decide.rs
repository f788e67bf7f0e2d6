//! From counts to verdicts: every statistic of every column, corrected over all of them.

use std::collections::BTreeMap;

use mlops_core::stats::{
    Interval, Proportion, ProportionPair, benjamini_hochberg, miettinen_nurminen_difference,
};
use mlops_core::{Result, Verdict};

use crate::monitor::bins::{category_cells, distribution, quantile_bins, regroup};
use crate::monitor::drift_monitor::Current;
use crate::monitor::report::{
    ColumnDrift, DriftReport, Missing, MissingChange, Statistic, StatisticResult, Status,
};
use crate::monitor::rule::{DatasetRule, DriftRule, Effect};
use crate::profile::counts::ColumnCounts;
use crate::profile::reference::{Cells, ColumnProfile, Kind, ReferenceProfile};
use crate::statistics::alternative::Alternative;
use crate::statistics::chi_square::chi_square;
use crate::statistics::fisher_exact::{FisherExact, fisher_exact};
use crate::statistics::ks::ks_from_cells;
use crate::statistics::psi::psi_test;
use crate::statistics::total_variation::total_variation;

/// Judges every column of a profile, then the dataset.
pub(crate) fn decide(
    profile: &ReferenceProfile,
    rule: &DriftRule,
    current_rows: u64,
    current: Vec<Current>,
) -> Result<DriftReport> {
    let mut drafts = Vec::with_capacity(current.len());
    for (column, current) in profile.columns().iter().zip(current) {
        let draft = match current {
            Current::Counts(counts) => compare(column, rule, &counts)?,
            Current::Missing => Draft::not_compared(column, Status::MissingColumn),
            Current::OtherType(family) => Draft::not_compared(
                column,
                Status::TypeChanged {
                    reference: column.family().to_string(),
                    current: family
                        .map_or_else(|| "a nested or binary type".into(), |f| f.to_string()),
                },
            ),
            Current::Unmeasured(reason) => {
                Draft::not_compared(column, Status::Unmeasured { reason })
            }
        };
        drafts.push(draft);
    }
    correct(&mut drafts)?;
    let columns: Vec<_> = drafts.into_iter().map(|draft| draft.judged(rule)).collect();
    let verdict = dataset(rule, &columns);
    Ok(DriftReport {
        verdict,
        reference_rows: profile.rows(),
        current_rows,
        columns,
        rule: rule.clone(),
    })
}

/// A column before the correction over all columns.
struct Draft {
    drift: ColumnDrift,
    /// The p-value of the deciding test, where there is one.
    test: Option<f64>,
    /// The statistic whose entry carries it.
    tested: Statistic,
}

impl Draft {
    fn not_compared(column: &ColumnProfile, status: Status) -> Self {
        Self {
            drift: ColumnDrift {
                column: column.name().to_owned(),
                kind: column.kind(),
                status,
                verdict: Verdict::Inconclusive,
                reason: String::new(),
                statistics: Vec::new(),
                missing: Vec::new(),
                unseen: None,
                distribution: None,
            },
            test: None,
            tested: Statistic::Ks,
        }
    }
}

fn compare(column: &ColumnProfile, rule: &DriftRule, current: &ColumnCounts) -> Result<Draft> {
    let reference = column.counts();
    let (n, m) = (reference.values(), current.values());
    let status = match (n, m) {
        (0, 0) => Status::NoValues,
        (0, _) => Status::NoReference,
        (_, 0) => Status::NoCurrent,
        _ if n < rule.min_rows || m < rule.min_rows => Status::TooFew { reference: n, current: m },
        _ if column.is_constant() => Status::Constant,
        _ => Status::Compared,
    };
    let mut draft = Draft::not_compared(column, status);
    draft.drift.distribution = Some(distribution(column, current));
    draft.drift.missing = missing(rule, reference, current)?;
    if n == 0 || m == 0 {
        return Ok(draft);
    }
    match column.cells() {
        Cells::Edges(_) => numbers(&mut draft, rule, reference, current)?,
        Cells::Labels(_) => categories(&mut draft, rule, reference, current)?,
    }
    Ok(draft)
}

fn floor_of(rule: &DriftRule, column: &str, effect: Statistic) -> Option<f64> {
    let floor = match (rule.effect, effect) {
        (Effect::Distance { ks, .. }, Statistic::Ks) => ks,
        (Effect::Distance { total_variation, .. }, Statistic::TotalVariation) => total_variation,
        (Effect::Psi { floor }, Statistic::Psi) => floor,
        _ => return None,
    };
    Some(rule.floors.get(column).copied().unwrap_or(floor))
}

fn numbers(
    draft: &mut Draft,
    rule: &DriftRule,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<()> {
    let ks = ks_from_cells(reference.cells(), current.cells(), rule.confidence)?;
    let bins = quantile_bins(reference.cells(), rule.psi_bins);
    let reference = regroup(reference.cells(), &bins);
    let current = regroup(current.cells(), &bins);
    let name = draft.drift.column.clone();
    draft.tested = Statistic::Ks;
    draft.test = Some(ks.p_value.1);
    draft.drift.statistics.push(StatisticResult {
        statistic: Statistic::Ks,
        value: ks.statistic.0,
        bounds: Some(ks.statistic),
        p_value: Some(ks.p_value.1),
        adjusted_p_value: None,
        interval: Some(ks.interval),
        floor: floor_of(rule, &name, Statistic::Ks),
    });
    draft.drift.statistics.push(psi_result(rule, &name, &reference, &current)?);
    Ok(())
}

fn categories(
    draft: &mut Draft,
    rule: &DriftRule,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<()> {
    // Among a sample of labels the others are not new.
    if draft.drift.kind != Kind::SampledLabels {
        draft.drift.unseen = current.cells().last().copied();
    }
    let (reference, current) = category_cells(reference.cells(), current.cells());
    let name = draft.drift.column.clone();
    let test = chi_square(&reference, &current)?;
    let p_value = match (&reference[..], &current[..]) {
        (&[a, b], &[c, d]) => share_p(a, a + b, c, c + d)?,
        _ => test.p_value,
    };
    let tv = total_variation(&reference, &current, rule.confidence)?;
    let interval = match (&reference[..], &current[..]) {
        // Of two categories the distance is the difference of one share, whose limits are tighter.
        (&[a, b], &[c, d]) => {
            let limits = difference(a, a + b, c, c + d, rule.confidence)?;
            let (low, high) = (limits.low.max(-limits.high).max(0.0), limits.high.max(-limits.low));
            Interval::new(low, high, rule.confidence)?
        }
        _ => tv.interval,
    };
    let p_value = Some(p_value);
    draft.tested = Statistic::ChiSquare;
    draft.test = p_value;
    draft.drift.statistics.push(StatisticResult {
        statistic: Statistic::TotalVariation,
        value: tv.value,
        bounds: None,
        p_value: None,
        adjusted_p_value: None,
        interval: Some(interval),
        floor: floor_of(rule, &name, Statistic::TotalVariation),
    });
    draft.drift.statistics.push(StatisticResult {
        statistic: Statistic::ChiSquare,
        value: test.statistic,
        bounds: None,
        p_value,
        adjusted_p_value: None,
        interval: None,
        floor: None,
    });
    draft.drift.statistics.push(psi_result(rule, &name, &reference, &current)?);
    Ok(())
}

fn psi_result(
    rule: &DriftRule,
    column: &str,
    reference: &[u64],
    current: &[u64],
) -> Result<StatisticResult> {
    let test = psi_test(reference, current, rule.zero_cells, rule.confidence)?;
    Ok(StatisticResult {
        statistic: Statistic::Psi,
        value: test.value,
        bounds: None,
        p_value: test.p_value,
        adjusted_p_value: None,
        interval: Some(test.interval),
        floor: floor_of(rule, column, Statistic::Psi),
    })
}

fn pair(a: u64, n: u64, c: u64, m: u64) -> ProportionPair {
    ProportionPair {
        current: Proportion { successes: c, n: m },
        reference: Proportion { successes: a, n },
    }
}

fn difference(a: u64, n: u64, c: u64, m: u64, confidence: f64) -> Result<Interval> {
    miettinen_nurminen_difference(pair(a, n, c, m), confidence)
}

/// P that two shares are the same: exact, up to where the chi-square test says nothing else.
fn share_p(a: u64, n: u64, c: u64, m: u64) -> Result<f64> {
    if n.saturating_add(m) <= FisherExact::MOST_ROWS {
        Ok(fisher_exact(pair(a, n, c, m), Alternative::TwoSided)?.p_value)
    } else {
        Ok(chi_square(&[a, n - a], &[c, m - c])?.p_value)
    }
}

/// Nulls always, NaN and infinities where a side has any: each a share of its own.
fn missing(
    rule: &DriftRule,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<Vec<MissingChange>> {
    let (n, m) = (reference.rows(), current.rows());
    if n == 0 || m == 0 {
        return Ok(Vec::new());
    }
    let kinds = [
        (Missing::Null, reference.nulls(), current.nulls()),
        (Missing::Nan, reference.nan(), current.nan()),
        (Missing::NegativeInfinite, reference.negative_infinite(), current.negative_infinite()),
        (Missing::PositiveInfinite, reference.positive_infinite(), current.positive_infinite()),
    ];
    kinds
        .into_iter()
        .filter(|(kind, a, c)| *kind == Missing::Null || *a > 0 || *c > 0)
        .map(|(missing, a, c)| {
            Ok(MissingChange {
                missing,
                reference: a as f64 / n as f64,
                current: c as f64 / m as f64,
                p_value: share_p(a, n, c, m)?,
                adjusted_p_value: 1.0,
                interval: difference(a, n, c, m, rule.confidence)?,
                verdict: Verdict::Inconclusive,
            })
        })
        .collect()
}

/// Benjamini and Hochberg over every test of every column. A share that is 0 or 1 on both sides
/// could not have been rejected, whatever the data's order, and does not count as a test.
fn correct(drafts: &mut [Draft]) -> Result<()> {
    let could_change = |m: &MissingChange| {
        !(m.reference == m.current && (m.reference == 0.0 || m.reference == 1.0))
    };
    let mut p_values = Vec::new();
    for draft in &*drafts {
        p_values.extend(draft.test);
        p_values.extend(draft.drift.missing.iter().filter(|m| could_change(m)).map(|m| m.p_value));
    }
    let mut adjusted = benjamini_hochberg(&p_values)?.into_iter();
    for draft in drafts {
        if draft.test.is_some() {
            let p = adjusted.next();
            let tested = draft.tested;
            let entry = draft.drift.statistics.iter_mut().find(|s| s.statistic == tested);
            if let Some(entry) = entry {
                entry.adjusted_p_value = p;
            }
        }
        for change in draft.drift.missing.iter_mut().filter(|m| could_change(m)) {
            change.adjusted_p_value = adjusted.next().unwrap_or(1.0);
        }
    }
    Ok(())
}

impl Draft {
    fn judged(mut self, rule: &DriftRule) -> ColumnDrift {
        let mut parts: Vec<(Verdict, String)> = Vec::new();
        let rejected = |p: f64| p <= rule.alpha;
        for change in &mut self.drift.missing {
            let (low, high) = (change.interval.low, change.interval.high);
            // The limits of the size of the change, whichever way it went.
            let (least, most) = (low.max(-high).max(0.0), high.max(-low));
            change.verdict = if rejected(change.adjusted_p_value) && least > rule.missing {
                Verdict::Fail
            } else if most <= rule.missing {
                Verdict::Pass
            } else {
                Verdict::Inconclusive
            };
            let said = format!(
                "{} went from {:.1} % to {:.1} % of the rows",
                change.missing,
                change.reference * 100.0,
                change.current * 100.0
            );
            parts.push((change.verdict, said));
        }
        let compared = matches!(self.drift.status, Status::Compared | Status::Constant);
        let tested = self
            .drift
            .statistics
            .iter()
            .find(|s| s.statistic == self.tested)
            .and_then(|s| s.adjusted_p_value);
        if let Some(effect) = self.drift.effect()
            && let (Some(floor), Some(interval), true) = (effect.floor, effect.interval, compared)
        {
            let name = effect.statistic;
            let (low, high) = (interval.low, interval.high);
            let significant = tested.is_some_and(rejected);
            parts.push(if significant && low > floor {
                (Verdict::Fail, format!("{name} is at least {low:.3}, over {floor}"))
            } else if high <= floor {
                (Verdict::Pass, format!("{name} is at most {high:.3}, within {floor}"))
            } else if significant {
                (
                    Verdict::Inconclusive,
                    format!("changed, but {name} may be on either side of {floor}"),
                )
            } else {
                (
                    Verdict::Inconclusive,
                    format!("too few rows to say that {name} is within {floor}"),
                )
            });
        }
        // With values on neither side there is nothing that could have drifted but the share.
        let only_missing = self.drift.status == Status::NoValues && !parts.is_empty();
        if !compared && !only_missing {
            parts.push((Verdict::Inconclusive, self.drift.status.to_string()));
        }
        let verdict = Verdict::all(parts.iter().map(|p| p.0));
        // The effect comes last and says most; it stands for the parts that agree with it.
        let said = parts.iter().rev().filter(|p| p.0 == verdict).map(|p| p.1.as_str());
        let reason = match verdict {
            Verdict::Pass => said.take(1).collect::<Vec<_>>(),
            _ => said.collect(),
        };
        self.drift.reason = reason.join("; ");
        self.drift.verdict = verdict;
        self.drift
    }
}

fn dataset(rule: &DriftRule, columns: &[ColumnDrift]) -> Verdict {
    match rule.dataset {
        DatasetRule::AnyColumn => Verdict::all(columns.iter().map(|c| c.verdict)),
        DatasetRule::Share(share) => {
            let mut count: BTreeMap<Verdict, usize> = BTreeMap::new();
            for column in columns {
                *count.entry(column.verdict).or_default() += 1;
            }
            let of = |v: Verdict| count.get(&v).copied().unwrap_or(0) as f64;
            let needed = share * columns.len() as f64;
            if columns.is_empty() {
                Verdict::Inconclusive
            } else if of(Verdict::Fail) >= needed {
                Verdict::Fail
            } else if of(Verdict::Fail) + of(Verdict::Inconclusive) < needed {
                Verdict::Pass
            } else {
                Verdict::Inconclusive
            }
        }
    }
}
