//! Tests between groups, corrected for their number.

use std::fmt;

use mlops_core::report::{Cell, Table};
use mlops_core::stats::{
    Correction, CountPair, Draws, Interval, Resampling, Share, Urn, adjust, chi_square_homogeneity,
    chi_square_sf,
};
use mlops_core::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Group, Metric, MetricFrame, Rate};

/// Which groups are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compare {
    /// Every group with all others together.
    #[default]
    ToRest,
    /// Every two groups.
    Pairs,
    /// Every other group with this one.
    To(Group),
}

/// How groups are tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupTests {
    /// Which groups are compared.
    pub compare: Compare,
    /// How p-values are corrected for their number; over all metrics together.
    pub correction: Correction,
    /// Groups with fewer rows in a rate's denominator are not tested.
    pub min_group_size: u64,
    /// The confidence of the limits beside each test, uncorrected.
    pub confidence: f64,
}

impl Default for GroupTests {
    /// Every group with the rest, Holm's correction, 30 rows, limits at 95 %.
    fn default() -> Self {
        Self {
            compare: Compare::default(),
            correction: Correction::Holm,
            min_group_size: 30,
            confidence: 0.95,
        }
    }
}

/// A test that two groups have one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupTest {
    /// The rate.
    pub metric: Metric,
    /// The group that is compared.
    pub group: Group,
    /// What it is compared with; `None` for all others together.
    pub with: Option<Group>,
    /// The group's rate less the other.
    pub difference: Option<f64>,
    /// Miettinen and Nurminen's limits of it.
    pub interval: Option<Interval>,
    /// The p-value of the score test, whose limits those are.
    pub p_value: Option<f64>,
    /// The same, corrected.
    pub adjusted_p: Option<f64>,
    /// Why it was not tested, where it was not.
    pub not_tested: Option<String>,
}

/// Tests of several groups and metrics, corrected together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupTestResults {
    /// How they were corrected.
    pub correction: Correction,
    /// The tests, in the order of the metrics and groups.
    pub tests: Vec<GroupTest>,
}

impl GroupTests {
    /// Tests these rates.
    ///
    /// What is too small or undefined is in the result with the reason, and is not counted in the
    /// correction.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a confidence outside (0, 1); [`Error::NotFound`] for a reference
    /// group that is not there.
    ///
    /// ```
    /// use mlops_fairness::uncertainty::GroupTests;
    /// use mlops_fairness::{Counts, Group, Metric, MetricFrame};
    /// let group = |name: &str| Group { values: vec![Some(name.into())] };
    /// let frame = MetricFrame::new(vec!["sex".into()], [
    ///     (group("F"), Counts::confusion(300, 100, 500, 100)),
    ///     (group("M"), Counts::confusion(400, 150, 350, 100)),
    ///     (group("X"), Counts::confusion(1, 1, 1, 1)),
    /// ]);
    /// let found = GroupTests::default().run(&frame, &[Metric::SelectionRate])?;
    /// assert!(found.tests[0].adjusted_p.unwrap() < 1e-8);
    /// assert_eq!(found.tests[2].not_tested.as_deref(), Some("X has 4 rows, fewer than 30"));
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    pub fn run(&self, frame: &MetricFrame, metrics: &[Metric]) -> Result<GroupTestResults> {
        Interval::new(0.0, 0.0, self.confidence)?;
        if let Compare::To(group) = &self.compare
            && frame.groups().all(|(known, _)| known != group)
        {
            return Err(Error::NotFound {
                existing: Vec::new(),
                what: "group".into(),
                name: group.to_string(),
            });
        }
        let mut tests = Vec::new();
        for &metric in metrics {
            let rates: Vec<_> = frame.by_group(metric).collect();
            for (at, (group, rate)) in rates.iter().enumerate() {
                match &self.compare {
                    Compare::ToRest => {
                        let others = crate::gap::others(&metric.of(frame.total()), rate);
                        tests.push(self.test(metric, (group, rate), None, others));
                    }
                    Compare::Pairs => {
                        for (other, with) in &rates[at + 1..] {
                            tests.push(self.pair(metric, (group, rate), (other, with)));
                        }
                    }
                    Compare::To(reference) if *group != reference => {
                        for (other, with) in rates.iter().filter(|(known, _)| *known == reference) {
                            tests.push(self.pair(metric, (group, rate), (other, with)));
                        }
                    }
                    Compare::To(_) => {}
                }
            }
        }
        let p_values: Vec<_> = tests.iter().map(|test| test.p_value).collect();
        let adjusted = adjust(self.correction, &p_values)?;
        for (test, p) in tests.iter_mut().zip(adjusted.p_values) {
            test.adjusted_p = p;
        }
        Ok(GroupTestResults { correction: self.correction, tests })
    }

    fn pair(&self, metric: Metric, of: (&Group, &Rate), with: (&Group, &Rate)) -> GroupTest {
        let share =
            with.1.value.and_then(|value| Share::new(value, with.1.effective_n().max(1.0)).ok());
        let mut test = self.test(metric, of, Some(with.0.clone()), share);
        if test.not_tested.is_none()
            && let Some(reason) = self.too_small(with.0, with.1)
        {
            test = GroupTest {
                difference: None,
                interval: None,
                p_value: None,
                not_tested: Some(reason),
                ..test
            };
        }
        test
    }

