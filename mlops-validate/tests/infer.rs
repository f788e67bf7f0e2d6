//! Inferred suites keep their budget of false alarms and catch what is broken.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
    new_null_array,
};
use mlops_core::arrow::compute::cast;
use mlops_core::arrow::datatypes::{DataType, Schema};
use mlops_core::stats::Draws;
use mlops_core::{MemorySource, Plan, Scan, ValidatorExt, batch};
use mlops_validate::{InferOptions, Profile, ProfileOptions, Suite};

/// Heavy tails, rare nulls, rare categories and a key.
fn draw(seed: u64, rows: u64) -> RecordBatch {
    let mut draws = Draws::new(seed, 0, 0);
    let mut id = Vec::new();
    let mut age = Vec::new();
    let mut income = Vec::new();
    let mut city = Vec::new();
    for row in 0..rows {
        id.push(Some((seed * rows + row) as i64));
        age.push(Some((18.0 + 60.0 * draws.uniform()) as i64));
        let value = (10.0 + draws.normal()).exp();
        income.push((!draws.bernoulli(0.02)).then_some(value));
        let rank = (draws.uniform() * draws.uniform() * draws.uniform() * 40.0) as u64;
        city.push((!draws.bernoulli(0.001)).then(|| format!("city {rank}")));
    }
    batch! {
        "id" => Int64Array::from(id),
        "age" => Int64Array::from(age),
        "income" => Float64Array::from(income),
        "city" => StringArray::from(city),
    }
    .unwrap()
}

#[test]
fn alarms_on_undrifted_batches_stay_within_the_budget() {
    let mut alarms = 0;
    for seed in 0..200 {
        let train = MemorySource::from(draw(2 * seed, 600));
        let suite = Suite::infer(&train, &InferOptions::default()).unwrap();
        let found = suite.validate(&MemorySource::from(draw(2 * seed + 1, 600))).unwrap();
        alarms += u32::from(!found.verdict.is_pass());
    }
    println!("{alarms} alarms on 200 undrifted batches; the budget is 5 %");
    // Expected are at most 10; more than 20 come once in a thousand.
    assert!(alarms <= 20, "{alarms}");
}

