//! Gradient boosting of small regression trees on binned features.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::states::Sum;
use mlops_core::{Error, Model, Predictions, Result, Rows, is_numeric};
use serde::{Deserialize, Serialize};

use super::cbpe::cuts;

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeOptions {
    /// How many trees; at most 10,000.
    pub trees: u32,
    /// The share of a tree's answer that is added, in (0, 1].
    pub learning_rate: f64,
    /// How many questions a tree asks one after the other; 1 to 8.
    pub depth: u32,
    /// Rows that a leaf has at least.
    pub min_leaf: u32,
}

impl Default for TreeOptions {
    /// 100 trees of depth 3, a tenth of each, 20 rows a leaf.
    fn default() -> Self {
        Self { trees: 100, learning_rate: 0.1, depth: 3, min_leaf: 20 }
    }
}

impl TreeOptions {
    fn check(&self) -> Result<()> {
        let fine = (1..=10_000).contains(&self.trees)
            && self.learning_rate > 0.0
            && self.learning_rate <= 1.0
            && (1..=8).contains(&self.depth)
            && self.min_leaf > 0;
        if fine {
            return Ok(());
        }
        let expected = "1 to 10,000 trees of depth 1 to 8, a rate in (0, 1], rows in a leaf";
        Err(Error::invalid("options of trees", expected, format!("{self:?}")))
    }
}

/// A regression by gradient boosted trees (least squares) on features in at most 64 bins: numbers
/// by quantiles, text by label, the labels in the order of their mean target. A value that is
/// missing (null, NaN) or a label that was not seen stands before all others.
///
/// The fit is a function of the multiset of rows, to the bit: residuals are added as integers of a
/// common unit. No draws. As `sklearn.ensemble.HistGradientBoostingRegressor`; Friedman 2001,
/// doi:10.1214/aos/1013203451.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{Model, batch};
/// use mlops_drift::performance::{BoostedTrees, TreeOptions};
/// let x: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
/// let y: Vec<f64> = x.iter().map(|x| (6.0 * x).sin()).collect();
/// let rows = batch! { "x" => Float64Array::from(x) }?;
/// let trees = BoostedTrees::fit(&rows, &["x"], &y, &TreeOptions::default())?;
/// let found = trees.predict(&rows)?;
/// assert!((found.as_values()?.value(250) - y[250]).abs() < 0.05);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct BoostedTrees {
    features: Vec<Feature>,
    base: f64,
    trees: Vec<Vec<Node>>,
    schema: SchemaRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Feature {
    name: String,
    bins: Bins,
}

/// Bin 0 is for what is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bins {
    /// Ascending edges; an edge belongs to the bin above it.
    Numbers(Vec<f64>),
    Labels(BTreeMap<String, u8>),
}

/// A question, or an answer where there is no child.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    feature: u32,
    /// Up to this bin to the left.
    bin: u8,
    /// The places of the children, behind this one's; 0 for a leaf.
    left: u32,
    right: u32,
    value: f64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Parts {
    features: Vec<Feature>,
    base: f64,
    trees: Vec<Vec<Node>>,
}

impl From<BoostedTrees> for Parts {
    fn from(t: BoostedTrees) -> Self {
        Self { features: t.features, base: t.base, trees: t.trees }
    }
}

impl TryFrom<Parts> for BoostedTrees {
    type Error = Error;

    fn try_from(p: Parts) -> Result<Self> {
        let node = |tree: &[Node], at: usize| {
            let node = tree[at];
            let child = |c: u32| c as usize > at && (c as usize) < tree.len();
            let leaf = node.left == 0 && node.right == 0;
            let asks =
                child(node.left) && child(node.right) && (node.feature as usize) < p.features.len();
            node.value.is_finite() && (leaf || asks)
        };
        let trees = p.trees.iter().all(|t| !t.is_empty() && (0..t.len()).all(|at| node(t, at)));
        let edges = p.features.iter().all(|f| match &f.bins {
            Bins::Numbers(edges) => edges.windows(2).all(|w| w[0] < w[1]) && edges.len() < BINS,
            Bins::Labels(labels) => labels.values().all(|&bin| (bin as usize) < BINS),
        });
        if !trees || !edges || !p.base.is_finite() {
            let expected = "trees whose questions lead on to answers";
            return Err(Error::invalid("boosted trees", expected, "others"));
        }
        let schema = schema_of(&p.features);
        Ok(Self { features: p.features, base: p.base, trees: p.trees, schema })
    }
}

/// Bins of a feature, with the one for what is missing.
const BINS: usize = 64;

fn schema_of(features: &[Feature]) -> SchemaRef {
    let field = |f: &Feature| {
        let data_type = match f.bins {
            Bins::Numbers(_) => DataType::Float64,
            Bins::Labels(_) => DataType::Utf8,
        };
        Field::new(&f.name, data_type, true)
    };
    Arc::new(Schema::new(features.iter().map(field).collect::<Vec<_>>()))
}

