//! What every kind keeps: resumed is uninterrupted, hostile bytes are errors, refusals change
//! nothing.

use mlops_core::Description;
use mlops_core::stats::Draws;
use proptest::prelude::*;

use super::*;

/// Every kind with its defaults, and some with options that make more happen.
fn detectors() -> Vec<Box<dyn StreamDetector>> {
    let kinds = StreamKinds::standard();
    let others = [
        r#"{"kind":"adwin","version":1,"params":{"clock":1,"max_buckets":2,"delta":0.2}}"#,
        r#"{"kind":"rddm","version":1,"params":{"min_concept":40,"max_concept":150,"warning_limit":20,"min_values":30}}"#,
        r#"{"kind":"hddm_a","version":1,"params":{"two_sided":true,"alpha_drift":0.2,"alpha_warning":0.4}}"#,
        r#"{"kind":"hddm_w","version":1,"params":{"two_sided":true,"alpha_drift":0.2,"alpha_warning":0.4}}"#,
        r#"{"kind":"cusum","version":1,"params":{"threshold":5.0}}"#,
        r#"{"kind":"gma","version":1,"params":{"threshold":0.3,"baseline":{"known":{"mean":0.5,"sd":2.0}}}}"#,
        r#"{"kind":"page_hinkley","version":1,"params":{"threshold":3.0}}"#,
        r#"{"kind":"kswin","version":1,"params":{"alpha":0.1,"window":30,"recent":10}}"#,
        r#"{"kind":"stepd","version":1,"params":{"alpha_drift":0.1,"alpha_warning":0.3}}"#,
        r#"{"kind":"bocd","version":1,"params":{"max_runs":20,"rule":{"probability":0.9},"hazard":0.005}}"#,
        r#"{"kind":"incremental_ks","version":1,"params":{"reference":40,"window":25,"mode":"sliding"}}"#,
        r#"{"kind":"incremental_ks","version":1,"params":{"reference":25,"window":40,"alpha":0.01}}"#,
        r#"{"kind":"shewhart","version":1,"params":{"subgroup":4,"baseline":{"first":20},"warning_rules":["six_trending"]}}"#,
        r#"{"kind":"shewhart","version":1,"params":{"baseline":{"known":{"mean":0.0,"sd":1.0}},"rules":["nine_on_one_side","fourteen_alternating"]}}"#,
        r#"{"kind":"ecdd","version":1,"params":{"limit":{"fixed":1.0}}}"#,
    ];
    let plain = STANDARD
        .iter()
        .map(|(kind, version, _)| Description::new(*kind, *version, &serde_json::json!({})));
    let parsed = others.iter().map(|text| serde_json::from_str(text).unwrap());
    plain.chain(parsed).map(|d: Description| kinds.start(&d).unwrap()).collect()
}

/// A stream for what a detector takes: it changes every 150 values.
fn stream(input: Input, seed: u64, n: u64) -> Vec<f64> {
    let mut draws = Draws::new(seed, 0, 0);
    (0..n)
        .map(|i| {
            let shifted = (i / 150) % 2 == 1;
            match input {
                Input::Binary => f64::from(draws.bernoulli(if shifted { 0.6 } else { 0.1 })),
                Input::Unit => draws.uniform() * if shifted { 1.0 } else { 0.3 },
                _ => draws.normal() + if shifted { 3.0 } else { 0.0 },
            }
        })
        .collect()
}

fn run(detector: &mut dyn StreamDetector, values: &[f64]) -> Vec<(Signal, Option<u64>)> {
    let one = |x: &f64| {
        let signal = detector.update(*x).unwrap();
        (signal, detector.statistic().map(f64::to_bits))
    };
    values.iter().map(one).collect()
}

#[test]
fn every_kind_drifts_and_goes_on() {
    for mut detector in detectors() {
        let values = stream(detector.input(), 1, 900);
        let said = run(&mut *detector, &values);
        let statistics = said.iter().filter_map(|(_, s)| *s).map(f64::from_bits);
        assert!(statistics.clone().count() > 0, "{detector:?}");
        assert!(said.iter().any(|(signal, _)| signal.is_drift()), "{detector:?}");
        for s in statistics {
            assert!(s.is_finite(), "{detector:?}: {s}");
        }
        assert_eq!(detector.seen(), 900);
    }
}

#[test]
fn what_is_not_taken_changes_nothing() {
    for mut detector in detectors() {
        let values = stream(detector.input(), 2, 170);
        run(&mut *detector, &values);
        let before = detector.to_bytes();
        let mut refused = vec![f64::NAN];
        match detector.input() {
            Input::Ordered => (),
            Input::Number => refused.extend([f64::INFINITY, f64::NEG_INFINITY, 1e141]),
            Input::Unit => refused.extend([f64::INFINITY, -0.1, 1.1]),
            Input::Binary => refused.extend([f64::INFINITY, 0.5, 2.0, -1.0]),
        }
        for x in refused {
            let said = detector.update(x).unwrap_err().to_string();
            assert!(said.starts_with("value 170 of the stream: expected "), "{said}");
            assert_eq!(detector.to_bytes(), before);
        }
    }
}

#[test]
fn a_reset_detector_is_a_new_one_but_for_its_position() {
    for mut detector in detectors() {
        let mut fresh = StreamKinds::standard().start(&detector.description()).unwrap();
        let kswin = detector.description().kind == "kswin";
        let values = stream(detector.input(), 3, 400);
        run(&mut *detector, &values);
        detector.reset();
        assert_eq!((detector.seen(), detector.statistic()), (400, fresh.statistic()));
        let values = stream(detector.input(), 4, 500);
        // Its draws are keyed by the position.
        if !kswin {
            assert_eq!(run(&mut *detector, &values), run(&mut *fresh, &values), "{detector:?}");
        }
    }
}

