//! `mlops-validate`.
