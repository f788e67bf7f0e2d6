//! Confidence-based performance estimation.

use std::fmt;
use std::sync::Arc;

use arrow::array::Array;
use mlops_core::metrics::Confusion;
use mlops_core::stats::roc_auc_delong;
use mlops_core::{Analyzer, Assessment, DataSource, Description, Error, Result, Rows};
use serde::{Deserialize, Serialize};

use super::calibration::{Calibrate, CalibrationCheck, calibrate};
use super::estimate::{Basis, Estimate, PerformanceLimit, findings};
use super::isotonic::Isotonic;
use super::reference::{each_batch, is_positive, labels};
use super::score_counts::{Group, ONE, Scale, ScoreCounts};

/// How a classifier's performance is to be estimated: the columns, and the calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CbpeOptions {
    /// The column of the score of the positive label, in \[0, 1\].
    pub score: String,
    /// The column of what was predicted; without, the score from the threshold on.
    pub prediction: Option<String>,
    /// The least score that is predicted positive, where there is no column of predictions; in
    /// \[0, 1\].
    pub threshold: f64,
    /// The column of what came true, in the reference.
    pub y_true: String,
    /// The label that counts as positive, in predictions and in what came true: text, or a number,
    /// compared as a number. All others are negative.
    pub positive: String,
    /// Whether scores are calibrated.
    pub calibrate: Calibrate,
    /// The folds of calibration out of fold; at least 2.
    pub folds: u32,
    /// The seed of the folds.
    pub seed: u64,
    /// The confidence of the bands, in (0, 1).
    pub confidence: f64,
}

impl CbpeOptions {
    /// These columns; a prediction is positive from 0.5, calibration where it helps, in 10 folds,
    /// bands of 95 %.
    pub fn new(
        y_true: impl Into<String>,
        score: impl Into<String>,
        positive: impl Into<String>,
    ) -> Self {
        Self {
            score: score.into(),
            prediction: None,
            threshold: 0.5,
            y_true: y_true.into(),
            positive: positive.into(),
            calibrate: Calibrate::WhereItHelps,
            folds: 10,
            seed: 0,
            confidence: 0.95,
        }
    }

    /// The same with predictions from this column.
    #[must_use]
    pub fn prediction(mut self, column: impl Into<String>) -> Self {
        self.prediction = Some(column.into());
        self
    }

    /// The same with scores from this one on predicted positive.
    #[must_use]
    pub fn threshold(mut self, score: f64) -> Self {
        self.threshold = score;
        self
    }

    /// The same with this calibration.
    #[must_use]
    pub fn calibrate(mut self, how: Calibrate) -> Self {
        self.calibrate = how;
        self
    }

    /// The same with so many folds.
    #[must_use]
    pub fn folds(mut self, folds: u32) -> Self {
        self.folds = folds;
        self
    }

    /// The same with this seed of the folds.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with bands of this confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    fn check(&self) -> Result<()> {
        if self.folds < 2 {
            return Err(Error::invalid("folds", "at least 2", self.folds));
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::invalid("confidence", "in (0, 1)", self.confidence));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            let expected = "a score that can be reached, in [0, 1]";
            return Err(Error::invalid("threshold", expected, self.threshold));
        }
        Ok(())
    }
}

