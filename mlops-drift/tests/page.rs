//! The page of a comparison of very many columns stays light, and shows what matters first.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::MemorySource;
use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile};

const COLUMNS: usize = 2_000;
const ROWS: u64 = 300;

/// Columns of numbers and of categories, some with nulls; the last moves by `shift`.
fn data(shift: f64) -> MemorySource {
    let columns = (0..COLUMNS).map(|i| {
        let at = |row: u64| ((row * 2_654_435_761 + i as u64 * 97) % 1_000) as f64 / 1_000.0;
        let by = if i + 1 == COLUMNS { shift } else { 0.0 };
        let column: ArrayRef = if i % 10 == 0 {
            let labels = (0..ROWS).map(|row| ["red", "green", "blue"][(at(row) * 3.0) as usize]);
            Arc::new(StringArray::from_iter_values(labels))
        } else {
            let rows = (0..ROWS).map(|row| (i % 7 > 0 || row % 20 > 0).then(|| at(row) + by));
            Arc::new(rows.collect::<Float64Array>())
        };
        (format!("x{i}"), column)
    });
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("a batch")
        .into()
}

#[test]
fn two_thousand_columns_make_a_light_page() {
    let profile = ReferenceProfile::fit(&data(0.0), &ProfileOptions::new()).expect("a profile");
    let report = DriftMonitor::new(profile).compare(&data(0.6)).expect("a report");
    let html = report.to_report().to_html();
    // Half a second over a line of 20 Mbit/s.
    assert!(html.len() < 1_250_000, "{} bytes", html.len());
    // The first in rank are in the table, and it says how many are not.
    assert!(html.contains("and 1,900 more"));
    let drawn = html.matches("<figure").count();
    assert!((1..100).contains(&drawn), "{drawn} pictures");
    // What drifted comes first.
    let table = html.find("<tbody>").map(|at| &html[at..]).expect("a table");
    assert!(table.starts_with("<tbody>\n<tr><td><code>x1999</code>"), "{table:.200}");
    // It asks the network for nothing.
    for request in ["<script src", "<link", "<img", "@import", "url(http", "fetch("] {
        assert!(!html.contains(request), "{request}");
    }
}
