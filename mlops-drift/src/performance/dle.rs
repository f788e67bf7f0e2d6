//! Direct loss estimation.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, filter_record_batch};
use mlops_core::bytes::{add_count, bad, put_len, put_u64, take_count, take_len, too_many};
use mlops_core::states::Sum;
use mlops_core::{
    Analyzer, Assessment, DataSource, Description, Error, Model, Predictions, Result, Rows, State,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::boosted_trees::{BoostedTrees, TreeOptions};
use super::cbpe::cuts;
use super::estimate::{Basis, Estimate, PerformanceLimit, findings};
use super::reference::each_batch;

/// How a regression's loss is to be estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DleOptions {
    /// The columns that the loss is learned from, besides the prediction.
    pub features: Vec<String>,
    /// The column of what was predicted.
    pub prediction: String,
    /// The column of what came true, in the reference.
    pub y_true: String,
    /// The folds by which the error of the learned loss is judged; 2 to 100.
    pub folds: u32,
    /// The confidence of the bands, in (0, 1).
    pub confidence: f64,
}

impl DleOptions {
    /// These columns; 5 folds, bands of 95 %.
    pub fn new<S: Into<String>>(
        y_true: impl Into<String>,
        prediction: impl Into<String>,
        features: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            features: features.into_iter().map(Into::into).collect(),
            prediction: prediction.into(),
            y_true: y_true.into(),
            folds: 5,
            confidence: 0.95,
        }
    }

    /// The same with so many folds.
    #[must_use]
    pub fn folds(mut self, folds: u32) -> Self {
        self.folds = folds;
        self
    }

    /// The same with bands of this confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    fn check(&self) -> Result<()> {
        if !(2..=100).contains(&self.folds) {
            return Err(Error::invalid("folds", "2 to 100", self.folds));
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::invalid("confidence", "in (0, 1)", self.confidence));
        }
        if self.inputs().contains(&self.y_true) {
            let expected = "columns that are known without labels";
            return Err(Error::invalid("features and prediction", expected, &self.y_true));
        }
        Ok(())
    }

    /// What the model of the loss sees.
    fn inputs(&self) -> Vec<String> {
        let mut inputs = self.features.clone();
        if !inputs.contains(&self.prediction) {
            inputs.push(self.prediction.clone());
        }
        inputs
    }
}

/// Learns a model of regression: from the features (and the prediction) and the losses.
pub type Learner<'a> = dyn Fn(&RecordBatch, &[f64]) -> Result<Box<dyn Model>> + 'a;

/// The model of a loss.
#[derive(Clone, Debug)]
enum LossModel {
    Trees(BoostedTrees),
    Other(Arc<dyn Model>),
}

impl LossModel {
    fn model(&self) -> &dyn Model {
        match self {
            Self::Trees(trees) => trees,
            Self::Other(model) => &**model,
        }
    }
}

impl Serialize for LossModel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Trees(trees) => trees.serialize(to),
            Self::Other(model) => {
                let reason = format!("a model of another library can't be written down: {model:?}");
                Err(serde::ser::Error::custom(reason))
            }
        }
    }
}

impl<'de> Deserialize<'de> for LossModel {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BoostedTrees::deserialize(from).map(Self::Trees)
    }
}

/// A learned loss, and how far from the truth it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Loss {
    model: LossModel,
    /// Cells of the learned loss.
    edges: Vec<f64>,
    /// Rows of the reference in each, and the mean square of what the loss was more or less than
    /// learned out of fold.
    cells: Vec<(u64, f64)>,
    /// The true mean of the reference.
    reference: f64,
}