/// A classifier's performance on rows whose labels are not known, estimated from its scores
/// (confidence-based performance estimation; `NannyML`'s CBPE).
///
/// If a row's calibrated score is the probability `p` that it is positive, then on the average
/// `TP = Σ p` and `FP = Σ (1 − p)` over rows predicted positive, `FN = Σ p` and `TN = Σ (1 − p)`
/// over the others, and metrics follow; ROC AUC is the area under (Σ(1 − p), Σ p) in the order of
/// the scores, rows of one score together.
///
/// **Assumed**: that positives are as frequent among rows of a score as they were in the
/// reference, `P(y | score)`. The distribution of scores may move (covariate shift); what the
/// estimate cannot see is that the same score comes to mean something else (concept drift).
///
/// **The band** of an estimate is for the metric that *these rows* will be found to have, once
/// their labels are known. Its variance is that of the labels, given the scores,
/// `Σ w² p (1 − p)`, and that of the calibration, `Σ_b (Σ_{i in b} w_i)² v_b / N_b` over 32 cells
/// of the reference with `N_b` rows; `w` is the derivative of the metric by a row's probability.
/// It does not cover concept drift, nor scores where the reference has few rows
/// ([`PerformanceEstimate::beyond_reference`]).
///
/// It is a measurement: it rides on scans, in plans and in [windows](crate::windows); its state is
/// bounded. Scores are kept one by one up to 4,096 different ones, and then in 1,024 cells of the
/// reference: then ROC AUC has [bounds](PerformanceEstimate::roc_auc_bounds). Rows whose score is
/// null, no probability, or whose prediction is null are counted and left out.
///
/// ```
/// use mlops_core::arrow::array::{BooleanArray, Float64Array};
/// use mlops_core::stats::Draws;
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_drift::performance::{Cbpe, CbpeOptions};
///
/// // Scores that are right on the average; later there are more in the middle.
/// let rows = |from: u64, middle: bool| {
///     let drawn: Vec<_> = (from..from + 5000).map(|i| {
///         let mut draws = Draws::new(1, 0, i);
///         let u = draws.uniform();
///         let p = if middle { 0.25 + u / 2.0 } else { u };
///         (p, draws.bernoulli(p))
///     }).collect();
///     Ok::<_, mlops_core::Error>(MemorySource::from(batch! {
///         "score" => Float64Array::from_iter_values(drawn.iter().map(|d| d.0)),
///         "repaid" => BooleanArray::from_iter(drawn.iter().map(|d| Some(d.1))),
///     }?))
/// };
/// let cbpe = Cbpe::fit(&rows(0, false)?, &CbpeOptions::new("repaid", "score", "true"))?;
/// let estimated = rows(5000, true)?.measure(&cbpe)?; // looks at the scores only
/// let accuracy = &estimated.accuracy;
/// assert!(accuracy.reference.unwrap() > 0.73 && accuracy.value.unwrap() < 0.65);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Cbpe {
    scale: Arc<Scale>,
    reference: CbpeReference,
    /// Rows of the reference, and positive ones among them, in each of its coarse cells.
    coarse: Vec<(u64, u64)>,
    /// The cell of the scale that each coarse cell but the first begins with.
    coarse_from: Vec<usize>,
}

/// What is written down of it.
#[derive(Clone, Serialize, Deserialize)]
struct Parts {
    options: CbpeOptions,
    calibrator: Option<Isotonic>,
    edges: Vec<f64>,
    coarse: Vec<(u64, u64)>,
    coarse_from: Vec<usize>,
    reference: CbpeReference,
}

impl From<Cbpe> for Parts {
    fn from(cbpe: Cbpe) -> Self {
        Self {
            options: cbpe.scale.options.clone(),
            calibrator: cbpe.scale.calibrator.clone(),
            edges: cbpe.scale.edges.clone(),
            coarse: cbpe.coarse,
            coarse_from: cbpe.coarse_from,
            reference: cbpe.reference,
        }
    }
}

impl TryFrom<Parts> for Cbpe {
    type Error = Error;

    fn try_from(p: Parts) -> Result<Self> {
        p.options.check()?;
        let edges = p.edges.windows(2).all(|w| w[0] < w[1])
            && p.edges.iter().all(|e| (0.0..=1.0).contains(e));
        let coarse = p.coarse.len() == p.coarse_from.len() + 1
            && p.coarse_from.windows(2).all(|w| w[0] < w[1])
            && p.coarse_from.iter().all(|&c| c <= p.edges.len())
            && p.coarse.iter().all(|&(n, positives)| n > 0 && positives <= n && n < 1 << 56);
        if !edges || !coarse {
            let expected = "edges in order in [0, 1], and counts of the reference's rows";
            return Err(Error::invalid("a fitted estimator", expected, "others"));
        }
        let scale =
            Arc::new(Scale { options: p.options, calibrator: p.calibrator, edges: p.edges });
        Ok(Self { scale, reference: p.reference, coarse: p.coarse, coarse_from: p.coarse_from })
    }
}

