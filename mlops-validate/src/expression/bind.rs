//! From what an expression says to what is done about it on data of one schema: names become
//! places, literals take the types of what they stand beside, and what has no meaning is an error.

use arrow::datatypes::Schema;
use mlops_core::{Error, Result};
use regex::RegexBuilder;

use super::ast::{Comparison, Expr, Function, Literal, Operator, Target};
use super::kind::{Kind, Slot, Sort, Zone};
use super::like::Like;
use super::literal::{constant, decimal_floor, float_test, power, whole_test};
use super::node::{Node, code};
use super::scalar::{Conversion, Datum};
use super::test::{Members, Test, float_bits};

/// The most bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// A part of an expression with its meaning.
#[derive(Clone, Debug)]
struct Bound {
    node: Node,
    kind: Kind,
    /// If it is one: it has yet to meet what it stands beside.
    literal: Option<Literal>,
    /// How errors name it.
    name: String,
}

impl Bound {
    fn boolean(node: Node) -> Self {
        Self { node, kind: Kind::Bool, literal: None, name: String::new() }
    }

    fn null(name: &str) -> Self {
        let node = Node::Const(Datum::Null);
        Self { node, kind: Kind::Null, literal: None, name: name.to_owned() }
    }

    fn boxed(self) -> Box<Node> {
        Box::new(self.node)
    }
}

/// What a whole expression is bound to.
pub(super) struct Whole {
    pub(super) node: Node,
    pub(super) kind: Kind,
    pub(super) slots: Vec<Slot>,
}

pub(super) fn bind(expr: &Expr, schema: &Schema) -> Result<Whole> {
    let mut binder = Binder { schema, slots: Vec::new(), locals: 0 };
    let bound = binder.expr(expr)?;
    let mut node = bound.node;
    code(&mut node, &binder.slots);
    Ok(Whole { node, kind: bound.kind, slots: binder.slots })
}

struct Binder<'s> {
    schema: &'s Schema,
    slots: Vec<Slot>,
    locals: usize,
}

