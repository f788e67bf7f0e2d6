//! Two tables of counts as shares, and what is done about cells with no rows.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::tables::{MOST_ROWS, check};

/// With less than this added, logarithms and quotients of shares would leave the range of floats.
const LEAST: f64 = 1e-100;

/// What is done about cells with no rows, whose logarithm has no value. Numbers are at least 10⁻¹⁰⁰.
///
/// A cell that is empty on both sides takes no part: what is added there would be larger shares of
/// the smaller sample, and tell the samples apart by their sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ZeroCells {
    /// ½ is added to every cell of both tables (the Jeffreys prior): finite, and least biased of
    /// the simple rules.
    #[default]
    AddHalf,
    /// This number is added to every cell of both tables; 1 is Laplace's rule. At most 2⁶².
    Add(f64),
    /// Shares below this one are raised to it, without renormalising, as many scripts do with
    /// 0.0001.
    Clip(f64),
    /// This is added to every share, without renormalising: scouter's rule, with 10⁻¹⁰. A cell that
    /// is empty on one side then weighs some `23 · |p − q|`, whatever the sample sizes.
    AddToShares(f64),
    /// Nothing is done: a cell that is empty on one side only makes an infinite term, which is
    /// undefined.
    Refuse,
}

/// The unit of an information divergence: the base of its logarithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogBase {
    /// Nats: natural logarithms. scipy's default, and Evidently's.
    #[default]
    E,
    /// Bits: logarithms to base 2, by which the Jensen–Shannon divergence lies in [0, 1]. The base
    /// of TFDV and `NannyML`.
    Two,
}

impl LogBase {
    /// A divergence in nats, in this unit.
    pub(crate) fn in_unit(self, nats: f64) -> f64 {
        match self {
            Self::E => nats,
            Self::Two => nats / std::f64::consts::LN_2,
        }
    }
}

impl std::fmt::Display for LogBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::E => "nats",
            Self::Two => "bits",
        })
    }
}

/// One cell of both tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// The reference's share.
    pub(crate) reference: f64,
    /// The current share.
    pub(crate) current: f64,
    /// Current less reference, from the integers: shares that nearly agree lose no digit.
    pub(crate) difference: f64,
}

impl Cell {
    /// The logarithm of current over reference.
    pub(crate) fn log_ratio(self) -> f64 {
        let by = self.difference / self.reference;
        if by.abs() < 0.5 { by.ln_1p() } else { (self.current / self.reference).ln() }
    }
}

/// The shares of both tables after the rule for empty cells.
pub(crate) struct Shares<'a> {
    reference: &'a [u64],
    current: &'a [u64],
    add: f64,
    floor: f64,
    raise: f64,
    n: u64,
    m: u64,
}

impl<'a> Shares<'a> {
    pub(crate) fn of(
        what: &str,
        reference: &'a [u64],
        current: &'a [u64],
        zero_cells: ZeroCells,
    ) -> Result<Self> {
        let (n, m) = check(what, reference, current)?;
        let (add, floor, raise) = match zero_cells {
            ZeroCells::AddHalf => (0.5, 0.0, 0.0),
            ZeroCells::Add(x) if (LEAST..=MOST_ROWS as f64).contains(&x) => (x, 0.0, 0.0),
            ZeroCells::Clip(x) if (LEAST..1.0).contains(&x) => (0.0, x, 0.0),
            ZeroCells::AddToShares(x) if (LEAST..1.0).contains(&x) => (0.0, 0.0, x),
            ZeroCells::Refuse => (0.0, 0.0, 0.0),
            ZeroCells::Add(x) => {
                let expected = "a number from 1e-100 to 2^62";
                return Err(Error::invalid("rule for empty cells", expected, x));
            }
            ZeroCells::Clip(x) | ZeroCells::AddToShares(x) => {
                let expected = "a share from 1e-100 to 1";
                return Err(Error::invalid("rule for empty cells", expected, x));
            }
        };
        Ok(Self { reference, current, add, floor, raise, n, m })
    }

    /// The shares as they are, empty cells and all.
    pub(crate) fn plain(what: &str, reference: &'a [u64], current: &'a [u64]) -> Result<Self> {
        Self::of(what, reference, current, ZeroCells::Refuse)
    }

    /// Whether shares are raised, so that they need not sum to 1.
    pub(crate) fn are_raised(&self) -> bool {
        self.floor > 0.0 || self.raise > 0.0
    }

    /// The cells with rows on either side.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> {
        let taken = || {
            let pairs = self.reference.iter().copied().zip(self.current.iter().copied());
            pairs.filter(|&(r, c)| r > 0 || c > 0)
        };
        let cells = taken().count();
        let added = self.add * cells as f64;
        let (rows_n, rows_m) = (self.n as f64 + added, self.m as f64 + added);
        let (n, m) = (i128::from(self.n), i128::from(self.m));
        let cells = cells as i128;
        taken().map(move |(r, c)| {
            let (q, p) = ((r as f64 + self.add) / rows_n, (c as f64 + self.add) / rows_m);
            if q < self.floor || p < self.floor {
                let (q, p) = (q.max(self.floor), p.max(self.floor));
                return Cell { reference: q, current: p, difference: p - q };
            }
            let (r, c) = (i128::from(r), i128::from(c));
            let counted = c * n - r * m;
            let prior = cells * (c - r) + (n - m);
            let cross = counted as f64 + self.add * prior as f64;
            let difference = cross / (rows_n * rows_m);
            Cell { reference: q + self.raise, current: p + self.raise, difference }
        })
    }
}
