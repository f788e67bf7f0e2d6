//! Features whose distribution is the same in every group.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::{BooleanArray, Float64Array, RecordBatch};
use mlops_core::bytes::{bad, put_len, take_len};
use mlops_core::states::{QuantileState, Quantiles};
use mlops_core::{Analyzer, DataSource, Description, Error, Result, Rows, Scan, State};
use serde::{Deserialize, Serialize};

use super::groups::{RowGroups, put_group, take_group};
use super::replaced::replaced;
use crate::Group;

/// The most groups.
const GROUPS: usize = 1000;

/// Fits [`DisparateImpactRemover`]: the quantiles of features by group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupQuantiles {
    /// The columns whose values make the groups.
    pub sensitive_features: Vec<String>,
    /// The columns of numbers.
    pub features: Vec<String>,
}

/// What [`GroupQuantiles`] remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupQuantilesState(BTreeMap<Group, Vec<QuantileState>>);

impl GroupQuantiles {
    /// The quantiles of these features by group.
    pub fn new<S: Into<String>, F: Into<String>>(
        sensitive_features: impl IntoIterator<Item = S>,
        features: impl IntoIterator<Item = F>,
    ) -> Self {
        Self {
            sensitive_features: sensitive_features.into_iter().map(Into::into).collect(),
            features: features.into_iter().map(Into::into).collect(),
        }
    }

    fn quantiles(&self) -> Vec<Quantiles> {
        self.features.iter().map(Quantiles::new).collect()
    }
}

fn limit(groups: usize) -> Result<()> {
    if groups > GROUPS {
        let expected = format!("at most {GROUPS} groups");
        return Err(Error::invalid("sensitive features", expected, format!("{groups} or more")));
    }
    Ok(())
}

impl State for GroupQuantilesState {
    fn merge(&mut self, other: Self) -> Result<()> {
        for (group, theirs) in other.0 {
            match self.0.entry(group) {
                std::collections::btree_map::Entry::Vacant(empty) => {
                    empty.insert(theirs);
                }
                std::collections::btree_map::Entry::Occupied(mut mine) => {
                    for (mine, theirs) in mine.get_mut().iter_mut().zip(theirs) {
                        mine.merge(theirs)?;
                    }
                }
            }
        }
        limit(self.0.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for (group, states) in &self.0 {
            put_group(out, group);
            for state in states {
                state.encode(out);
            }
        }
    }

    fn size(&self) -> usize {
        self.0.values().flatten().map(|state| 64 + state.size()).sum()
    }
}

impl Analyzer for GroupQuantiles {
    type State = GroupQuantilesState;
    type Output = DisparateImpactRemover;

    fn columns(&self) -> Vec<String> {
        self.sensitive_features.iter().chain(&self.features).cloned().collect()
    }

    fn start(&self) -> GroupQuantilesState {
        GroupQuantilesState(BTreeMap::new())
    }

    fn update(&self, state: &mut GroupQuantilesState, rows: &Rows<'_>) -> Result<()> {
        let groups = RowGroups::of(rows, &self.sensitive_features)?;
        limit(groups.groups.len())?;
        let quantiles = self.quantiles();
        for feature in &self.features {
            rows.numbers(feature)?;
        }
        for (at, group) in groups.groups.iter().enumerate() {
            let mask: BooleanArray =
                groups.of_row.iter().map(|&of| Some(of as usize == at)).collect();
            let selected = rows.select(&mask)?;
            let states = state
                .0
                .entry(group.clone())
                .or_insert_with(|| quantiles.iter().map(Analyzer::start).collect());
            for (quantiles, state) in quantiles.iter().zip(states) {
                quantiles.update(state, &selected.rows())?;
            }
        }
        limit(state.0.len())
    }

