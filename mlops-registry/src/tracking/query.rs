//! Questions about many runs, and their answers a page at a time.

use mlops_core::{Digest, Error, Result};
use serde::{Deserialize, Serialize};

use super::filter::{Field, Filter, Order};

/// The most runs of one page.
pub const PAGE_RUNS: usize = 50_000;
/// The most comparisons and orders of one search: each reads a column of all runs. For one of
/// many values there is `IN`.
const COLUMNS: usize = 256;

/// Which of them: those that are there, or those that are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Those that are there, and whose experiment is.
    #[default]
    Active,
    /// Those that are deleted, or whose experiment is.
    Deleted,
    /// All.
    All,
}

impl View {
    /// Whether something is in view.
    pub(crate) const fn shows(self, deleted: bool) -> bool {
        match self {
            Self::Active => !deleted,
            Self::Deleted => deleted,
            Self::All => true,
        }
    }
}

/// A search for runs.
///
/// ```
/// use mlops_registry::tracking::Query;
///
/// let query = Query::new()
///     .experiment(1)
///     .filter("metrics.auc > 0.8 and params.model = 'tree'")?
///     .order_by("metrics.auc DESC")?
///     .limit(10);
/// # let _ = query;
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// In these experiments; in all if there is none.
    pub experiments: Vec<u64>,
    /// Runs that pass this.
    pub filter: Filter,
    /// Sorted by these, then the latest start first, then the last made first.
    pub order: Vec<Order>,
    /// Deleted ones or not.
    pub view: View,
    /// At most so many in a page: 1 to 50,000.
    pub limit: usize,
    /// The page: what [`Page::next`] of the one before said.
    pub page: Option<String>,
}

impl Default for Query {
    /// The first thousand of all runs that are not deleted, the latest first.
    fn default() -> Self {
        Self {
            experiments: Vec::new(),
            filter: Filter::Everything,
            order: Vec::new(),
            view: View::Active,
            limit: 1000,
            page: None,
        }
    }
}

impl Query {
    /// The first thousand of all runs that are not deleted, the latest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, in this experiment (too).
    #[must_use]
    pub fn experiment(mut self, id: u64) -> Self {
        self.experiments.push(id);
        self
    }

    /// The same, of runs that pass this filter, too; see [`Filter`] for the language.
    ///
    /// # Errors
    /// [`Error::Decode`] with the byte where the filter stops making sense; [`Error::Invalid`] for
    /// a status that no run can have.
    pub fn filter(mut self, filter: &str) -> Result<Self> {
        let filter: Filter = filter.parse()?;
        filter.check_status()?;
        self.filter = self.filter.and(filter);
        Ok(self)
    }

    /// The same, sorted by this: `metrics.auc DESC`.
    ///
    /// # Errors
    /// [`Error::Decode`] with the byte where the order stops making sense.
    pub fn order_by(mut self, order: &str) -> Result<Self> {
        self.order.push(order.parse()?);
        Ok(self)
    }

    /// The same, of deleted ones or not.
    #[must_use]
    pub fn view(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// The same, with at most so many in a page.
    #[must_use]
    pub fn limit(mut self, runs: usize) -> Self {
        self.limit = runs;
        self
    }

    /// The same, from the page that this token names.
    #[must_use]
    pub fn page(mut self, token: impl Into<String>) -> Self {
        self.page = Some(token.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let columns = self.filter.tests() + self.order.len();
        if columns > COLUMNS {
            let expected = format!("at most {COLUMNS} comparisons and orders");
            return Err(Error::invalid("search", expected, columns));
        }
        if let Some(order) = self.order.iter().find(|o| matches!(o.field, Field::Dataset(_))) {
            // A run may have many.
            let expected = "a metric, a parameter, a tag or an attribute";
            return Err(Error::invalid("order of a search", expected, order));
        }
        if (1..=PAGE_RUNS).contains(&self.limit) {
            return Ok(());
        }
        Err(Error::invalid("limit of a search", format!("1 to {PAGE_RUNS} runs"), self.limit))
    }

    /// What a page's token belongs to: all but the page and its size.
    pub(crate) fn digest(&self) -> Result<Digest> {
        let mut experiments = self.experiments.clone();
        experiments.sort_unstable();
        experiments.dedup();
        let asked = (experiments, &self.filter, &self.order, self.view);
        let json = serde_json::to_vec(&asked).map_err(|e| Error::other("search", e))?;
        Ok(Digest::of(json))
    }
}

/// Some of the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// They.
    pub items: Vec<T>,
    /// What to ask for the next ones with; `None` after the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page, and the token of the next.
    pub fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }
}
