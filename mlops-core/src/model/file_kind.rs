//! What a file looks like, for errors of who was given another's: the first bytes, and the names of
//! members that only one library writes.

use std::fmt;

use super::trees::TreeEnsemble;
use crate::Error;

/// Where in a file the members' names are looked for.
const HEAD: usize = 1 << 16;

/// Who wrote a file, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Own,
    OwnJson,
    Xgboost,
    XgboostBinary,
    LightGbm,
    CatBoost,
    CatBoostBinary,
    SklearnTrees,
    Onnx,
    Pickle,
    Zip,
    Gzip,
    Hdf5,
}

impl FileKind {
    /// The kind of these bytes, where they are of one.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let text = bytes.trim_ascii_start();
        let found = match bytes {
            _ if bytes.starts_with(&TreeEnsemble::MAGIC) => Self::Own,
            _ if bytes.starts_with(b"binf") || bytes.starts_with(b"bs64") => Self::XgboostBinary,
            _ if bytes.starts_with(b"CBM1") => Self::CatBoostBinary,
            _ if bytes.starts_with(b"PK\x03\x04") => Self::Zip,
            _ if bytes.starts_with(b"\x89HDF") => Self::Hdf5,
            [0x1f, 0x8b, ..] => Self::Gzip,
            // Protocols 2 to 5.
            [0x80, 2..=5, ..] => Self::Pickle,
            // An ONNX file begins with its version, and has the name of who made it.
            [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x28 | 0x3a | 0x42, ..] => Self::Onnx,
            _ if text.starts_with(b"tree\n") || text.starts_with(b"tree\r\n") => Self::LightGbm,
            _ if text.starts_with(b"{") => return Self::of_object(text),
            _ => return None,
        };
        Some(found)
    }

    /// The kind of JSON or UBJSON.
    fn of_object(text: &[u8]) -> Option<Self> {
        let head = &text[..text.len().min(HEAD)];
        // Long files of some libraries have their name at the end.
        let tail = &text[text.len().saturating_sub(HEAD)..];
        let has = |name: &[u8]| {
            [head, tail].iter().any(|part| part.windows(name.len()).any(|w| w == name))
        };
        let kinds: [(&[u8], Self); 6] = [
            (b"\"sklearn-trees\"", Self::SklearnTrees),
            (b"learner_model_param", Self::Xgboost),
            (b"gradient_booster", Self::Xgboost),
            (b"\"tree_info\"", Self::LightGbm),
            (b"\"oblivious_trees\"", Self::CatBoost),
            (b"\"format\"", Self::OwnJson),
        ];
        kinds.into_iter().find(|(name, _)| has(name)).map(|(_, kind)| kind)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "a tree ensemble of this library, which `model::load` reads",
            Self::OwnJson => "JSON with a `format`, which `model::load` reads if it is of this library",
            Self::Xgboost => "a model of XGBoost, which `model::trees::xgboost::load` reads",
            Self::XgboostBinary => {
                "XGBoost's old binary format: save it as .json or .ubj with a version below 3.1"
            }
            Self::LightGbm => "a model of LightGBM, which `model::trees::lightgbm::load` reads",
            Self::CatBoost => "a model of CatBoost, which `model::trees::catboost::load` reads",
            Self::CatBoostBinary => {
                "CatBoost's binary format: save it with `save_model(path, format=\"json\")`"
            }
            Self::SklearnTrees => "an export of scikit-learn, which `model::trees::sklearn::load` reads",
            Self::Onnx => "ONNX, which `model::trees::onnx::load` reads",
            Self::Pickle => {
                "a pickle, which runs code and is not read: save the model in its library's own format \
                 (XGBoost .json or .ubj, LightGBM .txt, CatBoost .json, ONNX, or the export of \
                 `model::trees::sklearn`)"
            }
            Self::Zip => "a zip archive: unpack it first",
            Self::Gzip => "a gzip stream: unpack it first",
            Self::Hdf5 => "HDF5, which is not read",
        })
    }
}

/// What a loader says that was given another's file: whose it is. Where the file may well be its
/// own, the error that it found.
pub(crate) fn whose(error: Error, expected: &str, own: FileKind, bytes: &[u8]) -> Error {
    match FileKind::of(bytes) {
        Some(kind) if kind != own => Error::invalid("model file", expected, kind),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use crate::Result;
    use crate::model::trees::{catboost, lightgbm, onnx, sklearn, xgboost};
    use crate::model::{LinearModel, load};

    type Loader = fn(&[u8]) -> Result<()>;

    #[test]
    fn another_s_file_is_named() {
        let linear = LinearModel::regression(["x"], [1.0], 0.0).unwrap().to_bytes().unwrap();
        let files: [(&[u8], &str); 11] = [
            (b"{\"learner\": {\"gradient_booster\": {}}}", "`model::trees::xgboost::load`"),
            (b"{L\x07learner{L\x13learner_model_param", "`model::trees::xgboost::load`"),
            (b"tree\nversion=v4\n", "`model::trees::lightgbm::load`"),
            (b" {\"name\":\"tree\",\"tree_info\":[]}", "`model::trees::lightgbm::load`"),
            (b"{\"oblivious_trees\": []}", "`model::trees::catboost::load`"),
            (b"{\"format\": \"sklearn-trees\"}", "`model::trees::sklearn::load`"),
            (b"\x08\x0a\x12\x08skl2onnx", "`model::trees::onnx::load`"),
            (b"\x80\x04\x95\x10", "pickle"),
            (b"CBM1\0\0", "format=\"json\""),
            (b"PK\x03\x04abc", "zip"),
            (&linear, "`model::load`"),
        ];
        let loaders: [(&str, Loader); 6] = [
            ("`model::load`", |b| load(b).map(drop)),
            ("`model::trees::xgboost::load`", |b| xgboost::load(b).map(drop)),
            ("`model::trees::lightgbm::load`", |b| lightgbm::load(b).map(drop)),
            ("`model::trees::catboost::load`", |b| catboost::load(b).map(drop)),
            ("`model::trees::sklearn::load`", |b| sklearn::load(b).map(drop)),
            ("`model::trees::onnx::load`", |b| onnx::load(b).map(drop)),
        ];
        for (bytes, said) in files {
            for (loader, read) in loaders {
                if loader == said {
                    // Its own: it says itself what is wrong.
                    continue;
                }
                let error = read(bytes).unwrap_err().to_string();
                assert!(error.contains(said), "{loader}: {error}");
            }
        }
        for own in [&b"{\"learner\": {\"gradient_booster\": {}}}"[..], b"", b"{", b"no model"] {
            let error = xgboost::load(own).unwrap_err().to_string();
            assert!(!error.contains("model file"), "{error}");
        }
    }
}
