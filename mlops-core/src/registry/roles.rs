//! Who has which role, as the host knows it.

use std::fmt;
use std::sync::Arc;

/// Who has which role: a question that a registry puts to the program it runs in, which knows its
/// people. Without an answer nobody has any role.
///
/// ```
/// use mlops_core::Roles;
/// let roles = Roles::new(|person, role| role == "risk" && ["ben", "cleo"].contains(&person));
/// assert!(roles.has("ben", "risk") && !roles.has("ana", "risk"));
/// assert!(!Roles::default().has("ben", "risk"));
/// ```
#[derive(Clone, Default)]
pub struct Roles(Option<Arc<Has>>);

type Has = dyn Fn(&str, &str) -> bool + Send + Sync;

impl Roles {
    /// The role `policy`: whoever may set what aliases demand. Where roles are given, a registry
    /// asks for it, so that nobody lifts a rule that binds them; where none are, anybody may, and
    /// the log says who did.
    pub const POLICY: &'static str = "policy";

    /// Roles by this answer to: has the person (first) the role (second)?
    ///
    /// It is asked inside a transaction while others wait, so it should look something up, not
    /// call somewhere.
    pub fn new(has: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(has)))
    }

    /// Whether the host said anything about roles.
    pub fn are_given(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this person has this role.
    pub fn has(&self, person: &str, role: &str) -> bool {
        self.0.as_ref().is_some_and(|has| has(person, role))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Roles(given)" } else { "Roles(none)" })
    }
}
