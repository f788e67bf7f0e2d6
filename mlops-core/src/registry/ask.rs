//! How requests to move an alias are made.

use super::{Promotion, Rollback, Unset, Withdrawal};
use crate::Timestamp;

impl Promotion {
    /// A request that this alias of the model shall name this version; say who asks and why, and
    /// from the second time on which [revision](Self::seeing) they have seen.
    ///
    /// ```
    /// use mlops_core::Promotion;
    /// let asked = Promotion::new("loans", "champion", 3).by("ana").because("better").seeing(2);
    /// assert_eq!((asked.version, asked.expected_revision), (3, 2));
    /// ```
    pub fn new(model: impl Into<String>, alias: impl Into<String>, version: u64) -> Self {
        Self {
            model: model.into(),
            alias: alias.into(),
            version,
            actor: String::new(),
            reason: String::new(),
            expected_revision: 0,
            key: None,
        }
    }
}

impl Rollback {
    /// A request that this alias of the model shall name what it named before; say who asks and
    /// why, and which [revision](Self::seeing) they have seen.
    ///
    /// ```
    /// use mlops_core::Rollback;
    /// let asked = Rollback::new("loans", "champion").by("ben").because("complaints").seeing(2);
    /// assert_eq!((asked.actor.as_str(), asked.expected_revision), ("ben", 2));
    /// ```
    pub fn new(model: impl Into<String>, alias: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            alias: alias.into(),
            actor: String::new(),
            reason: String::new(),
            expected_revision: 0,
            key: None,
        }
    }
}

impl Unset {
    /// A request that this alias of the model shall name no version; say who asks and why, and
    /// which [revision](Self::seeing) they have seen.
    ///
    /// ```
    /// use mlops_core::Unset;
    /// let asked = Unset::new("loans", "shadow").by("ben").because("trial is over").seeing(1);
    /// assert_eq!((asked.actor.as_str(), asked.expected_revision), ("ben", 1));
    /// ```
    pub fn new(model: impl Into<String>, alias: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            alias: alias.into(),
            actor: String::new(),
            reason: String::new(),
            expected_revision: 0,
            key: None,
        }
    }
}

impl Withdrawal {
    /// A request of this person to take their approval back, for this reason.
    pub fn new(by: impl Into<String>, reason: impl Into<String>, at: Timestamp) -> Self {
        Self { by: by.into(), reason: reason.into(), at }
    }
}

macro_rules! asked {
    ($($request:ident),*) => {$(
        impl $request {
            /// The same, asked by this person.
            #[must_use]
            pub fn by(mut self, actor: impl Into<String>) -> Self {
                self.actor = actor.into();
                self
            }

            /// The same, for this reason.
            #[must_use]
            pub fn because(mut self, reason: impl Into<String>) -> Self {
                self.reason = reason.into();
                self
            }

            /// The same, by somebody who has seen the alias at this revision: if it has another,
            /// nothing is moved. Without it, the alias must not exist yet.
            #[must_use]
            pub fn seeing(mut self, revision: u64) -> Self {
                self.expected_revision = revision;
                self
            }

            /// The same, to be done once however often it is asked for
            /// ([`Request`](super::Request)).
            #[must_use]
            pub fn with_key(mut self, key: impl Into<String>) -> Self {
                self.key = Some(key.into());
                self
            }
        }
    )*};
}

asked!(Promotion, Rollback, Unset);
