//! Grids of times, computed in `f64`.
//!
//! Everything in this crate counts *intervals*. The model's own demo counts the *points* of its ODE grids
//! (`num_sampling_steps = 18` are 18 points and 17 intervals) but the *steps* of its DPM solver, which are intervals.
//! `points - 1` turns the former into ours:
//!
//! | solver   | demo's number | our `intervals` | evaluations per interval |
//! |----------|---------------|-----------------|--------------------------|
//! | Euler    | points        | points - 1      | 1                        |
//! | midpoint | points        | points - 1      | 2                        |
//! | RK4      | points        | points - 1      | 4                        |
//! | DPM      | steps         | steps           | 1                        |

use sakuga_model_core::Solver;

/// The solvers for flow matching. [`Schedule`] and [`integrate`](super::integrate) take no others: models refuse them before.
pub const SOLVERS: [Solver; 4] = [Solver::Euler, Solver::Midpoint, Solver::Rk4, Solver::Dpm];

/// The sigma at which DPM's uniform flow times begin, before the shift. The reference stops short of pure noise because
/// its own data prediction divides by `1 - sigma`; ours does not, but the grid is part of the result.
const DPM_SIGMA_START: f64 = 1.0 - 1e-3;

/// Moves a time towards noise: `t / (t + shift - shift t)`, which is `shift sigma / (1 + (shift - 1) sigma)` for
/// `sigma = 1 - t` (Esser et al. 2024, arXiv:2403.03206, section 5.3.2). A shift of 1 changes nothing.
fn shift_time(t: f64, shift: f64) -> f64 {
    t / (t + shift - shift * t)
}

/// `intervals + 1` equidistant times from 0 to 1, shifted: the grid of the ODE solvers.
pub fn ode_times(intervals: usize, shift: f64) -> Vec<f64> {
    (0..=intervals).map(|i| shift_time(i as f64 / intervals.max(1) as f64, shift)).collect()
}

/// `intervals + 1` sigmas from `shift(0.999)` down to exactly 0: the grid of the DPM solver.
pub fn dpm_sigmas(intervals: usize, shift: f64) -> Vec<f64> {
    let last = intervals.max(1) as f64;
    (0..=intervals)
        .map(|i| {
            let sigma = DPM_SIGMA_START * (intervals - i) as f64 / last;
            shift * sigma / (1.0 + (shift - 1.0) * sigma)
        })
        .collect()
}

/// A solver together with the grid it walks.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    solver: Solver,
    /// `1 - t` for each point. Kept next to `times` because DPM's first sigma is close to 1, where `1 - t` loses digits.
    sigmas: Vec<f64>,
    times: Vec<f64>,
}

impl Schedule {
    /// The grid of `solver`, one of [`SOLVERS`], with this number of intervals and this time shift.
    pub fn new(solver: Solver, intervals: usize, shift: f64) -> Self {
        debug_assert!(SOLVERS.contains(&solver), "{solver} is not for flow matching");
        match solver {
            Solver::Dpm => {
                let sigmas = dpm_sigmas(intervals, shift);
                let times = sigmas.iter().map(|sigma| 1.0 - sigma).collect();
                Self { solver, sigmas, times }
            }
            // DDIM without fresh noise is Euler's rule on a straight path; the others never come here.
            Solver::Euler | Solver::Midpoint | Solver::Rk4 | Solver::Ddim | Solver::EulerAncestral | Solver::UniPc => {
                let times = ode_times(intervals, shift);
                let sigmas = times.iter().map(|t| 1.0 - t).collect();
                Self { solver, sigmas, times }
            }
        }
    }

    /// The solver that the grid was made for.
    pub fn solver(&self) -> Solver {
        self.solver
    }

    /// The number of intervals.
    pub fn intervals(&self) -> usize {
        self.times.len() - 1
    }

    /// The times, one more than there are intervals. The last is 1.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The sigmas, one more than there are intervals. The last is 0.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_one_is_the_identity() {
        for t in [0.0, 0.25, 0.5, 1.0] {
            assert_eq!(shift_time(t, 1.0), t);
        }
    }

    #[test]
    fn seventeen_intervals_at_shift_six() {
        let times = ode_times(17, 6.0);
        assert_eq!(times.len(), 18);
        assert_eq!((times[0], times[17]), (0.0, 1.0));
        for (i, expected) in [(1, 0.0103), (8, 0.1290), (12, 0.2857), (16, 0.7273)] {
            assert!((times[i] - expected).abs() < 5e-5, "{i}: {}", times[i]);
        }
    }

    #[test]
    fn dpm_starts_below_one_and_ends_at_zero() {
        let schedule = Schedule::new(Solver::Dpm, 20, 6.0);
        assert_eq!(schedule.intervals(), 20);
        assert!((schedule.sigmas()[0] - 6.0 * 0.999 / 5.995).abs() < 1e-12);
        assert_eq!(schedule.sigmas()[20], 0.0);
        assert_eq!(schedule.times()[20], 1.0);
    }
}
