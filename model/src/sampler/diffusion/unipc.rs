//! UniPC: a multistep predictor, and a corrector that uses the prediction made at the point reached (Zhao et al. 2023,
//! <https://arxiv.org/abs/2302.04867>, algorithms 5 to 8 with data prediction), as diffusers' `UniPCMultistepScheduler` takes
//! it.

use super::multistep::{History, decay, lambda};
use crate::sampler::{NoiseLevel, State};

/// The function `B(h)` of the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// `-h`. Undefined for a step that ends without noise.
    Bh1,
    /// `exp(-h) - 1`.
    Bh2,
}

/// Where a step leads from the level of the latest prediction of `history`, and the weights of its formula.
struct Formula {
    /// Factor of the state.
    ratio: f64,
    /// `-alpha_t (exp(-h) - 1)`, the factor of the latest prediction.
    weight: f64,
    /// `-alpha_t B(h)`, the factor of the rest.
    growth: f64,
    /// `(lambda_i - lambda_0) / h` for each earlier prediction that is used.
    positions: Vec<f64>,
    /// The right side of the order conditions.
    conditions: Vec<f64>,
}

impl Formula {
    fn new<S>(history: &History<S>, to: &NoiseLevel, order: usize, growth: Growth) -> Self {
        let (_, from) = &history.entries[0];
        let shrink = decay(from, to) - 1.0;
        let h = lambda(to) - lambda(from);
        let b = match growth {
            Growth::Bh1 => -h,
            Growth::Bh2 => shrink,
        };
        let position = |(_, level): &(S, NoiseLevel)| (lambda(level) - lambda(from)) / h;
        let mut phi = shrink / -h - 1.0;
        let mut factorial = 1.0;
        let mut conditions = Vec::with_capacity(order);
        for i in 1..=order {
            conditions.push(phi * factorial / b);
            factorial *= (i + 1) as f64;
            phi = phi / -h - 1.0 / factorial;
        }
        Self {
            ratio: to.sigma / from.sigma,
            weight: -to.alpha * shrink,
            growth: -to.alpha * b,
            positions: history.entries[1..order].iter().map(position).collect(),
            conditions,
        }
    }

    /// The weights that meet the order conditions at these positions.
    fn weights(&self, positions: &[f64]) -> Vec<f64> {
        let rows = (0..positions.len()).map(|power| {
            let mut row: Vec<f64> = positions.iter().map(|position| position.powi(power as i32)).collect();
            row.push(self.conditions[power]);
            row
        });
        solve(rows.collect())
    }
}

/// The state predicted at `to`, from `x` at the level of the latest prediction. `order` is at most the number of
/// predictions.
pub(super) fn predict<S: State>(history: &History<S>, x: &S, to: &NoiseLevel, order: usize, growth: Growth) -> S {
    let formula = Formula::new(history, to, order, growth);
    // The second order has one condition, which this weight meets in the limit of small steps.
    let weights = if order == 2 { vec![0.5] } else { formula.weights(&formula.positions) };
    combine(history, x, &formula, &weights, None)
}

/// The state at `to` corrected by `data`, the prediction made from the state predicted there.
pub(super) fn correct<S: State>(
    history: &History<S>,
    x: &S,
    (data, to): (&S, &NoiseLevel),
    order: usize,
    growth: Growth,
) -> S {
    let formula = Formula::new(history, to, order, growth);
    let mut positions = formula.positions.clone();
    positions.push(1.0);
    let weights = if order == 1 { vec![0.5] } else { formula.weights(&positions) };
    combine(history, x, &formula, &weights, Some(data))
}

/// `ratio x + weight m0 + growth * sum of weights * (m_i - m0) / position_i`, the last weight for `reached`.
fn combine<S: State>(history: &History<S>, x: &S, formula: &Formula, weights: &[f64], reached: Option<&S>) -> S {
    let (latest, _) = &history.entries[0];
    let mut on_latest = formula.weight;
    let mut terms = Vec::new();
    let earlier = history.entries[1..].iter().map(|(data, _)| data).zip(formula.positions.iter().copied());
    for ((data, position), weight) in earlier.chain(reached.map(|data| (data, 1.0))).zip(weights) {
        let factor = formula.growth * weight / position;
        on_latest -= factor;
        terms.push((factor, data));
    }
    let base = [(formula.ratio, x), (on_latest, latest)];
    S::combine(&base.into_iter().chain(terms).collect::<Vec<_>>())
}

/// Solves linear equations by elimination. Each row has the coefficients and then the right side; there are as many rows as
/// unknowns, few, and they are independent.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rows.len();
    for column in 0..count {
        let pivot = (column..count).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let lead = rows[column].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = row[column] / lead[column];
            row.iter_mut().zip(&lead).for_each(|(value, lead)| *value -= factor * lead);
        }
    }
    (0..count).map(|index| rows[index][count] / rows[index][index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        // 2y + z = 5, x + z = 4, x + y = 3.
        let solution = solve(vec![vec![0.0, 2.0, 1.0, 5.0], vec![1.0, 0.0, 1.0, 4.0], vec![1.0, 1.0, 0.0, 3.0]]);
        for (found, expected) in solution.iter().zip([5.0 / 3.0, 4.0 / 3.0, 7.0 / 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{solution:?}");
        }
    }
}
