//! `mlops-drift`.
