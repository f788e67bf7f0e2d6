//! Transforms.

use arrow::array::{AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::Float64Type;
use arrow::record_batch::RecordBatch;
use mlops::core::{MemorySource, Result, batch};
use mlops::data::{
    ColumnPipeline, Imputer, MinMaxScaler, NullPolicy, NumericStep, OneHotEncoder, OrdinalEncoder,
    StandardScaler, Unseen,
};
use serde_json::Value;

use crate::cases::{GOLDEN, Outcome, floats, matrix, on_threads, optional, texts};
use crate::paths::sources;

/// Fits on these rows on every path, and transforms the others, whole and in slices.
fn features(
    pipeline: &ColumnPipeline,
    train: &RecordBatch,
    test: &RecordBatch,
) -> Result<Vec<Vec<f64>>> {
    let fitted = pipeline.fit(&MemorySource::from(train.clone()))?;
    let said = fitted.to_json()?;
    for source in sources(train) {
        let again =
            on_threads("fit", || pipeline.fit(&source).and_then(|f| f.to_json()).expect("a fit"));
        assert_eq!(again, said);
    }
    let matrix = fitted.features(test)?;
    for source in sources(test) {
        let again = on_threads("transform", || fitted.source_features(&source).expect("features"));
        assert_eq!(again, matrix);
    }
    Ok(matrix.rows().into_iter().map(|row| row.to_vec()).collect())
}

fn numbers(value: &Value) -> Result<RecordBatch> {
    batch! {"x" => Float64Array::from(optional(value))}
}

fn words(value: &Value) -> Result<RecordBatch> {
    batch! {"x" => StringArray::from(texts(value))}
}

#[test]
fn numeric_transforms_are_scikit_learns() -> Outcome {
    let golden = &GOLDEN["transforms"];
    for case in golden["numeric"].as_array().expect("cases") {
        let column = case["column"].as_str().expect("a column");
        let mut steps: Vec<NumericStep> = Vec::new();
        for step in texts(&case["steps"]).into_iter().flatten() {
            steps.push(match step {
                "mean" => Imputer::mean().into(),
                "median" => Imputer::median().into(),
                "most_frequent" => Imputer::most_frequent().into(),
                "standard" => StandardScaler.into(),
                "min_max" => MinMaxScaler::new().into(),
                "min_max_to" => MinMaxScaler::to(-2.0, 3.0)?.into(),
                other => panic!("{other}"),
            });
        }
        let standard = texts(&case["steps"]).contains(&Some("standard"));
        let pipeline = ColumnPipeline::new().numeric(["x"], steps);
        let ours = features(
            &pipeline,
            &numbers(&golden["train"][column])?,
            &numbers(&golden["test"][column])?,
        )?;
        let seen: Vec<f64> = optional(&golden["train"][column]).into_iter().flatten().collect();
        // A mean is an f64: what rounding it moves, a deviation moves, in units of the spread.
        let summary = mlops::core::states::Summary::of(&seen);
        let spread = summary.std().filter(|s| *s > 0.0).unwrap_or(1.0);
        let slack = if standard {
            summary.mean().unwrap_or(0.0).abs() * 2f64.powi(-53) / spread
        } else {
            0.0
        };
        for (i, (ours, expected)) in ours.iter().zip(floats(&case["values"])).enumerate() {
            let off = (ours[0] - expected).abs();
            let bound = 1e-12 * expected.abs().max(1e-3) + slack * 1.1;
            assert!(
                off <= bound,
                "{column} {} row {i}: ours {:?}, exactly {expected:?}",
                case["steps"],
                ours[0]
            );
        }
    }
    Ok(())
}

#[test]
fn categorical_transforms_are_scikit_learns() -> Outcome {
    let golden = &GOLDEN["transforms"]["categorical"];
    let (city, new_city) = (words(&golden["city"])?, words(&golden["new_city"])?);
    let one = |encoder: OneHotEncoder| ColumnPipeline::new().categorical(["x"], encoder);
    let ignore = || OneHotEncoder::new().unseen(Unseen::Ignore);
    assert_eq!(features(&one(ignore()), &city, &new_city)?, matrix(&golden["one_hot"]));
    assert!(
        one(OneHotEncoder::new())
            .fit(&MemorySource::from(city.clone()))?
            .features(&new_city)
            .is_err()
    );

    let holes = words(&golden["city_nulls"])?;
    assert_eq!(features(&one(ignore()), &holes, &holes)?, matrix(&golden["with_null"]));
    let without: Vec<Vec<f64>> = matrix(&golden["with_null"])
        .into_iter()
        .map(|mut r| {
            r.pop();
            r
        })
        .collect();
    assert_eq!(features(&one(ignore().nulls(NullPolicy::Ignore)), &holes, &holes)?, without);
    let imputed = ColumnPipeline::new().categorical(["x"], (Imputer::most_frequent(), ignore()));
    assert_eq!(features(&imputed, &holes, &holes)?, matrix(&golden["imputed"]));

    let few = one(OneHotEncoder::new().unseen(Unseen::Other).max_categories(3));
    let (rare, new_rare) = (words(&golden["rare"])?, words(&golden["new_rare"])?);
    assert_eq!(features(&few, &rare, &new_rare)?, matrix(&golden["at_most_3"]));

    let code = batch! {"x" => Int64Array::from_iter_values(floats(&golden["code"]).into_iter().map(|x| x as i64))}?;
    assert_eq!(features(&one(ignore()), &code, &code)?, matrix(&golden["code_one_hot"]));

    let ordinal = OrdinalEncoder::new().unseen(Unseen::Ignore);
    let fitted =
        ColumnPipeline::new().categorical(["x"], ordinal).fit(&MemorySource::from(city))?;
    let ours = fitted.transform(&new_city)?;
    let ours: Vec<_> = ours.column(0).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(ours, optional(&golden["ordinal"]));
    Ok(())
}

#[test]
fn a_whole_pipeline_is_scikit_learns() -> Outcome {
    let golden = &GOLDEN["transforms"];
    let city = texts(&golden["categorical"]["city"]);
    let column =
        |key: &str| Float64Array::from(optional(&golden["train"][key])[..city.len()].to_vec());
    let rows = batch! {
        "city" => StringArray::from(city.clone()),
        "holes" => column("holes"),
        "even" => column("even"),
    }?;
    let pipeline = ColumnPipeline::new()
        .numeric(["holes", "even"], (Imputer::median(), StandardScaler))
        .categorical(["city"], OneHotEncoder::new().unseen(Unseen::Ignore));
    let ours = features(&pipeline, &rows, &rows)?;
    for (ours, expected) in ours.iter().flatten().zip(matrix(&golden["mixed"]).iter().flatten()) {
        assert!((ours - expected).abs() <= 1e-12 * expected.abs().max(1e-2), "{ours} {expected}");
    }
    Ok(())
}
