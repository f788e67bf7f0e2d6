//! BOCD, Bayesian online changepoint detection.

use std::f64::consts::PI;

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_len, put_u64, take_count, take_len};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::gamma::ln_gamma_half_step;
use super::parts::{LARGEST, open_probability, require, take_finite};

/// When the posterior of the run length is a drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BocdRule {
    /// Where the most likely run length is not that of the run since the start.
    #[default]
    MostLikely,
    /// Where the probability that the run since the start has ended is above this, in (0, 1).
    Probability(f64),
}

/// Options of [`Bocd`]; hazard and rule are those of `frouros`. The prior is of unit scale: give one
/// in the units of your values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BocdOptions {
    /// Values before the first answer, at least 1; 30.
    pub min_values: u64,
    /// The probability of a change at any value, in (0, 1); .01.
    pub hazard: f64,
    /// When it is a drift; [`BocdRule::MostLikely`].
    pub rule: BocdRule,
    /// The prior mean `μ₀`; 0.
    pub mean: f64,
    /// How many values the prior mean is worth, `κ₀`, from 10⁻⁶ to 10¹²; 1.
    pub mean_weight: f64,
    /// The shape `α₀` of the inverse-gamma prior of the variance, from 10⁻³ to 10⁶; 1.
    pub shape: f64,
    /// Its scale `β₀`, from 10⁻²⁰; 1. The variance is about `β₀/α₀`.
    pub scale: f64,
    /// The run lengths that are kept, 2 to 1,000,000; 200. Beyond it, the least probable goes.
    pub max_runs: usize,
}

impl Default for BocdOptions {
    fn default() -> Self {
        Self {
            min_values: 30,
            hazard: 0.01,
            rule: BocdRule::MostLikely,
            mean: 0.0,
            mean_weight: 1.0,
            shape: 1.0,
            scale: 1.0,
            max_runs: 200,
        }
    }
}

impl BocdOptions {
    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        open_probability("hazard", self.hazard)?;
        if let BocdRule::Probability(p) = self.rule {
            open_probability("rule", p)?;
        }
        require("mean", self.mean, self.mean.abs() <= LARGEST, "a number to ±1e140")?;
        let weight = (1e-6..=1e12).contains(&self.mean_weight);
        require("mean_weight", self.mean_weight, weight, "1e-6 to 1e12")?;
        require("shape", self.shape, (1e-3..=1e6).contains(&self.shape), "0.001 to 1,000,000")?;
        let scale = (1e-20..=LARGEST).contains(&self.scale);
        require("scale", self.scale, scale, "1e-20 to 1e140")?;
        let some = (2..=1_000_000).contains(&self.max_runs);
        require("max_runs", self.max_runs, some, "2 to 1,000,000")
    }
}

/// Bayesian online changepoint detection: the probability of every length of the present run, for
/// normal values of unknown mean and variance.
///
/// A run of `r` values has the normal–inverse-gamma posterior `κ = κ₀ + r`, `α = α₀ + r/2`, and
/// predicts the next value by Student's t with `2α` degrees of freedom around its mean with scale
/// `√(β(κ + 1)/(ακ))`. Each value makes every run one longer or, with probability `hazard`, ends it.
/// Where the run since the start (or since the last change) is no longer the most likely, that is a
/// drift, and it goes on with the run that is: no value is forgotten that came after the change. It
/// takes numbers; `O(max_runs)` a value. Its statistic is the probability that the run has ended.
///
/// `frouros` `BOCD`, with a model of unknown variance in place of its known one (and, there, all runs
/// are kept, and a drift forgets everything).
///
/// # References
/// Adams and `MacKay` (2007), arXiv:0710.3742; Murphy (2007), "Conjugate Bayesian analysis of the
/// Gaussian distribution".
#[derive(Clone, Debug, PartialEq)]
pub struct Bocd {
    options: BocdOptions,
    clock: Clock,
    /// Values since the start, or since the change that was found: the longest run.
    base: u64,
    /// `ln Γ(α₀ + ½) − ln Γ(α₀)`.
    half_step: f64,
    /// The runs, the longest first.
    runs: Vec<Run>,
}

/// A run of so many latest values.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    length: u64,
    /// The logarithm of its probability.
    log_mass: f64,
    mean: f64,
    beta: f64,
    /// `ln Γ(α + ½) − ln Γ(α)`.
    half_step: f64,
}

