//! What thresholds can reach in one group: points of two rates, and their upper hull.

use super::threshold_optimizer::{Objective, Parity};
use crate::ScoreCounts;

/// Where a score counts as positive.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Nowhere.
    Never,
    /// Above this number, and not at it.
    Above(f64),
    /// Everywhere.
    Always,
}

impl Cut {
    /// Whether a score counts as positive.
    pub fn selects(self, score: f64) -> bool {
        match self {
            Self::Never => false,
            Self::Above(cut) => score > cut,
            Self::Always => true,
        }
    }
}

/// Labels of one group by what a threshold makes of them.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    true_positive: f64,
    false_positive: f64,
    positives: f64,
    negatives: f64,
}

impl Outcome {
    fn x(self, parity: Parity) -> f64 {
        let Self { true_positive, false_positive, positives, negatives } = self;
        match parity {
            Parity::DemographicParity => (true_positive + false_positive) / (positives + negatives),
            Parity::TruePositiveRate => true_positive / positives,
            Parity::FalseNegativeRate => (positives - true_positive) / positives,
            Parity::TrueNegativeRate => (negatives - false_positive) / negatives,
            Parity::FalsePositiveRate | Parity::EqualizedOdds => false_positive / negatives,
        }
    }

    fn y(self, objective: Objective) -> f64 {
        objective.of([self.true_positive, self.false_positive, self.positives, self.negatives])
    }
}

/// A point that one threshold reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) cut: Cut,
}

/// The points of all thresholds, ascending in x and then y; `y` as the equalized odds want it is
/// the true-positive rate. `None` for a group without positives or without negatives.
pub(super) fn points(
    scores: &ScoreCounts,
    parity: Parity,
    objective: Objective,
) -> Option<Vec<Point>> {
    let (negatives, positives) = labels(scores);
    let (exact, scores) = (scores.is_exact(), scores.points());
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut tp, mut fp) = (0_u64, 0_u64);
    let mut points = Vec::with_capacity(scores.len() + 1);
    let mut push = |tp: u64, fp: u64, cut: Cut| {
        let outcome = Outcome {
            true_positive: tp as f64,
            false_positive: fp as f64,
            positives: positives as f64,
            negatives: negatives as f64,
        };
        points.push(Point { x: outcome.x(parity), y: outcome.y(objective), cut });
    };
    push(0, 0, Cut::Never);
    for (i, at) in scores.iter().enumerate().rev() {
        tp = tp.saturating_add(at.positives);
        fp = fp.saturating_add(at.negatives);
        let cut = match i.checked_sub(1) {
            // Bins hold their lower edge: all that is above the number before it comes in.
            Some(_) if !exact => Cut::Above(at.score.next_down()),
            // Between what stays out and what comes in; where no number is, at what stays out.
            Some(below) => {
                let (below, above) = (scores[below].score, at.score);
                Cut::Above(below.midpoint(above).clamp(below, above.next_down()))
            }
            None => Cut::Always,
        };
        push(tp, fp, cut);
    }
    points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    Some(points)
}

/// The negative and the positive labels of scores.
pub(super) fn labels(scores: &ScoreCounts) -> (u64, u64) {
    scores.points().iter().fold((0, 0), |(negatives, positives), at| {
        (negatives.saturating_add(at.negatives), positives.saturating_add(at.positives))
    })
}

/// The points that no mixture of two others is above (Andrew's monotone chain).
pub(super) fn hull(points: &[Point]) -> Vec<Point> {
    let mut hull: Vec<Point> = Vec::new();
    for &next in points {
        while let [.., first, middle] = hull[..] {
            let below = (middle.y - first.y) * (next.x - first.x)
                <= (next.y - first.y) * (middle.x - first.x);
            if !below {
                break;
            }
            hull.pop();
        }
        hull.push(next);
    }
    hull
}

/// A mixture of two thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mixture {
    pub(super) y: f64,
    /// The share of the first.
    pub(super) share: f64,
    pub(super) cuts: [Cut; 2],
}

