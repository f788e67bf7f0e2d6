//! Who is selected, who is wronged, whether that is within bounds, what can be done about it, and
//! which feature did it.
//!
//! `cargo run --example fairness`
#![expect(clippy::print_stdout, reason = "an example prints")]

use mlops::arrow::array::{Float64Array, RecordBatch, StringArray};
use mlops::core::model::LinearModel;
use mlops::core::stats::Draws;
use mlops::core::{DataSourceExt, Error, MemorySource, Model, batch, column, with_column};
use mlops::fairness::attribution::LinearExplainer;
use mlops::fairness::mitigation::{Comparison, Parity, ThresholdOptimizer, hold_out};
use mlops::fairness::{
    FairnessGate, GapKind, GroupCounts, GroupScores, ScoreMetric, gap, inequality,
};

/// Applicants: women of this bank have shorter records, which the model takes for risk.
fn applicants(rows: usize) -> Result<RecordBatch, Error> {
    let mut draws = Draws::new(5, 0, 0);
    let (mut sex, mut income, mut years) = (vec![], vec![], vec![]);
    for _ in 0..rows {
        let woman = draws.uniform() < 0.45;
        sex.push(if woman { "F" } else { "M" });
        income.push(1.0 + draws.uniform());
        years.push(if woman { 6.0 } else { 9.0 } * draws.uniform());
    }
    batch! {
        "sex" => StringArray::from(sex),
        "income" => Float64Array::from(income),
        "years" => Float64Array::from(years),
    }
}

fn main() -> Result<(), Error> {
    let rows = applicants(8_000)?;
    let model = LinearModel::logistic(["income", "years"], [2.0, 0.4], -4.6, "reject", "grant")?;
    let says = model.predict(&rows)?.labels()?;
    // What came true: whoever earns enough pays back, whatever the years.
    let truth = LinearModel::logistic(["income"], [8.0], -12.0, "reject", "grant")?;
    let paid = truth.predict(&rows)?.labels()?;
    let judged_rows = RecordBatch::try_from_iter([
        ("sex", column(&rows, "sex")?.clone()),
        ("paid", std::sync::Arc::new(paid) as _),
        ("says", std::sync::Arc::new(says) as _),
    ])?;
    let judged = MemorySource::from(judged_rows.clone());

    // Every rate of every group comes from one count, made in one scan.
    let counts = GroupCounts::new("says", "grant", ["sex"]).with_labels("paid");
    let frame = judged.measure(&counts)?;
    println!("{frame}\n");
    println!("{}", gap::demographic_parity_difference(&frame, 0.95)?);
    println!("{}\n", gap::equalized_odds_difference(&frame, 0.95)?);

    let benefit = inequality::theil(&frame).map_err(|e| e.of("the Theil index"))?;
    println!("Theil index of the benefit {benefit}\n");

    // A gate opens only if the whole interval lies inside the bound.
    let gate = FairnessGate::new("parity").rule(GapKind::DemographicParityDifference, "sex", 0.10);
    println!("{}\n", gate.judge(&frame));

    // Thresholds by group are chosen on one half of the rows, from counts of scores by group, and
    // judged on the other.
    let labelled = with_column(&rows, "paid", column(&judged_rows, "paid")?.clone())?;
    let halves = hold_out(&labelled, 0.5, 1)?;
    let scores = model.predict(&halves.fit)?.score_of("grant")?;
    let scored = with_column(&halves.fit, "score", std::sync::Arc::new(scores))?;
    let scored = MemorySource::from(scored);
    let by_group = GroupScores::new("paid", "grant", "score", ["sex"]);
    for (group, auc) in scored.measure(&by_group)?.values(ScoreMetric::RocAuc) {
        println!("ROC AUC of {group}: {:.4}", auc.map_err(|e| e.of("the AUC"))?);
    }
    let thresholds = ThresholdOptimizer::new(Parity::DemographicParity).fit(&scored, &by_group)?;
    let fair = thresholds.apply_to(model.clone())?;
    let compared = Comparison::on(&halves.held_out, "paid", "grant", ["sex"], &model, &fair)?;
    println!("{compared}\n");
    println!("before: {}", gate.judge(&compared.before));
    println!("after: {}", gate.judge(&compared.after));

    // Which feature moved the scores: exact for linear models, checked row by row.
    let explainer = LinearExplainer::new(&model, &MemorySource::from(rows.clone()))?;
    let explained = explainer.explain(&rows)?;
    let (base, first) = (explained.base_values[0], explained.row(0).unwrap_or_default());
    println!(
        "\nthe first applicant's log-odds: {:.2} = {base:.2} on average",
        explained.predictions[0]
    );
    for (feature, moved) in explained.features.iter().zip(first) {
        println!("  {moved:+.2} because of {feature}");
    }
    for feature in explained.importance()? {
        println!(
            "{:<8} moves the log-odds by {:.3} on average",
            feature.feature, feature.mean_absolute
        );
    }
    Ok(())
}
