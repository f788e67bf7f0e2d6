//! Three tasks and a fork: typed stages, retries, events, and a report of the run.
//!
//! `cargo run --example pipeline`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mlops::arrow::array::{Float64Array, RecordBatch};
use mlops::core::pipeline::{Event, EventKind, Pipeline, Retry, Runner, stage, stage_with};
use mlops::core::states::{NumericSummary, Summary};
use mlops::core::{DataSourceExt, Error, MemorySource, batch};

fn main() -> Result<(), Error> {
    // A download that works the second time, as they do.
    let attempts = AtomicU32::new(0);
    let extract = stage("extract", move |()| {
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Error::other("the warehouse", "connection reset"));
        }
        batch! { "price" => Float64Array::from_iter_values((0..50_000).map(f64::from)) }
    })
    .retry(Retry::times(3).base_delay(Duration::from_millis(50)));

    // A scan inside a stage tells the run how far it is, and stops with it.
    let summarize = stage_with("summarize", |rows: &RecordBatch, context| {
        let source = MemorySource::from(rows.clone());
        let scan = source.scan().on_progress(context).cancel(context.cancel());
        let summary = scan.run(&NumericSummary::new("price"))?;
        context.note(format!("mean {:.1}", summary.mean().unwrap_or(f64::NAN)));
        Ok(summary)
    });
    let count = stage("count", |rows: &RecordBatch| Ok(rows.num_rows()));
    let report = stage("report", |(summary, rows): &(Arc<Summary>, Arc<usize>)| {
        Ok(format!("price: {summary}; both counted alike: {}", summary.rows == **rows as u64))
    });

    // Nodes are typed: a stage in the wrong place does not compile, and a cycle can't be written.
    let mut pipeline = Pipeline::new();
    let rows = pipeline.add(extract);
    let summary = pipeline.add_after(summarize, rows);
    let count = pipeline.add_after(count, rows); // runs beside `summarize`
    let report = pipeline.add_after(report, (summary, count));

    let show = |event: &Event<'_>| match &event.kind {
        EventKind::Progress { .. } => {}
        _ => println!("{event}"),
    };
    let run = Runner::new().on_event(&show).run(&pipeline)?;
    println!("\n{}", run.report());
    println!("\n{}", run.get(report)?);

    // The same as one line, where the stages stand in a row.
    let shout =
        stage("ask", |()| Ok("what is it?")) >> stage("shout", |s: &&str| Ok(s.to_uppercase()));
    println!("{}", shout.run(&Runner::new())?);
    Ok(())
}
