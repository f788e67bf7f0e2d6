//! What is asked of an object store, each request a plain call.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
};

use super::runtime::Runtime;

pub(super) type Answer<T> = Result<T, Error>;

/// What a store says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) size: u64,
    /// Milliseconds since 1970, by the server's clock.
    pub(super) modified: i64,
    pub(super) e_tag: Option<String>,
}

impl From<ObjectMeta> for Meta {
    fn from(meta: ObjectMeta) -> Self {
        let modified = meta.last_modified.timestamp_millis();
        Self { size: meta.size, modified, e_tag: meta.e_tag }
    }
}

/// What stands directly below a prefix.
#[derive(Debug, Default)]
pub(super) struct Below {
    pub(super) objects: Vec<(Path, Meta)>,
    pub(super) prefixes: Vec<Path>,
}

/// The requests that a store of artifacts makes.
pub(super) trait Bucket: Debug + Send + Sync + 'static {
    fn put(&self, at: &Path, bytes: Vec<u8>, mode: PutMode) -> Answer<()>;
    fn head(&self, at: &Path) -> Answer<Meta>;
    /// Part of an object, if it is still the one with this tag.
    fn range(&self, at: &Path, range: Range<u64>, e_tag: Option<&str>) -> Answer<Vec<u8>>;
    fn delete(&self, at: &Path) -> Answer<()>;
    fn below(&self, prefix: &Path) -> Answer<Below>;
    fn begin(&self, at: &Path) -> Answer<String>;
    fn part(&self, at: &Path, upload: &str, index: usize, bytes: Vec<u8>) -> Answer<String>;
    fn finish(&self, at: &Path, upload: &str, parts: &[String]) -> Answer<()>;
    fn abort(&self, at: &Path, upload: &str) -> Answer<()>;
}

/// Any store of `object_store`, on a runtime of our own.
#[derive(Debug)]
pub(super) struct Remote<S> {
    store: Arc<S>,
    runtime: Runtime,
}

impl<S> Remote<S> {
    pub(super) fn new(store: Arc<S>) -> std::io::Result<Self> {
        Ok(Self { store, runtime: Runtime::start()? })
    }
}

impl<S: ObjectStore + MultipartStore> Bucket for Remote<S> {
    fn put(&self, at: &Path, bytes: Vec<u8>, mode: PutMode) -> Answer<()> {
        let (store, at) = (self.store.clone(), at.clone());
        self.runtime.run(async move {
            store.put_opts(&at, bytes.into(), PutOptions::from(mode)).await.map(drop)
        })
    }

    fn head(&self, at: &Path) -> Answer<Meta> {
        let (store, at) = (self.store.clone(), at.clone());
        self.runtime.run(async move { store.head(&at).await.map(Meta::from) })
    }

    fn range(&self, at: &Path, range: Range<u64>, e_tag: Option<&str>) -> Answer<Vec<u8>> {
        let (store, at) = (self.store.clone(), at.clone());
        let options = GetOptions::new().with_range(Some(range)).with_if_match(e_tag);
        self.runtime
            .run(async move { Ok(store.get_opts(&at, options).await?.bytes().await?.to_vec()) })
    }

    fn delete(&self, at: &Path) -> Answer<()> {
        let (store, at) = (self.store.clone(), at.clone());
        self.runtime.run(async move { store.delete(&at).await })
    }

    fn below(&self, prefix: &Path) -> Answer<Below> {
        let (store, prefix) = (self.store.clone(), prefix.clone());
        self.runtime.run(async move {
            let found = store.list_with_delimiter(Some(&prefix)).await?;
            let objects = found.objects.into_iter().map(|o| (o.location.clone(), o.into()));
            Ok(Below { objects: objects.collect(), prefixes: found.common_prefixes })
        })
    }

    fn begin(&self, at: &Path) -> Answer<String> {
        let (store, at) = (self.store.clone(), at.clone());
        self.runtime.run(async move { store.create_multipart(&at).await })
    }

    fn part(&self, at: &Path, upload: &str, index: usize, bytes: Vec<u8>) -> Answer<String> {
        let (store, at, upload) = (self.store.clone(), at.clone(), upload.to_owned());
        self.runtime.run(async move {
            let part = store.put_part(&at, &upload, index, bytes.into()).await?;
            Ok(part.content_id)
        })
    }

    fn finish(&self, at: &Path, upload: &str, parts: &[String]) -> Answer<()> {
        let (store, at, upload) = (self.store.clone(), at.clone(), upload.to_owned());
        let parts = parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
        self.runtime
            .run(async move { store.complete_multipart(&at, &upload, parts).await.map(drop) })
    }

    fn abort(&self, at: &Path, upload: &str) -> Answer<()> {
        let (store, at, upload) = (self.store.clone(), at.clone(), upload.to_owned());
        self.runtime.run(async move { store.abort_multipart(&at, &upload).await })
    }
}

/// Whether another try of the same request may succeed.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::JoinError { .. })
}

pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
}
