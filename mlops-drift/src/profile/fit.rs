//! Fitting a profile: scans that choose the cells, and one that counts in them.

use std::collections::BTreeSet;
use std::ops::Range;

use mlops_core::states::{CategoryCounts, CategoryTable, RowCount};
use mlops_core::{DataSource, Digest, Error, Handle, MemorySource, Plan, Result, Scan};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::profile::cells::{Cells, Kind};
use crate::profile::counts::CountAtCells;
use crate::profile::edges::FindEdges;
use crate::profile::family::Family;
use crate::profile::found_edges::FoundEdges;
use crate::profile::reference::{ColumnProfile, ReferenceProfile};

/// Beyond this many labels they are not counted one by one.
const LABEL_CAP: usize = 1 << 16;
/// The bytes of memory that a scan may take.
pub(crate) const MEMORY: usize = 256 << 20;
/// What a label takes in memory while labels are counted, at the most but for long ones.
const LABEL_BYTES: usize = 128;
/// What a source holds of a column while it is read: a batch and what it is decoded from, as a
/// dictionary and a page of Parquet.
const READ_BYTES: usize = 5 << 18;

/// How a reference is profiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProfileOptions {
    /// The most edges of a numeric column, 2 to 65,536; 4,096. The interval that holds `D` is at
    /// most about `3 / edges` wide, and the profile takes 24 bytes an edge.
    pub edges: usize,
    /// The most labels of a categorical column that have a cell of their own, 1 to 65,536; 1,000.
    /// Of more labels those with at least that share of the rows do, and a sample of the others
    /// ([`Kind::SampledLabels`]).
    pub labels: usize,
    /// An integer column with no more distinct values than this is categorical; 10.
    pub integer_categories: usize,
    /// The columns to profile; all where it is `None`.
    pub columns: Option<BTreeSet<String>>,
    /// Columns not to profile: identifiers, dates of the row.
    pub exclude: BTreeSet<String>,
    /// Bytes of memory that a scan may take, about; 256 MiB. Where all
    /// columns at once would take more, the source is scanned once for each group of columns that
    /// does not. The profile is the same. More is better for a source that cannot skip columns,
    /// as CSV.
    pub memory: usize,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self {
            edges: 4096,
            labels: 1000,
            integer_categories: 10,
            columns: None,
            exclude: BTreeSet::new(),
            memory: MEMORY,
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

    /// The same with so many bytes of memory for a scan.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }
}

/// A column, and how its cells are found.
struct Wanted {
    name: String,
    family: Family,
    by: By,
}

enum By {
    Edges(FindEdges),
    Labels(CategoryCounts),
}

impl By {
    fn bytes(&self) -> usize {
        match self {
            Self::Edges(find) => find.state_bytes(),
            Self::Labels(_) => LABEL_CAP * LABEL_BYTES,
        }
    }
}

/// A column of a profile before it is counted.
pub(crate) struct Described {
    pub(crate) count: CountAtCells,
    pub(crate) family: Family,
    pub(crate) kind: Kind,
}

/// A scan for counting in cells: what a column is counted with leaves the caches when the next one
/// is, so a batch has many rows where that takes little memory.
pub(crate) fn scan(source: &dyn DataSource) -> Scan<'_> {
    const VALUES: usize = 1 << 21;
    let columns = source.schema().fields().len().max(1);
    let rows = (VALUES / columns).clamp(Scan::BATCH_SIZE, MemorySource::PARTITION_ROWS);
    Scan::new(source).batch_size(rows)
}

pub(crate) fn fit(scan: Scan<'_>, options: &ProfileOptions) -> Result<ReferenceProfile> {
    let columns = wanted(scan, options)?;
    let mut described = Vec::with_capacity(columns.len());
    for group in groups(scan, columns.iter().map(|c| c.by.bytes()), options.memory)? {
        described.extend(describe(scan, &columns[group], options)?);
    }
    count(scan, described, options.memory)
}

