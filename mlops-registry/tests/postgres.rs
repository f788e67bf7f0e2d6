//! The registry in PostgreSQL keeps the contract, alone and under many processes.
//!
//! `MLOPS_POSTGRES` is the address of a server whose database the tests may make schemas in.
//! Without it they start a cluster of their own in a temporary directory, if `initdb` and
//! `pg_ctl` are there, and else say that they skip.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mlops_core::{
    Approval, Assessment, Error, Finding, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, RegistryExt, Roles, Rollback, Timestamp, Verdict, conformance, history_flaws,
};
use mlops_registry::PostgresRegistry;
use mlops_registry::audit::Log;
use postgres::{Client, NoTls};

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

/// A cluster in a temporary directory; stopped and removed when it goes.
struct Cluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
    root: bool,
}

impl Cluster {
    /// None where there is no PostgreSQL.
    fn start() -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::tempdir().unwrap();
        let id = Command::new("id").arg("-u").output().ok()?;
        let root = id.stdout.starts_with(b"0\n");
        // A server does not run as root.
        if root {
            let chown = Command::new("chown").arg("postgres").arg(directory.path()).status();
            if !chown.is_ok_and(|status| status.success()) {
                return None;
            }
        }
        let cluster = Self { directory, programs, root };
        let data = cluster.directory.path().join("data");
        let args = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"];
        assert!(cluster.run("initdb", |c| c.args(args).arg(&data)), "initdb");
        cluster.up();
        Some(cluster)
    }

    fn run(&self, program: &str, args: impl FnOnce(&mut Command) -> &mut Command) -> bool {
        let program = self.programs.join(program);
        let mut command = if self.root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        args(&mut command)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn up(&self) {
        let at = self.directory.path();
        let options = format!("-k {} -c listen_addresses='' -c max_connections=60", at.display());
        let started = self.run("pg_ctl", |c| {
            c.args(["-w", "-o", &options, "-l"]).arg(at.join("log")).arg("-D").arg(at.join("data"));
            c.arg("start")
        });
        let log = || std::fs::read_to_string(at.join("log")).unwrap_or_default();
        assert!(started, "the server does not start: {}", log());
    }

    fn down(&self, mode: &str) -> bool {
        let data = self.directory.path().join("data");
        self.run("pg_ctl", |c| c.args(["-w", "-m", mode, "-D"]).arg(data).arg("stop"))
    }

    fn url(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.directory.path().display())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.down("immediate");
    }
}

/// Where `initdb` and `pg_ctl` are: on the path, or where Debian has them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    let debian = Path::new("/usr/lib/postgresql");
    let versions = std::fs::read_dir(debian).into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    places.into_iter().find(|at| at.join("initdb").exists() && at.join("pg_ctl").exists())
}

#[test]
fn postgres() {
    if std::env::var_os("MLOPS_CHILD").is_some() {
        return;
    }
    let given = std::env::var("MLOPS_POSTGRES").ok();
    let cluster = if given.is_some() { None } else { Cluster::start() };
    let Some(url) = given.or_else(|| cluster.as_ref().map(Cluster::url)) else {
        println!("skipped: no MLOPS_POSTGRES, and no initdb and pg_ctl");
        return;
    };
    let schemas = Schemas::new(&url);
    keeps_the_contract(&url, &schemas.add("contract"));
    roles_are_asked(&url, &schemas.add("roles"));
    eight_processes_race(&url, &schemas.add("race"));
    let steps = killed_at_random_instants(&url, &schemas.add("killed"));
    println!("20 kills, {steps} steps were told done");
    edits_are_refused_or_found(&url, &schemas.add("edits"));
    other_schemas_are_left_alone(&url, &schemas.add("other"));
    if let Some(cluster) = &cluster {
        a_restart_is_survived(cluster, &schemas.add("restart"));
    }
}

/// Schemas of this run, dropped at its end.
struct Schemas {
    url: String,
    run: String,
}

impl Schemas {
    fn new(url: &str) -> Self {
        Self { url: url.to_owned(), run: format!("mlops_test_{}", std::process::id()) }
    }

    fn add(&self, name: &str) -> String {
        format!("{}_{name}", self.run)
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        let Ok(mut client) = Client::connect(&self.url, NoTls) else { return };
        for name in ["contract", "roles", "race", "killed", "edits", "other", "restart"] {
            let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.add(name));
            client.batch_execute(&drop).ok();
        }
    }
}

fn keeps_the_contract(url: &str, schema: &str) {
    let registry = Arc::new(PostgresRegistry::connect_in(url, schema).unwrap());
    let shared: Arc<dyn Registry> = registry.clone();
    conformance::registry(&shared);
    mlops_registry::tracking::conformance::tracker(&*registry);
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    assert!(found.entries > 100, "{found}");
    assert_eq!(registry.len().unwrap(), found.entries);
    let (entries, tail) = (registry.entries(0..u64::MAX).unwrap(), registry.entries(7..9).unwrap());
    assert_eq!(entries.len() as u64, found.entries);
    assert_eq!(entries[7..9], tail);
    // Another connection finds all of it.
    let again = PostgresRegistry::connect_in(url, schema).unwrap();
    assert_eq!(again.models().unwrap(), registry.models().unwrap());
    assert_eq!(again.verify().unwrap(), found);
    assert!(!format!("{again:?}").contains("user"), "{again:?}");
}