impl Binder<'_> {
    fn expr(&mut self, expr: &Expr) -> Result<Bound> {
        let mut bound = self.part(expr)?;
        bound.name = match expr {
            Expr::Column(path) => {
                let data_type = match bound.node {
                    Node::Column(slot) => self.slots[slot].data_type.to_string(),
                    _ => bound.kind.to_string(),
                };
                format!("column `{}` of type {data_type}", path.join("."))
            }
            other => format!("{} ({})", super::lex::excerpt(&other.to_string()), bound.kind),
        };
        Ok(bound)
    }

    fn part(&mut self, expr: &Expr) -> Result<Bound> {
        let boolean = |node| Ok(Bound::boolean(node));
        match expr {
            Expr::Column(path) => self.column(path),
            Expr::Literal(literal) => Ok(Bound {
                node: Node::Const(constant(literal)),
                kind: Kind::of_literal(literal),
                literal: Some(literal.clone()),
                name: String::new(),
            }),
            Expr::Not(e) => boolean(Node::Not(Box::new(self.truth(e)?))),
            Expr::And(list) => boolean(Node::And(self.truths(list)?)),
            Expr::Or(list) => boolean(Node::Or(self.truths(list)?)),
            Expr::IsNull(e, negated) => {
                let node = Node::IsNull(self.expr(e)?.boxed());
                boolean(negate(node, *negated))
            }
            Expr::IsTruth(e, truth, negated) => {
                let node = Node::Is(Box::new(self.truth(e)?), *truth);
                boolean(negate(node, *negated))
            }
            Expr::Compare(op, left, right) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                boolean(self.compare(*op, left, right)?)
            }
            Expr::Between(e, bounds, negated) => {
                let operand = self.expr(e)?;
                let node = self.share(operand, |binder, operand| {
                    let low = binder.expr(&bounds.0)?;
                    let high = binder.expr(&bounds.1)?;
                    Ok(Node::And(vec![
                        binder.compare(Comparison::GtEq, operand.clone(), low)?,
                        binder.compare(Comparison::LtEq, operand, high)?,
                    ]))
                })?;
                boolean(negate(node, *negated))
            }
            Expr::In(e, list, negated) => {
                let operand = self.expr(e)?;
                let node = self.is_in(operand, list)?;
                boolean(negate(node, *negated))
            }
            Expr::Like(e, like, negated) => {
                let operand = self.of_kind(e, Kind::Text)?;
                let node = Node::Test(Box::new(operand), Test::Like(Like::new(like)?));
                boolean(negate(node, *negated))
            }
            Expr::Regex(e, pattern, negated) => {
                let operand = self.of_kind(e, Kind::Text)?;
                let regex = RegexBuilder::new(pattern)
                    .size_limit(PATTERN_BYTES)
                    .dfa_size_limit(2 * PATTERN_BYTES)
                    .build()
                    .map_err(|e| {
                        Error::invalid("RLIKE", "a pattern that compiles within 1 MiB", e)
                    })?;
                boolean(negate(Node::Test(Box::new(operand), Test::Regex(regex)), *negated))
            }
            Expr::Arithmetic(op, left, right) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                arithmetic(*op, left, right)
            }
            Expr::Negative(e) => {
                let operand = self.expr(e)?;
                let zero = match operand.kind {
                    Kind::Int | Kind::UInt => Literal::Int(0),
                    // So that -0.0 is minus zero.
                    _ => Literal::Float(-0.0),
                };
                let zero = Bound {
                    node: Node::Const(constant(&zero)),
                    kind: Kind::of_literal(&zero),
                    literal: None,
                    name: "`-`".into(),
                };
                arithmetic(Operator::Subtract, zero, operand)
            }
            Expr::Case(operand, branches, otherwise) => {
                self.case(operand.as_deref(), branches, otherwise.as_deref())
            }
            Expr::Call(function, arguments) => {
                let arguments =
                    arguments.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>()?;
                call(*function, arguments)
            }
            Expr::Cast(e, target) => {
                let operand = self.expr(e)?;
                let allowed = match (operand.kind, target) {
                    (Kind::Other, _) => false,
                    (Kind::Null | Kind::Text, _) | (_, Target::Text) => true,
                    (Kind::Time(clock), Target::Date | Target::Timestamp) => {
                        let zone = matches!(clock.sort, Sort::Timestamp(Zone::Named));
                        matches!(clock.sort, Sort::Date | Sort::Timestamp(_))
                            && !(zone && *target == Target::Date)
                    }
                    (Kind::Time(_), _) | (_, Target::Date | Target::Timestamp) => false,
                    _ => true,
                };
                if !allowed {
                    let wanted = format!("what can be cast to {target:?}");
                    return Err(Error::invalid("CAST", wanted, operand.name));
                }
                let kind = Kind::of_target(*target);
                let node = Node::Cast(operand.kind, *target, Box::new(operand.node));
                Ok(Bound { node, kind, literal: None, name: String::new() })
            }
        }
    }

    fn column(&mut self, path: &[String]) -> Result<Bound> {
        let slot = if let Some(known) = self.slots.iter().position(|slot| slot.path == path) {
            known
        } else {
            self.slots.push(Slot::find(path, self.schema)?);
            self.slots.len() - 1
        };
        let kind = self.slots[slot].kind;
        Ok(Bound { node: Node::Column(slot), kind, literal: None, name: String::new() })
    }

    fn of_kind(&mut self, expr: &Expr, kind: Kind) -> Result<Node> {
        let bound = self.expr(expr)?;
        if bound.kind == kind || bound.kind == Kind::Null {
            Ok(bound.node)
        } else {
            Err(Error::invalid("expression", format!("a {kind}"), bound.name))
        }
    }

    fn truth(&mut self, expr: &Expr) -> Result<Node> {
        self.of_kind(expr, Kind::Bool)
    }

    fn truths(&mut self, list: &[Expr]) -> Result<Vec<Node>> {
        list.iter().map(|e| self.truth(e)).collect()
    }

    /// What is made of an operand that is wanted more than once.
    fn share(
        &mut self,
        operand: Bound,
        body: impl FnOnce(&mut Self, Bound) -> Result<Node>,
    ) -> Result<Node> {
        if let Node::Column(_) | Node::Const(_) | Node::Local(_) = operand.node {
            return body(self, operand);
        }
        let Bound { node: value, kind, name, .. } = operand;
        let local = Bound { node: Node::Local(self.locals), kind, literal: None, name };
        self.locals += 1;
        let body = body(self, local)?;
        self.locals -= 1;
        Ok(Node::With(Box::new(value), Box::new(body)))
    }

    fn compare(&self, op: Comparison, left: Bound, right: Bound) -> Result<Node> {
        let distinct = match op {
            Comparison::Distinct => Some(true),
            Comparison::NotDistinct => Some(false),
            _ => None,
        };
        for (operand, other) in [(&left, &right), (&right, &left)] {
            if operand.kind != Kind::Null || !matches!(operand.node, Node::Const(_)) {
                continue;
            }
            return Ok(match distinct {
                Some(distinct) => negate(Node::IsNull(Box::new(other.node.clone())), distinct),
                None => Node::Const(Datum::Null),
            });
        }
        let (op_of_literal, operand, literal) = match (&left, &right) {
            (Bound { literal: None, .. }, Bound { literal: Some(literal), .. }) => {
                (op, &left, Some(literal))
            }
            (Bound { literal: Some(literal), .. }, Bound { literal: None, .. }) => {
                (op.flipped(), &right, Some(literal))
            }
            _ => (op, &left, None),
        };
        if let Some(literal) = literal {
            // With something that is not null beside it, DISTINCT is what is not surely equal.
            let plain = if distinct.is_some() { Comparison::Eq } else { op_of_literal };
            let mismatch = |expected: String| {
                let what = format!("comparison {op} of {} with {}", left.name, right.name);
                Error::invalid(what, expected, literal)
            };
            let node = self.against_literal(plain, operand, literal).map_err(mismatch)?;
            return Ok(match distinct {
                Some(distinct) => negate(Node::Is(Box::new(node), true), distinct),
                None => node,
            });
        }
        let apart = || {
            let found = format!("{} {op} {}", left.name, right.name);
            Error::invalid("comparison", "two values that compare", found)
        };
        let (left_kind, right_kind) = (left.kind, right.kind);
        let to = |conversion, node| Box::new(Node::Convert(conversion, Box::new(node)));
        let (left, right) = match (left_kind, right_kind) {
            (Kind::Null, _) | (_, Kind::Null) => (left.boxed(), right.boxed()),
            (Kind::Decimal(scale), Kind::Float) => {
                (to(Conversion::Float(scale), left.node), right.boxed())
            }
            (Kind::Float, Kind::Decimal(scale)) => {
                (left.boxed(), to(Conversion::Float(scale), right.node))
            }
            (Kind::Decimal(_), _) | (_, Kind::Decimal(_))
                if left_kind.is_number() && right_kind.is_number() =>
            {
                let scale = |kind| if let Kind::Decimal(scale) = kind { scale } else { 0_i8 };
                let common = scale(left_kind).max(scale(right_kind));
                let finer = |kind| power(common - scale(kind));
                (
                    to(Conversion::Wide(finer(left_kind)), left.node),
                    to(Conversion::Wide(finer(right_kind)), right.node),
                )
            }
            (l, r) if l.is_number() && r.is_number() => (left.boxed(), right.boxed()),
            (Kind::Time(l), Kind::Time(r)) if l.meets(r) => {
                if l.unit == r.unit {
                    (left.boxed(), right.boxed())
                } else {
                    // 64 bits of days in nanoseconds fit into 128.
                    let unit = l.unit.min(r.unit);
                    (
                        to(Conversion::Wide(l.unit / unit), left.node),
                        to(Conversion::Wide(r.unit / unit), right.node),
                    )
                }
            }
            (Kind::Bool, Kind::Bool) | (Kind::Text, Kind::Text) => (left.boxed(), right.boxed()),
            _ => return Err(apart()),
        };
        Ok(Node::Compare(op, left, right))
    }

    /// A comparison with a literal that is not null, as a test of the operand; else what the
    /// literal should have been.
    fn against_literal(
        &self,
        op: Comparison,
        operand: &Bound,
        literal: &Literal,
    ) -> Result<Node, String> {
        let test = match (operand.kind, literal) {
            (Kind::Null, _) => return Ok(Node::Const(Datum::Null)),
            (Kind::Bool, Literal::Bool(bound)) => {
                let node = operand.node.clone();
                return Ok(match op {
                    Comparison::Eq => negate(node, !bound),
                    Comparison::NotEq => negate(node, *bound),
                    op => Node::Compare(
                        op,
                        Box::new(node),
                        Box::new(Node::Const(Datum::Bool(*bound))),
                    ),
                });
            }
            (Kind::Int | Kind::UInt, Literal::Int(bound)) => Test::Whole(op, *bound),
            (Kind::Int | Kind::UInt, Literal::Float(bound)) => {
                let floor = bound.floor();
                // Beyond i128 it stops, beyond all 64-bit integers anyway.
                whole_test(op, floor as i128, floor == *bound)
            }
            (Kind::Decimal(scale), Literal::Int(bound)) => {
                Test::Whole(op, bound.saturating_mul(power(scale)))
            }
            (Kind::Decimal(scale), Literal::Float(bound)) => {
                let (floor, exact) = decimal_floor(*bound, scale);
                whole_test(op, floor, exact)
            }
            (Kind::Float, Literal::Float(bound)) => Test::Float(op, self.rounded(operand, *bound)),
            (Kind::Float, Literal::Int(bound)) => float_test(op, *bound),
            (Kind::Text, Literal::Text(bound)) => Test::Text(op, bound.clone()),
            (
                Kind::Time(clock),
                Literal::Text(text) | Literal::Date(text) | Literal::Timestamp(text),
            ) => {
                let (floor, exact) = clock.count(text).ok_or_else(|| clock.written().to_owned())?;
                whole_test(op, floor, exact)
            }
            (Kind::Time(clock), _) => return Err(clock.written().to_owned()),
            (Kind::Other, _) => return Err("a column of a type that compares".to_owned()),
            (kind, _) => return Err(format!("a value of type {kind}")),
        };
        Ok(Node::Test(Box::new(operand.node.clone()), test))
    }

    /// A literal beside a column of fewer bits is read in these.
    fn rounded(&self, operand: &Bound, bound: f64) -> f64 {
        match operand.node {
            Node::Column(slot) => self.slots[slot].round(bound),
            _ => bound,
        }
    }

    fn is_in(&mut self, operand: Bound, list: &[Expr]) -> Result<Node> {
        let literals: Option<Vec<_>> = list
            .iter()
            .map(|e| if let Expr::Literal(literal) = e { Some(literal) } else { None })
            .collect();
        if let (Some(literals), None) = (literals, &operand.literal)
            && !matches!(operand.kind, Kind::Bool | Kind::Null)
        {
            let mut wholes = Vec::new();
            let mut floats = Vec::new();
            let mut texts = Vec::new();
            let mut unknown = false;
            for literal in literals {
                if *literal == Literal::Null {
                    unknown = true;
                    continue;
                }
                let mismatch = |expected: String| {
                    let what = format!("IN list of {}", operand.name);
                    Error::invalid(what, expected, literal)
                };
                let test = self.against_literal(Comparison::Eq, &operand, literal);
                match test.map_err(mismatch)? {
                    Node::Test(_, Test::Whole(_, member)) => wholes.push(member),
                    Node::Test(_, Test::Float(_, member)) => floats.push(float_bits(member)),
                    Node::Test(_, Test::Text(_, member)) => texts.push(member.into_boxed_str()),
                    // What the operand can never be.
                    _ => {}
                }
            }
            let test = match operand.kind {
                Kind::Float => Test::FloatIn(Members::new(floats)),
                Kind::Text => Test::TextIn(Members::new(texts)),
                _ => Test::WholeIn(Members::new(wholes)),
            };
            let found = Node::Test(operand.boxed(), test);
            return Ok(if unknown {
                // Not among those that are known, it may still be the null.
                Node::Or(vec![found, Node::Const(Datum::Null)])
            } else {
                found
            });
        }
        self.share(operand, |binder, operand| {
            let equal = list.iter().map(|e| {
                let member = binder.expr(e)?;
                binder.compare(Comparison::Eq, operand.clone(), member)
            });
            Ok(Node::Or(equal.collect::<Result<_>>()?))
        })
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<Bound> {
        let mut kind = Kind::Null;
        let operand = operand.map(|e| self.expr(e)).transpose()?;
        let mut build = |binder: &mut Self, operand: Option<&Bound>| {
            let mut whens = Vec::new();
            let mut thens = Vec::new();
            for (when, then) in branches {
                whens.push(match operand {
                    None => binder.truth(when)?,
                    Some(operand) => {
                        let value = binder.expr(when)?;
                        binder.compare(Comparison::Eq, operand.clone(), value)?
                    }
                });
                thens.push(binder.expr(then)?);
            }
            thens.push(match otherwise {
                Some(e) => binder.expr(e)?,
                None => Bound::null("NULL"),
            });
            let (common, mut thens) = unify("CASE", thens)?;
            kind = common;
            let otherwise = thens.pop().unwrap_or(Node::Const(Datum::Null));
            let branches = whens.into_iter().zip(thens).collect();
            Ok(Node::Case(common, branches, Box::new(otherwise)))
        };
        let node = match operand {
            None => build(self, None)?,
            Some(operand) => {
                self.share(operand, |binder, operand| build(binder, Some(&operand)))?
            }
        };
        Ok(Bound { node, kind, literal: None, name: String::new() })
    }
}

