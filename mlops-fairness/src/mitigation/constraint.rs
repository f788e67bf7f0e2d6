//! Parity constraints as moments of a classifier's decisions.

use std::collections::BTreeMap;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::Group;

/// What a reduction holds equal between each group and everyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// The selection rate. fairlearn: `DemographicParity`.
    #[default]
    DemographicParity,
    /// The true-positive rate. fairlearn: `TruePositiveRateParity`.
    TruePositiveRate,
    /// The false-positive rate. fairlearn: `FalsePositiveRateParity`.
    FalsePositiveRate,
    /// Both. fairlearn: `EqualizedOdds`.
    EqualizedOdds,
    /// The share of wrong decisions. fairlearn: `ErrorRateParity`.
    ErrorRate,
}

/// The rows of an event (all, the positives, the negatives) by group, and what each decision adds.
///
/// Of each event and group the constraint says that the mean utility of the group is within a
/// bound of that of the event: two moments, one for each sign, after Agarwal et al. 2018.
#[derive(Debug)]
pub(super) struct Moments {
    /// Of each row its event and group, as the number of a cell; `None` where it is in no event.
    cell_of: Vec<Option<usize>>,
    /// Of each cell its event, its rows.
    cells: Vec<(usize, f64)>,
    /// The rows of each event.
    events: Vec<f64>,
    /// What each row adds to a mean if it is decided positive, less what it adds otherwise.
    gain: Vec<f64>,
    /// What it adds otherwise.
    floor: Vec<f64>,
    /// What a mean is multiplied with: 1 but for bounds of ratios.
    ratio: f64,
    bound: f64,
}

