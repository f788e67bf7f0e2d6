//! What the machine gives a run: CPU and memory, sampled when the caller says.

use std::path::{Path, PathBuf};

use mlops_core::{Error, Result, Timestamp};

use super::batch::Batch;

/// Ticks of `/proc/PID/stat` per second: Linux shows user space always 100.
const TICKS: f64 = 100.0;

/// Samples of this process and its machine, as metrics `system/…`; on Linux, from `/proc`.
///
/// | metric | what |
/// |---|---|
/// | `system/process_cpu_percent` | CPU time of the process since the sample before, of one core: 250 is two and a half cores |
/// | `system/process_memory_megabytes` | its resident memory, in 10⁶ bytes |
/// | `system/process_threads` | its threads |
/// | `system/cpu_utilization_percentage` | the share of all cores that was busy since the sample before |
/// | `system/system_memory_usage_megabytes` | memory that is not available to others, in 10⁶ bytes |
///
/// It has no clock and no thread: the caller gives the time of each sample, and with it the
/// sampling interval. What needs a sample before is left out of the first.
///
/// ```
/// use mlops_core::Timestamp;
/// use mlops_registry::tracking::SystemMetrics;
///
/// let mut system = SystemMetrics::new();
/// # #[cfg(target_os = "linux")]
/// # {
/// let first = system.sample(Timestamp::from_millis(0))?;
/// assert!(first.metrics.iter().any(|m| m.key == "system/process_memory_megabytes"));
/// # }
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SystemMetrics {
    root: PathBuf,
    before: Option<Sample>,
    step: i64,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    /// CPU time of the process, in seconds.
    process: f64,
    /// Ticks of all cores: busy and all.
    busy: u64,
    all: u64,
}

impl Default for SystemMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemMetrics {
    /// A sampler of this process, that has not sampled yet.
    pub fn new() -> Self {
        Self { root: PathBuf::from("/proc"), before: None, step: 0 }
    }

    /// The same, counting its samples from this step: for a run that goes on.
    #[must_use]
    pub fn from_step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// A sample, as a batch to be logged. Its steps count 0, 1, 2, ….
    ///
    /// # Errors
    /// [`Error::Io`] where the system has no `/proc`; [`Error::Invalid`] where that reads other
    /// than Linux writes it.
    pub fn sample(&mut self, at: Timestamp) -> Result<Batch> {
        let stat = self.read("self/stat")?;
        let (ticks, threads) = process(&stat).ok_or_else(|| unread("/proc/self/stat"))?;
        let stat = self.read("stat")?;
        let (busy, all) = cores(&stat).ok_or_else(|| unread("/proc/stat"))?;
        let info = self.read("meminfo")?;
        let kilobytes = |name| field(&info, name).ok_or_else(|| unread("/proc/meminfo"));
        let used = kilobytes("MemTotal:")?.saturating_sub(kilobytes("MemAvailable:")?);
        let status = self.read("self/status")?;
        let resident = field(&status, "VmRSS:").ok_or_else(|| unread("/proc/self/status"))?;

        let sample = Sample { at, process: ticks as f64 / TICKS, busy, all };
        let mut batch = Batch::new();
        let mut add = |key: &str, value: f64| {
            batch =
                std::mem::take(&mut batch).metric(format!("system/{key}"), value, self.step, at);
        };
        add("process_memory_megabytes", resident as f64 * 1024.0 / 1e6);
        add("process_threads", threads as f64);
        add("system_memory_usage_megabytes", used as f64 * 1024.0 / 1e6);
        if let Some(before) = self.before.replace(sample) {
            let seconds = at.millis().saturating_sub(before.at.millis()) as f64 / 1e3;
            if seconds > 0.0 {
                let share = (sample.process - before.process) / seconds;
                add("process_cpu_percent", 100.0 * share);
            }
            let all = all.saturating_sub(before.all);
            if all > 0 {
                let share = busy.saturating_sub(before.busy) as f64 / all as f64;
                add("cpu_utilization_percentage", 100.0 * share);
            }
        }
        self.step += 1;
        Ok(batch)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.root.join(name);
        std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))
    }
}

fn unread(path: impl AsRef<Path>) -> Error {
    Error::invalid(path.as_ref().display().to_string(), "what Linux writes there", "other text")
}

/// CPU ticks and threads of `/proc/self/stat`.
fn process(stat: &str) -> Option<(u64, u64)> {
    // The name of the program may hold spaces and parentheses; the last one closes it.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((number(11)?.saturating_add(number(12)?), number(17)?))
}

/// Busy ticks and all ticks of the cores together.
fn cores(stat: &str) -> Option<(u64, u64)> {
    let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // A guest's ticks are among the user's already.
    let ticks: Vec<u64> = ticks.take(8).map_while(|t| t.parse().ok()).collect();
    let all = ticks.iter().fold(0_u64, |sum, t| sum.saturating_add(*t));
    let idle = ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0));
    Some((all.saturating_sub(idle), all))
}

/// The kilobytes behind a name.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(root: &Path, ticks: u64, busy: u64) {
        std::fs::create_dir_all(root.join("self")).expect("a directory");
        let write = |name: &str, text: String| std::fs::write(root.join(name), text).expect(name);
        let stat = format!(
            "7 (a) b (c) R 1 7 7 0 -1 0 5 0 0 0 {ticks} 10 0 0 20 0 3 0 99 1000000 500 0 0\n"
        );
        write("self/stat", stat);
        write("self/status", "Name:\ta\nVmRSS:\t    2000 kB\n".into());
        write("stat", format!("cpu  {busy} 0 0 1000 0 0 0 0 5 5\ncpu0 1 1 1 1\n"));
        write("meminfo", "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 4000 kB\n".into());
    }

    #[test]
    fn samples_are_differences_over_the_callers_time() {
        let root = tempfile::tempdir().expect("a directory");
        let mut system = SystemMetrics { root: root.path().to_path_buf(), ..SystemMetrics::new() };
        machine(root.path(), 100, 0);
        let first = system.sample(Timestamp::from_millis(0)).expect("a sample");
        let keys: Vec<_> = first.metrics.iter().map(|m| m.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "system/process_memory_megabytes",
                "system/process_threads",
                "system/system_memory_usage_megabytes"
            ]
        );
        machine(root.path(), 300, 500);
        let second = system.sample(Timestamp::from_millis(1000)).expect("a sample");
        let value = |key: &str| {
            let found = second.metrics.iter().find(|m| m.key == format!("system/{key}"));
            let point = found.expect(key).point;
            assert_eq!((point.step, point.at), (1, Timestamp::from_millis(1000)));
            point.value
        };
        assert_eq!(value("process_cpu_percent"), 200.0, "two seconds of CPU in one");
        assert_eq!(value("cpu_utilization_percentage"), 100.0, "nobody idled since");
        assert_eq!(value("process_memory_megabytes"), 2.048);
        assert_eq!(value("process_threads"), 3.0);
        assert_eq!(value("system_memory_usage_megabytes"), 5.12);
        // A clock that stands still gives no rate, and no infinity.
        let third = system.sample(Timestamp::from_millis(1000)).expect("a sample");
        assert_eq!(third.metrics.len(), 3);
        std::fs::write(root.path().join("stat"), "x").expect("stat");
        system.sample(Timestamp::from_millis(2000)).expect_err("other text");
    }

    #[test]
    fn this_machine_is_read() {
        if cfg!(target_os = "linux") {
            let batch = SystemMetrics::new().sample(Timestamp::from_millis(0)).expect("a sample");
            assert!(batch.metrics.iter().all(|m| m.point.value > 0.0), "{batch:?}");
        }
    }
}
