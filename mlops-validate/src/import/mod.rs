//! Suites of other tools, carried over.
//!
//! | function | reads |
//! |---|---|
//! | [`great_expectations`] | suites of Great Expectations (JSON), of 1.x and of the releases before |
//! | [`pandera`] | schemas of pandera (YAML, JSON) |
//! | [`dbt`] | tests in dbt's properties (`schema.yml`), a suite a model |
//! | [`soda`] | `SodaCL` checks and Soda's data contracts (YAML), a suite a dataset |
//! | [`dqdl`] | rulesets in the Data Quality Definition Language of AWS Glue and deequ |
//!
//! What a suite of ours can't say is refused, each thing with its place and the reason, and the
//! rest is carried over; a text that is no suite of the tool at all is an error. Descriptions, tags
//! and notes are kept in the `meta` of their expectation or [of the suite](Imported::meta).
//!
//! ```
//! use mlops_validate::{import, not_null};
//!
//! let imported = import::great_expectations(r#"{
//!   "name": "orders",
//!   "expectations": [
//!     {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}},
//!     {"type": "expect_moon_phase", "kwargs": {}}
//!   ]
//! }"#)?;
//! assert_eq!(imported.suites[0].expectations, [not_null("id")]);
//! assert_eq!(
//!     imported.refused[0].to_string(),
//!     "/expectations/1: `expect_moon_phase`: no expectation of this name is known",
//! );
//! assert!(imported.require_complete().is_err());
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod ask;
mod dbt;
mod dqdl;
mod great_expectations;
mod names;
mod pandas_query;
mod pandera;
mod soda;
mod tree;

use mlops_core::{Error, Result};
use serde_json::{Map, Value};

use crate::Suite;

pub use dbt::dbt;
pub use dqdl::dqdl;
pub use great_expectations::{great_expectations, great_expectations_with};
pub use pandera::pandera;
pub use soda::{soda, soda_with};
pub use tree::Refused;

/// What could be carried over, and what could not.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The suites, in the order in which the document has them.
    pub suites: Vec<Suite>,
    /// What could not be carried over.
    pub refused: Vec<Refused>,
    /// What the document says of each suite besides its checks, under the suite's name: owners,
    /// notes, versions. It means nothing to a suite.
    pub meta: Map<String, Value>,
}

impl Imported {
    /// The suite of this name.
    pub fn suite(&self, name: &str) -> Option<&Suite> {
        self.suites.iter().find(|suite| suite.name == name)
    }

    /// The same, if nothing was refused.
    ///
    /// # Errors
    /// [`Error::Blocked`] that lists what was refused.
    pub fn require_complete(self) -> Result<Self> {
        if self.refused.is_empty() {
            return Ok(self);
        }
        let reasons = self.refused.iter().map(ToString::to_string).collect();
        Err(Error::Blocked { what: "the import of the suite".into(), reasons })
    }

    /// Keeps something that is said of a suite.
    fn keep(&mut self, suite: &str, key: &str, value: Value) {
        let of = self.meta.entry(suite).or_insert_with(|| Value::Object(Map::new()));
        if let Some(of) = of.as_object_mut() {
            of.insert(key.to_owned(), value);
        }
    }
}
