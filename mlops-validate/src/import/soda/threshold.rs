//! What a number must be.

use super::super::ask::Ask;
use super::super::tree::{Node, Read, shown};

/// An interval that a number must lie in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Threshold {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) strict_min: bool,
    pub(super) strict_max: bool,
}

impl Threshold {
    pub(super) fn exactly(number: f64) -> Self {
        Self { min: Some(number), max: Some(number), ..Self::default() }
    }

    fn at_least(number: f64, strict: bool) -> Self {
        Self { min: Some(number), strict_min: strict, ..Self::default() }
    }

    fn at_most(number: f64, strict: bool) -> Self {
        Self { max: Some(number), strict_max: strict, ..Self::default() }
    }

    /// A number that is 0 or more is 0.
    pub(super) fn is_none_at_all(self) -> bool {
        let high = match self.max {
            Some(max) => max == 0.0 && !self.strict_max,
            None => false,
        };
        high && self.min.is_none_or(|min| min <= 0.0 && !(self.strict_min && min == 0.0))
    }

    /// A count that is 0: also `< 1`.
    pub(super) fn is_no_row(self) -> bool {
        let below_one = self.min.is_none() && self.max.is_some_and(|max| max > 0.0 && max <= 1.0);
        self.is_none_at_all() || (below_one && self.strict_max)
    }

    /// These bounds of a statistic.
    pub(super) fn bounds(self, ask: Ask) -> Ask {
        ask.with_some("min", self.min.map(tidy))
            .with_some("max", self.max.map(tidy))
            .with_flag("strict_min", self.strict_min && self.min.is_some())
            .with_flag("strict_max", self.strict_max && self.max.is_some())
    }

    /// These bounds of a count.
    pub(super) fn counts(self, ask: Ask, node: &Node) -> Read<Ask> {
        let min = self.min.map(|m| if self.strict_min { m.floor() + 1.0 } else { m.ceil() });
        let max = self.max.map(|m| if self.strict_max { m.ceil() - 1.0 } else { m.floor() });
        if [min, max].into_iter().flatten().any(|m| !(-9e15..9e15).contains(&m))
            || max.is_some_and(|m| m < 0.0)
        {
            return Err(node.wrong("no count is there"));
        }
        let count = |m: f64| m.max(0.0) as u64;
        Ok(ask.with_some("min", min.map(count)).with_some("max", max.map(count)))
    }

    /// The least share of good rows, where this is the share of bad ones in percent.
    pub(super) fn mostly(self, node: &Node) -> Read<f64> {
        let (Some(max), None | Some(0.0), false) = (self.max, self.min, self.strict_min) else {
            return Err(node.wrong("only a greatest share of bad rows can be asked for"));
        };
        let share = good_share(max);
        if !(0.0..=1.0).contains(&share) {
            return Err(node.wrong("a share lies between 0 and 100 %"));
        }
        Ok(if self.strict_max { share.next_up().min(1.0) } else { share })
    }

    /// The interval of a condition that must not be.
    pub(super) fn outside(self, node: &Node) -> Read<Self> {
        match (self.min, self.max) {
            (Some(min), None) => Ok(Self::at_most(min, !self.strict_min)),
            (None, Some(max)) => Ok(Self::at_least(max, !self.strict_max)),
            _ => Err(node.wrong("what lies outside of an interval can't be asked for")),
        }
    }

    /// Reads `= 0`, `< 5 %`, `between 10 and 40`, `between (1 and 2]`.
    pub(super) fn parse(text: &str, node: &Node) -> Read<Self> {
        let wrong = || node.wrong(format!("no condition that can be read: `{}`", shown(text)));
        let text = text.trim();
        let number = |text: &str| {
            let plain = text.trim().trim_end_matches('%').trim();
            let number = plain.parse::<f64>().ok().filter(|n| n.is_finite());
            number.ok_or_else(wrong)
        };
        if let Some(rest) = text.strip_prefix("between") {
            let (low, high) = rest.split_once(" and ").ok_or_else(wrong)?;
            let (low, strict_min) = match low.trim().strip_prefix('(') {
                Some(low) => (low, true),
                None => (low.trim().trim_start_matches('['), false),
            };
            let (high, strict_max) = match high.trim().strip_suffix(')') {
                Some(high) => (high, true),
                None => (high.trim().trim_end_matches(']'), false),
            };
            return Ok(Self {
                min: Some(number(low)?),
                max: Some(number(high)?),
                strict_min,
                strict_max,
            });
        }
        if text.starts_with("not between") || text.starts_with("!=") || text.starts_with("<>") {
            return Err(node.wrong("what lies outside of an interval can't be asked for"));
        }
        if let Some(rest) = text.strip_prefix(">=") {
            return Ok(Self::at_least(number(rest)?, false));
        }
        if let Some(rest) = text.strip_prefix("<=") {
            return Ok(Self::at_most(number(rest)?, false));
        }
        if let Some(rest) = text.strip_prefix('>') {
            return Ok(Self::at_least(number(rest)?, true));
        }
        if let Some(rest) = text.strip_prefix('<') {
            return Ok(Self::at_most(number(rest)?, true));
        }
        match text.strip_prefix('=') {
            Some(rest) => Ok(Self::exactly(number(rest)?)),
            None => Err(wrong()),
        }
    }

    /// Takes in `must_be_greater_than: 5` and its like.
    pub(super) fn must(&mut self, key: &str, number: f64) -> bool {
        match key {
            "must_be" => *self = Self::exactly(number),
            "must_be_greater_than" | "greater_than" => {
                (self.min, self.strict_min) = (Some(number), true);
            }
            "must_be_greater_than_or_equal" | "greater_than_or_equal" => {
                (self.min, self.strict_min) = (Some(number), false);
            }
            "must_be_less_than" | "less_than" => {
                (self.max, self.strict_max) = (Some(number), true);
            }
            "must_be_less_than_or_equal" | "less_than_or_equal" => {
                (self.max, self.strict_max) = (Some(number), false);
            }
            _ => return false,
        }
        true
    }
}

/// A whole number without a fraction, as people write it.
pub(super) fn tidy(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        (number as i64).into()
    } else {
        number.into()
    }
}

/// What is left of so many percent: 0.93 of 7, which in floats 1 − 0.07 is not.
pub(super) fn good_share(bad_percent: f64) -> f64 {
    ((100.0 - bad_percent) * 1e10).round() / 1e12
}

#[cfg(test)]
mod tests {
    use super::good_share;

    #[test]
    fn shares_are_the_decimals_that_people_mean() {
        assert_eq!(good_share(7.0), 0.93);
        assert_eq!(good_share(58.0), 0.42);
        assert_eq!((good_share(0.0), good_share(100.0), good_share(0.1)), (1.0, 0.0, 0.999));
    }
}
