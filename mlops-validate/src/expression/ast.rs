//! What an expression says, and its canonical text.

use std::fmt::{self, Display, Write};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    Distinct,
    NotDistinct,
}

impl Comparison {
    /// The same question with the sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            other => other,
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::NotEq => "<>",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
            Self::Distinct => "IS DISTINCT FROM",
            Self::NotDistinct => "IS NOT DISTINCT FROM",
        })
    }
}

/// An operator of two scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concat,
}

impl Operator {
    fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Concat => "||",
        }
    }

    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Concat => CONCAT,
            Self::Add | Self::Subtract => SUM,
            Self::Multiply | Self::Divide | Self::Remainder => PRODUCT,
        }
    }
}

/// The type that a `CAST` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Boolean,
    Bigint,
    Double,
    Text,
    Date,
    Timestamp,
}

impl Target {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("BOOLEAN", Self::Boolean),
        ("BOOL", Self::Boolean),
        ("BIGINT", Self::Bigint),
        ("TINYINT", Self::Bigint),
        ("SMALLINT", Self::Bigint),
        ("INTEGER", Self::Bigint),
        ("INT", Self::Bigint),
        ("LONG", Self::Bigint),
        ("DOUBLE", Self::Double),
        ("FLOAT", Self::Double),
        ("REAL", Self::Double),
        ("TEXT", Self::Text),
        ("VARCHAR", Self::Text),
        ("STRING", Self::Text),
        ("DATE", Self::Date),
        ("TIMESTAMP", Self::Timestamp),
    ];
}

/// A function of scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Ceil,
    Coalesce,
    Contains,
    Day,
    EndsWith,
    Floor,
    Greatest,
    Hour,
    IsInf,
    IsNan,
    Least,
    Length,
    Lower,
    LTrim,
    Minute,
    Month,
    NullIf,
    Round,
    RTrim,
    Second,
    Sqrt,
    StartsWith,
    Substring,
    Trim,
    Upper,
    Year,
}

impl Function {
    /// Name, function, fewest and most arguments; of several names the first is canonical.
    pub(super) const NAMES: &'static [(&'static str, Self, usize, usize)] = &[
        ("ABS", Self::Abs, 1, 1),
        ("CEIL", Self::Ceil, 1, 1),
        ("CEILING", Self::Ceil, 1, 1),
        ("COALESCE", Self::Coalesce, 1, usize::MAX),
        ("IFNULL", Self::Coalesce, 2, 2),
        ("NVL", Self::Coalesce, 2, 2),
        ("CONTAINS", Self::Contains, 2, 2),
        ("DAY", Self::Day, 1, 1),
        ("DAYOFMONTH", Self::Day, 1, 1),
        ("ENDS_WITH", Self::EndsWith, 2, 2),
        ("ENDSWITH", Self::EndsWith, 2, 2),
        ("FLOOR", Self::Floor, 1, 1),
        ("GREATEST", Self::Greatest, 1, usize::MAX),
        ("HOUR", Self::Hour, 1, 1),
        ("ISINF", Self::IsInf, 1, 1),
        ("ISNAN", Self::IsNan, 1, 1),
        ("LEAST", Self::Least, 1, usize::MAX),
        ("LENGTH", Self::Length, 1, 1),
        ("CHAR_LENGTH", Self::Length, 1, 1),
        ("CHARACTER_LENGTH", Self::Length, 1, 1),
        ("LEN", Self::Length, 1, 1),
        ("LOWER", Self::Lower, 1, 1),
        ("LCASE", Self::Lower, 1, 1),
        ("LTRIM", Self::LTrim, 1, 1),
        ("MINUTE", Self::Minute, 1, 1),
        ("MONTH", Self::Month, 1, 1),
        ("NULLIF", Self::NullIf, 2, 2),
        ("ROUND", Self::Round, 1, 2),
        ("RTRIM", Self::RTrim, 1, 1),
        ("SECOND", Self::Second, 1, 1),
        ("SQRT", Self::Sqrt, 1, 1),
        ("STARTS_WITH", Self::StartsWith, 2, 2),
        ("STARTSWITH", Self::StartsWith, 2, 2),
        ("SUBSTRING", Self::Substring, 2, 3),
        ("SUBSTR", Self::Substring, 2, 3),
        ("TRIM", Self::Trim, 1, 1),
        ("UPPER", Self::Upper, 1, 1),
        ("UCASE", Self::Upper, 1, 1),
        ("YEAR", Self::Year, 1, 1),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|entry| entry.1 == self).map_or("", |entry| entry.0)
    }
}

