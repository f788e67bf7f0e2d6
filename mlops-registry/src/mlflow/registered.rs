//! MLflow's own registry: registered models, versions, aliases, tags, stages.

use serde::Deserialize;
use serde_json::json;

use super::client::{MlflowClient, api};
use super::error::MlflowResult;
use super::http::Repeat;
use super::json::{KeyValue, maybe_whole, page};
use super::runs::Search;
use crate::tracking::Page;

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// Its number, as text.
    pub version: String,
    /// When it was made, in milliseconds since 1970.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub creation_timestamp: Option<i64>,
    /// `None`, `Staging`, `Production` or `Archived`.
    #[serde(default)]
    pub current_stage: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// Where its files are: `mlflow-artifacts:/…`, `models:/m-…`.
    #[serde(default)]
    pub source: String,
    /// The run that made it.
    #[serde(default)]
    pub run_id: String,
    /// `READY`, which MLflow says of versions whose files are not there, too.
    #[serde(default)]
    pub status: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
    /// The aliases that name it.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// An alias of a registered model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ModelAlias {
    /// The alias.
    pub alias: String,
    /// The number of the version that it names, as text.
    pub version: String,
}

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub creation_timestamp: Option<i64>,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// The last version in every stage.
    #[serde(default)]
    pub latest_versions: Vec<ModelVersion>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
    /// Its aliases; searches leave them out.
    #[serde(default)]
    pub aliases: Vec<ModelAlias>,
}

/// A version to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewModelVersion {
    /// The model's name; it must be there.
    pub name: String,
    /// Where its files are: below the run's artifact URI, or `models:/<model_id>`.
    pub source: String,
    /// The run that made it; none where it is empty.
    pub run_id: String,
    /// The logged model that it is (MLflow 3); none where it is empty.
    pub model_id: String,
    /// What it is.
    pub description: String,
    /// Its tags.
    pub tags: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct ModelAnswer {
    registered_model: RegisteredModel,
}

#[derive(Deserialize)]
struct VersionAnswer {
    model_version: ModelVersion,
}

impl MlflowClient {
    /// Makes a registered model, without versions.
    ///
    /// # Errors
    /// [`is_already_there`](super::MlflowError::is_already_there); a name that is empty or has
    /// `/` or `:` in it.
    pub fn create_registered_model(
        &self,
        name: &str,
        description: &str,
        tags: &[KeyValue],
    ) -> MlflowResult<RegisteredModel> {
        let mut body = json!({ "name": name, "tags": tags });
        if !description.is_empty() {
            body["description"] = description.into();
        }
        let path = api("registered-models/create");
        let made: ModelAnswer = self.http.send("POST", &path, &body, Repeat::Unsent)?;
        Ok(made.registered_model)
    }

