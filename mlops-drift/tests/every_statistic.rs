//! One comparison gives every statistic of every column, and what it encloses holds the exact
//! number of the two samples.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::stats::{Correction, Draws};
use mlops_core::{MemorySource, Verdict, batch};
use mlops_drift::statistics::{
    Alternative, cramer_von_mises_two_sample, energy_two_sample, ks_two_sample, kuiper_two_sample,
    mann_whitney, wasserstein_two_sample,
};
use mlops_drift::{
    DatasetRule, DriftMonitor, DriftReport, DriftRule, Effect, ProfileOptions, ReferenceProfile,
    Share, Statistic,
};

fn sample(stream: u32, n: usize, shift: f64) -> (Float64Array, RecordBatch) {
    let mut draws = Draws::new(81, stream, 0);
    let x: Vec<f64> = (0..n)
        .map(|i| {
            let z = draws.normal() + shift;
            if i % 3 == 0 { z.round() } else { z }
        })
        .collect();
    let city: Vec<_> = (0..n)
        .map(|_| {
            if draws.bernoulli(0.1) {
                "c"
            } else if draws.bernoulli(0.3 + shift / 3.0) {
                "b"
            } else {
                "a"
            }
        })
        .collect();
    let flag: Vec<_> =
        (0..n).map(|_| if draws.bernoulli(0.4 + shift / 3.0) { "yes" } else { "no" }).collect();
    let x = Float64Array::from(x);
    let columns: [(&str, ArrayRef); 3] = [
        ("x", Arc::new(x.clone())),
        ("city", Arc::new(StringArray::from(city))),
        ("flag", Arc::new(StringArray::from(flag))),
    ];
    (x, RecordBatch::try_from_iter(columns).expect("a batch"))
}

fn compare(rule: DriftRule, reference: RecordBatch, current: RecordBatch) -> DriftReport {
    let options = ProfileOptions::default().edges(64);
    let profile = ReferenceProfile::fit(&MemorySource::from(reference), &options).expect("a fit");
    let monitor = DriftMonitor::with_rule(profile, rule).expect("a rule");
    monitor.compare(&MemorySource::from(current)).expect("a report")
}

#[test]
fn each_is_there_and_encloses_the_exact_one() {
    let ((x, reference), (y, current)) = (sample(0, 900, 0.0), sample(1, 700, 0.4));
    let report = compare(DriftRule::new(), reference, current);
    let names = |column: &str| {
        let mut names: Vec<_> = report
            .column(column)
            .expect("the column")
            .statistics
            .iter()
            .map(|s| s.statistic.to_string())
            .collect();
        names.sort_unstable();
        names.join(" ")
    };
    let counted = "chi_square g_test goodness_of_fit hellinger jensen_shannon kl_from_current \
                   kl_from_reference l_infinity psi total_variation";
    assert_eq!(names("city"), counted);
    assert_eq!(
        names("flag"),
        "chi_square fisher_exact g_test goodness_of_fit hellinger jensen_shannon kl_from_current \
         kl_from_reference l_infinity psi total_variation two_proportion_z"
    );
    assert_eq!(
        names("x"),
        "anderson_darling bartlett chi_square cramer_von_mises energy g_test goodness_of_fit \
         hellinger jensen_shannon kl_from_current kl_from_reference ks kuiper l_infinity \
         mann_whitney pooled_t psi total_variation variance_ratio wasserstein \
         wasserstein_normalised welch_t"
    );
    let column = report.column("x").expect("x");
    let w1 = wasserstein_two_sample(&x, &y).expect("a test");
    for (statistic, exact) in [
        (Statistic::Ks, ks_two_sample(&x, &y).expect("a test").statistic),
        (Statistic::Kuiper, kuiper_two_sample(&x, &y).expect("a test").statistic),
        (Statistic::CramerVonMises, cramer_von_mises_two_sample(&x, &y).expect("a test").statistic),
        (Statistic::Energy, energy_two_sample(&x, &y).expect("a test").distance),
        (Statistic::Wasserstein, w1.statistic),
        (Statistic::WassersteinNormalised, w1.normalised.expect("a spread")),
    ] {
        let (low, high) = column.statistic(statistic).and_then(|s| s.bounds).expect("bounds");
        assert!(low <= exact && exact <= high, "{statistic}: {exact} in [{low}, {high}]");
    }
    // By symmetry of the report's sense: P of a current value above one of the reference.
    let u = mann_whitney(&x, &y, Alternative::TwoSided).expect("a test");
    let (low, high) =
        column.statistic(Statistic::MannWhitney).and_then(|s| s.bounds).expect("bounds");
    let holds = |p: f64| low - 1e-12 <= p && p <= high + 1e-12;
    assert!(holds(u.superiority) && low > 0.5, "{} in [{low}, {high}]", u.superiority);

    let tests: Vec<_> =
        report.columns.iter().filter_map(|c| c.test.as_ref()).map(ToString::to_string).collect();
    assert_eq!(
        tests,
        [
            "ks: numbers, 900 and 700 of them",
            "chi_square: 3 categories",
            "fisher_exact: two categories"
        ]
    );
    let json = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<DriftReport>(&json).expect("a report"), report);
    let page = report.to_report().to_markdown();
    assert!(page.contains("two categories"), "{page}");
}

