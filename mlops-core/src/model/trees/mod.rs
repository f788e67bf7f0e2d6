//! Ensembles of decision trees as plain data: read from the files of those who trained them,
//! checked once, predicted fast, and open to whoever explains them.
//!
//! [`TreeEnsemble`] is the one representation, of a single tree as of a thousand. Loaders, which
//! need no other library: [`xgboost`] (JSON and UBJSON), [`lightgbm`] (text and JSON),
//! [`catboost`] (JSON), [`onnx`], and [`sklearn`] (arrays as JSON); [`model::linfa`] trains some.
//!
//! ```
//! use arrow::array::Float64Array;
//! use mlops_core::{Model, batch};
//! use mlops_core::model::trees::xgboost;
//!
//! let file = br#"{"learner": {
//!     "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "1"},
//!     "objective": {"name": "reg:squarederror"}, "feature_names": ["age"],
//!     "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [{
//!         "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
//!         "split_conditions": [30.0, 1.5, 7.0], "default_left": [true, false, false],
//!         "sum_hessian": [9.0, 4.0, 5.0]}]}}}, "version": [3, 0, 0]}"#;
//! let model = xgboost::load(file)?;
//! let rows = batch! { "age" => Float64Array::from(vec![Some(29.0), Some(30.0), None]) }?;
//! assert_eq!(model.predict(&rows)?.as_values()?.values(), &[2.0, 7.5, 2.0]);
//! // What the trainer itself says of some rows is the best proof that a file was understood.
//! model.check(&rows, &[2.0, 7.5, 2.0], 1e-6)?;
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! [`model::linfa`]: crate::model

mod bytes;
mod columns;
mod ensemble;
mod grow;
mod json;
mod outline;
mod predict;
mod reader;
mod routes;
mod tree;
mod ubjson;

pub mod catboost;
pub mod lightgbm;
pub mod onnx;
pub mod sklearn;
pub mod xgboost;

pub use columns::Columns;
pub use ensemble::{Feature, FeatureKind, Labels, TreeEnsemble};
pub use routes::{Bin, BinWidth, Routes};
pub use tree::{CategorySet, Node, Question, Side, Split, Target, Tree};

#[cfg(test)]
mod tests;
