//! What a check needs besides the data: the time, and other sources to compare with.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mlops_core::{DataSource, Result, Timestamp};

/// What the caller knows and a suite only names: the time, and the other sources.
///
/// Given to [`Suite::check_with`](crate::Suite::check_with). An expectation that needs what is not
/// here is inconclusive, and says so.
///
/// ```
/// use mlops_core::arrow::array::{Int64Array, StringArray};
/// use mlops_core::{MemorySource, Verdict, batch};
/// use mlops_validate::{Context, Suite, referential_integrity};
///
/// let customers = MemorySource::from(batch! { "id" => Int64Array::from(vec![1, 2, 3]) }?);
/// let orders = MemorySource::from(batch! { "customer" => Int64Array::from(vec![3, 7, 1]) }?);
/// let suite = Suite::new("orders")
///     .expect(referential_integrity(["customer"], "customers", ["id"]));
/// let context = Context::new().source("customers", customers);
/// let found = suite.check_with(&orders, &context)?;
/// assert_eq!(found.outcomes[0].finding.rows[0].row, 1);
/// assert_eq!(suite.check(&orders)?.verdict, Verdict::Inconclusive);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    now: Option<Timestamp>,
    sources: BTreeMap<String, Arc<dyn DataSource>>,
}

impl Context {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, at this time.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// The same, with a source under the name that suites call it by.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>, source: impl DataSource) -> Self {
        self.sources.insert(name.into(), Arc::new(source));
        self
    }
}

/// A context during the making ready of one suite: what was read of other sources is read once.
pub(crate) struct Lookups<'a> {
    context: &'a Context,
    known: RefCell<HashMap<String, Arc<dyn Any + Send + Sync>>>,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context, known: RefCell::default() }
    }

    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.context.now
    }

    pub(crate) fn source(&self, name: &str) -> Option<&'a dyn DataSource> {
        self.context.sources.get(name).map(|source| &**source)
    }

    /// What `read` gives, read once for this key; keys of different types must differ.
    pub(crate) fn once<T: Send + Sync + 'static>(
        &self,
        key: String,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let known = self.known.borrow().get(&key).cloned();
        if let Some(known) = known.and_then(|known| known.downcast().ok()) {
            return Ok(known);
        }
        let fresh = Arc::new(read()?);
        self.known.borrow_mut().insert(key, fresh.clone());
        Ok(fresh)
    }
}
