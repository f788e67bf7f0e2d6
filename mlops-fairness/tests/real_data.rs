//! Published numbers come out of the published data, where they are at hand: `MLOPS_DATA` is a
//! directory of `adult-train.csv` and `compas-two-years.csv`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that says that it skips")]

use std::path::PathBuf;

use mlops_core::arrow::array::{BooleanArray, RecordBatch, StringArray};
use mlops_core::{DataSourceExt, MemorySource, Verdict, batch};
use mlops_fairness::{FairnessGate, GapKind, Group, GroupCounts, Metric, MetricFrame, SmallGroups};

/// The named columns of a file without quotes.
fn read<const N: usize>(file: &str, names: [&str; N]) -> Option<[Vec<String>; N]> {
    let Some(directory) = std::env::var_os("MLOPS_DATA") else {
        println!("skipped: MLOPS_DATA does not say where {file} is");
        return None;
    };
    let text = std::fs::read_to_string(PathBuf::from(directory).join(file)).unwrap();
    assert!(!text.contains('"'));
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let places = names.map(|name| header.iter().position(|found| *found == name).unwrap());
    let rows: Vec<_> = lines.collect();
    Some(places.map(|at| rows.iter().map(|row| row[at].to_owned()).collect()))
}

fn of<'a>(frame: &'a MetricFrame, name: &str) -> &'a mlops_fairness::Counts {
    let name = Group { values: vec![Some(name.to_owned())] };
    frame.groups().find(|(group, _)| **group == name).unwrap().1
}

fn compas() -> Option<RecordBatch> {
    let [race, label, decile] =
        read("compas-two-years.csv", ["race", "two_year_recid", "decile_score"])?;
    // Medium and high scores, as ProPublica's truth tables take them.
    let high: BooleanArray =
        decile.iter().map(|score| Some(score.parse::<u8>().unwrap() >= 5)).collect();
    let rows = batch! {
        "race" => StringArray::from(race), "reoffended" => StringArray::from(label), "high" => high,
    };
    Some(rows.unwrap())
}

fn compas_counts() -> GroupCounts {
    GroupCounts::new("high", "1", ["race"]).with_labels("reoffended")
}

/// Larson, Mattu, Kirchner and Angwin 2016, "How We Analyzed the COMPAS Recidivism Algorithm":
/// all 7,214 rows of the two-years file, without the filter of their regression.
#[test]
fn propublicas_truth_tables() {
    let Some(rows) = compas() else { return };
    let frame = MemorySource::from(rows).measure(&compas_counts()).unwrap();
    assert_eq!(frame.total().rows(), 7214);
    let black = of(&frame, "African-American");
    let table =
        [black.true_negative, black.false_positive, black.false_negative, black.true_positive];
    assert_eq!(table, [990, 805, 532, 1369]);
    let percent = |metric: Metric, race: &str| {
        format!("{:.2}", metric.of(of(&frame, race)).value.unwrap() * 100.0)
    };
    assert_eq!(percent(Metric::FalsePositiveRate, "African-American"), "44.85");
    assert_eq!(percent(Metric::FalsePositiveRate, "Caucasian"), "23.45");
    assert_eq!(percent(Metric::FalseNegativeRate, "African-American"), "27.99");
    assert_eq!(percent(Metric::FalseNegativeRate, "Caucasian"), "47.72");
}

#[test]
fn a_gate_on_compas_fails_and_does_not_judge_eleven_people() {
    let Some(rows) = compas() else { return };
    let frame = MemorySource::from(rows).measure(&compas_counts()).unwrap();
    let gate = FairnessGate::new("compas").rule(GapKind::EqualizedOddsDifference, "race", 0.1);
    let blocked = gate.judge(&frame);
    assert_eq!(blocked.verdict, Verdict::Inconclusive, "{blocked}");
    assert!(blocked.to_string().contains("Native American"), "{blocked}");
    let aside = gate.min_group_size(100, SmallGroups::SetAside).judge(&frame);
    assert_eq!(aside.verdict, Verdict::Fail, "{aside}");
    println!("{aside}");
}

/// Adult: 30.57 % of the men and 10.95 % of the women of the training file earn over 50 K.
#[test]
fn the_base_rates_of_adult_by_sex() {
    let Some([sex, income]) = read("adult-train.csv", ["sex", "income"]) else { return };
    let rows = batch! {
        "sex" => StringArray::from(sex), "income" => StringArray::from(income),
    };
    // The labels themselves as the predictions of a perfect model.
    let counts = GroupCounts::new("income", ">50K", ["sex"]).with_labels("income");
    let frame = MemorySource::from(rows.unwrap()).measure(&counts).unwrap();
    let base = |sex: &str| Metric::BaseRate.of(of(&frame, sex));
    let (men, women) = (base("Male"), base("Female"));
    assert_eq!((men.numerator, men.denominator), (6662, 21790));
    assert_eq!((women.numerator, women.denominator), (1179, 10771));
    let gap = mlops_fairness::gap::difference(&frame, Metric::BaseRate, 0.95).unwrap();
    assert!((gap.value - 0.196_276).abs() < 5e-7, "{gap}");
    assert!(gap.interval.contains(gap.value) && gap.interval.low > 0.18, "{gap}");
    // What a perfect model does to the groups: no gap of errors, all of the gap of selection.
    let parity = FairnessGate::new("adult").rule(GapKind::DemographicParityDifference, "sex", 0.1);
    assert_eq!(parity.judge(&frame).verdict, Verdict::Fail);
    let odds = FairnessGate::new("adult").rule(GapKind::EqualizedOddsDifference, "sex", 0.1);
    assert_eq!(odds.judge(&frame).verdict, Verdict::Pass);
}
