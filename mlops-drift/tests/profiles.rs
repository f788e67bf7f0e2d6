//! Profiles: the same bits however the rows come, bytes that resist, merging, and every status a
//! column can be in.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationSecondArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
    Time64MicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, i256};
use mlops_core::stats::Draws;
use mlops_core::{DriftDetectorExt, MemorySource, Verdict, batch};
use mlops_drift::statistics::{ks_from_cells, ks_two_sample, total_variation};
use mlops_drift::{
    Cells, ColumnProfile, DatasetRule, DriftMonitor, DriftReport, DriftRule, Effect, Family, Kind,
    ProfileOptions, ReferenceProfile, Share, Statistic, Status,
};
use proptest::prelude::*;

fn every_type(n: i32) -> RecordBatch {
    let texts: Vec<Option<String>> =
        (0..n).map(|i| (i % 11 != 0).then(|| format!("t{}", i % 5))).collect();
    let dictionary: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
    batch! {
        "float" => Float64Array::from((0..n).map(|i| match i % 50 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(f64::INFINITY),
            3 => Some(-0.0),
            _ => Some(f64::from(i) / 7.0),
        }).collect::<Vec<_>>()),
        "decimal" => Decimal128Array::from_iter_values((0..n).map(|i| i128::from(i) * 10))
            .with_precision_and_scale(12, 2).expect("a decimal"),
        "integer" => Int64Array::from_iter_values((0..n).map(i64::from)),
        "few" => Int32Array::from_iter_values((0..n).map(|i| i % 3 - 1)),
        "flag" => BooleanArray::from((0..n).map(|i| i % 4 == 0).collect::<Vec<_>>()),
        "date" => Date32Array::from_iter_values((0..n).map(|i| 18_000 + i % 40)),
        "time" => TimestampMillisecondArray::from_iter_values((0..n).map(|i| i64::from(i) * 60_000)),
        "text" => StringArray::from(texts),
        "dictionary" => dictionary,
        "nothing" => NullArray::new(n as usize),
        "tiny" => Int8Array::from_iter_values((0..n).map(|i| (i % 100) as i8)),
        "unsigned" => UInt64Array::from_iter_values((0..n).map(|i| (1 << 53) + i as u64)),
        "single" => Float32Array::from_iter_values((0..n).map(|i| i as f32 / 4.0)),
        "wide decimal" => Decimal256Array::from_iter_values((0..n).map(i256::from))
            .with_precision_and_scale(50, 1).expect("a decimal"),
        "zoned" => TimestampNanosecondArray::from_iter_values((0..n).map(|i| 1_700_000_000_000_000_000 + i64::from(i) * 1_000_000_000))
            .with_timezone("Europe/Oslo"),
        "time of day" => Time64MicrosecondArray::from_iter_values((0..n).map(i64::from)),
        "duration" => DurationSecondArray::from_iter_values((0..n).map(i64::from)),
        "large text" => LargeStringArray::from_iter_values((0..n).map(|i| format!("t{}", i % 5))),
        "text view" => StringViewArray::from_iter_values((0..n).map(|i| format!("a longer text {}", i % 5))),
        "bytes" => BinaryArray::from_iter_values((0..n).map(i32::to_le_bytes)),
    }
    .expect("a batch")
}

fn fit(batch: &RecordBatch) -> ReferenceProfile {
    ReferenceProfile::fit(&MemorySource::from(batch.clone()), &ProfileOptions::default())
        .expect("a profile")
}

