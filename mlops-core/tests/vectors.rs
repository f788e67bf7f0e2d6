//! What a release wrote, later ones read: the committed bytes of every state in `vectors/`.
//!
//! `MLOPS_WRITE_VECTORS=1 cargo test -p mlops-core --test vectors` writes the ones that are
//! missing. A file that is there is never changed: another format is another version, with files
//! of its own.

use std::fmt::Debug;
use std::path::PathBuf;

use mlops_core::arrow::array::{Float64Array, RecordBatch, StringArray};
use mlops_core::bytes::{state_from_bytes, state_to_bytes};
use mlops_core::states::{
    CategoryCounts, CentralMoments, ConfusionCounts, Distinct, Histogram, NumericSummary,
    Quantiles, RowCount,
};
use mlops_core::{Analyzer, Description, Rows, batch};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector {
    description: Description,
    bytes: String,
    result: String,
}

fn rows() -> RecordBatch {
    let x = (0..40).map(|i| match i {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(f64::INFINITY),
        3 => Some(f64::NEG_INFINITY),
        4 => Some(-0.0),
        5 => Some(1e300),
        6 => Some(-1e300),
        7 => Some(5e-324),
        _ => Some(f64::from(i) / 8.0 - 2.0),
    });
    let text = |n: i32, null: i32| {
        let labels = (0..40).map(move |i| (i != null).then(|| (i * i % n).to_string()));
        labels.collect::<StringArray>()
    };
    batch! {
        "x" => x.collect::<Float64Array>(),
        "y" => text(2, 3),
        "guess" => text(3, 5).iter().map(|l| l.map(|l| if l == "1" { "1" } else { "0" }))
            .collect::<StringArray>(),
        "city" => text(11, 7),
        "small" => Float64Array::from_iter_values((0..40).map(|i| f64::from(i * i % 13) / 8.0)),
    }
    .expect("columns of one length")
}

fn check<A: Analyzer>(name: &str, analyzer: &A)
where
    A::Output: Debug,
{
    let mut state = analyzer.start();
    analyzer.update(&mut state, &Rows::new(&rows())).expect("an update");
    let bytes = state_to_bytes(analyzer, &state).expect("bytes");
    let today = Vector {
        description: analyzer.description().expect("a description"),
        bytes: bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}")),
        result: format!("{:?}", analyzer.finish(state).expect("a result")),
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let path = path.join(format!("{name}.json"));
    if std::env::var_os("MLOPS_WRITE_VECTORS").is_some() && !path.exists() {
        let text = serde_json::to_string_pretty(&today).expect("JSON");
        std::fs::write(&path, text + "\n").expect("a file");
    }
    let text = std::fs::read_to_string(&path).expect("a committed vector");
    let committed: Vector = serde_json::from_str(&text).expect("a vector");
    let raw: Vec<_> = (0..committed.bytes.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&committed.bytes[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    let state = state_from_bytes(analyzer, &raw).expect("the committed bytes are read");
    let result = format!("{:?}", analyzer.finish(state).expect("a result"));
    assert_eq!(result, committed.result, "what {name} means");
    assert_eq!(today, committed, "what {name} writes");
}

#[test]
fn the_states_of_earlier_releases() {
    check("row_count-1", &RowCount);
    check("numeric_summary-1", &NumericSummary::new("x"));
    let shape = CentralMoments::new("small", 0.75).expect("a finite centre");
    check("central_moments-1", &shape);
    check("histogram-1", &Histogram::new("x", vec![-1.0, 0.0, 1.5]).expect("edges"));
    check("category_counts-1", &CategoryCounts::new("city"));
    let capped = CategoryCounts::new("city").with_cap(2).expect("a cap");
    check("category_counts-1-capped", &capped);
    check("confusion_counts-1", &ConfusionCounts::new("y", "guess", "1"));
    check("quantiles-1", &Quantiles::new("x"));
    check("quantiles-1-buckets", &Quantiles::new("x").with_cap(4));
    check("distinct-1", &Distinct::new("x"));
    check("distinct-1-registers", &Distinct::new("x").with_cap(4));
    check("tuple-1", &(RowCount, Distinct::new("city")));
}