/// A regression's performance on rows whose labels are not known, estimated by a model of its loss
/// (direct loss estimation; `NannyML`'s DLE).
///
/// On a reference with labels `|y − ŷ|` and `(y − ŷ)²` are learned from the features and `ŷ`; the
/// mean of what is learned of current rows estimates their MAE and MSE, its root the RMSE. The
/// learner is [`BoostedTrees`], or any other ([`fit_with`](Self::fit_with)).
///
/// **Assumed**: that rows of the same features and prediction have the loss that they had in the
/// reference. The features may move (covariate shift) where the reference has rows; that the same
/// features come to mean another y (concept drift) is not seen.
///
/// **The band** of an estimate is for the metric that *these rows* will be found to have. Its
/// variance is that of the losses around what is learned of them, `Σ σ_b² / n²`, and that of what
/// the reference says of them, `Σ_b n_b² σ_b² / (N_b n²)`, with `σ_b²` the mean square of the
/// error of the learned loss, out of fold, in up to 32 cells `b` of its size. It does not cover
/// concept drift, nor a model that is biased where the reference has few rows.
///
/// It is a measurement, as [`Cbpe`](super::Cbpe) is: for scans, plans and windows. Rows without a
/// finite prediction or learned loss are counted and left out.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::stats::Draws;
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_drift::performance::{Dle, DleOptions};
///
/// // The farther out, the less is known; later more rows are far out.
/// let rows = |from: u64, out: f64| {
///     let drawn: Vec<_> = (from..from + 2000).map(|i| {
///         let mut draws = Draws::new(1, 0, i);
///         let x = draws.uniform().powf(out);
///         (x, 3.0 * x + x * draws.normal())
///     }).collect();
///     Ok::<_, mlops_core::Error>(MemorySource::from(batch! {
///         "x" => Float64Array::from_iter_values(drawn.iter().map(|d| d.0)),
///         "predicted" => Float64Array::from_iter_values(drawn.iter().map(|d| 3.0 * d.0)),
///         "y" => Float64Array::from_iter_values(drawn.iter().map(|d| d.1)),
///     }?))
/// };
/// let dle = Dle::fit(&rows(0, 1.0)?, &DleOptions::new("y", "predicted", ["x"]))?;
/// let found = rows(2000, 0.5)?.measure(&dle)?; // does not look at y
/// assert!(found.mae.value > found.mae.reference);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Dle {
    options: DleOptions,
    rows: u64,
    left_out: u64,
    absolute: Loss,
    squared: Loss,
}

#[derive(Deserialize)]
struct Parts {
    options: DleOptions,
    rows: u64,
    left_out: u64,
    absolute: Loss,
    squared: Loss,
}

impl TryFrom<Parts> for Dle {
    type Error = Error;

    fn try_from(p: Parts) -> Result<Self> {
        p.options.check()?;
        let Parts { options, rows, left_out, absolute, squared } = p;
        for loss in [&absolute, &squared] {
            let edges = loss.edges.windows(2).all(|w| w[0] < w[1]);
            let cells = loss.cells.len() == loss.edges.len() + 1
                && loss.cells.iter().all(|&(n, square)| n > 0 && square >= 0.0);
            if !edges || !cells || !loss.reference.is_finite() {
                let expected = "cells of the reference in order";
                return Err(Error::invalid("a fitted estimator", expected, "others"));
            }
        }
        Ok(Self { options, rows, left_out, absolute, squared })
    }
}

/// A regression's performance that was estimated without labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LossEstimate {
    /// Rows that count.
    pub rows: u64,
    /// Rows left out: no finite prediction or learned loss.
    pub left_out: u64,
    /// The mean of |y − ŷ|, in the unit of y.
    pub mae: Estimate,
    /// The mean of (y − ŷ)².
    pub mse: Estimate,
    /// The root of that, in the unit of y.
    pub rmse: Estimate,
}

impl LossEstimate {
    /// All estimates.
    pub fn estimates(&self) -> impl Iterator<Item = &Estimate> {
        [&self.mae, &self.mse, &self.rmse].into_iter()
    }

    /// The answer to limits: each passes if its whole band is within, fails if it is all outside,
    /// and is inconclusive else, or where fewer rows count, or more were left out, than the
    /// limit allows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a metric that is not estimated.
    pub fn assess(&self, limits: &[PerformanceLimit]) -> Result<Assessment> {
        let on = Basis { rows: self.rows, left_out: self.left_out };
        let estimates: Vec<Estimate> = self.estimates().cloned().collect();
        let findings = findings("estimated", on, limits, &estimates)?;
        Ok(Assessment::new("estimated performance", self.rows, findings))
    }
}

impl fmt::Display for LossEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "estimated on {} rows without labels ({} left out)", self.rows, self.left_out)?;
        self.estimates().try_for_each(|e| write!(f, "\n  {e}"))
    }
}

