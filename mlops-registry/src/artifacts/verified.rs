//! Bytes that are hashed on their way in and verified on their way out.

use std::fmt;
use std::io::{self, Read};

use mlops_core::{Digest, Error, Hasher, Result};

use super::store::{Blake3, Blob, Transfer};

/// How much is moved at once.
pub(super) const CHUNK: usize = 1 << 18;

/// Takes the digests of bytes that come in pieces.
#[derive(Debug)]
pub(super) struct Hashing {
    sha256: Hasher,
    blake3: blake3::Hasher,
    size: u64,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { sha256: Digest::hasher(), blake3: blake3::Hasher::new(), size: 0 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.blake3.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(super) fn finish(self) -> Blob {
        let blake3 = Blake3::from_bytes(self.blake3.finalize().into());
        Blob::new(self.sha256.finish(), self.size, blake3)
    }
}

/// Reads to the end, hands every piece on, and gives the names of the whole. What the transfer
/// forbids is an error.
pub(super) fn pump(
    from: &mut dyn Read,
    transfer: &Transfer<'_>,
    mut to: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Blob> {
    let mut hashing = Hashing::new();
    let mut buffer = vec![0; CHUNK];
    transfer.step(0, transfer.total)?;
    loop {
        let n = fill(from, &mut buffer).map_err(|e| of_io("the bytes to be stored", e))?;
        let piece = &buffer[..n];
        hashing.update(piece);
        if transfer.at_most.is_some_and(|most| hashing.size > most) {
            let expected = format!("at most {} bytes", transfer.at_most.unwrap_or_default());
            return Err(Error::invalid("artifact", expected, "more"));
        }
        to(piece)?;
        transfer.step(hashing.size, transfer.total)?;
        if n < buffer.len() {
            break;
        }
    }
    let blob = hashing.finish();
    match transfer.expect {
        Some(expected) if expected != blob.digest => {
            Err(Error::invalid("artifact", format!("bytes of {expected}"), blob.digest))
        }
        _ => Ok(blob),
    }
}

/// Fills the buffer as far as there are bytes; less only at the end.
pub(super) fn fill(from: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let room = buffer.len() - filled;
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) if n > room => {
                return Err(io::Error::other("a reader says that it gave more than there is room"));
            }
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The house's error that travelled through `std::io`, or one of the house around another.
pub(super) fn of_io(context: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(error) => Error::other(context, error),
    }
}

/// Reads bytes and gives them on only while they can still be what they must be; the last piece
/// only once the digest of the whole was compared.
///
/// So whoever has read all [`size`](Self::size) bytes has read those of
/// [`digest`](Self::digest); up to 256 KiB are verified before the first is given. Where the
/// bytes are others, too few or too many, reading ends in an error, and again at every try.
/// Errors are [`std::io::Error`]s with an [`Error`](mlops_core::Error) in them:
/// [`Error::Decode`](mlops_core::Error::Decode) for damage,
/// [`Error::Cancelled`](mlops_core::Error::Cancelled) once the transfer's switch is thrown.
pub struct VerifiedReader<'a> {
    source: Box<dyn Read + Send + 'a>,
    transfer: Transfer<'a>,
    digest: Digest,
    size: u64,
    hasher: Option<Hasher>,
    /// Bytes read from the source so far.
    seen: u64,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    failed: Option<String>,
}

impl<'a> VerifiedReader<'a> {
    /// Verifies what this source gives: what stores call.
    pub fn new(
        source: Box<dyn Read + Send + 'a>,
        digest: Digest,
        size: u64,
        transfer: &Transfer<'a>,
    ) -> Self {
        let room = usize::try_from(size).unwrap_or(CHUNK).min(CHUNK);
        Self {
            source,
            transfer: *transfer,
            digest,
            size,
            hasher: Some(Digest::hasher()),
            seen: 0,
            buffer: vec![0; room],
            at: 0,
            end: 0,
            failed: None,
        }
    }

