//! What a source holds, column by column, in one pass.

mod shapes;

use std::fmt;

use arrow::datatypes::{DataType, Field, Schema};
use mlops_core::report::{Section, Table};
use mlops_core::states::{
    CategoryCounts, CategoryTable, NumericSummary, Quantiles, RowCount, Summary,
};
use mlops_core::{DataSource, Digest, Error, Handle, Judge, Measurements, Plan, Result, Scan};
use serde::{Deserialize, Serialize};

use crate::keys::{KeyCounts, Keys, Missing};
use crate::values::{Domain, domain};

pub(crate) use shapes::TextShapes;
pub use shapes::{TextProfile, TextShape};

/// What a source holds: [`Profile::of`] reads it once, and [`Profile::plan`] lets it ride on
/// another scan, beside a suite or a monitor.
///
/// Memory is bounded: quantiles and categories have caps, exact distinct counts spill to disk
/// ([`Keys`]).
///
/// ```
/// use mlops_core::arrow::array::{Int64Array, StringArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::Profile;
///
/// let profile = Profile::of(&MemorySource::from(batch! {
///     "age" => Int64Array::from(vec![Some(31), Some(47), None]),
///     "code" => StringArray::from(vec!["AB-12", "CD-34", "EF-56"]),
/// }?))?;
/// let [age, code] = &profile.columns[..] else { panic!() };
/// assert_eq!((age.nulls, age.numbers.as_ref().unwrap().max), (1, Some(47.0)));
/// assert_eq!(code.texts.as_ref().unwrap().regex().unwrap(), "^[A-Z]{2}-[0-9]{2}$");
/// assert!(code.is_key());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// How many rows there are.
    pub rows: u64,
    /// The columns, in the schema's order.
    pub columns: Vec<ColumnProfile>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(with = "data_type_as_text")]
    pub data_type: DataType,
    /// Rows without a value; 0 for types that are not measured.
    pub nulls: u64,
    /// Of numbers, dates and times (as counts of their unit): ranges, moments, NaN, infinities.
    pub numbers: Option<Summary>,
    /// Of numbers: (share, value) at 1, 5, 25, 50, 75, 95 and 99 %. Exact for few distinct values,
    /// else within 1/128.
    pub quantiles: Vec<(f64, f64)>,
    /// Of texts and booleans: the rows of each value, up to a cap.
    pub categories: Option<CategoryTable>,
    /// Of texts: lengths and shapes.
    pub texts: Option<TextProfile>,
    /// Distinct values, nulls aside, and how many of them stand once; exact. `None` for types that
    /// have no order.
    pub distinct: Option<Distinct>,
}

/// Arrow types as they print, which they also parse from.
mod data_type_as_text {
    use arrow::datatypes::DataType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(data_type: &DataType, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(data_type)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DataType, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// How many values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Distinct {
    /// Rows with a value.
    pub values: u64,
    /// Different values.
    pub distinct: u64,
    /// Values that stand once.
    pub unique: u64,
}

/// What a profile looks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProfileOptions {
    /// Up to so many values are counted one by one.
    pub max_categories: usize,
    /// Columns of which nothing is measured.
    pub except: Vec<String>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self { max_categories: 64, except: Vec::new() }
    }
}

impl ColumnProfile {
    /// Whether every row has a value of its own.
    pub fn is_key(&self) -> bool {
        let alone = |d: &Distinct| d.values > 0 && d.unique == d.values;
        self.nulls == 0 && self.distinct.as_ref().is_some_and(alone)
    }

    /// Whether all values are one.
    pub fn is_constant(&self) -> bool {
        self.distinct.is_some_and(|d| d.distinct == 1)
    }
}

const SHARES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// What is measured of a column.
struct Planned {
    field: Field,
    numbers: Option<Handle<Summary>>,
    quantiles: Option<Handle<mlops_core::states::QuantileTable>>,
    categories: Option<Handle<CategoryTable>>,
    texts: Option<Handle<TextProfile>>,
    distinct: Option<Handle<KeyCounts>>,
}

impl Planned {
    fn new(field: &Field, options: &ProfileOptions, plan: &mut Plan) -> Result<Self> {
        let name = field.name();
        let mut planned = Self {
            field: field.clone(),
            numbers: None,
            quantiles: None,
            categories: None,
            texts: None,
            distinct: None,
        };
        if options.except.contains(name) {
            return Ok(planned);
        }
        // One more than are wanted, to know that there are more.
        let counts =
            || CategoryCounts::new(name).with_cap(options.max_categories.saturating_add(1));
        match domain(field.data_type()) {
            Some(Domain::Int | Domain::Float) => {
                planned.numbers = Some(plan.add(NumericSummary::new(name)));
                planned.quantiles = Some(plan.add(Quantiles::new(name)));
            }
            Some(Domain::Text) => {
                planned.categories = Some(plan.add(counts()?));
                planned.texts = Some(plan.add(TextShapes { column: name.clone() }));
            }
            Some(Domain::Bool) => planned.categories = Some(plan.add(counts()?)),
            None => {}
        }
        let schema = Schema::new(vec![field.clone()]);
        planned.distinct =
            Keys::new(&schema, &[name], Missing::Any).ok().map(|keys| plan.add(keys));
        Ok(planned)
    }

