//! A table of daily files: only the new day is read, and its numbers are held to the days before.
//!
//! `cargo run --example validate_history`
#![expect(clippy::print_stdout, reason = "an example prints")]

use indicatif::{ProgressBar, ProgressStyle};
use mlops::arrow::array::{Float64Array, Int64Array};
use mlops::core::stats::Draws;
use mlops::core::{DataSourceExt, Error, MemorySource, Progress, Timestamp, batch};
use mlops::data::{FilesSource, ParquetSink, write_all};
use mlops::validate::history::{HistoryGate, MetricHistory, MetricRecord, StateStore};
use mlops::validate::{Suite, in_range, not_null, row_count};

const DAYS: u32 = 60;

/// The applications of a day: fewer at weekends, and on the last day half of the incomes are lost.
fn applications(day: u32) -> Result<MemorySource, Error> {
    let mut draws = Draws::new(9, 0, u64::from(day));
    let n = if day % 7 >= 5 { 2_000 } else { 5_000 } + draws.below(300) as i64;
    let lost = if day == DAYS - 1 { 0.5 } else { 0.02 };
    let incomes =
        (0..n).map(|_| (!draws.bernoulli(lost)).then(|| 40_000.0 + 9_000.0 * draws.normal()));
    Ok(MemorySource::from(batch! {
        "income" => incomes.collect::<Float64Array>(),
        "id" => Int64Array::from_iter_values(0..n),
    }?))
}

fn main() -> Result<(), Error> {
    let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
    let table = directory.path().join("applications");
    std::fs::create_dir(&table).map_err(|e| Error::io(&table, e))?;

    let suite = Suite::new("applications")
        .expect(row_count(1_000..))
        .expect(not_null("income").mostly(0.4))
        .expect(in_range("income", 0.0..=100_000.0).mostly(0.99));
    let gate = HistoryGate::from_yaml(
        "
name: applications over time
checks:
- {metric: rows, anomaly: holt_winters, period: 7}
- {metric: not_null, subject: income, anomaly: robust_z, side: below}
- {metric: not_null, subject: income, anomaly: relative_change, max_decrease: 0.2}
",
    )?;
    let history = MetricHistory::open(directory.path().join("metrics.jsonl"))?;
    let store = StateStore::open(directory.path().join("states"))?;

    for day in 0..DAYS {
        let path = table.join(format!("day-{day:03}.parquet"));
        let rows = applications(day)?;
        let sink = ParquetSink::create(&path, rows.collect()?.schema())?;
        write_all(&rows, Box::new(sink))?;

        // The new day by itself, against the days before it.
        let today = FilesSource::of([path])?;
        let (found, _) = store.validate(today.scan(), &suite)?;
        let run = MetricRecord::of(&found, Timestamp::from_millis(i64::from(day) * 86_400_000));
        let judged = gate.judge(&history, &run)?;
        history.append(&run)?;
        if day + 1 == DAYS {
            println!("{found}\n\n{judged}\n");
        }
    }

    // The whole table, of which every file has been measured already.
    let all = FilesSource::open(&table)?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} partitions")
        .map_err(|e| Error::other("the style of a progress bar", e))?;
    let bar = ProgressBar::new(0).with_style(style);
    let show = |p: &Progress| {
        bar.set_length(p.partitions_total.unwrap_or(0));
        bar.set_position(p.partitions);
    };
    let (found, reuse) = store.validate(all.scan().on_progress(&show), &suite)?;
    bar.finish_and_clear();
    println!("all {DAYS} files: {found}\n{reuse}");
    Ok(())
}
