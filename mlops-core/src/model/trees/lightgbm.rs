//! Models of LightGBM: the text that `Booster.save_model` writes, and the JSON of
//! `Booster.dump_model`.
//!
//! Margins are those of `raw_score=True`: the same sums of `f64` in the same order. Missing values
//! are taken as the file says (none, zero, NaN), the trees of `boosting=rf` are averaged, and the
//! labels of pandas' categories are read where they are in the file. Linear trees are refused.
//!
//! `pred_contrib` of LightGBM does not divide by the number of trees for `boosting=rf`; margins
//! here do, as its predictions do.
//!
//! ```
//! use arrow::array::Float64Array;
//! use mlops_core::{Model, batch};
//! use mlops_core::model::trees::lightgbm;
//!
//! let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\n\
//!     objective=regression\nfeature_names=age\nfeature_infos=[0:99]\n\n\
//!     Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=30.5\ndecision_type=2\n\
//!     left_child=-1\nright_child=-2\nleaf_value=1.5 7\nleaf_count=4 5\ninternal_count=9\n\
//!     is_linear=0\nshrinkage=1\n\nend of trees\n";
//! let model = lightgbm::load(text.as_bytes())?;
//! let rows = batch! { "age" => Float64Array::from(vec![30.5, 31.0]) }?;
//! assert_eq!(model.predict(&rows)?.as_values()?.values(), &[1.5, 7.0]);
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod dump;

use std::collections::HashMap;
use std::str::FromStr;

use super::grow::{Asks, Found, grow};
use super::json::Json;
use super::reader::Reader;
use super::{CategorySet, Feature, Labels, Question, Side, Target, Tree, TreeEnsemble};
use crate::model::Link;
use crate::model::file_kind::{FileKind, whose};
use crate::{Error, Result};

const WHAT: &str = "LightGBM model";

/// An ensemble from a file's bytes: text, or JSON.
///
/// # Errors
/// [`Error::Decode`] with the byte where the file stops making sense; [`Error::Invalid`] for linear
/// trees, an objective that is not known, and with the tree and the node for trees that are none:
/// see [`TreeEnsemble::new`].
pub fn load(bytes: &[u8]) -> Result<TreeEnsemble> {
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let found = if first == Some(&b'{') { dump::load(bytes) } else { load_text(bytes) };
    found.map_err(|e| whose(e, "one of LightGBM, text or JSON", FileKind::LightGbm, bytes))
}

/// What stands before the trees.
#[derive(Debug, Default)]
struct Header {
    classes: usize,
    trees_per_iteration: usize,
    features: usize,
    objective: Option<String>,
    average: bool,
    names: Vec<String>,
    /// Whether the feature has categories.
    is_category: Vec<bool>,
    labels: Vec<Labels>,
}

impl Header {
    fn ensemble(mut self, mut trees: Vec<Tree>) -> Result<TreeEnsemble> {
        let outputs = self.trees_per_iteration.max(1);
        if outputs > TreeEnsemble::MAX_OUTPUTS {
            let expected = format!("at most {} outputs", TreeEnsemble::MAX_OUTPUTS);
            return Err(Error::invalid(WHAT, expected, outputs));
        }
        if self.names.len() != self.features {
            let expected = format!("{} feature names", self.features);
            return Err(Error::invalid(WHAT, expected, self.names.len()));
        }
        let iterations = trees.len() / outputs;
        for (at, tree) in trees.iter_mut().enumerate() {
            tree.target = Target::One((at % outputs) as u32);
            if self.average {
                tree.weight = 1.0 / iterations.max(1) as f64;
            }
        }
        if !trees.len().is_multiple_of(outputs) {
            let expected = format!("a multiple of {outputs} trees");
            return Err(Error::invalid(WHAT, expected, trees.len()));
        }
        let (link, slope) = link(self.objective.as_deref(), outputs)?;
        // Old files don't say which features have categories; their splits do.
        self.is_category.resize(self.features, false);
        for feature in trees.iter().flat_map(Tree::categorical) {
            if let Some(is_category) = self.is_category.get_mut(feature) {
                *is_category = true;
            }
        }
        // Labels come in the order of the columns that have some.
        let categories = self.is_category.iter().filter(|is| **is).count();
        let mut labels = self.labels.into_iter().map(Some).collect::<Vec<_>>();
        if labels.len() != categories {
            labels.clear();
        }
        let mut labels = labels.into_iter();
        let features = self.names.into_iter().enumerate().map(|(j, name)| {
            if self.is_category.get(j) == Some(&true) {
                Feature::category(name, labels.next().flatten())
            } else {
                Feature::number(name)
            }
        });
        let features = features.collect();
        let ensemble = TreeEnsemble::new(features, trees, vec![0.0; outputs], link);
        ensemble.and_then(|e| e.with_slope(slope)).map_err(|e| e.within(WHAT))
    }
}