/// What is known of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CbpeReference {
    /// Its rows that count.
    pub rows: u64,
    /// Rows left out: a null score, prediction or label, or a score that is no probability.
    pub left_out: u64,
    /// What calibration did.
    pub calibration: CalibrationCheck,
    /// The smallest and the largest score.
    pub scores: (f64, f64),
    /// The true counts.
    pub confusion: Confusion,
    /// The true ROC AUC.
    pub roc_auc: f64,
    /// The estimate of the same rows, calibrated out of fold: it should be near the truth.
    pub estimated: Vec<Estimate>,
}

impl CbpeReference {
    /// The true value of a metric.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let c = &self.confusion;
        match name {
            "roc_auc" => Some(self.roc_auc),
            "accuracy" => c.accuracy().ok(),
            "f1" => c.f1().ok(),
            "precision" => c.precision().ok(),
            "recall" => c.recall().ok(),
            "specificity" => c.specificity().ok(),
            // Counts of another number of rows tell nothing.
            _ => None,
        }
    }
}

/// A performance that was estimated without labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PerformanceEstimate {
    /// Rows that count.
    pub rows: u64,
    /// Rows left out because score or prediction is null.
    pub nulls: u64,
    /// Rows left out because the score is no probability.
    pub invalid: u64,
    /// Rows with a score below the smallest or above the largest of the reference, where nothing
    /// is known of what a score means; `None` where scores were put into cells.
    pub beyond_reference: Option<u64>,
    /// The probability that a positive scores above a negative.
    pub roc_auc: Estimate,
    /// Where the estimate of the ROC AUC lies for certain if scores were put into cells.
    pub roc_auc_bounds: Option<(f64, f64)>,
    /// (TP + TN) / n.
    pub accuracy: Estimate,
    /// 2 TP / (2 TP + FP + FN).
    pub f1: Estimate,
    /// TP / (TP + FP).
    pub precision: Estimate,
    /// TP / (TP + FN).
    pub recall: Estimate,
    /// TN / (TN + FP).
    pub specificity: Estimate,
    /// TP.
    pub true_positives: Estimate,
    /// FP.
    pub false_positives: Estimate,
    /// FN.
    pub false_negatives: Estimate,
    /// TN.
    pub true_negatives: Estimate,
}

impl PerformanceEstimate {
    /// All estimates.
    pub fn estimates(&self) -> impl Iterator<Item = &Estimate> {
        [
            &self.roc_auc,
            &self.accuracy,
            &self.f1,
            &self.precision,
            &self.recall,
            &self.specificity,
            &self.true_positives,
            &self.false_positives,
            &self.false_negatives,
            &self.true_negatives,
        ]
        .into_iter()
    }

    /// The estimate of this metric.
    pub fn get(&self, metric: &str) -> Option<&Estimate> {
        self.estimates().find(|e| e.metric == metric)
    }

    /// The answer to limits: each passes if its whole band is within, fails if it is all outside,
    /// and is inconclusive else, or where fewer rows count, or more were left out, than the
    /// limit allows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a metric that is not estimated, or a limit that is no number.
    pub fn assess(&self, limits: &[PerformanceLimit]) -> Result<Assessment> {
        let on = Basis { rows: self.rows, left_out: self.nulls.saturating_add(self.invalid) };
        let estimates: Vec<Estimate> = self.estimates().cloned().collect();
        let findings = findings("estimated", on, limits, &estimates)?;
        Ok(Assessment::new("estimated performance", self.rows, findings))
    }
}

impl fmt::Display for PerformanceEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "estimated on {} rows without labels", self.rows)?;
        if self.nulls + self.invalid > 0 {
            write!(f, " ({} null and {} invalid left out)", self.nulls, self.invalid)?;
        }
        self.estimates().try_for_each(|e| write!(f, "\n  {e}"))
    }
}

/// Cells of scores, once there are too many to keep them all.
const CELLS: usize = 1024;
/// Cells in which the reference's own error is counted.
const COARSE: usize = 32;

/// A row of the reference.
type Labelled = (f64, bool, bool);

