//! Writing `mlruns/`, the directory that MLflow kept runs in until 3.12 and imports ever since.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use mlops_core::{Digest, Error, Result, sync_directory_of};
use serde_json::{Map, Value, json};

use super::json::KeyValue;
use super::runs::{DatasetInput, Metric, Run};
use super::yaml::to_yaml;
use crate::tracking::RunStatus;

/// Writes an `mlruns/` directory, which appears under its name when it is whole.
///
/// `mlflow migrate-filestore --source mlruns --target sqlite:///mlflow.db` (MLflow 3.10 and later)
/// imports it; older releases read it as it is, newer ones with `MLFLOW_ALLOW_FILE_STORE=true`.
/// Of points that are equal as a database keeps them (an infinity is ±[`f64::MAX`] there, −0 is 0)
/// the first is written, because the import refuses the second.
///
/// ```
/// use mlops_registry::mlflow::{Mlruns, MlrunsWriter, NewRun};
/// # let dir = tempfile::tempdir().map_err(|e| mlops_core::Error::io("a directory", e))?;
/// # let path = dir.path().join("mlruns");
/// let mut writer = MlrunsWriter::create(&path)?;
/// writer.experiment(1, "loans", 1_769_860_800_000, &[])?;
/// writer.finish()?;
/// assert_eq!(Mlruns::open(&path)?.experiments()?[0].name, "loans");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MlrunsWriter {
    /// The name that it will have.
    root: PathBuf,
    /// Where it is meanwhile.
    partial: PathBuf,
    done: bool,
}

fn made(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io(path, e))
}

/// Whether a key can be a path below a directory; MLflow's rule for keys, and the file system's.
pub(super) fn check_key(key: &str) -> Result<()> {
    let good = |c: char| c.is_alphanumeric() || "_-. /:".contains(c);
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    if key.chars().count() <= 250 && key.chars().all(good) && key.split('/').all(part) {
        return Ok(());
    }
    let shown: String = key.chars().take(60).flat_map(char::escape_debug).collect();
    Err(Error::invalid("key", "letters, digits, `_ - . / :` and spaces; no `..`", shown))
}

/// Whether this is one part of a path: an id, a name.
fn check_part(what: &str, part: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !part.is_empty() && part.len() <= 255 && part.chars().all(good) && !part.starts_with('.') {
        return Ok(());
    }
    let shown: String = part.chars().take(60).flat_map(char::escape_debug).collect();
    Err(Error::invalid(what, "ASCII letters, digits, `_`, `-`, `.`", shown))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        made(parent)?;
    }
    // A name that is there would be a key twice.
    let mut file = File::create_new(path).map_err(|e| Error::io(path, e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io(path, e))
}

