//! The clock of a run, passed in.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::{Cancel, Result};

/// What a run measures time with and waits by; tests pass in their own.
pub trait Clock: Debug + Send + Sync {
    /// The time since some fixed point; never goes back.
    fn now(&self) -> Duration;

    /// Waits this long, or until the switch is thrown.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) once the switch is thrown.
    fn sleep(&self, duration: Duration, cancel: &Cancel) -> Result<()>;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// How often a wait looks at the switch.
    const STEP: Duration = Duration::from_millis(20);

    /// A clock that starts now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration, cancel: &Cancel) -> Result<()> {
        let end = self.now().saturating_add(duration);
        loop {
            cancel.check()?;
            match end.saturating_sub(self.now()) {
                Duration::ZERO => return Ok(()),
                left => std::thread::sleep(left.min(Self::STEP)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_can_be_cut_short() {
        let clock = SystemClock::new();
        let cancel = Cancel::new();
        clock.sleep(Duration::from_millis(1), &cancel).unwrap();
        assert!(clock.now() >= Duration::from_millis(1));
        cancel.cancel();
        assert!(clock.sleep(Duration::MAX, &cancel).unwrap_err().is_cancelled());
    }
}
