//! A document of another tool as it stands there: every part knows its place.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use mlops_core::{Error, Result};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// The longest document that is read. YAML is also held to a number of nodes after its aliases are
/// followed, so that a bomb of them is an error.
const MOST_BYTES: usize = 16 << 20;
/// As much of a key as a place shows.
const KEY: usize = 64;

/// Where a part of a document stands: a JSON pointer, and the line where that is known.
#[derive(Debug)]
pub(super) struct At {
    up: Option<Arc<At>>,
    step: Step,
    /// From 1; 0 where it is not known.
    line: u64,
}

#[derive(Debug)]
enum Step {
    Top,
    Key(Box<str>),
    Index(usize),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = Vec::new();
        let mut at = self;
        loop {
            steps.push(&at.step);
            match &at.up {
                Some(up) => at = up,
                None => break,
            }
        }
        if self.line > 0 {
            write!(f, "line {}, ", self.line)?;
        }
        if steps.len() == 1 {
            return f.write_str("/");
        }
        for step in steps.iter().rev() {
            match step {
                Step::Top => {}
                Step::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1"))?,
                Step::Index(index) => write!(f, "/{index}")?,
            }
        }
        Ok(())
    }
}

/// A part of a document.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Arc<At>,
    pub(super) data: Data,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Something that can't be carried over, or that is not written as the tool writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refused {
    /// Where it stands: a JSON pointer, before it the line of a YAML file; line and byte of a
    /// DQDL ruleset.
    pub place: String,
    /// What it is: the name of a check, of a key.
    pub what: String,
    /// Why it can't be carried over.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`: {}", self.place, self.what, self.why)
    }
}

/// Why a part was not read; what it is a part of says what it is.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) place: String,
    pub(super) why: String,
}

impl Wrong {
    pub(super) fn named(self, what: impl Into<String>) -> Refused {
        Refused { place: self.place, what: shown(&what.into()), why: self.why }
    }
}

pub(super) type Read<T> = std::result::Result<T, Wrong>;

