//! The numbers of one run.

use std::collections::{BTreeMap, HashMap};

use mlops_core::{Assessment, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

/// A number of a run: what was measured, of what, and how much it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricValue {
    /// What was measured: `not_null`, `not_null.failing_rows`, `rows`, `mean`.
    pub name: String,
    /// What it was measured of: a column, `table`.
    pub subject: String,
    /// The number. One that is not finite is written as `"NaN"`, `"inf"` or `"-inf"`.
    #[serde(with = "number")]
    pub value: f64,
}

/// What one run found, as a [`MetricHistory`](super::MetricHistory) keeps it.
///
/// ```
/// use mlops_core::{Assessment, Finding, Timestamp, Verdict};
/// use mlops_validate::history::MetricRecord;
///
/// let finding = Finding::new("not_null", "age", Verdict::Pass, "a value", "1 of 200 rows null");
/// let found = Assessment::new("applications", 200, vec![
///     finding.with_value(0.995).with_rows(1, vec![]),
/// ]);
/// let at: Timestamp = "2026-01-31T12:00:00Z".parse()?;
/// let record = MetricRecord::of(&found, at).tag("region", "north").metric("mean", "age", 41.5);
/// assert_eq!(record.get("rows", "table"), Some(200.0));
/// assert_eq!(record.get("not_null", "age"), Some(0.995));
/// assert_eq!(record.get("not_null.failing_rows", "age"), Some(1.0));
/// assert_eq!(record.get("mean", "age"), Some(41.5));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricRecord {
    /// When it ran, or the time that the data are of: passed in.
    pub time: Timestamp,
    /// The name of the suite or dataset.
    pub dataset: String,
    /// What else tells runs apart: a region, a pipeline, a version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The verdict, if the run came to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The numbers.
    pub metrics: Vec<MetricValue>,
}

impl MetricRecord {
    /// A record without numbers.
    pub fn new(dataset: impl Into<String>, time: Timestamp) -> Self {
        let (dataset, tags) = (dataset.into(), BTreeMap::new());
        Self { time, dataset, tags, verdict: None, metrics: Vec::new() }
    }

    /// All numbers of an assessment, under its name and with its verdict: `rows` of `table`, and of
    /// each finding its value under the check's name, its failing rows under
    /// `check.failing_rows`, its p-value under `check.p_value`. What has no number is left out. Of
    /// several findings with one check and subject the second is `check#2`, and so on.
    pub fn of(found: &Assessment, time: Timestamp) -> Self {
        let mut record = Self::new(&found.name, time).metric("rows", "table", found.rows as f64);
        record.verdict = Some(found.verdict);
        let mut seen: HashMap<(&str, &str), u64> = HashMap::new();
        for finding in &found.findings {
            let nth = seen.entry((&finding.check, &finding.subject)).or_default();
            *nth += 1;
            let name = match *nth {
                1 => finding.check.clone(),
                nth => format!("{}#{nth}", finding.check),
            };
            let subject = &finding.subject;
            if let Some(rows) = finding.failing_rows {
                record = record.metric(format!("{name}.failing_rows"), subject, rows as f64);
            }
            if let Some(p) = finding.p_value {
                record = record.metric(format!("{name}.p_value"), subject, p);
            }
            if let Some(value) = finding.value {
                record = record.metric(name, subject, value);
            }
        }
        record
    }

    /// The same, with this tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same, with this number: any, also one that is not finite.
    #[must_use]
    pub fn metric(
        mut self,
        name: impl Into<String>,
        subject: impl Into<String>,
        value: f64,
    ) -> Self {
        self.metrics.push(MetricValue { name: name.into(), subject: subject.into(), value });
        self
    }

    /// The number of this name and subject; of several the first.
    pub fn get(&self, name: &str, subject: &str) -> Option<f64> {
        self.metrics.iter().find(|m| m.name == name && m.subject == subject).map(|m| m.value)
    }
}

/// Numbers as JSON has them, and names for the three that it does not have.
mod number {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *value {
            v if v.is_finite() => serializer.serialize_f64(v),
            v if v.is_nan() => serializer.serialize_str("NaN"),
            v if v > 0.0 => serializer.serialize_str("inf"),
            _ => serializer.serialize_str("-inf"),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
                match text {
                    "NaN" => Ok(f64::NAN),
                    "inf" => Ok(f64::INFINITY),
                    "-inf" => Ok(f64::NEG_INFINITY),
                    other => Err(E::custom(format!("{other:?} is no number"))),
                }
            }
        }

        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::Finding;

    use super::*;

    #[test]
    fn every_number_comes_back_as_it_was() {
        let mut record = MetricRecord::new("d", Timestamp::from_millis(7)).tag("a", "ø\n\"");
        let values =
            [0.1, -0.0, 1e300, 5e-324, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3.0];
        for value in values {
            record = record.metric("m", "s", value);
        }
        let text = serde_json::to_string(&record).unwrap();
        let read: MetricRecord = serde_json::from_str(&text).unwrap();
        for (read, value) in read.metrics.iter().zip(values) {
            assert!(
                read.value.to_bits() == value.to_bits() || value.is_nan() && read.value.is_nan()
            );
        }
        assert_eq!(read.tags, record.tags);
        assert!(serde_json::from_str::<MetricRecord>(&text.replace("\"NaN\"", "\"nun\"")).is_err());
        assert!(
            serde_json::from_str::<MetricRecord>(&text.replace("\"tags\"", "\"tag\"")).is_err()
        );
    }

    #[test]
    fn findings_of_one_name_stay_apart() {
        let finding = |value| {
            Finding::new("in_range", "x", Verdict::Fail, "", "").with_value(value).with_p_value(0.5)
        };
        let empty = Finding::new("not_null", "x", Verdict::Inconclusive, "", "");
        let found = Assessment::new("d", 3, vec![finding(0.25), finding(0.75), empty]);
        let record = MetricRecord::of(&found, Timestamp::from_millis(0));
        assert_eq!(record.get("in_range", "x"), Some(0.25));
        assert_eq!(record.get("in_range#2", "x"), Some(0.75));
        assert_eq!(record.get("in_range#2.p_value", "x"), Some(0.5));
        assert_eq!(record.get("not_null", "x"), None);
        assert_eq!(record.verdict, Some(Verdict::Fail));
        assert_eq!(record.metrics.len(), 5);
    }
}
