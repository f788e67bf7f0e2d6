//! Which combination of the values of several columns each row has.

use std::collections::HashMap;

use arrow::array::Array;
use mlops_core::Categories;

/// Combinations that are told apart by arithmetic on codes; more are looked up.
const DENSE: usize = 4096;

/// The combination of every row of a batch, and the way back to the codes of the columns.
pub(crate) struct Combinations {
    /// For every row the number of its combination, below `len`.
    pub(crate) of_row: Vec<u32>,
    /// How many numbers there are; some may have no row.
    pub(crate) len: usize,
    levels: Vec<Level>,
}

enum Level {
    /// `combination · codes + code`.
    Dense { codes: u32 },
    /// The combination so far and the code of each combination that is there.
    Sparse(Vec<(u32, u32)>),
}

impl Combinations {
    /// The combinations of these columns in a batch of this many rows, or `None` if there are
    /// more than `most`. Null is a value like another, with the code behind the last.
    pub(crate) fn of(columns: &[&Categories], rows: usize, most: usize) -> Option<Self> {
        let mut all = Self { of_row: vec![0; rows], len: 1, levels: Vec::new() };
        for column in columns {
            all.add(column, most)?;
        }
        Some(all)
    }

    fn add(&mut self, column: &Categories, most: usize) -> Option<()> {
        let null = column.labels().len() as u32;
        let codes = column.codes();
        let valid = codes.nulls().filter(|nulls| nulls.null_count() > 0);
        let code = |row: usize, code: u32| match valid {
            Some(valid) if valid.is_null(row) => null,
            _ => code,
        };
        let base = null + 1;
        let product = self.len.saturating_mul(base as usize);
        if product <= DENSE {
            if valid.is_some() {
                for (row, (at, &next)) in self.of_row.iter_mut().zip(codes.values()).enumerate() {
                    *at = *at * base + code(row, next);
                }
            } else if self.len == 1 {
                self.of_row.copy_from_slice(codes.values());
            } else {
                for (at, &next) in self.of_row.iter_mut().zip(codes.values()) {
                    *at = *at * base + next;
                }
            }
            self.len = product;
            self.levels.push(Level::Dense { codes: base });
            return Some(());
        }
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        let mut there = Vec::new();
        for (row, (at, &next)) in self.of_row.iter_mut().zip(codes.values()).enumerate() {
            let pair = (*at, code(row, next));
            *at = *known.entry(pair).or_insert_with(|| {
                there.push(pair);
                (there.len() - 1) as u32
            });
            if there.len() > most {
                return None;
            }
        }
        self.len = there.len();
        self.levels.push(Level::Sparse(there));
        Some(())
    }

    /// The codes of a combination, in the order of the columns.
    pub(crate) fn codes(&self, combination: usize) -> Vec<u32> {
        let mut at = combination as u32;
        let mut codes: Vec<u32> = self
            .levels
            .iter()
            .rev()
            .map(|level| match level {
                Level::Dense { codes } => {
                    let code = at % codes;
                    at /= codes;
                    code
                }
                Level::Sparse(there) => {
                    let (before, code) = there[at as usize];
                    at = before;
                    code
                }
            })
            .collect();
        codes.reverse();
        codes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mlops_core::arrow::array::{ArrayRef, StringArray};

    use super::*;

    #[test]
    fn codes_come_back_dense_and_sparse() {
        // 2, 60, 61 and 7 values: the third column is looked up, the fourth again by arithmetic
        // or not, as there are many.
        let column = |n: usize, null: usize| {
            let text: StringArray =
                (0..500).map(|i| (i % null != 0).then(|| (i * 7 % n).to_string())).collect();
            Categories::of("x", &(Arc::new(text) as ArrayRef)).unwrap()
        };
        let columns = [column(2, 1000), column(60, 7), column(61, 9), column(7, 5)];
        let columns: Vec<_> = columns.iter().collect();
        let all = Combinations::of(&columns, 500, 10_000).unwrap();
        for row in 0..500 {
            let codes = all.codes(all.of_row[row] as usize);
            for (column, code) in columns.iter().zip(codes) {
                let label = column.label(row);
                if label.is_none() {
                    assert_eq!(code as usize, column.labels().len());
                } else {
                    assert_eq!(Some(column.labels().value(code as usize)), label);
                }
            }
        }
        assert!(Combinations::of(&columns, 500, 100).is_none());
        let none = Combinations::of(&[], 3, 1).unwrap();
        assert_eq!((none.of_row.as_slice(), none.len, none.codes(0).len()), (&[0, 0, 0][..], 1, 0));
    }
}
