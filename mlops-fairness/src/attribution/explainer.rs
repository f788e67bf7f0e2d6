//! What explains: the seam between explainers and all that is made of attributions.

use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use mlops_core::model::Link;
use mlops_core::states::RowCount;
use mlops_core::{Cancel, OnProgress, Progress, Result, Scan};

use super::Attributions;

/// Who is told of progress, and who can stop the work.
///
/// ```
/// use mlops_core::{Cancel, Progress};
/// use mlops_fairness::attribution::Watch;
/// let cancel = Cancel::new();
/// let show = |progress: &Progress| drop(progress.fraction());
/// let watch = Watch::new().cancel(&cancel).on_progress(&show);
/// ```
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    cancel: Option<&'a Cancel>,
    progress: Option<&'a dyn OnProgress>,
}

impl Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("cancel", &self.cancel)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

impl<'a> Watch<'a> {
    /// Nobody is told, nobody stops it.
    pub const fn new() -> Self {
        Self { cancel: None, progress: None }
    }

    /// The same, stopped once this switch is thrown.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// The same, telling this listener of rows that are done.
    #[must_use]
    pub fn on_progress(mut self, listener: &'a dyn OnProgress) -> Self {
        self.progress = Some(listener);
        self
    }

    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`Error::Cancelled`](mlops_core::Error::Cancelled).
    pub fn check(&self) -> Result<()> {
        self.cancel.map_or(Ok(()), Cancel::check)
    }

    /// Counts rows, or other steps, of so many.
    pub(super) fn steps(self, total: usize) -> Steps<'a> {
        Steps { watch: self, done: AtomicU64::new(0), total: total as u64 }
    }
}

/// Steps that are counted from any thread.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    watch: Watch<'a>,
    done: AtomicU64,
    total: u64,
}

impl Steps<'_> {
    /// So many more are done; whether to go on.
    pub(super) fn done(&self, steps: u64) -> Result<()> {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        if let Some(listener) = self.watch.progress {
            let mut progress = Progress::default();
            (progress.rows, progress.rows_total) = (done, Some(self.total));
            listener.on_progress(&progress);
        }
        self.watch.check()
    }
}

/// Something that explains the predictions of rows.
///
/// # Contract
/// - The attributions have one row for each of the batch, in order, with these features and
///   outputs, and depend on nothing but the row: any cutting into batches, any threads and any
///   order of the rows give the same bits.
/// - Base value and attributions add up to the prediction that the model makes on its own, within
///   the tolerance that [`Attributions::additivity`] names; where they don't, that is an error.
pub trait Explainer: Debug + Send + Sync + 'static {
    /// The features that get attributions, in their order.
    fn features(&self) -> &[String];

    /// The outputs that are explained, in their order.
    fn outputs(&self) -> &[String];

    /// The columns that it reads: the features, unless groups of columns are.
    fn columns(&self) -> Vec<String> {
        self.features().to_vec()
    }

    /// Explains the rows of a batch.
    ///
    /// # Errors
    /// A column that is missing or of the wrong type, a row that can't be explained, and
    /// [`Error::Cancelled`](mlops_core::Error::Cancelled).
    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions>;

    /// The pairs of features whose interaction values it gives besides; most give none.
    fn pairs(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The same as the columns that stand beside the data: those of [`Attributions::to_batch`], and
    /// behind them those of [`pairs`](Self::pairs), of each output one after the other, by the names
    /// of [`PhiColumns`](super::PhiColumns).
    ///
    /// # Errors
    /// As [`explain_with`](Self::explain_with).
    fn explain_columns(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<RecordBatch> {
        self.explain_with(batch, watch)?.to_batch()
    }
}

/// What every explainer can do.
pub trait ExplainerExt: Explainer {
    /// Explains all rows of a source in their order, a batch at a time, in memory that does not grow
    /// with them; how many there were. Batch size, progress and cancelling are the scan's.
    ///
    /// # Errors
    /// As [`Explainer::explain_with`], those of the source and of `each`, and
    /// [`Error::Cancelled`](mlops_core::Error::Cancelled).
    fn explain_scan(
        &self,
        scan: Scan<'_>,
        mut each: impl FnMut(Attributions) -> Result<()>,
    ) -> Result<u64> {
        scan.in_order(&RowCount, |rows| each(self.explain_with(rows.batch()?, Watch::new())?))
    }
}

impl<T: Explainer + ?Sized> ExplainerExt for T {}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Explainer + ?Sized> Explainer for $pointer<T> {
            fn features(&self) -> &[String] {
                (**self).features()
            }

            fn outputs(&self) -> &[String] {
                (**self).outputs()
            }

            fn columns(&self) -> Vec<String> {
                (**self).columns()
            }

            fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
                (**self).explain_with(batch, watch)
            }

            fn pairs(&self) -> Vec<(String, String)> {
                (**self).pairs()
            }

            fn explain_columns(
                &self,
                batch: &RecordBatch,
                watch: Watch<'_>,
            ) -> Result<RecordBatch> {
                (**self).explain_columns(batch, watch)
            }
        }
    )*};
}

forward!(Arc, Box);

/// The name of what is neither a class nor a target.
pub(super) const ONLY: &str = "prediction";

/// The names of what a model of this link has margins for.
pub(super) fn outputs_of(link: &Link) -> Vec<String> {
    match link {
        Link::Logistic { positive, .. }
        | Link::Hinge { positive, .. }
        | Link::Probability { positive, .. } => vec![positive.clone()],
        Link::Softmax { classes } | Link::OneVsRest { classes } | Link::Scores { classes } => {
            classes.clone()
        }
        _ => vec![ONLY.to_owned()],
    }
}

/// An explainer that plays the game of each row of its [`MaskedModel`](super::MaskedModel).
macro_rules! plays_games {
    ($name:ident) => {
        impl $name {
            /// Explains the rows of a batch.
            ///
            /// # Errors
            /// As [`Explainer::explain_with`](super::Explainer::explain_with).
            pub fn explain(
                &self,
                batch: &arrow::array::RecordBatch,
            ) -> mlops_core::Result<super::Attributions> {
                super::Explainer::explain_with(self, batch, super::Watch::new())
            }

            /// What it explains.
            pub fn model(&self) -> &super::MaskedModel {
                &self.model
            }
        }

        impl super::Explainer for $name {
            fn features(&self) -> &[String] {
                self.model.features()
            }

            fn outputs(&self) -> &[String] {
                self.model.outputs()
            }

            fn columns(&self) -> Vec<String> {
                self.model.columns()
            }

            fn explain_with(
                &self,
                batch: &arrow::array::RecordBatch,
                watch: super::Watch<'_>,
            ) -> mlops_core::Result<super::Attributions> {
                self.model.explain_rows(batch, watch, self)
            }
        }
    };
}
pub(super) use plays_games;
