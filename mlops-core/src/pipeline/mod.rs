//! Pipelines: stages, their graph, and its run.
