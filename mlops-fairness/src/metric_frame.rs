//! What is known of every group, and the metrics, differences and ratios that derive from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Counts, GroupMetric, Metric, Rate, Undefined, Value};

/// A group: a value for each sensitive feature, `None` where it is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// In the order of the features.
    pub values: Vec<Option<String>>,
}

impl Group {
    /// The group of one feature with this value.
    pub fn of(value: impl Into<String>) -> Self {
        Self { values: vec![Some(value.into())] }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, value) in self.values.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(value.as_deref().unwrap_or("(null)"))?;
        }
        if self.values.is_empty() { f.write_str("everyone") } else { Ok(()) }
    }
}

/// What is known of the rows of a group, and adds up over groups: [`Counts`], and whatever else a
/// [`MetricFrame`] is made of.
pub trait GroupCell: Clone + Default {
    /// Takes in the rows of another group.
    fn add(&mut self, other: &Self);

    /// All rows of the group.
    fn rows(&self) -> u64;
}

/// What groups are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// With each other: the two that are farthest apart.
    #[default]
    BetweenGroups,
    /// With everyone: the group that is farthest away.
    ToOverall,
}

/// What was measured by group. Only groups that are really there; ordered, with null first.
///
/// A metric of every group comes from [`by_group`](Self::by_group) and [`values`](Self::values),
/// of everyone from [`overall`](Self::overall) and [`value`](Self::value); the comparisons are
/// [`difference`](Self::difference), [`ratio`](Self::ratio), [`group_min`](Self::group_min) and
/// [`group_max`](Self::group_max). Within the cells of control features the same is asked of the
/// frames that [`by_control`](Self::by_control) gives.
///
/// fairlearn: `MetricFrame`. It differs where fairlearn has no answer: an undefined rate is
/// undefined (fairlearn: 0), and rows whose group is null are a group (fairlearn 0.15 refuses them).
/// [`compat`](crate::compat) has fairlearn's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    bound(serialize = "C: GroupCell + Serialize", deserialize = "C: GroupCell + Deserialize<'de>"),
    into = "Parts<C>",
    try_from = "Parts<C>"
)]
pub struct MetricFrame<C = Counts> {
    features: Vec<String>,
    controls: Vec<String>,
    drop_nulls: bool,
    /// By the values of the control features, then those of the sensitive ones.
    cells: Vec<(Group, C)>,
    /// Over all control cells.
    groups: Vec<(Group, C)>,
    total: C,
}

/// What a frame is written as.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<C> {
    features: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    control_features: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    drop_nulls: bool,
    groups: Vec<(Group, C)>,
}

impl<C: GroupCell> From<MetricFrame<C>> for Parts<C> {
    fn from(frame: MetricFrame<C>) -> Self {
        Self {
            features: frame.features,
            control_features: frame.controls,
            drop_nulls: frame.drop_nulls,
            groups: frame.cells,
        }
    }
}

impl<C: GroupCell> TryFrom<Parts<C>> for MetricFrame<C> {
    type Error = Error;

    fn try_from(parts: Parts<C>) -> Result<Self> {
        let n = parts.control_features.len() + parts.features.len();
        if let Some((group, _)) = parts.groups.iter().find(|(group, _)| group.values.len() != n) {
            return Err(Error::invalid("a group", format!("{n} values"), group));
        }
        Ok(Self::of_cells(parts.control_features, parts.features, parts.drop_nulls, parts.groups))
    }
}

/// The cells of equal groups together, in order.
fn merged<C: GroupCell>(cells: impl IntoIterator<Item = (Group, C)>) -> Vec<(Group, C)> {
    let mut merged: BTreeMap<Group, C> = BTreeMap::new();
    for (group, cell) in cells {
        merged.entry(group).or_default().add(&cell);
    }
    merged.into_iter().collect()
}

#[expect(clippy::needless_pass_by_value, reason = "a metric is a name or a closure")]
impl<C: GroupCell> MetricFrame<C> {
    /// A frame of what is known of groups, whose values are in the order of the features.
    pub fn new(features: Vec<String>, groups: impl IntoIterator<Item = (Group, C)>) -> Self {
        Self::of_cells(Vec::new(), features, false, groups)
    }

    pub(crate) fn of_cells(
        controls: Vec<String>,
        features: Vec<String>,
        drop_nulls: bool,
        cells: impl IntoIterator<Item = (Group, C)>,
    ) -> Self {
        let cells = merged(cells);
        let mut total = C::default();
        for (_, cell) in &cells {
            total.add(cell);
        }
        let kept = cells
            .iter()
            .filter(|(group, _)| !(drop_nulls && group.values.contains(&None)))
            .map(|(group, cell)| {
                let values = group.values.get(controls.len()..).unwrap_or_default().to_vec();
                (Group { values }, cell.clone())
            });
        let groups = if controls.is_empty() && !drop_nulls { cells.clone() } else { merged(kept) };
        Self { features, controls, drop_nulls, cells, groups, total }
    }