impl Cbpe {
    /// Fits the calibration on a reference with labels, which must not be what the model was
    /// trained on. Its scores, predictions and labels are held in memory: some 150 bytes a
    /// row while it is fitted.
    ///
    /// # Errors
    /// Those of the source and the options; [`Error::Undefined`] without a row that counts;
    /// [`Error::Invalid`], with one of them, if more than one score in 20 is no probability; with
    /// the labels that are there, where the positive label never or always occurs.
    pub fn fit(reference: &dyn DataSource, options: &CbpeOptions) -> Result<Self> {
        options.check()?;
        let mut rows: Vec<Labelled> = Vec::new();
        let mut left_out = 0;
        let mut invalid = (0_u64, None);
        let mut columns = options.columns();
        columns.push(options.y_true.clone());
        each_batch(reference, &columns, |batch| {
            let truth = is_positive(batch, &options.y_true, &options.positive)?;
            let read = options.read(batch)?;
            for (row, truth) in read.into_iter().zip(truth) {
                if let Read::Invalid(score) = row {
                    invalid = (invalid.0 + 1, invalid.1.or(Some(score)));
                }
                match (row, truth) {
                    (Read::Row(score, predicted), Some(truth)) => {
                        rows.push((score, truth, predicted));
                    }
                    _ => left_out += 1,
                }
            }
            Ok(())
        })?;
        if let (n @ 1.., Some(score)) = invalid
            && n * 20 > rows.len() as u64 + left_out
        {
            let all = rows.len() as u64 + left_out;
            return Err(Error::invalid(
                format!("the scores `{}` of the reference", options.score),
                "probabilities, from 0 to 1",
                format!("others in {n} of {all} rows, such as {score}"),
            ));
        }
        if rows.is_empty() {
            return Err(Error::undefined("an estimator", "no row of the reference counts"));
        }
        let positives = rows.iter().filter(|row| row.1).count();
        if positives == 0 || positives == rows.len() {
            let there = labels(reference, &options.y_true)?;
            let expected = if positives == 0 { "one that occurs" } else { "one of two or more" };
            return Err(Error::invalid(
                format!("the positive label of `{}` in the reference", options.y_true),
                expected,
                format!("`{}`; the labels are {there}", options.positive),
            ));
        }
        // Equal rows are the same row: whatever their order was, this is one order.
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let scores: Vec<f64> = rows.iter().map(|row| row.0).collect();
        let truth: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let (calibration, calibrator, apart) =
            calibrate(&truth, &scores, options.calibrate, options.folds, options.seed)?;

        let edges = cuts(&scores, CELLS);
        let scale = Arc::new(Scale { options: options.clone(), calibrator, edges });
        let coarse_from: Vec<usize> = cuts(&scores, COARSE)
            .into_iter()
            .map(|edge| scale.cell(edge))
            .filter(|&cell| cell > 0)
            .collect();
        let mut coarse_from = coarse_from;
        coarse_from.dedup();
        let mut coarse = vec![(0, 0); coarse_from.len() + 1];
        for row in &rows {
            let cell = &mut coarse[coarse_from.partition_point(|&from| from <= scale.cell(row.0))];
            cell.0 += 1;
            cell.1 += u64::from(row.1);
        }
        let (kept, coarse_from) = without_empty(coarse, &coarse_from);

        let mut confusion = Confusion::default();
        for &(_, truth, predicted) in &rows {
            match (truth, predicted) {
                (true, true) => confusion.true_positives += 1,
                (false, true) => confusion.false_positives += 1,
                (true, false) => confusion.false_negatives += 1,
                (false, false) => confusion.true_negatives += 1,
            }
        }
        let roc_auc = roc_auc_delong(&truth, &scores)?.auc;
        let range = (scores[0], scores[scores.len() - 1]);
        let reference = CbpeReference {
            rows: rows.len() as u64,
            left_out,
            calibration,
            scores: range,
            confusion,
            roc_auc,
            estimated: Vec::new(),
        };
        let mut cbpe = Self { scale, reference, coarse: kept, coarse_from };
        let groups: Vec<Group> = rows
            .iter()
            .zip(&apart)
            .map(|(row, &p)| {
                let units = (p.clamp(0.0, 1.0) * ONE as f64).round_ties_even() as u128;
                let side = usize::from(row.2);
                let mut group = Group { score: row.0, ..Group::default() };
                group.n[side] = 1;
                group.units[side] = units;
                group
            })
            .collect();
        let estimated = cbpe.estimate(&tied(groups))?;
        cbpe.reference.estimated = estimated.estimates().cloned().collect();
        Ok(cbpe)
    }

