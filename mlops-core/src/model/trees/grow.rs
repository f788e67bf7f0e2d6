//! From the nodes of a file, in whatever order, to a tree's: root first, children behind parents.

use std::fmt::Display;

use super::{CategorySet, Node, Question, Side, Split, Target, Tree};
use crate::{Error, Result};

/// A node as a file has it; children by their places in the file.
pub(super) enum Found {
    Split {
        feature: u32,
        asks: Asks,
        missing: Side,
        zero_is_missing: bool,
        left: i64,
        right: i64,
        cover: f64,
    },
    /// Its values have been pushed.
    Leaf { cover: f64 },
}

/// A question as a file has it.
pub(super) enum Asks {
    /// `None` for a threshold that no question can have.
    Number(Option<Question>),
    Categories(CategorySet),
}

/// A tree of the nodes that the root leads to, of `n`; what it does not lead to is left out, as the
/// nodes that pruning deletes, where the format `may_leave` such, and else an error. `node` gives the node at a place and pushes the
/// values of a leaf. Without recursion: a hostile file may be deep.
///
/// # Errors
/// [`Error::Invalid`] with `what` and the place: no such place, a place that two nodes lead to, a
/// threshold that is none; those of `node`.
pub(super) fn grow(
    what: &dyn Display,
    target: Target,
    n: usize,
    root: i64,
    may_leave: bool,
    places: impl Fn(i64) -> Option<usize>,
    mut node: impl FnMut(i64, &mut Vec<f64>) -> Result<Found>,
) -> Result<Tree> {
    let mut seen = vec![false; n];
    let mut nodes: Vec<Node> = Vec::new();
    let mut values = Vec::new();
    let mut sets = Vec::new();
    let mut leaves = 0;
    // A place, and whose child of which side it is.
    let mut open = vec![(root, None)];
    while let Some((place, parent)) = open.pop() {
        let wrong = |expected: &str, found: &dyn Display| {
            Err(Error::invalid(format!("{what}, node {place}"), expected, found))
        };
        match places(place).and_then(|at| seen.get_mut(at)) {
            None => return wrong(&format!("one of {n} nodes"), &place),
            Some(seen) if *seen => return wrong("a child of one node", &"a child of two"),
            Some(seen) => *seen = true,
        }
        let here = nodes.len() as u32;
        if let Some((parent, side)) = parent
            && let Some(Node::Split(parent)) = nodes.get_mut(parent as usize)
        {
            match side {
                Side::Left => parent.left = here,
                Side::Right => parent.right = here,
            }
        }
        match node(place, &mut values)? {
            Found::Leaf { cover } => {
                nodes.push(Node::Leaf { value: leaves, cover });
                leaves += 1;
            }
            Found::Split { feature, asks, missing, zero_is_missing, left, right, cover } => {
                let question = match asks {
                    Asks::Number(Some(question)) => question,
                    Asks::Number(None) => return wrong("a threshold", &"none that can be kept"),
                    Asks::Categories(set) => {
                        sets.push(set);
                        Question::Among(sets.len() as u32 - 1)
                    }
                };
                nodes.push(Node::Split(Split {
                    feature,
                    question,
                    missing,
                    zero_is_missing,
                    left: 0,
                    right: 0,
                    cover,
                }));
                open.push((right, Some((here, Side::Right))));
                open.push((left, Some((here, Side::Left))));
            }
        }
    }
    if !may_leave && nodes.len() != n {
        let expected = format!("{n} nodes that the root leads to");
        return Err(Error::invalid(what.to_string(), expected, nodes.len()));
    }
    nodes.shrink_to_fit();
    values.shrink_to_fit();
    Ok(Tree { nodes, values, sets, target, weight: 1.0 })
}
