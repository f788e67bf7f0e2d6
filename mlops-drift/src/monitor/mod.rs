//! Current data against a profile: the rule, the verdicts, the report.

pub(crate) mod bins;
pub(crate) mod decide;
pub(crate) mod drift_monitor;
pub(crate) mod page;
pub(crate) mod report;
pub(crate) mod rule;