impl Feature {
    fn fit(rows: &Rows<'_>, name: &str, target: &[f64]) -> Result<Self> {
        let data_type = match rows.column(name)?.data_type() {
            DataType::Dictionary(_, values) => values.as_ref(),
            plain => plain,
        };
        let bins = if is_numeric(data_type) || data_type == &DataType::Boolean {
            let numbers = rows.numbers(name)?;
            let mut known: Vec<f64> =
                numbers.iter().flatten().filter(|x| !x.is_nan()).map(|x| x + 0.0).collect();
            known.sort_unstable_by(f64::total_cmp);
            let mut edges = if known.is_empty() { Vec::new() } else { cuts(&known, BINS - 1) };
            // What is written down is finite.
            for edge in &mut edges {
                *edge = edge.min(f64::MAX);
            }
            edges.dedup();
            Bins::Numbers(edges)
        } else {
            let categories = rows.categories(name)?;
            let mut of_label: BTreeMap<&str, (u64, Sum)> = BTreeMap::new();
            for (row, &y) in target.iter().enumerate() {
                if let Some(label) = categories.label(row) {
                    let entry = of_label.entry(label).or_default();
                    entry.0 += 1;
                    entry.1.add(y);
                }
            }
            // The most frequent ones, and these by their mean.
            let mut labels: Vec<_> = of_label.into_iter().collect();
            labels.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(b.0)));
            labels.truncate(BINS - 1);
            let mean = |(n, sum): &(u64, Sum)| sum.mean(*n).unwrap_or(0.0);
            labels.sort_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)).then(a.0.cmp(b.0)));
            let numbered = labels.into_iter().zip(1_u8..);
            Bins::Labels(numbered.map(|((label, _), bin)| (label.to_owned(), bin)).collect())
        };
        Ok(Self { name: name.to_owned(), bins })
    }

    /// The bin of each row.
    fn bins(&self, rows: &Rows<'_>) -> Result<Vec<u8>> {
        match &self.bins {
            Bins::Numbers(edges) => {
                let bin = |x: Option<f64>| match x {
                    Some(x) if !x.is_nan() => edges.partition_point(|&edge| edge <= x) as u8 + 1,
                    _ => 0,
                };
                Ok(rows.numbers(&self.name)?.iter().map(bin).collect())
            }
            Bins::Labels(labels) => {
                let categories = rows.categories(&self.name)?;
                let bin = |label: Option<&str>| {
                    label.and_then(|label| labels.get(label)).copied().unwrap_or(0)
                };
                let bins: Vec<u8> = categories.labels().iter().map(bin).collect();
                let codes = categories.codes();
                Ok(codes.iter().map(|code| code.map_or(0, |code| bins[code as usize])).collect())
            }
        }
    }
}

/// Rows and the sum of their residuals.
#[derive(Clone, Copy, Default)]
struct Cell {
    n: u32,
    sum: i64,
}

impl Cell {
    /// What it explains of the squares.
    fn gain(self) -> f64 {
        let sum = self.sum as f64;
        sum * sum / f64::from(self.n)
    }

    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
    }

    fn without(self, other: Self) -> Self {
        Self { n: self.n - other.n, sum: self.sum - other.sum }
    }
}

