//! The grammar of DQDL: rulesets as they are written, each word with its place.

use std::collections::BTreeMap;

use mlops_core::{Error, Result};

/// The longest ruleset that is read.
const MOST_BYTES: usize = 1 << 20;
/// The deepest nesting of rules, of brackets in a condition.
const MOST_DEPTH: usize = 32;

/// A word of a ruleset.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Name(String),
    Quoted(String),
    Number(String),
    Symbol(&'static str),
    End,
}

impl Word {
    fn shown(&self) -> String {
        match self {
            Self::Name(text) | Self::Number(text) => format!("`{}`", super::shown(text)),
            Self::Quoted(text) => format!("\"{}\"", super::shown(text)),
            Self::Symbol(text) => format!("`{text}`"),
            Self::End => "the end".into(),
        }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Name(found) if found == name)
    }
}

/// Line and byte at which a word begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    line: usize,
    byte: usize,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)
    }
}

/// A rule by itself.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) at: Spot,
    pub(super) kind: String,
    pub(super) parameters: Vec<String>,
    pub(super) condition: Vec<Word>,
    pub(super) narrowed: Option<String>,
    pub(super) threshold: Vec<Word>,
    /// What stands behind it and has no meaning here: labels, other tags.
    pub(super) tags: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Tree {
    One(Rule),
    All(Vec<Tree>),
    /// Where the first begins.
    Any(Spot),
}

#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) rules: Vec<Tree>,
    /// Of each analyzer its place and kind.
    pub(super) analyzers: Vec<(Spot, String)>,
    pub(super) variables: BTreeMap<String, Vec<Word>>,
    /// Blocks that say something of the ruleset: their names and places.
    pub(super) blocks: Vec<(Spot, String)>,
}

const SYMBOLS: &[&str] = &[
    "!=", ">=", "<=", "->", "=", ">", "<", "(", ")", "[", "]", "{", "}", ",", ":", "$", "+", "-",
    "*", "/",
];

struct Parser<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    word: Word,
    spot: Spot,
    depth: usize,
    /// Where composite rules have labels.
    labels: Vec<Spot>,
}

pub(super) fn parse(text: &str) -> Result<Ruleset> {
    let spot = Spot { line: 1, byte: 0 };
    let mut parser =
        Parser { text, at: 0, line: 1, word: Word::End, spot, depth: 0, labels: Vec::new() };
    if text.len() > MOST_BYTES {
        return Err(parser.wrong(&format!("at most {MOST_BYTES} bytes"), "more"));
    }
    parser.advance()?;
    parser.ruleset()
}

