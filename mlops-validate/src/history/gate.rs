//! Anomaly checks on the metrics of a run, as a gate.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use mlops_core::{Assessment, Error, Finding, Result, Severity, Verdict};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::anomaly::AnomalyCheck;
use super::metric_history::{HistoryQuery, MetricHistory, Series};
use super::prediction::{Band, Side};
use super::record::MetricRecord;

/// An [`AnomalyCheck`] of a metric, of one subject or of each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HistoryCheck {
    /// The metric's name.
    pub metric: String,
    /// Its subject; `None` for each that has the metric now or had it in the run before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is asked.
    #[serde(flatten)]
    pub anomaly: AnomalyCheck,
    /// The share of false alarms of this check; `None` for its part of the gate's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_alarms: Option<f64>,
    /// The side on which a value is an anomaly, for checks that have a band.
    #[serde(skip_serializing_if = "is_default")]
    pub side: Side,
    /// A deviation that does not matter, for checks that have a band.
    #[serde(skip_serializing_if = "is_default")]
    pub tolerance: f64,
    /// Only so many of the latest values count; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// With fewer earlier values the answer is inconclusive, if that is more than
    /// [`AnomalyCheck::least_history`].
    #[serde(skip_serializing_if = "is_default")]
    pub min_history: usize,
    /// Whether runs whose verdict was a fail are left out of the history.
    #[serde(skip_serializing_if = "is_default")]
    pub without_failed: bool,
    /// How much an anomaly matters; critical unless told.
    #[serde(skip_serializing_if = "is_default")]
    pub severity: Severity,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl HistoryCheck {
    /// This check of this metric, of every subject that has it.
    pub fn new(metric: impl Into<String>, anomaly: AnomalyCheck) -> Self {
        Self {
            metric: metric.into(),
            subject: None,
            anomaly,
            false_alarms: None,
            side: Side::Both,
            tolerance: 0.0,
            last: None,
            min_history: 0,
            without_failed: false,
            severity: Severity::Critical,
        }
    }

    /// The same, only of this subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same, with this share of false alarms, whatever the gate's is.
    #[must_use]
    pub fn false_alarms(mut self, share: f64) -> Self {
        self.false_alarms = Some(share);
        self
    }

    /// The same, on this side.
    #[must_use]
    pub fn side(mut self, side: Side) -> Self {
        self.side = side;
        self
    }

    /// The same, not minding deviations up to this one.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The same, by so many of the latest values.
    #[must_use]
    pub fn last(mut self, values: usize) -> Self {
        self.last = Some(values);
        self
    }

    /// The same, inconclusive with fewer earlier values than this.
    #[must_use]
    pub fn min_history(mut self, values: usize) -> Self {
        self.min_history = values;
        self
    }

    /// The same, by the runs that did not fail. A level that changed for good then fails until
    /// somebody records a run as good.
    #[must_use]
    pub fn without_failed(mut self) -> Self {
        self.without_failed = true;
        self
    }

    /// The same, mattering this much.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Whether the question makes sense in itself.
    ///
    /// # Errors
    /// As [`AnomalyCheck::check_usable`] and [`Band::check_usable`]; [`Error::Invalid`] for
    /// options of a band at a check that has none, and a `last` that leaves too few.
    pub fn check_usable(&self) -> Result<()> {
        let usable = || {
            self.anomaly.check_usable()?;
            self.band(0.5).check_usable()?;
            let set =
                self.false_alarms.is_some() || self.side != Side::Both || self.tolerance != 0.0;
            if set && !self.anomaly.has_band() {
                let what = "`false_alarms`, `side` and `tolerance`";
                return Err(Error::invalid(what, "none: the check has no band", "one"));
            }
            let least = self.min_history.max(self.anomaly.least_history());
            match self.last {
                Some(last) if last < least => {
                    Err(Error::invalid("`last`", format!("at least {least}"), last))
                }
                _ => Ok(()),
            }
        };
        usable().map_err(|e| e.within(self.to_string()))
    }

    fn band(&self, share: f64) -> Band {
        Band {
            false_alarms: self.false_alarms.unwrap_or(share),
            side: self.side,
            tolerance: self.tolerance,
        }
    }

    /// The subjects that are looked at.
    fn subjects(&self, earlier: &[MetricRecord], current: &MetricRecord) -> BTreeSet<String> {
        if let Some(subject) = &self.subject {
            return BTreeSet::from([subject.clone()]);
        }
        let records = earlier.last().into_iter().chain([current]);
        let metrics = records.flat_map(|r| &r.metrics).filter(|m| m.name == self.metric);
        metrics.map(|m| m.subject.clone()).collect()
    }

    fn judge(
        &self,
        earlier: &[MetricRecord],
        current: &MetricRecord,
        subject: &str,
        share: f64,
    ) -> Result<Finding> {
        let failed = |r: &MetricRecord| self.without_failed && r.verdict == Some(Verdict::Fail);
        let history: Vec<f64> = if self.without_failed {
            let good: Vec<_> = earlier.iter().filter(|r| !failed(r)).cloned().collect();
            Series::of(&good, &self.metric, subject).values()
        } else {
            Series::of(earlier, &self.metric, subject).values()
        };
        let history = &history[history.len().saturating_sub(self.last.unwrap_or(usize::MAX))..];
        let name = named(&self.metric, subject);
        let finding = |verdict, expected, observed| {
            Finding::new(self.anomaly.kind(), &name, verdict, expected, observed)
                .with_severity(self.severity)
        };
        let Some(value) = current.get(&self.metric, subject) else {
            let observed = format!("nothing; {} earlier runs have it", history.len());
            return Ok(finding(Verdict::Inconclusive, "a value".to_owned(), observed));
        };
        if history.len() < self.min_history {
            let expected = format!("at least {} earlier values", self.min_history);
            let observed = format!("{}", history.len());
            return Ok(finding(Verdict::Inconclusive, expected, observed).with_value(value));
        }
        let found = self.anomaly.judge(history, value, &self.band(share))?;
        let finding = finding(found.verdict, found.expected, found.observed).with_value(value);
        Ok(match found.p_value {
            Some(p) => finding.with_p_value(p),
            None => finding,
        })
    }
}

