//! From text to expression, by precedence climbing.

use mlops_core::Result;

use super::ast::{
    AND, CONCAT, Comparison, Expr, Function, LikePattern, Literal, NOT, OR, Operator, PREDICATE,
    PRODUCT, SIGN, SUM, Target, is_reserved,
};
use super::lex::{Lexer, Token, excerpt, wrong};
use super::time;

/// The longest text that is read.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// The deepest nesting that is read: everything recursive is safe on a small stack.
pub(super) const MOST_DEPTH: usize = 64;

pub(super) fn parse(text: &str) -> Result<Expr> {
    if text.len() > MOST_BYTES {
        return Err(wrong(
            MOST_BYTES,
            format!("at most {MOST_BYTES} bytes"),
            format!("{} of them", text.len()),
        ));
    }
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.next()?;
    let mut parser = Parser { lexer, token, at, depth: 0 };
    let (expr, _) = parser.expr(OR)?;
    match parser.token {
        Token::End => Ok(expr),
        _ => Err(parser.expected("an operator or the end")),
    }
}

/// An expression and its height.
type Tall = (Expr, usize);

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The word that is looked at, and where it begins.
    token: Token<'t>,
    at: usize,
    /// How many calls of `expr` are under way.
    depth: usize,
}

impl<'t> Parser<'t> {
    fn expected(&self, expected: impl Into<String>) -> mlops_core::Error {
        wrong(self.at, expected, self.token.found())
    }

    fn advance(&mut self) -> Result<Token<'t>> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    fn take_word(&mut self, word: &str) -> Result<bool> {
        let is = self.is_word(word);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn take_symbol(&mut self, symbol: &str) -> Result<bool> {
        let is = self.is_symbol(symbol);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if self.take_word(word)? { Ok(()) } else { Err(self.expected(format!("`{word}`"))) }
    }

    fn symbol(&mut self, symbol: &str) -> Result<()> {
        if self.take_symbol(symbol)? { Ok(()) } else { Err(self.expected(format!("`{symbol}`"))) }
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let at = self.at;
        match self.advance()? {
            Token::Text(text) => Ok(text),
            other => Err(wrong(at, what, other.found())),
        }
    }

    /// One level higher than the highest of its parts.
    fn over(&self, expr: Expr, heights: impl IntoIterator<Item = usize>) -> Result<Tall> {
        let height = 1 + heights.into_iter().max().unwrap_or(0);
        if height > MOST_DEPTH { Err(self.too_deep()) } else { Ok((expr, height)) }
    }

    fn too_deep(&self) -> mlops_core::Error {
        wrong(self.at, format!("at most {MOST_DEPTH} levels"), "a deeper nesting")
    }

