//! Many files as one source.

use std::fs;

use mlops_core::{DataSource, DataSourceExt, conformance};
use mlops_data::{FilesSource, ParquetSink, open, write_all};

#[test]
fn a_directory_is_one_source_with_types_for_all() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("b.csv"), "x,y\n2.5,c\n").unwrap();
    fs::write(dir.path().join("a.csv"), "x,y\n1,7\n,8\n").unwrap();
    fs::write(dir.path().join("notes.txt"), "not data").unwrap();
    let source = FilesSource::open(dir.path()).unwrap();
    conformance::data_source(&source);
    let names: Vec<_> = source.paths().map(|p| p.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.csv", "b.csv"]);
    let rows = source.collect().unwrap();
    assert_eq!(rows.schema().field(0).data_type().to_string(), "Float64");
    assert_eq!(rows.schema().field(1).data_type().to_string(), "Utf8");
    assert_eq!(rows.num_rows(), 3);
}

#[test]
fn a_schema_that_differs_names_file_and_column() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), "x,y\n1,7\n").unwrap();
    fs::write(dir.path().join("b.csv"), "x,z\n1,7\n").unwrap();
    let error = FilesSource::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("b.csv, column 2: expected `y` as in"), "{error}");

    fs::write(dir.path().join("b.csv"), "x\n1.5\n").unwrap();
    let b = open(dir.path().join("b.csv")).unwrap();
    let sink = ParquetSink::create(dir.path().join("c.parquet"), b.schema()).unwrap();
    write_all(&b, Box::new(sink)).unwrap();
    fs::write(dir.path().join("a.csv"), "x\n1\n").unwrap();
    let error = FilesSource::of(["a.csv", "c.parquet"].map(|n| dir.path().join(n)));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("c.parquet, column `x`: expected Int64 (nullable)"), "{error}");
}

#[test]
fn what_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let error = |name: &str| open(dir.path().join(name)).unwrap_err().to_string();
    assert!(error("no.csv").contains("no.csv: "));
    assert!(error("*.csv").contains("expected at least one file"));
    assert!(error("").contains("expected at least one file"));
    fs::write(dir.path().join("a.xlsx"), "x").unwrap();
    assert!(
        error("a.xlsx")
            .contains("expected csv, tsv, parquet, pq, arrow, ipc or feather, found xlsx")
    );
    fs::create_dir_all(dir.path().join("y=1")).unwrap();
    fs::write(dir.path().join("y=1/a.csv"), "x\n1\n").unwrap();
    assert_eq!(open(dir.path().join("y=*/?.csv")).unwrap().partitions().unwrap().len(), 1);
}
