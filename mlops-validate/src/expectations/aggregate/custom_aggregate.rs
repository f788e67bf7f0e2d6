//! A measurement of the host, and its judge.

use std::fmt;
use std::sync::Arc;

use mlops_core::{Analyzer, Result, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};

/// An [`Analyzer`] of the host measures, and a function of the host judges.
///
/// It rides on the one pass, under the same conditions as all others. A suite that holds one can't
/// be written down.
#[derive(Clone)]
#[non_exhaustive]
pub struct CustomAggregate {
    /// What it is called in findings.
    pub name: String,
    /// The columns that it reads.
    pub columns: Vec<String>,
    compile: Arc<Compile>,
}

type Compile = dyn Fn(&str, &mut Compiler<'_>) -> Compiled + Send + Sync;

/// Expects what an analyzer measures to satisfy a judge, which gives a verdict and says in words
/// what was seen: [`CustomAggregate`].
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::states::NumericSummary;
/// use mlops_core::{MemorySource, ValidatorExt, Verdict, batch};
/// use mlops_validate::{Suite, custom_aggregate};
///
/// let balanced = custom_aggregate("balanced", NumericSummary::new("amount"), |summary| {
///     let sum = summary.sum();
///     Ok((Verdict::from_bool(sum == 0.0), format!("a sum of {sum}")))
/// });
/// let ledger = batch! { "amount" => Float64Array::from(vec![12.5, -12.0]) }?;
/// let found = Suite::new("ledger").expect(balanced).validate(&MemorySource::from(ledger))?;
/// assert_eq!(found.findings[0].observed, "a sum of 0.5");
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn custom_aggregate<A>(
    name: impl Into<String>,
    analyzer: A,
    judge: impl Fn(&A::Output) -> Result<(Verdict, String)> + Send + Sync + 'static,
) -> Expectation
where
    A: Analyzer + Clone,
    A::Output: Sync,
{
    let columns = analyzer.columns();
    let judge = Arc::new(judge);
    let compile = move |name: &str, to: &mut Compiler<'_>| {
        let handle = to.add(analyzer.clone());
        let judge = judge.clone();
        to.measured(format!("`{name}` to hold"), handle, move |found| {
            let (verdict, words) = judge(found)?;
            Ok(Observation::new(verdict, words.clone(), words))
        })
    };
    CustomAggregate { name: name.into(), columns, compile: Arc::new(compile) }.into()
}

impl fmt::Debug for CustomAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomAggregate")
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl PartialEq for CustomAggregate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.compile, &other.compile)
            && self.name == other.name
            && self.columns == other.columns
    }
}

impl Serialize for CustomAggregate {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        let message = format!("`{}` is a function and can't be written down", self.name);
        Err(serde::ser::Error::custom(message))
    }
}

impl<'de> Deserialize<'de> for CustomAggregate {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("a function is given in code, it can't be written down"))
    }
}

impl Kind for CustomAggregate {
    fn subject(&self) -> Subject<'_> {
        Subject::Columns(self.columns.iter().map(String::as_str).collect())
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        Ok((self.compile)(&self.name, to))
    }
}
