//! A process that works on a registry is killed at random instants: what it was told is done is
//! there, nothing is half there. And many processes work on one file at once.
//!
//! `MLOPS_KILLS` raises the number of kills.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::HashSet;
use std::path::Path;
use std::process::Child;

use mlops_core::{Error, Registry, RegistryExt, Rollback, Unset};
use mlops_registry::audit::Log;
use mlops_registry::{Journal, SqliteRegistry};

mod children;

use children::{AT, Random, heard, kill_after, rollback, round, say, text, unset};

/// What the child processes do; without their environment it is no test at all.
#[test]
fn child() {
    let Ok(path) = std::env::var("MLOPS_CHILD") else { return };
    let (rounds, tag) =
        (std::env::var("MLOPS_ROUNDS").unwrap(), std::env::var("MLOPS_TAG").unwrap());
    let registry = SqliteRegistry::open(path).unwrap();
    // Another move first in every child, so that those that are killed early come to each.
    let first = tag.bytes().fold(0, |sum, byte| sum + usize::from(byte));
    for n in 0..rounds.parse::<usize>().unwrap() {
        let seen = registry.revision("loans", "champion").unwrap_or(0);
        let moved = match (first + n) % 4 {
            0 | 2 => {
                let key = Some(format!("roll back {tag}-{n}"));
                Some(registry.rollback(Rollback { key, ..rollback(seen) }, AT))
            }
            1 => {
                let key = Some(format!("unset {tag}-{n}"));
                Some(registry.unset(Unset { key, ..unset(seen) }, AT))
            }
            _ => None,
        };
        match moved {
            // Version 0 is none.
            Some(Ok(alias)) => {
                say(&format!("moved {} {}", alias.revision, alias.version.unwrap_or(0)));
            }
            // Nothing is there to be moved, somebody was first, or has unset it before.
            None
            | Some(Err(Error::NotFound { .. } | Error::Conflict { .. } | Error::Blocked { .. })) => {
            }
            Some(Err(e)) => panic!("{e}"),
        }
        round(&registry, &format!("{tag}-{n}"), &mut |line| say(&line));
    }
    say("the end");
}

fn spawn(path: &Path, tag: &str, rounds: usize) -> Child {
    let rounds = rounds.to_string();
    let path = text(path);
    children::spawn(&[("MLOPS_CHILD", path), ("MLOPS_ROUNDS", &rounds), ("MLOPS_TAG", tag)])
}

fn check(registry: &SqliteRegistry, told: &[String]) {
    children::check(registry, told);
    children::whole(registry);
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    assert_eq!(registry.len().unwrap(), found.entries);
}

#[test]
fn killed_at_random_instants() {
    const THREADS: u64 = 4;
    let each = children::kills(300).div_ceil(THREADS);
    let told = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || kill(t, each))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let (lines, early) = told.iter().fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1));
    println!("{} kills, {lines} steps were told done, {early} before the first", each * THREADS);
    assert!(lines > 0, "no child got as far as one step");
}

/// Kills this many; how many steps were told done, and how many children told of none.
fn kill(thread: u64, kills: u64) -> (usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let (mut lines, mut early) = (0, 0);
    let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread + 1));
    for kill in 0..kills {
        // Eight kills a file: the first fall into its making, the later find what others left.
        let path = directory.path().join(format!("registry-{}.db", kill / 8));
        let child = spawn(&path, &format!("k{kill}"), 1000);
        let told = kill_after(child, random.micros(150_000));
        lines += told.len();
        early += usize::from(told.is_empty());
        check(&SqliteRegistry::open(&path).unwrap(), &told);
    }
    (lines, early)
}

#[test]
fn eight_processes_of_one_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    let mut children: Vec<_> = (0..8).map(|n| spawn(&path, &format!("p{n}"), 6)).collect();
    let told: Vec<_> = children.iter_mut().flat_map(heard).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a child failed");
    }
    let registry = SqliteRegistry::open_with(&path, Journal::Wal).unwrap();
    assert_eq!(told.iter().filter(|line| *line == "the end").count(), 8);
    check(&registry, &told);
    assert_eq!(registry.versions("loans").unwrap(), (1..=48).collect::<Vec<_>>());
    let moves: Vec<_> = told.iter().filter(|line| line.starts_with("moved")).collect();
    let revisions: HashSet<_> = moves.iter().map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(revisions.len(), moves.len(), "a revision was given out twice");
    let history = registry.history("loans", "champion").unwrap();
    assert_eq!(history.len(), moves.len(), "every move that was told, and no other");
}
