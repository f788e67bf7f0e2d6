//! The tables, by version of the schema: what a new database runs in turn, and an older one from
//! where it is.
//!
//! A script is the same text for every database, with words in braces for what differs between
//! them (see [`Dialect`]). A version that was released is never edited; a new one is added, with
//! a file for each part of the crate that has tables.

/// The newest schema that this release knows.
pub(crate) const VERSION: u32 = SCRIPTS.len() as u32;

/// The scripts of version 1, 2, …
const SCRIPTS: &[&[&str]] = &[
    &[include_str!("schema/v1.sql")],
    &[
        include_str!("schema/v2_registry.sql"),
        include_str!("schema/v2_audit.sql"),
        include_str!("schema/v2_outbox.sql"),
        include_str!("schema/v2_tracking.sql"),
    ],
];

/// Tables whose rows are never changed or deleted, and the words for somebody who tries.
const FINAL: &[&[Final]] = &[
    &[
        Final { name: "version", table: "version", of: "", deleted: true, what: "a version" },
        Final { name: "gate", table: "gate", of: "", deleted: false, what: "a gate report" },
        APPROVAL,
        Final { name: "policy", table: "policy", of: "", deleted: false, what: "a policy" },
        HISTORY,
    ],
    &[
        // The tables were made anew, and their guards went with the old ones.
        APPROVAL,
        HISTORY,
        WITHDRAWAL,
        Final { name: "request", table: "request", of: "", deleted: false, what: "a request" },
        Final {
            name: "audit",
            table: "audit",
            of: " OF seq, hash",
            deleted: false,
            what: "an audit entry",
        },
    ],
];

const APPROVAL: Final =
    Final { name: "approval", table: "approval", of: "", deleted: false, what: "an approval" };
const WITHDRAWAL: Final =
    Final { name: "withdrawal", table: "withdrawal", of: "", deleted: false, what: "a withdrawal" };
const HISTORY: Final =
    Final { name: "history", table: "alias_change", of: "", deleted: false, what: "history" };

/// A table whose rows are never changed.
struct Final {
    name: &'static str,
    table: &'static str,
    /// The columns that are meant, if not all.
    of: &'static str,
    /// Whether they may be deleted.
    deleted: bool,
    what: &'static str,
}

/// How a database spells what differs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Word and spelling: `{id}` a number that the database gives each row, `{int}`, `{real}`,
    /// `{text}` ordered by its bytes, `{blob}`, `{table}` the end of a table, `{keyed}` that of a
    /// table that lies in the order of its primary key.
    pub(crate) words: [(&'static str, &'static str); 7],
    /// What makes the rows of a table final.
    pub(crate) guard: fn(&Guard<'_>) -> String,
}

/// A trigger that refuses an operation.
pub(crate) struct Guard<'a> {
    /// What its name starts with.
    pub(crate) name: &'a str,
    pub(crate) table: &'a str,
    /// `UPDATE` or `DELETE`.
    pub(crate) operation: &'a str,
    /// Of which columns, if not all.
    pub(crate) of: &'a str,
    /// What it says.
    pub(crate) words: &'a str,
}

impl Dialect {
    /// The tables that hold names of people in rows that are final, and for each what it is
    /// guarded by: the name that its guard's starts with, and what sets the guard.
    pub(crate) fn guards(&self) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        let guard = self.guard;
        // Those of version 1, and what people wrote since; what else came later holds none, or has
        // its own way.
        let first = FINAL.iter().take(1).flat_map(|finals| finals.iter());
        first.chain([&WITHDRAWAL]).map(move |f| {
            let words = format!("{} is never changed", f.what);
            let Final { name, table, of, .. } = *f;
            let sql = guard(&Guard { name, table, operation: "UPDATE", of, words: &words });
            (name, table, sql)
        })
    }

    /// What brings a database from this version (0 is an empty one) to the next.
    pub(crate) fn step(&self, from: u32) -> String {
        let at = from as usize;
        let mut script = SCRIPTS.get(at).copied().unwrap_or_default().join("\n");
        for (word, spelling) in &self.words {
            script = script.replace(word, spelling);
        }
        for &Final { name, table, of, deleted, what } in FINAL.get(at).copied().unwrap_or_default()
        {
            let mut guard = |operation, of, verb| {
                let words = format!("{what} is never {verb}");
                let guard = Guard { name, table, operation, of, words: &words };
                script.push_str(&(self.guard)(&guard));
            };
            guard("UPDATE", of, "changed");
            if !deleted {
                guard("DELETE", "", "deleted");
            }
        }
        script
    }
}