#[test]
fn effects_and_dataset_rules_can_be_chosen() {
    let of =
        |rule: DriftRule, shift| compare(rule, sample(2, 3_000, 0.0).1, sample(3, 3_000, shift).1);
    let moved = of(DriftRule::new().effect(Effect::wasserstein()), 0.5);
    let x = moved.column("x").expect("x");
    assert_eq!(x.effect().map(|e| e.statistic), Some(Statistic::WassersteinNormalised));
    assert_eq!(x.test.as_ref().map(|t| t.statistic), Some(Statistic::Wasserstein));
    assert_eq!(x.verdict, Verdict::Fail, "{moved}");
    // Few rows: the index has no law, and its p-value is drawn.
    let few = |rule: DriftRule| compare(rule, sample(4, 60, 0.0).1, sample(5, 50, 1.5).1);
    let psi = few(DriftRule::new().effect(Effect::Psi { floor: 0.1 }));
    let x = psi.column("x").and_then(|c| c.test.clone()).expect("a test");
    assert_eq!(x.statistic, Statistic::Psi);
    assert!(x.p_value < 0.01, "{x:?}");
    assert_eq!(few(DriftRule::new().effect(Effect::Psi { floor: 0.1 })), psi);

    // A change under the floor: no column fails, but something changed.
    let rule = DriftRule::new().effect(Effect::Distance { ks: 0.3, total_variation: 0.3 });
    let small = |rule| of(rule, 0.15).verdict;
    assert!(!small(rule.clone()).is_fail());
    assert_eq!(small(rule.clone().dataset(DatasetRule::CorrectedP)), Verdict::Fail);
    let by = rule.correction(Correction::BenjaminiYekutieli).dataset(DatasetRule::CorrectedP);
    assert_eq!(small(by), Verdict::Fail);
}

#[test]
fn what_one_side_only_has_is_tested() {
    let n = 2_000;
    let of = |names: &[&str], range: f64| {
        let city = (0..n).map(|i| names[i % names.len()].to_owned());
        let x = (0..n).map(|i| (i * 7919 % 1009) as f64 * range);
        MemorySource::from(
            batch! {
                "city" => StringArray::from_iter_values(city),
                "x" => Float64Array::from_iter_values(x),
            }
            .expect("a batch"),
        )
    };
    let profile =
        ReferenceProfile::fit(&of(&["a", "b", "c", "d"], 1.0), &ProfileOptions::default())
            .expect("a fit");
    let report =
        DriftMonitor::new(profile).compare(&of(&["a", "b", "new", "e"], 2.0)).expect("a report");
    let share =
        |column: &str, share| report.column(column).and_then(|c| c.share(share)).expect("it");
    for (change, size) in [
        (share("city", Share::Unseen), 0.5),
        (share("city", Share::Vanished), 0.5),
        (share("x", Share::OutOfRange), 0.5),
    ] {
        assert_eq!(change.verdict, Verdict::Fail, "{change:?}");
        assert!((change.current - change.reference).abs() - size < 0.01, "{change:?}");
        assert!(change.adjusted_p_value < 1e-100 && change.interval.contains(size), "{change:?}");
    }
    let reason = &report.column("city").expect("city").reason;
    assert!(reason.contains("new categories") && reason.contains("vanished"), "{reason}");
}
