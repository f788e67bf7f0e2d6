//! Behavioural tests of a model: what its predictions must do when its input changes.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow::compute::kernels::numeric;
use arrow::compute::{CastOptions, cast, cast_with_options, concat, take};
use arrow::datatypes::DataType;
use mlops_core::stats::{Draws, wilson};
use mlops_core::{
    Assessment, Categories, Error, Finding, Model, Predictions, Result, RowId, Rows, Severity,
    Verdict, is_numeric,
};

use super::metric::{also, check_confidence, check_share, percent};
use super::row_hash::row_hashes;

type Change = dyn Fn(&RecordBatch) -> Result<RecordBatch> + Send + Sync;

/// A change of the input: which rows it touches is seen from the rows themselves.
#[derive(Clone)]
pub struct Perturbation {
    name: String,
    change: Arc<Change>,
}

impl fmt::Debug for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Perturbation").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Perturbation {
    /// Any function from rows to as many rows of the same columns.
    pub fn new(
        name: impl Into<String>,
        change: impl Fn(&RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), change: Arc::new(change) }
    }

    /// The rows, changed.
    ///
    /// # Errors
    /// Those of the change; [`Error::ColumnNotFound`].
    pub fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        (self.change)(rows)
    }

    /// A function of one column.
    pub fn of_column(
        column: impl Into<String>,
        change: impl Fn(&ArrayRef) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        let column = column.into();
        Self::new(column.clone(), move |batch| {
            let changed = change(mlops_core::column(batch, &column)?)?;
            replace(batch, &column, changed)
        })
    }

    /// Two values of a column for each other, as of `sex`; other rows are left as they are.
    pub fn swap(
        column: impl Into<String>,
        one: impl Into<String>,
        other: impl Into<String>,
    ) -> Self {
        let (column, one, other) = (column.into(), one.into(), other.into());
        let name = format!("{column}: {one} ↔ {other}");
        Self::new(name, move |batch| {
            let array = mlops_core::column(batch, &column)?;
            let pair = values(&column, array, &[&one, &other])?;
            let n = array.len() as u64;
            let both = concat(&[array.as_ref(), pair.as_ref()])?;
            let labels = Categories::of(&column, &both)?;
            let (first, second) = (labels.label(array.len()), labels.label(array.len() + 1));
            let from = (0..array.len()).map(|row| match labels.label(row) {
                Some(label) if Some(label) == first => n + 1,
                Some(label) if Some(label) == second => n,
                _ => row as u64,
            });
            let changed = take(&both, &UInt64Array::from_iter_values(from), None)?;
            replace(batch, &column, changed)
        })
    }

    /// One value for all rows of a column, written as text.
    pub fn set(column: impl Into<String>, value: impl Into<String>) -> Self {
        let (column, value) = (column.into(), value.into());
        Self::new(format!("{column} = {value}"), move |batch| {
            let array = mlops_core::column(batch, &column)?;
            let one = values(&column, array, &[&value])?;
            let changed = take(&one, &UInt64Array::from(vec![0; array.len()]), None)?;
            replace(batch, &column, changed)
        })
    }

    /// No value in any row of a column.
    pub fn missing(column: impl Into<String>) -> Self {
        let column = column.into();
        Self::new(format!("{column} missing"), move |batch| {
            let array = mlops_core::column(batch, &column)?;
            replace(batch, &column, new_null_array(array.data_type(), array.len()))
        })
    }

    /// So much added to a column of numbers, in the column's own type: half of an integer, or what
    /// overflows it, is an error.
    pub fn shift(column: impl Into<String>, delta: f64) -> Self {
        let column = column.into();
        Self::new(format!("{column} {delta:+}"), move |batch| {
            let array = mlops_core::column(batch, &column)?;
            if !array.data_type().is_numeric() {
                return Err(Error::column_type(&column, "a number to shift", array.data_type()));
            }
            let delta = values(&column, array, &[&delta.to_string()])?;
            let delta = arrow::array::Scalar::new(delta);
            replace(batch, &column, numeric::add(array, &delta)?)
        })
    }

    /// A column's values in a seeded random order: whatever depends on them moves.
    pub fn shuffle(column: impl Into<String>, seed: u64) -> Self {
        let column = column.into();
        Self::new(format!("{column} shuffled"), move |batch| {
            let array = mlops_core::column(batch, &column)?;
            let order = Draws::new(seed, 0, 0).permutation(array.len());
            let order = UInt64Array::from_iter_values(order.into_iter().map(|row| row as u64));
            replace(batch, &column, take(array, &order, None)?)
        })
    }
}

