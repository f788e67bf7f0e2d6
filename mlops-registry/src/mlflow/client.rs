//! The client: the server's version, experiments, runs.

use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::error::{MlflowError, MlflowResult};
use super::http::{Http, Repeat};
use super::json::{KeyValue, all_pages, page};
use super::options::MlflowOptions;
use super::runs::{DatasetInput, Experiment, Metric, NewRun, Run, RunInfo, Search, view_name};
use crate::tracking::{Page, RunStatus, View};

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// What it says of its version: `3.17.2`.
    pub version: String,
    /// The first two numbers of it, where they are numbers.
    pub release: Option<(u32, u32)>,
    /// What it keeps runs in: `SqlStore`, `FileStore`; servers before 3.9 don't say.
    pub store: Option<String>,
    /// Whether it has logged models (3.0 and later).
    pub logged_models: bool,
}

/// A client of an MLflow server, for any number of threads.
///
/// A request is made again when the server is busy (429), fails (5xx), or can't be reached, if
/// twice does what once does: reads, batches (an equal point is kept once), parameters, tags,
/// aliases, artifacts. What makes a new thing (a run, a version, a logged model) is made again
/// only where the server has not taken up the request; else
/// [`is_ambiguous`](MlflowError::is_ambiguous) is true of the error.
///
/// ```no_run
/// use mlops_registry::mlflow::{Metric, MlflowClient, MlflowOptions, NewRun, RunBatch};
/// use mlops_registry::tracking::RunStatus;
///
/// let client = MlflowClient::new(MlflowOptions::new("http://localhost:5000")?);
/// let experiment = client.ensure_experiment("loans")?;
/// let new = NewRun { experiment_id: experiment, start_time: 1_769_860_800_000, ..NewRun::default() };
/// let run = client.create_run(&new)?;
/// let batch = RunBatch {
///     metrics: (0..5000).map(|i| Metric::new("loss", 1.0 / f64::from(i + 1), i.into(), 0)).collect(),
///     params: vec![("depth", "6").into()],
///     ..RunBatch::default()
/// };
/// client.log_batch(&run.info.run_id, &batch)?;
/// client.end_run(&run.info.run_id, RunStatus::Finished, 1_769_860_860_000)?;
/// # Ok::<(), mlops_registry::mlflow::MlflowError>(())
/// ```
#[derive(Debug)]
pub struct MlflowClient {
    pub(super) http: Http,
    server: OnceLock<ServerInfo>,
}

pub(super) fn api(path: &str) -> String {
    format!("/api/2.0/mlflow/{path}")
}

impl MlflowClient {
    /// A client; nothing is asked yet.
    pub fn new(options: MlflowOptions) -> Self {
        Self { http: Http::new(options), server: OnceLock::new() }
    }

