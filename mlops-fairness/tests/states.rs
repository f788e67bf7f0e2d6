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
use mlops_fairness::{Bins, GroupClasses, GroupCounts, GroupErrors, GroupScores};
use proptest::prelude::*;
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
    let weight: Float64Array =
        (0..n).map(|_| Some([0.0, 1.0, 0.1, 1e300, 3.7e-300][below(5) as usize])).collect();
    let score: Float64Array = (0..n)
        .map(|_| match below(40) {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(f64::NEG_INFINITY),
            3 => Some(1.0),
            4 => Some(-0.0),
            i => Some((i * 40 + below(40)) as f64 / 1600.0),
        })
        .collect();
    let wage: Float64Array = (0..n)
        .map(|_| match below(20) {
            0 => None,
            1 => Some(f64::INFINITY),
            2 => Some(1e300),
            3 => Some(-1e-300),
            i => Some(i as f64 * 0.1),
        })
        .collect();
    batch! {
        "race" => DictionaryArray::new(keys, std::sync::Arc::new(values)),
        "city" => city, "age" => age, "y" => y, "said" => said,
        "weight" => weight, "score" => score, "wage" => wage,
    }
    .unwrap()
}

fn weighted() -> GroupCounts {
    let counts = GroupCounts::new("said", "1", ["race"]).with_labels("y").with_weights("weight");
    counts.with_control_features(["age"]).with_bins("age", [1.0])
}

fn classes() -> GroupClasses {
    GroupClasses::new("city", "race", ["said"])
}

/// With fewer bins than there are scores in a large group, and more than in a small one.
fn scores() -> GroupScores {
    let scores = GroupScores::new("y", "1", "score", ["race"]);
    scores.with_score_bins(Bins { n: 50, low: 0.0, high: 1.0 })
}

/// Whose positive label no row has, of more labels than are told.
fn absent() -> GroupScores {
    GroupScores::new("city", "nowhere", "score", ["race"])
}

fn errors() -> GroupErrors {
    GroupErrors::new("score", "wage", ["race"])
}

fn analyzers() -> [GroupCounts; 4] {
    [
        GroupCounts::new("said", "1", ["race"]).with_labels("y"),
        GroupCounts::new("said", "0", ["race", "age", "city"]).with_labels("y"),
        GroupCounts::new("said", "true", ["city"]),
        GroupCounts::new("said", "1", Vec::<String>::new()).with_labels("y"),
    ]
}

fn state<A: Analyzer>(analyzer: &A, rows: &RecordBatch) -> A::State {
    let mut state = analyzer.start();
    analyzer.update(&mut state, &Rows::new(rows)).unwrap();
    state
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector<T> {
    description: Description,
    bytes: String,
    result: T,
}

#[test]
fn the_bytes_of_earlier_releases() {
    let [by_race, crossed, ..] = analyzers();
    check_bytes("group_counts-2", &by_race);
    check_bytes("group_counts-2-crossed", &crossed);
    check_bytes("group_counts-2-weighted", &weighted());
    check_bytes("group_classes-1", &classes());
    check_bytes("group_scores-3", &scores());
    check_bytes("group_scores-3-weighted", &scores().with_weights("weight"));
    check_bytes("group_scores-3-absent", &absent());
    check_bytes("group_errors-2", &errors().with_weights("weight"));
}

fn check_bytes<A>(name: &str, analyzer: &A)
where
    A: Analyzer<Output: PartialEq + std::fmt::Debug + Serialize + for<'a> Deserialize<'a>>,
{
    let state = state(analyzer, &rows(15, 1));
    let bytes = state_to_bytes(analyzer, &state).unwrap();
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
    let committed: Vector<A::Output> =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let raw: Vec<_> = (0..committed.bytes.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&committed.bytes[at..at + 2], 16).unwrap())
        .collect();
    let read = state_from_bytes(analyzer, &raw).unwrap();
    assert_eq!(analyzer.finish(read).unwrap(), committed.result, "{name}");
    assert_eq!(today, committed, "{name}");
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
        same_bits(&analyzer, &rows, &parts, &source);
    }
    same_bits(&weighted(), &rows, &parts, &source);
    same_bits(&classes(), &rows, &parts, &source);
    same_bits(&scores(), &rows, &parts, &source);
    same_bits(&scores().with_weights("weight"), &rows, &parts, &source);
    same_bits(&absent(), &rows, &parts, &source);
    same_bits(&errors(), &rows, &parts, &source);
    same_bits(&errors().with_weights("weight"), &rows, &parts, &source);
}

