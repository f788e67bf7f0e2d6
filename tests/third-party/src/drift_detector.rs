//! A drift detector: has the share of even numbers moved away from the reference's?

use mlops_core::arrow::datatypes::Schema;
use mlops_core::stats::{Proportion, ProportionPair, miettinen_nurminen_difference};
use mlops_core::{
    Assessment, DataSource, DriftDetector, Finding, Judge, Plan, Result, Scan, Verdict,
};

use crate::Parity;
use crate::analyzer::EvenOdd;

/// Compares the share of even numbers with a reference's, within a floor.
#[derive(Clone, Debug)]
pub struct ParityDrift {
    parity: Parity,
    reference: EvenOdd,
    floor: f64,
}

impl ParityDrift {
    /// Fits the reference.
    ///
    /// # Errors
    /// Those of the scan.
    pub fn fit(column: &str, floor: f64, reference: &dyn DataSource) -> Result<Self> {
        let parity = Parity { column: column.to_owned() };
        let reference = Scan::new(reference).run(&parity)?;
        Ok(Self { parity, reference, floor })
    }

    fn judge(&self, current: EvenOdd) -> (Verdict, String) {
        let side = |n: EvenOdd| Proportion { successes: n.even, n: n.even + n.odd };
        let pair = ProportionPair { current: side(current), reference: side(self.reference) };
        match miettinen_nurminen_difference(pair, 0.95) {
            Err(error) => (Verdict::Inconclusive, error.to_string()),
            Ok(moved) => {
                let verdict = if moved.low > self.floor || moved.high < -self.floor {
                    Verdict::Fail
                } else if moved.low >= -self.floor && moved.high <= self.floor {
                    Verdict::Pass
                } else {
                    Verdict::Inconclusive
                };
                (verdict, format!("moved by {:.3} to {:.3}", moved.low, moved.high))
            }
        }
    }
}

impl DriftDetector for ParityDrift {
    fn plan(&self, _: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        let handle = plan.add(self.parity.clone());
        let fitted = self.clone();
        Ok(Judge::new(move |measured| {
            let expected = format!("a share within {} of the reference's", fitted.floor);
            let (rows, (verdict, observed)) = match measured.get(&handle) {
                Ok(now) => (now.even + now.odd, fitted.judge(*now)),
                Err(error) => (0, (Verdict::Fail, error.to_string())),
            };
            let column = &fitted.parity.column;
            let finding = Finding::new("parity", column, verdict, expected, observed);
            Ok(Assessment::new("parity", rows, vec![finding]))
        }))
    }
}
