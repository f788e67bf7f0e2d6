//! What the reader sees while it runs: a line for each stage, with its time and a progress bar.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mlops::core::{Cancel, OnProgress, Progress, Result, Verdict};

/// The terminal; silent when many seeds are run.
#[derive(Debug)]
pub struct Show {
    quiet: bool,
    started: Instant,
    cancel: Cancel,
}

impl Show {
    pub fn new(quiet: bool, cancel: Cancel) -> Self {
        Self { quiet, started: Instant::now(), cancel }
    }

    /// The switch that Ctrl-C throws.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A heading.
    pub fn heading(&self, text: &str) {
        self.line(&format!("\n{text}"));
    }

    /// A line of its own.
    #[expect(clippy::print_stdout, reason = "this is the program's output")]
    pub fn line(&self, text: &str) {
        if !self.quiet {
            println!("{text}");
        }
    }

    /// Runs a stage under a progress bar, then says what came of it, and how long it took.
    pub fn stage<T>(
        &self,
        name: &str,
        run: impl FnOnce(&Bar) -> Result<(T, Outcome)>,
    ) -> Result<T> {
        self.cancel.check()?;
        let bar = Bar::new(name, self.quiet);
        let start = Instant::now();
        let result = run(&bar);
        bar.0.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok((value, outcome)) => {
                let mark = match outcome.verdict {
                    None | Some(Verdict::Pass) => "✓",
                    Some(Verdict::Inconclusive) => "?",
                    Some(Verdict::Fail) => "✗",
                };
                self.line(&format!("  {mark} {name:<22} {seconds:>6.2} s  {}", outcome.text));
                Ok(value)
            }
            Err(error) => {
                self.line(&format!("  ! {name:<22} {seconds:>6.2} s  {error}"));
                Err(error.within(name))
            }
        }
    }
}

/// What a stage says of itself.
#[derive(Debug)]
pub struct Outcome {
    text: String,
    verdict: Option<Verdict>,
}

/// Done, and this is what came of it.
pub fn done(text: impl Into<String>) -> Outcome {
    Outcome { text: text.into(), verdict: None }
}

/// Judged, and this is how.
pub fn judged(verdict: Verdict, text: impl Into<String>) -> Outcome {
    Outcome { text: text.into(), verdict: Some(verdict) }
}

/// A progress bar that a scan can move.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    fn new(name: &str, quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(1000) };
        let template = "  {spinner} {msg:<22} {elapsed:>5}  [{bar:32}] {percent:>3} %";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl OnProgress for Bar {
    fn on_progress(&self, progress: &Progress) {
        if let Some(fraction) = progress.fraction() {
            self.0.set_position((fraction * 1000.0) as u64);
        }
    }
}
