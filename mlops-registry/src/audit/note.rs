//! Signed notes of C2SP: text that carries signatures, by Ed25519 keys that have names.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use mlops_core::report::clean;
use mlops_core::{Error, Result};
use sha2::{Digest as _, Sha256};

/// The longest note, in bytes.
pub(super) const NOTE_BYTES: usize = 1 << 20;
/// How many signatures a note may have.
const SIGNATURES: usize = 100;
/// What every line of a signature begins with: an em dash and a space.
pub(super) const DASH: &str = "— ";
/// The type of an Ed25519 key.
const ED25519: u8 = 1;

/// The public half of a [`NoteSigner`]: a name and an Ed25519 key. Its text is that of the
/// signed-note specification, `<name>+<key id>+<base64>`.
///
/// ```
/// use mlops_registry::audit::NoteVerifier;
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// let key: NoteVerifier = text.parse()?;
/// assert_eq!((key.name(), key.key_id()), ("example.com/foo", 0x530d_903a));
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    key: VerifyingKey,
}

impl NoteVerifier {
    /// Whose key it is; of a log's key, the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that signatures name it by: the first four bytes of SHA-256 of the name, a line
    /// feed, a byte of one, and the key.
    pub fn key_id(&self) -> u32 {
        let mut hasher = Sha256::new();
        hasher.update(&self.name);
        hasher.update([b'\n', ED25519]);
        hasher.update(self.key.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.key_id(), key_text(self.key.as_bytes()))
    }
}

impl FromStr for NoteVerifier {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            let expected = "an Ed25519 key as <name>+<key id>+<base64>";
            Error::invalid("key of a signed note", expected, format!("`{:.80}`", clean(text)))
        };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        check_name(name)?;
        let key = VerifyingKey::from_bytes(&key_bytes(key).ok_or_else(bad)?).map_err(|_| bad())?;
        let made = Self { name: name.to_owned(), key };
        if key_id(id) == Some(made.key_id()) { Ok(made) } else { Err(bad()) }
    }
}

/// A name and a secret Ed25519 key that signs notes in it.
///
/// ```
/// use mlops_registry::audit::NoteSigner;
/// let signer = NoteSigner::generate("registry.example.com/loans")?;
/// let note = signer.sign("It was so.\n")?;
/// note.verify(&signer.verifier())?;
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NoteSigner {
    name: String,
    key: SigningKey,
}

impl NoteSigner {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or has spaces, control characters or `+`;
    /// [`Error::Other`] if the system has no randomness to give.
    pub fn generate(name: impl Into<String>) -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|e| Error::other("randomness of the system", e.to_string()))?;
        Self::from_seed(name, seed)
    }

    /// The key of this secret seed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for such a name.
    pub fn from_seed(name: impl Into<String>, seed: [u8; 32]) -> Result<Self> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self { name, key: SigningKey::from_bytes(&seed) })
    }

    /// The key of a text that [`to_secret_text`](Self::to_secret_text) wrote, or Go's `note`.
    ///
    /// # Errors
    /// [`Error::Invalid`]; the text is not in it.
    pub fn from_secret_text(text: &str) -> Result<Self> {
        let bad = || {
            let expected = "PRIVATE+KEY+<name>+<key id>+<base64>";
            Error::invalid("secret key of signed notes", expected, "another text")
        };
        let rest = text.trim_end_matches('\n').strip_prefix("PRIVATE+KEY+").ok_or_else(bad)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let signer = Self::from_seed(name, key_bytes(seed).ok_or_else(bad)?)?;
        if key_id(id) == Some(signer.verifier().key_id()) { Ok(signer) } else { Err(bad()) }
    }

    /// The secret as text, `PRIVATE+KEY+<name>+<key id>+<base64>`. Who has it can sign.
    pub fn to_secret_text(&self) -> String {
        let id = self.verifier().key_id();
        format!("PRIVATE+KEY+{}+{id:08x}+{}", self.name, key_text(self.key.as_bytes()))
    }

    /// In whose name it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A note of this text with this signature.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a text that no note can have: one that does not end with a line
    /// feed, or has other control characters.
    pub fn sign(&self, text: impl Into<String>) -> Result<SignedNote> {
        let text = text.into();
        check_text(&text)?;
        let mut note = SignedNote { text, signatures: Vec::new() };
        self.cosign(&mut note);
        Ok(note)
    }

    /// Adds this signature to a note.
    pub fn cosign(&self, note: &mut SignedNote) {
        let signature = self.key.sign(note.text.as_bytes()).to_bytes().to_vec();
        let key_id = self.verifier().key_id();
        note.signatures.push(NoteSignature { name: self.name.clone(), key_id, signature });
    }
}

/// The name; never the secret.
impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A line of a note that says who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    key_id: u32,
    signature: Vec<u8>,
}