    /// An expression whose operators bind at least this closely.
    fn expr(&mut self, least: u8) -> Result<Tall> {
        if self.depth >= MOST_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let mut left = self.prefix()?;
        // `a < b < c` has no meaning that all would agree on.
        let mut compared = false;
        while let Some((precedence, is_test)) = self.infix() {
            if precedence < least {
                break;
            }
            if precedence == PREDICATE {
                if compared && !is_test {
                    return Err(self.expected("AND, OR or the end"));
                }
                compared = true;
            }
            left = self.operator(left, precedence)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// How closely the operator binds that stands here, and whether it is an `IS`.
    fn infix(&self) -> Option<(u8, bool)> {
        let precedence = match &self.token {
            Token::Symbol(symbol) => match *symbol {
                "=" | "==" | "<>" | "!=" | "<" | "<=" | ">" | ">=" | "<=>" | "~" | "!~" => {
                    PREDICATE
                }
                "||" => CONCAT,
                "+" | "-" => SUM,
                "*" | "/" | "%" => PRODUCT,
                "::" => SIGN + 1,
                _ => return None,
            },
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "OR" => OR,
                "AND" => AND,
                "IS" => return Some((PREDICATE, true)),
                "NOT" | "IN" | "BETWEEN" | "LIKE" | "ILIKE" | "RLIKE" | "REGEXP" => PREDICATE,
                _ => return None,
            },
            _ => return None,
        };
        Some((precedence, false))
    }

    fn operator(&mut self, (left, height): Tall, precedence: u8) -> Result<Tall> {
        match precedence {
            OR | AND => {
                let word = if precedence == OR { "OR" } else { "AND" };
                let mut list = vec![left];
                let mut heights = height;
                while self.take_word(word)? {
                    let (next, height) = self.expr(precedence + 1)?;
                    heights = heights.max(height);
                    list.push(next);
                }
                // The flat list is the canonical form.
                let flat = list.into_iter().flat_map(|e| match (e, precedence) {
                    (Expr::Or(inner), OR) | (Expr::And(inner), AND) => inner,
                    (other, _) => vec![other],
                });
                let flat = flat.collect();
                let expr = if precedence == OR { Expr::Or(flat) } else { Expr::And(flat) };
                self.over(expr, [heights])
            }
            CONCAT | SUM | PRODUCT => {
                let op = match self.advance()? {
                    Token::Symbol("+") => Operator::Add,
                    Token::Symbol("-") => Operator::Subtract,
                    Token::Symbol("*") => Operator::Multiply,
                    Token::Symbol("/") => Operator::Divide,
                    Token::Symbol("%") => Operator::Remainder,
                    _ => Operator::Concat,
                };
                let (right, other) = self.expr(precedence + 1)?;
                let expr = Expr::Arithmetic(op, Box::new(left), Box::new(right));
                self.over(expr, [height, other])
            }
            PREDICATE => self.predicate(left, height),
            _ => {
                self.advance()?;
                let target = self.target()?;
                self.over(Expr::Cast(Box::new(left), target), [height])
            }
        }
    }

    fn predicate(&mut self, left: Expr, height: usize) -> Result<Tall> {
        let left = Box::new(left);
        let negated = self.take_word("NOT")?;
        if negated
            && !["IN", "BETWEEN", "LIKE", "ILIKE", "RLIKE", "REGEXP"]
                .iter()
                .any(|w| self.is_word(w))
        {
            return Err(self.expected("IN, BETWEEN, LIKE, ILIKE or RLIKE"));
        }
        let token = self.advance()?;
        let word = match &token {
            Token::Word(word) => word.to_ascii_uppercase(),
            Token::Symbol(symbol) => (*symbol).to_owned(),
            _ => String::new(),
        };
        let op = match word.as_str() {
            "=" | "==" => Comparison::Eq,
            "<>" | "!=" => Comparison::NotEq,
            "<" => Comparison::Lt,
            "<=" => Comparison::LtEq,
            ">" => Comparison::Gt,
            ">=" => Comparison::GtEq,
            "<=>" => Comparison::NotDistinct,
            "~" | "!~" | "RLIKE" | "REGEXP" => {
                let pattern = self.text("a pattern between `'`")?;
                return self.over(Expr::Regex(left, pattern, negated || word == "!~"), [height]);
            }
            "LIKE" | "ILIKE" => {
                let pattern = self.text("a pattern between `'`")?;
                let escape = if self.take_word("ESCAPE")? { Some(self.escape()?) } else { None };
                let like = LikePattern { pattern, escape, any_case: word == "ILIKE" };
                return self.over(Expr::Like(left, like, negated), [height]);
            }
            "IN" => {
                let close = if self.take_symbol("[")? {
                    "]"
                } else {
                    self.symbol("(")?;
                    ")"
                };
                let (list, heights) = self.list(close)?;
                return self.over(Expr::In(left, list, negated), [height, heights]);
            }
            "BETWEEN" => {
                let (low, a) = self.expr(CONCAT)?;
                self.word("AND")?;
                let (high, b) = self.expr(CONCAT)?;
                let between = Expr::Between(left, Box::new((low, high)), negated);
                return self.over(between, [height, a, b]);
            }
            _ => match self.is()? {
                Is::Null(negated) => return self.over(Expr::IsNull(left, negated), [height]),
                Is::Truth(truth, negated) => {
                    return self.over(Expr::IsTruth(left, truth, negated), [height]);
                }
                Is::Distinct(op) => op,
            },
        };
        let (right, other) = self.expr(CONCAT)?;
        self.over(Expr::Compare(op, left, Box::new(right)), [height, other])
    }

    /// What follows an `IS`.
    fn is(&mut self) -> Result<Is> {
        let negated = self.take_word("NOT")?;
        if self.take_word("NULL")? {
            Ok(Is::Null(negated))
        } else if self.take_word("TRUE")? {
            Ok(Is::Truth(true, negated))
        } else if self.take_word("FALSE")? {
            Ok(Is::Truth(false, negated))
        } else if self.take_word("DISTINCT")? {
            self.word("FROM")?;
            Ok(Is::Distinct(if negated { Comparison::NotDistinct } else { Comparison::Distinct }))
        } else {
            Err(self.expected("NULL, TRUE, FALSE or DISTINCT FROM"))
        }
    }

    fn escape(&mut self) -> Result<char> {
        let at = self.at;
        let text = self.text("an escape between `'`")?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(escape), None) => Ok(escape),
            _ => Err(wrong(at, "an escape of one character", excerpt(&text))),
        }
    }

    /// Expressions between commas, up to the bracket that closes.
    fn list(&mut self, close: &str) -> Result<(Vec<Expr>, usize)> {
        let mut list = Vec::new();
        let mut heights = 0;
        loop {
            let (expr, height) = self.expr(OR)?;
            list.push(expr);
            heights = heights.max(height);
            if !self.take_symbol(",")? {
                break;
            }
        }
        if self.take_symbol(close)? {
            Ok((list, heights))
        } else {
            Err(self.expected(format!("`,` or `{close}`")))
        }
    }

    /// What an expression begins with.
    fn prefix(&mut self) -> Result<Tall> {
        let at = self.at;
        match &self.token {
            Token::Word(word) if is_reserved(word) => {
                let word = word.to_ascii_uppercase();
                let literal = match word.as_str() {
                    "NOT" => {
                        self.advance()?;
                        let (expr, height) = self.expr(NOT)?;
                        return self.over(Expr::Not(Box::new(expr)), [height]);
                    }
                    "CASE" => return self.case(),
                    "TRUE" => Literal::Bool(true),
                    "FALSE" => Literal::Bool(false),
                    "NULL" => Literal::Null,
                    _ => return Err(self.expected("a column or value")),
                };
                self.advance()?;
                Ok((Expr::Literal(literal), 1))
            }
            Token::Word(_) => {
                let Token::Word(word) = self.advance()? else {
                    return Err(self.expected("a name"));
                };
                self.named(word, at)
            }
            Token::Quoted(_) => {
                let Token::Quoted(name) = self.advance()? else {
                    return Err(self.expected("a name"));
                };
                self.path(name)
            }
            Token::Number(number) => {
                let literal = number_literal(number, at)?;
                self.advance()?;
                Ok((Expr::Literal(literal), 1))
            }
            Token::Text(_) => {
                let text = self.text("a text")?;
                Ok((Expr::Literal(Literal::Text(text)), 1))
            }
            Token::Symbol("(") => {
                self.advance()?;
                let expr = self.expr(OR)?;
                self.symbol(")")?;
                Ok(expr)
            }
            Token::Symbol("-") => {
                self.advance()?;
                match self.expr(SIGN)? {
                    (Expr::Literal(Literal::Int(v)), height) => {
                        Ok((Expr::Literal(Literal::Int(whole(-v, at)?)), height))
                    }
                    (Expr::Literal(Literal::Float(v)), height) => {
                        Ok((Expr::Literal(Literal::Float(-v)), height))
                    }
                    (other, height) => self.over(Expr::Negative(Box::new(other)), [height]),
                }
            }
            Token::Symbol("+") => {
                self.advance()?;
                self.expr(SIGN)
            }
            _ => Err(self.expected("a column or value")),
        }
    }

    /// A column, a function, or a literal that begins with a word.
    fn named(&mut self, word: &str, at: usize) -> Result<Tall> {
        if let Token::Text(_) = self.token {
            let is_date = word.eq_ignore_ascii_case("DATE");
            if !is_date && !word.eq_ignore_ascii_case("TIMESTAMP") {
                return Err(self.expected("an operator or the end"));
            }
            let at = self.at;
            let text = self.text("a text")?;
            let literal = match time::parse(&text) {
                Some(written) if is_date && !written.has_time => Literal::Date(text),
                Some(_) if !is_date => Literal::Timestamp(text),
                _ if is_date => return Err(wrong(at, "a date like 2026-01-31", excerpt(&text))),
                _ => {
                    return Err(wrong(at, "a timestamp like 2026-01-31T12:30:00Z", excerpt(&text)));
                }
            };
            return Ok((Expr::Literal(literal), 1));
        }
        if self.is_symbol("(") {
            self.advance()?;
            return self.call(word, at);
        }
        self.path(word.to_owned())
    }

    fn path(&mut self, first: String) -> Result<Tall> {
        let mut path = vec![first];
        while self.take_symbol(".")? {
            let at = self.at;
            match self.advance()? {
                Token::Word(word) => path.push(word.to_owned()),
                Token::Quoted(name) => path.push(name),
                other => return Err(wrong(at, "the name of a field", other.found())),
            }
        }
        if path.len() > MOST_DEPTH { Err(self.too_deep()) } else { Ok((Expr::Column(path), 1)) }
    }

    fn call(&mut self, word: &str, at: usize) -> Result<Tall> {
        let name = word.to_ascii_uppercase();
        match name.as_str() {
            "CAST" | "TRY_CAST" => {
                let (expr, height) = self.expr(OR)?;
                self.word("AS")?;
                let target = self.target()?;
                self.symbol(")")?;
                return self.over(Expr::Cast(Box::new(expr), target), [height]);
            }
            "EXTRACT" => {
                let part_at = self.at;
                let part = self.advance()?;
                let function = match &part {
                    Token::Word(part) => date_part(part),
                    _ => None,
                };
                let function = function.ok_or_else(|| {
                    wrong(part_at, "YEAR, MONTH, DAY, HOUR, MINUTE or SECOND", part.found())
                })?;
                self.word("FROM")?;
                let (expr, height) = self.expr(OR)?;
                self.symbol(")")?;
                return self.over(Expr::Call(function, vec![expr]), [height]);
            }
            "NOW" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" | "TODAY" | "RANDOM" | "RAND" => {
                let expected =
                    "a function of the row alone: write the time down, DATE '2026-01-31'";
                return Err(wrong(at, expected, excerpt(word)));
            }
            _ => {}
        }
        if self.is_symbol(")") {
            return Err(self.expected("an argument"));
        }
        let (first, height) = self.expr(OR)?;
        let mut arguments = vec![first];
        let mut heights = height;
        // `SUBSTRING(x FROM 2 FOR 3)` is SQL's own form.
        let words = matches!(name.as_str(), "SUBSTRING") && self.is_word("FROM");
        let separators: &[&str] = if words { &["FROM", "FOR"] } else { &[] };
        if words {
            for separator in separators {
                if self.take_word(separator)? {
                    let (next, height) = self.expr(OR)?;
                    heights = heights.max(height);
                    arguments.push(next);
                }
            }
            self.symbol(")")?;
        } else if self.take_symbol(",")? {
            let (rest, height) = self.list(")")?;
            heights = heights.max(height);
            arguments.extend(rest);
        } else {
            self.symbol(")")?;
        }
        let count = arguments.len();
        let takes = |least: usize, most: usize| {
            if (least..=most).contains(&count) {
                return Ok(());
            }
            let takes = match (least, most) {
                (least, usize::MAX) => format!("{least} or more arguments"),
                (least, most) if least == most => format!("{least} arguments"),
                (least, most) => format!("{least} to {most} arguments"),
            };
            Err(wrong(at, format!("{name} with {takes}"), count))
        };
        match name.as_str() {
            // Written by other means: one thing has one form.
            "CONCAT" => {
                takes(2, usize::MAX)?;
                let mut all = arguments.into_iter();
                let first = all.next().unwrap_or(Expr::Literal(Literal::Null));
                return all.try_fold((first, heights), |(left, height), right| {
                    let op = Operator::Concat;
                    let expr = Expr::Arithmetic(op, Box::new(left), Box::new(right));
                    self.over(expr, [height, heights])
                });
            }
            "MOD" => {
                takes(2, 2)?;
                let mut all = arguments.into_iter().map(Box::new);
                if let (Some(left), Some(right)) = (all.next(), all.next()) {
                    return self
                        .over(Expr::Arithmetic(Operator::Remainder, left, right), [heights]);
                }
                return Err(self.expected("arguments"));
            }
            "IF" | "IIF" => {
                takes(3, 3)?;
                let mut all = arguments.into_iter();
                if let (Some(when), Some(then)) = (all.next(), all.next()) {
                    let case = Expr::Case(None, vec![(when, then)], all.next().map(Box::new));
                    return self.over(case, [heights]);
                }
                return Err(self.expected("arguments"));
            }
            "REGEXP_LIKE" | "REGEXP_MATCHES" => {
                takes(2, 2)?;
                let mut all = arguments.into_iter();
                if let (Some(text), Some(Expr::Literal(Literal::Text(pattern)))) =
                    (all.next(), all.next())
                {
                    return self.over(Expr::Regex(Box::new(text), pattern, false), [heights]);
                }
                return Err(wrong(at, "a pattern between `'`", "another expression"));
            }
            _ => {}
        }
        let known = Function::NAMES.iter().find(|entry| entry.0 == name);
        let &(_, function, least, most) =
            known.ok_or_else(|| wrong(at, "a function that there is", excerpt(word)))?;
        takes(least, most)?;
        self.over(Expr::Call(function, arguments), [heights])
    }

    fn target(&mut self) -> Result<Target> {
        let at = self.at;
        let token = self.advance()?;
        let known = match &token {
            Token::Word(word) => {
                Target::NAMES.iter().find(|entry| entry.0.eq_ignore_ascii_case(word))
            }
            _ => None,
        };
        let known = known.ok_or_else(|| {
            wrong(at, "BOOLEAN, BIGINT, DOUBLE, TEXT, DATE or TIMESTAMP", token.found())
        })?;
        Ok(known.1)
    }

    fn case(&mut self) -> Result<Tall> {
        self.advance()?;
        let mut heights = 0;
        let mut part = |parser: &mut Self| -> Result<Expr> {
            let (expr, height) = parser.expr(OR)?;
            heights = heights.max(height);
            Ok(expr)
        };
        let operand = if self.is_word("WHEN") { None } else { Some(Box::new(part(self)?)) };
        let mut branches = Vec::new();
        self.word("WHEN")?;
        loop {
            let when = part(self)?;
            self.word("THEN")?;
            branches.push((when, part(self)?));
            if !self.take_word("WHEN")? {
                break;
            }
        }
        let otherwise = if self.take_word("ELSE")? { Some(Box::new(part(self)?)) } else { None };
        self.word("END")?;
        self.over(Expr::Case(operand, branches, otherwise), [heights])
    }
}

/// What follows an `IS`.
enum Is {
    Null(bool),
    Truth(bool, bool),
    Distinct(Comparison),
}

fn date_part(word: &str) -> Option<Function> {
    use Function::{Day, Hour, Minute, Month, Second, Year};
    [Year, Month, Day, Hour, Minute, Second]
        .into_iter()
        .find(|part| part.name().eq_ignore_ascii_case(word))
}

fn number_literal(text: &str, at: usize) -> Result<Literal> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let value = text.parse().unwrap_or(i128::MAX);
        return Ok(Literal::Int(whole(value, at)?));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Literal::Float(value)),
        _ => Err(wrong(at, "a number that is finite in 64 bits", excerpt(text))),
    }
}

/// What a 64-bit column can hold, signed or not.
fn whole(value: i128, at: usize) -> Result<i128> {
    if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) {
        Ok(value)
    } else {
        Err(wrong(at, "a whole number of 64 bits", value))
    }
}
