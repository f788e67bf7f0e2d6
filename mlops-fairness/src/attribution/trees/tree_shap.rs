//! Path-dependent Shapley values.

use std::fmt::{self, Debug};

use mlops_core::arrow::array::RecordBatch;
use mlops_core::model::trees::{Columns, Target, TreeEnsemble};
use mlops_core::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::{Attributions, Explainer, Watch};
use super::binned::{Binned, Named, check_covers, margins, read};
use super::kernel::{Runner, Scratch, run_f32, run_f64, run_one};
use super::lanes::{Lanes, Real};
use super::machine::Cpu;
use super::program::{Outline, Places, Program};

/// Trees that are added up together: their sums are then added in order, so that a row has the
/// same bits whether its trees are shared out among threads or not.
const BLOCK: usize = 32;
/// Rows that a thread explains at once, unless there are many features.
const TILE: usize = 1024;
/// Below so many rows threads share the trees, not the rows.
const FEW: usize = 64;
/// Below so many rows, lanes cost more than they give.
const LONELY: usize = 3;
/// What the attributions of a tile may take, in bytes.
const TILE_BYTES: usize = 1 << 20;

/// The numbers that attributions are computed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// `f64` throughout; base and φ add up to the prediction within 10⁻¹¹ of what is added.
    #[default]
    Double,
    /// `f32` within a few trees, `f64` between them; within 10⁻⁵. About twice as fast.
    Single,
}

impl Precision {
    /// How far `base + Σφ` may be from the margin, relative to `|base| + Σ|φ|`.
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Double => Attributions::TOLERANCE,
            Self::Single => 1e-5,
        }
    }
}

/// Shapley values of the margin of a tree ensemble, path-dependent: what a feature is worth where
/// a coalition that lacks a split's feature goes both ways, in proportion to the training rows that
/// did (the nodes' covers).
///
/// Exact for any depth and any number of distinct features on a path: where `d` features decide on
/// a leaf, its Shapley weights are an integral of a polynomial of degree `d − 1`, and Gauss–Legendre
/// quadrature with `⌈d/2⌉` nodes has its value. All terms are convex mixtures of leaf values, so that
/// depth costs no accuracy. A node's share is its cover divided by its and its sibling's, and one
/// half each where both are 0.
///
/// Every row is held against the margin that the model computes on its own, in another way: with
/// `|base| + Σ|φ|` as the scale, [`Precision::tolerance`]. Attributions are never adjusted to fit.
/// The same bits for any threads, batches and order of rows, and on any machine in
/// [`Precision::Double`].
///
/// Time is `O(n_rows · n_leaves · ⌈d/2⌉)`, memory beyond the result constant in the rows. Lundberg,
/// Erion & Lee 2018, arXiv:1802.03888, for the definition; shap: `TreeExplainer(model)`, xgboost:
/// `pred_contribs=True`, LightGBM: `pred_contrib=True`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::batch;
/// use mlops_core::model::Link;
/// use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree, TreeEnsemble};
/// use mlops_fairness::attribution::TreeExplainer;
///
/// let split = |feature, cut, left, right, cover| {
///     let question = Question::Below(cut);
///     let missing = Side::Right;
///     Node::Split(Split { feature, question, missing, zero_is_missing: false, left, right, cover })
/// };
/// // Half of the rows are below 30; of the others one in four has a debt of 100 or more.
/// let tree = Tree::new(
///     vec![
///         split(0, 30.0, 1, 2, 8.0),
///         Node::Leaf { value: 0, cover: 4.0 },
///         split(1, 100.0, 3, 4, 4.0),
///         Node::Leaf { value: 1, cover: 3.0 },
///         Node::Leaf { value: 2, cover: 1.0 },
///     ],
///     vec![0.0, 8.0, 0.0],
/// );
/// let features = vec![Feature::number("age"), Feature::number("debt")];
/// let model = TreeEnsemble::new(features, vec![tree], vec![1.0], Link::Identity)?;
///
/// let explained = TreeExplainer::new(&model)?.explain(&batch! {
///     "age" => Float64Array::from(vec![40.0, 20.0]),
///     "debt" => Float64Array::from(vec![0.0, 0.0]),
/// }?)?;
/// assert_eq!(explained.base_values, [4.0]);
/// assert_eq!(explained.row(0), Some(&[3.5, 1.5][..]));
/// assert_eq!(explained.row(1), Some(&[-3.5, 0.5][..]));
/// assert_eq!(explained.predictions, [9.0, 1.0]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone)]
pub struct TreeExplainer {
    model: TreeEnsemble,
    named: Named,
    base_values: Vec<f64>,
    compiled: Compiled,
    cpu: Cpu,
}