impl MlrunsWriter {
    /// Starts a directory that will have this name, which must be free.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let absolute = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
        let name = absolute.file_name().map(|n| n.to_string_lossy().into_owned());
        let (Some(name), Some(parent)) = (name, absolute.parent()) else {
            return Err(Error::invalid("mlruns", "a directory's name", path.display()));
        };
        if fs::symlink_metadata(&absolute).is_ok() {
            return Err(Error::io(path, io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let partial = parent.join(format!(".{name}.{}.tmp", super::ledger::nonce()?));
        fs::create_dir(&partial).map_err(|e| Error::io(&partial, e))?;
        let writer = Self { root: absolute, partial, done: false };
        made(&writer.partial.join(".trash"))?;
        Ok(writer)
    }

    /// An experiment, by a number of its own.
    ///
    /// # Errors
    /// [`Error::Io`], as of a number that was written already; a bad tag.
    pub fn experiment(
        &mut self,
        id: u64,
        name: &str,
        created: i64,
        tags: &[KeyValue],
    ) -> Result<()> {
        let directory = self.partial.join(id.to_string());
        made(&directory)?;
        let meta = json!({
            "artifact_location": self.uri(&[&id.to_string()]),
            "creation_time": created,
            "experiment_id": id.to_string(),
            "last_update_time": created,
            "lifecycle_stage": "active",
            "name": name,
        });
        write(&directory.join("meta.yaml"), to_yaml(&meta).as_bytes())?;
        pairs(&directory.join("tags"), tags)
    }

    /// A run of an experiment that was written, with every point of its metrics. The run's own
    /// last points (`run.data.metrics`) do not count.
    ///
    /// # Errors
    /// [`Error::Io`], as of a run that was written already; [`Error::Invalid`] for an id that is
    /// no name of a file, or a key that MLflow does not take.
    pub fn run(
        &mut self,
        experiment: u64,
        run: &Run,
        metrics: impl IntoIterator<Item = Metric>,
    ) -> Result<()> {
        let info = &run.info;
        check_part("id of the run", &info.run_id)?;
        let experiment = experiment.to_string();
        let directory = self.partial.join(&experiment).join(&info.run_id);
        made(&directory.join("artifacts"))?;
        let status = match info.status {
            RunStatus::Running => 1,
            RunStatus::Scheduled => 2,
            RunStatus::Finished => 3,
            RunStatus::Failed => 4,
            RunStatus::Killed => 5,
        };
        let deleted = info.lifecycle_stage == "deleted";
        let mut meta = json!({
            "artifact_uri": self.uri(&[&experiment, &info.run_id, "artifacts"]),
            "end_time": info.end_time,
            "entry_point_name": "",
            "experiment_id": experiment,
            "lifecycle_stage": if deleted { "deleted" } else { "active" },
            "run_id": info.run_id,
            "run_name": info.run_name,
            "run_uuid": info.run_id,
            "source_name": "",
            "source_type": 4,
            "source_version": "",
            "start_time": info.start_time,
            "status": status,
            "tags": [],
            "user_id": info.user_id,
        });
        if deleted {
            meta["deleted_time"] = info.end_time.or(info.start_time).into();
        }
        write(&directory.join("meta.yaml"), to_yaml(&meta).as_bytes())?;
        pairs(&directory.join("params"), &run.data.params)?;
        let mut tags = run.data.tags.clone();
        if !info.run_name.is_empty() && run.tag("mlflow.runName").is_none() {
            tags.push(("mlflow.runName", info.run_name.as_str()).into());
        }
        pairs(&directory.join("tags"), &tags)?;
        points(&directory.join("metrics"), metrics)?;
        for input in &run.inputs.dataset_inputs {
            self.input(&experiment, &info.run_id, input)?;
        }
        Ok(())
    }

    fn input(&self, experiment: &str, run: &str, input: &DatasetInput) -> Result<()> {
        let id = |parts: [&str; 2]| Digest::of(parts.join("\0")).hex()[..32].to_owned();
        let dataset = id([&input.dataset.name, &input.dataset.digest]);
        let directory = self.partial.join(experiment);
        let meta = directory.join("datasets").join(&dataset).join("meta.yaml");
        if !meta.exists() {
            let described = json!(input.dataset);
            write(&meta, to_yaml(&described).as_bytes())?;
        }
        let tags: Map<_, _> =
            input.tags.iter().map(|t| (t.key.clone(), Value::from(t.value.as_str()))).collect();
        let link = json!({
            "destination_id": run,
            "destination_type": "RUN",
            "source_id": dataset,
            "source_type": "DATASET",
            "tags": tags,
        });
        let path = directory.join(run).join("inputs").join(id([&dataset, run])).join("meta.yaml");
        // The same dataset twice is one input.
        if path.exists() { Ok(()) } else { write(&path, to_yaml(&link).as_bytes()) }
    }

    /// An artifact of a run that was written, copied from a reader.
    ///
    /// # Errors
    /// [`Error::Io`], as of a path that was written already; [`Error::Invalid`] for one that would
    /// leave the run's directory.
    pub fn artifact(
        &mut self,
        experiment: u64,
        run: &str,
        path: &str,
        mut from: impl Read,
    ) -> Result<u64> {
        check_part("id of the run", run)?;
        super::artifacts::check(path)?;
        let directory = self.partial.join(experiment.to_string()).join(run).join("artifacts");
        let to = directory.join(path);
        made(to.parent().unwrap_or(&directory))?;
        let mut file = File::create_new(&to).map_err(|e| Error::io(&to, e))?;
        let size = io::copy(&mut from, &mut file).map_err(|e| Error::io(&to, e))?;
        file.sync_all().map_err(|e| Error::io(&to, e))?;
        Ok(size)
    }

    /// A registered model.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] for a name that is none of a file.
    pub fn model(&mut self, name: &str, created: i64, tags: &[KeyValue]) -> Result<()> {
        check_part("name of the model", name)?;
        let directory = self.partial.join("models").join(name);
        let meta = json!({
            "creation_timestamp": created,
            "description": null,
            "last_updated_timestamp": created,
            "name": name,
        });
        write(&directory.join("meta.yaml"), to_yaml(&meta).as_bytes())?;
        pairs(&directory.join("tags"), tags)
    }

    /// A version of a model that was written; its files are at `path` below the artifacts of a run
    /// that was written.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn version(
        &mut self,
        name: &str,
        number: u64,
        created: i64,
        (experiment, run, path): (u64, &str, &str),
        tags: &[KeyValue],
    ) -> Result<()> {
        check_part("name of the model", name)?;
        check_part("id of the run", run)?;
        super::artifacts::check(path)?;
        let directory = self.partial.join("models").join(name).join(format!("version-{number}"));
        let source = self.uri(&[&experiment.to_string(), run, "artifacts", path]);
        let meta = json!({
            "creation_timestamp": created,
            "current_stage": "None",
            "description": null,
            "last_updated_timestamp": created,
            "name": name,
            "run_id": run,
            "run_link": null,
            "source": source,
            "status": "READY",
            "status_message": null,
            "storage_location": source,
            "user_id": null,
            "version": number,
        });
        write(&directory.join("meta.yaml"), to_yaml(&meta).as_bytes())?;
        pairs(&directory.join("tags"), tags)
    }

    /// An alias of a model that was written.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn alias(&mut self, name: &str, alias: &str, version: u64) -> Result<()> {
        check_part("name of the model", name)?;
        check_part("alias", alias)?;
        let path = self.partial.join("models").join(name).join("aliases").join(alias);
        write(&path, version.to_string().as_bytes())
    }

