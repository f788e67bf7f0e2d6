//! Decision trees for classes.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use arrow::array::RecordBatch;
use linfa::traits::Fit;
use linfa::{DatasetBase, Label};
use linfa_trees::{DecisionTree as Fitted, SplitQuality, TreeNode as FittedNode};
use ndarray::{Array1, ArrayView1, ArrayView2};

use super::training::{Labels, labels, matrix};
use crate::model::Link;
use crate::model::trees::{Feature, Node, Question, Side, Split, Target, Tree, TreeEnsemble};
use crate::{Error, Result};

/// How a decision tree is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TreeOptions {
    /// The most questions on the way to a leaf, 1 to 64; 8 by default.
    pub max_depth: usize,
    /// The fewest rows that are asked a question, ≥ 2; 2 by default.
    pub min_samples_split: u32,
    /// The fewest rows of a leaf, ≥ 1; 1 by default.
    pub min_samples_leaf: u32,
    /// The least decrease of impurity that a question must bring, > 0; 1e-5 by default.
    pub min_impurity_decrease: f64,
    /// Impurity by entropy, not by Gini's index, the default.
    pub entropy: bool,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            max_depth: 8,
            min_samples_split: 2,
            min_samples_leaf: 1,
            min_impurity_decrease: 1e-5,
            entropy: false,
        }
    }
}

impl TreeOptions {
    /// The same with at most this many questions on the way to a leaf.
    #[must_use]
    pub fn with_max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// The same with questions only for so many rows.
    #[must_use]
    pub fn with_min_samples_split(mut self, rows: u32) -> Self {
        self.min_samples_split = rows;
        self
    }

    /// The same with leaves of at least so many rows.
    #[must_use]
    pub fn with_min_samples_leaf(mut self, rows: u32) -> Self {
        self.min_samples_leaf = rows;
        self
    }

    /// The same with questions that bring at least so much.
    #[must_use]
    pub fn with_min_impurity_decrease(mut self, decrease: f64) -> Self {
        self.min_impurity_decrease = decrease;
        self
    }

    /// The same with impurity by entropy.
    #[must_use]
    pub fn with_entropy(mut self) -> Self {
        self.entropy = true;
        self
    }

    fn check(&self) -> Result<()> {
        if !(1..=64).contains(&self.max_depth) {
            return Err(Error::invalid("max_depth", "1 to 64", self.max_depth));
        }
        if self.min_samples_split < 2 {
            return Err(Error::invalid("min_samples_split", "at least 2", self.min_samples_split));
        }
        if self.min_samples_leaf < 1 {
            return Err(Error::invalid("min_samples_leaf", "at least 1", self.min_samples_leaf));
        }
        let least = self.min_impurity_decrease;
        if !(least.is_finite() && least >= f64::EPSILON) {
            return Err(Error::invalid("min_impurity_decrease", "a number above 0", least));
        }
        Ok(())
    }
}

/// Fits a decision tree to rows of features and a label: an ensemble of one tree, whose leaves hold
/// the shares of the classes among the training rows that came there. All its features are
/// [required](Feature::required), since the training data had no holes.
///
/// linfa takes values closer than 1e-5 for equal, joins leaves of the same most frequent class,
/// and where classes tie in a leaf, or questions are equally good among three or more classes,
/// chooses by an order that changes from run to run; then the tree may differ.
///
/// # Errors
/// [`Error::Value`] for nulls, and features that are not finite; [`Error::Invalid`] for no rows,
/// one class, or options out of range.
pub fn decision_tree<S: AsRef<str>>(
    batch: &RecordBatch,
    features: &[S],
    label: &str,
    options: &TreeOptions,
) -> Result<TreeEnsemble> {
    options.check()?;
    let x = matrix(batch, features)?;
    let Labels { classes, codes } = labels(batch, label)?;
    let quality = if options.entropy { SplitQuality::Entropy } else { SplitQuality::Gini };
    let dataset = DatasetBase::new(x, codes);
    let fitted = Fitted::params()
        .split_quality(quality)
        .max_depth(Some(options.max_depth))
        .min_weight_split(options.min_samples_split as f32)
        .min_weight_leaf(options.min_samples_leaf as f32)
        .min_impurity_decrease(options.min_impurity_decrease)
        .fit(&dataset)
        .map_err(|e| Error::other("fitting a decision tree", e))?;
    let (x, codes) = (dataset.records.view(), dataset.targets);
    convert(features, &fitted, x, &codes, classes)
}

