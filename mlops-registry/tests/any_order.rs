//! Requests of all kinds in any order, under few names and spellings: a file does what memory does,
//! nobody promotes with fewer or other people than the policy says, and everything verifies.

#![cfg(feature = "sqlite")]

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};

use mlops_core::{
    Approval, Assessment, ChangeKind, Finding, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, RegistryExt, Result, Roles, Rollback, Timestamp, Unset, Verdict, Withdrawal,
    history_flaws, same_person,
};
use mlops_registry::audit::{EvidencePack, Log, Notary, NoteSigner};
use mlops_registry::{MemoryRegistry, SqliteRegistry};

/// Spellings of four people.
const NAMES: [&str; 8] = ["ana", "ANA", "ben", "Be\u{200b}n", "cleo", "ＣＬＥＯ", "dora", "DORA"];
const ALIASES: [&str; 2] = ["champion", "shadow"];

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_769_860_800_000 + millis.cast_signed())
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Ben and cleo stand for risk, cleo and dora for engineering, ana for both.
fn has(person: &str, role: &str) -> bool {
    let is = |names: &[&str]| names.iter().any(|name| same_person(name, person));
    match role {
        "risk" => is(&["ana", "ben", "cleo"]),
        "engineering" => is(&["ana", "cleo", "dora"]),
        _ => true,
    }
}

/// The pseudonyms of people are random: in the order in which they come, they are numbers.
fn plain(text: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut parts = text.split("erased-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..16).filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(id) => {
                let n = seen.iter().position(|s| *s == id).unwrap_or(seen.len());
                if n == seen.len() {
                    seen.push(id);
                }
                let _ = write!(out, "erased-{n}{}", &part[16..]);
            }
            None => drop(write!(out, "erased-{part}")),
        }
    }
    out
}

#[expect(clippy::needless_pass_by_value, reason = "what was answered is compared, and gone")]
fn same<T: Debug>(what: &str, memory: Result<T>, file: Result<T>) -> Option<T> {
    let shown = |result: &Result<T>| match result {
        Ok(value) => plain(&format!("{value:?}")),
        Err(error) => plain(&format!("error: {error}")),
    };
    assert_eq!(shown(&memory), shown(&file), "{what}");
    memory.ok()
}

/// Whether so many of these people can each stand for one role.
fn seated(people: &[&str], needed: &[&str]) -> bool {
    let Some((role, rest)) = needed.split_first() else { return true };
    (0..people.len()).any(|n| {
        let others = [&people[..n], &people[n + 1..]].concat();
        has(people[n], role) && seated(&others, rest)
    })
}

/// What a test knows of who stands for a version: spelling and the person.
type Standing = BTreeMap<u64, Vec<&'static str>>;