    fn too_small(&self, group: &Group, rate: &Rate) -> Option<String> {
        let (n, least) = (rate.denominator, self.min_group_size);
        (n < least).then(|| format!("{group} has {n} rows, fewer than {least}"))
    }

    fn test(
        &self,
        metric: Metric,
        (group, rate): (&Group, &Rate),
        with: Option<Group>,
        other: Option<Share>,
    ) -> GroupTest {
        let mut test = GroupTest {
            metric,
            group: group.clone(),
            with,
            difference: None,
            interval: None,
            p_value: None,
            adjusted_p: None,
            not_tested: None,
        };
        let own = rate.value.and_then(|value| Share::new(value, rate.effective_n().max(1.0)).ok());
        match (self.too_small(group, rate), own, other) {
            (Some(reason), ..) => test.not_tested = Some(reason),
            (None, None, _) => test.not_tested = Some(format!("in {group} it is {rate}")),
            (None, _, None) => test.not_tested = Some("there is nothing to compare with".into()),
            (None, Some(own), Some(other)) => {
                test.difference = Some(own.estimate - other.estimate);
                test.interval = own.difference(other, self.confidence).ok();
                test.p_value = Some(own.equality_p(other).clamp(0.0, 1.0));
            }
        }
        test
    }
}

impl GroupTestResults {
    /// The tests that are rejected at this level, after correction.
    pub fn rejected(&self, alpha: f64) -> impl Iterator<Item = &GroupTest> {
        self.tests.iter().filter(move |test| test.adjusted_p.is_some_and(|p| p <= alpha))
    }

    /// A table for a report.
    pub fn table(&self) -> Table {
        let titles = ["Metric", "Group", "Compared with", "Difference", "p", "p, corrected"];
        self.tests.iter().fold(Table::new(titles), |table, test| {
            let difference = match (test.difference, test.interval) {
                (Some(value), Some(limits)) => Cell::interval(value, limits.low, limits.high),
                _ => Cell::from(test.not_tested.as_deref().unwrap_or("undefined")),
            };
            let with = test.with.as_ref().map_or("all others".to_owned(), ToString::to_string);
            table.row((
                test.metric.name().replace('_', " "),
                test.group.to_string(),
                with,
                difference,
                test.p_value,
                test.adjusted_p,
            ))
        })
    }
}

impl fmt::Display for GroupTestResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tests between groups ({:?})", self.tests.len(), self.correction)?;
        for test in &self.tests {
            let with = test.with.as_ref().map_or("all others".to_owned(), ToString::to_string);
            write!(f, "\n  {} of {} and {with}: ", test.metric, test.group)?;
            match (test.difference, test.interval, test.adjusted_p) {
                (Some(d), Some(limits), Some(p)) => write!(f, "{d:+.4} {limits}, p = {p:.4e}")?,
                _ => f.write_str(test.not_tested.as_deref().unwrap_or("undefined"))?,
            }
        }
        Ok(())
    }
}

/// A test that all groups have one rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Homogeneity {
    /// Pearson's statistic.
    pub statistic: f64,
    /// Groups less one.
    pub dof: u64,
    /// The p-value: exact by draws where an expected count is below 5, else by the chi-square
    /// distribution.
    pub p_value: f64,
    /// Whether it was drawn.
    pub drawn: bool,
}

