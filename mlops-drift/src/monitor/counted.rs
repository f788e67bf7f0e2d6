//! What numbers in bins and categories have in common: distances and tests of two tables.

use mlops_core::stats::Interval;
use mlops_core::{Error, Result};

use super::bins::{category_cells, permutable_cells};
use super::rule::DriftRule;
use super::shares::Common;
use super::statistic::{DecidingTest, Statistic, StatisticResult};
use crate::statistics::{
    LogBase, MonteCarlo, PsiTest, ReferenceShares, chi_square, chi_square_goodness_of_fit, g_test,
    hellinger, jensen_shannon, kullback_leibler, l_infinity, permutation_p, psi_test,
    total_variation,
};

/// Below this expected count in a cell the χ² law is rough, and counts are permuted instead.
const MIN_EXPECTED: f64 = 5.0;

/// What deciding on a column needs besides its counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) rule: &'a DriftRule,
    /// The place of the column: its own stream of draws.
    pub(crate) column: u32,
    /// How many tests there are at most over all columns.
    pub(crate) tests: usize,
    /// Limits that most columns share.
    pub(crate) common: &'a Common,
}

impl Context<'_> {
    /// Enough draws that a p-value can pass the correction.
    pub(crate) fn draws(&self) -> Result<MonteCarlo> {
        Ok(MonteCarlo::to_reach(self.rule.seed, self.rule.alpha, self.tests)?.stream(self.column))
    }
}

/// The statistics of a column, and the test that decides.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) statistics: Vec<StatisticResult>,
    pub(crate) test: Option<DecidingTest>,
}

impl Found {
    pub(crate) fn push(&mut self, result: StatisticResult) {
        self.statistics.push(result);
    }

    /// A statistic that is not defined on these counts is left out.
    pub(crate) fn take(&mut self, result: Result<StatisticResult>) -> Result<()> {
        match result {
            Ok(result) => self.push(result),
            Err(Error::Undefined { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(crate) fn get(&mut self, statistic: Statistic) -> Option<&mut StatisticResult> {
        self.statistics.iter_mut().find(|s| s.statistic == statistic)
    }
}

/// The distances and tests of two tables into `found`; the population stability index is handed
/// back, as its p-value may still have to be drawn.
pub(crate) fn distances(
    rule: &DriftRule,
    reference: &[u64],
    current: &[u64],
    found: &mut Found,
) -> Result<Option<StatisticResult>> {
    let index = effects(rule, reference, current, found)?;
    tests(reference, current, found)?;
    Ok(index)
}

/// The distances alone.
pub(crate) fn effects(
    rule: &DriftRule,
    reference: &[u64],
    current: &[u64],
    found: &mut Found,
) -> Result<Option<StatisticResult>> {
    let tv = total_variation(reference, current, rule.confidence)?;
    found.push(StatisticResult::new(Statistic::TotalVariation, tv.value).limits(tv.interval));
    let (r, c) = (reference, current);
    let new = StatisticResult::new;
    found.take(
        jensen_shannon(r, c, LogBase::Two).map(|js| new(Statistic::JensenShannon, js.distance)),
    )?;
    let kl = kullback_leibler(r, c, rule.zero_cells, LogBase::E)?;
    for (statistic, value) in [
        (Statistic::KlFromReference, kl.current_from_reference),
        (Statistic::KlFromCurrent, kl.reference_from_current),
    ] {
        if let Some(value) = value {
            found.push(new(statistic, value));
        }
    }
    found.take(hellinger(r, c).map(|h| new(Statistic::Hellinger, h)))?;
    found.take(l_infinity(r, c).map(|l| new(Statistic::LInfinity, l)))?;
    // Under the rule that refuses empty cells the index may have no value.
    match psi_test(r, c, rule.zero_cells, rule.confidence) {
        Ok(index) => {
            // Its limits are those of the populations' index, which is smaller than the samples' by a
            // bias; they are widened to hold the samples', as readers expect of limits.
            let Interval { low, high, .. } = index.interval;
            let limits = Interval::new(low, high.max(index.value), rule.confidence)?;
            let result = new(Statistic::Psi, index.value).limits(limits);
            Ok(Some(StatisticResult { p_value: index.p_value, ..result }))
        }
        Err(Error::Undefined { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The reference rows that every cell must have for the law of the goodness of fit.
const GOODNESS_ROWS: u64 = 200;

/// The tests of counts alone.
pub(crate) fn tests(reference: &[u64], current: &[u64], found: &mut Found) -> Result<()> {
    let (r, c) = (reference, current);
    // Its shares are the reference's alone.
    let fit_holds = r.iter().all(|&rows| rows == 0 || rows >= GOODNESS_ROWS);
    for (statistic, holds, least, test) in [
        (Statistic::ChiSquare, true, MIN_EXPECTED, chi_square(r, c)),
        (Statistic::GTest, true, PsiTest::MIN_EXPECTED, g_test(r, c)),
        (
            Statistic::GoodnessOfFit,
            fit_holds,
            PsiTest::MIN_EXPECTED,
            chi_square_goodness_of_fit(ReferenceShares::Sampled(r), c),
        ),
    ] {
        found.take(test.map(|test| {
            StatisticResult {
                p_value: (holds && test.min_expected >= least || test.degrees_of_freedom == 0)
                    .then_some(test.p_value),
                ..StatisticResult::new(statistic, test.statistic)
            }
        }))?;
    }
    Ok(())
}

/// The chi-square test of categories, rare ones pooled for its law. Where that would pool more than
/// half of the rows of a side, the counts of finer cells are permuted instead.
pub(crate) fn categories_test(
    context: &Context<'_>,
    because: &str,
    reference: &[u64],
    current: &[u64],
) -> Result<DecidingTest> {
    let (r, c) = category_cells(reference, current);
    let (finer, finer_current) = permutable_cells(reference, current);
    let most = |counts: &[u64]| {
        let rows: u64 = counts.iter().sum();
        counts.last().is_some_and(|last| *last as f64 > 0.5 * rows as f64)
    };
    if (most(&r) || most(&c)) && finer.len() > r.len() {
        return permuted(context, because, &finer, &finer_current);
    }
    chi_square_test(context, because, &r, &c)
}

/// The chi-square test, by its law where every cell expects enough rows and by permuted counts
/// otherwise.
fn chi_square_test(
    context: &Context<'_>,
    because: &str,
    reference: &[u64],
    current: &[u64],
) -> Result<DecidingTest> {
    let test = chi_square(reference, current)?;
    if test.min_expected >= MIN_EXPECTED || test.degrees_of_freedom == 0 {
        return Ok(DecidingTest::new(Statistic::ChiSquare, because, test.p_value));
    }
    permuted(context, because, reference, current)
}

/// The chi-square test by permuted counts.
fn permuted(
    context: &Context<'_>,
    because: &str,
    reference: &[u64],
    current: &[u64],
) -> Result<DecidingTest> {
    let statistic = |r: &[u64], c: &[u64]| Ok(chi_square(r, c)?.statistic);
    let p = permutation_p(reference, current, statistic, context.draws()?)?;
    let because = format!("{because}; few rows, counts permuted");
    Ok(DecidingTest::new(Statistic::ChiSquare, because, p.p_value))
}