fn life(seed: u64, steps: usize) -> usize {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let folder = tempfile::tempdir().expect("a folder");
    let roles = Roles::new(has);
    let memory = MemoryRegistry::new().with_roles(roles.clone());
    let path = folder.path().join("r.db");
    let file = SqliteRegistry::open(&path).expect("a registry").with_roles(roles);
    let both: [&dyn Registry; 2] = [&memory, &file];
    let (mut standing, mut authors) = (Standing::new(), BTreeMap::<u64, &str>::new());
    let mut digests = Vec::new();
    let mut promoted = 0;
    for step in 0..steps {
        let now = at(step as u64);
        let version = 1 + random.below(3) as u64;
        let (person, alias) = (random.of(&NAMES), random.of(&ALIASES));
        let key = (random.below(3) == 0).then(|| format!("k{}", random.below(6)));
        let what = format!("seed {seed}, step {step}: v{version}, {person:?}, {alias}, {key:?}");
        match random.below(20) {
            0 => {
                let mut new = NewVersion::new("m", person)
                    .with_artifact("a", format!("bytes {}", random.below(2)));
                new.key = key;
                let [a, b] = both.map(|r| r.register(new.clone(), now));
                if let Some(made) = same(&what, a, b)
                    && authors.insert(made.number, person).is_none()
                {
                    digests.push(made.digest);
                }
            }
            1..5 => {
                let Some(digest) = digests.get(version as usize - 1) else { continue };
                let digest = if random.below(9) == 0 { digests[0] } else { *digest };
                let verdict = if random.below(5) == 0 { Verdict::Fail } else { Verdict::Pass };
                let finding = Finding::new("auc", "x", verdict, "≥ 0.7", "0.8");
                let name = ["quality", "fairness"][random.below(2)];
                let report = GateReport::new(digest, Assessment::new(name, 9, vec![finding]), now)
                    .run_by(person);
                let [a, b] = both.map(|r| r.record_gate("m", version, report.clone()));
                same(&what, a, b);
            }
            5..10 => {
                // Sometimes a request that was made before, late.
                let when = at((step - random.below(3).min(step)) as u64 / 4 * 4);
                let approval =
                    Approval { by: person.into(), comment: random.of(&["", "x"]).into(), at: when };
                let [a, b] = both.map(|r| r.approve("m", version, approval.clone()));
                if same(&what, a, b).is_some() {
                    let all = standing.entry(version).or_default();
                    if !all.iter().any(|other| same_person(other, person)) {
                        all.push(person);
                    }
                }
            }
            10 | 11 => {
                let back = Withdrawal::new(person, "a leak", now);
                let [a, b] = both.map(|r| r.withdraw("m", version, back.clone()));
                if same(&what, a, b).is_some() {
                    let all = standing.entry(version).or_default();
                    all.retain(|other| !same_person(other, person));
                }
            }
            12 => {
                let mut policy =
                    PromotionPolicy { approvals: random.below(3), ..PromotionPolicy::default() };
                for role in ["risk", "engineering"] {
                    if random.below(3) == 0 {
                        policy = policy.with_role(role, 1 + random.below(2));
                    }
                }
                if random.below(2) == 0 {
                    policy.max_gate_age_millis = Some(40);
                }
                let [a, b] = both.map(|r| r.set_policy("m", alias, policy.clone(), person, now));
                same(&what, a, b);
            }
            13..16 => {
                let seen = memory.revision("m", alias).unwrap_or(0);
                let mut promotion =
                    Promotion::new("m", alias, version).by(person).because("better").seeing(seen);
                promotion.key = key;
                let moves = memory.history("m", alias).expect("history").len();
                let [a, b] = both.map(|r| r.promote(promotion.clone(), now));
                same(&what, a, b);
                let history = memory.history("m", alias).expect("history");
                if history.len() == moves {
                    continue;
                }
                promoted += 1;
                let policy = memory.policy("m", alias).expect("policy");
                let author = authors[&version];
                let people: Vec<&str> = standing
                    .get(&version)
                    .cloned()
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|p| !same_person(p, author))
                    .collect();
                assert!(people.len() >= policy.approvals, "{what}: {people:?} for {policy}");
                let needed: Vec<&str> = policy
                    .approver_roles
                    .iter()
                    .flat_map(|(role, n)| std::iter::repeat_n(role.as_str(), *n))
                    .collect();
                assert!(seated(&people, &needed), "{what}: {people:?} for {policy}");
                let last = history.last().expect("the move");
                assert_eq!(last.approvals.len(), people.len(), "{what}");
            }
            16 => {
                let seen = memory.revision("m", alias).unwrap_or(0);
                let mut back = Rollback::new("m", alias).by(person).seeing(seen);
                back.key = key;
                let before = memory.alias("m", alias).expect("alias").and_then(|a| a.version);
                let moves = memory.history("m", alias).expect("history").len();
                let [a, b] = both.map(|r| r.rollback(back.clone(), now));
                same(&what, a, b);
                let history = memory.history("m", alias).expect("history");
                if history.len() > moves {
                    let last = history.last().expect("the move");
                    assert_ne!(last.version, before, "{what}: a rollback that changes nothing");
                    let led = history
                        .iter()
                        .any(|c| c.kind == ChangeKind::Promotion && c.version == last.version);
                    assert!(led, "{what}: to what nobody had promoted");
                }
            }
            17 => {
                let seen = memory.revision("m", alias).unwrap_or(0);
                let mut away = Unset::new("m", alias).by(person).because("a leak").seeing(seen);
                away.key = key;
                let [a, b] = both.map(|r| r.unset(away.clone(), now));
                same(&what, a, b);
            }
            18 if random.below(4) == 0 => {
                let (a, b) = (memory.erase(person, "dpo", now), file.erase(person, "dpo", now));
                let count =
                    |e: Result<mlops_registry::Erased>| e.map(|e| (e.entries, e.records, e.runs));
                same(&what, count(a), count(b));
                for people in standing.values_mut() {
                    people.retain(|p| *p != person);
                }
                // A name that nobody has.
                for author in authors.values_mut().filter(|author| **author == person) {
                    *author = "nobody";
                }
                let found = file.verify().expect("a look");
                assert!(found.is_whole(), "{what}: {found}");
            }
            _ => {
                for alias in ALIASES {
                    let when = at(random.below(step + 2) as u64);
                    same(&what, memory.as_of("m", alias, when), file.as_of("m", alias, when));
                    let [a, b] = both.map(|r| r.why("m", alias, when).map(|w| w.to_string()));
                    same(&what, a, b);
                }
                let [a, b] = both.map(|r| r.stages("m"));
                same(&what, a, b);
                same(&what, memory.version("m", version), file.version("m", version));
            }
        }
    }
    let found = file.verify().expect("a look");
    assert!(found.is_whole(), "seed {seed}: {found}");
    drop(file);
    let file = SqliteRegistry::open(&path).expect("again");
    let mut notary = Notary::new(NoteSigner::from_seed("r.example.com", [4; 32]).expect("a key"));
    for number in memory.versions("m").expect("versions") {
        same("a version", memory.version("m", number), file.version("m", number));
        let pack = EvidencePack::collect(&file, &file, "m", number, &mut notary);
        let pack = pack.unwrap_or_else(|e| panic!("seed {seed}, v{number}: {e}"));
        let mut archive = Vec::new();
        pack.write(&mut archive).expect("an archive");
        EvidencePack::read(archive.as_slice(), &notary.verifier()).expect("the same");
    }
    for alias in ALIASES {
        let history = memory.history("m", alias);
        assert!(history_flaws(history.as_ref().expect("history")).is_empty(), "seed {seed}");
        same("history", history, file.history("m", alias));
    }
    let said = |log: &dyn Log| -> Vec<String> {
        let entries = log.entries(0..u64::MAX).expect("the log");
        entries.iter().map(|e| format!("{} {} {}", e.at(), e.action(), e.subject())).collect()
    };
    assert_eq!(said(&memory), said(&file), "seed {seed}");
    promoted
}

#[test]
fn a_file_does_what_memory_does() {
    let lives = std::env::var("MLOPS_LIVES").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let promoted: usize = (0..lives).map(|seed| life(seed, 120)).sum();
    assert!(promoted > lives as usize, "{promoted} promotions");
}
