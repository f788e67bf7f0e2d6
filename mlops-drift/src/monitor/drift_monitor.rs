//! The monitor: a reference profile and a rule, ready to compare data again and again.

use std::sync::Arc;

use arrow::datatypes::Schema;
use mlops_core::states::RowCount;
use mlops_core::{
    Assessment, DataSource, DriftDetector, Handle, Judge, Measurements, Plan, Result,
};

use crate::monitor::decide::decide;
use crate::monitor::report::DriftReport;
use crate::monitor::rule::DriftRule;
use crate::profile::counts::ColumnCounts;
use crate::profile::family::Family;
use crate::profile::fit;
use crate::profile::reference::{ColumnProfile, ReferenceProfile};

/// Has the data drifted away from a reference? A profile of the reference and a [`DriftRule`].
///
/// One scan of the current data counts every column in the profile's cells; all statistics and
/// the verdict come from those counts. As a [`DriftDetector`] it rides on a scan together with
/// validators and other detectors.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, StringArray};
/// use mlops_core::{MemorySource, Verdict, batch};
/// use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
///
/// let rows = |shift: f64, city: &str| -> mlops_core::Result<MemorySource> {
///     Ok(MemorySource::from(batch! {
///         "income" => Float64Array::from_iter_values((0..2000).map(|i| f64::from(i % 997) + shift)),
///         "city" => StringArray::from_iter_values((0..2000).map(|i| if i % 4 == 0 { city } else { "Oslo" })),
///     }?))
/// };
/// let profile = ReferenceProfile::fit(&rows(0.0, "Bergen")?, &ProfileOptions::default())?;
/// let monitor = DriftMonitor::new(profile);
///
/// let report = monitor.compare(&rows(300.0, "Bergen")?)?;
/// assert_eq!(report.verdict, Verdict::Fail);
/// assert_eq!(report.column("income").map(|c| c.verdict), Some(Verdict::Fail));
/// assert_eq!(report.column("city").map(|c| c.verdict), Some(Verdict::Pass));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DriftMonitor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    profile: ReferenceProfile,
    rule: DriftRule,
}

/// What there is to judge of a column of the profile.
#[derive(Clone, Debug)]
pub(crate) enum Current<'a> {
    /// It is not in the current data.
    Missing,
    /// It is of a family that the cells were not made for, or of none.
    OtherType(Option<Family>),
    /// Its counts.
    Counts(&'a ColumnCounts),
    /// It could not be measured, and why.
    Unmeasured(String),
}

impl DriftMonitor {
    /// A monitor with the default rule.
    pub fn new(profile: ReferenceProfile) -> Self {
        Self { inner: Arc::new(Inner { profile, rule: DriftRule::default() }) }
    }

    /// A monitor with this rule.
    ///
    /// # Errors
    /// [`Invalid`](mlops_core::Error::Invalid) for a rule with a number out of its range.
    pub fn with_rule(profile: ReferenceProfile, rule: DriftRule) -> Result<Self> {
        rule.check()?;
        rule.check_columns(&profile)?;
        Ok(Self { inner: Arc::new(Inner { profile, rule }) })
    }

    /// The reference.
    pub fn profile(&self) -> &ReferenceProfile {
        &self.inner.profile
    }

    /// The rule.
    pub fn rule(&self) -> &DriftRule {
        &self.inner.rule
    }

    /// Compares a source with the reference: one scan, or of hundreds of columns one for each group
    /// of them that fits the memory, as [`ReferenceProfile::count`] does.
    ///
    /// # Errors
    /// Those of the source. A bad column is a status in the report, not an error.
    pub fn compare(&self, current: &dyn DataSource) -> Result<DriftReport> {
        let (scan, schema) = (fit::scan(current), current.schema());
        let columns = self.inner.profile.columns();
        let mut counted = Vec::new();
        let cells = columns.iter().map(ColumnProfile::cells);
        for group in fit::groups_to_count(scan, cells, fit::MEMORY)? {
            let mut plan = Plan::new();
            let measurement = Measurement::of(&columns[group], &schema, &mut plan);
            counted.push((measurement, scan.run(&plan)?));
        }
        let (mut rows, mut columns) = (0, Vec::with_capacity(columns.len()));
        for (measurement, measured) in &counted {
            let (all, some) = measurement.results(measured)?;
            rows = all;
            columns.extend(some);
        }
        decide(&self.inner.profile, &self.inner.rule, rows, &columns)
    }

    /// Compares data that were counted in the cells of this monitor's profile, by
    /// [`ReferenceProfile::count`] here or elsewhere, with the reference. No data are read.
    ///
    /// # Errors
    /// [`Merge`](mlops_core::Error::Merge) if the other profile has other columns or cells.
    pub fn compare_profile(&self, current: &ReferenceProfile) -> Result<DriftReport> {
        self.inner.profile.same_cells(current)?;
        let columns: Vec<_> =
            current.columns().iter().map(|c| Current::Counts(c.counts())).collect();
        decide(&self.inner.profile, &self.inner.rule, current.rows(), &columns)
    }

    /// As [`DriftDetector::plan`], with a judge that gives the whole report.
    pub fn plan_report(&self, schema: &Schema, plan: &mut Plan) -> Judge<DriftReport> {
        let measurement = Measurement::of(self.inner.profile.columns(), schema, plan);
        let inner = self.inner.clone();
        Judge::new(move |measured| {
            let (rows, columns) = measurement.results(measured)?;
            decide(&inner.profile, &inner.rule, rows, &columns)
        })
    }
}

/// The measurement of columns of a profile in current data, before it was scanned.
pub(crate) struct Measurement {
    rows: Handle<u64>,
    slots: Vec<Slot>,
}

impl Measurement {
    pub(crate) fn of(columns: &[ColumnProfile], schema: &Schema, plan: &mut Plan) -> Self {
        let rows = plan.add(RowCount);
        let slots = columns.iter().map(|column| Slot::of(column, schema, plan)).collect();
        Self { rows, slots }
    }

    /// The rows, and what there is to judge of each column.
    pub(crate) fn results<'m>(
        &self,
        measured: &'m Measurements,
    ) -> Result<(u64, Vec<Current<'m>>)> {
        let columns = self.slots.iter().map(|slot| match slot {
            Slot::Given(current) => current.clone(),
            Slot::Measured(handle) => match measured.get(handle) {
                Ok(counts) => Current::Counts(counts),
                Err(error) => Current::Unmeasured(error.to_string()),
            },
        });
        Ok((*measured.get(&self.rows)?, columns.collect()))
    }
}

/// Where a column's counts will come from.
enum Slot {
    Given(Current<'static>),
    Measured(Handle<ColumnCounts>),
}

impl Slot {
    fn of(column: &ColumnProfile, schema: &Schema, plan: &mut Plan) -> Self {
        let Ok(field) = schema.field_with_name(column.name()) else {
            return Self::Given(Current::Missing);
        };
        let family = Family::of(field.data_type());
        match family {
            Some(f) if column.family().takes(f, column.cells().is_categorical()) => {
                Self::Measured(plan.add(column.count.clone()))
            }
            other => Self::Given(Current::OtherType(other)),
        }
    }
}

impl DriftDetector for DriftMonitor {
    fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        Ok(self.plan_report(schema, plan).map(|report| report.assessment()))
    }
}
