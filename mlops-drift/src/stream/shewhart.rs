//! Shewhart's control charts, with the rules of Western Electric and of Nelson.

use std::collections::VecDeque;

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_len, put_u8, put_u64, take_count, take_len, take_u8};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::gamma::c4;
use super::parts::{LARGEST, require, size, take_finite, take_not_negative};
use super::run_rules::{LONGEST, RunRule};

/// Where the centre line and the limits of a chart come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartBaseline {
    /// Known from before: the mean and standard deviation of single values.
    Known {
        /// The mean while nothing has changed.
        mean: f64,
        /// The standard deviation while nothing has changed.
        sd: f64,
    },
    /// From the first so many points: their mean; and for the standard deviation of single values
    /// the mean standard deviation of the subgroups over `c₄(n)`, or, of subgroups of one value, the
    /// mean moving range over `d₂` = 2/√π.
    First(u64),
}

/// How wide the limits are: of what they are multiples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartLimits {
    /// Of the standard error of a point, `σ/√n`: the X̄ chart of the textbooks (NIST handbook 6.3.2).
    #[default]
    StandardError,
    /// Of the standard deviation of single values, `σ`, whatever the subgroups: `√n` times as wide,
    /// as scouter has it.
    StandardDeviation,
}

/// Options of [`Shewhart`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShewhartOptions {
    /// Centre and spread; from the first 100 points.
    pub baseline: ChartBaseline,
    /// Values in a point, from 1 (the chart of individuals); 1.
    pub subgroup: usize,
    /// What the limits are multiples of; [`ChartLimits::StandardError`].
    pub limits: ChartLimits,
    /// The rules that are a drift; the four of Western Electric.
    pub rules: Vec<RunRule>,
    /// The rules that are a warning; none.
    pub warning_rules: Vec<RunRule>,
}

impl Default for ShewhartOptions {
    fn default() -> Self {
        Self {
            baseline: ChartBaseline::First(100),
            subgroup: 1,
            limits: ChartLimits::StandardError,
            rules: RunRule::WESTERN_ELECTRIC.to_vec(),
            warning_rules: Vec::new(),
        }
    }
}

impl ShewhartOptions {
    fn check(&self) -> Result<()> {
        size("subgroup", self.subgroup, 1)?;
        match self.baseline {
            ChartBaseline::Known { mean, sd } => {
                require("the known mean", mean, mean.abs() <= LARGEST, "a number to ±1e140")?;
                require("the known sd", sd, (1e-140..=LARGEST).contains(&sd), "1e-140 to 1e140")?;
            }
            ChartBaseline::First(points) => {
                require("points of the baseline", points, points >= 2, "2 or more")?;
            }
        }
        let rules = self.rules.len();
        require("rules", rules, (1..=64).contains(&rules), "at least one rule")?;
        let rules = self.warning_rules.len();
        require("warning_rules", rules, rules <= 64, "at most 64")
    }
}

/// Shewhart's control chart, of subgroups (X̄) or of individuals.
///
/// Each point is the mean of `subgroup` values, in multiples `z` of its standard error (or of `σ`,
/// see [`ChartLimits`]) from the centre line. Where the points break one of the
/// [rules](RunRule) that is a drift: of rule 1 alone normal values give a false alarm every 370
/// points, of the four rules of Western Electric every 92 (Champ and Woodall 1987,
/// doi:10.1080/00401706.1987.10488266). After a drift the rules begin anew, and the limits stay;
/// [`reset`](super::StreamDetector::reset) forgets limits that came from the stream, too. It takes
/// numbers; `O(1)` a value. Its statistic is `z`, within ±10⁹.
///
/// The values that only complete a part of a subgroup have no answer. Limits from few points are
/// uncertain: a baseline of 25 points gives other run lengths than the tables say.
///
/// # References
/// Shewhart (1931), *Economic Control of Quality of Manufactured Product*; Montgomery,
/// *Introduction to Statistical Quality Control*, ch. 6.
#[derive(Clone, Debug, PartialEq)]
pub struct Shewhart {
    options: ShewhartOptions,
    clock: Clock,
    /// Centre and standard deviation of a point.
    limits: Option<(f64, f64)>,
    fit: Fit,
    group: Group,
    /// The latest points, the newest last.
    points: VecDeque<f64>,
}

/// What the limits are computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Fit {
    points: u64,
    mean: f64,
    /// The mean of the moving ranges, or of the subgroups' standard deviations.
    spread: f64,
    last: f64,
}

/// The values of a subgroup so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Group {
    n: usize,
    mean: f64,
    squares: f64,
}

