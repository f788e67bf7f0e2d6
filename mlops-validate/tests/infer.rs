//! Inferred suites keep their budget of false alarms and catch what is broken.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use mlops_core::arrow::compute::cast;
use mlops_core::arrow::datatypes::{DataType, Schema};
use mlops_core::stats::Draws;
use mlops_core::{MemorySource, ValidatorExt, batch};
use mlops_validate::{InferOptions, Suite};

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
