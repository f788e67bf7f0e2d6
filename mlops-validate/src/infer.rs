//! A suite from training data, whose tolerances come from the data's own variation.

use arrow::datatypes::{DataType, Field, Schema};
use mlops_core::states::{CategoryCounts, CategoryTable, NumericSummary, RowCount, Summary};
use mlops_core::stats::{binomial_sf, clopper_pearson};
use mlops_core::{DataSource, Error, Handle, Plan, Result, Scan};
use serde::{Deserialize, Serialize};

use crate::gates::known_columns;
use crate::keys::{KeyCounts, Keys, Missing};
use crate::values::{Domain, domain, value_type};
use crate::{
    ColumnType, Expectation, Scalar, Suite, column, in_range, in_set, not_null, row_count, schema,
    unique,
};

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
}

impl Default for InferOptions {
    fn default() -> Self {
        Self {
            name: "inferred".into(),
            batch_rows: None,
            false_alarms: 0.05,
            max_categories: 64,
            except: Vec::new(),
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

    /// The same, expecting nothing of the values of these columns.
    #[must_use]
    pub fn except<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.except.extend(columns.into_iter().map(Into::into));
        self
    }
}

/// What was measured of a column.
struct Profile {
    field: Field,
    summary: Option<Handle<Summary>>,
    categories: Option<Handle<CategoryTable>>,
    distinct: Option<Handle<KeyCounts>>,
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
    ///   of pairs in a batch.
    ///
    /// So a column that had no null in n rows tolerates a few in n more; where a single one is bad,
    /// expect [`not_null`] besides.
    ///
    /// Integers and text are held in memory, up to [a limit](Keys::MEMORY_LIMIT). Reads the source once.
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
        if !(options.false_alarms > 0.0 && options.false_alarms < 1.0) {
            let found = options.false_alarms;
            return Err(Error::invalid("the budget of false alarms", "a number in (0, 1)", found));
        }
        if options.batch_rows == Some(0) {
            return Err(Error::invalid("the rows of a batch", "at least one", 0));
        }
        let source_schema = source.schema();
        known_columns(&options.except, &source_schema)?;
        let mut plan = Plan::new();
        let rows = plan.add(RowCount);
        let profiles: Vec<_> = source_schema
            .fields()
            .iter()
            .map(|field| Profile::plan(field, options, &mut plan))
            .collect::<Result<_>>()?;
        let measured = Scan::new(source).run(&plan)?;
        let n = *measured.get(&rows)?;
        if n == 0 {
            return Err(Error::undefined("a suite", "there are no rows to infer it from"));
        }
        let batch = options.batch_rows.unwrap_or(n);

        let mut candidates = Vec::new();
        let mut columns = Vec::new();
        for profile in &profiles {
            let name = profile.field.name();
            columns.push(column(name, family(profile.field.data_type())));
            if options.except.contains(name) {
                continue;
            }
            let get = |handle: &Option<Handle<Summary>>| {
                handle.as_ref().map(|h| measured.get(h)).transpose()
            };
            let summary = get(&profile.summary)?;
            let table = profile.categories.as_ref().map(|h| measured.get(h)).transpose()?;
            let distinct = profile.distinct.as_ref().map(|h| measured.get(h)).transpose()?;
            let nulls = summary.map(|s| s.nulls).or(table.map(|t| t.nulls));
            let Some(nulls) = nulls else { continue };
            candidates.push(Candidate::Null { column: name, nulls });
            let is_key =
                n >= Candidate::KEY_ROWS && distinct.is_some_and(|d| d.is_unique() && d.keyed == n);
            if is_key {
                // The keys of the next batch are others by nature: no range and no set.
                candidates.push(Candidate::Key { column: name });
                continue;
            }
            if let Some(summary) = summary.filter(|s| s.n() > 1 && is_number(&profile.field)) {
                candidates.push(Candidate::Range { profile, summary });
            }
            if let Some(table) = table
                && table.is_complete()
                && table.n() > 0
                && table.counts.len() <= options.max_categories
            {
                candidates.push(Candidate::Set {
                    column: name,
                    table,
                    bool: is_bool(&profile.field),
                });
            }
        }
        let mut suite = Self::new(&options.name).expect(schema(columns));
        if let Some(batch) = options.batch_rows {
            suite = suite.expect(row_count(batch.div_ceil(2)..=batch.saturating_mul(2)));
        }
        let alpha = options.false_alarms / candidates.len().max(1) as f64;
        let chance = Chance { n, batch, alpha };
        for candidate in &candidates {
            if let Some(expectation) = candidate.expectation(chance)? {
                suite = suite.expect(expectation);
            }
        }
        Ok(suite)
    }
}

fn family(data_type: &DataType) -> ColumnType {
    ColumnType::of(data_type)
}

fn is_bool(field: &Field) -> bool {
    domain(field.data_type()) == Some(Domain::Bool)
}

fn is_number(field: &Field) -> bool {
    !value_type(field.data_type()).is_temporal()
}

impl Profile {
    fn plan(field: &Field, options: &InferOptions, plan: &mut Plan) -> Result<Self> {
        let name = field.name();
        let mut profile =
            Self { field: field.clone(), summary: None, categories: None, distinct: None };
        if options.except.contains(name) {
            return Ok(profile);
        }
        let distinct = |plan: &mut Plan| {
            let schema = Schema::new(vec![field.clone()]);
            Ok::<_, Error>(Some(plan.add(Keys::new(&schema, &[name], Missing::Any)?)))
        };
        match domain(field.data_type()) {
            Some(Domain::Int | Domain::Float) => {
                profile.summary = Some(plan.add(NumericSummary::new(name)));
                if value_type(field.data_type()).is_integer() {
                    profile.distinct = distinct(plan)?;
                }
            }
            Some(Domain::Text) => {
                // One more than are wanted, to know that there are more.
                let cap = options.max_categories.saturating_add(1);
                profile.categories = Some(plan.add(CategoryCounts::new(name).with_cap(cap)?));
                profile.distinct = distinct(plan)?;
            }
            Some(Domain::Bool) => profile.categories = Some(plan.add(CategoryCounts::new(name))),
            None => {}
        }
        Ok(profile)
    }
}

/// An expectation that chance has a part in.
enum Candidate<'a> {
    Null { column: &'a str, nulls: u64 },
    Range { profile: &'a Profile, summary: &'a Summary },
    Set { column: &'a str, table: &'a CategoryTable, bool: bool },
    Key { column: &'a str },
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

    fn expectation(&self, chance: Chance) -> Result<Option<Expectation>> {
        let Chance { n, batch, alpha } = chance;
        Ok(match self {
            Self::Null { column, nulls } => {
                let tolerated = chance.at_most(*nulls, n, batch)?;
                Chance::mostly(tolerated, batch).map(|share| not_null(*column).mostly(share))
            }
            Self::Range { profile, summary } => {
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
                let whole = value_type(profile.field.data_type()).is_integer();
                let (low, high) = if whole && low.abs().max(high.abs()) < 9e15 {
                    (Scalar::from(low.floor() as i64), Scalar::from(high.ceil() as i64))
                } else {
                    (Scalar::from(low), Scalar::from(high))
                };
                Chance::mostly(tolerated, rows)
                    .map(|share| in_range(profile.field.name(), low..=high).mostly(share))
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