#[test]
fn every_type_has_its_cells() {
    let profile = fit(&every_type(400));
    let kinds: Vec<_> =
        profile.columns().iter().map(|c| (c.name(), c.family(), c.kind())).collect();
    assert_eq!(
        kinds,
        [
            ("float", Family::Float, Kind::Numeric),
            ("decimal", Family::Float, Kind::Numeric),
            ("integer", Family::Integer, Kind::Numeric),
            ("few", Family::Integer, Kind::FewIntegers),
            ("flag", Family::Boolean, Kind::Categorical),
            ("date", Family::Days, Kind::Numeric),
            ("time", Family::Millis, Kind::Numeric),
            ("text", Family::Text, Kind::Categorical),
            ("dictionary", Family::Text, Kind::Categorical),
            ("nothing", Family::Null, Kind::Categorical),
            ("tiny", Family::Integer, Kind::Numeric),
            ("unsigned", Family::Integer, Kind::Numeric),
            ("single", Family::Float, Kind::Numeric),
            ("wide decimal", Family::Float, Kind::Numeric),
            ("zoned", Family::Nanos, Kind::Numeric),
            ("time of day", Family::Micros, Kind::Numeric),
            ("duration", Family::Seconds, Kind::Numeric),
            ("large text", Family::Text, Kind::Categorical),
            ("text view", Family::Text, Kind::Categorical),
        ]
    );
    let few = profile.column("few").expect("the column");
    assert_eq!(few.cells(), &Cells::Labels(["-1", "0", "1"].map(String::from).into()));
    let float = profile.column("float").expect("the column").counts();
    assert_eq!((float.nulls(), float.nan(), float.positive_infinite()), (8, 8, 8));
    assert_eq!(float.rows(), 400);
    let summary = |name: &str| *profile.column(name).expect(name).counts().summary().expect(name);
    let float = summary("float");
    assert_eq!((float.n(), float.nulls, float.nans, float.zeros), (376, 8, 8, 8));
    assert_eq!((float.min, float.max), (Some(0.0), Some(57.0)));
    // 0.00 to 39.90 in steps of 0.10, as fractions of a hundred.
    assert_eq!((summary("decimal").mean(), summary("decimal").max), (Some(19.95), Some(39.9)));
    assert_eq!(
        (summary("integer").sum(), summary("integer").variance()),
        (79_800.0, Some(13_366.666666666666))
    );
    assert_eq!((summary("date").min, summary("date").max), (Some(18_000.0), Some(18_039.0)));
    assert_eq!(summary("time").max, Some(399.0 * 60_000.0));
    assert_eq!(summary("single").max, Some(99.75));
    assert_eq!(summary("wide decimal").max, Some(39.9));
    assert_eq!(summary("zoned").min, Some(1.7e18));
    assert_eq!((summary("time of day").max, summary("duration").max), (Some(399.0), Some(399.0)));
    // Beyond 2⁵³ integers are read as the nearest even ones: 400 of them are 201 values.
    let unsigned = profile.column("unsigned").expect("a column");
    assert_eq!(unsigned.cells().len(), 2 * 201 + 1);
    assert_eq!(unsigned.counts().values(), 400);
    assert_eq!(profile.column("text").expect("text").counts().summary(), None);
    let (text, dictionary) = (profile.column("text"), profile.column("dictionary"));
    assert_eq!(text.map(ColumnProfile::counts), dictionary.map(ColumnProfile::counts));
    assert!(profile.to_string().contains("few distinct integers"));
}

#[test]
fn the_same_bits_however_the_rows_come() {
    let batch = every_type(500);
    let expected = fit(&batch).to_bytes();
    let reversed: Vec<_> =
        (0..500).step_by(37).map(|at| batch.slice(at, 37.min(500 - at))).rev().collect();
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let source = MemorySource::new(batch.schema(), reversed.clone()).expect("a source");
        let profile = pool.install(|| ReferenceProfile::fit(&source, &ProfileOptions::default()));
        assert_eq!(profile.expect("a profile").to_bytes(), expected, "{threads} threads");
    }
    let monitor = DriftMonitor::new(fit(&batch));
    let one = monitor.compare(&MemorySource::from(batch.slice(100, 300))).expect("a report");
    let parts = MemorySource::new(batch.schema(), [batch.slice(250, 150), batch.slice(100, 150)]);
    assert_eq!(monitor.compare(&parts.expect("a source")).expect("a report"), one);
    let counted = monitor.profile().count(&MemorySource::from(batch.slice(100, 300)));
    assert_eq!(monitor.compare_profile(&counted.expect("counts")).expect("a report"), one);
}

