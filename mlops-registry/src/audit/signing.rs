//! Model signatures of OpenSSF (model signing v1.0): which files a model has, signed with an
//! ECDSA P-256 key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlops_core::report::clean;
use mlops_core::{Artifact, Digest, Error, Result, Version, canonical_json};
use p256::SecretKey;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde::{Deserialize, Serialize};
use serde_json::json;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
/// What the reference implementation leaves out of a directory.
const GIT: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// The longest bundle, in bytes.
const BUNDLE_BYTES: usize = 64 << 20;
/// How deep a model's directories may go.
const DEPTH: usize = 64;

/// The files of a model and their digests: what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelManifest {
    /// The model's name. Nothing is compared with it.
    pub name: String,
    /// The files by their path within the model, with `/` between its parts.
    pub files: BTreeMap<String, Digest>,
    /// Paths that are no part of the model.
    pub ignored: BTreeSet<String>,
}

impl ModelManifest {
    /// The files of a version, under its model's name.
    pub fn of_version(version: &Version) -> Self {
        let file = |a: &Artifact| (a.name.clone(), a.digest);
        Self {
            name: version.model.clone(),
            files: version.artifacts.iter().map(file).collect(),
            ignored: BTreeSet::new(),
        }
    }

    /// The files of a directory, read in constant memory, but for these paths within it and what
    /// belongs to git (`.git`, `.gitattributes`, `.github`, `.gitignore`).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] for symbolic links, what is neither file nor directory,
    /// and names that are not UTF-8.
    pub fn of_directory(path: impl AsRef<Path>, ignored: &[&str]) -> Result<Self> {
        let path = path.as_ref();
        let whole = fs::canonicalize(path).map_err(|e| Error::io(path, e))?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ignored = GIT.iter().chain(ignored).map(|path| (*path).to_owned()).collect();
        let mut manifest = Self { name, files: BTreeMap::new(), ignored };
        manifest.walk(path, "", 0)?;
        Ok(manifest)
    }

    fn walk(&mut self, directory: &Path, prefix: &str, depth: usize) -> Result<()> {
        let bad = |expected: String, name: &str| {
            Err(Error::invalid("directory of the model", expected, format!("`{}`", clean(name))))
        };
        if depth > DEPTH {
            return bad(format!("at most {DEPTH} directories in each other"), prefix);
        }
        for entry in fs::read_dir(directory).map_err(|e| Error::io(directory, e))? {
            let entry = entry.map_err(|e| Error::io(directory, e))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return bad("names in UTF-8".into(), &name.to_string_lossy());
            };
            let name = format!("{prefix}{name}");
            if self.ignored.contains(&name) {
                continue;
            }
            // Of the entry itself: a link is not followed.
            let kind = entry.file_type().map_err(|e| Error::io(&path, e))?;
            if kind.is_dir() {
                self.walk(&path, &format!("{name}/"), depth + 1)?;
            } else if kind.is_file() {
                let digest = digest_of(&path)?;
                self.files.insert(name, digest);
            } else {
                return bad("files and directories, no links".into(), &name);
            }
        }
        Ok(())
    }

    /// How other files differ from these: what is missing, changed or was added, a line each.
    pub fn differences(&self, other: &BTreeMap<String, Digest>) -> Vec<String> {
        let names: BTreeSet<_> = self.files.keys().chain(other.keys()).collect();
        let say = |name: &String| match (self.files.get(name), other.get(name)) {
            (Some(_), None) => Some(format!("{} is missing", clean(name))),
            (None, Some(_)) => Some(format!("{} was not signed", clean(name))),
            (Some(a), Some(b)) if a != b => Some(format!("{} was changed", clean(name))),
            _ => None,
        };
        names.into_iter().filter_map(say).collect()
    }

    /// The statement that is signed.
    fn payload(&self) -> Result<String> {
        // The reference implementation sorts by the parts of a path, not by its letters.
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
        let resources: Vec<_> = files
            .iter()
            .map(|(name, digest)| {
                json!({ "algorithm": "sha256", "digest": digest.hex(), "name": name })
            })
            .collect();
        let root = root_of(files.into_iter().map(|(_, digest)| digest));
        canonical_json(&json!({
            "_type": STATEMENT_TYPE,
            "subject": [{ "name": self.name, "digest": { "sha256": root.hex() } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "resources": resources,
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": false,
                    "ignore_paths": self.ignored,
                },
            },
        }))
    }

    fn from_payload(payload: &[u8]) -> Result<Self> {
        let bad = |expected: &str, found: &str| {
            Error::invalid("signed statement", expected, format!("`{:.80}`", clean(found)))
        };
        let statement: Statement = serde_json::from_slice(payload)
            .map_err(|e| Error::invalid("signed statement", "an in-toto statement", e))?;
        if statement.kind != STATEMENT_TYPE {
            return Err(bad(STATEMENT_TYPE, &statement.kind));
        }
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(bad(PREDICATE_TYPE, &statement.predicate_type));
        }
        let serialization = statement.predicate.serialization;
        if serialization.method != "files" {
            return Err(bad("digests of whole files", &serialization.method));
        }
        let [subject] = statement.subject.as_slice() else {
            return Err(bad("one subject", &statement.subject.len().to_string()));
        };
        let mut files = BTreeMap::new();
        let mut digests = Vec::new();
        for resource in statement.predicate.resources {
            if resource.algorithm != "sha256" {
                return Err(bad("digests by sha256", &resource.algorithm));
            }
            let name = resource.name;
            let part_is_good = |part: &str| !matches!(part, "" | "." | "..");
            let good = name.split('/').all(part_is_good) && !name.contains(['\\', '\0']);
            if !good {
                return Err(bad("paths within the model", &name));
            }
            let digest: Digest = resource.digest.parse()?;
            digests.push(digest);
            if files.insert(name.clone(), digest).is_some() {
                return Err(bad("every file once", &name));
            }
        }
        let root = root_of(&digests).hex();
        if subject.digest.sha256 != root {
            return Err(bad(&format!("{root} over the files"), &subject.digest.sha256));
        }
        let ignored = serialization.ignore_paths.into_iter().collect();
        Ok(Self { name: subject.name.clone(), files, ignored })
    }
}