    /// What is known of the reference.
    pub fn reference(&self) -> &CbpeReference {
        &self.reference
    }

    /// The options.
    pub fn options(&self) -> &CbpeOptions {
        &self.scale.options
    }

    /// The probability that a row of this score is positive.
    pub fn probability(&self, score: f64) -> f64 {
        self.scale.probability(score)
    }

    /// The estimates from rows by score.
    fn estimate(&self, groups: &[Group]) -> Result<PerformanceEstimate> {
        let sums = Sums::of(groups);
        let [tn, fp, fn_, tp] = [sums.tn, sums.fp, sums.fn_, sums.tp];
        let n = sums.n as f64;
        let (positives, negatives) = (tp + fn_, tn + fp);
        let every = |w: [f64; 2]| vec![w; groups.len()];
        let of = |name: &str, value: Result<f64, &str>, weights: Vec<[f64; 2]>, most: f64| {
            let reference = self.reference.metric(name);
            match value {
                Ok(value) => {
                    let variance = self.variance(groups, &weights);
                    let range = (0.0, most);
                    Estimate::of(
                        name,
                        value,
                        variance,
                        range,
                        self.scale.options.confidence,
                        reference,
                    )
                }
                Err(reason) => Ok(Estimate::undefined(name, reference, reason)),
            }
        };
        let share = |part: f64, whole: f64, reason: &'static str| {
            if whole > 0.0 { Ok(part / whole) } else { Err(reason) }
        };

        let accuracy = share(tp + tn, n, "there are no rows");
        let precision = share(tp, tp + fp, "no row was predicted positive");
        let recall = share(tp, positives, "no positive row is expected");
        let specificity = share(tn, negatives, "no negative row is expected");
        let whole = 2.0 * tp + fp + fn_;
        let f1 = share(2.0 * tp, whole, "no row is expected or predicted positive");
        let (r, s, f) = (recall.unwrap_or(0.0), specificity.unwrap_or(0.0), f1.unwrap_or(0.0));
        let auc = sums.auc(groups);
        let none = "one label only is expected";
        let auc_weights = auc.map_or_else(Vec::new, |auc| sums.auc_weights(groups, auc));
        let count = |name: &str, value: f64, weights: [f64; 2]| {
            of(name, if n > 0.0 { Ok(value) } else { Err("there are no rows") }, every(weights), n)
        };
        Ok(PerformanceEstimate {
            rows: sums.n,
            nulls: 0,
            invalid: 0,
            beyond_reference: None,
            roc_auc: of("roc_auc", auc.ok_or(none), auc_weights, 1.0)?,
            roc_auc_bounds: None,
            accuracy: of("accuracy", accuracy, every([-1.0 / n, 1.0 / n]), 1.0)?,
            f1: of("f1", f1, every([-f / whole, (2.0 - f) / whole]), 1.0)?,
            precision: of("precision", precision, every([0.0, 1.0 / (tp + fp)]), 1.0)?,
            recall: of("recall", recall, every([-r / positives, (1.0 - r) / positives]), 1.0)?,
            specificity: of(
                "specificity",
                specificity,
                every([(s - 1.0) / negatives, s / negatives]),
                1.0,
            )?,
            true_positives: count("true_positives", tp, [0.0, 1.0])?,
            false_positives: count("false_positives", fp, [0.0, -1.0])?,
            false_negatives: count("false_negatives", fn_, [1.0, 0.0])?,
            true_negatives: count("true_negatives", tn, [-1.0, 0.0])?,
        })
    }

    /// The variance of a metric with these derivatives by the probability of a row that is
    /// predicted negative and positive: of the labels, and of what the reference says of them.
    fn variance(&self, groups: &[Group], weights: &[[f64; 2]]) -> f64 {
        let mut labels = 0.0;
        let mut in_cell = vec![0.0; self.coarse.len()];
        for (group, weights) in groups.iter().zip(weights) {
            let cell =
                if group.score == f64::NEG_INFINITY { 0 } else { self.scale.cell(group.score) };
            let coarse = self.coarse_from.partition_point(|&from| from <= cell);
            for (side, weight) in weights.iter().enumerate() {
                let n = group.n[side] as f64;
                if n > 0.0 {
                    let p = group.units[side] as f64 / ONE as f64 / n;
                    labels += weight * weight * n * p * (1.0 - p);
                    in_cell[coarse] += weight * n;
                }
            }
        }
        let calibration: f64 = self
            .coarse
            .iter()
            .zip(&in_cell)
            .map(|(&(n, positives), sum)| {
                // Half a row of each label: a cell with one label is not certain.
                let p = (positives as f64 + 0.5) / (n as f64 + 1.0);
                sum * sum * p * (1.0 - p) / n as f64
            })
            .sum();
        labels + calibration
    }
}

