//! What a version was made from, and whether it was made again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mlops_core::report::clean;
use mlops_core::{Digest, Error, Registry, Result, Version};

use crate::tracking::{Run, Tracker};

/// What a version was made from, as its record and its run say: all that somebody needs who wants
/// to make it again.
///
/// ```
/// use mlops_core::{Digest, NewVersion, Registry, Timestamp};
/// use mlops_registry::{MemoryRegistry, Recipe};
///
/// let registry = MemoryRegistry::new();
/// let new = NewVersion::new("loans", "ana")
///     .with_artifact("model.json", r#"{"weight":1.5}"#)
///     .with_param("seed", 7)
///     .with_commit("9e107d9")
///     .with_data_digest(Digest::of("income,repaid\n1.4,1\n"));
/// registry.register(new, Timestamp::from_millis(0))?;
///
/// let recipe = Recipe::of(&registry, "loans", 1)?;
/// println!("{recipe}");
/// assert_eq!(recipe.gaps(), ["the run that trained it"]);
///
/// // Somebody checks out the commit, trains with these parameters on that data, and compares.
/// let made = [("model.json".to_owned(), br#"{"weight":1.6}"#.to_vec())].into();
/// let seen = recipe.compare(&registry, &made)?;
/// assert!(!seen.is_same());
/// assert!(seen.to_string().contains("model.json: another byte at 12"), "{seen}");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recipe {
    /// The version: its files, parameters, digests and lineage.
    pub version: Version,
    /// The run that trained it, if it was looked up and is there.
    pub run: Option<Run>,
    /// Whether it was looked up in vain: the version names a run that the tracker has not.
    pub run_is_missing: bool,
}

impl Recipe {
    /// What the registry says of a version.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a store that can't be read.
    pub fn of(registry: &(impl Registry + ?Sized), model: &str, number: u64) -> Result<Self> {
        Ok(Self { version: registry.version(model, number)?, run: None, run_is_missing: false })
    }

    /// The same, with what its run says, if the version names one and the tracker still has it.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn with_run(mut self, tracker: &(impl Tracker + ?Sized)) -> Result<Self> {
        if let Some(run) = &self.version.lineage.run {
            self.run = match tracker.run(run) {
                Ok(run) => Some(run),
                Err(Error::NotFound { .. }) => {
                    self.run_is_missing = true;
                    None
                }
                Err(error) => return Err(error),
            };
        }
        Ok(self)
    }

    /// The commit of the code: the version's, or else its run's.
    pub fn commit(&self) -> Option<&str> {
        let of_run = || self.run.as_ref().and_then(|run| run.commit.as_deref());
        self.version.lineage.commit.as_deref().or_else(of_run)
    }

    /// The digests of the data, by name: the version's own (`data`), and those of the datasets
    /// that its run read.
    pub fn data(&self) -> BTreeMap<String, String> {
        let own = self.version.data_digest.map(|digest| ("data".to_owned(), digest.to_string()));
        let read = self.run.iter().flat_map(|run| &run.datasets);
        let read = read.map(|data| {
            let name = match data.context.as_str() {
                "" => data.name.clone(),
                context => format!("{} ({context})", data.name),
            };
            (name, data.digest.clone())
        });
        own.into_iter().chain(read).collect()
    }

    /// The parameters, seeds among them: the run's, and over them the version's.
    pub fn params(&self) -> BTreeMap<String, String> {
        let mut params = self.run.as_ref().map(|run| run.params.clone()).unwrap_or_default();
        params.extend(self.version.params.clone());
        params
    }

    /// What nobody recorded, and without which nobody can be sure to make it again; empty if all
    /// is there.
    pub fn gaps(&self) -> Vec<&'static str> {
        let mut gaps = Vec::new();
        if self.commit().is_none() {
            gaps.push("the commit of the code");
        }
        if self.data().is_empty() {
            gaps.push("the digest of the data");
        }
        let params = self.params();
        if params.is_empty() {
            gaps.push("parameters");
        } else if !params.keys().any(|name| name.to_lowercase().contains("seed")) {
            gaps.push("a seed among the parameters");
        }
        if self.version.lineage.run.is_none() {
            gaps.push("the run that trained it");
        } else if self.run_is_missing {
            gaps.push("the run that trained it: the tracker has none of this id");
        }
        gaps
    }

    /// Compares files that were made again with those of the version, byte for byte.
    ///
    /// # Errors
    /// [`Error::Decode`] if the registry's own bytes are damaged; a store that can't be read.
    pub fn compare(
        &self,
        registry: &(impl Registry + ?Sized),
        made: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Reproduction> {
        let Version { model, number, artifacts, .. } = &self.version;
        let mut files = BTreeMap::new();
        for artifact in artifacts {
            let found = match made.get(&artifact.name) {
                None => FileOutcome::Missing,
                // The digest speaks for the bytes: those that are the same need not be read.
                Some(bytes) if Digest::of(bytes) == artifact.digest => FileOutcome::Same,
                Some(bytes) => {
                    let original = registry.artifact(model, *number, &artifact.name)?;
                    let same = original.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                    let (size, made) = (original.len() as u64, bytes.len() as u64);
                    FileOutcome::Differs { at: same as u64, size, made }
                }
            };
            files.insert(artifact.name.clone(), found);
        }
        let ours: BTreeSet<&String> = artifacts.iter().map(|artifact| &artifact.name).collect();
        let extra = made.keys().filter(|name| !ours.contains(name));
        files.extend(extra.map(|name| (name.clone(), FileOutcome::Extra)));
        Ok(Reproduction { model: model.clone(), number: *number, files })
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = &self.version;
        write!(f, "{} v{} ({}), by {} at {}", v.model, v.number, v.digest, v.author, v.created_at)?;
        let mut row = |name: &str, text: &str| write!(f, "\n  {name:<12} {}", clean(text));
        if let Some(commit) = self.commit() {
            row("commit", commit)?;
        }
        for (name, digest) in self.data() {
            row("data", &format!("{name} {digest}"))?;
        }
        if let Some(run) = &v.lineage.run {
            let found = match (&self.run, self.run_is_missing) {
                (Some(_), _) => "",
                (None, true) => " (not there)",
                (None, false) => " (not looked up)",
            };
            row("run", &format!("{run}{found}"))?;
        }
        if let Some(source) = self.run.as_ref().and_then(|run| run.source.as_deref()) {
            row("source", source)?;
        }
        if let Some(parent) = v.lineage.parent {
            row("derived from", &format!("v{parent}"))?;
        }
        for (name, value) in self.params() {
            row("parameter", &format!("{name} = {value}"))?;
        }
        for artifact in &v.artifacts {
            row(
                "file",
                &format!("{} {} ({} bytes)", artifact.name, artifact.digest, artifact.size),
            )?;
        }
        for gap in self.gaps() {
            row("not known", gap)?;
        }
        Ok(())
    }
}