#[test]
fn profiles_are_stored_and_read_back() {
    let profile = fit(&every_type(300));
    let bytes = profile.to_bytes();
    let back = ReferenceProfile::from_bytes(&bytes).expect("a profile");
    assert_eq!((&back, back.digest()), (&profile, profile.digest()));
    let json = serde_json::to_string(&profile).expect("JSON");
    assert_eq!(serde_json::from_str::<ReferenceProfile>(&json).expect("a profile"), profile);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("reference.mlpr");
    profile.save(&path).expect("saved");
    assert_eq!(ReferenceProfile::load(&path).expect("loaded"), profile);
    assert!(ReferenceProfile::load(directory.path().join("none")).is_err());

    for n in 0..bytes.len() {
        assert!(ReferenceProfile::from_bytes(&bytes[..n]).is_err(), "{n} bytes");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut other = bytes.clone();
        other[at] ^= 0x40;
        assert!(ReferenceProfile::from_bytes(&other).is_err(), "byte {at}");
    }
    for (from, to) in [
        ("\"rows\":300", "\"rows\":301"),
        ("\"format\":1", "\"format\":2"),
        ("\"nulls\":6", "\"nulls\":18446744073709551615"),
        ("\"zeros\":0", "\"nans\":1"),
        ("\"min\":18000.0", "\"min\":18001.0"),
        ("[\"-1\",\"0\",\"1\"]", "[\"1\",\"0\",\"-1\"]"),
        ("\"kind\":\"numeric\"", "\"kind\":\"categorical\""),
        ("\"column\":\"decimal\"", "\"column\":\"float\""),
    ] {
        assert!(json.contains(from), "{from}");
        let wrong = json.replacen(from, to, 1);
        assert!(serde_json::from_str::<ReferenceProfile>(&wrong).is_err(), "{to}");
    }
}

#[test]
fn profiles_merge_with_equal_cells_only() {
    let batch = every_type(400);
    let whole = fit(&batch);
    let part = |at, n| whole.count(&MemorySource::from(batch.slice(at, n))).expect("counts");
    let mut merged = part(0, 150);
    merged.merge(part(150, 250)).expect("equal cells");
    assert_eq!(merged, whole);
    assert!(part(0, 10).merge(fit(&batch.slice(0, 10))).is_err());
    let fewer = part(0, 10).without(&["few"]).expect("a column less");
    assert!(part(0, 10).merge(fewer).is_err());
    assert!(part(0, 10).without(&["few", "fwe"]).is_err());
    let source = MemorySource::from(every_type(10));
    let none = ProfileOptions::new().columns(Vec::<String>::new());
    assert!(ReferenceProfile::fit(&source, &none).is_err());
    let fewer = batch.project(&[0, 1]).expect("two columns");
    assert!(whole.count(&MemorySource::from(fewer)).is_err());
}

#[test]
fn a_monitor_keeps_the_contract_of_a_drift_detector() {
    let batch = every_type(400);
    mlops_core::conformance::drift_detector(&DriftMonitor::new(fit(&batch)), &batch);
}

fn compare(reference: ArrayRef, current: ArrayRef) -> DriftReport {
    let source = |array| {
        MemorySource::from(
            RecordBatch::try_from_iter_with_nullable([("x", array, true)]).expect("rows"),
        )
    };
    let profile =
        ReferenceProfile::fit(&source(reference), &ProfileOptions::default()).expect("a fit");
    DriftMonitor::new(profile).compare(&source(current)).expect("a report")
}

fn floats(n: usize, f: impl Fn(usize) -> Option<f64>) -> ArrayRef {
    Arc::new((0..n).map(f).collect::<Float64Array>())
}

