//! Numbers in JSON that may not be finite: `NaN`, `inf` and `-inf` are written as these words,
//! because JSON has no numbers for them and a report must not lose them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Repr {
    Number(f64),
    Word(String),
}

/// A number in its JSON form.
struct Json(f64);

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_nan() {
        serializer.serialize_str("NaN")
    } else if value.is_infinite() {
        serializer.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
    } else {
        serializer.serialize_f64(*value)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Repr::deserialize(deserializer)? {
        Repr::Number(value) => Ok(value),
        Repr::Word(word) => match word.as_str() {
            "NaN" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(serde::de::Error::custom("expected a number, NaN, inf or -inf")),
        },
    }
}

/// The same for lists.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, Json, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        values: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|v| Json(*v)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Json>::deserialize(deserializer)?.into_iter().map(|v| v.0).collect())
    }
}

/// The same for lists of lists.
pub(crate) mod table {
    use super::{Deserialize, Deserializer, Json, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        values: &[Vec<f64>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(values.iter().map(|row| row.iter().map(|v| Json(*v)).collect::<Vec<_>>()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<f64>>, D::Error> {
        let rows = Vec::<Vec<Json>>::deserialize(deserializer)?;
        Ok(rows.into_iter().map(|row| row.into_iter().map(|v| v.0).collect()).collect())
    }
}

/// The same for an optional pair.
pub(crate) mod pair {
    use super::{Deserialize, Deserializer, Json, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<(f64, f64)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|(a, b)| (Json(a), Json(b))).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(f64, f64)>, D::Error> {
        Ok(Option::<(Json, Json)>::deserialize(deserializer)?.map(|(a, b)| (a.0, b.0)))
    }
}
