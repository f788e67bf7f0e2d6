//! `mlops-fairness`.