    /// What the server is; asked once.
    ///
    /// # Errors
    /// No answer, or one that MLflow does not give.
    pub fn server(&self) -> MlflowResult<&ServerInfo> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let version = self.http.text("/version")?.trim().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-+_".contains(c);
        if version.is_empty() || version.len() > 64 || !version.chars().all(plain) {
            return Err(super::http::answer("GET /version", "a version", "another text"));
        }
        let mut numbers = version.split('.').map(|part| part.parse().ok());
        let release = numbers.next().flatten().zip(numbers.next().flatten());
        let store = match self.http.get::<Said>("/api/3.0/mlflow/server-info", &[]) {
            Ok(said) => said.store_type,
            // Before 3.9.
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e),
        };
        let logged_models = match release {
            Some((major, _)) => major >= 3,
            None => self.probe_logged_models()?,
        };
        Ok(self.server.get_or_init(|| ServerInfo { version, release, store, logged_models }))
    }

    /// Whether the server knows the path: then it misses the model, and says so in JSON.
    fn probe_logged_models(&self) -> MlflowResult<bool> {
        let path = api("logged-models/m-00000000000000000000000000000000");
        match self.http.get::<IgnoredAny>(&path, &[]) {
            Ok(_) => Ok(true),
            Err(e) if e.code().is_some_and(|code| code != "HTTP") => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(super) fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> MlflowResult<T> {
        self.http.send(method, &api(path), body, Repeat::Always)
    }

    /// A call whose answer says nothing.
    pub(super) fn tell(&self, method: &str, path: &str, body: &Value) -> MlflowResult<()> {
        self.call::<IgnoredAny>(method, path, body).map(drop)
    }

    // ---- experiments

    /// Makes an experiment; its id.
    ///
    /// # Errors
    /// [`is_already_there`](MlflowError::is_already_there) for a name that is taken.
    pub fn create_experiment(&self, name: &str, tags: &[KeyValue]) -> MlflowResult<String> {
        #[derive(Deserialize)]
        struct Made {
            experiment_id: String,
        }
        let body = json!({ "name": name, "tags": tags });
        let path = api("experiments/create");
        let made: Made = self.http.send("POST", &path, &body, Repeat::Unsent)?;
        Ok(made.experiment_id)
    }

    /// The id of the experiment of this name, made if it is not there.
    ///
    /// # Errors
    /// As [`create_experiment`](Self::create_experiment); a deleted one of that name.
    pub fn ensure_experiment(&self, name: &str) -> MlflowResult<String> {
        let found = |experiment: Experiment| {
            if experiment.lifecycle_stage == "deleted" {
                let expected = "one that is not deleted";
                return Err(MlflowError::invalid(
                    format!("experiment {name}"),
                    expected,
                    "deleted",
                ));
            }
            Ok(experiment.experiment_id)
        };
        if let Some(experiment) = self.experiment_by_name(name)? {
            return found(experiment);
        }
        match self.create_experiment(name, &[]) {
            Ok(id) => Ok(id),
            // Somebody else did, or we did and did not hear of it.
            Err(e) if e.is_already_there() || e.is_ambiguous() => {
                self.experiment_by_name(name)?.map_or(Err(e), found)
            }
            Err(e) => Err(e),
        }
    }

    /// An experiment.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn experiment(&self, id: &str) -> MlflowResult<Experiment> {
        let found: Answer = self.http.get(&api("experiments/get"), &[("experiment_id", id)])?;
        Ok(found.experiment)
    }

    /// The experiment of a name, deleted ones, too.
    ///
    /// # Errors
    /// No answer.
    pub fn experiment_by_name(&self, name: &str) -> MlflowResult<Option<Experiment>> {
        let query = [("experiment_name", name)];
        match self.http.get::<Answer>(&api("experiments/get-by-name"), &query) {
            Ok(found) => Ok(Some(found.experiment)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A page of experiments.
    ///
    /// # Errors
    /// A filter that MLflow does not understand.
    pub fn search_experiments(&self, search: &Search) -> MlflowResult<Page<Experiment>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            experiments: Vec<Experiment>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let mut body = search.to_json();
        body["view_type"] = view_name(search.view).into();
        let found: Found = self.call("POST", "experiments/search", &body)?;
        Ok(page(found.experiments, found.next_page_token))
    }

    /// Sets a tag of an experiment.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); a bad name.
    pub fn set_experiment_tag(&self, id: &str, key: &str, value: &str) -> MlflowResult<()> {
        let body = json!({ "experiment_id": id, "key": key, "value": value });
        self.tell("POST", "experiments/set-experiment-tag", &body)
    }

    /// Marks an experiment and its runs as deleted.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn delete_experiment(&self, id: &str) -> MlflowResult<()> {
        self.tell("POST", "experiments/delete", &json!({ "experiment_id": id }))
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn restore_experiment(&self, id: &str) -> MlflowResult<()> {
        self.tell("POST", "experiments/restore", &json!({ "experiment_id": id }))
    }

    /// Gives an experiment another name.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); a name that is taken.
    pub fn rename_experiment(&self, id: &str, name: &str) -> MlflowResult<()> {
        let body = json!({ "experiment_id": id, "new_name": name });
        self.tell("POST", "experiments/update", &body)
    }

    // ---- runs

    /// Starts a run; the server gives its id.
    ///
    /// # Errors
    /// [`is_ambiguous`](MlflowError::is_ambiguous) where it may have been made.
    pub fn create_run(&self, new: &NewRun) -> MlflowResult<Run> {
        let mut body = json!({
            "experiment_id": new.experiment_id,
            "start_time": new.start_time,
            "tags": new.tags,
        });
        if !new.name.is_empty() {
            body["run_name"] = new.name.as_str().into();
        }
        if !new.user.is_empty() {
            body["user_id"] = new.user.as_str().into();
        }
        let made: RunAnswer = self.http.send("POST", &api("runs/create"), &body, Repeat::Unsent)?;
        Ok(made.run)
    }

    /// A run with the last point of every metric.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn run(&self, run: &str) -> MlflowResult<Run> {
        let found: RunAnswer = self.http.get(&api("runs/get"), &[("run_id", run)])?;
        Ok(found.run)
    }

    /// Ends a run (or says otherwise how it stands).
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn end_run(&self, run: &str, status: RunStatus, end_time: i64) -> MlflowResult<RunInfo> {
        let body = json!({ "run_id": run, "status": status, "end_time": end_time });
        self.update_run(&body)
    }

    /// Opens a run that had ended: it is running again.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn reopen_run(&self, run: &str) -> MlflowResult<RunInfo> {
        self.update_run(&json!({ "run_id": run, "status": RunStatus::Running }))
    }

    /// Gives a run another name.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn rename_run(&self, run: &str, name: &str) -> MlflowResult<RunInfo> {
        self.update_run(&json!({ "run_id": run, "run_name": name }))
    }

    fn update_run(&self, body: &Value) -> MlflowResult<RunInfo> {
        #[derive(Deserialize)]
        struct Updated {
            run_info: RunInfo,
        }
        let updated: Updated = self.call("POST", "runs/update", body)?;
        Ok(updated.run_info)
    }

    /// Marks a run as deleted.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn delete_run(&self, run: &str) -> MlflowResult<()> {
        self.tell("POST", "runs/delete", &json!({ "run_id": run }))
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn restore_run(&self, run: &str) -> MlflowResult<()> {
        self.tell("POST", "runs/restore", &json!({ "run_id": run }))
    }

    /// Logs one parameter: it can be set once, and again to the same value.
    ///
    /// # Errors
    /// `INVALID_PARAMETER_VALUE` for one that is there with another value.
    pub fn log_param(&self, run: &str, key: &str, value: &str) -> MlflowResult<()> {
        let body = json!({ "run_id": run, "key": key, "value": value });
        self.tell("POST", "runs/log-parameter", &body)
    }

    /// Sets a tag of a run.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); a bad name.
    pub fn set_run_tag(&self, run: &str, key: &str, value: &str) -> MlflowResult<()> {
        self.tell("POST", "runs/set-tag", &json!({ "run_id": run, "key": key, "value": value }))
    }

    /// Removes a tag of a run.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found).
    pub fn delete_run_tag(&self, run: &str, key: &str) -> MlflowResult<()> {
        self.tell("POST", "runs/delete-tag", &json!({ "run_id": run, "key": key }))
    }

    /// Every point of a metric, in the server's order.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found) for the run; a metric that was never logged has
    /// no points.
    pub fn metric_history(&self, run: &str, key: &str) -> MlflowResult<Vec<Metric>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            metrics: Vec<Metric>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let path = api("metrics/get-history");
        all_pages(&format!("GET {path}"), |token| {
            let mut query = vec![("run_id", run), ("metric_key", key), ("max_results", "20000")];
            query.extend(token.as_deref().map(|token| ("page_token", token)));
            let found: Found = self.http.get(&path, &query)?;
            Ok(page(found.metrics, found.next_page_token))
        })
    }

    /// A page of the runs of these experiments.
    ///
    /// # Errors
    /// A filter that MLflow does not understand.
    pub fn search_runs(&self, experiments: &[&str], search: &Search) -> MlflowResult<Page<Run>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            runs: Vec<Run>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let mut body = search.to_json();
        body["experiment_ids"] = experiments.to_vec().into();
        body["run_view_type"] = view_name(search.view).into();
        let found: Found = self.call("POST", "runs/search", &body)?;
        Ok(page(found.runs, found.next_page_token))
    }

    /// All runs of an experiment by a filter, of all pages.
    ///
    /// # Errors
    /// As [`search_runs`](Self::search_runs).
    pub fn all_runs(&self, experiment: &str, filter: &str, view: View) -> MlflowResult<Vec<Run>> {
        all_pages("POST /api/2.0/mlflow/runs/search", |page| {
            let search = Search { view, page, ..Search::new(filter) };
            self.search_runs(&[experiment], &search)
        })
    }

    /// Says which datasets a run read.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); a digest of more than 36 characters.
    pub fn log_inputs(&self, run: &str, datasets: &[DatasetInput]) -> MlflowResult<()> {
        let body = json!({ "run_id": run, "datasets": datasets });
        self.tell("POST", "runs/log-inputs", &body)
    }
}

#[derive(Deserialize)]
struct Answer {
    experiment: Experiment,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: Run,
}

/// What `server-info` says.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    store_type: Option<String>,
}
