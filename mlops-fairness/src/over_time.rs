//! Gaps over time: window by window, and whether they changed.

use std::fmt;

use mlops_core::report::{Figure, Line, Section, Table};
use mlops_core::stats::{Correction, Interval, Share, adjust};
use mlops_core::{Assessment, Error, Finding, Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::gap::{self, Limits};
use crate::measure::{Measure, Operation, Question};
use crate::{Gap, Group, Metric, MetricFrame};

/// Watches gaps between groups over windows.
///
/// The state of a window is that of [`GroupCounts`](crate::GroupCounts): windows of rows or of time
/// are made by whatever makes windows of any measurement (`ByWindow` of `mlops-drift`), and their
/// frames come here in order, with their names.
///
/// Each window is compared with the reference, which is the first unless another is given: for
/// every two groups the change of their difference, (p − q) now less (p − q) then, four independent
/// rates. Its limits are those of MOVER from four Wilson intervals (Zou and Donner 2008,
/// doi:10.1002/sim.3095), its p-value is where they reach 0; Holm over the pairs of a window.
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_fairness::{Counts, GapsOverTime, GapKind, Group, MetricFrame};
///
/// let month = |women: u64| {
///     let group = |name: &str| Group { values: vec![Some(name.into())] };
///     MetricFrame::new(vec!["sex".into()], [
///         (group("F"), Counts::confusion(women, 200, 1800 - women, 0)),
///         (group("M"), Counts::confusion(800, 200, 1000, 0)),
///     ])
/// };
/// let windows = [("May", month(790)), ("June", month(780)), ("July", month(500))];
/// let found = GapsOverTime::new("parity", GapKind::DemographicParityDifference).watch(&windows)?;
/// assert_eq!(found.first_change().map(|window| window.name.as_str()), Some("July"));
/// assert_eq!(found.assessment().verdict, Verdict::Fail);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GapsOverTime {
    /// The name of the assessments, and so of alerts.
    pub name: String,
    /// What is watched: a difference or a ratio between groups. Changes are tested as differences.
    pub question: Question,
    /// The limits of each window's gap.
    pub limits: Limits,
    /// At which corrected p-value a gap has changed; each window by itself.
    pub alpha: f64,
    /// By how much a difference must change to count, besides; 0 for any.
    pub least_change: f64,
}

/// The change of the difference of one rate between two groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The rate.
    pub metric: Metric,
    /// The two groups; the difference is the first less the second.
    pub groups: (Group, Group),
    /// The difference in the reference.
    pub before: f64,
    /// The difference in the window.
    pub now: f64,
    /// The limits of the change, at the confidence of the gaps and for this pair alone.
    pub interval: Interval,
    /// The p-value of no change.
    pub p_value: f64,
    /// The same, corrected for the pairs of the window.
    pub adjusted_p: f64,
}

impl Change {
    /// The change itself, in \[−2, 2\].
    pub fn value(&self) -> f64 {
        self.now - self.before
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} difference of {} and {} went from {:+.4} to {:+.4}, by {:+.4} {}, p = {:.4e}",
            self.metric,
            self.groups.0,
            self.groups.1,
            self.before,
            self.now,
            self.value(),
            self.interval,
            self.adjusted_p
        )
    }
}

/// One window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GapWindow {
    /// The window's name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its gap, or why it has none.
    pub gap: Result<Gap, String>,
    /// The changes against the reference that could be tested, in the order of the pairs; none in
    /// the reference itself.
    pub changes: Vec<Change>,
    /// Why pairs could not be tested.
    pub not_tested: Vec<String>,
    /// Pass: every change is within the least change, or not shown. Fail: one is shown.
    /// Inconclusive: something could not be tested.
    pub verdict: Verdict,
}

/// Gaps over windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchedGaps {
    /// Who watched.
    pub name: String,
    /// What.
    pub question: Question,
    /// The windows in order, without the reference where that was none of them.
    pub windows: Vec<GapWindow>,
}

impl GapsOverTime {
    /// Watches a gap at 95 % limits, calling changes at p ≤ 0.01.
    pub fn new(name: impl Into<String>, question: impl Into<Question>) -> Self {
        Self {
            name: name.into(),
            question: question.into(),
            limits: Limits::new(0.95),
            alpha: 0.01,
            least_change: 0.0,
        }
    }

    /// The same, calling changes at this corrected p-value.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The same, calling changes of at least so much.
    #[must_use]
    pub fn least_change(mut self, least: f64) -> Self {
        self.least_change = least;
        self
    }