fn negate(node: Node, negated: bool) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

fn is_null(bound: &Bound) -> bool {
    bound.kind == Kind::Null
}

fn arithmetic(op: Operator, left: Bound, right: Bound) -> Result<Bound> {
    let wants = |kind: Kind| match op {
        Operator::Concat => kind == Kind::Text,
        _ => kind.is_number(),
    };
    for side in [&left, &right] {
        if !wants(side.kind) && !is_null(side) {
            let wanted = if op == Operator::Concat { "texts" } else { "numbers" };
            let what = format!("{op:?} of {} and {}", left.name, right.name);
            return Err(Error::invalid(what, wanted, &side.name));
        }
    }
    let kind = match (left.kind, right.kind) {
        _ if op == Operator::Concat => Kind::Text,
        (Kind::Int | Kind::UInt | Kind::Null, Kind::Int | Kind::UInt | Kind::Null)
            if op != Operator::Divide =>
        {
            Kind::Int
        }
        _ => Kind::Float,
    };
    let node = if is_null(&left) || is_null(&right) {
        Node::Const(Datum::Null)
    } else {
        let left = Box::new(converted(left, kind));
        let right = Box::new(converted(right, kind));
        Node::Reckon(op, kind, left, right)
    };
    Ok(Bound { node, kind, literal: None, name: String::new() })
}

