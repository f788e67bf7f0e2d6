//! What is logged: points of metrics, parameters, tags, datasets, models.

use std::collections::{BTreeMap, BTreeSet};

use mlops_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::limits::{BATCH_ITEMS, PARAM_CHARS, TAG_CHARS, check_key, check_value, shown};
use super::run::{Dataset, LoggedModel};

/// A value of a metric at a step and a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The step: an epoch, a batch, a number of rows.
    pub step: i64,
    /// When.
    pub at: Timestamp,
    /// The value. NaN and ±inf are kept to the bit.
    pub value: f64,
}

impl Point {
    /// What history is sorted by; points of one key stay in the order of their arrival.
    pub const fn order(&self) -> (i64, i64) {
        (self.step, self.at.millis())
    }

    /// Whether it is the same point again, as after a retry: step, time, and value to the bit.
    pub fn is_same(&self, other: &Self) -> bool {
        self.order() == other.order() && self.value.to_bits() == other.value.to_bits()
    }
}

/// A point of a named metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its key: `auc`, `val/loss`.
    pub key: String,
    /// Its value, and when.
    pub point: Point,
}

impl Metric {
    /// A point of this metric.
    pub fn new(key: impl Into<String>, value: f64, step: i64, at: Timestamp) -> Self {
        Self { key: key.into(), point: Point { step, at, value } }
    }
}

/// What is logged in one step, all of it or nothing.
///
/// ```
/// use mlops_core::Timestamp;
/// use mlops_registry::tracking::{Batch, Dataset};
///
/// let at = Timestamp::from_millis(0);
/// let batch = Batch::new()
///     .param("depth", 3)
///     .tag("team", "risk")
///     .metric("auc", 0.81, 1, at)
///     .dataset(Dataset::new("loans", "sha256:…").with_context("training"));
/// assert!(!batch.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Points of metrics, in any order.
    pub metrics: Vec<Metric>,
    /// Parameters. One that is there with another value is an error.
    pub params: BTreeMap<String, String>,
    /// Tags. One that is there gets the new value.
    pub tags: BTreeMap<String, String>,
    /// What was read.
    pub datasets: Vec<Dataset>,
    /// What was made.
    pub models: Vec<LoggedModel>,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a point of a metric.
    #[must_use]
    pub fn metric(mut self, key: impl Into<String>, value: f64, step: i64, at: Timestamp) -> Self {
        self.metrics.push(Metric::new(key, value, step, at));
        self
    }

    /// The same, with a parameter.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.params.insert(key.into(), value.to_string());
        self
    }

    /// The same, with a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same, with a dataset that was read.
    #[must_use]
    pub fn dataset(mut self, dataset: Dataset) -> Self {
        self.datasets.push(dataset);
        self
    }

    /// The same, with a model that was made.
    #[must_use]
    pub fn model(mut self, model: LoggedModel) -> Self {
        self.models.push(model);
        self
    }

    /// How many things are in it.
    pub fn len(&self) -> usize {
        self.metrics.len()
            + self.params.len()
            + self.tags.len()
            + self.datasets.len()
            + self.models.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses what no backend may keep.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key or value that breaks the [limits](super::limits), and for
    /// more than a million things.
    pub fn check(&self) -> Result<()> {
        if self.len() > BATCH_ITEMS {
            return Err(Error::invalid(
                "batch",
                format!("at most {BATCH_ITEMS} things"),
                self.len(),
            ));
        }
        // Points of one metric come in rows.
        let mut last = None;
        for metric in &self.metrics {
            if last != Some(&metric.key) {
                check_key("metric", &metric.key)?;
                last = Some(&metric.key);
            }
        }
        for (key, value) in &self.params {
            check_key("parameter", key)?;
            check_value(|| format!("parameter `{key}`"), value, PARAM_CHARS)?;
        }
        for (key, value) in &self.tags {
            check_key("tag", key)?;
            check_value(|| format!("tag `{key}`"), value, TAG_CHARS)?;
        }
        self.datasets.iter().try_for_each(Dataset::check)?;
        self.models.iter().try_for_each(LoggedModel::check)
    }

    /// The points by key, those of a key in the order of their arrival.
    pub(crate) fn points(&self) -> BTreeMap<&str, Vec<Point>> {
        let mut by_key: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
        let mut rest = self.metrics.as_slice();
        while let Some(first) = rest.first() {
            let n = rest.iter().take_while(|m| m.key == first.key).count();
            let (same, others) = rest.split_at(n);
            by_key.entry(&first.key).or_default().extend(same.iter().map(|m| m.point));
            rest = others;
        }
        by_key
    }
}

/// What a batch added to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Logged {
    /// Points that were not there before.
    pub points: u64,
    /// Points, parameters, datasets and models that were there already, the same.
    pub repeated: u64,
    /// Parameters that were not there before.
    pub params: u64,
    /// Tags that were set.
    pub tags: u64,
    /// Datasets that were not there before.
    pub datasets: u64,
    /// Models that were not there before.
    pub models: u64,
}

impl Logged {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.points += other.points;
        self.repeated += other.repeated;
        self.params += other.params;
        self.tags += other.tags;
        self.datasets += other.datasets;
        self.models += other.models;
    }
}

/// Takes out of `new` what is a repetition, in itself or of `old`, and gives how many there were.
pub(crate) fn remove_repeated(new: &mut Vec<Point>, old: impl IntoIterator<Item = Point>) -> u64 {
    let identity = |p: &Point| (p.step, p.at.millis(), p.value.to_bits());
    let mut seen: BTreeSet<_> = BTreeSet::new();
    // Only old points that equal a new one matter.
    let wanted: BTreeSet<_> = new.iter().map(identity).collect();
    seen.extend(old.into_iter().map(|p| identity(&p)).filter(|p| wanted.contains(p)));
    let before = new.len();
    new.retain(|p| seen.insert(identity(p)));
    (before - new.len()) as u64
}

/// Whether every point comes strictly after the one before it, and the first after `last`: then
/// none can be a repetition.
pub(crate) fn ascends(new: &[Point], last: Option<&Point>) -> bool {
    let mut before = last.map(Point::order);
    new.iter().all(|p| before.replace(p.order()).is_none_or(|b| b < p.order()))
}

/// The error of a parameter that is there with another value.
pub(crate) fn param_differs(run: &str, key: &str, old: &str, new: &str) -> Error {
    Error::invalid(
        format!("parameter `{key}` of run {run}"),
        format!("its first value {}; parameters never change", shown(old)),
        shown(new),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: i64, at: i64, value: f64) -> Point {
        Point { step, at: Timestamp::from_millis(at), value }
    }

    #[test]
    fn repetitions_are_found_by_bits() {
        let mut new = vec![
            point(1, 0, f64::NAN),
            point(1, 0, f64::NAN),
            point(1, 0, 0.0),
            point(1, 0, -0.0),
            point(2, 0, 5.0),
        ];
        assert_eq!(remove_repeated(&mut new, [point(2, 0, 5.0), point(2, 1, 5.0)]), 2);
        assert_eq!(new.len(), 3, "NaN once, and both zeros");
    }

    #[test]
    fn ascending_points_need_no_search() {
        let last = point(3, 5, 0.0);
        assert!(ascends(&[point(3, 6, 0.0), point(4, 0, 0.0)], Some(&last)));
        assert!(ascends(&[], Some(&last)) && ascends(&[last], None));
        assert!(!ascends(&[last], Some(&last)));
        assert!(!ascends(&[point(5, 0, 0.0), point(4, 9, 0.0)], Some(&last)));
    }
}
