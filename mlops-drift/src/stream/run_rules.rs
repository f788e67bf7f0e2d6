//! The rules by which points on a control chart are out of control.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most points that a rule looks at.
pub(super) const LONGEST: usize = 15;

/// A rule about the latest points on a control chart, `z` standard errors from the centre line.
///
/// | | Western Electric | Nelson |
/// |---|---|---|
/// | [`OneBeyondThree`](Self::OneBeyondThree) | 1 | 1 |
/// | [`TwoOfThreeBeyondTwo`](Self::TwoOfThreeBeyondTwo) | 2 | 5 |
/// | [`FourOfFiveBeyondOne`](Self::FourOfFiveBeyondOne) | 3 | 6 |
/// | [`EightOnOneSide`](Self::EightOnOneSide) | 4 | |
/// | [`NineOnOneSide`](Self::NineOnOneSide) | | 2 |
/// | [`SixTrending`](Self::SixTrending) | | 3 |
/// | [`FourteenAlternating`](Self::FourteenAlternating) | | 4 |
/// | [`FifteenWithinOne`](Self::FifteenWithinOne) | | 7 |
/// | [`EightBeyondOne`](Self::EightBeyondOne) | | 8 |
///
/// Western Electric Company (1956), *Statistical Quality Control Handbook*; Nelson (1984),
/// doi:10.1080/00224065.1984.11978921.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunRule {
    /// A point beyond 3.
    OneBeyondThree,
    /// Two of three points in a row beyond 2, on one side.
    TwoOfThreeBeyondTwo,
    /// Four of five points in a row beyond 1, on one side.
    FourOfFiveBeyondOne,
    /// Eight points in a row on one side of the centre line.
    EightOnOneSide,
    /// Nine points in a row on one side of the centre line.
    NineOnOneSide,
    /// Six points in a row, each above the one before, or each below.
    SixTrending,
    /// Fourteen points in a row that go up and down in turn.
    FourteenAlternating,
    /// Fifteen points in a row within 1: too little spread for the limits.
    FifteenWithinOne,
    /// Eight points in a row beyond 1, on either side: a mixture.
    EightBeyondOne,
}

impl RunRule {
    /// The four rules of Western Electric.
    pub const WESTERN_ELECTRIC: [Self; 4] = [
        Self::OneBeyondThree,
        Self::TwoOfThreeBeyondTwo,
        Self::FourOfFiveBeyondOne,
        Self::EightOnOneSide,
    ];

    /// The eight rules of Nelson.
    pub const NELSON: [Self; 8] = [
        Self::OneBeyondThree,
        Self::NineOnOneSide,
        Self::SixTrending,
        Self::FourteenAlternating,
        Self::TwoOfThreeBeyondTwo,
        Self::FourOfFiveBeyondOne,
        Self::FifteenWithinOne,
        Self::EightBeyondOne,
    ];

    /// Whether the points break the rule with the newest, which is the last.
    pub(super) fn broken(self, points: &VecDeque<f64>) -> bool {
        let Some(newest) = points.back() else { return false };
        let latest = |n: usize| points.range(points.len().saturating_sub(n)..);
        // On the side of the newest.
        let side = |z: &f64| z * newest.signum();
        let some = |k: usize, n: usize, beyond: f64| {
            side(newest) > beyond && latest(n).filter(|z| side(z) > beyond).count() >= k
        };
        let steps = |n: usize| {
            let enough = points.len() >= n;
            let pairs = latest(n).zip(latest(n).skip(1));
            enough.then(|| pairs.map(|(a, b)| b - a))
        };
        match self {
            Self::OneBeyondThree => newest.abs() > 3.0,
            Self::TwoOfThreeBeyondTwo => some(2, 3, 2.0),
            Self::FourOfFiveBeyondOne => some(4, 5, 1.0),
            Self::EightOnOneSide => some(8, 8, 0.0),
            Self::NineOnOneSide => some(9, 9, 0.0),
            Self::SixTrending => steps(6).is_some_and(|steps| {
                let (mut up, mut down) = (true, true);
                for step in steps {
                    up &= step > 0.0;
                    down &= step < 0.0;
                }
                up || down
            }),
            Self::FourteenAlternating => steps(14).is_some_and(|mut steps| {
                let mut last = 0.0;
                steps.all(|step| {
                    let turned = step != 0.0 && step * last <= 0.0;
                    last = step.signum();
                    turned
                })
            }),
            Self::FifteenWithinOne => points.len() >= 15 && latest(15).all(|z| z.abs() < 1.0),
            Self::EightBeyondOne => points.len() >= 8 && latest(8).all(|z| z.abs() > 1.0),
        }
    }
}

