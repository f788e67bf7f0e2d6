//! Transforms of many columns, fitted by one scan, kept with the model.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Float64Builder, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::model::{Nulls, features};
use mlops_core::states::{CategoryCounts, CategoryTable, NumericSummary, Summary};
use mlops_core::{
    Analyzer, DataSource, Description, Error, Handle, Names, Plan, PlanState, Result, Rows, Scan,
    is_numeric, is_text,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::categorical::{Code, Encoder, FittedEncoder, Layout, OneHotEncoder, Unseen};
use super::numeric::{
    FittedStep, Imputer, NumericStep, NumericSteps, StandardScaler, Strategy, fit,
};
use super::record::{Record, Value};

/// What is done with each column to make features of it; [`fit`](Self::fit) finds the numbers.
///
/// ```
/// use arrow::array::{Float64Array, StringArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_data::{ColumnPipeline, Imputer, OneHotEncoder, Record, StandardScaler};
///
/// let rows = batch! {
///     "age" => Float64Array::from(vec![Some(20.0), None, Some(40.0)]),
///     "city" => StringArray::from(vec!["Oslo", "Bergen", "Oslo"]),
/// }?;
/// let fitted = ColumnPipeline::new()
///     .numeric(["age"], (Imputer::mean(), StandardScaler))
///     .categorical(["city"], OneHotEncoder::new())
///     .fit(&MemorySource::from(rows.clone()))?;
/// assert_eq!(fitted.feature_names(), ["age", "city=Bergen", "city=Oslo"]);
/// let x = fitted.features(&rows)?;
/// assert_eq!((x.dim(), x[[1, 0]], x[[1, 1]]), ((3, 3), 0.0, 1.0));
/// // One record goes the same way, to the same bits.
/// let one = fitted.record_features(&Record::from([("age", 20.into()), ("city", "Oslo".into())]))?;
/// assert_eq!(one, x.row(0).to_vec());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnPipeline {
    columns: Vec<(String, Work)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Work {
    Numeric(Vec<NumericStep>),
    Categorical(Encoder),
}

impl ColumnPipeline {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A pipeline for tables nobody has looked at: numbers (and integers) get their median where
    /// they are missing and are scaled to mean 0 and standard deviation 1; text and booleans are
    /// encoded one-hot with at most 20 categories, unseen ones among the others. Columns in
    /// `drop`, and of other types (dates, lists), are left out.
    pub fn for_schema<S: AsRef<str>>(schema: &Schema, drop: &[S]) -> Self {
        let mut pipeline = Self::new();
        for field in schema.fields() {
            let name = field.name();
            if drop.iter().any(|d| d.as_ref() == name) {
                continue;
            }
            let kind = field.data_type();
            if kind.is_numeric() {
                pipeline = pipeline.numeric([name], (Imputer::median(), StandardScaler));
            } else if is_text(kind) || *kind == DataType::Boolean {
                let encoder = OneHotEncoder::new().unseen(Unseen::Other).max_categories(20);
                pipeline = pipeline.categorical([name], encoder);
            }
        }
        pipeline
    }

    /// Columns of numbers, each with these steps: [`Imputer`], [`StandardScaler`],
    /// [`MinMaxScaler`](super::MinMaxScaler), a tuple of them, or `()`.
    #[must_use]
    pub fn numeric<S: Into<String>>(
        mut self,
        columns: impl IntoIterator<Item = S>,
        steps: impl NumericSteps,
    ) -> Self {
        let steps = steps.into_steps();
        self.columns
            .extend(columns.into_iter().map(|name| (name.into(), Work::Numeric(steps.clone()))));
        self
    }

    /// Columns of categories, each with this encoder: [`OneHotEncoder`],
    /// [`OrdinalEncoder`](super::OrdinalEncoder), or an [`Imputer`] and one of them.
    #[must_use]
    pub fn categorical<S: Into<String>>(
        mut self,
        columns: impl IntoIterator<Item = S>,
        encoder: impl Into<Encoder>,
    ) -> Self {
        let encoder = encoder.into();
        self.columns.extend(
            columns.into_iter().map(|name| (name.into(), Work::Categorical(encoder.clone()))),
        );
        self
    }

    /// The columns that it reads.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Finds the numbers of every step in one scan.
    ///
    /// # Errors
    /// Those of the source and of [`analyzer`](Self::analyzer); [`Error::Undefined`] for a column
    /// that has no values, infinite ones under a scaler, or too many categories.
    pub fn fit(&self, source: &dyn DataSource) -> Result<FittedPipeline> {
        Scan::new(source).run(&self.analyzer(&source.schema())?)
    }

    /// The fit as an analyzer, to be run with others in one scan, or in parts that merge.
    ///
    /// # Errors
    /// A column that is missing, named twice, or of a type that its steps can't take; no columns.
    pub fn analyzer(&self, schema: &Schema) -> Result<PipelineFit> {
        if self.columns.is_empty() {
            return Err(Error::invalid("pipeline", "at least one column", "none"));
        }
        let mut plan = Plan::new();
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut known = HashSet::new();
        for (name, work) in &self.columns {
            if !known.insert(name) {
                return Err(Error::invalid("pipeline", "each column once", name));
            }
            let field = schema.field_with_name(name).map_err(|_| Error::ColumnNotFound {
                column: name.clone(),
                available: schema.fields().iter().map(|f| f.name().clone()).collect(),
            })?;
            let kind = field.data_type();
            let counts = || CategoryCounts::new(name).with_cap(PipelineFit::MAX_DISTINCT);
            let measured = match work {
                Work::Numeric(steps) => {
                    if !is_numeric(kind) {
                        return Err(Error::column_type(name, "a number", kind));
                    }
                    let counted = steps.iter().any(|step| match step {
                        NumericStep::Imputer(imputer) => {
                            matches!(imputer.strategy, Strategy::Median | Strategy::MostFrequent)
                        }
                        _ => false,
                    });
                    let summary = plan.add(NumericSummary::new(name));
                    let counts = if counted { Some(plan.add(counts()?)) } else { None };
                    Measured::Numeric(steps.clone(), summary, counts)
                }
                Work::Categorical(encoder) => {
                    if !is_text(kind) && !is_numeric(kind) && !kind.is_null() {
                        return Err(Error::column_type(name, "text, a boolean or a number", kind));
                    }
                    let counts = plan.add(CategoryCounts::new(name));
                    Measured::Categorical(encoder.clone(), counts)
                }
            };
            columns.push((name.clone(), kind.clone(), measured));
        }
        Ok(PipelineFit { plan, columns })
    }
}

/// The fit of a [`ColumnPipeline`]: what has to be measured, and how the numbers follow from it.
#[derive(Debug)]
pub struct PipelineFit {
    plan: Plan,
    columns: Vec<(String, DataType, Measured)>,
}

#[derive(Debug)]
enum Measured {
    Numeric(Vec<NumericStep>, Handle<Summary>, Option<Handle<CategoryTable>>),
    Categorical(Encoder, Handle<CategoryTable>),
}

impl PipelineFit {
    /// The most distinct numbers of a column whose median or most frequent value is asked for.
    pub const MAX_DISTINCT: usize = 1 << 20;
}

impl Analyzer for PipelineFit {
    type State = PlanState;
    type Output = FittedPipeline;

    fn columns(&self) -> Vec<String> {
        self.plan.columns()
    }

    fn start(&self) -> PlanState {
        self.plan.start()
    }

    fn update(&self, state: &mut PlanState, rows: &Rows<'_>) -> Result<()> {
        self.plan.update(state, rows)
    }

    fn finish(&self, state: PlanState) -> Result<FittedPipeline> {
        let measured = self.plan.finish(state)?;
        let columns = self.columns.iter().map(|(name, kind, column)| {
            let work = match column {
                Measured::Numeric(steps, summary, counts) => {
                    let counts = counts.map(|counts| measured.get(&counts)).transpose()?;
                    FittedWork::Numeric {
                        steps: fit(name, steps, measured.get(summary)?, counts)?,
                        indicator: steps
                            .iter()
                            .any(|step| matches!(step, NumericStep::Imputer(i) if i.indicator)),
                    }
                }
                Measured::Categorical(encoder, counts) => {
                    FittedWork::Categorical(encoder.fit(name, measured.get(counts)?)?)
                }
            };
            Ok(FittedColumn { name: name.clone(), data_type: kind.to_string(), work })
        });
        FittedPipeline::new(columns.collect::<Result<_>>()?)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<PlanState> {
        self.plan.decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        self.plan.description()
    }
}

/// A [`ColumnPipeline`] that knows its numbers: rows in, features out. Every feature is `f64`, and
/// depends on its own row alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct FittedPipeline {
    columns: Vec<FittedColumn>,
    inputs: SchemaRef,
    names: Vec<String>,
    outputs: SchemaRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FittedColumn {
    name: String,
    data_type: String,
    work: FittedWork,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FittedWork {
    Numeric { steps: Vec<FittedStep>, indicator: bool },
    Categorical(FittedEncoder),
}

const FORMAT: &str = "mlops-column-pipeline";
const VERSION: u32 = 1;
/// The most features, so that a few hostile bytes can't ask for columns without end.
const MAX_FEATURES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Written {
    format: String,
    version: u32,
    columns: Vec<FittedColumn>,
}

impl From<FittedPipeline> for Written {
    fn from(pipeline: FittedPipeline) -> Self {
        Self { format: FORMAT.into(), version: VERSION, columns: pipeline.columns }
    }
}

impl TryFrom<Written> for FittedPipeline {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        if written.format != FORMAT || written.version != VERSION {
            let found = format!("{} version {}", written.format, written.version);
            return Err(Error::invalid("pipeline", format!("{FORMAT} version {VERSION}"), found));
        }
        Self::new(written.columns)
    }
}

impl FittedPipeline {
    fn new(columns: Vec<FittedColumn>) -> Result<Self> {
        let mut inputs = Vec::with_capacity(columns.len());
        let mut names = Vec::new();
        let mut known = HashSet::new();
        for column in &columns {
            let bad = |expected: &str, found: &str| {
                let what = format!("pipeline, column `{}`", column.name);
                Err(Error::invalid(what, expected, found))
            };
            if !known.insert(&column.name) {
                return bad("each column once", "it twice");
            }
            // The parser of types calls itself at every bracket; ours are short.
            let Some(kind) =
                Some(&column.data_type).filter(|t| t.len() <= 100).and_then(|t| t.parse().ok())
            else {
                return bad("an Arrow type", "something else");
            };
            inputs.push(Field::new(&column.name, kind, true));
            let valid = match &column.work {
                FittedWork::Numeric { steps, .. } => steps.iter().all(|step| step.is_valid()),
                FittedWork::Categorical(encoder) => encoder.is_valid(),
            };
            if !valid {
                return bad("steps that a fit can give", "others");
            }
            names.extend(column.names());
        }
        if names.len() > MAX_FEATURES {
            let expected = format!("at most {MAX_FEATURES} features");
            return Err(Error::invalid("pipeline", expected, names.len()));
        }
        let mut known = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !known.insert(*name)) {
            return Err(Error::invalid("pipeline", "features of different names", twice));
        }
        let outputs =
            names.iter().map(|n| Field::new(n, DataType::Float64, true)).collect::<Vec<_>>();
        Ok(Self {
            columns,
            inputs: Arc::new(Schema::new(inputs)),
            outputs: Arc::new(Schema::new(outputs)),
            names,
        })
    }

    /// The columns that it reads, with the types that it was fitted on; all may be null.
    pub fn input_schema(&self) -> SchemaRef {
        self.inputs.clone()
    }

    /// The features, all `f64`; null where an input is and nothing takes its place.
    pub fn output_schema(&self) -> SchemaRef {
        self.outputs.clone()
    }

    /// The features' names.
    pub fn feature_names(&self) -> &[String] {
        &self.names
    }

    /// For each feature, the column that it is made of.
    pub fn feature_columns(&self) -> Vec<&str> {
        let columns = self.columns.iter();
        columns.flat_map(|c| std::iter::repeat_n(c.name.as_str(), c.names().len())).collect()
    }

    /// The features of these rows. Other columns may be there, in any order.
    ///
    /// # Errors
    /// A column that is missing or of a type that can't be read; [`Error::Value`] with column, row
    /// (of the batch) and value for a category that is refused.
    pub fn transform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = Rows::of(batch, Names::of(batch.schema_ref()), "memory", 0);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.names.len());
        for column in &self.columns {
            column.transform(&rows, &mut arrays)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.outputs.clone(), arrays, &options)?)
    }

    /// The features of these rows as a matrix of shape `(n_rows, n_features)`.
    ///
    /// # Errors
    /// As [`transform`](Self::transform); [`Error::Value`] for a feature that is null.
    pub fn features(&self, batch: &RecordBatch) -> Result<Array2<f64>> {
        features(&self.transform(batch)?, &self.names, Nulls::Refuse)
    }

    /// The features of all rows of a source, in their order, as a matrix of shape
    /// `(n_rows, n_features)`.
    ///
    /// # Errors
    /// As [`features`](Self::features), and those of the source.
    pub fn source_features(&self, source: &dyn DataSource) -> Result<Array2<f64>> {
        let mut values = Vec::new();
        for partition in 0..source.partitions()?.len() {
            for batch in source.read(partition, None, Scan::BATCH_SIZE)? {
                values.extend(self.features(&batch?)?);
            }
        }
        let shape = (values.len() / self.names.len().max(1), self.names.len());
        Array2::from_shape_vec(shape, values).map_err(|e| Error::other("features", e))
    }

    /// The features of one record: the same code and bits as in a batch.
    ///
    /// # Errors
    /// As [`features`](Self::features); a column that the record does not speak of.
    pub fn record_features(&self, record: &Record) -> Result<Vec<f64>> {
        Ok(self.features(&self.record_batch(record)?)?.into_raw_vec_and_offset().0)
    }

    /// A record as a batch of one row with the columns that the pipeline reads.
    ///
    /// # Errors
    /// A column that the record does not speak of; a null needs to be said.
    pub fn record_batch(&self, record: &Record) -> Result<RecordBatch> {
        let columns = self.inputs.fields().iter().map(|field| {
            let array: ArrayRef = match record.get(field.name()) {
                None => {
                    return Err(Error::ColumnNotFound {
                        column: field.name().clone(),
                        available: record.columns().map(str::to_owned).collect(),
                    });
                }
                Some(Value::Null) => new_null_array(field.data_type(), 1),
                Some(Value::Boolean(x)) => Arc::new(BooleanArray::from(vec![*x])),
                Some(Value::Integer(x)) => Arc::new(Int64Array::from(vec![*x])),
                Some(Value::Number(x)) => Arc::new(Float64Array::from(vec![*x])),
                Some(Value::Text(x)) => Arc::new(StringArray::from(vec![x.as_str()])),
            };
            Ok((field.name(), array, true))
        });
        Ok(RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>>>()?)?)
    }

    /// The pipeline as JSON with its format and version, to be kept with the model.
    ///
    /// # Errors
    /// None that a fitted pipeline can cause.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::other("writing a pipeline", e))
    }

    /// A pipeline from what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Other`] with the place for text that is not JSON, of another format or version,
    /// or that no fit can have given.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| Error::other("reading a pipeline", e))
    }
}