/// A text of others, cut to a length that can be shown.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Node {
    pub(super) fn json(what: &'static str, text: &str) -> Result<Self> {
        check_length(what, text)?;
        let raw: Plain = serde_json::from_str(text).map_err(|e| Error::invalid(what, "JSON", e))?;
        Ok(seat(raw, None, Step::Top))
    }

    pub(super) fn yaml(what: &'static str, text: &str) -> Result<Self> {
        check_length(what, text)?;
        let options = serde_saphyr::options! { strict_booleans: true };
        let raw: Lined = serde_saphyr::from_str_with_options(text, options)
            .map_err(|e| Error::invalid(what, "YAML", e))?;
        Ok(seat(raw, None, Step::Top))
    }

    /// JSON where the text begins as JSON does, else YAML.
    pub(super) fn either(what: &'static str, text: &str) -> Result<Self> {
        let is_json = text.trim_start().starts_with('{');
        if is_json { Self::json(what, text) } else { Self::yaml(what, text) }
    }

    pub(super) fn wrong(&self, why: impl Into<String>) -> Wrong {
        Wrong { place: self.at.to_string(), why: why.into() }
    }

    fn expected(&self, what: &str) -> Wrong {
        let found = match &self.data {
            Data::Null => "null".into(),
            Data::Bool(v) => v.to_string(),
            Data::Int(v) => v.to_string(),
            Data::Float(v) => v.to_string(),
            Data::Text(v) => format!("`{}`", shown(v)),
            Data::List(_) => "a list".into(),
            Data::Map(_) => "a map".into(),
        };
        self.wrong(format!("expected {what}, found {found}"))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Read<&str> {
        self.as_text().ok_or_else(|| self.expected("a text"))
    }

    pub(super) fn bool(&self) -> Read<bool> {
        match self.data {
            Data::Bool(v) => Ok(v),
            _ => Err(self.expected("true or false")),
        }
    }

    pub(super) fn number(&self) -> Read<f64> {
        match self.data {
            Data::Int(v) => Ok(v as f64),
            Data::Float(v) => Ok(v),
            _ => Err(self.expected("a number")),
        }
    }

    pub(super) fn list(&self) -> Read<&[Node]> {
        match &self.data {
            Data::List(items) => Ok(items),
            _ => Err(self.expected("a list")),
        }
    }

    /// The texts of a list, or one text.
    pub(super) fn texts(&self) -> Read<Vec<&str>> {
        match &self.data {
            Data::Text(text) => Ok(vec![text]),
            Data::List(items) => items.iter().map(Self::text).collect(),
            _ => Err(self.expected("a list of texts")),
        }
    }

    pub(super) fn fields(&self) -> Read<Fields<'_>> {
        match &self.data {
            Data::Map(all) => Ok(Fields { of: self, all, taken: vec![false; all.len()] }),
            _ => Err(self.expected("a map")),
        }
    }

    /// The fields of a map, where all are of one kind.
    pub(super) fn entries(&self) -> Read<&[(String, Node)]> {
        match &self.data {
            Data::Map(all) => Ok(all),
            _ => Err(self.expected("a map")),
        }
    }

    /// As a suite writes it.
    pub(super) fn value(&self) -> Read<Value> {
        Ok(match &self.data {
            Data::Null => Value::Null,
            Data::Bool(v) => Value::Bool(*v),
            Data::Int(v) => match (i64::try_from(*v), u64::try_from(*v)) {
                (Ok(v), _) => v.into(),
                (_, Ok(v)) => v.into(),
                _ => return Err(self.wrong(format!("{v} does not fit into 64 bits"))),
            },
            Data::Float(v) => match Number::from_f64(*v) {
                Some(number) => Value::Number(number),
                None => return Err(self.wrong(format!("{v} is not finite"))),
            },
            Data::Text(v) => Value::String(v.clone()),
            Data::List(items) => items.iter().map(Self::value).collect::<Read<_>>()?,
            Data::Map(fields) => {
                let field = |(key, node): &(String, Self)| Ok((key.clone(), node.value()?));
                Value::Object(fields.iter().map(field).collect::<Read<Map<_, _>>>()?)
            }
        })
    }

    /// As a suite writes it in its `meta`, where what is not finite is a text.
    pub(super) fn kept(&self) -> Value {
        match &self.data {
            Data::List(items) => items.iter().map(Self::kept).collect(),
            Data::Map(fields) => {
                Value::Object(fields.iter().map(|(k, v)| (k.clone(), v.kept())).collect())
            }
            Data::Int(v) => self.value().unwrap_or_else(|_| v.to_string().into()),
            Data::Float(v) => self.value().unwrap_or_else(|_| v.to_string().into()),
            _ => self.value().unwrap_or_default(),
        }
    }
}

/// The fields of a map, of which each is read once and none is forgotten.
pub(super) struct Fields<'a> {
    pub(super) of: &'a Node,
    all: &'a [(String, Node)],
    taken: Vec<bool>,
}

impl<'a> Fields<'a> {
    /// A field, where it is there.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a Node> {
        let index = self.all.iter().position(|(k, _)| k == key)?;
        self.taken[index] = true;
        Some(&self.all[index].1)
    }

    /// A field that is there and not null.
    pub(super) fn given(&mut self, key: &str) -> Option<&'a Node> {
        self.take(key).filter(|node| !node.is_null())
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, key: &str) -> Read<&'a Node> {
        self.given(key).ok_or_else(|| self.of.wrong(format!("`{key}` is missing")))
    }

    pub(super) fn flag(&mut self, key: &str) -> Read<bool> {
        self.given(key).map_or(Ok(false), Node::bool)
    }

    /// The fields that nobody took.
    pub(super) fn left(&self) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let taken = self.taken.clone();
        let left = self.all.iter().zip(taken).filter(|(_, taken)| !taken);
        left.map(|((key, node), _)| (key.as_str(), node))
    }

    /// An error if a field was not taken.
    pub(super) fn done(&self) -> Read<()> {
        match self.left().next() {
            Some((key, node)) => Err(node.wrong(format!("`{}` is not known here", shown(key)))),
            None => Ok(()),
        }
    }
}

