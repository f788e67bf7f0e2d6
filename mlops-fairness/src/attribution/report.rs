//! One page about a model's attributions.

use arrow::array::RecordBatch;
use mlops_core::Result;
use mlops_core::report::{Cell, Report, Section, Table};

use super::labels::short;
use super::pictures::{bar, beeswarm, cohort_bars, curve, dependence, gap, interactions};
use super::row_pictures::{decision, force, heat_map, same_rows, waterfall};
use super::{
    AttributionGap, Attributions, DependenceCurve, Interactions, Labels, PermutationImportances,
    Summary,
};

/// Features whose dependence is drawn.
const DEPENDENCES: usize = 6;
/// Rows that are explained one by one.
const ROWS: usize = 3;

/// A page about what moves a model's predictions: from a [`Summary`] of any number of rows, and, where
/// they are given, some rows with their attributions, gaps between groups, and what else was
/// measured. [`to_report`](Self::to_report) gives a [`Report`], which writes itself as one HTML file,
/// Markdown, JSON or text.
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, model::LinearModel};
/// use mlops_fairness::attribution::{
///     AttributionReport, AttributionSummary, ExplainedSource, Labels, LinearExplainer,
/// };
///
/// let rows = batch! { "years" => Float64Array::from(vec![2.0, 8.0, 4.0, 6.0]) }?;
/// let source = MemorySource::from(rows.clone());
/// let model = LinearModel::regression(["years"], [1.0], 0.0)?;
/// let explainer = Arc::new(LinearExplainer::new(&model, &source)?);
/// let analyzer = AttributionSummary::of(&explainer)?;
/// let summary = ExplainedSource::new(Arc::new(source), explainer.clone())?.measure(&analyzer)?;
/// let page = AttributionReport::new("Loan model", summary)
///     .labels(Labels::new().feature("years", "Years of work", Some("a")))
///     .rows(explainer.explain(&rows)?, rows)
///     .to_report()?;
/// assert!(page.to_html().contains("= 8 a"));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AttributionReport {
    title: String,
    summary: Summary,
    labels: Labels,
    method: Option<String>,
    rows: Option<(Attributions, RecordBatch)>,
    gaps: Vec<AttributionGap>,
    importance: Option<PermutationImportances>,
    curves: Vec<DependenceCurve>,
    interactions: Option<Interactions>,
}

impl AttributionReport {
    /// A page of this title about this summary.
    pub fn new(title: impl Into<String>, summary: Summary) -> Self {
        Self {
            title: title.into(),
            summary,
            labels: Labels::new(),
            method: None,
            rows: None,
            gaps: Vec::new(),
            importance: None,
            curves: Vec::new(),
            interactions: None,
        }
    }

    /// The same, with names and units.
    #[must_use]
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// The same, with a sentence on how the attributions were made: explainer, background, model.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// The same, with rows to be shown one by one and side by side, and their data: the batch that was
    /// explained.
    #[must_use]
    pub fn rows(mut self, attributions: Attributions, data: RecordBatch) -> Self {
        self.rows = Some((attributions, data));
        self
    }

    /// The same, with a gap between groups.
    #[must_use]
    pub fn gap(mut self, gap: AttributionGap) -> Self {
        self.gaps.push(gap);
        self
    }

    /// The same, with what features are worth to a score.
    #[must_use]
    pub fn importance(mut self, importance: PermutationImportances) -> Self {
        self.importance = Some(importance);
        self
    }

    /// The same, with a partial dependence.
    #[must_use]
    pub fn curve(mut self, curve: DependenceCurve) -> Self {
        self.curves.push(curve);
        self
    }

    /// The same, with interaction values, of which the first output is shown.
    #[must_use]
    pub fn interactions(mut self, interactions: Interactions) -> Self {
        self.interactions = Some(interactions);
        self
    }