#[test]
fn a_corrupted_batch_is_caught() {
    let options = InferOptions::default().batch_rows(2000);
    let suite = Suite::infer(&MemorySource::from(draw(1, 4000)), &options).unwrap();
    assert_eq!(Suite::from_yaml(&suite.to_yaml().unwrap()).unwrap(), suite);
    let good = draw(3, 2000);
    let found = suite.validate(&MemorySource::from(good.clone())).unwrap();
    assert!(found.verdict.is_pass(), "{found}");
    let with = |name: &str, column: ArrayRef| {
        let columns = good.schema_ref().fields().iter().zip(good.columns()).map(|(field, old)| {
            let new = if field.name() == name { column.clone() } else { old.clone() };
            (field.name().clone(), new, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()
    };
    let ages = good.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
    let incomes = good.column(2).as_any().downcast_ref::<Float64Array>().unwrap();
    let cities = good.column(3).as_any().downcast_ref::<StringArray>().unwrap();
    let every = |n: usize| move |(row, value)| (row % n != 0).then_some(value).flatten();
    let nulls: Int64Array = ages.iter().enumerate().map(every(20)).collect();
    let times_100: Float64Array = incomes.iter().map(|v| v.map(|v| v * 100.0)).collect();
    let negative: Int64Array = ages.iter().map(|v| v.map(|v| -v)).collect();
    let unseen: StringArray = cities
        .iter()
        .enumerate()
        .map(|(row, v)| if row % 20 == 0 { Some("Atlantis") } else { v })
        .collect();
    let nans: Float64Array = incomes
        .iter()
        .enumerate()
        .map(|(row, v)| if row % 20 == 0 { Some(f64::NAN) } else { v })
        .collect();
    let doubled: Int64Array = (0..2000).map(|row| Some(row / 2)).collect();
    let mut renamed =
        good.schema_ref().fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
    renamed[1] = renamed[1].clone().with_name("Age");
    let renamed =
        RecordBatch::try_new(Arc::new(Schema::new(renamed)), good.columns().to_vec()).unwrap();
    for (what, broken) in [
        ("one in twenty null", with("age", Arc::new(nulls))),
        ("all null", with("income", new_null_array(&DataType::Float64, 2000))),
        ("times a hundred", with("income", Arc::new(times_100))),
        ("the sign lost", with("age", Arc::new(negative))),
        ("a new category", with("city", Arc::new(unseen))),
        ("NaN", with("income", Arc::new(nans))),
        ("keys doubled", with("id", Arc::new(doubled))),
        ("numbers as text", with("age", cast(ages, &DataType::Utf8).unwrap())),
        ("truncated", good.slice(0, 200)),
        ("renamed", renamed),
        ("a column lost", good.project(&[0, 1, 2]).unwrap()),
    ] {
        let found = suite.validate(&MemorySource::from(broken)).unwrap();
        assert!(found.verdict.is_fail(), "{what}: {found}");
    }
}

#[test]
fn a_stored_profile_gives_the_suite_that_its_data_give() {
    let train = MemorySource::from(draw(1, 600));
    let options = InferOptions::default();
    let suite = Suite::infer(&train, &options).unwrap();
    let profile = Profile::of(&train).unwrap();
    let stored = serde_json::to_string(&profile).unwrap();
    let read: Profile = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, profile);
    assert_eq!(Suite::from_profile(&read, &options).unwrap(), suite);
    // The same rows in another order and cutting are the same training data.
    let rows = draw(1, 600);
    let halves = [rows.slice(300, 300), rows.slice(0, 300)];
    let turned = MemorySource::new(rows.schema(), halves).unwrap();
    assert_eq!(Suite::infer(&turned, &options).unwrap(), suite);
    assert_eq!(suite.meta["inferred"]["rows"], 600);
    // A suite and a profile ride on one scan.
    let mut plan = Plan::new();
    let judge = suite.plan_check(&rows.schema(), &mut plan).unwrap();
    let profiler = Profile::plan(&rows.schema(), &ProfileOptions::default(), &mut plan).unwrap();
    let (found, seen) = judge.and(profiler).judge(&Scan::new(&train).run(&plan).unwrap()).unwrap();
    assert!(found.verdict.is_pass(), "{found}");
    assert_eq!(seen, profile);
}

/// Codes of one shape, free texts, and a column whose held-back rows are others.
fn texts(seed: u64, rows: u64) -> RecordBatch {
    let mut draws = Draws::new(seed, 1, 0);
    let mut pick = |n: u64| (draws.uniform() * n as f64) as u64;
    let codes = (0..rows)
        .map(|_| format!("{}{:04}-{}", ["AB", "XY"][pick(2) as usize], pick(9999), pick(10)));
    let codes: StringArray = codes.map(Some).collect();
    let words = ["mail", "Ref:", "no.", "12", "(late)", "é", "!", "x_y", "Ω"];
    let free = (0..rows)
        .map(|_| (0..=pick(9)).map(|_| words[pick(9) as usize]).collect::<Vec<_>>().join(" "));
    batch! { "code" => codes, "free" => free.map(Some).collect::<StringArray>() }.unwrap()
}

#[test]
fn texts_are_held_to_their_shape_or_their_lengths() {
    let suite =
        Suite::infer(&MemorySource::from(texts(1, 2000)), &InferOptions::default()).unwrap();
    let kinds: Vec<_> = suite.expectations.iter().map(ToString::to_string).collect();
    assert!(kinds.contains(&"matches_regex(code)".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"string_length(free)".to_owned()), "{kinds:?}");
    let mut alarms = 0;
    for seed in 2..52 {
        let found = suite.validate(&MemorySource::from(texts(seed, 2000))).unwrap();
        alarms += u32::from(!found.verdict.is_pass());
    }
    assert!(alarms <= 6, "{alarms} alarms on 50 batches; the budget is 5 %");
    let good = texts(99, 2000);
    let codes = good.column(0).as_any().downcast_ref::<StringArray>().unwrap();
    let cut: StringArray = codes.iter().map(|c| c.map(|c| &c[..5])).collect();
    let cut = batch! { "code" => cut, "free" => good.column(1).clone() }.unwrap();
    assert!(suite.validate(&MemorySource::from(cut)).unwrap().verdict.is_fail());
}

#[test]
fn what_fails_on_rows_held_back_is_dropped() {
    let rows = draw(5, 2000);
    let options = InferOptions::default().hold_back(0.25);
    let source = MemorySource::from(rows.clone());
    let suite = Suite::infer(&source, &options).unwrap();
    let held = &suite.meta["inferred"]["held_back"];
    let n = held["rows"].as_u64().unwrap();
    assert!((400..600).contains(&n), "{held}");
    assert_eq!(suite.meta["inferred"]["rows"].as_u64().unwrap() + n, 2000);
    assert_eq!(held["dropped"].as_array().unwrap().len(), 0, "{held}");
    // The same rows are held back whatever the cutting.
    let cut = MemorySource::new(rows.schema(), (0..20).map(|i| rows.slice(i * 100, 100))).unwrap();
    assert_eq!(Suite::infer(&cut, &options).unwrap(), suite);
    for bad in [-0.1, 1.0, f64::NAN] {
        assert!(Suite::infer(&source, &InferOptions::default().hold_back(bad)).is_err());
    }
}

#[test]
fn numbers_that_no_float_holds_lie_in_the_range_that_is_inferred_of_them() {
    let decimals = Decimal128Array::from(vec![1_234_567_890_123_456_789_012_345; 500]);
    let data = MemorySource::from(
        batch! {
            "up" => Int64Array::from(vec![(1 << 60) + 1; 500]),
            "down" => Int64Array::from(vec![-(1 << 60) - 1; 500]),
            "large" => UInt64Array::from(vec![(1 << 63) + 5; 500]),
            "decimal" => decimals.with_precision_and_scale(38, 10).unwrap(),
        }
        .unwrap(),
    );
    let suite = Suite::infer(&data, &InferOptions::default()).unwrap();
    let found = suite.validate(&data).unwrap();
    assert!(found.verdict.is_pass(), "{found}");
    assert_eq!(found.findings.iter().filter(|f| f.check == "in_range").count(), 4);
}
