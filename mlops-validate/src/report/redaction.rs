//! What of a validation may leave the house.

use std::collections::{BTreeMap, HashSet};

use arrow::datatypes::Schema;
use mlops_core::{Assessment, Judge, Plan, Result, Validator, Verdict};
use serde_json::Value;

use super::{Mask, MaskedCount};
use crate::check::{Check, Subject};
use crate::compile::percent;
use crate::expectations::Withheld;
use crate::failing_rows::in_words;
use crate::{Expectation, Measured, Outcome, Sample, Suite, Validation};

/// What may be shown of a validation: which values of which columns, which parameters of
/// expectations, and how small a count.
///
/// It is applied before anything is rendered: [`Validation::redacted`] is a validation like any
/// other, and no form of report can show what is no longer in it. It works by building up what is
/// known to be harmless, never by searching texts for what is not: words in findings are written
/// anew from what is left.
///
/// - **Values** of a column whose mask is not [`Mask::Show`] are masked in failing samples and in
///   findings' words. What was computed of all rows stays where it is a count, a share or a
///   divergence; minimum, mean, quantiles, frequent values and whatever else is in the unit of the
///   column, or that this page does not know, is hidden.
/// - **Parameters** of an expectation of such a column (bounds, sets, patterns, its condition,
///   its description and `meta`) are withheld too, unless told: bounds that were inferred are
///   values of the training data. The kind, the columns, `mostly`, the severity and the `id` stay.
/// - **Small cells**: a count of 1 to k − 1 is `<k`, and what it could be computed from is
///   withheld: of expected, unexpected and missing rows and those that a condition leaves out, the
///   share among them, the failing rows' names and samples. The number of all rows is not
///   withheld. Each outcome is made safe by itself; counts of several expectations of the same
///   column can still be subtracted from each other.
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{Mask, Redaction, Suite, matches_regex};
///
/// let data = MemorySource::from(batch! {
///     "email" => StringArray::from(vec!["ada@example.org", "ada's phone: 555-0100"]),
/// }?);
/// let suite = Suite::new("users").expect(matches_regex("email", "@"));
/// let found = suite.check(&data)?;
/// assert!(found.to_string().contains("555-0100"));
/// let safe = found.redacted(&Redaction::all(Mask::Hide));
/// assert!(!safe.to_string().contains("555-0100"));
/// assert!(safe.to_string().contains("1 of 2 rows (50 %) unexpected: `[hidden]`"));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redaction {
    /// The mask of every column that has none of its own.
    pub default: Mask,
    /// The masks of columns.
    pub columns: BTreeMap<String, Mask>,
    /// The smallest count that is shown, but for 0; 0 and 1 show all.
    pub small_cells: u64,
    /// Whether the parameters of expectations of masked columns are shown.
    pub parameters: bool,
}

/// Kinds whose measured number is a count of rows or of different values.
const COUNTS: [&str; 6] = [
    "approx_distinct",
    "duplicate_count",
    "row_count_equals_other",
    "unique_count",
    "value_count",
    "zeros_count",
];

/// Kinds whose measured number is a share, an information or a divergence: nobody's value.
const SHARES: [&str; 11] = [
    "completeness",
    "correlation",
    "entropy",
    "jensen_shannon",
    "kl_divergence",
    "l_infinity",
    "mutual_information",
    "normalized_abs_difference",
    "proportion_unique",
    "unique_value_ratio",
    "uniqueness",
];

impl Redaction {
    /// This mask for every column; parameters of masked columns withheld, small cells shown.
    pub fn all(mask: Mask) -> Self {
        Self { default: mask, columns: BTreeMap::new(), small_cells: 0, parameters: false }
    }

