//! The bytes of the state: what a release wrote, later ones read; and the same bits for any
//! threads, batch size, partitioning and order of merging.
//!
//! `MLOPS_WRITE_VECTORS=1 cargo test -p mlops-fairness --test states` writes a vector that is
//! missing. A file that is there is never changed: another format is another version, with files
//! of its own.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;

use mlops_core::arrow::array::{
    BooleanArray, DictionaryArray, Float64Array, Int8Array, NullArray, RecordBatch, StringArray,
    UInt32Array,
};
use mlops_core::arrow::compute::{concat_batches, take_record_batch};
use mlops_core::bytes::{state_from_bytes, state_to_bytes};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, Description, MemorySource, Rows, Scan, batch, conformance};
use mlops_fairness::{GroupCounts, GroupCountsState, MetricFrame};
use serde::{Deserialize, Serialize};

/// Groups in a dictionary with a null among its values and one twice, text, floats; labels as
/// floats with NaN, predictions as booleans; nulls everywhere.
fn rows(n: usize, seed: u64) -> RecordBatch {
    let mut draws = Draws::new(seed, 0, 0);
    let mut below = |n: u64| draws.below(n);
    let values = StringArray::from(vec![Some("a"), None, Some("b"), Some("a"), Some("")]);
    let keys: Int8Array = (0..n).map(|_| Some(below(6) as i8).filter(|&key| key < 5)).collect();
    let city: StringArray =
        (0..n).map(|_| Some(below(40)).filter(|&i| i > 0).map(|i| format!("city {i}"))).collect();
    let age: Float64Array = (0..n)
        .map(|_| [Some(-0.0), Some(0.0), Some(1.5), Some(f64::NAN), None][below(5) as usize])
        .collect();
    let y: Float64Array = (0..n)
        .map(|_| [Some(0.0), Some(-0.0), Some(1.0), Some(f64::NAN), None][below(5) as usize])
        .collect();
    let said: BooleanArray =
        (0..n).map(|_| Some(below(9)).filter(|&i| i > 0).map(|i| i % 2 == 0)).collect();
    batch! {
        "race" => DictionaryArray::new(keys, std::sync::Arc::new(values)),
        "city" => city, "age" => age, "y" => y, "said" => said,
    }
    .unwrap()
}

fn analyzers() -> [GroupCounts; 4] {
    [
        GroupCounts::new("said", "1", ["race"]).with_labels("y"),
        GroupCounts::new("said", "0", ["race", "age", "city"]).with_labels("y"),
        GroupCounts::new("said", "true", ["city"]),
        GroupCounts::new("said", "1", Vec::<String>::new()).with_labels("y"),
    ]
}

fn state(analyzer: &GroupCounts, rows: &RecordBatch) -> GroupCountsState {
    let mut state = analyzer.start();
    analyzer.update(&mut state, &Rows::new(rows)).unwrap();
    state
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector {
    description: Description,
    bytes: String,
    result: MetricFrame,
}

#[test]
fn the_bytes_of_earlier_releases() {
    for (name, analyzer) in ["group_counts-2", "group_counts-2-crossed"].iter().zip(analyzers()) {
        let state = state(&analyzer, &rows(15, 1));
        let bytes = state_to_bytes(&analyzer, &state).unwrap();
        let today = Vector {
            description: analyzer.description().unwrap(),
            bytes: bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat(),
            result: analyzer.finish(state).unwrap(),
        };
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        let path = path.join(format!("{name}.json"));
        if std::env::var_os("MLOPS_WRITE_VECTORS").is_some() && !path.exists() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, serde_json::to_string_pretty(&today).unwrap() + "\n").unwrap();
        }
        let committed: Vector =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let raw: Vec<_> = (0..committed.bytes.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&committed.bytes[at..at + 2], 16).unwrap())
            .collect();
        let read = state_from_bytes(&analyzer, &raw).unwrap();
        assert_eq!(analyzer.finish(read).unwrap(), committed.result, "{name}");
        assert_eq!(today, committed, "{name}");
    }
}

#[test]
fn the_same_bits_however_the_rows_come() {
    let rows = rows(3000, 2);
    let mut draws = Draws::new(3, 0, 0);
    let order: Vec<u32> = draws.permutation(rows.num_rows()).iter().map(|&i| i as u32).collect();
    let shuffled = take_record_batch(&rows, &UInt32Array::from(order)).unwrap();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < shuffled.num_rows() {
        let n = (1 + draws.below(400) as usize).min(shuffled.num_rows() - at);
        parts.push(shuffled.slice(at, n));
        at += n;
    }
    let source = MemorySource::new(shuffled.schema(), parts.clone()).unwrap();
    for analyzer in analyzers() {
        conformance::analyzer(&analyzer, &rows.slice(3, 150));
        conformance::analyzer(&analyzer, &rows.slice(0, 1));
        let bytes = |state: &GroupCountsState| state_to_bytes(&analyzer, state).unwrap();
        let expected = bytes(&state(&analyzer, &rows));
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for batch_size in [1, 64, 1000, 16 * 1024] {
                let scan = Scan::new(&source).batch_size(batch_size);
                let found = pool.install(|| scan.state(&analyzer)).unwrap();
                assert_eq!(bytes(&found), expected, "{threads} threads, batches of {batch_size}");
            }
        }
        for _ in 0..3 {
            // Any two that are left, until one is; copies that share no buffer.
            let mut states: Vec<_> = parts
                .iter()
                .map(|part| state(&analyzer, &concat_batches(&part.schema(), [part]).unwrap()))
                .collect();
            while states.len() > 1 {
                let one = states.swap_remove(draws.below(states.len() as u64) as usize);
                let at = draws.below(states.len() as u64) as usize;
                mlops_core::State::merge(&mut states[at], one).unwrap();
            }
            assert_eq!(bytes(&states[0]), expected, "a random tree of merges");
        }
    }
}

#[test]
fn nothing_but_nulls() {
    let nulls = batch! {
        "race" => StringArray::from(vec![None::<&str>; 9]),
        "age" => Float64Array::from(vec![None::<f64>; 9]),
        "city" => NullArray::new(9),
        "y" => Float64Array::from(vec![None::<f64>; 9]),
        "said" => BooleanArray::from(vec![None::<bool>; 9]),
    }
    .unwrap();
    for analyzer in analyzers() {
        conformance::analyzer(&analyzer, &nulls);
        let frame = analyzer.finish(state(&analyzer, &nulls)).unwrap();
        assert_eq!((frame.groups().len(), frame.total().rows()), (1, 9));
        assert_eq!(frame.total().predicted(), 0);
    }
}