/// SHA-256 over the digests' bytes, one after the other.
fn root_of<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> Digest {
    let mut hasher = Digest::hasher();
    for digest in digests {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}

fn digest_of(path: &Path) -> Result<Digest> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut hasher = Digest::hasher();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// A secret ECDSA P-256 key that signs models as OpenSSF's model signing v1.0 has it: a Sigstore
/// bundle (v0.3) around a DSSE envelope around an in-toto statement. The reference implementation,
/// `model_signing verify key`, verifies it.
///
/// ```
/// use mlops_core::{NewVersion, Timestamp};
/// use mlops_registry::audit::{ModelManifest, ModelSigner};
///
/// let new = NewVersion::new("loans", "ana").with_artifact("model.json", "{}");
/// let manifest = ModelManifest::of_version(&new.to_version(1, Timestamp::from_millis(0)));
/// let signer = ModelSigner::generate()?;
/// let bundle = signer.sign(&manifest)?;
/// assert_eq!(signer.verifier().verify(&bundle)?, manifest);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ModelSigner {
    key: SigningKey,
}

/// Never the secret.
impl std::fmt::Debug for ModelSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelSigner").finish_non_exhaustive()
    }
}

impl ModelSigner {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::Other`] if the system has no randomness to give.
    pub fn generate() -> Result<Self> {
        loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)
                .map_err(|e| Error::other("randomness of the system", e.to_string()))?;
            // Fails once in 2³² times, for numbers beyond the curve's order.
            if let Ok(key) = SigningKey::from_slice(&bytes) {
                return Ok(Self { key });
            }
        }
    }

    /// The key of a PEM text, `PRIVATE KEY` (PKCS #8) or `EC PRIVATE KEY` (SEC 1), unencrypted.
    ///
    /// # Errors
    /// [`Error::Invalid`]; the text is not in it.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key =
            SecretKey::from_pkcs8_pem(pem).ok().or_else(|| SecretKey::from_sec1_pem(pem).ok());
        let bad = || {
            let expected = "an unencrypted ECDSA P-256 key in PEM";
            Error::invalid("secret key of models", expected, "another text")
        };
        Ok(Self { key: key.ok_or_else(bad)?.into() })
    }

    /// The secret as PEM (PKCS #8). Who has it can sign.
    ///
    /// # Errors
    /// [`Error::Other`] of the encoder.
    pub fn to_secret_pem(&self) -> Result<String> {
        let pem = self.key.to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|e| Error::other("PEM", e.to_string()))?.to_string())
    }

    /// The public half.
    pub fn verifier(&self) -> ModelVerifier {
        ModelVerifier { key: *self.key.verifying_key() }
    }

    /// The bundle, JSON, that belongs beside the model as `model.sig`. It is the same whenever
    /// the same is signed (RFC 6979).
    ///
    /// # Errors
    /// [`Error::Other`] of the encoder.
    pub fn sign(&self, manifest: &ModelManifest) -> Result<String> {
        let payload = manifest.payload()?;
        let signature: Signature = self.key.sign(&to_sign(payload.as_bytes()));
        canonical_json(&json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": { "hint": self.verifier().hint()? },
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(&payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{ "sig": STANDARD.encode(signature.to_der()), "keyid": "" }],
            },
        }))
    }
}

/// A public ECDSA P-256 key that verifies models' signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelVerifier {
    key: VerifyingKey,
}

impl ModelVerifier {
    /// The key of a PEM text, `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another text.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = VerifyingKey::from_public_key_pem(pem)
            .map_err(|e| Error::invalid("public key of models", "an ECDSA P-256 key in PEM", e))?;
        Ok(Self { key })
    }

    /// The key as PEM.
    ///
    /// # Errors
    /// [`Error::Other`] of the encoder.
    pub fn to_pem(&self) -> Result<String> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(|e| Error::other("PEM", e.to_string()))
    }

    /// What bundles call the key: SHA-256 of its PEM.
    fn hint(&self) -> Result<String> {
        Ok(Digest::of(self.to_pem()?).hex())
    }

    /// The files that a bundle speaks of, if this key signed it. Whether they are there is
    /// another question: [`verify_directory`](Self::verify_directory),
    /// [`ModelManifest::differences`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bundle of another form, another key, or a signature that does not
    /// hold. Digests of parts of files (`shards`) and other digests than SHA-256 are refused.
    pub fn verify(&self, bundle: &str) -> Result<ModelManifest> {
        let bad = |expected: &str, found: &str| {
            Error::invalid("signature of the model", expected, format!("`{:.80}`", clean(found)))
        };
        if bundle.len() > BUNDLE_BYTES {
            return Err(bad(&format!("at most {BUNDLE_BYTES} bytes"), &bundle.len().to_string()));
        }
        let bundle: Bundle = serde_json::from_str(bundle)
            .map_err(|e| Error::invalid("signature of the model", "a Sigstore bundle", e))?;
        if bundle.media_type != MEDIA_TYPE {
            return Err(bad(MEDIA_TYPE, &bundle.media_type));
        }
        let envelope = bundle.dsse_envelope;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(bad(PAYLOAD_TYPE, &envelope.payload_type));
        }
        let hint = bundle.verification_material.public_key.hint.unwrap_or_default();
        let own = self.hint()?;
        if !hint.is_empty() && hint != own {
            return Err(bad(&format!("one by the key {own}"), &hint));
        }
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| bad("base64", text));
        let payload = decoded(&envelope.payload)?;
        let [signature] = envelope.signatures.as_slice() else {
            return Err(bad("one signature", &envelope.signatures.len().to_string()));
        };
        let holds = Signature::from_der(&decoded(&signature.sig)?)
            .is_ok_and(|s| self.key.verify(&to_sign(&payload), &s).is_ok());
        if !holds {
            return Err(bad("one that holds", &signature.sig));
        }
        ModelManifest::from_payload(&payload)
    }

    /// The files of a directory, if they are those that this key signed: all of them and no
    /// others, but for the paths that the bundle leaves out and these.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify) and [`ModelManifest::of_directory`]; [`Error::Blocked`]
    /// with every file that differs.
    pub fn verify_directory(
        &self,
        bundle: &str,
        path: impl AsRef<Path>,
        ignored: &[&str],
    ) -> Result<ModelManifest> {
        let signed = self.verify(bundle)?;
        let ignored = signed.ignored.iter().map(String::as_str).chain(ignored.iter().copied());
        let found = ModelManifest::of_directory(path, &ignored.collect::<Vec<_>>())?;
        let reasons = signed.differences(&found.files);
        if reasons.is_empty() {
            Ok(signed)
        } else {
            Err(Error::Blocked { what: "model".into(), reasons })
        }
    }
}

