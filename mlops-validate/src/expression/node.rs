//! The steps of an evaluation.

use arrow::datatypes::DataType;

use super::ast::{Comparison, Function, Operator, Target};
use super::kind::{Clock, Kind, Slot};
use super::scalar::{Conversion, Datum};
use super::test::Test;

/// A step of the evaluation.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// The slot of this number.
    Column(usize),
    Const(Datum<'static>),
    /// The value of the enclosing `With` of this number, counted from the outermost.
    Local(usize),
    /// A value that is wanted more than once, and what is made of it.
    With(Box<Node>, Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    IsNull(Box<Node>),
    /// Whether it is surely this.
    Is(Box<Node>, bool),
    Test(Box<Node>, Test),
    Compare(Comparison, Box<Node>, Box<Node>),
    Convert(Conversion, Box<Node>),
    Reckon(Operator, Kind, Box<Node>, Box<Node>),
    Case(Kind, Vec<(Node, Node)>, Box<Node>),
    Call(Function, Kind, Vec<Node>),
    DatePart(Function, Clock, Box<Node>),
    Cast(Kind, Target, Box<Node>),
    /// Of a dictionary, once for each of its values.
    Coded(usize, Box<Node>),
}

/// Which columns a step reads.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    None,
    One(usize),
    Many,
}

impl Node {
    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(_) | Self::Const(_) | Self::Local(_) => Vec::new(),
            Self::With(a, b) | Self::Compare(_, a, b) | Self::Reckon(_, _, a, b) => vec![a, b],
            Self::Not(a)
            | Self::IsNull(a)
            | Self::Is(a, _)
            | Self::Test(a, _)
            | Self::Convert(_, a)
            | Self::DatePart(_, _, a)
            | Self::Cast(_, _, a)
            | Self::Coded(_, a) => vec![a],
            Self::And(list) | Self::Or(list) | Self::Call(_, _, list) => list.iter().collect(),
            Self::Case(_, branches, otherwise) => {
                let parts = branches.iter().flat_map(|(when, then)| [when, then]);
                parts.chain([&**otherwise]).collect()
            }
        }
    }

    fn reads(&self) -> Reads {
        match self {
            Self::Column(slot) => Reads::One(*slot),
            // It reads what the value that it stands for does.
            Self::Local(_) => Reads::Many,
            _ => self.children().into_iter().fold(Reads::None, |all, child| {
                match (all, child.reads()) {
                    (Reads::None, other) | (other, Reads::None) => other,
                    (a, b) if a == b => a,
                    _ => Reads::Many,
                }
            }),
        }
    }
}

/// Marks what can be done once for each value of a dictionary.
pub(super) fn code(node: &mut Node, slots: &[Slot]) {
    if let Node::Column(_) | Node::Const(_) | Node::Local(_) = node {
        return;
    }
    if let Reads::One(slot) = node.reads()
        && matches!(slots[slot].data_type, DataType::Dictionary(_, _))
    {
        let inner = std::mem::replace(node, Node::Const(Datum::Null));
        *node = Node::Coded(slot, Box::new(inner));
        return;
    }
    match node {
        Node::Column(_) | Node::Const(_) | Node::Local(_) | Node::Coded(..) => {}
        Node::With(a, b) | Node::Compare(_, a, b) | Node::Reckon(_, _, a, b) => {
            code(a, slots);
            code(b, slots);
        }
        Node::Not(a)
        | Node::IsNull(a)
        | Node::Is(a, _)
        | Node::Test(a, _)
        | Node::Convert(_, a)
        | Node::DatePart(_, _, a)
        | Node::Cast(_, _, a) => code(a, slots),
        Node::And(list) | Node::Or(list) | Node::Call(_, _, list) => {
            for child in list {
                code(child, slots);
            }
        }
        Node::Case(_, branches, otherwise) => {
            for (when, then) in branches {
                code(when, slots);
                code(then, slots);
            }
            code(otherwise, slots);
        }
    }
}