    /// The sensitive features.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The control features.
    pub fn control_features(&self) -> &[String] {
        &self.controls
    }

    /// The groups with what is known of them, over all control cells.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&Group, &C)> {
        self.groups.iter().map(|(group, cell)| (group, cell))
    }

    /// What is known of this group.
    pub fn group(&self, group: &Group) -> Option<&C> {
        let at = self.groups.binary_search_by(|(known, _)| known.cmp(group)).ok()?;
        self.groups.get(at).map(|(_, cell)| cell)
    }

    /// All rows together, with those that belong to no group.
    pub fn total(&self) -> &C {
        &self.total
    }

    /// For each cell of the control features a frame of its own, in order.
    pub fn by_control(&self) -> Vec<(Group, Self)> {
        let n = self.controls.len();
        let mut cells: BTreeMap<Group, Vec<(Group, C)>> = BTreeMap::new();
        for (group, cell) in &self.cells {
            let (control, values) = group.values.split_at(n.min(group.values.len()));
            if self.drop_nulls && control.contains(&None) {
                continue;
            }
            let group = Group { values: values.to_vec() };
            let control = Group { values: control.to_vec() };
            cells.entry(control).or_default().push((group, cell.clone()));
        }
        let frame =
            |groups| Self::of_cells(Vec::new(), self.features.clone(), self.drop_nulls, groups);
        cells.into_iter().map(|(control, groups)| (control, frame(groups))).collect()
    }

    /// The same rows by one of the features only.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] for a name that is not one of the features.
    pub fn feature(&self, name: &str) -> Result<Self> {
        self.features_of(&[name.to_owned()])
    }

    /// The same rows by some of the features: the groups are their intersections.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] for a name that is not one of the features.
    pub fn features_of(&self, names: &[String]) -> Result<Self> {
        let n = self.controls.len();
        let at = |name: &String| {
            self.features.iter().position(|f| f == name).map(|at| n + at).ok_or_else(|| {
                Error::ColumnNotFound { column: name.clone(), available: self.features.clone() }
            })
        };
        let places: Vec<_> = (0..n).map(Ok).chain(names.iter().map(at)).collect::<Result<_>>()?;
        let cells = self.cells.iter().map(|(group, cell)| {
            let values = places.iter().map(|&at| group.values.get(at).cloned().flatten()).collect();
            (Group { values }, cell.clone())
        });
        Ok(Self::of_cells(self.controls.clone(), names.to_vec(), self.drop_nulls, cells))
    }

    /// The same with rows whose group is null in no group; they stay in the total.
    #[must_use]
    pub fn without_nulls(self) -> Self {
        Self::of_cells(self.controls, self.features, true, self.cells)
    }

    /// The same of something that derives from what is known of each group.
    pub fn map<D: GroupCell>(&self, derive: impl Fn(&C) -> D) -> MetricFrame<D> {
        let cells = self.cells.iter().map(|(group, cell)| (group.clone(), derive(cell)));
        MetricFrame::of_cells(
            self.controls.clone(),
            self.features.clone(),
            self.drop_nulls,
            cells.collect::<Vec<_>>(),
        )
    }

    /// The groups of at least `rows` rows, and the names of the others.
    pub fn split_small(&self, rows: u64) -> (Self, Vec<Group>) {
        self.split(|cell| cell.rows() >= rows)
    }

    /// The groups that are to be kept, and the names of the others: of all control cells together.
    pub(crate) fn split(&self, keep: impl Fn(&C) -> bool) -> (Self, Vec<Group>) {
        let small: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, cell)| !keep(cell))
            .map(|(group, _)| group.clone())
            .collect();
        let n = self.controls.len();
        let names: BTreeSet<_> = small.iter().map(|group| group.values.as_slice()).collect();
        let kept = self
            .cells
            .iter()
            .filter(|(group, _)| !names.contains(group.values.get(n..).unwrap_or_default()));
        let kept = kept.cloned().collect::<Vec<_>>();
        let frame =
            Self::of_cells(self.controls.clone(), self.features.clone(), self.drop_nulls, kept);
        (frame, small)
    }

    /// A metric over everyone.
    ///
    /// # Errors
    /// [`Undefined`], with the reason.
    pub fn value(&self, metric: impl GroupMetric<C>) -> Value {
        metric.measure(&self.total)
    }

    /// A metric of every group.
    pub fn values(&self, metric: impl GroupMetric<C>) -> Vec<(&Group, Value)> {
        self.groups().map(|(group, cell)| (group, metric.measure(cell))).collect()
    }

    /// The values of all groups, or the first that has none.
    fn defined(&self, metric: &impl GroupMetric<C>, least: usize) -> Result<Vec<f64>, Undefined> {
        if self.groups.len() < least {
            let there = self.groups.first().map_or("there is no group".into(), |(group, _)| {
                if self.features.is_empty() {
                    return "there are no sensitive features".into();
                }
                format!("there is only one group, {group}")
            });
            return Err(Undefined::new(there));
        }
        let measure = |(group, cell): (&Group, &C)| {
            metric.measure(cell).map_err(|e| Undefined::new(format!("{} in {group}", e.reason)))
        };
        self.groups().map(measure).collect()
    }

    /// The smallest value of any group. fairlearn: `group_min`.
    ///
    /// # Errors
    /// [`Undefined`] without groups, or where a group has no value: a minimum that leaves a group
    /// out would hide it.
    pub fn group_min(&self, metric: impl GroupMetric<C>) -> Value {
        Ok(self.defined(&metric, 1)?.into_iter().fold(f64::INFINITY, f64::min))
    }

    /// The largest value of any group. fairlearn: `group_max`.
    ///
    /// # Errors
    /// As [`group_min`](Self::group_min).
    pub fn group_max(&self, metric: impl GroupMetric<C>) -> Value {
        Ok(self.defined(&metric, 1)?.into_iter().fold(f64::NEG_INFINITY, f64::max))
    }

    /// The largest absolute difference of a metric between two groups, or between a group and
    /// everyone; at least 0. fairlearn: `difference(method)`.
    ///
    /// # Errors
    /// [`Undefined`] with fewer than two groups, or where a group has no value.
    pub fn difference(&self, metric: impl GroupMetric<C>, method: Method) -> Value {
        let values = self.defined(&metric, 2)?;
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        match method {
            Method::BetweenGroups => Ok(high - low),
            Method::ToOverall => {
                let overall = metric.measure(&self.total)?;
                Ok((high - overall).max(overall - low))
            }
        }
    }

    /// The smallest ratio of a metric between two groups, the smaller over the larger, or between
    /// a group and everyone; 1 is parity. fairlearn: `ratio(method)`.
    ///
    /// # Errors
    /// [`Undefined`] with fewer than two groups, where a group has no value or a negative one, and
    /// where all values are 0.
    pub fn ratio(&self, metric: impl GroupMetric<C>, method: Method) -> Value {
        let values = self.defined(&metric, 2)?;
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        if low < 0.0 {
            return Err(Undefined::new("a ratio of negative values says nothing"));
        }
        let over = |part: f64, whole: f64| {
            if whole > 0.0 {
                Ok(part / whole)
            } else {
                Err(Undefined::new(format!("{} is 0 in every group", metric.metric_name())))
            }
        };
        match method {
            Method::BetweenGroups => over(low, high),
            Method::ToOverall => {
                let overall = metric.measure(&self.total)?;
                Ok(over(low.min(overall), low.max(overall))?
                    .min(over(high.min(overall), high.max(overall))?))
            }
        }
    }
}