/// What DSSE signs: the payload with its type and both their lengths.
fn to_sign(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

// Fields that these don't name are not looked at, as the specification wants it.

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: KeyHint,
}

#[derive(Deserialize)]
struct KeyHint {
    hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    digest: Sha256,
}

#[derive(Deserialize, Serialize)]
struct Sha256 {
    sha256: String,
}

#[derive(Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Serialization {
    method: String,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "1"), ("d0-1", "2"), ("d0/f", "3"), ("Z", "4"), (".git/x", "5")]
        {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn what_is_signed_is_verified() {
        let dir = model();
        let signer = ModelSigner::generate().unwrap();
        let manifest = ModelManifest::of_directory(dir.path(), &["model.sig"]).unwrap();
        assert_eq!(manifest.files.keys().collect::<Vec<_>>(), ["Z", "a", "d0-1", "d0/f"]);
        let bundle = signer.sign(&manifest).unwrap();
        assert_eq!(signer.sign(&manifest).unwrap(), bundle);
        fs::write(dir.path().join("model.sig"), &bundle).unwrap();
        assert_eq!(signer.verifier().verify_directory(&bundle, dir.path(), &[]).unwrap(), manifest);

        fs::write(dir.path().join("a"), "x").unwrap();
        fs::write(dir.path().join("new"), "x").unwrap();
        fs::remove_file(dir.path().join("Z")).unwrap();
        let error = signer.verifier().verify_directory(&bundle, dir.path(), &[]).unwrap_err();
        let Error::Blocked { reasons, .. } = error else { panic!("{error}") };
        assert_eq!(reasons, ["Z is missing", "a was changed", "new was not signed"]);
    }

    #[test]
    fn files_are_sorted_by_the_parts_of_their_paths() {
        let dir = model();
        let payload = ModelManifest::of_directory(dir.path(), &[]).unwrap().payload().unwrap();
        let at: Vec<_> =
            ["\"Z\"", "\"a\"", "\"d0/f\"", "\"d0-1\""].iter().map(|n| payload.find(n)).collect();
        assert!(at[0].is_some() && at.is_sorted(), "{payload}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_refused() {
        let dir = model();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        assert!(ModelManifest::of_directory(dir.path(), &[]).is_err());
        assert!(ModelManifest::of_directory(dir.path(), &["link"]).is_ok());
    }

    #[test]
    fn keys_come_back_as_pem() {
        let signer = ModelSigner::generate().unwrap();
        let again = ModelSigner::from_pem(&signer.to_secret_pem().unwrap()).unwrap();
        let verifier = signer.verifier();
        assert_eq!(again.verifier(), verifier);
        assert_eq!(ModelVerifier::from_pem(&verifier.to_pem().unwrap()).unwrap(), verifier);
        assert!(ModelSigner::from_pem("x").is_err());
        assert!(ModelVerifier::from_pem(&signer.to_secret_pem().unwrap()).is_err());
        assert_eq!(format!("{signer:?}"), "ModelSigner { .. }");
    }

    /// Signs a statement of any form, to see that a good signature is not enough.
    fn signed(signer: &ModelSigner, statement: &serde_json::Value) -> String {
        let payload = statement.to_string();
        let signature: Signature = signer.key.sign(&to_sign(payload.as_bytes()));
        json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": { "publicKey": { "hint": "" } },
            "dsseEnvelope": {
                "payload": STANDARD.encode(&payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{ "sig": STANDARD.encode(signature.to_der()) }],
            },
        })
        .to_string()
    }

    #[test]
    fn statements_of_another_form_are_refused() {
        let signer = ModelSigner::generate().unwrap();
        let digest = Digest::of("x");
        let good = json!({
            "_type": STATEMENT_TYPE,
            "subject": [{ "name": "m", "digest": { "sha256": root_of([&digest]).hex() } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "serialization": { "method": "files", "hash_type": "sha256", "allow_symlinks": true },
                "resources": [{ "name": "x", "algorithm": "sha256", "digest": digest.hex() }],
                "model_card": { "more": "is not looked at" },
            },
        });
        let verify =
            |statement: &serde_json::Value| signer.verifier().verify(&signed(&signer, statement));
        assert_eq!(verify(&good).unwrap().files, BTreeMap::from([("x".to_owned(), digest)]));
        for (pointer, value) in [
            ("/_type", json!("https://in-toto.io/Statement/v0.1")),
            ("/predicateType", json!("https://model_signing/Digests/v0.1")),
            ("/subject", json!([])),
            ("/subject/0/digest/sha256", json!(digest.hex())),
            ("/predicate/serialization/method", json!("shards")),
            ("/predicate/resources/0/algorithm", json!("md5")),
            ("/predicate/resources/0/name", json!("../x")),
            ("/predicate/resources/0/name", json!("/x")),
            ("/predicate/resources/0/name", json!("a//x")),
            ("/predicate/resources/0/digest", json!("00")),
            ("/predicate/resources", json!([])),
        ] {
            let mut other = good.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert!(verify(&other).is_err(), "{pointer}");
        }
    }

    #[test]
    fn every_flipped_bit_of_the_payload_or_signature_is_found() {
        let signer = ModelSigner::generate().unwrap();
        let files = BTreeMap::from([("x".to_owned(), Digest::of("x"))]);
        let manifest = ModelManifest { name: "m".into(), files, ignored: BTreeSet::new() };
        let bundle = signer.sign(&manifest).unwrap();
        let verifier = signer.verifier();
        for at in (0..bundle.len()).step_by(3) {
            let mut bytes = bundle.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(other) = String::from_utf8(bytes) else { continue };
            // What no one signs (a `keyid`) may differ; what was signed may not.
            if let Ok(read) = verifier.verify(&other) {
                assert_eq!(read, manifest, "byte {at}");
            }
        }
        let other = ModelSigner::generate().unwrap().verifier();
        assert!(other.verify(&bundle).is_err());
        for junk in ["", "{}", "[]", "null", &"[".repeat(1000)] {
            assert!(verifier.verify(junk).is_err());
        }
    }
}
