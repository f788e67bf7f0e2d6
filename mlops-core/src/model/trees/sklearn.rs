//! Trees of scikit-learn, and of whoever can write arrays, from JSON that this function makes of
//! forests, gradient boosting (both kinds) and single trees:
//!
//! ```python
//! def export_trees(model, features):
//!     import numpy as np
//!     name, cls = type(model).__name__, getattr(model, "classes_", None)
//!     hist, boost = name.startswith("HistGradient"), "GradientBoosting" in name
//!     classes = None if cls is None else [str(c) for c in cls]
//!     def nodes(t, output, weight):
//!         if hist:  # a record for each node
//!             assert not t.nodes["is_categorical"].any(), "numeric features only"
//!             leaf = t.nodes["is_leaf"].astype(bool)
//!             side = lambda s: np.where(leaf, -1, t.nodes[s].astype(int)).tolist()
//!             return dict(output=output, weight=weight, feature=t.nodes["feature_idx"].tolist(),
//!                 threshold=t.nodes["num_threshold"].tolist(), left=side("left"), right=side("right"),
//!                 missing_left=t.nodes["missing_go_to_left"].tolist(),
//!                 cover=t.nodes["count"].tolist(), value=t.nodes["value"].tolist())
//!         t, v = t.tree_, t.tree_.value.reshape(t.tree_.node_count, -1)
//!         v = v / v.sum(axis=1, keepdims=True) if cls is not None and not boost else v
//!         missing = getattr(t, "missing_go_to_left", np.zeros(t.node_count))
//!         return dict(output=output, weight=weight, feature=t.feature.tolist(),
//!             threshold=t.threshold.tolist(), left=t.children_left.tolist(),
//!             right=t.children_right.tolist(), missing_left=missing.tolist(),
//!             cover=t.weighted_n_node_samples.tolist(), value=v.ravel().tolist())
//!     if boost:
//!         stages = model._predictors if hist else model.estimators_
//!         rate = 1.0 if hist else model.learning_rate
//!         base = model._baseline_prediction if hist else model._raw_predict_init(np.zeros((1, len(features))))
//!         trees = [nodes(t, k, rate) for stage in stages for k, t in enumerate(stage)]
//!         loss = "poisson" if getattr(model, "loss", "") in ("poisson", "gamma") else "identity"
//!         link = loss if cls is None else "logistic" if len(classes) == 2 else "softmax"
//!     else:
//!         each = getattr(model, "estimators_", [model])
//!         trees = [nodes(t, None, 1 / len(each)) for t in each]
//!         base = np.zeros(len(classes) if classes else each[0].n_outputs_)
//!         link = "scores" if classes else "identity"
//!     allows_nan = bool(model.__sklearn_tags__().input_tags.allow_nan)
//!     return dict(format="sklearn-trees", version=1, features=list(features), classes=classes,
//!         link="log" if link == "poisson" else link, base=np.ravel(base).tolist(),
//!         single_precision=not hist, allows_missing=allows_nan, trees=trees)
//! ```
//!
//! `json.dump(export_trees(model, X.columns), file)` writes what [`load`] reads. The members:
//!
//! | member | what it is |
//! |---|---|
//! | `format`, `version` | `"sklearn-trees"`, 1 |
//! | `features` | the columns' names |
//! | `classes` | the classes' names, or null for a regression |
//! | `link` | `identity`, `log`, `logistic`, `softmax` or `scores` (leaves hold probabilities, or several targets) |
//! | `base` | the base margin of each output |
//! | `single_precision` | whether features are rounded to `f32` before they are compared |
//! | `allows_missing` | whether rows may have missing values |
//! | `trees` | objects of arrays, an item for each node: `feature`, `threshold`, `left`, `right` (−1 for leaves), `cover`, `missing_left` (may be left out), `value` (as many for a node as the tree has outputs); and `output`, null if the leaves hold a value for each output, and `weight` |
//!
//! Rows with `x <= threshold` go left.

use super::grow::{Asks, Found, grow};
use super::json::Json;
use super::reader::Reader;
use super::{Feature, Question, Side, Target, Tree, TreeEnsemble};
use crate::model::Link;
use crate::model::file_kind::{FileKind, whose};
use crate::{Error, Result};

const WHAT: &str = "sklearn-trees file";

/// An ensemble from a file's bytes.
///
/// # Errors
/// [`Error::Decode`] with the byte where the file stops making sense; [`Error::Invalid`] for
/// another format or version, members that don't fit, and with the tree and the node for trees
/// that are none: see [`TreeEnsemble::new`].
pub fn load(bytes: &[u8]) -> Result<TreeEnsemble> {
    read(bytes).map_err(|e| whose(e, "what `export_trees` wrote", FileKind::SklearnTrees, bytes))
}