/// Cells of a learned loss.
const CELLS: usize = 32;

/// 64 bits that depend on all bits of both (the finaliser of `SplitMix64`).
fn mix(hash: u64, word: u64) -> u64 {
    let mut z = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The fold of each row: a function of what stands in the row, not of where it stands, so that
/// equal rows are in one fold, and no row is judged by a fit to its double.
fn folds_of(
    batch: &RecordBatch,
    inputs: &[String],
    target: &[f64],
    folds: u32,
) -> Result<Vec<u32>> {
    let rows = Rows::new(batch);
    let mut hashes: Vec<u64> = target.iter().map(|y| mix(0, (y + 0.0).to_bits())).collect();
    for name in inputs {
        if let Ok(numbers) = rows.numbers(name) {
            for (hash, x) in hashes.iter_mut().zip(numbers) {
                *hash = mix(*hash, x.map_or(1, |x| (x + 0.0).to_bits()));
            }
        } else {
            let categories = rows.categories(name)?;
            for (row, hash) in hashes.iter_mut().enumerate() {
                let label = categories.label(row).unwrap_or_default();
                *hash = label.bytes().fold(mix(*hash, 2), |hash, byte| mix(hash, byte.into()));
            }
        }
    }
    Ok(hashes.into_iter().map(|h| ((u128::from(h) * u128::from(folds)) >> 64) as u32).collect())
}

impl Dle {
    /// Learns the losses of a reference with labels, which must not be what the model was trained
    /// on, by [`BoostedTrees`]. The reference is held in memory. A function of the multiset of its
    /// rows.
    ///
    /// # Errors
    /// Those of the source, the options and the fit; [`Error::Undefined`] with fewer rows that
    /// count than folds.
    pub fn fit(reference: &dyn DataSource, options: &DleOptions) -> Result<Self> {
        let inputs = options.inputs();
        Self::learn(reference, options, &|batch, target| {
            let trees = BoostedTrees::fit(batch, &inputs, target, &TreeOptions::default())?;
            Ok(LossModel::Trees(trees))
        })
    }

    /// The same with another learner. Such an estimator can't be written down.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and those of the learner.
    pub fn fit_with(
        reference: &dyn DataSource,
        options: &DleOptions,
        learner: &Learner<'_>,
    ) -> Result<Self> {
        let learn = |batch: &RecordBatch, target: &[f64]| {
            Ok(LossModel::Other(Arc::new(learner(batch, target)?)))
        };
        Self::learn(reference, options, &learn)
    }

    fn learn(
        reference: &dyn DataSource,
        options: &DleOptions,
        learner: &dyn Fn(&RecordBatch, &[f64]) -> Result<LossModel>,
    ) -> Result<Self> {
        options.check()?;
        let inputs = options.inputs();
        let mut columns = inputs.clone();
        columns.push(options.y_true.clone());
        let (mut batches, mut errors, mut left_out) = (Vec::new(), Vec::new(), 0);
        each_batch(reference, &columns, |rows| {
            let truth = rows.numbers(&options.y_true)?;
            let predicted = rows.numbers(&options.prediction)?;
            let error = |(y, p): (Option<f64>, Option<f64>)| {
                Some(y? - p?).filter(|e| e.is_finite() && (e * e).is_finite())
            };
            let found: Vec<Option<f64>> = truth.iter().zip(predicted).map(error).collect();
            let kept: Vec<bool> = found.iter().map(Option::is_some).collect();
            left_out += kept.iter().filter(|kept| !**kept).count() as u64;
            errors.extend(found.into_iter().flatten());
            batches.push(filter_record_batch(rows.batch()?, &kept.into())?);
            Ok(())
        })?;
        if errors.len() < options.folds as usize {
            let reason = format!("{} rows of the reference count", errors.len());
            return Err(Error::undefined("an estimator", reason));
        }
        let batch = concat_batches(batches[0].schema_ref(), &batches)?;
        let fold_of = folds_of(&batch, &inputs, &errors, options.folds)?;
        let losses = |loss: fn(f64) -> f64| -> Result<Loss> {
            let target: Vec<f64> = errors.iter().map(|&e| loss(e)).collect();
            Loss::learn(&batch, &target, &fold_of, options.folds, learner)
        };
        Ok(Self {
            options: options.clone(),
            rows: errors.len() as u64,
            left_out,
            absolute: losses(f64::abs)?,
            squared: losses(|e| e * e)?,
        })
    }

    /// Rows of the reference that count, and rows that don't: without a finite error.
    pub fn reference_rows(&self) -> (u64, u64) {
        (self.rows, self.left_out)
    }

    /// The options.
    pub fn options(&self) -> &DleOptions {
        &self.options
    }
}

/// The learned losses; a loss is not less than 0.
fn predict(model: &LossModel, batch: &RecordBatch) -> Result<Vec<Option<f64>>> {
    match model.model().predict(batch)? {
        Predictions::Values(values) => {
            Ok(values.iter().map(|v| v.filter(|v| v.is_finite()).map(|v| v.max(0.0))).collect())
        }
        _ => Err(Error::invalid("the model of a loss", "values", "class scores")),
    }
}

impl Loss {
    fn learn(
        batch: &RecordBatch,
        target: &[f64],
        fold_of: &[u32],
        folds: u32,
        learner: &dyn Fn(&RecordBatch, &[f64]) -> Result<LossModel>,
    ) -> Result<Self> {
        // What is learned of each row from the other folds, and the true loss.
        let mut apart: Vec<(f64, f64)> = Vec::with_capacity(target.len());
        for fold in 0..folds {
            let inside: Vec<bool> = fold_of.iter().map(|f| *f == fold).collect();
            let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
            let of = |chosen: &[bool]| -> Vec<f64> {
                target.iter().zip(chosen).filter(|(_, c)| **c).map(|(t, _)| *t).collect()
            };
            let held_back = of(&inside);
            if held_back.is_empty() || held_back.len() == target.len() {
                continue;
            }
            let model =
                learner(&filter_record_batch(batch, &outside.clone().into())?, &of(&outside))?;
            let learned = predict(&model, &filter_record_batch(batch, &inside.into())?)?;
            apart.extend(learned.into_iter().zip(held_back).filter_map(|(l, t)| Some((l?, t))));
        }
        if apart.is_empty() {
            return Err(Error::undefined("a learned loss", "all rows are equal"));
        }
        apart.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let learned: Vec<f64> = apart.iter().map(|row| row.0).collect();
        // Cells with too few rows say nothing of a variance.
        let edges = cuts(&learned, CELLS.min(apart.len() / 20).max(1));
        let mut cells = vec![(0_u64, Sum::new()); edges.len() + 1];
        for (learned, truth) in apart {
            let cell = &mut cells[edges.partition_point(|&edge| edge <= learned)];
            cell.0 += 1;
            cell.1.add((truth - learned).powi(2));
        }
        let cells = cells.into_iter().map(|(n, sum)| (n, sum.mean(n).unwrap_or(0.0))).collect();
        let model = learner(batch, target)?;
        let reference = Sum::of(target).mean(target.len() as u64).unwrap_or(0.0);
        Ok(Self { model, edges, cells, reference })
    }

    /// The mean of these rows and its variance.
    fn estimate(&self, state: &LossCells, n: u64) -> Option<(f64, f64)> {
        let mean = state.sum.mean(n)?;
        let variance = self.cells.iter().zip(&state.n).map(|(&(rows, square), &here)| {
            let share = here as f64 / n as f64;
            share * square * (1.0 / n as f64 + share / rows as f64)
        });
        Some((mean, variance.sum()))
    }
}

/// Rows by the size of a learned loss, and its sum.
#[derive(Clone, Debug, PartialEq)]
struct LossCells {
    n: Vec<u64>,
    sum: Sum,
}

/// The state of [`Dle`].
#[derive(Clone, Debug)]
pub struct LossState {
    rows: u64,
    left_out: u64,
    losses: [LossCells; 2],
}

impl State for LossState {
    fn merge(&mut self, other: Self) -> Result<()> {
        let sizes = |s: &Self| [s.losses[0].n.len(), s.losses[1].n.len()];
        if sizes(self) != sizes(&other) {
            return Err(Error::merge("estimates", "they were fitted on different references"));
        }
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.left_out, other.left_out);
        for (mine, theirs) in self.losses.iter_mut().zip(other.losses) {
            mine.sum.merge(theirs.sum)?;
            for (mine, theirs) in mine.n.iter_mut().zip(theirs.n) {
                add_count(mine, theirs);
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_u64(out, self.left_out);
        for loss in &self.losses {
            put_len(out, loss.n.len());
            for &n in &loss.n {
                put_u64(out, n);
            }
            loss.sum.encode(out);
        }
    }

    fn size(&self) -> usize {
        self.losses.iter().map(|loss| loss.n.len() * 8 + 64).sum()
    }
}

impl Analyzer for Dle {
    type State = LossState;
    type Output = LossEstimate;

    fn columns(&self) -> Vec<String> {
        self.options.inputs()
    }

    fn start(&self) -> LossState {
        let cells = |loss: &Loss| LossCells { n: vec![0; loss.cells.len()], sum: Sum::new() };
        let losses = [cells(&self.absolute), cells(&self.squared)];
        LossState { rows: 0, left_out: 0, losses }
    }

    fn update(&self, state: &mut LossState, rows: &Rows<'_>) -> Result<()> {
        let predicted = rows.numbers(&self.options.prediction)?;
        let batch = rows.batch()?;
        let losses = [&self.absolute, &self.squared];
        let absolute = predict(&self.absolute.model, batch)?;
        let squared = predict(&self.squared.model, batch)?;
        for (predicted, learned) in predicted.iter().zip(absolute.into_iter().zip(squared)) {
            let finite = predicted.is_some_and(f64::is_finite);
            let ((Some(absolute), Some(squared)), true) = (learned, finite) else {
                add_count(&mut state.left_out, 1);
                continue;
            };
            add_count(&mut state.rows, 1);
            for ((cells, loss), value) in
                state.losses.iter_mut().zip(losses).zip([absolute, squared])
            {
                cells.sum.add(value);
                let cell = loss.edges.partition_point(|&edge| edge <= value);
                add_count(&mut cells.n[cell], 1);
            }
        }
        Ok(())
    }

    fn finish(&self, state: LossState) -> Result<LossEstimate> {
        let n = state.rows;
        let found = [
            self.absolute.estimate(&state.losses[0], n),
            self.squared.estimate(&state.losses[1], n),
        ];
        let of = |name: &str, found: Option<(f64, f64)>, reference: f64| match found {
            Some((value, variance)) => {
                let range = (0.0, f64::MAX);
                let confidence = self.options.confidence;
                Estimate::of(name, value, variance, range, confidence, Some(reference))
            }
            None => Ok(Estimate::undefined(name, Some(reference), "there are no rows")),
        };
        let mse = of("mse", found[1], self.squared.reference)?;
        let mut rmse = of(
            "rmse",
            found[1].map(|(value, variance)| {
                // By the delta method; where no loss is expected, so is no error of it.
                let slope = if value > 0.0 { 4.0 * value } else { 1.0 };
                (value.sqrt(), variance / slope)
            }),
            self.squared.reference.sqrt(),
        )?;
        // The root of the band of the square says the same, and is not below 0.
        if let (Some(band), Some(own)) = (mse.interval, &mut rmse.interval) {
            (own.low, own.high) = (band.low.sqrt(), band.high.sqrt());
        }
        Ok(LossEstimate {
            rows: n,
            left_out: state.left_out,
            mae: of("mae", found[0], self.absolute.reference)?,
            mse,
            rmse,
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<LossState> {
        let mut state = self.start();
        state.rows = take_count(bytes)?;
        state.left_out = take_count(bytes)?;
        for loss in &mut state.losses {
            let len = take_len(bytes, 8)?;
            if len != loss.n.len() {
                return Err(bad(bytes, format!("{} cells", loss.n.len()), len));
            }
            let mut all = 0_u64;
            for n in &mut loss.n {
                *n = take_count(bytes)?;
                all = all.saturating_add(*n);
            }
            if all != state.rows {
                return Err(too_many(bytes));
            }
            loss.sum = Sum::decode(bytes)?;
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        let ours = |loss: &Loss| matches!(loss.model, LossModel::Trees(_));
        (ours(&self.absolute) && ours(&self.squared)).then(|| Description::new("dle", 1, self))
    }
}