impl fmt::Display for RunRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneBeyondThree => "one point beyond 3",
            Self::TwoOfThreeBeyondTwo => "two of three points beyond 2",
            Self::FourOfFiveBeyondOne => "four of five points beyond 1",
            Self::EightOnOneSide => "eight points on one side",
            Self::NineOnOneSide => "nine points on one side",
            Self::SixTrending => "six points rising or falling",
            Self::FourteenAlternating => "fourteen points up and down in turn",
            Self::FifteenWithinOne => "fifteen points within 1",
            Self::EightBeyondOne => "eight points beyond 1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that a list breaks at its last point.
    fn broken(points: &[f64]) -> Vec<RunRule> {
        let points: VecDeque<f64> = points.iter().copied().collect();
        let mut all = RunRule::NELSON.to_vec();
        all.push(RunRule::EightOnOneSide);
        all.into_iter().filter(|rule| rule.broken(&points)).collect()
    }

    #[test]
    fn each_rule_at_its_edge() {
        use RunRule::*;
        assert_eq!(broken(&[]), []);
        assert_eq!(broken(&[3.0]), []);
        assert_eq!(broken(&[-3.1]), [OneBeyondThree]);
        assert_eq!(broken(&[2.1, 0.0, 2.1]), [TwoOfThreeBeyondTwo]);
        assert_eq!(broken(&[2.1, 0.0, 0.0, 2.1]), []);
        assert_eq!(broken(&[2.1, -2.1]), []);
        assert_eq!(broken(&[2.1, 2.1, 0.5]), []);
        assert_eq!(broken(&[-1.1, -1.1, 0.2, -1.1, -1.1]), [FourOfFiveBeyondOne]);
        assert_eq!(broken(&[-1.1, -1.1, 0.2, 0.2, -1.1, -1.1]), []);
        let mut flat = vec![0.1; 8];
        assert_eq!(broken(&flat), [EightOnOneSide]);
        flat[0] = 0.0;
        assert_eq!(broken(&flat), []);
        assert_eq!(broken(&[0.1; 9]), [NineOnOneSide, EightOnOneSide]);
        assert_eq!(broken(&[-0.3, -0.2, -0.1, 0.1, 0.2, 0.3]), [SixTrending]);
        assert_eq!(broken(&[0.3, 0.2, 0.1, -0.1, -0.2, -0.3]), [SixTrending]);
        assert_eq!(broken(&[-0.3, -0.2, -0.1, -0.1, 0.2, 0.3]), []);
        let mut zigzag: Vec<f64> = (0..14).map(|i| if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
        assert_eq!(broken(&zigzag), [FourteenAlternating]);
        zigzag[5] = 0.6;
        assert_eq!(broken(&zigzag), []);
        let mut close: Vec<f64> = [0.5, 0.4, -0.5].into_iter().cycle().take(15).collect();
        assert_eq!(broken(&close), [FifteenWithinOne]);
        close[0] = 1.0;
        assert_eq!(broken(&close), []);
        let apart: Vec<f64> = [1.5, -1.4, -1.5, 1.4].into_iter().cycle().take(8).collect();
        assert_eq!(broken(&apart), [EightBeyondOne]);
    }
}