impl Shewhart {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: ShewhartOptions) -> Result<Self> {
        let (fit, group, points) = (Fit::default(), Group::default(), VecDeque::new());
        let mut new = Self { options, clock: Clock::default(), limits: None, fit, group, points };
        new.restart();
        Ok(new)
    }

    /// The centre line and the standard deviation of a point, on which the limits stand; `None`
    /// while the baseline is measured.
    pub fn limits(&self) -> Option<(f64, f64)> {
        self.limits
    }

    /// The rules that the last point broke, of those of a drift and of a warning.
    pub fn broken(&self) -> Vec<RunRule> {
        let all = self.options.rules.iter().chain(&self.options.warning_rules);
        all.copied().filter(|rule| rule.broken(&self.points)).collect()
    }

    fn push(&mut self, x: f64) -> Signal {
        let group = &mut self.group;
        group.n += 1;
        let from_old = x - group.mean;
        group.mean += from_old / group.n as f64;
        group.squares += from_old * (x - group.mean);
        if group.n < self.options.subgroup {
            return Signal::None;
        }
        let group = std::mem::take(&mut self.group);
        let Some((centre, sd)) = self.limits else {
            self.measure(group);
            return Signal::None;
        };
        let distance = group.mean - centre;
        // Of limits without width any distance is beyond all of them.
        let z = if distance == 0.0 { 0.0 } else { (distance / sd).clamp(-1e9, 1e9) };
        if self.points.len() == LONGEST {
            self.points.pop_front();
        }
        self.points.push_back(z);
        let broken = |rules: &[RunRule]| rules.iter().any(|rule| rule.broken(&self.points));
        Signal::of(broken(&self.options.rules), broken(&self.options.warning_rules))
    }

    fn measure(&mut self, group: Group) {
        let ChartBaseline::First(points) = self.options.baseline else { return };
        let fit = &mut self.fit;
        fit.points += 1;
        fit.mean += (group.mean - fit.mean) / fit.points as f64;
        let n = self.options.subgroup;
        let (spread, spreads) = if n == 1 {
            ((group.mean - fit.last).abs(), fit.points - 1)
        } else {
            ((group.squares / (n as f64 - 1.0)).sqrt(), fit.points)
        };
        if spreads > 0 {
            fit.spread += (spread - fit.spread) / spreads as f64;
        }
        fit.last = group.mean;
        if fit.points >= points {
            // d₂ of two values is 2/√π.
            let unbias = if n == 1 { std::f64::consts::FRAC_2_SQRT_PI } else { c4(n) };
            let (centre, sigma) = (fit.mean, fit.spread / unbias);
            self.limits = Some((centre, self.of_a_point(sigma)));
        }
    }

    fn of_a_point(&self, sigma: f64) -> f64 {
        match self.options.limits {
            ChartLimits::StandardError => sigma / (self.options.subgroup as f64).sqrt(),
            ChartLimits::StandardDeviation => sigma,
        }
    }

    fn forget(&mut self) {
        self.points.clear();
    }

    fn restart(&mut self) {
        self.points.clear();
        (self.fit, self.group) = (Fit::default(), Group::default());
        self.limits = match self.options.baseline {
            ChartBaseline::Known { mean, sd } => Some((mean, self.of_a_point(sd))),
            ChartBaseline::First(_) => None,
        };
    }

    fn level(&self) -> Option<f64> {
        self.points.back().copied()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u8(out, self.limits.is_some().into());
        let (centre, sd) = self.limits.unwrap_or_default();
        put_u64(out, self.fit.points);
        put_u64(out, self.group.n as u64);
        for x in [centre, sd, self.fit.mean, self.fit.spread, self.fit.last] {
            put_f64(out, x);
        }
        for x in [self.group.mean, self.group.squares] {
            put_f64(out, x);
        }
        put_len(out, self.points.len());
        for z in &self.points {
            put_f64(out, *z);
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let limited = match take_u8(bytes)? {
            0 => false,
            1 => true,
            other => return Err(bad(bytes, "0 or 1", other)),
        };
        let known = matches!(self.options.baseline, ChartBaseline::Known { .. });
        if known && !limited {
            return Err(bad(bytes, "limits", "none"));
        }
        let (points, n) = (take_count(bytes)?, take_count(bytes)?);
        if n >= self.options.subgroup as u64 {
            return Err(bad(bytes, format!("less than {} values", self.options.subgroup), n));
        }
        let (centre, sd) = (take_finite(bytes)?, take_not_negative(bytes)?);
        let (mean, spread) = (take_finite(bytes)?, take_not_negative(bytes)?);
        let last = take_finite(bytes)?;
        // Beyond them sums of squares overflow, and z is no number.
        if [centre, sd, mean, spread, last].iter().any(|x| x.abs() > 1e150) {
            return Err(bad(bytes, "means and spreads of numbers to 1e140", mean));
        }
        self.limits = limited.then_some((centre, sd));
        self.fit = Fit { points, mean, spread, last };
        let (mean, squares) = (take_finite(bytes)?, take_not_negative(bytes)?);
        if mean.abs() > 1e150 || squares > 1e300 {
            return Err(bad(bytes, "sums of numbers to 1e140", mean));
        }
        self.group = Group { n: n as usize, mean, squares };
        let n = take_len(bytes, 8)?;
        if n > LONGEST || (n > 0 && !limited) {
            return Err(bad(bytes, format!("at most {LONGEST} points"), n));
        }
        for _ in 0..n {
            let z = take_finite(bytes)?;
            if z.abs() > 1e9 {
                return Err(bad(bytes, "a point within 1e9", z));
            }
            self.points.push_back(z);
        }
        Ok(())
    }
}

stream_detector!(Shewhart(ShewhartOptions), "shewhart", 1, Input::Number);
