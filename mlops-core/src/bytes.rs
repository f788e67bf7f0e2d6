//! The bytes of states: little-endian primitives that never trust a length, and the envelope in
//! which a state leaves the process.
//!
//! Encoders append to a `Vec<u8>`; decoders take from the front of a `&mut &[u8]`. A decoder
//! returns [`Error::Decode`] on anything that is not canonical; what it allocates is bounded by
//! the bytes that are really there.

use crate::{Analyzer, Description, Digest, Error, Result, State};

/// The first bytes of every state that leaves a process.
pub const MAGIC: [u8; 4] = *b"MLST";
/// The version of the envelope itself.
pub const ENVELOPE_VERSION: u16 = 1;

macro_rules! primitive {
    ($($put:ident $take:ident $type:ty),* $(,)?) => {$(
        #[doc = concat!("Appends a `", stringify!($type), "`, little-endian.")]
        pub fn $put(out: &mut Vec<u8>, value: $type) {
            out.extend_from_slice(&value.to_le_bytes());
        }

        #[doc = concat!("Takes a `", stringify!($type), "`, little-endian.")]
        ///
        /// # Errors
        /// [`Error::Decode`] if the bytes end early.
        pub fn $take(bytes: &mut &[u8]) -> Result<$type> {
            const N: usize = size_of::<$type>();
            let head = take(bytes, N)?;
            let mut raw = [0; N];
            raw.copy_from_slice(head);
            Ok(<$type>::from_le_bytes(raw))
        }
    )*};
}

primitive! {
    put_u8 take_u8 u8,
    put_u16 take_u16 u16,
    put_u32 take_u32 u32,
    put_u64 take_u64 u64,
    put_u128 take_u128 u128,
    put_i32 take_i32 i32,
    put_i64 take_i64 i64,
    put_i128 take_i128 i128,
    put_f64 take_f64 f64,
}

/// Takes this many bytes off the front.
///
/// # Errors
/// [`Error::Decode`] if there are fewer.
pub fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let all = *bytes;
    let (head, rest) = all
        .split_at_checked(n)
        .ok_or_else(|| bad(bytes, format!("{n} bytes"), format!("{} bytes", bytes.len())))?;
    *bytes = rest;
    Ok(head)
}

/// Appends a length or count.
pub fn put_len(out: &mut Vec<u8>, n: usize) {
    put_u64(out, n as u64);
}

/// Takes a count of items that take at least `min_size` bytes each, and refuses one that the
/// remaining bytes can't hold, so that nothing is allocated on a liar's word.
///
/// # Errors
/// [`Error::Decode`] if the bytes end early or the count is too large for them.
pub fn take_len(bytes: &mut &[u8], min_size: usize) -> Result<usize> {
    let n = take_u64(bytes)?;
    let most = bytes.len() / min_size.max(1);
    match usize::try_from(n) {
        Ok(n) if n <= most => Ok(n),
        _ => Err(bad(bytes, format!("a count of at most {most}"), n)),
    }
}

/// More rows than anyone has, and few enough that counts read back can be added without care.
const MOST_READ: u64 = 1 << 56;
/// Where merged counts stop: any number of rows can still be counted on top.
const MOST_MERGED: u64 = 1 << 62;

/// Takes a count of rows.
///
/// # Errors
/// [`Error::Decode`] if the bytes end early or it is beyond 2⁵⁶, which no rows are.
pub fn take_count(bytes: &mut &[u8]) -> Result<u64> {
    let n = take_u64(bytes)?;
    if n > MOST_READ { Err(too_many(bytes)) } else { Ok(n) }
}

/// The error of counts that add up to more than 2⁵⁶ rows.
pub fn too_many(bytes: &[u8]) -> Error {
    bad(bytes, "counts of at most 2^56 rows", "more")
}

/// Adds the count of another state when the two merge. States that were read back may say
/// anything, and be merged any number of times: it stops at 2⁶², in any order of merging.
#[inline]
pub fn add_count(mine: &mut u64, theirs: u64) {
    *mine = mine.saturating_add(theirs).min(MOST_MERGED);
}

