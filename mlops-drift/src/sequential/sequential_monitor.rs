//! A monitor that looks at every batch: an e-process for every column of a profile.

use std::ops::Range;

use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u16, put_u64, take, take_count, take_len, take_str, take_u8,
    take_u16, take_u64,
};
use mlops_core::stats::{Correction, adjust};
use mlops_core::{DataSource, Digest, Error, Plan, Result};
use serde::{Deserialize, Serialize};

use super::e_process::EProcess;
use super::look::{SequentialColumn, SequentialReport};
use crate::monitor::bins::{quantile_bins, regroup};
use crate::monitor::drift_monitor::{Current, Measurement};
use crate::profile::cells::Cells;
use crate::profile::counts::ColumnCounts;
use crate::profile::fit;
use crate::profile::reference::{ColumnProfile, ReferenceProfile};

/// The first bytes of a stored state.
const MAGIC: [u8; 4] = *b"MLDQ";
/// The version of its bytes.
const VERSION: u16 = 1;
/// A cell of numbers holds at least this many reference rows.
const ROWS_A_CELL: u64 = 6;
/// A category with fewer reference rows is counted with what the reference has not seen.
const ROWS_A_CATEGORY: u64 = 5;
/// How many categories have a cell of their own at most.
const MOST_CATEGORIES: usize = 256;

/// When repeated looks call drift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SequentialRule {
    /// The probability that an undrifted dataset ever raises an alarm, over all columns and all
    /// looks together, in (0, 1); 0.05.
    pub alpha: f64,
    /// The correction over columns; Holm's, which keeps `alpha` whatever the columns have to do
    /// with each other. Benjamini and Hochberg's makes `alpha` the false discovery rate at any one
    /// look where the columns are independent or go together; Benjamini and Yekutieli's whatever
    /// they do. The p-values are of the largest e-value so far, which is no e-value itself, so
    /// that this is not e-BH and has not its guarantee under any dependence.
    pub correction: Correction,
    /// The total variation distance over the cells, since the drift's likely start, that an alarm
    /// must reach to fail a column, in \[0, 1); 0.05. Evidence alone finds any difference at last.
    pub floor: f64,
    /// The most cells that numbers are counted in, 2 to 256; 16.
    pub cells: usize,
}

impl Default for SequentialRule {
    fn default() -> Self {
        Self { alpha: 0.05, correction: Correction::Holm, floor: 0.05, cells: 16 }
    }
}

impl SequentialRule {
    /// The default rule.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this probability of an alarm.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The same with this correction over columns.
    #[must_use]
    pub fn correction(mut self, correction: Correction) -> Self {
        self.correction = correction;
        self
    }

    /// The same with this floor of the effect.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }

    /// The same with this many cells of numbers.
    #[must_use]
    pub fn cells(mut self, cells: usize) -> Self {
        self.cells = cells;
        self
    }

    fn check(&self) -> Result<()> {
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(Error::invalid("alpha", "a number between 0 and 1", self.alpha));
        }
        if !(self.floor >= 0.0 && self.floor < 1.0) {
            return Err(Error::invalid("floor", "a number in [0, 1)", self.floor));
        }
        if !(2..=256).contains(&self.cells) {
            return Err(Error::invalid("cells", "2 to 256", self.cells));
        }
        Ok(())
    }
}

impl std::fmt::Display for SequentialRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "A column fails once the anytime-valid p-value of its e-process, after correction over \
             all columns ({:?}), is at most {}, and the total variation distance since the likely \
             start is at least {}. It stays failed. A column \
             that is not there, or of another type, fails as long as that is so. Otherwise it is inconclusive: the absence of \
             evidence is not a pass.",
            self.correction, self.alpha, self.floor
        )
    }
}

/// Has anything drifted since the monitor was set up? Asked after every batch, with one error rate
/// for all answers together.
///
/// Every column of the profile is counted in a few cells: numbers between about 16 reference
/// quantiles, categories by label (those with fewer than 5 reference rows together with what the
/// reference has not seen), and one cell for null, NaN and infinities. The counts of each look go to the column's
/// [`EProcess`]. The state is some KiB a column, whatever was seen; [`to_bytes`](Self::to_bytes)
/// and [`resume`](Self::resume) carry it from one process to the next.
///
/// The order of rows within a look does not matter; where one look ends and the next begins does.
/// See the [module](super) for an example.
#[derive(Clone, Debug, PartialEq)]
pub struct SequentialMonitor {
    profile: ReferenceProfile,
    rule: SequentialRule,
    columns: Vec<Watched>,
    looks: u64,
    rows: u64,
}

/// A column that is watched, and what the last look said of it.
#[derive(Clone, Debug, PartialEq)]
struct Watched {
    cells: Grouping,
    reference: Vec<u64>,
    process: Option<EProcess>,
    absent: Option<String>,
    /// The look, from 1, at which its evidence first failed it.
    failed_at: Option<u64>,
}

/// How the fine cells of a profile become those of an e-process.
#[derive(Clone, Debug, PartialEq)]
enum Grouping {
    Bins(Vec<Range<usize>>),
    Labels { cell_of: Vec<usize>, cells: usize },
}

