//! The saddle point over a convex hull: a small linear program, by the simplex method.

/// The best mixture of columns: weights Q ≥ 0 that sum to 1 and minimise
/// `cost · Q + penalty · max(0, max_j (rows_j · Q))`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saddle {
    /// The weights of the columns.
    pub(super) weights: Vec<f64>,
    /// The multipliers of the rows: not negative, their sum at most the penalty.
    pub(super) multipliers: Vec<f64>,
}

/// What is left of a number that should be 0.
const TOLERANCE: f64 = 1e-11;

/// The program `min c·Q + B z` subject to `A Q ≤ z`, `ΣQ = 1`, `Q, z ≥ 0`; `rows[j][h]` is A.
/// The dense tableau has a row for each constraint and a column for each weight: tens by hundreds.
/// Bland's rule keeps it from running in circles.
pub(super) fn saddle(cost: &[f64], rows: &[Vec<f64>], penalty: f64) -> Saddle {
    let (n, m) = (cost.len(), rows.len());
    // Columns: the weights, z, a slack for each row, the right side.
    let (z, slack, right) = (n, n + 1, n + 1 + m);
    let width = right + 1;
    let mut table = vec![vec![0.0; width]; m + 1];
    for (j, row) in rows.iter().enumerate() {
        // All on the first column: its share is taken out of the others.
        for h in 1..n {
            table[j][h] = row[h] - row[0];
        }
        table[j][z] = -1.0;
        table[j][slack + j] = 1.0;
        table[j][right] = -row[0];
    }
    table[m][..n].fill(1.0);
    table[m][right] = 1.0;
    let mut basis: Vec<usize> = (0..m).map(|j| slack + j).collect();
    basis.push(0);
    let mut costs = vec![0.0; width];
    for h in 0..n {
        costs[h] = cost[h] - cost[0];
    }
    costs[z] = penalty;
    costs[right] = -cost[0];
    // Where the first column breaks rows, z rises to the worst of them.
    let worst = (0..m).min_by(|&a, &b| table[a][right].total_cmp(&table[b][right]));
    if let Some(worst) = worst
        && table[worst][right] < 0.0
    {
        pivot(&mut table, &mut costs, &mut basis, worst, z);
    }
    for _ in 0..10_000 {
        let Some(entering) = (0..right).find(|&column| costs[column] < -TOLERANCE) else { break };
        let ratio = |row: &Vec<f64>| row[right].max(0.0) / row[entering];
        let leaving = (0..=m).filter(|&row| table[row][entering] > TOLERANCE).min_by(|&a, &b| {
            let order = ratio(&table[a]).total_cmp(&ratio(&table[b]));
            order.then(basis[a].cmp(&basis[b]))
        });
        let Some(leaving) = leaving else { break };
        pivot(&mut table, &mut costs, &mut basis, leaving, entering);
    }
    let mut weights = vec![0.0; n];
    for (row, &column) in basis.iter().enumerate() {
        if column < n {
            weights[column] = table[row][right].max(0.0);
        }
    }
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        for weight in &mut weights {
            *weight /= sum;
        }
    } else {
        weights[0] = 1.0;
    }
    let multipliers = (0..m).map(|j| costs[slack + j].max(0.0)).collect();
    Saddle { weights, multipliers }
}

fn pivot(
    table: &mut [Vec<f64>],
    costs: &mut [f64],
    basis: &mut [usize],
    row: usize,
    column: usize,
) {
    let by = table[row][column];
    for x in &mut table[row] {
        *x /= by;
    }
    let chosen = table[row].clone();
    let clear = |other: &mut [f64]| {
        let times = other[column];
        if times != 0.0 {
            for (x, y) in other.iter_mut().zip(&chosen) {
                *x -= times * y;
            }
            other[column] = 0.0;
        }
    };
    for (at, other) in table.iter_mut().enumerate() {
        if at != row {
            clear(other);
        }
    }
    clear(costs);
    basis[row] = column;
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlops_core::stats::Draws;

    fn value(cost: &[f64], rows: &[Vec<f64>], penalty: f64, q: &[f64]) -> f64 {
        let dot = |a: &[f64]| -> f64 { a.iter().zip(q).map(|(a, q)| a * q).sum() };
        let worst = rows.iter().map(|row| dot(row)).fold(0.0, f64::max);
        dot(cost) + penalty * worst
    }

    #[test]
    fn a_mixture_meets_a_constraint_that_no_column_meets() {
        // Two columns, each breaking the other's constraint.
        let rows = vec![vec![0.4, -0.4], vec![-0.4, 0.4]];
        let found = saddle(&[0.1, 0.2], &rows, 100.0);
        assert!((found.weights[0] - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!(saddle(&[0.1, 0.2], &rows, 0.0).weights, [1.0, 0.0]);
        let alone = saddle(&[0.3], &[vec![0.2]], 10.0);
        assert_eq!(alone.weights, [1.0]);
        assert!((alone.multipliers[0] - 10.0).abs() < 1e-12);
        assert_eq!(saddle(&[0.3, 0.1], &[], 10.0).weights, [0.0, 1.0]);
    }

    /// By weak duality: multipliers prove that no mixture is better.
    #[test]
    fn the_multipliers_prove_the_weights() {
        for run in 0..200 {
            let mut draws = Draws::new(3, 1, run);
            let (n, m) = (1 + draws.below(30) as usize, draws.below(12) as usize);
            let cost: Vec<f64> = (0..n).map(|_| draws.uniform()).collect();
            // Ties on purpose: rates of few rows are small fractions.
            let rows: Vec<Vec<f64>> = (0..m)
                .map(|_| (0..n).map(|_| (draws.uniform() * 8.0).floor() / 8.0 - 0.5).collect())
                .collect();
            let penalty = 20.0;
            let found = saddle(&cost, &rows, penalty);
            let primal = value(&cost, &rows, penalty, &found.weights);
            assert!(found.multipliers.iter().sum::<f64>() <= penalty + 1e-9);
            let dual = (0..n)
                .map(|h| {
                    let pull: f64 =
                        rows.iter().zip(&found.multipliers).map(|(row, l)| row[h] * l).sum();
                    cost[h] + pull
                })
                .fold(f64::INFINITY, f64::min);
            assert!((primal - dual).abs() < 1e-9, "run {run}: {primal} {dual}");
        }
    }
}
