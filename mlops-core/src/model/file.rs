//! The files of models: JSON with the name of its format and a version, read without trust.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

#[derive(Serialize)]
struct Written<'a, T> {
    format: &'a str,
    version: u32,
    model: &'a T,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Body<T> {
    model: T,
}

/// The bytes of a model file.
pub(super) fn write<T: Serialize>(format: &str, version: u32, model: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(&Written { format, version, model })
        .map_err(|e| Error::other(format!("writing a {format}"), e))
}

/// The format's name in these bytes.
pub(super) fn format_of(bytes: &[u8]) -> Result<String> {
    Ok(header(bytes)?.format)
}

/// What [`write`] wrote, of this format and version. What it allocates is bounded by the bytes.
pub(super) fn read<T: DeserializeOwned>(format: &str, version: u32, bytes: &[u8]) -> Result<T> {
    let header = header(bytes)?;
    if header.format != format {
        return Err(Error::invalid("model file", format!("format `{format}`"), header.format));
    }
    if header.version != version {
        return Err(Error::invalid(
            format!("model file of format `{format}`"),
            format!("version {version}"),
            format!("version {}", header.version),
        ));
    }
    serde_json::from_slice::<Body<T>>(bytes).map(|body| body.model).map_err(|e| {
        Error::invalid(format!("model file of format `{format}`"), "a whole and valid model", e)
    })
}

fn header(bytes: &[u8]) -> Result<Header> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::invalid("model file", "JSON with the members `format`, `version` and `model`", e)
    })
}