    /// The same, with a mask of its own for a column, and for what stands within it
    /// (`address.zip`) where that has none.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>, mask: Mask) -> Self {
        self.columns.insert(column.into(), mask);
        self
    }

    /// The same, with counts from 1 to one less than this shown as less than this.
    #[must_use]
    pub fn small_cells(mut self, least: u64) -> Self {
        self.small_cells = least;
        self
    }

    /// The same, showing the parameters of all expectations.
    #[must_use]
    pub fn show_parameters(mut self) -> Self {
        self.parameters = true;
        self
    }

    /// The mask of a column.
    pub(crate) fn mask(&self, column: &str) -> &Mask {
        let whole = |path: &str, of: &str| {
            let rest = path.strip_prefix(of);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        // Whoever shows a column shows all that is within it.
        let hides = |(path, mask): &(&String, &Mask)| {
            path.as_str() != column && whole(path, column) && **mask != Mask::Show
        };
        if self.columns.iter().any(|entry| hides(&entry)) {
            return &Mask::Hide;
        }
        let own = self.columns.iter().filter(|(path, _)| whole(column, path));
        own.max_by_key(|(path, _)| path.len()).map_or(&self.default, |(_, mask)| mask)
    }

    pub(crate) fn shows(&self, column: &str) -> bool {
        *self.mask(column) == Mask::Show
    }

    pub(crate) fn is_small(&self, count: u64) -> bool {
        (1..self.small_cells).contains(&count)
    }

    /// In words, for the head of a report.
    pub(crate) fn words(&self) -> String {
        let of = |mask: &Mask| match mask {
            Mask::Show => "shown",
            Mask::Hide => "hidden",
            Mask::Truncate(_) => "cut",
            Mask::Hash(_) => "pseudonyms",
        };
        let mut words = format!("values {}", of(&self.default));
        for (column, mask) in &self.columns {
            words = format!("{words}, of {column} {}", of(mask));
        }
        if self.small_cells > 1 {
            words = format!("{words}; counts below {} withheld", self.small_cells);
        }
        words
    }

    fn outcome(&self, of: &Outcome, rows: u64) -> Outcome {
        let mut out = of.clone();
        let columns = of.expectation.columns();
        let mut read = columns.clone();
        read.extend(of.expectation.condition.iter().flat_map(crate::Expression::columns));
        let masked = read.iter().any(|column| !self.shows(column));
        if masked && !self.parameters {
            withhold_parameters(&mut out, &columns);
        }
        if masked || self.small_cells > 1 {
            self.measured(&mut out, of, &columns, masked, rows);
        }
        out
    }

    /// The numbers, and the words made of them.
    fn measured(
        &self,
        out: &mut Outcome,
        of: &Outcome,
        columns: &[String],
        masked: bool,
        rows: u64,
    ) {
        match &of.measured {
            Measured::Rows { element_count, missing_count, unexpected_count, samples } => {
                let samples = self.samples(samples, columns);
                let counts = [*element_count, *missing_count, *unexpected_count];
                match self.small(counts, rows) {
                    None => {
                        let [element_count, missing_count, unexpected_count] = counts;
                        out.finding.observed =
                            in_rows(element_count - missing_count, unexpected_count, &samples);
                        out.measured = Measured::Rows {
                            element_count,
                            missing_count,
                            unexpected_count,
                            samples,
                        };
                    }
                    Some(counts) => withhold_counts(out, counts, samples),
                }
            }
            Measured::Value(value) => {
                match self.value(of, value, masked, rows) {
                    Shown::AsItIs => {
                        // Words may hold more than the value: a schema's say how many nulls.
                        let counts = self.small_cells > 1 && of.finding.check == "schema";
                        if masked || counts {
                            out.finding.observed = in_words(value);
                        }
                    }
                    Shown::As(shown) => {
                        out.finding.observed = in_words(&shown);
                        out.finding.value = None;
                        out.finding.interval = None;
                        out.finding.p_value = None;
                        out.measured = Measured::Value(shown);
                    }
                }
            }
            Measured::Vacuous => {
                out.finding.observed = "nothing was there to be measured".into();
            }
            // What the schema alone refuses has nothing of the rows in it; a condition's fault
            // may quote it.
            Measured::Failed(_)
                if of.finding.verdict == Verdict::Fail && of.expectation.condition.is_none() => {}
            Measured::Failed(_) => {
                let words = "not measured; the reason may quote values and is withheld";
                out.finding.observed = words.into();
                out.measured = Measured::Failed(words.to_owned());
            }
            Measured::Withheld { .. } => {}
        }
    }

    fn samples(&self, samples: &[Sample], columns: &[String]) -> Vec<Sample> {
        let masked = |sample: &Sample| {
            let mut sample = sample.clone();
            let known = sample.values.len() == columns.len();
            for (i, value) in sample.values.iter_mut().enumerate() {
                let mask = columns.get(i).filter(|_| known).map_or(&Mask::Hide, |c| self.mask(c));
                *value = mask.apply(value);
            }
            sample
        };
        samples.iter().map(masked).collect()
    }

    /// The counts as they may be said where one of them is small; `None` where all may be said.
    ///
    /// Of the rows are missing, unexpected and expected ones, and the last are never said: what
    /// is small must not follow from the others. A count is said where the two others are both
    /// large or none, or where they are so many together that the small one of them can be
    /// anything below the least.
    fn small(&self, [all, missing, unexpected]: [u64; 3], rows: u64) -> Option<[MaskedCount; 3]> {
        let expected = all.saturating_sub(missing).saturating_sub(unexpected);
        let left_out = rows.saturating_sub(all);
        if ![all, missing, unexpected, expected, left_out].into_iter().any(|n| self.is_small(n)) {
            return None;
        }
        let many = self.small_cells.saturating_mul(2);
        let said = |n: u64, others: [u64; 2]| match n {
            _ if all < many => MaskedCount::Withheld,
            n if self.is_small(n) => self.below(),
            n if others.into_iter().any(|o| self.is_small(o)) && all - n < many => {
                MaskedCount::Withheld
            }
            n => MaskedCount::Exact(n),
        };
        let whole = if self.is_small(left_out) {
            MaskedCount::Withheld
        } else if self.is_small(all) {
            self.below()
        } else {
            MaskedCount::Exact(all)
        };
        let failing = match said(unexpected, [missing, expected]) {
            MaskedCount::Exact(_) if self.is_small(expected) => MaskedCount::Withheld,
            said => said,
        };
        Some([whole, said(missing, [unexpected, expected]), failing])
    }

    /// What is said of a small count: nothing where only one is small.
    fn below(&self) -> MaskedCount {
        if self.small_cells > 2 {
            MaskedCount::Below(self.small_cells)
        } else {
            MaskedCount::Withheld
        }
    }

    fn value(&self, of: &Outcome, value: &Value, masked: bool, rows: u64) -> Shown {
        let kind = of.finding.check.as_str();
        let narrowed = of.expectation.condition.is_some();
        // The columns and the number of rows of the table are nobody's.
        if matches!(kind, "schema" | "column_count") || kind == "row_count" && !narrowed {
            return Shown::AsItIs;
        }
        let is_count = kind == "row_count" || COUNTS.contains(&kind);
        let count = is_count.then(|| value.as_u64()).flatten();
        if self.small_cells > 1 {
            return match count {
                Some(n) if self.is_small(n) => Shown::As(self.below().to_string().into()),
                Some(n) if !self.is_small(rows.saturating_sub(n)) => Shown::AsItIs,
                // A share of known rows is a count, an extreme is a count of one; what else there
                // is may be a table of counts.
                _ => Shown::As(MaskedCount::Withheld.to_string().into()),
            };
        }
        let harmless = count.is_some() || SHARES.contains(&kind) && value.is_number();
        if harmless || !masked { Shown::AsItIs } else { Shown::As(Mask::HIDDEN.into()) }
    }
}

