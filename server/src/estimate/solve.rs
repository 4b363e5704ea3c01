//! Non-negative least squares for a few unknowns.

/// Unknowns of a fit.
pub(super) const UNKNOWNS: usize = 7;

/// The normal equations of weighted least squares.
#[derive(Clone, Debug, Default)]
pub(super) struct Normal {
    matrix: [[f64; UNKNOWNS]; UNKNOWNS],
    right: [f64; UNKNOWNS],
}

impl Normal {
    /// Adds an equation `row · x = value`.
    pub(super) fn add(&mut self, row: &[f64; UNKNOWNS], value: f64, weight: f64) {
        for (i, left) in row.iter().enumerate() {
            self.right[i] += weight * left * value;
            for (j, right) in row.iter().enumerate() {
                self.matrix[i][j] += weight * left * right;
            }
        }
    }

    /// The `x` without negative components that minimises the sum of squares. It solves the normal equations restricted to its
    /// non-zero components, so every subset of the unknowns is tried: 127 for seven.
    pub(super) fn solve(&self) -> [f64; UNKNOWNS] {
        let (mut best, mut least) = ([0.0; UNKNOWNS], 0.0);
        for chosen in 1_u32..1 << UNKNOWNS {
            let unknowns: Vec<usize> = (0..UNKNOWNS).filter(|index| chosen >> index & 1 == 1).collect();
            if unknowns.iter().any(|index| self.matrix[*index][*index] <= 0.0) {
                continue;
            }
            let Some(found) = self.solve_for(&unknowns) else { continue };
            // At a solution the sum of squares is a constant minus this.
            let gain: f64 = found.iter().zip(&self.right).map(|(value, right)| value * right).sum();
            if -gain < least {
                (best, least) = (found, -gain);
            }
        }
        best
    }

    /// The solution with all other unknowns zero, by Cholesky decomposition; `None` if a component is negative or the matrix is
    /// singular.
    fn solve_for(&self, unknowns: &[usize]) -> Option<[f64; UNKNOWNS]> {
        /// Relative increase of the diagonal, which keeps nearly equal columns solvable.
        const RIDGE: f64 = 1e-9;
        let count = unknowns.len();
        let mut lower = [[0.0; UNKNOWNS]; UNKNOWNS];
        for row in 0..count {
            for column in 0..=row {
                let mut sum = self.matrix[unknowns[row]][unknowns[column]];
                if row == column {
                    sum *= 1.0 + RIDGE;
                }
                let sum = sum - (0..column).map(|k| lower[row][k] * lower[column][k]).sum::<f64>();
                if row == column {
                    if sum <= 0.0 {
                        return None;
                    }
                    lower[row][row] = sum.sqrt();
                } else {
                    lower[row][column] = sum / lower[column][column];
                }
            }
        }
        let mut middle = [0.0; UNKNOWNS];
        for row in 0..count {
            let known: f64 = (0..row).map(|k| lower[row][k] * middle[k]).sum();
            middle[row] = (self.right[unknowns[row]] - known) / lower[row][row];
        }
        let mut solution = [0.0; UNKNOWNS];
        for row in (0..count).rev() {
            let known: f64 = (row + 1..count).map(|k| lower[k][row] * solution[unknowns[k]]).sum();
            solution[unknowns[row]] = (middle[row] - known) / lower[row][row];
        }
        unknowns.iter().all(|index| solution[*index] >= 0.0).then_some(solution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> [f64; UNKNOWNS] {
        std::array::from_fn(|index| values.get(index).copied().unwrap_or(0.0))
    }

    #[test]
    fn known_coefficients_are_found() {
        let mut normal = Normal::default();
        for x in 1..8 {
            let x = f64::from(x);
            normal.add(&row(&[1.0, x, x * x]), 2.0 + 3.0 * x, 1.0);
        }
        let found = normal.solve();
        for (found, expected) in found.iter().zip([2.0, 3.0, 0.0]) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn no_coefficient_is_negative() {
        let mut normal = Normal::default();
        for (x, y) in [(1.0, 5.0), (2.0, 4.0), (3.0, 3.0)] {
            normal.add(&row(&[1.0, x]), y, 1.0);
        }
        let found = normal.solve();
        assert!(found.iter().all(|value| *value >= 0.0), "{found:?}");
        assert!((found[0] - 4.0).abs() < 1e-6, "the mean: {found:?}");
        assert_eq!(Normal::default().solve(), [0.0; UNKNOWNS]);
    }
}
