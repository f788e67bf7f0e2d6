//! What became of a run.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Verdict;
use crate::report::{Align, Cell, Section, Table};

/// What became of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its output is there.
    Finished,
    /// It failed in its last attempt.
    Failed,
    /// It did not run, because a stage that it needs failed.
    Skipped,
    /// It did not run or did not finish, because the run was stopped.
    Cancelled,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What became of one stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageReport {
    /// The stage's name.
    pub name: String,
    /// Its [`Stage::version`](super::Stage::version).
    pub version: Option<String>,
    /// The names of the stages that it waited for.
    pub needs: Vec<String>,
    /// What became of it.
    pub status: Status,
    /// How often it was tried.
    pub attempts: u32,
    /// When it began, since the run did; `None` if it never did.
    pub started: Option<Duration>,
    /// How long it took, with all attempts and waits.
    pub elapsed: Duration,
    /// Why there is no output.
    pub error: Option<String>,
    /// What it had to say.
    pub notes: Vec<String>,
}

/// What became of a run: of each stage, in the order in which they were added.
///
/// Prints as a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The stages.
    pub stages: Vec<StageReport>,
    /// How long the run took.
    pub elapsed: Duration,
}

impl RunReport {
    /// Whether every stage finished.
    pub fn is_success(&self) -> bool {
        self.stages.iter().all(|stage| stage.status == Status::Finished)
    }

    /// The stage of this name.
    pub fn stage(&self, name: &str) -> Option<&StageReport> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// How many stages have this status.
    pub fn count(&self, status: Status) -> usize {
        self.stages.iter().filter(|stage| stage.status == status).count()
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.stages.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(f, "{:<width$}  {:<9}  {:>8}  {:>9}", "stage", "status", "attempts", "time")?;
        for stage in &self.stages {
            let StageReport { name, status, attempts, .. } = stage;
            let time = seconds(stage.elapsed);
            write!(f, "{name:<width$}  {status:<9}  {attempts:>8}  {time:>9}")?;
            for text in stage.error.iter().chain(&stage.notes) {
                write!(f, "  {text}")?;
            }
            writeln!(f)?;
        }
        let finished = self.count(Status::Finished);
        write!(f, "{finished} of {} finished in {}", self.stages.len(), seconds(self.elapsed))
    }
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

impl From<&RunReport> for Table {
    /// A row for each stage, with its share of the run's time as a bar.
    fn from(run: &RunReport) -> Self {
        let whole = run.elapsed.as_secs_f64();
        Self::new(["Stage", "Status", "Attempts", "Seconds", "Share of the run", "Notes"])
            .align(3, Align::Right)
            .rows(run.stages.iter().map(|stage| {
                let verdict = match stage.status {
                    Status::Finished => Cell::from(Verdict::Pass),
                    Status::Failed => Cell::from(Verdict::Fail),
                    other => Cell::from(other.to_string()),
                };
                let elapsed = stage.elapsed.as_secs_f64();
                let notes: Vec<_> =
                    stage.error.iter().chain(&stage.notes).map(String::as_str).collect();
                (
                    Cell::code(&stage.name),
                    verdict,
                    u64::from(stage.attempts),
                    Cell::number(elapsed, 3),
                    Cell::bar(elapsed, whole),
                    notes.join("; "),
                )
            }))
    }
}

impl From<&RunReport> for Section {
    fn from(run: &RunReport) -> Self {
        let finished = run.count(Status::Finished);
        let seconds = seconds(run.elapsed);
        Self::new("Run")
            .verdict(Verdict::from_bool(run.is_success()))
            .text(format!("{finished} of {} stages finished in {seconds}.", run.stages.len()))
            .table(run.into())
    }
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::pipeline::{Runner, stage};
    use crate::report::{Report, Section};

    #[test]
    fn a_run_is_a_section_of_a_report() {
        let (p, _) = (stage("make", |()| Ok(1))
            >> stage("break", |_: &i32| Err::<(), _>(Error::undefined("it", "so"))))
        .into_pipeline();
        let run = Runner::new().run(&p).unwrap();
        let report = Report::new("Nightly").section(Section::from(run.report()));
        let text = report.to_markdown();
        assert!(text.contains("1 of 2 stages finished"), "{text}");
        assert!(text.contains("`break`") && text.contains("it is undefined: so"), "{text}");
    }
}
