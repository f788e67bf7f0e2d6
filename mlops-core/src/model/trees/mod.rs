//! Decision trees as plain data: made by whoever trained them, read without trust, predicted by
//! walking.

mod decision_tree;
mod node;

pub use decision_tree::{DecisionTree, TreeOutput};
pub use node::{Side, TreeNode};
