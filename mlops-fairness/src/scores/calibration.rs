//! How far scores are from the shares of positives that they claim.

use serde::{Deserialize, Serialize};

use super::{Bins, ScoreCounts, ScorePoint};
use crate::counts::total;
use crate::{Undefined, Value};

/// A bin of a calibration curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Its rows.
    pub rows: u64,
    /// The rows of it that are positive.
    pub positives: u64,
    /// How much its rows weigh, as a share of all.
    pub share: f64,
    /// Their mean score.
    pub mean_score: f64,
    /// The share of positives among them.
    pub positive_share: f64,
}

impl ScoreCounts {
    /// The calibration curve: of so many bins of `[0, 1]` those that have rows.
    ///
    /// scikit-learn: `calibration_curve(strategy="uniform")`, whose bins are open below.
    ///
    /// # Errors
    /// As [`log_loss`](Self::log_loss); also where scores were counted by bins of which these are
    /// not made up, or with weights.
    pub fn calibration_curve(&self, bins: u32) -> Result<Vec<CalibrationBin>, Undefined> {
        let all = self.probabilities()?;
        let fits = bins > 0 && self.is_unit() && self.bins.n.is_multiple_of(bins);
        let weighted = self.points.iter().any(|point| point.weights.is_some());
        if bins == 0 || (!self.exact && (!fits || weighted)) {
            let reason = format!(
                "there are more than {n} different scores, and {bins} bins are not made of {n}",
                n = self.bins.n
            );
            return Err(Undefined::new(if weighted {
                "there are weights and more different scores than bins".to_owned()
            } else {
                reason
            }));
        }
        // Where they are made up of the others, a score has the same bin in either state.
        let coarse = Bins { n: bins, low: 0.0, high: 1.0 };
        let of = |score: f64| {
            if !fits {
                return coarse.of(score);
            }
            let fine = if self.exact {
                self.bins.of(score)
            } else {
                (score * f64::from(self.bins.n)).round() as usize
            };
            fine / (self.bins.n / bins) as usize
        };
        let mut curve: Vec<CalibrationBin> = Vec::new();
        let ends = self.points.chunk_by(|a, b| of(a.score) == of(b.score));
        for points in ends {
            let mass = points.iter().map(ScorePoint::mass);
            let positive = total(mass.clone().map(|[_, p]| p));
            let weight = total(mass.map(|[n, p]| n + p));
            if weight <= 0.0 {
                continue;
            }
            let scores = total(points.iter().map(|point| {
                if point.weights.is_some() {
                    let [n, p] = point.mass();
                    (n + p) * point.score
                } else {
                    point.scores.value()
                }
            }));
            let bin = of(points[0].score);
            let negatives: u64 = points.iter().map(|point| point.negatives).sum();
            let positives: u64 = points.iter().map(|point| point.positives).sum();
            curve.push(CalibrationBin {
                low: coarse.edge(bin),
                high: coarse.edge(bin + 1),
                rows: negatives.saturating_add(positives),
                positives,
                share: weight / all,
                mean_score: scores / weight,
                positive_share: positive / weight,
            });
        }
        Ok(curve)
    }

    /// The expected calibration error over so many bins: the mean over rows of the distance
    /// between the mean score and the share of positives in the row's bin, in `[0, 1]`. Above 0 by
    /// chance alone even where scores are calibrated. Naeini, Cooper and Hauskrecht 2015,
    /// doi:10.1609/aaai.v29i1.9602.
    ///
    /// # Errors
    /// As [`calibration_curve`](Self::calibration_curve).
    pub fn calibration_error(&self, bins: u32) -> Value {
        let curve = self.calibration_curve(bins)?;
        let apart = |bin: &CalibrationBin| bin.share * (bin.mean_score - bin.positive_share).abs();
        Ok(total(curve.iter().map(apart)))
    }
}