impl Moments {
    pub(super) fn new(
        constraint: Constraint,
        labels: &[bool],
        groups: (&[u32], &[Group]),
        bound: super::Bound,
    ) -> Result<Self> {
        let (ratio, slack) = bound.check()?;
        let (of_row, names) = groups;
        // Cells in the order of events and then of groups.
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|&a, &b| names[a].cmp(&names[b]));
        let mut rank = vec![0; names.len()];
        for (at, &group) in order.iter().enumerate() {
            rank[group] = at;
        }
        let event = |label: bool| match constraint {
            Constraint::DemographicParity | Constraint::ErrorRate => Some(0),
            Constraint::TruePositiveRate => label.then_some(0),
            Constraint::FalsePositiveRate => (!label).then_some(0),
            Constraint::EqualizedOdds => Some(usize::from(label)),
        };
        let mut cells: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        let of: Vec<Option<(usize, usize)>> = labels
            .iter()
            .zip(of_row)
            .map(|(&label, &group)| event(label).map(|event| (event, rank[group as usize])))
            .collect();
        for cell in of.iter().flatten() {
            *cells.entry(*cell).or_default() += 1.0;
        }
        if cells.is_empty() {
            let what = format!("{constraint:?}");
            return Err(Error::undefined(what, "there are no rows that it is about"));
        }
        let places: BTreeMap<_, usize> =
            cells.keys().enumerate().map(|(at, cell)| (*cell, at)).collect();
        let events = cells.keys().map(|(event, _)| event + 1).max().unwrap_or(0);
        let mut of_event = vec![0.0; events];
        for ((event, _), rows) in &cells {
            of_event[*event] += rows;
        }
        let wrong = constraint == Constraint::ErrorRate;
        let one = |label: bool| if label { 1.0 } else { 0.0 };
        Ok(Self {
            cell_of: of.iter().map(|cell| cell.map(|cell| places[&cell])).collect(),
            cells: cells.iter().map(|((event, _), rows)| (*event, *rows)).collect(),
            events: of_event,
            gain: labels.iter().map(|&y| if wrong { 1.0 - 2.0 * one(y) } else { 1.0 }).collect(),
            floor: labels.iter().map(|&y| if wrong { one(y) } else { 0.0 }).collect(),
            ratio,
            bound: slack,
        })
    }

    /// How many moments there are: two for each cell, first those of too much.
    pub(super) fn len(&self) -> usize {
        2 * self.cells.len()
    }

    pub(super) fn bound(&self) -> f64 {
        self.bound
    }

    /// By how much each cell has too much, and then by how much too little.
    pub(super) fn gamma(&self, decided: &[bool]) -> Vec<f64> {
        let mut of_cell = vec![0.0; self.cells.len()];
        for (row, cell) in self.cell_of.iter().enumerate() {
            if let Some(cell) = *cell {
                of_cell[cell] += self.floor[row] + if decided[row] { self.gain[row] } else { 0.0 };
            }
        }
        let mut of_event = vec![0.0; self.events.len()];
        for (sum, (event, _)) in of_cell.iter().zip(&self.cells) {
            of_event[*event] += sum;
        }
        let means: Vec<(f64, f64)> = of_cell
            .iter()
            .zip(&self.cells)
            .map(|(sum, (event, rows))| (sum / rows, of_event[*event] / self.events[*event]))
            .collect();
        let more = means.iter().map(|(group, all)| self.ratio * group - all);
        let less = means.iter().map(|(group, all)| self.ratio * all - group);
        more.chain(less).collect()
    }

    /// What each row's positive decision is worth under these multipliers.
    pub(super) fn signed_weights(&self, lambda: &[f64]) -> Vec<f64> {
        let (more, less) = lambda.split_at(self.cells.len());
        let total = self.cell_of.len() as f64;
        let mut of_event = vec![0.0; self.events.len()];
        for (at, (event, _)) in self.cells.iter().enumerate() {
            of_event[*event] += more[at] - self.ratio * less[at];
        }
        let of_cell: Vec<f64> = self
            .cells
            .iter()
            .enumerate()
            .map(|(at, (event, rows))| {
                let all = of_event[*event] / (self.events[*event] / total);
                all + (less[at] - self.ratio * more[at]) / (rows / total)
            })
            .collect();
        let weight = |row: usize| match self.cell_of[row] {
            Some(cell) => self.gain[row] * of_cell[cell],
            None => 0.0,
        };
        (0..self.cell_of.len()).map(weight).collect()
    }

    /// Multipliers of the same moments with as little weight as can be.
    ///
    /// Within an event the moments, weighted by the groups' shares, cancel: what is common to all
    /// multipliers in that proportion says nothing, and the weighted median of them is taken out.
    pub(super) fn project(&self, lambda: &[f64]) -> Vec<f64> {
        if self.ratio != 1.0 {
            return lambda.to_vec();
        }
        let n = self.cells.len();
        let mut signed: Vec<f64> = (0..n).map(|at| lambda[at] - lambda[n + at]).collect();
        for event in 0..self.events.len() {
            let cells: Vec<usize> = (0..n).filter(|&at| self.cells[at].0 == event).collect();
            let share = |at: usize| self.cells[at].1 / self.events[event];
            let mut order = cells.clone();
            order.sort_by(|&a, &b| (signed[a] / share(a)).total_cmp(&(signed[b] / share(b))));
            let mut reached = 0.0;
            let median = order.iter().copied().find(|&at| {
                reached += share(at);
                reached >= 0.5
            });
            if let Some(median) = median {
                let shift = signed[median] / share(median);
                for &at in &cells {
                    signed[at] -= share(at) * shift;
                }
            }
        }
        let more = signed.iter().map(|x| x.max(0.0));
        let less = signed.iter().map(|x| (-x).max(0.0));
        more.chain(less).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bound;
    use super::*;

    fn group(name: &str) -> Group {
        Group { values: vec![Some(name.to_owned())] }
    }

    #[test]
    fn gamma_is_the_distance_of_each_group_from_all() {
        let labels = [true, false, true, false, true, true];
        let groups = [group("b"), group("a")];
        let of_row = [0, 0, 1, 1, 1, 1];
        let decided = [true, true, true, false, false, true];
        let of = |constraint| {
            Moments::new(constraint, &labels, (&of_row, &groups), Bound::Difference(0.01)).unwrap()
        };
        // Selected: all 4/6, a 2/4, b 2/2; groups in their order.
        let parity = of(Constraint::DemographicParity);
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let expected = [0.5 - 4.0 / 6.0, 1.0 - 4.0 / 6.0, 4.0 / 6.0 - 0.5, 4.0 / 6.0 - 1.0];
        assert!(near(&parity.gamma(&decided), &expected));
        // Positives: all 3/4, a 2/3, b 1/1.
        let tpr = of(Constraint::TruePositiveRate);
        assert!(near(&tpr.gamma(&decided), &[2.0 / 3.0 - 0.75, 0.25, 0.75 - 2.0 / 3.0, -0.25]));
        assert_eq!(of(Constraint::EqualizedOdds).len(), 8);
        // Wrong: b's second row, one of a's positives.
        let wrong = of(Constraint::ErrorRate);
        assert!(near(
            &wrong.gamma(&decided),
            &[0.25 - 2.0 / 6.0, 0.5 - 2.0 / 6.0, 1.0 / 12.0, -1.0 / 6.0]
        ));
    }

    /// What weights say of a decision is what the moments say of it: Σ wᵢ hᵢ / n and λ·γ differ by
    /// what does not depend on the decision.
    #[test]
    fn weights_are_the_moments_by_row() {
        let labels = [true, false, true, false, true, true, false];
        let groups = [group("a"), group("b"), group("c")];
        let of_row = [0, 1, 2, 0, 1, 2, 0];
        for constraint in
            [Constraint::DemographicParity, Constraint::EqualizedOdds, Constraint::ErrorRate]
        {
            for bound in [Bound::Difference(0.01), Bound::Ratio { ratio: 0.8, slack: 0.0 }] {
                let m = Moments::new(constraint, &labels, (&of_row, &groups), bound).unwrap();
                let lambda: Vec<f64> = (0..m.len()).map(|i| 0.3 + (i * 7 % 5) as f64).collect();
                let weights = m.signed_weights(&lambda);
                let pull = |decided: &[bool]| -> f64 {
                    let gamma = m.gamma(decided);
                    let moments: f64 = gamma.iter().zip(&lambda).map(|(g, l)| g * l).sum();
                    let rows: f64 =
                        decided.iter().zip(&weights).map(|(&d, w)| if d { *w } else { 0.0 }).sum();
                    moments + rows / labels.len() as f64
                };
                let none = pull(&[false; 7]);
                for mask in 0..128_u32 {
                    let decided: Vec<bool> = (0..7).map(|i| mask >> i & 1 == 1).collect();
                    assert!((pull(&decided) - none).abs() < 1e-12, "{constraint:?} {mask}");
                }
                if matches!(bound, Bound::Difference(_)) {
                    let projected = m.project(&lambda);
                    let dot = |l: &[f64], d: &[bool]| -> f64 {
                        m.gamma(d).iter().zip(l).map(|(g, l)| g * l).sum()
                    };
                    let some = [true, false, false, true, true, false, true];
                    assert!((dot(&projected, &some) - dot(&lambda, &some)).abs() < 1e-12);
                    assert!(projected.iter().sum::<f64>() <= lambda.iter().sum::<f64>());
                }
            }
        }
    }
}
