//! One decision tree, for values or for classes.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::node::{Side, TreeNode, check};
use crate::model::{Model, Predictions, file};
use crate::{Error, Result, Rows};

/// What the leaves of a tree hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TreeOutput {
    /// One value: a regression.
    Value,
    /// A probability for each of these classes, that add up to 1.
    Classes(Vec<String>),
}

/// A decision tree: questions `x < threshold` on the way from the root to a leaf.
///
/// A row that has no number (null or NaN) where a question asks for one goes where the node says,
/// or has a null prediction. A row's prediction depends on nothing but the row. Time is
/// `O(n_rows · depth)`.
///
/// The same thing as scikit-learn's `DecisionTreeClassifier.predict_proba` and
/// `DecisionTreeRegressor.predict`, whose questions are `x <= threshold`.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{Model, batch};
/// use mlops_core::model::trees::{DecisionTree, TreeNode, TreeOutput};
///
/// let tree = DecisionTree::new(
///     vec!["age".into()],
///     TreeOutput::Value,
///     vec![
///         TreeNode::Split { feature: 0, threshold: 30.0, missing: None, left: 1, right: 2, cover: 9.0 },
///         TreeNode::Leaf { values: vec![1.5], cover: 4.0 },
///         TreeNode::Leaf { values: vec![7.0], cover: 5.0 },
///     ],
/// )?;
/// let rows = batch! { "age" => Float64Array::from(vec![Some(29.0), Some(30.0), None]) }?;
/// let values = tree.predict(&rows)?;
/// assert_eq!(values.as_values()?.iter().collect::<Vec<_>>(), [Some(1.5), Some(7.0), None]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct DecisionTree {
    features: Vec<String>,
    output: TreeOutput,
    nodes: Vec<TreeNode>,
    depth: usize,
    schema: SchemaRef,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    features: Vec<String>,
    output: TreeOutput,
    nodes: Vec<TreeNode>,
}

impl TryFrom<Parts> for DecisionTree {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self> {
        Self::new(parts.features, parts.output, parts.nodes)
    }
}

impl From<DecisionTree> for Parts {
    fn from(tree: DecisionTree) -> Self {
        Self { features: tree.features, output: tree.output, nodes: tree.nodes }
    }
}

impl DecisionTree {
    /// The name of its file format.
    pub const FORMAT: &str = "mlops.decision_tree";
    /// The version of its file format.
    pub const VERSION: u32 = 1;
    /// The greatest depth that a tree may have.
    pub const MAX_DEPTH: usize = 512;

    /// A tree from its nodes, the root first and every child behind its parent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the node: nodes that are no tree (a child that is not there, stands
    /// before its parent or has two; a node that nothing leads to), a feature that is not there,
    /// numbers that are not finite, leaves of another length than the output, probabilities that
    /// are not; a name given twice; a tree deeper than [`MAX_DEPTH`](Self::MAX_DEPTH).
    pub fn new(features: Vec<String>, output: TreeOutput, nodes: Vec<TreeNode>) -> Result<Self> {
        const WHAT: &str = "decision tree";
        let classes: &[String] = match &output {
            TreeOutput::Value => &[],
            TreeOutput::Classes(classes) => classes,
        };
        for (kind, names) in [("features", &features[..]), ("classes", classes)] {
            if let Some(twice) = crate::model::first_duplicate(names) {
                let found = format!("`{twice}` twice");
                return Err(Error::invalid(WHAT, format!("{kind} of different names"), found));
            }
        }
        let is_classifier = output != TreeOutput::Value;
        if is_classifier && classes.is_empty() {
            return Err(Error::invalid(WHAT, "at least one class", "none"));
        }
        let outputs = if is_classifier { classes.len() } else { 1 };
        let depth = check(&nodes, features.len(), outputs)?;
        if depth > Self::MAX_DEPTH {
            return Err(Error::invalid(
                WHAT,
                format!("a depth of at most {}", Self::MAX_DEPTH),
                depth,
            ));
        }
        for (at, node) in nodes.iter().enumerate() {
            if let TreeNode::Leaf { values, .. } = node
                && is_classifier
                && (values.iter().any(|p| !(0.0..=1.0).contains(p))
                    || (values.iter().sum::<f64>() - 1.0).abs() > 1e-9)
            {
                let what = format!("node {at} of a {WHAT}");
                let found = format!("{values:?}");
                return Err(Error::invalid(what, "probabilities that add up to 1", found));
            }
        }
        let fields = features.iter().map(|name| Field::new(name, DataType::Float64, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { features, output, nodes, depth, schema })
    }

    /// The features, in the order of the nodes' indices.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// What the leaves hold.
    pub fn output(&self) -> &TreeOutput {
        &self.output
    }

    /// The nodes, the root first, every child behind its parent.
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// The number of questions on the longest way to a leaf.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The number of leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, TreeNode::Leaf { .. })).count()
    }

