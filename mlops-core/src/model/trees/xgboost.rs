//! Models of XGBoost from the JSON and UBJSON that `Booster.save_model` writes, of versions
//! 0.9x to 3.x: `gbtree` and `dart` as a [`TreeEnsemble`], `gblinear` as a [`LinearModel`].
//!
//! Margins are those of `output_margin=True`, added in `f64` where XGBoost adds `f32`, so that
//! the two differ by the rounding of its sums. What the file says of base scores (in the space of
//! the output, one or one for each output), DART's weights, forests within an iteration, categories
//! and vector leaves is taken over; features are rounded to `f32` as XGBoost rounds them. Missing is
//! null or NaN: where a `DMatrix` was made with another `missing`, rows need nulls in its place.
//!
//! ```
//! use mlops_core::model::trees::xgboost;
//! let error = xgboost::load(b"binf\x00\x00").unwrap_err();
//! assert!(error.to_string().contains("save it as .json or .ubj"));
//! ```

use std::collections::{HashMap, HashSet};

use super::grow::{Asks, Found, grow};
use super::json::Json;
use super::reader::Reader;
use super::ubjson::Ubjson;
use super::{CategorySet, Feature, Labels, Question, Side, Target, Tree, TreeEnsemble};
use crate::model::file_kind::{FileKind, whose};
use crate::model::{LinearModel, Link};
use crate::{Error, Result};

const WHAT: &str = "XGBoost model";

/// How many of a model's boosting iterations count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Iterations {
    /// Up to the best one where training was stopped early, else all: what `XGBClassifier.predict`
    /// and the other estimators do.
    #[default]
    Best,
    /// All: what `Booster.predict` does unless it is told otherwise.
    All,
    /// So many from the first: `iteration_range=(0, n)`.
    First(usize),
}

/// An ensemble from a file's bytes. **Of a model that was stopped early the trees after the best
/// iteration are left out**, as `XGBClassifier.predict_proba` and the other estimators leave them
/// out, and as LightGBM never writes them: who stops early wants the model of the best iteration.
/// `Booster.predict` takes all trees of the same file; [`load_iterations`] with
/// [`Iterations::All`] does, too. [`TreeEnsemble::left_out`] counts them, and its `Display` tells.
///
/// # Errors
/// As [`load_iterations`].
pub fn load(bytes: &[u8]) -> Result<TreeEnsemble> {
    load_iterations(bytes, Iterations::Best)
}

/// An ensemble from a file's bytes, with these iterations.
///
/// # Errors
/// [`Error::Decode`] with the byte where the file stops making sense; [`Error::Invalid`] for
/// `gblinear`, an objective that is not known, more iterations than there are, and with the tree
/// and the node for trees that are none: see [`TreeEnsemble::new`].
pub fn load_iterations(bytes: &[u8], iterations: Iterations) -> Result<TreeEnsemble> {
    read(bytes)
        .and_then(|file| ensemble(file, iterations))
        .map_err(|e| whose(e, "one of XGBoost, .json or .ubj", FileKind::Xgboost, bytes))
}

/// The linear model of a `gblinear` file. A feature that is missing adds nothing to the margin.
///
/// # Errors
/// As [`load_iterations`], and for a file of trees.
pub fn load_linear(bytes: &[u8]) -> Result<LinearModel> {
    let file = read(bytes)
        .map_err(|e| whose(e, "one of XGBoost, .json or .ubj", FileKind::Xgboost, bytes))?;
    let Some(weights) = &file.weights else {
        return Err(Error::invalid(WHAT, "a gblinear booster", format!("`{}`", file.booster)));
    };
    let (link, base) = file.link_and_base()?;
    let (groups, n) = (base.len(), file.feature_count()?);
    if weights.len() != (n + 1).saturating_mul(groups) {
        let expected = format!("({n} + 1) x {groups} weights");
        return Err(Error::invalid(WHAT, expected, weights.len()));
    }
    let weight = |j: usize, k: usize| f64::from(weights[j * groups + k]);
    let coefficients = (0..groups).flat_map(|k| (0..n).map(move |j| weight(j, k))).collect();
    // The first base score counts for all outputs: so XGBoost predicts, whatever the others are.
    let first = base.first().copied().unwrap_or_default();
    let intercepts = (0..groups).map(|k| first + weight(n, k)).collect();
    let model = LinearModel::new(file.names()?, coefficients, intercepts, link)?;
    Ok(model.with_missing_as_zero())
}