    /// Gives the directory its name.
    ///
    /// # Errors
    /// [`Error::Io`], as where the name was taken meanwhile.
    pub fn finish(mut self) -> Result<PathBuf> {
        made(&self.partial.join("models"))?;
        // What is empty would be replaced by a rename.
        if fs::symlink_metadata(&self.root).is_ok() {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(Error::io(&self.root, taken));
        }
        fs::rename(&self.partial, &self.root).map_err(|e| Error::io(&self.root, e))?;
        self.done = true;
        sync_directory_of(&self.root)?;
        Ok(self.root.clone())
    }

    /// A `file:` URI below the directory's final place.
    fn uri(&self, parts: &[&str]) -> String {
        let root = self.root.to_string_lossy().replace('\\', "/");
        let slash = if root.starts_with('/') { "" } else { "/" };
        let mut uri = format!("file://{slash}{}", super::url::path(&root));
        for part in parts {
            uri.push('/');
            uri.push_str(&super::url::path(part));
        }
        uri
    }
}

impl Drop for MlrunsWriter {
    fn drop(&mut self) {
        if !self.done {
            // Half of it helps nobody.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// One file a pair.
fn pairs(directory: &Path, pairs: &[KeyValue]) -> Result<()> {
    made(directory)?;
    for KeyValue { key, value } in pairs {
        check_key(key)?;
        write(&directory.join(key), value.as_bytes())?;
    }
    Ok(())
}

/// One file a metric, one line a point.
fn points(directory: &Path, metrics: impl IntoIterator<Item = Metric>) -> Result<()> {
    made(directory)?;
    let mut open: Option<(String, PathBuf, BufWriter<File>)> = None;
    let mut seen = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for metric in metrics {
        if open.as_ref().is_none_or(|(key, ..)| *key != metric.key) {
            check_key(&metric.key)?;
            close(open.take())?;
            let path = directory.join(&metric.key);
            if let Some(parent) = path.parent() {
                made(parent)?;
            }
            if keys.insert(metric.key.clone()) {
                seen.clear();
            } else {
                let expected = "the points of a metric one after the other";
                return Err(Error::invalid("metrics", expected, metric.key));
            }
            let file = File::create_new(&path).map_err(|e| Error::io(&path, e))?;
            open = Some((metric.key.clone(), path, BufWriter::new(file)));
        }
        let value = metric.value;
        let point = metric.identity();
        if !seen.insert(point) {
            continue;
        }
        let text = if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") };
        if let Some((_, path, file)) = &mut open {
            writeln!(file, "{} {text} {}", metric.timestamp, metric.step)
                .map_err(|e| Error::io(&*path, e))?;
        }
    }
    close(open)
}

fn close(open: Option<(String, PathBuf, BufWriter<File>)>) -> Result<()> {
    let Some((_, path, file)) = open else { return Ok(()) };
    let file = file.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
    file.sync_all().map_err(|e| Error::io(&path, e))
}
