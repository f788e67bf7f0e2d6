//! Floats are finite, or at least numbers.

use arrow::datatypes::DataType;
use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::{Always, Numbers, ValueTest};

/// Every number is finite: no NaN, no infinity. Integers and decimals always are.
///
/// Nulls are left out. TFDV: `FLOAT_TYPE_HAS_NAN` and `FLOAT_TYPE_HAS_INF`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Finite {
    /// The column.
    pub column: String,
}

/// Expects every number to be finite: [`Finite`].
pub fn finite(column: impl Into<String>) -> Expectation {
    Finite { column: column.into() }.into()
}

/// No number is NaN; infinities may be there. [`Finite`] forbids these, too.
///
/// Nulls are left out. TFDV: `FLOAT_TYPE_HAS_NAN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotNan {
    /// The column.
    pub column: String,
}

/// Expects no number to be NaN: [`NotNan`].
pub fn not_nan(column: impl Into<String>) -> Expectation {
    NotNan { column: column.into() }.into()
}

fn test(
    data_type: &DataType,
    passes: impl Fn(f64) -> bool + Send + Sync + 'static,
) -> Option<Box<dyn ValueTest>> {
    if data_type.is_floating() {
        Some(Box::new(Numbers(passes)))
    } else {
        data_type.is_numeric().then(|| Box::new(Always(true)) as Box<dyn ValueTest>)
    }
}

impl Kind for Finite {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        to.values("finite numbers", &self.column, "a column of numbers", |data_type| {
            Ok(test(data_type, f64::is_finite))
        })
    }
}

impl Kind for NotNan {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        to.values("no NaN", &self.column, "a column of numbers", |data_type| {
            Ok(test(data_type, |v| !v.is_nan()))
        })
    }
}
