//! Which store a URL names.

use std::path::Path;
use std::sync::Arc;

use mlops_core::{Error, Result};

use super::CloudStore;

/// Where a store is and what its client must know, for [`CloudStore::open`].
///
/// Options are those of the client (`region`, `endpoint`, `access_key_id`, …, in small letters);
/// an unknown one is an error. Environment variables are passed in, too: what begins with `AWS_`,
/// `AZURE_` or `GOOGLE_` and is known is taken. Neither is ever shown in an error.
#[derive(Clone, Default)]
pub struct CloudOptions {
    options: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

impl std::fmt::Debug for CloudOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: values may be secrets.
        let names = |of: &[(String, String)]| of.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>();
        f.debug_struct("CloudOptions")
            .field("options", &names(&self.options))
            .field("variables", &names(&self.variables))
            .finish()
    }
}

impl CloudOptions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with this option.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    /// The same, with what these variables say, as `std::env::vars()`; options come before them.
    #[must_use]
    pub fn with_variables(mut self, all: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |name: &str| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|p| name.starts_with(p));
        self.variables.extend(all.into_iter().filter(|(name, _)| ours(name)));
        self
    }

    /// The client, with every option set.
    #[cfg_attr(
        not(any(feature = "aws", feature = "gcp", feature = "azure")),
        expect(dead_code, reason = "no client is compiled in")
    )]
    fn apply<B, K: std::str::FromStr>(
        &self,
        builder: B,
        set: impl Fn(B, K, &str) -> B,
    ) -> Result<B> {
        let mut builder = builder;
        for (name, value) in &self.variables {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = set(builder, key, value);
            }
        }
        for (name, value) in &self.options {
            let key = name.parse().map_err(|_| {
                Error::invalid("option of the store", "one that its client knows", name)
            })?;
            builder = set(builder, key, value);
        }
        Ok(builder)
    }
}

/// A URL's scheme, what names the bucket, and the prefix in it.
fn parts(url: &str) -> Result<(&str, &str, &str)> {
    let bad = |found: &str| {
        Error::invalid("URL of the store", "s3://bucket/prefix, gs://…, az://container/…", found)
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("no scheme"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // What follows `?` or stands before `:` could be a secret, and is not shown.
    if rest.contains(['?', '#']) || bucket.contains(':') || bucket.is_empty() {
        return Err(bad("a port, a query, a password or no bucket"));
    }
    Ok((scheme, bucket, prefix.trim_end_matches('/')))
}

impl CloudStore {
    /// The store that this URL names: `s3://bucket/prefix` (feature `aws`), `gs://bucket/prefix`
    /// (feature `gcp`), `az://container/prefix` or
    /// `abfss://container@account.dfs.core.windows.net/prefix` (feature `azure`).
    ///
    /// Nothing is asked of the server yet. S3 is told the SHA-256 of every part.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another URL, a scheme whose feature is off, or an unknown option;
    /// those of [`CloudStore::new`].
    pub fn open(url: &str, options: &CloudOptions, scratch: impl AsRef<Path>) -> Result<Self> {
        let (scheme, bucket, prefix) = parts(url)?;
        // Without the prefix, which is ours.
        let address = format!("{scheme}://{bucket}");
        let scratch = scratch.as_ref();
        match scheme {
            #[cfg(feature = "aws")]
            "s3" | "s3a" => {
                use object_store::aws::{AmazonS3Builder, Checksum};
                let builder = AmazonS3Builder::new()
                    .with_url(address)
                    .with_checksum_algorithm(Checksum::SHA256);
                let builder = options
                    .apply(builder, |b: AmazonS3Builder, key, value| b.with_config(key, value))?;
                Self::new(Arc::new(builder.build().map_err(|e| refused(&e))?), prefix, scratch)
            }
            #[cfg(feature = "gcp")]
            "gs" => {
                use object_store::gcp::GoogleCloudStorageBuilder as Builder;
                let builder = options
                    .apply(Builder::new().with_url(address), |b: Builder, key, value| {
                        b.with_config(key, value)
                    })?;
                Self::new(Arc::new(builder.build().map_err(|e| refused(&e))?), prefix, scratch)
            }
            #[cfg(feature = "azure")]
            "az" | "adl" | "azure" | "abfs" | "abfss" => {
                use object_store::azure::MicrosoftAzureBuilder as Builder;
                let builder = options
                    .apply(Builder::new().with_url(address), |b: Builder, key, value| {
                        b.with_config(key, value)
                    })?;
                Self::new(Arc::new(builder.build().map_err(|e| refused(&e))?), prefix, scratch)
            }
            _ => {
                let _ = (address, options, scratch, prefix, Arc::new(()));
                let known = [
                    ("s3", cfg!(feature = "aws")),
                    ("gs", cfg!(feature = "gcp")),
                    ("az, abfss", cfg!(feature = "azure")),
                ];
                let known: Vec<_> = known.iter().filter(|k| k.1).map(|k| k.0).collect();
                let expected = match known.as_slice() {
                    [] => "none: the features aws, gcp and azure are off".to_owned(),
                    known => format!("one of {}, by the features that are on", known.join(", ")),
                };
                let scheme: String = scheme.chars().take(20).flat_map(char::escape_debug).collect();
                Err(Error::invalid("scheme of the store's URL", expected, scheme))
            }
        }
    }
}

/// A client that can't be made: said without what it was given.
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
fn refused(error: &object_store::Error) -> Error {
    let text = error.to_string();
    let start: String = text.chars().take(200).take_while(|c| *c != '?').collect();
    Error::other("the client of the store", start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(parts("s3://b/a/c/").unwrap(), ("s3", "b", "a/c"));
        assert_eq!(parts("gs://b").unwrap(), ("gs", "b", ""));
        let azure = "abfss://c@account.dfs.core.windows.net/p";
        assert_eq!(parts(azure).unwrap().1, "c@account.dfs.core.windows.net");
        for bad in ["", "s3:/b", "s3://", "s3:///x", "s3://u:secret@b/x", "az://c/p?sig=secret"] {
            let error = parts(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let vars = [("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned())];
        let options = CloudOptions::new().with("secret_access_key", "hunter2").with_variables(vars);
        assert!(!format!("{options:?}").contains("hunter2"));
        let here = tempfile::tempdir().unwrap();
        let error = CloudStore::open("ftp://x/y", &options, here.path()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn options_of_s3() {
        let here = tempfile::tempdir().unwrap();
        let good = CloudOptions::new().with("region", "eu-north-1").with("access_key_id", "id");
        let good = good.with("secret_access_key", "hunter2");
        let store = CloudStore::open("s3://bucket/models", &good, here.path()).unwrap();
        assert!(store.to_string().contains("bucket") && !format!("{store:?}").contains("hunter2"));
        let error = CloudStore::open("s3://b", &good.with("regoin", "x"), here.path()).unwrap_err();
        assert!(error.to_string().contains("regoin"), "{error}");
    }
}