enum Shown {
    AsItIs,
    As(Value),
}

fn withhold_parameters(out: &mut Outcome, columns: &[String]) {
    let of = &out.expectation;
    if let Subject::Expression(_) = of.check.kind().subject() {
        out.finding.subject = columns.join(", ");
    }
    let mut named = Withheld::from(of);
    if has_parameters(&of.check) {
        out.finding.expected = match of.mostly {
            1.0 => "[withheld]".to_owned(),
            mostly => format!("[withheld] in at least {}", percent(mostly)),
        };
    } else {
        named.check = of.check.clone();
    }
    out.expectation = named;
}

/// Whether a check says more than its kind and its columns.
fn has_parameters(check: &Check) -> bool {
    match serde_json::to_value(check) {
        Ok(Value::Object(fields)) => {
            fields.keys().any(|key| !matches!(key.as_str(), "expectation" | "column" | "columns"))
        }
        _ => true,
    }
}

/// Leaves what the masked counts say, and nothing that they could be computed from.
fn withhold_counts(out: &mut Outcome, counts: [MaskedCount; 3], samples: Vec<Sample>) {
    let [element_count, missing_count, unexpected_count] = counts;
    // How many samples there are tells how many rows fail, and their names tell whose they are.
    let samples = if unexpected_count.exact().is_some() { samples } else { Vec::new() };
    let finding = &mut out.finding;
    finding.value = None;
    finding.interval = None;
    finding.p_value = None;
    finding.failing_rows = unexpected_count.exact();
    finding.rows.truncate(samples.len());
    finding.observed = format!(
        "unexpected rows: {unexpected_count}; missing: {missing_count}; of {element_count} rows"
    );
    out.measured = Measured::Withheld { element_count, missing_count, unexpected_count, samples };
}

