//! Artifacts through the server's proxy, streamed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use mlops_core::{AtomicFile, Error};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::MlflowClient;
use super::error::{MlflowError, MlflowResult};
use super::http::{Repeat, answer};
use super::json::{all_pages, maybe_whole, page};
use super::url;

/// Where the proxy is.
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";
/// How deep a directory is walked.
const DEPTH: usize = 32;
/// How many files a walk gives.
const FILES: usize = 100_000;

/// A file or directory among artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ArtifactFile {
    /// Its path below what was listed.
    pub path: String,
    /// Whether it is a directory.
    #[serde(default)]
    pub is_dir: bool,
    /// How many bytes a file has; an empty one may have none here.
    #[serde(default, deserialize_with = "maybe_whole")]
    pub file_size: Option<i64>,
}

/// Bytes of an artifact, read from the network: an error as soon as they are more than they may
/// be, or end before the server said that they would.
pub struct ArtifactReader {
    body: ureq::BodyReader<'static>,
    size: Option<u64>,
    left: u64,
}

impl fmt::Debug for ArtifactReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactReader").field("size", &self.size).finish_non_exhaustive()
    }
}

impl ArtifactReader {
    /// How many bytes there will be, where the server said.
    pub fn size(&self) -> Option<u64> {
        self.size
    }
}

impl Read for ArtifactReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the artifact is larger than it may be")
        })?;
        Ok(n)
    }
}

/// Whether a path stays below where it starts: parts between `/`, none empty, `.` or `..`.
pub(super) fn check(path: &str) -> MlflowResult<()> {
    let good = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            // What the server decodes again, or takes for something else.
            && !part.contains(|c: char| c.is_control() || "\\%#?;".contains(c))
    };
    if path.len() <= 2048 && path.split('/').all(good) {
        return Ok(());
    }
    let expected = "a relative path without `..`, control characters or any of \\ % # ? ;";
    let shown: String = path.chars().take(60).flat_map(char::escape_debug).collect();
    Err(MlflowError::invalid("path of the artifact", expected, shown))
}

/// The path at the proxy of something below an artifact URI (`mlflow-artifacts:/1/…`).
fn target(uri: &str, path: &str) -> MlflowResult<String> {
    let unsupported = || MlflowError::Unsupported {
        what: "an artifact".into(),
        needs: "a server that serves artifacts (mlflow-artifacts:/…)".into(),
        found: format!("one that keeps them at {}:", uri.split(':').next().unwrap_or_default()),
    };
    let rest = uri.strip_prefix("mlflow-artifacts:").ok_or_else(unsupported)?;
    let root = match rest.strip_prefix("//") {
        // A server's name: ours, as no other is asked.
        Some(named) => named.split_once('/').map_or("", |(_, root)| root),
        None => rest.trim_start_matches('/'),
    };
    let root = root.trim_end_matches('/');
    check(root)?;
    if path.is_empty() {
        return Ok(root.to_owned());
    }
    check(path)?;
    Ok(format!("{root}/{path}"))
}

