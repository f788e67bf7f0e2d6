//! Limits of means of errors.

use crate::estimate::{Estimate, Estimates, Spread};
use crate::{ErrorCounts, ErrorMetric, Measure, Undefined};

impl Estimates for ErrorCounts {
    const WHAT: &'static str = "errors by group (GroupErrors)";

    fn has(measure: Measure) -> bool {
        matches!(measure, Measure::Error(metric) if metric != ErrorMetric::R2)
    }

    fn estimate(&self, measure: Measure, times: f64) -> Result<Estimate, Undefined> {
        let Measure::Error(metric) = measure else {
            return Err(Undefined::new("it is no metric of errors"));
        };
        let value = metric.value(self)?;
        let spread = self
            .spread(metric)
            .ok_or_else(|| Undefined::new("no rows with a label and a prediction"))?;
        let root = metric == ErrorMetric::RootMeanSquaredError;
        Ok(Estimate { value, ..spread.estimate(measure.scale(), root, times) })
    }

    fn asked(&self, _: Measure) -> u64 {
        self.complete()
    }

    fn spread_of(&self, measure: Measure) -> Option<Spread> {
        let Measure::Error(metric) = measure else { return None };
        self.spread(metric)
    }
}