/// How many of the rows fail, and the first of their values.
fn in_rows(looked_at: u64, unexpected: u64, samples: &[Sample]) -> String {
    if unexpected == 0 {
        return format!("all of {looked_at} rows");
    }
    let part = percent(unexpected as f64 / looked_at as f64);
    let mut observed = format!("{unexpected} of {looked_at} rows ({part}) unexpected");
    let words = |s: &Sample| match s.values.as_slice() {
        [] | [Value::Null] => None,
        values => Some(values.iter().map(in_words).collect::<Vec<_>>().join(", ")),
    };
    let mut seen = HashSet::new();
    let mut examples: Vec<_> = samples.iter().filter_map(words).collect();
    examples.retain(|example| seen.insert(example.clone()));
    examples.truncate(5);
    if !examples.is_empty() {
        observed = format!("{observed}: `{}`", examples.join("`, `"));
    }
    observed
}

impl Validation {
    /// The same, without what may not be shown: to be called before anything is rendered, sent or
    /// stored. Verdicts stay as they are.
    #[must_use]
    pub fn redacted(&self, redaction: &Redaction) -> Self {
        let mut out = self.clone();
        out.redaction = Some(redaction.words());
        out.outcomes = self.outcomes.iter().map(|o| redaction.outcome(o, self.rows)).collect();
        out
    }
}

impl Expectation {
    /// The expectation, or what can be written down of it: a function of the host can't.
    pub(crate) fn writable(&self) -> Self {
        let unwritable = matches!(self.check, Check::CustomRows(_));
        if unwritable { Withheld::from(self) } else { self.clone() }
    }
}

impl Suite {
    /// The suite as a validator whose findings hold nothing that may not be shown: for monitors
    /// that send alerts and gates that store what they found.
    #[must_use]
    pub fn redacted(self, redaction: Redaction) -> RedactedSuite {
        RedactedSuite { suite: self, redaction }
    }
}

/// A suite whose findings hold nothing that may not be shown; made by [`Suite::redacted`].
#[derive(Clone, Debug, PartialEq)]
pub struct RedactedSuite {
    suite: Suite,
    redaction: Redaction,
}

impl Validator for RedactedSuite {
    fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        let redaction = self.redaction.clone();
        let judge = self.suite.plan_check(schema, plan)?;
        Ok(judge.map(move |found| found.redacted(&redaction).assessment()))
    }
}
