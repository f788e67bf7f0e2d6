//! Fairness for people who would rather look: groups with their limits, gaps, errors, curves, and
//! the verdicts with what would settle them.
//!
//! A [`FairnessReport`] makes a [`Section`] or a whole [`Report`]: text for a terminal, JSON,
//! Markdown or one HTML file. JUnit XML comes from the assessment alone
//! ([`junit`](mlops_core::report::junit)).

use mlops_core::Assessment;
use mlops_core::report::{
    Cell, Chart, Distribution, Figure, HeatMap, Intervals, Report, Section, Table, Tone,
};

use crate::gap::{self, Limits};
use crate::gate::FairnessGate;
use crate::measure::{Measure, Operation, Question};
use crate::{
    ClassCounts, Counts, ErrorCounts, ErrorMetric, Estimates, Frames, Group, Metric, MetricFrame,
    ScoreCounts, ScoreMetric,
};

/// The rates that a page shows as pictures.
const PICTURES: [Metric; 4] = [
    Metric::SelectionRate,
    Metric::TruePositiveRate,
    Metric::FalsePositiveRate,
    Metric::PositivePredictiveValue,
];

/// The metrics of scores and of errors that it shows.
const SCORES: [ScoreMetric; 3] =
    [ScoreMetric::RocAuc, ScoreMetric::Brier, ScoreMetric::CalibrationError];
const ERRORS: [ErrorMetric; 3] =
    [ErrorMetric::MeanAbsoluteError, ErrorMetric::RootMeanSquaredError, ErrorMetric::MeanError];

/// Of more groups than so many, curves would be a tangle.
const MOST_CURVES: usize = 6;

/// A page, or a part of one, about groups.
///
/// ```
/// use mlops_fairness::report::FairnessReport;
/// use mlops_fairness::{Counts, FairnessGate, GapKind, Group, MetricFrame};
///
/// let group = |name: &str| Group { values: vec![Some(name.into())] };
/// let frame = MetricFrame::new(vec!["sex".into()], [
///     (group("F"), Counts::confusion(300, 100, 500, 100)),
///     (group("M"), Counts::confusion(310, 100, 490, 100)),
///     (group("X"), Counts::confusion(2, 1, 1, 0)),
/// ]);
/// let gate = FairnessGate::new("hiring").rule(GapKind::DemographicParityDifference, "sex", 0.1);
/// let found = gate.judge(&frame);
/// let page = FairnessReport::new(&frame).gate(&gate, &found).suppress_below(10);
/// let html = page.report("Hiring, June").to_html();
/// assert!(html.contains("<svg") && html.contains("fewer than 10 rows"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FairnessReport<'a> {
    frame: &'a MetricFrame,
    gate: Option<(&'a FairnessGate, &'a Assessment)>,
    scores: Option<&'a MetricFrame<ScoreCounts>>,
    errors: Option<&'a MetricFrame<ErrorCounts>>,
    classes: Option<&'a MetricFrame<ClassCounts>>,
    limits: Limits,
    suppress_below: u64,
}

impl<'a> FairnessReport<'a> {
    /// On these groups, with limits at 95 %.
    pub fn new(frame: &'a MetricFrame) -> Self {
        Self {
            frame,
            gate: None,
            scores: None,
            errors: None,
            classes: None,
            limits: Limits::new(0.95),
            suppress_below: 0,
        }
    }

    /// The same, with the verdicts of a gate, and limits like its own.
    #[must_use]
    pub fn gate(mut self, gate: &'a FairnessGate, found: &'a Assessment) -> Self {
        self.gate = Some((gate, found));
        self.limits = gate.limits();
        self
    }

    /// The same, with ROC and calibration curves of the same features.
    #[must_use]
    pub fn scores(mut self, scores: &'a MetricFrame<ScoreCounts>) -> Self {
        self.scores = Some(scores);
        self
    }

    /// The same with errors of estimated numbers by the same features.
    #[must_use]
    pub fn errors(mut self, errors: &'a MetricFrame<ErrorCounts>) -> Self {
        self.errors = Some(errors);
        self
    }

