//! Shapley interaction values, path-dependent and interventional.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use mlops_core::arrow::array::RecordBatch;
use mlops_core::model::trees::{Columns, Target, TreeEnsemble};
use mlops_core::{Error, Result, Scan};
use rayon::prelude::*;

use super::super::{Attributions, Background, Explainer, Watch};
use super::against::Against;
use super::binned::{Binned, Named, check_covers, check_ways, read};
use super::interaction_values::Interactions;
use super::lanes::Lanes;
use super::legendre::gauss_legendre;
use super::program::{Outline, Places};
use super::unfolded::{LANES, Scratch, Unfolded};

/// Rows that a thread explains at once.
const TILE: usize = 4 * LANES;
/// What a thread may keep while it walks a tree, in bytes.
const MOST_BYTES: usize = 1 << 30;

/// Shapley interaction values of the margin of a tree ensemble: how much of what two features are
/// worth they are worth together. Path-dependent as [`TreeExplainer`](super::TreeExplainer) is, or
/// interventional against a background as [`InterventionalExplainer`](super::InterventionalExplainer)
/// is.
///
/// For two features `φ_ij = φ_ji` is half their Shapley interaction index, and `φ_ii` what is left
/// of the feature's own Shapley value, so that all `φ_ij` and the base add up to the margin, which
/// is held against the margin that the model computes on its own.
///
/// Exact for any depth. Only pairs that meet on some path are computed and kept; all others are 0.
/// Path-dependent, time is `O(n_rows · n_leaves · d · ⌈d/2⌉)` for `d` distinct features on a path:
/// every pair at once, where the definition by conditioning needs two explanations for each feature.
/// Against a background it is `O(n_background + n_rows)`, not their product. Lundberg, Erion & Lee
/// 2018, arXiv:1802.03888; shap: `TreeExplainer.shap_interaction_values`, which has no background;
/// xgboost: `pred_interactions=True`.
///
/// As an [`Explainer`] it gives the features' Shapley values, which interactions add up to, and as
/// columns beside the data `φ_ij`, too: so an [`AttributionSummary`](super::super::AttributionSummary)
/// of any number of rows knows the strongest pairs.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::batch;
/// use mlops_core::model::Link;
/// use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree, TreeEnsemble};
/// use mlops_fairness::attribution::InteractionExplainer;
///
/// let split = |feature, left, right, cover| {
///     let (question, missing) = (Question::Below(0.5), Side::Right);
///     Node::Split(Split { feature, question, missing, zero_is_missing: false, left, right, cover })
/// };
/// let leaf = |value| Node::Leaf { value, cover: 1.0 };
/// // Exclusive or: neither feature is worth anything alone.
/// let tree = Tree::new(
///     vec![split(0, 1, 2, 4.0), split(1, 3, 4, 2.0), split(1, 5, 6, 2.0), leaf(0), leaf(1), leaf(1), leaf(0)],
///     vec![0.0, 1.0],
/// );
/// let features = vec![Feature::number("a"), Feature::number("b")];
/// let model = TreeEnsemble::new(features, vec![tree], vec![0.0], Link::Identity)?;
/// let explained = InteractionExplainer::new(&model)?.explain(&batch! {
///     "a" => Float64Array::from(vec![1.0]),
///     "b" => Float64Array::from(vec![0.0]),
/// }?)?;
/// assert_eq!(explained.dense(0, 0).unwrap(), [0.0, 0.25, 0.25, 0.0]);
/// assert_eq!((explained.base_values[0], explained.predictions[0]), (0.5, 1.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InteractionExplainer {
    model: TreeEnsemble,
    of: Of,
}

#[derive(Clone, Debug)]
enum Of {
    Paths(Paths),
    Background(Against),
}

/// Trees by their covers.
#[derive(Clone)]
struct Paths {
    named: Named,
    base_values: Vec<f64>,
    /// Of each output the trees, in passes.
    outputs: Vec<Vec<Unfolded>>,
    /// The pairs that meet, of used features.
    pairs: Vec<(u32, u32)>,
}

impl InteractionExplainer {
    /// A path-dependent explainer of this ensemble.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an ensemble whose file had no covers, and for one so deep in so many
    /// features that a thread would need more than 1 GiB; [`Error::Undefined`] if the mean margin
    /// overflows.
    pub fn new(model: &TreeEnsemble) -> Result<Self> {
        Ok(Self { of: Of::Paths(Paths::new(model)?), model: model.clone() })
    }

