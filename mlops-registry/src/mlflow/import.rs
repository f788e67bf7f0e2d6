//! Reading `mlruns/`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use mlops_core::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::json::KeyValue;
use super::runs::{Dataset, DatasetInput, Experiment, Metric, Run, RunData, RunInfo, RunInputs};
use super::yaml::{YAML_BYTES, from_yaml};
use crate::tracking::RunStatus;

/// The longest value of a parameter or tag that is read.
const VALUE_BYTES: u64 = 1 << 20;
/// The longest line of a metric's file.
const LINE_BYTES: u64 = 4096;
/// How deep keys with slashes are followed.
const DEPTH: usize = 16;
/// How many files a directory may have.
const FILES: usize = 10_000_000;

/// An `mlruns/` directory, read only.
///
/// Nothing outside of it is read: links are passed by, and artifacts that a run keeps elsewhere
/// are not there. Deleted experiments (`.trash`) are left out; deleted runs say that they are.
#[derive(Clone, Debug)]
pub struct Mlruns {
    root: PathBuf,
}

#[derive(Deserialize)]
struct ExperimentMeta {
    experiment_id: Text,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    artifact_location: Option<String>,
    #[serde(default)]
    lifecycle_stage: Option<String>,
    #[serde(default)]
    creation_time: Option<i64>,
    #[serde(default)]
    last_update_time: Option<i64>,
}

#[derive(Deserialize)]
struct RunMeta {
    #[serde(default)]
    run_id: Option<Text>,
    #[serde(default)]
    run_uuid: Option<Text>,
    #[serde(default)]
    run_name: Option<Text>,
    #[serde(default)]
    name: Option<Text>,
    #[serde(default)]
    user_id: Option<Text>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    start_time: Option<i64>,
    #[serde(default)]
    end_time: Option<i64>,
    #[serde(default)]
    artifact_uri: Option<String>,
    #[serde(default)]
    lifecycle_stage: Option<String>,
}

/// A text that YAML may take for a number.
#[derive(Default)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(from)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(n) => Ok(Self(n.to_string())),
            serde_json::Value::Bool(b) => Ok(Self(b.to_string())),
            serde_json::Value::Null => Ok(Self::default()),
            _ => Err(serde::de::Error::custom("expected a text")),
        }
    }
}

/// How a run stands: a number today, a word once.
#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    Number(i64),
    Word(String),
}

#[derive(Deserialize)]
struct InputMeta {
    source_type: String,
    source_id: Text,
    #[serde(default)]
    tags: std::collections::BTreeMap<String, Text>,
}

