//! Labels that come late, joined to predictions by their id.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use mlops_core::metrics::Metric;
use mlops_core::{Assessment, DataSource, Error, Result, Scan};
use serde::{Deserialize, Serialize};

use super::estimate::{Basis, Estimate, PerformanceLimit, findings};

/// The columns by which predictions and labels meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinColumns {
    /// The id of a prediction, in both.
    pub id: String,
    /// What came true, in the labels.
    pub label: String,
}

/// How many rows, and the ids of the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedRows {
    /// How many.
    pub rows: u64,
    /// The ids of the first [`NAMED`](Self::NAMED).
    pub ids: Vec<String>,
}

impl NamedRows {
    /// So many rows are named.
    pub const NAMED: usize = 10;

    fn add(&mut self, ids: &dyn Array, row: usize) {
        self.rows = self.rows.saturating_add(1);
        if self.ids.len() < Self::NAMED {
            self.ids.push(array_value_to_string(ids, row).unwrap_or_default());
        }
    }
}

/// What became of predictions and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JoinCounts {
    /// All predictions.
    pub predictions: u64,
    /// All labels.
    pub labels: u64,
    /// Predictions that met their label.
    pub joined: u64,
    /// Predictions and labels without an id, left out.
    pub without_id: u64,
    /// Rows of labels that hold none (null), left out: the label may still come.
    pub null_labels: u64,
    /// Predictions of an id that was predicted before, left out: the first counts.
    pub duplicate_predictions: NamedRows,
    /// Labels of an id that has one already, left out: the first counts.
    pub duplicate_labels: NamedRows,
    /// Predictions that were forgotten, to keep memory bounded, before their label came.
    pub missing: NamedRows,
    /// Labels that were forgotten before their prediction came: of predictions that were forgotten
    /// (the label is late) or never made.
    pub unmatched: NamedRows,
}

/// Predictions wait for their labels, and labels for their predictions; rows leave as soon as both
/// are there.
///
/// Of each side the last `capacity` rows are kept, so memory is bounded. Ids are compared as they
/// are: of both sides integers of any width, text of any layout, or one other type. What is joined has the
/// columns of the predictions and those of the labels but the id, and goes on into metrics
/// ([`ClassificationReport`](mlops_core::metrics::ClassificationReport),
/// [`assess_metrics`]) or, by the time of the prediction, into [windows](crate::windows).
/// Which rows are joined does not depend on how they are cut into batches, as long as none is
/// forgotten.
///
/// Realised performance is of the rows whose label *came*. Where labels come sooner for one
/// outcome than for the other (a default is known before a loan is repaid) it is not the
/// performance of all.
///
/// ```
/// use mlops_core::arrow::array::{BooleanArray, Float64Array, Int64Array};
/// use mlops_core::{Verdict, batch};
/// use mlops_core::metrics::{ClassificationReport, Scored};
/// use mlops_drift::performance::{JoinColumns, LabelJoin, PerformanceLimit, assess_metrics};
///
/// let predicted = batch! {
///     "id" => Int64Array::from_iter_values(0..100),
///     "score" => Float64Array::from_iter_values((0..100).map(|i| f64::from(i) / 100.0)),
/// }?;
/// let labels = batch! {
///     "id" => Int64Array::from_iter_values((0..120).rev().step_by(2)),
///     "repaid" => BooleanArray::from_iter((0..120).rev().step_by(2).map(|i| Some(i > 40))),
/// }?;
/// let columns = JoinColumns { id: "id".into(), label: "repaid".into() };
/// let mut join = LabelJoin::new(&predicted.schema(), &labels.schema(), &columns, 1000)?;
/// assert_eq!(join.push_predictions(&predicted)?.num_rows(), 0);
/// let known = join.push_labels(&labels)?;
/// assert_eq!((known.num_rows(), join.unlabelled(), join.counts().joined), (50, 50, 50));
///
/// let scored = Scored { y_true: &known["repaid"], y_score: &known["score"], positive: "true" };
/// let report = ClassificationReport::of_scores(scored, 0.5, 0.95)?;
/// let limits = [PerformanceLimit::at_least("accuracy", 0.7)];
/// assert_eq!(assess_metrics(report.n, report.metrics(), &limits)?.verdict, Verdict::Pass);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LabelJoin {
    columns: JoinColumns,
    id_type: DataType,
    converter: RowConverter,
    schema: SchemaRef,
    predictions: Side,
    labels: Side,
    counts: JoinCounts,
}