fn read(bytes: &[u8]) -> Result<TreeEnsemble> {
    let mut r = Json::new(WHAT, bytes);
    let (mut format, mut version) = (String::new(), 0);
    let (mut features, mut classes, mut link) = (Vec::new(), None, String::new());
    let (mut base, mut single, mut missing) = (Vec::new(), true, false);
    let mut arrays = Vec::new();
    r.object(|name, r| {
        match name {
            "format" => format = r.text()?.into_owned(),
            "version" => version = r.i64()?,
            "features" => features = r.texts()?,
            "classes" if r.is_null() => r.skip()?,
            "classes" => classes = Some(r.texts()?),
            "link" => link = r.text()?.into_owned(),
            "base" => base = r.f64s()?,
            "single_precision" => single = r.i64()? != 0,
            "allows_missing" => missing = r.i64()? != 0,
            "trees" => r.array(|r| {
                arrays.push(Arrays::read(r)?);
                Ok(())
            })?,
            _ => r.skip()?,
        }
        Ok(())
    })?;
    r.end()?;
    if (format.as_str(), version) != ("sklearn-trees", 1) {
        let found = format!("`{format}` of version {version}");
        return Err(Error::invalid(WHAT, "format `sklearn-trees` of version 1", found));
    }
    let link = link_of(&link, classes, base.len())?;
    let trees = arrays.iter().enumerate().map(|(at, tree)| tree.tree(at, base.len(), single));
    let trees = trees.collect::<Result<Vec<_>>>()?;
    let feature = |name| {
        let feature = Feature::number(name);
        if missing { feature } else { feature.required() }
    };
    let features = features.into_iter().map(feature).collect();
    TreeEnsemble::new(features, trees, base, link).map_err(|e| e.within(WHAT))
}

fn link_of(name: &str, classes: Option<Vec<String>>, outputs: usize) -> Result<Link> {
    let numbered = || (0..outputs).map(|k| k.to_string()).collect();
    Ok(match (name, classes) {
        ("identity", None) if outputs > 1 => Link::Scores { classes: numbered() },
        ("identity", None) => Link::Identity,
        ("log", None) => Link::Log,
        ("logistic", Some(classes)) => {
            let [negative, positive] = &classes[..] else {
                return Err(Error::invalid(WHAT, "two classes", classes.len()));
            };
            Link::Logistic { negative: negative.clone(), positive: positive.clone() }
        }
        ("softmax", Some(classes)) => Link::Softmax { classes },
        ("scores", Some(classes)) => Link::Scores { classes },
        ("scores", None) => Link::Scores { classes: numbered() },
        (name, classes) => {
            let with = if classes.is_some() { "with" } else { "without" };
            let expected = "a link that fits the classes";
            return Err(Error::invalid(WHAT, expected, format!("`{name}` {with} classes")));
        }
    })
}

/// A tree as the file has it.
#[derive(Default)]
struct Arrays {
    output: Option<i64>,
    weight: Option<f64>,
    feature: Vec<i32>,
    threshold: Vec<f64>,
    left: Vec<i32>,
    right: Vec<i32>,
    missing_left: Vec<i32>,
    cover: Vec<f64>,
    value: Vec<f64>,
}

impl Arrays {
    fn read(r: &mut Json<'_>) -> Result<Self> {
        let mut tree = Self::default();
        r.object(|name, r| {
            match name {
                "output" if r.is_null() => r.skip()?,
                "output" => tree.output = Some(r.i64()?),
                "weight" => tree.weight = Some(r.f64()?),
                "feature" => tree.feature = r.i32s()?,
                "threshold" => tree.threshold = r.f64s()?,
                "left" => tree.left = r.i32s()?,
                "right" => tree.right = r.i32s()?,
                "missing_left" => tree.missing_left = r.i32s()?,
                "cover" => tree.cover = r.f64s()?,
                "value" => tree.value = r.f64s()?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(tree)
    }

    fn tree(&self, at: usize, outputs: usize, single: bool) -> Result<Tree> {
        let what = format!("tree {at} of an {WHAT}");
        let n = self.left.len();
        let target = match self.output {
            Some(k) => Target::One(u32::try_from(k).unwrap_or(u32::MAX)),
            None if outputs == 1 => Target::One(0),
            None => Target::All,
        };
        let width = if target == Target::All { outputs } else { 1 };
        for (name, len, expected) in [
            ("feature", self.feature.len(), n),
            ("threshold", self.threshold.len(), n),
            ("right", self.right.len(), n),
            ("cover", self.cover.len(), n),
            ("value", self.value.len(), n.saturating_mul(width)),
            ("missing_left", self.missing_left.len(), n),
        ] {
            if len != expected && !(name == "missing_left" && len == 0) {
                let what = format!("`{name}` of {what}");
                return Err(Error::invalid(what, format!("{expected} items"), len));
            }
        }
        let place = |i: i64| usize::try_from(i).ok();
        let tree = grow(&what, target, n, 0, false, place, |i, values| {
            let i = i as usize;
            let cover = self.cover[i];
            if self.left[i] < 0 {
                values.extend_from_slice(&self.value[i * width..(i + 1) * width]);
                return Ok(Found::Leaf { cover });
            }
            let threshold = self.threshold[i];
            let question = if single {
                Question::at_most_f32(at_most_of(threshold))
            } else {
                Question::at_most(threshold)
            };
            let Ok(feature) = u32::try_from(self.feature[i]) else {
                let what = format!("{what}, node {i}");
                return Err(Error::invalid(what, "a feature", self.feature[i]));
            };
            Ok(Found::Split {
                feature,
                asks: Asks::Number(question),
                missing: Side::left_if(self.missing_left.get(i).is_some_and(|m| *m != 0)),
                zero_is_missing: false,
                left: self.left[i].into(),
                right: self.right[i].into(),
                cover,
            })
        })?;
        Ok(Tree { weight: self.weight.unwrap_or(1.0), ..tree })
    }
}

/// The greatest `f32` that is at most the threshold: an `f32` is at most the one where it is at
/// most the other.
fn at_most_of(threshold: f64) -> f32 {
    let near = threshold as f32;
    if f64::from(near) > threshold { near.next_down() } else { near }
}
