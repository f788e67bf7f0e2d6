//! `mlops-data`.
