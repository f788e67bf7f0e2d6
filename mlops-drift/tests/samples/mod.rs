//! Samples that the simulations draw.
#![allow(dead_code, reason = "each simulation uses some of it")]

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::MemorySource;
use mlops_core::stats::{Draws, normal_cdf};
use mlops_drift::ProfileOptions;

pub(crate) fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Three standard errors of a rate.
pub(crate) fn noise(rate: f64, n: u64) -> f64 {
    3.0 * (rate * (1.0 - rate) / n as f64).sqrt()
}

pub(crate) fn options() -> ProfileOptions {
    ProfileOptions::default().edges(256)
}

pub(crate) fn source(batch: RecordBatch) -> MemorySource {
    MemorySource::from(batch)
}

/// How columns go together.
#[derive(Clone, Copy)]
pub(crate) enum Dependence {
    None,
    /// Every pair of the normal variables behind them has this correlation.
    Correlation(f64),
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("independent columns"),
            Self::Correlation(r) => write!(f, "columns of correlation {r}"),
        }
    }
}

/// A column of normal numbers.
pub(crate) fn normal(n: usize, shift: f64, draws: &mut Draws) -> RecordBatch {
    let x: Vec<f64> = (0..n).map(|_| draws.normal() + shift).collect();
    RecordBatch::try_from_iter([("x", Arc::new(Float64Array::from(x)) as ArrayRef)])
        .expect("a batch")
}

/// Eight columns that don't drift: normal, heavy-tailed with nulls, tied, half zeros, a number of
/// few values, categories with rare ones, many categories, yes or no.
pub(crate) fn rows(n: usize, dependence: Dependence, draws: &mut Draws) -> RecordBatch {
    const COLUMNS: usize = 8;
    let (own, common) = match dependence {
        Dependence::None => (1.0, 0.0),
        Dependence::Correlation(r) => ((1.0 - r).sqrt(), r.sqrt()),
    };
    let mut z = vec![[0.0; COLUMNS]; n];
    for row in &mut z {
        let shared = if common > 0.0 { common * draws.normal() } else { 0.0 };
        for x in row.iter_mut() {
            *x = own * draws.normal() + shared;
        }
    }
    let column = |i: usize| z.iter().map(move |row| row[i]);
    let numbers = |values: Vec<Option<f64>>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let texts = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
    let city = |x: f64| {
        let u = normal_cdf(x);
        match u {
            u if u < 0.5 => "a".to_owned(),
            u if u < 0.8 => "b".to_owned(),
            u if u < 0.99 => "c".to_owned(),
            // Ten of one row in a thousand.
            u => format!("rare {}", ((u - 0.99) * 1_000.0) as u32),
        }
    };
    // A Zipf-like law: the k-th of the categories with about 1/k.
    let product = |x: f64| format!("p{}", (300f64.powf(normal_cdf(x))) as u32);
    let columns: [(&str, ArrayRef); COLUMNS] = [
        ("normal", numbers(column(0).map(Some).collect())),
        (
            "heavy",
            numbers(
                column(1).map(|x| Some((3.0 * x).exp()).filter(|v| v.fract() < 0.93)).collect(),
            ),
        ),
        ("tied", numbers(column(2).map(|x| Some((x * 10.0).round())).collect())),
        ("zeros", numbers(column(3).map(|x| Some(x.max(0.0))).collect())),
        ("few", numbers(column(4).map(|x| Some((x * 1.5).round() / 2.0)).collect())),
        ("city", texts(column(5).map(city).collect())),
        ("product", texts(column(6).map(product).collect())),
        ("flag", texts(column(7).map(|x| if x < 0.5 { "no" } else { "yes" }.to_owned()).collect())),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}