impl BoostedTrees {
    /// The fit of these columns to the target: numbers, booleans, times, text, dictionaries.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::ColumnNotFound`], [`Error::ColumnType`]; [`Error::Value`] for a
    /// target that is not finite; [`Error::Invalid`] for options out of their range, or 2³¹ rows;
    /// [`Error::Undefined`] without rows.
    pub fn fit<S: AsRef<str>>(
        batch: &RecordBatch,
        features: &[S],
        target: &[f64],
        options: &TreeOptions,
    ) -> Result<Self> {
        options.check()?;
        let n = target.len();
        if batch.num_rows() != n {
            let (left, right) = ("the features".into(), "the target".into());
            return Err(Error::Length { left, left_len: batch.num_rows(), right, right_len: n });
        }
        if let Some(row) = target.iter().position(|y| !y.is_finite()) {
            return Err(Error::Value {
                column: "target".into(),
                row: row as u64,
                expected: "a finite number".into(),
                found: target[row].to_string(),
            });
        }
        if n >= 1 << 31 {
            return Err(Error::invalid("rows to fit", "fewer than 2^31", n));
        }
        let rows = Rows::new(batch);
        let features: Vec<Feature> = features
            .iter()
            .map(|name| Feature::fit(&rows, name.as_ref(), target))
            .collect::<Result<_>>()?;
        let bins: Vec<Vec<u8>> = features.iter().map(|f| f.bins(&rows)).collect::<Result<_>>()?;
        let base = Sum::of(target).mean(n as u64);
        let base = base.ok_or_else(|| Error::undefined("a fit", "there are no rows"))?;
        let mut fitted = vec![base; n];
        let mut trees = Vec::new();
        let mut units = vec![0_i64; n];
        for _ in 0..options.trees {
            let largest =
                target.iter().zip(&fitted).map(|(y, f)| (y - f).abs()).fold(0.0, f64::max);
            if largest == 0.0 || !largest.is_finite() {
                break;
            }
            // Sums of all residuals stay below 2⁶².
            let unit = largest / (1_u64 << (61 - n.ilog2().max(1)).min(40)) as f64;
            if unit < f64::MIN_POSITIVE {
                break;
            }
            for ((unit_of, y), f) in units.iter_mut().zip(target).zip(&fitted) {
                *unit_of = ((y - f) / unit).round_ties_even() as i64;
            }
            let (tree, leaf_of) = grow(&bins, &units, unit, options);
            for (f, &leaf) in fitted.iter_mut().zip(&leaf_of) {
                *f += tree[leaf as usize].value;
            }
            let stump = tree.len() == 1;
            trees.push(tree);
            if stump {
                break;
            }
        }
        let schema = schema_of(&features);
        Ok(Self { features, base, trees, schema })
    }
}

/// A tree, level by level, and the leaf of each row.
fn grow(
    bins: &[Vec<u8>],
    units: &[i64],
    unit: f64,
    options: &TreeOptions,
) -> (Vec<Node>, Vec<u32>) {
    let leaf = |cell: Cell| Node {
        feature: 0,
        bin: 0,
        left: 0,
        right: 0,
        value: options.learning_rate * (cell.sum as f64 * unit / f64::from(cell.n.max(1))),
    };
    let whole = Cell { n: units.len() as u32, sum: units.iter().sum() };
    let mut tree = vec![leaf(whole)];
    let mut node_of = vec![0_u32; units.len()];
    let mut open = vec![(0_u32, whole)];
    for _ in 0..options.depth {
        // The place of each open node's cells.
        let mut slot = vec![usize::MAX; tree.len()];
        for (i, (node, _)) in open.iter().enumerate() {
            slot[*node as usize] = i;
        }
        // The best question of each open node: gain, feature, bin, rows to the left.
        let mut best: Vec<Option<(f64, u32, u8, Cell)>> = vec![None; open.len()];
        for (feature, bins) in bins.iter().enumerate() {
            let mut cells = vec![[Cell::default(); BINS]; open.len()];
            for ((&node, &bin), &residual) in node_of.iter().zip(bins).zip(units) {
                if let Some(cells) = cells.get_mut(slot[node as usize]) {
                    cells[bin as usize].add(Cell { n: 1, sum: residual });
                }
            }
            for (((_, all), cells), best) in open.iter().zip(&cells).zip(&mut best) {
                let mut left = Cell::default();
                for (bin, cell) in cells.iter().enumerate().take(BINS - 1) {
                    left.add(*cell);
                    let right = all.without(left);
                    if cell.n == 0 || left.n < options.min_leaf || right.n < options.min_leaf {
                        continue;
                    }
                    let gain = left.gain() + right.gain() - all.gain();
                    if gain > best.map_or(0.0, |b| b.0) {
                        *best = Some((gain, feature as u32, bin as u8, left));
                    }
                }
            }
        }
        let mut next = Vec::new();
        for ((node, all), best) in open.iter().zip(best) {
            let Some((_, feature, bin, left)) = best else { continue };
            let at = tree.len() as u32;
            let right = all.without(left);
            tree.push(leaf(left));
            tree.push(leaf(right));
            tree[*node as usize] =
                Node { feature, bin, left: at, right: at + 1, ..tree[*node as usize] };
            next.extend([(at, left), (at + 1, right)]);
        }
        if next.is_empty() {
            break;
        }
        for (row, node) in node_of.iter_mut().enumerate() {
            let asked = tree[*node as usize];
            if asked.left != 0 {
                let left = bins[asked.feature as usize][row] <= asked.bin;
                *node = if left { asked.left } else { asked.right };
            }
        }
        open = next;
    }
    (tree, node_of)
}