impl MetricFrame {
    /// The rate over everyone.
    pub fn overall(&self, metric: Metric) -> Rate {
        metric.of(&self.total)
    }

    /// The rate of every group.
    pub fn by_group(&self, metric: Metric) -> impl ExactSizeIterator<Item = (&Group, Rate)> {
        self.groups().map(move |(group, counts)| (group, metric.of(counts)))
    }
}

impl fmt::Display for MetricFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: [Metric; 5] = [
            Metric::SelectionRate,
            Metric::BaseRate,
            Metric::TruePositiveRate,
            Metric::FalsePositiveRate,
            Metric::Accuracy,
        ];
        write!(f, "{:<28} {:>9}", self.features.join(" × "), "rows")?;
        for metric in SHOWN {
            write!(f, " {:>19}", metric.name())?;
        }
        let everyone = Group::default();
        // Without features the only group is everyone.
        let groups = self.groups().filter(|_| !self.features.is_empty());
        for (group, counts) in groups.chain([(&everyone, &self.total)]) {
            write!(f, "\n{:<28} {:>9}", group.to_string(), counts.rows())?;
            for metric in SHOWN {
                match metric.of(counts).value {
                    Some(value) => write!(f, " {value:>19.4}")?,
                    None => write!(f, " {:>19}", "undefined")?,
                }
            }
        }
        Ok(())
    }
}
