//! Attributions of what a link makes of the margin, and of the log-loss.

use std::fmt::{self, Debug};

use mlops_core::arrow::array::{Array, RecordBatch};
use mlops_core::model::trees::{Columns, TreeEnsemble};
use mlops_core::model::{Link, sigmoid};
use mlops_core::{Error, Model, Predictions, Result, Rows};
use rayon::prelude::*;

use super::super::{Attributions, Background, Explainer, Space, Watch};
use super::binned::{Binned, Named, check_ways, read};
use super::program::{Outline, Places};
use super::units::{GROUP, Leaves, Scratch};
use crate::codes::{Codes, Positive, outcomes};

/// Attributions of the prediction of a tree ensemble with one output and a link, of a probability
/// or of a rate, or of its log-loss.
///
/// For a row x and a background row b the interventional Shapley values of the margin are exact;
/// what the link makes of their sum, `g(m_x) − g(m_b)`, is shared out in proportion to them, and the
/// mean is taken over the background. They add up to the prediction exactly. They are not the
/// Shapley values of the game in which the coalitions' predictions pass the link; those need
/// [`ExactExplainer`](super::super::ExactExplainer).
///
/// The log-loss of a row, `−ln p(its label)`, is explained by the same rule, with the row's label for
/// g. What the background loses with that label depends on the label, so the label is a feature of
/// its own, behind the model's: the base value is what the background loses with labels as often
/// as it has them, whatever the row; the label then adds what it alone changes of that, and features
/// share what is left. shap's `expected_value(label)` is the base value with the label's φ.
///
/// Because the proportion differs from pair to pair, time is `O(n_rows · n_background · n_leaves)`:
/// a hundred background rows are many. On the margin,
/// [`InterventionalExplainer`](super::InterventionalExplainer) takes the whole training set in the
/// time of one. shap: `TreeExplainer(model, background, model_output="probability")` and
/// `model_output="log_loss"`.
#[derive(Clone)]
pub struct RescaledExplainer {
    model: TreeEnsemble,
    named: Named,
    through: Through,
    label: Option<Label>,
    base_value: f64,
    trees: Vec<Leaves>,
    background: Columns,
    weights: Vec<f64>,
    /// The margin of each background row, times the model's slope.
    margins: Vec<f64>,
}

impl Debug for RescaledExplainer {
    /// Without the leaves and the background, which are of no size to be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RescaledExplainer")
            .field("model", &self.model)
            .field("through", &self.through)
            .field("base_value", &self.base_value)
            .field("n_background", &self.weights.len())
            .finish_non_exhaustive()
    }
}

/// What is made of margins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Through {
    Logistic,
    Exponential,
    LogLoss,
}

/// The labels that the loss is about.
#[derive(Clone, Debug)]
struct Label {
    column: String,
    /// The names of the classes; `None` where labels are probabilities.
    classes: Option<(String, String)>,
    /// What the background loses on average where every label is 0, and where it is 1.
    losses: [f64; 2],
}

impl Through {
    /// What a margin becomes; `y` is the label of a loss.
    fn of(self, m: f64, y: f64) -> f64 {
        match self {
            Self::Logistic => sigmoid(m),
            Self::Exponential => m.exp(),
            // A label that is certain leaves the other term out, however large.
            Self::LogLoss => {
                let part = |y: f64, m: f64| if y == 0.0 { 0.0 } else { y * softplus(m) };
                part(y, -m) + part(1.0 - y, m)
            }
        }
    }

    /// `(g(a) − g(b)) / (a − b)`, the derivative where they are one, to full accuracy however near.
    fn ratio(self, a: f64, b: f64, y: f64) -> f64 {
        let (a, b) = if a < b { (b, a) } else { (a, b) };
        let d = a - b;
        // (1 − e⁻ᵈ) / d
        let shrunk = if d > 0.0 { -(-d).exp_m1() / d } else { 1.0 };
        match self {
            Self::Logistic => sigmoid(a) * sigmoid(-b) * shrunk,
            Self::Exponential => a.exp() * shrunk,
            // Far apart the difference loses nothing.
            Self::LogLoss if d > 1.0 => (self.of(a, y) - self.of(b, y)) / d,
            Self::LogLoss if d > 0.0 => {
                let positive = (sigmoid(-b) * (-d).exp_m1()).ln_1p();
                let negative = (sigmoid(b) * d.exp_m1()).ln_1p();
                (y * positive + (1.0 - y) * negative) / d
            }
            Self::LogLoss => (1.0 - y) * sigmoid(a) - y * sigmoid(-a),
        }
    }
}

