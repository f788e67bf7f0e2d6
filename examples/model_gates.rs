//! A model on its way to production: leaks, quality by slice, behaviour, the champion, the hold-out
//! that is used again and again, and the features that serving computes once more.
//!
//! `cargo run --release --example model_gates`; with `-- promotions` only the table of how often an
//! equal model is promoted, as it stands in docs/model-gates.md.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::HashMap;

use mlops::arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use mlops::core::model::LinearModel;
use mlops::core::stats::Draws;
use mlops::core::{Digest, Error, MemorySource, Result, Timestamp, batch};
use mlops::validate::{
    Behaviour, ChallengerGate, Contest, Direction, HoldoutLedger, LeakageOptions, Metric,
    ModelPair, OverlapOptions, Perturbation, QualityGate, SkewOptions, SliceRule, Spending, Target,
    TimeOrder, leakage, overlap, skew, time_order,
};

/// Loans of some days: income decides, and region `north` is noisier than the others.
fn loans(days: std::ops::Range<i64>, seed: u64) -> Result<RecordBatch> {
    let mut draws = Draws::new(seed, 0, 0);
    let n = (days.end - days.start) * 20;
    let regions = ["south", "west", "east", "north"];
    let (mut income, mut debt, mut region, mut repaid) = (vec![], vec![], vec![], vec![]);
    for row in 0..n {
        let (earns, owes) = (30.0 + 12.0 * draws.normal(), 10.0 + 4.0 * draws.normal());
        let place = regions[(row % 4) as usize];
        let noise = if place == "north" { 3.0 } else { 0.6 };
        let margin = (earns - 2.0 * owes - 10.0) / 8.0 + noise * draws.normal();
        income.push(earns);
        debt.push(owes);
        region.push(place);
        repaid.push(if margin > 0.0 { "yes" } else { "no" });
    }
    batch! {
        "id" => Int64Array::from_iter_values(days.start * 20..days.end * 20),
        "day" => Int64Array::from_iter_values((0..n).map(|row| days.start + row / 20)),
        "income" => Float64Array::from(income),
        "debt" => Float64Array::from(debt),
        "region" => StringArray::from(region),
        "collected" => Int64Array::from_iter_values(repaid.iter().map(|&r| i64::from(r == "no"))),
        "repaid" => StringArray::from(repaid),
    }
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("promotions") {
        return promotions(20_000);
    }
    let (train, test) = (loans(0..200, 1)?, loans(195..320, 2)?);
    let target = Target::new("repaid").positive("yes");

    println!("-- what the training data gives away\n");
    let (train_rows, test_rows) = (MemorySource::from(train), MemorySource::from(test.clone()));
    let options = LeakageOptions::default().except(["id", "day"]);
    println!("{}\n", leakage(&train_rows, "repaid", "yes", &options)?);
    println!("{}\n", overlap(&train_rows, &test_rows, &OverlapOptions::default().entity(["id"]))?);
    println!("{}\n", time_order(&train_rows, &test_rows, &TimeOrder::new("day"))?);

    println!("-- quality, of all rows and of each region\n");
    let hold_out = loans(200..400, 3)?;
    let champion = LinearModel::logistic(["income"], [0.1], -3.0, "no", "yes")?;
    let model = LinearModel::logistic(["income", "debt"], [0.2, -0.4], -2.0, "no", "yes")?;
    let gate = QualityGate::new("quality")
        .at_least(Metric::RocAuc, 0.85)
        .at_least(Metric::Accuracy, 0.75)
        .by("region");
    println!("{}\n", gate.judge_model(&model, &hold_out, &target)?);

    println!("-- how it behaves\n");
    let behaviour = Behaviour::new("behaviour")
        .invariance(Perturbation::shuffle("region", 0))
        .direction(Perturbation::shift("income", 5.0), Direction::Up)
        .direction(Perturbation::shift("debt", 5.0), Direction::NotUp)
        .functionality("the clear cases", clear_cases()?, ["no", "yes"]);
    println!("{}\n", behaviour.judge(&model, &hold_out)?);

    println!("-- against the champion, each look counted\n");
    let ledger = HoldoutLedger::in_memory();
    let now = Timestamp::from_millis(0);
    let spent = ledger.spend(Digest::of(b"loans 200..400"), "loans@2", now, Spending::Quadratic)?;
    let against = ChallengerGate::new("champion", Metric::RocAuc)
        .superior()
        .by("region")
        .slice_rule(SliceRule::Guard)
        .on_holdout(&spent);
    let models = Contest { challenger: &model, champion: &champion };
    println!("{}\n", against.judge_models(models, &hold_out, &target)?);

    println!("-- the same features, computed again for serving\n");
    let stale = Float64Array::from_iter_values(
        mlops::core::to_numbers("debt", mlops::core::column(&test, "debt")?)?
            .values()
            .iter()
            .enumerate()
            .map(|(row, debt)| if row % 12 == 0 { debt + 1.0 } else { *debt }),
    );
    let online = MemorySource::from(batch! {
        "id" => Int64Array::from_iter_values(195 * 20..320 * 20),
        "income" => mlops::core::to_numbers("income", mlops::core::column(&test, "income")?)?,
        "debt" => stale,
    }?);
    println!("{}\n", skew(&test_rows, &online, &SkewOptions::new(["id"]))?);

    println!("-- how often an equal model is promoted\n");
    promotions(2_000)
}

