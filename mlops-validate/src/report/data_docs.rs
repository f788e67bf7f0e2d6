//! The page of a validation: the verdict, what failed, what was not judged, then everything.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use mlops_core::report::{
    Bins, Cell, Distribution, Figure, KeyValue, Report, Row, Section, Table, clean,
};
use mlops_core::{RowId, Severity, Verdict};

use super::Redaction;
use crate::{Measured, Outcome, Sample, Validation};

/// Failures that are shown with their rows; the others are in a table.
const SHOWN: usize = 25;

/// Groups of expectations that are shown open, passing or not.
const OPEN: usize = 4;

/// A validation as a document that says its verdict first: what failed, with the failing rows;
/// what could not be judged; what was decided from statistics alone; then every expectation by
/// column, with distributions where the host has some.
///
/// `Report::from(&validation)` is the same without extras. The document renders to the terminal,
/// Markdown, JSON and one HTML file that needs nothing else.
///
/// ```
/// use mlops_core::arrow::array::Int32Array;
/// use mlops_core::report::{Distribution, Figure};
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{DataDocs, Mask, Redaction, Suite, in_range};
///
/// let data = MemorySource::from(batch! { "age" => Int32Array::from(vec![31, 150, 47]) }?);
/// let found = Suite::new("applications").expect(in_range("age", 18..=99)).check(&data)?;
/// let page = DataDocs::new(&found)
///     .meta("Source", "march.parquet")
///     .distribution("age", Distribution::numbers([0.0, 50.0, 200.0]).series("march", [2, 1], 0))
///     .report();
/// assert!(page.to_html().contains("150"));
/// assert!(page.to_markdown().contains("1 of 1 expectations failed"));
///
/// let safe = DataDocs::new(&found).redacted(&Redaction::all(Mask::Hide)).report();
/// assert!(!safe.to_json()?.contains("150"));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DataDocs<'a> {
    of: &'a Validation,
    meta: Vec<KeyValue>,
    distributions: Vec<(String, Distribution)>,
    redaction: Option<Redaction>,
}

impl<'a> DataDocs<'a> {
    /// The page of this validation.
    pub fn new(of: &'a Validation) -> Self {
        Self { of, meta: Vec::new(), distributions: Vec::new(), redaction: None }
    }

    /// The same, with one more short fact under the title: the source, the time, the version.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Cell>) -> Self {
        self.meta.push(KeyValue { key: key.into(), value: value.into() });
        self
    }

    /// The same, with how the values of a column are distributed.
    pub fn distribution(mut self, column: impl Into<String>, of: Distribution) -> Self {
        self.distributions.push((column.into(), of));
        self
    }

    /// The same, without what may not be shown, of the findings and of the distributions: those
    /// of masked columns are left out, in the others counts are rounded down to multiples of the
    /// smallest that may be shown, and categories below it are left out.
    pub fn redacted(mut self, redaction: &Redaction) -> Self {
        self.redaction = Some(redaction.clone());
        self
    }

    /// The document.
    pub fn report(&self) -> Report {
        let of = match &self.redaction {
            Some(redaction) => Cow::Owned(self.of.redacted(redaction)),
            None => Cow::Borrowed(self.of),
        };
        let page = Page { of: &of, figures: self.figures(), directory: directory(&of) };
        let mut report = Report::new(of.suite.clone())
            .verdict(of.verdict)
            .subtitle(summary(&of))
            .meta("Rows", of.rows)
            .meta("Expectations", of.outcomes.len());
        report.meta.extend(self.meta.iter().cloned());
        if let Some(words) = &of.redaction {
            report = report.meta("Redacted", words.as_str());
        }
        let parts = [page.failed(), page.not_judged(), page.settled(), page.all()];
        parts.into_iter().flatten().fold(report, Report::section)
    }

    /// The distributions that may be shown.
    fn figures(&self) -> Vec<(&str, Figure)> {
        let redaction = self.redaction.as_ref();
        let shown = self.distributions.iter().filter_map(|(column, plot)| {
            let least = redaction.map_or(0, |r| r.small_cells);
            if redaction.is_some_and(|r| !r.shows(column)) {
                return None;
            }
            let figure = if least > 1 {
                Figure::new(column.as_str(), coarse(plot, least))
                    .note(format!("counts rounded down to multiples of {least}"))
            } else {
                Figure::new(column.as_str(), plot.clone())
            };
            Some((column.as_str(), figure))
        });
        shown.collect()
    }
}

