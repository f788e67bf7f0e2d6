//! The whole life of a model in one run: raw data, validation, training, gates, registry,
//! production with a fault, a drift and a bias in it, alerts, retraining, promotion or block, and
//! rollback. `--help` says what it takes.

#![expect(unreachable_pub, reason = "a program's modules are read by nobody else")]

mod args;
mod loans;
mod page;
mod production;
mod release;
mod seeds;
mod show;
mod story;
mod training;

use std::process::ExitCode;

use mlops::core::{Cancel, Error, Result};

use crate::args::Args;
use crate::show::Show;

fn main() -> ExitCode {
    let cancel = Cancel::new();
    let stop = cancel.clone();
    // The second Ctrl-C ends the program at once; the registry is whole at every instant anyway.
    let handler = ctrlc::set_handler(move || {
        if stop.is_cancelled() {
            std::process::exit(130);
        }
        stop.cancel();
    });
    let result = handler
        .map_err(|e| Error::other("listening to Ctrl-C", e))
        .and_then(|()| args::parse(std::env::args_os().skip(1)))
        .and_then(|args| match args {
            None => {
                say(args::HELP);
                Ok(())
            }
            Some(args) => run(&args, &cancel),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(if error.is_cancelled() { 130 } else { 1 })
        }
    }
}

fn run(args: &Args, cancel: &Cancel) -> Result<()> {
    if let Some(seeds) = args.seeds {
        return seeds::run(args, seeds, cancel);
    }
    let show = Show::new(false, cancel.clone());
    production::life(args, args.seed, &args.out, &show)?;
    let took = show.elapsed().as_secs_f64();
    let out = args.out.display();
    show.line(&format!("\nDone in {took:.1} s. Look at:"));
    show.line(&format!("  {out}/report.html    the report"));
    show.line(&format!("  {out}/registry.db    versions, gates, approvals, history"));
    show.line(&format!("  {out}/alerts.jsonl   every alert"));
    show.line(&format!("  {out}/quarantine/    the rows that were put aside, and why"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is the program's complaint")]
fn complain(error: &Error) {
    eprintln!("lifecycle: {error}");
}