fn check_length(what: &'static str, text: &str) -> Result<()> {
    if text.len() <= MOST_BYTES {
        return Ok(());
    }
    Err(Error::invalid(what, format!("at most {MOST_BYTES} bytes"), format!("{}", text.len())))
}

/// A part as serde gives it.
enum Raw<C> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<C>),
    Map(Vec<(String, C)>),
}

/// A part with or without its line.
trait Cell: Sized + for<'de> Deserialize<'de> {
    fn open(self) -> (u64, Raw<Self>);
}

struct Plain(Raw<Plain>);

struct Lined(Spanned<Raw<Lined>>);

impl Cell for Plain {
    fn open(self) -> (u64, Raw<Self>) {
        (0, self.0)
    }
}

impl Cell for Lined {
    fn open(self) -> (u64, Raw<Self>) {
        (self.0.referenced.line(), self.0.value)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Raw::deserialize(from).map(Self)
    }
}

impl<'de> Deserialize<'de> for Lined {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Spanned::deserialize(from).map(Self)
    }
}

impl<'de, C: Cell> Deserialize<'de> for Raw<C> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any<C>(PhantomData<C>);

        impl<'de, C: Cell> Visitor<'de> for Any<C> {
            type Value = Raw<C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Raw<C>, E> {
                Ok(Raw::Bool(v))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Raw<C>, E> {
                Ok(Raw::Int(v.into()))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Raw<C>, E> {
                Ok(Raw::Int(v.into()))
            }

            fn visit_i128<E>(self, v: i128) -> Result<Raw<C>, E> {
                Ok(Raw::Int(v))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Raw<C>, E> {
                Ok(Raw::Float(v))
            }

            fn visit_str<E>(self, v: &str) -> Result<Raw<C>, E> {
                Ok(Raw::Text(v.to_owned()))
            }

            fn visit_string<E>(self, v: String) -> Result<Raw<C>, E> {
                Ok(Raw::Text(v))
            }

            fn visit_unit<E>(self) -> Result<Raw<C>, E> {
                Ok(Raw::Null)
            }

            fn visit_none<E>(self) -> Result<Raw<C>, E> {
                Ok(Raw::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Raw<C>, D::Error> {
                Raw::deserialize(from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw<C>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<C>, A::Error> {
                let (mut fields, mut seen) = (Vec::new(), HashSet::new());
                while let Some((key, value)) = map.next_entry::<String, C>()? {
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format!("`{}` twice", shown(&key))));
                    }
                    fields.push((key, value));
                }
                Ok(Raw::Map(fields))
            }
        }

        from.deserialize_any(Any(PhantomData))
    }
}

/// Gives every part its place. The depth of the document is bounded by its reader.
fn seat<C: Cell>(cell: C, up: Option<Arc<At>>, step: Step) -> Node {
    let (line, raw) = cell.open();
    let at = Arc::new(At { up, step, line });
    let data = match raw {
        Raw::Null => Data::Null,
        Raw::Bool(v) => Data::Bool(v),
        Raw::Int(v) => Data::Int(v),
        Raw::Float(v) => Data::Float(v),
        Raw::Text(v) => Data::Text(v),
        Raw::List(items) => {
            let items = items.into_iter().enumerate();
            Data::List(items.map(|(i, c)| seat(c, Some(at.clone()), Step::Index(i))).collect())
        }
        Raw::Map(fields) => {
            let field = |(key, cell): (String, C)| {
                let step = Step::Key(key.chars().take(KEY).collect());
                (key, seat(cell, Some(at.clone()), step))
            };
            Data::Map(fields.into_iter().map(field).collect())
        }
    };
    Node { at, data }
}