/// A value written in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    /// From −2⁶³ to 2⁶⁴ − 1.
    Int(i128),
    /// Finite.
    Float(f64),
    Text(String),
    /// As it was written, and valid.
    Date(String),
    Timestamp(String),
}

/// An expression; every variant is a thing of its own in the grammar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// A column, and then the fields of structs.
    Column(Vec<String>),
    Literal(Literal),
    Not(Box<Expr>),
    /// Two or more, none of them an `And`.
    And(Vec<Expr>),
    /// Two or more, none of them an `Or`.
    Or(Vec<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    IsNull(Box<Expr>, Negated),
    /// `IS TRUE`, `IS FALSE`.
    IsTruth(Box<Expr>, bool, Negated),
    In(Box<Expr>, Vec<Expr>, Negated),
    Between(Box<Expr>, Box<(Expr, Expr)>, Negated),
    Like(Box<Expr>, LikePattern, Negated),
    Regex(Box<Expr>, String, Negated),
    Arithmetic(Operator, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    /// An operand or none, branches, and what else.
    Case(Option<Box<Expr>>, Vec<(Expr, Expr)>, Option<Box<Expr>>),
    Call(Function, Vec<Expr>),
    Cast(Box<Expr>, Target),
}

/// Whether a `NOT` stands in the predicate.
pub(super) type Negated = bool;

/// What a `LIKE` asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LikePattern {
    pub(super) pattern: String,
    pub(super) escape: Option<char>,
    pub(super) any_case: bool,
}

// What binds how closely.
pub(super) const OR: u8 = 1;
pub(super) const AND: u8 = 2;
pub(super) const NOT: u8 = 3;
pub(super) const PREDICATE: u8 = 4;
pub(super) const CONCAT: u8 = 5;
pub(super) const SUM: u8 = 6;
pub(super) const PRODUCT: u8 = 7;
pub(super) const SIGN: u8 = 8;
pub(super) const PRIMARY: u8 = 9;

/// The words that are no plain names.
pub(super) const RESERVED: &[&str] = &[
    "AND", "AS", "BETWEEN", "CASE", "DISTINCT", "ELSE", "END", "ESCAPE", "FALSE", "FROM", "ILIKE",
    "IN", "IS", "LIKE", "NOT", "NULL", "OR", "REGEXP", "RLIKE", "THEN", "TRUE", "WHEN",
];

pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

impl Expr {
    fn precedence(&self) -> u8 {
        match self {
            Self::Or(_) => OR,
            Self::And(_) => AND,
            Self::Not(_) => NOT,
            Self::Compare(..)
            | Self::IsNull(..)
            | Self::IsTruth(..)
            | Self::In(..)
            | Self::Between(..)
            | Self::Like(..)
            | Self::Regex(..) => PREDICATE,
            Self::Arithmetic(op, ..) => op.precedence(),
            Self::Negative(_) => SIGN,
            Self::Literal(Literal::Int(v)) if *v < 0 => SIGN,
            Self::Literal(Literal::Float(v)) if v.is_sign_negative() => SIGN,
            _ => PRIMARY,
        }
    }

    /// In parentheses, if it binds less closely than its place asks for.
    fn at(&self, least: u8) -> At<'_> {
        At(self, least)
    }

    /// All columns in it, in the order of the text.
    pub(super) fn visit_columns<'e>(&'e self, visit: &mut dyn FnMut(&'e [String])) {
        match self {
            Self::Column(path) => visit(path),
            Self::Literal(_) => {}
            Self::Not(e)
            | Self::IsNull(e, _)
            | Self::IsTruth(e, ..)
            | Self::Like(e, ..)
            | Self::Regex(e, ..)
            | Self::Negative(e)
            | Self::Cast(e, _) => e.visit_columns(visit),
            Self::And(list) | Self::Or(list) | Self::Call(_, list) => {
                for e in list {
                    e.visit_columns(visit);
                }
            }
            Self::Compare(_, l, r) | Self::Arithmetic(_, l, r) => {
                l.visit_columns(visit);
                r.visit_columns(visit);
            }
            Self::In(e, list, _) => {
                e.visit_columns(visit);
                for e in list {
                    e.visit_columns(visit);
                }
            }
            Self::Between(e, bounds, _) => {
                e.visit_columns(visit);
                bounds.0.visit_columns(visit);
                bounds.1.visit_columns(visit);
            }
            Self::Case(operand, branches, otherwise) => {
                for e in operand.iter().chain(otherwise) {
                    e.visit_columns(visit);
                }
                for (when, then) in branches {
                    when.visit_columns(visit);
                    then.visit_columns(visit);
                }
            }
        }
    }
}