#[test]
fn every_column_gets_a_status_and_no_error() {
    let some = || floats(3000, |i| Some((i * 7919 % 1009) as f64));
    let null = || floats(3000, |_| None);
    let constant = |c: f64| floats(3000, move |_| Some(c));
    let text = || {
        Arc::new(StringArray::from_iter_values((0..3000).map(|i| format!("{}", i % 4)))) as ArrayRef
    };
    for (name, reference, current, status, verdict) in [
        ("itself", some(), some(), Status::Compared, Verdict::Pass),
        ("constant", constant(5.0), constant(5.0), Status::Constant, Verdict::Pass),
        ("other constant", constant(5.0), constant(6.0), Status::Constant, Verdict::Fail),
        ("all null", null(), null(), Status::NoValues, Verdict::Pass),
        ("turned null", some(), null(), Status::NoCurrent, Verdict::Fail),
        ("was null", null(), some(), Status::NoReference, Verdict::Fail),
        (
            "became typeless",
            some(),
            Arc::new(NullArray::new(3000)),
            Status::NoCurrent,
            Verdict::Fail,
        ),
        (
            "one row",
            some(),
            some().slice(0, 1),
            Status::TooFew { reference: 3000, current: 1 },
            Verdict::Inconclusive,
        ),
        ("no rows", some(), some().slice(0, 0), Status::NoCurrent, Verdict::Inconclusive),
        ("no reference", some().slice(0, 0), some(), Status::NoReference, Verdict::Inconclusive),
        (
            "type",
            some(),
            text(),
            Status::TypeChanged { reference: "float".into(), current: "text".into() },
            Verdict::Fail,
        ),
        (
            "few integers, with a null and so as floats",
            Arc::new(Int32Array::from_iter_values((0..3000).map(|i| i % 4))),
            floats(3000, |i| (i != 7).then_some((i % 4) as f64)),
            Status::Compared,
            Verdict::Pass,
        ),
        (
            "few integers, and now fractions",
            Arc::new(Int32Array::from_iter_values((0..3000).map(|i| i % 4))),
            floats(3000, |i| Some(i as f64 / 2.0)),
            Status::Compared,
            Verdict::Fail,
        ),
        (
            "whole numbers",
            some(),
            Arc::new(Int32Array::from_iter_values((0..3000).map(|i| i * 7919 % 1009))),
            Status::Compared,
            Verdict::Pass,
        ),
    ] {
        let report = compare(reference, current);
        let column = report.column("x").expect("the column");
        assert_eq!((&column.status, column.verdict), (&status, verdict), "{name}: {report}");
        assert_eq!(report.verdict, verdict, "{name}");
        assert!(!column.reason.is_empty());
        let json = serde_json::to_string(&report).expect("JSON");
        assert_eq!(serde_json::from_str::<DriftReport>(&json).expect("a report"), report, "{name}");
        assert!(report.to_report().to_html().contains("<html"));
        assert!(report.to_report().to_terminal(100, false).contains('x'));
    }
}

#[test]
fn missing_values_new_and_vanished_categories_drift() {
    let value = |i: usize| (i * 7919 % 1009) as f64;
    let report = compare(
        floats(4000, |i| (i % 100 != 0).then(|| value(i))),
        floats(3000, |i| (i % 5 != 0).then(|| value(i))),
    );
    let column = &report.columns[0];
    let nulls = column.share(Share::Null).expect("nulls");
    assert_eq!((nulls.verdict, column.verdict), (Verdict::Fail, Verdict::Fail), "{report}");
    assert_eq!((nulls.reference, nulls.current), (0.01, 0.2));
    assert!(nulls.interval.contains(0.19));

    let nan = compare(
        floats(4000, |i| Some(value(i))),
        floats(3000, |i| Some(if i % 9 == 0 { f64::NAN } else { value(i) })),
    );
    let kinds: Vec<_> = nan.columns[0]
        .shares
        .iter()
        .filter(|s| s.share.is_missing())
        .map(|s| (s.share, s.verdict))
        .collect();
    assert_eq!(kinds, [(Share::Null, Verdict::Pass), (Share::Nan, Verdict::Fail)]);

    let city = |n: usize, names: &[&str]| {
        Arc::new(StringArray::from_iter_values((0..n).map(|i| names[i % names.len()].to_owned())))
            as ArrayRef
    };
    let new = compare(city(4000, &["a", "b", "c", "d"]), city(3000, &["a", "b", "c", "d", "new"]));
    let column = &new.columns[0];
    assert_eq!((column.unseen, column.verdict), (Some(600), Verdict::Fail), "{new}");
    let tv = column.statistic(Statistic::TotalVariation).expect("a distance");
    assert!((tv.value - 0.2).abs() < 1e-12);
    let gone = compare(city(4000, &["a", "b", "c", "d"]), city(3000, &["a", "b", "c"]));
    assert_eq!(gone.columns[0].verdict, Verdict::Fail, "{gone}");
    // One row of a new category is no alarm, and neither are identifiers.
    let mut one: Vec<_> = (0..3000).map(|i| ["a", "b", "c", "d"][i % 4]).collect();
    one[17] = "new";
    let one = compare(city(4000, &["a", "b", "c", "d"]), Arc::new(StringArray::from(one)));
    assert_eq!(one.verdict, Verdict::Pass, "{one}");
    let ids = |from: usize| {
        Arc::new(StringArray::from_iter_values((from..from + 900).map(|i| format!("{i}"))))
            as ArrayRef
    };
    assert!(!compare(ids(0), ids(10_000)).verdict.is_fail());
}

