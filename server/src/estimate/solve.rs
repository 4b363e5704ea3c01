//! Non-negative least squares for a few unknowns.

/// Unknowns of a fit.
pub(super) const UNKNOWNS: usize = 11;

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

    /// The `x` without negative components that minimises the sum of squares: the active set method of Lawson and Hanson, Solving Least
    /// Squares Problems (1974), chapter 23, on the normal equations.
    pub(super) fn solve(&self) -> [f64; UNKNOWNS] {
        /// Smallest decrease of the sum of squares, relative to the one of the best component alone, for which a component is added.
        const LEAST_GAIN: f64 = 1e-12;
        /// More rounds than a solution takes.
        const ROUNDS: usize = 4 * UNKNOWNS;
        let mut solution = [0.0; UNKNOWNS];
        let mut is_free = [false; UNKNOWNS];
        let mut is_refused = [false; UNKNOWNS];
        let mut most = 0.0_f64;
        for _ in 0..ROUNDS {
            let Some((added, gain)) = self.steepest(&solution, |index| !is_free[index] && !is_refused[index]) else {
                break;
            };
            most = most.max(gain);
            if gain <= LEAST_GAIN * most {
                break;
            }
            is_free[added] = true;
            loop {
                let Some(wanted) = self.solve_for(&is_free) else {
                    (is_free[added], is_refused[added]) = (false, true);
                    break;
                };
                // The component that becomes zero first on the way to what is wanted, and the share of the way to there.
                let share = |index: usize| {
                    let way = solution[index] - wanted[index];
                    if way > 0.0 { solution[index] / way } else { 0.0 }
                };
                let blocking = (0..UNKNOWNS).filter(|index| is_free[*index] && wanted[*index] <= 0.0);
                let blocking =
                    blocking.map(|index| (index, share(index))).min_by(|one, other| one.1.total_cmp(&other.1));
                let Some((first, share)) = blocking else {
                    // A component that was refused may fit with the others of now.
                    (solution, is_refused) = (wanted, [false; UNKNOWNS]);
                    break;
                };
                if first == added {
                    // By rounding: its increase alone would decrease the sum.
                    (is_free[added], is_refused[added]) = (false, true);
                    break;
                }
                solution.iter_mut().zip(wanted).for_each(|(value, wanted)| *value += share * (wanted - *value));
                (is_free[first], solution[first]) = (false, 0.0);
            }
        }
        solution
    }

    /// Of the components that `may` change, the one whose increase alone would decrease the sum of squares most, and by how much.
    fn steepest(&self, solution: &[f64; UNKNOWNS], may: impl Fn(usize) -> bool) -> Option<(usize, f64)> {
        let gain = |index: usize| {
            let diagonal = self.matrix[index][index];
            let slope = self.right[index] - self.matrix[index].iter().zip(solution).map(|(a, x)| a * x).sum::<f64>();
            (diagonal > 0.0 && slope > 0.0).then(|| (index, slope * slope / diagonal))
        };
        (0..UNKNOWNS).filter(|index| may(*index)).filter_map(gain).max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The solution with all components but the free ones zero, by Cholesky decomposition; `None` if the matrix is singular.
    fn solve_for(&self, is_free: &[bool; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
        /// Relative increase of the diagonal, which keeps nearly equal columns solvable.
        const RIDGE: f64 = 1e-9;
        let mut unknowns = [0; UNKNOWNS];
        let mut count = 0;
        for index in (0..UNKNOWNS).filter(|index| is_free[*index]) {
            unknowns[count] = index;
            count += 1;
        }
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
        Some(solution)
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

    /// Numbers between -0.3 and 1 that look random: a linear congruential generator with the constants of Numerical Recipes.
    fn draw(state: &mut u32) -> f64 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1.3 * f64::from(*state >> 8) / f64::from(1_u32 << 24) - 0.3
    }

    #[test]
    fn nothing_near_the_solution_is_better() {
        let mut state = 1;
        for _ in 0..200 {
            let mut equations = Vec::new();
            let mut normal = Normal::default();
            for _ in 0..12 {
                let row: [f64; UNKNOWNS] = std::array::from_fn(|_| draw(&mut state).max(0.0));
                let value = draw(&mut state);
                normal.add(&row, value, 1.0);
                equations.push((row, value));
            }
            let squares = |x: &[f64; UNKNOWNS]| -> f64 {
                let error =
                    |(row, value): &([f64; UNKNOWNS], f64)| row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - value;
                equations.iter().map(|equation| error(equation).powi(2)).sum()
            };
            let found = normal.solve();
            assert!(found.iter().all(|value| *value >= 0.0), "{found:?}");
            for index in 0..UNKNOWNS {
                for change in [-1e-3, 1e-3] {
                    let mut other = found;
                    other[index] = (other[index] + change).max(0.0);
                    assert!(squares(&other) >= squares(&found) - 1e-9, "{index}: {found:?}");
                }
            }
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
