//! Fitting a profile: a scan that chooses the cells, and one that counts in them.

use std::collections::BTreeSet;

use mlops_core::states::{CategoryCounts, CategoryTable, RowCount};
use mlops_core::{DataSource, Error, Handle, Plan, Result, Scan};
use serde::{Deserialize, Serialize};

use crate::profile::counts::CountAtCells;
use crate::profile::family::Family;
use crate::profile::finders::{ValueFinder, ValueState};
use crate::profile::reference::{Cells, ColumnProfile, Kind, ReferenceProfile};

/// Beyond this many labels they are not counted one by one.
const LABEL_CAP: usize = 1 << 16;
/// How many buckets the values are found in, for each edge wanted.
const BUCKETS_PER_EDGE: usize = 32;

/// How a reference is profiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProfileOptions {
    /// The most edges of a numeric column, 2 to 65,536; 1,024. The interval that holds `D` is
    /// about `1 / edges` wide, and the profile takes 24 bytes an edge.
    pub edges: usize,
    /// The most labels of a categorical column that have a cell of their own; 1,000. The most
    /// frequent ones do.
    pub labels: usize,
    /// An integer column with no more distinct values than this is categorical; 10.
    pub integer_categories: usize,
    /// The columns to profile; all where it is `None`.
    pub columns: Option<BTreeSet<String>>,
    /// Columns not to profile: identifiers, dates of the row.
    pub exclude: BTreeSet<String>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self {
            edges: 1024,
            labels: 1000,
            integer_categories: 10,
            columns: None,
            exclude: BTreeSet::new(),
        }
    }
}

impl ProfileOptions {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this many edges at most.
    #[must_use]
    pub fn edges(mut self, edges: usize) -> Self {
        self.edges = edges;
        self
    }

    /// The same with this many labels at most.
    #[must_use]
    pub fn labels(mut self, labels: usize) -> Self {
        self.labels = labels;
        self
    }

    /// The same with integers as categories up to this many distinct values; 0 never.
    #[must_use]
    pub fn integer_categories(mut self, distinct: usize) -> Self {
        self.integer_categories = distinct;
        self
    }

    /// The same for these columns only.
    #[must_use]
    pub fn columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The same without these columns, too.
    #[must_use]
    pub fn exclude<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.exclude.extend(names.into_iter().map(Into::into));
        self
    }
}

/// What the first scan finds out about a column.
enum Found {
    Values(Handle<ValueState>),
    Labels(Handle<CategoryTable>),
}

pub(crate) fn fit(source: &dyn DataSource, options: &ProfileOptions) -> Result<ReferenceProfile> {
    if !(2..=1 << 16).contains(&options.edges) {
        return Err(Error::invalid("edges", "2 to 65,536", options.edges));
    }
    if !(1..=LABEL_CAP).contains(&options.labels) {
        return Err(Error::invalid("labels", "1 to 65,536", options.labels));
    }
    let schema = source.schema();
    let asked = options.columns.iter().flatten().chain(&options.exclude);
    if let Some(column) = asked.into_iter().find(|c| schema.field_with_name(c).is_err()) {
        return Err(Error::ColumnNotFound {
            column: column.clone(),
            available: schema.fields().iter().map(|f| f.name().clone()).collect(),
        });
    }
    let wanted = |name: &String| {
        options.columns.as_ref().is_none_or(|c| c.contains(name)) && !options.exclude.contains(name)
    };
    let mut plan = Plan::new();
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for field in schema.fields() {
        let (Some(family), true) = (Family::of(field.data_type()), wanted(field.name())) else {
            continue;
        };
        if !seen.insert(field.name()) {
            continue;
        }
        let column = field.name().clone();
        let found = match family {
            Family::Text | Family::Boolean | Family::Null => {
                Found::Labels(plan.add(CategoryCounts::new(column).with_cap(LABEL_CAP)?))
            }
            _ => {
                let cap = options.edges * BUCKETS_PER_EDGE;
                Found::Values(plan.add(ValueFinder { column, cap }))
            }
        };
        columns.push((field.name().clone(), family, found));
    }
    let measured = Scan::new(source).run(&plan)?;
    let mut described = Vec::with_capacity(columns.len());
    for (name, family, found) in columns {
        let (kind, cells) = match found {
            Found::Labels(handle) => labels_of(measured.get(&handle)?, options),
            Found::Values(handle) => cells_of(measured.get(&handle)?, family, options),
        };
        described.push((name, family, kind, cells));
    }
    count(source, described)
}

fn labels_of(found: &CategoryTable, options: &ProfileOptions) -> (Kind, Cells) {
    if !found.is_complete() {
        return (Kind::TooManyLabels, Cells::Labels(Vec::new().into()));
    }
    let frequent = found.by_count().into_iter().take(options.labels);
    let mut labels: Vec<_> = frequent.map(|(label, _)| label.to_owned()).collect();
    labels.sort_unstable();
    (Kind::Categorical, Cells::Labels(labels.into()))
}

fn cells_of(found: &ValueState, family: Family, options: &ProfileOptions) -> (Kind, Cells) {
    // Beyond 2⁵³ integers were rounded when they were read, and their text would be another.
    let exact = |x: f64| x.abs() < 9007199254740992.0;
    let few = found.distinct().is_some_and(|n| (1..=options.integer_categories).contains(&n));
    if family == Family::Integer && few && found.values().all(exact) {
        let mut labels: Vec<_> = found.values().map(|x| format!("{}", x as i64)).collect();
        labels.sort_unstable();
        return (Kind::FewIntegers, Cells::Labels(labels.into()));
    }
    (Kind::Numeric, Cells::Edges(found.edges(options.edges).into()))
}

/// Counts a source in given cells.
pub(crate) fn count(
    source: &dyn DataSource,
    columns: Vec<(String, Family, Kind, Cells)>,
) -> Result<ReferenceProfile> {
    let schema = source.schema();
    let mut plan = Plan::new();
    let rows = plan.add(RowCount);
    let mut handles = Vec::with_capacity(columns.len());
    for (name, family, _, cells) in &columns {
        if let Ok(field) = schema.field_with_name(name)
            && !Family::of(field.data_type())
                .is_some_and(|f| family.takes(f, cells.is_categorical()))
        {
            return Err(Error::column_type(name, family.to_string(), field.data_type()));
        }
        handles.push(plan.add(CountAtCells::new(name, cells.clone())?));
    }
    let measured = Scan::new(source).run(&plan)?;
    let columns = columns
        .into_iter()
        .zip(handles)
        .map(|((name, family, kind, cells), handle)| {
            let counts = measured.get(&handle)?.clone();
            Ok(ColumnProfile { name, family, kind, cells, counts })
        })
        .collect::<Result<_>>()?;
    ReferenceProfile::new(*measured.get(&rows)?, columns)
}
