//! Encoders of columns of categories: each label in, numbers out.

use mlops_core::states::CategoryTable;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::numeric::{Fill, Imputer, Strategy};

/// What an encoder does with a category that it did not see when it was fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unseen {
    /// An error that names the column, the row and the value.
    #[default]
    Error,
    /// Zeros in every feature of a [`OneHotEncoder`], null from an [`OrdinalEncoder`].
    Ignore,
    /// A category of its own, shared with those beyond
    /// [`max_categories`](OneHotEncoder::max_categories).
    Other,
}

/// What an encoder does with null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NullPolicy {
    /// A category of its own if there were nulls when it was fitted; else an unseen one.
    #[default]
    Category,
    /// Zeros in every feature of a [`OneHotEncoder`], null from an [`OrdinalEncoder`].
    Ignore,
    /// An error that names the column and the row.
    Error,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Policy {
    unseen: Unseen,
    nulls: NullPolicy,
    max_categories: Option<usize>,
}

/// One feature for each category, `COLUMN=category`, that is 1 where the row has it, else 0.
/// Categories are sorted by name. `sklearn.preprocessing.OneHotEncoder`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneHotEncoder(Policy);

/// One feature that numbers the categories, sorted by name: 0, 1, 2, …; then the one for all
/// others if there is one, then null. `sklearn.preprocessing.OrdinalEncoder`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrdinalEncoder(Policy);

macro_rules! encoder {
    ($($encoder:ident),*) => {$(
        impl $encoder {
            /// An encoder that refuses unseen categories and gives null a category of its own.
            pub fn new() -> Self {
                Self::default()
            }

            /// What to do with unseen categories.
            #[must_use]
            pub fn unseen(mut self, unseen: Unseen) -> Self {
                self.0.unseen = unseen;
                self
            }

            /// What to do with null.
            #[must_use]
            pub fn nulls(mut self, nulls: NullPolicy) -> Self {
                self.0.nulls = nulls;
                self
            }

            /// At most this many categories (at least 1, null not counted): of more, the rarest
            /// share one, of equally frequent ones those last by name.
            #[must_use]
            pub fn max_categories(mut self, most: usize) -> Self {
                self.0.max_categories = Some(most.max(1));
                self
            }
        }

        impl From<$encoder> for Encoder {
            fn from(encoder: $encoder) -> Self {
                Self { layout: Layout::$encoder, policy: encoder.0, imputer: None }
            }
        }

        impl From<(Imputer, $encoder)> for Encoder {
            fn from((imputer, encoder): (Imputer, $encoder)) -> Self {
                Self { layout: Layout::$encoder, policy: encoder.0, imputer: Some(imputer) }
            }
        }
    )*};
}

encoder!(OneHotEncoder, OrdinalEncoder);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layout {
    OneHotEncoder,
    OrdinalEncoder,
}

/// What is done with a column of categories: an encoder, or an [`Imputer`] (most frequent or a
/// constant) and an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoder {
    layout: Layout,
    policy: Policy,
    imputer: Option<Imputer>,
}

/// An encoder that knows its categories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FittedEncoder {
    layout: Layout,
    unseen: Unseen,
    nulls: NullPolicy,
    /// What null becomes before anything else.
    fill: Option<String>,
    indicator: bool,
    /// Sorted.
    categories: Vec<String>,
    /// Those that share the category for all others.
    rare: Vec<String>,
    null_category: bool,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Category(usize),
    /// Zeros, or null.
    Nothing,
    /// The value is refused.
    Refused,
}

