//! Percent-encoding.

use std::fmt::Write as _;

/// Encodes all but RFC 3986's unreserved characters.
fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `?a=1&b=2`, or nothing.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        encode_into(&mut out, name);
        out.push('=');
        encode_into(&mut out, value);
    }
    out
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    encode_into(&mut out, text);
    out
}

/// A path, its slashes kept.
pub(super) fn path(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The text that was percent-encoded; `None` if it was not.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| char::from(b?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_texts() {
        assert_eq!(query(&[]), "");
        assert_eq!(query(&[("a b", "1&2"), ("ü", "")]), "?a%20b=1%262&%C3%BC=");
        assert_eq!(path("deep/größe.bin"), "deep/gr%C3%B6%C3%9Fe.bin");
        assert_eq!(segment("a/b"), "a%2Fb");
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn decoding_takes_encoding_back(text in any::<String>()) {
            prop_assert_eq!(decode(&segment(&text)), Some(text));
        }
    }
}