/// Values written as text, as an array of the type of another.
fn values(column: &str, like: &ArrayRef, texts: &[&str]) -> Result<ArrayRef> {
    let text = StringArray::from(texts.to_vec());
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let plain = match like.data_type() {
        DataType::Dictionary(_, value) => value,
        other => other,
    };
    // A whole number may be written `30` or `30.0`.
    let whole: StringArray = texts
        .iter()
        .map(|text| match text.parse::<f64>() {
            Ok(x) if plain.is_integer() && x.fract() == 0.0 && x.abs() < 9e15 => {
                Some((x as i64).to_string())
            }
            _ => Some((*text).to_owned()),
        })
        .collect();
    let text = if plain.is_integer() { whole } else { text };
    let unfit = |_| {
        let what = format!("a value for column `{column}`");
        Error::invalid(what, format!("one of type {plain}"), texts.join(", "))
    };
    let typed = cast_with_options(&text, plain, &strict).map_err(unfit)?;
    Ok(cast(&typed, like.data_type())?)
}

fn replace(batch: &RecordBatch, column: &str, array: ArrayRef) -> Result<RecordBatch> {
    let schema = batch.schema();
    let at = schema.index_of(column)?;
    let mut columns = batch.columns().to_vec();
    let same = columns[at].data_type() == array.data_type();
    columns[at] = array;
    if same && (schema.field(at).is_nullable() || columns[at].null_count() == 0) {
        return Ok(RecordBatch::try_new(schema, columns)?);
    }
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let field = fields[at].as_ref().clone().with_data_type(columns[at].data_type().clone());
    fields[at] = Arc::new(field.with_nullable(true));
    let schema = arrow::datatypes::Schema::new_with_metadata(fields, schema.metadata().clone());
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// Where a prediction must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Above what it was, by more than the tolerance.
    Up,
    /// Below what it was, by more than the tolerance.
    Down,
    /// Not below what it was by more than the tolerance.
    NotDown,
    /// Not above what it was by more than the tolerance.
    NotUp,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::NotDown => "not down",
            Self::NotUp => "not up",
        })
    }
}

/// What is expected of rows that are given.
#[derive(Clone, Debug)]
enum Expected {
    Labels(Vec<String>),
    Values(Vec<f64>),
}

#[derive(Clone, Debug)]
enum Ask {
    Same,
    Goes(Direction),
    Is(Box<RecordBatch>, Expected),
}

#[derive(Clone, Debug)]
struct Test {
    name: String,
    perturbation: Option<Perturbation>,
    ask: Ask,
    tolerance: f64,
    mostly: f64,
    severity: Severity,
}

/// Behavioural tests of a [`Model`], in the manner of `CheckList`: **invariance** (a prediction
/// must not move when this changes), **direction** (it must go this way), **minimum
/// functionality** (it must be this for these rows).
///
/// A test is of the rows that its perturbation touches; where it touches none it is inconclusive.
/// It passes where every such row behaves. With [`mostly`](Self::mostly) the rows are a sample: it
/// passes where the lower Wilson limit of the share that behaves reaches that, fails where the
/// upper limit stays below, and is inconclusive otherwise. A prediction that is null or NaN
/// behaves only where it was so before. Rows that misbehave are named.
///
/// M. T. Ribeiro et al. 2020, *Beyond Accuracy: Behavioral Testing of NLP Models with `CheckList`*,
/// doi:10.18653/v1/2020.acl-main.442.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, StringArray};
/// use mlops_core::model::LinearModel;
/// use mlops_core::batch;
/// use mlops_validate::{Behaviour, Direction, Perturbation};
///
/// let rent = LinearModel::regression(["area", "floor"], [20.0, -1.0], 100.0)?;
/// let flats = batch! {
///     "area" => Float64Array::from(vec![30.0, 55.0, 80.0]),
///     "floor" => Float64Array::from(vec![0.0, 3.0, 7.0]),
///     "agent" => StringArray::from(vec!["a", "b", "a"]),
/// }?;
/// let found = Behaviour::new("rent")
///     .invariance(Perturbation::swap("agent", "a", "b"))
///     .direction(Perturbation::shift("area", 10.0), Direction::Up)
///     .direction(Perturbation::shift("floor", 1.0), Direction::NotDown)
///     .judge(&rent, &flats)?;
/// let failing: Vec<_> = found.failures().map(|f| (f.subject.as_str(), f.failing_rows)).collect();
/// assert_eq!(failing, [("floor +1", Some(3))]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Behaviour {
    name: String,
    class: Option<String>,
    by_label: bool,
    confidence: f64,
    tests: Vec<Test>,
}

