//! Who judges data, and who compares it with a reference.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::Schema;

use crate::{Assessment, DataSource, Judge, Plan, Result};

/// Questions about data: what must be measured, and the judge of the results.
///
/// # Contract
/// - `plan` only adds to the plan and returns its judge; it reads no data. Any number of
///   validators and detectors thus ride on one scan.
/// - Bad data is a [`Finding`](crate::Finding), never an `Err`: so is a column that is missing or
///   of the wrong type. An error says that the validator itself is unusable.
/// - On an empty source nothing was measured, and the verdict is not a pass.
///
/// [`conformance::validator`](crate::conformance::validator) tests this.
pub trait Validator: Debug + Send + Sync + 'static {
    /// Adds what must be measured on data of this schema, and gives the judge of the results.
    ///
    /// # Errors
    /// A validator that is unusable in itself: a pattern that doesn't parse, an empty range.
    fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>>;
}

/// What every validator can do besides.
pub trait ValidatorExt: Validator {
    /// Judges a source: one scan.
    ///
    /// # Errors
    /// Those of the source and of [`Validator::plan`].
    fn validate(&self, source: &dyn DataSource) -> Result<Assessment>;
}

impl<T: Validator + ?Sized> ValidatorExt for T {
    fn validate(&self, source: &dyn DataSource) -> Result<Assessment> {
        let mut plan = Plan::new();
        let judge = self.plan(&source.schema(), &mut plan)?;
        judge.judge(&crate::Scan::new(source).run(&plan)?)
    }
}

/// The same two halves, fitted on a reference: has the data drifted away from it?
///
/// # Contract
/// As [`Validator`]; besides, the findings name the column, the statistic and its floor, and the
/// verdict over the dataset accounts for how many columns were tested.
/// [`conformance::drift_detector`](crate::conformance::drift_detector) tests this.
pub trait DriftDetector: Debug + Send + Sync + 'static {
    /// Adds what must be measured on current data of this schema, and gives the judge that
    /// compares it with the reference.
    ///
    /// # Errors
    /// A detector that is unusable in itself.
    fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>>;
}

/// What every drift detector can do besides.
pub trait DriftDetectorExt: DriftDetector {
    /// Compares a source with the reference: one scan.
    ///
    /// # Errors
    /// Those of the source and of [`DriftDetector::plan`].
    fn detect(&self, current: &dyn DataSource) -> Result<Assessment>;
}

impl<T: DriftDetector + ?Sized> DriftDetectorExt for T {
    fn detect(&self, current: &dyn DataSource) -> Result<Assessment> {
        let mut plan = Plan::new();
        let judge = self.plan(&current.schema(), &mut plan)?;
        judge.judge(&crate::Scan::new(current).run(&plan)?)
    }
}

macro_rules! forward {
    ($trait:ident: $($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: $trait + ?Sized> $trait for $pointer<T> {
            fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
                (**self).plan(schema, plan)
            }
        }
    )*};
}

forward!(Validator: Arc, Box);
forward!(DriftDetector: Arc, Box);