/// A text with signatures, as C2SP's signed-note has it: the text, an empty line, and a line
/// `— <name> <base64>` per signature. `Display` writes it, `FromStr` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// The text, which ends with a line feed. It says nothing before it was
    /// [verified](Self::verify).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this key signed the text. Signatures of other keys are not looked at.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the note has no signature of this name and key, or one that does
    /// not hold.
    pub fn verify(&self, key: &NoteVerifier) -> Result<()> {
        let id = key.key_id();
        let mut own = self.signatures.iter().filter(|s| s.name == key.name && s.key_id == id);
        let holds = |s: &NoteSignature| {
            let signature = Signature::from_slice(&s.signature);
            // Strict: no weak keys, one signature a message.
            signature.is_ok_and(|s| key.key.verify_strict(self.text.as_bytes(), &s).is_ok())
        };
        let bad = |found| {
            let expected = format!("one by {} with key {id:08x}", key.name);
            Error::invalid("signature of the note", expected, found)
        };
        let first = own.next().ok_or_else(|| bad("none"))?;
        if holds(first) && own.all(holds) { Ok(()) } else { Err(bad("one that does not hold")) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for s in &self.signatures {
            let bytes = [&s.key_id.to_be_bytes()[..], &s.signature].concat();
            writeln!(f, "{DASH}{} {}", s.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

impl FromStr for SignedNote {
    type Err = Error;

    fn from_str(note: &str) -> Result<Self> {
        let bad = |expected: &str, found: &str| Error::invalid("signed note", expected, found);
        if note.len() > NOTE_BYTES {
            return Err(bad("at most a MiB", &format!("{} bytes", note.len())));
        }
        let Some(split) = note.rfind("\n\n") else {
            return Err(bad("an empty line between text and signatures", "none"));
        };
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let Some(lines) = lines.strip_suffix('\n') else {
            return Err(bad("signatures and a line feed at the end", "no such end"));
        };
        let signature = |line: &str| {
            let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
            check_name(name).ok()?;
            let bytes = STANDARD.decode(bytes).ok()?;
            let (id, signature) = bytes.split_first_chunk()?;
            let key_id = u32::from_be_bytes(*id);
            let (name, signature) = (name.to_owned(), signature.to_vec());
            (!signature.is_empty()).then_some(NoteSignature { name, key_id, signature })
        };
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES {
                return Err(bad(&format!("at most {SIGNATURES} signatures"), "more"));
            }
            let read = signature(line)
                .ok_or_else(|| bad("`— <name> <base64>`", &format!("`{:.80}`", clean(line))))?;
            signatures.push(read);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

fn check_name(name: &str) -> Result<()> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if !name.is_empty() && name.len() <= 256 && !name.contains(odd) {
        return Ok(());
    }
    let expected = "1 to 256 bytes without spaces, control characters or `+`";
    Err(Error::invalid("name of a note's key", expected, format!("`{:.80}`", clean(name))))
}

fn check_text(text: &str) -> Result<()> {
    let good = text.ends_with('\n')
        && text.len() <= NOTE_BYTES
        && !text.contains(|c: char| c < ' ' && c != '\n');
    if good {
        return Ok(());
    }
    let expected = "at most a MiB, a line feed at the end, no other control characters";
    Err(Error::invalid("text of a signed note", expected, "another text"))
}

fn key_text(key: &[u8; 32]) -> String {
    STANDARD.encode([&[ED25519], &key[..]].concat())
}

fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text).ok()?;
    let (kind, key) = bytes.split_first()?;
    if *kind == ED25519 { key.try_into().ok() } else { None }
}

fn key_id(text: &str) -> Option<u32> {
    let good = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if good { u32::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the documentation of Go's `golang.org/x/mod/sumdb/note`.
    const SECRET: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    /// The example of the specification.
    const SPEC_PUBLIC: &str =
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const SPEC_NOTE: &str = "This is an example message.\n\n\
        — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn it_signs_and_verifies_as_go_does() {
        let signer = NoteSigner::from_secret_text(SECRET).unwrap();
        assert_eq!(signer.to_secret_text(), SECRET);
        assert_eq!(signer.verifier().to_string(), PUBLIC);
        let note: SignedNote = NOTE.parse().unwrap();
        assert_eq!(signer.sign(note.text()).unwrap().to_string(), NOTE);
        for (note, key) in [(NOTE, PUBLIC), (SPEC_NOTE, SPEC_PUBLIC)] {
            let (note, key): (SignedNote, NoteVerifier) =
                (note.parse().unwrap(), key.parse().unwrap());
            note.verify(&key).unwrap();
        }
        assert_eq!(format!("{signer:?}"), "NoteSigner { name: \"PeterNeumann\", .. }");
    }

    #[test]
    fn signatures_of_others_are_not_looked_at() {
        let other = NoteSigner::from_seed("witness", [9; 32]).unwrap();
        let mut note: SignedNote = NOTE.parse().unwrap();
        assert!(note.verify(&other.verifier()).is_err());
        other.cosign(&mut note);
        let read: SignedNote = note.to_string().parse().unwrap();
        assert_eq!(read, note);
        read.verify(&other.verifier()).unwrap();
        read.verify(&PUBLIC.parse().unwrap()).unwrap();
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let key: NoteVerifier = PUBLIC.parse().unwrap();
        for at in 0..NOTE.len() {
            for bit in 0..8 {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let read = text.parse::<SignedNote>().and_then(|note| note.verify(&key));
                assert!(read.is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for bad in [
            "",
            "a+b",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(bad.parse::<NoteVerifier>().is_err(), "{bad}");
        }
        let error = NoteSigner::from_secret_text(&SECRET.replace("c7", "c8")).unwrap_err();
        assert!(!error.to_string().contains("AYEK"), "{error}");
        assert!(NoteSigner::from_seed("a+b", [0; 32]).is_err());
        assert!(NoteSigner::from_seed("a", [0; 32]).unwrap().sign("no line feed").is_err());
        assert!(NoteSigner::from_seed("a", [0; 32]).unwrap().sign("tab\t\n").is_err());
    }

    proptest! {
        #[test]
        fn notes_come_back_and_others_do_not_panic(text in "(\\PC*\n){1,4}", junk in ".*") {
            let signer = NoteSigner::from_seed("a", [1; 32]).unwrap();
            let note = signer.sign(text).unwrap();
            let read: SignedNote = note.to_string().parse().unwrap();
            prop_assert_eq!(&read, &note);
            prop_assert!(read.verify(&signer.verifier()).is_ok());
            prop_assert!(junk.parse::<SignedNote>().is_err());
            prop_assert!(junk.parse::<NoteVerifier>().is_err());
        }
    }
}