fn wanted(scan: Scan<'_>, options: &ProfileOptions) -> Result<Vec<Wanted>> {
    if !(1..=LABEL_CAP).contains(&options.labels) {
        return Err(Error::invalid("labels", "1 to 65,536", options.labels));
    }
    // Without a column of numbers they must make sense, too.
    FindEdges::new("", options.edges)?;
    let schema = scan.source().schema();
    let asked = options.columns.iter().flatten().chain(&options.exclude);
    if let Some(column) = asked.into_iter().find(|c| schema.field_with_name(c).is_err()) {
        return Err(Error::ColumnNotFound {
            column: column.clone(),
            available: schema.fields().iter().map(|f| f.name().clone()).collect(),
        });
    }
    let is_wanted = |name: &String| {
        options.columns.as_ref().is_none_or(|c| c.contains(name)) && !options.exclude.contains(name)
    };
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for field in schema.fields() {
        let (Some(family), true) = (Family::of(field.data_type()), is_wanted(field.name())) else {
            continue;
        };
        if !seen.insert(field.name()) {
            continue;
        }
        let name = field.name().clone();
        let by = match family {
            Family::Text | Family::Boolean | Family::Null => {
                By::Labels(CategoryCounts::new(&name).with_cap(LABEL_CAP)?)
            }
            // As many distinct values are known.
            _ => {
                let edges = options.edges.max(options.integer_categories.min(1 << 16));
                By::Edges(FindEdges::new(&name, edges)?)
            }
        };
        columns.push(Wanted { name, family, by });
    }
    if columns.is_empty() {
        let found = match &options.columns {
            Some(asked) if asked.is_empty() => "an empty list",
            _ => "none that is wanted and not nested or binary",
        };
        return Err(Error::invalid("columns", "at least one to compare", found));
    }
    Ok(columns)
}

/// Columns one after the other, by what a state takes of each, in groups that take no more than
/// the memory, on all threads together.
fn groups(
    scan: Scan<'_>,
    bytes: impl Iterator<Item = usize>,
    memory: usize,
) -> Result<Vec<Range<usize>>> {
    // Each thread works on one state, and as many wait to be merged.
    let threads = rayon::current_num_threads().min(scan.source().partitions()?.len());
    let most = memory / threads.max(1);
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut taken = 0;
    for (i, bytes) in bytes.enumerate() {
        let bytes = 2 * bytes + READ_BYTES;
        match groups.last_mut() {
            Some(group) if taken + bytes <= most => {
                group.end = i + 1;
                taken += bytes;
            }
            _ => {
                groups.push(i..i + 1);
                taken = bytes;
            }
        }
    }
    Ok(groups)
}

/// Finds the cells of a group of columns: a scan, and one more of those columns in which it left
/// something unresolved, until nothing is.
fn describe(
    scan: Scan<'_>,
    columns: &[Wanted],
    options: &ProfileOptions,
) -> Result<Vec<Described>> {
    let mut labels = Vec::new();
    let mut edges = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        match &column.by {
            By::Edges(find) => edges.push((i, find.clone(), None)),
            By::Labels(count) => labels.push((i, count)),
        }
    }
    let mut cells: Vec<_> = columns.iter().map(|_| None).collect();
    while !labels.is_empty() || !edges.is_empty() {
        let mut plan = Plan::new();
        let counted: Vec<_> =
            labels.drain(..).map(|(i, count)| (i, plan.add(count.clone()))).collect();
        let looks: Vec<_> = edges.iter().map(|(_, find, _)| plan.add(find.clone())).collect();
        let measured = scan.run(&plan)?;
        for (i, handle) in counted {
            cells[i] = Some(labels_of(measured.get(&handle)?, options));
        }
        let looked = |((i, find, before), handle): (Looked, Handle<FoundEdges>)| {
            let mut found = measured.get(&handle)?.clone();
            if let Some(mut before) = before {
                before.refine(&find, found)?;
                found = before;
            }
            Ok(match find.again(&found) {
                Some(again) => (i, Err((again, found))),
                None => (i, Ok(cells_of(&found, columns[i].family, options)?)),
            })
        };
        let looked: Result<Vec<_>> = edges.into_par_iter().zip(looks).map(looked).collect();
        edges = Vec::new();
        for (i, result) in looked? {
            match result {
                Ok(found) => cells[i] = Some(found),
                Err((again, found)) => edges.push((i, again, Some(found))),
            }
        }
    }
    let found = columns.iter().zip(cells).filter_map(|(column, cells)| Some((column, cells?)));
    found
        .map(|(column, (kind, cells))| {
            let count = CountAtCells::new(&column.name, cells)?;
            Ok(Described { count, family: column.family, kind })
        })
        .collect()
}

