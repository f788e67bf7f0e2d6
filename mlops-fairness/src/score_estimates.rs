//! Limits of what comes from scores: areas under ROC curves, losses, calibration.

use std::f64::consts::FRAC_2_PI;

use mlops_core::stats::{Interval, RocAuc};
use mlops_core::{Error, Result};

use crate::estimate::{Calibration, Estimate, Estimates, Kind, Spread};
use crate::{Measure, ScoreCounts, ScoreMetric, Undefined};

/// The bins of the calibration error.
const BINS: u32 = 10;

impl Estimates for ScoreCounts {
    const WHAT: &'static str = "scores by group (GroupScores)";

    fn has(measure: Measure) -> bool {
        use ScoreMetric as M;
        matches!(
            measure,
            Measure::Score(
                M::RocAuc | M::LogLoss | M::Brier | M::CalibrationError | M::MeanPrediction
            )
        )
    }

    fn estimate(&self, measure: Measure, times: f64) -> Result<Estimate, Undefined> {
        let Measure::Score(metric) = measure else {
            return Err(Undefined::new("it is no metric of scores"));
        };
        let value = metric.value(self)?;
        let rows = self.complete();
        let kind = match metric {
            ScoreMetric::RocAuc => {
                let ties: &[f64] = if self.is_exact() { &[0.5, 0.5] } else { &[0.0, 1.0] };
                let area = |tie: f64| self.area(tie, times);
                Kind::Area(Box::new([area(ties[0])?, area(ties[1])?]))
            }
            ScoreMetric::CalibrationError => Kind::Calibration(self.calibration(BINS, times)?),
            _ => {
                let spread = self.spread(metric).ok_or_else(|| Undefined::new("no rows"))?;
                return Ok(Estimate { value, ..spread.estimate(measure.scale(), false, times) });
            }
        };
        Ok(Estimate { value, rows, part: None, kind })
    }

    fn asked(&self, _: Measure) -> u64 {
        self.complete()
    }

    fn spread_of(&self, measure: Measure) -> Option<Spread> {
        let Measure::Score(metric) = measure else { return None };
        self.spread(metric)
    }
}

impl ScoreCounts {
    /// Limits of the area under the ROC curve: DeLong's on the logit scale; where a label has fewer
    /// than 20 rows, or the scores separate the labels, Hoeffding's, which always hold. Of scores
    /// that were counted by bin they hold whatever the order within the bins. With weights every
    /// label has Kish's effective number of rows.
    ///
    /// # Errors
    /// [`Error::Undefined`] where only one label occurs; [`Error::Invalid`] for a confidence outside
    /// (0, 1).
    pub fn roc_auc_interval(&self, confidence: f64) -> Result<Interval> {
        self.limits(ScoreMetric::RocAuc, confidence)
    }

    /// Limits of a metric: [`roc_auc_interval`](Self::roc_auc_interval); Student's t for means, of
    /// losses on the scale of logarithms; for the calibration error those that
    /// [`gap`](crate::gap) tells of.
    ///
    /// # Errors
    /// [`Error::Undefined`] where it has no value; [`Error::Invalid`] for a metric that no limits are
    /// known of, and a confidence outside (0, 1).
    pub fn limits(&self, metric: ScoreMetric, confidence: f64) -> Result<Interval> {
        let measure = Measure::Score(metric);
        if !Self::has(measure) {
            let known = ScoreMetric::ALL.into_iter().filter(|&m| Self::has(Measure::Score(m)));
            let known: Vec<_> = known.map(ScoreMetric::name).collect();
            let expected = format!("one of {}", known.join(", "));
            return Err(Error::invalid("limits of a metric of scores", expected, metric.name()));
        }
        let estimate = self.estimate(measure, 1.0).map_err(|e| e.of(metric.name()))?;
        let (low, high) = estimate.interval(confidence)?;
        Interval::new(low, high, confidence)
    }

    /// How many rows of equal weight would know as much of a label: negative or positive.
    fn effective(&self, label: usize) -> f64 {
        self.weights(label).map_or(self.scored(label) as f64, |weights| {
            let (sum, squares) = (weights.sum(), weights.sum_of_squares());
            if squares > 0.0 { sum / squares * sum } else { 0.0 }
        })
    }

    /// The area under the ROC curve with DeLong's variance, where a tie counts so much.
    fn area(&self, tie: f64, times: f64) -> Result<RocAuc, Undefined> {
        let [negatives, positives] = self.classes()?;
        let placed = || {
            let (mut below, mut upto) = (0.0, 0.0);
            self.points().iter().map(move |point| {
                let [n, p] = point.mass();
                upto += p;
                // How much of the other label is on the right side of a row of this score.
                let of_positive = ((below + tie * n) / negatives).min(1.0);
                let of_negative = ((positives - upto).max(0.0) + tie * p) / positives;
                below += n;
                (n, p, of_negative.min(1.0), of_positive)
            })
        };
        let sums = placed().map(|(_, p, _, of_positive)| p * of_positive);
        let area = (sums.sum::<f64>() / positives).clamp(0.0, 1.0);
        let (mut negative, mut positive) = (0.0, 0.0);
        for (n, p, of_negative, of_positive) in placed() {
            negative += n * (of_negative - area) * (of_negative - area);
            positive += p * (of_positive - area) * (of_positive - area);
        }
        let (n, p) = (self.effective(0), self.effective(1));
        let error = (n >= 2.0 && p >= 2.0).then(|| {
            let variance = negative / negatives / (n - 1.0).max(1.0)
                + positive / positives / (p - 1.0).max(1.0);
            (variance / times).sqrt()
        });
        // Casts of floats stop at the ends of the range.
        let rows = |n: f64| (n * times + 1e-9) as u64;
        RocAuc::new(area, error, rows(p), rows(n)).map_err(|e| Undefined::new(e.to_string()))
    }

    /// How far the calibration error may be off.
    fn calibration(&self, bins: u32, times: f64) -> Result<Calibration, Undefined> {
        let curve = self.calibration_curve(bins)?;
        let rows = self.complete() as f64;
        // Of weighted rows a bin knows as much less as all together.
        let all = self.effective_rows();
        let worth = if rows > 0.0 { all / rows * times } else { 0.0 };
        let (mut bias, mut squares) = (0.0, 0.0);
        for bin in &curve {
            let n = bin.rows as f64 * worth;
            // Two rows more of either label (Agresti and Coull 1998): a bin of one label is not sure.
            let p = (bin.positive_share * n + 2.0) / (n + 4.0);
            let error = bin.share * (p * (1.0 - p) / n).sqrt();
            bias += error;
            squares += error * error;
        }
        let (bias, spread) = (FRAC_2_PI.sqrt() * bias, squares.sqrt());
        if bias.is_finite() && spread.is_finite() {
            Ok(Calibration { bias, spread })
        } else {
            Err(Undefined::new("no rows with a label and a score"))
        }
    }
}
