//! ONNX models of trees: the operators `TreeEnsembleRegressor` and `TreeEnsembleClassifier` of
//! `ai.onnx.ml`, by a small reader of their protocol buffers.
//!
//! The graph may convert types around the operator; a graph that does more to the features or the
//! scores is refused with the name of what it does. ONNX keeps neither the features' names (they
//! are `f0`, `f1`, …; see [`TreeEnsemble::with_names`]) nor, as converters write it, how many rows
//! came to a node ([`TreeEnsemble::with_covers_of`] counts some).

mod graph;
mod protobuf;

use std::collections::HashMap;

use graph::{Attribute, DOUBLE, Graph, Operator};

use super::grow::{Asks, Found, grow};
use super::{Feature, Question, Side, Target, Tree, TreeEnsemble};
use crate::model::Link;
use crate::model::file_kind::{FileKind, whose};
use crate::{Error, Result};

const WHAT: &str = "ONNX model";

/// An ensemble from a file's bytes.
///
/// # Errors
/// [`Error::Decode`] with the byte where the file stops making sense; [`Error::Invalid`] for a
/// graph without such an operator or with others that compute, comparisons for equality, minima
/// and maxima, and with the tree and the node for trees that are none: see [`TreeEnsemble::new`].
pub fn load(bytes: &[u8]) -> Result<TreeEnsemble> {
    read(bytes).map_err(|e| whose(e, "one of ONNX", FileKind::Onnx, bytes))
}

fn read(bytes: &[u8]) -> Result<TreeEnsemble> {
    let graph = Graph::read(bytes)?;
    let mut found = None;
    for (at, node) in graph.nodes.iter().enumerate() {
        match node.kind {
            "TreeEnsembleRegressor" | "TreeEnsembleClassifier" if found.is_none() => {
                found = Some(at);
            }
            "Cast" | "Identity" | "ZipMap" => {}
            other => {
                let expected = "one operator of trees, and conversions of types";
                return Err(Error::invalid(WHAT, expected, format!("`{other}`")));
            }
        }
    }
    let Some(at) = found else {
        let expected = "a `TreeEnsembleRegressor` or `TreeEnsembleClassifier`";
        return Err(Error::invalid(WHAT, expected, "none"));
    };
    let (is_double, columns) = input_of(&graph, at)?;
    Ensemble { node: &graph.nodes[at], is_double }.load(columns)
}

/// Whether the operator's input has double precision, and its number of columns.
fn input_of(graph: &Graph<'_>, at: usize) -> Result<(bool, Option<u64>)> {
    let mut name = graph.nodes[at].inputs.first().copied().unwrap_or_default();
    let mut kind = None;
    // Each step goes to an operator before, of which there are finitely many.
    for _ in 0..=graph.nodes.len() {
        if let Some(&(of, columns)) = graph.inputs.get(name) {
            return Ok((kind.unwrap_or(of) == DOUBLE, columns));
        }
        let Some(from) = graph.nodes.iter().find(|node| node.outputs.contains(&name)) else {
            break;
        };
        if from.kind == "Cast" && kind.is_none() {
            let to = from.attributes.get("to").and_then(|to| to.number);
            kind = to.and_then(|to| u64::try_from(to).ok());
        }
        name = from.inputs.first().copied().unwrap_or_default();
    }
    Err(Error::invalid(WHAT, "trees on an input of the graph", format!("`{name}`")))
}

struct Ensemble<'a> {
    node: &'a Operator<'a>,
    is_double: bool,
}

/// A leaf's output and what it adds.
type Weights = Vec<(u32, f64)>;