impl Encoder {
    pub(crate) fn fit(&self, column: &str, counts: &CategoryTable) -> Result<FittedEncoder> {
        let undefined =
            |reason: String| Error::undefined(format!("encoding of column `{column}`"), reason);
        if !counts.is_complete() {
            return Err(undefined(format!(
                "it has more than {} categories; is it a name or a number of things?",
                counts.counts.len()
            )));
        }
        let fill = match self.imputer.as_ref().map(|imputer| &imputer.strategy) {
            None => None,
            Some(Strategy::Constant(Fill::Text(text))) => Some(text.clone()),
            Some(Strategy::MostFrequent) => match counts.by_count().first() {
                Some((label, _)) => Some((*label).to_owned()),
                None => return Err(undefined("it has no values".into())),
            },
            Some(other) => {
                let expected = format!("most frequent, or a text, for column `{column}`");
                return Err(Error::invalid("Imputer", expected, format!("{other:?}")));
            }
        };
        let mut counts = counts.clone();
        if let Some(fill) = &fill
            && counts.nulls > 0
        {
            *counts.counts.entry(fill.clone()).or_default() += counts.nulls;
            counts.nulls = 0;
        }
        let by_count = counts.by_count();
        let shared = self.policy.unseen == Unseen::Other;
        let kept = match self.policy.max_categories {
            // One place goes to those that share.
            Some(most) if by_count.len() + usize::from(shared) > most => most - 1,
            _ => by_count.len(),
        };
        let sorted = |labels: &[(&str, u64)]| {
            let mut labels: Vec<_> = labels.iter().map(|(label, _)| (*label).to_owned()).collect();
            labels.sort_unstable();
            labels
        };
        Ok(FittedEncoder {
            layout: self.layout,
            unseen: self.policy.unseen,
            nulls: self.policy.nulls,
            indicator: self.imputer.as_ref().is_some_and(|i| i.indicator),
            fill,
            categories: sorted(&by_count[..kept]),
            rare: sorted(&by_count[kept..]),
            null_category: self.policy.nulls == NullPolicy::Category && counts.nulls > 0,
        })
    }
}

impl FittedEncoder {
    fn shares(&self) -> bool {
        self.unseen == Unseen::Other || !self.rare.is_empty()
    }

    /// How many categories there are, with the one for all others and the one for null.
    pub(crate) fn width(&self) -> usize {
        self.categories.len() + usize::from(self.shares()) + usize::from(self.null_category)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn indicator(&self) -> bool {
        self.indicator
    }

    pub(crate) fn names(&self, column: &str) -> Vec<String> {
        let mut names = Vec::new();
        match self.layout {
            Layout::OrdinalEncoder => names.push(column.to_owned()),
            Layout::OneHotEncoder => {
                names.extend(self.categories.iter().map(|c| format!("{column}={c}")));
                if self.shares() {
                    names.push(format!("{column}=<other>"));
                }
                if self.null_category {
                    names.push(format!("{column}=<null>"));
                }
            }
        }
        if self.indicator {
            names.push(format!("{column}_missing"));
        }
        names
    }

    pub(crate) fn code(&self, label: Option<&str>) -> Code {
        let Some(label) = label.or(self.fill.as_deref()) else {
            return match self.nulls {
                NullPolicy::Category if self.null_category => Code::Category(self.width() - 1),
                NullPolicy::Category => self.unseen(),
                NullPolicy::Ignore => Code::Nothing,
                NullPolicy::Error => Code::Refused,
            };
        };
        if let Ok(at) = self.categories.binary_search_by(|c| c.as_str().cmp(label)) {
            Code::Category(at)
        } else if self.rare.binary_search_by(|c| c.as_str().cmp(label)).is_ok() {
            Code::Category(self.categories.len())
        } else {
            self.unseen()
        }
    }

    fn unseen(&self) -> Code {
        match self.unseen {
            Unseen::Error => Code::Refused,
            Unseen::Ignore => Code::Nothing,
            Unseen::Other => Code::Category(self.categories.len()),
        }
    }

    /// What it would have taken, for messages.
    pub(crate) fn expected(&self) -> String {
        const SHOWN: usize = 10;
        let mut text = "one of: ".to_owned();
        text.push_str(
            &self.categories.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "),
        );
        if self.categories.len() > SHOWN {
            let more = self.categories.len() - SHOWN;
            return format!("{text} and {more} more");
        }
        text
    }

    pub(crate) fn is_valid(&self) -> bool {
        let sorted = |labels: &[String]| labels.windows(2).all(|pair| pair[0] < pair[1]);
        sorted(&self.categories)
            && sorted(&self.rare)
            && self.rare.iter().all(|r| self.categories.binary_search(r).is_err())
            && (!self.null_category || self.nulls == NullPolicy::Category)
    }
}