/// What a file holds.
#[derive(Default)]
struct File {
    booster: String,
    objective: String,
    base_score: Option<Vec<f32>>,
    classes: i64,
    targets: i64,
    features: i64,
    feature_names: Vec<String>,
    feature_types: Vec<String>,
    best_iteration: Option<i64>,
    parallel_trees: i64,
    declared_trees: Option<i64>,
    trees: Vec<Tree>,
    tree_info: Vec<i32>,
    iterations: Vec<i32>,
    weight_drop: Vec<f32>,
    labels: Vec<Option<Labels>>,
    weights: Option<Vec<f32>>,
    has_learner: bool,
    version: Vec<i32>,
}

fn read(bytes: &[u8]) -> Result<File> {
    let mut file = File::default();
    // Both begin with a brace; behind it UBJSON has the type of a length.
    if bytes.first() == Some(&b'{') && bytes.get(1).is_some_and(|b| b"iUIlL$#N".contains(b)) {
        let mut reader = Ubjson::new(WHAT, bytes);
        file.read(&mut reader)?;
        reader.end()?;
    } else {
        let mut reader = Json::new(WHAT, bytes);
        file.read(&mut reader)?;
        reader.end()?;
    }
    if !file.has_learner {
        return Err(Error::invalid(WHAT, "a member `learner`", "none"));
    }
    Ok(file)
}

impl File {
    fn read<'a, R: Reader<'a>>(&mut self, r: &mut R) -> Result<()> {
        r.object(|name, r| match name {
            "learner" => {
                self.has_learner = true;
                self.learner(r)
            }
            "version" => {
                self.version = r.i32s()?;
                Ok(())
            }
            _ => r.skip(),
        })
    }

    fn learner<'a, R: Reader<'a>>(&mut self, r: &mut R) -> Result<()> {
        r.object(|name, r| match name {
            "attributes" => r.object(|name, r| match name {
                "best_iteration" => {
                    self.best_iteration = Some(r.i64()?);
                    Ok(())
                }
                _ => r.skip(),
            }),
            "feature_names" => {
                self.feature_names = r.texts()?;
                Ok(())
            }
            "feature_types" => {
                self.feature_types = r.texts()?;
                Ok(())
            }
            "gradient_booster" => self.booster(r),
            "learner_model_param" => r.object(|name, r| {
                match name {
                    "base_score" => self.base_score = Some(base_score(r)?),
                    "num_class" => self.classes = r.i64()?,
                    "num_target" => self.targets = r.i64()?,
                    "num_feature" => self.features = r.i64()?,
                    _ => r.skip()?,
                }
                Ok(())
            }),
            "objective" => r.object(|name, r| match name {
                "name" => {
                    self.objective = r.text()?.into_owned();
                    Ok(())
                }
                _ => r.skip(),
            }),
            _ => r.skip(),
        })
    }

    fn booster<'a, R: Reader<'a>>(&mut self, r: &mut R) -> Result<()> {
        r.object(|name, r| match name {
            "name" => {
                self.booster = r.text()?.into_owned();
                Ok(())
            }
            "model" => self.model(r),
            // DART keeps its trees one level deeper.
            "gbtree" => r.object(|name, r| match name {
                "model" => self.model(r),
                _ => r.skip(),
            }),
            "weight_drop" => {
                self.weight_drop = r.f32s()?;
                Ok(())
            }
            _ => r.skip(),
        })
    }

    fn model<'a, R: Reader<'a>>(&mut self, r: &mut R) -> Result<()> {
        r.object(|name, r| {
            match name {
                "gbtree_model_param" => r.object(|name, r| match name {
                    "num_parallel_tree" => {
                        self.parallel_trees = r.i64()?;
                        Ok(())
                    }
                    "num_trees" => {
                        self.declared_trees = Some(r.i64()?);
                        Ok(())
                    }
                    _ => r.skip(),
                })?,
                "tree_info" => self.tree_info = r.i32s()?,
                "iteration_indptr" => self.iterations = r.i32s()?,
                "weight_drop" => self.weight_drop = r.f32s()?,
                "weights" => self.weights = Some(r.f32s()?),
                "cats" => self.labels = labels(r)?,
                "trees" => r.array(|r| {
                    let tree = Arrays::read(r)?.tree(self.trees.len())?;
                    self.trees.push(tree);
                    Ok(())
                })?,
                _ => r.skip()?,
            }
            Ok(())
        })
    }