/// Appends a string: its length in bytes, then UTF-8.
pub fn put_str(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Takes a string.
///
/// # Errors
/// [`Error::Decode`] if the bytes end early or are not UTF-8.
pub fn take_str(bytes: &mut &[u8]) -> Result<String> {
    let n = take_len(bytes, 1)?;
    let raw = take(bytes, n)?;
    std::str::from_utf8(raw)
        .map(str::to_owned)
        .map_err(|e| bad(bytes, "UTF-8", format!("an invalid byte {} in", e.valid_up_to())))
}

/// A decoding error `bytes.len()` bytes before the end; the envelope turns that into an offset.
pub fn bad(bytes: &[u8], expected: impl Into<String>, found: impl std::fmt::Display) -> Error {
    Error::Decode {
        what: "state".into(),
        offset: bytes.len() as u64,
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// A state as bytes that may leave the process: magic, envelope version, kind, kind version, the
/// digest of the description, and the state's canonical bytes with their length and checksum.
///
/// Equal descriptions and equal states give equal bytes.
///
/// # Errors
/// [`Error::Invalid`] if the analyzer has no [`Description`].
pub fn state_to_bytes<A: Analyzer + ?Sized>(analyzer: &A, state: &A::State) -> Result<Vec<u8>> {
    let description = described(analyzer)?;
    let mut payload = Vec::new();
    state.encode(&mut payload);
    let mut out = Vec::with_capacity(payload.len() + 96);
    out.extend_from_slice(&MAGIC);
    put_u16(&mut out, ENVELOPE_VERSION);
    put_str(&mut out, &description.kind);
    put_u16(&mut out, description.version);
    out.extend_from_slice(description.digest().as_bytes());
    put_len(&mut out, payload.len());
    out.extend_from_slice(&Digest::of(&payload).as_bytes()[..8]);
    out.extend_from_slice(&payload);
    Ok(out)
}

/// A state from bytes that [`state_to_bytes`] made, for an analyzer of the same description.
///
/// # Errors
/// [`Error::Decode`] with the byte where the bytes stop making sense; [`Error::Merge`] if they
/// are the state of another description.
pub fn state_from_bytes<A: Analyzer + ?Sized>(analyzer: &A, bytes: &[u8]) -> Result<A::State> {
    let whole = bytes.len() as u64;
    let read = |mut rest: &[u8]| -> Result<A::State> {
        let description = described(analyzer)?;
        let rest = &mut rest;
        let magic = take(rest, MAGIC.len())?;
        if magic != MAGIC {
            return Err(bad(rest, "the magic MLST", format!("{magic:02x?}")));
        }
        let envelope = take_u16(rest)?;
        if envelope != ENVELOPE_VERSION {
            return Err(bad(rest, format!("envelope version {ENVELOPE_VERSION}"), envelope));
        }
        let kind = take_str(rest)?;
        let version = take_u16(rest)?;
        if (kind.as_str(), version) != (&*description.kind, description.version) {
            return Err(Error::merge(
                &*description.kind,
                format!(
                    "expected version {} of it, found version {version} of `{kind}`",
                    description.version
                ),
            ));
        }
        let digest = take(rest, 32)?;
        if digest != description.digest().as_bytes() {
            return Err(Error::merge(kind, "the bytes were measured under another description"));
        }
        let n = take_len(rest, 1)?;
        let checksum = take(rest, 8)?;
        if rest.len() != n {
            return Err(bad(rest, format!("{n} bytes of state"), rest.len()));
        }
        if checksum != &Digest::of(*rest).as_bytes()[..8] {
            return Err(bad(rest, "the state's checksum", "other bytes"));
        }
        let state = analyzer.decode(rest)?;
        if !rest.is_empty() {
            return Err(bad(rest, "the end", format!("{} more bytes", rest.len())));
        }
        Ok(state)
    };
    read(bytes).map_err(|e| match e {
        Error::Decode { what, offset, expected, found } => {
            Error::Decode { what, offset: whole.saturating_sub(offset), expected, found }
        }
        other => other,
    })
}

fn described<A: Analyzer + ?Sized>(analyzer: &A) -> Result<Description> {
    analyzer.description().ok_or_else(|| {
        Error::invalid("analyzer", "one that has a description", format!("{analyzer:?}"))
    })
}
