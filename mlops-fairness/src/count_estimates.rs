//! Limits of what comes from counts: rates as the shares that they are, and what is made of rates.

use mlops_core::stats::Share;

use crate::counts::cell::{FN, FP, TP};
use crate::estimate::{Estimate, Estimates, Kind};
use crate::{ClassCounts, Composite, Counts, GroupCell, Measure, Metric, Rate, Undefined, gap};

/// A rate as a share of so many times its rows.
fn of_rate(rate: &Rate, times: f64) -> Result<Estimate, Undefined> {
    let value = rate.defined()?;
    let share = share(value, rate.effective_n() * times)?;
    // Rows that weigh more or less have another share.
    let (rows, part) = (rate.denominator, rate.weights.is_none().then_some(rate.numerator));
    Ok(Estimate { value, rows, part, kind: Kind::Share(share) })
}

fn share(value: f64, n: f64) -> Result<Share, Undefined> {
    Share::new(value, n.max(1.0)).map_err(|error| Undefined::new(error.to_string()))
}

/// What some cells are among some others.
fn share_of(
    counts: &Counts,
    part: &[(usize, usize)],
    whole: &[(usize, usize)],
    times: f64,
) -> Option<(Share, u64)> {
    let (part, whole) = (counts.mass(part), counts.mass(whole));
    let n = match whole.weight {
        None => whole.rows as f64,
        Some(weight) => weight.effective_n()?,
    };
    let value = part.value() / whole.value();
    let share = Share::new(value.min(1.0), (n * times).max(1.0)).ok()?;
    Some((share, whole.rows))
}

impl Estimates for Counts {
    const WHAT: &'static str = "counts by group (GroupCounts)";

    fn has(measure: Measure) -> bool {
        match measure {
            Measure::Composite(composite) => composite != Composite::Count,
            other => !other.metrics().is_empty(),
        }
    }

    fn estimate(&self, measure: Measure, times: f64) -> Result<Estimate, Undefined> {
        let none = || Undefined::new("no rows with a label and a prediction");
        let composite = match measure {
            Measure::Composite(composite) => composite,
            other => {
                let metric = other.metrics().first().ok_or_else(none)?;
                return of_rate(&metric.of(self), times);
            }
        };
        let value = composite.value(self)?;
        let (kind, rows) = match composite {
            Composite::BalancedAccuracy => {
                let rates = [Metric::TruePositiveRate, Metric::TrueNegativeRate];
                let shares = rates.map(|metric| {
                    let rate = metric.of(self);
                    share(rate.defined()?, rate.effective_n() * times)
                });
                let shares = shares.into_iter().collect::<Result<_, _>>()?;
                (Kind::MeanOf(shares), self.complete())
            }
            Composite::F1 => {
                let (share, rows) = share_of(self, &[TP], &[TP, FP, FN], times).ok_or_else(none)?;
                (Kind::Of(share, |p| 2.0 * p / (1.0 + p)), rows)
            }
            Composite::TreatmentRatio => {
                let (share, rows) = share_of(self, &[FN], &[FN, FP], times).ok_or_else(none)?;
                (Kind::Of(share, |p| p / (1.0 - p)), rows)
            }
            Composite::Count => return Err(Undefined::new("a number of rows has no limits")),
        };
        Ok(Estimate { value, rows, part: None, kind })
    }

    fn asked(&self, measure: Measure) -> u64 {
        let metrics = measure.metrics();
        if metrics.is_empty() || metrics.iter().any(|metric| metric.needs_labels()) {
            self.complete()
        } else {
            self.predicted()
        }
    }

    fn rest(
        everyone: &Self,
        group: &Self,
        measure: Measure,
        times: f64,
    ) -> Option<(Estimate, f64)> {
        let metric = measure.metrics().first()?;
        let (share, part) = gap::rest(&metric.of(everyone), &metric.of(group), times)?;
        let rows = everyone.asked(measure).saturating_sub(group.asked(measure));
        let kind = Kind::Share(share);
        Some((Estimate { value: share.estimate, rows, part: None, kind }, part))
    }
}

impl Estimates for ClassCounts {
    const WHAT: &'static str = "counts by class (GroupClasses)";

    fn has(measure: Measure) -> bool {
        matches!(
            measure,
            Measure::Rate(Metric::Accuracy | Metric::ZeroOneLoss)
                | Measure::Composite(Composite::BalancedAccuracy)
        )
    }

    fn estimate(&self, measure: Measure, times: f64) -> Result<Estimate, Undefined> {
        match measure {
            Measure::Rate(metric) if Self::has(measure) => {
                // Right is positive, whatever the class.
                let right = metric == Metric::Accuracy;
                of_rate(&Metric::SelectionRate.of(&self.hits(right)), times)
            }
            Measure::Composite(Composite::BalancedAccuracy) => {
                let mut shares = Vec::new();
                for class in self.classes() {
                    let rate = Metric::TruePositiveRate.of(&self.one_vs_rest(class));
                    let value = rate
                        .defined()
                        .map_err(|e| Undefined::new(format!("class {class}: {}", e.reason)))?;
                    shares.push(share(value, rate.effective_n() * times)?);
                }
                if shares.is_empty() {
                    return Err(Undefined::new("no rows with a label and a prediction"));
                }
                let value = shares.iter().map(|share| share.estimate).sum::<f64>();
                let value = value / shares.len() as f64;
                let rows = self.complete();
                Ok(Estimate { value, rows, part: None, kind: Kind::MeanOf(shares) })
            }
            _ => Err(Undefined::new("more than two classes have it one by one")),
        }
    }

    fn asked(&self, _: Measure) -> u64 {
        self.complete()
    }

    fn rest(
        everyone: &Self,
        group: &Self,
        measure: Measure,
        times: f64,
    ) -> Option<(Estimate, f64)> {
        let Measure::Rate(metric) = measure else { return None };
        let right = metric == Metric::Accuracy;
        let of = |counts: &Self| Metric::SelectionRate.of(&counts.hits(right));
        let (share, part) = gap::rest(&of(everyone), &of(group), times)?;
        let rows = everyone.rows().saturating_sub(group.rows());
        let kind = Kind::Share(share);
        Some((Estimate { value: share.estimate, rows, part: None, kind }, part))
    }
}
