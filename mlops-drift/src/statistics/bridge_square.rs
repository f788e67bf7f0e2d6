//! Tails of sums `Σ Zⱼ²/λⱼ` of squared normal numbers: the limits of Cramér–von Mises and
//! Anderson–Darling.

use std::f64::consts::PI;

/// Which weights the squares have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BridgeSquare {
    /// `λⱼ = j²π²`: `∫ B²` of a Brownian bridge.
    CramerVonMises,
    /// `λⱼ = j(j + 1)`: `∫ B²/(t(1 − t)) dt`.
    AndersonDarling,
}

impl BridgeSquare {
    /// P of a value this large or larger; NaN for NaN.
    ///
    /// Smirnov's formula `1/π Σ (−1)^(k+1) ∫ exp(−ux/2)/(u √|D(u)|) du` over the intervals from
    /// `λ_(2k−1)` to `λ_(2k)`, with `D` the product of `1 − u/λⱼ`: `sin √u/√u` and
    /// `−cos(π/2 √(1 + 4u))/(πu)`. The roots at both ends go away with a cosine as variable, after
    /// which the midpoint rule converges exponentially. The first interval dominates the tail and
    /// is positive: it keeps its digits down to 10⁻³⁰⁰.
    pub(crate) fn sf(self, x: f64) -> f64 {
        // Below, 1 − p is under 10⁻¹⁶.
        let least = match self {
            Self::CramerVonMises => 0.003,
            Self::AndersonDarling => 0.03,
        };
        if x < least {
            return 1.0;
        }
        if x.is_nan() {
            return x;
        }
        // The first integrand falls as exp(−c x φ²) from its end.
        let nodes = Node::all(40 + (10.0 * x.min(1000.0).sqrt()) as u32);
        let mut sum = 0.0;
        for k in 1..=64u8 {
            let term = self.interval(f64::from(k), x, &nodes);
            sum += if k % 2 == 1 { term } else { -term };
            if term <= 1e-17 * sum {
                break;
            }
        }
        sum.clamp(0.0, 1.0)
    }

    fn interval(self, k: f64, x: f64, nodes: &[Node]) -> f64 {
        let terms = nodes.iter().map(|Node { cos, root }| {
            root * match self {
                Self::CramerVonMises => {
                    let s = PI * (2.0 * k - 0.5 + 0.5 * cos);
                    (-0.5 * s * s * x).exp() / s.sqrt()
                }
                Self::AndersonDarling => {
                    let v = 4.0 * k + cos;
                    let u = 0.25 * (v - 1.0) * (v + 1.0);
                    0.5 * v / (PI * u).sqrt() * (-0.5 * u * x).exp()
                }
            }
        });
        terms.sum::<f64>() * (PI / nodes.len() as f64)
    }
}

/// A point of the midpoint rule, the same in every interval.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The cosine of the angle `φ` that stands for the variable.
    cos: f64,
    /// What is left of the roots at both ends.
    root: f64,
}

impl Node {
    fn all(count: u32) -> Vec<Self> {
        let step = PI / f64::from(count);
        let at = |i: u32| {
            let (sin, cos) = ((f64::from(i) + 0.5) * step).sin_cos();
            // 1 − |cos φ|, without cancellation.
            let gap = sin * sin / (1.0 + cos.abs());
            Self { cos, root: sin / (0.5 * PI * gap).sin().sqrt() }
        };
        (0..count).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By mpmath with 40 digits and 400 nodes; the upper points are those of the tables of Anderson
    /// and Darling.
    #[test]
    fn points_and_tails() {
        for (x, p) in CVM {
            let found = BridgeSquare::CramerVonMises.sf(x);
            assert!((found / p - 1.0).abs() < 1e-12, "{x}: {found:e} {p:e}");
        }
        for (x, p) in AD {
            let found = BridgeSquare::AndersonDarling.sf(x);
            assert!((found / p - 1.0).abs() < 1e-12, "{x}: {found:e} {p:e}");
        }
        for law in [BridgeSquare::CramerVonMises, BridgeSquare::AndersonDarling] {
            assert_eq!(law.sf(0.0), 1.0);
            assert_eq!(law.sf(-5.0), 1.0);
            assert_eq!(law.sf(f64::INFINITY), 0.0);
            assert!(law.sf(f64::NAN).is_nan());
            let all: Vec<_> = (1..4000).map(|i| law.sf(f64::from(i) * 0.003)).collect();
            assert!(all.windows(2).all(|p| p[1] <= p[0] + 1e-14));
        }
    }

    const CVM: [(f64, f64); 8] = [
        (0.01, 0.99999413556719013),
        (0.0248, 0.98999567887518867),
        (0.1, 0.58487343840679488),
        (0.46136, 0.050000383132651278),
        (1.16786, 0.00099999091487455709),
        (5.0, 3.0539290331033875e-12),
        (50.0, 3.5269996323116893e-109),
        (139.0, 3.8434979700350769e-300),
    ];
    const AD: [(f64, f64); 8] = [
        (0.1, 0.99997192189487364),
        (0.5, 0.74681437353034448),
        (1.0, 0.35726667321401909),
        (2.492, 0.050022186359607866),
        (3.857, 0.01024115322986121),
        (20.0, 4.4650715383119218e-10),
        (200.0, 9.5533822153994496e-89),
        (685.0, 1.2030881739534525e-299),
    ];
}
