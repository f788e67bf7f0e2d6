//! What a comparison found: columns, statistics, verdicts.

use std::fmt;

use mlops_core::report::Distribution;
use mlops_core::{Assessment, Finding, Verdict};
use serde::{Deserialize, Serialize};

use crate::monitor::rule::DriftRule;
use crate::monitor::shares::ShareChange;
use crate::monitor::statistic::{DecidingTest, Statistic, StatisticResult};
use crate::profile::cells::Kind;

/// In what state a column was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Values on both sides, and enough of them.
    Compared,
    /// The reference has one value only; it was compared nonetheless.
    Constant,
    /// No values on either side: only the missing rows could be compared.
    NoValues,
    /// No values in the reference.
    NoReference,
    /// No values in the current data.
    NoCurrent,
    /// Fewer values on a side than the rule asks for.
    TooFew {
        /// Values of the reference.
        reference: u64,
        /// Values of the current data.
        current: u64,
    },
    /// The column is not in the current data.
    MissingColumn,
    /// The column has another type, whose values are not comparable.
    TypeChanged {
        /// The type's family in the reference.
        reference: String,
        /// And in the current data.
        current: String,
    },
    /// The column could not be measured.
    Unmeasured {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compared => f.write_str("compared"),
            Self::Constant => f.write_str("the reference is constant"),
            Self::NoValues => f.write_str("no values on either side"),
            Self::NoReference => f.write_str("the reference has no values"),
            Self::NoCurrent => f.write_str("the current data have no values"),
            Self::TooFew { reference, current } => {
                write!(f, "too few values: {reference} and {current}")
            }
            Self::MissingColumn => f.write_str("the column is not there"),
            Self::TypeChanged { reference, current } => {
                write!(f, "the type changed from {reference} to {current}")
            }
            Self::Unmeasured { reason } => write!(f, "not measured: {reason}"),
        }
    }
}

/// What was found about a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnDrift {
    /// The column.
    pub column: String,
    /// Whether it was compared as numbers or as categories, and why.
    pub kind: Kind,
    /// In what state it was found.
    pub status: Status,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// Every statistic.
    pub statistics: Vec<StatisticResult>,
    /// The test that decides; `None` where there was nothing to test.
    pub test: Option<DecidingTest>,
    /// The changes of what is missing, and of what one side only has.
    pub shares: Vec<ShareChange>,
    /// Current rows whose category the reference's labels do not hold, for categories.
    pub unseen: Option<u64>,
    /// Both sides in a few bins, to be drawn; `None` where the column was not measured.
    pub distribution: Option<Distribution>,
}

impl ColumnDrift {
    /// The result of this statistic.
    pub fn statistic(&self, statistic: Statistic) -> Option<&StatisticResult> {
        self.statistics.iter().find(|s| s.statistic == statistic)
    }

    /// The statistic whose effect decides.
    pub fn effect(&self) -> Option<&StatisticResult> {
        self.statistics.iter().find(|s| s.floor.is_some())
    }

    /// The smallest adjusted p-value.
    pub fn adjusted_p_value(&self) -> Option<f64> {
        let test = self.test.iter().map(|t| t.adjusted_p_value);
        test.chain(self.shares.iter().map(|s| s.adjusted_p_value)).reduce(f64::min)
    }

    /// The change of this share.
    pub fn share(&self, share: crate::Share) -> Option<&ShareChange> {
        self.shares.iter().find(|s| s.share == share)
    }

    /// How far the effect or the largest change of a share is, in units of its floor.
    pub fn magnitude(&self) -> f64 {
        let effect = self.effect().and_then(|s| Some(s.value / s.floor?)).unwrap_or(0.0);
        let shares = self.shares.iter().map(|s| (s.current - s.reference).abs() / s.floor);
        shares.fold(effect, f64::max)
    }
}

/// What a comparison of current data with a reference found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriftReport {
    /// The verdict over the dataset.
    pub verdict: Verdict,
    /// Rows of the reference.
    pub reference_rows: u64,
    /// Current rows.
    pub current_rows: u64,
    /// Every column of the profile, in the order of its schema.
    pub columns: Vec<ColumnDrift>,
    /// The rule that was applied.
    pub rule: DriftRule,
}

impl DriftReport {
    /// What was found about this column.
    pub fn column(&self, name: &str) -> Option<&ColumnDrift> {
        self.columns.iter().find(|c| c.column == name)
    }

