//! What ties do to the laws of `Σ wᵢ (F − G)²` over a sample, given the ties.

/// One group of equal values, or a cell of values close together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Its weight `w` in the sum.
    pub(crate) weight: f64,
    /// The pooled share `P` at which F − G stands for it.
    pub(crate) p: f64,
    /// The variance of F − G there, in units of `ν`: `P (1 − P)`, less where it is half way up a step.
    pub(crate) variance: f64,
}

/// The mean and variance of `Σ wᵢ Bᵢ²` of a Brownian bridge with `ν = 1`, at the groups so far, which
/// come in order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    before: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, Group { weight, p, variance }: Group) {
        self.mean += weight * variance;
        // 2 ΣΣ wᵢ wⱼ Kᵢⱼ² with Kᵢⱼ = Pᵢ (1 − Pⱼ): its own, and twice those before it.
        let own = 2.0 * weight * variance * weight * variance;
        self.variance += own + 4.0 * weight * (1.0 - p) * (1.0 - p) * self.before;
        self.before += weight * p * p;
    }
}

impl FromIterator<Group> for Moments {
    fn from_iter<I: IntoIterator<Item = Group>>(groups: I) -> Self {
        let mut moments = Self::default();
        groups.into_iter().for_each(|group| moments.add(group));
        moments
    }
}

/// How the variance of `n` untied values compares with the limit's: so many groups of one.
pub(crate) fn untied(all: u64, limit: f64, group: impl Fn(f64, f64) -> Group) -> f64 {
    // Beyond, the two are the same to 10⁻⁴.
    const MOST: u64 = 10_000;
    if all > MOST {
        return limit;
    }
    let n = all as f64;
    (1..=all).map(|i| group(i as f64 / n, 1.0 / n)).collect::<Moments>().variance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untied_values_have_the_limits_moments() {
        let n = 5000.0;
        let groups = (1..=5000).map(|i| {
            let p = f64::from(i) / n;
            Group { weight: 1.0 / n, p, variance: p * (1.0 - p) }
        });
        let Moments { mean, variance, .. } = groups.collect();
        assert!((mean - 1.0 / 6.0).abs() < 1e-6 && (variance - 1.0 / 45.0).abs() < 1e-5);
    }
}
