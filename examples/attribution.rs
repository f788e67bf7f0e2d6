//! What moves the predictions of two boosted models, from their files: no Python, no training
//! library.
//!
//! `cargo run --release --example attribution [directory of the page]`
//!
//! Both were trained on the Adult data by `examples/attribution/make_models.py`. With `MLOPS_DATA`, a
//! directory that has `adult-test.csv`, its people are explained; without it, made ones.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mlops::arrow::array::{Float64Array, RecordBatch, StringArray};
use mlops::core::model::trees::{TreeEnsemble, lightgbm, xgboost};
use mlops::core::stats::Draws;
use mlops::core::{DataSource, DataSourceExt, Error, MemorySource, Result, batch};
use mlops::data::CsvSource;
use mlops::drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
use mlops::fairness::attribution::{
    AttributionReport, AttributionSummary, ExplainedSource, Explainer, InteractionExplainer,
    Labels, TreeExplainer,
};

fn xgboost_model() -> Result<TreeEnsemble> {
    xgboost::load(include_bytes!("attribution/adult-xgboost.json"))
}

fn lightgbm_model() -> Result<TreeEnsemble> {
    lightgbm::load(include_bytes!("attribution/adult-lightgbm.txt"))
}

/// The people of the file, or such as they might be.
fn people() -> Result<RecordBatch> {
    match std::env::var_os("MLOPS_DATA") {
        Some(directory) => {
            CsvSource::open(PathBuf::from(directory).join("adult-test.csv"))?.collect()
        }
        None => made(16_000),
    }
}