    /// An interventional explainer against these background rows, with their weights if they have
    /// any.
    ///
    /// # Errors
    /// As [`InterventionalExplainer::new`](super::InterventionalExplainer::new); [`Error::Invalid`]
    /// for more than 2²⁶ pairs of features in the leaves of all trees.
    pub fn against(model: &TreeEnsemble, background: &Background) -> Result<Self> {
        let of = Of::Background(Against::rows(model, background, true)?);
        Ok(Self { of, model: model.clone() })
    }

    /// The same against all rows of a source, read once, a batch at a time.
    ///
    /// # Errors
    /// As [`against`](Self::against), those of the source, and [`Error::Cancelled`].
    pub fn over(model: &TreeEnsemble, scan: Scan<'_>) -> Result<Self> {
        let of = Of::Background(Against::scan(model, scan, None, true)?);
        Ok(Self { of, model: model.clone() })
    }

    /// The same with the rows' weights in this column.
    ///
    /// # Errors
    /// As [`over`](Self::over); [`Error::Value`] for a weight that is missing, negative or not
    /// finite.
    pub fn over_weighted(model: &TreeEnsemble, scan: Scan<'_>, weights: &str) -> Result<Self> {
        let of = Of::Background(Against::scan(model, scan, Some(weights), true)?);
        Ok(Self { of, model: model.clone() })
    }

    /// The ensemble that is explained.
    pub fn model(&self) -> &TreeEnsemble {
        &self.model
    }

    fn named(&self) -> &Named {
        match &self.of {
            Of::Paths(paths) => &paths.named,
            Of::Background(against) => &against.named,
        }
    }

    /// The mean margin of each output: weighted by covers, or over the background.
    pub fn base_values(&self) -> &[f64] {
        match &self.of {
            Of::Paths(paths) => &paths.base_values,
            Of::Background(against) => &against.base_values,
        }
    }

    /// The pairs that meet, as indices of features.
    fn met(&self) -> Vec<(usize, usize)> {
        let pairs = match &self.of {
            Of::Paths(paths) => &paths.pairs,
            Of::Background(against) => &against.pairs,
        };
        let place = |used: u32| self.named().used[used as usize] as usize;
        pairs.iter().map(|&(i, j)| (place(i), place(j))).collect()
    }

    /// Explains the rows of a batch, on all threads of the caller's pool.
    ///
    /// # Errors
    /// As [`TreeExplainer::explain`](super::TreeExplainer::explain).
    pub fn explain(&self, batch: &RecordBatch) -> Result<Interactions> {
        self.interactions_with(batch, Watch::new())
    }

    /// The same, with somebody who watches.
    ///
    /// # Errors
    /// As [`explain`](Self::explain), and [`Error::Cancelled`].
    pub fn interactions_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Interactions> {
        watch.check()?;
        let (columns, margins) = read(&self.model, batch)?;
        let (named, met) = (self.named(), self.met());
        let (n, k) = (columns.len(), named.outputs.len());
        let (features, pairs) = (named.features.len(), met.len());
        let mut main = vec![0.0; n * k * features];
        let mut values = vec![0.0; n * k * pairs];
        watch.check()?;
        let steps = watch.steps(n);
        // A chunk of no values is none; there is at least one row to a tile.
        let main_tiles = tiles(&mut main, n, k * features);
        let value_tiles = tiles(&mut values, n, k * pairs);
        main_tiles.into_par_iter().zip(value_tiles).enumerate().try_for_each(
            |(at, (main, values))| {
                let rows = at * TILE..n.min((at + 1) * TILE);
                let done = rows.len() as u64;
                let mut each = |row: usize, output: usize, phi: &[f64]| {
                    let at = row * k + output;
                    let (own, both) = phi.split_at(named.used.len());
                    named.spread(own, &mut main[at * features..(at + 1) * features]);
                    values[at * pairs..(at + 1) * pairs].copy_from_slice(both);
                };
                match &self.of {
                    Of::Paths(paths) => {
                        paths.explain(&self.model, &columns, rows, watch, &mut each)?;
                    }
                    Of::Background(against) => {
                        against.explain(&self.model, &columns, rows, watch, &mut each)?;
                    }
                }
                steps.done(done)
            },
        )?;
        let parts = named.parts(self.base_values(), main, &margins);
        Interactions::new(parts, met, values, Attributions::TOLERANCE)
    }
}

impl Explainer for InteractionExplainer {
    fn features(&self) -> &[String] {
        &self.named().features
    }

    fn outputs(&self) -> &[String] {
        &self.named().outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        self.interactions_with(batch, watch)?.attributions()
    }

