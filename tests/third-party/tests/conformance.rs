//! A third-party crate proves its implementations with one call each.

use mlops_core::arrow::array::{Float64Array, Int64Array};
use mlops_core::{
    DataSourceExt, DriftDetectorExt, MemorySource, ValidatorExt, Verdict, batch, conformance,
};
use mlops_third_party::{Countdown, MostlyEven, Parity, ParityDrift, Threshold, VecRegistry};

#[test]
fn the_source_keeps_its_contract() {
    conformance::data_source(&Countdown { n: 101 });
    conformance::data_source(&Countdown { n: 0 });
}

#[test]
fn the_analyzer_keeps_its_contract() {
    let left = [Some(4), Some(7), None, Some(-3), Some(0), Some(i64::MAX)];
    let rows = batch! { "left" => Int64Array::from(left.to_vec()) }.unwrap();
    conformance::analyzer(&Parity { column: "left".into() }, &rows);
}

#[test]
fn the_validator_keeps_its_contract() {
    let validator = MostlyEven { column: "left".into(), share: 0.5 };
    let rows = batch! { "left" => Int64Array::from_iter_values(0..40) }.unwrap();
    conformance::validator(&validator, &MemorySource::from(rows));
    assert_eq!(validator.validate(&Countdown { n: 10 }).unwrap().verdict, Verdict::Pass);
    assert_eq!(validator.validate(&Countdown { n: 0 }).unwrap().verdict, Verdict::Inconclusive);
}

#[test]
fn the_drift_detector_keeps_its_contract() {
    let detector = ParityDrift::fit("left", 0.1, &Countdown { n: 2000 }).unwrap();
    let odd = batch! { "left" => Int64Array::from_iter_values((0..2000).map(|i| 2 * i + 1)) };
    conformance::drift_detector(&detector, &Countdown { n: 2000 }.collect().unwrap());
    assert_eq!(detector.detect(&Countdown { n: 1900 }).unwrap().verdict, Verdict::Pass);
    let odd = MemorySource::from(odd.unwrap());
    assert_eq!(detector.detect(&odd).unwrap().verdict, Verdict::Fail);
}

#[test]
fn the_model_keeps_its_contract() {
    let rows = batch! { "left" => Float64Array::from(vec![Some(1.0), None, Some(3.5)]) }.unwrap();
    conformance::model(&Threshold { column: "left".into(), at: 2.0 }, &rows);
}

#[test]
fn the_registry_keeps_its_contract() {
    conformance::registry(&VecRegistry::default());
}
