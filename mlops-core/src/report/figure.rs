//! What a figure shows, apart from how it is drawn.

use serde::{Deserialize, Serialize};

use super::chart::Chart;
use super::format;
use super::table::{Cell, DIGITS, Row, Table};
use crate::Verdict;

/// A picture of numbers: a title, a note and a plot.
///
/// ```
/// use mlops_core::report::{Distribution, Figure};
///
/// let figure = Figure::new(
///     "age",
///     Distribution::numbers([20.0, 40.0, 60.0, 80.0])
///         .series("reference", [200, 300, 100], 4)
///         .series("current", [120, 320, 160], 9),
/// )
/// .x_label("years");
/// assert_eq!(figure.to_table().rows.len(), 4);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// A sentence under the title.
    pub note: Option<String>,
    /// A verdict on what it shows.
    pub verdict: Option<Verdict>,
    /// What the horizontal axis measures, with its unit.
    pub x_label: Option<String>,
    /// What the vertical axis measures, with its unit.
    pub y_label: Option<String>,
    /// What is drawn.
    pub plot: Plot,
}

/// What a figure draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Plot {
    /// How values are distributed, reference against current.
    Distribution(Distribution),
    /// Numbers in order: over time, over batches.
    Line(Line),
    /// A signed bar per name: attributions, importances.
    Bars(Bars),
    /// A point and its interval per name, against bounds.
    Intervals(Intervals),
    /// A table of shaded numbers: a confusion matrix, correlations.
    HeatMap(HeatMap),
    /// Shapes on two axes.
    Chart(Box<Chart>),
}

impl Figure {
    /// A figure with this title.
    pub fn new(title: impl Into<String>, plot: impl Into<Plot>) -> Self {
        Self {
            title: title.into(),
            note: None,
            verdict: None,
            x_label: None,
            y_label: None,
            plot: plot.into(),
        }
    }

    /// The same, with a sentence under the title.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The same, with a verdict on what it shows.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// The same, with what the horizontal axis measures.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = Some(label.into());
        self
    }

    /// The same, with what the vertical axis measures.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = Some(label.into());
        self
    }

    /// The numbers behind the picture.
    pub fn to_table(&self) -> Table {
        match &self.plot {
            Plot::Distribution(plot) => plot.to_table(),
            Plot::Line(plot) => plot.to_table(self.x_label.as_deref()),
            Plot::Bars(plot) => plot.to_table(self.x_label.as_deref()),
            Plot::Intervals(plot) => plot.to_table(self.x_label.as_deref()),
            Plot::HeatMap(plot) => plot.to_table(),
            Plot::Chart(plot) => plot.table.clone(),
        }
    }
}

macro_rules! plot_from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Plot {
            fn from(plot: $kind) -> Self {
                Self::$kind(plot)
            }
        }
    )*};
}

plot_from!(Distribution, Line, Bars, Intervals, HeatMap);

impl From<Chart> for Plot {
    fn from(plot: Chart) -> Self {
        Self::Chart(Box::new(plot))
    }
}

/// What the counts of a distribution count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// Intervals between edges, ascending; the first and last may be infinite.
    Edges(#[serde(with = "super::number::list")] Vec<f64>),
    /// Categories by name.
    Categories(Vec<String>),
}

/// The counts of one dataset in the bins of a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// The dataset: `reference`, `current`.
    pub name: String,
    /// Rows in each bin.
    pub counts: Vec<u64>,
    /// Rows without a value.
    pub missing: u64,
}

/// How values are distributed in one dataset or several: histograms over one another, or bars
/// side by side for categories. Drawn as shares of all rows, the missing ones included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Distribution {
    /// The bins that all series share.
    pub bins: Bins,
    /// The datasets, the reference first.
    pub series: Vec<Counts>,
}

impl Distribution {
    /// Of numbers, in the intervals between these edges.
    pub fn numbers(edges: impl Into<Vec<f64>>) -> Self {
        Self { bins: Bins::Edges(edges.into()), series: Vec::new() }
    }