impl Mlruns {
    /// The directory at this path.
    ///
    /// # Errors
    /// [`Error::Io`] if it is none; [`Error::Invalid`] for one that MLflow keeps no runs in.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        fs::read_dir(path).map_err(|e| Error::io(path, e))?;
        let inside = names(path, true)?;
        let is_mlruns = |directory: &Path, name: &str| {
            matches!(name, ".trash" | "models")
                || (name.bytes().all(|b| b.is_ascii_digit())
                    && directory.join(name).join("meta.yaml").exists())
        };
        if inside.iter().any(|name| is_mlruns(path, name)) {
            return Ok(Self { root: path.to_path_buf() });
        }
        // Often it is the directory that MLflow ran in.
        let below = names(&path.join("mlruns"), true)?;
        let here = below.iter().any(|name| is_mlruns(&path.join("mlruns"), name));
        let found = if here { "its directory `mlruns` is one" } else { "none" };
        Err(invalid(path, "a directory of MLflow's, with experiments and their `meta.yaml`", found))
    }

    /// The experiments, by id.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] for a `meta.yaml` that is none.
    pub fn experiments(&self) -> Result<Vec<Experiment>> {
        let mut experiments = Vec::new();
        for id in names(&self.root, true)? {
            if !id.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let directory = self.root.join(&id);
            let Some(meta) = yaml::<ExperimentMeta>(&directory.join("meta.yaml"))? else {
                continue;
            };
            if meta.experiment_id.0 != id {
                let expected = format!("experiment_id {id}");
                return Err(invalid(&directory, &expected, &meta.experiment_id.0));
            }
            experiments.push(Experiment {
                experiment_id: id,
                name: meta.name.0,
                artifact_location: meta.artifact_location.unwrap_or_default(),
                lifecycle_stage: meta.lifecycle_stage.unwrap_or_else(|| "active".into()),
                creation_time: meta.creation_time,
                last_update_time: meta.last_update_time,
                tags: pairs(&directory.join("tags"))?,
            });
        }
        experiments.sort_by_key(|e| (e.experiment_id.len(), e.experiment_id.clone()));
        Ok(experiments)
    }

    fn run_directory(&self, experiment: &str, run: &str) -> Result<PathBuf> {
        let good = |text: &str| {
            !text.is_empty()
                && text.len() <= 256
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if !good(experiment) || !good(run) {
            return Err(Error::invalid("run", "ids of an experiment and a run", "others"));
        }
        Ok(self.root.join(experiment).join(run))
    }

    /// The ids of an experiment's runs, sorted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn run_ids(&self, experiment: &str) -> Result<Vec<String>> {
        let directory = self.run_directory(experiment, "0")?.with_file_name("");
        let mut ids = names(&directory, true)?;
        ids.retain(|id| {
            self.run_directory(experiment, id).is_ok_and(|d| d.join("meta.yaml").is_file())
        });
        Ok(ids)
    }

    /// A run, with the last point of every metric: the one of the highest step, time and value.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Io`]; [`Error::Invalid`] for a `meta.yaml` that is none;
    /// [`Error::Parse`] for a torn metric.
    pub fn run(&self, experiment: &str, run: &str) -> Result<Run> {
        let directory = self.run_directory(experiment, run)?;
        let missing =
            || Error::NotFound { existing: Vec::new(), what: "run".into(), name: run.to_owned() };
        let meta: RunMeta = yaml(&directory.join("meta.yaml"))?.ok_or_else(missing)?;
        let id = meta.run_id.or(meta.run_uuid).unwrap_or_default().0;
        if id != run {
            return Err(invalid(&directory, &format!("run_id {run}"), &id));
        }
        let status = match meta.status {
            None | Some(Status::Number(1)) => RunStatus::Running,
            Some(Status::Number(2)) => RunStatus::Scheduled,
            Some(Status::Number(3)) => RunStatus::Finished,
            Some(Status::Number(4)) => RunStatus::Failed,
            Some(Status::Number(5)) => RunStatus::Killed,
            Some(Status::Number(n)) => {
                return Err(invalid(&directory, "a status from 1 to 5", &n.to_string()));
            }
            Some(Status::Word(word)) => serde_json::from_value(word.as_str().into())
                .map_err(|_| invalid(&directory, "MLflow's status", &word))?,
        };
        let mut metrics = Vec::new();
        for key in self.metric_keys(experiment, run)? {
            let mut last: Option<Metric> = None;
            let order = |m: &Metric| (m.step, m.timestamp);
            self.points(experiment, run, &key, |point| {
                let later = last.as_ref().is_none_or(|last| {
                    order(&point) > order(last)
                        || (order(&point) == order(last)
                            && point.value.total_cmp(&last.value).is_ge())
                });
                if later {
                    last = Some(point);
                }
            })?;
            metrics.extend(last);
        }
        let tags = pairs(&directory.join("tags"))?;
        let named = tags.iter().find(|t| t.key == "mlflow.runName").map(|t| t.value.clone());
        let name = meta.run_name.or(meta.name).map(|t| t.0).filter(|n| !n.is_empty());
        Ok(Run {
            info: RunInfo {
                run_id: id,
                experiment_id: experiment.to_owned(),
                run_name: name.or(named).unwrap_or_default(),
                user_id: meta.user_id.unwrap_or_default().0,
                status,
                start_time: meta.start_time,
                end_time: meta.end_time,
                artifact_uri: meta.artifact_uri.unwrap_or_default(),
                lifecycle_stage: meta.lifecycle_stage.unwrap_or_else(|| "active".into()),
            },
            data: RunData { metrics, params: pairs(&directory.join("params"))?, tags },
            inputs: RunInputs { dataset_inputs: self.inputs(experiment, &directory)? },
        })
    }

    fn inputs(&self, experiment: &str, run: &Path) -> Result<Vec<DatasetInput>> {
        let datasets = self.root.join(experiment).join("datasets");
        let mut inputs = Vec::new();
        for name in names(&run.join("inputs"), true)? {
            let path = run.join("inputs").join(name).join("meta.yaml");
            let Some(link) = yaml::<InputMeta>(&path)? else { continue };
            let id = &link.source_id.0;
            if link.source_type != "DATASET" || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
                continue;
            }
            let Some(dataset) = yaml::<Dataset>(&datasets.join(id).join("meta.yaml"))? else {
                continue;
            };
            let tags = link.tags.into_iter().map(|(key, value)| (key, value.0).into()).collect();
            inputs.push(DatasetInput { dataset, tags });
        }
        inputs.sort_by(|a, b| {
            (&a.dataset.name, &a.dataset.digest).cmp(&(&b.dataset.name, &b.dataset.digest))
        });
        Ok(inputs)
    }

    /// The keys of a run's metrics, sorted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn metric_keys(&self, experiment: &str, run: &str) -> Result<Vec<String>> {
        keys(&self.run_directory(experiment, run)?.join("metrics"))
    }

    /// Every point of a metric, in the order of the file.
    ///
    /// # Errors
    /// [`Error::Parse`] with the line that is none; [`Error::Io`].
    pub fn metric_history(&self, experiment: &str, run: &str, key: &str) -> Result<Vec<Metric>> {
        let mut points = Vec::new();
        self.points(experiment, run, key, |point| points.push(point))?;
        Ok(points)
    }

    fn points(
        &self,
        experiment: &str,
        run: &str,
        key: &str,
        mut give: impl FnMut(Metric),
    ) -> Result<()> {
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) || key.contains('\\') {
            return Err(Error::invalid("key of the metric", "a relative path", "another"));
        }
        let directory = self.run_directory(experiment, run)?.join("metrics");
        let Some(path) = without_links(directory, key) else { return Ok(()) };
        let Some(file) = open(&path)? else { return Ok(()) };
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut file).take(LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|e| Error::io(&path, e))? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let point = parse_point(key, text.trim_end_matches(['\n', '\r']));
            // A line without its end is one that was being written.
            give(point.filter(|_| line.ends_with(b"\n")).ok_or_else(|| Error::Parse {
                path: path.clone(),
                line: number,
                expected: "time, value and step, and the end of the line".into(),
                found: text.chars().take(60).flat_map(char::escape_debug).collect(),
            })?);
        }
        Ok(())
    }

    /// The paths of a run's artifacts, sorted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn artifacts(&self, experiment: &str, run: &str) -> Result<Vec<String>> {
        keys(&self.run_directory(experiment, run)?.join("artifacts"))
    }

    /// Opens an artifact of a run.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for a path that leaves the run's directory.
    pub fn artifact(&self, experiment: &str, run: &str, path: &str) -> Result<File> {
        if path.split(['/', '\\']).any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::invalid("path of the artifact", "a relative path", "another"));
        }
        let directory = self.run_directory(experiment, run)?.join("artifacts");
        let missing = || Error::NotFound {
            existing: Vec::new(),
            what: "artifact".into(),
            name: path.to_owned(),
        };
        let whole = without_links(directory, path).ok_or_else(missing)?;
        open(&whole)?.ok_or_else(missing)
    }
}

