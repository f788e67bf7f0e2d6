//! Metrics and gaps by group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::record_batch::RecordBatch;
use mlops::core::Error;
use mlops::fairness::{GapKind, Group, GroupCounts, Metric, MetricFrame};
use serde_json::Value;

use crate::cases::{Outcome, STATISTIC, cases, close, counts, name, texts};
use crate::paths::{labels, measured};

#[test]
fn fairness_is_fairlearns() -> Outcome {
    let metric = |name: &str| Metric::ALL.into_iter().find(|m| m.name() == name).expect("a metric");
    for case in cases("fairness") {
        let (y, p) = (counts(&case["y"]), counts(&case["p"]));
        let features = case["features"].as_array().expect("features");
        let names: Vec<String> = (0..features.len()).map(|i| format!("s{i}")).collect();
        for ((y_true, positive), (y_pred, _)) in labels(&y).into_iter().zip(labels(&p)) {
            // The table of groups refuses a third label, and reads no fractions as labels.
            if y_true.data_type().is_floating() || has_third(&y_true) {
                continue;
            }
            let what = format!("{} of {}", name(case), y_true.data_type());
            let mut columns: Vec<(String, ArrayRef)> = names
                .iter()
                .zip(features)
                .map(|(n, f)| (n.clone(), Arc::new(StringArray::from(texts(f))) as ArrayRef))
                .collect();
            columns.push(("y".into(), y_true));
            columns.push(("p".into(), y_pred));
            let rows = RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(n, c)| (n, c, true)),
            )?;
            let counted = GroupCounts::new("p", positive, names.clone()).with_labels("y");
            check_frame(&what, case, &measured(&what, &counted, &rows), &metric);
        }
    }
    Ok(())
}

fn has_third(labels: &ArrayRef) -> bool {
    labels
        .as_string_opt::<i32>()
        .is_some_and(|l| l.iter().flatten().any(|l| l != "yes" && l != "no"))
}

fn check_frame(name: &str, case: &Value, frame: &MetricFrame, metric: &impl Fn(&str) -> Metric) {
    let groups = case["groups"].as_array().expect("groups");
    assert_eq!(frame.groups().len(), groups.len(), "{name}");
    for expected in groups {
        let values = texts(&expected["group"]).into_iter().map(|v| v.map(Into::into)).collect();
        let group = Group { values };
        let counts = frame.groups().find(|(g, _)| **g == group).expect("the group").1;
        assert_eq!(Some(counts.rows()), expected["rows"].as_u64(), "{name}");
        for (rate, value) in expected["rates"].as_object().expect("rates") {
            let what = format!("{name} {rate} of {group}");
            let ours = metric(rate).of(counts);
            let (_, listed) = frame.by_group(metric(rate)).find(|(g, _)| **g == group).expect("it");
            assert_eq!(listed, ours, "{what}");
            assert_eq!(ours.value.is_some(), value.is_f64(), "{what}: {ours:?}");
            if let (Some(ours), Some(expected)) = (ours.value, value.as_f64()) {
                close(&what, ours, expected, STATISTIC);
            }
        }
    }
    for (rate, value) in case["overall"].as_object().expect("overall") {
        if let Some(ours) = frame.overall(metric(rate)).value {
            close(&format!("{name} {rate}"), ours, value.as_f64().expect("it"), STATISTIC);
        }
    }
    for kind in [
        GapKind::DemographicParityDifference,
        GapKind::DemographicParityRatio,
        GapKind::EqualOpportunityDifference,
        GapKind::EqualizedOddsDifference,
        GapKind::EqualizedOddsRatio,
    ] {
        let what = format!("{name} {}", kind.name());
        let gap = kind.of(frame, 0.95);
        if let Ok(gap) = &gap {
            assert!(gap.interval.contains(gap.value), "{what}: {gap:?}");
        }
        let ours = gap.map(|g| g.value);
        // Differences of rates cancel: they are good to the last place of a rate.
        match (ours, case["gaps"][kind.name()].as_f64()) {
            (Ok(ours), Some(expected)) => {
                assert!(
                    (ours - expected).abs() <= 2e-16 + 1e-12 * expected,
                    "{what}: {ours} {expected}"
                );
            }
            (Err(Error::Undefined { .. }), None) => {}
            (ours, expected) => panic!("{what}: ours {ours:?}, expected {expected:?}"),
        }
    }
}
