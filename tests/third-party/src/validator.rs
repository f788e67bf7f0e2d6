//! A validator: most values of a column must be even.

use mlops_core::arrow::datatypes::Schema;
use mlops_core::{Assessment, Finding, Judge, Plan, Result, Validator, Verdict};

use crate::Parity;

/// At least this share of a column's whole numbers must be even.
#[derive(Clone, Debug)]
pub struct MostlyEven {
    /// The column.
    pub column: String,
    /// The share.
    pub share: f64,
}

impl Validator for MostlyEven {
    fn plan(&self, _: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        let parity = plan.add(Parity { column: self.column.clone() });
        let asked = self.clone();
        Ok(Judge::new(move |measured| {
            let expected = format!("at least {} even", asked.share);
            let (verdict, observed, rows) = match measured.get(&parity) {
                Err(error) => (Verdict::Fail, error.to_string(), 0),
                Ok(n) if n.even + n.odd == 0 => (Verdict::Inconclusive, "no numbers".into(), 0),
                Ok(n) => {
                    let share = n.even as f64 / (n.even + n.odd) as f64;
                    (Verdict::from_bool(share >= asked.share), share.to_string(), n.even + n.odd)
                }
            };
            let finding = Finding::new("mostly_even", &asked.column, verdict, expected, observed);
            Ok(Assessment::new("mostly_even", rows, vec![finding]))
        }))
    }
}