    /// The digest that the bytes have.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what is left and gives all of it; more than `at_most` bytes are refused before any
    /// is read.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they are too many; those of reading.
    pub fn into_bytes(mut self, at_most: u64) -> Result<Vec<u8>> {
        if self.size > at_most {
            let expected = format!("at most {at_most} bytes");
            return Err(Error::invalid(self.digest.to_string(), expected, self.size));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(|e| of_io(&self.digest.to_string(), e))?;
        Ok(bytes)
    }

    /// Reads what is left and forgets it: a check of the bytes. Gives how many there are in all.
    ///
    /// # Errors
    /// Those of reading.
    pub fn drain(&mut self) -> Result<u64> {
        io::copy(self, &mut io::sink()).map_err(|e| of_io(&self.digest.to_string(), e))?;
        Ok(self.size)
    }

    fn damaged(&self, expected: impl fmt::Display, found: impl fmt::Display) -> Error {
        Error::Decode {
            what: format!("stored bytes of {}", self.digest),
            offset: self.seen,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// The next piece, verified if it is the last.
    fn next(&mut self) -> Result<()> {
        self.transfer.step(self.seen, Some(self.size))?;
        let left = usize::try_from(self.size - self.seen).unwrap_or(usize::MAX);
        let want = left.min(self.buffer.len());
        let place = || format!("stored bytes of {}", self.digest);
        let n = fill(&mut self.source, &mut self.buffer[..want]).map_err(|e| of_io(&place(), e))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.buffer[..n]);
        }
        self.seen += n as u64;
        if n < want {
            return Err(self.damaged(format!("{} bytes", self.size), self.seen));
        }
        if self.seen == self.size {
            let more = fill(&mut self.source, &mut [0]).map_err(|e| of_io(&place(), e))?;
            if more > 0 {
                return Err(self.damaged(format!("{} bytes", self.size), "more"));
            }
            let found = self.hasher.take().map(Hasher::finish);
            if found.is_some_and(|found| found != self.digest) {
                return Err(self.damaged(self.digest, "bytes of another digest"));
            }
            self.transfer.step(self.seen, Some(self.size))?;
        }
        (self.at, self.end) = (0, n);
        Ok(())
    }
}

impl Read for VerifiedReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(message) = &self.failed {
            let message = message.clone();
            return Err(io::Error::new(io::ErrorKind::InvalidData, Error::Recorded { message }));
        }
        if out.is_empty() {
            return Ok(0);
        }
        if self.at == self.end {
            // No hasher: all was read and verified.
            if self.hasher.is_none() {
                return Ok(0);
            }
            if let Err(error) = self.next() {
                (self.at, self.end) = (0, 0);
                self.failed = Some(error.to_string());
                let kind = match &error {
                    Error::Decode { .. } => io::ErrorKind::InvalidData,
                    // Not `Interrupted`, which is tried again.
                    _ => io::ErrorKind::Other,
                };
                return Err(io::Error::new(kind, error));
            }
        }
        let n = out.len().min(self.end - self.at);
        out[..n].copy_from_slice(&self.buffer[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl fmt::Debug for VerifiedReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedReader")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader<'a>(bytes: &'a [u8], of: &[u8], size: u64) -> VerifiedReader<'a> {
        VerifiedReader::new(Box::new(bytes), Digest::of(of), size, &Transfer::new())
    }

    #[test]
    fn only_the_bytes_of_the_digest_come_out() {
        for n in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let good: Vec<u8> = (0..n).map(|i| (i * 31 % 251) as u8).collect();
            assert_eq!(reader(&good, &good, n as u64).into_bytes(n as u64).unwrap(), good);
            if n == 0 {
                continue;
            }
            for at in [0, n / 2, n - 1] {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let mut reader = reader(&bad, &good, n as u64);
                let mut exactly = vec![0; n];
                // Even who asks for no more than the size meets the error.
                let error = reader.read_exact(&mut exactly).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(reader.read(&mut exactly).is_err(), "and again");
            }
            let mut long = good.clone();
            long.push(0);
            assert!(reader(&long, &good, n as u64).drain().is_err());
            assert!(reader(&good[..n - 1], &good, n as u64).drain().is_err());
        }
    }

    #[test]
    fn too_many_are_refused_before_they_are_read() {
        assert!(matches!(reader(b"abc", b"abc", 3).into_bytes(2), Err(Error::Invalid { .. })));
        // A size that lies does not reserve memory.
        assert!(reader(b"abc", b"abc", u64::MAX).drain().is_err());
    }
}
