//! A new batch is judged before anybody trains on it; its bad rows go to a file of their own.
//!
//! `cargo run --example validate -- [directory for the page]`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::PathBuf;

use indicatif::ProgressBar;
use mlops::arrow::array::{Float64Array, Int64Array, StringArray};
use mlops::arrow::util::display::array_value_to_string;
use mlops::core::report::{Distribution, junit};
use mlops::core::states::{CategoryCounts, Histogram};
use mlops::core::stats::Draws;
use mlops::core::{
    DataSource, DataSourceExt, Error, MemorySource, Plan, Progress, Severity, batch,
};
use mlops::data::{ParquetSink, ParquetSource, Sink};
use mlops::validate::{
    ColumnType, DataDocs, Mask, QuarantineFiles, Redaction, Suite, column, in_range, in_set,
    matches_regex, not_null, quarantine, row_count, schema, unique,
};

/// Applications of a day. Someone's form lets ages of 150 through, and an upgrade lost some ids.
fn applications() -> Result<MemorySource, Error> {
    let mut draws = Draws::new(3, 0, 0);
    let n = 20_000;
    let ids = (0..n).map(|i| (i % 6_000 != 17).then_some(i));
    let ages: Vec<_> = (0..n)
        .map(|_| if draws.below(4_000) == 0 { 150 } else { 18 + draws.below(70) as i64 })
        .collect();
    let plans = (0..n).map(|_| ["basic", "plus"][draws.below(2) as usize]);
    Ok(MemorySource::from(batch! {
        "id" => ids.collect::<Int64Array>(),
        "age" => Int64Array::from(ages),
        "plan" => StringArray::from_iter_values(plans),
        "email" => StringArray::from_iter_values((0..n).map(|i| format!("user{i}@example.org"))),
        "income" => Float64Array::from_iter_values((0..n).map(|i| f64::from(i as i32) * 3.5)),
    }?)
    .named("2026-01-31"))
}

fn main() -> Result<(), Error> {
    let suite = Suite::new("applications")
        .expect(schema([
            column("id", ColumnType::Integer),
            column("age", ColumnType::Integer),
            column("plan", ColumnType::Text),
            column("email", ColumnType::Text),
            column("income", ColumnType::Number),
        ]))
        .expect(row_count(1_000..))
        .expect(not_null("id"))
        .expect(unique("id"))
        .expect(in_range("age", 18..=99))
        .expect(in_set("plan", ["basic", "plus"]))
        .expect(matches_regex("email", r"^\S+@\S+$").mostly(0.999))
        .expect(in_range("income", 0.0..=60_000.0).mostly(0.5).severity(Severity::Warning));

    // All of it in one scan of a file. What fails is named, down to the rows and row groups.
    let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
    let path = directory.path().join("2026-01-31.parquet");
    let rows = applications()?.collect()?;
    let mut sink = Box::new(ParquetSink::with_row_groups(&path, rows.schema(), 4_096)?);
    sink.write(&rows)?;
    sink.finish()?;
    let batch = ParquetSource::open(&path)?;
    let mut plan = Plan::new();
    let judge = suite.plan_check(&batch.schema(), &mut plan)?;
    let edges: Vec<_> = (0..20).map(|i| f64::from(i) * 8.0).collect();
    let ages = plan.add(Histogram::new("age", edges.clone())?);
    let plans = plan.add(CategoryCounts::new("plan"));
    let bar = ProgressBar::new(rows.num_rows() as u64);
    let show = |p: &Progress| bar.set_position(p.rows);
    let measured = batch.scan().on_progress(&show).run(&plan)?;
    bar.finish_and_clear();
    let found = judge.judge(&measured)?.located_in(&batch);
    println!("{found}\n");

    // The same as a page for people, and as JUnit XML for the build server. Whoever reads them has
    // no need of addresses.
    let redaction = Redaction::all(Mask::Show).column("email", Mask::Hide);
    let (ages, plans) = (measured.get(&ages)?, measured.get(&plans)?);
    let (names, counts): (Vec<_>, Vec<_>) = plans.by_count().into_iter().unzip();
    let edges = [&[f64::NEG_INFINITY], edges.as_slice(), &[f64::INFINITY]].concat();
    let page = DataDocs::new(&found)
        .distribution("age", Distribution::numbers(edges).series("", ages.right_open(), ages.nulls))
        .distribution("plan", Distribution::categories(names).series("", counts, plans.nulls))
        .redacted(&redaction);
    let to = std::env::args().nth(1).map_or_else(|| directory.path().into(), PathBuf::from);
    std::fs::create_dir_all(&to).map_err(|e| Error::io(&to, e))?;
    page.report().write_html(to.join("validate.html"))?;
    println!("the page: {}", to.join("validate.html").display());
    let xml = junit([&found.redacted(&redaction).assessment()]);
    println!("{}\n", xml.lines().nth(1).unwrap_or_default());

    // The good rows go on, the bad ones wait in a file that says why.
    let files = QuarantineFiles {
        clean: directory.path().join("clean.parquet"),
        bad: directory.path().join("bad.parquet"),
    };
    let split = quarantine(&batch, &suite, files)?;
    println!("\n{split}");
    let bad = ParquetSource::open(directory.path().join("bad.parquet"))?.collect()?;
    let column = |name| mlops::core::column(&bad, name);
    let (ids, ages, why) = (column("id")?, column("age")?, column("quarantine_reasons")?);
    for row in 0..bad.num_rows().min(4) {
        let [id, age, why] = [ids, ages, why].map(|c| array_value_to_string(c, row));
        println!("  id {:<6} age {:<4} because {}", id?, age?, why?);
    }

    // The suite is text that lives beside the code.
    println!("\n{}", suite.to_yaml()?);
    Ok(())
}