/// A column, how it was looked at, and what was found before that.
type Looked = (usize, FindEdges, Option<FoundEdges>);

/// The labels that get a cell: all, or those with a share that earns one, and a sample of the rest.
fn labels_of(found: &CategoryTable, options: &ProfileOptions) -> (Kind, Cells) {
    let all = found.counts.len();
    if found.is_complete() && all <= options.labels {
        return (Kind::Categorical, Cells::Labels(found.counts.keys().cloned().collect()));
    }
    // The most frequent of many rare labels would be those that are frequent by chance, which
    // other data would seem to have lost. A share is met by chance by few; and a hash knows
    // nothing of the counts.
    let n = u128::from(found.n());
    let is_frequent = |count: &u64| u128::from(*count) * options.labels as u128 >= n;
    let (frequent, rare): (Vec<_>, Vec<_>) =
        found.counts.iter().partition(|(_, count)| is_frequent(count));
    let mut rare: Vec<_> = rare.into_iter().map(|(label, _)| (Digest::of(label), label)).collect();
    rare.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()).then(a.1.cmp(b.1)));
    let sampled = rare.into_iter().map(|(_, label)| label);
    let mut labels: Vec<_> = frequent
        .into_iter()
        .map(|(label, _)| label)
        .chain(sampled)
        .take(options.labels)
        .cloned()
        .collect();
    labels.sort_unstable();
    (Kind::SampledLabels, Cells::Labels(labels.into()))
}

fn cells_of(found: &FoundEdges, family: Family, options: &ProfileOptions) -> Result<(Kind, Cells)> {
    // Beyond 2⁵³ integers were rounded when they were read, and their text would be another.
    let exact = |x: f64| x.abs() < 9007199254740992.0;
    let few = found.distinct().is_some_and(|n| (1..=options.integer_categories).contains(&n));
    if family == Family::Integer && few && found.values().all(exact) {
        let mut labels: Vec<_> = found.values().map(|x| format!("{}", x as i64)).collect();
        labels.sort_unstable();
        return Ok((Kind::FewIntegers, Cells::Labels(labels.into())));
    }
    Ok((Kind::Numeric, Cells::Edges(found.edges(options.edges)?.into())))
}

/// Columns in groups that are counted within the memory; at least one, as there are rows without
/// columns, too.
pub(crate) fn groups_to_count<'a>(
    scan: Scan<'_>,
    cells: impl Iterator<Item = &'a Cells>,
    memory: usize,
) -> Result<Vec<Range<usize>>> {
    let mut groups = groups(scan, cells.map(|cells| 8 * cells.len()), memory)?;
    if groups.is_empty() {
        groups.push(0..0);
    }
    Ok(groups)
}

/// Counts a source in given cells.
pub(crate) fn count(
    scan: Scan<'_>,
    columns: Vec<Described>,
    memory: usize,
) -> Result<ReferenceProfile> {
    let schema = scan.source().schema();
    for Described { count, family, .. } in &columns {
        if let Ok(field) = schema.field_with_name(count.column())
            && !Family::of(field.data_type())
                .is_some_and(|f| family.takes(f, count.cells().is_categorical()))
        {
            return Err(Error::column_type(count.column(), family.to_string(), field.data_type()));
        }
    }
    let mut rows = 0;
    let mut counted = Vec::with_capacity(columns.len());
    for group in groups_to_count(scan, columns.iter().map(|c| c.count.cells()), memory)? {
        let mut plan = Plan::new();
        let all = plan.add(RowCount);
        let handles: Vec<_> =
            columns[group].iter().map(|column| plan.add(column.count.clone())).collect();
        let measured = scan.run(&plan)?;
        rows = *measured.get(&all)?;
        for handle in handles {
            counted.push(measured.get(&handle)?.clone());
        }
    }
    let columns = columns
        .into_iter()
        .zip(counted)
        .map(|(Described { count, family, kind }, counts)| ColumnProfile {
            count,
            family,
            kind,
            counts,
        })
        .collect();
    ReferenceProfile::new(rows, columns)
}
