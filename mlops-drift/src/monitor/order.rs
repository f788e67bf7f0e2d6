//! The statistics of order and of distance, enclosed by counts at edges.

use mlops_core::{Error, Result};

use super::counted::Found;
use super::rule::DriftRule;
use super::statistic::{Statistic, StatisticResult};
use crate::profile::counts::ColumnCounts;
use crate::statistics::anderson_darling::WeightedSquares;
use crate::statistics::cramer_von_mises::Squares;
use crate::statistics::kuiper::kuiper_least_evidence;
use crate::statistics::mann_whitney::Pairs;
use crate::statistics::{EdgeCounts, EdgePair, energy_from_counts, wasserstein_from_counts};

fn side<'a>(edges: &'a [f64], counts: &'a ColumnCounts) -> EdgeCounts<'a> {
    let side = EdgeCounts::new(edges, counts.cells());
    counts.summary().map_or(side, |summary| side.with_summary(summary))
}

/// Both sides at their edges.
pub(crate) fn pair<'a>(
    edges: &'a [f64],
    reference: &'a ColumnCounts,
    current: &'a ColumnCounts,
) -> Result<EdgePair<'a>> {
    EdgePair::new(side(edges, reference), side(edges, current))
}

/// All of them into `found`; the p-value of the Wasserstein distance is handed back.
pub(crate) fn order(
    rule: &DriftRule,
    pair: &EdgePair<'_>,
    found: &mut Found,
) -> Result<Option<f64>> {
    let enclosed = StatisticResult::enclosed;
    found.take(
        kuiper_least_evidence(pair)
            .map(|v| enclosed(Statistic::Kuiper, v.statistic).p(v.p_value.1)),
    )?;
    // One pass for all statistics of ranks: their sums don't wait for one another.
    let mut squares = Squares::of(pair);
    let mut weighted = WeightedSquares::of(pair);
    let mut pairs = Pairs::of(pair);
    for cell in pair.cells() {
        squares.add(&cell);
        weighted.add(&cell);
        pairs.add(&cell);
    }
    found.take(
        squares
            .least_evidence()
            .map(|t| enclosed(Statistic::CramerVonMises, t.statistic).p(t.p_value.1)),
    )?;
    found.take(
        weighted
            .least_evidence()
            .map(|a| enclosed(Statistic::AndersonDarling, a.statistic).p(a.p_value.1)),
    )?;
    let u = pairs.least_evidence();
    // What speaks least of drift is nearest to one half.
    let (low, high) = u.superiority;
    let value = 0.5f64.clamp(low, high);
    let result = enclosed(Statistic::MannWhitney, u.superiority).p(u.p_value.1);
    found.push(StatisticResult { value, ..result });
    found.take(
        energy_from_counts(pair).map(|e| enclosed(Statistic::Energy, e.distance).p(e.p_value.1)),
    )?;
    let Some(w1) = defined(wasserstein_from_counts(pair, rule.confidence))? else {
        return Ok(None);
    };
    // Where a few values far out decide, the law of the distance says nothing.
    let p_value = (w1.p_value != (0.0, 1.0)).then_some(w1.p_value.1);
    let with_p = |result| StatisticResult { p_value, ..result };
    let result = enclosed(Statistic::Wasserstein, w1.statistic);
    found.push(with_p(result.limits(w1.interval)));
    if let (Some(bounds), Some(limits)) = (w1.normalised, w1.normalised_interval) {
        found.push(with_p(enclosed(Statistic::WassersteinNormalised, bounds).limits(limits)));
    }
    Ok(p_value)
}

fn defined<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Undefined { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
