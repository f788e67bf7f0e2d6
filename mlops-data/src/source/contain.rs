//! The seam to decoders of others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mlops_core::{Error, Result};

/// Runs a decoder of another library on a file that may be hostile: its panic becomes an error
/// that names the file. The decoder must not be used again after one.
pub(crate) fn contain<T>(path: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason");
        Err(Error::invalid(
            path.display().to_string(),
            "a file that can be decoded",
            format!("damage that stopped the decoder: {said}"),
        ))
    })
}
