//! A model before and after a mitigation, on rows that neither was fitted on.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use mlops_core::report::{Cell, Section, Table};
use mlops_core::stats::{Interval, PairedOutcomes, tango_difference};
use mlops_core::{DataSourceExt, MemorySource, Model, Result, Rows, with_column};
use serde::{Deserialize, Serialize};

use super::labels::labels;
use crate::{Gap, GroupCounts, Metric, MetricFrame, gap};

/// What a comparison says of one gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Compared {
    /// Before; what kept it from being measured otherwise.
    pub before: Result<Gap, String>,
    /// After.
    pub after: Result<Gap, String>,
}

/// Two models on the same rows, by group: the gaps of both, and what the second costs in accuracy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The groups under the model before.
    pub before: MetricFrame,
    /// The groups under that after.
    pub after: MetricFrame,
    /// On how many rows each was right; `current` is after.
    pub paired: PairedOutcomes,
}

impl Comparison {
    /// Predicts the rows, which should have been [held out](super::hold_out) of both fits.
    ///
    /// Rows without a label, or that a model gives no prediction, count in no pair.
    ///
    /// # Errors
    /// Those of the models and of [`GroupCounts`].
    pub fn on<S: Into<String>>(
        rows: &RecordBatch,
        y_true: &str,
        positive: &str,
        sensitive_features: impl IntoIterator<Item = S>,
        before: &dyn Model,
        after: &dyn Model,
    ) -> Result<Self> {
        let features: Vec<String> = sensitive_features.into_iter().map(Into::into).collect();
        let (labels, _) = labels(&Rows::new(rows), y_true, positive)?;
        let name = free_name(rows, "prediction");
        let judge = |model: &dyn Model| -> Result<(MetricFrame, StringArray)> {
            let says = model.predict(rows)?.labels()?;
            let column: ArrayRef = Arc::new(says.clone());
            let judged = MemorySource::from(with_column(rows, &name, column)?);
            let counts = GroupCounts::new(&name, positive, features.clone()).with_labels(y_true);
            Ok((judged.measure(&counts)?, says))
        };
        let (old, said_before) = judge(before)?;
        let (new, said_after) = judge(after)?;
        let mut paired = PairedOutcomes { concordant: 0, only_current: 0, only_reference: 0 };
        for (row, label) in labels.into_iter().enumerate() {
            let right = |says: &StringArray| {
                let said = says.is_valid(row).then(|| says.value(row) == positive);
                said.zip(label).map(|(said, label)| said == label)
            };
            match (right(&said_after), right(&said_before)) {
                (Some(true), Some(false)) => paired.only_current += 1,
                (Some(false), Some(true)) => paired.only_reference += 1,
                (Some(_), Some(_)) => paired.concordant += 1,
                _ => {}
            }
        }
        Ok(Self { before: old, after: new, paired })
    }

    /// The accuracy after less that before, with Tango's limits for pairs.
    ///
    /// # Errors
    /// [`mlops_core::Error::Undefined`] without pairs; [`mlops_core::Error::Invalid`] for a confidence outside (0, 1).
    pub fn accuracy_change(&self, confidence: f64) -> Result<(f64, Interval)> {
        let limits = tango_difference(self.paired, confidence)?;
        let PairedOutcomes { only_current, only_reference, .. } = self.paired;
        let size = only_current.abs_diff(only_reference) as f64 / self.paired.n() as f64;
        Ok((if only_current >= only_reference { size } else { -size }, limits))
    }

    /// The gaps of selection, of true-positive, and of both kinds of errors.
    pub fn gaps(&self, confidence: f64) -> Vec<(&'static str, Compared)> {
        type Of = fn(&MetricFrame, f64) -> Result<Gap>;
        let kinds: [(&str, Of); 4] = [
            ("demographic_parity_difference", gap::demographic_parity_difference),
            ("demographic_parity_ratio", gap::demographic_parity_ratio),
            ("equal_opportunity_difference", gap::equal_opportunity_difference),
            ("equalized_odds_difference", gap::equalized_odds_difference),
        ];
        let of = |kind: Of, frame: &MetricFrame| kind(frame, confidence).map_err(|e| e.to_string());
        kinds
            .into_iter()
            .map(|(name, kind)| {
                let (before, after) = (of(kind, &self.before), of(kind, &self.after));
                (name, Compared { before, after })
            })
            .collect()
    }

    /// A section of a report: the gaps and the accuracy, before and after.
    pub fn section(&self, confidence: f64) -> Section {
        let cell = |gap: &Result<Gap, String>| match gap {
            Ok(gap) => Cell::interval(gap.value, gap.interval.low, gap.interval.high),
            Err(reason) => Cell::from(reason.as_str()),
        };
        let mut table = Table::new(["", "Before", "After"]);
        for (name, compared) in self.gaps(confidence) {
            let name = name.replace('_', " ");
            table = table.row((name, cell(&compared.before), cell(&compared.after)));
        }
        let accuracy = |frame: &MetricFrame| Cell::from(frame.overall(Metric::Accuracy).value);
        table = table.row(("accuracy", accuracy(&self.before), accuracy(&self.after)));
        let section = Section::new("Before and after").table(table);
        match self.accuracy_change(confidence) {
            Ok((change, limits)) => section
                .text(format!("On the same rows the accuracy changes by {change:+.4} {limits}.")),
            Err(error) => section.text(error.to_string()),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<32} {:>28} {:>28}", "", "before", "after")?;
        let text = |gap: &Result<Gap, String>| match gap {
            Ok(gap) => format!("{:.4} {}", gap.value, gap.interval),
            Err(_) => "undefined".to_owned(),
        };
        for (name, compared) in self.gaps(0.95) {
            write!(f, "\n{name:<32} {:>28} {:>28}", text(&compared.before), text(&compared.after))?;
        }
        let accuracy = |frame: &MetricFrame| {
            let value = frame.overall(Metric::Accuracy).value;
            value.map_or("undefined".to_owned(), |value| format!("{value:.4}"))
        };
        write!(
            f,
            "\n{:<32} {:>28} {:>28}",
            "accuracy",
            accuracy(&self.before),
            accuracy(&self.after)
        )?;
        if let Ok((change, limits)) = self.accuracy_change(0.95) {
            write!(f, "\nthe accuracy changes by {change:+.4} {limits} on the same rows")?;
        }
        Ok(())
    }
}

/// A name that no column has.
fn free_name(rows: &RecordBatch, name: &str) -> String {
    let mut name = name.to_owned();
    while rows.schema_ref().index_of(&name).is_ok() {
        name.push('_');
    }
    name
}
