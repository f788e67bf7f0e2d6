//! One pass over the data answers any number of questions, to the same bits however it is cut.
//!
//! `cargo run --example core_scan`
#![expect(clippy::print_stdout, reason = "an example prints")]

use indicatif::{ProgressBar, ProgressStyle};
use mlops::arrow::array::{Float64Array, StringArray};
use mlops::core::states::{CategoryCounts, Histogram, NumericSummary};
use mlops::core::stats::Draws;
use mlops::core::{Analyzer, DataSourceExt, Error, MemorySource, Plan, Progress, State, batch};

/// Loans of a made-up bank: amounts from 1,000 to 50,000, some of them missing.
fn loans(rows: u64, seed: u64) -> Result<MemorySource, Error> {
    let mut draws = Draws::new(seed, 0, 0);
    let mut amounts = Vec::new();
    let mut regions = Vec::new();
    for _ in 0..rows {
        let known = draws.uniform() > 0.01;
        amounts.push(known.then_some(1_000.0 + 49_000.0 * draws.uniform().powi(2)));
        regions.push(if draws.uniform() < 0.7 { "north" } else { "south" });
    }
    Ok(MemorySource::from(batch! {
        "amount" => Float64Array::from(amounts),
        "region" => StringArray::from(regions),
    }?))
}

fn main() -> Result<(), Error> {
    let source = loans(300_000, 1)?;

    // Questions are added to a plan, which hands out a typed handle for each answer.
    let mut plan = Plan::new();
    let amount = plan.add(NumericSummary::new("amount"));
    let sizes = plan.add(Histogram::new("amount", [1_000.0, 5_000.0, 20_000.0, 50_000.0])?);
    let regions = plan.add(CategoryCounts::new("region"));

    // One pass, over all cores; each column is read once, whoever asked for it.
    let bar = ProgressBar::new(300_000);
    bar.set_style(ProgressStyle::default_bar());
    let show = |p: &Progress| bar.set_position(p.rows);
    let measured = source.scan().on_progress(&show).run(&plan)?;
    bar.finish_and_clear();
    println!("amount:  {}", measured.get(&amount)?);
    println!("sizes:   {}", measured.get(&sizes)?);
    println!("regions: {}", measured.get(&regions)?);

    // A column that is not there is one bad answer; the others stand.
    let mut plan = Plan::new();
    let good = plan.add(NumericSummary::new("amount"));
    let bad = plan.add(NumericSummary::new("amuont"));
    let measured = source.measure(&plan)?;
    if let Err(error) = measured.get(&bad) {
        println!("\na typo:  {error}");
    }
    println!("and yet: {} rows of `amount` were measured", measured.get(&good)?.rows);

    // Yesterday's state, stored as bytes, and today's make the state of both days.
    let question = NumericSummary::new("amount");
    let mut stored = Vec::new();
    source.scan().state(&question)?.encode(&mut stored);
    let mut both = question.decode(&mut stored.as_slice())?;
    both.merge(loans(100_000, 2)?.scan().batch_size(777).state(&question)?)?;
    println!("\n{} bytes of yesterday's state and today's rows:", stored.len());
    println!("both:    {}", question.finish(both)?);
    Ok(())
}
