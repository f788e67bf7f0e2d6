//! A tree as text for people.

use std::fmt::Write;

use super::{FeatureKind, Labels, Node, Question, Side, Target, Tree, TreeEnsemble};
use crate::model::Link;

impl TreeEnsemble {
    /// The questions and leaves of one tree, a line for each, children below their parents; `None`
    /// for a tree that is not there.
    ///
    /// ```text
    /// tree 0: output 0, weight 1, 3 leaves
    ///   (9 rows)
    ///     age < 30, or missing: 1.5 (4 rows)
    ///     age >= 30: 7 (5 rows)
    /// ```
    pub fn outline(&self, tree: usize) -> Option<String> {
        let of = self.trees().get(tree)?;
        let mut text = format!("tree {tree}: ");
        // Writing to a string never fails.
        let _ = match of.target {
            Target::One(k) => write!(text, "output {k}"),
            Target::All => write!(text, "{} outputs", self.outputs()),
        };
        let _ = write!(text, ", weight {}, {} leaves", of.weight, of.leaves());
        let mut open = vec![(0, 1, String::new())];
        while let Some((at, indent, question)) = open.pop() {
            let _ = write!(text, "\n{:indent$}{question}", "", indent = 2 * indent);
            match of.nodes.get(at)? {
                Node::Split(split) => {
                    let _ = write!(text, "({} rows)", split.cover);
                    for (child, side) in [(split.right, Side::Right), (split.left, Side::Left)] {
                        let missing = if split.missing == side { ", or missing" } else { "" };
                        let answer = self.answer(of, split.feature, split.question, side);
                        open.push((child as usize, indent + 1, format!("{answer}{missing}: ")));
                    }
                }
                Node::Leaf { value, cover } => {
                    let width = of.width(self.outputs());
                    let values = of.values.get(*value as usize * width..)?.get(..width)?;
                    for (k, value) in values.iter().enumerate() {
                        let comma = if k == 0 { "" } else { ", " };
                        let _ = match self.link() {
                            Link::Softmax { classes }
                            | Link::OneVsRest { classes }
                            | Link::Scores { classes }
                                if of.target == Target::All =>
                            {
                                write!(text, "{comma}{} {value}", classes[k])
                            }
                            _ => write!(text, "{comma}{value}"),
                        };
                    }
                    let _ = write!(text, " ({cover} rows)");
                }
            }
        }
        Some(text)
    }

    /// The answer that leads to a side.
    fn answer(&self, tree: &Tree, feature: u32, question: Question, side: Side) -> String {
        let feature = &self.features()[feature as usize];
        let name = &feature.name;
        match question {
            Question::Below(t) if side == Side::Left => format!("{name} < {t}"),
            Question::Below(t) => format!("{name} >= {t}"),
            Question::Among(set) => {
                let Some(set) = tree.sets.get(set as usize) else { return name.clone() };
                let label = |c: &u32| match &feature.kind {
                    FeatureKind::Category(Some(Labels::Text(labels))) => {
                        labels.get(*c as usize).cloned().unwrap_or_else(|| c.to_string())
                    }
                    FeatureKind::Category(Some(Labels::Numbers(labels))) => {
                        labels.get(*c as usize).map_or_else(|| c.to_string(), f64::to_string)
                    }
                    _ => c.to_string(),
                };
                let labels: Vec<String> = set.categories().iter().map(label).collect();
                let not = if set.inside() == side { "" } else { "not " };
                format!("{name} {not}in {{{}}}", labels.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;

    #[test]
    fn a_line_for_each_node() {
        let expected = "\
tree 0: 2 outputs, weight 0.25, 3 leaves
  (3 rows)
    age < 0.5: no 1, yes 0 (1 rows)
    age >= 0.5, or missing: (3 rows)
      city not in {Bergen, 5}, or missing: no 0.25, yes 0.75 (1 rows)
      city in {Bergen, 5}: no 0, yes 1 (1 rows)";
        assert_eq!(small().outline(0).unwrap(), expected);
        assert!(small().outline(1).is_none());
    }
}
