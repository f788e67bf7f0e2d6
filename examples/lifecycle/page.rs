//! The page: what was found, the worst first, and the numbers behind it.

use mlops::core::report::{Bars, Cell, Figure, HeatMap, Line, Report, Section, Table};
use mlops::core::{Assessment, Verdict};

use crate::args::Args;
use crate::loans::{Injected, month_name};
use crate::production::{Life, Seen};
use crate::release::CHAMPION;
use crate::training::CONFIDENCE;

/// The report of a life.
pub fn of(life: &Life, args: &Args) -> Report {
    let story = &life.story;
    let mut report = Report::new(format!("The life of a model on {}", story.name))
        .subtitle(format!(
            "Predicts `{}` = {}; trained on the past, watched over {} windows of production",
            story.label,
            story.positive,
            life.seen.len()
        ))
        .meta("Rows of the past", story.past.num_rows() as u64)
        .meta("Seed", args.seed)
        .verdict(life.promoted.as_ref().map_or(Verdict::Fail, |_| Verdict::Pass));
    let quiet = life.seen.iter().filter(|s| s.is_quiet()).count();
    report = report.text(match &life.promoted {
        Ok(_) => format!(
            "The first model passed its gates, was approved and promoted. {quiet} of {} windows of \
             production were quiet.",
            life.seen.len()
        ),
        Err(reasons) => format!("The first model was blocked: {}.", reasons.join("; ")),
    });
    if args.data.is_none() {
        report = report.text(injected());
    }
    report = report.section(production(life)).section(model(life));
    report = report.section(mlops::fairness::report::section(
        &life.judged.frame,
        &life.judged.fairness,
        CONFIDENCE,
    ));
    for seen in life.seen.iter().filter(|s| !s.is_quiet()) {
        report = report.section(window(seen));
    }
    report.section(validation(life)).section(registry(life))
}

fn injected() -> String {
    format!(
        "This stream was made, with three things put into it: in {} {:.0} % of the incomes came in \
         thousands and a tenth of the ages is missing; from {} on applicants use {} standard \
         deviations more of their credit, and earn a fifth less; in {} and {} {:.0} % of the \
         repayments of women are booked as defaults.",
        month_name(Injected::FAULT),
        Injected::FAULT_SHARE * 100.0,
        month_name(Injected::DRIFT),
        Injected::DRIFT_SHIFT,
        month_name(Injected::BIAS[0]),
        month_name(Injected::BIAS[1]),
        Injected::BIAS_SHARE * 100.0
    )
}

/// Every window in a row of a table, and the accuracy over time.
fn production(life: &Life) -> Section {
    let columns =
        ["Window", "Rows", "In quarantine", "Data", "Drift", "Outcomes", "Accuracy", "Retrained"];
    let mut table = Table::new(columns).limit(60);
    for seen in &life.seen {
        let retrained = match &seen.retrained {
            None => String::new(),
            Some(r) => match (r.version, r.promoted) {
                (Some(version), true) => format!("version {version} promoted"),
                (Some(version), false) => format!("version {version} blocked"),
                (None, _) => "not possible".to_owned(),
            },
        };
        table = table.row(vec![
            Cell::from(seen.name.as_str()),
            Cell::from(seen.rows as u64),
            Cell::from(seen.split.bad),
            Cell::from(seen.split.assessment.verdict),
            Cell::from(seen.drift.verdict),
            Cell::from(seen.outcomes.as_ref().map(|o| o.verdict)),
            Cell::from(seen.accuracy.map(|(accuracy, _, _)| Cell::number(accuracy, 3))),
            Cell::from(retrained),
        ]);
    }
    let of = |pick: fn((f64, f64, f64)) -> f64| -> Vec<f64> {
        life.seen.iter().map(|s| s.accuracy.map_or(f64::NAN, pick)).collect()
    };
    let mut line = Line::over(life.seen.iter().map(|s| s.name.clone()))
        .series("accuracy", of(|a| a.0))
        .band(of(|a| a.1), of(|a| a.2));
    if let Some(at) = life.judged.report.accuracy.value {
        line = line.bound("hold-out", at);
    }
    for (i, seen) in life.seen.iter().enumerate() {
        if seen.retrained.as_ref().is_some_and(|r| r.promoted) {
            line = line.mark(i, "retrained");
        }
    }
    let figure = Figure::new("Accuracy of the model in production", line)
        .note(format!("With {:.0} % Wilson limits.", CONFIDENCE * 100.0));
    Section::new("Production, window by window").table(table).figure(figure)
}