fn same_bits<A: Analyzer>(
    analyzer: &A,
    rows: &RecordBatch,
    parts: &[RecordBatch],
    source: &MemorySource,
) {
    let mut draws = Draws::new(4, 0, 0);
    conformance::analyzer(analyzer, &rows.slice(3, 70));
    conformance::analyzer(analyzer, &rows.slice(0, 1));
    let bytes = |state: &A::State| state_to_bytes(analyzer, state).unwrap();
    let expected = bytes(&state(analyzer, rows));
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for batch_size in [3, 1000, 16 * 1024] {
            let scan = Scan::new(source).batch_size(batch_size);
            let found = pool.install(|| scan.state(analyzer)).unwrap();
            assert_eq!(bytes(&found), expected, "{threads} threads, batches of {batch_size}");
        }
    }
    for _ in 0..3 {
        // Any two that are left, until one is; copies that share no buffer.
        let mut states: Vec<_> = parts
            .iter()
            .map(|part| state(analyzer, &concat_batches(&part.schema(), [part]).unwrap()))
            .collect();
        while states.len() > 1 {
            let one = states.swap_remove(draws.below(states.len() as u64) as usize);
            let at = draws.below(states.len() as u64) as usize;
            mlops_core::State::merge(&mut states[at], one).unwrap();
        }
        assert_eq!(bytes(&states[0]), expected, "a random tree of merges");
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
        "weight" => Float64Array::from(vec![1.0; 9]),
        "score" => Float64Array::from(vec![None::<f64>; 9]),
        "wage" => NullArray::new(9),
    }
    .unwrap();
    conformance::analyzer(&weighted(), &nulls);
    conformance::analyzer(&classes(), &nulls);
    conformance::analyzer(&scores(), &nulls);
    conformance::analyzer(&errors(), &nulls);
    for analyzer in analyzers() {
        conformance::analyzer(&analyzer, &nulls);
        let frame = analyzer.finish(state(&analyzer, &nulls)).unwrap();
        assert_eq!((frame.groups().len(), frame.total().rows()), (1, 9));
        assert_eq!(frame.total().predicted(), 0);
    }
}

/// One byte of a state is another: an error, or a state of which anything may be asked.
fn damaged<A: Analyzer>(analyzer: &A, at: usize, to: u8) {
    let mut bytes = Vec::new();
    mlops_core::State::encode(&state(analyzer, &rows(40, 5)), &mut bytes);
    let at = at % bytes.len();
    bytes[at] = to;
    if let Ok(mut state) = analyzer.decode(&mut bytes.as_slice()) {
        for _ in 0..3 {
            let again = state.clone();
            let _ = mlops_core::State::merge(&mut state, again);
        }
        let _ = analyzer.finish(state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_bytes_do_no_harm(at: usize, to: u8) {
        damaged(&weighted(), at, to);
        damaged(&classes(), at, to);
        damaged(&scores(), at, to);
        damaged(&scores().with_weights("weight"), at, to);
        damaged(&errors().with_weights("weight"), at, to);
    }

    #[test]
    fn no_bytes_are_a_state_by_chance(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = weighted().decode(&mut bytes.as_slice());
        let _ = classes().decode(&mut bytes.as_slice());
        let _ = scores().decode(&mut bytes.as_slice());
        let _ = errors().decode(&mut bytes.as_slice());
    }
}
