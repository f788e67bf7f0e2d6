//! What is a mean of rows: losses, and the mean score.

use mlops_core::State;
use mlops_core::states::Moments;

use super::{ScoreCounts, ScoreMetric, Side};
use crate::counts::total;
use crate::estimate::Spread;
use crate::value::TOO_HEAVY;
use crate::{Undefined, Value};

impl ScoreCounts {
    /// That all scores are probabilities; their number, or weight.
    pub(super) fn probabilities(&self) -> Value {
        let outside = self.sides[0].outside.saturating_add(self.sides[1].outside);
        if outside > 0 {
            return Err(Undefined::new(format!("{outside} scores are no probabilities")));
        }
        let weight = self.over(|side| side.residuals.n() as f64, 0);
        if weight.is_infinite() {
            Err(Undefined::new(TOO_HEAVY))
        } else if weight > 0.0 {
            Ok(weight)
        } else {
            Err(Undefined::new("no rows with a label and a score"))
        }
    }

    /// A sum over both classes, or the weighted one of this number.
    fn over(&self, plain: fn(&Side) -> f64, weighted: usize) -> f64 {
        total(self.sides.iter().map(|side| {
            side.weighted.as_ref().map_or_else(|| plain(side), |of| of.sums[weighted].value())
        }))
    }

    /// The mean of −ln of the probability that was given to what came true, in nats, at least 0.
    /// scikit-learn: `log_loss`.
    ///
    /// # Errors
    /// [`Undefined`] without rows, or where a score is no probability.
    pub fn log_loss(&self) -> Value {
        Ok(self.over(|side| side.losses.sum(), 4) / self.probabilities()?)
    }

    /// The mean squared difference of score and label, in `[0, 1]`. scikit-learn:
    /// `brier_score_loss`.
    ///
    /// # Errors
    /// As [`log_loss`](Self::log_loss).
    pub fn brier(&self) -> Value {
        Ok(self.over(|side| side.residuals.sum_of_squares(), 2) / self.probabilities()?)
    }

    /// The mean score, in `[0, 1]`. fairlearn: `mean_prediction`.
    ///
    /// # Errors
    /// As [`log_loss`](Self::log_loss).
    pub fn mean_prediction(&self) -> Value {
        let weight = self.probabilities()?;
        let positives = self.sides[1]
            .weighted
            .as_ref()
            .map_or(self.sides[1].residuals.n() as f64, |of| of.sums[0].value());
        Ok((self.over(|side| side.residuals.sum(), 1) + positives) / weight)
    }

    /// How a metric that is a mean of rows is spread; `None` without rows, and for what is no mean.
    pub(crate) fn spread(&self, metric: ScoreMetric) -> Option<Spread> {
        let [negative, positive] = &self.sides;
        let both = |of: fn(&Side) -> &Moments| {
            let mut moments = *of(negative);
            // Merging moments never fails.
            let _ = moments.merge(*of(positive));
            moments
        };
        // Where the moments of the number stand among the sums by weight, and of its square.
        let (moments, at): (fn(&Side) -> &Moments, _) = match metric {
            ScoreMetric::Brier => (|side| &side.squares, (2, 3)),
            ScoreMetric::LogLoss => (|side| &side.losses, (4, 5)),
            ScoreMetric::MeanPrediction => (|side| &side.residuals, (1, 2)),
            _ => return None,
        };
        let weighted = self.sides.iter().any(|side| side.weighted.is_some());
        let mean_score = metric == ScoreMetric::MeanPrediction;
        if !weighted && !mean_score {
            return Spread::plain(&both(moments));
        }
        // A score is the residual, and 1 where the class is: Σs = Σr + n₁, Σs² = Σr² + 2 Σr₁ + n₁.
        let (n, first, second, of_positive) = if weighted {
            let over = |at: usize| self.over(|_| 0.0, at);
            let of_positive = positive.weighted.as_ref();
            let of_positive = |at: usize| of_positive.map_or(0.0, |of| of.sums[at].value());
            (self.all_weights(), over(at.0), over(at.1), [of_positive(0), of_positive(1)])
        } else {
            let all = both(moments);
            let of_positive = [positive.residuals.n() as f64, positive.residuals.sum()];
            return Spread::of_rows(
                all.n(),
                all.sum() + of_positive[0],
                all.sum_of_squares() + 2.0 * of_positive[1] + of_positive[0],
            );
        };
        if mean_score {
            let [n1, r1] = of_positive;
            return Spread::weighted(&n, first + n1, second + 2.0 * r1 + n1);
        }
        Spread::weighted(&n, first, second)
    }

    /// How much the rows of a label weigh that have a score, where they are weighted.
    pub(crate) fn weights(&self, label: usize) -> Option<&Moments> {
        self.sides[label].weighted.as_ref().map(|of| &of.weights)
    }

    fn all_weights(&self) -> Moments {
        let mut weights = Moments::new();
        for side in self.sides.iter().filter_map(|side| side.weighted.as_ref()) {
            let _ = weights.merge(side.weights);
        }
        weights
    }

    /// How many rows of equal weight would know as much.
    pub(crate) fn effective_rows(&self) -> f64 {
        let weights = self.all_weights();
        if weights.n() == 0 {
            return self.complete() as f64;
        }
        let squares = weights.sum_of_squares();
        if squares > 0.0 { weights.sum() / squares * weights.sum() } else { 0.0 }
    }
}
