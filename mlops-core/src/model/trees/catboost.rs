//! Models of CatBoost from the JSON of `save_model(format="json")`: oblivious trees of numbers.
//!
//! A level of an oblivious tree asks one question; here it is a full tree. Margins are those of
//! `prediction_type="RawFormulaVal"`: `scale · Σ leaves + bias`. Categorical features, which
//! CatBoost turns into statistics of the training data, and trees that are not symmetric are
//! refused with that reason.

use std::collections::HashMap;

use super::json::Json;
use super::reader::Reader;
use super::{Feature, Node, Question, Side, Split, Target, Tree, TreeEnsemble};
use crate::model::Link;
use crate::model::file_kind::{FileKind, whose};
use crate::{Error, Result};

const WHAT: &str = "CatBoost model";

/// An ensemble from a file's bytes.
///
/// # Errors
/// [`Error::Decode`] with the byte where the file stops making sense; [`Error::Invalid`] for
/// splits of categories, trees that are not symmetric, a loss that is not known, and with the tree
/// for trees whose parts don't fit; see [`TreeEnsemble::new`].
pub fn load(bytes: &[u8]) -> Result<TreeEnsemble> {
    read(bytes).map_err(|e| whose(e, "one of CatBoost, as JSON", FileKind::CatBoost, bytes))
}

fn read(bytes: &[u8]) -> Result<TreeEnsemble> {
    let mut file = File::default();
    let mut r = Json::new(WHAT, bytes);
    r.object(|name, r| match name {
        "features_info" => file.features(r),
        "oblivious_trees" => r.array(|r| {
            file.trees.push(Oblivious::read(r)?);
            Ok(())
        }),
        "trees" => Err(Error::invalid(WHAT, "oblivious trees", "trees that are not symmetric")),
        "scale_and_bias" => file.scale_and_bias(r),
        "model_info" => file.info(r),
        _ => r.skip(),
    })?;
    r.end()?;
    file.ensemble()
}

#[derive(Default)]
struct File {
    floats: Vec<Float>,
    trees: Vec<Oblivious>,
    scale: Option<f64>,
    bias: Vec<f64>,
    loss: String,
    classes: Vec<String>,
}

#[derive(Default)]
struct Float {
    index: i64,
    flat: i64,
    name: String,
    nan_is_right: bool,
}

#[derive(Default)]
struct Oblivious {
    values: Vec<f64>,
    weights: Vec<f64>,
    splits: Vec<(i64, f32)>,
}