impl Model for BoostedTrees {
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let rows = Rows::new(batch);
        let bins: Vec<Vec<u8>> =
            self.features.iter().map(|f| f.bins(&rows)).collect::<Result<_>>()?;
        let answer = |tree: &[Node], row: usize| {
            let mut node = tree[0];
            while node.left != 0 {
                let left = bins[node.feature as usize][row] <= node.bin;
                node = tree[if left { node.left } else { node.right } as usize];
            }
            node.value
        };
        let value = |row: usize| self.trees.iter().fold(self.base, |y, t| y + answer(t, row));
        Ok(Predictions::values((0..batch.num_rows()).map(value).collect::<Float64Array>()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, UInt32Array};
    use arrow::compute::take_record_batch;
    use mlops_core::{batch, conformance};

    use super::*;

    fn rows() -> (RecordBatch, Vec<f64>) {
        let n = 600;
        let x = |i: i64| (i * 7919 % 997) as f64 / 997.0;
        let word = |i: i64| ["d", "b", "a", "c"][(i * 31 % 4) as usize];
        let y = |i: i64| {
            let by_word = f64::from(u8::from(matches!(word(i), "b" | "c")));
            3.0 * by_word + if i % 10 == 3 { 5.0 } else { x(i) * x(i) }
        };
        let batch = batch! {
            "x" => (0..n).map(|i| (i % 10 != 3).then(|| x(i))).collect::<Float64Array>(),
            "word" => StringArray::from_iter_values((0..n).map(word)),
            "noise" => Int64Array::from_iter_values((0..n).map(|i| i * 104_729 % 1009)),
        };
        (batch.unwrap(), (0..n).map(y).collect())
    }

    #[test]
    fn it_learns_numbers_labels_and_what_is_missing() {
        let (batch, y) = rows();
        let columns = ["x", "word", "noise"];
        let trees = BoostedTrees::fit(&batch, &columns, &y, &TreeOptions::default()).unwrap();
        let predictions = trees.predict(&batch).unwrap();
        let found = predictions.as_values().unwrap();
        let worst = found.values().iter().zip(&y).map(|(f, y)| (f - y).abs()).fold(0.0, f64::max);
        assert!(worst < 0.25, "{worst}");
        conformance::model(&trees, &batch.slice(0, 40));

        // In any order, to the bit.
        let order = UInt32Array::from_iter_values((0..600).map(|i| i * 7 % 600));
        let shuffled = take_record_batch(&batch, &order).unwrap();
        let y_shuffled: Vec<f64> = order.values().iter().map(|&i| y[i as usize]).collect();
        let again =
            BoostedTrees::fit(&shuffled, &columns, &y_shuffled, &TreeOptions::default()).unwrap();
        assert_eq!(again, trees);
        let text = serde_json::to_string(&trees).unwrap();
        assert_eq!(serde_json::from_str::<BoostedTrees>(&text).unwrap(), trees);
        // A child that is its own parent would never end.
        let bad = text.replacen("\"left\":1", "\"left\":0", 1);
        assert!(serde_json::from_str::<BoostedTrees>(&bad).is_err());
    }

    #[test]
    fn degenerate_data_have_a_fit_or_an_error() {
        let (batch, y) = rows();
        let options = TreeOptions::default();
        let fit = |batch: &RecordBatch, y: &[f64]| BoostedTrees::fit(batch, &["x"], y, &options);
        assert!(fit(&batch, &y[1..]).is_err());
        assert!(fit(&batch.slice(0, 0), &[]).is_err());
        assert!(fit(&batch.slice(0, 1), &[f64::NAN]).is_err());
        for y in [[2.0; 5], [1e308, -1e308, 1e308, 0.0, 1.0], [5e-324, 0.0, 0.0, 0.0, 0.0]] {
            let trees = fit(&batch.slice(0, 5), &y).unwrap();
            let found = trees.predict(&batch).unwrap();
            assert!(found.as_values().unwrap().iter().all(|v| v.unwrap().is_finite()));
        }
        // ∞ is a value like others, and comes back from what is written down.
        let infinite = (0..300).map(|i| if i % 3 == 0 { f64::INFINITY } else { f64::from(i) });
        let infinite = batch! { "x" => Float64Array::from_iter_values(infinite) }.unwrap();
        let five: Vec<f64> = (0..300).map(|i| if i % 3 == 0 { 5.0 } else { 1.0 }).collect();
        let trees = fit(&infinite, &five).unwrap();
        let found = trees.predict(&infinite).unwrap();
        assert!((found.as_values().unwrap().value(0) - 5.0).abs() < 0.01);
        let text = serde_json::to_string(&trees).unwrap();
        assert_eq!(serde_json::from_str::<BoostedTrees>(&text).unwrap(), trees);

        let nulls = batch! { "x" => Float64Array::new_null(50) }.unwrap();
        let constant = fit(&nulls, &y[..50]).unwrap();
        assert_eq!(constant.trees[0].len(), 1);
        let none = TreeOptions { trees: 0, ..options };
        assert!(BoostedTrees::fit(&batch, &["x"], &y, &none).is_err());
        assert!(BoostedTrees::fit(&batch, &["z"], &y, &options).is_err());
    }
}
