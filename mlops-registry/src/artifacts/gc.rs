//! Collecting what nothing refers to: what is asked, what was found.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use mlops_core::{Cancel, Digest, Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::manifest::Limits;
use super::store::{ArtifactStore, ArtifactStoreExt, Stored};

/// What is referred to, and so stays.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Bytes that stay.
    pub blobs: BTreeSet<Digest>,
    /// Manifests that stay with all files they name.
    pub manifests: BTreeSet<Digest>,
    /// What a manifest may be.
    pub limits: Limits,
}

impl Roots {
    /// These bytes stay.
    pub fn of_blobs(blobs: impl IntoIterator<Item = Digest>) -> Self {
        Self { blobs: blobs.into_iter().collect(), ..Self::default() }
    }

    /// These manifests stay, and the files they name.
    pub fn of_manifests(manifests: impl IntoIterator<Item = Digest>) -> Self {
        Self { manifests: manifests.into_iter().collect(), ..Self::default() }
    }

    /// Everything that stays.
    pub(super) fn marks<S: ArtifactStore + ?Sized>(self, store: &S) -> Result<HashSet<Digest>> {
        let mut marks: HashSet<_> = self.blobs.into_iter().collect();
        for digest in self.manifests {
            let manifest = store
                .manifest(digest, &self.limits)
                .map_err(|e| e.within(format!("manifest {digest}, which is referred to")))?;
            marks.extend(manifest.entries.iter().map(|entry| entry.sha256));
            marks.insert(digest);
        }
        Ok(marks)
    }
}

/// How garbage is collected.
#[derive(Clone, Copy, Debug)]
pub struct Gc<'a> {
    pub(super) now: Timestamp,
    pub(super) grace: Duration,
    pub(super) dry_run: bool,
    pub(super) cancel: Option<&'a Cancel>,
}

impl<'a> Gc<'a> {
    /// Removes what nothing refers to and was last put longer than `grace` before `now`.
    ///
    /// The grace is for those who put without a [`Lease`](super::Lease) and refer to the bytes
    /// later: it must be longer than they take. Times are compared with those of the file system
    /// or server; what seems to come from after `now` stays.
    pub fn new(now: Timestamp, grace: Duration) -> Self {
        Self { now, grace, dry_run: false, cancel: None }
    }

    /// Only says what would be removed.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// The switch that stops it; what was removed until then is gone.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Whether something of this time is too young to go.
    pub fn is_young(&self, modified: Timestamp) -> bool {
        let age = self.now.millis().saturating_sub(modified.millis());
        // As old as the grace is old enough: a grace of nothing spares nothing.
        u128::try_from(age).map_or(true, |age| age < self.grace.as_millis())
    }

    /// Whether it only looks.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// [`Error::Cancelled`] once the switch is thrown.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        self.cancel.map_or(Ok(()), Cancel::check)
    }

    /// What happens to something stored, but for leases; counts what stays.
    pub(super) fn condemns(
        &self,
        stored: &Stored,
        marks: &HashSet<Digest>,
        swept: &mut Swept,
    ) -> bool {
        let group = if marks.contains(&stored.digest) {
            &mut swept.referenced
        } else if self.is_young(stored.modified) {
            &mut swept.young
        } else {
            return true;
        };
        group.add(stored.size);
        false
    }
}

/// A number of things and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How many bytes together.
    pub bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.count, self.bytes)
    }
}

/// What a collection removed and what it left, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Swept {
    /// Nothing was removed, only looked at.
    pub dry_run: bool,
    /// What was removed (would be, in a dry run): nothing referred to it.
    pub removed: Tally,
    /// What crashes left over and is gone, too.
    pub leftovers: Tally,
    /// What stays because something refers to it.
    pub referenced: Tally,
    /// What stays because it is younger than the grace.
    pub young: Tally,
    /// What stays because a lease holds it.
    pub leased: Tally,
    /// What was referred to and is not there: the store lost it.
    pub missing: Vec<Digest>,
}

impl Swept {
    /// Nothing done yet.
    pub fn begin(gc: &Gc<'_>) -> Self {
        Self { dry_run: gc.is_dry_run(), ..Self::default() }
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, missing) =
            (if self.dry_run { "would remove" } else { "removed" }, &self.missing);
        write!(
            f,
            "{verb} {} and {} left over by crashes; kept {} in use, {} young, {} leased",
            self.removed, self.leftovers, self.referenced, self.young, self.leased
        )?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; {} are missing", missing.len()) }
    }
}

/// What a store's sweep keeps to, to tell what is missing from what is there.
pub(super) fn missing(marks: &HashSet<Digest>, seen: &HashSet<Digest>) -> Vec<Digest> {
    let mut missing: Vec<_> = marks.difference(seen).copied().collect();
    missing.sort_unstable();
    missing
}

/// The error of a second sweep beside one that runs.
pub(super) fn sweep_runs(store: &str) -> Error {
    Error::Blocked {
        what: format!("collecting garbage in {store}"),
        reasons: vec!["it is being collected already".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_is_what_the_grace_has_passed_over() {
        let at = Timestamp::from_millis;
        let gc = Gc::new(at(1000), Duration::from_millis(100));
        assert!(!gc.is_young(at(0)) && !gc.is_young(at(900)));
        assert!(gc.is_young(at(901)) && gc.is_young(at(1000)));
        assert!(gc.is_young(at(5000)), "from after now");
        assert!(gc.is_young(at(i64::MAX)));
        assert!(!gc.is_young(at(i64::MIN)), "no overflow");
        assert!(!Gc::new(at(1000), Duration::ZERO).is_young(at(1000)));
    }
}