impl Behaviour {
    /// A list of tests of this name, empty yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            class: None,
            by_label: false,
            confidence: 0.95,
            tests: Vec::new(),
        }
    }

    /// The same, looking at the score of this class. Without it an invariance is of all scores,
    /// and a direction of the score of the last of two classes.
    #[must_use]
    pub fn score_of(mut self, class: impl Into<String>) -> Self {
        self.class = Some(class.into());
        self
    }

    /// The same, an invariance being of the predicted class only.
    #[must_use]
    pub fn by_label(mut self) -> Self {
        self.by_label = true;
        self
    }

    /// The same, with limits of this two-sided confidence, in (0, 1).
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The same, asking that predictions do not move.
    #[must_use]
    pub fn invariance(self, perturbation: Perturbation) -> Self {
        self.test(Some(perturbation), Ask::Same)
    }

    /// The same, asking that predictions go this way.
    #[must_use]
    pub fn direction(self, perturbation: Perturbation, direction: Direction) -> Self {
        self.test(Some(perturbation), Ask::Goes(direction))
    }

    /// The same, asking that the model says this class of these rows.
    ///
    /// ```
    /// use mlops_core::arrow::array::Float64Array;
    /// use mlops_core::model::LinearModel;
    /// use mlops_core::batch;
    /// use mlops_validate::Behaviour;
    ///
    /// let credit = LinearModel::logistic(["income"], [0.1], -3.0, "no", "yes")?;
    /// let rows = batch! { "income" => Float64Array::from(vec![0.0, 100.0]) }?;
    /// let found = Behaviour::new("credit")
    ///     .functionality("nobody without an income", rows.clone(), ["no", "yes"])
    ///     .judge(&credit, &rows)?;
    /// assert!(found.verdict.is_pass());
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    #[must_use]
    pub fn functionality<S: Into<String>>(
        mut self,
        name: impl Into<String>,
        rows: RecordBatch,
        labels: impl IntoIterator<Item = S>,
    ) -> Self {
        let expected = Expected::Labels(labels.into_iter().map(Into::into).collect());
        self = self.test(None, Ask::Is(Box::new(rows), expected));
        self.named(name.into())
    }

    /// The same, asking that the model says these numbers (or scores of the class) of these rows,
    /// within the tolerance.
    #[must_use]
    pub fn functionality_values(
        mut self,
        name: impl Into<String>,
        rows: RecordBatch,
        values: impl Into<Vec<f64>>,
    ) -> Self {
        self = self.test(None, Ask::Is(Box::new(rows), Expected::Values(values.into())));
        self.named(name.into())
    }

    /// The same, the last test having this tolerance, in the unit of the prediction; 0 unless told
    /// otherwise.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        if let Some(test) = self.tests.last_mut() {
            test.tolerance = tolerance;
        }
        self
    }

    /// The same, the last test asking it of this share of the rows only, at its Wilson limit.
    #[must_use]
    pub fn mostly(mut self, share: f64) -> Self {
        if let Some(test) = self.tests.last_mut() {
            test.mostly = share;
        }
        self
    }

    /// The same, the last test mattering this much.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        if let Some(test) = self.tests.last_mut() {
            test.severity = severity;
        }
        self
    }

    fn test(mut self, perturbation: Option<Perturbation>, ask: Ask) -> Self {
        self.tests.push(Test {
            name: perturbation.as_ref().map(|p| p.name.clone()).unwrap_or_default(),
            perturbation,
            ask,
            tolerance: 0.0,
            mostly: 1.0,
            severity: Severity::Critical,
        });
        self
    }

    fn named(mut self, name: String) -> Self {
        if let Some(test) = self.tests.last_mut() {
            test.name = name;
        }
        self
    }

    /// Runs the tests on these rows.
    ///
    /// # Errors
    /// Those of the model, named by their test; [`Error::Invalid`] for a tolerance below 0, a share
    /// outside \[0, 1\], a value that a column can't hold, a perturbation that changes the number of
    /// rows, or a direction where it is not clear which score is meant; [`Error::ColumnNotFound`].
    pub fn judge(&self, model: &dyn Model, rows: &RecordBatch) -> Result<Assessment> {
        check_confidence(self.confidence)?;
        let before = if self.tests.iter().any(|test| test.perturbation.is_some()) {
            Some(model.predict(rows)?)
        } else {
            None
        };
        let findings = self.tests.iter().map(|test| {
            check_share("the share of rows that must behave", test.mostly)?;
            if !(test.tolerance >= 0.0 && test.tolerance.is_finite()) {
                return Err(Error::invalid("the tolerance", "a number from 0 on", test.tolerance));
            }
            self.run(test, model, rows, before.as_ref())
                .map_err(|error| error.within(format!("behaviour `{}`", test.name)))
        });
        let findings = findings.collect::<Result<_>>()?;
        Ok(Assessment::new(&self.name, rows.num_rows() as u64, findings))
    }

    fn run(
        &self,
        test: &Test,
        model: &dyn Model,
        rows: &RecordBatch,
        before: Option<&Predictions>,
    ) -> Result<Finding> {
        let (check, expected) = match &test.ask {
            Ask::Same => {
                ("invariance", format!("predictions that move by at most {}", test.tolerance))
            }
            Ask::Goes(way) => (
                "direction",
                match test.tolerance {
                    0.0 => format!("predictions that go {way}"),
                    t => format!("predictions that go {way}, tolerance {t}"),
                },
            ),
            Ask::Is(_, _) => ("functionality", "the predictions that are given".to_owned()),
        };
        // For each row that is asked whether it behaves, and how far off the worst is.
        let mut verdicts: Vec<(usize, bool)> = Vec::new();
        let mut worst = 0.0_f64;
        match (&test.ask, &test.perturbation, before) {
            (Ask::Is(given, expected), _, _) => {
                let said = predict(model, given)?;
                match expected {
                    Expected::Labels(labels) => {
                        same_length(given.num_rows(), "the expected labels", labels.len())?;
                        let found = said.labels()?;
                        for (row, label) in labels.iter().enumerate() {
                            let right = found.is_valid(row) && found.value(row) == label;
                            verdicts.push((row, right));
                        }
                    }
                    Expected::Values(values) => {
                        same_length(given.num_rows(), "the expected values", values.len())?;
                        let found = self.one_number(&said)?;
                        for (row, (&value, found)) in values.iter().zip(found).enumerate() {
                            let off = found.map_or(f64::NAN, |found| (found - value).abs());
                            worst = worst.max(off);
                            verdicts.push((row, off <= test.tolerance));
                        }
                    }
                }
            }
            (ask, Some(perturbation), Some(before)) => {
                let changed = perturbation.apply(rows)?;
                same_length(rows.num_rows(), "the perturbed rows", changed.num_rows())?;
                let touched = touched(rows, &changed)?;
                let after = predict(model, &changed)?;
                let moves = match ask {
                    Ask::Goes(_) => {
                        let (old, new) = (self.one_number(before)?, self.one_number(&after)?);
                        std::iter::zip(old, new).map(|(old, new)| moved(old, new)).collect()
                    }
                    _ => self.moves(before, &after)?,
                };
                for row in touched {
                    let by = moves[row];
                    if by.is_finite() && by.abs() > worst.abs() {
                        worst = by;
                    }
                    let behaves = match ask {
                        Ask::Goes(Direction::Up) => by > test.tolerance,
                        Ask::Goes(Direction::Down) => by < -test.tolerance,
                        Ask::Goes(Direction::NotDown) => by >= -test.tolerance,
                        Ask::Goes(Direction::NotUp) => by <= test.tolerance,
                        _ => by.abs() <= test.tolerance,
                    };
                    verdicts.push((row, behaves));
                }
            }
            // A test is made with the one or the other.
            (_, _, _) => return Err(Error::undefined(check, "there is nothing to compare")),
        }
        self.finding(test, check, expected, &verdicts, worst)
    }

    fn finding(
        &self,
        test: &Test,
        check: &str,
        mut expected: String,
        verdicts: &[(usize, bool)],
        worst: f64,
    ) -> Result<Finding> {
        let n = verdicts.len() as u64;
        let failing: Vec<usize> =
            verdicts.iter().filter(|(_, behaves)| !behaves).map(|(row, _)| *row).collect();
        let bad = failing.len() as u64;
        if test.mostly < 1.0 {
            also(
                &mut expected,
                format_args!(", of at least {} % of the rows", 100.0 * test.mostly),
            );
        }
        if n == 0 {
            let observed = "no row was changed";
            let verdict = Verdict::Inconclusive;
            return Ok(Finding::new(check, &test.name, verdict, expected, observed)
                .with_severity(test.severity));
        }
        let limits = wilson(n - bad, n, self.confidence)?;
        let verdict = match () {
            () if test.mostly == 1.0 => Verdict::from_bool(bad == 0),
            () if limits.low >= test.mostly => Verdict::Pass,
            () if limits.high < test.mostly => Verdict::Fail,
            () => Verdict::Inconclusive,
        };
        let mut observed = format!("{bad} of {n} rows do otherwise");
        if test.mostly < 1.0 {
            let confidence = percent(self.confidence);
            also(
                &mut observed,
                format_args!("; the others' share has {confidence} % limits {limits}"),
            );
        }
        if worst != 0.0 {
            also(&mut observed, format_args!("; the largest move is {worst:+.4}"));
        }
        let rows = failing
            .iter()
            .take(20)
            .map(|&row| RowId { origin: "memory".into(), row: row as u64 })
            .collect();
        let mut finding = Finding::new(check, &test.name, verdict, expected, observed)
            .with_severity(test.severity)
            .with_value((n - bad) as f64 / n as f64)
            .with_rows(bad, rows);
        if test.mostly < 1.0 {
            finding = finding.with_interval(limits.low, limits.high);
        }
        Ok(finding)
    }

    /// The number that a direction is of.
    fn one_number(&self, said: &Predictions) -> Result<Vec<Option<f64>>> {
        let scores = match said {
            Predictions::Values(values) => values.clone(),
            Predictions::Scores { classes, .. } => match (&self.class, &classes[..]) {
                (Some(class), _) => said.score_of(class)?,
                (None, [_, last]) => said.score_of(last)?,
                (None, _) => {
                    let expected = "the class whose score it is of, by `score_of`";
                    return Err(Error::invalid("a model of many classes", expected, "none"));
                }
            },
            other => {
                let found = format!("{other:?}");
                return Err(Error::invalid("predictions", "values or class scores", found));
            }
        };
        Ok(scores.iter().collect())
    }

    /// How far each prediction moved; of several scores that which moved most; of a label 0 or 1.
    fn moves(&self, before: &Predictions, after: &Predictions) -> Result<Vec<f64>> {
        if self.by_label {
            let (old, new) = (before.labels()?, after.labels()?);
            let label = |labels: &StringArray, row| {
                labels.is_valid(row).then(|| labels.value(row).to_owned())
            };
            return Ok((0..old.len())
                .map(|row| f64::from(u8::from(label(&old, row) != label(&new, row))))
                .collect());
        }
        let Predictions::Scores { classes, .. } = before else {
            let (old, new) = (self.one_number(before)?, self.one_number(after)?);
            return Ok(std::iter::zip(old, new).map(|(old, new)| moved(old, new)).collect());
        };
        let mut most = vec![0.0_f64; before.len()];
        for class in classes.iter().filter(|class| self.class.as_ref().is_none_or(|c| c == *class))
        {
            let (old, new) = (before.score_of(class)?, after.score_of(class)?);
            for ((most, old), new) in most.iter_mut().zip(old.iter()).zip(new.iter()) {
                let by = moved(old, new);
                // NaN stays: it was asked and not answered.
                if by.is_nan() || by.abs() > most.abs() {
                    *most = by;
                }
            }
        }
        if let Some(class) = &self.class {
            before.score_of(class)?;
        }
        Ok(most)
    }
}

