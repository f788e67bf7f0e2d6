//! Shapes on two axes, for pictures that no other plot draws.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// What a shape's colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tone {
    /// Upwards from zero.
    Positive,
    /// Downwards from zero.
    Negative,
    /// One of several things, numbered from 0.
    Series(u8),
    /// From low, 0, to high, [`Tone::LEVELS`] − 1.
    Level(u8),
    /// Upwards from zero, faint at 0 and full at 10.
    PositiveShade(u8),
    /// Downwards from zero, faint at 0 and full at 10.
    NegativeShade(u8),
    /// There is no value.
    Missing,
    /// What only guides the eye.
    Guide,
}

impl Tone {
    /// How many levels there are from low to high.
    pub const LEVELS: u8 = 7;

    /// The level of a share in \[0, 1\]; missing where it is none.
    pub fn level(share: f64) -> Self {
        if share.is_nan() {
            return Self::Missing;
        }
        let last = f64::from(Self::LEVELS - 1);
        Self::Level((share.clamp(0.0, 1.0) * last).round() as u8)
    }

    /// The shade of a share in \[−1, 1\]; missing where it is none.
    pub fn shade(share: f64) -> Self {
        let strength = (share.abs().min(1.0) * 10.0).round() as u8;
        if share.is_nan() {
            Self::Missing
        } else if share < 0.0 {
            Self::NegativeShade(strength)
        } else {
            Self::PositiveShade(strength)
        }
    }

    pub(crate) fn class(self) -> String {
        match self {
            Self::Positive => "pos".to_owned(),
            Self::Negative => "neg".to_owned(),
            Self::Series(i) => format!("s{}", i % 6),
            Self::Level(i) => format!("t{}", i.min(Self::LEVELS - 1)),
            Self::PositiveShade(i) => format!("pos o{}", i.min(10)),
            Self::NegativeShade(i) => format!("neg o{}", i.min(10)),
            Self::Missing => "lost".to_owned(),
            Self::Guide => "guide".to_owned(),
        }
    }
}

/// The kind of a shape, and what its numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ShapeKind {
    /// Rectangles: left, right, and two ends along the vertical axis, for each.
    Cells,
    /// A line through points: x and y, for each.
    Line,
    /// A point: x and y.
    Dot,
    /// An arrow along a row: from, to, and the middle along the vertical axis. Its words stand in
    /// it or beside it.
    Arrow,
    /// The same as a link of a chain: its words are left out where they don't fit in.
    Link,
}

/// A shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shape {
    /// Its kind.
    pub kind: ShapeKind,
    /// Its numbers.
    #[serde(with = "super::number::list")]
    pub at: Vec<f64>,
    /// What its colour says.
    pub tone: Tone,
    /// Words at it; empty without.
    pub label: String,
    /// Words for who points at it; empty without.
    pub tooltip: String,
}

/// A row of the vertical axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChartRow {
    /// Its name, on the left.
    pub label: String,
    /// Words below its name; empty without.
    pub detail: String,
    /// Words at its right end; empty without.
    pub note: String,
}

/// A place on the horizontal axis worth a word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// Where.
    #[serde(with = "super::number")]
    pub at: f64,
    /// The word.
    pub label: String,
}

/// What the levels from low to high are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scale {
    /// The word at the low end.
    pub low: String,
    /// The word at the high end.
    pub high: String,
    /// Whether missing values are shown, too.
    pub missing: bool,
}

/// Shapes over a horizontal axis of numbers, and a vertical one of numbers or of named rows. What
/// is not finite is not drawn; the table has it.
///
/// ```
/// use mlops_core::report::{Chart, Figure, Report, Table, Tone};
/// let table = Table::new(["Feature", "Effect"]).row(("age", 0.5)).row(("income", -0.25));
/// let chart = Chart::new(table)
///     .row("age", "0.5")
///     .row("income", "-0.25")
///     .arrow(0, (0.0, 0.5), "+0.5", "age adds 0.5")
///     .arrow(1, (0.5, 0.25), "-0.25", "income takes 0.25 away")
///     .place(0.25, "prediction");
/// let report = Report::new("One row").figure(Figure::new("What moved it", chart));
/// assert!(report.to_html().contains("age adds 0.5"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Chart {
    /// The rows of the vertical axis, from the top: row i reaches from i to i + 1. Without rows it
    /// is an axis of numbers.
    pub rows: Vec<ChartRow>,
    /// How high a row is drawn, in pixels.
    pub row_height: f64,
    /// The shapes; later ones lie above.
    pub shapes: Vec<Shape>,
    /// Places on the horizontal axis worth a word and a line.
    pub places: Vec<Place>,
    /// Labels of the horizontal axis where it is not one of numbers.
    pub ticks: Option<Vec<Place>>,
    /// The tones and what they mean.
    pub legend: Vec<(Tone, String)>,
    /// What the levels are of.
    pub scale: Option<Scale>,
    /// The numbers behind the picture.
    pub table: Table,
}

