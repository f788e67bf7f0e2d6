//! A suite from training data, whose tolerances come from the data's own variation.

mod part;

use arrow::datatypes::{DataType, Field, Schema};
use mlops_core::states::{CategoryTable, RowCount, Summary};
use mlops_core::stats::{binomial_sf, clopper_pearson};
use mlops_core::{DataSource, Error, Plan, Result, Scan};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::gates::known_columns;
use crate::profile::{ColumnProfile, Profile, ProfileOptions, TextProfile, TextShape};
use crate::values::{Domain, domain, value_type};
use crate::{
    ColumnType, Expectation, Scalar, Suite, column, in_range, in_set, matches_regex, not_null,
    row_count, schema, string_length, unique,
};
use part::InPart;

/// What a suite is inferred for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct InferOptions {
    /// The suite's name.
    pub name: String,
    /// How many rows the batches have that will be judged; as many as the training data, if it is
    /// not said. If it is said, half to twice as many rows are expected.
    pub batch_rows: Option<u64>,
    /// The share of batches without any drift on which the whole suite may raise an alarm.
    pub false_alarms: f64,
    /// Up to so many distinct values text is a category.
    pub max_categories: usize,
    /// Columns of which nothing but their presence and type is expected.
    pub except: Vec<String>,
    /// The share of the training rows that is held back: the suite is made of the others and
    /// judged on these, and what fails there is dropped. None, unless told; it takes two more
    /// passes.
    pub hold_back: f64,
}

impl Default for InferOptions {
    fn default() -> Self {
        Self {
            name: "inferred".into(),
            batch_rows: None,
            false_alarms: 0.05,
            max_categories: 64,
            except: Vec::new(),
            hold_back: 0.0,
        }
    }
}

impl InferOptions {
    /// The same, for a suite of this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same, for batches of this many rows.
    #[must_use]
    pub fn batch_rows(mut self, rows: u64) -> Self {
        self.batch_rows = Some(rows);
        self
    }

    /// The same, with this budget of false alarms.
    #[must_use]
    pub fn false_alarms(mut self, share: f64) -> Self {
        self.false_alarms = share;
        self
    }

    /// The same, checked on this share of the rows, which is held back.
    #[must_use]
    pub fn hold_back(mut self, share: f64) -> Self {
        self.hold_back = share;
        self
    }

    /// The same, expecting nothing of the values of these columns.
    #[must_use]
    pub fn except<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.except.extend(columns.into_iter().map(Into::into));
        self
    }
}

