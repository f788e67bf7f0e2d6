//! Owen values: Shapley values among groups of features, and inside each group among its members.

use std::collections::HashMap;

use mlops_core::{Error, Result};

use super::MaskedModel;
use super::exact::shapley_weights;
use super::explainer::plays_games;
use super::masked_model::{Game, Played, Plays};

/// How features belong together: a tree whose leaves are the features of a [`MaskedModel`].
///
/// ```
/// use mlops_fairness::attribution::Partition;
/// let home = Partition::group(["rent", "city"]);
/// let all = Partition::Group(vec![home, Partition::feature("income")]);
/// # assert_eq!(all, Partition::Group(vec![
/// #     Partition::Group(vec![Partition::feature("rent"), Partition::feature("city")]),
/// #     Partition::feature("income"),
/// # ]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// A feature.
    Feature(String),
    /// Features, or groups of them, that come together before others do.
    Group(Vec<Partition>),
}

impl Partition {
    /// A feature.
    pub fn feature(name: impl Into<String>) -> Self {
        Self::Feature(name.into())
    }

    /// A group of features.
    pub fn group<S: Into<String>>(features: impl IntoIterator<Item = S>) -> Self {
        Self::Group(features.into_iter().map(Self::feature).collect())
    }
}

/// Owen values of any model, exact: orders in which the members of a group come one after the
/// other, at every level of a [`Partition`].
///
/// The members of a group share what the group adds, so that columns which move together don't take
/// from others what is theirs; and far fewer coalitions are asked for than 2^M. For a binary tree
/// of depth D it is about `M · 2^D`; a flat partition gives Shapley values.
///
/// Owen 1977, doi:10.1007/978-3-642-45494-3_7; shap: `PartitionExplainer` (binary trees, and stops
/// splitting where its evaluations end).
#[derive(Clone, Debug)]
pub struct PartitionExplainer {
    model: MaskedModel,
    tree: Node,
    max_coalitions: usize,
}

/// The partition with places instead of names.
#[derive(Clone, Debug)]
enum Node {
    Leaf(usize),
    Group(Vec<Node>),
}

impl PartitionExplainer {
    /// How deep a partition may be nested.
    pub const MAX_DEPTH: usize = 64;

    /// Features that the partition does not name are groups of their own at its top. At most 2^18
    /// coalitions a row may be asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is no feature or stands twice, or a nesting deeper than
    /// [`MAX_DEPTH`](Self::MAX_DEPTH).
    pub fn new(model: MaskedModel, partition: &Partition) -> Result<Self> {
        let mut seen = vec![false; model.features().len()];
        let mut top = match node(partition, model.features(), &mut seen, 0)? {
            Node::Group(members) => members,
            leaf @ Node::Leaf(_) => vec![leaf],
        };
        top.extend((0..seen.len()).filter(|&f| !seen[f]).map(Node::Leaf));
        Ok(Self { model, tree: Node::Group(top), max_coalitions: 1 << 18 })
    }

    /// The same, with at most so many coalitions of a row (2^30 at the most); more are an error.
    #[must_use]
    pub fn max_coalitions(mut self, coalitions: usize) -> Self {
        self.max_coalitions = coalitions.min(1 << 30);
        self
    }
}

impl Plays for PartitionExplainer {
    fn play(&self, game: &Game<'_>) -> Result<Played> {
        let (m, k) = (game.players(), game.outputs());
        let mut place = vec![None; self.model.features().len()];
        for (i, &player) in game.active().iter().enumerate() {
            place[player] = Some(i);
        }
        // Null players come and go without changing what the others get.
        let Some(tree) = pruned(&self.tree, &place) else {
            return Ok(Played { phi: Vec::new(), standard_errors: None });
        };
        let pairs = pairs(&tree);
        if pairs > self.max_coalitions as f64 {
            let expected = format!("at most {} coalitions a row", self.max_coalitions);
            return Err(Error::invalid("partition", expected, format!("{pairs:.0}")));
        }
        let mut asked = Asked { terms: Vec::new(), masks: Vec::new(), known: HashMap::new() };
        asked.descend(&tree, &mut vec![false; m], 1.0);
        // The first two are nothing and all.
        let mut values = game.base().to_vec();
        values.extend_from_slice(game.full());
        let (nothing, all) = (vec![false; m], vec![true; m]);
        let masks: Vec<bool> = asked
            .masks
            .iter()
            .filter(|mask| **mask != nothing && **mask != all)
            .flatten()
            .copied()
            .collect();
        let inner = game.values(&masks)?;
        let mut next = 0;
        let mut at = Vec::with_capacity(asked.masks.len());
        for mask in &asked.masks {
            at.push(if *mask == nothing {
                0
            } else if *mask == all {
                1
            } else {
                next += 1;
                next + 1
            });
        }
        values.extend(inner);
        let mut phi = vec![0.0; k * m];
        for (player, without, with, weight) in asked.terms {
            for output in 0..k {
                let [without, with] = [without, with].map(|mask| values[at[mask] * k + output]);
                phi[output * m + player] += weight * (with - without);
            }
        }
        Ok(Played { phi, standard_errors: None })
    }
}