/// What the model is worth, and what moves it.
fn model(life: &Life) -> Section {
    let report = &life.judged.report;
    let mut table = Table::new(["Metric", "Value", "Low", "High"]);
    for (name, metric) in report.metrics() {
        let limits = metric.interval;
        table = table.row(vec![
            Cell::from(name),
            Cell::from(metric.value),
            Cell::from(limits.map(|i| i.low)),
            Cell::from(limits.map(|i| i.high)),
        ]);
    }
    let c = &report.confusion;
    let counts =
        [vec![c.true_negatives, c.false_positives], vec![c.false_negatives, c.true_positives]];
    let classes = [life.story.negative.as_str(), life.story.positive.as_str()];
    let importance =
        Bars::new(life.importance.iter().map(|f| (f.feature.as_str(), f.mean_absolute)));
    let explained = &life.explained;
    let first_row = explained.row(0).unwrap_or_default();
    let one =
        Bars::new(explained.features.iter().map(String::as_str).zip(first_row.iter().copied()));
    let one_note = format!(
        "From the mean log-odds {:.3} to this row's {:.3}: the bars add up to the difference.",
        explained.base_values[0],
        explained.predictions.first().copied().unwrap_or(f64::NAN)
    );
    Section::new("The model")
        .verdict(life.judged.quality.verdict)
        .text(format!("Judged on {} rows that it has not seen.", report.n))
        .table(table)
        .figures([
            Figure::new("Confusion", HeatMap::confusion(classes, &counts))
                .x_label("predicted")
                .y_label("came true"),
            Figure::new("What moves predictions", importance.longest_first().limit(15))
                .x_label("mean |φ|, log-odds")
                .note("Exact Shapley values of the linear margin, by column of the raw data."),
            Figure::new("One application", one.longest_first().limit(15))
                .x_label("φ, log-odds")
                .note(one_note),
        ])
        .findings(&life.judged.quality)
}

/// A window in which something was found.
fn window(seen: &Seen) -> Section {
    let mut section = Section::new(format!("Window {}", seen.name));
    if seen.faulty() {
        let mut reasons = Table::new(["Rows put aside by", "Rows"]);
        for (reason, rows) in &seen.split.reasons {
            reasons = reasons.row((reason.as_str(), *rows));
        }
        section = section.section(
            Section::new("Faulty rows")
                .verdict(Verdict::Fail)
                .text(format!("{} of {} rows are in quarantine.", seen.split.bad, seen.rows))
                .table(reasons)
                .findings(&failures(&seen.split.assessment)),
        );
    }
    if seen.drifted() {
        section = seen.drift.sections().into_iter().fold(section, Section::section);
    }
    if let Some(outcomes) = seen.outcomes.as_ref().filter(|_| seen.uneven()) {
        section = section.section(
            Section::new("Outcomes by group").verdict(outcomes.verdict).findings(outcomes),
        );
    }
    if let Some(retrained) = &seen.retrained {
        let verdict = Verdict::from_bool(retrained.promoted);
        let mut inner = Section::new("Retraining").verdict(verdict).text(match retrained.version {
            Some(version) if retrained.promoted => format!("Version {version} is the {CHAMPION}."),
            Some(version) => {
                format!("Version {version} is blocked: {}.", retrained.reasons.join("; "))
            }
            None => format!("Not possible: {}.", retrained.reasons.join("; ")),
        });
        if let Some(comparison) = &retrained.comparison {
            inner = inner.findings(comparison);
        }
        if let Some(found) = &retrained.judged {
            inner = inner.findings(&found.quality).section(mlops::fairness::report::section(
                &found.frame,
                &found.fairness,
                CONFIDENCE,
            ));
        }
        section = section.section(inner);
    }
    section
}

/// Only what failed.
fn failures(assessment: &Assessment) -> Assessment {
    let failed = assessment.failures().cloned().collect();
    Assessment::new(&assessment.name, assessment.rows, failed)
}

fn validation(life: &Life) -> Section {
    Section::new("What the data must be")
        .text("Inferred from the training part, with tolerances from its own variation:")
        .code(life.suite.to_yaml().unwrap_or_default())
        .section(Section::new("Leakage").verdict(life.leakage.verdict).findings(&life.leakage))
}

fn registry(life: &Life) -> Section {
    let mut history = Table::new([format!("Moves of `{CHAMPION}`")]);
    for change in &life.history {
        history = history.row([change.as_str()]);
    }
    Section::new("The registry").code(life.registry.clone()).table(history)
}