impl Debug for TreeExplainer {
    /// Without the programs, which are of no size to be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeExplainer")
            .field("model", &self.model)
            .field("precision", &self.precision())
            .field("base_values", &self.base_values)
            .finish_non_exhaustive()
    }
}

/// The programs: of each output, block after block.
#[derive(Clone, Debug)]
enum Compiled {
    Double(Vec<Vec<Block<f64>>>),
    Single(Vec<Vec<Block<f32>>>),
}

type Block<T> = Vec<Program<T>>;

impl TreeExplainer {
    /// An explainer in [`Precision::Double`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for an ensemble whose file had no covers.
    pub fn new(model: &TreeEnsemble) -> Result<Self> {
        Self::with_precision(model, Precision::Double)
    }

    /// An explainer that computes with these numbers.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Undefined`] if the mean margin overflows.
    pub fn with_precision(model: &TreeEnsemble, precision: Precision) -> Result<Self> {
        check_covers(model)?;
        let named = Named::of(model);
        let (compiled, base_values) = match precision {
            Precision::Double => {
                let (programs, base) = compile(model, &named);
                (Compiled::Double(programs), base)
            }
            Precision::Single => {
                let (programs, base) = compile(model, &named);
                (Compiled::Single(programs), base)
            }
        };
        if base_values.iter().any(|b| !b.is_finite()) {
            return Err(Error::undefined("base value", "the mean margin overflows"));
        }
        let cpu = Cpu::default();
        Ok(Self { model: model.clone(), named, base_values, compiled, cpu })
    }