/// Tests that a rate is the same in all groups. `how` draws where there are few rows: each group
/// keeps its rows, all together keep their successes (`scipy.stats.chi2_contingency` with a
/// permutation method).
///
/// # Errors
/// [`Error::Undefined`] with fewer than two groups, where a group has no rate, or all rates are 0
/// or all 1; [`Error::Invalid`] for weighted rates, and without draws where they are needed.
pub fn homogeneity(frame: &MetricFrame, metric: Metric, how: Resampling) -> Result<Homogeneity> {
    let what = || format!("the test of one {metric}");
    let rates: Vec<Rate> = frame.by_group(metric).map(|(_, rate)| rate).collect();
    if rates.len() < 2 {
        return Err(Error::undefined(what(), "there are fewer than two groups"));
    }
    if let Some(rate) = rates.iter().find(|rate| rate.value.is_none()) {
        return Err(Error::undefined(what(), format!("in a group it is {rate}")));
    }
    if rates.iter().any(|rate| rate.weights.is_some()) {
        return Err(Error::invalid(what(), "unweighted counts", "weighted ones"));
    }
    let hits: Vec<u64> = rates.iter().map(|rate| rate.numerator).collect();
    let misses: Vec<u64> = rates.iter().map(|rate| rate.denominator - rate.numerator).collect();
    let found = chi_square_homogeneity(CountPair { current: &hits, reference: &misses })?;
    if found.smallest_expected() >= 5.0 {
        let p_value = chi_square_sf(found.statistic, found.dof as f64)?;
        return Ok(Homogeneity {
            statistic: found.statistic,
            dof: found.dof,
            p_value,
            drawn: false,
        });
    }
    if how.replicates == 0 {
        return Err(Error::invalid("the draws of a test", "at least 1", 0));
    }
    let (all_hits, all_misses): (u64, u64) = (hits.iter().sum(), misses.iter().sum());
    let share = all_hits as f64 / (all_hits + all_misses) as f64;
    let statistic = |hits: &[u64]| -> f64 {
        hits.iter()
            .zip(&rates)
            .map(|(&hit, rate)| {
                let n = rate.denominator as f64;
                (hit as f64 - n * share).powi(2) / (n * share * (1.0 - share))
            })
            .sum()
    };
    let bound = statistic(&hits) * (1.0 - 1e-12);
    let reached = (0..how.replicates)
        .into_par_iter()
        .map(|replicate| {
            let mut draws = Draws::new(how.seed, how.stream, u64::from(replicate));
            let (mut left, mut others) = (all_hits, all_misses);
            let mut drawn = Vec::with_capacity(rates.len());
            for rate in &rates {
                let size = rate.denominator;
                let urn = Urn { successes: left, failures: others, drawn: size };
                let got = draws.hypergeometric(urn)?;
                left -= got;
                others -= size - got;
                drawn.push(got);
            }
            Ok(statistic(&drawn) >= bound)
        })
        .collect::<Result<Vec<bool>>>()?;
    let at_least = reached.into_iter().filter(|&reached| reached).count() as f64;
    Ok(Homogeneity {
        statistic: found.statistic,
        dof: found.dof,
        p_value: (at_least + 1.0) / (f64::from(how.replicates) + 1.0),
        drawn: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counts;

    fn frame(groups: &[(u64, u64)]) -> MetricFrame {
        let groups = groups.iter().enumerate().map(|(i, &(selected, n))| {
            let group = Group { values: vec![Some(format!("{i}"))] };
            (group, Counts::confusion(0, selected, n - selected, 0))
        });
        MetricFrame::new(vec!["g".into()], groups)
    }

    fn group(name: &str) -> Group {
        Group { values: vec![Some(name.into())] }
    }

    #[test]
    fn every_way_to_compare() {
        let all = frame(&[(30, 100), (50, 100), (32, 100), (3, 9)]);
        let run = |compare: Compare| {
            let how = GroupTests { compare, ..GroupTests::default() };
            how.run(&all, &[Metric::SelectionRate]).unwrap()
        };
        let rest = run(Compare::ToRest);
        assert_eq!(rest.tests.len(), 4);
        // 50 % against 65 of 209.
        let second = &rest.tests[1];
        assert!((second.difference.unwrap() - (0.5 - 65.0 / 209.0)).abs() < 1e-12);
        assert!(second.p_value.unwrap() < 0.01);
        assert!(second.adjusted_p.unwrap() >= second.p_value.unwrap());
        assert!(rest.tests[3].not_tested.as_ref().unwrap().contains("9 rows"));
        let pairs = run(Compare::Pairs);
        assert_eq!(pairs.tests.len(), 6);
        assert_eq!(pairs.tests.iter().filter(|t| t.p_value.is_some()).count(), 3);
        let to = run(Compare::To(group("0")));
        assert_eq!(to.tests.len(), 3);
        let none = GroupTests { compare: Compare::To(group("z")), ..GroupTests::default() };
        assert!(matches!(none.run(&all, &[Metric::SelectionRate]), Err(Error::NotFound { .. })));
        assert!(rest.to_string().contains("all others") && rest.rejected(0.05).count() >= 1);
        // True-positive rates: there are no positives.
        let undefined = GroupTests::default().run(&all, &[Metric::TruePositiveRate]).unwrap();
        assert!(undefined.tests.iter().all(|t| t.p_value.is_none() && t.not_tested.is_some()));
        let alone =
            GroupTests::default().run(&frame(&[(30, 100)]), &[Metric::SelectionRate]).unwrap();
        assert!(alone.tests[0].not_tested.as_ref().unwrap().contains("nothing to compare"));
    }

    #[test]
    fn one_rate_in_all_groups_is_not_rejected_and_another_is() {
        let how = Resampling::new(3, 999);
        let large =
            homogeneity(&frame(&[(30, 100), (50, 100), (32, 100)]), Metric::SelectionRate, how);
        let large = large.unwrap();
        assert!(!large.drawn && large.dof == 2 && large.p_value < 0.01, "{large:?}");
        let small =
            homogeneity(&frame(&[(1, 8), (2, 9), (1, 7)]), Metric::SelectionRate, how).unwrap();
        assert!(small.drawn && small.p_value > 0.5, "{small:?}");
        let apart =
            homogeneity(&frame(&[(0, 8), (9, 9), (1, 7)]), Metric::SelectionRate, how).unwrap();
        assert!(apart.drawn && apart.p_value < 0.01, "{apart:?}");
        assert!(homogeneity(&frame(&[(0, 8), (0, 9)]), Metric::SelectionRate, how).is_err());
        assert!(homogeneity(&frame(&[(1, 8)]), Metric::SelectionRate, how).is_err());
    }
}