/// Values that cut sorted ones into at most this many parts of equal numbers.
pub(super) fn cuts(sorted: &[f64], parts: usize) -> Vec<f64> {
    let mut cuts: Vec<f64> =
        (1..parts).map(|i| sorted[i * sorted.len() / parts]).filter(|&x| x > sorted[0]).collect();
    cuts.dedup();
    cuts
}

/// Coarse cells with rows only; one without joins the one before.
fn without_empty(cells: Vec<(u64, u64)>, from: &[usize]) -> (Vec<(u64, u64)>, Vec<usize>) {
    let mut kept: Vec<(u64, u64)> = Vec::new();
    let mut kept_from = Vec::new();
    for (i, cell) in cells.into_iter().enumerate() {
        if cell.0 == 0 {
            continue;
        }
        if !kept.is_empty() {
            kept_from.push(from[i - 1]);
        }
        kept.push(cell);
    }
    (kept, kept_from)
}

/// Groups of one score as one.
fn tied(groups: Vec<Group>) -> Vec<Group> {
    let mut tied: Vec<Group> = Vec::new();
    for group in groups {
        match tied.last_mut() {
            Some(last) if last.score == group.score => {
                for side in [0, 1] {
                    last.n[side] += group.n[side];
                    last.units[side] += group.units[side];
                }
            }
            _ => tied.push(group),
        }
    }
    tied
}

/// Expected counts.
struct Sums {
    n: u64,
    tn: f64,
    fp: f64,
    fn_: f64,
    tp: f64,
}

fn from_units(units: u128) -> f64 {
    units as f64 / ONE as f64
}

/// Expected positives and negatives of a group.
fn expected(group: &Group) -> (f64, f64) {
    let n = u128::from(group.n[0]) + u128::from(group.n[1]);
    let positives = group.units[0] + group.units[1];
    (from_units(positives), from_units((n * ONE).saturating_sub(positives)))
}

impl Sums {
    fn of(groups: &[Group]) -> Self {
        let (mut n, mut units) = ([0_u64; 2], [0_u128; 2]);
        for group in groups {
            for side in [0, 1] {
                n[side] = n[side].saturating_add(group.n[side]);
                units[side] = units[side].saturating_add(group.units[side]);
            }
        }
        let rest =
            |side: usize| from_units((ONE * u128::from(n[side])).saturating_sub(units[side]));
        Self {
            n: n[0].saturating_add(n[1]),
            tn: rest(0),
            fp: rest(1),
            fn_: from_units(units[0]),
            tp: from_units(units[1]),
        }
    }

    fn labels(&self) -> Option<(f64, f64)> {
        let (positives, negatives) = (self.tp + self.fn_, self.tn + self.fp);
        (positives > 0.0 && negatives > 0.0).then_some((positives, negatives))
    }

    /// The area under the expected ROC curve.
    fn auc(&self, groups: &[Group]) -> Option<f64> {
        let (positives, negatives) = self.labels()?;
        let (mut below, mut area) = (0.0, 0.0);
        for group in groups {
            let (p, q) = expected(group);
            area += p * (below + q / 2.0);
            below += q;
        }
        Some((area / positives / negatives).clamp(0.0, 1.0))
    }