    fn finish(&self, state: GroupQuantilesState) -> Result<DisparateImpactRemover> {
        let quantiles = self.quantiles();
        let mut groups = Vec::with_capacity(state.0.len());
        for (group, states) in state.0 {
            let mut curves = Vec::with_capacity(states.len());
            for ((quantiles, state), feature) in quantiles.iter().zip(states).zip(&self.features) {
                let table = quantiles.finish(state)?;
                let at = |level: usize| {
                    let level = level as f64 / DisparateImpactRemover::LEVELS as f64;
                    table.quantile(level).filter(|q| q.is_finite())
                };
                let curve: Option<Vec<f64>> =
                    (0..=DisparateImpactRemover::LEVELS).map(at).collect();
                curves.push(curve.ok_or_else(|| {
                    let what = format!("the quantiles of `{feature}` in group {group}");
                    Error::undefined(what, "it has no finite numbers there")
                })?);
            }
            groups.push(GroupCurves { group, curves });
        }
        if groups.is_empty() || self.features.is_empty() {
            let reason = "there are no rows or no features";
            return Err(Error::undefined("a disparate-impact remover", reason));
        }
        Ok(DisparateImpactRemover {
            sensitive_features: self.sensitive_features.clone(),
            features: self.features.clone(),
            repair: 1.0,
            groups,
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupQuantilesState> {
        let width = self.sensitive_features.len();
        let quantiles = self.quantiles();
        let mut groups: BTreeMap<Group, Vec<QuantileState>> = BTreeMap::new();
        for _ in 0..take_len(bytes, width + quantiles.len())? {
            let group = take_group(bytes, width)?;
            if groups.last_key_value().is_some_and(|(last, _)| *last >= group) {
                return Err(bad(bytes, "groups in ascending order", &group));
            }
            let states = quantiles.iter().map(|q| q.decode(bytes)).collect::<Result<_>>()?;
            groups.insert(group, states);
            limit(groups.len())?;
        }
        Ok(GroupQuantilesState(groups))
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_quantiles", 1, self))
    }
}

/// The quantile curves of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupCurves {
    /// The group.
    pub group: Group,
    /// Of each feature its quantiles at equal steps from 0 to 1.
    pub curves: Vec<Vec<f64>>,
}

/// Moves each feature to where its group can't be told from it.
///
/// A value at the quantile q of its group becomes the median over the groups of their values at q;
/// with `repair` λ < 1 the value moves only that share of the way. The order within a group stays.
/// Feldman et al. 2015, doi:10.1145/2783258.2783311 ("geometric" repair); AIF360:
/// `DisparateImpactRemover`, which takes quantiles from bins of observed values where this
/// interpolates between 1,001 of them.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, StringArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_fairness::mitigation::DisparateImpactRemover;
///
/// let rows = batch! {
///     "sex" => StringArray::from_iter_values((0..200).map(|i| ["F", "M"][i % 2])),
///     "tests" => Float64Array::from_iter_values((0..200).map(|i| f64::from(i / 2 + i % 2 * 10))),
/// }?;
/// let remover = DisparateImpactRemover::fit(&MemorySource::from(rows.clone()), ["sex"], ["tests"])?;
/// let fair = remover.apply(&rows)?;
/// # use mlops_core::arrow::{array::AsArray, datatypes::Float64Type};
/// let tests = fair.column(1).as_primitive::<Float64Type>();
/// assert_eq!(tests.value(100), tests.value(101)); // the middle of either sex
/// assert_eq!(tests.value(100), 55.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DisparateImpactRemover {
    /// The columns whose values make the groups.
    pub sensitive_features: Vec<String>,
    /// The features that are moved.
    pub features: Vec<String>,
    /// How much of the way they go, in \[0, 1\].
    pub repair: f64,
    /// The quantiles by group, in order.
    pub groups: Vec<GroupCurves>,
}

impl DisparateImpactRemover {
    /// The steps between quantiles.
    pub const LEVELS: usize = 1000;

    /// Fits on a source, in one pass.
    ///
    /// # Errors
    /// Those of the scan; [`Error::Undefined`] without rows or features, and for a group in which a
    /// feature has no finite numbers.
    pub fn fit<S: Into<String>, F: Into<String>>(
        source: &dyn DataSource,
        sensitive_features: impl IntoIterator<Item = S>,
        features: impl IntoIterator<Item = F>,
    ) -> Result<Self> {
        Scan::new(source).run(&GroupQuantiles::new(sensitive_features, features))
    }

    /// The same, going this share of the way.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share outside \[0, 1\].
    pub fn repair(mut self, share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::invalid("repair", "a number in [0, 1]", share));
        }
        self.repair = share;
        Ok(self)
    }