/// A value as another kind that can hold it, or nearly.
fn converted(bound: Bound, kind: Kind) -> Node {
    let conversion = match (bound.kind, kind) {
        (Kind::Int | Kind::UInt, Kind::Float) => Conversion::Float(0),
        (Kind::Decimal(scale), Kind::Float) => Conversion::Float(scale),
        (Kind::UInt, Kind::Int) => Conversion::Int,
        (Kind::Int | Kind::UInt, Kind::Decimal(scale)) => Conversion::Wide(power(scale)),
        (Kind::Decimal(from), Kind::Decimal(to)) if from != to => {
            Conversion::Wide(power(to - from))
        }
        _ => return bound.node,
    };
    // What is known is converted here.
    match &bound.node {
        Node::Const(value) => Node::Const(super::scalar::convert(conversion, value)),
        _ => Node::Convert(conversion, Box::new(bound.node)),
    }
}

/// The kind that can hold all of them, and all of them as that.
fn unify(what: &str, values: Vec<Bound>) -> Result<(Kind, Vec<Node>)> {
    let mut common = Kind::Null;
    // A text that is written beside a time is one.
    let clock = values.iter().find_map(|bound| match (bound.kind, &bound.literal) {
        (Kind::Time(clock), None) => Some(clock),
        _ => None,
    });
    let clock = clock.or_else(|| {
        values.iter().find_map(|b| if let Kind::Time(clock) = b.kind { Some(clock) } else { None })
    });
    let mut values = values;
    if let Some(clock) = clock {
        for bound in &mut values {
            let Some(Literal::Text(text) | Literal::Date(text) | Literal::Timestamp(text)) =
                &bound.literal
            else {
                continue;
            };
            let count = clock
                .count(text)
                .filter(|(_, exact)| *exact)
                .and_then(|(count, _)| i64::try_from(count).ok())
                .ok_or_else(|| Error::invalid(what, clock.written(), &bound.name))?;
            bound.node = Node::Const(Datum::Int(count));
            bound.kind = Kind::Time(clock);
        }
    }
    for bound in &values {
        let apart =
            || Error::invalid(what, format!("values of one type, {common}"), bound.name.clone());
        common = match (common, bound.kind) {
            (Kind::Null, Kind::Other) => return Err(apart()),
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => {
                if a == Kind::Float || b == Kind::Float {
                    Kind::Float
                } else {
                    // Signed and unsigned together: more bits than either.
                    let scale = |kind| if let Kind::Decimal(scale) = kind { scale } else { 0 };
                    Kind::Decimal(scale(a).max(scale(b)))
                }
            }
            _ => return Err(apart()),
        };
    }
    Ok((common, values.into_iter().map(|bound| converted(bound, common)).collect()))
}

