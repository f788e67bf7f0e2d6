//! Reading the SQLite file of an MLflow server.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mlops_core::{Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::json::KeyValue;
use super::runs::{Dataset, DatasetInput, Experiment, Metric, Run, RunData, RunInfo, RunInputs};
use super::source::MlflowSource;

/// How long it waits for a server that writes.
const BUSY: Duration = Duration::from_secs(30);
/// The tables that are read, which every release since 2.4 has.
const TABLES: [&str; 11] = [
    "alembic_version",
    "datasets",
    "experiment_tags",
    "experiments",
    "input_tags",
    "inputs",
    "latest_metrics",
    "metrics",
    "params",
    "runs",
    "tags",
];

/// The SQLite file that MLflow keeps runs in (`mlflow.db`), opened for reading alone: for
/// [`import_runs`](super::import_runs), with no Python and no server.
///
/// A server may go on writing to it; what is read of one run is of one instant. Columns are found
/// by name, so that those that other releases added do not matter; experiments of one name in
/// several workspaces become one. Nothing that the file itself defines is run.
///
/// ```no_run
/// use mlops_core::Cancel;
/// use mlops_registry::MemoryRegistry;
/// use mlops_registry::mlflow::{MlflowDatabase, import_runs};
///
/// let file = MlflowDatabase::open("mlflow.db")?;
/// println!("{}", import_runs(&file, &MemoryRegistry::new(), &Cancel::new())?);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub struct MlflowDatabase {
    path: PathBuf,
    db: Mutex<Connection>,
}

impl fmt::Debug for MlflowDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MlflowDatabase").field("path", &self.path).finish_non_exhaustive()
    }
}

impl MlflowDatabase {
    /// Opens the file.
    ///
    /// # Errors
    /// [`Error::Io`] where there is none; [`Error::Invalid`] for a file of another kind.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // SQLite's own words for what is missing or no file say less.
        let meta = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if !meta.is_file() {
            let found = if meta.is_dir() { "a directory" } else { "something else" };
            return Err(Error::invalid(path.display().to_string(), "MLflow's database", found));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<(Connection, Vec<String>)> {
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(BUSY)?;
            for pragma in ["trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"] {
                db.execute_batch(&format!("PRAGMA {pragma}"))?;
            }
            // Tables, and no views, which may never end.
            let query = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            let tables = db
                .prepare(query)?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok((db, tables))
        };
        let (db, tables) = open().map_err(|e| failed(path, e))?;
        if let Some(missing) = TABLES.iter().find(|name| !tables.iter().any(|t| t == *name)) {
            let expected = format!("MLflow's database, with a table `{missing}`");
            return Err(Error::invalid(path.display().to_string(), expected, "none"));
        }
        Ok(Self { path: path.to_path_buf(), db: Mutex::new(db) })
    }

    /// Runs this on one snapshot.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut db: MutexGuard<'_, _> = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = db.transaction().map_err(|e| failed(&self.path, e))?;
        work(&snapshot).map_err(|e| failed(&self.path, e))
    }
}

fn failed(path: &Path, error: rusqlite::Error) -> Error {
    use std::io::ErrorKind;
    let io = |kind, error| Error::io(path, std::io::Error::new(kind, error));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::invalid(path.display().to_string(), "MLflow's database, whole", error)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            io(ErrorKind::ResourceBusy, error)
        }
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            io(ErrorKind::PermissionDenied, error)
        }
        _ => Error::other(path.display().to_string(), error),
    }
}

/// A row for each of these.
fn all<T>(
    db: &Connection,
    query: &str,
    of: &str,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(query)?.query_map([of], |row| read(row))?.collect()
}

fn pairs(db: &Connection, query: &str, of: &str) -> rusqlite::Result<Vec<KeyValue>> {
    all(db, query, of, |row| {
        let value: Option<String> = row.get(1)?;
        Ok((row.get::<_, String>(0)?, value.unwrap_or_default()).into())
    })
}

/// A point: key, value, time, step, and whether it is NaN, which a database keeps apart.
fn point(row: &Row<'_>) -> rusqlite::Result<Metric> {
    let value = if row.get(4)? { f64::NAN } else { row.get(1)? };
    Ok(Metric::new(row.get::<_, String>(0)?, value, row.get(3)?, row.get(2)?))
}

fn inputs(db: &Connection, run: &str) -> rusqlite::Result<Vec<DatasetInput>> {
    let query = "SELECT i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source
                 FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
                 WHERE i.destination_id = ?1 AND i.destination_type = 'RUN'
                 AND i.source_type = 'DATASET' ORDER BY d.name, d.digest";
    let found = all(db, query, run, |row| {
        let dataset = Dataset {
            name: row.get(1)?,
            digest: row.get(2)?,
            source_type: row.get(3)?,
            source: row.get(4)?,
            ..Dataset::default()
        };
        Ok((row.get::<_, String>(0)?, dataset))
    })?;
    let query = "SELECT name, value FROM input_tags WHERE input_uuid = ?1 ORDER BY name";
    let tagged = found
        .into_iter()
        .map(|(input, dataset)| Ok(DatasetInput { dataset, tags: pairs(db, query, &input)? }));
    tagged.collect()
}

