//! A detector as bytes that may leave the process.

use mlops_core::bytes::{bad, put_len, put_str, put_u16, take, take_len, take_str, take_u16};
use mlops_core::{Description, Digest, Error, Result};

use super::detector::StreamDetector;

/// The first bytes of every saved detector.
const MAGIC: [u8; 4] = *b"MLSD";
/// The version of the envelope.
const VERSION: u16 = 1;

/// What every stream detector can do besides.
pub trait StreamDetectorExt: StreamDetector {
    /// The detector as bytes that may leave the process: magic, version of the envelope, kind and
    /// version of the kind, options, checksum, and what it remembers. Equal detectors give equal
    /// bytes; [`StreamKinds::resume`](super::StreamKinds::resume) makes a detector of them.
    ///
    /// ```
    /// use mlops_drift::stream::{Ddm, DdmOptions, StreamDetector, StreamDetectorExt, StreamKinds};
    /// let mut today = Ddm::new(DdmOptions::default())?;
    /// today.update(1.0)?;
    /// let bytes = today.to_bytes();
    /// let tomorrow = StreamKinds::standard().resume(&bytes)?;
    /// assert_eq!((tomorrow.seen(), tomorrow.to_bytes()), (1, bytes));
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    fn to_bytes(&self) -> Vec<u8>;

    /// Replaces what this detector remembers by what one with the same options had saved.
    ///
    /// # Errors
    /// [`Error::Decode`] with the byte where the bytes stop making sense; [`Error::Merge`] if they
    /// are those of another kind or of other options. The detector is then as before.
    fn restore(&mut self, bytes: &[u8]) -> Result<()>;
}

impl<T: StreamDetector + ?Sized> StreamDetectorExt for T {
    fn to_bytes(&self) -> Vec<u8> {
        let description = self.description();
        let mut payload = Vec::new();
        self.encode(&mut payload);
        let params = description.params_text();
        let mut out = Vec::with_capacity(payload.len() + params.len() + 64);
        out.extend_from_slice(&MAGIC);
        put_u16(&mut out, VERSION);
        put_str(&mut out, &description.kind);
        put_u16(&mut out, description.version);
        put_str(&mut out, &params);
        out.extend_from_slice(&checksum(&description, &payload));
        put_len(&mut out, payload.len());
        out.extend_from_slice(&payload);
        out
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        located(bytes, |rest| {
            let saved = Saved::read(rest)?;
            let own = self.description();
            if saved.description != own {
                let other = format!("the bytes are of {}", name(&saved.description));
                return Err(Error::merge(name(&own), other));
            }
            saved.decode_into(self, rest)
        })
    }
}

/// The front of a saved detector, up to what it remembers.
pub(super) struct Saved {
    pub(super) description: Description,
    checksum: [u8; 8],
}

impl Saved {
    pub(super) fn read(rest: &mut &[u8]) -> Result<Self> {
        let magic = take(rest, MAGIC.len())?;
        if magic != MAGIC {
            return Err(bad(rest, "the magic MLSD", format!("{magic:02x?}")));
        }
        let envelope = take_u16(rest)?;
        if envelope != VERSION {
            return Err(bad(rest, format!("envelope version {VERSION}"), envelope));
        }
        let kind = take_str(rest)?;
        let version = take_u16(rest)?;
        let params = take_str(rest)?;
        let value = serde_json::from_str(&params).map_err(|e| bad(rest, "options in JSON", e))?;
        let description = Description { kind: kind.into(), version, params: value };
        if description.params_text() != params {
            return Err(bad(rest, "canonical JSON", params));
        }
        let mut checksum = [0; 8];
        checksum.copy_from_slice(take(rest, 8)?);
        let n = take_len(rest, 1)?;
        if rest.len() != n {
            return Err(bad(rest, format!("{n} bytes of state"), rest.len()));
        }
        Ok(Self { description, checksum })
    }

    pub(super) fn decode_into<T: StreamDetector + ?Sized>(
        &self,
        detector: &mut T,
        rest: &mut &[u8],
    ) -> Result<()> {
        if self.checksum != checksum(&self.description, rest) {
            return Err(bad(rest, "the state's checksum", "other bytes"));
        }
        // So that bytes with something after the state leave the detector as it was, too.
        let before = {
            let mut own = Vec::new();
            detector.encode(&mut own);
            own
        };
        detector.decode(rest)?;
        if rest.is_empty() {
            return Ok(());
        }
        let error = bad(rest, "the end", format!("{} more bytes", rest.len()));
        detector.decode(&mut before.as_slice())?;
        Err(error)
    }
}

/// Runs a reader and turns the bytes that were left at an error into an offset.
pub(super) fn located<T>(bytes: &[u8], read: impl FnOnce(&mut &[u8]) -> Result<T>) -> Result<T> {
    let mut rest = bytes;
    read(&mut rest).map_err(|e| match e {
        Error::Decode { offset, expected, found, .. } => Error::Decode {
            what: "stream detector".into(),
            offset: (bytes.len() as u64).saturating_sub(offset),
            expected,
            found,
        },
        other => other,
    })
}

fn name(description: &Description) -> String {
    format!("{} {}", description.kind, description.params_text())
}

fn checksum(description: &Description, payload: &[u8]) -> [u8; 8] {
    let mut hasher = Digest::hasher();
    hasher.update(description.digest().as_bytes());
    hasher.update(payload);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finish().as_bytes()[..8]);
    first
}
