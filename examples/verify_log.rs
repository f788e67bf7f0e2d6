//! Verifies an audit log from its export, its checkpoints and the key that signed them, without
//! the registry it came from. Exits 0 if it is whole, 1 if not, 3 if it can't be read.
//!
//! `cargo run --example verify_log -- log.jsonl checkpoint.txt key.pub`; without arguments it
//! makes a log, and shows what it says when a byte of it is changed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use mlops::core::{Error, Result, Timestamp};
use mlops::registry::audit::{
    AuditVerification, Draft, Entry, Head, Notary, NoteSigner, NoteVerifier, Salt, Verifier, export,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seen = match arguments.as_slice() {
        [] => demonstration(),
        [log, checkpoints, key] => verify(log, checkpoints, key),
        _ => Err(Error::invalid("arguments", "log.jsonl checkpoint.txt key.pub", arguments.len())),
    };
    match seen {
        Ok(seen) => {
            println!("{seen}");
            ExitCode::from(u8::from(!seen.is_whole()))
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(3)
        }
    }
}

fn verify(log: &str, checkpoints: &str, key: &str) -> Result<AuditVerification> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|e| Error::io(path, e));
    let key: NoteVerifier = read(key)?.trim().parse()?;
    let verifier = Verifier::new(&key, &read(checkpoints)?);
    verifier.verify(BufReader::new(File::open(log).map_err(|e| Error::io(log, e))?))
}

fn demonstration() -> Result<AuditVerification> {
    let at: Timestamp = "2026-01-31T12:00:00Z".parse()?;
    let mut log: Vec<Entry> = Vec::new();
    let mut head = Head::empty();
    for (who, action, subject) in [
        ("ana", "register", "loans v1"),
        ("ben", "approve", "loans v1"),
        ("ana", "promote", "loans@champion"),
    ] {
        let entry = Entry::next(head, Draft::new(at, who, action, subject), Salt::random()?)?;
        println!("{entry}");
        head = entry.head()?;
        log.push(entry);
    }
    let mut notary = Notary::new(NoteSigner::generate("registry.example.com/loans")?);
    let checkpoint = notary.sign(&log)?.to_string();
    println!("\n{checkpoint}");
    let verifier = Verifier::new(&notary.verifier(), &checkpoint);

    let mut lines = Vec::new();
    export(&log, &mut lines)?;
    let changed = String::from_utf8_lossy(&lines).replacen("champion", "champiom", 1);
    println!("With one letter changed:\n{}\n", verifier.verify(changed.as_bytes())?);
    println!("As it was exported:");
    verifier.verify(lines.as_slice())
}
