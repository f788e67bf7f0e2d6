//! Rows that know the future: test rows from before the end of training, features stamped later
//! than their label.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, UInt64Type};
use mlops_core::bytes::{add_count, bad, put_i128, put_u64, take_count, take_i128};
use mlops_core::{
    Analyzer, Assessment, DataSource, DataSourceExt, Error, Finding, Plan, Result, Rows, State,
    Verdict,
};
use serde::{Deserialize, Serialize};

use super::flagged::FlaggedState;
use super::metric::also;

/// The values of a column of times as nanoseconds since 1970, or of integers as they are; `None`
/// where it is null.
pub(super) fn instants(name: &str, array: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let scale: i128 = match array.data_type() {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            return Ok(values.iter().map(|v| v.map(i128::from)).collect());
        }
        other if other.is_integer() => 1,
        other => return Err(Error::column_type(name, "dates, timestamps or integers", other)),
    };
    let counts = match array.data_type() {
        DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(array, &DataType::Int64)?,
    };
    Ok(counts
        .as_primitive::<Int64Type>()
        .iter()
        .map(|v| v.map(|v| scale * i128::from(v)))
        .collect())
}

fn is_time(data_type: &DataType) -> bool {
    data_type.is_temporal()
}

/// An instant in words.
fn words(instant: i128, of_time: bool) -> String {
    match i64::try_from(instant.div_euclid(1_000_000)) {
        Ok(millis) if of_time => mlops_core::Timestamp::from_millis(millis).to_string(),
        _ => instant.to_string(),
    }
}

/// The last instant of a column.
#[derive(Debug)]
struct Last(String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LastState {
    rows: u64,
    last: Option<i128>,
}

impl State for LastState {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.rows, other.rows);
        self.last = self.last.max(other.last);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_u64(out, u64::from(self.last.is_some()));
        put_i128(out, self.last.unwrap_or(0));
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl Analyzer for Last {
    type State = LastState;
    type Output = LastState;

    fn columns(&self) -> Vec<String> {
        vec![self.0.clone()]
    }

    fn start(&self) -> LastState {
        LastState::default()
    }

    fn update(&self, state: &mut LastState, rows: &Rows<'_>) -> Result<()> {
        let last = instants(&self.0, rows.column(&self.0)?)?.into_iter().flatten().max();
        state.rows += rows.len() as u64;
        state.last = state.last.max(last);
        Ok(())
    }

    fn finish(&self, state: LastState) -> Result<LastState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<LastState> {
        let rows = take_count(bytes)?;
        let some = take_count(bytes)?;
        let last = take_i128(bytes)?;
        match some {
            0 if last == 0 => Ok(LastState { rows, last: None }),
            1 if rows > 0 => Ok(LastState { rows, last: Some(last) }),
            _ => Err(bad(bytes, "a last instant or none", some)),
        }
    }
}

/// Rows whose instant is not after an instant, or is after another column's.
#[derive(Debug)]
struct Misplaced {
    column: String,
    bound: Bound,
}

#[derive(Debug)]
enum Bound {
    After(i128),
    NotAfter(String),
}

impl Analyzer for Misplaced {
    type State = FlaggedState;
    type Output = FlaggedState;

    fn columns(&self) -> Vec<String> {
        let mut columns = vec![self.column.clone()];
        if let Bound::NotAfter(other) = &self.bound {
            columns.push(other.clone());
        }
        columns
    }

    fn start(&self) -> FlaggedState {
        FlaggedState::default()
    }

    fn update(&self, state: &mut FlaggedState, rows: &Rows<'_>) -> Result<()> {
        let times = instants(&self.column, rows.column(&self.column)?)?;
        match &self.bound {
            Bound::After(end) => state.update(rows, |row| Some(times[row]? <= *end)),
            Bound::NotAfter(other) => {
                let others = instants(other, rows.column(other)?)?;
                state.update(rows, |row| Some(times[row]? > others[row]?));
            }
        }
        Ok(())
    }

    fn finish(&self, state: FlaggedState) -> Result<FlaggedState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<FlaggedState> {
        FlaggedState::decode(bytes)
    }
}

/// The columns that say when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimeOrder {
    /// When a row's label was decided, or the row came about.
    pub time: String,
    /// Columns that say when a feature's value came about: none may be later than `time`.
    pub features: Vec<String>,
    /// How long after the last training row the first test row may come at the earliest, in
    /// milliseconds (in the column's own unit where it holds integers); 0 for any time after.
    pub gap: u64,
}