    /// The kernels that this computer has, from the fastest.
    #[doc(hidden)]
    pub fn kernels() -> Vec<&'static str> {
        Cpu::all().into_iter().map(Cpu::name).collect()
    }

    /// With one of [`kernels`](Self::kernels), whose results differ in nothing but their time.
    #[doc(hidden)]
    #[must_use]
    pub fn with_kernel(self, name: &str) -> Self {
        let cpu = Cpu::all().into_iter().find(|cpu| cpu.name() == name).unwrap_or(self.cpu);
        Self { cpu, ..self }
    }

    /// The numbers that it computes with.
    pub fn precision(&self) -> Precision {
        match self.compiled {
            Compiled::Double(_) => Precision::Double,
            Compiled::Single(_) => Precision::Single,
        }
    }

    /// The ensemble that is explained.
    pub fn model(&self) -> &TreeEnsemble {
        &self.model
    }

    /// The cover-weighted mean margin of each output.
    pub fn base_values(&self) -> &[f64] {
        &self.base_values
    }

    /// Explains the rows of a batch, on all threads of the caller's pool.
    ///
    /// # Errors
    /// As [`TreeEnsemble::margin`]; [`Error::Value`] for a row without a value that the model
    /// requires; [`Error::Undefined`] if a row does not add up, as where numbers overflow.
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }

    /// φ of all rows, shape `(n_rows, n_outputs, n_features)`.
    fn values(&self, columns: &Columns, watch: Watch<'_>) -> Result<Vec<f64>> {
        let (rows, width) = (columns.len(), self.width());
        let mut values = vec![0.0; rows * width];
        watch.check()?;
        if self.named.used.is_empty() || rows == 0 {
            return Ok(values);
        }
        let steps = watch.steps(rows);
        if rows < FEW {
            match &self.compiled {
                Compiled::Double(all) if rows < LONELY => {
                    self.few(all, run_one, columns, &mut values);
                }
                Compiled::Double(all) => self.few(all, run_f64, columns, &mut values),
                Compiled::Single(all) => self.few(all, run_f32, columns, &mut values),
            }
            steps.done(rows as u64)?;
            return Ok(values);
        }
        let of_row = self.named.used.len() * 2 * size_of::<f64>();
        // A tile more or less changes no row.
        let fair = rows.div_ceil(rayon::current_num_threads()).next_multiple_of(FEW);
        let tile = (TILE_BYTES / of_row / FEW * FEW).min(fair).clamp(FEW, TILE);
        values.par_chunks_mut(tile * width).enumerate().try_for_each(|(at, out)| {
            let rows = at * tile..at * tile + out.len() / width;
            match &self.compiled {
                Compiled::Double(all) => self.tile(all, run_f64, columns, rows.clone(), out),
                Compiled::Single(all) => self.tile(all, run_f32, columns, rows.clone(), out),
            }
            steps.done(rows.len() as u64)
        })?;
        Ok(values)
    }

    /// The values of a row.
    fn width(&self) -> usize {
        self.named.features.len() * self.base_values.len()
    }

    /// Many rows on one thread, tree after tree.
    fn tile<T: Real, const W: usize>(
        &self,
        outputs: &[Vec<Block<T>>],
        run: Runner<T, W>,
        columns: &Columns,
        rows: std::ops::Range<usize>,
        out: &mut [f64],
    ) {
        let (n, used) = (rows.len(), self.named.used.len());
        let binned = Binned::new(self.model.routes(), columns, rows, W);
        let mut scratch = Scratch::new();
        let mut here = vec![Lanes::<T, W>::default(); n.div_ceil(W) * used];
        let mut total = vec![Lanes::<f64, W>::default(); n.div_ceil(W) * used];
        for (k, blocks) in outputs.iter().enumerate() {
            total.fill(Lanes::default());
            for block in blocks {
                here.fill(Lanes::default());
                run(self.cpu, block, binned.bins(), &mut scratch, &mut here, used);
                for (total, here) in total.iter_mut().zip(&here) {
                    for (total, here) in total.0.iter_mut().zip(&here.0) {
                        *total += here.to_f64();
                    }
                }
            }
            self.place(k, out, |row, used_at| total[row / W * used + used_at].0[row % W]);
        }
    }

    /// Few rows on all threads, which share out the blocks of trees.
    fn few<T: Real, const W: usize>(
        &self,
        outputs: &[Vec<Block<T>>],
        run: Runner<T, W>,
        columns: &Columns,
        out: &mut [f64],
    ) {
        let (n, used) = (columns.len(), self.named.used.len());
        let binned = Binned::new(self.model.routes(), columns, 0..n, W);
        let sums: Vec<Vec<Vec<Lanes<T, W>>>> = outputs
            .par_iter()
            .map(|blocks| {
                let one = |block: &Block<T>| {
                    let mut scratch = Scratch::new();
                    let mut here = vec![Lanes::<T, W>::default(); n.div_ceil(W) * used];
                    run(self.cpu, block, binned.bins(), &mut scratch, &mut here, used);
                    here
                };
                blocks.par_iter().map(one).collect()
            })
            .collect();
        for (k, blocks) in sums.iter().enumerate() {
            self.place(k, out, |row, used_at| {
                blocks.iter().fold(0.0, |sum, block| {
                    sum + block[row / W * used + used_at].0[row % W].to_f64()
                })
            });
        }
    }

    /// Writes one output's values where they belong.
    fn place(&self, output: usize, out: &mut [f64], value: impl Fn(usize, usize) -> f64) {
        let features = self.named.features.len();
        for (row, out) in out.chunks_exact_mut(self.width()).enumerate() {
            let out = &mut out[output * features..(output + 1) * features];
            for (at, &feature) in self.named.used.iter().enumerate() {
                out[feature as usize] = value(row, at);
            }
        }
    }
}

/// The programs of each output, and its mean margin.
fn compile<T: Real>(model: &TreeEnsemble, named: &Named) -> (Vec<Vec<Block<T>>>, Vec<f64>) {
    let (outputs, features) = (model.outputs(), named.features.len());
    let one = |output: usize| -> (Vec<Block<T>>, f64) {
        let trees: Vec<_> = (0..)
            .zip(model.trees())
            .filter(|(_, tree)| match tree.target {
                Target::One(k) => k as usize == output,
                Target::All => true,
            })
            .collect();
        let compiled: Vec<(Vec<Program<T>>, f64)> = trees
            .into_par_iter()
            .map(|(at, tree)| {
                let outline = Outline::new(tree, output, outputs, features);
                let places = Places { routes: model.routes(), tree: at, used: &named.place };
                (outline.compile(places), outline.mean)
            })
            .collect();
        let base = compiled.iter().fold(model.base()[output], |sum, (_, mean)| sum + mean);
        let mut blocks: Vec<Block<T>> = Vec::with_capacity(compiled.len().div_ceil(BLOCK));
        for (at, (programs, _)) in compiled.into_iter().enumerate() {
            if at % BLOCK == 0 {
                blocks.push(Vec::with_capacity(BLOCK));
            }
            if let Some(block) = blocks.last_mut() {
                block.extend(programs);
            }
        }
        (blocks, base)
    };
    (0..outputs).map(one).unzip()
}