/// The same with all counts rounded down to multiples, and without categories that are nothing
/// then.
fn coarse(plot: &Distribution, least: u64) -> Distribution {
    let down = |n: u64| n - n % least;
    let mut plot = plot.clone();
    for series in &mut plot.series {
        series.counts.iter_mut().for_each(|n| *n = down(*n));
        series.missing = down(series.missing);
    }
    if let Bins::Categories(names) = &mut plot.bins {
        let kept: Vec<_> = (0..names.len())
            .map(|i| plot.series.iter().any(|s| s.counts.get(i).is_some_and(|n| *n > 0)))
            .collect();
        let mut keep = kept.iter();
        names.retain(|_| keep.next().copied().unwrap_or(false));
        for series in &mut plot.series {
            let mut keep = kept.iter();
            series.counts.retain(|_| keep.next().copied().unwrap_or(false));
        }
    }
    plot
}

impl From<&Validation> for Report {
    /// [`DataDocs`] without extras.
    fn from(of: &Validation) -> Self {
        DataDocs::new(of).report()
    }
}

struct Page<'a> {
    of: &'a Validation,
    figures: Vec<(&'a str, Figure)>,
    /// How much of the rows' origins is the directory that all of them are in.
    directory: usize,
}

/// The bytes of the directory that all failing rows' origins share.
fn directory(of: &Validation) -> usize {
    let mut origins =
        of.outcomes.iter().flat_map(|o| &o.finding.rows).map(|row| row.origin.as_str());
    let Some(first) = origins.next() else { return 0 };
    let parent = |path: &str| path.rfind('/').map_or(0, |at| at + 1);
    let mut shared = parent(first);
    for origin in origins {
        while !origin.starts_with(&first[..shared]) {
            shared = parent(first[..shared].trim_end_matches('/'));
        }
    }
    shared
}