    fn read(&self, m: &Measurements) -> Result<ColumnProfile> {
        let numbers = self.numbers.as_ref().map(|h| m.get(h).copied()).transpose()?;
        let categories = self.categories.as_ref().map(|h| m.get(h).cloned()).transpose()?;
        let keys = self.distinct.as_ref().map(|h| m.get(h)).transpose()?;
        let quantiles = match &self.quantiles {
            Some(handle) => {
                let table = m.get(handle)?;
                SHARES.iter().filter_map(|&q| Some((q, table.quantile(q)?))).collect()
            }
            None => Vec::new(),
        };
        let nulls = numbers
            .map(|s| s.nulls)
            .or(categories.as_ref().map(|t| t.nulls))
            .or(keys.map(|k| k.any_null))
            .unwrap_or(0);
        Ok(ColumnProfile {
            name: self.field.name().clone(),
            data_type: self.field.data_type().clone(),
            nulls,
            numbers,
            quantiles,
            categories,
            texts: self.texts.as_ref().map(|h| m.get(h).cloned()).transpose()?,
            distinct: keys.map(|k| Distinct {
                values: k.keyed,
                distinct: k.distinct,
                unique: k.unique,
            }),
        })
    }
}

impl Profile {
    /// The profile of a source, with the default options: one pass.
    ///
    /// # Errors
    /// Those of the source.
    pub fn of(source: &dyn DataSource) -> Result<Self> {
        let mut plan = Plan::new();
        let judge = Self::plan(&source.schema(), &ProfileOptions::default(), &mut plan)?;
        judge.judge(&Scan::new(source).run(&plan)?)
    }

    /// Adds what must be measured, and gives what makes the profile of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cap of categories that is too large.
    pub fn plan(schema: &Schema, options: &ProfileOptions, plan: &mut Plan) -> Result<Judge<Self>> {
        let rows = plan.add(RowCount);
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| Planned::new(field, options, plan))
            .collect::<Result<_>>()?;
        Ok(Judge::new(move |m| {
            let columns = columns.iter().map(|c| c.read(m)).collect::<Result<_>>()?;
            Ok(Self { rows: *m.get(&rows)?, columns })
        }))
    }

    /// The digest of all that is in it: two sources of the same rows, in whatever order, have one.
    ///
    /// # Errors
    /// Never, but for a type that serde can't write.
    pub fn digest(&self) -> Result<Digest> {
        let text = serde_json::to_string(self).map_err(|e| Error::other("writing a profile", e))?;
        Ok(Digest::of(text))
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The profile as a section of a report: a row a column.
    pub fn section(&self) -> Section {
        let mut table = Table::new(["column", "type", "nulls", "distinct", "what it holds"]);
        for column in &self.columns {
            let distinct = column.distinct.map_or_else(String::new, |d| d.distinct.to_string());
            table = table.row([
                column.name.clone(),
                column.data_type.to_string(),
                column.nulls.to_string(),
                distinct,
                column.words(),
            ]);
        }
        Section::new("Profile").text(format!("{} rows", self.rows)).table(table)
    }
}

impl ColumnProfile {
    fn words(&self) -> String {
        let mut words = Vec::new();
        if self.is_key() {
            words.push("a key".to_owned());
        }
        if let Some(s) = &self.numbers
            && let (Some(min), Some(max)) = (s.min, s.max)
        {
            let median = self.quantiles.iter().find(|(q, _)| *q == 0.5).map(|(_, v)| *v);
            let median = median.map_or_else(String::new, |m| format!(", median {m}"));
            words.push(format!("{min} to {max}{median}"));
            for (count, what) in [
                (s.nans, "NaN"),
                (s.positive_infinities + s.negative_infinities, "infinite"),
                (s.zeros, "zero"),
            ] {
                if count > 0 {
                    words.push(format!("{count} {what}"));
                }
            }
        }
        if let Some(table) = &self.categories
            && !self.is_key()
        {
            let most: Vec<_> =
                table.by_count().iter().take(3).map(|(l, n)| format!("`{l}` {n}")).collect();
            words.push(most.join(", "));
        }
        if let Some(texts) = &self.texts {
            if let Some(regex) = texts.regex() {
                words.push(regex);
            } else if let (Some(min), Some(max)) = (texts.min_length, texts.max_length) {
                words.push(format!("{min} to {max} characters"));
            }
        }
        words.join("; ")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.rows)?;
        for column in &self.columns {
            let (name, data_type) = (&column.name, &column.data_type);
            write!(f, "\n  {name} ({data_type}): {} null; {}", column.nulls, column.words())?;
        }
        Ok(())
    }
}
