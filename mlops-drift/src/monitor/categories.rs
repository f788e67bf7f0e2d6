//! Every statistic of a column of categories.

use mlops_core::stats::{
    Interval, Proportion, ProportionPair, miettinen_nurminen_difference, normal_quantile,
};
use mlops_core::{Error, Result};

use super::bins::{category_cells, permutable_cells};
use super::counted::{Context, Found, categories_test, effects, tests};
use super::rule::Effect;
use super::statistic::{DecidingTest, Statistic, StatisticResult};
use crate::profile::counts::ColumnCounts;
use crate::statistics::total_variation::with_added;
use crate::statistics::{
    Alternative, FisherExact, ProportionVariance, fisher_exact, permutation_p, psi, psi_test,
    two_proportion_z,
};

/// Distances are of the categories as they are, tests of cells that their laws hold for.
///
/// Limits of a distance hold in any number of sparse cells this way: the samples' distance is too
/// large on average, so that its upper limit holds, but not always its lower one; pooling can only
/// make a distance smaller, so that a lower limit of pooled cells is one of the categories, too.
pub(crate) fn categories(
    context: &Context<'_>,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<Found> {
    let rule = context.rule;
    let mut found = Found::default();
    let (all, all_current) = (reference.cells(), current.cells());
    let mut index = effects(rule, all, all_current, &mut found)?;
    let (reference, current) = category_cells(all, all_current);
    let finer = permutable_cells(all, all_current);
    tests(&reference, &current, &mut found)?;
    let count = all.iter().zip(all_current).filter(|(r, c)| **r > 0 || **c > 0).count();
    let pooled = if count > reference.len() { ", rare ones together" } else { "" };
    let confidence = rule.confidence;
    let lower = |r: &[u64], c: &[u64]| with_added(r, c, confidence, 0.5).map(|tv| tv.interval.low);
    let mut least = lower(&reference, &current)?.max(lower(&finer.0, &finer.1)?);
    let mut most = None;

    let two = match (&reference[..], &current[..]) {
        (&[a, b], &[c, d]) => Some(ProportionPair {
            reference: Proportion { successes: a, n: a + b },
            current: Proportion { successes: c, n: c + d },
        }),
        _ => None,
    };
    let mut exact = None;
    if let Some(pair) = two {
        // Of two categories the distance is the difference of one share, whose limits are tighter.
        let limits = miettinen_nurminen_difference(pair, confidence)?;
        least = least.max(limits.low).max(-limits.high);
        if count == 2 {
            least = limits.low.max(-limits.high).max(0.0);
            most = Some(limits.high.max(-limits.low));
        }
        let variance = ProportionVariance::Pooled;
        found
            .take(two_proportion_z(pair, variance, Alternative::TwoSided).map(|z| {
                StatisticResult::new(Statistic::TwoProportionZ, z.statistic).p(z.p_value)
            }))?;
        if pair.reference.n + pair.current.n <= FisherExact::MOST_ROWS {
            let fisher = fisher_exact(pair, Alternative::TwoSided)?;
            exact = Some(fisher.p_value).filter(|_| count == 2);
            if let Some(odds) = fisher.odds_ratio {
                let result = StatisticResult::new(Statistic::FisherExact, odds);
                found.push(result.p(fisher.p_value));
            }
        }
    }
    if let Some(tv) = found.get(Statistic::TotalVariation)
        && let Some(limits) = &mut tv.interval
    {
        *limits = Interval::new(least, most.unwrap_or(limits.high), confidence)?;
    }
    let decides = matches!(rule.effect, Effect::Psi { .. });
    if let Some(index) = &mut index {
        if let Some(limits) = &mut index.interval
            && !pooled.is_empty()
        {
            // The delta method holds of cells with enough rows.
            let low = match psi_test(&reference, &current, rule.zero_cells, confidence) {
                Ok(few) => few.interval.low.min(index.value),
                Err(Error::Undefined { .. }) => 0.0,
                Err(error) => return Err(error),
            };
            // Nothing is taken off for bias, of which sparse cells do not tell how large it is.
            let rows = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
            let noise = 1.0 / rows(&reference) + 1.0 / rows(&current);
            let spread = (2.0 * (count as f64 - 1.0)).sqrt() * noise;
            let high = index.value + normal_quantile(0.5 + 0.5 * confidence)? * spread;
            *limits = Interval::new(low, limits.high.max(high), confidence)?;
        }
        if index.p_value.is_none() && decides {
            let zero_cells = rule.zero_cells;
            let index_of = |r: &[u64], c: &[u64]| psi(r, c, zero_cells);
            index.p_value = match permutation_p(&finer.0, &finer.1, index_of, context.draws()?) {
                Ok(p) => Some(p.p_value),
                Err(Error::Undefined { .. }) => None,
                Err(error) => return Err(error),
            };
        }
    }
    let because = match count {
        1 => "one category".to_owned(),
        k => format!("{k} categories{pooled}"),
    };
    found.test = Some(match (decides, index.as_ref().and_then(|i| i.p_value), exact) {
        (true, Some(p), _) => DecidingTest::new(Statistic::Psi, because, p),
        (_, _, Some(p)) => DecidingTest::new(Statistic::FisherExact, "two categories", p),
        _ => categories_test(context, &because, all, all_current)?,
    });
    found.statistics.extend(index);
    Ok(found)
}