plays_games!(PartitionExplainer);

fn node(
    partition: &Partition,
    features: &[String],
    seen: &mut [bool],
    depth: usize,
) -> Result<Node> {
    if depth > PartitionExplainer::MAX_DEPTH {
        let expected = format!("at most {} levels", PartitionExplainer::MAX_DEPTH);
        return Err(Error::invalid("partition", expected, "more"));
    }
    match partition {
        Partition::Feature(name) => {
            let at = features.iter().position(|f| f == name).ok_or_else(|| {
                Error::invalid(
                    "feature of a partition",
                    format!("one of: {}", features.join(", ")),
                    name,
                )
            })?;
            if std::mem::replace(&mut seen[at], true) {
                let found = format!("`{name}` twice");
                return Err(Error::invalid("partition", "each feature once", found));
            }
            Ok(Node::Leaf(at))
        }
        Partition::Group(members) => Ok(Node::Group(
            members
                .iter()
                .map(|member| node(member, features, seen, depth + 1))
                .collect::<Result<_>>()?,
        )),
    }
}

/// The tree of the players that are there, a group of one being its member.
fn pruned(tree: &Node, place: &[Option<usize>]) -> Option<Node> {
    match tree {
        Node::Leaf(feature) => place[*feature].map(Node::Leaf),
        Node::Group(members) => {
            let mut left: Vec<_> = members.iter().filter_map(|m| pruned(m, place)).collect();
            match left.len() {
                0 => None,
                1 => left.pop(),
                _ => Some(Node::Group(left)),
            }
        }
    }
}

/// How many differences are asked for.
fn pairs(tree: &Node) -> f64 {
    match tree {
        Node::Leaf(_) => 1.0,
        Node::Group(members) => {
            let siblings = 2f64.powi(members.len().min(2000) as i32 - 1);
            siblings * members.iter().map(pairs).sum::<f64>()
        }
    }
}

fn fill(tree: &Node, mask: &mut [bool], value: bool) {
    match tree {
        Node::Leaf(player) => mask[*player] = value,
        Node::Group(members) => members.iter().for_each(|member| fill(member, mask, value)),
    }
}

/// The differences to be weighed: a player, the masks without and with it, the weight.
struct Asked {
    terms: Vec<(usize, usize, usize, f64)>,
    masks: Vec<Vec<bool>>,
    known: HashMap<Vec<bool>, usize>,
}

impl Asked {
    fn mask(&mut self, mask: &[bool]) -> usize {
        if let Some(&at) = self.known.get(mask) {
            return at;
        }
        self.masks.push(mask.to_vec());
        self.known.insert(mask.to_vec(), self.masks.len() - 1);
        self.masks.len() - 1
    }

    /// `mask` is who came before the whole of this part.
    fn descend(&mut self, tree: &Node, mask: &mut Vec<bool>, weight: f64) {
        let members = match tree {
            Node::Leaf(player) => {
                let without = self.mask(mask);
                mask[*player] = true;
                let with = self.mask(mask);
                mask[*player] = false;
                self.terms.push((*player, without, with, weight));
                return;
            }
            Node::Group(members) => members,
        };
        let weights = shapley_weights(members.len());
        for (i, member) in members.iter().enumerate() {
            let siblings: Vec<_> =
                members.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, m)| m).collect();
            for before in 0..1_usize << siblings.len() {
                for (j, sibling) in siblings.iter().enumerate() {
                    fill(sibling, mask, before >> j & 1 == 1);
                }
                self.descend(member, mask, weight * weights[before.count_ones() as usize]);
            }
            for sibling in &siblings {
                fill(sibling, mask, false);
            }
        }
    }
}
