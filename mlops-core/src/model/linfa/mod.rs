//! Models trained by [linfa](https://rust-ml.github.io/linfa/), as models of the house (feature
//! `linfa`): what was fitted is taken over number by number, so that saving, loading and serving
//! need no linfa.
//!
//! [`logistic_regression`], [`linear_regression`] and [`decision_tree`] fit a batch;
//! [`from_logistic`], [`from_multinomial`], [`from_linear`] and [`from_tree`] take what you fitted
//! yourself.
//!
//! ```
//! use arrow::array::{Float64Array, StringArray};
//! use mlops_core::{Model, batch};
//! use mlops_core::model::linfa::{LogisticOptions, logistic_regression};
//!
//! let rows = batch! {
//!     "income" => Float64Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
//!     "paid" => StringArray::from(vec!["no", "no", "yes", "no", "yes", "yes"]),
//! }?;
//! let model = logistic_regression(&rows, &["income"], "paid", &LogisticOptions::default())?;
//! let paid = model.predict(&rows)?.score_of("yes")?;
//! assert!(paid.value(0) < 0.2 && paid.value(5) > 0.8);
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod linear;
mod logistic;
mod training;
mod tree;

pub use linear::{from_linear, linear_regression};
pub use logistic::{LogisticOptions, from_logistic, from_multinomial, logistic_regression};
pub use tree::{TreeOptions, decision_tree, from_tree};
