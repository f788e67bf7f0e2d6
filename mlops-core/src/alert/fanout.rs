//! A sink of sinks.

use super::{Alert, AlertSink};
use crate::{Error, Result};

/// Sends to all of its sinks, in order; one that fails does not stop the others.
#[derive(Debug, Default)]
pub struct Fanout {
    sinks: Vec<(String, Box<dyn AlertSink>)>,
}

impl Fanout {
    /// To nowhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and to this sink; errors say its name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, sink: impl AlertSink) -> Self {
        self.sinks.push((name.into(), Box::new(sink)));
        self
    }

    /// Delivers an alert to every sink, and gives the errors of those that failed, by name.
    pub fn send_all(&self, alert: &Alert) -> Vec<(String, Error)> {
        let send = |(name, sink): &(String, Box<dyn AlertSink>)| {
            sink.send(alert).err().map(|error| (name.clone(), error))
        };
        self.sinks.iter().filter_map(send).collect()
    }
}

impl AlertSink for Fanout {
    /// Delivers an alert to every sink.
    ///
    /// # Errors
    /// If any failed; the message says which, and why each.
    fn send(&self, alert: &Alert) -> Result<()> {
        let mut failed = self.send_all(alert);
        match failed.len() {
            0 => Ok(()),
            1 => {
                let (name, error) = failed.remove(0);
                Err(error.within(format!("alert sink `{name}`")))
            }
            n => {
                let each: Vec<_> =
                    failed.iter().map(|(name, e)| format!("`{name}`: {e}")).collect();
                let context = format!("{n} of {} alert sinks", self.sinks.len());
                Err(Error::other(context, each.join("; ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::MemorySink;
    use crate::{Severity, Timestamp};

    #[derive(Debug)]
    struct Broken;

    impl AlertSink for Broken {
        fn send(&self, _: &Alert) -> Result<()> {
            Err(Error::undefined("delivery", "the line is cut"))
        }
    }

    #[test]
    fn one_that_fails_stops_no_other() {
        let (first, last) = (MemorySink::new(), MemorySink::new());
        let alert = Alert::new("a", Severity::Info, "t", "s", Timestamp::from_millis(0));
        let fanout = Fanout::new().with("first", first.clone()).with("pager", Broken);
        let fanout = fanout.with("last", last.clone());
        let error = fanout.send(&alert).unwrap_err().to_string();
        assert!(error.contains("`pager`") && error.contains("the line is cut"), "{error}");
        assert_eq!((first.alerts().len(), last.alerts().len()), (1, 1));
        let error = fanout.with("mail", Broken).send(&alert).unwrap_err().to_string();
        assert!(error.contains("2 of 4") && error.contains("`mail`"), "{error}");
        crate::conformance::alert_sink(&Fanout::new().with("memory", last));
    }
}
