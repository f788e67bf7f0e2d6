//! `mlops-registry`.
