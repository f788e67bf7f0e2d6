//! From counts to verdicts: every column by itself, the correction over all of them, the dataset.

use mlops_core::stats::adjust;
use mlops_core::{Result, Verdict};
use rayon::prelude::*;

use super::bins::distribution;
use super::categories::categories;
use super::counted::{Context, Found};
use super::drift_monitor::Current;
use super::numbers::numbers;
use super::report::{ColumnDrift, DriftReport, Status};
use super::rule::{DatasetRule, DriftRule, Effect};
use super::shares::{Common, missing, novelty};
use super::statistic::Statistic;
use crate::profile::cells::Cells;
use crate::profile::counts::ColumnCounts;
use crate::profile::reference::{ColumnProfile, ReferenceProfile};

/// The tests of a column at most: the values, four kinds of missing rows, two of novelty.
const TESTS_A_COLUMN: usize = 7;

/// Judges every column of a profile, then the dataset.
pub(crate) fn decide(
    profile: &ReferenceProfile,
    rule: &DriftRule,
    current_rows: u64,
    current: &[Current<'_>],
) -> Result<DriftReport> {
    let tests = TESTS_A_COLUMN * profile.columns().len().max(1);
    let common = Common::of(rule, profile.rows(), current_rows);
    let judge = |(i, (column, current)): (usize, (&ColumnProfile, &Current<'_>))| {
        let context = Context { rule, column: i as u32, tests, common: &common };
        match current {
            Current::Counts(counts) => compare(&context, column, counts)
                .unwrap_or_else(|error| unmeasured(column, error.to_string())),
            Current::Missing => not_compared(column, Status::MissingColumn),
            Current::OtherType(family) => not_compared(
                column,
                Status::TypeChanged {
                    reference: column.family().to_string(),
                    current: family
                        .map_or_else(|| "a nested or binary type".into(), |f| f.to_string()),
                },
            ),
            Current::Unmeasured(reason) => unmeasured(column, reason.clone()),
        }
    };
    let columns = profile.columns().par_iter().zip(current).enumerate();
    let mut columns: Vec<_> = columns.map(judge).collect();
    correct(rule, &mut columns)?;
    for column in &mut columns {
        judged(column, rule);
    }
    let verdict = dataset(rule, &columns);
    Ok(DriftReport {
        verdict,
        reference_rows: profile.rows(),
        current_rows,
        columns,
        rule: rule.clone(),
    })
}

fn not_compared(column: &ColumnProfile, status: Status) -> ColumnDrift {
    ColumnDrift {
        column: column.name().to_owned(),
        kind: column.kind(),
        status,
        verdict: Verdict::Inconclusive,
        reason: String::new(),
        statistics: Vec::new(),
        test: None,
        shares: Vec::new(),
        unseen: None,
        distribution: None,
    }
}

fn unmeasured(column: &ColumnProfile, reason: String) -> ColumnDrift {
    not_compared(column, Status::Unmeasured { reason })
}

fn compare(
    context: &Context<'_>,
    column: &ColumnProfile,
    current: &ColumnCounts,
) -> Result<ColumnDrift> {
    let (rule, reference) = (context.rule, column.counts());
    let (n, m) = (reference.values(), current.values());
    let status = match (n, m) {
        (0, 0) => Status::NoValues,
        (0, _) => Status::NoReference,
        (_, 0) => Status::NoCurrent,
        _ if n < rule.min_rows || m < rule.min_rows => Status::TooFew { reference: n, current: m },
        _ if column.is_constant() => Status::Constant,
        _ => Status::Compared,
    };
    let mut drift = not_compared(column, status);
    drift.distribution = Some(distribution(column, current));
    drift.shares = missing(context, reference, current)?;
    if n == 0 || m == 0 {
        return Ok(drift);
    }
    if is_compared(&drift.status) {
        drift.shares.extend(novelty(context, column, current)?);
    }
    let Found { mut statistics, test } = match column.cells() {
        Cells::Edges(edges) => numbers(context, edges, reference, current)?,
        Cells::Labels(_) => {
            drift.unseen = current.cells().last().copied();
            categories(context, reference, current)?
        }
    };
    for result in &mut statistics {
        result.floor = rule.floor_of(column.name(), result.statistic);
    }
    // A constant reference has no standard deviation to measure a move by.
    if !statistics.iter().any(|s| s.floor.is_some())
        && let Some(ks) = statistics.iter_mut().find(|s| s.statistic == Statistic::Ks)
    {
        ks.floor = Some(Effect::KS);
    }
    (drift.statistics, drift.test) = (statistics, test);
    Ok(drift)
}

fn is_compared(status: &Status) -> bool {
    matches!(status, Status::Compared | Status::Constant)
}

/// The correction over every test of every column. A column with too few values is not decided on
/// and its test does not count.
fn correct(rule: &DriftRule, columns: &mut [ColumnDrift]) -> Result<()> {
    let mut tests: Vec<&mut f64> = Vec::new();
    for column in columns {
        let compared = is_compared(&column.status);
        tests.extend(column.test.iter_mut().filter(|_| compared).map(|t| &mut t.adjusted_p_value));
        for change in column.shares.iter_mut().filter(|s| s.could_change()) {
            change.adjusted_p_value = change.p_value;
            tests.push(&mut change.adjusted_p_value);
        }
    }
    let p_values: Vec<_> = tests.iter().map(|p| Some(**p)).collect();
    for (test, adjusted) in tests.into_iter().zip(adjust(rule.correction, &p_values)?.p_values) {
        *test = adjusted.unwrap_or(1.0);
    }
    Ok(())
}

fn judged(drift: &mut ColumnDrift, rule: &DriftRule) {
    let mut parts: Vec<(Verdict, String)> = Vec::new();
    let compared = is_compared(&drift.status);
    let drawn = drift.distribution.iter().flat_map(|d| &d.series);
    let rows = drawn.map(|side| side.counts.iter().fold(side.missing, |sum, n| sum + n));
    let enough = rows.min().is_some_and(|rows| rows >= rule.min_rows);
    for change in &mut drift.shares {
        let (verdict, said) = change.judge(rule.alpha, enough);
        // Beside the status of a column that was not compared, only what changed is news.
        parts.push((verdict, if compared || change.changed() { said } else { String::new() }));
    }
    let tested = drift.test.as_ref().map(|t| t.adjusted_p_value);
    if let Some(effect) = drift.effect()
        && let (Some(floor), Some(interval), true) = (effect.floor, effect.interval, compared)
    {
        let name = effect.statistic;
        let (low, high) = (interval.low, interval.high);
        let significant = tested.is_some_and(|p| p <= rule.alpha);
        parts.push(if significant && low > floor {
            (Verdict::Fail, format!("{name} is at least {low:.3}, over {floor}"))
        } else if high <= floor {
            (Verdict::Pass, format!("{name} is at most {high:.3}, within {floor}"))
        } else if significant {
            let said = format!("changed, but {name} may be on either side of {floor}");
            (Verdict::Inconclusive, said)
        } else {
            let said = format!("too few rows to say that {name} is within {floor}");
            (Verdict::Inconclusive, said)
        });
    } else if compared {
        parts.push((Verdict::Inconclusive, "the effect is not defined".into()));
    }
    // With values on neither side there is nothing that could have drifted but the share.
    let only_missing = drift.status == Status::NoValues && !parts.is_empty();
    if matches!(drift.status, Status::MissingColumn | Status::TypeChanged { .. }) {
        parts.push((Verdict::Fail, drift.status.to_string()));
    } else if !compared && !only_missing {
        parts.push((Verdict::Inconclusive, drift.status.to_string()));
    }
    let verdict = Verdict::all(parts.iter().map(|p| p.0));
    // The effect comes last and says most; it stands for the parts that agree with it.
    let said = parts.iter().rev().filter(|p| p.0 == verdict).map(|p| p.1.as_str());
    let said = said.filter(|said| !said.is_empty());
    let reason = match verdict {
        Verdict::Pass => said.take(1).collect::<Vec<_>>(),
        _ => said.collect(),
    };
    drift.reason = if reason.is_empty() { drift.status.to_string() } else { reason.join("; ") };
    drift.verdict = verdict;
}

fn dataset(rule: &DriftRule, columns: &[ColumnDrift]) -> Verdict {
    let all = Verdict::all(columns.iter().map(|c| c.verdict));
    match rule.dataset {
        DatasetRule::AnyColumn => all,
        DatasetRule::Share(share) => {
            let of = |v: Verdict| columns.iter().filter(|c| c.verdict == v).count() as f64;
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
        DatasetRule::CorrectedP => {
            let rejects = |c: &ColumnDrift| {
                let decided = c.test.iter().filter(|_| is_compared(&c.status));
                let tests = decided.map(|t| t.adjusted_p_value);
                let shares = c.shares.iter().map(|s| s.adjusted_p_value);
                tests.chain(shares).any(|p| p <= rule.alpha)
            };
            if columns.iter().any(rejects) { Verdict::Fail } else { all }
        }
    }
}