    /// A registered model, with its aliases.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn registered_model(&self, name: &str) -> MlflowResult<RegisteredModel> {
        let found: ModelAnswer = self.http.get(&api("registered-models/get"), &[("name", name)])?;
        Ok(found.registered_model)
    }

    /// Says what a registered model is.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn describe_registered_model(&self, name: &str, description: &str) -> MlflowResult<()> {
        let body = json!({ "name": name, "description": description });
        self.tell("PATCH", "registered-models/update", &body)
    }

    /// Gives a registered model another name.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found); a name that is taken.
    pub fn rename_registered_model(&self, name: &str, new_name: &str) -> MlflowResult<()> {
        let body = json!({ "name": name, "new_name": new_name });
        self.http
            .send::<serde::de::IgnoredAny>(
                "POST",
                &api("registered-models/rename"),
                &body,
                Repeat::Unsent,
            )
            .map(drop)
    }

    /// Deletes a registered model and all its versions.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn delete_registered_model(&self, name: &str) -> MlflowResult<()> {
        self.tell("DELETE", "registered-models/delete", &json!({ "name": name }))
    }

    /// A page of registered models.
    ///
    /// # Errors
    /// A filter that MLflow does not understand.
    pub fn search_registered_models(&self, search: &Search) -> MlflowResult<Page<RegisteredModel>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            registered_models: Vec<RegisteredModel>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let query = search.to_query();
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found: Found = self.http.get(&api("registered-models/search"), &query)?;
        Ok(page(found.registered_models, found.next_page_token))
    }

    /// Sets a tag of a registered model.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found); a bad name.
    pub fn set_registered_model_tag(&self, name: &str, key: &str, value: &str) -> MlflowResult<()> {
        let body = json!({ "name": name, "key": key, "value": value });
        self.tell("POST", "registered-models/set-tag", &body)
    }

    /// Removes a tag of a registered model.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn delete_registered_model_tag(&self, name: &str, key: &str) -> MlflowResult<()> {
        self.tell("DELETE", "registered-models/delete-tag", &json!({ "name": name, "key": key }))
    }

    /// Points an alias at a version, wherever it pointed: MLflow asks for no precondition and
    /// keeps no history.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found); an alias that MLflow does not take
    /// (letters, digits, `_`, `-`; not `latest`, not `v1`).
    pub fn set_alias(&self, name: &str, alias: &str, version: u64) -> MlflowResult<()> {
        let body = json!({ "name": name, "alias": alias, "version": version.to_string() });
        self.tell("POST", "registered-models/alias", &body)
    }

    /// Removes an alias; none there is fine.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found) for the model.
    pub fn delete_alias(&self, name: &str, alias: &str) -> MlflowResult<()> {
        self.tell("DELETE", "registered-models/alias", &json!({ "name": name, "alias": alias }))
    }

    /// The version that an alias names.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found) for the model.
    pub fn version_by_alias(&self, name: &str, alias: &str) -> MlflowResult<Option<ModelVersion>> {
        let query = [("name", name), ("alias", alias)];
        match self.http.get::<VersionAnswer>(&api("registered-models/alias"), &query) {
            Ok(found) => Ok(Some(found.model_version)),
            // A missing alias is a bad parameter to MLflow; a missing model, too, in some releases.
            Err(e) if e.code() == Some("INVALID_PARAMETER_VALUE") => {
                let model = self.registered_model(name)?;
                if model.aliases.iter().any(|a| a.alias == alias) { Err(e) } else { Ok(None) }
            }
            Err(e) => Err(e),
        }
    }

    /// Makes a version; the server gives its number.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found) for the model;
    /// [`is_ambiguous`](super::MlflowError::is_ambiguous) where it may have been made.
    pub fn create_model_version(&self, new: &NewModelVersion) -> MlflowResult<ModelVersion> {
        let mut body = json!({ "name": new.name, "source": new.source, "tags": new.tags });
        let more = [
            ("run_id", &new.run_id),
            ("model_id", &new.model_id),
            ("description", &new.description),
        ];
        for (name, value) in more {
            if !value.is_empty() {
                body[name] = value.as_str().into();
            }
        }
        let path = api("model-versions/create");
        let made: VersionAnswer = self.http.send("POST", &path, &body, Repeat::Unsent)?;
        Ok(made.model_version)
    }

    /// A version.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn model_version(&self, name: &str, version: u64) -> MlflowResult<ModelVersion> {
        let version = version.to_string();
        let query = [("name", name), ("version", version.as_str())];
        let found: VersionAnswer = self.http.get(&api("model-versions/get"), &query)?;
        Ok(found.model_version)
    }

    /// Where a version's files are.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn model_version_uri(&self, name: &str, version: u64) -> MlflowResult<String> {
        #[derive(Deserialize)]
        struct Found {
            artifact_uri: String,
        }
        let version = version.to_string();
        let query = [("name", name), ("version", version.as_str())];
        let found: Found = self.http.get(&api("model-versions/get-download-uri"), &query)?;
        Ok(found.artifact_uri)
    }

    /// Says what a version is.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn describe_model_version(
        &self,
        name: &str,
        version: u64,
        description: &str,
    ) -> MlflowResult<()> {
        let version = version.to_string();
        let body = json!({ "name": name, "version": version, "description": description });
        self.tell("PATCH", "model-versions/update", &body)
    }

    /// Deletes a version.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn delete_model_version(&self, name: &str, version: u64) -> MlflowResult<()> {
        let body = json!({ "name": name, "version": version.to_string() });
        self.tell("DELETE", "model-versions/delete", &body)
    }

    /// A page of versions, as by the filter `name='loans'`.
    ///
    /// # Errors
    /// A filter that MLflow does not understand.
    pub fn search_model_versions(&self, search: &Search) -> MlflowResult<Page<ModelVersion>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            model_versions: Vec<ModelVersion>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let query = search.to_query();
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found: Found = self.http.get(&api("model-versions/search"), &query)?;
        Ok(page(found.model_versions, found.next_page_token))
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found); a bad name.
    pub fn set_model_version_tag(
        &self,
        name: &str,
        version: u64,
        key: &str,
        value: &str,
    ) -> MlflowResult<()> {
        let version = version.to_string();
        let body = json!({ "name": name, "version": version, "key": key, "value": value });
        self.tell("POST", "model-versions/set-tag", &body)
    }

    /// Removes a tag of a version.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found).
    pub fn delete_model_version_tag(
        &self,
        name: &str,
        version: u64,
        key: &str,
    ) -> MlflowResult<()> {
        let body = json!({ "name": name, "version": version.to_string(), "key": key });
        self.tell("DELETE", "model-versions/delete-tag", &body)
    }

    /// Moves a version to a stage (`Staging`, `Production`, `Archived`, `None`), and archives what
    /// was there where told. MLflow calls stages deprecated; aliases have taken their place.
    ///
    /// # Errors
    /// [`is_not_found`](super::MlflowError::is_not_found); a stage that MLflow does not know.
    pub fn transition_stage(
        &self,
        name: &str,
        version: u64,
        stage: &str,
        archive_existing: bool,
    ) -> MlflowResult<ModelVersion> {
        let body = json!({
            "name": name,
            "version": version.to_string(),
            "stage": stage,
            "archive_existing_versions": archive_existing,
        });
        let moved: VersionAnswer = self.call("POST", "model-versions/transition-stage", &body)?;
        Ok(moved.model_version)
    }
}