impl MlflowSource for MlflowDatabase {
    fn active_experiments(&self) -> Result<Vec<Experiment>> {
        self.read(|db| {
            let query = "SELECT experiment_id, name, artifact_location, lifecycle_stage,
                                creation_time, last_update_time
                         FROM experiments WHERE lifecycle_stage = ?1 ORDER BY experiment_id";
            let mut found = all(db, query, "active", |row| {
                let location: Option<String> = row.get(2)?;
                Ok(Experiment {
                    experiment_id: row.get::<_, i64>(0)?.to_string(),
                    name: row.get(1)?,
                    artifact_location: location.unwrap_or_default(),
                    lifecycle_stage: row.get(3)?,
                    creation_time: row.get(4)?,
                    last_update_time: row.get(5)?,
                    tags: Vec::new(),
                })
            })?;
            let query = "SELECT key, value FROM experiment_tags
                         WHERE experiment_id = CAST(?1 AS INTEGER) ORDER BY key";
            for experiment in &mut found {
                experiment.tags = pairs(db, query, &experiment.experiment_id)?;
            }
            Ok(found)
        })
    }

    fn runs_of(&self, experiment: &str) -> Result<Vec<Run>> {
        let statuses: HashMap<&str, _> =
            crate::tracking::RunStatus::ALL.map(|status| (status.name(), status)).into();
        let mut odd = None;
        let runs = self.read(|db| {
            let query = "SELECT run_uuid, name, user_id, status, start_time, end_time,
                                artifact_uri, lifecycle_stage
                         FROM runs WHERE experiment_id = CAST(?1 AS INTEGER)
                         ORDER BY start_time, run_uuid";
            let mut infos = all(db, query, experiment, |row| {
                let text = |at: usize| -> rusqlite::Result<String> {
                    Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())
                };
                let status = text(3)?;
                let known = statuses.get(status.as_str()).copied();
                if known.is_none() {
                    odd = Some(status);
                }
                Ok(RunInfo {
                    run_id: row.get(0)?,
                    experiment_id: experiment.to_owned(),
                    run_name: text(1)?,
                    user_id: text(2)?,
                    status: known.unwrap_or_default(),
                    start_time: row.get(4)?,
                    end_time: row.get(5)?,
                    artifact_uri: text(6)?,
                    lifecycle_stage: text(7)?,
                })
            })?;
            let read = |info: RunInfo| {
                let id = info.run_id.as_str();
                let metrics = "SELECT key, value, timestamp, step, is_nan FROM latest_metrics
                               WHERE run_uuid = ?1 ORDER BY key";
                let params = "SELECT key, value FROM params WHERE run_uuid = ?1 ORDER BY key";
                let tags = "SELECT key, value FROM tags WHERE run_uuid = ?1 ORDER BY key";
                let data = RunData {
                    metrics: all(db, metrics, id, point)?,
                    params: pairs(db, params, id)?,
                    tags: pairs(db, tags, id)?,
                };
                let inputs = RunInputs { dataset_inputs: inputs(db, id)? };
                Ok(Run { info, data, inputs })
            };
            infos.drain(..).map(read).collect::<rusqlite::Result<Vec<_>>>()
        })?;
        match odd {
            None => Ok(runs),
            Some(status) => Err(Error::invalid(
                self.path.display().to_string(),
                "runs with MLflow's statuses",
                format!("{:.60}", status.escape_debug().to_string()),
            )),
        }
    }

    fn history_of(&self, _: &str, run: &str, key: &str) -> Result<Vec<Metric>> {
        self.read(|db| {
            let query = "SELECT key, value, timestamp, step, is_nan FROM metrics
                         WHERE run_uuid = ?1 AND key = ?2 ORDER BY step, timestamp";
            db.prepare_cached(query)?.query_map([run, key], point)?.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let refused = |name: &str, said: &str| {
            let error = MlflowDatabase::open(path(name)).unwrap_err().to_string();
            assert!(error.contains(said), "{said:?} in: {error}");
        };
        refused("none", "none");
        assert!(!path("none").exists(), "nothing is made");
        std::fs::write(path("text"), "a,b\n1,2\n".repeat(200)).unwrap();
        refused("text", "MLflow's database, whole");
        std::fs::write(path("empty"), "").unwrap();
        refused("empty", "a table `alembic_version`");
        refused(".", "a directory");
        // A table's name on a view that does not end.
        let db = Connection::open(path("view.db")).unwrap();
        for name in TABLES {
            let sql = format!(
                "CREATE VIEW {name} AS WITH RECURSIVE x(n) AS
                 (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x"
            );
            db.execute_batch(&sql).unwrap();
        }
        drop(db);
        refused("view.db", "a table `alembic_version`");
    }
}
