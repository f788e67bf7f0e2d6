//! A profile of the training data, some KiB large, watches what comes in.
//!
//! `cargo run --example drift -- reference.parquet current.parquet [directory for the page]`
//! compares two files; without files it makes two months of loan applications and compares those.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use mlops::arrow::array::{Float64Array, StringArray};
use mlops::core::alert::{Alert, AlertSink, LogSink};
use mlops::core::stats::Draws;
use mlops::core::{
    DataSource, DataSourceExt, Error, MemorySource, Plan, Progress, Timestamp, batch,
};
use mlops::data::{ParquetSink, ParquetSource, write_all};
use mlops::drift::{DriftMonitor, DriftRule, ProfileOptions, ReferenceProfile};

/// Applicants of a month: incomes, ages, and where they come from.
fn applicants(month: u32, rows: usize, raise: f64, south: f64) -> Result<MemorySource, Error> {
    let mut draws = Draws::new(11, month, 0);
    let (mut incomes, mut ages, mut regions) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        incomes.push((20_000.0 + 40_000.0 * draws.uniform() * draws.uniform()) * raise);
        // Nobody has to tell.
        ages.push((draws.uniform() < 0.9).then(|| (18.0 + 50.0 * draws.uniform()).floor()));
        regions.push(if draws.uniform() < south { "south" } else { "north" });
    }
    let rows = batch! {
        "income" => Float64Array::from(incomes),
        "age" => Float64Array::from(ages),
        "region" => StringArray::from(regions),
    }?;
    Ok(MemorySource::from(rows).named(format!("month {month}")))
}

fn write(source: &MemorySource, path: &Path) -> Result<(), Error> {
    let sink = ParquetSink::create(path, source.schema())?;
    write_all(source, Box::new(sink)).map(drop)
}

fn main() -> Result<(), Error> {
    let scratch = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
    let mut given = std::env::args().skip(1).map(PathBuf::from);
    let (reference, current) = if let (Some(reference), Some(current)) =
        (given.next(), given.next())
    {
        (reference, current)
    } else {
        let files = (scratch.path().join("training.parquet"), scratch.path().join("march.parquet"));
        write(&applicants(0, 20_000, 1.0, 0.30)?, &files.0)?;
        write(&applicants(3, 4_000, 1.25, 0.30)?, &files.1)?;
        files
    };
    let page = given.next().unwrap_or_else(|| scratch.path().into()).join("drift.html");

    // Fitted once, when the model is trained, and stored with it; the training data stay home.
    let training = ParquetSource::open(reference)?;
    let profile = ReferenceProfile::fit(&training, &ProfileOptions::default())?;
    let stored = profile.to_bytes();
    println!("{profile}\n{} bytes to keep with the model\n", stored.len());

    // One scan of what came in; every statistic and the verdict come from counts.
    let monitor = DriftMonitor::new(ReferenceProfile::from_bytes(&stored)?);
    let current = ParquetSource::open(current)?;
    let mut plan = Plan::new();
    let judge = monitor.plan_report(&current.schema(), &mut plan);
    let bar = ProgressBar::no_length();
    let show = |p: &Progress| {
        bar.set_length(p.rows_total.unwrap_or(p.rows));
        bar.set_position(p.rows);
    };
    let measured = current.scan().on_progress(&show).run(&plan)?;
    bar.finish_and_clear();
    let report = judge.judge(&measured)?;
    println!("{report}\n");
    report.to_report().write_html(&page)?;
    println!("the page: {}\n", page.display());

    // What is not a pass goes where somebody looks.
    let at: Timestamp = "2026-04-01T00:00:00Z".parse()?;
    if let Some(alert) = Alert::from_assessment(&report.assessment(), at) {
        LogSink::to_writer(std::io::stdout()).send(&alert)?;
        println!();
    }

    // Every statistic is there to look at.
    if let Some(column) = report.ranked().first() {
        println!("`{}` by every statistic:", column.column);
        for s in &column.statistics {
            println!("  {:<24} {:.4}", s.statistic.to_string(), s.value);
        }
    }

    // "Not significant" is not a pass: forty rows can't show that nothing has changed. And floors
    // can be set for each column.
    let own =
        ReferenceProfile::fit(&applicants(0, 20_000, 1.0, 0.30)?, &ProfileOptions::default())?;
    let few = DriftMonitor::new(own.clone()).compare(&applicants(5, 40, 1.0, 0.30)?)?;
    println!("\nforty rows: {}", few.verdict);
    let lenient = DriftMonitor::with_rule(own, DriftRule::default().floor("income", 0.4))?;
    let raised = lenient.compare(&applicants(3, 4_000, 1.25, 0.30)?)?;
    println!("a floor of 0.4 under the effect on income: {}", raised.verdict);
    Ok(())
}
