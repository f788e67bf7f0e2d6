//! Which feature moved a prediction, and by how much.
//!
//! An [`Explainer`] gives [`Attributions`]: for every row and output what each feature added to the
//! mean prediction of a background, and how near the sum is to what the model says on its own.
//!
//! | explainer | of | is |
//! |---|---|---|
//! | [`TreeExplainer`] | tree ensembles' margins, path-dependent | exact, any depth |
//! | [`InterventionalExplainer`] | tree ensembles' margins, any background | exact |
//! | [`RescaledExplainer`] | tree ensembles' predictions or log-loss, a small background | margins' exact values through the link |
//! | [`InteractionExplainer`] | tree ensembles' margins, pairs of features, path-dependent or against any background | exact |
//! | [`LinearExplainer`] | linear models' margins | exact; with correlated features exact up to 12 |
//! | [`ExactExplainer`] | any model | exact, 2^M coalitions a row |
//! | [`PartitionExplainer`] | any model | exact Owen values of groups of features |
//! | [`PermutationExplainer`] | any model | estimated, with standard errors and a stop rule |
//! | [`SamplingExplainer`] | any model, large backgrounds | estimated, with standard errors |
//! | [`KernelExplainer`] | any model | a regression on coalitions; exact if all are asked for |
//! | [`GradientExplainer`] | models with derivatives | expected gradients, with standard errors |
//!
//! What any model needs besides is a [`MaskedModel`]: the model and a [`Background`]. An
//! [`ExplainedSource`] puts attributions beside the data as columns, so that an
//! [`AttributionSummary`] of any number of rows, drift of attributions and files of them are what
//! they are for any data; [`Summary::gap`] splits a gap between groups among the features.
//! [`PermutationImportance`] and [`PartialDependence`] look at a model from further away. The
//! [`pictures`] of all this stand on one page in an [`AttributionReport`].

mod attribution_gap;
mod background;
mod batches;
mod exact;
mod explained_source;
mod explainer;
mod gradients;
mod joint;
mod kernel;
mod labels;
mod linear;
mod linear_correlated;
mod masked_model;
mod partial_dependence;
mod partition;
mod permutation;
mod permutation_importance;
pub mod pictures;
mod report;
mod row_pictures;
mod sampling;
mod summary;
mod trees;
mod values;

pub use attribution_gap::{AttributionGap, GapOf, GapPart};
pub use background::Background;
pub use batches::PhiColumns;
pub use exact::ExactExplainer;
pub use explained_source::ExplainedSource;
pub use explainer::{Explainer, ExplainerExt, Watch};
pub use gradients::{Differentiable, GradientExplainer};
pub use kernel::KernelExplainer;
pub use labels::Labels;
pub use linear::LinearExplainer;
pub use linear_correlated::Correlation;
pub use masked_model::MaskedModel;
pub use partial_dependence::{DependenceCurve, PartialDependence};
pub use partition::{Partition, PartitionExplainer};
pub use permutation::PermutationExplainer;
pub use permutation_importance::{PermutationImportance, PermutationImportances, ScoreLoss};
pub use report::AttributionReport;
pub use sampling::SamplingExplainer;
pub use summary::{
    AttributionSummary, AttributionSummaryState, CohortFeatureSummary, CohortSummary,
    FeatureSummary, InteractionSummary, Summary, ValueBin, ValuePlace,
};
pub use trees::{
    InteractionExplainer, Interactions, InterventionalExplainer, Precision, RescaledExplainer,
    TreeExplainer,
};
pub use values::{Additivity, AttributionParts, Attributions, FeatureImportance, Space};
