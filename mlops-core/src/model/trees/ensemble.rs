//! Trees, what their leaves add up to, and how that becomes a prediction.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, Float64Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::predict::{ALONE, Prepared, walk_alone};
use super::{Columns, Node, Routes, Tree};
use crate::model::{Link, Model, Predictions, first_duplicate};
use crate::{Error, Result};

/// A column that an ensemble reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The name of the column.
    pub name: String,
    /// What stands in it.
    pub kind: FeatureKind,
    /// Whether a row without a value there (null or NaN) has no prediction: the model was not made
    /// to know where such rows go. The splits' `missing` then means nothing.
    pub required: bool,
}

impl Feature {
    /// A column of numbers, which may be missing.
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: FeatureKind::Number, required: false }
    }

    /// A column of categories; see [`FeatureKind::Category`].
    pub fn category(name: impl Into<String>, labels: Option<Labels>) -> Self {
        Self { name: name.into(), kind: FeatureKind::Category(labels), required: false }
    }

    /// The same, of which rows must have a value to be predicted.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Numbers, booleans, dates: whatever [`Rows::numbers`](crate::Rows::numbers) reads.
    Number,
    /// Categories. With labels, the column holds these, as text or as numbers, and a label that is
    /// not among them is missing; a column of numbers where all labels are words is an error.
    /// Without, it holds the numbers of the categories, whole numbers that the training library gave
    /// them, and anything else is an error.
    Category(Option<Labels>),
}

/// The labels of the categories 0, 1, 2, …
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// Texts.
    Text(Vec<String>),
    /// Numbers.
    Numbers(Vec<f64>),
}

impl Labels {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(labels) => labels.len(),
            Self::Numbers(labels) => labels.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An ensemble of trees: `margin_k = base_k + Σ_t weight_t · leaf_t(x)_k`, and a [`Link`].
///
/// One representation of gradient boosting, random forests and single trees, whoever trained them.
/// Margins are added in `f64`, the base first, then tree after tree, so that a row's margin is the
/// same bits in any batch and on any number of threads. A row without a value for a
/// [required](Feature::required) feature has no margin (null). Time is
/// `O(n_rows · (n_features · log n_thresholds + n_trees · n_leaves))` for trees of few leaves,
/// `n_trees · depth` for others.
///
/// The same thing as `Booster.predict` of XGBoost and LightGBM, and scikit-learn's `predict` and
/// `predict_proba` of its forests and gradient boosting.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{Model, batch};
/// use mlops_core::model::Link;
/// use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree, TreeEnsemble};
///
/// let tree = Tree::new(
///     vec![
///         Node::Split(Split {
///             feature: 0,
///             question: Question::Below(30.0),
///             missing: Side::Right,
///             zero_is_missing: false,
///             left: 1,
///             right: 2,
///             cover: 9.0,
///         }),
///         Node::Leaf { value: 0, cover: 4.0 },
///         Node::Leaf { value: 1, cover: 5.0 },
///     ],
///     vec![1.5, 7.0],
/// );
/// let model = TreeEnsemble::new(vec![Feature::number("age")], vec![tree], vec![0.5], Link::Identity)?;
/// let rows = batch! { "age" => Float64Array::from(vec![Some(29.0), Some(30.0), None]) }?;
/// assert_eq!(model.predict(&rows)?.as_values()?.values(), &[2.0, 7.5, 7.5]);
/// assert_eq!(TreeEnsemble::from_bytes(&model.to_bytes())?, model);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone)]
pub struct TreeEnsemble {
    features: Vec<Feature>,
    trees: Vec<Tree>,
    base: Vec<f64>,
    link: Link,
    slope: f64,
    has_covers: bool,
    depth: usize,
    schema: SchemaRef,
    /// What a loader did not take: no part of the model.
    left_out: usize,
    /// Made when first asked for.
    routes: OnceLock<Arc<Routes>>,
    prepared: OnceLock<Arc<Prepared>>,
}

impl TreeEnsemble {
    /// The greatest number of features.
    pub const MAX_FEATURES: usize = 1 << 20;
    /// The greatest number of outputs.
    pub const MAX_OUTPUTS: usize = 1 << 16;

