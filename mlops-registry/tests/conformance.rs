//! Every backend keeps the contract, directly and through a pointer.

use std::sync::Arc;

use mlops_core::{Registry, conformance};
use mlops_registry::MemoryRegistry;

#[test]
fn memory() {
    conformance::registry(&MemoryRegistry::new());
    let shared: Arc<dyn Registry> = Arc::new(MemoryRegistry::new());
    conformance::registry(&shared);
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite() {
    use mlops_registry::{Journal, SqliteRegistry};

    for journal in [Journal::Wal, Journal::Rollback] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let registry = Arc::new(SqliteRegistry::open_with(&path, journal).unwrap());
        let shared: Arc<dyn Registry> = registry.clone();
        conformance::registry(&shared);
        let found = registry.verify().unwrap();
        assert!(found.is_whole(), "{journal}: {found}");
        drop((registry, shared));
        let left: Vec<_> =
            directory.path().read_dir().unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["registry.db"], "{journal}: one file is left");
    }
}