    fn pairs(&self) -> Vec<(String, String)> {
        let name = |feature: usize| self.named().features[feature].clone();
        self.met().into_iter().map(|(i, j)| (name(i), name(j))).collect()
    }

    fn explain_columns(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<RecordBatch> {
        self.interactions_with(batch, watch)?.to_batch()
    }
}

impl Debug for Paths {
    /// Without the steps, which are of no size to be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths")
            .field("base_values", &self.base_values)
            .field("pairs", &self.pairs.len())
            .finish_non_exhaustive()
    }
}

impl Paths {
    fn new(model: &TreeEnsemble) -> Result<Self> {
        check_covers(model)?;
        check_ways(model)?;
        let named = Named::of(model);
        let (outputs, features) = (model.outputs(), named.features.len());
        let mut pairs = BTreeMap::new();
        let mut base_values = model.base().to_vec();
        let mut all: Vec<Vec<Unfolded>> = vec![Vec::new(); outputs];
        for (at, tree) in model.trees().iter().enumerate() {
            let targets = match tree.target {
                Target::One(k) => k as usize..k as usize + 1,
                Target::All => 0..outputs,
            };
            for output in targets {
                let outline = Outline::new(tree, output, outputs, features);
                base_values[output] += outline.mean;
                let places = Places { routes: model.routes(), tree: at, used: &named.place };
                let bytes = Unfolded::bytes(&outline);
                if bytes > MOST_BYTES {
                    let expected = format!("interactions in at most {MOST_BYTES} bytes");
                    let found = format!("{bytes} of them");
                    return Err(Error::invalid(format!("tree {at}"), expected, found));
                }
                let nodes = gauss_legendre(outline.distinct.div_ceil(2));
                all[output].push(Unfolded::new(&outline, &nodes, places, &mut pairs));
            }
        }
        if base_values.iter().any(|b| !b.is_finite()) {
            return Err(Error::undefined("base value", "the mean margin overflows"));
        }
        // Pairs were numbered as they were met; they are kept in order.
        let mut order = vec![0; pairs.len()];
        for (at, met) in (0..).zip(pairs.values()) {
            order[*met as usize] = at;
        }
        for unfolded in all.iter_mut().flatten() {
            unfolded.renumber(&order);
        }
        let pairs = pairs.into_keys().collect();
        Ok(Self { named, base_values, outputs: all, pairs })
    }

    /// Calls back for each of these rows and each output with what used features add alone, and
    /// behind them what pairs add together.
    fn explain(
        &self,
        model: &TreeEnsemble,
        columns: &Columns,
        rows: std::ops::Range<usize>,
        watch: Watch<'_>,
        mut each: impl FnMut(usize, usize, &[f64]),
    ) -> Result<()> {
        let (n, used, pairs) = (rows.len(), self.named.used.len(), self.pairs.len());
        let binned = Binned::new(model.routes(), columns, rows, LANES);
        let mut scratch = Scratch::default();
        let mut phi = vec![Lanes::<f64, LANES>::default(); used];
        let mut both = vec![Lanes::<f64, LANES>::default(); pairs];
        let mut row = vec![0.0; used + pairs];
        for (output, trees) in self.outputs.iter().enumerate() {
            for first in (0..n).step_by(LANES) {
                phi.fill(Lanes::default());
                both.fill(Lanes::default());
                for tree in trees {
                    watch.check()?;
                    tree.explain(binned.bins(), first, &mut scratch, &mut phi, &mut both);
                }
                // What pairs share is not the feature's alone.
                for (&(i, j), both) in self.pairs.iter().zip(&both) {
                    for own in [i, j] {
                        for (phi, both) in phi[own as usize].0.iter_mut().zip(&both.0) {
                            *phi -= both;
                        }
                    }
                }
                for lane in 0..LANES.min(n - first) {
                    for (to, from) in row.iter_mut().zip(phi.iter().chain(&both)) {
                        *to = from.0[lane];
                    }
                    each(first + lane, output, &row);
                }
            }
        }
        Ok(())
    }
}

/// What belongs to each tile of rows, nothing where rows have no values.
fn tiles(all: &mut [f64], rows: usize, width: usize) -> Vec<&mut [f64]> {
    let count = rows.div_ceil(TILE);
    if width == 0 {
        return std::iter::repeat_with(Default::default).take(count).collect();
    }
    all.chunks_mut(TILE * width).collect()
}

#[cfg(test)]
mod tests {
    use mlops_core::MemorySource;
    use proptest::prelude::*;

