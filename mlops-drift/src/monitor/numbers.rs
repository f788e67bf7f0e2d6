//! Every statistic of a column of numbers, from counts at edges and exact moments.

use mlops_core::Result;

use super::bins::{quantile_bins, regroup};
use super::counted::{Context, Found, categories_test, distances};
use super::order::{order, pair};
use super::rule::Effect;
use super::statistic::{DecidingTest, Statistic, StatisticResult};
use crate::profile::counts::ColumnCounts;
use crate::statistics::dirichlet_multinomial::DirichletMultinomial;
use crate::statistics::ks::ks_least_evidence;
use crate::statistics::{
    Alternative, EdgePair, SampleMoments, bartlett, f_test, pooled_t, psi, welch_t,
};

/// A column with at most this many values, all of them on edges, is tested as categories: the
/// order tests' p-values are too large where ties are heavy.
const FEW_VALUES: usize = 20;

pub(crate) fn numbers(
    context: &Context<'_>,
    edges: &[f64],
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<Found> {
    let rule = context.rule;
    let mut found = Found::default();
    let (r, c) = (reference.cells(), current.cells());
    let pair = pair(edges, reference, current)?;
    let ks = ks_least_evidence(pair.extremes(), pair.n(), pair.m(), rule.confidence)?;
    found.push(
        StatisticResult::enclosed(Statistic::Ks, ks.statistic).p(ks.p_value.1).limits(ks.interval),
    );

    let (left, right) = (reference.summary(), current.summary());
    let w1_p = order(rule, &pair, &mut found)?;
    if let (Some(x), Some(y)) = (left, right)
        && let (Ok(x), Ok(y)) =
            (SampleMoments::from_moments(&x.moments), SampleMoments::from_moments(&y.moments))
    {
        let result = |statistic, value, p: f64| StatisticResult::new(statistic, value).p(p);
        found.take(
            welch_t(x, y, Alternative::TwoSided)
                .map(|t| result(Statistic::WelchT, t.statistic, t.p_value)),
        )?;
        found.take(
            pooled_t(x, y, Alternative::TwoSided)
                .map(|t| result(Statistic::PooledT, t.statistic, t.p_value)),
        )?;
        found.take(
            f_test(x, y, Alternative::TwoSided)
                .map(|t| result(Statistic::VarianceRatio, t.statistic, t.p_value)),
        )?;
        found.take(bartlett(x, y).map(|t| result(Statistic::Bartlett, t.statistic, t.p_value)))?;
    }
    let bins = quantile_bins(r, rule.psi_bins);
    let (left, right) = (regroup(r, &bins), regroup(c, &bins));
    let mut index = distances(rule, &left, &right, &mut found)?;
    let decides = matches!(rule.effect, Effect::Psi { .. });
    if let Some(index) = &mut index
        && index.p_value.is_none()
        && decides
    {
        let law = DirichletMultinomial::of_quantile_bins(&left)?;
        let zero_cells = rule.zero_cells;
        let p = law.p_value(&right, |r, c| psi(r, c, zero_cells), context.draws()?)?;
        index.p_value = Some(p.p_value);
    }
    found.test = Some(match (rule.effect, index.as_ref().and_then(|i| i.p_value), w1_p) {
        (Effect::Psi { .. }, Some(p), _) => {
            let because = "numbers in bins between reference quantiles";
            DecidingTest::new(Statistic::Psi, because, p)
        }
        (Effect::Wasserstein { .. }, _, Some(p)) => {
            DecidingTest::new(Statistic::Wasserstein, "numbers, by the size of the move", p)
        }
        _ => of_values(context, ks.p_value.1, &pair)?,
    });
    found.statistics.extend(index);
    Ok(found)
}

/// The test of numbers as such: of order, or of each value where there are few.
fn of_values(context: &Context<'_>, ks: f64, pair: &EdgePair<'_>) -> Result<DecidingTest> {
    let Some((values, left, right)) = few_values(pair.reference.counts, pair.current.counts) else {
        let because = format!("numbers, {} and {} of them", pair.n(), pair.m());
        return Ok(DecidingTest::new(Statistic::Ks, because, ks));
    };
    let because = format!("numbers that take {values} values");
    categories_test(context, &because, &left, &right)
}

/// The counts of a reference's few values, with all others in a last cell.
fn few_values(reference: &[u64], current: &[u64]) -> Option<(usize, Vec<u64>, Vec<u64>)> {
    // Of most columns the first cells tell that they are not it.
    if reference.iter().step_by(2).any(|c| *c > 0) {
        return None;
    }
    let on_edges = |counts: &[u64]| counts.iter().skip(1).step_by(2).filter(|c| **c > 0).count();
    let values = on_edges(reference);
    if values > FEW_VALUES {
        return None;
    }
    let taken = |cell: &usize| cell % 2 == 1 && reference[*cell] > 0;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for cell in (0..reference.len()).filter(taken) {
        left.push(reference[cell]);
        right.push(current[cell]);
    }
    let others = current.iter().sum::<u64>() - right.iter().sum::<u64>();
    left.push(0);
    right.push(others);
    Some((values, left, right))
}
