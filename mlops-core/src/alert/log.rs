//! A sink that writes lines for people.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::{Alert, AlertSink};
use crate::{Error, Result, Severity};

/// Sends alerts to [`tracing`], at the level of their severity, and to a writer if it has one.
#[derive(Default)]
pub struct LogSink {
    writer: Option<Mutex<Box<dyn Write + Send>>>,
}

impl LogSink {
    /// To `tracing` alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// To this writer too, a line for the alert and an indented one for each finding.
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Some(Mutex::new(Box::new(writer))) }
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink").field("writer", &self.writer.is_some()).finish()
    }
}

/// A line that can't pretend to be two, nor move a terminal's cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl AlertSink for LogSink {
    fn send(&self, alert: &Alert) -> Result<()> {
        let (name, key) = (alert.name.as_str(), alert.dedup_key.as_str());
        let line = one_line(&alert.to_string());
        match alert.severity {
            Severity::Info => tracing::info!(target: "mlops::alert", name, key, "{line}"),
            Severity::Warning => tracing::warn!(target: "mlops::alert", name, key, "{line}"),
            Severity::Critical => tracing::error!(target: "mlops::alert", name, key, "{line}"),
        }
        if let Some(writer) = &self.writer {
            let mut text = format!("{line}\n");
            for finding in &alert.findings {
                text.push_str("  ");
                text.push_str(&one_line(&finding.to_string()));
                text.push('\n');
            }
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer
                .write_all(text.as_bytes())
                .and_then(|()| writer.flush())
                .map_err(|e| Error::other("writing an alert to the log", e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Timestamp;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_alert_is_a_line() {
        let shared = Shared::default();
        let sink = LogSink::to_writer(shared.clone());
        let at = Timestamp::from_millis(0);
        let alert =
            Alert::new("drift", Severity::Warning, "income\nmoved\u{1b}[2J", "PSI 0.41", at);
        sink.send(&alert.subject("loans")).unwrap();
        assert_eq!(
            String::from_utf8(shared.0.lock().unwrap().clone()).unwrap(),
            "1970-01-01T00:00:00Z [warning] income moved [2J (loans): PSI 0.41\n"
        );
    }
}