    /// An ensemble from its parts, with the base margin of each output.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the tree and the node: nodes that are no tree (a child that is not
    /// there, stands before its parent or has two; a node that nothing leads to; deeper than
    /// [`Tree::MAX_DEPTH`]), a feature, output or set that is not there, a NaN threshold, values or
    /// covers that are not finite; a name given twice; a link for another number of outputs; more
    /// than [`MAX_FEATURES`](Self::MAX_FEATURES) or [`MAX_OUTPUTS`](Self::MAX_OUTPUTS).
    pub fn new(
        features: Vec<Feature>,
        trees: Vec<Tree>,
        base: Vec<f64>,
        link: Link,
    ) -> Result<Self> {
        const WHAT: &str = "tree ensemble";
        let names: Vec<String> = features.iter().map(|f| f.name.clone()).collect();
        if names.len() > Self::MAX_FEATURES {
            let expected = format!("at most {} features", Self::MAX_FEATURES);
            return Err(Error::invalid(WHAT, expected, names.len()));
        }
        if let Some(twice) = first_duplicate(&names) {
            let found = format!("`{twice}` twice");
            return Err(Error::invalid(WHAT, "features of different names", found));
        }
        link.check(WHAT)?;
        if base.len() != link.outputs() || base.len() > Self::MAX_OUTPUTS {
            let expected = format!("{} base margins, as the link has outputs", link.outputs());
            return Err(Error::invalid(WHAT, expected, base.len()));
        }
        if let Some(bad) = base.iter().find(|b| !b.is_finite()) {
            return Err(Error::invalid(WHAT, "finite base margins", bad));
        }
        let mut depth = 0;
        for (at, tree) in trees.iter().enumerate() {
            let checked = tree.check(at, features.len(), base.len());
            depth = depth.max(checked.map_err(|e| e.within(WHAT))?);
        }
        // A tree without covers has none anywhere: not even at its root.
        let has_covers = trees.iter().all(|t| t.nodes.first().is_some_and(|n| n.cover() > 0.0));
        let schema = schema_of(&features);
        Ok(Self {
            features,
            trees,
            base,
            link,
            slope: 1.0,
            has_covers,
            depth,
            schema,
            left_out: 0,
            routes: OnceLock::new(),
            prepared: OnceLock::new(),
        })
    }

    /// The same with margins multiplied by this before the link: LightGBM's `sigmoid`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a slope that is not finite and above 0.
    pub fn with_slope(mut self, slope: f64) -> Result<Self> {
        if !(slope.is_finite() && slope > 0.0) {
            return Err(Error::invalid("slope of a link", "a number above 0", slope));
        }
        self.slope = slope;
        Ok(self)
    }

    /// The same with another link, of as many outputs: to name the classes, say.
    ///
    /// # Errors
    /// [`Error::Invalid`] as of [`new`](Self::new).
    pub fn with_link(mut self, link: Link) -> Result<Self> {
        link.check("tree ensemble")?;
        if link.outputs() != self.base.len() {
            let expected = format!("a link of {} outputs", self.base.len());
            return Err(Error::invalid("tree ensemble", expected, link.outputs()));
        }
        self.link = link;
        Ok(self)
    }

    /// The same with other names for the features, in their order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of names, or one given twice.
    pub fn with_names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.len() != self.features.len() {
            let expected = format!("{} names of features", self.features.len());
            return Err(Error::invalid("tree ensemble", expected, names.len()));
        }
        if let Some(twice) = first_duplicate(&names) {
            let found = format!("`{twice}` twice");
            return Err(Error::invalid("tree ensemble", "features of different names", found));
        }
        for (feature, name) in self.features.iter_mut().zip(names) {
            feature.name = name;
        }
        self.schema = schema_of(&self.features);
        Ok(self)
    }

    /// The same with the labels of a categorical feature: its column then holds these instead of
    /// the numbers of the categories.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a feature that is not there or has numbers.
    pub fn with_labels(mut self, feature: &str, labels: Labels) -> Result<Self> {
        let found = self.features.iter_mut().find(|f| f.name == feature);
        match found.map(|f| &mut f.kind) {
            Some(FeatureKind::Category(of)) => *of = Some(labels),
            Some(FeatureKind::Number) => {
                let what = format!("labels of `{feature}`");
                return Err(Error::invalid(what, "a feature of categories", "one of numbers"));
            }
            None => {
                return Err(Error::NotFound {
                    existing: Vec::new(),
                    what: "feature".into(),
                    name: feature.into(),
                });
            }
        }
        self.schema = schema_of(&self.features);
        Ok(self)
    }