    /// Of these categories.
    pub fn categories<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { bins: Bins::Categories(names), series: Vec::new() }
    }

    /// The same, with a dataset's count in each bin, and of its rows without a value.
    #[must_use]
    pub fn series(
        mut self,
        name: impl Into<String>,
        counts: impl Into<Vec<u64>>,
        missing: u64,
    ) -> Self {
        self.series.push(Counts { name: name.into(), counts: counts.into(), missing });
        self
    }

    /// The bins' names.
    pub(crate) fn labels(&self) -> Vec<String> {
        match &self.bins {
            Bins::Categories(names) => names.iter().map(|n| format::clean(n)).collect(),
            Bins::Edges(edges) => edges
                .windows(2)
                .map(|pair| {
                    let [low, high] = [pair[0], pair[1]].map(|e| format::number(e, DIGITS));
                    if pair[0] == f64::NEG_INFINITY && pair[1] == f64::INFINITY {
                        "all".to_owned()
                    } else if pair[0] == f64::NEG_INFINITY {
                        format!("below {high}")
                    } else if pair[1] == f64::INFINITY {
                        format!("from {low}")
                    } else {
                        format!("{low} to {high}")
                    }
                })
                .collect(),
        }
    }

    fn to_table(&self) -> Table {
        let titles = self.series.iter().flat_map(|s| [s.name.clone(), format!("{} %", s.name)]);
        let mut table = Table::new(["Bin".to_owned()].into_iter().chain(titles));
        for (i, label) in self.labels().into_iter().enumerate() {
            let cells = self.series.iter().flat_map(|s| match s.counts.get(i) {
                Some(n) => [Cell::Count(*n), Cell::Percent(s.share(*n))],
                None => [Cell::Missing, Cell::Missing],
            });
            table.rows.push(Row([Cell::Text(label)].into_iter().chain(cells).collect()));
        }
        if self.series.iter().any(|s| s.missing > 0) {
            let cells = self
                .series
                .iter()
                .flat_map(|s| [Cell::Count(s.missing), Cell::Percent(s.share(s.missing))]);
            table
                .rows
                .push(Row([Cell::Text("missing".to_owned())].into_iter().chain(cells).collect()));
        }
        table
    }
}

impl Counts {
    /// Rows, with or without a value.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().fold(self.missing, |sum, n| sum.saturating_add(*n))
    }

    /// The share of all rows; NaN where there are none.
    pub(crate) fn share(&self, count: u64) -> f64 {
        count as f64 / self.total() as f64
    }
}

/// A line that a number should stay on one side of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bound {
    /// What it is: `threshold`, `warn`.
    pub name: String,
    /// Where it lies.
    #[serde(with = "super::number")]
    pub at: f64,
}

/// A point on a line worth a word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mark {
    /// Which point, from 0.
    pub index: usize,
    /// The word: `drift injected`, `promoted v2`.
    pub label: String,
}

/// One line of a [`Line`] plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LineSeries {
    /// What it is.
    pub name: String,
    /// A value for each point; NaN where there is none, which is shown as a gap.
    #[serde(with = "super::number::list")]
    pub values: Vec<f64>,
    /// The lower limits of a band; empty without one.
    #[serde(with = "super::number::list")]
    pub low: Vec<f64>,
    /// The upper limits of a band.
    #[serde(with = "super::number::list")]
    pub high: Vec<f64>,
}

/// Numbers in order, with bands, bounds and marked points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// The points' names in order: months, batches, versions. They stand at equal distances.
    pub points: Vec<String>,
    /// The lines.
    pub series: Vec<LineSeries>,
    /// The bounds.
    pub bounds: Vec<Bound>,
    /// The points worth a word.
    pub marks: Vec<Mark>,
}

