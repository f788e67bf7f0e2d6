//! Distribution tails, intervals, multiple testing and seeded resampling, shared by the leaves.