    /// The features, in the order of the splits' indices.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The trees, in the order in which they are added.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// How many trees of the file were not taken, because they were grown after the best iteration
    /// or not asked for; see [`xgboost::load`](super::xgboost::load). No part of the model: it is not
    /// compared, and not written by [`to_bytes`](Self::to_bytes).
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn with_left_out(mut self, trees: usize) -> Self {
        self.left_out = trees;
        self
    }

    /// The base margin of each output.
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// How many margins a row has.
    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// How margins become predictions.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// What margins are multiplied with before the link; 1 but for LightGBM's `sigmoid`.
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// Whether every tree knows how many training rows came to its nodes: what path-dependent
    /// attributions stand on, and some files (ONNX) don't keep.
    pub fn has_covers(&self) -> bool {
        self.has_covers
    }

    /// The greatest number of questions on the way to a leaf.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The number of leaves of all trees.
    pub fn leaves(&self) -> usize {
        self.trees.iter().map(Tree::leaves).sum()
    }

    /// The questions as comparisons of small integers: made once.
    pub fn routes(&self) -> &Arc<Routes> {
        self.routes.get_or_init(|| Arc::new(Routes::new(&self.features, &self.trees)))
    }

    /// The features' columns in a batch, as numbers.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], [`Error::ColumnType`], and [`Error::Value`] for a number that is
    /// no category where one must stand.
    pub fn columns(&self, batch: &RecordBatch) -> Result<Columns> {
        Columns::of(&self.features, self.routes(), batch)
    }

    /// The margins before the link, shape `(n_rows, n_outputs)`, row after row: what additive
    /// attributions add up to. Null where the row has no value for a required feature.
    /// `output_margin` of XGBoost, `raw_score` of LightGBM.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub fn margin(&self, batch: &RecordBatch) -> Result<Float64Array> {
        let columns = self.columns(batch)?;
        if columns.len() <= ALONE {
            return Ok(walk_alone(&self.trees, &columns, &self.base));
        }
        Ok(self.prepared().margins(self.routes(), &columns, &self.base))
    }

    /// The index of the leaf's node in each tree, shape `(n_rows, n_trees)`, row after row; null
    /// where the row has no value for a required feature. scikit-learn's `apply`.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub fn apply(&self, batch: &RecordBatch) -> Result<UInt32Array> {
        let columns = self.columns(batch)?;
        let n = self.trees.len();
        let leaf = |row: usize, tree: &Tree| {
            columns.is_known(row).then(|| tree.leaf_of(|f| columns.value(f, row)) as u32)
        };
        if n == 0 {
            return Ok(UInt32Array::new_null(0));
        }
        let rows = 0..batch.num_rows();
        Ok(rows.flat_map(|row| self.trees.iter().map(move |tree| leaf(row, tree))).collect())
    }

    /// The same trees with the covers that these rows give them, each row with weight 1: for files
    /// that keep none, or attributions to another population.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub fn with_covers_of(&self, batch: &RecordBatch) -> Result<Self> {
        let leaves = self.apply(batch)?;
        let mut trees = self.trees.clone();
        for (at, tree) in trees.iter_mut().enumerate() {
            let mut counts = vec![0u64; tree.nodes.len()];
            for cell in (at..leaves.len()).step_by(self.trees.len().max(1)) {
                if leaves.is_valid(cell) {
                    counts[leaves.value(cell) as usize] += 1;
                }
            }
            // Children stand behind their parents.
            for i in (0..counts.len()).rev() {
                if let Node::Split(split) = &tree.nodes[i] {
                    counts[i] = counts[split.left as usize] + counts[split.right as usize];
                }
                match &mut tree.nodes[i] {
                    Node::Split(split) => split.cover = counts[i] as f64,
                    Node::Leaf { cover, .. } => *cover = counts[i] as f64,
                }
            }
        }
        let other = Self::new(self.features.clone(), trees, self.base.clone(), self.link.clone())?;
        other.with_left_out(self.left_out).with_slope(self.slope)
    }

    /// Whether the predictions of these rows are those that are expected, row after row, within
    /// `tolerance · max(1, |expected|)`: the proof that a file was understood, with a probe from the
    /// library that wrote it. Of several classes all of a row stand together, as `predict_proba`
    /// flattened; of two the scores of the second alone will do, `predict_proba(X)[:, 1]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first row that differs; [`Error::Length`] for another number of
    /// predictions; as [`predict`](Model::predict).
    pub fn check(&self, batch: &RecordBatch, expected: &[f64], tolerance: f64) -> Result<()> {
        let found = match self.predict(batch)? {
            Predictions::Values(values) => values,
            Predictions::Scores { classes, scores }
                if classes.len() == 2 && expected.len() == batch.num_rows() =>
            {
                scores.iter().skip(1).step_by(2).collect()
            }
            Predictions::Scores { scores, .. } => scores,
        };
        compare("prediction", &found, batch.num_rows(), expected, tolerance)
    }

    /// [`check`](Self::check) for margins.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_margin(&self, batch: &RecordBatch, margins: &[f64], tolerance: f64) -> Result<()> {
        compare("margin", &self.margin(batch)?, batch.num_rows(), margins, tolerance)
    }

    fn prepared(&self) -> &Arc<Prepared> {
        self.prepared
            .get_or_init(|| Arc::new(Prepared::new(&self.trees, self.routes(), &self.base)))
    }
}