impl Ensemble<'_> {
    fn attribute(&self, name: &str) -> Option<&Attribute<'_>> {
        self.node.attributes.get(name)
    }

    fn numbers(&self, name: &str, n: Option<usize>) -> Result<&[i64]> {
        let numbers = self.attribute(name).map_or(&[][..], |a| &a.numbers);
        match n {
            Some(n) if numbers.len() != n => {
                let what = format!("`{name}` of an {WHAT}");
                Err(Error::invalid(what, format!("{n} numbers"), numbers.len()))
            }
            _ => Ok(numbers),
        }
    }

    /// Numbers, which stand in an attribute of floats or, where they are doubles, in a tensor.
    fn fractions(&self, name: &str) -> &[f64] {
        let tensor = format!("{name}_as_tensor");
        let found = self.attribute(&tensor).filter(|a| !a.floats.is_empty());
        found.or_else(|| self.attribute(name)).map_or(&[], |a| &a.floats)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(|a| a.text)
    }

    fn load(&self, columns: Option<u64>) -> Result<TreeEnsemble> {
        let is_classifier = self.node.kind == "TreeEnsembleClassifier";
        let prefix = if is_classifier { "class" } else { "target" };
        let ids = self.numbers(&format!("{prefix}_ids"), None)?;
        let n = Some(ids.len());
        let node_ids = self.numbers(&format!("{prefix}_nodeids"), n)?;
        let tree_ids = self.numbers(&format!("{prefix}_treeids"), n)?;
        let weights = self.fractions(&format!("{prefix}_weights"));
        if weights.len() != ids.len() {
            let what = format!("weights of an {WHAT}");
            return Err(Error::invalid(what, format!("{} numbers", ids.len()), weights.len()));
        }
        let labels = self.labels()?;
        let declared = if is_classifier {
            labels.len()
        } else {
            let targets = self.attribute("n_targets").and_then(|a| a.number).unwrap_or(1);
            usize::try_from(targets).unwrap_or(usize::MAX)
        };
        if declared == 0 || declared > TreeEnsemble::MAX_OUTPUTS {
            let expected = format!("1 to {} outputs", TreeEnsemble::MAX_OUTPUTS);
            return Err(Error::invalid(WHAT, expected, declared));
        }
        // Two classes may have one score.
        let is_binary = is_classifier && declared == 2 && ids.iter().all(|k| *k == ids[0]);
        let outputs = if is_binary { 1 } else { declared };
        let mut leaves: HashMap<(i64, i64), Weights> = HashMap::with_capacity(ids.len());
        for (i, &k) in ids.iter().enumerate() {
            let Some(output) = u32::try_from(k).ok().filter(|k| (*k as usize) < declared) else {
                return Err(Error::invalid(WHAT, format!("an output below {declared}"), k));
            };
            let output = if is_binary { 0 } else { output };
            leaves.entry((tree_ids[i], node_ids[i])).or_default().push((output, weights[i]));
        }
        let trees = self.trees(&mut leaves, outputs)?;
        let base = self.base(outputs, is_binary)?;
        let positive = weights.iter().all(|w| *w >= 0.0);
        let link = self.link(is_classifier, is_binary, positive, labels, outputs)?;
        let used = self.numbers("nodes_featureids", None)?.iter().copied().max().unwrap_or(-1);
        let most = TreeEnsemble::MAX_FEATURES as u64;
        let n = columns.unwrap_or(0).max(u64::try_from(used + 1).unwrap_or(0));
        if n > most {
            return Err(Error::invalid(WHAT, format!("at most {most} features"), n));
        }
        let features = (0..n).map(|j| Feature::number(format!("f{j}"))).collect();
        TreeEnsemble::new(features, trees, base, link).map_err(|e| e.within(WHAT))
    }

    fn labels(&self) -> Result<Vec<String>> {
        let texts = self.attribute("classlabels_strings").map_or(&[][..], |a| &a.texts);
        let numbers = self.numbers("classlabels_int64s", None)?;
        if texts.is_empty() {
            return Ok(numbers.iter().map(ToString::to_string).collect());
        }
        Ok(texts.iter().map(|&t| t.to_owned()).collect())
    }

    fn base(&self, outputs: usize, is_binary: bool) -> Result<Vec<f64>> {
        let base = self.fractions("base_values");
        match base {
            [] => Ok(vec![0.0; outputs]),
            [_, second] if is_binary => Ok(vec![*second]),
            _ if base.len() == outputs => Ok(base.to_vec()),
            _ => {
                let expected = format!("{outputs} base values");
                Err(Error::invalid(WHAT, expected, base.len()))
            }
        }
    }

    fn link(
        &self,
        is_classifier: bool,
        is_binary: bool,
        positive: bool,
        classes: Vec<String>,
        outputs: usize,
    ) -> Result<Link> {
        let transform = self.text("post_transform").unwrap_or("NONE");
        let numbered = || (0..outputs).map(|k| k.to_string()).collect();
        let link = if is_binary {
            let mut classes = classes.into_iter();
            let negative = classes.next().unwrap_or_default();
            let positive_class = classes.next().unwrap_or_default();
            match transform {
                "LOGISTIC" => Some(Link::Logistic { negative, positive: positive_class }),
                // Probabilities of one class; otherwise scores of either sign.
                "NONE" if positive => {
                    Some(Link::Probability { negative, positive: positive_class })
                }
                _ => None,
            }
        } else if is_classifier {
            match transform {
                "NONE" => Some(Link::Scores { classes }),
                "LOGISTIC" => Some(Link::OneVsRest { classes }),
                "SOFTMAX" => Some(Link::Softmax { classes }),
                _ => None,
            }
        } else {
            match (transform, outputs) {
                ("NONE", 1) => Some(Link::Identity),
                ("NONE", _) => Some(Link::Scores { classes: numbered() }),
                ("LOGISTIC", 1) => Some(Link::Logit),
                ("SOFTMAX", 2..) => Some(Link::Softmax { classes: numbered() }),
                _ => None,
            }
        };
        link.ok_or_else(|| {
            let found = format!("`{transform}` of {outputs} outputs");
            Error::invalid(WHAT, "a transformation of scores that is known", found)
        })
    }

    fn trees(
        &self,
        leaves: &mut HashMap<(i64, i64), Weights>,
        outputs: usize,
    ) -> Result<Vec<Tree>> {
        let ids: usize = leaves.values().map(Vec::len).sum();
        let tree_ids = self.numbers("nodes_treeids", None)?;
        let n = tree_ids.len();
        let node_ids = self.numbers("nodes_nodeids", Some(n))?;
        let features = self.numbers("nodes_featureids", Some(n))?;
        let yes = self.numbers("nodes_truenodeids", Some(n))?;
        let no = self.numbers("nodes_falsenodeids", Some(n))?;
        let modes = self.attribute("nodes_modes").map_or(&[][..], |a| &a.texts);
        let values = self.fractions("nodes_values");
        let missing = self.numbers("nodes_missing_value_tracks_true", None)?;
        for (name, len) in [("nodes_modes", modes.len()), ("nodes_values", values.len())] {
            if len != n {
                let what = format!("`{name}` of an {WHAT}");
                return Err(Error::invalid(what, format!("{n} items"), len));
            }
        }
        if !missing.is_empty() && missing.len() != n {
            let what = format!("`nodes_missing_value_tracks_true` of an {WHAT}");
            return Err(Error::invalid(what, format!("{n} items"), missing.len()));
        }
        let average = match self.text("aggregate_function").unwrap_or("SUM") {
            "SUM" => false,
            "AVERAGE" => true,
            other => return Err(Error::invalid(WHAT, "sums or averages", format!("`{other}`"))),
        };
        // Trees in the order of the file, each with its nodes; the first is the root.
        let mut order = Vec::new();
        let mut nodes: HashMap<i64, Vec<usize>> = HashMap::new();
        let mut places: HashMap<(i64, i64), usize> = HashMap::with_capacity(n);
        for i in 0..n {
            let of = nodes.entry(tree_ids[i]).or_insert_with(|| {
                order.push(tree_ids[i]);
                Vec::new()
            });
            if places.insert((tree_ids[i], node_ids[i]), of.len()).is_some() {
                let what = format!("tree {}, node {} of an {WHAT}", tree_ids[i], node_ids[i]);
                return Err(Error::invalid(what, "one node of the number", "two"));
            }
            of.push(i);
        }
        // How many rows came to a node, where the file says it: converters fill in ones.
        let rates = self.fractions("nodes_hitrates");
        let has_rates = rates.len() == n && rates.iter().any(|r| *r != 1.0);
        let mut trees = Vec::with_capacity(order.len());
        for tree in order {
            let of = &nodes[&tree];
            let root = node_ids[of[0]];
            let what = format!("tree {tree} of an {WHAT}");
            // All outputs, unless all leaves are of one.
            let mut of_one = None;
            for &i in of.iter().filter(|i| modes[**i] == "LEAF") {
                for &(k, _) in leaves.get(&(tree, node_ids[i])).into_iter().flatten() {
                    let same = *of_one.get_or_insert(k) == k;
                    if !same {
                        of_one = Some(u32::MAX);
                    }
                }
            }
            let target = match of_one {
                Some(u32::MAX) => Target::All,
                one => Target::One(one.unwrap_or(0)),
            };
            let width = if target == Target::All { outputs } else { 1 };
            // A few weights that name many outputs would become far more than the file has.
            if width.saturating_mul(of.len()) > 64 * ids + (1 << 16) {
                let found = format!("{width} for each leaf");
                return Err(Error::invalid(what, "leaves of outputs that most have", found));
            }
            let place = |id: i64| places.get(&(tree, id)).copied();
            let grown = grow(&what, target, of.len(), root, false, place, |id, out| {
                let i = of[places[&(tree, id)]];
                let cover = if has_rates { rates[i] } else { 0.0 };
                let wrong = |expected: &str, found: String| {
                    Err(Error::invalid(format!("{what}, node {id}"), expected, found))
                };
                if modes[i] == "LEAF" {
                    let first = out.len();
                    out.resize(first + width, 0.0);
                    for (k, weight) in leaves.remove(&(tree, id)).unwrap_or_default() {
                        out[first + if width == 1 { 0 } else { k as usize }] += weight;
                    }
                    return Ok(Found::Leaf { cover });
                }
                let t = values[i];
                let single = !self.is_double;
                let at_most =
                    || if single { Question::at_most_f32(t as f32) } else { Question::at_most(t) };
                let below =
                    || if single { Question::below_f32(t as f32) } else { Question::below(t) };
                // What is left where the answer is yes, or no.
                let (question, yes_is_left) = match modes[i] {
                    "BRANCH_LEQ" => (at_most(), true),
                    "BRANCH_LT" => (below(), true),
                    "BRANCH_GT" => (at_most(), false),
                    "BRANCH_GTE" => (below(), false),
                    other => return wrong("a comparison of order", format!("`{other}`")),
                };
                let Ok(feature) = u32::try_from(features[i]) else {
                    return wrong("a feature", features[i].to_string());
                };
                // No comparison holds of NaN.
                let missing_is_yes = missing.get(i).is_some_and(|m| *m != 0);
                let (left, right) = if yes_is_left { (yes[i], no[i]) } else { (no[i], yes[i]) };
                Ok(Found::Split {
                    feature,
                    asks: Asks::Number(question),
                    missing: Side::left_if(missing_is_yes == yes_is_left),
                    zero_is_missing: false,
                    left,
                    right,
                    cover,
                })
            })?;
            trees.push(grown);
        }
        if average {
            let weight = 1.0 / trees.len().max(1) as f64;
            for tree in &mut trees {
                tree.weight = weight;
            }
        }
        Ok(trees)
    }
}