    /// How much larger the area may be if the scores of a group are not one: the calibrated
    /// probability does not fall with the score, so the rows of a group are not in a worse order
    /// than none.
    fn auc_slack(&self, groups: &[Group]) -> Option<f64> {
        let (positives, negatives) = self.labels()?;
        let pairs = groups.iter().map(expected).map(|(p, q)| p * q / 2.0);
        Some(pairs.sum::<f64>() / positives / negatives)
    }

    /// The derivatives of the area by the probabilities of the rows of each group.
    fn auc_weights(&self, groups: &[Group], auc: f64) -> Vec<[f64; 2]> {
        let Some((positives, negatives)) = self.labels() else { return Vec::new() };
        let mut below = 0.0;
        let mut above = positives;
        groups
            .iter()
            .map(|group| {
                let (p, q) = expected(group);
                above -= p;
                let area = below + q / 2.0 - above - p / 2.0;
                below += q;
                [area / positives / negatives - auc / positives + auc / negatives; 2]
            })
            .collect()
    }
}

/// A row as an estimate sees it.
#[derive(Clone, Copy)]
enum Read {
    /// Its score, and whether it is predicted positive.
    Row(f64, bool),
    Null,
    /// Its score is no probability.
    Invalid(f64),
}

impl CbpeOptions {
    fn columns(&self) -> Vec<String> {
        let mut columns = vec![self.score.clone()];
        columns.extend(self.prediction.clone());
        columns.sort();
        columns.dedup();
        columns
    }

    fn read(&self, rows: &Rows<'_>) -> Result<Vec<Read>> {
        let scores = rows.numbers(&self.score)?;
        let predicted = match &self.prediction {
            Some(column) => Some(is_positive(rows, column, &self.positive)?),
            None => None,
        };
        let read = |row: usize| {
            if scores.is_null(row) {
                return Read::Null;
            }
            let score = scores.value(row) + 0.0;
            let predicted = match &predicted {
                Some(predicted) => predicted[row],
                None => Some(score >= self.threshold),
            };
            match predicted {
                _ if !(0.0..=1.0).contains(&score) => Read::Invalid(score),
                Some(predicted) => Read::Row(score, predicted),
                None => Read::Null,
            }
        };
        Ok((0..rows.len()).map(read).collect())
    }
}

impl Analyzer for Cbpe {
    type State = ScoreCounts;
    type Output = PerformanceEstimate;

    fn columns(&self) -> Vec<String> {
        self.scale.options.columns()
    }

    fn start(&self) -> ScoreCounts {
        ScoreCounts::new(self.scale.clone())
    }

    fn update(&self, state: &mut ScoreCounts, rows: &Rows<'_>) -> Result<()> {
        let mut counted = Vec::with_capacity(rows.len());
        for row in self.scale.options.read(rows)? {
            match row {
                Read::Row(score, predicted) => counted.push((score, predicted)),
                Read::Null => mlops_core::bytes::add_count(&mut state.nulls, 1),
                Read::Invalid(_) => mlops_core::bytes::add_count(&mut state.invalid, 1),
            }
        }
        state.add(counted);
        Ok(())
    }

    fn finish(&self, state: ScoreCounts) -> Result<PerformanceEstimate> {
        let groups = state.groups();
        let mut found = self.estimate(&groups)?;
        (found.nulls, found.invalid) = (state.nulls, state.invalid);
        if state.is_exact() {
            let (low, high) = self.reference.scores;
            let beyond = groups.iter().filter(|g| g.score < low || g.score > high);
            found.beyond_reference =
                Some(beyond.fold(0, |n, g| u64::saturating_add(n, g.n[0]).saturating_add(g.n[1])));
        } else if let Some(auc) = found.roc_auc.value {
            let slack = Sums::of(&groups).auc_slack(&groups).unwrap_or(0.0);
            found.roc_auc_bounds = Some((auc, (auc + slack).min(1.0)));
        }
        Ok(found)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ScoreCounts> {
        ScoreCounts::decode(self.scale.clone(), bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("cbpe", 1, self))
    }
}
