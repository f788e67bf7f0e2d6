//! Runs, and what is known of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use mlops_core::{Digest, Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Point};
use super::limits::{NAME_CHARS, SOURCE_CHARS, check_line, check_run_id, check_value, shown};

/// How a run is getting on. Prints and parses as MLflow's `RUNNING`, `FINISHED`, ….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// It runs, or its process died without a word: open it again and go on.
    #[default]
    Running,
    /// It waits for its turn.
    Scheduled,
    /// It ended well.
    Finished,
    /// It ended with an error.
    Failed,
    /// Somebody ended it.
    Killed,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    /// Its name, as MLflow writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Whether nothing more is to come.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for RunStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|s| s.name() == text);
        found.ok_or_else(|| {
            Error::invalid("status of a run", Self::ALL.map(Self::name).join(", "), shown(text))
        })
    }
}

/// A run to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewRun {
    /// The experiment that it belongs to.
    pub experiment: u64,
    /// Its id; 128 random bits as 32 hexadecimal digits if `None`.
    pub id: Option<String>,
    /// Its name; `run-` and the first of its id if `None`.
    pub name: Option<String>,
    /// The run that it is a part of.
    pub parent: Option<String>,
    /// Whether it starts now or waits.
    pub status: RunStatus,
    /// Who started it.
    pub user: Option<String>,
    /// What runs: a program, a notebook.
    pub source: Option<String>,
    /// The commit of the code.
    pub commit: Option<String>,
    /// What it starts with: parameters, tags, datasets.
    pub batch: Batch,
}

impl NewRun {
    /// A run in this experiment.
    pub fn new(experiment: u64) -> Self {
        Self { experiment, ..Self::default() }
    }

    /// The same, with an id of the caller's: making it twice is an error then.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same, with a name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same, as a part of another run.
    #[must_use]
    pub fn with_parent(mut self, parent: impl Into<String>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// The same, with who started it.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The same, with what runs.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, with the commit of the code.
    #[must_use]
    pub fn with_commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// The same, with a parameter.
    #[must_use]
    pub fn with_param(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.batch = self.batch.param(key, value);
        self
    }

    /// The same, with a tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.batch = self.batch.tag(key, value);
        self
    }

    /// Checks everything, and draws the id if there is none.
    pub(crate) fn into_run(mut self, at: Timestamp) -> Result<(Run, Batch)> {
        if let Some(id) = &self.id {
            check_run_id(id)?;
        }
        let names = [("name of the run", &self.name), ("user of the run", &self.user)];
        for (what, text) in names {
            text.iter().try_for_each(|t| check_line(what, t, NAME_CHARS))?;
        }
        let texts = [("source of the run", &self.source), ("commit of the run", &self.commit)];
        for (what, text) in texts {
            text.iter().try_for_each(|t| check_line(what, t, 2 * NAME_CHARS))?;
        }
        if let Some(parent) = &self.parent {
            check_run_id(parent)?;
            if self.id.as_ref() == Some(parent) {
                return Err(Error::invalid("parent of the run", "another run", shown(parent)));
            }
        }
        self.batch.check()?;
        let batch = std::mem::take(&mut self.batch);
        let id = self.id.take().map_or_else(random_id, Ok)?;
        let name = self.name.take();
        let name = name.unwrap_or_else(|| format!("run-{}", id.get(..8).unwrap_or(&id)));
        let mut run = Run::new(id, self.experiment, name, self.status, at);
        run.parent = self.parent;
        run.user = self.user;
        run.source = self.source;
        run.commit = self.commit;
        if run.status.is_over() {
            run.ended_at = Some(at);
        }
        Ok((run, batch))
    }
}

/// 128 random bits as 32 hexadecimal digits.
pub(crate) fn random_id() -> Result<String> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|e| Error::other("random bits for the id of a run", e.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}

/// What may change of a run itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunChange {
    /// Another name.
    pub name: Option<String>,
    /// Another status. One that is over sets the end to the time of the change; another clears it.
    pub status: Option<RunStatus>,
    /// Tags to take away.
    pub remove_tags: Vec<String>,
}

