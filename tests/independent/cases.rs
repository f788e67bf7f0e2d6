//! The cases, and what it means to agree with them.

use std::sync::LazyLock;

use mlops::core::{Error, Result};
use serde_json::Value;

pub(crate) type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

pub(crate) static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../golden/independent.json")).expect("golden cases")
});

pub(crate) const STATISTIC: f64 = 1e-12;
pub(crate) const TAIL: f64 = 1e-9;

pub(crate) fn cases(part: &str) -> &'static [Value] {
    GOLDEN[part].as_array().expect("a list of cases")
}

pub(crate) fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap_or("?")
}

pub(crate) fn floats(value: &Value) -> Vec<f64> {
    optional(value).into_iter().map(|x| x.expect("a number")).collect()
}

pub(crate) fn optional(value: &Value) -> Vec<Option<f64>> {
    value.as_array().expect("a list").iter().map(Value::as_f64).collect()
}

pub(crate) fn texts(value: &Value) -> Vec<Option<&str>> {
    value.as_array().expect("a list").iter().map(Value::as_str).collect()
}

pub(crate) fn counts(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(|x| x.as_u64().expect("a count")).collect()
}

/// Relative to what is expected; where that is 0, or rounds to it, absolute.
#[track_caller]
pub(crate) fn close(what: &str, ours: f64, expected: f64, tolerance: f64) {
    let off = (ours - expected).abs();
    let near = off <= tolerance * expected.abs() || expected == 0.0 && off <= 1e-300;
    assert!(near, "{what}: ours {ours:?}, expected {expected:?}, off by {off:e}");
}

/// A value where the reference has one, `Undefined` where it has none.
#[track_caller]
pub(crate) fn agree(what: &str, ours: Result<f64>, expected: &Value, tolerance: f64) {
    match (ours, expected.as_f64()) {
        (Ok(ours), Some(expected)) => close(what, ours, expected, tolerance),
        (Err(Error::Undefined { .. }), None) => {}
        (ours, expected) => panic!("{what}: ours {ours:?}, expected {expected:?}"),
    }
}

/// The bits of a result, or the text of the error.
pub(crate) fn bits(result: &Result<f64>) -> std::result::Result<u64, String> {
    result.as_ref().map(|x| x.to_bits()).map_err(ToString::to_string)
}

/// On one thread and on two: the same.
#[track_caller]
pub(crate) fn on_threads<T: PartialEq + std::fmt::Debug + Send>(
    what: &str,
    run: impl Fn() -> T + Sync,
) -> T {
    static POOLS: LazyLock<[rayon::ThreadPool; 2]> = LazyLock::new(|| {
        [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"))
    });
    let [one, two] = POOLS.each_ref().map(|pool| pool.install(&run));
    assert_eq!(one, two, "{what}: one thread and two");
    one
}

pub(crate) fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("rows").iter().map(floats).collect()
}