/// `ln(1 + eᵐ)`.
fn softplus(m: f64) -> f64 {
    m.max(0.0) + (-m.abs()).exp().ln_1p()
}

impl RescaledExplainer {
    /// An explainer of predictions against these background rows, with their weights if they have
    /// any.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an ensemble of several outputs, whose link is not logistic or a
    /// logarithm, or with more than 64 distinct features on a path; as
    /// [`InterventionalExplainer::new`](super::InterventionalExplainer::new).
    pub fn new(model: &TreeEnsemble, background: &Background) -> Result<Self> {
        let (through, space) = match model.link() {
            Link::Logistic { .. } => (Through::Logistic, Space::Probability),
            Link::Logit => (Through::Logistic, Space::Value),
            Link::Log => (Through::Exponential, Space::Value),
            other => {
                let expected = "one output and a logistic link or a logarithm";
                return Err(Error::invalid("tree ensemble", expected, format!("{other:?}")));
            }
        };
        let mut named = Named::of(model);
        named.space = space;
        Self::through(model, background, through, named, None)
    }

    /// An explainer of the log-loss of rows whose labels stand in this column, in the background,
    /// too: the names of the model's classes (numbers and booleans where they are written so), or,
    /// for a model of probabilities without classes, numbers from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model whose link is not logistic, or that reads the column of labels;
    /// [`Error::Value`] for a label that is missing or no class; as [`new`](Self::new).
    pub fn log_loss(
        model: &TreeEnsemble,
        background: &Background,
        label: impl Into<String>,
    ) -> Result<Self> {
        let classes = match model.link() {
            Link::Logistic { negative, positive } => Some((negative.clone(), positive.clone())),
            Link::Logit => None,
            other => {
                let expected = "one output and a logistic link";
                return Err(Error::invalid("tree ensemble", expected, format!("{other:?}")));
            }
        };
        let column = label.into();
        let mut named = Named::of(model);
        if named.features.contains(&column) {
            let found = format!("`{column}`, which the model reads");
            return Err(Error::invalid("column of labels", "one that the model has not", found));
        }
        named.features.push(column.clone());
        named.outputs = vec!["log_loss".to_owned()];
        named.space = Space::LogLoss;
        let label = Label { column, classes, losses: [0.0; 2] };
        Self::through(model, background, Through::LogLoss, named, Some(label))
    }

    fn through(
        model: &TreeEnsemble,
        background: &Background,
        through: Through,
        named: Named,
        label: Option<Label>,
    ) -> Result<Self> {
        check_ways(model)?;
        let mut trees = Vec::with_capacity(model.trees().len());
        for (at, tree) in model.trees().iter().enumerate() {
            let outline = Outline::new(tree, 0, 1, model.features().len());
            if outline.distinct > 64 {
                let what = format!("tree {at}");
                let expected = "at most 64 distinct features on a path";
                return Err(Error::invalid(what, expected, outline.distinct));
            }
            let places = Places { routes: model.routes(), tree: at, used: &named.place };
            trees.push(Leaves::new(&outline, places));
        }
        let (columns, margins) = read(model, background.rows())?;
        let margins: Vec<f64> = margins.values().iter().map(|m| m * model.slope()).collect();
        let weights: Vec<f64> = match background.weights() {
            Some(weights) => {
                let total: f64 = weights.iter().sum();
                weights.iter().map(|w| w / total).collect()
            }
            None => vec![1.0 / margins.len() as f64; margins.len()],
        };
        let mean = |y: f64| {
            let all = weights.iter().zip(&margins);
            all.fold(0.0, |sum, (w, m)| sum + w * through.of(*m, y))
        };
        let (mut base_value, mut label) = (mean(0.0), label);
        if let Some(label) = &mut label {
            label.losses = [base_value, mean(1.0)];
            let labels = label.read(background.rows())?;
            let share = weights.iter().zip(&labels).fold(0.0, |sum, (w, y)| sum + w * y);
            base_value = label.loss(share);
        }
        if !base_value.is_finite() {
            return Err(Error::undefined("base value", "the mean over the background overflows"));
        }
        Ok(Self {
            model: model.clone(),
            named,
            through,
            label,
            base_value,
            trees,
            background: columns,
            weights,
            margins,
        })
    }