#[test]
fn rules_decide() {
    let source = |shift: f64| {
        let x = |i: i32| f64::from(i * 7919 % 1009) + shift;
        MemorySource::from(
            batch! {
                "x" => Float64Array::from_iter_values((0..4000).map(x)),
                "y" => Float64Array::from_iter_values((0..4000).map(|i| f64::from(i % 991))),
            }
            .expect("a batch"),
        )
    };
    let profile = ReferenceProfile::fit(&source(0.0), &ProfileOptions::default()).expect("a fit");
    let verdict = |rule: DriftRule, shift: f64| {
        let monitor = DriftMonitor::with_rule(profile.clone(), rule).expect("a rule");
        let report = monitor.compare(&source(shift)).expect("a report");
        assert_eq!(monitor.detect(&source(shift)).expect("an assessment").verdict, report.verdict);
        report.verdict
    };
    let rule = DriftRule::new;
    // D = 0.2.
    assert_eq!(verdict(rule(), 200.0), Verdict::Fail);
    assert_eq!(verdict(rule().floor("x", 0.3), 200.0), Verdict::Pass);
    assert_eq!(verdict(rule().floor("x", 0.19), 200.0), Verdict::Inconclusive);
    assert_eq!(verdict(rule().dataset(DatasetRule::Share(0.5)), 200.0), Verdict::Fail);
    assert_eq!(verdict(rule().dataset(DatasetRule::Share(0.6)), 200.0), Verdict::Pass);
    assert_eq!(
        verdict(
            rule().effect(Effect::Psi { floor: mlops_drift::statistics::PSI_FOLKLORE_MAJOR }),
            200.0
        ),
        Verdict::Fail
    );
    assert_eq!(
        verdict(
            rule().effect(Effect::Psi { floor: mlops_drift::statistics::PSI_FOLKLORE_MAJOR }),
            0.0
        ),
        Verdict::Pass
    );
    assert_eq!(verdict(rule().min_rows(5000), 200.0), Verdict::Inconclusive);
    for wrong in [
        rule().alpha(0.0),
        rule().confidence(1.0),
        rule().missing(f64::NAN),
        rule().psi_bins(1),
        rule().floor("x", -1.0),
        rule().dataset(DatasetRule::Share(0.0)),
    ] {
        assert!(DriftMonitor::with_rule(profile.clone(), wrong).is_err());
    }
    let gone =
        MemorySource::from(batch! { "y" => Float64Array::from(vec![1.0; 100]) }.expect("a batch"));
    let report = DriftMonitor::new(profile).compare(&gone).expect("a report");
    assert_eq!(report.column("x").expect("x").status, Status::MissingColumn);
    for options in [
        ProfileOptions::default().edges(1),
        ProfileOptions::default().labels(0),
        ProfileOptions::default().exclude(["nope"]),
        ProfileOptions::default().columns(["nope"]),
    ] {
        assert!(ReferenceProfile::fit(&source(0.0), &options).is_err());
    }
}

/// Values with heavy ties, few distinct magnitudes, signs and extremes.
fn tied() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        4 => (-6i32..6).prop_map(|i| f64::from(i) / 2.0),
        2 => -3.0..3.0f64,
        1 => Just(-0.0),
        1 => prop::num::f64::NORMAL,
    ];
    prop::collection::vec(value, 1..120)
}

/// Magic, version, digest and length.
const HEAD: usize = 4 + 2 + 32 + 8;

thread_local! {
    static STORED: Vec<u8> = fit(&every_type(60)).to_bytes();
}

