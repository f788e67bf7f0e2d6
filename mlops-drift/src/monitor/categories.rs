//! Every statistic of a column of categories.

use mlops_core::Result;
use mlops_core::stats::{Interval, Proportion, ProportionPair};

use super::bins::category_cells;
use super::counted::{Context, Found, chi_square_test, difference, distances};
use super::rule::Effect;
use super::statistic::{DecidingTest, Statistic, StatisticResult};
use crate::profile::counts::ColumnCounts;
use crate::statistics::{
    Alternative, FisherExact, ProportionVariance, fisher_exact, permutation_p, psi,
    two_proportion_z,
};

pub(crate) fn categories(
    context: &Context<'_>,
    reference: &ColumnCounts,
    current: &ColumnCounts,
) -> Result<Found> {
    let rule = context.rule;
    let mut found = Found::default();
    let (reference, current) = category_cells(reference.cells(), current.cells());
    let mut index = distances(rule, &reference, &current, &mut found)?;
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
        let limits = difference(pair, rule.confidence)?;
        let (low, high) = (limits.low.max(-limits.high).max(0.0), limits.high.max(-limits.low));
        if let Some(tv) = found.get(Statistic::TotalVariation) {
            tv.interval = Some(Interval::new(low, high, rule.confidence)?);
        }
        let variance = ProportionVariance::Pooled;
        found
            .take(two_proportion_z(pair, variance, Alternative::TwoSided).map(|z| {
                StatisticResult::new(Statistic::TwoProportionZ, z.statistic).p(z.p_value)
            }))?;
        if pair.reference.n + pair.current.n <= FisherExact::MOST_ROWS {
            let fisher = fisher_exact(pair, Alternative::TwoSided)?;
            exact = Some(fisher.p_value);
            if let Some(odds) = fisher.odds_ratio {
                let result = StatisticResult::new(Statistic::FisherExact, odds);
                found.push(result.p(fisher.p_value));
            }
        }
    }
    let decides = matches!(rule.effect, Effect::Psi { .. });
    if let Some(index) = &mut index
        && index.p_value.is_none()
        && decides
    {
        let zero_cells = rule.zero_cells;
        let index_of = |r: &[u64], c: &[u64]| psi(r, c, zero_cells);
        let p = permutation_p(&reference, &current, index_of, context.draws()?)?;
        index.p_value = Some(p.p_value);
    }
    let because = match reference.len() {
        1 => "one category".to_owned(),
        k => format!("{k} categories, rare ones together"),
    };
    found.test = Some(match (decides, index.as_ref().and_then(|i| i.p_value), exact) {
        (true, Some(p), _) => DecidingTest::new(Statistic::Psi, because, p),
        (_, _, Some(p)) => DecidingTest::new(Statistic::FisherExact, "two categories", p),
        _ => chi_square_test(context, &because, &reference, &current)?,
    });
    found.statistics.extend(index);
    Ok(found)
}