impl Bocd {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: BocdOptions) -> Result<Self> {
        let half_step = ln_gamma_half_step(options.shape);
        let (clock, runs) = (Clock::default(), Vec::new());
        let mut new = Self { options, clock, base: 0, half_step, runs };
        new.restart();
        Ok(new)
    }

    fn prior(&self, log_mass: f64) -> Run {
        let BocdOptions { mean, scale: beta, .. } = self.options;
        Run { length: 0, log_mass, mean, beta, half_step: self.half_step }
    }

    /// The most likely number of values since the last change.
    pub fn run_length(&self) -> u64 {
        self.most_likely().map_or(0, |run| run.length)
    }

    /// The most likely run; of equal ones the longest.
    fn most_likely(&self) -> Option<&Run> {
        self.runs.iter().reduce(|a, b| if b.log_mass > a.log_mass { b } else { a })
    }

    fn push(&mut self, x: f64) -> Signal {
        self.base += 1;
        let BocdOptions { mean_weight, shape, hazard, max_runs, min_values, .. } = self.options;
        for run in &mut self.runs {
            let length = run.length as f64;
            let (kappa, alpha) = (mean_weight + length, shape + length / 2.0);
            let square = (x - run.mean) * (x - run.mean);
            let spread = 2.0 * run.beta * (kappa + 1.0) / kappa;
            run.log_mass += run.half_step
                - 0.5 * (PI * spread).ln()
                - (alpha + 0.5) * (square / spread).ln_1p();
            run.mean = (kappa * run.mean + x) / (kappa + 1.0);
            run.beta += kappa * square / (2.0 * (kappa + 1.0));
            // Γ(α + 1) = α Γ(α): one half step follows from the other.
            run.half_step = alpha.ln() - run.half_step;
            run.length += 1;
        }
        self.normalise((-hazard).ln_1p());
        self.runs.push(self.prior(hazard.ln()));
        if self.runs.len() > max_runs {
            let least = |a: usize, b: usize| {
                if self.runs[b].log_mass < self.runs[a].log_mass { b } else { a }
            };
            // Not the last, which is new and has all its future before it.
            if let Some(least) = (0..self.runs.len() - 1).reduce(least) {
                self.runs.remove(least);
                self.normalise(0.0);
            }
        }
        if self.base < min_values {
            return Signal::None;
        }
        let ended = match self.options.rule {
            BocdRule::MostLikely => self.run_length() != self.base,
            BocdRule::Probability(p) => self.ended() > p,
        };
        Signal::of(ended, false)
    }

    /// Makes the runs' probabilities add up to the exponential of this.
    fn normalise(&mut self, log_sum: f64) {
        let largest = self.runs.iter().fold(f64::NEG_INFINITY, |most, run| most.max(run.log_mass));
        let sum: f64 = self.runs.iter().map(|run| (run.log_mass - largest).exp()).sum();
        let shift = largest + sum.ln() - log_sum;
        // No probability is above what all have together, whatever the logarithms' rounding does.
        for run in &mut self.runs {
            run.log_mass = (run.log_mass - shift).min(log_sum);
        }
    }

    /// The probability that the longest run has ended.
    fn ended(&self) -> f64 {
        let shorter = self.runs.iter().filter(|run| run.length != self.base);
        shorter.map(|run| run.log_mass.exp()).sum::<f64>().min(1.0)
    }

    fn forget(&mut self) {
        // By probability the likeliest may still be the longest: then the likeliest of the others.
        let base = self.base;
        self.runs.retain(|run| run.length != base);
        self.base = self.run_length();
        let base = self.base;
        self.runs.retain(|run| run.length <= base);
        self.normalise(0.0);
    }

    fn restart(&mut self) {
        self.base = 0;
        self.runs = vec![self.prior(0.0)];
    }

    fn level(&self) -> Option<f64> {
        (self.base >= self.options.min_values).then(|| self.ended())
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.base);
        put_len(out, self.runs.len());
        for run in &self.runs {
            put_u64(out, run.length);
            for x in [run.log_mass, run.mean, run.beta, run.half_step] {
                put_f64(out, x);
            }
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.base = take_count(bytes)?;
        let n = take_len(bytes, 40)?;
        if n == 0 || n > self.options.max_runs {
            return Err(bad(bytes, format!("1 to {} runs", self.options.max_runs), n));
        }
        self.runs.clear();
        for _ in 0..n {
            let length = take_count(bytes)?;
            let below = self.runs.last().map_or(self.base + 1, |longer| longer.length);
            if length >= below {
                return Err(bad(bytes, format!("a run of less than {below}"), length));
            }
            let mut within = |low: f64, high: f64| {
                let x = take_finite(bytes)?;
                let good = (low..=high).contains(&x);
                if good { Ok(x) } else { Err(bad(bytes, format!("{low:e} to {high:e}"), x)) }
            };
            // Rounding can leave a certainty a little above 0.
            let (log_mass, mean) = (within(-1e200, 1e-9)?, within(-2.0 * LARGEST, 2.0 * LARGEST)?);
            let (beta, half_step) = (within(self.options.scale, f64::MAX)?, within(-100.0, 100.0)?);
            self.runs.push(Run { length, log_mass, mean, beta, half_step });
        }
        Ok(())
    }
}

stream_detector!(Bocd(BocdOptions), "bocd", 1, Input::Number);