impl MlflowClient {
    /// What lies in a directory below an artifact URI; nothing if there is no such directory.
    ///
    /// # Errors
    /// [`MlflowError::Unsupported`] for a URI that the server does not serve; a bad path.
    pub fn list_artifacts(&self, uri: &str, path: &str) -> MlflowResult<Vec<ArtifactFile>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            files: Vec<ArtifactFile>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let target = target(uri, path)?;
        let all = all_pages(&format!("GET {PROXY}"), |token| {
            let mut query = vec![("path", target.as_str())];
            query.extend(token.as_deref().map(|t| ("page_token", t)));
            match self.http.get::<Found>(PROXY, &query) {
                Ok(found) => Ok(page(found.files, found.next_page_token)),
                Err(e) if e.is_not_found() => Ok(page(Vec::new(), None)),
                Err(e) => Err(e),
            }
        })?;
        for file in &all {
            check(&file.path)?;
        }
        Ok(all)
    }

    /// Every file below a directory, with its path from there, sorted.
    ///
    /// # Errors
    /// As [`list_artifacts`](Self::list_artifacts); deeper than 32 directories, more than 100,000
    /// files.
    pub fn walk_artifacts(&self, uri: &str, path: &str) -> MlflowResult<Vec<ArtifactFile>> {
        let join = |base: &str, name: &str| {
            if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") }
        };
        let mut open = vec![(String::new(), 0)];
        let mut files = Vec::new();
        while let Some((below, depth)) = open.pop() {
            for file in self.list_artifacts(uri, &join(path, &below))? {
                let whole = join(&below, &file.path);
                if file.is_dir {
                    open.push((whole, depth + 1));
                } else {
                    files.push(ArtifactFile { path: whole, ..file });
                }
                if depth == DEPTH || files.len() + open.len() > FILES {
                    let expected = format!("{FILES} files, {DEPTH} directories deep at most");
                    return Err(answer("list of artifacts", &expected, "more"));
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Stores bytes as an artifact, over one that has the path.
    ///
    /// # Errors
    /// As [`list_artifacts`](Self::list_artifacts).
    pub fn put_artifact(&self, uri: &str, path: &str, bytes: &[u8]) -> MlflowResult<()> {
        let shared: std::sync::Arc<[u8]> = bytes.into();
        self.put_artifact_from(uri, path, bytes.len() as u64, || {
            Ok(Box::new(io::Cursor::new(shared.clone())))
        })
    }

    /// Stores a file as an artifact, in constant memory.
    ///
    /// # Errors
    /// As [`list_artifacts`](Self::list_artifacts); a file that can't be read.
    pub fn put_artifact_file(&self, uri: &str, path: &str, file: &Path) -> MlflowResult<()> {
        let size = std::fs::metadata(file).map_err(|e| Error::io(file, e))?.len();
        self.put_artifact_from(uri, path, size, || {
            Ok(Box::new(File::open(file).map_err(|e| Error::io(file, e))?))
        })
    }

    /// Stores what a reader gives, of known size, in constant memory; it is opened anew for every
    /// attempt.
    ///
    /// # Errors
    /// As [`list_artifacts`](Self::list_artifacts); what opening says; fewer bytes than announced.
    pub fn put_artifact_from(
        &self,
        uri: &str,
        path: &str,
        size: u64,
        mut open: impl FnMut() -> MlflowResult<Box<dyn Read>>,
    ) -> MlflowResult<()> {
        if path.is_empty() {
            check(path)?;
        }
        let target = format!("{PROXY}/{}", url::path(&target(uri, path)?));
        self.http.upload(&target, size, &mut open)
    }

    fn is_listed(&self, uri: &str, path: &str) -> MlflowResult<bool> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.list_artifacts(uri, parent)?.iter().any(|file| file.path == name))
    }

    /// Opens an artifact of at most `most` bytes to read.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); one that is larger.
    pub fn open_artifact(&self, uri: &str, path: &str, most: u64) -> MlflowResult<ArtifactReader> {
        let target = format!("{PROXY}/{}", url::path(&target(uri, path)?));
        let body = match self.http.download(&target) {
            Err(MlflowError::Server { request, status: 500, .. })
                if !self.is_listed(uri, path)? =>
            {
                return Err(MlflowError::Server {
                    request,
                    status: 404,
                    code: "RESOURCE_DOES_NOT_EXIST".into(),
                    message: "no such artifact".into(),
                });
            }
            other => other?,
        };
        let size = body.content_length();
        if let Some(size) = size.filter(|size| *size > most) {
            let (expected, found) = (format!("at most {most} bytes"), format!("{size}"));
            return Err(answer(&format!("GET {target}"), &expected, &found));
        }
        // The reader's own count says more than a limit's error would.
        let body = body.into_with_config().limit(u64::MAX).reader();
        Ok(ArtifactReader { body, size, left: most })
    }

    /// The bytes of an artifact of at most `most` bytes.
    ///
    /// # Errors
    /// As [`open_artifact`](Self::open_artifact).
    pub fn artifact(&self, uri: &str, path: &str, most: u64) -> MlflowResult<Vec<u8>> {
        let mut reader = self.open_artifact(uri, path, most)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|e| {
            let request = format!("GET {path}");
            // One that did not say its size before.
            if bytes.len() as u64 > most || e.kind() == io::ErrorKind::InvalidData {
                answer(&request, &format!("at most {most} bytes"), "more")
            } else {
                answer(&request, "its bytes", &e.kind().to_string())
            }
        })?;
        Ok(bytes)
    }

    /// Writes an artifact of at most `most` bytes to a file, which appears when it is whole.
    ///
    /// # Errors
    /// As [`open_artifact`](Self::open_artifact); a file that can't be written.
    pub fn download_artifact(
        &self,
        uri: &str,
        path: &str,
        most: u64,
        to: &Path,
    ) -> MlflowResult<u64> {
        let mut reader = self.open_artifact(uri, path, most)?;
        let mut file = AtomicFile::create(to)?;
        let size = io::copy(&mut reader, &mut file).map_err(|e| Error::io(to, e))?;
        file.commit()?;
        Ok(size)
    }

    /// Removes an artifact or a directory of them; none there is fine.
    ///
    /// # Errors
    /// As [`list_artifacts`](Self::list_artifacts).
    pub fn delete_artifact(&self, uri: &str, path: &str) -> MlflowResult<()> {
        if path.is_empty() {
            check(path)?;
        }
        let target = format!("{PROXY}/{}", url::path(&target(uri, path)?));
        let body = serde_json::json!({});
        match self.http.send::<IgnoredAny>("DELETE", &target, &body, Repeat::Always) {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_root() {
        let at = |path| target("mlflow-artifacts:/1/abc/artifacts", path).unwrap();
        assert_eq!(at(""), "1/abc/artifacts");
        assert_eq!(at("deep/größe.bin"), "1/abc/artifacts/deep/größe.bin");
        assert_eq!(target("mlflow-artifacts://host:5000/1/a", "x").unwrap(), "1/a/x");
        for bad in ["..", "a/../b", "/a", "a//b", "a/", "a\\b", "%2e%2e/x", "a#b", "a?b", "a\0"] {
            assert!(target("mlflow-artifacts:/1/a", bad).is_err(), "{bad}");
        }
        for bad in [
            "s3://bucket/x",
            "file:///tmp",
            "/tmp",
            "",
            "mlflow-artifacts:/",
            "mlflow-artifacts:/../x",
        ] {
            assert!(target(bad, "x").is_err(), "{bad}");
        }
        let error = target("s3://key:s3cret@bucket/x", "x").unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