    use super::super::against::Counting;
    use super::super::testing::{
        FEATURES, Kinds, ensemble, mixed, path_dependent, row, rows, shapley_interactions,
    };
    use super::super::{InterventionalExplainer, TreeExplainer};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_definition_agrees(
            seed in any::<u64>(),
            trees in 1usize..4,
            depth in 0usize..7,
            outputs in 1usize..3,
        ) {
            let model = ensemble(seed, Kinds { trees, depth, outputs, zero_covers: true });
            prop_assume!(model.has_covers());
            let batch = rows(seed, 19);
            let explained = InteractionExplainer::new(&model).unwrap().explain(&batch).unwrap();
            prop_assert!(explained.pairs.is_sorted());
            let single = TreeExplainer::new(&model).unwrap().explain(&batch).unwrap();
            let sums = explained.attributions().unwrap();
            for (a, b) in sums.values.iter().zip(&single.values) {
                prop_assert!((a - b).abs() < 1e-12);
            }
            for at in [0, 7, 18] {
                let x = row(&model, &batch, at);
                for k in 0..outputs {
                    let expected = shapley_interactions(FEATURES, |s| {
                        let trees = model.trees().iter();
                        trees.map(|tree| path_dependent(tree, 0, &x, s, (k, outputs))).sum()
                    });
                    let found = explained.dense(at, k).unwrap();
                    for (found, expected) in found.iter().zip(expected.iter().flatten()) {
                        prop_assert!((found - expected).abs() < 1e-13, "{found} {expected}");
                    }
                }
            }
            let width = outputs * explained.pairs.len();
            let part = InteractionExplainer::new(&model).unwrap().explain(&batch.slice(7, 3)).unwrap();
            prop_assert_eq!(&part.values[..], &explained.values[7 * width..10 * width]);
        }

        #[test]
        fn the_definition_agrees_against_a_background(
            seed in any::<u64>(),
            trees in 1usize..4,
            depth in 0usize..7,
            outputs in 1usize..3,
            weighted in any::<bool>(),
        ) {
            let model = ensemble(seed, Kinds { trees, depth, outputs, zero_covers: true });
            let (batch, others) = (rows(seed, 67), rows(seed ^ 1, 70));
            let weights: Vec<f64> =
                (0..70).map(|at| if weighted { f64::from(at % 4) / 2.0 } else { 1.0 }).collect();
            let background = Background::weighted(others.clone(), weights.clone()).unwrap();
            let explainer = InteractionExplainer::against(&model, &background).unwrap();
            let explained = explainer.explain(&batch).unwrap();
            prop_assert!(explained.pairs.is_sorted());
            let single = InterventionalExplainer::new(&model, &background).unwrap();
            let single = single.explain(&batch).unwrap();
            let sums = explained.attributions().unwrap();
            for (a, b) in sums.values.iter().zip(&single.values) {
                prop_assert!((a - b).abs() < 1e-12);
            }
            let all: Vec<_> =
                weights.iter().enumerate().map(|(at, &w)| (row(&model, &others, at), w)).collect();
            for at in [0, 66] {
                let x = row(&model, &batch, at);
                for k in 0..outputs {
                    let expected =
                        shapley_interactions(FEATURES, |s| mixed(&model, &x, &all, s, k));
                    let found = explained.dense(at, k).unwrap();
                    for (found, expected) in found.iter().zip(expected.iter().flatten()) {
                        prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
                    }
                }
            }
            let width = outputs * explained.pairs.len();
            let part = explainer.explain(&batch.slice(7, 3)).unwrap();
            prop_assert_eq!(&part.values[..], &explained.values[7 * width..10 * width]);
            // The same of lists alone, and of small tables.
            for bits in [0, 3] {
                let mut counting = Counting::with_tables(&model, bits, true).unwrap();
                counting.add(&others, Some(&weights)).unwrap();
                let of = Of::Background(counting.finish().unwrap());
                let lists = InteractionExplainer { model: model.clone(), of };
                let lists = lists.explain(&batch).unwrap();
                for (a, b) in lists.values.iter().zip(&explained.values) {
                    prop_assert!((a - b).abs() < 1e-13, "{a} {b}");
                }
                for (a, b) in lists.main.iter().zip(&explained.main) {
                    prop_assert!((a - b).abs() < 1e-12, "{a} {b}");
                }
            }
            if !weighted {
                let source = MemorySource::from(others);
                let scan = Scan::new(&source).batch_size(13);
                let streamed = InteractionExplainer::over(&model, scan).unwrap();
                prop_assert_eq!(streamed.explain(&batch).unwrap(), explained);
            }
        }
    }
}