    /// The mean over the background of the prediction, or of the loss.
    pub fn base_value(&self) -> f64 {
        self.base_value
    }

    /// The ensemble that is explained.
    pub fn model(&self) -> &TreeEnsemble {
        &self.model
    }

    /// Explains the rows of a batch, on all threads of the caller's pool.
    ///
    /// # Errors
    /// As [`TreeExplainer::explain`](super::TreeExplainer::explain); of the log-loss, [`Error::Value`]
    /// for a label that is missing or no class.
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }
}

impl Label {
    /// What the background loses on average with this label.
    fn loss(&self, y: f64) -> f64 {
        let [zero, one] = self.losses;
        (1.0 - y) * zero + y * one
    }

    /// The labels of all rows, from 0 to 1.
    fn read(&self, batch: &RecordBatch) -> Result<Vec<f64>> {
        let rows = Rows::new(batch);
        let column = self.column.as_str();
        let wrong = |row: usize, expected: String, found: String| {
            Err(Error::Value { column: column.to_owned(), row: row as u64, expected, found })
        };
        let Some((negative, positive)) = &self.classes else {
            let numbers = rows.numbers(column)?;
            let y = |row: usize| numbers.is_valid(row).then(|| numbers.value(row));
            let fine = |y: &Option<f64>| y.is_some_and(|y| (0.0..=1.0).contains(&y));
            return (0..numbers.len())
                .map(|row| match y(row) {
                    known @ Some(y) if fine(&known) => Ok(y),
                    other => wrong(
                        row,
                        "a label from 0 to 1".into(),
                        other.map_or_else(|| "null".into(), |y| y.to_string()),
                    ),
                })
                .collect();
        };
        let data_type = rows.column(column)?.data_type();
        let codes = Codes::of(&rows, column)?;
        let is = |class: &str| -> Result<Vec<bool>> {
            let labels = outcomes(column, data_type, &codes.labels, Positive::Label(class))?;
            Ok(labels.iter().map(|label| label.as_deref() == Some(class)).collect())
        };
        let (zeros, ones) = (is(negative)?, is(positive)?);
        let of_code = |row: usize, code: usize| match (zeros[code], ones[code]) {
            (_, true) => Ok(1.0),
            (true, false) => Ok(0.0),
            (false, false) => {
                let found = codes.labels[code].as_deref();
                let found = found.map_or_else(|| "null".into(), |label| format!("`{label}`"));
                wrong(row, format!("`{negative}` or `{positive}`"), found)
            }
        };
        (0..batch.num_rows()).map(|row| of_code(row, codes.code(row))).collect()
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
        let (columns, raw) = read(&self.model, batch)?;
        let (n, features, m) = (columns.len(), self.named.features.len(), self.margins.len());
        let slope = self.model.slope();
        let margins: Vec<f64> = raw.values().iter().map(|m| m * slope).collect();
        let labels = match &self.label {
            Some(label) => label.read(batch)?,
            None => vec![0.0; n],
        };
        let mut values = vec![0.0; n * features];
        let steps = watch.steps(n);
        if features > 0 {
            values.par_chunks_mut(GROUP * features).enumerate().try_for_each(|(at, out)| {
                let first = at * GROUP;
                let rows = first..first + out.len() / features;
                // How much of a pair's margin each unit of it is worth.
                let mut scales = Vec::with_capacity(rows.len() * m);
                for row in rows.clone() {
                    let ratio = |b: f64| self.through.ratio(margins[row], b, labels[row]);
                    let pairs = self.margins.iter().zip(&self.weights);
                    scales.extend(pairs.map(|(&b, weight)| slope * ratio(b) * weight));
                }
                let routes = self.model.routes();
                let binned = Binned::new(routes, &columns, rows.clone(), GROUP);
                let others = Binned::new(routes, &self.background, 0..m, GROUP);
                let used = self.named.used.len();
                let mut scratch = Scratch::default();
                let mut phi = vec![0.0; rows.len() * used];
                for tree in &self.trees {
                    watch.check()?;
                    let of_rows = tree.patterns(binned.bins(), rows.len(), &mut scratch);
                    let of_others = tree.patterns(others.bins(), m, &mut scratch);
                    tree.explain(&of_rows, &of_others, &scales, &mut phi, used);
                }
                for (lane, out) in out.chunks_exact_mut(features).enumerate() {
                    self.named.spread(&phi[lane * used..(lane + 1) * used], out);
                    if let (Some(label), Some(own)) = (&self.label, out.last_mut()) {
                        *own = label.loss(labels[first + lane]) - self.base_value;
                    }
                }
                steps.done(rows.len() as u64)
            })?;
        }
        let mut parts = self.named.parts(&[self.base_value], values, &raw);
        parts.predictions = if self.label.is_some() {
            margins.iter().zip(&labels).map(|(&m, &y)| self.through.of(m, y)).collect()
        } else {
            match self.model.predict(batch)? {
                Predictions::Values(values) => values.values().to_vec(),
                scores => scores.score_of(&self.named.outputs[0])?.values().to_vec(),
            }
        };
        Attributions::new(parts, Attributions::TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mlops_core::arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};
    use mlops_core::batch;
    use mlops_core::model::trees::{Node, Tree};
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

        #[test]
        fn the_definition_agrees_of_the_log_loss(seed in any::<u64>(), depth in 0usize..6) {
            let plain = ensemble(seed, Kinds { trees: 3, depth, outputs: 1, zero_covers: true });
            let link = Link::Logistic { negative: "no".into(), positive: "yes".into() };
            let model = plain.with_link(link).unwrap().with_slope(1.5).unwrap();
            let word = |at: usize| if at.is_multiple_of(3) { "yes" } else { "no" };
            let (batch, others) = (rows(seed, 3), rows(seed ^ 1, 9));
            let all = [&batch, &others].map(|batch| with(batch, (0..batch.num_rows()).map(word)));
            let background = Background::new(all[1].clone()).unwrap();
            let explainer = RescaledExplainer::log_loss(&model, &background, "y").unwrap();
            let explained = explainer.explain(&all[0]).unwrap();
            prop_assert_eq!(&explained.features[FEATURES], "y");
            let margin = |x: &dyn Fn(usize) -> f64| -> f64 {
                model.trees().iter().fold(model.base()[0], |sum, tree| {
                    let leaf = tree.leaf_of(|f| x(f as usize));
                    let Node::Leaf { value, .. } = tree.nodes[leaf] else { return sum };
                    sum + tree.weight * tree.values[value as usize]
                })
            };
            let loss = |m: f64, is_yes: bool| -> f64 {
                -sigmoid(if is_yes { 1.5 * m } else { -1.5 * m }).ln()
            };
            let of_others: Vec<_> = (0..9).map(|b| row(&model, &others, b)).collect();
            let base = |y: bool| -> f64 {
                of_others.iter().map(|b| loss(margin(&|f| b[f]), y)).sum::<f64>() / 9.0
            };
            let whole = (base(true) + 2.0 * base(false)) / 3.0;
            prop_assert!((explained.base_values[0] - whole).abs() < 1e-13);
            for at in 0..3 {
                let (x, y) = (row(&model, &batch, at), at.is_multiple_of(3));
                let mut expected = vec![0.0; FEATURES];
                for b in &of_others {
                    let phi = shapley(FEATURES, |s| {
                        margin(&|f| if s >> f & 1 == 1 { x[f] } else { b[f] })
                    });
                    let (high, low) = (margin(&|f| x[f]), margin(&|f| b[f]));
                    let ratio = if high == low {
                        1.5 * if y { -sigmoid(-1.5 * high) } else { sigmoid(1.5 * high) }
                    } else {
                        (loss(high, y) - loss(low, y)) / (high - low)
                    };
                    for (sum, phi) in expected.iter_mut().zip(&phi) {
                        *sum += ratio * phi / 9.0;
                    }
                }
                expected.push(base(y) - whole);
                for (found, expected) in explained.of(at, 0).unwrap().iter().zip(&expected) {
                    prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
                }
                prop_assert!((explained.predictions[at] - loss(margin(&|f| x[f]), y)).abs() < 1e-13);
            }
        }
    }