fn with_head(payload: &[u8]) -> Vec<u8> {
    let mut whole = b"MLDP\x01\x00".to_vec();
    whole.extend_from_slice(mlops_core::Digest::of(payload).as_bytes());
    whole.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    whole.extend_from_slice(payload);
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn counts_enclose_the_exact_ks(reference in tied(), current in tied(), edges in 2usize..20) {
        let source = |values: &[f64]| {
            MemorySource::from(batch! { "x" => Float64Array::from(values.to_vec()) }.expect("a batch"))
        };
        let options = ProfileOptions::default().edges(edges);
        let profile = ReferenceProfile::fit(&source(&reference), &options).expect("a profile");
        let counted = profile.count(&source(&current)).expect("counts");
        let cells = |p: &ReferenceProfile| p.columns()[0].counts().cells().to_vec();
        let bounds = ks_from_cells(&cells(&profile), &cells(&counted), 0.95).expect("bounds");
        let exact = ks_two_sample(&reference.clone().into(), &current.clone().into()).expect("a test");
        prop_assert!(bounds.statistic.0 <= exact.statistic && exact.statistic <= bounds.statistic.1,
            "{:?} {}", bounds.statistic, exact.statistic);
        prop_assert!(bounds.p_value.0 <= exact.p_value * (1.0 + 1e-9));
        prop_assert!(exact.p_value <= bounds.p_value.1 * (1.0 + 1e-9));
        let itself = ks_from_cells(&cells(&profile), &cells(&profile), 0.95).expect("bounds");
        prop_assert_eq!(itself.statistic.0, 0.0);
    }

    #[test]
    fn damaged_columns_are_errors_or_profiles(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        // Under a digest of their own, so that the columns are read.
        let mut payload = STORED.with(|stored| stored[HEAD..].to_vec());
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Ok(mut profile) = ReferenceProfile::from_bytes(&with_head(&payload)) {
            prop_assert_eq!(&ReferenceProfile::from_bytes(&profile.to_bytes()).expect("itself"), &profile);
            drop(profile.to_string());
            drop(profile.merge(profile.clone()));
            drop(profile.count(&MemorySource::from(every_type(30))));
            drop(DriftMonitor::new(profile).compare(&MemorySource::from(every_type(60))));
        }
    }

    #[test]
    fn hostile_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ReferenceProfile::from_bytes(&bytes).is_err());
        // With a good head, so that the columns are read: whatever they are, no panic.
        let mut payload = bytes;
        payload.splice(0..0, [5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        drop(ReferenceProfile::from_bytes(&with_head(&payload)));
    }
}

/// Counts as rows of a column `c` of categories.
fn labels(counts: impl IntoIterator<Item = u64>) -> ArrayRef {
    let rows = counts.into_iter().enumerate();
    let rows = rows.flat_map(|(i, n)| std::iter::repeat_n(format!("c{i:03}"), n as usize));
    Arc::new(StringArray::from(rows.collect::<Vec<_>>()))
}

/// Forty categories of 500 rows, of which 130 current ones would expect three each.
#[test]
fn sparse_categories_pass_by_their_own_distance_only() {
    let reference = vec![500; 40];
    let rule = || DriftRule::new().min_rows(30);
    let of = |rule: DriftRule, current: &[u64]| {
        let source = |c| MemorySource::from(RecordBatch::try_from_iter([("c", c)]).expect("rows"));
        let fitted = ReferenceProfile::fit(
            &source(labels(reference.iter().copied())),
            &ProfileOptions::new(),
        );
        let monitor = DriftMonitor::with_rule(fitted.expect("a profile"), rule).expect("a rule");
        let report = monitor.compare(&source(labels(current.iter().copied()))).expect("a report");
        report.columns[0].clone()
    };
    // 77 % in ten categories that had 25 %.
    let moved: Vec<u64> = (0..40).map(|i| if i < 10 { 10 } else { 1 }).collect();
    let column = of(rule(), &moved);
    assert_eq!(column.verdict, Verdict::Fail, "{column:?}");
    let tv = column.statistic(Statistic::TotalVariation).expect("a distance");
    let exact = total_variation(&reference, &moved, 0.95).expect("a distance");
    let limits = tv.interval.expect("limits");
    assert_eq!((tv.value, limits.high), (exact.value, exact.interval.high));
    assert!(tv.value > 0.51 && limits.low > 0.05 && limits.low <= exact.value);
    let index = of(rule().effect(Effect::Psi { floor: 0.1 }), &moved);
    assert_ne!(index.verdict, Verdict::Pass, "{index:?}");
    let psi = index.statistic(Statistic::Psi).expect("an index");
    assert!(psi.value > 0.5 && psi.interval.expect("limits").high > psi.value);

    // Nothing drifted.
    for replicate in 0..20 {
        let mut draws = Draws::new(7, 1, replicate);
        let current = draws.multinomial(130, &[1.0; 40]).expect("counts");
        for rule in [rule(), rule().effect(Effect::Psi { floor: 0.1 })] {
            let column = of(rule, &current);
            assert_eq!(column.verdict, Verdict::Inconclusive, "{column:?}");
        }
    }
}