/// `rows` of the table, `mean(age)` of a column.
fn named(metric: &str, subject: &str) -> String {
    if subject == "table" { metric.to_owned() } else { format!("{metric}({subject})") }
}

impl fmt::Display for HistoryCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject.as_deref().unwrap_or("*");
        write!(f, "{} of {}", self.anomaly.kind(), named(&self.metric, subject))
    }
}

impl<'de> Deserialize<'de> for HistoryCheck {
    /// By way of a map, because serde can't both flatten and refuse unknown fields.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The fields that are not the check's own.
        #[derive(Deserialize)]
        struct Options {
            metric: String,
            subject: Option<String>,
            false_alarms: Option<f64>,
            #[serde(default)]
            side: Side,
            #[serde(default)]
            tolerance: f64,
            last: Option<usize>,
            #[serde(default)]
            min_history: usize,
            #[serde(default)]
            without_failed: bool,
            #[serde(default)]
            severity: Severity,
        }
        const OPTIONS: [&str; 9] = [
            "metric",
            "subject",
            "false_alarms",
            "side",
            "tolerance",
            "last",
            "min_history",
            "without_failed",
            "severity",
        ];
        let map = Map::<String, Value>::deserialize(deserializer)?;
        let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let place = format!("{} of {}", text("anomaly"), text("metric"));
        let error = |e: serde_json::Error| D::Error::custom(format!("{place}: {e}"));
        let (options, own): (Map<_, _>, Map<_, _>) =
            map.into_iter().partition(|(key, _)| OPTIONS.contains(&key.as_str()));
        let options = Options::deserialize(Value::Object(options)).map_err(error)?;
        let kind_alone = own.len() == 1;
        let unknown = own.keys().find(|key| *key != "anomaly").cloned().unwrap_or_default();
        let anomaly = AnomalyCheck::deserialize(Value::Object(own)).map_err(error)?;
        // Of kinds without fields of their own serde does not look at the rest.
        if !kind_alone && matches!(anomaly, AnomalyCheck::Normal | AnomalyCheck::RobustZ) {
            return Err(D::Error::custom(format!("{place}: unknown field `{unknown}`")));
        }
        let read = Self {
            metric: options.metric,
            subject: options.subject,
            anomaly,
            false_alarms: options.false_alarms,
            side: options.side,
            tolerance: options.tolerance,
            last: options.last,
            min_history: options.min_history,
            without_failed: options.without_failed,
            severity: options.severity,
        };
        read.check_usable().map_err(D::Error::custom)?;
        Ok(read)
    }
}

/// Checks of a run's metrics against those of earlier runs: an [`Assessment`] like any other, for
/// gates and reports.
///
/// Only records earlier than the current one are looked at (of the same dataset, and with equal
/// [`by`](Self::by) tags), so that it makes no difference whether the run was recorded before it is
/// judged. The checks that have a band share the gate's false alarms among them (Bonferroni): of
/// runs in which nothing happened at most that share is stopped.
///
/// ```
/// use mlops_core::{Timestamp, Verdict};
/// use mlops_validate::history::{HistoryGate, MetricHistory, MetricRecord};
///
/// let gate = HistoryGate::from_yaml("
/// name: applications over time
/// false_alarms: 0.01
/// checks:
/// - {metric: rows, anomaly: relative_change, max_decrease: 0.5}
/// - {metric: mean, subject: income, anomaly: robust_z, last: 60}
/// - {metric: rows, anomaly: holt_winters, period: 7, severity: warning}
/// ")?;
/// let history = MetricHistory::in_memory();
/// let day = |day: i64, rows: f64, mean: f64| {
///     MetricRecord::new("applications", Timestamp::from_millis(day * 86_400_000))
///         .metric("rows", "table", rows)
///         .metric("mean", "income", mean)
/// };
/// for i in 0..10 {
///     history.append(&day(i, 1000.0 + (i % 3) as f64, 52.0 + (i % 4) as f64))?;
/// }
/// assert_eq!(gate.judge(&history, &day(10, 990.0, 53.0))?.verdict, Verdict::Pass);
/// let found = gate.judge(&history, &day(10, 400.0, 90.0))?;
/// assert_eq!(found.failures().count(), 2);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HistoryGate {
    /// The name under which it answers, and the name of its gate.
    pub name: String,
    /// The tags that an earlier record must share with the current one: `region`, say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The share of runs in which nothing happened that may be stopped.
    #[serde(default = "HistoryGate::default_false_alarms")]
    pub false_alarms: f64,
    /// The checks.
    pub checks: Vec<HistoryCheck>,
}