/// One round of a model's life; the promotion under a key that is repeated.
fn round(registry: &PostgresRegistry, tag: &str, mut told: impl FnMut(String)) {
    let new = NewVersion::new("loans", "ana")
        .with_artifact("model.bin", tag.repeat(9000))
        .with_artifact("tag", tag)
        .with_key(tag);
    let version = registry.register(new, AT).unwrap();
    let n = version.number;
    told(format!("registered {n} {tag}"));
    let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
    let report = GateReport::new(version.digest, Assessment::new("quality", 9, vec![finding]), AT);
    registry.record_gate("loans", n, report).unwrap();
    let approval = Approval { by: "ben".into(), comment: String::new(), at: AT };
    registry.approve("loans", n, approval).unwrap();
    loop {
        let promotion = Promotion {
            model: "loans".into(),
            alias: "champion".into(),
            version: n,
            actor: "ana".into(),
            reason: tag.into(),
            expected_revision: registry.revision("loans", "champion").unwrap(),
            key: Some(format!("promote {tag}")),
        };
        match registry.promote(promotion, AT) {
            Ok(alias) => break told(format!("moved {} {n}", alias.revision)),
            Err(Error::Conflict { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

/// What the child processes do; without their environment it is no test at all.
#[test]
fn child() {
    let Ok(url) = std::env::var("MLOPS_CHILD") else { return };
    let [schema, rounds, tag] =
        ["MLOPS_SCHEMA", "MLOPS_ROUNDS", "MLOPS_TAG"].map(|name| std::env::var(name).unwrap());
    let registry = PostgresRegistry::connect_in(&url, &schema).unwrap();
    for n in 0..rounds.parse().unwrap() {
        round(&registry, &format!("{tag}-{n}"), |line| println!("told {line}"));
    }
    println!("told the end");
}

fn spawn(url: &str, schema: &str, tag: &str, rounds: usize) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("MLOPS_CHILD", url)
        .env("MLOPS_SCHEMA", schema)
        .env("MLOPS_ROUNDS", rounds.to_string())
        .env("MLOPS_TAG", tag)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a child was told is done: its whole lines.
fn heard(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.filter_map(|line| Some(line.split_once("told ")?.1.trim_end().to_owned())).collect()
}

fn check(registry: &PostgresRegistry, told: &[String]) {
    let history = registry.history("loans", "champion").unwrap();
    assert!(history_flaws(&history).is_empty(), "a total order");
    for line in told {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "registered" => {
                let tag = registry.artifact("loans", words[1].parse().unwrap(), "tag").unwrap();
                assert_eq!(tag, words[2].as_bytes(), "{line}");
            }
            "moved" => {
                let change = &history[words[1].parse::<usize>().unwrap() - 1];
                assert_eq!(change.version.to_string(), words[2], "{line}");
            }
            _ => assert_eq!(line, "the end"),
        }
    }
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
}

/// They all make the schema, too.
fn eight_processes_race(url: &str, schema: &str) {
    let children: Vec<_> = (0..8).map(|n| spawn(url, schema, &format!("p{n}"), 5)).collect();
    let mut told = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "a child failed: {said}");
        told.extend(heard(&output.stdout));
    }
    let registry = PostgresRegistry::connect_in(url, schema).unwrap();
    check(&registry, &told);
    assert_eq!(registry.versions("loans").unwrap(), (1..=40).collect::<Vec<_>>());
    let moves: Vec<_> = told.iter().filter(|line| line.starts_with("moved")).collect();
    let revisions: HashSet<_> = moves.iter().map(|line| line.split(' ').nth(1)).collect();
    assert_eq!((moves.len(), revisions.len()), (40, 40), "every revision once");
    assert_eq!(registry.history("loans", "champion").unwrap().len(), 40);
}

/// How many steps were told done.
fn killed_at_random_instants(url: &str, schema: &str) -> usize {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut steps = 0;
    for kill in 0..20 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = spawn(url, schema, &format!("k{kill}"), 1000);
        std::thread::sleep(Duration::from_micros((random >> 40) % 200_000));
        child.kill().unwrap();
        let told = heard(&child.wait_with_output().unwrap().stdout);
        steps += told.len();
        check(&PostgresRegistry::connect_in(url, schema).unwrap(), &told);
    }
    assert!(steps > 0, "no child got as far as one step");
    steps
}

fn roles_are_asked(url: &str, schema: &str) {
    let roles = Roles::new(|person, role| (person, role) == ("cleo", "risk"));
    let registry = PostgresRegistry::connect_in(url, schema).unwrap().with_roles(roles);
    let policy = PromotionPolicy { approver_role: Some("risk".into()), ..Default::default() };
    registry.set_policy("loans", "champion", policy, "cleo", AT).unwrap();
    let version =
        registry.register(NewVersion::new("loans", "ana").with_artifact("m", "x"), AT).unwrap();
    let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
    let report = GateReport::new(version.digest, Assessment::new("quality", 9, vec![finding]), AT);
    registry.record_gate("loans", 1, report).unwrap();
    let promote = |by: &str| {
        let approval = Approval { by: by.into(), comment: String::new(), at: AT };
        registry.approve("loans", 1, approval).unwrap();
        let promotion = Promotion {
            model: "loans".into(),
            alias: "champion".into(),
            version: 1,
            actor: "ana".into(),
            reason: String::new(),
            expected_revision: 0,
            key: None,
        };
        registry.promote(promotion, AT)
    };
    let error = promote("ben").unwrap_err();
    assert!(error.to_string().contains("0 of 1 approvals"), "{error}");
    assert_eq!(promote("cleo").unwrap().revision, 1);
}

fn edits_are_refused_or_found(url: &str, schema: &str) {
    let registry = PostgresRegistry::connect_in(url, schema).unwrap();
    round(&registry, "one", |_| {});
    round(&registry, "two", |_| {});
    let back = Rollback {
        model: "loans".into(),
        alias: "champion".into(),
        actor: "ben".into(),
        reason: "worse".into(),
        expected_revision: 2,
        key: None,
    };
    registry.rollback(back, AT).unwrap();
    registry.set_policy("loans", "champion", PromotionPolicy::default(), "cleo", AT).unwrap();
    assert!(registry.verify().unwrap().is_whole());
    let mut raw = Client::connect(url, NoTls).unwrap();
    raw.batch_execute(&format!("SET search_path TO {schema}")).unwrap();
    for table in ["alias_change", "gate", "approval", "policy", "audit", "request"] {
        for edit in ["DELETE FROM", "TRUNCATE"] {
            let error = raw.batch_execute(&format!("{edit} {table}")).unwrap_err();
            let error = error.as_db_error().unwrap().message().to_owned();
            assert!(error.contains("never deleted"), "{table}: {error}");
        }
    }
    for (edit, place) in [
        (
            "UPDATE param SET value = '9'; UPDATE artifact SET name = 'gat' WHERE name = 'tag'",
            "loans v1",
        ),
        ("UPDATE chunk SET bytes = '\\x00' WHERE blob = 1", "artifact in row 1"),
        ("DROP TRIGGER gate_delete ON gate; DELETE FROM gate WHERE id = 1", "no row"),
        ("DROP TRIGGER audit_delete ON audit; DELETE FROM audit WHERE seq = 2", "audit entry 2"),
        ("UPDATE audit SET entry = replace(entry, 'promote', 'rollback')", "audit entry"),
    ] {
        raw.batch_execute(&format!("BEGIN; {edit}; COMMIT")).unwrap();
        let found = registry.verify().unwrap();
        assert!(found.to_string().contains(place), "{edit}: expected {place:?} in {found}");
    }
}

fn other_schemas_are_left_alone(url: &str, schema: &str) {
    let mut raw = Client::connect(url, NoTls).unwrap();
    raw.batch_execute(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.model (id bigint)"))
        .unwrap();
    let error = PostgresRegistry::connect_in(url, schema).unwrap_err().to_string();
    assert!(error.contains("another application"), "{error}");
    raw.batch_execute(&format!("DROP TABLE {schema}.model")).unwrap();
    // A schema that is there and empty is taken.
    drop(PostgresRegistry::connect_in(url, schema).unwrap());
    raw.batch_execute(&format!("UPDATE {schema}.registry SET schema = 77")).unwrap();
    let error = PostgresRegistry::connect_in(url, schema).unwrap_err().to_string();
    assert!(error.contains("newer release") && error.contains("77"), "{error}");
    let error = PostgresRegistry::connect_in(url, "a\"b").unwrap_err().to_string();
    assert!(error.contains("name of the schema"), "{error}");
}

/// Connections that slept through a restart are not handed out.
fn a_restart_is_survived(cluster: &Cluster, schema: &str) {
    let registry = PostgresRegistry::connect_in(&cluster.url(), schema).unwrap();
    round(&registry, "before", |_| {});
    assert!(cluster.down("fast"));
    let error = registry.models().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    cluster.up();
    round(&registry, "after", |_| {});
    assert_eq!(registry.versions("loans").unwrap(), [1, 2]);
    // One that crashed comes back with all that was acknowledged.
    assert!(cluster.down("immediate"));
    cluster.up();
    assert_eq!(registry.history("loans", "champion").unwrap().len(), 2);
    assert!(registry.verify().unwrap().is_whole());
}
