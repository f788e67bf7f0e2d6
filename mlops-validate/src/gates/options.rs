//! What gates of a model are told alike: how sure, in which slices, on which hold-out.

/// The options of a gate that has `confidence`, `resampling`, `slicing` and `holdout`.
macro_rules! gate_options {
    ($gate:ty) => {
        impl $gate {
            /// The same, with limits of this two-sided confidence, in (0, 1).
            #[must_use]
            pub fn confidence(mut self, confidence: f64) -> Self {
                self.confidence = confidence;
                self
            }

            /// The same, resampling like this where a metric's limits have no closed form; with
            /// more replicates where limits lie so far out that fewer than 20 would decide them.
            #[must_use]
            pub fn resampling(mut self, resampling: mlops_core::stats::Resampling) -> Self {
                self.resampling = resampling;
                self
            }

            /// The same, asking it of each value of this column, too; rows without a value are a
            /// slice of their own. At most 100 values.
            #[must_use]
            pub fn by(mut self, column: impl Into<String>) -> Self {
                self.slicing.cuts.push($crate::gates::slices::Cut::Values(column.into()));
                self
            }

            /// The same, asking it of each bin of this column, too: below the first of the
            /// ascending edges, from each to the next, and from the last on.
            #[must_use]
            pub fn by_bins(
                mut self,
                column: impl Into<String>,
                edges: impl Into<Vec<f64>>,
            ) -> Self {
                self.slicing
                    .cuts
                    .push($crate::gates::slices::Cut::Bins(column.into(), edges.into()));
                self
            }

            /// The same, setting slices of fewer rows aside, each with a warning; 30 unless told
            /// otherwise. Where nothing is left the gate is inconclusive.
            #[must_use]
            pub fn min_slice_rows(mut self, rows: u64) -> Self {
                self.slicing.min_rows = rows;
                self
            }

            /// The same, asking this of slices: [`Guard`](crate::SliceRule::Guard) blocks only
            /// where a slice is shown to fail.
            #[must_use]
            pub fn slice_rule(mut self, rule: $crate::SliceRule) -> Self {
                self.slicing.rule = rule;
                self
            }

            /// The same, judged at the level that is left of a hold-out's budget; see
            /// [`HoldoutLedger`](crate::HoldoutLedger).
            #[must_use]
            pub fn on_holdout(mut self, spent: &$crate::HoldoutUse) -> Self {
                self.holdout = Some(spent.clone());
                self
            }

            /// The confidence: its own, or what the budget of the hold-out leaves.
            fn left_confidence(&self) -> mlops_core::Result<f64> {
                $crate::gates::metric::check_confidence(self.confidence)?;
                let spent = self.holdout.as_ref();
                Ok(spent.map_or(self.confidence, |spent| spent.confidence(self.confidence)))
            }

            /// What was found on so many rows, and what it took of the hold-out.
            fn assessment(
                &self,
                rows: usize,
                mut findings: Vec<mlops_core::Finding>,
            ) -> mlops_core::Assessment {
                findings.extend(self.holdout.iter().map($crate::HoldoutUse::finding));
                mlops_core::Assessment::new(&self.name, rows as u64, findings)
            }
        }
    };
}
pub(super) use gate_options;