/// In many sparse categories, most of them unseen on one side, the limits hold the distance of the
/// populations.
#[test]
fn limits_of_sparse_categories_hold() {
    let zipf: Vec<f64> = (0..300).map(|i| 1.0 / f64::from(i + 1)).collect();
    let mut turned = zipf.clone();
    turned[..20].reverse();
    turned[100..].reverse();
    let even = vec![1.0; 300];
    let mut half = even.clone();
    half[..150].fill(3.0);
    let many = vec![1.0; 1000];
    let shares = |x: &[f64]| x.iter().map(|v| v / x.iter().sum::<f64>()).collect::<Vec<_>>();
    let replicates =
        std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for (name, q, p) in [
        ("zipf", &zipf, &zipf),
        ("turned", &zipf, &turned),
        ("even", &even, &even),
        ("half", &even, &half),
        ("many", &many, &many),
    ] {
        let truth = shares(q).iter().zip(shares(p)).map(|(q, p)| (q - p).abs()).sum::<f64>() / 2.0;
        for (n, m) in [(100, 100), (2000, 130), (130, 2000), (2000, 2000)] {
            let (mut low, mut high, mut fails, mut rejects) = (0, 0, 0, 0);
            for replicate in 0..replicates {
                let mut draws = Draws::new(8, n, replicate);
                let r = labels(draws.multinomial(u64::from(n), q).expect("counts"));
                let c = labels(draws.multinomial(m, p).expect("counts"));
                let report = compare(r, c);
                let column = &report.columns[0];
                let tv = column.statistic(Statistic::TotalVariation).expect("a distance");
                let limits = tv.interval.expect("limits");
                low += u64::from(limits.low > truth);
                high += u64::from(limits.high < truth);
                fails += u64::from(column.verdict.is_fail());
                rejects += u64::from(column.test.as_ref().is_some_and(|t| t.p_value <= 0.05));
            }
            println!(
                "{name:<6} {n:>4} {m:>4}, distance {truth:.3}: {low} below, {high} above, \
                 {rejects} rejected, {fails} failed of {replicates}"
            );
            let most = |rate: f64| {
                let n = replicates as f64;
                n * rate + 3.0 * (n * rate * (1.0 - rate)).sqrt()
            };
            assert!((low.max(high) as f64) < most(0.025), "{name} {n} {m}");
            assert!(truth > 0.0 || fails == 0 && (rejects as f64) < most(0.06), "{name} {n} {m}");
        }
    }
}

#[test]
fn reasons_name_what_changed() {
    let few = compare(floats(3000, |i| Some(i as f64)), floats(1, |_| Some(7.0)));
    assert_eq!(few.columns[0].reason, "too few values: 3000 and 1");
    assert!(few.to_string().contains("(1 current row against 3000"), "{few}");
    let null = compare(floats(3000, |i| Some(i as f64)), floats(40, |i| (i > 20).then_some(7.0)));
    let reason = &null.columns[0].reason;
    assert!(reason.contains("null went from 0.0 % to 52.5 % of the rows"), "{reason}");
}

#[test]
fn floors_that_no_effect_can_reach_are_refused() {
    let batch = batch! {
        "sex" => StringArray::from_iter_values((0..90).map(|i| if i % 3 == 0 { "f" } else { "m" })),
        "age" => Float64Array::from_iter_values((0..90).map(f64::from)),
    };
    let source = MemorySource::from(batch.expect("rows"));
    let profile = ReferenceProfile::fit(&source, &ProfileOptions::new()).expect("a profile");
    let refused = |column: &str, effect: Effect| {
        let rule = DriftRule::new().effect(effect).floor(column, 2.0);
        DriftMonitor::with_rule(profile.clone(), rule).is_err()
    };
    assert!(refused("sex", Effect::distance()) && refused("sex", Effect::wasserstein()));
    assert!(refused("age", Effect::distance()) && !refused("age", Effect::wasserstein()));
    assert!(!refused("sex", Effect::Psi { floor: 0.1 }));
}
