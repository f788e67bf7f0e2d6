//! A sink that keeps the alerts, for tests.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Alert, AlertSink};
use crate::Result;

/// Keeps what it is sent; its clones share one list.
#[derive(Clone, Debug, Default)]
pub struct MemorySink(Arc<Mutex<Vec<Alert>>>);

impl MemorySink {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent so far, in order.
    pub fn alerts(&self) -> Vec<Alert> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AlertSink for MemorySink {
    fn send(&self, alert: &Alert) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(alert.clone());
        Ok(())
    }
}