impl Explainer for TreeExplainer {
    fn features(&self) -> &[String] {
        &self.named.features
    }

    fn outputs(&self) -> &[String] {
        &self.named.outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        let (values, margins) = if batch.num_rows() < LONELY {
            // The model walks so few rows on one thread.
            let columns = self.model.columns(batch)?;
            let margins = || margins(&self.model, batch, &columns);
            let (margins, values) = rayon::join(margins, || self.values(&columns, watch));
            // Without a margin the values mean nothing.
            let margins = margins?;
            (values?, margins)
        } else {
            let (columns, margins) = read(&self.model, batch)?;
            (self.values(&columns, watch)?, margins)
        };
        let parts = self.named.parts(&self.base_values, values, &margins);
        Attributions::new(parts, self.precision().tolerance())
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Float64Array, UInt32Array};
    use mlops_core::arrow::compute::take_record_batch;
    use mlops_core::model::Link;
    use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree};
    use mlops_core::{Cancel, MemorySource, Scan, batch};
    use proptest::prelude::*;

    use super::super::super::ExplainerExt;
    use super::super::testing::{FEATURES, Kinds, ensemble, path_dependent, row, rows, shapley};
    use super::*;

    fn brute(model: &TreeEnsemble, x: &[f64], output: usize) -> Vec<f64> {
        let of = (output, model.outputs());
        shapley(FEATURES, |s| {
            model.trees().iter().map(|tree| path_dependent(tree, 0, x, s, of)).sum()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn the_definition_agrees(
            seed in any::<u64>(),
            trees in 1usize..4,
            depth in 0usize..8,
            outputs in 1usize..3,
            zero_covers in any::<bool>(),
        ) {
            let model = ensemble(seed, Kinds { trees, depth, outputs, zero_covers });
            prop_assume!(model.has_covers());
            let batch = rows(seed, 5);
            let explained = TreeExplainer::new(&model).unwrap().explain(&batch).unwrap();
            let single = TreeExplainer::with_precision(&model, Precision::Single).unwrap();
            let single = single.explain(&batch).unwrap();
            for at in 0..5 {
                let x = row(&model, &batch, at);
                for k in 0..outputs {
                    let expected = brute(&model, &x, k);
                    let found = explained.of(at, k).unwrap();
                    for (found, expected) in found.iter().zip(&expected) {
                        prop_assert!((found - expected).abs() < 1e-13, "{found} {expected}");
                    }
                    for (found, expected) in single.of(at, k).unwrap().iter().zip(&expected) {
                        prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
                    }
                }
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn the_same_bits_however_rows_come(seed in any::<u64>(), precise in any::<bool>()) {
            let kinds = Kinds { trees: 70, depth: 3, outputs: 1, zero_covers: true };
            let model = ensemble(seed, kinds);
            prop_assume!(model.has_covers());
            let precision = if precise { Precision::Double } else { Precision::Single };
            let explainer = TreeExplainer::with_precision(&model, precision).unwrap();
            let batch = rows(seed, 130);
            let bits = |a: &Attributions| a.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let whole = bits(&explainer.explain(&batch).unwrap());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            prop_assert_eq!(&whole, &bits(&pool.install(|| explainer.explain(&batch)).unwrap()));
            for size in [1, 2, 5, 7, 63, 65] {
                let mut parts = Vec::new();
                for first in (0..130).step_by(size) {
                    let part = batch.slice(first, size.min(130 - first));
                    parts.extend(bits(&explainer.explain(&part).unwrap()));
                }
                prop_assert_eq!(&whole, &parts, "{} at once", size);
            }
            let back = UInt32Array::from_iter_values((0..130).rev());
            let reversed = explainer.explain(&take_record_batch(&batch, &back).unwrap()).unwrap();
            let n = FEATURES;
            let turned: Vec<_> = bits(&reversed).chunks(n).rev().flatten().copied().collect();
            prop_assert_eq!(&whole, &turned);
        }
    }

    /// Every kernel that this computer has: all bits of `f64`, and of `f32` too, for each number of
    /// quadrature nodes, and a tree that takes several passes.
    #[test]
    fn the_same_bits_on_every_machine() {
        let kernels = TreeExplainer::kernels();
        assert_eq!(kernels.last(), Some(&"portable"));
        let bits = |a: Attributions| a.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let same = |model: &TreeEnsemble, batch: &RecordBatch| {
            for precision in [Precision::Double, Precision::Single] {
                let explainer = TreeExplainer::with_precision(model, precision).unwrap();
                let first = bits(explainer.explain(batch).unwrap());
                for kernel in &kernels {
                    let explainer = explainer.clone().with_kernel(kernel);
                    let found = bits(explainer.explain(batch).unwrap());
                    assert!(first == found, "{kernel} in {precision:?}");
                }
            }
        };
        for (seed, depth) in (0u64..).zip([1usize, 2, 3, 5, 8]) {
            let kinds = Kinds { trees: 6, depth, outputs: 1, zero_covers: depth == 3 };
            let model = ensemble(seed, kinds);
            if model.has_covers() {
                same(&model, &rows(seed, 70));
            }
        }
        for d in [2usize, 4, 6, 8, 9, 11, 14, 23] {
            let model = chain(d, |depth| 0.7f64.powi(depth as i32));
            let column = |f: usize| {
                let values = (0..67).map(|row| f64::from((row * (f + 3)) as u32 % 5 > 1));
                std::sync::Arc::new(Float64Array::from_iter_values(values)) as _
            };
            let columns = (0..d).map(|f| (format!("x{f}"), column(f)));
            same(&model, &RecordBatch::try_from_iter(columns).unwrap());
        }
    }

    /// A path of `d` splits, each on a feature of its own; other features' rows fall off to 0.
    fn chain(d: usize, cover: impl Fn(usize) -> f64) -> TreeEnsemble {
        let mut nodes = Vec::new();
        for depth in 0..d {
            let left = nodes.len() as u32 + 2;
            nodes.push(Node::Split(Split {
                feature: depth as u32,
                question: Question::Below(0.5),
                missing: Side::Right,
                zero_is_missing: false,
                left,
                right: left - 1,
                cover: cover(depth),
            }));
            nodes.push(Node::Leaf { value: 0, cover: cover(depth) - cover(depth + 1) });
        }
        nodes.push(Node::Leaf { value: 1, cover: cover(d) });
        let features = (0..d).map(|f| Feature::number(format!("x{f}"))).collect();
        let tree = Tree::new(nodes, vec![0.0, 1.0]);
        TreeEnsemble::new(features, vec![tree], vec![0.0], Link::Identity).unwrap()
    }

    fn constant(d: usize, x: impl Fn(usize) -> f64) -> RecordBatch {
        let column = |f| std::sync::Arc::new(Float64Array::from(vec![x(f)]));
        let columns = (0..d).map(|f| (format!("x{f}"), column(f) as _));
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// Where all d features have the same share z and the row satisfies h of them, symmetry leaves
    /// two values, which sum to v(all) − v(none) and have a closed form for one of them.
    #[test]
    fn any_number_of_distinct_features_is_exact() {
        for d in [1usize, 2, 7, 12, 13, 20, 40, 64, 100] {
            let model = chain(d, |depth| 0.5f64.powi(depth as i32));
            let explained =
                TreeExplainer::new(&model).unwrap().explain(&constant(d, |_| 0.0)).unwrap();
            // All satisfy: by symmetry (1 − 2⁻ᵈ) / d each.
            let expected = (1.0 - 0.5f64.powi(d as i32)) / d as f64;
            for phi in &explained.values {
                assert!((phi / expected - 1.0).abs() < 1e-13, "{d}: {phi} {expected}");
            }
            // The first does not: it has −z · ∫ Π (z + (1 − z)t) = −½ ∫ ((1 + t)/2)^(d−1).
            let off = constant(d, |f| if f == 0 { 1.0 } else { 0.0 });
            let explained = TreeExplainer::new(&model).unwrap().explain(&off).unwrap();
            let expected = -(1.0 - 0.5f64.powi(d as i32)) / d as f64;
            let phi = explained.values[0];
            assert!((phi / expected - 1.0).abs() < 1e-13, "{d}: {phi} {expected}");
        }
    }

    #[test]
    fn deep_trees_are_walked_without_recursion() {
        // One feature again and again, 3,000 deep.
        let d = 3000;
        let mut nodes = Vec::new();
        for depth in 0..d {
            let left = nodes.len() as u32 + 2;
            nodes.push(Node::Split(Split {
                feature: (depth % 3) as u32,
                question: Question::Below(f64::from(d - depth)),
                missing: Side::Right,
                zero_is_missing: false,
                left,
                right: left - 1,
                cover: f64::from(d - depth + 1),
            }));
            nodes.push(Node::Leaf { value: 0, cover: 1.0 });
        }
        nodes.push(Node::Leaf { value: 1, cover: 1.0 });
        let features = (0..3).map(|f| Feature::number(format!("x{f}"))).collect();
        let tree = Tree::new(nodes, vec![0.0, 1.0]);
        let model = TreeEnsemble::new(features, vec![tree], vec![0.0], Link::Identity).unwrap();
        let explained =
            TreeExplainer::new(&model).unwrap().explain(&constant(3, |_| -1.0)).unwrap();
        assert!(explained.additivity.worst < 1e-13);
        assert!((explained.base_values[0] - 1.0 / f64::from(d + 1)).abs() < 1e-16);
    }

    #[test]
    fn nothing_to_explain_is_explained() {
        let leaf = |v| Tree::new(vec![Node::Leaf { value: 0, cover: 2.0 }], vec![v]);
        let features = vec![Feature::number("a")];
        let model =
            TreeEnsemble::new(features, vec![leaf(1.5), leaf(0.25)], vec![1.0], Link::Identity)
                .unwrap();
        let explainer = TreeExplainer::new(&model).unwrap();
        let two = batch! { "a" => Float64Array::from(vec![1.0, f64::NAN]) }.unwrap();
        let explained = explainer.explain(&two).unwrap();
        assert_eq!((explained.base_values[0], explained.values), (2.75, vec![0.0, 0.0]));
        assert!(explainer.explain(&two.slice(0, 0)).unwrap().is_empty());
        let none = TreeEnsemble::new(vec![], vec![], vec![1.0], Link::Identity).unwrap();
        let explained = TreeExplainer::new(&none).unwrap().explain(&two).unwrap();
        assert_eq!(explained.predictions, [1.0, 1.0]);
        let error = explainer.explain(&two.project(&[]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("`a`"), "{error}");
    }

    #[test]
    fn what_a_model_requires_is_asked_for_by_name() {
        let mut model = chain(2, |depth| 4.0 - depth as f64);
        let features = vec![Feature::number("x0"), Feature::number("x1").required()];
        model = TreeEnsemble::new(
            features,
            model.trees().to_vec(),
            model.base().to_vec(),
            Link::Identity,
        )
        .unwrap();
        let rows = batch! {
            "x0" => Float64Array::from(vec![None, Some(1.0)]),
            "x1" => Float64Array::from(vec![Some(1.0), Some(f64::NAN)]),
        }
        .unwrap();
        let explainer = TreeExplainer::new(&model).unwrap();
        let error = explainer.explain(&rows).unwrap_err().to_string();
        assert!(error.contains("`x1`, row 1"), "{error}");
        assert!(explainer.explain(&rows.slice(0, 1)).is_ok());
    }

    #[test]
    fn no_covers_no_values() {
        let model = chain(2, |_| 0.0);
        let error = TreeExplainer::new(&model).unwrap_err().to_string();
        assert!(error.contains("with_covers_of"), "{error}");
    }

    #[test]
    fn sources_are_explained_in_order_and_stopped() {
        let model = ensemble(3, Kinds { trees: 3, depth: 4, outputs: 2, zero_covers: false });
        let explainer = TreeExplainer::new(&model).unwrap();
        let batch = rows(3, 100);
        let whole = explainer.explain(&batch).unwrap();
        let source = MemorySource::from(batch.clone());
        let mut values = Vec::new();
        let scan = Scan::new(&source).batch_size(30);
        let n = explainer
            .explain_scan(scan, |part| {
                values.extend(part.values);
                Ok(())
            })
            .unwrap();
        assert_eq!((n, values), (100, whole.values));
        let cancel = Cancel::new();
        cancel.cancel();
        let watch = Watch::new().cancel(&cancel);
        assert!(explainer.explain_with(&batch, watch).unwrap_err().is_cancelled());
        let scan = Scan::new(&source).cancel(&cancel);
        assert!(explainer.explain_scan(scan, |_| Ok(())).unwrap_err().is_cancelled());
    }
}
