//! Attributions as a source of data: columns of φ beside the columns that were explained.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use mlops_core::{Batches, Cancel, DataSource, Error, Partition, Result, RowGroup, RowId};

use super::{Explainer, PhiColumns, Watch};

/// A source with the columns of another and, behind them, what an explainer says of each row: the
/// columns of [`Explainer::explain_columns`], named by [`PhiColumns`].
///
/// Rows are explained as they are read, batch after batch, by whoever reads: everything that
/// measures data measures attributions so, in one scan and in constant memory. A summary of them is
/// an [`AttributionSummary`](super::AttributionSummary); their drift is the drift of the columns
/// `phi:…`; a file of them is a sink's. Reading none of the columns of φ explains nothing.
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::states::NumericSummary;
/// use mlops_core::{DataSourceExt, MemorySource, batch, model::LinearModel};
/// use mlops_fairness::attribution::{ExplainedSource, LinearExplainer};
///
/// let rows = MemorySource::from(batch! { "a" => Float64Array::from(vec![1.0, 2.0, 6.0]) }?);
/// let model = LinearModel::regression(["a"], [2.0], 0.0)?;
/// let explainer = LinearExplainer::new(&model, &rows)?;
/// let explained = ExplainedSource::new(Arc::new(rows), Arc::new(explainer))?;
/// let phi = explained.measure(&NumericSummary::new("phi:a"))?;
/// assert_eq!((phi.mean(), phi.max), (Some(0.0), Some(6.0)));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExplainedSource {
    source: Arc<dyn DataSource>,
    explainer: Arc<dyn Explainer>,
    /// How many columns are the source's own.
    own: usize,
    schema: SchemaRef,
    /// Where in the source the explainer's columns stand.
    reads: Vec<usize>,
    cancel: Option<Cancel>,
}

impl ExplainedSource {
    /// The rows of this source, explained.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] for a column that the explainer reads; [`Error::Invalid`] where a
    /// column of the source has the name of one of attributions.
    pub fn new(source: Arc<dyn DataSource>, explainer: Arc<dyn Explainer>) -> Result<Self> {
        let own = source.schema();
        let mut fields: Vec<Arc<Field>> = own.fields().iter().cloned().collect();
        let names = PhiColumns::of(explainer.outputs());
        let of_pairs = names.pair_fields(&explainer.pairs());
        for field in names.fields(explainer.features()).into_iter().chain(of_pairs) {
            // Of the source, or of attributions: brackets in names may make two of them one.
            if fields.iter().any(|taken| taken.name() == field.name()) {
                let found = format!("`{}` twice", field.name());
                return Err(Error::invalid("columns with attributions", "different names", found));
            }
            fields.push(Arc::new(field));
        }
        let reads = explainer
            .columns()
            .into_iter()
            .map(|name| {
                own.index_of(&name).map_err(|_| Error::ColumnNotFound {
                    column: name,
                    available: own.fields().iter().map(|f| f.name().clone()).collect(),
                })
            })
            .collect::<Result<_>>()?;
        let count = own.fields().len();
        let schema = Arc::new(Schema::new(fields).with_metadata(own.metadata().clone()));
        Ok(Self { source, explainer, own: count, schema, reads, cancel: None })
    }

    /// The same, stopped within a batch, too, once this switch is thrown: a scan looks at its own
    /// only between batches.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// The explainer.
    pub fn explainer(&self) -> &Arc<dyn Explainer> {
        &self.explainer
    }
}

impl DataSource for ExplainedSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        self.source.partitions()
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all).to_vec();
        if let Some(&bad) = wanted.iter().find(|&&i| i >= all.len()) {
            let expected = format!("below {}", all.len());
            return Err(Error::invalid("column of a projection", expected, bad));
        }
        let explains = wanted.iter().any(|&i| i >= self.own);
        let mut read: Vec<usize> = wanted.iter().copied().filter(|&i| i < self.own).collect();
        if explains {
            read.extend(&self.reads);
        }
        read.sort_unstable();
        read.dedup();
        // Where each wanted column stands: among those read, or those of attributions behind them.
        let places: Vec<usize> = wanted
            .iter()
            .map(|&i| match read.binary_search(&i) {
                Ok(at) if i < self.own => at,
                _ => read.len() + i - self.own,
            })
            .collect();
        let schema = Arc::new(self.schema.project(&wanted)?);
        let explainer = self.explainer.clone();
        let cancel = self.cancel.clone();
        let batches = self.source.read(partition, Some(&read), batch_size)?;
        Ok(Batches::new(batches.map(move |batch| {
            let batch = batch?;
            let mut columns = batch.columns().to_vec();
            if explains {
                let watch = cancel.as_ref().map_or(Watch::new(), |c| Watch::new().cancel(c));
                let explained = explainer.explain_columns(&batch, watch)?;
                columns.extend(explained.columns().iter().cloned());
            }
            let columns = places.iter().map(|&at| columns[at].clone()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
        })))
    }

    fn row_group(&self, row: &RowId) -> Option<RowGroup> {
        self.source.row_group(row)
    }
}