    /// The same with counts of more than two classes, which rules of the gate are about.
    #[must_use]
    pub fn classes(mut self, classes: &'a MetricFrame<ClassCounts>) -> Self {
        self.classes = Some(classes);
        self
    }

    fn frames(&self) -> Frames<'a> {
        let mut frames = Frames::from(self.frame);
        if let Some(scores) = self.scores {
            frames = frames.scores(scores);
        }
        if let Some(errors) = self.errors {
            frames = frames.errors(errors);
        }
        if let Some(classes) = self.classes {
            frames = frames.classes(classes);
        }
        frames
    }

    /// The same with these limits, or limits at this confidence.
    #[must_use]
    pub fn limits(mut self, limits: impl Into<Limits>) -> Self {
        self.limits = limits.into();
        self
    }

    /// The same without numbers of groups of fewer rows, which could be those of single people.
    /// Their names and the fact stay.
    #[must_use]
    pub fn suppress_below(mut self, rows: u64) -> Self {
        self.suppress_below = rows;
        self
    }

    /// A report of this title.
    pub fn report(&self, title: impl Into<String>) -> Report {
        let total = self.frame.total();
        let report = Report::new(title)
            .subtitle("How a model treats groups of people")
            .meta("Rows", total.rows())
            .meta("Confidence", Cell::percent(self.limits.confidence));
        let report = match self.gate {
            Some((gate, found)) => report.meta("Policy", gate.name.as_str()).verdict(found.verdict),
            None => report,
        };
        self.blocks().into_iter().fold(report, Report::section)
    }

    /// The same as a section of another report.
    pub fn section(&self) -> Section {
        let section = Section::new("Fairness").verdict(self.gate.map(|(_, found)| found.verdict));
        self.blocks().into_iter().fold(section, Section::section)
    }

    fn blocks(&self) -> Vec<Section> {
        let mut blocks = Vec::new();
        if let Some((gate, found)) = self.gate {
            blocks.push(self.verdicts(gate, found));
        }
        for feature in self.frame.features() {
            let Ok(frame) = self.frame.feature(feature) else { continue };
            let scores = self.scores.and_then(|scores| scores.feature(feature).ok());
            let mut block = self.by(&frame, scores.as_ref());
            if let Some(errors) = self.errors.and_then(|errors| errors.feature(feature).ok()) {
                let figures = ERRORS.map(|metric| self.dots(&errors, Measure::Error(metric)));
                block = block.figures(figures);
            }
            blocks.push(block);
        }
        if self.frame.features().len() > 1 {
            blocks.push(self.intersections());
        }
        blocks
    }

    /// What the gate says, and how many rows would make it say more.
    fn verdicts(&self, gate: &FairnessGate, found: &Assessment) -> Section {
        let mut section = Section::new("Verdicts").verdict(found.verdict).findings(found);
        let mut table =
            Table::new(["Rule", "Rows now, smallest group", "Rows that would settle it"]);
        for (rule, now, needed) in gate.unsettled(self.frames()) {
            let needed = match needed {
                Some(rows) => Cell::from(rows),
                None => Cell::from("none: it lies at the bound"),
            };
            table = table.row((rule.to_string(), now, needed));
        }
        if !table.rows.is_empty() {
            section = section
                .text("Rules that are inconclusive, and how many rows would settle them if the values stayed as they are.")
                .table(table);
        }
        section
    }

    /// The groups of one feature, or of an intersection.
    fn by(&self, frame: &MetricFrame, scores: Option<&MetricFrame<ScoreCounts>>) -> Section {
        let title = format!("By {}", frame.features().join(" × "));
        let (shown, small) = frame.split(|counts| counts.rows() >= self.suppress_below);
        let mut section = Section::new(title);
        if !small.is_empty() {
            let names: Vec<_> = small.iter().map(Group::to_string).collect();
            section = section.text(format!(
                "Not shown, with fewer than {} rows: {}.",
                self.suppress_below,
                names.join("; ")
            ));
        }
        section = section.figures(PICTURES.map(|metric| self.whiskers(&shown, metric)));
        section = section.figure(self.gaps(&shown));
        section = section.figure(errors(&shown));
        if let Some(scores) = scores {
            let (scores, _) =
                scores.split(|cell| crate::GroupCell::rows(cell) >= self.suppress_below);
            section = section.figures([roc(&scores), calibration(&scores)].into_iter().flatten());
            section =
                section.figures(SCORES.map(|metric| self.dots(&scores, Measure::Score(metric))));
        }
        section.table(rates(&shown))
    }

    /// The groups' values of a rate as dots with whiskers.
    fn whiskers(&self, frame: &MetricFrame, metric: Metric) -> Figure {
        let mut plot = Intervals::new();
        for (group, rate) in frame.by_group(metric) {
            let share = rate.value.and_then(|value| {
                mlops_core::stats::Share::new(value, rate.effective_n().max(1.0)).ok()
            });
            let limits = share.and_then(|share| share.interval(self.limits.confidence).ok());
            let label = format!("{group} (n = {})", rate.denominator);
            let limits = limits.map(|limits| (limits.low, limits.high));
            plot = plot.point(label, rate.value.unwrap_or(f64::NAN), limits, None);
        }
        if let Some(overall) = frame.overall(metric).value {
            plot = plot.bound("everyone", overall);
        }
        Figure::new(metric.name().replace('_', " "), plot)
    }

    /// The groups' values of any measure as dots with whiskers; limits that are endless stay away.
    fn dots<C: Estimates>(&self, frame: &MetricFrame<C>, measure: Measure) -> Figure {
        let mut plot = Intervals::new();
        let (shown, _) = frame.split(|cell| cell.rows() >= self.suppress_below);
        let values = gap::by_group(&shown, measure, self.limits.confidence);
        for (group, value) in values.unwrap_or_default() {
            match value {
                Ok((value, limits)) => {
                    let label = format!("{group} (n = {})", value.rows);
                    let limits = (limits.low, limits.high);
                    let limits = Some(limits).filter(|(a, b)| a.is_finite() && b.is_finite());
                    plot = plot.point(label, value.value, limits, None);
                }
                Err(_) => plot = plot.point(group.to_string(), f64::NAN, None, None),
            }
        }
        Figure::new(measure.name().replace('_', " "), plot)
    }

    /// The gaps of the criteria, each with its limits.
    fn gaps(&self, frame: &MetricFrame) -> Figure {
        const SHOWN: [Measure; 5] = [
            Measure::DemographicParity,
            Measure::EqualOpportunity,
            Measure::PredictiveEquality,
            Measure::PredictiveParity,
            Measure::EqualizedOdds,
        ];
        let plot = SHOWN.into_iter().fold(Intervals::new(), |plot, measure| {
            let question = Question::new(measure, Operation::Difference);
            let label = measure.name().replace('_', " ");
            match gap::of(frame, question, self.limits) {
                Ok(gap) => {
                    plot.point(label, gap.value, (gap.interval.low, gap.interval.high), None)
                }
                Err(_) => plot.point(label, f64::NAN, None, None),
            }
        });
        Figure::new("gaps", plot)
            .note("The largest difference between two groups, with limits that hold for all pairs.")
            .x_label("difference")
    }

    /// Selection rates of intersections: a heat map of two features, a list of more.
    fn intersections(&self) -> Section {
        let features = self.frame.features();
        if let [rows, columns] = features {
            let value = |row: &Option<String>, column: &Option<String>| {
                let group = Group { values: vec![row.clone(), column.clone()] };
                let counts = self.frame.group(&group)?;
                if counts.rows() < self.suppress_below {
                    return None;
                }
                Metric::SelectionRate.of(counts).value
            };
            let names = |at: usize| -> Vec<Option<String>> {
                let mut names: Vec<_> = self
                    .frame
                    .groups()
                    .filter_map(|(group, _)| group.values.get(at).cloned())
                    .collect();
                names.sort();
                names.dedup();
                names
            };
            let (down, across) = (names(0), names(1));
            let values: Vec<Vec<f64>> = down
                .iter()
                .map(|row| across.iter().map(|c| value(row, c).unwrap_or(f64::NAN)).collect())
                .collect();
            let label = |name: &Option<String>| name.clone().unwrap_or_else(|| "(null)".to_owned());
            let map = HeatMap::new(down.iter().map(label), across.iter().map(label), values);
            let figure = Figure::new("selection rate", map).y_label(rows).x_label(columns);
            return self.by(self.frame, None).folded(true).figure(figure);
        }
        self.by(self.frame, None).folded(true)
    }
}

