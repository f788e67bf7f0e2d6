//! Mitigation: before a model is trained, in training, and after.
//!
//! | when | what | fitted as |
//! |---|---|---|
//! | before | [`Reweighing`]: weights under which label and group are independent | [`LabelCounts`], one pass |
//! | before | [`CorrelationRemover`]: features without what they tell of sensitive columns, linearly | two passes |
//! | before | [`DisparateImpactRemover`]: features of one distribution in all groups | [`GroupQuantiles`], one pass |
//! | in training | [`ExponentiatedGradient`]: a mixture of models under a parity, over any [`Fit`] | training runs |
//! | after | [`ThresholdOptimizer`]: thresholds by group | [`GroupScores`](crate::GroupScores), one pass |
//!
//! What a mitigation is worth shows on rows that it was not fitted on: [`hold_out`] splits them,
//! so that equal rows are never on both sides, and [`Comparison`] puts the model before beside that
//! after, with what the parity costs in accuracy.
//!
//! ```
//! use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
//! use mlops_core::model::LinearModel;
//! use mlops_core::stats::Draws;
//! use mlops_core::{MemorySource, Model, batch, with_column};
//! use mlops_fairness::GroupScores;
//! use mlops_fairness::mitigation::{Comparison, Parity, ThresholdOptimizer, hold_out};
//!
//! // Women's records are shorter, which the model takes for risk.
//! let mut draws = Draws::new(5, 0, 0);
//! let people: Vec<(bool, f64, f64)> = (0..8000)
//!     .map(|_| {
//!         let woman = draws.bernoulli(0.45);
//!         (woman, draws.uniform(), draws.uniform() * if woman { 6.0 } else { 9.0 })
//!     })
//!     .collect();
//! let rows = batch! {
//!     "sex" => StringArray::from_iter_values(people.iter().map(|p| ["M", "F"][usize::from(p.0)])),
//!     "income" => Float64Array::from_iter_values(people.iter().map(|p| p.1)),
//!     "years" => Float64Array::from_iter_values(people.iter().map(|p| p.2)),
//!     "paid" => StringArray::from_iter_values(people.iter().map(|p| if p.1 > 0.4 { "grant" } else { "reject" })),
//! }?;
//! let model = LinearModel::logistic(["income", "years"], [4.0, 0.4], -3.6, "reject", "grant")?;
//!
//! // Thresholds are chosen on some rows and judged on others.
//! let split = hold_out(&rows, 0.5, 1)?;
//! let scores = model.predict(&split.fit)?.score_of("grant")?;
//! let scored = with_column(&split.fit, "score", std::sync::Arc::new(scores))?;
//! let thresholds = ThresholdOptimizer::new(Parity::DemographicParity)
//!     .fit(&MemorySource::from(scored), &GroupScores::new("paid", "grant", "score", ["sex"]))?;
//! let fair = thresholds.apply_to(model.clone())?;
//!
//! let compared = Comparison::on(&split.held_out, "paid", "grant", ["sex"], &model, &fair)?;
//! let gap = |frame: &mlops_fairness::MetricFrame| {
//!     mlops_fairness::gap::demographic_parity_difference(frame, 0.95).map(|gap| gap.value)
//! };
//! assert!(gap(&compared.before)? > 0.1 && gap(&compared.after)? < 0.06);
//! println!("{compared}");
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod comparison;
mod constraint;
mod correlation_remover;
mod cross_products;
mod encoding;
mod exponentiated_gradient;
mod fit;
mod group_thresholds;
mod groups;
mod holdout;
mod impact_remover;
mod labels;
mod linear_program;
mod replaced;
mod reweighing;
mod row_key;
mod threshold_optimizer;
mod tradeoff;

pub use comparison::{Compared, Comparison};
pub use constraint::Constraint;
pub use correlation_remover::CorrelationRemover;
pub use encoding::Encoded;
pub use exponentiated_gradient::{Bound, ExponentiatedGradient, FairMixture};
pub use fit::{Fit, LogisticFit, Training};
pub use group_thresholds::{Constant, Expected, GroupRule, GroupThresholds, ThresholdedModel};
pub use holdout::{Holdout, hold_out};
pub use impact_remover::{
    DisparateImpactRemover, GroupCurves, GroupQuantiles, GroupQuantilesState,
};
pub use reweighing::{CellWeight, LabelCounts, LabelCountsState, Reweighing};
pub use threshold_optimizer::{Decision, Objective, Parity, ThresholdOptimizer};
pub use tradeoff::Cut;