impl Line {
    /// A plot over these points.
    pub fn over<T: Into<String>>(points: impl IntoIterator<Item = T>) -> Self {
        Self {
            points: points.into_iter().map(Into::into).collect(),
            series: Vec::new(),
            bounds: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// The same, with a line; NaN is a gap.
    #[must_use]
    pub fn series(mut self, name: impl Into<String>, values: impl Into<Vec<f64>>) -> Self {
        self.series.push(LineSeries {
            name: name.into(),
            values: values.into(),
            low: Vec::new(),
            high: Vec::new(),
        });
        self
    }

    /// The same, with confidence limits round the last line.
    #[must_use]
    pub fn band(mut self, low: impl Into<Vec<f64>>, high: impl Into<Vec<f64>>) -> Self {
        if let Some(last) = self.series.last_mut() {
            last.low = low.into();
            last.high = high.into();
        }
        self
    }

    /// The same, with a bound.
    #[must_use]
    pub fn bound(mut self, name: impl Into<String>, at: f64) -> Self {
        self.bounds.push(Bound { name: name.into(), at });
        self
    }

    /// The same, with a word at the point of this number (from 0).
    #[must_use]
    pub fn mark(mut self, index: usize, label: impl Into<String>) -> Self {
        self.marks.push(Mark { index, label: label.into() });
        self
    }

    fn to_table(&self, x_label: Option<&str>) -> Table {
        let mut titles = vec![x_label.unwrap_or("Point").to_owned()];
        for s in &self.series {
            titles.push(s.name.clone());
            if !s.low.is_empty() {
                titles.push(format!("{} low", s.name));
                titles.push(format!("{} high", s.name));
            }
        }
        if !self.marks.is_empty() {
            titles.push("Mark".to_owned());
        }
        let mut table = Table::new(titles);
        for (i, point) in self.points.iter().enumerate() {
            let mut cells = vec![Cell::from(point)];
            for s in &self.series {
                cells.push(Cell::from(s.values.get(i).copied()));
                if !s.low.is_empty() {
                    cells.push(Cell::from(s.low.get(i).copied()));
                    cells.push(Cell::from(s.high.get(i).copied()));
                }
            }
            if !self.marks.is_empty() {
                let words: Vec<_> =
                    self.marks.iter().filter(|m| m.index == i).map(|m| m.label.as_str()).collect();
                cells.push(Cell::Text(words.join(", ")));
            }
            table.rows.push(Row(cells));
        }
        let bounds: Vec<_> = self.bounds.iter().map(Bound::to_string).collect();
        table.caption = (!bounds.is_empty()).then(|| bounds.join(", "));
        table
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", format::clean(&self.name), format::number(self.at, DIGITS))
    }
}

/// A bar of a [`Bars`] plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bar {
    /// What it is of.
    pub label: String,
    /// Its signed length.
    #[serde(with = "super::number")]
    pub value: f64,
}

/// A signed bar per name, in the order given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bars {
    /// The bars.
    pub bars: Vec<Bar>,
    /// How many are drawn before "and N more".
    pub limit: usize,
}

impl Bars {
    /// These bars.
    pub fn new<T: Into<String>>(bars: impl IntoIterator<Item = (T, f64)>) -> Self {
        let bars = bars.into_iter().map(|(label, value)| Bar { label: label.into(), value });
        Self { bars: bars.collect(), limit: 20 }
    }

    /// The same bars, the longest first; those that are not finite last.
    #[must_use]
    pub fn longest_first(mut self) -> Self {
        let length = |bar: &Bar| if bar.value.is_finite() { bar.value.abs() } else { -1.0 };
        self.bars.sort_by(|a, b| length(b).total_cmp(&length(a)));
        self
    }

    /// The same, drawing at most so many.
    #[must_use]
    pub fn limit(mut self, bars: usize) -> Self {
        self.limit = bars;
        self
    }

    fn to_table(&self, x_label: Option<&str>) -> Table {
        Table::new(["Name", x_label.unwrap_or("Value")])
            .rows(self.bars.iter().map(|bar| (bar.label.as_str(), bar.value)))
    }
}

/// A row of an [`Intervals`] plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntervalRow {
    /// What it is of: a group, a metric.
    pub label: String,
    /// The number; NaN where it is undefined, which is shown.
    #[serde(with = "super::number")]
    pub value: f64,
    /// Its confidence limits; an infinite one runs to the edge.
    #[serde(with = "super::number::pair")]
    pub interval: Option<(f64, f64)>,
    /// The verdict on it.
    pub verdict: Option<Verdict>,
}

/// A point and its interval per name, against bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Intervals {
    /// The rows, in order.
    pub rows: Vec<IntervalRow>,
    /// The bounds.
    pub bounds: Vec<Bound>,
}

impl Intervals {
    /// A plot without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a point, its limits where there are any, and a verdict where there is one.
    #[must_use]
    pub fn point(
        mut self,
        label: impl Into<String>,
        value: f64,
        interval: impl Into<Option<(f64, f64)>>,
        verdict: impl Into<Option<Verdict>>,
    ) -> Self {
        self.rows.push(IntervalRow {
            label: label.into(),
            value,
            interval: interval.into(),
            verdict: verdict.into(),
        });
        self
    }