/// What became of the rows of each group: the four cells of its confusion matrix side by side.
fn errors(frame: &MetricFrame) -> Figure {
    type Of = fn(&Counts) -> u64;
    let cells: [(&str, Of); 4] = [
        ("true positive", |c| c.true_positive),
        ("false negative", |c| c.false_negative),
        ("false positive", |c| c.false_positive),
        ("true negative", |c| c.true_negative),
    ];
    let mut plot = Distribution::categories(cells.map(|(name, _)| name));
    for (group, counts) in frame.groups().take(MOST_CURVES) {
        plot = plot.series(group.to_string(), cells.map(|(_, of)| of(counts)), 0);
    }
    let figure = Figure::new("outcomes", plot);
    match frame.groups().len() {
        0..=MOST_CURVES => figure.note("Each group's rows by label and prediction, as shares."),
        all => figure.note(format!("The first {MOST_CURVES} of {all} groups.")),
    }
}

/// ROC curves by group, where groups have them.
fn roc(scores: &MetricFrame<ScoreCounts>) -> Option<Figure> {
    let mut table = Table::new(["Group", "ROC AUC", "At least", "At most"]);
    let mut curves = Vec::new();
    for (group, counts) in scores.groups() {
        let (Ok(curve), Ok(auc)) = (counts.roc_curve(), counts.roc_auc()) else { continue };
        table = table.row((group.to_string(), auc.value, auc.low, auc.high));
        curves.push((group, curve));
    }
    if curves.is_empty() {
        return None;
    }
    let mut chart = Chart::new(table).line(Tone::Guide, [(0.0, 0.0), (1.0, 1.0)], "chance");
    for (at, (group, curve)) in curves.iter().take(MOST_CURVES).enumerate() {
        let tone = Tone::Series(at as u8);
        chart = chart.line(tone, thinned(curve), group.to_string()).legend(tone, group.to_string());
    }
    let figure = Figure::new("ROC by group", chart);
    Some(figure.x_label("false-positive rate").y_label("true-positive rate"))
}