impl Oblivious {
    fn read(r: &mut Json<'_>) -> Result<Self> {
        let mut tree = Self::default();
        r.object(|name, r| {
            match name {
                "leaf_values" => tree.values = r.f64s()?,
                "leaf_weights" => tree.weights = r.f64s()?,
                "splits" if r.is_null() => r.skip()?,
                "splits" => r.array(|r| {
                    let (mut feature, mut border) = (-1, None);
                    r.object(|name, r| {
                        match name {
                            "float_feature_index" => feature = r.i64()?,
                            "border" => border = Some(r.f32()?),
                            "split_type" => {
                                let kind = r.text()?;
                                if kind != "FloatFeature" {
                                    let found = format!("`{kind}`");
                                    return Err(Error::invalid(WHAT, "splits of numbers", found));
                                }
                            }
                            _ => r.skip()?,
                        }
                        Ok(())
                    })?;
                    match border {
                        Some(border) => tree.splits.push((feature, border)),
                        None => return r.bad("a border", "none"),
                    }
                    Ok(())
                })?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(tree)
    }

    /// The full tree: the last split at the root, so that a leaf's number counts from the left.
    fn full(
        &self,
        at: usize,
        floats: &[Float],
        places: &HashMap<i64, usize>,
        outputs: usize,
        scale: f64,
    ) -> Result<Tree> {
        let wrong = |expected: String, found: String| {
            Err(Error::invalid(format!("tree {at} of a {WHAT}"), expected, found))
        };
        let depth = self.splits.len();
        let leaves = u32::try_from(depth).ok().and_then(|d| 1usize.checked_shl(d)).unwrap_or(0);
        if depth > 24 || leaves.saturating_mul(outputs) != self.values.len() {
            let expected = format!("2^{depth} x {outputs} leaf values");
            return wrong(expected, self.values.len().to_string());
        }
        if !self.weights.is_empty() && self.weights.len() != leaves {
            return wrong(format!("{leaves} leaf weights"), self.weights.len().to_string());
        }
        // Level by level from the root: the question, and where goes what is missing.
        let mut levels = Vec::with_capacity(depth);
        for &(feature, border) in self.splits.iter().rev() {
            let Some(&place) = places.get(&feature) else {
                return wrong("a feature of the file".into(), feature.to_string());
            };
            // Above the border to the right.
            let Some(question) = Question::at_most_f32(border) else {
                return wrong("a border".into(), border.to_string());
            };
            levels.push((place as u32, question, Side::left_if(!floats[place].nan_is_right)));
        }
        // As a heap: the children of `i` are `2i + 1` and `2i + 2`, and leaves stand at the end.
        let inner = leaves - 1;
        let mut covers = vec![0.0; inner + leaves];
        covers[inner..].iter_mut().zip(&self.weights).for_each(|(c, w)| *c = *w);
        for i in (0..inner).rev() {
            covers[i] = covers[2 * i + 1] + covers[2 * i + 2];
        }
        let mut nodes = Vec::with_capacity(inner + leaves);
        for (i, &cover) in covers.iter().enumerate().take(inner) {
            let level = (i + 1).ilog2() as usize;
            let (feature, question, missing) = levels[level];
            nodes.push(Node::Split(Split {
                feature,
                question,
                missing,
                zero_is_missing: false,
                left: 2 * i as u32 + 1,
                right: 2 * i as u32 + 2,
                cover,
            }));
        }
        let leaf = |(value, &cover): (usize, &f64)| Node::Leaf { value: value as u32, cover };
        nodes.extend(covers[inner..].iter().enumerate().map(leaf));
        let target = if outputs == 1 { Target::One(0) } else { Target::All };
        Ok(Tree { nodes, values: self.values.clone(), sets: Vec::new(), target, weight: scale })
    }
}

impl File {
    fn features(&mut self, r: &mut Json<'_>) -> Result<()> {
        r.object(|name, r| {
            match name {
                "float_features" => r.array(|r| {
                    let mut float = Float::default();
                    r.object(|name, r| {
                        match name {
                            "feature_index" => float.index = r.i64()?,
                            "flat_feature_index" => float.flat = r.i64()?,
                            "feature_id" => float.name = r.text()?.into_owned(),
                            "nan_value_treatment" => float.nan_is_right = r.text()? == "AsTrue",
                            _ => r.skip()?,
                        }
                        Ok(())
                    })?;
                    self.floats.push(float);
                    Ok(())
                })?,
                "categorical_features" | "text_features" | "embedding_features" => {
                    r.array(|_| {
                        let found = name.replace('_', " ");
                        Err(Error::invalid(WHAT, "features of numbers alone", found))
                    })?;
                }
                _ => r.skip()?,
            }
            Ok(())
        })
    }

    /// `[scale, [bias, …]]`, of old versions `[scale, bias]`.
    fn scale_and_bias(&mut self, r: &mut Json<'_>) -> Result<()> {
        r.array(|r| {
            if self.scale.is_none() {
                self.scale = Some(r.f64()?);
            } else if r.is_array() {
                self.bias = r.f64s()?;
            } else {
                self.bias = vec![r.f64()?];
            }
            Ok(())
        })
    }

    fn info(&mut self, r: &mut Json<'_>) -> Result<()> {
        r.object(|name, r| match name {
            "class_params" if r.is_object() => r.object(|name, r| match name {
                "class_names" => self.class_names(r),
                _ => r.skip(),
            }),
            "params" if r.is_object() => r.object(|name, r| match name {
                "loss_function" => r.object(|name, r| match name {
                    "type" => {
                        self.loss = r.text()?.into_owned();
                        Ok(())
                    }
                    _ => r.skip(),
                }),
                "data_processing_options" => r.object(|name, r| match name {
                    "class_names" if self.classes.is_empty() => self.class_names(r),
                    _ => r.skip(),
                }),
                _ => r.skip(),
            }),
            _ => r.skip(),
        })
    }

    fn class_names(&mut self, r: &mut Json<'_>) -> Result<()> {
        self.classes.clear();
        r.array(|r| {
            let name = if r.is_text() { r.text()?.into_owned() } else { r.f64()?.to_string() };
            self.classes.push(name);
            Ok(())
        })
    }

    fn link(&self, outputs: usize) -> Result<Link> {
        let classes = || {
            if self.classes.len() == outputs {
                self.classes.clone()
            } else {
                (0..outputs).map(|k| k.to_string()).collect()
            }
        };
        let one = outputs == 1;
        Ok(match self.loss.as_str() {
            "Logloss" | "CrossEntropy" if one => {
                let (negative, positive) = match &self.classes[..] {
                    [negative, positive] => (negative.clone(), positive.clone()),
                    _ => ("0".into(), "1".into()),
                };
                Link::Logistic { negative, positive }
            }
            "MultiClass" if !one => Link::Softmax { classes: classes() },
            "MultiClassOneVsAll" | "MultiLogloss" | "MultiCrossEntropy" if !one => {
                Link::OneVsRest { classes: classes() }
            }
            "Poisson" | "Tweedie" if one => Link::Log,
            "MultiRMSE" | "MultiRMSEWithMissingValues" | "MultiQuantile" => {
                Link::Scores { classes: classes() }
            }
            "RMSE"
            | "MAE"
            | "Quantile"
            | "MAPE"
            | "Huber"
            | "LogCosh"
            | "LogLinQuantile"
            | "Lq"
            | "Expectile"
            | "GroupQuantile"
            | "YetiRank"
            | "YetiRankPairwise"
            | "PairLogit"
            | "PairLogitPairwise"
            | "QueryRMSE"
            | "QuerySoftMax"
            | "QueryCrossEntropy"
            | "LambdaMart"
            | "StochasticRank"
            | "StochasticFilter"
            | "PythonUserDefinedPerObject"
                if one =>
            {
                Link::Identity
            }
            loss => {
                let found = format!("`{loss}` with {outputs} outputs");
                return Err(Error::invalid(WHAT, "a loss function of CatBoost", found));
            }
        })
    }

    fn ensemble(self) -> Result<TreeEnsemble> {
        let Some(scale) = self.scale else {
            return Err(Error::invalid(WHAT, "`scale_and_bias`", "none"));
        };
        // Trees tell the number of outputs; the bias of old files does not.
        let outputs = match self.trees.first() {
            None => self.bias.len(),
            Some(tree) => {
                let leaves = 1usize.checked_shl(tree.splits.len() as u32).unwrap_or(usize::MAX);
                tree.values.len() / leaves.max(1)
            }
        };
        let outputs = outputs.clamp(1, TreeEnsemble::MAX_OUTPUTS);
        let base = match self.bias[..] {
            [] => vec![0.0; outputs],
            [one] if outputs > 1 => vec![one; outputs],
            _ => self.bias.clone(),
        };
        let link = self.link(outputs)?;
        let places: HashMap<i64, usize> =
            self.floats.iter().enumerate().rev().map(|(place, f)| (f.index, place)).collect();
        let trees = self.trees.iter().enumerate();
        let trees = trees.map(|(at, tree)| tree.full(at, &self.floats, &places, outputs, scale));
        let trees = trees.collect::<Result<Vec<_>>>()?;
        let features = self.floats.iter().map(|f| {
            Feature::number(if f.name.is_empty() { f.flat.to_string() } else { f.name.clone() })
        });
        TreeEnsemble::new(features.collect(), trees, base, link).map_err(|e| e.within(WHAT))
    }
}