    /// Compares every window with the first.
    ///
    /// # Errors
    /// [`Error::Undefined`] without windows; [`Error::Invalid`] for options out of range.
    pub fn watch<N: AsRef<str>>(&self, windows: &[(N, MetricFrame)]) -> Result<WatchedGaps> {
        let Some(((name, reference), others)) = windows.split_first() else {
            return Err(Error::undefined("gaps over time", "there are no windows"));
        };
        let mut found = self.watch_against(reference, others)?;
        let gap = self.gap(reference);
        let verdict = if gap.is_ok() { Verdict::Pass } else { Verdict::Inconclusive };
        let first = GapWindow {
            name: name.as_ref().to_owned(),
            rows: reference.total().rows(),
            gap,
            changes: Vec::new(),
            not_tested: Vec::new(),
            verdict,
        };
        found.windows.insert(0, first);
        Ok(found)
    }

    /// Compares every window with a reference that is none of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options out of range, and for an operation that compares no groups.
    pub fn watch_against<N: AsRef<str>>(
        &self,
        reference: &MetricFrame,
        windows: &[(N, MetricFrame)],
    ) -> Result<WatchedGaps> {
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(Error::invalid("alpha", "a number in (0, 1)", self.alpha));
        }
        if !(self.least_change >= 0.0 && self.least_change < 2.0) {
            return Err(Error::invalid(
                "the least change",
                "a number in [0, 2)",
                self.least_change,
            ));
        }
        if !matches!(self.question.operation, Operation::Difference | Operation::Ratio) {
            let expected = "a difference or a ratio";
            return Err(Error::invalid("what is watched over time", expected, self.question));
        }
        if self.question.metric.metrics().is_empty() {
            let known: Vec<_> = Measure::all().filter(|m| !m.metrics().is_empty()).collect();
            let known: Vec<_> = known.into_iter().map(Measure::name).collect();
            let expected = format!("one of {}", known.join(", "));
            return Err(Error::invalid("what is watched over time", expected, self.question));
        }
        Interval::new(0.0, 0.0, self.limits.confidence)?;
        let windows = windows
            .iter()
            .map(|(name, frame)| self.window(name.as_ref(), reference, frame))
            .collect::<Result<_>>()?;
        Ok(WatchedGaps { name: self.name.clone(), question: self.question, windows })
    }

    fn gap(&self, frame: &MetricFrame) -> Result<Gap, String> {
        gap::of(frame, self.question, self.limits).map_err(|e| e.to_string())
    }

    fn window(
        &self,
        name: &str,
        reference: &MetricFrame,
        frame: &MetricFrame,
    ) -> Result<GapWindow> {
        let mut changes = Vec::new();
        let mut not_tested = Vec::new();
        for &metric in self.question.metric.metrics() {
            self.changes(metric, reference, frame, &mut changes, &mut not_tested)?;
        }
        let p_values: Vec<_> = changes.iter().map(|change| Some(change.p_value)).collect();
        let adjusted = adjust(Correction::Holm, &p_values)?;
        for (change, p) in changes.iter_mut().zip(adjusted.p_values) {
            change.adjusted_p = p.unwrap_or(1.0);
        }
        let shown = |change: &Change| {
            change.adjusted_p <= self.alpha && change.value().abs() >= self.least_change
        };
        let gap = self.gap(frame);
        let verdict = if changes.iter().any(shown) {
            Verdict::Fail
        } else if changes.is_empty() || !not_tested.is_empty() || gap.is_err() {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        };
        let rows = frame.total().rows();
        Ok(GapWindow { name: name.to_owned(), rows, gap, changes, not_tested, verdict })
    }

    fn changes(
        &self,
        metric: Metric,
        reference: &MetricFrame,
        frame: &MetricFrame,
        changes: &mut Vec<Change>,
        not_tested: &mut Vec<String>,
    ) -> Result<()> {
        // Groups in both, and a word on those that are not.
        let mut shared: Vec<(&Group, Share, Share)> = Vec::new();
        let share = |rate: crate::Rate| {
            rate.value.and_then(|value| Share::new(value, rate.effective_n().max(1.0)).ok())
        };
        for (group, counts) in reference.groups() {
            let now = frame.groups().find(|(known, _)| *known == group);
            match (share(metric.of(counts)), now.map(|(_, counts)| share(metric.of(counts)))) {
                (Some(before), Some(Some(now))) => shared.push((group, before, now)),
                (None, _) => {
                    let rate = metric.of(counts);
                    not_tested.push(format!("{metric} of {group} in the reference is {rate}"));
                }
                (_, Some(None)) => not_tested.push(format!("{metric} of {group} is undefined")),
                (_, None) => not_tested.push(format!("{group} is gone")),
            }
        }
        for (group, _) in frame.groups() {
            if reference.groups().all(|(known, _)| known != group) {
                not_tested.push(format!("{group} is new"));
            }
        }
        for (at, (one, before_one, now_one)) in shared.iter().enumerate() {
            for (other, before_other, now_other) in &shared[at + 1..] {
                let four = [*now_one, *now_other, *before_one, *before_other];
                let limits = mover(four, self.limits.confidence)?;
                let p = no_change(four)?;
                changes.push(Change {
                    metric,
                    groups: ((*one).clone(), (*other).clone()),
                    before: before_one.estimate - before_other.estimate,
                    now: now_one.estimate - now_other.estimate,
                    interval: limits,
                    p_value: p,
                    adjusted_p: p,
                });
            }
        }
        Ok(())
    }
}

