//! Fairness for people who would rather look: rates by group with their limits, and the verdicts.

use mlops_core::Assessment;
use mlops_core::report::{Cell, Figure, Intervals, Section, Table};

use crate::{Metric, MetricFrame};

/// The rates that a page shows as pictures.
const PICTURES: [Metric; 3] =
    [Metric::SelectionRate, Metric::TruePositiveRate, Metric::FalsePositiveRate];

/// A section with the gate's verdicts, and for every sensitive feature its groups' rates with
/// their Wilson limits.
pub fn section(frame: &MetricFrame, gate: &Assessment, confidence: f64) -> Section {
    let mut section = Section::new("Fairness").verdict(gate.verdict).findings(gate);
    for feature in frame.features() {
        let Ok(frame) = frame.feature(feature) else { continue };
        section = section.section(by_feature(&frame, confidence));
    }
    section
}

/// A section with the rates of each group of a frame.
pub fn by_feature(frame: &MetricFrame, confidence: f64) -> Section {
    let title = format!("By {}", frame.features().join(" × "));
    let mut columns = vec!["Group".to_owned(), "Rows".to_owned()];
    columns.extend(Metric::ALL.iter().map(|m| m.name().replace('_', " ")));
    let mut table = Table::new(columns);
    for (group, counts) in frame.groups() {
        let mut row = vec![Cell::from(group.to_string()), Cell::from(counts.rows())];
        row.extend(Metric::ALL.iter().map(|m| Cell::from(m.of(counts).value)));
        table = table.row(row);
    }
    let figures = PICTURES.iter().map(|&metric| {
        let mut plot = Intervals::new();
        for (group, rate) in frame.by_group(metric) {
            let limits = rate.interval(confidence).map(|i| (i.low, i.high));
            let label = format!("{group} (n = {})", rate.denominator);
            plot = plot.point(label, rate.value.unwrap_or(f64::NAN), limits, None);
        }
        if let Some(overall) = frame.overall(metric).value {
            plot = plot.bound("everyone", overall);
        }
        Figure::new(metric.name().replace('_', " "), plot)
    });
    Section::new(title).figures(figures.collect::<Vec<_>>()).table(table)
}