#[test]
fn states_of_other_options_and_kinds_are_refused() {
    let mut one = Ddm::new(DdmOptions::default()).unwrap();
    let other = Ddm::new(DdmOptions { min_values: 31, ..DdmOptions::default() }).unwrap();
    assert!(one.restore(&other.to_bytes()).is_err());
    assert!(one.restore(&Eddm::new(EddmOptions::default()).unwrap().to_bytes()).is_err());
    assert!(StreamKinds::new().resume(&one.to_bytes()).is_err());
    assert!(StreamKinds::standard().resume(&[]).is_err());
    let mut longer = one.to_bytes();
    longer.push(0);
    assert!(one.restore(&longer).is_err());
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = [
        ("adwin", r#"{"delta":0.0}"#),
        ("adwin", r#"{"max_buckets":1}"#),
        ("ddm", r#"{"drift_level":1.0}"#),
        ("ddm", r#"{"levels":1.0}"#),
        ("eddm", r#"{"drift_level":0.97}"#),
        ("ecdd", r#"{"lambda":0.1}"#),
        ("hddm_a", r#"{"alpha_drift":0.01}"#),
        ("kswin", r#"{"alpha":1e-30}"#),
        ("kswin", r#"{"window":59}"#),
        ("kswin", r#"{"window":100000000000}"#),
        ("rddm", r#"{"min_concept":40000}"#),
        ("gma", r#"{"baseline":{"known":{"mean":0.0,"sd":0.0}}}"#),
        ("cusum", r#"{"threshold":-1.0}"#),
        ("page_hinkley", r#"{"alpha":0.0}"#),
        ("stepd", r#"{"window":0}"#),
        ("bocd", r#"{"scale":0.0}"#),
        ("bocd", r#"{"rule":{"probability":1.0}}"#),
        ("incremental_ks", r#"{"window":3,"reference":3}"#),
        ("incremental_ks", r#"{"window":1000001}"#),
        ("shewhart", r#"{"rules":[]}"#),
        ("shewhart", r#"{"baseline":{"first":1}}"#),
    ];
    for (kind, params) in refused {
        let text = format!(r#"{{"kind":"{kind}","version":1,"params":{params}}}"#);
        let description: Description = serde_json::from_str(&text).unwrap();
        assert!(StreamKinds::standard().start(&description).is_err(), "{text}");
    }
}

#[test]
fn windows_of_more_values_than_there_are_numbers_are_refused() {
    let options = AdwinOptions { max_buckets: 1024, ..AdwinOptions::default() };
    let mut detector = Adwin::new(options).unwrap();
    let mut bytes = Vec::new();
    bytes.extend(100_u64.to_le_bytes());
    bytes.push(0);
    for count in [100_u64, 56] {
        bytes.extend(count.to_le_bytes());
    }
    for _ in 0..56 {
        bytes.extend(1023_u64.to_le_bytes());
        bytes.resize(bytes.len() + 1023 * 16, 0);
    }
    bytes.extend((-1.0_f64).to_le_bytes());
    let before = detector.to_bytes();
    let error = detector.decode(&mut bytes.as_slice()).unwrap_err().to_string();
    assert!(error.contains("a window of at most 100"), "{error}");
    assert_eq!(detector.to_bytes(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn resumed_is_uninterrupted(seed in 0..1000_u64, cut in 0..420_usize) {
        for mut whole in detectors() {
            let values = stream(whole.input(), seed, 420);
            let mut first = StreamKinds::standard().start(&whole.description()).unwrap();
            let mut said = run(&mut *first, &values[..cut]);
            let bytes = first.to_bytes();
            let mut second = StreamKinds::standard().resume(&bytes).unwrap();
            prop_assert_eq!(second.to_bytes(), bytes);
            said.extend(run(&mut *second, &values[cut..]));
            prop_assert_eq!(run(&mut *whole, &values), said);
            prop_assert_eq!(whole.to_bytes(), second.to_bytes());
        }
    }

    #[test]
    fn hostile_bytes_are_errors(seed in 0..1000_u64, n in 0..300_usize, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), shorter in any::<prop::sample::Index>()) {
        for mut detector in detectors() {
            let values = stream(detector.input(), seed, 300);
            run(&mut *detector, &values[..n]);
            let bytes = detector.to_bytes();
            prop_assert!(StreamKinds::standard().resume(&bytes[..shorter.index(bytes.len())]).is_err());
            let mut state = Vec::new();
            detector.encode(&mut state);
            // Beneath the checksum: what is read is a state that goes on, or an error that leaves
            // the detector as it was.
            for (at, with) in &flips {
                let at = at.index(state.len());
                state[at] = *with;
            }
            let mut other = StreamKinds::standard().start(&detector.description()).unwrap();
            let before = other.to_bytes();
            if other.decode(&mut state.as_slice()).is_ok() {
                for x in &values {
                    let _ = other.update(*x);
                    let _ = other.statistic();
                }
                let mut again = Vec::new();
                other.encode(&mut again);
            } else {
                prop_assert_eq!(other.to_bytes(), before);
            }
            let mut whole = bytes.clone();
            let at = flips[0].0.index(whole.len());
            whole[at] ^= 1 | flips[0].1;
            prop_assert!(StreamKinds::standard().resume(&whole).is_err());
        }
    }
}