impl Grouping {
    fn of(column: &ColumnProfile, rule: &SequentialRule) -> Self {
        let counts = column.counts().cells();
        match column.cells() {
            Cells::Edges(_) => {
                let n = column.counts().values();
                let most = usize::try_from(n / ROWS_A_CELL).unwrap_or(rule.cells);
                Self::Bins(quantile_bins(counts, most.clamp(2, rule.cells)))
            }
            Cells::Labels(labels) => {
                let mut order: Vec<_> =
                    (0..labels.len()).filter(|&i| counts[i] >= ROWS_A_CATEGORY).collect();
                order.sort_by_key(|&i| (std::cmp::Reverse(counts[i]), i));
                order.truncate(MOST_CATEGORIES);
                let mut cell_of = vec![order.len(); counts.len()];
                for (cell, label) in order.iter().enumerate() {
                    cell_of[*label] = cell;
                }
                Self::Labels { cell_of, cells: order.len() + 1 }
            }
        }
    }

    /// The counts, with what is missing last.
    fn counts(&self, of: &ColumnCounts) -> Vec<u64> {
        let mut counts = match self {
            Self::Bins(bins) => regroup(of.cells(), bins),
            Self::Labels { cell_of, cells } => {
                let mut counts = vec![0u64; *cells];
                for (cell, count) in cell_of.iter().zip(of.cells()) {
                    counts[*cell] = counts[*cell].saturating_add(*count);
                }
                counts
            }
        };
        counts.push(of.missing());
        counts
    }
}

impl SequentialMonitor {
    /// A monitor that has looked at nothing yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a rule with a number out of its range, or a reference of more than
    /// 2⁴⁴ rows.
    pub fn new(profile: ReferenceProfile, rule: SequentialRule) -> Result<Self> {
        rule.check()?;
        let columns = profile
            .columns()
            .iter()
            .map(|column| {
                let cells = Grouping::of(column, &rule);
                let reference = cells.counts(column.counts());
                let process = if column.counts().rows() == 0 {
                    None
                } else {
                    Some(EProcess::new(&reference)?)
                };
                Ok(Watched { cells, reference, process, absent: None, failed_at: None })
            })
            .collect::<Result<_>>()?;
        Ok(Self { profile, rule, columns, looks: 0, rows: 0 })
    }

    /// The reference.
    pub fn profile(&self) -> &ReferenceProfile {
        &self.profile
    }

    /// The rule.
    pub fn rule(&self) -> &SequentialRule {
        &self.rule
    }

    /// The e-process of a column; `None` if it has no such column, or none that can be watched.
    pub fn e_process(&self, column: &str) -> Option<&EProcess> {
        let at = self.profile.columns().iter().position(|c| c.name() == column)?;
        self.columns[at].process.as_ref()
    }

    /// Looks at the next batch: one scan.
    ///
    /// # Errors
    /// Those of the source; nothing is then taken in. A column that is not there is a status in
    /// the report, not an error.
    pub fn look(&mut self, batch: &dyn DataSource) -> Result<SequentialReport> {
        let mut plan = Plan::new();
        let measurement = Measurement::of(self.profile.columns(), &batch.schema(), &mut plan);
        let measured = fit::scan(batch).run(&plan)?;
        let (rows, current) = measurement.results(&measured)?;
        self.take(rows, current)
    }

    /// Looks at what was counted in the cells of this monitor's profile, by
    /// [`ReferenceProfile::count`] here or elsewhere.
    ///
    /// # Errors
    /// [`Error::Merge`] if the other profile has other columns or cells.
    pub fn look_at_counts(&mut self, batch: &ReferenceProfile) -> Result<SequentialReport> {
        self.profile.same_cells(batch)?;
        let counts = batch.columns().iter().map(|c| Current::Counts(c.counts()));
        self.take(batch.rows(), counts.collect())
    }

    fn take(&mut self, rows: u64, current: Vec<Current<'_>>) -> Result<SequentialReport> {
        // A look is taken in wholly or not at all.
        let mut next = self.columns.clone();
        for (column, current) in next.iter_mut().zip(current) {
            column.absent = match current {
                Current::Counts(counts) => {
                    if let Some(process) = &mut column.process {
                        process.update(&column.cells.counts(counts))?;
                    }
                    None
                }
                Current::Missing => Some("the column is not there".into()),
                Current::OtherType(_) => Some("the column has another type".into()),
                Current::Unmeasured(reason) => Some(reason),
            };
        }
        let looks = self.looks;
        let before = std::mem::replace(&mut self.columns, next);
        // Without rows there is nothing to see.
        self.looks += u64::from(rows > 0);
        let report = match self.report() {
            Ok(report) => report,
            Err(error) => {
                (self.columns, self.looks) = (before, looks);
                return Err(error);
            }
        };
        self.rows = self.rows.saturating_add(rows);
        for (column, found) in self.columns.iter_mut().zip(&report.columns) {
            if found.has_evidence(&self.rule) {
                column.failed_at.get_or_insert(self.looks);
            }
        }
        self.report()
    }