/// What a file that was made again is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOutcome {
    /// The same, byte for byte.
    Same,
    /// Another.
    Differs {
        /// The first byte that differs, or the end of the shorter one.
        at: u64,
        /// How many bytes the version's has.
        size: u64,
        /// How many the new one has.
        made: u64,
    },
    /// The version has it, and it was not made again.
    Missing,
    /// The version has no such file.
    Extra,
}

impl fmt::Display for FileOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("the same"),
            Self::Differs { at, size, made } => {
                write!(f, "another byte at {at} ({size} bytes, made again {made})")
            }
            Self::Missing => f.write_str("not made again"),
            Self::Extra => f.write_str("no file of the version"),
        }
    }
}

/// Files that were made again beside those of a version; [`Recipe::compare`] gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reproduction {
    /// The model.
    pub model: String,
    /// The version.
    pub number: u64,
    /// Every file of either, by name.
    pub files: BTreeMap<String, FileOutcome>,
}

impl Reproduction {
    /// Whether every file is the same, byte for byte, and there is no other.
    pub fn is_same(&self) -> bool {
        self.files.values().all(|outcome| *outcome == FileOutcome::Same)
    }
}

impl fmt::Display for Reproduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_same() { "reproduced" } else { "NOT reproduced" };
        write!(f, "{} v{}: {word}", self.model, self.number)?;
        for (name, outcome) in &self.files {
            write!(f, "\n  {}: {outcome}", clean(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::{NewVersion, Timestamp};

    use super::*;
    use crate::MemoryRegistry;
    use crate::tracking::{Dataset, NewRun, TrackerExt};

    #[test]
    fn the_run_fills_what_the_version_leaves_open() {
        let registry = MemoryRegistry::new();
        let at = Timestamp::from_millis(0);
        let experiment = registry.open_experiment("loans", at).unwrap().id;
        let mut new = NewRun::new(experiment).with_commit("9e1").with_param("seed", 7);
        new.batch = new.batch.param("depth", 3).dataset(Dataset::new("adult", "sha256:0"));
        let run = registry.create_run(new, at).unwrap();
        let version = NewVersion::new("loans", "ana")
            .with_artifact("m", "abc")
            .with_param("depth", 4)
            .with_run(&run.id);
        registry.register(version, at).unwrap();
        let alone = Recipe::of(&registry, "loans", 1).unwrap();
        let expected =
            ["the commit of the code", "the digest of the data", "a seed among the parameters"];
        assert_eq!(alone.gaps(), expected);
        let recipe = alone.clone().with_run(&registry).unwrap();
        assert_eq!((recipe.gaps(), recipe.commit()), (vec![], Some("9e1")));
        assert_eq!(recipe.data()["adult"], "sha256:0");
        assert_eq!((&*recipe.params()["depth"], &*recipe.params()["seed"]), ("4", "7"));
        // A run that was forgotten is no error, but a gap.
        let forgotten = alone.clone().with_run(&MemoryRegistry::new()).unwrap();
        assert_eq!(forgotten.run, None);
        assert_eq!(forgotten.gaps().len(), expected.len() + 1, "{forgotten}");
        assert!(forgotten.to_string().contains("(not there)"), "{forgotten}");
        assert!(recipe.to_string().contains("seed = 7"), "{recipe}");
    }

    #[test]
    fn every_difference_is_named() {
        let registry = MemoryRegistry::new();
        let version = NewVersion::new("loans", "ana")
            .with_artifact("a", "abc")
            .with_artifact("b", "abc")
            .with_artifact("c", "abc")
            .with_artifact("empty", "");
        registry.register(version, Timestamp::from_millis(0)).unwrap();
        let recipe = Recipe::of(&registry, "loans", 1).unwrap();
        let files = |files: &[(&str, &str)]| -> BTreeMap<String, Vec<u8>> {
            files.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()
        };
        let all = files(&[("a", "abc"), ("b", "abc"), ("c", "abc"), ("empty", "")]);
        assert!(recipe.compare(&registry, &all).unwrap().is_same());
        let made = files(&[("a", "abd"), ("b", "ab"), ("empty", "x"), ("more", "")]);
        let seen = recipe.compare(&registry, &made).unwrap();
        let outcomes: Vec<_> = seen.files.into_values().collect();
        assert_eq!(
            outcomes,
            [
                FileOutcome::Differs { at: 2, size: 3, made: 3 },
                FileOutcome::Differs { at: 2, size: 3, made: 2 },
                FileOutcome::Missing,
                FileOutcome::Differs { at: 0, size: 0, made: 1 },
                FileOutcome::Extra,
            ]
        );
    }
}