    /// The rows with the features moved, as `f64`. Null stays null, and is given for a value that
    /// is not finite and a row of a group that was not there where it was fitted.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] and [`Error::ColumnType`].
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = Rows::new(batch);
        let groups = RowGroups::of(&rows, &self.sensitive_features)?;
        let own: Vec<Option<&GroupCurves>> = groups
            .groups
            .iter()
            .map(|group| {
                let at = self.groups.binary_search_by(|known| known.group.cmp(group)).ok()?;
                Some(&self.groups[at])
            })
            .collect();
        let mut moved: BTreeMap<&str, Float64Array> = BTreeMap::new();
        for (at, feature) in self.features.iter().enumerate() {
            let values = rows.numbers(feature)?.iter().zip(&groups.of_row).map(|(x, &group)| {
                let x = x.filter(|x| x.is_finite())?;
                let level = level(own[group as usize]?.curves.get(at)?, x)?;
                let mut others: Vec<f64> = self
                    .groups
                    .iter()
                    .map(|group| group.curves.get(at).and_then(|curve| value(curve, level)))
                    .collect::<Option<_>>()?;
                Some(x + self.repair * (median(&mut others) - x))
            });
            moved.insert(feature, values.collect());
        }
        replaced(batch, |_| false, &moved)
    }
}

