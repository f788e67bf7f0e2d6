//! Samples that the simulations draw.

use arrow::array::RecordBatch;
use mlops_core::MemorySource;
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