impl FittedColumn {
    fn names(&self) -> Vec<String> {
        match &self.work {
            FittedWork::Numeric { indicator: false, .. } => vec![self.name.clone()],
            FittedWork::Numeric { indicator: true, .. } => {
                vec![self.name.clone(), format!("{}_missing", self.name)]
            }
            FittedWork::Categorical(encoder) => encoder.names(&self.name),
        }
    }

    fn transform(&self, rows: &Rows<'_>, out: &mut Vec<ArrayRef>) -> Result<()> {
        match &self.work {
            FittedWork::Numeric { steps, indicator } => {
                let numbers = rows.numbers(&self.name)?;
                let through = |x| steps.iter().fold(x, |x, step| step.apply(x));
                out.push(Arc::new(numbers.iter().map(through).collect::<Float64Array>()));
                if *indicator {
                    let missing = |x: Option<f64>| f64::from(x.is_none_or(f64::is_nan));
                    out.push(Arc::new(Float64Array::from_iter_values(numbers.iter().map(missing))));
                }
            }
            FittedWork::Categorical(encoder) => self.encode(encoder, rows, out)?,
        }
        Ok(())
    }

    fn encode(
        &self,
        encoder: &FittedEncoder,
        rows: &Rows<'_>,
        out: &mut Vec<ArrayRef>,
    ) -> Result<()> {
        let categories = rows.categories(&self.name)?;
        // Each label is looked up once; a row is then two table reads.
        let labels: Vec<_> = categories.labels().iter().map(|label| encoder.code(label)).collect();
        let null = encoder.code(None);
        let codes = categories.codes().iter().enumerate().map(|(row, code)| {
            match code.map_or(null, |code| labels[code as usize]) {
                Code::Category(at) => Ok(Some(at)),
                Code::Nothing => Ok(None),
                Code::Refused => Err(Error::Value {
                    column: self.name.clone(),
                    row: row as u64,
                    expected: encoder.expected(),
                    found: categories
                        .label(row)
                        .map_or_else(|| "null".into(), |label| format!("`{label}`")),
                }),
            }
        });
        let codes = codes.collect::<Result<Vec<Option<usize>>>>()?;
        match encoder.layout() {
            Layout::OrdinalEncoder => {
                let mut numbers = Float64Builder::with_capacity(codes.len());
                for code in codes {
                    numbers.append_option(code.map(|code| code as f64));
                }
                out.push(Arc::new(numbers.finish()));
            }
            Layout::OneHotEncoder => {
                let mut features = vec![vec![0.0; codes.len()]; encoder.width()];
                for (row, code) in codes.into_iter().enumerate() {
                    if let Some(at) = code {
                        features[at][row] = 1.0;
                    }
                }
                out.extend(
                    features.into_iter().map(|f| Arc::new(Float64Array::from(f)) as ArrayRef),
                );
            }
        }
        if encoder.indicator() {
            let missing = categories.codes().iter().map(|code| f64::from(code.is_none()));
            out.push(Arc::new(Float64Array::from_iter_values(missing)));
        }
        Ok(())
    }
}
