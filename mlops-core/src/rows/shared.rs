//! What is made once of a batch for all that ask.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, Result};

/// What was made once for all that ask, by its type and a key.
#[derive(Default)]
pub(super) struct Shared(Mutex<ByType>);

type ByType = HashMap<TypeId, ByKey, BuildHasherDefault<LabelHasher>>;

type ByKey = HashMap<Box<str>, Arc<dyn Any + Send + Sync>, BuildHasherDefault<LabelHasher>>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn get<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let typed = |any: Arc<dyn Any + Send + Sync>| {
            any.downcast().map_err(|_| Error::invalid("shared value", "its own type", "another"))
        };
        // Nothing is done under the lock that could panic and leave it half done.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&TypeId::of::<T>()).and_then(|keys| keys.get(key)).cloned();
        if let Some(known) = known {
            return typed(known);
        }
        // Made outside of the lock, since making it may ask for more.
        let made: Arc<dyn Any + Send + Sync> = Arc::new(make()?);
        typed(
            lock().entry(TypeId::of::<T>()).or_default().entry(key.into()).or_insert(made).clone(),
        )
    }
}

/// xxh3 of a label: a few ns where the standard library's hash takes tens.
#[derive(Default)]
struct LabelHasher(u64);

impl Hasher for LabelHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    /// The end of a string, which its hash knows already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;

    use crate::{Error, Rows};

    #[test]
    fn what_is_shared_is_made_once_of_each_type_and_key() {
        let batch = crate::batch! { "x" => Float64Array::from(vec![1.0]) }.unwrap();
        let rows = Rows::new(&batch);
        let made = std::cell::Cell::new(0);
        let count = || {
            made.set(made.get() + 1);
            Ok(made.get())
        };
        let ask = |key: &str| *rows.shared::<i32>(key, count).unwrap();
        assert_eq!((ask("a"), ask("a"), ask("b"), ask("a")), (1, 1, 2, 1));
        let text = rows.shared("a", || Ok(format!("{}", ask("c")))).unwrap();
        assert_eq!((text.as_str(), made.get()), ("3", 3));
        let failed = rows.shared::<u8>("a", || Err(Error::Cancelled));
        assert!(failed.is_err());
        assert_eq!(*rows.shared::<u8>("a", || Ok(7)).unwrap(), 7);
    }
}