/// Rows of which the answer is known before any model is.
fn clear_cases() -> Result<RecordBatch> {
    batch! {
        "income" => Float64Array::from(vec![5.0, 90.0]),
        "debt" => Float64Array::from(vec![20.0, 2.0]),
        "region" => StringArray::from(vec!["south", "south"]),
    }
}

/// Challengers that are as good as the champion, judged by several rules on a hold-out of 1,000
/// rows: the share of runs in which one of them is promoted.
fn promotions(runs: u64) -> Result<()> {
    const ROWS: u64 = 1_000;
    const TRIES: usize = 12;
    // Both are right on 80 % of rows; they differ on 8 %.
    let (right, differ) = (0.8, 0.08);
    let mut judge = Judge::default();
    println!("{ROWS} rows, models of equal accuracy that differ on 8 % of them, {runs} runs\n");
    println!("| rule | once | in {TRIES} tries on one hold-out | in {TRIES} independent tries |");
    println!("|---|---|---|---|");
    for rule in [
        Rule::Naive,
        Rule::Gate(Spending::Warn),
        Rule::Gate(Spending::Equal(12)),
        Rule::Gate(Spending::Quadratic),
    ] {
        let (mut once, mut same, mut fresh) = (0_u64, 0_u64, 0_u64);
        for run in 0..runs {
            let mut draws = Draws::new(7, 0, run);
            let wrong = draws.binomial(ROWS, 1.0 - right)?;
            let mut promoted = [false; 2];
            for k in 1..=TRIES {
                // The champion's own luck stays on one hold-out, and is drawn again on a fresh one.
                let fresh_wrong = draws.binomial(ROWS, 1.0 - right)?;
                for (promoted, wrong) in promoted.iter_mut().zip([wrong, fresh_wrong]) {
                    let gained = draws.binomial(wrong, differ / 2.0 / (1.0 - right))?;
                    let lost = draws.binomial(ROWS - wrong, differ / 2.0 / right)?;
                    *promoted |= judge.promotes(rule, gained, lost, k as u64)?;
                }
                if k == 1 {
                    once += u64::from(promoted[0]);
                }
            }
            same += u64::from(promoted[0]);
            fresh += u64::from(promoted[1]);
        }
        let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / runs as f64);
        println!("| {} | {} | {} | {} |", rule.words(), share(once), share(same), share(fresh));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Rule {
    /// An accuracy higher by 0.01.
    Naive,
    Gate(Spending),
}

impl Rule {
    fn words(self) -> &'static str {
        match self {
            Self::Naive => "accuracy higher by 0.01",
            Self::Gate(Spending::Warn) => "our gate, `superior`, `Spending::Warn`",
            Self::Gate(Spending::Equal(_)) => "our gate, `superior`, `Spending::Equal(12)`",
            Self::Gate(_) => "our gate, `superior`, `Spending::Quadratic`",
        }
    }
}

/// The gate, asked once for each outcome.
#[derive(Default)]
struct Judge(HashMap<(Rule, u64, u64, u64), bool>);

impl Judge {
    /// Whether this rule promotes at its k-th use.
    fn promotes(&mut self, rule: Rule, gained: u64, lost: u64, k: u64) -> Result<bool> {
        let spending = match rule {
            Rule::Naive => return Ok(gained >= lost + 10),
            Rule::Gate(spending) => spending,
        };
        // What is not better is not promoted; the gate need not be asked.
        if gained <= lost {
            return Ok(false);
        }
        if let Some(&known) = self.0.get(&(rule, gained, lost, k)) {
            return Ok(known);
        }
        let ledger = HoldoutLedger::in_memory();
        let (holdout, now) = (Digest::of(b"hold-out"), Timestamp::from_millis(0));
        for earlier in 1..k {
            ledger.spend(holdout, &format!("model {earlier}"), now, spending)?;
        }
        let spent = ledger.spend(holdout, &format!("model {k}"), now, spending)?;
        let score = |right: bool| Some(if right { 0.9 } else { 0.1 });
        let pair = ModelPair {
            y_true: &BooleanArray::from(vec![true; 1_000]),
            positive: "true",
            challenger: &(0..1_000).map(|row| score(row >= lost)).collect::<Float64Array>(),
            champion: &(0..1_000).map(|row| score(row < 1_000 - gained)).collect::<Float64Array>(),
            threshold: 0.5,
        };
        let gate = ChallengerGate::new("champion", Metric::Accuracy).superior();
        let found = gate.on_holdout(&spent).judge(pair).map_err(|e: Error| e.within("the gate"))?;
        let promoted = found.verdict.is_pass();
        self.0.insert((rule, gained, lost, k), promoted);
        Ok(promoted)
    }
}