/// The way to something below a directory, if it is there and no part of the way is a link.
fn without_links(directory: PathBuf, path: &str) -> Option<PathBuf> {
    let mut whole = directory;
    for part in path.split('/') {
        whole.push(part);
        if fs::symlink_metadata(&whole).ok()?.is_symlink() {
            return None;
        }
    }
    Some(whole)
}

fn invalid(path: &Path, expected: &str, found: &str) -> Error {
    let shown: String = found.chars().take(60).flat_map(char::escape_debug).collect();
    Error::invalid(path.display().to_string(), expected, shown)
}

/// A line of a metric's file: `time value step`, and perhaps a dataset's name and digest; the
/// oldest have no step.
fn parse_point(key: &str, line: &str) -> Option<Metric> {
    let fields: Vec<_> = line.split(' ').collect();
    let (time, value, rest) = match fields.as_slice() {
        [time, value, rest @ ..] if matches!(rest.len(), 0 | 1 | 3) => (time, value, rest),
        _ => return None,
    };
    let step = rest.first().map_or(Some(0), |step| step.parse().ok())?;
    let mut metric = Metric::new(key, value.parse().ok()?, step, time.parse().ok()?);
    if let [_, name, digest] = rest {
        metric = metric.on_dataset(*name, *digest);
    }
    Some(metric)
}

/// The names in a directory, sorted, links left out; nothing where there is no directory.
fn names(directory: &Path, directories: bool) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(directory, e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(directory, e))?;
        let kind = entry.file_type().map_err(|e| Error::io(directory, e))?;
        let wanted = if directories { kind.is_dir() } else { kind.is_file() };
        // Names that are no text are not MLflow's.
        if let (true, Ok(name)) = (wanted, entry.file_name().into_string()) {
            found.push(name);
        }
        if found.len() > FILES {
            return Err(invalid(directory, &format!("at most {FILES} files"), "more"));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The files below a directory, by their paths from there, sorted.
fn keys(directory: &Path) -> Result<Vec<String>> {
    let mut open = vec![(String::new(), 0)];
    let mut found = Vec::new();
    while let Some((below, depth)) = open.pop() {
        let here = if below.is_empty() { directory.to_path_buf() } else { directory.join(&below) };
        let join = |name: String| if below.is_empty() { name } else { format!("{below}/{name}") };
        found.extend(names(&here, false)?.into_iter().map(join));
        if depth == DEPTH || found.len() > FILES {
            return Err(invalid(directory, &format!("{DEPTH} directories deep"), "deeper"));
        }
        open.extend(names(&here, true)?.into_iter().map(|name| (join(name), depth + 1)));
    }
    found.sort_unstable();
    Ok(found)
}

/// One pair a file.
fn pairs(directory: &Path) -> Result<Vec<KeyValue>> {
    let mut pairs = Vec::new();
    for key in keys(directory)? {
        let value = text(&directory.join(&key), VALUE_BYTES)?.unwrap_or_default();
        pairs.push(KeyValue { key, value });
    }
    Ok(pairs)
}

/// A file, if there is one and it is no link.
fn open(path: &Path) -> Result<Option<File>> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => File::open(path).map(Some).map_err(|e| Error::io(path, e)),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// A short file's text.
fn text(path: &Path, most: u64) -> Result<Option<String>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > most {
        return Err(invalid(path, &format!("at most {most} bytes"), "more"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| invalid(path, "UTF-8", "other bytes"))
}

fn yaml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match text(path, YAML_BYTES)? {
        Some(text) => from_yaml(&path.display().to_string(), &text).map(Some),
        None => Ok(None),
    }
}