/// The link of an objective as the file writes it: `binary sigmoid:1`.
fn link(objective: Option<&str>, outputs: usize) -> Result<(Link, f64)> {
    let names = || (0..outputs).map(|k| k.to_string()).collect::<Vec<_>>();
    let plain = || if outputs == 1 { Link::Identity } else { Link::Scores { classes: names() } };
    // A custom objective is not in the file: its predictions are the margins.
    let Some(text) = objective else { return Ok((plain(), 1.0)) };
    let mut words = text.split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    let mut slope = 1.0;
    let mut is_sqrt = false;
    for word in words {
        if let Some(value) = word.strip_prefix("sigmoid:") {
            slope = value.parse().map_err(|_| {
                Error::invalid(format!("objective of a {WHAT}"), "a sigmoid parameter", value)
            })?;
        }
        is_sqrt |= word == "sqrt";
    }
    let (negative, positive) = ("0".to_owned(), "1".to_owned());
    let link = match name {
        "regression" | "regression_l2" if is_sqrt && outputs == 1 => Link::Sqrt,
        "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile"
        | "mape" | "lambdarank" | "rank_xendcg" | "custom" | "none" => plain(),
        "poisson" | "gamma" | "tweedie" if outputs == 1 => Link::Log,
        "binary" if outputs == 1 => Link::Logistic { negative, positive },
        "cross_entropy" if outputs == 1 => Link::Logit,
        "cross_entropy_lambda" if outputs == 1 => Link::Softplus,
        "multiclass" if outputs > 1 => Link::Softmax { classes: names() },
        "multiclassova" if outputs > 1 => Link::OneVsRest { classes: names() },
        _ => {
            let found = format!("`{text}` with {outputs} outputs");
            return Err(Error::invalid(WHAT, "an objective of LightGBM", found));
        }
    };
    let has_slope = matches!(link, Link::Logistic { .. } | Link::OneVsRest { .. });
    Ok((link, if has_slope { slope } else { 1.0 }))
}

/// `-1:0:3` are categories, `[0:99]` numbers, `none` a feature that nothing was learned of.
fn is_category(info: &str) -> bool {
    !info.starts_with('[') && info != "none"
}

/// What a tree's bits say of a split.
fn missing_of(kind: u32) -> Option<Missing> {
    match kind {
        0 => Some(Missing::None),
        1 => Some(Missing::Zero),
        2 => Some(Missing::Nan),
        _ => None,
    }
}

/// What is missing for a split: nothing (NaN counts as zero), zero and NaN, or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    None,
    Zero,
    Nan,
}

/// A split of numbers: what goes left, and where what is missing goes.
fn number_split(threshold: f64, missing: Missing, default: Side) -> (Asks, Side, bool) {
    let asks = Asks::Number(Question::at_most(threshold));
    match missing {
        // NaN is taken for 0.
        Missing::None => (asks, Side::left_if(0.0 <= threshold), false),
        Missing::Zero => (asks, default, true),
        Missing::Nan => (asks, default, false),
    }
}

/// A line of the text: its place, key and value.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    at: usize,
    key: &'a str,
    value: &'a str,
}

fn wrong<T>(at: usize, expected: impl Into<String>, found: &str) -> Result<T> {
    let mut found: String = found.chars().take(40).collect();
    if found.is_empty() {
        found.push_str("nothing");
    }
    Err(Error::Decode { what: WHAT.into(), offset: at as u64, expected: expected.into(), found })
}

impl Line<'_> {
    fn one<T: FromStr>(&self) -> Result<T> {
        let parsed = self.value.trim().parse();
        parsed.or_else(|_| wrong(self.at, format!("a number for `{}`", self.key), self.value))
    }

    fn all<T: FromStr>(&self) -> Result<Vec<T>> {
        let parse = |word: &str| match word.parse() {
            Ok(number) => Ok(number),
            Err(_) => wrong(self.at, format!("numbers for `{}`", self.key), word),
        };
        self.value.split_ascii_whitespace().map(parse).collect()
    }
}

