//! Are like people treated alike? A question about rows, not about groups.

use std::collections::BinaryHeap;

use arrow::array::RecordBatch;
use mlops_core::{Error, Result, Rows};
use rayon::prelude::*;

/// How alike predictions are among neighbours: 1 less the mean distance of a row's prediction from
/// the mean prediction of the k rows that are nearest to it, itself among them; in `[0, 1]`, 1 is
/// perfect.
///
/// Near is the Euclidean distance over the features as they stand: bring them to like scales
/// first. Of rows at one distance those that come first are nearer. Neighbours are found in a k-d
/// tree on all threads: O(n log n · (features + k)) with few features. From some ten features on
/// near and far are alike, and all rows are looked at: up to O(n² · features), for samples of some
/// ten thousand. O(n · features) memory.
///
/// Zemel et al. 2013; Bentley 1975, doi:10.1145/361002.361007. AIF360: `consistency_score`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::batch;
/// let rows = batch! {
///     "years" => Float64Array::from(vec![1.0, 1.1, 9.0, 9.1]),
///     "said" => Float64Array::from(vec![0.0, 0.0, 1.0, 1.0]),
/// }?;
/// assert_eq!(mlops_fairness::consistency(&rows, &["years"], "said", 2)?, 1.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::ColumnNotFound`]; [`Error::ColumnType`] for what is no number; [`Error::Value`] for
/// null, NaN and infinite features and predictions, with their row; [`Error::Invalid`] for a k of
/// 0 or of more than there are rows, without features, and for 2³² rows and more.
pub fn consistency(rows: &RecordBatch, features: &[&str], y_pred: &str, k: usize) -> Result<f64> {
    let n = rows.num_rows();
    if k == 0 || k > n {
        return Err(Error::invalid("neighbours", format!("1 to {n}, the number of rows"), k));
    }
    if features.is_empty() {
        return Err(Error::invalid("features", "one or more", "none"));
    }
    if u32::try_from(n).is_err() {
        return Err(Error::invalid("rows of a consistency", "fewer than 2^32", n));
    }
    let view = Rows::new(rows);
    let column = |name: &str| {
        let values = crate::groups::numbers(&view, name)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(row) => Err(Error::Value {
                column: name.into(),
                row: row as u64,
                expected: "a finite number".into(),
                found: values[row].to_string(),
            }),
        }
    };
    let columns = features.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?;
    let said = column(y_pred)?;
    let tree = Tree::new(&columns, n);
    // Every row adds up its own; the sums do not depend on the order.
    let apart: Vec<f64> = (0..n)
        .into_par_iter()
        .map_init(BinaryHeap::new, |nearest, place| {
            tree.nearest(place, k, nearest);
            let row = tree.rows[place] as usize;
            let mean = crate::counts::total(nearest.iter().map(|&(_, row)| said[row as usize]));
            (said[row] - mean / k as f64).abs()
        })
        .collect();
    Ok(1.0 - crate::counts::total(apart) / n as f64)
}

/// The rows of a leaf.
const LEAF: usize = 16;

/// Rows in boxes in boxes.
struct Tree {
    width: usize,
    /// The rows, those of a box side by side.
    rows: Vec<u32>,
    /// Their features, row by row.
    points: Vec<f64>,
    nodes: Vec<Node>,
}

struct Node {
    start: usize,
    end: usize,
    /// The least and the largest value of every feature.
    ends: Vec<(f64, f64)>,
    /// The first of its rows.
    first: u32,
    /// Its halves; none of a leaf.
    halves: Option<[usize; 2]>,
}

/// A distance and a row, the nearer first. Distances are not negative, so that their bits are in
/// their order.
type Near = (u64, u32);

impl Tree {
    fn new(columns: &[Vec<f64>], n: usize) -> Self {
        let mut tree = Self {
            width: columns.len(),
            rows: (0..n as u32).collect(),
            points: Vec::new(),
            nodes: Vec::new(),
        };
        tree.divide(columns, 0, n);
        tree.points = tree
            .rows
            .iter()
            .flat_map(|&row| columns.iter().map(move |column| column[row as usize]))
            .collect();
        tree
    }