    /// The columns that failed, the most evident first.
    pub fn drifted(&self) -> impl Iterator<Item = &ColumnDrift> {
        self.ranked().into_iter().filter(|c| c.verdict.is_fail())
    }

    /// All columns, worst verdict first, and within it by the size of the effect in units of its
    /// floor, then by evidence.
    pub fn ranked(&self) -> Vec<&ColumnDrift> {
        let mut columns: Vec<_> = self.columns.iter().collect();
        columns.sort_by(|a, b| {
            let p = |c: &ColumnDrift| c.adjusted_p_value().unwrap_or(1.0);
            b.verdict
                .cmp(&a.verdict)
                .then(b.magnitude().total_cmp(&a.magnitude()))
                .then(p(a).total_cmp(&p(b)))
        });
        columns
    }

    /// The report as the house's common form: a finding a column, under the dataset's verdict.
    pub fn assessment(&self) -> Assessment {
        let findings = self.columns.iter().map(ColumnDrift::finding).collect();
        Assessment::new("drift", self.current_rows, findings).with_verdict(self.verdict)
    }
}

impl ColumnDrift {
    fn finding(&self) -> Finding {
        let effect = self.effect();
        let check = effect.map_or_else(|| "drift".to_owned(), |s| s.statistic.to_string());
        let expected = match effect.and_then(|s| s.floor) {
            Some(floor) => format!("an effect within {floor}"),
            None => "values to compare".to_owned(),
        };
        let mut finding =
            Finding::new(check, &self.column, self.verdict, expected, self.reason.clone());
        if let Some(effect) = effect {
            finding = finding.with_value(effect.value);
            if let Some(interval) = effect.interval {
                finding = finding.with_interval(interval.low, interval.high);
            }
        }
        match self.adjusted_p_value() {
            Some(p) => finding.with_p_value(p),
            None => finding,
        }
    }
}

/// A p-value as people read it.
pub(crate) fn show_p(p: Option<f64>) -> String {
    match p {
        None => "-".to_owned(),
        Some(0.0) => "<1e-300".to_owned(),
        Some(p) if p < 1e-4 => format!("{p:.0e}"),
        Some(p) => format!("{p:.4}"),
    }
}

impl fmt::Display for DriftReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |v: Verdict| self.columns.iter().filter(|c| c.verdict == v).count();
        writeln!(
            f,
            "drift: {} ({} current row{} against {} of the reference; columns: {} fail, {} \
             inconclusive, {} pass)",
            self.verdict,
            self.current_rows,
            if self.current_rows == 1 { "" } else { "s" },
            self.reference_rows,
            of(Verdict::Fail),
            of(Verdict::Inconclusive),
            of(Verdict::Pass),
        )?;
        let width = self.columns.iter().map(|c| c.column.chars().count()).max().unwrap_or(0).max(6);
        let name =
            |c: &ColumnDrift| c.effect().map_or_else(|| "-".into(), |s| s.statistic.to_string());
        let wide = self.columns.iter().map(|c| name(c).len()).max().unwrap_or(0).max(15);
        writeln!(
            f,
            "  {:<width$}  {:<12}  {:<wide$}  {:>7}  {:<18}  {:>7}  {:>7}  {:<12}  why",
            "column",
            "verdict",
            "effect",
            "value",
            format!("{} % limits", self.rule.confidence * 100.0),
            "p adj.",
            "psi",
            "test"
        )?;
        for c in self.ranked() {
            let effect = c.effect();
            let psi = c.statistic(Statistic::Psi);
            writeln!(
                f,
                "  {:<width$}  {:<12}  {:<wide$}  {:>7}  {:<18}  {:>7}  {:>7}  {:<12}  {}",
                c.column,
                c.verdict,
                name(c),
                effect.map_or_else(|| "-".to_owned(), |s| format!("{:.4}", s.value)),
                effect.and_then(|s| s.interval).map_or_else(|| "-".to_owned(), |i| i.to_string()),
                show_p(c.adjusted_p_value()),
                psi.map_or_else(|| "-".to_owned(), |s| format!("{:.4}", s.value)),
                c.test.as_ref().map_or_else(|| "-".to_owned(), |t| t.statistic.to_string()),
                c.reason,
            )?;
        }
        write!(f, "  {}", self.rule)
    }
}