/// A fitted tree over these features, with the data that it was fitted to, shapes
/// `(n_rows, n_features)` and `(n_rows,)`: the leaves hold the shares of the classes among the
/// rows that come there, which linfa does not keep.
///
/// # Errors
/// [`Error::Length`] for data of different lengths; [`Error::Invalid`] if there is not a name for
/// each feature, and as [`TreeEnsemble::new`].
pub fn from_tree<S, L>(
    features: &[S],
    fitted: &Fitted<f64, L>,
    x: ArrayView2<'_, f64>,
    y: ArrayView1<'_, L>,
) -> Result<TreeEnsemble>
where
    S: AsRef<str>,
    L: Label + Debug + Ord + Display,
{
    // A leaf may predict nothing but a class of the data.
    let ranks: BTreeMap<&L, usize> = y.iter().map(|label| (label, 0)).collect();
    let ranks: BTreeMap<&L, usize> =
        ranks.into_keys().enumerate().map(|(at, label)| (label, at)).collect();
    let classes = ranks.keys().map(ToString::to_string).collect();
    let codes: Array1<usize> = y.iter().map(|label| ranks[label]).collect();
    convert_with(features, fitted, x, &codes, classes, |label| ranks.get(label).copied())
}

fn convert<S: AsRef<str>>(
    features: &[S],
    fitted: &Fitted<f64, usize>,
    x: ArrayView2<'_, f64>,
    codes: &Array1<usize>,
    classes: Vec<String>,
) -> Result<TreeEnsemble> {
    convert_with(features, fitted, x, codes, classes, |&code| Some(code))
}

fn convert_with<S: AsRef<str>, L: Label + Debug>(
    features: &[S],
    fitted: &Fitted<f64, L>,
    x: ArrayView2<'_, f64>,
    codes: &Array1<usize>,
    classes: Vec<String>,
    rank: impl Fn(&L) -> Option<usize>,
) -> Result<TreeEnsemble> {
    if x.nrows() != codes.len() {
        return Err(Error::Length {
            left: "the features".into(),
            left_len: x.nrows(),
            right: "the labels".into(),
            right_len: codes.len(),
        });
    }
    if x.ncols() != features.len() {
        let expected = format!("{} names", x.ncols());
        return Err(Error::invalid("features of a decision tree", expected, features.len()));
    }
    // Level by level, so that children stand behind their parents.
    let mut open = vec![(fitted.root_node(), (0..x.nrows()).collect::<Vec<_>>())];
    let mut nodes = Vec::new();
    let mut values = Vec::new();
    while !open.is_empty() {
        let mut next = Vec::new();
        let first_child = nodes.len() + open.len();
        for (node, rows) in open {
            let cover = rows.len() as f64;
            let Some((left, right)) = children(node) else {
                let leaf = shares(&rows, codes, classes.len(), || {
                    node.prediction().and_then(|l| rank(&l))
                })?;
                let value = (values.len() / classes.len().max(1)) as u32;
                values.extend(leaf);
                nodes.push(Node::Leaf { value, cover });
                continue;
            };
            let (feature, threshold, _) = node.split();
            if feature >= x.ncols() {
                let expected = format!("one of the {} features", x.ncols());
                return Err(Error::invalid("feature of a linfa tree", expected, feature));
            }
            let (below, above) = rows.into_iter().partition(|&row| x[[row, feature]] < threshold);
            let at = (first_child + next.len()) as u32;
            let Some(question) = Question::below(threshold) else {
                return Err(Error::invalid("threshold of a linfa tree", "a number", threshold));
            };
            nodes.push(Node::Split(Split {
                feature: feature as u32,
                question,
                missing: Side::Right,
                zero_is_missing: false,
                left: at,
                right: at + 1,
                cover,
            }));
            next.push((left, below));
            next.push((right, above));
        }
        open = next;
    }
    let features = features.iter().map(|f| Feature::number(f.as_ref()).required()).collect();
    let tree = Tree { target: Target::All, ..Tree::new(nodes, values) };
    TreeEnsemble::new(features, vec![tree], vec![0.0; classes.len()], Link::Scores { classes })
}

type Pair<'a, L> = (&'a FittedNode<f64, L>, &'a FittedNode<f64, L>);

fn children<L: Label + Debug>(node: &FittedNode<f64, L>) -> Option<Pair<'_, L>> {
    if node.is_leaf() {
        return None;
    }
    match node.children()[..] {
        [Some(left), Some(right)] => Some((left, right)),
        _ => None,
    }
}