    fn divide(&mut self, columns: &[Vec<f64>], start: usize, end: usize) -> usize {
        let rows = &mut self.rows[start..end];
        let ends: Vec<(f64, f64)> = columns
            .iter()
            .map(|column| {
                rows.iter()
                    .map(|&row| column[row as usize])
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
                        (low.min(x), high.max(x))
                    })
            })
            .collect();
        let first = rows.iter().copied().min().unwrap_or_default();
        let at = self.nodes.len();
        let width = |feature: usize| ends[feature].1 - ends[feature].0;
        let widest = (0..columns.len()).max_by(|&a, &b| width(a).total_cmp(&width(b)));
        let middle = rows.len() / 2;
        if let Some(widest) = widest.filter(|_| rows.len() > LEAF) {
            let column = &columns[widest];
            // Of equal values by their rows, so that boxes of equal points have rows apart.
            rows.select_nth_unstable_by(middle, |&a, &b| {
                column[a as usize].total_cmp(&column[b as usize]).then(a.cmp(&b))
            });
        } else {
            self.nodes.push(Node { start, end, ends, first, halves: None });
            return at;
        }
        self.nodes.push(Node { start, end, ends, first, halves: None });
        let halves = [
            self.divide(columns, start, start + middle),
            self.divide(columns, start + middle, end),
        ];
        self.nodes[at].halves = Some(halves);
        at
    }

    fn point(&self, place: usize) -> &[f64] {
        &self.points[place * self.width..(place + 1) * self.width]
    }

    /// The k rows that are nearest to the one at this place.
    fn nearest(&self, place: usize, k: usize, nearest: &mut BinaryHeap<Near>) {
        nearest.clear();
        self.search(0, self.bound(0, self.point(place)), self.point(place), k, nearest);
    }

    /// No row of a box is nearer than this: it adds up as a distance does, and what is added is not
    /// more, so that it is not more after rounding either.
    fn bound(&self, node: usize, to: &[f64]) -> Near {
        let node = &self.nodes[node];
        let mut sum = 0.0;
        for (&x, &(low, high)) in to.iter().zip(&node.ends) {
            let apart = if x < low {
                low - x
            } else if x > high {
                high - x
            } else {
                0.0
            };
            sum += apart * apart;
        }
        (sum.to_bits(), node.first)
    }

    fn search(
        &self,
        node: usize,
        bound: Near,
        to: &[f64],
        k: usize,
        nearest: &mut BinaryHeap<Near>,
    ) {
        let full = |nearest: &BinaryHeap<Near>, near: Near| {
            nearest.len() == k && nearest.peek().is_some_and(|&worst| near >= worst)
        };
        if full(nearest, bound) {
            return;
        }
        let node = &self.nodes[node];
        if let Some(halves) = node.halves {
            let mut halves = halves.map(|half| (self.bound(half, to), half));
            halves.sort_unstable();
            for (bound, half) in halves {
                self.search(half, bound, to, k, nearest);
            }
            return;
        }
        for place in node.start..node.end {
            let mut sum = 0.0;
            for (value, here) in self.point(place).iter().zip(to) {
                sum += (value - here) * (value - here);
            }
            let near = (sum.to_bits(), self.rows[place]);
            if full(nearest, near) {
                continue;
            }
            if nearest.len() == k {
                nearest.pop();
            }
            nearest.push(near);
        }
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{ArrayRef, Float64Array};
    use mlops_core::stats::Draws;

    use super::*;

    fn table(columns: &[Vec<f64>], said: &[f64]) -> RecordBatch {
        let array = |x: &[f64]| std::sync::Arc::new(Float64Array::from(x.to_vec())) as ArrayRef;
        let features = columns.iter().enumerate().map(|(i, c)| (format!("x{i}"), array(c)));
        RecordBatch::try_from_iter(features.chain([("said".to_owned(), array(said))])).unwrap()
    }

    /// Every row against every other.
    fn by_pairs(columns: &[Vec<f64>], said: &[f64], k: usize) -> f64 {
        let n = said.len();
        let apart = (0..n).map(|row| {
            let mut all: Vec<(f64, usize)> = (0..n)
                .map(|other| {
                    let squares = columns.iter().map(|c| (c[other] - c[row]) * (c[other] - c[row]));
                    (squares.fold(0.0, |sum, x| sum + x), other)
                })
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let mean = crate::counts::total(all[..k].iter().map(|&(_, row)| said[row])) / k as f64;
            (said[row] - mean).abs()
        });
        1.0 - crate::counts::total(apart.collect::<Vec<_>>()) / n as f64
    }

    #[test]
    fn the_tree_finds_the_neighbours_that_all_pairs_have() {
        for (run, (n, width, ties)) in [
            (300, 1, false),
            (300, 2, true),
            (257, 3, true),
            (120, 12, false),
            (90, 30, true),
            (17, 2, false),
            (1, 1, false),
        ]
        .into_iter()
        .enumerate()
        {
            let mut draws = Draws::new(6, 0, run as u64);
            let columns: Vec<Vec<f64>> = (0..width)
                .map(|i| {
                    let scale = [1.0, 1e-300, 1e200, 1e9][i % 4];
                    let mut draw = || {
                        if ties { draws.below(3) as f64 * scale } else { draws.normal() * scale }
                    };
                    (0..n).map(|_| draw()).collect()
                })
                .collect();
            let said: Vec<f64> = (0..n).map(|_| draws.uniform()).collect();
            let names: Vec<_> = (0..width).map(|i| format!("x{i}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            for k in [1, 5, n] {
                let k = k.min(n);
                let found = consistency(&table(&columns, &said), &names, "said", k).unwrap();
                assert_eq!(
                    found.to_bits(),
                    by_pairs(&columns, &said, k).to_bits(),
                    "{n} {width} {k}"
                );
            }
        }
    }

    #[test]
    fn rows_that_are_all_alike_do_not_take_for_ever() {
        let n = 60_000;
        let said: Vec<f64> = (0..n).map(|i| f64::from(u32::from(i % 2 == 0))).collect();
        let found = consistency(&table(&[vec![1.0; n]], &said), &["x0"], "said", 4).unwrap();
        // The first four are everyone's neighbours.
        assert_eq!(found, 0.5);
    }

    #[test]
    fn what_has_no_neighbours_is_refused() {
        let rows = table(&[vec![1.0, f64::NAN]], &[0.0, 1.0]);
        assert!(matches!(consistency(&rows, &["x0"], "said", 1), Err(Error::Value { row: 1, .. })));
        let rows = table(&[vec![1.0, 2.0]], &[0.0, 1.0]);
        assert!(consistency(&rows, &["x0"], "said", 0).is_err());
        assert!(consistency(&rows, &["x0"], "said", 3).is_err());
        assert!(consistency(&rows, &[], "said", 1).is_err());
        assert!(consistency(&rows, &["z"], "said", 1).is_err());
    }
}