    fn feature_count(&self) -> Result<usize> {
        let n = usize::try_from(self.features).ok().filter(|n| *n <= TreeEnsemble::MAX_FEATURES);
        n.ok_or_else(|| {
            let expected = format!("0 to {} features", TreeEnsemble::MAX_FEATURES);
            Error::invalid(WHAT, expected, self.features)
        })
    }

    /// The names in the file, or `f0`, `f1`, … as XGBoost calls them.
    fn names(&self) -> Result<Vec<String>> {
        let n = self.feature_count()?;
        if self.feature_names.is_empty() {
            return Ok((0..n).map(|j| format!("f{j}")).collect());
        }
        if self.feature_names.len() != n {
            let expected = format!("{n} feature names");
            return Err(Error::invalid(WHAT, expected, self.feature_names.len()));
        }
        Ok(self.feature_names.clone())
    }

    fn link_and_base(&self) -> Result<(Link, Vec<f64>)> {
        let (classes, targets) = (self.classes.max(1), self.targets.max(1));
        let groups = usize::try_from(classes.max(targets)).unwrap_or(usize::MAX);
        if groups > TreeEnsemble::MAX_OUTPUTS || (classes > 1 && targets > 1) {
            let expected = format!("classes or targets, at most {}", TreeEnsemble::MAX_OUTPUTS);
            let found = format!("{classes} classes and {targets} targets");
            return Err(Error::invalid(WHAT, expected, found));
        }
        let link = self.link(groups)?;
        let scores = self.base_score.clone().unwrap_or_else(|| vec![0.5]);
        let scores = match scores[..] {
            [one] => vec![one; groups],
            _ if scores.len() == groups => scores,
            _ => {
                let expected = format!("one base score or {groups}");
                return Err(Error::invalid(WHAT, expected, scores.len()));
            }
        };
        Ok((link, self.margins_of(&scores)))
    }

    fn link(&self, groups: usize) -> Result<Link> {
        let names = || (0..groups).map(|k| k.to_string()).collect::<Vec<_>>();
        let (negative, positive) = ("0".to_owned(), "1".to_owned());
        let many = groups > 1;
        Ok(match self.objective.as_str() {
            "multi:softprob" | "multi:softmax" if many => Link::Softmax { classes: names() },
            "binary:logistic" | "reg:logistic" if many => Link::OneVsRest { classes: names() },
            "binary:logistic" => Link::Logistic { negative, positive },
            "binary:hinge" if !many => Link::Hinge { negative, positive },
            "reg:logistic" => Link::Logit,
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft"
                if !many =>
            {
                Link::Log
            }
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:absoluteerror"
            | "reg:pseudohubererror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "binary:logitraw" => {
                if many {
                    Link::Scores { classes: names() }
                } else {
                    Link::Identity
                }
            }
            name if name.starts_with("rank:") && !many => Link::Identity,
            name => {
                let found = format!("`{name}` with {groups} outputs");
                return Err(Error::invalid(WHAT, "an objective of XGBoost", found));
            }
        })
    }

    /// The base scores, which stand in the space of the output, as margins.
    fn margins_of(&self, scores: &[f32]) -> Vec<f64> {
        let wide = scores.iter().map(|&s| f64::from(s));
        match self.objective.as_str() {
            "reg:logistic" | "binary:logistic" => wide
                .map(|p| {
                    let p = p.clamp(1e-6, 1.0 - 1e-6);
                    (p / (1.0 - p)).ln()
                })
                .collect(),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                wide.map(f64::ln).collect()
            }
            "reg:expectileerror" => scores
                .iter()
                .enumerate()
                .map(|(j, &score)| {
                    let score = f64::from(score);
                    // Above the first, steps through a softplus, of which this is the inverse.
                    match j.checked_sub(1).map(|i| score - f64::from(scores[i]) - 1e-6) {
                        None => score,
                        Some(step) => step.max(f64::MIN_POSITIVE).exp_m1().ln(),
                    }
                })
                .collect(),
            _ => wide.collect(),
        }
    }
}

