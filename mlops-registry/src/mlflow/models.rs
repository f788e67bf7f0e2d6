//! Logged models (MLflow 3).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{MlflowClient, api};
use super::error::{MlflowError, MlflowResult};
use super::http::Repeat;
use super::json::{KeyValue, maybe_whole, page};
use super::runs::{Metric, Search};
use crate::tracking::Page;

/// How a logged model stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoggedModelStatus {
    /// Its files are on their way.
    #[default]
    #[serde(rename = "LOGGED_MODEL_PENDING")]
    Pending,
    /// It is whole.
    #[serde(rename = "LOGGED_MODEL_READY")]
    Ready,
    /// Its files did not arrive.
    #[serde(rename = "LOGGED_MODEL_UPLOAD_FAILED")]
    UploadFailed,
    /// Anything else.
    #[serde(other, rename = "LOGGED_MODEL_STATUS_UNSPECIFIED")]
    Unspecified,
}

/// A logged model beside its data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LoggedModelInfo {
    /// `m-` and 32 hexadecimal digits.
    pub model_id: String,
    /// The experiment's id.
    #[serde(default)]
    pub experiment_id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub creation_timestamp_ms: Option<i64>,
    /// Where its files are.
    #[serde(default)]
    pub artifact_uri: String,
    /// How it stands.
    #[serde(default)]
    pub status: LoggedModelStatus,
    /// What kind of model it is.
    #[serde(default)]
    pub model_type: String,
    /// The run that made it.
    #[serde(default)]
    pub source_run_id: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
}

/// A logged model's data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct LoggedModelData {
    /// Its parameters.
    #[serde(default)]
    pub params: Vec<KeyValue>,
    /// What was measured on it.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// A logged model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct LoggedModel {
    /// What it is.
    pub info: LoggedModelInfo,
    /// Its parameters and metrics.
    #[serde(default)]
    pub data: LoggedModelData,
}

/// A logged model to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewLoggedModel {
    /// The experiment's id.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// What kind of model it is.
    pub model_type: String,
    /// The run that made it; none where it is empty.
    pub source_run_id: String,
    /// Its parameters.
    pub params: Vec<KeyValue>,
    /// Its tags.
    pub tags: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct Answer {
    model: LoggedModel,
}

fn path(id: &str) -> String {
    format!("logged-models/{}", super::url::segment(id))
}

impl MlflowClient {
    fn with_logged_models(&self) -> MlflowResult<()> {
        let server = self.server()?;
        if server.logged_models {
            return Ok(());
        }
        Err(MlflowError::Unsupported {
            what: "a logged model".into(),
            needs: "MLflow 3.0".into(),
            found: format!("MLflow {}", server.version),
        })
    }

    /// Makes a logged model, pending: put its files below its `artifact_uri`, then
    /// [`finish_logged_model`](Self::finish_logged_model).
    ///
    /// # Errors
    /// [`MlflowError::Unsupported`] before MLflow 3;
    /// [`is_ambiguous`](MlflowError::is_ambiguous) where it may have been made.
    pub fn create_logged_model(&self, new: &NewLoggedModel) -> MlflowResult<LoggedModel> {
        self.with_logged_models()?;
        let mut body = json!({
            "experiment_id": new.experiment_id,
            "name": new.name,
            "params": new.params,
            "tags": new.tags,
        });
        if !new.model_type.is_empty() {
            body["model_type"] = new.model_type.as_str().into();
        }
        if !new.source_run_id.is_empty() {
            body["source_run_id"] = new.source_run_id.as_str().into();
        }
        let made: Answer = self.http.send("POST", &api("logged-models"), &body, Repeat::Unsent)?;
        Ok(made.model)
    }

    /// Says that a logged model's files are there, or that they will not come.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); [`MlflowError::Unsupported`] before MLflow 3.
    pub fn finish_logged_model(
        &self,
        id: &str,
        status: LoggedModelStatus,
    ) -> MlflowResult<LoggedModel> {
        self.with_logged_models()?;
        let body = json!({ "model_id": id, "status": status });
        let made: Answer = self.call("PATCH", &path(id), &body)?;
        Ok(made.model)
    }

    /// A logged model.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); [`MlflowError::Unsupported`] before MLflow 3.
    pub fn logged_model(&self, id: &str) -> MlflowResult<LoggedModel> {
        self.with_logged_models()?;
        let found: Answer = self.http.get(&api(&path(id)), &[])?;
        Ok(found.model)
    }

    /// Sets tags of a logged model.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); [`MlflowError::Unsupported`] before MLflow 3.
    pub fn set_logged_model_tags(&self, id: &str, tags: &[KeyValue]) -> MlflowResult<()> {
        self.with_logged_models()?;
        let body = json!({ "model_id": id, "tags": tags });
        self.tell("PATCH", &format!("{}/tags", path(id)), &body)
    }

    /// Marks a logged model as deleted.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); [`MlflowError::Unsupported`] before MLflow 3.
    pub fn delete_logged_model(&self, id: &str) -> MlflowResult<()> {
        self.with_logged_models()?;
        self.tell("DELETE", &path(id), &json!({ "model_id": id }))
    }

    /// A page of the logged models of these experiments.
    ///
    /// # Errors
    /// A filter that MLflow does not understand; [`MlflowError::Unsupported`] before MLflow 3.
    pub fn search_logged_models(
        &self,
        experiments: &[&str],
        search: &Search,
    ) -> MlflowResult<Page<LoggedModel>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            models: Vec<LoggedModel>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        self.with_logged_models()?;
        let mut body = search.to_json();
        body["experiment_ids"] = experiments.to_vec().into();
        if let Some(fields) = body.as_object_mut() {
            // Here an order is an object.
            fields.remove("order_by");
        }
        let order: Vec<_> = search
            .order_by
            .iter()
            .map(|order| {
                let name = order.trim_end_matches(" DESC").trim_end_matches(" ASC");
                json!({ "field_name": name, "ascending": !order.ends_with(" DESC") })
            })
            .collect();
        if !order.is_empty() {
            body["order_by"] = order.into();
        }
        let found: Found = self.call("POST", "logged-models/search", &body)?;
        Ok(page(found.models, found.next_page_token))
    }

    /// Says that a run made logged models, at which step.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); [`MlflowError::Unsupported`] before MLflow 3.
    pub fn log_outputs(&self, run: &str, models: &[(&str, i64)]) -> MlflowResult<()> {
        self.with_logged_models()?;
        let models: Vec<_> = models
            .iter()
            .map(|(model_id, step)| json!({ "model_id": model_id, "step": step }))
            .collect();
        self.tell("POST", "runs/outputs", &json!({ "run_id": run, "models": models }))
    }
}
