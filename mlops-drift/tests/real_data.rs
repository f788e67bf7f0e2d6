//! On real data: Adult's two halves, which are a random split, and COMPAS around a date from which
//! on its label is an artefact of how the file was cut off.
//!
//! The files are found through `MLOPS_DATA`; without it these tests say that they skip.

#![expect(clippy::print_stdout, reason = "what a test skipped, and what it saw")]

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches, filter_record_batch, kernels::cmp};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Schema};
use mlops_core::{MemorySource, Verdict};
use mlops_drift::windows::{Calendar, Windowing, over_time};
use mlops_drift::{DriftMonitor, Kind, ProfileOptions, ReferenceProfile, Statistic};

fn read(name: &str) -> Option<RecordBatch> {
    let Some(directory) = std::env::var_os("MLOPS_DATA") else {
        println!("skipped: MLOPS_DATA is not set");
        return None;
    };
    let mut file = File::open(PathBuf::from(directory).join(name)).expect("the file");
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(&mut file, None).expect("a schema");
    file.seek(SeekFrom::Start(0)).expect("the start");
    let schema: Arc<Schema> = Arc::new(schema);
    let batches: Vec<_> = ReaderBuilder::new(schema.clone())
        .with_format(format)
        .build(file)
        .expect("a reader")
        .collect::<Result<_, _>>()
        .expect("rows");
    Some(concat_batches(&schema, &batches).expect("one batch"))
}

#[test]
fn nothing_drifts_between_the_halves_of_adult() {
    let (Some(train), Some(test)) = (read("adult-train.csv"), read("adult-test.csv")) else {
        return;
    };
    let profile =
        ReferenceProfile::fit(&MemorySource::from(train), &ProfileOptions::default()).expect("fit");
    assert!(profile.to_bytes().len() < 200_000, "{} bytes", profile.to_bytes().len());
    let report = DriftMonitor::new(profile).compare(&MemorySource::from(test)).expect("a report");
    println!("{report}");
    assert_eq!(report.columns.len(), 15);
    assert_eq!(report.drifted().count(), 0, "{report}");
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
}

#[test]
fn the_label_of_compas_shifts_in_2014_04() {
    let Some(all) = read("compas-two-years.csv") else { return };
    let dates = all.column_by_name("screening_date").expect("the date");
    let dates = cast(dates, &DataType::Utf8).expect("text");
    let cut = StringArray::new_scalar("2014-04-01");
    let late = cmp::gt_eq(&dates, &cut).expect("a mask");
    let early = cmp::lt(&dates, &cut).expect("a mask");
    assert_eq!(late.null_count(), 0);
    let before = MemorySource::from(filter_record_batch(&all, &early).expect("rows"));
    let after = MemorySource::from(filter_record_batch(&all, &late).expect("rows"));

    let options = ProfileOptions::default().exclude(["id", "screening_date"]);
    let profile = ReferenceProfile::fit(&before, &options).expect("a profile");
    let report = DriftMonitor::new(profile).compare(&after).expect("a report");
    println!("{report}");
    assert_eq!((report.reference_rows, report.current_rows), (6207, 1007));
    let label = report.column("two_year_recid").expect("the label");
    assert_eq!(label.kind, Kind::FewIntegers);
    assert_eq!(label.verdict, Verdict::Fail);
    let tv = label.statistic(Statistic::TotalVariation).expect("a distance").value;
    assert!((tv - 0.637).abs() < 0.01, "{tv}");
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.ranked()[0].column, "two_year_recid");
    // What moved with it: its sources in the file, and who was screened at the end.
    let mut moved: Vec<_> = report.drifted().map(|c| c.column.as_str()).collect();
    moved.sort_unstable();
    assert_eq!(
        moved,
        ["c_charge_degree", "decile_score", "is_recid", "score_text", "two_year_recid"]
    );
    assert_eq!(report.column("sex").map(|c| c.verdict), Some(Verdict::Pass));
}

#[test]
fn by_quarter_the_label_of_compas_shifts_first_in_2014_q2() {
    let Some(all) = read("compas-two-years.csv") else { return };
    let dates = all.column_by_name("screening_date").expect("the date");
    let dates = cast(dates, &DataType::Utf8).expect("text");
    let first_year = cmp::lt(&dates, &StringArray::new_scalar("2014-01-01")).expect("a mask");
    let reference = MemorySource::from(filter_record_batch(&all, &first_year).expect("rows"));
    let options = ProfileOptions::default().exclude(["id", "screening_date"]);
    let profile = ReferenceProfile::fit(&reference, &options).expect("a profile");

    let found = over_time(
        &DriftMonitor::new(profile),
        &MemorySource::from(all),
        &Windowing::by_time("screening_date", Calendar::Quarter).expect("quarters"),
    )
    .expect("quarters");
    println!("{found}");
    let names: Vec<_> = found.windows.iter().map(|w| w.window.name.as_str()).collect();
    assert_eq!(&names[..6], ["2013-Q1", "2013-Q2", "2013-Q3", "2013-Q4", "2014-Q1", "2014-Q2"]);
    assert_eq!(found.windows.iter().map(|w| w.report.current_rows).sum::<u64>(), 7214);
    let first = found.first_failure("two_year_recid").map(|w| w.window.name.as_str());
    assert_eq!(first, Some("2014-Q2"));
}