fn call(function: Function, mut arguments: Vec<Bound>) -> Result<Bound> {
    let name = function.name();
    let wrong = |expected: &str, found: &Bound| {
        Err(Error::invalid(format!("{name}(…)"), expected, &found.name))
    };
    let done = |node, kind| Ok(Bound { node, kind, literal: None, name: String::new() });
    let finish = |kind: Kind, nodes: Vec<Node>| done(Node::Call(function, kind, nodes), kind);
    match function {
        Function::Coalesce | Function::Greatest | Function::Least | Function::NullIf => {
            let (kind, nodes) = unify(name, arguments)?;
            finish(kind, nodes)
        }
        Function::Abs
        | Function::Ceil
        | Function::Floor
        | Function::Round
        | Function::Sqrt
        | Function::IsNan
        | Function::IsInf => {
            let digits = (arguments.len() > 1).then(|| arguments.remove(1));
            let Some(operand) = arguments.pop() else {
                return done(Node::Const(Datum::Null), Kind::Null);
            };
            if !operand.kind.is_number() && !is_null(&operand) {
                return wrong("a number", &operand);
            }
            let whole = matches!(operand.kind, Kind::Int | Kind::UInt);
            let kind = match function {
                Function::Abs if whole => Kind::Int,
                // They are whole already.
                Function::Ceil | Function::Floor | Function::Round if whole && digits.is_none() => {
                    return done(operand.node, operand.kind);
                }
                _ => Kind::Float,
            };
            let mut nodes = vec![converted(operand, kind)];
            if let Some(digits) = digits {
                if digits.kind != Kind::Int && !is_null(&digits) {
                    return wrong("a whole number of digits", &digits);
                }
                nodes.push(digits.node);
            }
            match function {
                Function::IsNan | Function::IsInf => finish(Kind::Bool, nodes),
                _ => finish(kind, nodes),
            }
        }
        Function::Year
        | Function::Month
        | Function::Day
        | Function::Hour
        | Function::Minute
        | Function::Second => {
            let Some(operand) = arguments.pop() else {
                return done(Node::Const(Datum::Null), Kind::Null);
            };
            let is_date = matches!(function, Function::Year | Function::Month | Function::Day);
            match operand.kind {
                Kind::Null => done(Node::Const(Datum::Null), Kind::Int),
                Kind::Time(clock) => match clock.sort {
                    Sort::Timestamp(Zone::Named) => wrong(
                        "a zone that is an offset (UTC, +02:00): the rules of names are not known here",
                        &operand,
                    ),
                    Sort::Duration => wrong("a date or timestamp", &operand),
                    Sort::TimeOfDay if is_date => wrong("a date or timestamp", &operand),
                    _ => done(Node::DatePart(function, clock, Box::new(operand.node)), Kind::Int),
                },
                _ => wrong("a date or timestamp", &operand),
            }
        }
        Function::Length
        | Function::Lower
        | Function::Upper
        | Function::Trim
        | Function::LTrim
        | Function::RTrim
        | Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Substring => {
            for (i, argument) in arguments.iter().enumerate() {
                let (wanted, expected) = match (function, i) {
                    (Function::Substring, 1..) => (Kind::Int, "a whole number"),
                    _ => (Kind::Text, "a text"),
                };
                if argument.kind != wanted && !is_null(argument) {
                    return wrong(expected, argument);
                }
            }
            let kind = match function {
                Function::Length => Kind::Int,
                Function::Contains | Function::StartsWith | Function::EndsWith => Kind::Bool,
                _ => Kind::Text,
            };
            finish(kind, arguments.into_iter().map(|bound| bound.node).collect())
        }
    }
}
