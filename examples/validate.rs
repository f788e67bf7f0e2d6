//! A new batch is judged before anybody trains on it; its bad rows go to a file of their own.
//!
//! `cargo run --example validate`
#![expect(clippy::print_stdout, reason = "an example prints")]

use mlops::arrow::array::{Float64Array, Int64Array, StringArray};
use mlops::arrow::util::display::array_value_to_string;
use mlops::core::stats::Draws;
use mlops::core::{DataSourceExt, Error, MemorySource, Severity, ValidatorExt, batch};
use mlops::data::ParquetSource;
use mlops::validate::{
    ColumnType, QuarantineFiles, Suite, column, in_range, in_set, matches_regex, not_null,
    quarantine, row_count, schema, unique,
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

    // All of it in one scan. What fails is named, down to the rows.
    let batch = applications()?;
    let found = suite.validate(&batch)?;
    println!("{found}\n");
    for finding in found.failures() {
        let rows: Vec<_> = finding.rows.iter().take(4).map(ToString::to_string).collect();
        println!("{}({}): rows {}", finding.check, finding.subject, rows.join(", "));
    }

    // The good rows go on, the bad ones wait in a file that says why.
    let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
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
