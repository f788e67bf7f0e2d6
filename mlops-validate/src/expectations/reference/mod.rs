//! Questions about a table beside another source, which the host gives by name in a
//! [`Context`](crate::Context).

mod keys;
mod referential_integrity;
mod table_match;

pub use referential_integrity::{ReferentialIntegrity, referential_integrity};
pub use table_match::{
    DatasetMatch, RowCountEqualsOther, SchemaMatch, dataset_match, row_count_equals_other,
    schema_match,
};

use std::sync::Arc;

use mlops_core::Error;

use crate::compile::{Compiled, Compiler, Observation, RowRule};
use crate::outcome::Measured;

/// The answer where another source is not given or can't be read.
fn unread(to: &Compiler<'_>, expected: &str, found: String) -> Compiled {
    let seen = Observation::inconclusive(found.clone(), Measured::Failed(found.clone()));
    let Compiled { judge, .. } = to.fixed(expected, seen);
    // Rows could tell if it were given.
    let rows = move |_: &_| Err(Error::invalid("another source", "one that was read", &found));
    Compiled { judge, rows: Some(RowRule::AfterAll(Arc::new(rows))) }
}

fn not_given(name: &str) -> String {
    format!("no source `{name}` is given")
}