struct At<'e>(&'e Expr, u8);

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.precedence() < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

fn not(negated: Negated) -> &'static str {
    if negated { "NOT " } else { "" }
}

/// A text or name between quotes, which are doubled within.
fn quoted(f: &mut fmt::Formatter<'_>, quote: char, text: &str) -> fmt::Result {
    f.write_char(quote)?;
    for c in text.chars() {
        if c == quote {
            f.write_char(quote)?;
        }
        f.write_char(c)?;
    }
    f.write_char(quote)
}

/// A name, plainly if it can be.
fn name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !is_reserved(name);
    if plain { f.write_str(name) } else { quoted(f, '"', name) }
}

fn joined(f: &mut fmt::Formatter<'_>, list: &[Expr], between: &str, least: u8) -> fmt::Result {
    for (i, e) in list.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        e.at(least).fmt(f)?;
    }
    Ok(())
}

impl Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(true) => f.write_str("TRUE"),
            Self::Bool(false) => f.write_str("FALSE"),
            Self::Int(v) => v.fmt(f),
            // The shortest text that is this number, always with a point or an exponent.
            Self::Float(v) => write!(f, "{v:?}"),
            Self::Text(v) => quoted(f, '\'', v),
            Self::Date(v) => write!(f, "DATE '{v}'"),
            Self::Timestamp(v) => write!(f, "TIMESTAMP '{v}'"),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(path) => {
                for (i, part) in path.iter().enumerate() {
                    if i > 0 {
                        f.write_char('.')?;
                    }
                    name(f, part)?;
                }
                Ok(())
            }
            Self::Literal(literal) => literal.fmt(f),
            Self::Not(e) => write!(f, "NOT {}", e.at(NOT)),
            Self::And(list) => joined(f, list, " AND ", NOT),
            Self::Or(list) => joined(f, list, " OR ", AND),
            Self::Compare(op, l, r) => write!(f, "{} {op} {}", l.at(CONCAT), r.at(CONCAT)),
            Self::IsNull(e, negated) => write!(f, "{} IS {}NULL", e.at(CONCAT), not(*negated)),
            Self::IsTruth(e, truth, negated) => {
                let truth = if *truth { "TRUE" } else { "FALSE" };
                write!(f, "{} IS {}{truth}", e.at(CONCAT), not(*negated))
            }
            Self::In(e, list, negated) => {
                write!(f, "{} {}IN (", e.at(CONCAT), not(*negated))?;
                joined(f, list, ", ", OR)?;
                f.write_char(')')
            }
            Self::Between(e, bounds, negated) => {
                let (low, high) = (bounds.0.at(CONCAT), bounds.1.at(CONCAT));
                write!(f, "{} {}BETWEEN {low} AND {high}", e.at(CONCAT), not(*negated))
            }
            Self::Like(e, like, negated) => {
                let word = if like.any_case { "ILIKE" } else { "LIKE" };
                write!(f, "{} {}{word} ", e.at(CONCAT), not(*negated))?;
                quoted(f, '\'', &like.pattern)?;
                let Some(escape) = like.escape else { return Ok(()) };
                f.write_str(" ESCAPE ")?;
                quoted(f, '\'', escape.encode_utf8(&mut [0; 4]))
            }
            Self::Regex(e, pattern, negated) => {
                write!(f, "{} {}RLIKE ", e.at(CONCAT), not(*negated))?;
                quoted(f, '\'', pattern)
            }
            Self::Arithmetic(op, l, r) => {
                let at = op.precedence();
                write!(f, "{} {} {}", l.at(at), op.symbol(), r.at(at + 1))
            }
            Self::Negative(e) => write!(f, "-{}", e.at(PRIMARY)),
            Self::Case(operand, branches, otherwise) => {
                f.write_str("CASE")?;
                if let Some(operand) = operand {
                    write!(f, " {operand}")?;
                }
                for (when, then) in branches {
                    write!(f, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                joined(f, arguments, ", ", OR)?;
                f.write_char(')')
            }
            Self::Cast(e, target) => {
                let named = Target::NAMES.iter().find(|entry| entry.1 == *target);
                write!(f, "CAST({e} AS {})", named.map_or("", |entry| entry.0))
            }
        }
    }
}