impl Parser<'_> {
    fn wrong(&self, expected: &str, found: &str) -> Error {
        Error::Decode {
            what: format!("ruleset of DQDL, line {}", self.spot.line),
            offset: self.spot.byte as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn expected(&self, expected: &str) -> Error {
        self.wrong(expected, &self.word.shown())
    }

    /// Goes on to the next word, and gives the one before.
    fn advance(&mut self) -> Result<Word> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            self.line += rest[..blank].matches('\n').count();
            self.at += blank;
            if !self.text[self.at..].starts_with('#') {
                break;
            }
            let rest = &self.text[self.at..];
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
        self.spot = Spot { line: self.line, byte: self.at };
        let rest = &self.text[self.at..];
        let (word, length) = match rest.chars().next() {
            None => (Word::End, 0),
            Some('"') => self.quoted(rest)?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let end = end.unwrap_or(rest.len());
                (Word::Name(rest[..end].to_owned()), end)
            }
            Some(c) if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
                let end = end.unwrap_or(rest.len());
                (Word::Number(rest[..end].to_owned()), end)
            }
            Some(c) => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => (Word::Symbol(symbol), symbol.len()),
                None => return Err(self.wrong("a rule", &format!("`{c}`"))),
            },
        };
        self.line += rest[..length].matches('\n').count();
        self.at += length;
        Ok(std::mem::replace(&mut self.word, word))
    }

    /// A text in quotes, in which a backslash takes the meaning of a quote away.
    fn quoted(&self, rest: &str) -> Result<(Word, usize)> {
        let (mut text, mut chars) = (String::new(), rest.char_indices().skip(1).peekable());
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return Ok((Word::Quoted(text), at + 1)),
                '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                    Some((_, next)) => text.push(next),
                    None => text.push('\\'),
                },
                c => text.push(c),
            }
        }
        Err(self.wrong("the `\"` that closes the text", "the end"))
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.word, Word::Symbol(found) if found == symbol)
    }

    fn take(&mut self, symbol: &str) -> Result<bool> {
        let is = self.is_symbol(symbol);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn need(&mut self, symbol: &str) -> Result<()> {
        if self.take(symbol)? { Ok(()) } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    fn ruleset(&mut self) -> Result<Ruleset> {
        let mut found = Ruleset::default();
        let mut stage = 0;
        while self.word != Word::End {
            let at = self.spot;
            let Word::Name(name) = self.advance()? else {
                return Err(self.wrong("`Rules = [`", "something else"));
            };
            self.need("=")?;
            let own = match name.as_str() {
                "Rules" => 2,
                "Analyzers" => 3,
                _ => 1,
            };
            if own < stage || (own > 1 && own == stage) {
                return Err(self.wrong("the end", &format!("`{name}`")));
            }
            stage = own;
            match name.as_str() {
                "Rules" => {
                    self.need("[")?;
                    if !self.take("]")? {
                        loop {
                            found.rules.push(self.rule()?);
                            if !self.take(",")? {
                                break;
                            }
                        }
                        self.need("]")?;
                    }
                }
                "Analyzers" => {
                    self.need("[")?;
                    loop {
                        let at = self.spot;
                        let Word::Name(kind) = self.advance()? else {
                            return Err(self.expected("an analyzer"));
                        };
                        while matches!(self.word, Word::Quoted(_)) {
                            self.advance()?;
                        }
                        found.analyzers.push((at, kind));
                        if !self.take(",")? {
                            break;
                        }
                    }
                    self.need("]")?;
                }
                "Metadata" | "DataSources" => {
                    self.need("{")?;
                    self.skip_to("}")?;
                    found.blocks.push((at, name));
                }
                "DefaultLabels" => {
                    self.need("[")?;
                    self.skip_to("]")?;
                    found.blocks.push((at, name));
                }
                _ => {
                    let value = self.value()?;
                    found.variables.insert(name, value);
                }
            }
        }
        let labels = std::mem::take(&mut self.labels);
        found.blocks.extend(labels.into_iter().map(|at| (at, "labels".to_owned())));
        if stage < 2 {
            return Err(self.expected("`Rules = [`"));
        }
        Ok(found)
    }

    /// Skips a block of texts, up to what closes it.
    fn skip_to(&mut self, closing: &str) -> Result<()> {
        let mut depth = 0;
        loop {
            if depth == 0 && self.take(closing)? {
                return Ok(());
            }
            match self.advance()? {
                Word::Symbol("[" | "{") => depth += 1,
                Word::Symbol("]" | "}") if depth > 0 => depth -= 1,
                Word::Quoted(_) | Word::Number(_) | Word::Symbol(":" | "," | "=") => {}
                _ => return Err(self.expected(&format!("`{closing}`"))),
            }
        }
    }

    /// A text, a keyword or a number, or a list of them.
    fn value(&mut self) -> Result<Vec<Word>> {
        let mut words = Vec::new();
        if self.is_symbol("[") {
            words.push(self.advance()?);
            loop {
                self.simple(&mut words)?;
                if !self.is_symbol(",") {
                    break;
                }
                words.push(self.advance()?);
            }
            if !self.is_symbol("]") {
                return Err(self.expected("`]`"));
            }
            words.push(self.advance()?);
        } else {
            self.simple(&mut words)?;
        }
        Ok(words)
    }

    fn simple(&mut self, words: &mut Vec<Word>) -> Result<()> {
        if self.is_symbol("-") || self.is_symbol("$") {
            words.push(self.advance()?);
        }
        let known = match &self.word {
            Word::Quoted(_) | Word::Number(_) => true,
            Word::Name(name) => {
                let variable = matches!(words.last(), Some(Word::Symbol("$")));
                variable || matches!(name.as_str(), "NULL" | "EMPTY" | "WHITESPACES_ONLY")
            }
            _ => false,
        };
        if !known {
            return Err(self.expected("a value"));
        }
        words.push(self.advance()?);
        Ok(())
    }

    fn rule(&mut self) -> Result<Tree> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.wrong(&format!("at most {MOST_DEPTH} levels of rules"), "more"));
        }
        let at = self.spot;
        let found = if self.is_symbol("(") {
            let mut parts = vec![self.in_brackets()?];
            let mut with: Option<bool> = None;
            while let Word::Name(word) = &self.word {
                let all = match word.as_str() {
                    "and" | "AND" => true,
                    "or" | "OR" => false,
                    "labels" => {
                        self.labels.push(self.spot);
                        self.labels()?;
                        continue;
                    }
                    _ => return Err(self.expected("`and`, `or` or `,`")),
                };
                if with.is_some_and(|with| with != all) {
                    return Err(self.expected("the same operator between all"));
                }
                with = Some(all);
                self.advance()?;
                parts.push(self.in_brackets()?);
            }
            match (with, parts.len()) {
                (Some(false), _) => Tree::Any(at),
                _ => Tree::All(parts),
            }
        } else {
            Tree::One(self.one()?)
        };
        self.depth -= 1;
        Ok(found)
    }

    fn in_brackets(&mut self) -> Result<Tree> {
        self.need("(")?;
        let inner = self.rule()?;
        self.need(")")?;
        Ok(inner)
    }

    fn labels(&mut self) -> Result<()> {
        self.advance()?;
        self.need("=")?;
        self.need("[")?;
        self.skip_to("]")
    }

    fn one(&mut self) -> Result<Rule> {
        let at = self.spot;
        let kind = match self.advance()? {
            Word::Name(kind) if kind.starts_with(|c: char| c.is_ascii_uppercase()) => kind,
            _ => return Err(self.expected("the kind of a rule")),
        };
        let mut rule = Rule {
            at,
            kind,
            parameters: Vec::new(),
            condition: Vec::new(),
            narrowed: None,
            threshold: Vec::new(),
            tags: Vec::new(),
        };
        while let Word::Quoted(_) = &self.word {
            if let Word::Quoted(parameter) = self.advance()? {
                rule.parameters.push(parameter);
            }
        }
        rule.condition = self.condition()?;
        loop {
            if self.word.is("where") {
                self.advance()?;
                match self.advance()? {
                    Word::Quoted(text) => rule.narrowed = Some(text),
                    _ => return Err(self.expected("a condition in quotes")),
                }
            } else if self.word.is("with") {
                self.advance()?;
                let Word::Name(tag) = self.advance()? else {
                    return Err(self.expected("`threshold`"));
                };
                let condition = self.condition()?;
                if condition.is_empty() {
                    return Err(self.expected("a condition"));
                }
                if tag == "threshold" {
                    rule.threshold = condition;
                } else {
                    rule.tags.push(tag);
                }
            } else if self.word.is("labels") {
                self.labels()?;
                rule.tags.push("labels".into());
            } else {
                return Ok(rule);
            }
        }
    }

    /// The words of a condition: an operator, and what it compares with.
    fn condition(&mut self) -> Result<Vec<Word>> {
        let mut words = Vec::new();
        if self.word.is("not") {
            words.push(self.advance()?);
        }
        match &self.word {
            Word::Symbol("=" | "!=" | ">" | ">=" | "<" | "<=") => {
                words.push(self.advance()?);
                self.operand(&mut words)?;
            }
            Word::Name(name) if name == "between" => {
                words.push(self.advance()?);
                self.operand(&mut words)?;
                if !self.word.is("and") {
                    return Err(self.expected("`and`"));
                }
                words.push(self.advance()?);
                self.operand(&mut words)?;
            }
            Word::Name(name) if name == "in" => {
                words.push(self.advance()?);
                if !self.is_symbol("[") && !self.is_symbol("$") {
                    return Err(self.expected("`[`"));
                }
                words.extend(self.value()?);
            }
            Word::Name(name) if name == "matches" => {
                words.push(self.advance()?);
                self.operand(&mut words)?;
            }
            _ if words.is_empty() => {}
            _ => return Err(self.expected("`between`, `in` or `matches`")),
        }
        Ok(words)
    }

    /// A value, a time, or a term with earlier runs in it.
    fn operand(&mut self, words: &mut Vec<Word>) -> Result<()> {
        let start = words.len();
        let mut depth = 0;
        loop {
            let ends = match &self.word {
                Word::End | Word::Symbol("]" | "{" | "}" | ":" | "=" | "!=") => true,
                Word::Symbol("," | ")") => depth == 0,
                Word::Name(name) => {
                    matches!(
                        name.as_str(),
                        "and" | "AND" | "or" | "OR" | "where" | "with" | "labels"
                    )
                }
                _ => false,
            };
            if ends {
                break;
            }
            match &self.word {
                Word::Symbol("(") => depth += 1,
                Word::Symbol(")") => depth -= 1,
                _ => {}
            }
            if depth > MOST_DEPTH {
                return Err(self.wrong(&format!("at most {MOST_DEPTH} levels of brackets"), "more"));
            }
            words.push(self.advance()?);
        }
        if words.len() == start || depth != 0 {
            return Err(self.expected("a value"));
        }
        Ok(())
    }
}