fn load_text(bytes: &[u8]) -> Result<TreeEnsemble> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => return wrong(e.valid_up_to(), "UTF-8", "another byte"),
    };
    let mut header = Header::default();
    let mut infos = Vec::new();
    let mut trees = Vec::new();
    let mut block: Option<Block<'_>> = None;
    let (mut began, mut ended) = (false, false);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let here = at;
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        if here == 0 {
            // The first line names the format; there is no other check of it.
            if line.trim() != "tree" {
                return wrong(0, "`tree`, the first line of a model", line);
            }
            began = true;
            continue;
        }
        if ended {
            if let Some(json) = line.strip_prefix("pandas_categorical:") {
                let offset = here + line.len() - json.len();
                let mut reader = Json::new("labels of a LightGBM model", &bytes[offset..at]);
                header.labels = pandas_labels(&mut reader)?;
            }
            continue;
        }
        if line == "end of trees" {
            ended = true;
            if let Some(block) = block.take() {
                trees.push(block.tree(trees.len())?);
            }
            continue;
        }
        if line == "average_output" {
            header.average = true;
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            if line.trim().is_empty() {
                continue;
            }
            return wrong(here, "`key=value`", line);
        };
        let line = Line { at: here, key, value };
        if key == "Tree" {
            if let Some(block) = block.replace(Block::new(here)) {
                trees.push(block.tree(trees.len())?);
            }
            let number: usize = line.one()?;
            if number != trees.len() {
                return wrong(here, format!("tree {}", trees.len()), value);
            }
        } else if let Some(block) = &mut block {
            block.lines.insert(key, line);
        } else {
            match key {
                "num_class" => header.classes = line.one()?,
                "num_tree_per_iteration" => header.trees_per_iteration = line.one()?,
                "max_feature_idx" => {
                    header.features = line.one::<usize>()?.saturating_add(1);
                }
                "objective" => header.objective = Some(value.to_owned()),
                "feature_names" => {
                    header.names = value.split_ascii_whitespace().map(str::to_owned).collect();
                }
                "feature_infos" => {
                    infos = value.split_ascii_whitespace().map(is_category).collect();
                }
                _ => {}
            }
        }
    }
    if !began || !ended {
        let expected = if began { "`end of trees`" } else { "`tree`, the first line of a model" };
        return wrong(bytes.len(), expected, "the end");
    }
    header.is_category = infos;
    header.ensemble(trees)
}

/// One list of labels for each categorical column, or null.
fn pandas_labels(r: &mut Json<'_>) -> Result<Vec<Labels>> {
    let mut all = Vec::new();
    if r.is_null() {
        r.skip()?;
        return Ok(all);
    }
    r.array(|r| {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        r.array(|r| {
            if r.is_text() {
                texts.push(r.text()?.into_owned());
            } else if r.is_word() {
                // Booleans are categories of 0 and 1.
                numbers.push(r.i64()? as f64);
            } else {
                numbers.push(r.f64()?);
            }
            Ok(())
        })?;
        all.push(match (texts.is_empty(), numbers.is_empty()) {
            (false, false) => return r.bad("labels of one kind", "texts and numbers"),
            (false, true) => Labels::Text(texts),
            _ => Labels::Numbers(numbers),
        });
        Ok(())
    })?;
    Ok(all)
}

/// The lines of one tree.
struct Block<'a> {
    at: usize,
    lines: HashMap<&'a str, Line<'a>>,
}

impl<'a> Block<'a> {
    fn new(at: usize) -> Self {
        Self { at, lines: HashMap::new() }
    }

