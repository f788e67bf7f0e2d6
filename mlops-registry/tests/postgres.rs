//! The registry in PostgreSQL keeps the contract, alone and under many processes.
//!
//! `MLOPS_POSTGRES` is the address of a server whose database the tests may make schemas in.
//! Without it they start a cluster of their own in a temporary directory, if `initdb` and
//! `pg_ctl` are there, and else say that they skip.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use mlops_core::{Error, NewVersion, PromotionPolicy, Registry, Roles, conformance};
use mlops_registry::PostgresRegistry;
use mlops_registry::audit::Log;
use postgres::{Client, NoTls};

mod children;
mod whole_life;

use children::{AT, Random, approval, heard, kill_after, pass, promotion, rollback, round, say};

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
    let fresh = |name: &str| PostgresRegistry::connect_in(&url, &schemas.add(name)).unwrap();
    whole_life::evidence(&fresh("evidence"));
    whole_life::outbox(&Arc::new(fresh("outbox")));
    let registry = fresh("erase");
    whole_life::erase(&registry, &|person, by| registry.erase(person, by, AT));
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
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
        for name in [
            "contract", "roles", "evidence", "outbox", "erase", "race", "killed", "edits", "other",
            "restart",
        ] {
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

/// What the child processes do; without their environment it is no test at all.
#[test]
fn child() {
    let Ok(url) = std::env::var("MLOPS_CHILD") else { return };
    let [schema, rounds, tag] =
        ["MLOPS_SCHEMA", "MLOPS_ROUNDS", "MLOPS_TAG"].map(|name| std::env::var(name).unwrap());
    let registry = PostgresRegistry::connect_in(&url, &schema).unwrap();
    for n in 0..rounds.parse().unwrap() {
        round(&registry, &format!("{tag}-{n}"), &mut |line| say(&line));
    }
    say("the end");
}

fn spawn(url: &str, schema: &str, tag: &str, rounds: usize) -> Child {
    children::spawn(&[
        ("MLOPS_CHILD", url),
        ("MLOPS_SCHEMA", schema),
        ("MLOPS_ROUNDS", &rounds.to_string()),
        ("MLOPS_TAG", tag),
    ])
}

fn check(registry: &PostgresRegistry, told: &[String]) {
    children::check(registry, told);
    children::whole(registry);
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
}

/// They all make the schema, too.
fn eight_processes_race(url: &str, schema: &str) {
    let mut children: Vec<_> = (0..8).map(|n| spawn(url, schema, &format!("p{n}"), 5)).collect();
    let told: Vec<_> = children.iter_mut().flat_map(heard).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a child failed");
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
    let mut random = Random(0x9e37_79b9_7f4a_7c15_u64);
    let mut steps = 0;
    for kill in 0..20 {
        let child = spawn(url, schema, &format!("k{kill}"), 1000);
        let told = kill_after(child, random.micros(200_000));
        steps += told.len();
        check(&PostgresRegistry::connect_in(url, schema).unwrap(), &told);
    }
    assert!(steps > 0, "no child got as far as one step");
    steps
}

fn roles_are_asked(url: &str, schema: &str) {
    let has = [("cleo", "risk"), ("cleo", Roles::POLICY)];
    let roles = Roles::new(move |person, role| has.contains(&(person, role)));
    let registry = PostgresRegistry::connect_in(url, schema).unwrap().with_roles(roles);
    let policy = PromotionPolicy::default().with_role("risk", 1);
    let refused = registry.set_policy("loans", "champion", policy.clone(), "ana", AT).unwrap_err();
    assert!(refused.to_string().contains("role `policy`"), "{refused}");
    registry.set_policy("loans", "champion", policy, "cleo", AT).unwrap();
    let version =
        registry.register(NewVersion::new("loans", "ana").with_artifact("m", "x"), AT).unwrap();
    registry.record_gate("loans", 1, pass(&version)).unwrap();
    let promote = |by: &str| {
        registry.approve("loans", 1, approval(by)).unwrap();
        registry.promote(promotion(1, 0), AT)
    };
    let error = promote("ben").unwrap_err();
    assert!(error.to_string().contains("0 of 1 approvals"), "{error}");
    assert_eq!(promote("cleo").unwrap().revision, 1);
}

fn edits_are_refused_or_found(url: &str, schema: &str) {
    let registry = PostgresRegistry::connect_in(url, schema).unwrap();
    round(&registry, "one", &mut |_| {});
    round(&registry, "two", &mut |_| {});
    registry.rollback(rollback(2), AT).unwrap();
    registry.set_policy("loans", "champion", PromotionPolicy::default(), "cleo", AT).unwrap();
    assert!(registry.verify().unwrap().is_whole());
    let mut raw = Client::connect(url, NoTls).unwrap();
    raw.batch_execute(&format!("SET search_path TO {schema}")).unwrap();
    let tables = ["alias_change", "gate", "approval", "withdrawal", "policy", "audit", "request"];
    for table in tables {
        for edit in [format!("DELETE FROM {table}"), format!("TRUNCATE {table} CASCADE")] {
            let error = raw.batch_execute(&edit).unwrap_err();
            let error = error.as_db_error().unwrap().message().to_owned();
            assert!(error.contains("never deleted"), "{table}: {error}");
        }
    }
    for (edit, place) in [
        (
            "UPDATE param SET value = '9'; UPDATE artifact SET name = 'gat' WHERE name = 'tag'",
            "loans v1",
        ),
        ("UPDATE chunk SET bytes = '\\x00' WHERE blob = 1", "model.bin of loans v1"),
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
    round(&registry, "before", &mut |_| {});
    assert!(cluster.down("fast"));
    let error = registry.models().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    cluster.up();
    round(&registry, "after", &mut |_| {});
    assert_eq!(registry.versions("loans").unwrap(), [1, 2]);
    // One that crashed comes back with all that was acknowledged.
    assert!(cluster.down("immediate"));
    cluster.up();
    assert_eq!(registry.history("loans", "champion").unwrap().len(), 2);
    assert!(registry.verify().unwrap().is_whole());
}
