//! Attributions of what a link makes of the margin.

use mlops_core::arrow::array::RecordBatch;
use mlops_core::model::trees::{Columns, TreeEnsemble};
use mlops_core::model::{Link, sigmoid};
use mlops_core::{Error, Model, Predictions, Result};
use rayon::prelude::*;

use super::super::{AttributionParts, Attributions, Background, Explainer, Space, Watch};
use super::binned::{Binned, Named, read};
use super::program::{Outline, Places};
use super::units::{GROUP, Leaves, Scratch};

/// Attributions of the prediction of a tree ensemble with one output and a link: of a probability,
/// or of a rate.
///
/// For a row x and a background row b the interventional Shapley values of the margin are exact;
/// what the link makes of their sum, `g(m_x) − g(m_b)`, is shared out in proportion to them, and the
/// mean is taken over the background. They add up to the prediction exactly. They are not the
/// Shapley values of the game in which the coalitions' predictions pass the link; those need
/// [`ExactExplainer`](super::super::ExactExplainer).
///
/// Because the proportion differs from pair to pair, time is `O(n_rows · n_background · n_leaves)`:
/// a hundred background rows are many. On the margin,
/// [`InterventionalExplainer`](super::InterventionalExplainer) takes the whole training set in the
/// time of one. shap: `TreeExplainer(model, background, model_output="probability")`.
#[derive(Clone, Debug)]
pub struct RescaledExplainer {
    model: TreeEnsemble,
    named: Named,
    space: Space,
    /// The derivative of the link.
    slope: fn(f64) -> f64,
    base_value: f64,
    trees: Vec<Leaves>,
    background: Columns,
    weights: Vec<f64>,
    /// Margin and prediction of each background row.
    known: Vec<(f64, f64)>,
}

impl RescaledExplainer {
    /// An explainer against these background rows, with their weights if they have any.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an ensemble of several outputs, whose link is not logistic or a
    /// logarithm, or with more than 64 distinct features on a path; as
    /// [`InterventionalExplainer::new`](super::InterventionalExplainer::new).
    pub fn new(model: &TreeEnsemble, background: &Background) -> Result<Self> {
        let (slope, space): (fn(f64) -> f64, _) = match model.link() {
            Link::Logistic { .. } => (|m| sigmoid(m) * sigmoid(-m), Space::Probability),
            Link::Logit => (|m| sigmoid(m) * sigmoid(-m), Space::Value),
            Link::Log => (f64::exp, Space::Value),
            other => {
                let expected = "one output and a logistic link or a logarithm";
                return Err(Error::invalid("tree ensemble", expected, format!("{other:?}")));
            }
        };
        let named = Named::of(model);
        let features = named.features.len();
        let mut trees = Vec::with_capacity(model.trees().len());
        for (at, tree) in model.trees().iter().enumerate() {
            let outline = Outline::new(tree, 0, 1, features);
            if outline.distinct > 64 {
                let what = format!("tree {at}");
                let expected = "at most 64 distinct features on a path";
                return Err(Error::invalid(what, expected, outline.distinct));
            }
            let places = Places { routes: model.routes(), tree: at, used: &named.place };
            trees.push(Leaves::new(&outline, places));
        }
        let (columns, known) = predicted(model, background.rows())?;
        let weights: Vec<f64> = match background.weights() {
            Some(weights) => {
                let total: f64 = weights.iter().sum();
                weights.iter().map(|w| w / total).collect()
            }
            None => vec![1.0 / known.len() as f64; known.len()],
        };
        let base_value = weights.iter().zip(&known).fold(0.0, |sum, (w, (_, g))| sum + w * g);
        let model = model.clone();
        Ok(Self {
            model,
            named,
            space,
            slope,
            base_value,
            trees,
            background: columns,
            weights,
            known,
        })
    }

    /// The mean prediction of the background.
    pub fn base_value(&self) -> f64 {
        self.base_value
    }

    /// Explains the rows of a batch, on all threads of the caller's pool.
    ///
    /// # Errors
    /// As [`TreeExplainer::explain`](super::TreeExplainer::explain).
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }

    /// How much of a pair's margin each unit of it is worth, by the weight of the background row.
    fn scale(&self, (margin, prediction): (f64, f64), background: usize) -> f64 {
        let (other, base) = self.known[background];
        let step = margin - other;
        let slope = self.model.slope();
        // Nearby the quotient loses digits that the derivative between has.
        let ratio = if step.abs() < 1e-6 {
            slope * (self.slope)(slope * (other + 0.5 * step))
        } else {
            (prediction - base) / step
        };
        ratio * self.weights[background]
    }
}

impl Explainer for RescaledExplainer {
    fn features(&self) -> &[String] {
        &self.named.features
    }