    /// The same, with a bound.
    #[must_use]
    pub fn bound(mut self, name: impl Into<String>, at: f64) -> Self {
        self.bounds.push(Bound { name: name.into(), at });
        self
    }

    fn to_table(&self, x_label: Option<&str>) -> Table {
        let mut table = Table::new(["Name", x_label.unwrap_or("Value"), "Low", "High", "Verdict"])
            .rows(self.rows.iter().map(|r| {
                let (low, high) = r.interval.unzip();
                (r.label.as_str(), r.value, low, high, r.verdict)
            }));
        let bounds: Vec<_> = self.bounds.iter().map(Bound::to_string).collect();
        table.caption = (!bounds.is_empty()).then(|| bounds.join(", "));
        table
    }
}

/// A table of shaded numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeatMap {
    /// The rows' names.
    pub rows: Vec<String>,
    /// The columns' names.
    pub columns: Vec<String>,
    /// A value per row and column; NaN where there is none.
    #[serde(with = "super::number::table")]
    pub values: Vec<Vec<f64>>,
    /// Whether the values are counts that are shaded by their share of the row.
    pub shares: bool,
}

impl HeatMap {
    /// These values, shaded from the least to the greatest; where some are negative, away from
    /// zero to both sides.
    pub fn new<R: Into<String>, C: Into<String>>(
        rows: impl IntoIterator<Item = R>,
        columns: impl IntoIterator<Item = C>,
        values: impl Into<Vec<Vec<f64>>>,
    ) -> Self {
        Self {
            rows: rows.into_iter().map(Into::into).collect(),
            columns: columns.into_iter().map(Into::into).collect(),
            values: values.into(),
            shares: false,
        }
    }

    /// A confusion matrix: `counts[i][j]` rows of class `i` were predicted as `j`; each is shaded
    /// by its share of the row.
    pub fn confusion<T: Into<String>>(
        classes: impl IntoIterator<Item = T>,
        counts: &[Vec<u64>],
    ) -> Self {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        Self {
            rows: classes.iter().map(|c| format!("actual {c}")).collect(),
            columns: classes.iter().map(|c| format!("predicted {c}")).collect(),
            values: counts.iter().map(|r| r.iter().map(|n| *n as f64).collect()).collect(),
            shares: true,
        }
    }

    /// The value of a cell; NaN where there is none.
    pub(crate) fn value(&self, row: usize, column: usize) -> f64 {
        self.values.get(row).and_then(|r| r.get(column)).copied().unwrap_or(f64::NAN)
    }

    /// How strongly a cell is shaded, from −1 to 1; `None` where it has no value.
    pub(crate) fn shade(&self, row: usize, column: usize) -> Option<f64> {
        let value = self.value(row, column);
        let cells =
            || (0..self.rows.len()).flat_map(|r| (0..self.columns.len()).map(move |c| (r, c)));
        let full = if self.shares {
            (0..self.columns.len()).map(|c| self.value(row, c)).filter(|v| v.is_finite()).sum()
        } else {
            cells()
                .map(|(r, c)| self.value(r, c).abs())
                .filter(|v| v.is_finite())
                .fold(0.0, f64::max)
        };
        let share = value / full;
        if value == 0.0 { Some(0.0) } else { share.is_finite().then(|| share.clamp(-1.0, 1.0)) }
    }

    fn to_table(&self) -> Table {
        let titles = [String::new()].into_iter().chain(self.columns.iter().cloned());
        let mut table = Table::new(titles);
        for (r, name) in self.rows.iter().enumerate() {
            let cells = (0..self.columns.len()).map(|c| Cell::from(self.value(r, c)));
            table.rows.push(Row([Cell::from(name)].into_iter().chain(cells).collect()));
        }
        table
    }
}

impl Intervals {
    /// An axis over all points, limits and bounds.
    pub(crate) fn axis(&self, steps: usize) -> super::axis::Axis {
        let points = self.rows.iter().flat_map(|r| {
            let (low, high) = r.interval.unzip();
            [Some(r.value), low, high].into_iter().flatten()
        });
        super::axis::Axis::covering(points.chain(self.bounds.iter().map(|b| b.at)), steps)
    }
}
