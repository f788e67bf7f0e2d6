//! Detectors read back from their descriptions and bytes.

use std::collections::BTreeMap;

use mlops_core::{Description, Error, Result};

use super::detector::StreamDetector;
use super::saved::{Saved, located};

/// Makes a detector of its description.
type Start = fn(&Description) -> Result<Box<dyn StreamDetector>>;
/// A kind, the version of its bytes, and what makes one of a description.
pub(super) type Kind = (&'static str, u16, Start);

/// The kinds of detectors that can be read back: a map that is written down, not found at link time.
///
/// ```
/// use mlops_core::Description;
/// use mlops_drift::stream::{StreamDetector, StreamKinds};
/// let text = r#"{"kind": "ddm", "version": 1, "params": {"drift_level": 2.5}}"#;
/// let description: Description = serde_json::from_str(text)?;
/// let detector = StreamKinds::standard().start(&description)?;
/// assert_eq!(detector.description().params["min_values"], 30);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StreamKinds {
    kinds: BTreeMap<(String, u16), Start>,
}

impl StreamKinds {
    /// No kinds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of this module.
    pub fn standard() -> Self {
        let mut kinds = Self::new();
        for (kind, version, start) in super::STANDARD {
            kinds = kinds.with(kind, *version, *start);
        }
        kinds
    }

    /// The same, and another.
    #[must_use]
    pub fn with(mut self, kind: &str, version: u16, start: Start) -> Self {
        self.kinds.insert((kind.to_owned(), version), start);
        self
    }

    /// The names of the kinds, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(|(kind, _)| kind.as_str())
    }

    /// A detector of this description that has seen nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a kind or version that is not in the map, with those that are, and
    /// for options that the kind does not take.
    pub fn start(&self, description: &Description) -> Result<Box<dyn StreamDetector>> {
        let (kind, version) = (&description.kind, description.version);
        let Some(start) = self.kinds.get(&(kind.to_string(), version)) else {
            let known: Vec<String> =
                self.kinds.keys().map(|(kind, version)| format!("{kind} {version}")).collect();
            let expected = format!("a kind and version of {}", known.join(", "));
            return Err(Error::invalid("stream detector", expected, format!("{kind} {version}")));
        };
        start(description)
    }

    /// A detector that goes on where the one that [`to_bytes`](super::StreamDetectorExt::to_bytes)
    /// saved stopped, to the bit.
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and [`Error::Decode`] with the byte where the bytes stop
    /// making sense.
    pub fn resume(&self, bytes: &[u8]) -> Result<Box<dyn StreamDetector>> {
        located(bytes, |rest| {
            let saved = Saved::read(rest)?;
            let mut detector = self.start(&saved.description)?;
            let whole = detector.description();
            if whole != saved.description {
                let params = &saved.description.params;
                return Err(Error::invalid(
                    "options of a stream detector",
                    whole.params.to_string(),
                    params,
                ));
            }
            saved.decode_into(&mut detector, rest)?;
            Ok(detector)
        })
    }
}
