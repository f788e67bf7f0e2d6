//! Experiments: the folders of runs.

use std::collections::BTreeMap;

use mlops_core::{Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::limits::{
    EXPERIMENT_NAME_CHARS, EXPERIMENT_TAG_CHARS, check_key, check_line, check_value,
};

/// An experiment to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewExperiment {
    /// Its name, which no other has, deleted ones included; at most 500 characters.
    pub name: String,
    /// Anything worth keeping.
    pub tags: BTreeMap<String, String>,
}

impl NewExperiment {
    /// An experiment of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), tags: BTreeMap::new() }
    }

    /// The same, with a tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        self.tags.iter().try_for_each(|(key, value)| check_tag(key, value))
    }
}

/// What may change of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExperimentChange {
    /// Another name.
    pub name: Option<String>,
    /// Tags to set, and those to take away where the value is `None`.
    pub tags: BTreeMap<String, Option<String>>,
}

impl ExperimentChange {
    pub(crate) fn check(&self) -> Result<()> {
        self.name.iter().try_for_each(|name| check_name(name))?;
        self.tags
            .iter()
            .try_for_each(|(key, value)| check_tag(key, value.as_deref().unwrap_or_default()))
    }
}

fn check_name(name: &str) -> Result<()> {
    check_line("name of the experiment", name, EXPERIMENT_NAME_CHARS)
}

fn check_tag(key: &str, value: &str) -> Result<()> {
    check_key("tag", key)?;
    check_value(|| format!("tag `{key}`"), value, EXPERIMENT_TAG_CHARS)
}

/// A folder of runs that answer one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Its number within its store.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Anything worth keeping.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is deleted, and its runs with it; `None` while it is there.
    pub deleted_at: Option<Timestamp>,
}

impl Experiment {
    pub(crate) fn new(id: u64, new: NewExperiment, at: Timestamp) -> Self {
        Self { id, name: new.name, tags: new.tags, created_at: at, deleted_at: None }
    }
}