fn ensemble(mut file: File, iterations: Iterations) -> Result<TreeEnsemble> {
    if file.weights.is_some() || file.booster == "gblinear" {
        return Err(Error::invalid(WHAT, "trees", "gblinear: `load_linear` reads it"));
    }
    let (link, base) = file.link_and_base()?;
    let n = file.trees.len();
    if let Some(declared) = file.declared_trees
        && declared != n as i64
    {
        return Err(Error::invalid(WHAT, format!("{declared} trees, as the file says"), n));
    }
    for (name, len) in
        [("tree_info", file.tree_info.len()), ("weight_drop", file.weight_drop.len())]
    {
        if len != n && (name == "tree_info" || len != 0) {
            return Err(Error::invalid(format!("{name} of an {WHAT}"), format!("{n} items"), len));
        }
    }
    if file.booster == "dart" && file.weight_drop.len() != n {
        let found = file.weight_drop.len();
        return Err(Error::invalid(WHAT, format!("{n} weights of DART trees"), found));
    }
    for (at, tree) in file.trees.iter_mut().enumerate() {
        let group = file.tree_info[at];
        if tree.target != Target::All {
            tree.target = Target::One(u32::try_from(group).unwrap_or(u32::MAX));
        } else if tree.values.len() % base.len() != 0 {
            let expected = format!("leaves of {} values", base.len());
            return Err(Error::invalid(format!("tree {at} of an {WHAT}"), expected, "others"));
        }
        if let Some(&weight) = file.weight_drop.get(at) {
            tree.weight = f64::from(weight);
        }
    }
    let keep = file.trees_of(iterations, base.len())?;
    let left_out = file.trees.len() - keep;
    file.trees.truncate(keep);
    let mut features = Vec::new();
    // A file may be without types; its splits are not.
    let split: HashSet<usize> = file.trees.iter().flat_map(Tree::categorical).collect();
    for (j, name) in file.names()?.into_iter().enumerate() {
        let is_category = file.feature_types.get(j).is_some_and(|t| t == "c") || split.contains(&j);
        features.push(if is_category {
            Feature::category(name, file.labels.get_mut(j).and_then(Option::take))
        } else {
            Feature::number(name)
        });
    }
    let found = TreeEnsemble::new(features, file.trees, base, link).map_err(|e| e.within(WHAT))?;
    Ok(found.with_left_out(left_out))
}

impl File {
    /// How many trees these iterations have.
    fn trees_of(&self, iterations: Iterations, groups: usize) -> Result<usize> {
        let all = self.trees.len();
        let wanted = match (iterations, self.best_iteration) {
            (Iterations::All, _) | (Iterations::Best, None) => return Ok(all),
            (Iterations::Best, Some(best)) => {
                usize::try_from(best).ok().and_then(|b| b.checked_add(1))
            }
            (Iterations::First(n), _) => Some(n),
        };
        let parallel = usize::try_from(self.parallel_trees.max(1)).unwrap_or(usize::MAX);
        // Vector leaves have one tree for all outputs.
        let groups = if self.trees.iter().any(|t| t.target == Target::All) { 1 } else { groups };
        let trees = wanted.and_then(|wanted| {
            if self.iterations.is_empty() {
                wanted.checked_mul(groups)?.checked_mul(parallel)
            } else {
                usize::try_from(*self.iterations.get(wanted)?).ok()
            }
        });
        trees.filter(|trees| *trees <= all).ok_or_else(|| {
            let expected = format!("iterations with at most {all} trees");
            Error::invalid(
                WHAT,
                expected,
                format!("{iterations:?} of best {:?}", self.best_iteration),
            )
        })
    }
}

/// One score, or one for each output, as text or as numbers.
fn base_score<'a, R: Reader<'a>>(r: &mut R) -> Result<Vec<f32>> {
    if r.is_array() {
        return r.f32s();
    }
    if !r.is_text() {
        return Ok(vec![r.f32()?]);
    }
    let text = r.text()?;
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let scores: Option<Vec<f32>> = inner.split(',').map(|s| s.trim().parse().ok()).collect();
    match scores.filter(|scores| scores.iter().all(|s: &f32| s.is_finite())) {
        Some(scores) => Ok(scores),
        None => r.bad("a base score", format_args!("`{text}`")),
    }
}

