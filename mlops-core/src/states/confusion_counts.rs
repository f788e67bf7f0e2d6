//! True and false, positives and negatives.

use std::collections::BTreeSet;
use std::fmt;

use arrow::array::Array;
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::values;
use crate::bytes::{add_count, bad, put_len, put_str, put_u64, take_len, take_str};
use crate::{Analyzer, Categories, Description, Error, Result, Rows, State, is_numeric};

/// Binary confusion counts of two columns of labels that [`Rows::categories`] can read.
///
/// A label is compared as text; a number with a whole value is the text of the integer, so that a
/// prediction of `1.0` meets a label of `1`, and a boolean is `1` or `0` where `positive` is one
/// of these. NaN is no label, and an error that names the row. A row with a null on either side is counted in [`nulls`](Confusion::nulls) and
/// nowhere else.
///
/// With [`negative`](Self::with_negative) stated, any other label is an error that names the row.
/// Without, the other label is whichever occurs; two of them make the result an error, because
/// then the counts are not those of two classes.
///
/// ```
/// use arrow::array::{Float64Array, StringArray};
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::ConfusionCounts};
/// let source = MemorySource::from(batch! {
///     "defaulted" => StringArray::from(vec!["1", "1", "0", "0", "0"]),
///     "predicted" => Float64Array::from(vec![1.0, 0.0, 1.0, 0.0, 0.0]),
/// }?);
/// let c = source.measure(&ConfusionCounts::new("defaulted", "predicted", "1"))?;
/// assert_eq!((c.tp, c.fn_, c.fp, c.tn), (1, 1, 1, 2));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionCounts {
    y_true: String,
    y_pred: String,
    positive: String,
    negative: Option<String>,
}

impl ConfusionCounts {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "confusion_counts";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// The counts of these columns with this label as the positive class.
    pub fn new(
        y_true: impl Into<String>,
        y_pred: impl Into<String>,
        positive: impl Into<String>,
    ) -> Self {
        let (y_true, y_pred) = (y_true.into(), y_pred.into());
        Self { y_true, y_pred, positive: positive.into(), negative: None }
    }

    /// The same with this label as the only other.
    #[must_use]
    pub fn with_negative(mut self, negative: impl Into<String>) -> Self {
        self.negative = Some(negative.into());
        self
    }

    /// For each code of a column whether it is the positive class, and the others' labels.
    fn classes(&self, rows: &Rows<'_>, column: &str) -> Result<Vec<(bool, String)>> {
        let data_type = rows.column(column)?.data_type();
        let labels = rows.categories(column)?.labels();
        // `1.0` asked of a column of numbers is the number 1.
        let positive = plain_label(&self.positive, data_type, &self.positive);
        Ok(labels
            .iter()
            .map(|label| {
                let label = plain_label(label.unwrap_or_default(), data_type, &self.positive);
                (label == positive, label)
            })
            .collect())
    }

    /// Refuses a label that is neither class, or remembers it.
    fn check(
        &self,
        state: &mut ConfusionState,
        rows: &Rows<'_>,
        column: &str,
        categories: &Categories,
        classes: &[(bool, String)],
    ) -> Result<()> {
        let data_type = rows.column(column)?.data_type();
        let mut used = vec![false; classes.len()];
        for code in categories.codes().iter().flatten() {
            used[code as usize] = true;
        }
        for (code, (positive, label)) in classes.iter().enumerate() {
            if *positive || !used[code] {
                continue;
            }
            let expected = match &self.negative {
                // NaN is no class: a prediction that is NaN was not made.
                _ if is_numeric(data_type) && label == "NaN" => "a label".to_owned(),
                Some(negative) if plain_label(negative, data_type, &self.positive) != *label => {
                    format!("`{}` or `{negative}`", self.positive)
                }
                Some(_) => continue,
                None => {
                    state.remember(label);
                    continue;
                }
            };
            let row = categories.codes().iter().position(|c| c == Some(code as u32)).unwrap_or(0);
            return Err(Error::Value {
                column: column.to_owned(),
                row: rows.row_id(row).row,
                expected,
                found: format!("`{label}`"),
            });
        }
        Ok(())
    }
}

/// A label as it is compared: whole numbers as integers, booleans as 1 and 0 where that is asked.
pub(super) fn plain_label(label: &str, data_type: &DataType, positive: &str) -> String {
    match data_type {
        DataType::Dictionary(_, value) => return plain_label(label, value, positive),
        DataType::Boolean if positive == "1" || positive == "0" => {
            return match label {
                "true" => "1".into(),
                "false" => "0".into(),
                other => other.into(),
            };
        }
        DataType::Boolean => {}
        numeric if is_numeric(numeric) && !numeric.is_temporal() => return plain_number(label),
        _ => {}
    }
    label.to_owned()
}

/// A number's text without a fraction of zeros: `1.0` and `1.00` are `1`, `-0.0` is `0`, `1e16`
/// has its digits.
fn plain_number(text: &str) -> String {
    let plain = match text.split_once('.') {
        _ if text.contains(['e', 'E']) => match text.parse::<f64>() {
            // Whole numbers of 64 bits: an integer column prints them so.
            Ok(x) if x.fract() == 0.0 && x.abs() < 2e19 => format!("{x:.0}"),
            _ => return text.to_owned(),
        },
        Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => {
            match fraction.trim_end_matches('0') {
                "" => whole.to_owned(),
                rest => format!("{whole}.{rest}"),
            }
        }
        _ => return text.to_owned(),
    };
    if plain == "-0" { "0".into() } else { plain }
}

