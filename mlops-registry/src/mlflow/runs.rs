//! Experiments and runs, as the server speaks of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::json::{KeyValue, float, maybe_whole, real, whole};
use crate::tracking::{RunStatus, View};

/// A group of runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Its id: a whole number, as text.
    pub experiment_id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Where its artifacts are: `mlflow-artifacts:/1`.
    #[serde(default)]
    pub artifact_location: String,
    /// `active` or `deleted`.
    #[serde(default)]
    pub lifecycle_stage: String,
    /// When it was made, in milliseconds since 1970.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub creation_time: Option<i64>,
    /// When it was changed last.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub last_update_time: Option<i64>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
}

/// What is known of a run beside its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// Its id.
    pub run_id: String,
    /// The experiment's id.
    #[serde(default)]
    pub experiment_id: String,
    /// Its name.
    #[serde(default)]
    pub run_name: String,
    /// Who ran it.
    #[serde(default)]
    pub user_id: String,
    /// How it stands.
    #[serde(default)]
    pub status: RunStatus,
    /// When it began, in milliseconds since 1970.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub start_time: Option<i64>,
    /// When it ended.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub end_time: Option<i64>,
    /// Where its artifacts are: `mlflow-artifacts:/1/<run>/artifacts`.
    #[serde(default)]
    pub artifact_uri: String,
    /// `active` or `deleted`.
    #[serde(default)]
    pub lifecycle_stage: String,
}

/// A point of a metric.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Metric {
    /// The metric's name.
    pub key: String,
    /// Its value; NaN is kept, and an SQL store makes ±[`f64::MAX`] of ±inf.
    #[serde(deserialize_with = "real")]
    pub value: f64,
    /// When, in milliseconds since 1970.
    #[serde(default, deserialize_with = "whole")]
    pub timestamp: i64,
    /// The step.
    #[serde(default, deserialize_with = "whole")]
    pub step: i64,
    /// The logged model that it was measured on (MLflow 3).
    #[serde(default)]
    pub model_id: Option<String>,
    /// The dataset that it was measured on (MLflow 3).
    #[serde(default)]
    pub dataset_name: Option<String>,
    /// That dataset's digest.
    #[serde(default)]
    pub dataset_digest: Option<String>,
}

impl Metric {
    /// A point.
    pub fn new(key: impl Into<String>, value: f64, step: i64, timestamp: i64) -> Self {
        let key = key.into();
        Self {
            key,
            value,
            timestamp,
            step,
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }

    /// The same, measured on this logged model.
    #[must_use]
    pub fn on_model(mut self, model_id: impl Into<String>) -> Self {
        self.model_id = Some(model_id.into());
        self
    }

    /// The same, measured on this dataset.
    #[must_use]
    pub fn on_dataset(mut self, name: impl Into<String>, digest: impl Into<String>) -> Self {
        (self.dataset_name, self.dataset_digest) = (Some(name.into()), Some(digest.into()));
        self
    }

    /// What makes a point of a metric the same as another to a database: NaN apart, infinities
    /// clamped, one zero.
    pub(super) fn identity(&self) -> (i64, i64, u64, bool) {
        let nan = self.value.is_nan();
        let kept = if nan { 0.0 } else { self.value.clamp(f64::MIN, f64::MAX) + 0.0 };
        (self.timestamp, self.step, kept.to_bits(), nan)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut out = json!({
            "key": self.key,
            "value": float(self.value),
            "timestamp": self.timestamp,
            "step": self.step,
        });
        let more = [
            ("model_id", &self.model_id),
            ("dataset_name", &self.dataset_name),
            ("dataset_digest", &self.dataset_digest),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                out[name] = value.as_str().into();
            }
        }
        out
    }
}

/// A run's data: the last point of every metric, parameters, tags.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct RunData {
    /// The last point of every metric.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// The parameters.
    #[serde(default)]
    pub params: Vec<KeyValue>,
    /// The tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
}

/// A dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// Its digest, at most 36 characters.
    pub digest: String,
    /// The kind of its source: `local`, `http`, `code`.
    #[serde(default)]
    pub source_type: String,
    /// Its source, as JSON.
    #[serde(default)]
    pub source: String,
    /// Its schema, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Its profile, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A dataset that a run read, and what for (tag `mlflow.data.context`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInput {
    /// The dataset.
    pub dataset: Dataset,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
}

/// What a run read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RunInputs {
    /// Datasets.
    #[serde(default)]
    pub dataset_inputs: Vec<DatasetInput>,
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Run {
    /// Who, when, how it stands.
    pub info: RunInfo,
    /// What it logged.
    #[serde(default)]
    pub data: RunData,
    /// What it read.
    #[serde(default)]
    pub inputs: RunInputs,
}

impl Run {
    /// The value of a parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.data.params.iter().find(|p| p.key == key).map(|p| p.value.as_str())
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.data.tags.iter().find(|t| t.key == key).map(|t| t.value.as_str())
    }

    /// The last value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.data.metrics.iter().find(|m| m.key == key).map(|m| m.value)
    }
}

/// A run to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRun {
    /// The experiment's id.
    pub experiment_id: String,
    /// Its name; the server makes one up where it is empty.
    pub name: String,
    /// Who runs it.
    pub user: String,
    /// When it began, in milliseconds since 1970.
    pub start_time: i64,
    /// Its first tags.
    pub tags: Vec<KeyValue>,
}

/// What is logged to a run at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunBatch {
    /// Points.
    pub metrics: Vec<Metric>,
    /// Parameters; one that is there with another value is an error.
    pub params: Vec<KeyValue>,
    /// Tags; the last value stays.
    pub tags: Vec<KeyValue>,
}

/// MLflow's name of a view.
pub(super) fn view_name(view: View) -> &'static str {
    match view {
        View::Active => "ACTIVE_ONLY",
        View::Deleted => "DELETED_ONLY",
        View::All => "ALL",
    }
}

/// What to search for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// MLflow's filter: `metrics.auc > 0.8 and params.model = 'tree'`; all where empty.
    pub filter: String,
    /// `metrics.auc DESC`, …
    pub order_by: Vec<String>,
    /// Deleted ones, too?
    pub view: View,
    /// How many on a page; 200 where it is 0.
    pub page_size: u32,
    /// The token of the page; `None` for the first.
    pub page: Option<String>,
}

impl Search {
    /// By this filter.
    pub fn new(filter: impl Into<String>) -> Self {
        Self { filter: filter.into(), ..Self::default() }
    }

    /// As a request.
    pub(super) fn to_json(&self) -> Value {
        let mut body = json!({
            "max_results": if self.page_size == 0 { 200 } else { self.page_size },
        });
        if !self.filter.is_empty() {
            body["filter"] = self.filter.as_str().into();
        }
        if !self.order_by.is_empty() {
            body["order_by"] = self.order_by.clone().into();
        }
        if let Some(page) = &self.page {
            body["page_token"] = page.as_str().into();
        }
        body
    }

    /// As a query; the list of orders comes as several fields.
    pub(super) fn to_query(&self) -> Vec<(&'static str, String)> {
        let size = if self.page_size == 0 { 200 } else { self.page_size };
        let mut query = vec![("max_results", size.to_string())];
        if !self.filter.is_empty() {
            query.push(("filter", self.filter.clone()));
        }
        query.extend(self.order_by.iter().map(|o| ("order_by", o.clone())));
        query.extend(self.page.iter().map(|p| ("page_token", p.clone())));
        query
    }
}