impl Chart {
    /// A chart without shapes, of the numbers of this table.
    pub fn new(table: Table) -> Self {
        Self {
            rows: Vec::new(),
            row_height: 26.0,
            shapes: Vec::new(),
            places: Vec::new(),
            ticks: None,
            legend: Vec::new(),
            scale: None,
            table,
        }
    }

    /// The same, with one more row, and words at its right end.
    #[must_use]
    pub fn row(mut self, label: impl Into<String>, note: impl Into<String>) -> Self {
        let (label, note) = (label.into(), note.into());
        self.rows.push(ChartRow { label, detail: String::new(), note });
        self
    }

    /// The same, with words below the name of the last row: a value, a unit.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        if let Some(last) = self.rows.last_mut() {
            last.detail = detail.into();
        }
        self
    }

    /// The same, with rows of so many pixels, 8 to 80.
    #[must_use]
    pub fn row_height(mut self, pixels: f64) -> Self {
        self.row_height = if pixels.is_nan() { 26.0 } else { pixels.clamp(8.0, 80.0) };
        self
    }

    fn shape(
        mut self,
        kind: ShapeKind,
        at: Vec<f64>,
        tone: Tone,
        label: impl Into<String>,
        tooltip: impl Into<String>,
    ) -> Self {
        let (label, tooltip) = (label.into(), tooltip.into());
        self.shapes.push(Shape { kind, at, tone, label, tooltip });
        self
    }

    /// The same, with rectangles of one tone: `[left, right, y, y]` each.
    #[must_use]
    pub fn cells(
        self,
        tone: Tone,
        cells: impl IntoIterator<Item = [f64; 4]>,
        tooltip: impl Into<String>,
    ) -> Self {
        self.shape(ShapeKind::Cells, cells.into_iter().flatten().collect(), tone, "", tooltip)
    }

    /// The same, with a line through these points.
    #[must_use]
    pub fn line(
        self,
        tone: Tone,
        points: impl IntoIterator<Item = (f64, f64)>,
        tooltip: impl Into<String>,
    ) -> Self {
        let at = points.into_iter().flat_map(|(x, y)| [x, y]).collect();
        self.shape(ShapeKind::Line, at, tone, "", tooltip)
    }

    /// The same, with a point.
    #[must_use]
    pub fn dot(self, tone: Tone, (x, y): (f64, f64), tooltip: impl Into<String>) -> Self {
        self.shape(ShapeKind::Dot, vec![x, y], tone, "", tooltip)
    }

    /// The same, with an arrow in a row from one number to another, of the tone of its direction.
    #[must_use]
    pub fn arrow(
        self,
        row: usize,
        (from, to): (f64, f64),
        label: impl Into<String>,
        tooltip: impl Into<String>,
    ) -> Self {
        let tone = if to < from { Tone::Negative } else { Tone::Positive };
        self.shape(ShapeKind::Arrow, vec![from, to, row as f64 + 0.5], tone, label, tooltip)
    }

    /// The same, with an arrow that is one of a chain in a row.
    #[must_use]
    pub fn link(
        self,
        row: usize,
        (from, to): (f64, f64),
        label: impl Into<String>,
        tooltip: impl Into<String>,
    ) -> Self {
        let tone = if to < from { Tone::Negative } else { Tone::Positive };
        self.shape(ShapeKind::Link, vec![from, to, row as f64 + 0.5], tone, label, tooltip)
    }

    /// The same, with a word and a line at a place of the horizontal axis.
    #[must_use]
    pub fn place(mut self, at: f64, label: impl Into<String>) -> Self {
        self.places.push(Place { at, label: label.into() });
        self
    }

    /// The same, with these labels on the horizontal axis and no numbers.
    #[must_use]
    pub fn ticks<T: Into<String>>(mut self, ticks: impl IntoIterator<Item = (f64, T)>) -> Self {
        let ticks = ticks.into_iter().map(|(at, label)| Place { at, label: label.into() });
        self.ticks = Some(ticks.collect());
        self
    }

    /// The same, with what a tone means.
    #[must_use]
    pub fn legend(mut self, tone: Tone, meaning: impl Into<String>) -> Self {
        self.legend.push((tone, meaning.into()));
        self
    }

    /// The same, with what the levels are of: words at their low and high ends.
    #[must_use]
    pub fn scale(mut self, low: impl Into<String>, high: impl Into<String>, missing: bool) -> Self {
        self.scale = Some(Scale { low: low.into(), high: high.into(), missing });
        self
    }
}