    fn line(&self, key: &str) -> Result<Line<'a>> {
        match self.lines.get(key) {
            Some(line) => Ok(*line),
            None => wrong(self.at, format!("a tree with `{key}`"), "none"),
        }
    }

    /// The numbers of a line of this many.
    fn numbers<T: FromStr>(&self, key: &str, n: usize) -> Result<Vec<T>> {
        let line = self.line(key)?;
        let numbers = line.all()?;
        if numbers.len() != n {
            let found = format!("{} of them", numbers.len());
            return wrong(line.at, format!("{n} numbers for `{key}`"), &found);
        }
        Ok(numbers)
    }

    fn tree(&self, at: usize) -> Result<Tree> {
        let leaves: usize = self.line("num_leaves")?.one()?;
        if let Some(line) = self.lines.get("is_linear")
            && line.value.trim() != "0"
        {
            return wrong(line.at, "a tree of constant leaves", "a linear tree, which is not one");
        }
        let values: Vec<f64> = self.numbers("leaf_value", leaves)?;
        // A tree of one leaf says nothing but its value.
        let splits = leaves
            .checked_sub(1)
            .map_or_else(|| wrong(self.at, "at least one leaf", "none"), Ok)?;
        let what = format!("tree {at} of a {WHAT}");
        if splits == 0 {
            let count = self.lines.get("leaf_count").and_then(|l| l.one::<f64>().ok());
            let cover = count.filter(|c| *c > 0.0).unwrap_or(1.0);
            return grow(
                &what,
                Target::One(0),
                1,
                0,
                false,
                |_| Some(0),
                |_, out| {
                    out.push(values[0]);
                    Ok(Found::Leaf { cover })
                },
            );
        }
        let features: Vec<u32> = self.numbers("split_feature", splits)?;
        let thresholds: Vec<f64> = self.numbers("threshold", splits)?;
        let kinds: Vec<u32> = self.numbers("decision_type", splits)?;
        let left: Vec<i32> = self.numbers("left_child", splits)?;
        let right: Vec<i32> = self.numbers("right_child", splits)?;
        let counts = |key: &str, n: usize| -> Result<Vec<f64>> {
            // Old files have none.
            if self.lines.contains_key(key) { self.numbers(key, n) } else { Ok(vec![0.0; n]) }
        };
        let leaf_count = counts("leaf_count", leaves)?;
        let internal_count = counts("internal_count", splits)?;
        let categories: usize = self.line("num_cat")?.one()?;
        let (mut bounds, mut words) = (Vec::new(), Vec::new());
        if categories > 0 {
            bounds = self.numbers::<usize>("cat_boundaries", categories.saturating_add(1))?;
            words = self.line("cat_threshold")?.all::<u32>()?;
        }
        // Each set may be asked for once, so that no more is made of the file than it holds.
        let mut used = vec![false; categories.min(bounds.len())];
        let place = |i: i64| {
            if i >= 0 {
                usize::try_from(i).ok()
            } else {
                usize::try_from(!i).ok()?.checked_add(splits)
            }
        };
        grow(&what, Target::One(0), splits + leaves, 0, false, place, |i, out| {
            let Ok(split) = usize::try_from(i) else {
                let leaf = !i as usize;
                // `place` leaves through what is one of the leaves only if it is below their number.
                let (Some(&value), Some(&cover)) = (values.get(leaf), leaf_count.get(leaf)) else {
                    return Err(Error::invalid(&*what, format!("one of {leaves} leaves"), leaf));
                };
                out.push(value);
                return Ok(Found::Leaf { cover });
            };
            let wrong = |expected: &str, found: String| {
                Err(Error::invalid(format!("{what}, node {split}"), expected, found))
            };
            let Some(&kind) = kinds.get(split) else {
                return wrong(&format!("one of {splits} splits"), split.to_string());
            };
            let (asks, missing, zero_is_missing) = if kind & 1 == 1 {
                let set = thresholds[split];
                let place = set as usize;
                let fits = set >= 0.0 && set.fract() == 0.0;
                let bounds = fits.then(|| Some((*bounds.get(place)?, *bounds.get(place + 1)?)));
                let found = bounds.flatten().and_then(|(from, to)| words.get(from..to));
                match (found, used.get_mut(place)) {
                    (Some(words), Some(used)) if !*used => {
                        *used = true;
                        let set = CategorySet::new(bits_of(words), Side::Left);
                        // What is missing is in no set.
                        (Asks::Categories(set), Side::Right, false)
                    }
                    _ => return wrong("a set of categories of its own", set.to_string()),
                }
            } else {
                let Some(missing) = missing_of(kind >> 2 & 3) else {
                    return wrong("a decision type", kind.to_string());
                };
                number_split(thresholds[split], missing, Side::left_if(kind & 2 != 0))
            };
            Ok(Found::Split {
                feature: features[split],
                asks,
                missing,
                zero_is_missing,
                left: left[split].into(),
                right: right[split].into(),
                cover: internal_count[split],
            })
        })
    }
}

/// The numbers of the bits that are set.
fn bits_of(words: &[u32]) -> Vec<u32> {
    let bits = |(at, &word): (usize, &u32)| {
        (0..32u32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 32 + bit)
    };
    words.iter().enumerate().flat_map(bits).collect()
}
