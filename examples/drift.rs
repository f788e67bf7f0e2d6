//! A profile of the training data, some KiB large, watches what comes in.
//!
//! `cargo run --example drift`
#![expect(clippy::print_stdout, reason = "an example prints")]

use mlops::arrow::array::{Float64Array, StringArray};
use mlops::core::alert::{Alert, AlertSink, LogSink};
use mlops::core::stats::Draws;
use mlops::core::{Error, MemorySource, Timestamp, batch};
use mlops::drift::{DriftMonitor, DriftRule, ProfileOptions, ReferenceProfile};

/// Applicants of a month: incomes, and where they come from.
fn applicants(month: u32, rows: usize, raise: f64, south: f64) -> Result<MemorySource, Error> {
    let mut draws = Draws::new(11, month, 0);
    let mut incomes = Vec::with_capacity(rows);
    let mut regions = Vec::with_capacity(rows);
    for _ in 0..rows {
        let income = 20_000.0 + 40_000.0 * draws.uniform() * draws.uniform();
        incomes.push(income * raise);
        regions.push(if draws.uniform() < south { "south" } else { "north" });
    }
    let rows = batch! {
        "income" => Float64Array::from(incomes),
        "region" => StringArray::from(regions),
    }?;
    Ok(MemorySource::from(rows).named(format!("month {month}")))
}

fn main() -> Result<(), Error> {
    // Fitted once, when the model is trained, and stored with it; the training data stay home.
    let training = applicants(0, 20_000, 1.0, 0.30)?;
    let profile = ReferenceProfile::fit(&training, &ProfileOptions::default())?;
    let stored = profile.to_bytes();
    println!("{profile}\n{} bytes to keep with the model\n", stored.len());

    let monitor = DriftMonitor::new(ReferenceProfile::from_bytes(&stored)?);
    let alerts = LogSink::to_writer(std::io::stdout());
    let months = [(1, 1.0, 0.30), (2, 1.0, 0.31), (3, 1.25, 0.30), (4, 1.0, 0.55)];
    for (month, raise, south) in months {
        let report = monitor.compare(&applicants(month, 4_000, raise, south)?)?;
        println!("month {month}: {report}\n");
        let at: Timestamp = format!("2026-{month:02}-01T00:00:00Z").parse()?;
        if let Some(alert) = Alert::from_assessment(&report.assessment(), at) {
            alerts.send(&alert)?;
            println!();
        }
    }

    // "Not significant" is not a pass: forty rows can't show that nothing has changed.
    let few = monitor.compare(&applicants(5, 40, 1.0, 0.30)?)?;
    println!("forty rows: {}\n", few.verdict);

    // Floors can be set for each column; every statistic is there to look at.
    let rule = DriftRule::default().floor("income", 0.4);
    let lenient = DriftMonitor::with_rule(monitor.profile().clone(), rule)?;
    let report = lenient.compare(&applicants(3, 4_000, 1.25, 0.30)?)?;
    if let Some(income) = report.column("income") {
        println!("with a floor of 0.4, month 3 of `income` is {}", income.verdict);
        for s in &income.statistics {
            println!("  {:<16} {:.4}", s.statistic.to_string(), s.value);
        }
    }
    Ok(())
}