/// The last rows of one side.
#[derive(Debug)]
struct Side {
    schema: SchemaRef,
    capacity: usize,
    /// Batches with the number of their first row, and their ids.
    batches: VecDeque<Held>,
    rows: usize,
    next: u64,
    by_id: HashMap<OwnedRow, Place>,
}

#[derive(Debug)]
struct Held {
    first: u64,
    batch: RecordBatch,
    ids: ArrayRef,
    /// The ids of the rows that stand in the map, and are not forgotten.
    keys: VecDeque<(usize, OwnedRow)>,
    /// So many of its first rows are forgotten.
    gone: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    row: u64,
    joined: bool,
}

impl Side {
    fn new(schema: SchemaRef, capacity: usize) -> Self {
        let (batches, by_id) = (VecDeque::new(), HashMap::new());
        Self { schema, capacity, batches, rows: 0, next: 0, by_id }
    }

    /// The batch and the row in it of a row's number.
    fn find(&self, row: u64) -> Option<(usize, usize)> {
        let batch = self.batches.partition_point(|held| held.first <= row).checked_sub(1)?;
        Some((batch, (row - self.batches[batch].first) as usize))
    }

    /// Forgets the oldest rows beyond the capacity, and names those that were not joined. A batch is
    /// held until all its rows are forgotten.
    fn forget(&mut self, lost: &mut NamedRows) {
        while self.rows > self.capacity {
            let more = self.rows - self.capacity;
            let Some(held) = self.batches.front_mut() else { break };
            let now = more.min(held.batch.num_rows() - held.gone);
            held.gone += now;
            self.rows -= now;
            while held.keys.front().is_some_and(|(row, _)| *row < held.gone) {
                let Some((row, key)) = held.keys.pop_front() else { break };
                if self.by_id.remove(&key).is_some_and(|place| !place.joined) {
                    lost.add(&held.ids, row);
                }
            }
            if held.gone == held.batch.num_rows() {
                self.batches.pop_front();
            }
        }
    }
}

/// The type in which ids of these two types are compared without a loss.
fn common_id(a: &DataType, b: &DataType) -> Option<DataType> {
    fn plain(t: &DataType) -> &DataType {
        if let DataType::Dictionary(_, values) = t { values } else { t }
    }
    let (a, b) = (plain(a), plain(b));
    let text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if a == b {
        Some(a.clone())
    } else if text(a) && text(b) {
        Some(DataType::LargeUtf8)
    } else if a.is_integer() && b.is_integer() {
        let large = *a == DataType::UInt64 || *b == DataType::UInt64;
        Some(if large { DataType::Decimal128(20, 0) } else { DataType::Int64 })
    } else {
        None
    }
}