/// Calibration by group: the share of positives over the mean score of ten bins.
fn calibration(scores: &MetricFrame<ScoreCounts>) -> Option<Figure> {
    const BINS: u32 = 10;
    let mut table = Table::new(["Group", "Mean score", "Positive", "Rows"]);
    let mut chart_of = Vec::new();
    for (group, counts) in scores.groups().take(MOST_CURVES) {
        let Ok(curve) = counts.calibration_curve(BINS) else { continue };
        for bin in &curve {
            table = table.row((group.to_string(), bin.mean_score, bin.positive_share, bin.rows));
        }
        chart_of.push((group, curve));
    }
    if chart_of.is_empty() {
        return None;
    }
    let mut chart = Chart::new(table).line(Tone::Guide, [(0.0, 0.0), (1.0, 1.0)], "calibrated");
    for (at, (group, curve)) in chart_of.iter().enumerate() {
        let tone = Tone::Series(at as u8);
        let points: Vec<_> = curve.iter().map(|bin| (bin.mean_score, bin.positive_share)).collect();
        chart = chart.line(tone, points, group.to_string()).legend(tone, group.to_string());
    }
    let figure = Figure::new("calibration by group", chart);
    Some(figure.x_label("mean score").y_label("share of positives"))
}

/// A curve of at most some hundred points, the ends among them.
fn thinned(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const MOST: usize = 200;
    let step = curve.len().div_ceil(MOST).max(1);
    let mut points: Vec<_> = curve.iter().copied().step_by(step).collect();
    points.extend(curve.last());
    points
}

/// Every rate of every group.
fn rates(frame: &MetricFrame) -> Table {
    let mut columns = vec!["Group".to_owned(), "Rows".to_owned()];
    columns.extend(Metric::ALL.iter().map(|m| m.name().replace('_', " ")));
    let mut table = Table::new(columns);
    for (group, counts) in frame.groups() {
        let mut row = vec![Cell::from(group.to_string()), Cell::from(counts.rows())];
        row.extend(Metric::ALL.iter().map(|m| Cell::from(m.of(counts).value)));
        table = table.row(row);
    }
    table
}

