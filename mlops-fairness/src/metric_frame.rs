//! Counts by group, and the rates, differences and ratios that derive from them.

use std::collections::BTreeMap;
use std::fmt;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Counts, Metric, Rate};

/// A group: a value for each sensitive feature, `None` where it is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// In the order of the features.
    pub values: Vec<Option<String>>,
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

/// Counts by group, as [`GroupCounts`](crate::GroupCounts) measured them. Only groups that are
/// really there; ordered, with null first.
///
/// fairlearn: `MetricFrame`. It differs where fairlearn has no answer: an undefined rate is
/// `None` (fairlearn: 0), and rows whose group is null are a group (fairlearn drops them).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricFrame {
    features: Vec<String>,
    groups: Vec<(Group, Counts)>,
}

impl MetricFrame {
    /// A frame of these counts; the groups' values in the order of the features.
    pub fn new(features: Vec<String>, groups: impl IntoIterator<Item = (Group, Counts)>) -> Self {
        let mut merged: BTreeMap<Group, Counts> = BTreeMap::new();
        for (group, counts) in groups {
            merged.entry(group).or_default().add(&counts);
        }
        Self { features, groups: merged.into_iter().collect() }
    }

    /// The sensitive features.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The groups with their counts.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&Group, &Counts)> {
        self.groups.iter().map(|(group, counts)| (group, counts))
    }

    /// All groups together.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for (_, counts) in &self.groups {
            total.add(counts);
        }
        total
    }

    /// The rate over everyone.
    pub fn overall(&self, metric: Metric) -> Rate {
        metric.of(&self.total())
    }

    /// The rate of every group.
    pub fn by_group(&self, metric: Metric) -> impl ExactSizeIterator<Item = (&Group, Rate)> {
        self.groups().map(move |(group, counts)| (group, metric.of(counts)))
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
        let at = |name: &String| {
            self.features.iter().position(|f| f == name).ok_or_else(|| Error::ColumnNotFound {
                column: name.clone(),
                available: self.features.clone(),
            })
        };
        let places = names.iter().map(at).collect::<Result<Vec<_>>>()?;
        let groups = self.groups.iter().map(|(group, counts)| {
            let values = places.iter().map(|&at| group.values.get(at).cloned().flatten()).collect();
            (Group { values }, *counts)
        });
        Ok(Self::new(names.to_vec(), groups))
    }

    /// The groups of at least `rows` rows, and the names of the others.
    pub fn split_small(&self, rows: u64) -> (Self, Vec<Group>) {
        self.split(|counts| counts.rows() >= rows)
    }

    /// The groups that are to be kept, and the names of the others.
    pub(crate) fn split(&self, keep: impl Fn(&Counts) -> bool) -> (Self, Vec<Group>) {
        let (kept, small): (Vec<_>, Vec<_>) =
            self.groups.iter().cloned().partition(|(_, counts)| keep(counts));
        (
            Self { features: self.features.clone(), groups: kept },
            small.into_iter().map(|(group, _)| group).collect(),
        )
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
        let total = self.total();
        let everyone = Group::default();
        for (group, counts) in self.groups().chain([(&everyone, &total)]) {
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