impl LabelJoin {
    /// A join of predictions and labels with these columns, that keeps this many rows of each.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], [`Error::ColumnType`] for ids that cannot be compared
    /// (numbers with text, whole numbers with others),
    /// [`Error::Invalid`] for a column of both that is not the id, or no capacity.
    pub fn new(
        predictions: &SchemaRef,
        labels: &SchemaRef,
        columns: &JoinColumns,
        capacity: usize,
    ) -> Result<Self> {
        let field = |schema: &SchemaRef, name: &str| {
            schema.field_with_name(name).cloned().map_err(|_| Error::ColumnNotFound {
                column: name.to_owned(),
                available: schema.fields().iter().map(|f| f.name().clone()).collect(),
            })
        };
        if capacity == 0 {
            return Err(Error::invalid("capacity of a join", "at least one row", capacity));
        }
        let id = field(predictions, &columns.id)?;
        let other = field(labels, &columns.id)?;
        field(labels, &columns.label)?;
        let id_type = common_id(id.data_type(), other.data_type()).ok_or_else(|| {
            let expected = format!("ids like those of the predictions, {}", id.data_type());
            Error::column_type(&columns.id, expected, other.data_type())
        })?;
        let converter = RowConverter::new(vec![SortField::new(id_type.clone())])
            .map_err(|_| Error::column_type(&columns.id, "an id", id.data_type()))?;
        let mut fields: Vec<Arc<Field>> = predictions.fields().iter().cloned().collect();
        for field in labels.fields().iter().filter(|f| *f.name() != columns.id) {
            if predictions.field_with_name(field.name()).is_ok() {
                let found = format!("`{}` in both", field.name());
                return Err(Error::invalid("columns of a join", "the id only in both", found));
            }
            fields.push(field.clone());
        }
        Ok(Self {
            columns: columns.clone(),
            id_type,
            converter,
            schema: Arc::new(Schema::new(fields)),
            predictions: Side::new(predictions.clone(), capacity),
            labels: Side::new(labels.clone(), capacity),
            counts: JoinCounts::default(),
        })
    }

    /// What became of the rows so far.
    pub fn counts(&self) -> &JoinCounts {
        &self.counts
    }

    /// How many of the predictions that are kept wait for their label.
    pub fn unlabelled(&self) -> usize {
        self.predictions.by_id.values().filter(|place| !place.joined).count()
    }

    /// The columns of what is joined.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes in predictions; gives those whose label was there before them.
    ///
    /// # Errors
    /// A batch of another schema.
    pub fn push_predictions(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let joined = self.push(batch, true)?;
        self.predictions.forget(&mut self.counts.missing);
        Ok(joined)
    }

    /// Takes in labels; gives the predictions that were there before them, with their labels.
    ///
    /// # Errors
    /// A batch of another schema.
    pub fn push_labels(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let joined = self.push(batch, false)?;
        self.labels.forget(&mut self.counts.unmatched);
        Ok(joined)
    }