impl HistoryGate {
    fn default_false_alarms() -> f64 {
        0.01
    }

    /// A gate that asks nothing yet, and so passes nothing; with 1 % false alarms.
    pub fn new(name: impl Into<String>) -> Self {
        let false_alarms = Self::default_false_alarms();
        Self { name: name.into(), by: Vec::new(), false_alarms, checks: Vec::new() }
    }

    /// The same, with this check.
    #[must_use]
    pub fn check(mut self, check: HistoryCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// The same, comparing only runs that share this tag's value.
    #[must_use]
    pub fn by(mut self, tag: impl Into<String>) -> Self {
        self.by.push(tag.into());
        self
    }

    /// The same, with this share of false alarms over all checks that have a band.
    #[must_use]
    pub fn false_alarms(mut self, share: f64) -> Self {
        self.false_alarms = share;
        self
    }

    /// Whether every check makes sense in itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first that does not.
    pub fn check_usable(&self) -> Result<()> {
        Band::new(self.false_alarms).check_usable()?;
        self.checks.iter().try_for_each(HistoryCheck::check_usable)
    }

    /// The gate from YAML.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the line of what does not parse, of an unknown kind or field,
    /// and of a check that is unusable.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let gate: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|e| Error::invalid("history gate", "YAML of one", e))?;
        gate.check_usable()?;
        Ok(gate)
    }

    /// The gate as YAML, which [`from_yaml`](Self::from_yaml) reads back as it was.
    ///
    /// # Errors
    /// As [`check_usable`](Self::check_usable).
    pub fn to_yaml(&self) -> Result<String> {
        self.check_usable()?;
        serde_saphyr::to_string(self).map_err(|e| Error::other("writing a history gate", e))
    }

    /// The gate from JSON.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_json(text: &str) -> Result<Self> {
        let gate: Self = serde_json::from_str(text)
            .map_err(|e| Error::invalid("history gate", "JSON of one", e))?;
        gate.check_usable()?;
        Ok(gate)
    }

    /// The gate as JSON, which [`from_json`](Self::from_json) reads back as it was.
    ///
    /// # Errors
    /// As [`check_usable`](Self::check_usable).
    pub fn to_json(&self) -> Result<String> {
        self.check_usable()?;
        serde_json::to_string_pretty(self).map_err(|e| Error::other("writing a history gate", e))
    }

    /// A gate from a file whose name ends in `.yaml`, `.yml` or `.json`.
    ///
    /// # Errors
    /// [`Error::Io`]; as [`from_yaml`](Self::from_yaml), with the file's name.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let gate = match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Self::from_json(&text),
            Some("yaml" | "yml") => Self::from_yaml(&text),
            _ => Err(Error::invalid("name of a gate's file", "*.yaml, *.yml or *.json", "another")),
        };
        gate.map_err(|e| e.within(path.display().to_string()))
    }

    /// Judges a run by the runs before it.
    ///
    /// # Errors
    /// As [`check_usable`](Self::check_usable) and [`MetricHistory::records`]; [`Error::Invalid`]
    /// for a run that lacks a tag of [`by`](Self::by).
    pub fn judge(&self, history: &MetricHistory, current: &MetricRecord) -> Result<Assessment> {
        self.check_usable()?;
        let mut query = HistoryQuery::of(&current.dataset).until(current.time);
        for tag in &self.by {
            let value = current.tags.get(tag).ok_or_else(|| {
                Error::invalid(format!("tags of the run of {}", current.dataset), tag, "none")
            })?;
            query = query.tag(tag, value);
        }
        let earlier = history.records(&query)?;
        let asked: Vec<_> =
            self.checks.iter().map(|check| (check, check.subjects(&earlier, current))).collect();
        let sharing = asked
            .iter()
            .filter(|(check, _)| check.anomaly.has_band() && check.false_alarms.is_none())
            .map(|(_, subjects)| subjects.len())
            .sum::<usize>();
        let share = self.false_alarms / sharing.max(1) as f64;
        let mut findings = Vec::new();
        for (check, subjects) in asked {
            if subjects.is_empty() {
                findings.push(
                    Finding::new(
                        check.anomaly.kind(),
                        &check.metric,
                        Verdict::Inconclusive,
                        "a value",
                        "no such metric, now or in the run before",
                    )
                    .with_severity(check.severity),
                );
            }
            for subject in subjects {
                findings.push(check.judge(&earlier, current, &subject, share)?);
            }
        }
        let rows = current.get("rows", "table").filter(|rows| *rows >= 0.0);
        Ok(Assessment::new(&self.name, rows.map_or(0, |rows| rows as u64), findings))
    }
}