impl Page<'_> {
    fn with(&self, verdict: Verdict) -> Vec<&Outcome> {
        let all = self.of.outcomes.iter();
        let mut found: Vec<_> = all.filter(|o| o.finding.verdict == verdict).collect();
        found.sort_by_key(|o| Reverse(o.finding.severity));
        found
    }

    fn failed(&self) -> Option<Section> {
        let failed = self.with(Verdict::Fail);
        if failed.is_empty() {
            return None;
        }
        let (shown, rest) = failed.split_at(failed.len().min(SHOWN));
        let section =
            Section::new("What failed").blocks(shown.iter().map(|o| failure(o, self.directory)));
        if rest.is_empty() {
            return Some(section);
        }
        let more = Section::new(format!("And {} more", rest.len())).folded(true);
        Some(section.section(more.table(outcomes(rest, true))))
    }

    fn not_judged(&self) -> Option<Section> {
        let found = self.with(Verdict::Inconclusive);
        let section = Section::new("What could not be judged")
            .text("Nothing was measured, or it could not be: a gate does not open on it.");
        (!found.is_empty()).then(|| section.table(outcomes(&found, true)))
    }

    fn settled(&self) -> Option<Section> {
        let settled: Vec<_> = self.of.outcomes.iter().filter(|o| o.settled_rows > 0).collect();
        if settled.is_empty() {
            return None;
        }
        let rows = settled.iter().map(|o| {
            let share = o.settled_rows as f64 / self.of.rows as f64;
            (Cell::code(&o.finding.subject), name(o), o.settled_rows, Cell::share(share))
        });
        let table = Table::new(["Of", "Expectation", "Rows not read", "Share"])
            .rows(rows)
            .limit(usize::MAX)
            .cards();
        let title = "What the file's statistics decided";
        let words = "The smallest and greatest values and the nulls that the file keeps of its \
                     row groups answered for these rows; the answer is the same as of reading them.";
        Some(Section::new(title).text(words).folded(settled.len() > 2 * OPEN).table(table))
    }

    fn all(&self) -> Option<Section> {
        let mut groups: Vec<(String, Vec<&Outcome>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for outcome in &self.of.outcomes {
            let title = match outcome.expectation.columns().as_slice() {
                [] => "The table".to_owned(),
                [column] => column.clone(),
                _ => "Several columns".to_owned(),
            };
            let place = *places.entry(title.clone()).or_insert_with(|| {
                groups.push((title, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(outcome);
        }
        // What was drawn and not asked about.
        for (column, _) in &self.figures {
            if !places.contains_key(*column) {
                groups.push(((*column).to_owned(), Vec::new()));
            }
        }
        if groups.is_empty() {
            return None;
        }
        let many = groups.len() > OPEN;
        let sections = groups.into_iter().map(|(title, found)| {
            let verdict = Verdict::all(found.iter().map(|o| o.finding.verdict));
            let several = found.iter().any(|o| o.expectation.columns().len() > 1);
            let figures: Vec<_> =
                self.figures.iter().filter(|(c, _)| *c == title).map(|(_, f)| f.clone()).collect();
            let mut section = Section::new(title).folded(many);
            if !found.is_empty() {
                section = section.verdict(verdict).table(outcomes(&found, several));
            }
            if figures.is_empty() { section } else { section.figures(figures) }
        });
        Some(Section::new("Every expectation, by column").blocks(sections))
    }
}

/// `not_null`, with what it is narrowed to.
fn name(of: &Outcome) -> String {
    let mut name = of.finding.check.clone();
    if let Some(condition) = &of.expectation.condition {
        name = format!("{name} where {condition}");
    }
    match of.finding.severity {
        Severity::Critical => name,
        Severity::Warning => format!("{name} (warning)"),
        Severity::Info => format!("{name} (info)"),
    }
}

/// The share of the rows that were looked at that fail.
fn unexpected(of: &Outcome) -> Option<f64> {
    match of.measured {
        Measured::Rows { element_count, missing_count, unexpected_count, .. } => {
            let looked_at = element_count.checked_sub(missing_count).filter(|n| *n > 0)?;
            Some(unexpected_count as f64 / looked_at as f64)
        }
        _ => None,
    }
}

fn outcomes(of: &[&Outcome], subjects: bool) -> Table {
    let mut titles = vec!["Verdict", "Expectation", "Expected", "Found"];
    let shares = of.iter().any(|o| unexpected(o).is_some());
    if shares {
        titles.push("Unexpected");
    }
    let rows = of.iter().map(|o| {
        let subject = &o.finding.subject;
        let named = if subjects { format!("{} of {subject}", name(o)) } else { name(o) };
        let mut cells = vec![
            Cell::Verdict(o.finding.verdict),
            Cell::Text(named),
            Cell::from(&o.finding.expected),
            Cell::from(&o.finding.observed),
        ];
        if shares {
            cells.push(unexpected(o).map_or_else(|| Cell::from(""), Cell::share));
        }
        Row(cells)
    });
    Table::new(titles).rows(rows).limit(usize::MAX).cards()
}

/// A failure with its numbers and rows.
fn failure(of: &Outcome, directory: usize) -> Section {
    let title = format!("{} of {}", name(of), of.finding.subject);
    let mut section = Section::new(title).verdict(of.finding.verdict);
    if let Some(words) = &of.expectation.description {
        section = section.text(words.as_str());
    }
    section =
        section.text(format!("Expected {}; found {}.", of.finding.expected, of.finding.observed));
    let (counts, samples): ([Cell; 3], _) = match &of.measured {
        Measured::Rows { element_count, missing_count, unexpected_count, samples } => {
            ([*element_count, *missing_count, *unexpected_count].map(Cell::from), samples)
        }
        Measured::Withheld { element_count, missing_count, unexpected_count, samples } => {
            let counts = [element_count, missing_count, unexpected_count];
            (counts.map(|n| n.exact().map_or_else(|| n.to_string().into(), Cell::from)), samples)
        }
        _ => return section,
    };
    let [all, missing, failing] = counts;
    let mut facts = vec![("Rows", all), ("Missing", missing), ("Unexpected", failing)];
    if let Some(share) = unexpected(of) {
        facts.push(("Share", Cell::share(share)));
    }
    section = section.key_values(facts);
    if samples.is_empty() { section } else { section.table(rows(of, samples, directory)) }
}

/// The first failing rows: where they stand, and their values.
fn rows(of: &Outcome, samples: &[Sample], directory: usize) -> Table {
    let grouped = samples.iter().any(|s| s.row_group.is_some());
    let mut titles = vec!["Row".to_owned()];
    if grouped {
        titles.extend(["Row group".to_owned(), "Row in it".to_owned()]);
    }
    let columns = of.expectation.columns();
    let width = samples.iter().map(|s| s.values.len()).max().unwrap_or(0);
    titles.extend((0..width).map(|i| columns.get(i).cloned().unwrap_or_default()));
    let mut table = Table::new(titles).limit(samples.len());
    table = match of.finding.failing_rows {
        Some(all) if all > samples.len() as u64 => {
            table.caption(format!("The first {} of the failing rows", samples.len()))
        }
        _ => table.caption("The failing rows"),
    };
    table.rows(samples.iter().map(|s| {
        let RowId { origin, row } = &s.row;
        let origin = origin.get(directory..).unwrap_or(origin);
        let mut cells = vec![Cell::Code(format!("{origin}:{row}"))];
        if grouped {
            cells.push(s.row_group.map(|g| g.group).into());
            cells.push(s.row_group.map(|g| g.row).into());
        }
        cells.extend(s.values.iter().map(value));
        Row(cells)
    }))
}

fn value(value: &serde_json::Value) -> Cell {
    match value {
        serde_json::Value::Null => Cell::Missing,
        serde_json::Value::String(text) => Cell::from(text),
        // As it stands in the file: an id has no thousands separators.
        other => Cell::Text(other.to_string()),
    }
}

/// `2 of 8 expectations failed, 1 could not be judged`.
fn summary(of: &Validation) -> String {
    let count = |v| of.outcomes.iter().filter(|o| o.finding.verdict == v).count();
    let (failed, unsure) = (count(Verdict::Fail), count(Verdict::Inconclusive));
    let all = of.outcomes.len();
    match (failed, unsure) {
        _ if all == 0 => "nothing was expected".to_owned(),
        (0, 0) => format!("all of {all} expectations are met"),
        (0, n) => format!("{n} of {all} expectations could not be judged"),
        (n, 0) => format!("{n} of {all} expectations failed"),
        (n, u) => format!("{n} of {all} expectations failed, {u} could not be judged"),
    }
}

impl fmt::Display for Validation {
    /// The verdict and what is no pass, a few lines each; without colours, and without what could
    /// drive a terminal. `Report::from` has all of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Lines of one kind.
        const LINES: usize = 20;
        write!(f, "{}: {} ({} rows)", clean(&self.suite), self.verdict, self.rows)?;
        write!(f, "\n  {}", summary(self))?;
        if let Some(words) = &self.redaction {
            write!(f, "; {}", clean(words))?;
        }
        let page = Page { of: self, figures: Vec::new(), directory: 0 };
        for verdict in [Verdict::Fail, Verdict::Inconclusive] {
            let found = page.with(verdict);
            for outcome in found.iter().take(LINES) {
                let (name, finding) = (clean(&name(outcome)), &outcome.finding);
                let [subject, expected, observed] =
                    [&finding.subject, &finding.expected, &finding.observed].map(|t| clean(t));
                write!(
                    f,
                    "\n  {verdict:<12} {name} of {subject}: expected {expected}, found {observed}"
                )?;
                if let Some(row) = finding.rows.first() {
                    write!(f, ", first in {}", clean(&row.to_string()))?;
                }
            }
            if found.len() > LINES {
                write!(f, "\n  {verdict:<12} and {} more", found.len() - LINES)?;
            }
        }
        Ok(())
    }
}