    /// What is known after the last look.
    ///
    /// # Errors
    /// None that arithmetic on p-values can give.
    pub fn report(&self) -> Result<SequentialReport> {
        let p_values: Vec<_> =
            self.columns.iter().map(|c| c.process.as_ref().map(EProcess::p_value)).collect();
        let adjusted = adjust(self.rule.correction, &p_values)?;
        let columns = self.profile.columns().iter().zip(&self.columns).zip(adjusted.p_values);
        let columns = columns
            .map(|((profile, watched), adjusted)| {
                SequentialColumn::new(
                    profile.name(),
                    &self.rule,
                    &watched.reference,
                    watched.process.as_ref().zip(adjusted),
                    watched.absent.as_deref(),
                    watched.failed_at,
                )
            })
            .collect();
        Ok(SequentialReport::new(self.looks, self.rows, columns, self.rule.clone()))
    }

    /// The state as bytes; the profile and the rule are not in them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        put_u64(&mut payload, self.looks);
        put_u64(&mut payload, self.rows);
        for column in &self.columns {
            put_u8(&mut payload, u8::from(column.process.is_some()));
            if let Some(process) = &column.process {
                process.encode(&mut payload);
            }
            put_u64(&mut payload, column.failed_at.unwrap_or(0));
            put_u8(&mut payload, u8::from(column.absent.is_some()));
            if let Some(absent) = &column.absent {
                put_str(&mut payload, absent);
            }
        }
        let mut out = Vec::with_capacity(payload.len() + 110);
        out.extend_from_slice(&MAGIC);
        put_u16(&mut out, VERSION);
        out.extend_from_slice(self.profile.digest().as_bytes());
        out.extend_from_slice(self.cells().as_bytes());
        out.extend_from_slice(Digest::of(&payload).as_bytes());
        put_len(&mut out, payload.len());
        out.extend_from_slice(&payload);
        out
    }

    /// In which cells is counted: the reference's rows in each.
    fn cells(&self) -> Digest {
        let mut cells = Vec::new();
        for column in &self.columns {
            put_len(&mut cells, column.reference.len());
            column.reference.iter().for_each(|&n| put_u64(&mut cells, n));
        }
        Digest::of(&cells)
    }

    /// The monitor as it was when [`to_bytes`](Self::to_bytes) wrote it, against the same profile
    /// and under a rule with the same cells.
    ///
    /// # Errors
    /// [`Error::Decode`] for bytes that are none or damaged; [`Error::Merge`] if they belong to
    /// another profile, or to a rule with other cells; those of [`new`](Self::new).
    pub fn resume(profile: ReferenceProfile, rule: SequentialRule, bytes: &[u8]) -> Result<Self> {
        let whole = bytes.len() as u64;
        Self::new(profile, rule)?.decode(bytes).map_err(|error| match error {
            Error::Decode { offset, expected, found, .. } => Error::Decode {
                what: "sequential monitor".into(),
                offset: whole.saturating_sub(offset),
                expected,
                found,
            },
            other => other,
        })
    }

    fn decode(mut self, mut rest: &[u8]) -> Result<Self> {
        let bytes = &mut rest;
        if take(bytes, MAGIC.len())? != MAGIC {
            return Err(bad(bytes, "the magic MLDQ", "others"));
        }
        let version = take_u16(bytes)?;
        if version != VERSION {
            return Err(bad(bytes, format!("version {VERSION}"), version));
        }
        if take(bytes, 32)? != self.profile.digest().as_bytes() {
            return Err(Error::merge("sequential monitor", "the state belongs to another profile"));
        }
        if take(bytes, 32)? != self.cells().as_bytes() {
            let reason = format!(
                "the rule differs: this one has {} cells, and the state was counted in others",
                self.rule.cells
            );
            return Err(Error::merge("sequential monitor", reason));
        }
        let digest = take(bytes, 32)?;
        let n = take_len(bytes, 1)?;
        if n != bytes.len() || Digest::of(*bytes).as_bytes() != digest {
            return Err(bad(bytes, "bytes of the stored digest", "others"));
        }
        self.looks = take_count(bytes)?;
        self.rows = take_u64(bytes)?;
        for column in &mut self.columns {
            let has = take_u8(bytes)?;
            if has != u8::from(column.process.is_some()) {
                return Err(bad(bytes, "a process where the profile allows one", has));
            }
            if let Some(process) = &mut column.process {
                *process = EProcess::decode(&column.reference, bytes)?;
            }
            let failed_at = take_count(bytes)?;
            if failed_at > self.looks || (failed_at > 0 && column.process.is_none()) {
                return Err(bad(bytes, format!("a look up to {}", self.looks), failed_at));
            }
            column.failed_at = (failed_at > 0).then_some(failed_at);
            column.absent = match take_u8(bytes)? {
                0 => None,
                1 => Some(take_str(bytes)?),
                other => return Err(bad(bytes, "0 or 1", other)),
            };
        }
        if !bytes.is_empty() {
            return Err(bad(bytes, "the end", format!("{} more bytes", bytes.len())));
        }
        Ok(self)
    }
}
