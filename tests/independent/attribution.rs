//! Attributions of a linear model.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use mlops::core::model::LinearModel;
use mlops::core::{MemorySource, Result};
use mlops::fairness::attribution::LinearExplainer;

use crate::cases::{Outcome, STATISTIC, cases, close, floats, matrix, name, on_threads};
use crate::paths::sources;

#[test]
fn linear_attribution_is_shaps() -> Outcome {
    for case in cases("attribution") {
        let coefficients = floats(&case["coefficients"]);
        let names: Vec<String> = (0..coefficients.len()).map(|i| format!("x{i}")).collect();
        let table = |key: &str| -> Result<RecordBatch> {
            let rows = matrix(&case[key]);
            let columns = names.iter().enumerate().map(|(j, name)| {
                let values = Float64Array::from_iter_values(rows.iter().map(|r| r[j]));
                (name.clone(), Arc::new(values) as ArrayRef, true)
            });
            Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
        };
        let intercept = case["intercept"].as_f64().expect("an intercept");
        let model = LinearModel::regression(names.clone(), coefficients.clone(), intercept)?;
        let (background, rows) = (table("background")?, table("rows")?);
        let explainer = LinearExplainer::new(&model, &MemorySource::from(background.clone()))?;
        for source in sources(&background) {
            let again = on_threads(name(case), || {
                LinearExplainer::new(&model, &source).expect("an explainer").means().to_vec()
            });
            assert_eq!(again, explainer.means(), "{}", name(case));
        }
        let explained = explainer.explain(&rows)?;
        let parts: Vec<_> = (0..rows.num_rows()).map(|i| rows.slice(i, 1)).collect();
        for (i, part) in parts.iter().enumerate() {
            assert_eq!(explainer.explain(part)?.row(0), explained.row(i), "{}", name(case));
        }
        assert_eq!(explainer.explain(&concat_batches(&rows.schema(), &parts)?)?, explained);
        let base = case["base_value"].as_f64().expect("a base value");
        close(name(case), explained.base_values[0], base, STATISTIC);
        for (i, expected) in matrix(&case["values"]).iter().enumerate() {
            let ours = explained.row(i).expect("a row");
            for (j, (ours, expected)) in ours.iter().zip(expected).enumerate() {
                // The mean is an f64; half its last place is what cannot be had.
                let slack = (coefficients[j] * explainer.means()[j]).abs() * 2f64.powi(-53);
                let off = (ours - expected).abs();
                assert!(
                    off <= 1e-12 * expected.abs() + slack,
                    "{} {i} {j}: {ours} {expected}",
                    name(case)
                );
            }
        }
    }
    Ok(())
}
