//! A CSV file with gaps becomes features of a model, and one record goes the same way.
//!
//! `cargo run --example data`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::fmt::Write as _;
use std::sync::Arc;

use mlops::core::stats::Draws;
use mlops::core::{DataSource, DataSourceExt, Error};
use mlops::data::{
    ColumnPipeline, CsvSource, Imputer, OneHotEncoder, ParquetSink, ParquetSource, Record, Split,
    StandardScaler, Unseen, write_all,
};

/// A file as a colleague sends it: gaps, and a column that is almost of numbers.
fn csv(rows: u64) -> String {
    let mut draws = Draws::new(7, 0, 0);
    let mut text = String::from("id,age,city,since\n");
    for id in 0..rows {
        let age = if draws.uniform() < 0.05 { String::new() } else { draws.below(60).to_string() };
        let city = ["Oslo", "Bergen", "Voss"][draws.below(3) as usize];
        let since =
            if id == 700 { "unknown".to_owned() } else { (1990 + draws.below(35)).to_string() };
        let _ = writeln!(text, "{id},{age},{city},{since}");
    }
    text
}

fn main() -> Result<(), Error> {
    let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
    let path = directory.path().join("people.csv");
    std::fs::write(&path, csv(5_000)).map_err(|e| Error::io(&path, e))?;

    // The schema is inferred, and says why: one word made `since` text.
    let people = CsvSource::open(&path)?;
    if let Some(inferred) = people.inferred() {
        println!("{inferred}\n");
    }

    // The same rows as Parquet: there whole or not at all, with a digest to remember it by.
    let path = directory.path().join("people.parquet");
    let written = write_all(&people, Box::new(ParquetSink::create(&path, people.schema())?))?;
    println!("{} rows in {} bytes, {}\n", written.rows, written.bytes, written.digest);
    let people = ParquetSource::open(&path)?;

    // Same seed, same sides, whatever the machine.
    let sides = Split::stratified("city", 0.2, 42)?.split(Arc::new(people))?;
    println!("train {} rows, test {} rows\n", sides.train.rows(), sides.test.rows());

    // Medians, means and categories are fitted by one scan of the training rows alone.
    let transforms = ColumnPipeline::new()
        .numeric(["age"], (Imputer::median(), StandardScaler))
        .categorical(["city"], OneHotEncoder::new().unseen(Unseen::Ignore))
        .fit(&sides.train)?;
    let test = sides.test.collect()?;
    let features = transforms.features(&test)?;
    println!("features {:?}\nof the first three test rows", transforms.feature_names());
    println!("{:.3}\n", features.slice(mlops::core::ndarray::s![..3, ..]));

    // A service has one record, and a city that nobody has seen: the same code, to the bit.
    let record = Record::from([("age", 31.into()), ("city", "Rome".into())]);
    println!("a record becomes {:.3?}", transforms.record_features(&record)?);
    Ok(())
}