impl Suite {
    /// A suite that batches like the training data pass.
    ///
    /// Expected are the columns and the families of their types; in each column no more nulls than
    /// chance brings; numbers within the range that was seen, widened by how far further extremes
    /// of tails like the data's would lie (std · ln(1 + batch/training)); text of few distinct
    /// values to be one of those seen; keys (integers or text, each once in 100 rows or more) to stay
    /// keys. Nothing else is expected of the values of keys, dates and timestamps: those of the next
    /// batch are others by nature.
    ///
    /// # False alarms
    /// The budget is divided evenly over all expectations whose answer chance has a part in
    /// (Bonferroni), each of which gets α. Each then tolerates, through `mostly`, the number of
    /// failing rows t that a batch from the same source exceeds with probability at most α:
    /// - nulls, NaN and infinities: the share has an upper limit (Clopper and Pearson) at α/2, and t
    ///   is the binomial quantile at α/2 above it;
    /// - a range: of the t + 1 largest of n training and b batch values together all are in the
    ///   batch with probability at most (b/(n + b))^(t+1), whatever the distribution is; this is
    ///   solved for t at α/2 on either side;
    /// - a set: the mass of what was not seen is, by Good and Turing, that of the values that were
    ///   seen once; its upper limit takes the place of the share of nulls, and the bound on ranges
    ///   covers a value that comes in a clump;
    /// - a key: the rate of equal pairs has an upper limit, and t is twice the quantile of the number
    ///   of pairs in a batch;
    /// - the pattern of texts of at most four shapes in 100 rows or more: a shape that was not seen
    ///   is as a value outside a set, and so is another length of a run that had but one; texts of
    ///   more shapes keep to the lengths that were seen, as numbers do to their range.
    ///
    /// So a column that had no null in n rows tolerates a few in n more; where a single one is bad,
    /// expect [`not_null`] besides.
    ///
    /// Values are held in memory for their distinct number, up to [a limit](crate::Keys::MEMORY_LIMIT).
    /// Reads the source once; three times where rows are held back. The suite keeps, in its `meta`,
    /// the digest of the training data's [`Profile`], the options and what was dropped; each
    /// expectation says in its description what spoke for it.
    ///
    /// ```
    /// use mlops_core::arrow::array::Int64Array;
    /// use mlops_core::{MemorySource, ValidatorExt, batch};
    /// use mlops_validate::{InferOptions, Suite};
    ///
    /// let ages = |times: i64| {
    ///     let age = Int64Array::from_iter_values((0..2000).map(|i| times * (18 + i * 7 % 60)));
    ///     Ok::<_, mlops_core::Error>(MemorySource::from(batch! { "age" => age }?))
    /// };
    /// let suite = Suite::infer(&ages(1)?, &InferOptions::default())?;
    /// assert!(suite.validate(&ages(1)?)?.verdict.is_pass());
    /// assert!(suite.validate(&ages(100)?)?.verdict.is_fail());
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Undefined`] without rows; [`Error::Invalid`] for a budget outside (0, 1) or batches
    /// of no rows; [`Error::ColumnNotFound`] for an exception that is not there; those of the source.
    pub fn infer(source: &dyn DataSource, options: &InferOptions) -> Result<Self> {
        options.check_usable(&source.schema())?;
        let wanted = ProfileOptions {
            max_categories: options.max_categories,
            except: options.except.clone(),
        };
        let mut plan = Plan::new();
        let judge = Profile::plan(&source.schema(), &wanted, &mut plan)?;
        let part = InPart { of: plan, share: options.hold_back, held_back: false };
        let profile = judge.judge(&Scan::new(source).run(&part)?)?;
        let mut suite = Self::from_profile(&profile, options)?;
        if options.hold_back > 0.0 {
            suite.check_on_held_back(source, &profile, options)?;
        }
        Ok(suite)
    }

    /// As [`infer`](Self::infer), of what is known already: a stored profile will do.
    ///
    /// # Errors
    /// As [`infer`](Self::infer), but for those of a source.
    pub fn from_profile(profile: &Profile, options: &InferOptions) -> Result<Self> {
        let fields: Vec<_> = profile
            .columns
            .iter()
            .map(|c| Field::new(&c.name, c.data_type.clone(), true))
            .collect();
        options.check_usable(&Schema::new(fields))?;
        if profile.rows == 0 {
            return Err(Error::undefined("a suite", "there are no rows to infer it from"));
        }
        let batch = options.batch_rows.unwrap_or(profile.rows);
        let candidates = candidates(profile, options);
        let columns = profile.columns.iter().map(|c| column(&c.name, ColumnType::of(&c.data_type)));
        let mut suite = Self::new(&options.name).expect(schema(columns));
        if let Some(batch) = options.batch_rows {
            suite = suite.expect(row_count(batch.div_ceil(2)..=batch.saturating_mul(2)));
        }
        let alpha = options.false_alarms / candidates.len().max(1) as f64;
        let chance = Chance { n: profile.rows, batch, alpha };
        for candidate in &candidates {
            if let Some(expectation) = candidate.expectation(chance)? {
                let words =
                    format!("{}; alarms by chance: at most {alpha:.2e}", candidate.reason());
                suite = suite.expect(expectation.description(words));
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        suite.meta.insert(
            "inferred".into(),
            json!({
                "profile": profile.digest()?, "rows": profile.rows, "options": options,
                "version": version,
            }),
        );
        Ok(suite)
    }

    /// Judges the rows that were held back, as a batch of their number, and drops what fails there:
    /// chance alone does that less often than the budget says, so something is wrong with it.
    fn check_on_held_back(
        &mut self,
        source: &dyn DataSource,
        profile: &Profile,
        options: &InferOptions,
    ) -> Result<()> {
        let held_back = |of| InPart { of, share: options.hold_back, held_back: true };
        let mut plan = Plan::new();
        let count = plan.add(RowCount);
        let rows = *Scan::new(source).run(&held_back(plan))?.get(&count)?;
        let mut record = json!({"rows": rows});
        if rows > 0 {
            let options = InferOptions { batch_rows: Some(rows), ..options.clone() };
            let suite = Self::from_profile(profile, &options)?;
            let mut plan = Plan::new();
            let judge = suite.plan_check(&source.schema(), &mut plan)?;
            let found = judge.judge(&Scan::new(source).run(&held_back(plan))?)?;
            let failing: Vec<_> = found.failures().collect();
            let fails = |e: &Expectation| {
                failing.iter().any(|f| {
                    f.expectation.kind() == e.kind() && f.expectation.subject() == e.subject()
                })
            };
            self.expectations.retain(|e| !fails(e));
            let dropped: Vec<_> = failing.iter().map(|f| f.finding.to_string()).collect();
            record["dropped"] = json!(dropped);
        }
        if let Some(inferred) = self.meta.get_mut("inferred") {
            inferred["held_back"] = record;
        }
        Ok(())
    }
}

impl InferOptions {
    fn check_usable(&self, schema: &Schema) -> Result<()> {
        if !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            let expected = "a share in (0, 1), such as 0.05";
            return Err(Error::invalid("the budget of false alarms", expected, self.false_alarms));
        }
        if !(0.0..1.0).contains(&self.hold_back) {
            let expected = "a share in [0, 1), such as 0.2";
            return Err(Error::invalid("the rows held back", expected, self.hold_back));
        }
        if self.batch_rows == Some(0) {
            return Err(Error::invalid("the rows of a batch", "at least one", 0));
        }
        known_columns(&self.except, schema)
    }
}

/// All that is expected of the columns' values, with what chance can do to it.
fn candidates<'a>(profile: &'a Profile, options: &InferOptions) -> Vec<Candidate<'a>> {
    let n = profile.rows;
    let mut candidates = Vec::new();
    for column in &profile.columns {
        let name = column.name.as_str();
        let measured = column.numbers.is_some() || column.categories.is_some();
        if options.except.iter().any(|except| except == name) || !measured {
            continue;
        }
        candidates.push(Candidate::Null { column: name, nulls: column.nulls });
        let data_type = value_type(&column.data_type);
        let codes = data_type.is_integer() || domain(data_type) == Some(Domain::Text);
        let is_key = codes && n >= Candidate::KEY_ROWS && column.is_key();
        if is_key {
            // The keys of the next batch are others by nature: no range and no set.
            candidates.push(Candidate::Key { column: name });
        } else if let Some(summary) = &column.numbers
            && summary.n() > 1
            && !data_type.is_temporal()
        {
            candidates.push(Candidate::Range { column, summary });
        }
        let categories = column.categories.as_ref().filter(|table| {
            !is_key
                && table.is_complete()
                && table.n() > 0
                && table.counts.len() <= options.max_categories
        });
        match (categories, &column.texts) {
            (Some(table), _) => {
                let bool = domain(data_type) == Some(Domain::Bool);
                candidates.push(Candidate::Set { column: name, table, bool });
            }
            (None, Some(texts)) if n - column.nulls >= Candidate::KEY_ROWS => {
                if texts.regex().is_some() {
                    candidates.push(Candidate::Pattern {
                        column: name,
                        texts,
                        n: n - column.nulls,
                    });
                } else {
                    candidates.push(Candidate::Length { column: name, texts, n: n - column.nulls });
                }
            }
            _ => {}
        }
    }
    candidates
}

/// An expectation that chance has a part in.
enum Candidate<'a> {
    Null { column: &'a str, nulls: u64 },
    Range { column: &'a ColumnProfile, summary: &'a Summary },
    Set { column: &'a str, table: &'a CategoryTable, bool: bool },
    Key { column: &'a str },
    Pattern { column: &'a str, texts: &'a TextProfile, n: u64 },
    Length { column: &'a str, texts: &'a TextProfile, n: u64 },
}

/// How many rows were seen, how many will be, and how often the answer may be wrong.
#[derive(Clone, Copy)]
struct Chance {
    n: u64,
    batch: u64,
    alpha: f64,
}

impl Chance {
    /// How many of `batch` rows a thing of which `seen` of `n` rows had been brings at most.
    fn at_most(self, seen: u64, n: u64, batch: u64) -> Result<u64> {
        let high = clopper_pearson(seen, n, 1.0 - self.alpha)?.high;
        let (mut low, mut up) = (0, batch);
        while low < up {
            let middle = low + (up - low) / 2;
            if binomial_sf(middle, batch, high)? <= self.alpha / 2.0 {
                up = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// How many of `batch` values lie beyond the largest of `n`, at most.
    fn beyond(n: u64, batch: u64, alpha: f64) -> u64 {
        if n == 0 {
            return batch;
        }
        // ln(b/(n + b)), to full precision where b is large.
        let each = -(n as f64 / batch as f64).ln_1p();
        (alpha.ln() / each).ceil().min(batch as f64) as u64
    }

    /// The share that must pass if `tolerated` of at least `rows` rows may fail; `None` if nothing
    /// is left to expect.
    fn mostly(tolerated: u64, rows: u64) -> Option<f64> {
        if tolerated >= rows {
            return None;
        }
        let share = (rows - tolerated) as f64 / rows as f64;
        // Down, in digits that a reader takes in.
        Some((share * 1e6).floor() / 1e6)
    }

    /// The rows with a value that a batch has at least, `present` of `n` having had one.
    fn with_value(self, present: u64) -> Result<u64> {
        let missing = self.at_most(self.n - present.min(self.n), self.n, self.batch)?;
        Ok(self.batch - missing.min(self.batch))
    }
}

impl Candidate<'_> {
    /// A key is proven by no fewer rows.
    const KEY_ROWS: u64 = 100;

    /// What was seen that speaks for it.
    fn reason(&self) -> String {
        match self {
            Self::Null { nulls, .. } => format!("{nulls} nulls seen"),
            Self::Range { summary, .. } => match (summary.min, summary.max) {
                (Some(min), Some(max)) => format!("seen from {min} to {max}"),
                _ => "nothing seen".into(),
            },
            Self::Set { table, .. } => format!("{} values seen", table.counts.len()),
            Self::Key { .. } => "no value seen twice".into(),
            Self::Pattern { n, .. } => format!("the shape of all {n} texts seen"),
            Self::Length { n, .. } => format!("the lengths of all {n} texts seen"),
        }
    }

    fn expectation(&self, chance: Chance) -> Result<Option<Expectation>> {
        let Chance { n, batch, alpha } = chance;
        Ok(match self {
            Self::Null { column, nulls } => {
                let tolerated = chance.at_most(*nulls, n, batch)?;
                Chance::mostly(tolerated, batch).map(|share| not_null(*column).mostly(share))
            }
            Self::Range { column, summary } => {
                let (Some(min), Some(max)) = (summary.min, summary.max) else { return Ok(None) };
                let present = summary.rows - summary.nulls;
                let rows = chance.with_value(present)?;
                let beyond = Chance::beyond(summary.n(), batch, alpha / 4.0);
                let mut tolerated = beyond.saturating_mul(2);
                let unusual = present - summary.n();
                // Of a column that never had one, NaN is no chance but a fault.
                if unusual > 0 {
                    let half = Chance { alpha: alpha / 2.0, ..chance };
                    tolerated += half.at_most(unusual, present, batch)?;
                }
                let spread = summary.moments.std(1).unwrap_or(0.0);
                let wider = spread * (batch as f64 / n as f64).ln_1p();
                let low = min - wider;
                // What never was negative hardly becomes so by chance.
                let low = if min >= 0.0 { low.max(0.0) } else { low };
                let high = max + wider;
                let high = if max <= 0.0 { high.min(0.0) } else { high };
                if !(low.is_finite() && high.is_finite()) {
                    return Ok(None);
                }
                let whole = value_type(&column.data_type).is_integer();
                let (low, high) = if whole && low.abs().max(high.abs()) < 9e15 {
                    (Scalar::from(low.floor() as i64), Scalar::from(high.ceil() as i64))
                } else if has_more_digits(value_type(&column.data_type)) {
                    // The ends were rounded to floats, maybe to the inside.
                    (Scalar::from(low.next_down()), Scalar::from(high.next_up()))
                } else {
                    (Scalar::from(low), Scalar::from(high))
                };
                Chance::mostly(tolerated, rows)
                    .map(|share| in_range(&column.name, low..=high).mostly(share))
            }
            Self::Set { column, table, bool } => {
                let rows = chance.with_value(table.n())?;
                let once = table.counts.values().filter(|&&count| count == 1).count() as u64;
                let tolerated = chance.at_most(once, table.n(), batch)?.max(Chance::beyond(
                    table.n(),
                    batch,
                    alpha / 2.0,
                ));
                let values =
                    table.counts.iter().filter(|(_, count)| **count > 0).map(|(l, _)| {
                        if *bool { Scalar::Bool(l == "true") } else { Scalar::from(l) }
                    });
                let expectation = in_set(*column, values);
                Chance::mostly(tolerated, rows).map(|share| expectation.mostly(share))
            }
            Self::Pattern { column, texts, n } => {
                let (Some(regex), Some(shapes)) = (texts.regex(), &texts.shapes) else {
                    return Ok(None);
                };
                let rows = chance.with_value(*n)?;
                // A shape that was not seen is, as a value of a set, as likely as those seen once;
                // and each run that had one length in all texts may for once have another.
                let once = shapes.iter().filter(|s| s.count == 1).count() as u64;
                let runs: u64 = shapes.iter().map(TextShape::fixed_runs).sum();
                let each = Chance { alpha: alpha / (runs + 1) as f64, ..chance };
                let clump = Chance::beyond(*n, batch, each.alpha / 2.0);
                let unseen = each.at_most(once, *n, batch)?.max(clump);
                let longer = each.at_most(0, *n, batch)?.max(clump).saturating_mul(runs);
                Chance::mostly(unseen.saturating_add(longer), rows)
                    .map(|share| matches_regex(*column, regex.as_str()).mostly(share))
            }
            Self::Length { column, texts, n } => {
                let (Some(min), Some(max)) = (texts.min_length, texts.max_length) else {
                    return Ok(None);
                };
                let rows = chance.with_value(*n)?;
                let tolerated = Chance::beyond(*n, batch, alpha / 4.0).saturating_mul(2);
                Chance::mostly(tolerated, rows)
                    .map(|share| string_length(*column, min..=max).mostly(share))
            }
            Self::Key { column } => {
                // No equal pair among n(n − 1)/2: with rate r, none is seen with chance
                // exp(−r·pairs).
                let pairs = |rows: u64| rows as f64 * (rows as f64 - 1.0) / 2.0;
                let rate = -(alpha / 2.0).ln() / pairs(n);
                let mean = (rate * pairs(batch)).max(f64::MIN_POSITIVE);
                let tolerated = 2 * poisson_quantile(mean, alpha / 2.0);
                Chance::mostly(tolerated, batch).map(|share| unique(*column).mostly(share))
            }
        })
    }
}

/// Whether a type holds numbers of more digits than a float does.
fn has_more_digits(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal32(digits, _)
        | DataType::Decimal64(digits, _)
        | DataType::Decimal128(digits, _)
        | DataType::Decimal256(digits, _) => *digits > 15,
        other => other.is_integer(),
    }
}

/// The smallest k that a Poisson variable of this mean exceeds with probability at most `alpha`.
fn poisson_quantile(mean: f64, alpha: f64) -> u64 {
    // Chernoff: P(X ≥ k) ≤ exp(k − mean − k ln(k/mean)) for k > mean; a little above the quantile.
    let mut k = mean.ceil().max(1.0);
    let reached = |k: f64| k - mean - k * (k / mean).ln() <= alpha.ln();
    while !reached(k + 1.0) && k < 1e15 {
        k += (k / 64.0).floor().max(1.0);
    }
    k as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_hold_what_they_promise() {
        let chance = Chance { n: 1000, batch: 1000, alpha: 0.01 };
        let t = chance.at_most(0, 1000, 1000).unwrap();
        assert!((5..=20).contains(&t), "{t}");
        // Half of all is in the batch: each further row halves the chance.
        assert_eq!(Chance::beyond(1000, 1000, 0.01), 7);
        assert_eq!(Chance::beyond(0, 10, 0.01), 10);
        assert_eq!(Chance::mostly(3, 3), None);
        assert!(poisson_quantile(7.0, 0.001) >= 17);
        assert!(poisson_quantile(1e-9, 0.001) <= 2);
    }
}
