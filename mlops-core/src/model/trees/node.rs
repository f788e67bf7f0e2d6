//! The nodes of a tree, and what makes a list of them a tree.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A node of a tree; children are indices into the tree's list of nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TreeNode {
    /// A question: is the feature below the threshold?
    Split {
        /// The index of the feature.
        feature: usize,
        /// Rows with `x < threshold` go left, others right. A tree of `x ≤ t` has the next number
        /// above `t` here.
        threshold: f64,
        /// Where rows go that have no number there (null or NaN); such a row has no prediction
        /// where this is `None`.
        missing: Option<Side>,
        /// The index of the child for rows below the threshold.
        left: usize,
        /// The index of the child for the others.
        right: usize,
        /// The weight of the training rows that came here.
        cover: f64,
    },
    /// An answer.
    Leaf {
        /// The value of a regression, or each class's probability.
        values: Vec<f64>,
        /// The weight of the training rows that came here.
        cover: f64,
    },
}

impl TreeNode {
    /// The weight of the training rows that came here.
    pub fn cover(&self) -> f64 {
        match self {
            Self::Split { cover, .. } | Self::Leaf { cover, .. } => *cover,
        }
    }
}

/// One of the two children of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The child for rows below the threshold.
    Left,
    /// The child for the others.
    Right,
}

/// Whether these nodes are one tree with its root first, in which every child stands behind its
/// parent and is the child of one node only: so there are no cycles, no strays, and no walk longer
/// than the greatest depth, which is returned.
pub(super) fn check(nodes: &[TreeNode], features: usize, outputs: usize) -> Result<usize> {
    let wrong = |at: usize, expected: &str, found: String| {
        Err(Error::invalid(format!("node {at} of a decision tree"), expected, found))
    };
    if nodes.is_empty() {
        return Err(Error::invalid("decision tree", "at least one node", "none"));
    }
    let mut depths: Vec<Option<usize>> = vec![None; nodes.len()];
    depths[0] = Some(0);
    for (at, node) in nodes.iter().enumerate() {
        let Some(depth) = depths[at] else {
            return wrong(at, "a node that another leads to", "none does".into());
        };
        let cover = node.cover();
        if !(cover.is_finite() && cover >= 0.0) {
            return wrong(at, "a finite cover of at least 0", cover.to_string());
        }
        match node {
            TreeNode::Leaf { values, .. } => {
                if values.len() != outputs {
                    return wrong(at, &format!("{outputs} values"), values.len().to_string());
                }
                if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                    return wrong(at, "finite values", value.to_string());
                }
            }
            TreeNode::Split { feature, threshold, left, right, .. } => {
                if *feature >= features {
                    return wrong(at, &format!("one of {features} features"), feature.to_string());
                }
                if !threshold.is_finite() {
                    return wrong(at, "a finite threshold", threshold.to_string());
                }
                for &child in [left, right] {
                    if child <= at || child >= nodes.len() {
                        let expected = format!("a child above {at} and below {}", nodes.len());
                        return wrong(at, &expected, child.to_string());
                    }
                    if depths[child].replace(depth + 1).is_some() {
                        return wrong(child, "a child of one node", "a child of two".into());
                    }
                }
            }
        }
    }
    Ok(depths.into_iter().flatten().max().unwrap_or(0))
}