/// The hull's mixture at x, which lies between the ends of the hull.
pub(super) fn mixture(hull: &[Point], x: f64) -> Mixture {
    let upto = hull.partition_point(|p| p.x <= x);
    // Where points stand above one another (x = 0) the highest begins; a later point is the end of
    // the piece before it.
    let first = match upto {
        0 => 0,
        n if hull[n - 1].x == x && n > 1 && hull[n - 2].x < x => n - 2,
        n => n - 1,
    };
    let (a, b) = (hull[first], hull.get(first + 1).copied().unwrap_or(hull[first]));
    let share = if b.x > a.x { ((b.x - x) / (b.x - a.x)).clamp(0.0, 1.0) } else { 1.0 };
    Mixture { y: share * a.y + (1.0 - share) * b.y, share, cuts: [a.cut, b.cut] }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
    use mlops_core::{DataSourceExt, MemorySource, batch};

    use super::*;
    use crate::GroupScores;

    /// Scores with so many negative and positive labels each.
    fn counted(scores: &[(f64, u64, u64)]) -> ScoreCounts {
        let rows: Vec<(f64, i32)> = scores
            .iter()
            .flat_map(|&(score, negatives, positives)| {
                let of = |label, n| std::iter::repeat_n((score, label), n as usize);
                of(0, negatives).chain(of(1, positives))
            })
            .collect();
        let rows = batch! {
            "g" => StringArray::from_iter_values(rows.iter().map(|_| "a")),
            "s" => Float64Array::from_iter_values(rows.iter().map(|r| r.0)),
            "y" => Int32Array::from_iter_values(rows.iter().map(|r| r.1)),
        };
        let source = MemorySource::from(rows.unwrap());
        let frame = source.measure(&GroupScores::new("y", "1", "s", ["g"])).unwrap();
        frame.groups().next().map(|(_, scores)| scores.clone()).unwrap_or_default()
    }

    #[test]
    fn a_threshold_stands_between_scores() {
        let scores = counted(&[(0.1, 3, 1), (0.3, 1, 1), (0.8, 0, 2)]);
        let points = points(&scores, Parity::DemographicParity, Objective::Accuracy).unwrap();
        let cuts: Vec<_> = points.iter().map(|p| p.cut).collect();
        assert_eq!(cuts, [Cut::Never, Cut::Above(0.55), Cut::Above(0.2), Cut::Always]);
        let xs: Vec<_> = points.iter().map(|p| p.x).collect();
        assert_eq!(xs, [0.0, 0.25, 0.5, 1.0]);
        let ys: Vec<_> = points.iter().map(|p| p.y).collect();
        assert_eq!(ys, [0.5, 0.75, 0.75, 0.5]);
        // Neighbouring floats leave no room: what stays out, stays out.
        let close = counted(&[(0.5, 1, 0), (0.5_f64.next_up(), 0, 1)]);
        let points = super::points(&close, Parity::DemographicParity, Objective::Accuracy).unwrap();
        assert_eq!(points[1].cut, Cut::Above(0.5));
        assert!(Cut::Above(0.5).selects(0.5_f64.next_up()) && !Cut::Above(0.5).selects(0.5));
    }

    #[test]
    fn one_label_has_no_curve() {
        for scores in [&[][..], &[(0.1, 3, 0)], &[(0.1, 0, 3), (0.3, 0, 1)]] {
            let scores = counted(scores);
            assert_eq!(points(&scores, Parity::EqualizedOdds, Objective::TruePositiveRate), None);
        }
    }

    #[test]
    fn the_hull_is_concave_and_mixtures_lie_on_it() {
        let point = |x: f64, y: f64| Point { x, y, cut: Cut::Above(x) };
        let all = [(0.0, 0.0), (0.0, 0.4), (0.2, 0.5), (0.3, 0.9), (0.6, 0.8), (1.0, 1.0)];
        let hull = hull(&all.map(|(x, y)| point(x, y)));
        let left: Vec<_> = hull.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(left, [(0.0, 0.0), (0.0, 0.4), (0.3, 0.9), (1.0, 1.0)]);
        assert_eq!(mixture(&hull, 0.0).y, 0.4);
        let middle = mixture(&hull, 0.15);
        assert!((middle.y - 0.65).abs() < 1e-15 && (middle.share - 0.5).abs() < 1e-15);
        assert_eq!(mixture(&hull, 0.3).share, 0.0);
        assert_eq!(mixture(&hull, 1.0).y, 1.0);
    }
}