    /// The index of the leaf that each row comes to; null where a question has no answer.
    /// scikit-learn's `apply`.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] and [`Error::ColumnType`] with the feature's name.
    pub fn apply(&self, batch: &RecordBatch) -> Result<UInt32Array> {
        let rows = Rows::new(batch);
        let columns = self.features.iter().map(|name| rows.numbers(name));
        let columns: Vec<&Float64Array> = columns.collect::<Result<_>>()?;
        let number = |feature: usize, row: usize| {
            let column = columns[feature];
            let x = column.value(row);
            (column.is_valid(row) && !x.is_nan()).then_some(x)
        };
        Ok((0..batch.num_rows()).map(|row| self.leaf(|feature| number(feature, row))).collect())
    }

    /// The leaf for a row of these numbers.
    fn leaf(&self, number: impl Fn(usize) -> Option<f64>) -> Option<u32> {
        let mut at = 0;
        // Every step goes to a greater index, so this ends.
        while let TreeNode::Split { feature, threshold, missing, left, right, .. } = &self.nodes[at]
        {
            let side = match number(*feature) {
                Some(x) if x < *threshold => Side::Left,
                Some(_) => Side::Right,
                None => (*missing)?,
            };
            at = if side == Side::Left { *left } else { *right };
        }
        Some(at as u32)
    }

    /// The tree as bytes: versioned JSON, in which every number reads back as the same bits.
    ///
    /// # Errors
    /// Never for a tree that could be made; serialisation is fallible by type.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        file::write(Self::FORMAT, Self::VERSION, self)
    }

    /// A tree from the bytes of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`Error::Invalid`] for another format or version, cut or changed JSON, and all that
    /// [`new`](Self::new) refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        file::read(Self::FORMAT, Self::VERSION, bytes)
    }
}

impl Model for DecisionTree {
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let outputs = match &self.output {
            TreeOutput::Value => 1,
            TreeOutput::Classes(classes) => classes.len(),
        };
        let leaves = self.apply(batch)?;
        let values: Float64Array = leaves
            .iter()
            .flat_map(|leaf| {
                let values = leaf.and_then(|leaf| match &self.nodes[leaf as usize] {
                    TreeNode::Leaf { values, .. } => Some(values),
                    TreeNode::Split { .. } => None,
                });
                (0..outputs).map(move |k| values.map(|v| v[k]))
            })
            .collect();
        match &self.output {
            TreeOutput::Value => Ok(Predictions::values(values)),
            TreeOutput::Classes(classes) => Predictions::scores(classes.as_slice(), values),
        }
    }
}