/// The labels of categorical features, as versions from 3.1 keep them: for each feature texts (as
/// one text and where its parts begin) or numbers.
fn labels<'a, R: Reader<'a>>(r: &mut R) -> Result<Vec<Option<Labels>>> {
    let mut all = Vec::new();
    r.object(|name, r| match name {
        "enc" => r.array(|r| {
            let (mut offsets, mut values, mut text) = (None, Vec::new(), None);
            r.object(|name, r| {
                match name {
                    "offsets" => offsets = Some(r.i32s()?),
                    "values" if r.is_text() => text = Some(r.text()?.into_owned()),
                    "values" => values = r.f64s()?,
                    _ => r.skip()?,
                }
                Ok(())
            })?;
            all.push(match offsets {
                Some(offsets) => {
                    let bytes: Vec<u8> = match text {
                        Some(text) => text.into_bytes(),
                        // Bytes are signed there.
                        None => values.iter().map(|&b| b as i64 as u8).collect(),
                    };
                    let part = |pair: &[i32]| {
                        let from = usize::try_from(pair[0]).ok()?;
                        let to = usize::try_from(pair[1]).ok()?;
                        String::from_utf8(bytes.get(from..to)?.to_vec()).ok()
                    };
                    let parts: Option<Vec<String>> = offsets.windows(2).map(part).collect();
                    match parts {
                        Some(parts) if parts.is_empty() => None,
                        Some(parts) => Some(Labels::Text(parts)),
                        None => return r.bad("labels", "offsets that don't fit"),
                    }
                }
                None if values.is_empty() => None,
                None => Some(Labels::Numbers(values)),
            });
            Ok(())
        }),
        _ => r.skip(),
    })?;
    Ok(all)
}

/// A tree as the file has it.
#[derive(Default)]
struct Arrays {
    left: Vec<i32>,
    right: Vec<i32>,
    features: Vec<i32>,
    conditions: Vec<f32>,
    default_left: Vec<i32>,
    split_type: Vec<i32>,
    sum_hessian: Vec<f32>,
    base_weights: Vec<f32>,
    leaf_weights: Vec<f32>,
    categories: Vec<i32>,
    category_nodes: Vec<i32>,
    category_segments: Vec<i32>,
    category_sizes: Vec<i32>,
    leaf_vector: i64,
    declared_nodes: Option<i64>,
}