    fn push(&mut self, batch: &RecordBatch, of_predictions: bool) -> Result<RecordBatch> {
        let (mine, theirs, counts) = if of_predictions {
            (&mut self.predictions, &mut self.labels, &mut self.counts)
        } else {
            (&mut self.labels, &mut self.predictions, &mut self.counts)
        };
        let same = |a: &Field, b: &Field| a.name() == b.name() && a.data_type() == b.data_type();
        let (known, found) = (mine.schema.fields(), batch.schema_ref().fields());
        if known.len() != found.len() || !known.iter().zip(found).all(|(a, b)| same(a, b)) {
            let expected = format!("the schema {}", mine.schema);
            return Err(Error::invalid("a batch to join", expected, batch.schema_ref()));
        }
        let ids = cast(mlops_core::column(batch, &self.columns.id)?, &self.id_type)?;
        let keys = self.converter.convert_columns(std::slice::from_ref(&ids))?;
        let label = if of_predictions {
            None
        } else {
            mlops_core::column(batch, &self.columns.label)?.logical_nulls()
        };
        let nulls = ids.logical_nulls();
        let mut held =
            Held { first: mine.next, batch: batch.clone(), ids, keys: VecDeque::new(), gone: 0 };
        // Rows of mine and theirs that meet.
        let mut met: Vec<(usize, (usize, usize))> = Vec::new();
        for row in 0..batch.num_rows() {
            *(if of_predictions { &mut counts.predictions } else { &mut counts.labels }) += 1;
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                counts.without_id += 1;
                continue;
            }
            if label.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                counts.null_labels += 1;
                continue;
            }
            let key = keys.row(row).owned();
            let duplicates = if of_predictions {
                &mut counts.duplicate_predictions
            } else {
                &mut counts.duplicate_labels
            };
            // A label that met its prediction is kept there.
            let again = mine.by_id.contains_key(&key)
                || theirs.by_id.get(&key).is_some_and(|place| place.joined);
            if again {
                duplicates.add(&held.ids, row);
                continue;
            }
            let mut place = Place { row: held.first + row as u64, joined: false };
            let other = theirs.by_id.get(&key).map(|other| other.row);
            if let Some(found) = other.and_then(|other| theirs.find(other)) {
                place.joined = true;
                if let Some(other) = theirs.by_id.get_mut(&key) {
                    other.joined = true;
                }
                counts.joined += 1;
                met.push((row, found));
            }
            mine.by_id.insert(key.clone(), place);
            held.keys.push_back((row, key));
        }
        mine.next += batch.num_rows() as u64;
        mine.rows += batch.num_rows();
        if batch.num_rows() > 0 {
            mine.batches.push_back(held);
        }
        let own: Vec<_> = met.iter().map(|&(row, _)| (0, row)).collect();
        let own = interleave_record_batch(&[batch], &own)?;
        // Of the batches that hold a row that was met, and no others: there may be many.
        let mut used: BTreeMap<usize, usize> = met.iter().map(|(_, found)| (found.0, 0)).collect();
        let others: Vec<_> = used.keys().map(|&at| &theirs.batches[at].batch).collect();
        used.values_mut().zip(0..).for_each(|(place, i)| *place = i);
        let found: Vec<_> = met.iter().map(|(_, (at, row))| (used[at], *row)).collect();
        let others = if others.is_empty() {
            RecordBatch::new_empty(theirs.schema.clone())
        } else {
            interleave_record_batch(&others, &found)?
        };
        let (predictions, labels) = if of_predictions { (own, others) } else { (others, own) };
        let mut columns = predictions.columns().to_vec();
        for (field, column) in labels.schema_ref().fields().iter().zip(labels.columns()) {
            if *field.name() != self.columns.id {
                columns.push(column.clone());
            }
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// Joins two sources: keeps the labels in memory, reads the predictions once, and shows `each`
/// batch of those that have a label, in the order of the predictions. What is left over is in the
/// counts: predictions whose label is missing, and labels without a prediction.
///
/// # Errors
/// Those of the sources, of `each`, of [`LabelJoin::new`]; [`Error::Invalid`] for more labels than
/// `capacity`.
pub fn join_labels(
    predictions: &dyn DataSource,
    labels: &dyn DataSource,
    columns: &JoinColumns,
    capacity: usize,
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<JoinCounts> {
    let mut join = LabelJoin::new(&predictions.schema(), &labels.schema(), columns, capacity)?;
    // Of predictions only ids are kept, to know them again: the batches of one push.
    for index in 0..labels.partitions()?.len() {
        for batch in labels.read(index, None, Scan::BATCH_SIZE)? {
            join.push_labels(&batch?)?;
            if join.counts.unmatched.rows > 0 {
                let found = join.counts.labels;
                return Err(Error::invalid(
                    "labels in memory",
                    format!("at most {capacity}"),
                    found,
                ));
            }
        }
    }
    for index in 0..predictions.partitions()?.len() {
        for batch in predictions.read(index, None, Scan::BATCH_SIZE)? {
            let known = join.push_predictions(&batch?)?;
            if known.num_rows() > 0 {
                each(&known)?;
            }
        }
    }
    join.predictions.capacity = 0;
    join.predictions.forget(&mut join.counts.missing);
    join.labels.capacity = 0;
    join.labels.forget(&mut join.counts.unmatched);
    Ok(join.counts)
}

/// The answer to limits of metrics that labels gave, as
/// [`ClassificationReport::metrics`](mlops_core::metrics::ClassificationReport::metrics) has them:
/// each passes if its whole confidence interval is within, fails if it is all outside, and is
/// inconclusive else, or of fewer rows than the limit asks for.
///
/// # Errors
/// [`Error::Invalid`] for a metric that is not there.
pub fn assess_metrics<'a>(
    rows: u64,
    metrics: impl Iterator<Item = (&'static str, &'a Metric)>,
    limits: &[PerformanceLimit],
) -> Result<Assessment> {
    let estimates: Vec<Estimate> = metrics
        .map(|(name, metric)| {
            let reason = metric.reason.as_deref().unwrap_or_default();
            let mut estimate = Estimate::undefined(name, None, reason);
            (estimate.value, estimate.interval) = (metric.value, metric.interval);
            estimate
        })
        .collect();
    let on = Basis { rows, left_out: 0 };
    let findings = findings("realised", on, limits, &estimates)?;
    Ok(Assessment::new("realised performance", rows, findings))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Float64Array, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{Float64Type, Int64Type};
    use mlops_core::{DataSourceExt, MemorySource, batch};

    use super::*;

    fn predictions(ids: &[Option<i64>]) -> RecordBatch {
        batch! {
            "id" => Int64Array::from(ids.to_vec()),
            "score" => Float64Array::from_iter_values(ids.iter().map(|i| i.unwrap_or(-1) as f64)),
        }
        .unwrap()
    }

    /// Ids in a narrower type than those of the predictions.
    fn labels(ids: &[i32]) -> RecordBatch {
        batch! {
            "y" => ids.iter().map(|i| (*i != 5).then(|| f64::from(*i) + 0.5)).collect::<Float64Array>(),
            "id" => Int32Array::from(ids.to_vec()),
        }
        .unwrap()
    }

    fn columns() -> JoinColumns {
        JoinColumns { id: "id".into(), label: "y".into() }
    }

    fn join(capacity: usize) -> LabelJoin {
        let (p, l) = (predictions(&[]).schema(), labels(&[]).schema());
        LabelJoin::new(&p, &l, &columns(), capacity).unwrap()
    }

    fn ids(joined: &RecordBatch) -> Vec<i64> {
        let (scores, y) = (joined["score"].as_primitive::<Float64Type>(), &joined["y"]);
        for (score, y) in scores.iter().zip(y.as_primitive::<Float64Type>()) {
            assert_eq!(score.unwrap() + 0.5, y.unwrap());
        }
        joined["id"].as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_meet_in_any_order_once() {
        let mut join = join(100);
        assert_eq!(ids(&join.push_labels(&labels(&[7, 3])).unwrap()), [0; 0]);
        let early =
            join.push_predictions(&predictions(&[Some(1), Some(3), None, Some(3)])).unwrap();
        assert_eq!(ids(&early), [3]);
        join.push_predictions(&predictions(&[Some(5), Some(9), Some(1)])).unwrap();
        assert_eq!(ids(&join.push_labels(&labels(&[9, 8, 1, 3, 9, 5])).unwrap()), [9, 1]);
        assert_eq!(ids(&join.push_predictions(&predictions(&[Some(7)])).unwrap()), [7]);
        let counts = join.counts();
        assert_eq!((counts.predictions, counts.labels, counts.joined), (8, 8, 4));
        assert_eq!((counts.without_id, counts.null_labels), (1, 1));
        assert_eq!(counts.duplicate_predictions.ids, ["3", "1"]);
        assert_eq!(counts.duplicate_labels.ids, ["3", "9"]);
        assert_eq!(join.unlabelled(), 1); // 5
        assert_eq!((counts.missing.rows, counts.unmatched.rows), (0, 0));
    }

    #[test]
    fn memory_is_bounded_and_the_lost_are_named() {
        let mut join = join(4);
        for first in [0, 2, 4, 6] {
            join.push_predictions(&predictions(&[Some(first), Some(first + 1)])).unwrap();
        }
        assert_eq!(join.counts().missing.ids, ["0", "1", "2", "3"]);
        assert_eq!(ids(&join.push_labels(&labels(&[0, 4, 7, 6])).unwrap()), [4, 7, 6]);
        join.push_labels(&labels(&[20, 21, 22])).unwrap();
        assert_eq!(join.counts().unmatched.ids, ["0"]); // too late
        assert!(join.predictions.by_id.len() <= 4 && join.labels.by_id.len() <= 4);
    }

    #[test]
    fn sources_are_joined_and_what_is_left_is_counted() {
        let p = MemorySource::from(predictions(&[Some(4), Some(2), Some(9), Some(1)]));
        let l = MemorySource::from(labels(&[1, 2, 3, 4, 4]));
        let mut found = Vec::new();
        let counts = join_labels(&p, &l, &columns(), 10, |known| {
            found.extend(ids(known));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [4, 2, 1]);
        assert_eq!(
            (counts.missing.ids, counts.unmatched.ids),
            (vec!["9".into()], vec!["3".into()])
        );
        assert_eq!(counts.duplicate_labels.rows, 1);
        assert!(join_labels(&p, &l, &columns(), 2, |_| Ok(())).is_err());
        assert_eq!(p.collect().unwrap().num_rows(), 4);
    }

    #[test]
    fn the_last_rows_are_kept_however_they_come() {
        let ten: Vec<_> = (0..10).map(Some).collect();
        for cut in [1, 3, 10] {
            let mut join = join(4);
            for part in ten.chunks(cut) {
                join.push_predictions(&predictions(part)).unwrap();
                join.push_predictions(&predictions(&[])).unwrap();
            }
            assert_eq!(join.counts().missing.ids, ["0", "1", "2", "3", "4", "5"], "{cut}");
            assert!(join.predictions.batches.len() <= 4);
            assert_eq!(ids(&join.push_labels(&labels(&[9, 2, 6])).unwrap()), [9, 6]);
            // Those that have met are not lost when they are forgotten.
            join.push_predictions(&predictions(&[Some(11), Some(12)])).unwrap();
            assert_eq!(join.counts().missing.rows, 7, "{cut}");
            assert_eq!(join.unlabelled(), 3);
        }
    }

    #[test]
    fn ids_are_compared_without_a_loss() {
        let columns = columns();
        let met = |left: ArrayRef, right: ArrayRef| {
            let predictions = batch! { "id" => left, "score" => Float64Array::from(vec![0.5; 2]) };
            let labels = batch! { "id" => right, "y" => Float64Array::from(vec![1.0; 2]) };
            let (predictions, labels) = (predictions.unwrap(), labels.unwrap());
            let mut join =
                LabelJoin::new(&predictions.schema(), &labels.schema(), &columns, 10).ok()?;
            join.push_predictions(&predictions).unwrap();
            let rows = join.push_labels(&labels).unwrap().num_rows();
            Some((rows, join.counts().without_id))
        };
        let int = |v: [i64; 2]| Arc::new(Int64Array::from(v.to_vec())) as ArrayRef;
        let narrow = Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef;
        let huge = Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX, 2])) as ArrayRef;
        let text = Arc::new(StringArray::from(vec!["1", "2"])) as ArrayRef;
        let views = Arc::new(arrow::array::StringViewArray::from(vec!["2", "3"])) as ArrayRef;
        let float = Arc::new(Float64Array::from(vec![1.7, 2.0])) as ArrayRef;
        assert_eq!(met(narrow.clone(), int([1 << 40, 2])), Some((1, 0)));
        assert_eq!(met(int([-1, 2]), huge), Some((1, 0)));
        assert_eq!(met(text.clone(), views), Some((1, 0)));
        assert_eq!((met(narrow.clone(), float.clone()), met(narrow, text)), (None, None));
        assert_eq!(met(float.clone(), float), Some((2, 0)));
    }

    #[test]
    fn other_columns_are_refused() {
        let (p, l) = (predictions(&[]).schema(), labels(&[]).schema());
        assert!(LabelJoin::new(&p, &p, &columns(), 9).is_err());
        assert!(LabelJoin::new(&p, &l, &columns(), 0).is_err());
        let same = JoinColumns { id: "id".into(), label: "score".into() };
        assert!(LabelJoin::new(&p, &p, &same, 9).is_err(), "`score` in both");
        let mut join = join(9);
        assert!(join.push_predictions(&labels(&[1])).is_err());
        let text =
            batch! { "y" => StringArray::from(vec!["a"]), "id" => StringArray::from(vec!["x"]) };
        assert!(join.push_labels(&text.unwrap()).is_err());
        assert_eq!(join.counts(), &JoinCounts::default());
    }
}
