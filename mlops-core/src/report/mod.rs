//! Reports: text, tables and figures, rendered to a terminal, JSON, Markdown and HTML.
//!
//! A [`Report`] says its verdict first, then goes into depth, section by section. It is plain data
//! that knows nothing of how it is shown: a leaf of the house builds one, and who holds it chooses
//! the form. The HTML is one file that needs nothing else: pictures are SVG inside it, it has no
//! script and asks no network, it is light or dark as its reader is, and reads on a phone.
//!
//! ```
//! use mlops_core::Verdict;
//! use mlops_core::report::{Cell, Distribution, Figure, Report, Section, Table};
//!
//! let report = Report::new("Loan model, March")
//!     .subtitle("Drift of the applications against the training data")
//!     .meta("Rows", 16_281_u64)
//!     .verdict(Verdict::Fail)
//!     .section(
//!         Section::new("Columns")
//!             .text("One column left its bound.")
//!             .table(
//!                 Table::new(["Column", "PSI", "Verdict"])
//!                     .row(("age", Cell::number(0.004, 2), Verdict::Pass))
//!                     .row(("income", Cell::number(0.41, 2), Verdict::Fail)),
//!             )
//!             .figure(Figure::new(
//!                 "income",
//!                 Distribution::numbers([0.0, 1e4, 2e4, 4e4])
//!                     .series("reference", [50, 40, 10], 0)
//!                     .series("current", [20, 40, 35], 5),
//!             )),
//!     );
//! assert!(report.to_terminal(80, false).contains("income"));
//! assert!(report.to_markdown().starts_with("# Loan model, March"));
//! assert!(report.to_html().contains("<svg"));
//! assert_eq!(Report::from_json(&report.to_json()?)?, report);
//! # Ok::<(), mlops_core::Error>(())
//! ```

/// Appends formatted text; writing to a `String` can't fail.
macro_rules! add {
    ($out:expr, $($text:tt)*) => {{
        let _ = write!($out, $($text)*);
    }};
}

mod axis;
mod chart;
mod document;
mod draw;
mod draw_chart;
mod figure;
mod findings;
mod format;
mod html;
mod junit;
mod markdown;
mod number;
mod svg;
mod table;
mod terminal;

pub use chart::{Chart, ChartRow, Place, Scale, Shape, ShapeKind, Tone};
pub use document::{Block, KeyValue, Report, Section};
pub use figure::{
    Bar, Bars, Bins, Bound, Counts, Distribution, Figure, HeatMap, IntervalRow, Intervals, Line,
    LineSeries, Mark, Plot,
};
pub use format::clean;
pub use junit::junit;
pub use table::{Align, Cell, Row, Table};