    fn outputs(&self) -> &[String] {
        &self.named.outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        watch.check()?;
        let (columns, known) = predicted(&self.model, batch)?;
        let (n, features, m) = (known.len(), self.named.features.len(), self.known.len());
        let mut values = vec![0.0; n * features];
        let steps = watch.steps(n);
        if features > 0 {
            values.par_chunks_mut(GROUP * features).enumerate().try_for_each(|(at, out)| {
                let first = at * GROUP;
                let rows = first..first + out.len() / features;
                let scales: Vec<f64> = rows
                    .clone()
                    .flat_map(|row| (0..m).map(move |b| (row, b)))
                    .map(|(row, b)| self.scale(known[row], b))
                    .collect();
                let routes = self.model.routes();
                let binned = Binned::new(routes, &columns, rows.clone(), GROUP);
                let others = Binned::new(routes, &self.background, 0..m, GROUP);
                let mut scratch = Scratch::default();
                let mut phi = vec![0.0; rows.len() * self.named.used.len().max(1)];
                for tree in &self.trees {
                    watch.check()?;
                    let of_rows = tree.patterns(binned.bins(), rows.len(), &mut scratch);
                    let of_others = tree.patterns(others.bins(), m, &mut scratch);
                    tree.explain(&of_rows, &of_others, &scales, &mut phi, self.named.used.len());
                }
                for (out, phi) in
                    out.chunks_exact_mut(features).zip(phi.chunks(self.named.used.len().max(1)))
                {
                    for (&feature, &phi) in self.named.used.iter().zip(phi) {
                        out[feature as usize] = phi;
                    }
                }
                steps.done(rows.len() as u64)
            })?;
        }
        let parts = AttributionParts {
            features: self.named.features.clone(),
            outputs: self.named.outputs.clone(),
            space: self.space,
            base_values: vec![self.base_value],
            values,
            predictions: known.iter().map(|(_, g)| *g).collect(),
        };
        Attributions::new(parts, Attributions::TOLERANCE)
    }
}

/// The rows as columns, and of each its margin and its prediction.
fn predicted(model: &TreeEnsemble, batch: &RecordBatch) -> Result<(Columns, Vec<(f64, f64)>)> {
    let (columns, margins) = read(model, batch)?;
    let predictions = match model.predict(batch)? {
        Predictions::Values(values) => values,
        scores => scores.score_of(&Named::of(model).outputs[0])?,
    };
    Ok((
        columns,
        margins.values().iter().copied().zip(predictions.values().iter().copied()).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use mlops_core::model::trees::Node;
    use proptest::prelude::*;

    use super::super::testing::{FEATURES, Kinds, ensemble, row, rows, shapley};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(25))]

        #[test]
        fn the_definition_agrees(seed in any::<u64>(), depth in 0usize..6, weighted in any::<bool>()) {
            let plain = ensemble(seed, Kinds { trees: 3, depth, outputs: 1, zero_covers: true });
            let link = Link::Logistic { negative: "no".into(), positive: "yes".into() };
            let model = plain.with_link(link).unwrap().with_slope(1.5).unwrap();
            let (batch, others) = (rows(seed, 3), rows(seed ^ 1, 9));
            let weights: Vec<f64> =
                (0..9).map(|at| if weighted { f64::from(at) } else { 1.0 }).collect();
            let background = Background::weighted(others.clone(), weights.clone()).unwrap();
            let explainer = RescaledExplainer::new(&model, &background).unwrap();
            let explained = explainer.explain(&batch).unwrap();
            let margin = |x: &dyn Fn(usize) -> f64| -> f64 {
                model.trees().iter().fold(model.base()[0], |sum, tree| {
                    let leaf = tree.leaf_of(|f| x(f as usize));
                    let Node::Leaf { value, .. } = tree.nodes[leaf] else { return sum };
                    sum + tree.weight * tree.values[value as usize]
                })
            };
            let total: f64 = weights.iter().sum();
            for at in 0..3 {
                let x = row(&model, &batch, at);
                let mut expected = vec![0.0; FEATURES];
                for (b, weight) in weights.iter().enumerate() {
                    let b = row(&model, &others, b);
                    let phi = shapley(FEATURES, |s| {
                        margin(&|f| if s >> f & 1 == 1 { x[f] } else { b[f] })
                    });
                    let (high, low) = (margin(&|f| x[f]), margin(&|f| b[f]));
                    let ratio = if high == low {
                        1.5 * sigmoid(1.5 * high) * sigmoid(-1.5 * high)
                    } else {
                        (sigmoid(1.5 * high) - sigmoid(1.5 * low)) / (high - low)
                    };
                    for (sum, phi) in expected.iter_mut().zip(&phi) {
                        *sum += weight / total * ratio * phi;
                    }
                }
                for (found, expected) in explained.of(at, 0).unwrap().iter().zip(&expected) {
                    prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
                }
            }
        }
    }
}