impl Arrays {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Result<Self> {
        let mut a = Self::default();
        r.object(|name, r| {
            match name {
                "left_children" => a.left = r.i32s()?,
                "right_children" => a.right = r.i32s()?,
                "split_indices" => a.features = r.i32s()?,
                "split_conditions" => a.conditions = r.f32s()?,
                "default_left" => a.default_left = r.i32s()?,
                "split_type" => a.split_type = r.i32s()?,
                "sum_hessian" => a.sum_hessian = r.f32s()?,
                "base_weights" => a.base_weights = r.f32s()?,
                "leaf_weights" => a.leaf_weights = r.f32s()?,
                "categories" => a.categories = r.i32s()?,
                "categories_nodes" => a.category_nodes = r.i32s()?,
                "categories_segments" => a.category_segments = r.i32s()?,
                "categories_sizes" => a.category_sizes = r.i32s()?,
                "tree_param" => r.object(|name, r| match name {
                    "size_leaf_vector" => {
                        a.leaf_vector = r.i64()?;
                        Ok(())
                    }
                    "num_nodes" => {
                        a.declared_nodes = Some(r.i64()?);
                        Ok(())
                    }
                    _ => r.skip(),
                })?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(a)
    }

    fn tree(&self, at: usize) -> Result<Tree> {
        let n = self.left.len();
        if let Some(declared) = self.declared_nodes
            && declared != n as i64
        {
            let what = format!("tree {at} of an {WHAT}");
            return Err(Error::invalid(what, format!("{declared} nodes, as the file says"), n));
        }
        let lengths = [
            ("right_children", self.right.len(), true),
            ("split_indices", self.features.len(), true),
            ("split_conditions", self.conditions.len(), true),
            ("default_left", self.default_left.len(), true),
            ("split_type", self.split_type.len(), false),
            ("sum_hessian", self.sum_hessian.len(), false),
            ("categories_segments", self.category_segments.len(), false),
            ("categories_sizes", self.category_sizes.len(), false),
        ];
        for (name, len, always) in lengths {
            let expected = if name.starts_with("cat") { self.category_nodes.len() } else { n };
            if len != expected && (always || len != 0) {
                let what = format!("{name} of tree {at} of an {WHAT}");
                return Err(Error::invalid(what, format!("{expected} items"), len));
            }
        }
        let width = usize::try_from(self.leaf_vector.max(1)).unwrap_or(usize::MAX);
        let target = if width > 1 { Target::All } else { Target::One(0) };
        let sets = self.sets(at)?;
        let what = format!("tree {at} of an {WHAT}");
        let place = |i: i64| usize::try_from(i).ok();
        grow(&what, target, n, 0, true, place, |i, values| {
            let i = i as usize;
            let wrong = |expected: &str, found: String| {
                Err(Error::invalid(format!("{what}, node {i}"), expected, found))
            };
            let cover = f64::from(self.sum_hessian.get(i).copied().unwrap_or(0.0));
            if self.left[i] == -1 {
                if width == 1 {
                    values.push(f64::from(self.conditions[i]));
                } else {
                    let Some(leaf) = self.vector(i, width) else {
                        return wrong(&format!("{width} values of a leaf"), "fewer".into());
                    };
                    values.extend(leaf.iter().map(|&v| f64::from(v)));
                }
                return Ok(Found::Leaf { cover });
            }
            let asks = match self.split_type.get(i) {
                None | Some(0) => Asks::Number(Question::below_f32(self.conditions[i])),
                Some(1) => match sets.get(&i) {
                    Some(set) => Asks::Categories(CategorySet::new(set.clone(), Side::Right)),
                    None => return wrong("the node's categories", "none".into()),
                },
                Some(other) => return wrong("a split of type 0 or 1", other.to_string()),
            };
            let Ok(feature) = u32::try_from(self.features[i]) else {
                return wrong("a feature", self.features[i].to_string());
            };
            Ok(Found::Split {
                feature,
                asks,
                missing: Side::left_if(self.default_left[i] != 0),
                zero_is_missing: false,
                left: self.left[i].into(),
                right: self.right[i].into(),
                cover,
            })
        })
    }

    /// The values of a vector leaf: among the weights of all nodes, or of the leaves alone, whose
    /// numbers then stand where others have their right child.
    fn vector(&self, node: usize, width: usize) -> Option<&[f32]> {
        if self.leaf_weights.is_empty() {
            let first = node.checked_mul(width)?;
            return self.base_weights.get(first..first.checked_add(width)?);
        }
        let leaf = usize::try_from(self.right[node]).ok()?;
        let first = leaf.checked_mul(width)?;
        self.leaf_weights.get(first..first.checked_add(width)?)
    }

    /// The categories of each node that has some.
    fn sets(&self, at: usize) -> Result<HashMap<usize, Vec<u32>>> {
        // Parts that lie over each other would be many more than the file has bytes.
        let total: i64 = self.category_sizes.iter().map(|&n| i64::from(n)).sum();
        if total > self.categories.len() as i64 {
            let what = format!("categories of tree {at} of an {WHAT}");
            let expected = format!("parts of {} categories", self.categories.len());
            return Err(Error::invalid(what, expected, total));
        }
        let mut sets = HashMap::with_capacity(self.category_nodes.len());
        for (i, &node) in self.category_nodes.iter().enumerate() {
            let range = || {
                let first = usize::try_from(*self.category_segments.get(i)?).ok()?;
                let n = usize::try_from(*self.category_sizes.get(i)?).ok()?;
                let ids = self.categories.get(first..first.checked_add(n)?)?;
                ids.iter().map(|&c| u32::try_from(c).ok()).collect::<Option<Vec<u32>>>()
            };
            let (Some(set), Ok(node)) = (range(), usize::try_from(node)) else {
                let what = format!("tree {at} of an {WHAT}, node {node}");
                return Err(Error::invalid(what, "categories", "a part that is not there"));
            };
            if sets.insert(node, set).is_some() {
                let what = format!("tree {at} of an {WHAT}, node {node}");
                return Err(Error::invalid(what, "one set of categories", "two"));
            }
        }
        Ok(sets)
    }
}