/// How far a prediction moved: 0 from none to none, NaN from or to none.
fn moved(old: Option<f64>, new: Option<f64>) -> f64 {
    match (old.filter(|x| !x.is_nan()), new.filter(|x| !x.is_nan())) {
        (Some(old), Some(new)) if old == new => 0.0,
        (Some(old), Some(new)) => new - old,
        (None, None) => 0.0,
        _ => f64::NAN,
    }
}

fn predict(model: &dyn Model, rows: &RecordBatch) -> Result<Predictions> {
    let said = model.predict(rows)?;
    same_length(rows.num_rows(), "the predictions", said.len())?;
    Ok(said)
}

fn same_length(rows: usize, what: &str, found: usize) -> Result<()> {
    if rows == found {
        return Ok(());
    }
    Err(Error::Length {
        left: "the rows".into(),
        left_len: rows,
        right: what.into(),
        right_len: found,
    })
}

/// The rows that differ between two batches, in a column that both have.
fn touched(before: &RecordBatch, after: &RecordBatch) -> Result<Vec<usize>> {
    let mut touched = vec![false; before.num_rows()];
    for (field, old) in before.schema_ref().fields().iter().zip(before.columns()) {
        let new = mlops_core::column(after, field.name())?;
        if Arc::ptr_eq(old, new) {
            continue;
        }
        // Of a nested column nothing can be hashed: if it changed at all, all of it may have.
        let hashable = is_numeric(old.data_type()) || mlops_core::is_text(old.data_type());
        if !hashable {
            if old.to_data() != new.to_data() {
                touched.fill(true);
            }
            continue;
        }
        let name = [field.name().clone()];
        let (old, new) =
            (row_hashes(&Rows::new(before), &name)?, row_hashes(&Rows::new(after), &name)?);
        for (touched, (old, new)) in touched.iter_mut().zip(std::iter::zip(old, new)) {
            *touched |= old != new;
        }
    }
    Ok((0..touched.len()).filter(|&row| touched[row]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, DictionaryArray, Float64Array, Int32Array};
    use arrow::datatypes::{Field, Int32Type, Schema};
    use mlops_core::batch;
    use mlops_core::model::FnModel;

    /// Says 1 for men and 0.5 for others, plus a tenth of the age; nothing without an age.
    fn unfair() -> impl Model {
        let schema = Schema::new(vec![
            Field::new("sex", DataType::Utf8, true),
            Field::new("age", DataType::Int32, true),
        ]);
        FnModel::new("unfair", Arc::new(schema), |batch| {
            let sex = Categories::of("sex", batch.column(0))?;
            let age = mlops_core::to_numbers("age", batch.column(1))?;
            let said = (0..batch.num_rows()).map(|row| {
                let base = if sex.label(row) == Some("m") { 1.0 } else { 0.5 };
                age.is_valid(row).then(|| base + age.value(row) / 10.0)
            });
            Ok(Predictions::values(said.collect::<Float64Array>()))
        })
    }

    fn people() -> RecordBatch {
        batch! {
            "sex" => StringArray::from(vec![Some("m"), Some("f"), None, Some("x"), Some("m")]),
            "age" => Int32Array::from(vec![Some(20), Some(30), Some(40), None, None]),
            "note" => StringArray::from(vec!["a", "b", "a", "b", "c"]),
        }
        .unwrap()
    }

    #[test]
    fn each_kind_names_its_rows() {
        let found = Behaviour::new("b")
            .invariance(Perturbation::swap("sex", "m", "f"))
            .invariance(Perturbation::swap("sex", "m", "f"))
            .tolerance(0.5)
            .invariance(Perturbation::swap("note", "a", "b"))
            .direction(Perturbation::shift("age", 10.0), Direction::Up)
            .direction(Perturbation::shift("age", 10.0), Direction::NotUp)
            .invariance(Perturbation::missing("age"))
            .invariance(Perturbation::swap("note", "q", "r"))
            .functionality_values("known", people().slice(0, 2), vec![3.0, 3.5])
            .judge(&unfair(), &people())
            .unwrap();
        let rows = |i: usize| {
            let finding: &Finding = &found.findings[i];
            (finding.verdict, finding.rows.iter().map(|r| r.row).collect::<Vec<_>>())
        };
        // The fifth says nothing before and after: that is no move.
        assert_eq!(rows(0), (Verdict::Fail, vec![0, 1]));
        assert_eq!(rows(1), (Verdict::Pass, vec![]));
        assert_eq!(rows(2), (Verdict::Pass, vec![]));
        assert_eq!(rows(3), (Verdict::Pass, vec![]));
        assert_eq!(rows(4), (Verdict::Fail, vec![0, 1, 2]));
        assert_eq!(rows(5), (Verdict::Fail, vec![0, 1, 2]));
        assert_eq!(rows(6), (Verdict::Inconclusive, vec![]));
        assert_eq!(rows(7), (Verdict::Pass, vec![]));
    }

    #[test]
    fn a_share_is_judged_at_its_limit() {
        let n = 400;
        let sex = StringArray::from_iter_values((0..n).map(|_| "f"));
        let batch = batch! { "sex" => sex, "age" => Int32Array::from_iter_values(0..n) }.unwrap();
        // Wrong below 20: 5 % of the rows.
        let model = FnModel::new("late", batch.schema(), |batch| {
            let age = mlops_core::to_numbers("age", batch.column(1))?;
            let said = age.iter().map(|age| age.map(|x| if x < 20.0 { -x } else { x }));
            Ok(Predictions::values(said.collect::<Float64Array>()))
        });
        let verdict = |mostly: f64| {
            Behaviour::new("b")
                .direction(Perturbation::shift("age", 0.0 + 1.0), Direction::NotDown)
                .mostly(mostly)
                .judge(&model, &batch)
                .unwrap()
                .verdict
        };
        assert_eq!(verdict(0.9), Verdict::Pass);
        assert_eq!(verdict(0.96), Verdict::Inconclusive);
        assert_eq!(verdict(0.99), Verdict::Fail);
        assert_eq!(verdict(1.0), Verdict::Fail);
    }

    #[test]
    fn perturbations_keep_types() {
        let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let batch = batch! {
            "d" => dictionary,
            "t" => BooleanArray::from(vec![Some(true), None, Some(false)]),
            "i" => Int32Array::from(vec![Some(1), Some(2), None]),
            "f" => arrow::array::Float32Array::from(vec![1.0, 2.0, 3.0]),
        }
        .unwrap();
        for change in [
            Perturbation::swap("d", "a", "new"),
            Perturbation::swap("t", "true", "false"),
            Perturbation::swap("i", "1", "5.0"),
            Perturbation::set("d", "z"),
            Perturbation::set("f", "0.5"),
            Perturbation::shift("i", 3.0),
            Perturbation::shift("f", 0.25),
            Perturbation::shuffle("f", 3),
            Perturbation::missing("d"),
        ] {
            let changed = change.apply(&batch).unwrap();
            assert_eq!(changed.schema(), batch.schema(), "{change:?}");
            assert!(!touched(&batch, &changed).unwrap().is_empty(), "{change:?}");
        }
        let swapped = Perturbation::swap("d", "a", "new").apply(&batch).unwrap();
        let labels = Categories::of("d", swapped.column(0)).unwrap();
        assert_eq!((labels.label(0), labels.label(1)), (Some("new"), Some("b")));
        for slip in [
            Perturbation::shift("i", 0.5),
            Perturbation::shift("d", 1.0),
            Perturbation::shift("i", 2_147_483_647.0),
            Perturbation::set("i", "many"),
            Perturbation::set("q", "1"),
        ] {
            assert!(slip.apply(&batch).is_err(), "{slip:?}");
        }
    }

    #[test]
    fn slips_are_errors_that_name_the_test() {
        let test = || Behaviour::new("b").invariance(Perturbation::swap("sex", "m", "f"));
        let error = test().tolerance(-1.0).judge(&unfair(), &people()).unwrap_err();
        assert!(error.to_string().contains("tolerance"), "{error}");
        assert!(test().mostly(95.0).judge(&unfair(), &people()).is_err());
        assert!(test().confidence(95.0).judge(&unfair(), &people()).is_err());
        let short = Behaviour::new("b")
            .invariance(Perturbation::new("short", |batch| Ok(batch.slice(0, 1))));
        let error = short.judge(&unfair(), &people()).unwrap_err().to_string();
        assert!(error.contains("behaviour `short`"), "{error}");
        let labels = Behaviour::new("b").functionality("f", people().slice(0, 1), ["a", "b"]);
        assert!(labels.judge(&unfair(), &people()).is_err());
        let nothing = Behaviour::new("b").judge(&unfair(), &people()).unwrap();
        assert_eq!(nothing.verdict, Verdict::Inconclusive);
    }
}