impl fmt::Display for DecisionTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decision tree, depth {}, {} leaves", self.depth, self.leaves())?;
        let mut open = vec![(0, 1, None)];
        while let Some((at, indent, question)) = open.pop() {
            write!(f, "\n{:indent$}", "", indent = 2 * indent)?;
            if let Some((name, sign, threshold)) = question {
                let name: &str = name;
                write!(f, "{name} {sign} {threshold}: ")?;
            }
            match &self.nodes[at] {
                TreeNode::Split { feature, threshold, left, right, cover, .. } => {
                    write!(f, "({cover} rows)")?;
                    let name = self.features[*feature].as_str();
                    open.push((*right, indent + 1, Some((name, ">=", *threshold))));
                    open.push((*left, indent + 1, Some((name, "<", *threshold))));
                }
                TreeNode::Leaf { values, cover } => {
                    match &self.output {
                        TreeOutput::Value => write!(f, "{:.4}", values[0])?,
                        TreeOutput::Classes(classes) => {
                            for (k, (class, p)) in classes.iter().zip(values).enumerate() {
                                write!(f, "{}{class} {p:.4}", if k == 0 { "" } else { ", " })?;
                            }
                        }
                    }
                    write!(f, " ({cover} rows)")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{batch, conformance};

    fn split(feature: usize, threshold: f64, left: usize, right: usize) -> TreeNode {
        TreeNode::Split { feature, threshold, missing: None, left, right, cover: 2.0 }
    }

    fn leaf(values: &[f64]) -> TreeNode {
        TreeNode::Leaf { values: values.to_vec(), cover: 1.0 }
    }

    fn tree() -> DecisionTree {
        let mut nodes =
            vec![split(1, 0.5, 1, 2), leaf(&[1.0, 0.0]), split(0, -1.0, 3, 4), leaf(&[0.25, 0.75])];
        nodes.push(leaf(&[0.0, 1.0]));
        if let TreeNode::Split { missing, .. } = &mut nodes[2] {
            *missing = Some(Side::Left);
        }
        let classes = TreeOutput::Classes(vec!["no".into(), "yes".into()]);
        DecisionTree::new(vec!["a".into(), "b".into()], classes, nodes).unwrap()
    }

    #[test]
    fn rows_find_their_leaf() {
        let inf = f64::INFINITY;
        let rows = batch! {
            "a" => Float64Array::from(vec![Some(0.0), Some(-2.0), Some(-1.0), None, Some(f64::NAN), Some(0.0), Some(-inf)]),
            "b" => Float64Array::from(vec![Some(0.4), Some(0.5), Some(1.0), Some(inf), Some(1.0), None, Some(1.0)]),
        }
        .unwrap();
        let leaves: Vec<_> = tree().apply(&rows).unwrap().iter().collect();
        assert_eq!(leaves, [Some(1), Some(3), Some(4), Some(3), Some(3), None, Some(3)]);
        let yes = tree().predict(&rows).unwrap().score_of("yes").unwrap();
        let expected = [Some(0.0), Some(0.75), Some(1.0), Some(0.75), Some(0.75), None, Some(0.75)];
        assert_eq!(yes.iter().collect::<Vec<_>>(), expected);
        conformance::model(&tree(), &rows);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let refused = |nodes: Vec<TreeNode>, word: &str| {
            let error = DecisionTree::new(vec!["a".into()], TreeOutput::Value, nodes).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        };
        let l = || leaf(&[1.0]);
        refused(vec![], "at least one node");
        refused(
            vec![split(0, 0.0, 0, 1), l()],
            "node 0 of a decision tree: expected a child above 0 and below 2",
        );
        refused(vec![split(0, 0.0, 1, 2), l(), split(0, 0.0, 1, 0)], "child above 2");
        refused(vec![split(0, 0.0, 1, 9), l(), l()], "found 9");
        refused(vec![split(0, 0.0, 1, 1), l()], "a child of two");
        refused(vec![l(), l()], "none does");
        refused(vec![split(1, 0.0, 1, 2), l(), l()], "one of 1 features");
        refused(vec![split(0, f64::NAN, 1, 2), l(), l()], "finite threshold");
        refused(vec![leaf(&[f64::INFINITY])], "finite values");
        refused(vec![leaf(&[1.0, 2.0])], "1 values");
        refused(vec![TreeNode::Leaf { values: vec![1.0], cover: -1.0 }], "cover");
        let deep: Vec<_> = (0..600)
            .flat_map(|i| [split(0, 0.0, 2 * i + 1, 2 * i + 2), l()])
            .chain([l()])
            .collect();
        refused(deep, "a depth of at most 512");
        let classes = TreeOutput::Classes(vec!["x".into(), "y".into()]);
        let error = DecisionTree::new(vec![], classes, vec![leaf(&[0.5, 0.6])]).unwrap_err();
        assert!(error.to_string().contains("add up to 1"), "{error}");
    }

    #[test]
    fn prints_as_an_outline() {
        let expected = "\
decision tree, depth 2, 3 leaves
  (2 rows)
    b < 0.5: no 1.0000, yes 0.0000 (1 rows)
    b >= 0.5: (2 rows)
      a < -1: no 0.2500, yes 0.7500 (1 rows)
      a >= -1: no 0.0000, yes 1.0000 (1 rows)";
        assert_eq!(tree().to_string(), expected);
    }

    #[test]
    fn files_come_back_and_are_not_trusted() {
        let bytes = tree().to_bytes().unwrap();
        assert_eq!(DecisionTree::from_bytes(&bytes).unwrap(), tree());
        let model = crate::model::load(&bytes).unwrap();
        assert_eq!(model.input_schema(), tree().input_schema());
        for n in 0..bytes.len() {
            assert!(DecisionTree::from_bytes(&bytes[..n]).is_err());
        }
        let text = String::from_utf8(bytes).unwrap();
        let cyclic = text.replacen("\"left\":3", "\"left\":0", 1);
        let error = DecisionTree::from_bytes(cyclic.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("node 2 of a decision tree"), "{error}");
        let nested = "[".repeat(100_000);
        assert!(DecisionTree::from_bytes(nested.as_bytes()).is_err());
        let nested = text.replace("\"left\":3", &format!("\"left\":{nested}"));
        assert!(DecisionTree::from_bytes(nested.as_bytes()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn changed_bytes_never_panic(at in 0usize..400, byte in any::<u8>()) {
            let mut bytes = tree().to_bytes().unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(tree) = DecisionTree::from_bytes(&bytes) {
                let rows = batch! { "z" => Float64Array::from(vec![1.0]) }.unwrap();
                drop(tree.predict(&rows));
                prop_assert!(tree.depth() <= DecisionTree::MAX_DEPTH);
            }
        }
    }
}