    fn with<'a>(batch: &RecordBatch, labels: impl Iterator<Item = &'a str>) -> RecordBatch {
        let label: ArrayRef = Arc::new(labels.map(Some).collect::<StringArray>());
        let columns = batch.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        let columns = columns.into_iter().zip(batch.columns().iter().cloned());
        RecordBatch::try_from_iter(columns.chain([("y".to_owned(), label)])).unwrap()
    }

    /// Secants of functions whose differences lose their digits, against Taylor's.
    #[test]
    fn ratios_lose_no_digits() {
        for through in [Through::Logistic, Through::Exponential, Through::LogLoss] {
            for y in [0.0, 0.25, 1.0] {
                for m in [-30.0, -1.0, 0.0, 0.7, 30.0] {
                    let at_once = through.ratio(m, m, y);
                    for d in [1e-15, 1e-9, 1e-6, 1e-5] {
                        let near = through.ratio(m - d / 2.0, m + d / 2.0, y);
                        assert_eq!(near, through.ratio(m + d / 2.0, m - d / 2.0, y));
                        let off = (near / at_once - 1.0).abs();
                        assert!(off < 1e-10, "{through:?} of {y} at {m}, {d}: {near} {at_once}");
                    }
                    for d in [0.5, 1.5, 800.0] {
                        let naive = (through.of(m, y) - through.of(m - d, y)) / d;
                        let found = through.ratio(m, m - d, y);
                        let off = (found - naive).abs();
                        assert!(off <= 1e-14 * naive.abs().max(1.0), "{through:?} {m} {d} {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn labels_are_read_in_every_type() {
        let tree = Tree::new(vec![Node::Leaf { value: 0, cover: 1.0 }], vec![0.5]);
        let model = |negative: &str, positive: &str| {
            let (negative, positive) = (negative.into(), positive.into());
            let link = Link::Logistic { negative, positive };
            TreeEnsemble::new(vec![], vec![tree.clone()], vec![0.0], link).unwrap()
        };
        let explain = |model: &TreeEnsemble, labels: ArrayRef| {
            let rows = RecordBatch::try_from_iter_with_nullable([("y", labels, true)]).unwrap();
            let background = Background::new(rows.slice(0, 2))?;
            RescaledExplainer::log_loss(model, &background, "y")?.explain(&rows)
        };
        let (no, yes) = (softplus(0.5), softplus(-0.5));
        let expected = [no, yes, no];
        for (negative, positive, labels) in [
            ("0", "1", Arc::new(Float64Array::from(vec![0.0, 1.0, -0.0])) as ArrayRef),
            ("0", "1", Arc::new(BooleanArray::from(vec![false, true, false]))),
            ("a", "b", Arc::new(StringArray::from(vec!["a", "b", "a"]))),
        ] {
            let explained = explain(&model(negative, positive), labels).unwrap();
            assert_eq!(explained.predictions, expected);
            assert!((explained.base_values[0] - f64::midpoint(no, yes)).abs() < 1e-15);
            assert!((explained.values[1] - (yes - no) / 2.0).abs() < 1e-15);
        }
        let refused = |labels: ArrayRef| explain(&model("0", "1"), labels).unwrap_err().to_string();
        let error = refused(Arc::new(Float64Array::from(vec![0.0, 1.0, 2.0])));
        assert!(error.contains("`y`, row 2") && error.contains("`0` or `1`"), "{error}");
        let error = refused(Arc::new(Float64Array::from(vec![Some(0.0), Some(1.0), None])));
        assert!(error.contains("row 2") && error.contains("null"), "{error}");
        let error = refused(Arc::new(Float64Array::from(vec![0.0, f64::NAN])));
        assert!(error.contains("row 1"), "{error}");
        let soft = TreeEnsemble::new(vec![], vec![tree.clone()], vec![0.0], Link::Logit).unwrap();
        let labels: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 0.5, 1.0]));
        let explained = explain(&soft, labels).unwrap();
        assert!((explained.predictions[1] - f64::midpoint(no, yes)).abs() < 1e-15);
        assert!(explain(&soft, Arc::new(Float64Array::from(vec![0.0, 1.5]))).is_err());
        let identity = TreeEnsemble::new(vec![], vec![tree], vec![0.0], Link::Identity).unwrap();
        let background = batch! { "y" => Float64Array::from(vec![0.0]) }.unwrap();
        let background = Background::new(background).unwrap();
        assert!(RescaledExplainer::log_loss(&identity, &background, "y").is_err());
    }
}