/// A section with the gate's verdicts, and for every sensitive feature its groups' rates with
/// their Wilson limits; [`FairnessReport`] says more.
pub fn section(frame: &MetricFrame, gate: &Assessment, confidence: f64) -> Section {
    let report = FairnessReport::new(frame).limits(confidence);
    let mut section = Section::new("Fairness").verdict(gate.verdict).findings(gate);
    for feature in frame.features() {
        let Ok(frame) = frame.feature(feature) else { continue };
        section = section.section(report.by(&frame, None));
    }
    section
}

/// A section with the rates of each group of a frame.
pub fn by_feature(frame: &MetricFrame, confidence: f64) -> Section {
    FairnessReport::new(frame).limits(confidence).by(frame, None)
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{BooleanArray, Float64Array, StringArray};
    use mlops_core::report::junit;
    use mlops_core::stats::Draws;
    use mlops_core::{DataSourceExt, MemorySource, batch};

    use super::*;
    use crate::{GapKind, GroupCounts, GroupScores};

    fn people() -> MemorySource {
        let mut draws = Draws::new(3, 0, 0);
        let rows: Vec<(usize, usize, bool, f64)> = (0..900)
            .map(|i| {
                let (sex, race) = (i % 2, if i < 5 { 2 } else { i / 2 % 2 });
                let score = draws.uniform();
                (sex, race, draws.bernoulli(score), score)
            })
            .collect();
        MemorySource::from(
            batch! {
                "sex" => StringArray::from_iter_values(rows.iter().map(|r| ["F", "M"][r.0])),
                "race" => StringArray::from_iter_values(rows.iter().map(|r| ["a", "<b>", "c|d"][r.1])),
                "y" => rows.iter().map(|r| Some(r.2)).collect::<BooleanArray>(),
                "p" => rows.iter().map(|r| Some(r.3 > 0.5)).collect::<BooleanArray>(),
                "s" => Float64Array::from_iter_values(rows.iter().map(|r| r.3)),
            }
            .unwrap(),
        )
    }

    #[test]
    fn every_form_of_it_says_what_it_must() {
        let source = people();
        let counts = GroupCounts::new("p", "true", ["sex", "race"]).with_labels("y");
        let frame = source.measure(&counts).unwrap();
        let scores = source.measure(&GroupScores::new("y", "true", "s", ["sex", "race"])).unwrap();
        let gate = FairnessGate::new("policy")
            .rule(GapKind::DemographicParityDifference, "sex", 0.1)
            .rule(GapKind::EqualizedOddsDifference, "race", 0.1);
        let found = gate.judge(&frame);
        let page =
            FairnessReport::new(&frame).gate(&gate, &found).scores(&scores).suppress_below(10);
        let report = page.report("Loans");
        let html = report.to_html();
        for said in
            ["ROC by group", "calibration by group", "Not shown", "selection rate", "&lt;b&gt;"]
        {
            assert!(html.contains(said), "{said}");
        }
        assert!(!html.contains("<b>") || !html.contains("<b></b>"));
        assert!(report.to_markdown().contains("By race"));
        assert!(report.to_terminal(80, false).contains("Loans"));
        // Text, because no NaN is like another.
        let json = report.to_json().unwrap();
        assert!(Report::from_json(&json).unwrap().to_json().unwrap() == json);
        assert!(junit([&found]).contains("demographic_parity_difference"));
        // The five people of the third race are named and not counted.
        assert!(html.contains("c|d") && !report.to_markdown().contains("| c|d |"));
        assert!(page.section().verdict.is_some());
    }

    #[test]
    fn nothing_is_no_page_that_breaks() {
        let empty = MetricFrame::new(vec!["g".into()], []);
        let html = FairnessReport::new(&empty).report("Nothing").to_html();
        assert!(html.contains("Nothing"));
        assert!(by_feature(&empty, 0.95).title.contains('g'));
    }
}
