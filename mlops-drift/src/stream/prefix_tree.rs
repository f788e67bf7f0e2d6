//! A balanced tree of weighted numbers that knows its largest and least prefix sum.

use std::cmp::Ordering;

/// Numbers with weights, in order. The sum of the weights up to a number is largest, and least,
/// somewhere: every subtree keeps its own sum and the extremes of its prefix sums, so that adding
/// and removing are `O(log n)` and the extremes `O(1)`. Equal numbers share a node: a prefix never
/// ends between them.
///
/// It is an AVL tree: its depth is bounded whatever the numbers are, as that of a treap with known
/// priorities is not.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixTree {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: Link,
}

/// The place of a node.
type Link = Option<u32>;

#[derive(Clone, Copy, Debug)]
struct Node {
    key: f64,
    weight: i64,
    /// How many of the numbers are this one.
    copies: u32,
    height: u8,
    left: Link,
    right: Link,
    sums: Sums,
}

/// The sum of a subtree's weights, and the extremes of its prefix sums, the empty one among them.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    all: i64,
    most: i64,
    least: i64,
}

impl PrefixTree {
    /// The largest absolute prefix sum.
    pub(super) fn largest(&self) -> u64 {
        let sums = self.sums(self.root);
        sums.most.unsigned_abs().max(sums.least.unsigned_abs())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds a number, which is not NaN, with a weight.
    pub(super) fn add(&mut self, key: f64, weight: i64) {
        self.root = Some(self.add_below(self.root, key, weight));
    }

    /// Removes a number that was added with this weight.
    pub(super) fn remove(&mut self, key: f64, weight: i64) {
        self.root = self.remove_below(self.root, key, weight);
    }

    fn sums(&self, at: Link) -> Sums {
        at.map_or_else(Sums::default, |at| self.nodes[at as usize].sums)
    }

    fn height(&self, at: Link) -> u8 {
        at.map_or(0, |at| self.nodes[at as usize].height)
    }

    fn node(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    fn add_below(&mut self, at: Link, key: f64, weight: i64) -> u32 {
        let Some(at) = at else {
            let (copies, height, left, right) = (1, 1, None, None);
            let sums = Sums { all: weight, most: weight.max(0), least: weight.min(0) };
            let node = Node { key, weight, copies, height, left, right, sums };
            if let Some(place) = self.free.pop() {
                *self.node(place) = node;
                return place;
            }
            self.nodes.push(node);
            return (self.nodes.len() - 1) as u32;
        };
        let Node { key: own, left, right, .. } = *self.node(at);
        match key.total_cmp(&own) {
            Ordering::Less => self.node(at).left = Some(self.add_below(left, key, weight)),
            Ordering::Greater => self.node(at).right = Some(self.add_below(right, key, weight)),
            Ordering::Equal => {
                let node = self.node(at);
                node.copies += 1;
                node.weight += weight;
            }
        }
        self.balanced(at)
    }

    fn remove_below(&mut self, at: Link, key: f64, weight: i64) -> Link {
        let at = at?;
        let Node { key: own, left, right, copies, .. } = *self.node(at);
        match key.total_cmp(&own) {
            Ordering::Less => self.node(at).left = self.remove_below(left, key, weight),
            Ordering::Greater => self.node(at).right = self.remove_below(right, key, weight),
            Ordering::Equal if copies > 1 => {
                let node = self.node(at);
                node.copies -= 1;
                node.weight -= weight;
            }
            Ordering::Equal => {
                self.free.push(at);
                let Some(right) = right else { return left };
                let (rest, next) = self.without_first(right);
                let node = self.node(next);
                (node.left, node.right) = (left, rest);
                return Some(self.balanced(next));
            }
        }
        Some(self.balanced(at))
    }

    /// A subtree without its first node, and that node.
    fn without_first(&mut self, at: u32) -> (Link, u32) {
        let Node { left, right, .. } = *self.node(at);
        let Some(left) = left else { return (right, at) };
        let (rest, first) = self.without_first(left);
        self.node(at).left = rest;
        (Some(self.balanced(at)), first)
    }

    /// Makes a node whose subtrees have changed right, and gives the root of what was its subtree.
    fn balanced(&mut self, at: u32) -> u32 {
        let Node { left, right, .. } = *self.node(at);
        let (deep_left, deep_right) = (self.height(left), self.height(right));
        if let Some(left) = left
            && deep_left > deep_right + 1
        {
            let Node { left: outer, right: inner, .. } = *self.node(left);
            if self.height(inner) > self.height(outer) {
                self.node(at).left = Some(self.rotated_left(left));
            }
            return self.rotated_right(at);
        }
        if let Some(right) = right
            && deep_right > deep_left + 1
        {
            let Node { left: inner, right: outer, .. } = *self.node(right);
            if self.height(inner) > self.height(outer) {
                self.node(at).right = Some(self.rotated_right(right));
            }
            return self.rotated_left(at);
        }
        self.refresh(at);
        at
    }

    fn rotated_right(&mut self, at: u32) -> u32 {
        let Some(up) = self.node(at).left else { return at };
        self.node(at).left = self.node(up).right;
        self.node(up).right = Some(at);
        self.refresh(at);
        self.refresh(up);
        up
    }

    fn rotated_left(&mut self, at: u32) -> u32 {
        let Some(up) = self.node(at).right else { return at };
        self.node(at).right = self.node(up).left;
        self.node(up).left = Some(at);
        self.refresh(at);
        self.refresh(up);
        up
    }

    fn refresh(&mut self, at: u32) {
        let Node { left, right, weight, .. } = *self.node(at);
        let (l, r) = (self.sums(left), self.sums(right));
        let here = l.all + weight;
        let height = 1 + self.height(left).max(self.height(right));
        let node = self.node(at);
        node.height = height;
        node.sums = Sums {
            all: here + r.all,
            most: l.most.max(here + r.most),
            least: l.least.min(here + r.least),
        };
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::stats::Draws;

    use super::*;

    #[test]
    fn extremes_are_those_of_the_sorted_list() {
        for (seed, steps) in [(1, 5), (2, 60), (3, 1000)] {
            let mut draws = Draws::new(seed, 0, 0);
            let mut tree = PrefixTree::default();
            let mut list: Vec<(f64, i64)> = Vec::new();
            for step in 0..3000 {
                if list.len() > 40 && draws.bernoulli(0.5) || list.len() > 200 {
                    let (key, weight) = list.swap_remove(draws.below(list.len() as u64) as usize);
                    tree.remove(key, weight);
                } else {
                    // Rising numbers would make a list of a tree that is not balanced.
                    let key =
                        if steps == 1000 { f64::from(step) } else { draws.below(steps) as f64 };
                    let weight = if draws.bernoulli(0.5) { 3 } else { -7 };
                    list.push((key, weight));
                    tree.add(key, weight);
                }
                let mut sorted = list.clone();
                sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (mut sum, mut most) = (0_i64, 0);
                for (i, (key, weight)) in sorted.iter().enumerate() {
                    sum += weight;
                    if sorted.get(i + 1).is_none_or(|(next, _)| next > key) {
                        most = most.max(sum.unsigned_abs());
                    }
                }
                assert_eq!(tree.largest(), most, "step {step}");
                assert!(
                    tree.height(tree.root) <= 12,
                    "{} of {}",
                    tree.height(tree.root),
                    list.len()
                );
            }
        }
    }
}