/// (a − b) − (c − d) and its limits: the signs with which each rate enters are +, −, −, +.
fn mover(four: [Share; 4], confidence: f64) -> Result<Interval> {
    let signs = [1.0, -1.0, -1.0, 1.0];
    let (mut value, mut below, mut above) = (0.0, 0.0_f64, 0.0_f64);
    for (share, sign) in four.into_iter().zip(signs) {
        let limits = share.interval(confidence)?;
        let (under, over) = (share.estimate - limits.low, limits.high - share.estimate);
        let (under, over) = if sign > 0.0 { (under, over) } else { (over, under) };
        value += sign * share.estimate;
        below = below.hypot(under);
        above = above.hypot(over);
    }
    Interval::new((value - below).max(-2.0), (value + above).min(2.0), confidence)
}

/// The p-value that [`mover`] has at no change: 1 less the confidence at which the limits reach 0.
fn no_change(four: [Share; 4]) -> Result<f64> {
    let [a, b, c, d] = four.map(|share| share.estimate);
    if (a - b) - (c - d) == 0.0 {
        return Ok(1.0);
    }
    let holds = |p: f64| mover(four, 1.0 - p).map(|limits| limits.contains(0.0));
    // Halved on the scale of logarithms, down to what a confidence can say.
    let (mut sure, mut unsure) = (1e-15_f64.ln(), 0.0_f64);
    if !holds(sure.exp())? {
        return Ok(sure.exp());
    }
    for _ in 0..60 {
        let middle = f64::midpoint(sure, unsure);
        if holds(middle.exp())? { sure = middle } else { unsure = middle }
    }
    Ok(sure.exp().min(1.0))
}

impl WatchedGaps {
    /// The first window whose gap changed.
    pub fn first_change(&self) -> Option<&GapWindow> {
        self.windows.iter().find(|window| window.verdict.is_fail())
    }

    /// A finding for each window: what [`Alert::from_assessment`](mlops_core::alert::Alert) takes.
    pub fn assessment(&self) -> Assessment {
        let findings = self.windows.iter().map(|window| {
            let worst = window.changes.iter().min_by(|a, b| a.p_value.total_cmp(&b.p_value));
            let observed = match (&window.gap, worst) {
                (Err(reason), _) if window.not_tested.is_empty() => reason.clone(),
                (Err(reason), _) => format!("{reason}; {}", window.not_tested.join("; ")),
                (Ok(gap), None) if window.not_tested.is_empty() => format!("{gap}; the reference"),
                (Ok(_), None) => window.not_tested.join("; "),
                (Ok(_), Some(change)) if window.not_tested.is_empty() => change.to_string(),
                (Ok(_), Some(change)) => format!("{change}; {}", window.not_tested.join("; ")),
            };
            let name = format!("{}_change", self.question.name());
            let finding =
                Finding::new(name, &window.name, window.verdict, "no change of the gap", observed);
            match worst {
                Some(change) => finding
                    .with_value(change.value())
                    .with_interval(change.interval.low, change.interval.high)
                    .with_p_value(change.adjusted_p),
                None => finding,
            }
        });
        let rows = self.windows.iter().map(|w| w.rows).fold(0, u64::saturating_add);
        Assessment::new(&self.name, rows, findings.collect())
    }

