//! Aliases that have a meaning, and where the versions of a model stand by them.

use std::collections::BTreeMap;
use std::fmt;

use super::{Alias, AliasChange, Registry, why};
use crate::{Result, Timestamp};

/// Stages are aliases: one version each, with a revision, a history and a policy of its own, and
/// [`promote`](Registry::promote) is the transition. These are the names that the house knows;
/// any other name is a stage as good.
impl Alias {
    /// The version whose answers count.
    pub const CHAMPION: &'static str = "champion";
    /// The version that is to replace it, and gets a part of the requests.
    pub const CHALLENGER: &'static str = "challenger";
    /// The version that sees the same requests, and whose answers are only recorded.
    pub const SHADOW: &'static str = "shadow";
    /// The version that is tried before it serves.
    pub const STAGING: &'static str = "staging";
    /// The version that serves, for those who say so instead of champion.
    pub const PRODUCTION: &'static str = "production";
}

/// Who serves, who is tried beside it and who only listens, at one instant;
/// [`RegistryExt::lineup`](super::RegistryExt::lineup) gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lineup {
    /// The model.
    pub model: String,
    /// [`Alias::CHAMPION`], if it names a version.
    pub champion: Option<Alias>,
    /// [`Alias::CHALLENGER`], if it names one that is not the champion meanwhile.
    pub challenger: Option<Alias>,
    /// [`Alias::SHADOW`], if it names one that is not the champion meanwhile.
    pub shadow: Option<Alias>,
}

impl Lineup {
    fn new(model: &str, aliases: impl IntoIterator<Item = Alias>) -> Self {
        let mut named: BTreeMap<String, Alias> = aliases
            .into_iter()
            .filter(|alias| alias.version.is_some())
            .map(|alias| (alias.alias.clone(), alias))
            .collect();
        let mut take = |name: &str| named.remove(name);
        let champion = take(Alias::CHAMPION);
        // A challenger that won is no longer one, although its alias still names it.
        let beside = |alias: &Alias| champion.as_ref().is_none_or(|c| c.version != alias.version);
        let challenger = take(Alias::CHALLENGER).filter(beside);
        let shadow = take(Alias::SHADOW).filter(beside);
        Self { model: model.to_owned(), champion, challenger, shadow }
    }

    pub(super) fn now(registry: &(impl Registry + ?Sized), model: &str) -> Result<Self> {
        Ok(Self::new(model, registry.aliases(model)?))
    }

    pub(super) fn at(
        registry: &(impl Registry + ?Sized),
        model: &str,
        at: Timestamp,
    ) -> Result<Self> {
        let mut aliases = Vec::new();
        for name in [Alias::CHAMPION, Alias::CHALLENGER, Alias::SHADOW] {
            let history = registry.history(model, name)?;
            aliases.extend(why::change_at(&history, at).map(AliasChange::to_alias));
        }
        Ok(Self::new(model, aliases))
    }
}

impl fmt::Display for Lineup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.model)?;
        let slots = [
            (Alias::CHAMPION, &self.champion),
            (Alias::CHALLENGER, &self.challenger),
            (Alias::SHADOW, &self.shadow),
        ];
        for (i, (name, alias)) in slots.into_iter().enumerate() {
            f.write_str(if i == 0 { " " } else { ", " })?;
            match alias {
                Some(Alias { version: Some(version), revision, .. }) => {
                    write!(f, "{name} v{version} (revision {revision})")?;
                }
                _ => write!(f, "no {name}")?,
            }
        }
        Ok(())
    }
}

/// Where a version stands; [`RegistryExt::stages`](super::RegistryExt::stages) gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Registered, and no alias has ever named it.
    Registered,
    /// Named by these aliases, sorted.
    Named(Vec<String>),
    /// Named by an alias once, and by none now.
    Archived,
}

impl Stage {
    pub(super) fn of_all(
        registry: &(impl Registry + ?Sized),
        model: &str,
    ) -> Result<BTreeMap<u64, Self>> {
        let numbers = registry.versions(model)?;
        let mut stages: BTreeMap<u64, Self> =
            numbers.into_iter().map(|number| (number, Self::Registered)).collect();
        for alias in registry.aliases(model)? {
            // From the history alone, so that an alias that moves meanwhile stands in one place.
            let history = registry.history(model, &alias.alias)?;
            for change in &history {
                let Some(version) = change.version else { continue };
                let stage = stages.entry(version).or_insert(Self::Registered);
                if *stage == Self::Registered {
                    *stage = Self::Archived;
                }
            }
            let Some(last) = history.last().and_then(|last| last.version) else { continue };
            match stages.entry(last).or_insert(Self::Archived) {
                Self::Named(names) => names.push(alias.alias),
                other => *other = Self::Named(vec![alias.alias]),
            }
        }
        Ok(stages)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered => f.pad("registered"),
            Self::Named(names) => f.pad(&names.join(", ")),
            Self::Archived => f.pad("archived"),
        }
    }
}