impl RunChange {
    /// A change of the status.
    pub fn status(status: RunStatus) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.name.iter().try_for_each(|n| check_line("name of the run", n, NAME_CHARS))
    }

    /// What it makes of the run, but for the tags.
    pub(crate) fn apply(&self, run: &mut Run, at: Timestamp) {
        if let Some(name) = &self.name {
            run.name.clone_from(name);
        }
        if let Some(status) = self.status {
            run.status = status;
            run.ended_at = status.is_over().then_some(at);
        }
    }
}

/// A dataset that a run read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// The digest of its bytes, in whatever form its owner gives it: [`Digest`] prints one.
    pub digest: String,
    /// Where it is: an address, a query, the id of a snapshot.
    pub source: String,
    /// What it was read for: `training`, `evaluation`.
    pub context: String,
}

impl Dataset {
    /// A dataset of this name and digest.
    pub fn new(name: impl Into<String>, digest: impl fmt::Display) -> Self {
        Self {
            name: name.into(),
            digest: digest.to_string(),
            source: String::new(),
            context: String::new(),
        }
    }

    /// The same, with where it is.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// The same, with what it was read for.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = context.into();
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_line("name of the dataset", &self.name, NAME_CHARS)?;
        check_line("digest of the dataset", &self.digest, NAME_CHARS)?;
        let what = |part: &'static str| move || format!("{part} of dataset `{:.60}`", self.name);
        check_value(what("source"), &self.source, SOURCE_CHARS)?;
        check_value(what("context"), &self.context, NAME_CHARS)
    }
}

/// A model that a run made: its name, and the digest of its bytes, by which an artifact store or
/// a version of the registry has it.
///
/// The digest is that of one file ([`Blob`](crate::artifacts::Blob)), or of the
/// [manifest](crate::artifacts::Manifest) of a directory, as `put_directory` gives it. A registry
/// that collects the garbage of its store keeps what its runs name, and of a manifest the files,
/// too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LoggedModel {
    /// Its name within the run.
    pub name: String,
    /// The digest of its file, or of the manifest of its files.
    pub digest: Digest,
    /// The step of the training that it is from.
    pub step: i64,
}

impl LoggedModel {
    /// The model of these bytes.
    pub fn new(name: impl Into<String>, digest: Digest) -> Self {
        Self { name: name.into(), digest, step: 0 }
    }

    /// The same, from this step.
    #[must_use]
    pub fn at_step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_line("name of the model", &self.name, NAME_CHARS)
    }
}

/// One execution: what it was given and what came of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The experiment that it belongs to.
    pub experiment: u64,
    /// Its name.
    pub name: String,
    /// The run that it is a part of.
    pub parent: Option<String>,
    /// How it is getting on.
    pub status: RunStatus,
    /// Who started it.
    pub user: Option<String>,
    /// What runs.
    pub source: Option<String>,
    /// The commit of the code.
    pub commit: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Since when it is deleted.
    pub deleted_at: Option<Timestamp>,
    /// The last point of every metric, in the order of step, time, arrival.
    pub metrics: BTreeMap<String, Point>,
    /// What it was given.
    pub params: BTreeMap<String, String>,
    /// Anything else.
    pub tags: BTreeMap<String, String>,
    /// What it read, in order of name, digest, source, context.
    pub datasets: Vec<Dataset>,
    /// What it made, in order of name, digest, step.
    pub models: Vec<LoggedModel>,
}

impl Run {
    /// A run with these fields and nothing logged; what backends start from.
    pub fn new(
        id: impl Into<String>,
        experiment: u64,
        name: impl Into<String>,
        status: RunStatus,
        started_at: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            experiment,
            name: name.into(),
            parent: None,
            status,
            user: None,
            source: None,
            commit: None,
            started_at,
            ended_at: None,
            deleted_at: None,
            metrics: BTreeMap::new(),
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            datasets: Vec::new(),
            models: Vec::new(),
        }
    }

    /// The last value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.get(key).map(|point| point.value)
    }

    /// How long it took, in milliseconds; `None` while it runs.
    pub fn millis(&self) -> Option<i64> {
        self.ended_at.map(|end| end.millis().saturating_sub(self.started_at.millis()))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}, started {}", self.name, self.id, self.status, self.started_at)?;
        for (key, point) in &self.metrics {
            write!(f, ", {key} {}", point.value)?;
        }
        Ok(())
    }
}