impl TimeOrder {
    /// By this column.
    pub fn new(time: impl Into<String>) -> Self {
        Self { time: time.into(), features: Vec::new(), gap: 0 }
    }

    /// The same, with these columns that say when features' values came about.
    #[must_use]
    pub fn features<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.features = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The same, with a gap (an embargo) between training and test.
    #[must_use]
    pub fn gap(mut self, millis: u64) -> Self {
        self.gap = millis;
        self
    }
}

/// Whether a split by time is one: every test row later than every training row (by more than the
/// gap), and no feature of either side stamped later than its row's own time.
///
/// Timestamps of different units meet in nanoseconds; without a zone they are UTC. A row without
/// a time is counted, and makes its finding inconclusive where nothing else fails.
///
/// ```
/// use mlops_core::arrow::array::Int64Array;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{TimeOrder, time_order};
///
/// let days = |decided: Vec<i64>, income_of: Vec<i64>| {
///     batch! { "decided" => Int64Array::from(decided), "income_of" => Int64Array::from(income_of) }
///         .map(MemorySource::from)
/// };
/// let train = days(vec![1, 2, 3], vec![0, 1, 2])?;
/// let test = days(vec![3, 4, 5], vec![1, 9, 5])?;
/// let found = time_order(&train, &test, &TimeOrder::new("decided").features(["income_of"]))?;
/// let counts: Vec<_> = found
///     .failures()
///     .map(|f| (f.check.as_str(), f.subject.as_str(), f.failing_rows))
///     .collect();
/// assert_eq!(
///     counts,
///     [("test_after_train", "decided", Some(1)), ("feature_from_the_future", "test: income_of", Some(1))]
/// );
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::ColumnNotFound`]; [`Error::ColumnType`] for a column that holds no dates, timestamps
/// or integers; [`Error::Invalid`] where times meet integers; those of the sources.
pub fn time_order(
    train: &dyn DataSource,
    test: &dyn DataSource,
    order: &TimeOrder,
) -> Result<Assessment> {
    let mut of_time = false;
    for (side, source) in [("train", train), ("test", test)] {
        let schema = source.schema();
        for name in order.features.iter().chain([&order.time]) {
            let field = schema.field_with_name(name).map_err(|_| Error::ColumnNotFound {
                column: name.clone(),
                available: schema.fields().iter().map(|f| f.name().clone()).collect(),
            })?;
            let first = side == "train" && order.features.first().unwrap_or(&order.time) == name;
            if first {
                of_time = is_time(field.data_type());
            } else if of_time != is_time(field.data_type()) {
                let expected =
                    if of_time { "times, as the others" } else { "integers, as the others" };
                let what = format!("column `{name}` of {side}");
                return Err(Error::invalid(what, expected, field.data_type()));
            }
        }
    }
    let late = |plan: &mut Plan| -> Vec<_> {
        let stamped = |column: &String| Misplaced {
            column: column.clone(),
            bound: Bound::NotAfter(order.time.clone()),
        };
        order.features.iter().map(|column| plan.add(stamped(column))).collect()
    };
    // One scan of either side; the bound of the test rows is what the first one finds.
    let mut plan = Plan::new();
    let last = plan.add(Last(order.time.clone()));
    let train_late = late(&mut plan);
    let train = train.measure(&plan)?;
    let seen = train.get(&last)?;
    let unit = if of_time { 1_000_000 } else { 1 };
    let end = seen.last.map(|last| last.saturating_add(i128::from(order.gap) * unit));
    let mut plan = Plan::new();
    // Without an end nothing is early, and the finding says that there is none.
    let bound = Bound::After(end.unwrap_or(i128::MIN));
    let early = plan.add(Misplaced { column: order.time.clone(), bound });
    let test_late = late(&mut plan);
    let test = test.measure(&plan)?;
    let early = test.get(&early)?;

    let mut findings = Vec::new();
    if let Some(last) = seen.last {
        let gap = match (order.gap, of_time) {
            (0, _) => String::new(),
            (gap, true) => format!("more than {gap} ms "),
            (gap, false) => format!("more than {gap} "),
        };
        let expected = format!("test rows {gap}after the last of train, {}", words(last, of_time));
        findings.push(finding("test_after_train", &order.time, expected, early));
    } else {
        let expected = "a last training row";
        let observed = "no training row with a time";
        let verdict = Verdict::Inconclusive;
        findings.push(Finding::new("test_after_train", &order.time, verdict, expected, observed));
    }
    for (side, measured, handles) in [("train", &train, train_late), ("test", &test, test_late)] {
        for (feature, handle) in order.features.iter().zip(handles) {
            let expected = format!("values from no later than `{}`", order.time);
            let subject = format!("{side}: {feature}");
            findings.push(finding(
                "feature_from_the_future",
                &subject,
                expected,
                measured.get(&handle)?,
            ));
        }
    }
    Ok(Assessment::new("time order", seen.rows + early.rows, findings))
}

fn finding(check: &str, subject: &str, expected: String, found: &FlaggedState) -> Finding {
    let asked = found.rows - found.nulls;
    let verdict = match () {
        () if found.flagged > 0 => Verdict::Fail,
        () if found.nulls > 0 || asked == 0 => Verdict::Inconclusive,
        () => Verdict::Pass,
    };
    let mut observed = format!("{} of {asked} rows are not", found.flagged);
    if found.nulls > 0 {
        also(&mut observed, format_args!(", {} have no time", found.nulls));
    }
    Finding::new(check, subject, verdict, expected, observed)
        .with_rows(found.flagged, found.first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date32Array, Float64Array, Int64Array, TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use mlops_core::{MemorySource, batch, conformance};

    #[test]
    fn states_keep_the_contract() {
        let batch = batch! {
            "a" => Int64Array::from(vec![Some(i64::MAX), None, Some(i64::MIN), Some(0), Some(3)]),
            "b" => Int64Array::from(vec![Some(0), Some(1), None, Some(0), Some(2)]),
        }
        .unwrap();
        conformance::analyzer(&Last("a".into()), &batch);
        for bound in [Bound::After(0), Bound::NotAfter("b".into())] {
            conformance::analyzer(&Misplaced { column: "a".into(), bound }, &batch);
        }
    }

    #[test]
    fn units_meet_and_a_nanosecond_counts() {
        let day = 86_400_000_000_000;
        let train = MemorySource::from(
            batch! { "t" => TimestampNanosecondArray::from(vec![day, 2 * day + 1]) }.unwrap(),
        );
        let test = |millis: Vec<Option<i64>>| {
            MemorySource::from(batch! { "t" => TimestampMillisecondArray::from(millis) }.unwrap())
        };
        let day = 86_400_000;
        let order = TimeOrder::new("t");
        let verdict = |test: &MemorySource, order: &TimeOrder| {
            time_order(&train, test, order).unwrap().verdict
        };
        assert_eq!(verdict(&test(vec![Some(2 * day)]), &order), Verdict::Fail);
        assert_eq!(verdict(&test(vec![Some(2 * day + 1)]), &order), Verdict::Pass);
        assert_eq!(
            verdict(&test(vec![Some(2 * day + 1)]), &order.clone().gap(day as u64)),
            Verdict::Fail
        );
        assert_eq!(verdict(&test(vec![Some(3 * day), None]), &order), Verdict::Inconclusive);
        assert_eq!(verdict(&test(vec![]), &order), Verdict::Inconclusive);
        let dates = MemorySource::from(batch! { "t" => Date32Array::from(vec![2, 3]) }.unwrap());
        let found = time_order(&train, &dates, &order).unwrap();
        assert_eq!(found.findings[0].failing_rows, Some(1));
        assert!(found.findings[0].expected.contains("1970-01-03T00:00:00Z"), "{found}");
        let floats = MemorySource::from(batch! { "t" => Float64Array::from(vec![2.0]) }.unwrap());
        assert!(time_order(&train, &floats, &order).is_err());
        assert!(time_order(&train, &dates, &TimeOrder::new("u")).is_err());
    }
}