/// What [`ConfusionCounts`] has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfusionState {
    counts: Confusion,
    /// The labels that are not the positive class: the first two in the order of text.
    others: BTreeSet<String>,
}

impl ConfusionState {
    fn remember(&mut self, label: &str) {
        if !self.others.contains(label) {
            self.others.insert(label.to_owned());
            if self.others.len() > 2 {
                self.others.pop_last();
            }
        }
    }
}

impl State for ConfusionState {
    fn merge(&mut self, other: Self) -> Result<()> {
        let (mine, theirs) = (&mut self.counts, other.counts);
        add_count(&mut mine.tp, theirs.tp);
        add_count(&mut mine.fp, theirs.fp);
        add_count(&mut mine.tn, theirs.tn);
        add_count(&mut mine.fn_, theirs.fn_);
        add_count(&mut mine.nulls, theirs.nulls);
        for label in other.others {
            self.remember(&label);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let c = &self.counts;
        for count in [c.tp, c.fp, c.tn, c.fn_, c.nulls] {
            put_u64(out, count);
        }
        put_len(out, self.others.len());
        for label in &self.others {
            put_str(out, label);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.others.iter().map(|l| l.capacity() + 24).sum::<usize>()
    }
}

/// Binary confusion counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Confusion {
    /// Positive, and predicted so.
    pub tp: u64,
    /// Negative, but predicted positive.
    pub fp: u64,
    /// Negative, and predicted so.
    pub tn: u64,
    /// Positive, but predicted negative.
    #[serde(rename = "fn")]
    pub fn_: u64,
    /// Rows with a null on either side, in none of the others.
    pub nulls: u64,
}

impl Confusion {
    /// Rows without a null.
    pub fn n(&self) -> u64 {
        [self.fp, self.tn, self.fn_].into_iter().fold(self.tp, u64::saturating_add)
    }
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tp {}, fp {}, tn {}, fn {}", self.tp, self.fp, self.tn, self.fn_)?;
        if self.nulls > 0 {
            write!(f, ", {} null", self.nulls)?;
        }
        Ok(())
    }
}

impl Analyzer for ConfusionCounts {
    type State = ConfusionState;
    type Output = Confusion;

    fn columns(&self) -> Vec<String> {
        vec![self.y_true.clone(), self.y_pred.clone()]
    }

    fn start(&self) -> ConfusionState {
        ConfusionState::default()
    }

    fn update(&self, state: &mut ConfusionState, rows: &Rows<'_>) -> Result<()> {
        let (truth, guess) = (rows.categories(&self.y_true)?, rows.categories(&self.y_pred)?);
        let truths = self.classes(rows, &self.y_true)?;
        let guesses = self.classes(rows, &self.y_pred)?;
        self.check(state, rows, &self.y_true, truth, &truths)?;
        self.check(state, rows, &self.y_pred, guess, &guesses)?;
        // tn, fp, fn, tp, as sklearn.metrics.confusion_matrix ravels.
        let (mut cells, mut nulls) = ([0; 4], 0);
        let (truth, guess) = (truth.codes(), guess.codes());
        if truth.null_count() == 0 && guess.null_count() == 0 {
            for (&t, &p) in truth.values().iter().zip(guess.values()) {
                let (t, p) = (truths[t as usize].0, guesses[p as usize].0);
                cells[2 * usize::from(t) + usize::from(p)] += 1;
            }
        } else {
            for pair in truth.iter().zip(guess.iter()) {
                match pair {
                    (Some(t), Some(p)) => {
                        let (t, p) = (truths[t as usize].0, guesses[p as usize].0);
                        cells[2 * usize::from(t) + usize::from(p)] += 1;
                    }
                    _ => nulls += 1,
                }
            }
        }
        let c = &mut state.counts;
        c.tn += cells[0];
        c.fp += cells[1];
        c.fn_ += cells[2];
        c.tp += cells[3];
        c.nulls += nulls;
        Ok(())
    }

    fn finish(&self, state: ConfusionState) -> Result<Confusion> {
        if state.others.len() > 1 {
            let labels: Vec<_> = state.others.iter().map(|l| format!("`{l}`")).collect();
            return Err(Error::invalid(
                format!("labels of `{}` and `{}`", self.y_true, self.y_pred),
                format!("`{}` and one other", self.positive),
                labels.join(" and "),
            ));
        }
        Ok(state.counts)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ConfusionState> {
        let mut state = ConfusionState::default();
        let c = &mut state.counts;
        let mut rows = Some(0u64);
        for count in [&mut c.tp, &mut c.fp, &mut c.tn, &mut c.fn_, &mut c.nulls] {
            *count = values::take_count(bytes)?;
            rows = rows.and_then(|r| r.checked_add(*count));
        }
        let n = take_len(bytes, 8)?;
        if n > 2 || rows.is_none_or(|r| r > values::MOST_ROWS) {
            return Err(bad(bytes, "at most 2 labels, and counts below 2^64", n));
        }
        for _ in 0..n {
            let label = take_str(bytes)?;
            if label == self.positive || state.others.last().is_some_and(|last| *last >= label) {
                return Err(bad(bytes, "other labels in order", label));
            }
            state.others.insert(label);
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}
