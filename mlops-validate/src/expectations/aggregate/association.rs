//! How two columns go together, held to bounds.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::distinct::too_many;
use super::statistic::{Asked, Seen, holds_numbers};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::measures::{CrossSums, Frequencies};
use crate::{Expectation, Scalar};

macro_rules! associations {
    ($($(#[$docs:meta])* $kind:ident, $function:ident as $name:literal, by $compile:expr;)+) => {$(
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $kind {
            /// The two columns.
            pub columns: [String; 2],
            /// What it must be.
            #[serde(flatten)]
            pub bounds: Bounds,
        }

        #[doc = concat!("Expects the ", $name, " of two columns to lie in the range: [`", stringify!($kind), "`].")]
        pub fn $function<T: Clone + Into<Scalar>>(
            columns: [impl Into<String>; 2],
            range: impl RangeBounds<T>,
        ) -> Expectation {
            $kind { columns: columns.map(Into::into), bounds: Bounds::of(range) }.into()
        }

        impl Kind for $kind {
            fn subject(&self) -> Subject<'_> {
                Subject::Columns(self.columns.iter().map(String::as_str).collect())
            }

            fn of_rows(&self) -> bool {
                false
            }

            fn check_usable(&self) -> Result<()> {
                self.bounds.check_usable(true)
            }

            fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
                let compile: fn(&Self, Asked, &mut Compiler<'_>) -> Result<Compiled> = $compile;
                compile(self, Asked { name: $name, bounds: self.bounds.clone() }, to)
            }
        }
    )+};
}

associations! {
    /// Pearson's correlation of two columns of numbers lies between bounds, in \[−1, 1\].
    ///
    /// Over the rows in which both have a value, whatever their order to the bit; undefined with
    /// NaN or ±∞ among these, or where a column is constant. `scipy.stats.pearsonr`; deequ:
    /// `hasCorrelation`.
    Correlation, correlation as "correlation",
    by |this, asked, to| {
        for column in &this.columns {
            if !holds_numbers(to, column)? {
                return to.wrong_type(column, "a column of numbers");
            }
        }
        let handle = to.add(CrossSums { columns: this.columns.clone() });
        Ok(asked.number(to, handle, |found| match found.correlation {
            Some(r) => Seen::number(r),
            None => Seen::Undefined("a column is constant".into()),
        }))
    };

    /// The mutual information of two columns lies between bounds, in nats:
    /// Σ p(x, y) ln(p(x, y) / (p(x) p(y))).
    ///
    /// Over the rows in which both have a value; up to 100,000 different pairs. deequ:
    /// `hasMutualInformation`; `sklearn.metrics.mutual_info_score`.
    MutualInformation, mutual_information as "mutual information",
    by |this, asked, to| {
        let [x, y] = &this.columns;
        let of_x = Frequencies::of(x, to.value_type(x)?);
        let of_y = to.value_type(y)?;
        let Some(pairs) = of_x.and_then(|pairs| pairs.and(y, of_y)) else {
            return to.wrong_type(x, "columns of numbers, text, booleans, dates or timestamps");
        };
        let handle = to.add(pairs);
        Ok(asked.number(to, handle, |found| {
            let Some(pairs) = found.pairs() else { return too_many() };
            if found.n == 0 {
                return Seen::Nothing { counts_as: None };
            }
            let (mut xs, mut ys) = (BTreeMap::new(), BTreeMap::new());
            for ((x, y), count) in pairs {
                *xs.entry(x).or_insert(0u64) += count;
                *ys.entry(y).or_insert(0u64) += count;
            }
            let n = found.n as f64;
            let term = |((x, y), &count): (&(String, String), &u64)| {
                let (p, apart) = (count as f64 / n, xs[x] as f64 / n * (ys[y] as f64 / n));
                p * (p / apart).ln()
            };
            Seen::number(pairs.iter().map(term).sum::<f64>().max(0.0))
        }))
    };
}
