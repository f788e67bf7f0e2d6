//! A made stream of loan applications: a year to train on, a year of production, with a fault, a
//! drift and a bias of known size in known months.

use std::sync::Arc;

use mlops::arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use mlops::core::Result;
use mlops::core::stats::Draws;

/// Months of the stream: the first year trains, the second is production.
pub const MONTHS: usize = 24;
/// The first month of production.
pub const PRODUCTION: usize = 12;

/// What was put into the stream, and where: months count from the first of the stream.
pub struct Injected;

impl Injected {
    /// In this month a part of the incomes came in thousands, and some ages are missing.
    pub const FAULT: usize = 14;
    /// The share of rows whose income is a thousandth.
    pub const FAULT_SHARE: f64 = 0.08;
    /// From this month on applicants use more of their credit and earn less, and the credit used
    /// counts more.
    pub const DRIFT: usize = 17;
    /// How far the use of credit moves, in its standard deviations.
    pub const DRIFT_SHIFT: f64 = 0.8;
    /// In these months the repayments of women are booked as defaults, now and then.
    pub const BIAS: [usize; 2] = [20, 21];
    /// How often.
    pub const BIAS_SHARE: f64 = 0.4;
}

/// The name of a month of the stream.
pub fn month_name(month: usize) -> String {
    format!("{}-{:02}", 2025 + month / 12, month % 12 + 1)
}

/// Days since 1970-01-01 of the first of each month, and of the month after the last.
fn first_days() -> Vec<i32> {
    const DAYS: [i32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // 2025-01-01; neither 2025 nor 2026 is a leap year.
    let mut day = 20_089;
    let mut all = vec![day];
    for month in 0..MONTHS {
        day += DAYS[month % 12];
        all.push(day);
    }
    all
}

/// Name, share among women, share among men, mean of ln(income).
const OCCUPATIONS: [(&str, f64, f64, f64); 8] = [
    ("nurse", 0.24, 0.03, 10.45),
    ("teacher", 0.22, 0.06, 10.55),
    ("carer", 0.20, 0.03, 10.25),
    ("clerk", 0.18, 0.10, 10.30),
    ("engineer", 0.05, 0.24, 10.65),
    ("driver", 0.03, 0.22, 10.25),
    ("builder", 0.03, 0.20, 10.30),
    ("manager", 0.05, 0.12, 10.75),
];
const PURPOSES: [(&str, f64); 4] = [("car", 0.35), ("home", 0.3), ("debt", 0.2), ("other", 0.15)];

/// One month of applications; the same for any number of rows in the other months.
pub fn month(seed: u64, month: usize, rows: usize) -> Result<RecordBatch> {
    let days = first_days();
    let drifted = month >= Injected::DRIFT;
    let faulty = month == Injected::FAULT;
    let biased = Injected::BIAS.contains(&month);

    let mut id = Vec::with_capacity(rows);
    let mut applied_on = Vec::with_capacity(rows);
    let mut sex = Vec::with_capacity(rows);
    let mut age = Vec::with_capacity(rows);
    let mut occupation = Vec::with_capacity(rows);
    let mut income = Vec::with_capacity(rows);
    let mut credit_used = Vec::with_capacity(rows);
    let mut years_employed = Vec::with_capacity(rows);
    let mut late_payments = Vec::with_capacity(rows);
    let mut amount = Vec::with_capacity(rows);
    let mut purpose = Vec::with_capacity(rows);
    let mut repaid = Vec::with_capacity(rows);

    for row in 0..rows {
        let mut draw = Draws::new(seed, month as u32, row as u64);
        id.push((month * 1_000_000 + row) as i64);
        let span = f64::from(days[month + 1] - days[month]);
        applied_on.push(days[month] + (draw.uniform() * span) as i32);

        let woman = draw.uniform() < 0.48;
        sex.push(if woman { "F" } else { "M" });
        let years = 18.0 + 50.0 * (0.5 * (draw.uniform() + draw.uniform()));
        let missing = faulty && draw.uniform() < 0.1;
        age.push((!missing).then_some(years as i64));

        let u = draw.uniform();
        let job = pick(u, OCCUPATIONS.iter().map(|o| if woman { o.1 } else { o.2 }));
        occupation.push(OCCUPATIONS[job].0);
        let level = OCCUPATIONS[job].3 - if drifted { 0.25 } else { 0.0 };
        let earned = (level + 0.35 * draw.normal()).exp();
        let in_thousands = faulty && draw.uniform() < Injected::FAULT_SHARE;
        income.push(if in_thousands { earned / 1000.0 } else { earned });

        let shift = if drifted { Injected::DRIFT_SHIFT } else { 0.0 };
        let used = logistic(-0.4 + 0.9 * (draw.normal() + shift));
        credit_used.push(used);
        let employed = (years - 18.0) * draw.uniform();
        let unknown = draw.uniform() < 0.03;
        years_employed.push((!unknown).then_some(employed));
        let late = poisson(draw.uniform(), 0.6);
        late_payments.push(late);
        let asked = (9.0 + 0.6 * draw.normal()).exp();
        amount.push(asked);
        let why = pick(draw.uniform(), PURPOSES.iter().map(|p| p.1));
        purpose.push(PURPOSES[why].0);

        let weight = if drifted { -3.2 } else { -1.6 };
        let odds = 1.3 + 1.1 * (earned.ln() - 10.4) + weight * (used - 0.4)
            - 0.7 * late as f64
            - 0.35 * (asked.ln() - 9.0)
            + 0.02 * employed.min(20.0)
            - if drifted { 0.2 } else { 0.0 };
        let mut paid = draw.uniform() < logistic(odds);
        if biased && woman && draw.uniform() < Injected::BIAS_SHARE {
            paid = false;
        }
        repaid.push(i64::from(paid));
    }

    let columns: Vec<(&str, ArrayRef)> = vec![
        ("application_id", Arc::new(Int64Array::from(id))),
        ("applied_on", Arc::new(Date32Array::from(applied_on))),
        ("sex", Arc::new(StringArray::from(sex))),
        ("age", Arc::new(Int64Array::from(age))),
        ("occupation", Arc::new(StringArray::from(occupation))),
        ("income", Arc::new(Float64Array::from(income))),
        ("credit_used", Arc::new(Float64Array::from(credit_used))),
        ("years_employed", Arc::new(Float64Array::from(years_employed))),
        ("late_payments", Arc::new(Int64Array::from(late_payments))),
        ("amount", Arc::new(Float64Array::from(amount))),
        ("purpose", Arc::new(StringArray::from(purpose))),
        ("repaid", Arc::new(Int64Array::from(repaid))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// The index that a draw from `[0, 1)` falls on, by shares that add up to 1.
fn pick(u: f64, shares: impl Iterator<Item = f64>) -> usize {
    let mut above = 0.0;
    let mut last = 0;
    for (i, share) in shares.enumerate() {
        above += share;
        last = i;
        if u < above {
            break;
        }
    }
    last
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A Poisson count by inversion.
fn poisson(u: f64, mean: f64) -> i64 {
    let mut p = (-mean).exp();
    let mut below = p;
    let mut k = 0;
    while u > below && k < 20 {
        k += 1;
        p *= mean / k as f64;
        below += p;
    }
    k
}