/// The shares of the classes among these rows; all for the predicted class where there are none.
fn shares(
    rows: &[usize],
    codes: &Array1<usize>,
    classes: usize,
    predicted: impl Fn() -> Option<usize>,
) -> Result<Vec<f64>> {
    let mut counts = vec![0u64; classes];
    for &row in rows {
        counts[codes[row]] += 1;
    }
    if rows.is_empty() {
        let class = predicted().ok_or_else(|| {
            Error::invalid("class of a leaf", "one of the labels", "another, and no rows")
        })?;
        counts[class] = 1;
    }
    let total = rows.len().max(1) as f64;
    Ok(counts.into_iter().map(|n| n as f64 / total).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};
    use linfa::traits::Predict;

    use super::*;
    use crate::model::{Model, Nulls, features};
    use crate::{batch, conformance};

    fn made(rows: usize) -> RecordBatch {
        let wave = |i: usize, f: f64| (i as f64 * f).sin() + (i as f64 * f * f).cos();
        let column = |f: f64| Float64Array::from_iter_values((0..rows).map(|i| wave(i, f)));
        let label = (0..rows).map(|i| match wave(i, 1.3) * wave(i, 2.7) + 0.3 * wave(i, 7.9) {
            z if z < -0.3 => "low",
            z if z < 0.4 => "mid",
            _ => "top",
        });
        let label = StringArray::from_iter_values(label);
        batch! { "a" => column(1.3), "b" => column(2.7), "c" => column(3.1), "y" => label }.unwrap()
    }

    #[test]
    fn labels_are_linfas() {
        let rows = made(400);
        let names = ["a", "b", "c"];
        let x = features(&rows, &names, Nulls::Refuse).unwrap();
        let Labels { classes, codes } = labels(&rows, "y").unwrap();
        let y = codes.mapv(|code| classes[code].clone());
        let dataset = DatasetBase::new(x.clone(), y.clone());
        for quality in [SplitQuality::Gini, SplitQuality::Entropy] {
            for depth in [1, 3, 9] {
                let params = Fitted::params().split_quality(quality).max_depth(Some(depth));
                let fitted = params.min_weight_leaf(3.0).fit(&dataset).unwrap();
                let ours = from_tree(&names, &fitted, x.view(), y.view()).unwrap();
                assert_eq!(
                    (ours.depth(), ours.leaves()),
                    (fitted.max_depth(), fitted.num_leaves())
                );
                assert_eq!(ours.trees()[0].nodes[0].cover(), 400.0);
                let predicted = ours.predict(&rows).unwrap();
                let theirs: Array1<String> = fitted.predict(&x);
                for (row, theirs) in theirs.iter().enumerate() {
                    // Where classes tie, linfa takes any of them.
                    let p = predicted.score_of(theirs).unwrap().value(row);
                    let best = classes.iter().map(|c| predicted.score_of(c).unwrap().value(row));
                    assert_eq!(p, best.fold(0.0, f64::max), "row {row}");
                }
                conformance::model(&ours, &rows);
            }
        }
    }

    #[test]
    fn fits_a_batch_and_goes_through_a_file() {
        let rows = made(300);
        let options = TreeOptions::default().with_max_depth(5).with_min_samples_leaf(5);
        let tree = decision_tree(&rows, &["a", "b"], "y", &options).unwrap();
        assert!(tree.depth() <= 5 && tree.leaves() > 3, "{tree}");
        assert!(tree.trees()[0].nodes.iter().all(|node| node.cover() >= 5.0));
        let back = TreeEnsemble::from_bytes(&tree.to_bytes()).unwrap();
        assert_eq!(back.predict(&rows).unwrap(), tree.predict(&rows).unwrap());
    }

    #[test]
    fn data_without_a_question_is_one_leaf() {
        let rows = batch! {
            "same" => Float64Array::from(vec![1.0; 4]),
            "y" => StringArray::from(vec!["a", "b", "b", "b"]),
        }
        .unwrap();
        let tree = decision_tree(&rows, &["same"], "y", &TreeOptions::default()).unwrap();
        assert_eq!(tree.trees()[0].nodes, [Node::Leaf { value: 0, cover: 4.0 }]);
        assert_eq!(tree.trees()[0].values, [0.25, 0.75]);
        let one = rows.slice(1, 3);
        let error = decision_tree(&one, &["same"], "y", &TreeOptions::default()).unwrap_err();
        assert!(error.to_string().contains("only `b`"), "{error}");
        for options in [
            TreeOptions::default().with_max_depth(0),
            TreeOptions::default().with_min_samples_leaf(0),
            TreeOptions::default().with_min_impurity_decrease(0.0),
            TreeOptions::default().with_min_samples_split(1),
        ] {
            assert!(decision_tree(&rows, &["same"], "y", &options).is_err());
        }
    }
}