    /// The page.
    ///
    /// # Errors
    /// [`Error::Invalid`](mlops_core::Error::Invalid) for rows with several outputs;
    /// [`Error::Length`](mlops_core::Error::Length) for rows and data of different lengths;
    /// [`Error::Undefined`](mlops_core::Error::Undefined) for interactions of no rows.
    pub fn to_report(&self) -> Result<Report> {
        let (summary, labels) = (&self.summary, &self.labels);
        if let Some((attributions, data)) = &self.rows {
            same_rows(attributions, data)?;
        }
        let mut report = Report::new(&self.title)
            .subtitle(labels.title(&summary.output))
            .meta("Rows", summary.rows)
            .meta("Features", summary.features.len() as u64)
            .meta("Output", summary.output.as_str());
        if let Some(mean) = summary.mean_prediction {
            report = report.meta("Mean prediction", Cell::number(mean, 4));
        }
        if summary.skipped > 0 {
            report = report.meta("Rows left out", summary.skipped);
        }
        report = report.section(
            Section::new("What matters")
                .text(
                    "φ is what a feature added in a row: the base value, which is the mean \
                     prediction of the background, and the φ of all features add up to the row's \
                     prediction.",
                )
                .figure(beeswarm(summary, labels))
                .figure(bar(summary, labels)),
        );
        let known = summary.features.iter().filter(|f| {
            f.mean_absolute > 0.0 && f.values.iter().any(|v| v.place != super::ValuePlace::Missing)
        });
        let figures = known
            .take(DEPENDENCES)
            .map(|f| dependence(summary, &f.feature, labels))
            .collect::<Result<Vec<_>>>()?;
        if !figures.is_empty() {
            report = report.section(Section::new("How values move predictions").figures(figures));
        }
        if !summary.interactions.is_empty() {
            let rows = summary.interactions.iter().map(|i| {
                let (a, b) = (labels.name(&i.features.0), labels.name(&i.features.1));
                (a, b, i.mean_absolute, i.mean)
            });
            let table = Table::new(["Feature", "With", "Mean |φ|", "Mean φ"]).rows(rows).limit(20);
            report = report.section(Section::new("Interactions").table(table));
        }
        if let Some(found) = &self.interactions {
            let figure = interactions(found, 0, labels)?;
            report = report.section(Section::new("Features together").figure(figure));
        }
        if !summary.cohorts.is_empty() {
            report = report.section(Section::new("Cohorts").figure(cohort_bars(summary, labels)));
        }
        if !self.gaps.is_empty() {
            let figures = self.gaps.iter().map(|g| gap(g, labels));
            let section = figures.fold(Section::new("Gaps between groups"), Section::figure);
            report = report.section(section);
        }
        if let Some((attributions, data)) = &self.rows {
            report = report.section(self.all_rows(attributions)?);
            report = report.section(self.single_rows(attributions, data)?);
        }
        if let Some(importance) = &self.importance {
            let rows = importance
                .features
                .iter()
                .map(|f| (labels.name(&f.feature), f.mean, f.standard_error));
            let table = Table::new(["Feature", "Loss of score", "Standard error"]).rows(rows);
            report = report.section(
                Section::new("What the score rests on")
                    .text(format!(
                        "The score is {}. This is what it loses when a feature's values are dealt \
                         out anew among the rows.",
                        short(importance.score)
                    ))
                    .table(table.limit(20)),
            );
        }
        if !self.curves.is_empty() {
            let mut figures = Vec::new();
            for found in &self.curves {
                // Of two classes the second; the first mirrors it.
                let first = usize::from(found.outputs.len() == 2);
                for output in &found.outputs[first..] {
                    figures.push(curve(found, output, labels)?);
                }
            }
            report = report.section(Section::new("Partial dependence").figures(figures));
        }
        if let Some(section) = self.how() {
            report = report.section(section);
        }
        Ok(report)
    }

    fn all_rows(&self, attributions: &Attributions) -> Result<Section> {
        Ok(Section::new("Rows side by side")
            .figure(heat_map(attributions, &self.labels)?)
            .figure(decision(attributions, &self.labels)?))
    }

    /// The rows of the lowest, the middle and the highest prediction.
    fn single_rows(&self, attributions: &Attributions, data: &RecordBatch) -> Result<Section> {
        let mut order: Vec<usize> = (0..attributions.len()).collect();
        let of = |row: usize| attributions.prediction(row, 0).unwrap_or(f64::NAN);
        order.sort_by(|&a, &b| of(b).total_cmp(&of(a)).then_with(|| a.cmp(&b)));
        let mut chosen: Vec<usize> =
            (0..ROWS.min(order.len())).map(|i| order[i * (order.len() - 1) / (ROWS - 1)]).collect();
        chosen.dedup();
        let mut section = Section::new("Single rows")
            .text("The highest prediction of these rows, the middle one, and the lowest.");
        for row in chosen {
            section = section
                .figure(waterfall(attributions, row, Some(data), &self.labels)?)
                .figure(force(attributions, row, Some(data), &self.labels)?);
        }
        Ok(section)
    }

    fn how(&self) -> Option<Section> {
        let mut section = Section::new("How this was made");
        if let Some(method) = &self.method {
            section = section.text(method);
        }
        let Some((attributions, _)) = &self.rows else {
            return self.method.is_some().then_some(section);
        };
        let found = &attributions.additivity;
        let mut facts = vec![
            ("Explained", Cell::from(attributions.space.to_string())),
            ("Largest error of base + Σφ, relative", Cell::number(found.worst, 2)),
        ];
        if let Some(tolerance) = found.tolerance {
            facts.push(("Tolerance of that", Cell::number(tolerance, 2)));
        }
        if let Some(errors) = &attributions.standard_errors {
            let largest = errors.iter().copied().fold(0.0, f64::max);
            facts.push(("Largest standard error of φ", Cell::number(largest, 2)));
        }
        Some(section.key_values(facts))
    }
}