/// Where a value stands among quantiles, in \[0, 1\]: the middle of those equal to it.
fn level(curve: &[f64], x: f64) -> Option<f64> {
    let last = curve.len().checked_sub(1)?;
    let (below, upto) = (curve.partition_point(|q| *q < x), curve.partition_point(|q| *q <= x));
    let at = if upto > below {
        f64::midpoint(below as f64, (upto - 1) as f64)
    } else if below == 0 {
        0.0
    } else if below > last {
        last as f64
    } else {
        let (low, high) = (curve[below - 1], curve[below]);
        // Halved, the distance of any two numbers is finite.
        (below - 1) as f64 + (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
    };
    Some(at / last.max(1) as f64)
}

/// The value at a level, on the line between its neighbours.
fn value(curve: &[f64], level: f64) -> Option<f64> {
    let at = level * curve.len().checked_sub(1)? as f64;
    let low = *curve.get(at.floor() as usize)?;
    let high = *curve.get(at.ceil() as usize)?;
    let share = at.fract();
    Some(low * (1.0 - share) + high * share)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

impl fmt::Display for DisparateImpactRemover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} moved {:.0} % of the way to the median of {} groups by {}",
            self.features.join(", "),
            self.repair * 100.0,
            self.groups.len(),
            self.sensitive_features.join(" × ")
        )
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Array, AsArray, StringArray};
    use mlops_core::arrow::datatypes::Float64Type;
    use mlops_core::stats::{Draws, ks_two_sample_p};
    use mlops_core::{MemorySource, batch, conformance};
    use proptest::prelude::*;

    use super::*;

    fn people(n: usize) -> RecordBatch {
        let mut draws = Draws::new(9, 0, 0);
        let rows: Vec<(usize, f64)> = (0..n)
            .map(|_| {
                let group = draws.below(3) as usize;
                (group, draws.normal() * (1.0 + group as f64) + 5.0 * group as f64)
            })
            .collect();
        batch! {
            "g" => StringArray::from_iter_values(rows.iter().map(|r| ["a", "b", "c"][r.0])),
            "x" => Float64Array::from_iter_values(rows.iter().map(|r| r.1)),
        }
        .unwrap()
    }

    fn by_group(rows: &RecordBatch, name: &str) -> Vec<f64> {
        let groups = rows.column(0).as_string::<i32>();
        let x = rows.column(1).as_primitive::<Float64Type>();
        (0..rows.num_rows()).filter(|&r| groups.value(r) == name).map(|r| x.value(r)).collect()
    }

    fn ks(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
        a.sort_by(f64::total_cmp);
        b.sort_by(f64::total_cmp);
        let share = |v: &[f64], x: f64| v.partition_point(|y| *y <= x) as f64 / v.len() as f64;
        a.iter().chain(&b).map(|&x| (share(&a, x) - share(&b, x)).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn no_group_can_be_told_from_a_repaired_feature_of_other_rows() {
        let (fit, held) = (people(6000), people(9000).slice(6000, 3000));
        let remover = DisparateImpactRemover::fit(&MemorySource::from(fit), ["g"], ["x"]).unwrap();
        let fair = remover.apply(&held).unwrap();
        for (one, other) in [("a", "b"), ("a", "c"), ("b", "c")] {
            let before = ks(by_group(&held, one), by_group(&held, other));
            let (a, b) = (by_group(&fair, one), by_group(&fair, other));
            let (n, m) = (a.len() as u64, b.len() as u64);
            let after = ks(a, b);
            let p = ks_two_sample_p(after, n, m).unwrap();
            assert!(before > 0.4 && p > 0.001, "{one} {other}: {before} {after} {p}");
        }
        let same = remover.clone().repair(0.0).unwrap().apply(&held).unwrap();
        assert_eq!(same.column(1), held.column(1));
        assert!(remover.repair(1.5).is_err());
    }

    /// Feldman et al., section 5: x goes λ of the way to the median over the groups of the value
    /// that has its rank there. Of groups of one size ranks need no interpolation.
    #[test]
    fn every_rank_goes_where_the_papers_formula_says() {
        const N: usize = DisparateImpactRemover::LEVELS + 1;
        let names = ["a", "b", "c", "d"];
        for (groups, repair) in [(2, 1.0), (3, 1.0), (4, 0.4)] {
            let mut draws = Draws::new(12, 0, groups as u64);
            let values: Vec<Vec<f64>> = (0..groups)
                .map(|g| (0..N).map(|_| (draws.normal() + g as f64).exp()).collect())
                .collect();
            let rows = batch! {
                "g" => StringArray::from_iter_values(names[..groups].iter().flat_map(|g| [g; N])),
                "x" => Float64Array::from_iter_values(values.iter().flatten().copied()),
            }
            .unwrap();
            let source = MemorySource::from(rows.clone());
            let remover = DisparateImpactRemover::fit(&source, ["g"], ["x"]).unwrap();
            let fair = remover.repair(repair).unwrap().apply(&rows).unwrap();
            let mut sorted = values.clone();
            for group in &mut sorted {
                group.sort_by(f64::total_cmp);
            }
            for (name, own) in names.iter().zip(&values) {
                for (x, found) in own.iter().zip(by_group(&fair, name)) {
                    let rank = own.iter().filter(|other| *other < x).count();
                    let mut there: Vec<f64> = sorted.iter().map(|group| group[rank]).collect();
                    there.sort_by(f64::total_cmp);
                    let middle = f64::midpoint(there[(groups - 1) / 2], there[groups / 2]);
                    let expected = x + repair * (middle - x);
                    assert!((found - expected).abs() < 1e-9 * expected, "{x}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn keeps_the_contract() {
        let rows = batch! {
            "g" => StringArray::from(vec![Some("a"), None, Some("b"), Some("a"), Some("b")]),
            "x" => Float64Array::from(vec![Some(1.0), Some(2.0), Some(f64::INFINITY), None, Some(-0.0)]),
        }
        .unwrap();
        conformance::analyzer(&GroupQuantiles::new(["g"], ["x"]), &rows);
        let fitted =
            DisparateImpactRemover::fit(&MemorySource::from(rows.clone()), ["g"], ["x"]).unwrap();
        let fair = fitted.apply(&rows).unwrap();
        assert!(fair.column(1).is_null(2) && fair.column(1).is_null(3));
        // Medians of 1, 2 and 0.
        assert_eq!(fair.column(1).as_primitive::<Float64Type>().value(4), 1.0);
        let strangers = batch! {
            "g" => StringArray::from(vec!["z"]), "x" => Float64Array::from(vec![1.0]),
        };
        assert!(fitted.apply(&strangers.unwrap()).unwrap().column(1).is_null(0));
        let none = MemorySource::from(rows.slice(0, 0));
        assert!(DisparateImpactRemover::fit(&none, ["g"], ["x"]).is_err());
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<DisparateImpactRemover>(&text).unwrap(), fitted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_order_within_a_group_stays(xs in prop::collection::vec((0u8..2, -50i32..50), 4..80)) {
            let mut xs = xs;
            xs.extend([(0, 3), (1, 4)]);
            let rows = batch! {
                "g" => StringArray::from_iter_values(xs.iter().map(|x| ["a", "b"][usize::from(x.0)])),
                "x" => Float64Array::from_iter_values(xs.iter().map(|x| f64::from(x.1))),
            }.unwrap();
            let fitted = DisparateImpactRemover::fit(&MemorySource::from(rows.clone()), ["g"], ["x"]).unwrap();
            let fair = fitted.apply(&rows).unwrap();
            let moved = fair.column(1).as_primitive::<Float64Type>();
            for i in 0..xs.len() {
                for j in 0..xs.len() {
                    if xs[i].0 == xs[j].0 && xs[i].1 < xs[j].1 {
                        prop_assert!(moved.value(i) <= moved.value(j) + 1e-9);
                    }
                }
            }
        }
    }
}