fn made(rows: usize) -> Result<RecordBatch> {
    let mut draws = Draws::new(11, 0, 0);
    let mut numbers: [Vec<Option<f64>>; 5] = Default::default();
    let mut texts: [Vec<Option<&str>>; 4] = Default::default();
    for _ in 0..rows {
        let man = draws.uniform() < 0.67;
        let age = 17.0 + (60.0 * draws.uniform() * draws.uniform().sqrt()).floor();
        let married = draws.uniform() < (age - 17.0) / 50.0 + if man { 0.15 } else { -0.15 };
        let gain =
            if draws.uniform() < 0.08 { 1000.0 * (1.0 + 9.0 * draws.uniform()) } else { 0.0 };
        let loss = if draws.uniform() < 0.05 { 1500.0 + 800.0 * draws.uniform() } else { 0.0 };
        let hours = (40.0 + 9.0 * draws.normal() + if man { 2.0 } else { -3.0 }).clamp(1.0, 99.0);
        let school = (10.0 + 2.6 * draws.normal()).round().clamp(1.0, 16.0);
        let all = [age, school, gain, loss, hours.round()];
        for (column, value) in numbers.iter_mut().zip(all) {
            column.push((draws.uniform() > 0.01).then_some(value));
        }
        let work = ["Private", "Private", "Private", "Self-emp-inc", "Local-gov"];
        let jobs = ["Craft-repair", "Exec-managerial", "Other-service", "Prof-specialty", "Sales"];
        let mut one_of = |of: &[&'static str]| of[draws.below(of.len() as u64) as usize];
        texts[0].push(Some(one_of(&work)));
        texts[1].push(Some(if married { "Married-civ-spouse" } else { "Never-married" }));
        texts[2].push(Some(one_of(&jobs)));
        texts[3].push(Some(if man { "Male" } else { "Female" }));
    }
    let [age, school, gain, loss, hours] = numbers;
    let [work, marital, job, sex] = texts;
    batch! {
        "age" => Float64Array::from(age),
        "workclass" => StringArray::from(work),
        "education_num" => Float64Array::from(school),
        "marital_status" => StringArray::from(marital),
        "occupation" => StringArray::from(job),
        "sex" => StringArray::from(sex),
        "capital_gain" => Float64Array::from(gain),
        "capital_loss" => Float64Array::from(loss),
        "hours_per_week" => Float64Array::from(hours),
    }
}

fn labels() -> Labels {
    Labels::new()
        .explained("log-odds of an income above 50K")
        .feature("age", "Age", Some("years"))
        .feature("workclass", "Employer", None)
        .feature("education_num", "Education", Some("years"))
        .feature("marital_status", "Marital status", None)
        .feature("occupation", "Occupation", None)
        .feature("capital_gain", "Capital gain", Some("USD"))
        .feature("capital_loss", "Capital loss", Some("USD"))
        .feature("hours_per_week", "Working time", Some("h/week"))
}

fn main() -> Result<(), Error> {
    let page = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let rows = people()?;
    let source: Arc<dyn DataSource> = Arc::new(MemorySource::from(rows.clone()));

    for (name, model) in [("XGBoost", xgboost_model()?), ("LightGBM", lightgbm_model()?)] {
        // Exact, from the file alone: the background is what the trees saw when they were trained.
        let explainer = Arc::new(TreeExplainer::new(&model)?);
        let start = Instant::now();
        let attributions = explainer.explain(&rows)?;
        let took = start.elapsed();
        println!(
            "{name}: {} rows explained in {took:.1?}; base + Σφ misses a prediction by {:.0e} at most",
            attributions.len(),
            attributions.additivity.worst,
        );

        // φ as columns beside the data: summaries read them as any analyzer reads any column, in one
        // pass, and keep no row.
        let explained = ExplainedSource::new(source.clone(), explainer.clone())?;
        let analyzer = AttributionSummary::of(&explainer)?.by(["sex"]).threshold(0.0);
        let summary = explained.measure(&analyzer)?;
        println!("{summary}\n");

        // Why men are given higher odds than women, by a model that was never told who is who.
        let gap = summary.gap("Male", "Female", 0.95)?;
        println!("{gap}\n");

        let few = rows.slice(0, rows.num_rows().min(200));
        let report = AttributionReport::new(format!("Income, {name}"), summary.clone())
            .labels(labels())
            .method(format!(
                "Path-dependent tree SHAP, exact: {} trees of {name} read from its own file.",
                model.trees().len()
            ))
            .interactions(InteractionExplainer::new(&model)?.explain(&few)?)
            .rows(explainer.explain(&few)?, few)
            .gap(gap)
            .gap(summary.selection_gap("Male", "Female", 0.95)?)
            .to_report()?;
        let path = page.join(format!("attribution-{}.html", name.to_lowercase()));
        report.write_html(&path)?;
        println!("the page: {}\n", path.display());
    }
    attribution_drift(&rows)
}

/// Attributions drift as any column drifts: the same people but for more overtime.
fn attribution_drift(rows: &RecordBatch) -> Result<()> {
    let explainer: Arc<dyn Explainer> = Arc::new(TreeExplainer::new(&xgboost_model()?)?);
    let half = rows.num_rows() / 2;
    let explain = |rows: RecordBatch| -> Result<MemorySource> {
        let source = ExplainedSource::new(Arc::new(MemorySource::from(rows)), explainer.clone())?;
        let explained = source.collect()?;
        let schema = explained.schema();
        let phi = schema.fields().iter().enumerate();
        let phi = phi.filter(|(_, f)| f.name().starts_with("phi:")).map(|(i, _)| i);
        Ok(MemorySource::from(explained.project(&phi.collect::<Vec<_>>())?))
    };
    let before = explain(rows.slice(0, half))?;
    let later = rows.slice(half, rows.num_rows() - half);
    let hours =
        mlops::core::to_numbers("hours_per_week", mlops::core::column(&later, "hours_per_week")?)?;
    let longer: Float64Array = hours.iter().map(|h| h.map(|h| (h * 1.25).min(99.0))).collect();
    let at = later.schema().index_of("hours_per_week")?;
    let mut columns: Vec<_> = later
        .schema()
        .fields()
        .iter()
        .zip(later.columns())
        .map(|(field, column)| (field.name().clone(), column.clone()))
        .collect();
    columns[at].1 = Arc::new(longer);
    let after = explain(RecordBatch::try_from_iter(columns)?)?;
    let profile = ReferenceProfile::fit(&before, &ProfileOptions::default())?;
    let report = DriftMonitor::new(profile).compare(&after)?;
    println!("{report}");
    Ok(())
}
