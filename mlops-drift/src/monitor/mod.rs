//! Current data against a profile: the rule, the verdicts, the report.

pub(crate) mod bins;
pub(crate) mod categories;
pub(crate) mod counted;
pub(crate) mod decide;
pub(crate) mod drift_monitor;
pub(crate) mod numbers;
pub(crate) mod order;
pub(crate) mod page;
pub(crate) mod report;
pub(crate) mod rule;
pub(crate) mod shares;
pub(crate) mod statistic;
