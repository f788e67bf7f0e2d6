//! Alerts and the sinks that they go to.
//!
//! An [`Alert`] is made from an assessment that is not a pass; an [`AlertSink`] takes it somewhere:
//! the log, a file of JSON lines, a webhook, several of them at once.
//!
//! ```
//! use mlops_core::alert::{Alert, AlertSink, MemorySink};
//! use mlops_core::{Assessment, Finding, Timestamp, Verdict};
//!
//! let finding = Finding::new("psi", "income", Verdict::Fail, "at most 0.2", "0.41");
//! let assessment = Assessment::new("drift", 16_281, vec![finding]);
//! let sink = MemorySink::new();
//! if let Some(alert) = Alert::from_assessment(&assessment, Timestamp::from_millis(0)) {
//!     sink.send(&alert.subject("loans").label("environment", "production"))?;
//! }
//! assert_eq!(sink.alerts()[0].title, "drift: fail");
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod fanout;
mod json_lines;
mod log;
mod memory;
mod message;
mod sink;
#[cfg(feature = "webhook")]
mod webhook;

pub use fanout::Fanout;
pub use json_lines::JsonLinesSink;
pub use log::LogSink;
pub use memory::MemorySink;
pub use message::Alert;
pub use sink::AlertSink;
#[cfg(feature = "webhook")]
pub use webhook::WebhookSink;
