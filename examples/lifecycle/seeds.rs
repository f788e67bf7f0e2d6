//! Many seeds of the made stream: what was detected, when, and how often falsely.

use mlops::core::{Cancel, Error, Result};

use crate::args::Args;
use crate::loans::{Injected, PRODUCTION, month_name};
use crate::production::{Life, Seen, life};
use crate::show::Show;

/// What is looked for in a window.
type Question = fn(&Seen) -> bool;

#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    fault: u64,
    drift: u64,
    drift_late: u64,
    bias: u64,
    bias_blocked: u64,
    bias_retrained: u64,
    quiet: u64,
    false_fault: u64,
    false_drift: u64,
    false_bias: u64,
    promoted_first: u64,
    promoted_after_drift: u64,
}

/// Runs this many seeds, quietly, and prints the table.
pub fn run(args: &Args, seeds: u64, cancel: &Cancel) -> Result<()> {
    if args.data.is_some() {
        return Err(Error::invalid("--seeds", "the made stream", "--data"));
    }
    let shown = Show::new(false, cancel.clone());
    shown.line("seed  fault  drift  bias  biased challenger  false alarms");
    let mut tally = Tally::default();
    for seed in args.seed..args.seed + seeds {
        let out = args.out.join(format!("seed-{seed}"));
        if out.exists() {
            std::fs::remove_dir_all(&out).map_err(|e| Error::io(&out, e))?;
        }
        let quiet = Show::new(true, cancel.clone());
        let life = life(args, seed, &out, &quiet)?;
        std::fs::remove_dir_all(&out).map_err(|e| Error::io(&out, e))?;
        shown.line(&tally.add(seed, &life));
    }
    for line in tally.lines() {
        shown.line(&line);
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, seed: u64, life: &Life) -> String {
        let at = |month: usize| &life.seen[month - PRODUCTION];
        let months = || PRODUCTION..PRODUCTION + life.seen.len();
        let fault = at(Injected::FAULT).faulty();
        let drift = at(Injected::DRIFT).drifted();
        let late = months().find(|&m| m >= Injected::DRIFT && at(m).drifted());
        let bias = Injected::BIAS.iter().all(|&m| at(m).uneven());
        let biased: Vec<_> =
            Injected::BIAS.iter().filter_map(|&m| at(m).retrained.as_ref()).collect();
        let blocked = biased.iter().filter(|r| !r.promoted).count();
        let false_alarms = |question: Question, known: &[usize]| -> Vec<String> {
            let others = months().filter(|m| !known.contains(m));
            others.filter(|&m| question(at(m))).map(month_name).collect()
        };
        let injected = [&[Injected::FAULT, Injected::DRIFT][..], &Injected::BIAS].concat();
        let faults = false_alarms(Seen::faulty, &injected);
        // Until a challenger has learned it, the drift goes on, and to say so is right.
        let learned = months().find(|&m| {
            m >= Injected::DRIFT && at(m).retrained.as_ref().is_some_and(|r| r.promoted)
        });
        let drifting = Injected::DRIFT..=learned.unwrap_or(usize::MAX);
        let drifting: Vec<_> =
            months().filter(|m| drifting.contains(m)).chain(injected.iter().copied()).collect();
        let drifts = false_alarms(Seen::drifted, &drifting);
        let biases = false_alarms(Seen::uneven, &Injected::BIAS);
        self.seeds += 1;
        self.fault += u64::from(fault);
        self.drift += u64::from(drift);
        self.drift_late += u64::from(late.is_some() && !drift);
        self.bias += u64::from(bias);
        self.bias_retrained += biased.len() as u64;
        self.bias_blocked += blocked as u64;
        self.quiet += (life.seen.len() - injected.len()) as u64;
        self.false_fault += faults.len() as u64;
        self.false_drift += drifts.len() as u64;
        self.false_bias += biases.len() as u64;
        self.promoted_first += u64::from(life.promoted.is_ok());
        let after_drift = at(Injected::DRIFT).retrained.as_ref();
        self.promoted_after_drift += u64::from(after_drift.is_some_and(|r| r.promoted));
        let yes = |found: bool| if found { "found" } else { "-" };
        let named = |what: &str, months: Vec<String>| -> Option<String> {
            (!months.is_empty()).then(|| format!("{what} in {}", months.join(", ")))
        };
        let alarms: Vec<_> =
            [named("fault", faults), named("drift", drifts), named("bias", biases)]
                .into_iter()
                .flatten()
                .collect();
        format!(
            "{seed:>4}  {:<5}  {:<5}  {:<4}  {blocked} of {} blocked       {}",
            yes(fault),
            yes(drift),
            yes(bias),
            biased.len(),
            if alarms.is_empty() { "none".to_owned() } else { alarms.join("; ") }
        )
    }

    fn lines(&self) -> Vec<String> {
        let of = |n: u64| format!("{n} of {}", self.seeds);
        let quiet = |n: u64| format!("{n} of {}", self.quiet);
        vec![
            String::new(),
            format!("first model promoted                {}", of(self.promoted_first)),
            format!("fault found in its month            {}", of(self.fault)),
            format!("drift found in its first month      {}", of(self.drift)),
            format!("drift found, but later              {}", of(self.drift_late)),
            format!("challenger promoted in that month    {}", of(self.promoted_after_drift)),
            format!("bias found in both its months       {}", of(self.bias)),
            format!(
                "biased challengers blocked          {} of {}",
                self.bias_blocked, self.bias_retrained
            ),
            format!("false fault alarms, quiet months    {}", quiet(self.false_fault)),
            format!("false drift alarms, quiet months    {}", quiet(self.false_drift)),
            format!("false bias alarms, quiet months     {}", quiet(self.false_bias)),
        ]
    }
}