    /// The gap over the windows, as a picture and a table.
    pub fn section(&self) -> Section {
        let of = |value: fn(&Gap) -> f64| -> Vec<f64> {
            let windows = self.windows.iter();
            windows.map(|window| window.gap.as_ref().map_or(f64::NAN, value)).collect()
        };
        let name = self.question.name().replace('_', " ");
        let mut line = Line::over(self.windows.iter().map(|window| window.name.as_str()))
            .series(&name, of(|gap| gap.value))
            .band(of(|gap| gap.interval.low), of(|gap| gap.interval.high));
        for (at, _) in self.windows.iter().enumerate().filter(|(_, w)| w.verdict.is_fail()) {
            line = line.mark(at, "changed");
        }
        let mut table = Table::new(["Window", "Rows", "Gap", "Change", "p, corrected", "Verdict"]);
        for window in &self.windows {
            let worst = window.changes.iter().min_by(|a, b| a.p_value.total_cmp(&b.p_value));
            table = table.row((
                window.name.as_str(),
                window.rows,
                window.gap.as_ref().ok().map(|gap| gap.value),
                worst.map(Change::value),
                worst.map(|change| change.adjusted_p),
                window.verdict,
            ));
        }
        Section::new("Over time").figure(Figure::new(name, line)).table(table)
    }
}

impl fmt::Display for WatchedGaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.assessment())
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::stats::Draws;

    use super::*;
    use crate::{Counts, GapKind};

    fn frame(groups: &[(&str, u64, u64)]) -> MetricFrame {
        let groups = groups.iter().map(|&(name, selected, n)| {
            let group = Group { values: vec![Some(name.to_owned())] };
            (group, Counts::confusion(0, selected, n - selected, 0))
        });
        MetricFrame::new(vec!["g".into()], groups)
    }

    fn watch() -> GapsOverTime {
        GapsOverTime::new("watch", GapKind::DemographicParityDifference)
    }

    #[test]
    fn no_change_is_called_as_often_as_alpha_says() {
        let runs = 400;
        let called = (0..runs).filter(|&run| {
            let mut draws = Draws::new(6, 2, run);
            let mut month = || {
                frame(&[
                    ("a", draws.binomial(300, 0.3).unwrap(), 300),
                    ("b", draws.binomial(200, 0.4).unwrap(), 200),
                    ("c", draws.binomial(100, 0.35).unwrap(), 100),
                ])
            };
            let windows = [("1", month()), ("2", month())];
            watch().alpha(0.05).watch(&windows).unwrap().first_change().is_some()
        });
        let share = called.count() as f64 / runs as f64;
        assert!(share < 0.08, "{share}");
    }

    #[test]
    fn a_group_that_came_or_went_is_not_passed_over() {
        let first = frame(&[("a", 300, 1000), ("b", 310, 1000)]);
        let windows = [
            ("1", first.clone()),
            ("2", frame(&[("a", 300, 1000)])),
            ("3", frame(&[("a", 300, 1000), ("b", 310, 1000), ("c", 9, 20)])),
            ("4", frame(&[("a", 300, 1000), ("b", 600, 1000), ("c", 9, 20)])),
            ("5", first),
        ];
        let found = watch().watch(&windows).unwrap();
        let verdicts: Vec<_> = found.windows.iter().map(|w| w.verdict).collect();
        let words: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["pass", "inconclusive", "inconclusive", "fail", "pass"]);
        let text = found.to_string();
        assert!(text.contains("b is gone") && text.contains("c is new"), "{text}");
        let alert = mlops_core::alert::Alert::from_assessment(
            &found.assessment(),
            mlops_core::Timestamp::from_millis(0),
        );
        assert_eq!(alert.unwrap().findings[0].subject, "4");
        assert!(
            mlops_core::report::Report::new("t")
                .section(found.section())
                .to_html()
                .contains("<svg")
        );
        // A change that is too small to matter is none.
        let lenient = watch().least_change(0.4).watch(&windows).unwrap();
        assert!(lenient.first_change().is_none());
    }

    #[test]
    fn the_p_value_is_where_the_limits_reach_none() {
        let share = |k: u64, n: u64| Share::new(k as f64 / n as f64, n as f64).unwrap();
        let four = [share(30, 100), share(50, 100), share(48, 100), share(50, 100)];
        let p = no_change(four).unwrap();
        assert!((0.01..0.2).contains(&p), "{p}");
        assert!(mover(four, 1.0 - p * 0.99).unwrap().contains(0.0));
        assert!(!mover(four, 1.0 - p * 1.01).unwrap().contains(0.0));
        assert_eq!(no_change([share(1, 4); 4]).unwrap(), 1.0);
        let far = [share(0, 9000), share(9000, 9000), share(9000, 9000), share(0, 9000)];
        assert!(no_change(far).unwrap() <= 1.1e-15);
        assert!(watch().alpha(0.0).watch(&[("1", frame(&[]))]).is_err());
        let none: [(&str, MetricFrame); 0] = [];
        assert!(watch().watch(&none).is_err());
    }
}