fn compare(
    what: &str,
    found: &Float64Array,
    rows: usize,
    expected: &[f64],
    tolerance: f64,
) -> Result<()> {
    if found.len() != expected.len() {
        return Err(Error::Length {
            left: format!("the model's {what}s"),
            left_len: found.len(),
            right: "what is expected".into(),
            right_len: expected.len(),
        });
    }
    let width = found.len() / rows.max(1);
    for (i, &expected) in expected.iter().enumerate() {
        let ours = if found.is_valid(i) { found.value(i) } else { f64::NAN };
        let near = (ours - expected).abs() <= tolerance * expected.abs().max(1.0)
            || ours == expected
            || (ours.is_nan() && expected.is_nan());
        if !near {
            let what = format!("{what} of row {}, output {}", i / width, i % width);
            return Err(Error::invalid(what, format!("{expected} within {tolerance:e}"), ours));
        }
    }
    Ok(())
}

fn schema_of(features: &[Feature]) -> SchemaRef {
    let field = |feature: &Feature| {
        let data_type = match &feature.kind {
            FeatureKind::Category(Some(Labels::Text(_))) => DataType::Utf8,
            _ => DataType::Float64,
        };
        Field::new(&feature.name, data_type, true)
    };
    Arc::new(Schema::new(features.iter().map(field).collect::<Vec<_>>()))
}

impl PartialEq for TreeEnsemble {
    fn eq(&self, other: &Self) -> bool {
        self.features == other.features
            && self.trees == other.trees
            && self.base == other.base
            && self.link == other.link
            && self.slope == other.slope
    }
}

impl fmt::Debug for TreeEnsemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeEnsemble")
            .field("features", &self.features.len())
            .field("trees", &self.trees.len())
            .field("left_out", &self.left_out)
            .field("leaves", &self.leaves())
            .field("depth", &self.depth)
            .field("base", &self.base)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TreeEnsemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trees, leaves) = (self.trees.len(), self.leaves());
        write!(f, "{trees} trees, {leaves} leaves, depth {}, ", self.depth)?;
        write!(f, "{} features, {} outputs", self.features.len(), self.outputs())?;
        match self.left_out {
            0 => Ok(()),
            n => write!(f, "; {n} trees of the file after the last iteration that counts left out"),
        }
    }
}

impl Model for TreeEnsemble {
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let margins = self.margin(batch)?;
        if self.slope == 1.0 {
            return self.link.apply(&margins);
        }
        self.link.apply(&arrow::compute::unary(&margins, |m| m * self.slope))
    }
}
