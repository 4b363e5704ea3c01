//! The solvers, over any state and any velocity field.
//!
//! Formulas: Euler, the explicit midpoint rule and the 3/8 rule as `torchdiffeq` takes them on a fixed grid;
//! DPM-Solver++ (2M) as in `transport/dpm_solver.py` of the model's repository. For the latter the data prediction is
//! written as `x + sigma v` and `alpha expm1(-h)` as `alpha_s sigma_t / sigma_s - alpha_t`, which stay exact at both ends
//! where the reference's `1 / (1 - sigma)` and `log(alpha / sigma)` do not.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sakuga_model_core::Solver;

use super::schedule::Schedule;

/// Something that a solver can move: it only needs linear combinations.
pub trait State: Clone {
    /// `sum of factor * state`; `terms` is never empty.
    fn combine(terms: &[(f64, &Self)]) -> Self;
}

impl<const D: usize> State for Tensor<D> {
    fn combine(terms: &[(f64, &Self)]) -> Self {
        let scaled = |&(factor, state): &(f64, &Self)| {
            if factor == 1.0 { state.clone() } else { state.clone().mul_scalar(factor) }
        };
        let (first, rest) = terms.split_first().expect("a combination has terms");
        rest.iter().fold(scaled(first), |sum, term| sum.add(scaled(term)))
    }
}

impl State for Vec<f64> {
    fn combine(terms: &[(f64, &Self)]) -> Self {
        let length = terms.first().map_or(0, |(_, state)| state.len());
        (0..length).map(|i| terms.iter().map(|(factor, state)| factor * state[i]).sum()).collect()
    }
}

/// One interval that a solver has just finished.
pub struct Interval<'a, S> {
    /// From 1 to `total`.
    pub index: usize,
    /// All intervals that are walked.
    pub total: usize,
    /// Time at the start of the interval.
    pub t_start: f64,
    /// Time reached.
    pub t: f64,
    /// `1 - t`, exact near both ends.
    pub sigma: f64,
    /// Evaluations of the velocity so far.
    pub evaluations: usize,
    /// The state reached.
    pub state: &'a S,
    start: &'a S,
    start_velocity: &'a S,
    start_sigma: f64,
}

impl<S: State> Interval<'_, S> {
    /// Where the velocity at the start of the interval leads in a straight line: `x + (1 - t) v`.
    pub fn predicted_data(&self) -> S {
        S::combine(&[(1.0, self.start), (self.start_sigma, self.start_velocity)])
    }
}

/// Carries `noise` along `schedule`. `velocity(x, t)` is called in the order of the reference; `observe` is called after
/// every interval and may stop the walk.
///
/// Returns the state at t = 1, or the number of intervals done when `observe` broke off.
pub fn integrate<S: State>(
    schedule: &Schedule,
    noise: S,
    velocity: &mut dyn FnMut(&S, f64) -> S,
    observe: &mut dyn FnMut(&Interval<'_, S>) -> ControlFlow<()>,
) -> ControlFlow<usize, S> {
    integrate_from(schedule, 0, noise, velocity, &mut |state, _| state, observe)
}

/// As [`integrate`], from point `first` of the grid on, with `start` the state there. `constrain(state, point)` gets the state
/// that was reached at every later point and returns the one to go on from.
pub fn integrate_from<S: State>(
    schedule: &Schedule,
    first: usize,
    start: S,
    velocity: &mut dyn FnMut(&S, f64) -> S,
    constrain: &mut dyn FnMut(S, usize) -> S,
    observe: &mut dyn FnMut(&Interval<'_, S>) -> ControlFlow<()>,
) -> ControlFlow<usize, S> {
    let total = schedule.intervals().saturating_sub(first);
    let mut multistep = Multistep::default();
    let mut state = start;
    for i in first..first + total {
        let (t, t_next) = (schedule.times()[i], schedule.times()[i + 1]);
        let start_velocity = velocity(&state, t);
        let next = match schedule.solver() {
            Solver::Euler | Solver::Ddim | Solver::EulerAncestral | Solver::UniPc => {
                S::combine(&[(1.0, &state), (t_next - t, &start_velocity)])
            }
            Solver::Midpoint => midpoint(&state, &start_velocity, t, t_next, velocity),
            Solver::Rk4 => three_eighths(&state, &start_velocity, t, t_next, velocity),
            Solver::Dpm => multistep.advance(&state, &start_velocity, schedule.sigmas(), i),
        };
        let next = constrain(next, i + 1);
        let interval = Interval {
            index: i + 1 - first,
            total,
            t_start: t,
            t: t_next,
            sigma: schedule.sigmas()[i + 1],
            evaluations: (i + 1 - first) * schedule.solver().evaluations_per_step() as usize,
            state: &next,
            start: &state,
            start_velocity: &start_velocity,
            start_sigma: schedule.sigmas()[i],
        };
        if observe(&interval).is_break() {
            return ControlFlow::Break(i + 1 - first);
        }
        state = next;
    }
    ControlFlow::Continue(state)
}

fn midpoint<S: State>(x: &S, k1: &S, t: f64, t_next: f64, velocity: &mut dyn FnMut(&S, f64) -> S) -> S {
    let dt = t_next - t;
    let middle = S::combine(&[(1.0, x), (0.5 * dt, k1)]);
    let k2 = velocity(&middle, t + 0.5 * dt);
    S::combine(&[(1.0, x), (dt, &k2)])
}

fn three_eighths<S: State>(x: &S, k1: &S, t: f64, t_next: f64, velocity: &mut dyn FnMut(&S, f64) -> S) -> S {
    let dt = t_next - t;
    let third = dt / 3.0;
    let k2 = velocity(&S::combine(&[(1.0, x), (third, k1)]), t + third);
    let k3 = velocity(&S::combine(&[(1.0, x), (dt, &k2), (-third, k1)]), t + 2.0 * third);
    let k4 = velocity(&S::combine(&[(1.0, x), (dt, k1), (-dt, &k2), (dt, &k3)]), t_next);
    let eighth = dt / 8.0;
    S::combine(&[(1.0, x), (eighth, k1), (3.0 * eighth, &k2), (3.0 * eighth, &k3), (eighth, &k4)])
}

/// The state that DPM-Solver++ (2M) keeps between steps: the last data prediction and the step in `lambda = ln(alpha /
/// sigma)` after it.
struct Multistep<S> {
    previous: Option<(S, f64)>,
}

impl<S> Default for Multistep<S> {
    fn default() -> Self {
        Self { previous: None }
    }
}

impl<S: State> Multistep<S> {
    fn advance(&mut self, x: &S, velocity: &S, sigmas: &[f64], i: usize) -> S {
        let (sigma_s, sigma_t) = (sigmas[i], sigmas[i + 1]);
        let (alpha_s, alpha_t) = (1.0 - sigma_s, 1.0 - sigma_t);
        let data = S::combine(&[(1.0, x), (sigma_s, velocity)]);
        let ratio = sigma_t / sigma_s;
        let decay = alpha_s * ratio - alpha_t;
        let is_last = i + 2 == sigmas.len();
        let lambda = |sigma: f64| (1.0 - sigma).ln() - sigma.ln();
        // The last step ends at sigma = 0, where lambda is infinite; it is of order 1 and does not use lambda.
        let step = (!is_last).then(|| lambda(sigma_t) - lambda(sigma_s));
        let next = match (&self.previous, step) {
            (Some((earlier, earlier_step)), Some(step)) => {
                let half_slope = 0.5 * decay * step / earlier_step;
                S::combine(&[(ratio, x), (-(decay + half_slope), &data), (half_slope, earlier)])
            }
            _ => S::combine(&[(ratio, x), (-decay, &data)]),
        };
        self.previous = step.map(|step| (data, step));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::SOLVERS;

    fn run(solver: Solver, intervals: usize, shift: f64) -> (Vec<f64>, usize) {
        let mut calls = 0;
        // dx/dt = -(1 + t) x has the solution exp(-t - t^2 / 2).
        let end = integrate(
            &Schedule::new(solver, intervals, shift),
            vec![1.0],
            &mut |x: &Vec<f64>, t| {
                calls += 1;
                vec![-(1.0 + t) * x[0]]
            },
            &mut |_| ControlFlow::Continue(()),
        );
        match end {
            ControlFlow::Continue(state) => (state, calls),
            ControlFlow::Break(_) => unreachable!("nothing stops the walk"),
        }
    }

    fn error(solver: Solver, intervals: usize) -> f64 {
        (run(solver, intervals, 1.0).0[0] - (-1.5f64).exp()).abs()
    }

    #[test]
    fn halving_the_step_shows_the_order() {
        for (solver, order) in [(Solver::Euler, 1), (Solver::Midpoint, 2), (Solver::Rk4, 4)] {
            let gain = error(solver, 32) / error(solver, 64);
            let expected = f64::from(1u32 << order);
            assert!((gain / expected - 1.0).abs() < 0.25, "{solver}: {gain} instead of {expected}");
        }
    }

    #[test]
    fn a_constant_velocity_is_followed_exactly() {
        // Data - noise does not change along a straight path: every solver must land on the data.
        for solver in SOLVERS {
            let schedule = Schedule::new(solver, 5, 6.0);
            let end =
                integrate(&schedule, vec![2.0, -1.0], &mut |_, _| vec![-1.5, 3.0], &mut |_| ControlFlow::Continue(()));
            let ControlFlow::Continue(end) = end else {
                panic!("{solver} stopped");
            };
            let reach = if solver == Solver::Dpm { schedule.sigmas()[0] } else { 1.0 };
            assert!((end[0] - (2.0 - 1.5 * reach)).abs() < 1e-12, "{solver}");
            assert!((end[1] - (-1.0 + 3.0 * reach)).abs() < 1e-12, "{solver}");
        }
    }

    #[test]
    fn evaluations_are_counted() {
        for solver in SOLVERS {
            let (_, calls) = run(solver, 7, 6.0);
            assert_eq!(calls, 7 * solver.evaluations_per_step() as usize, "{solver}");
        }
    }

    #[test]
    fn the_observer_stops_the_walk() {
        let stopped =
            integrate(&Schedule::new(Solver::Euler, 9, 6.0), vec![0.0], &mut |_, _| vec![1.0], &mut |interval| {
                if interval.index == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        assert_eq!(stopped, ControlFlow::Break(4));
    }

    /// Data with the noise of a later point is carried to the same data, and only the rest of the grid is walked.
    #[test]
    fn a_walk_can_begin_at_a_later_point() {
        let (data, noise) = (0.5, 2.0);
        for solver in SOLVERS {
            let schedule = Schedule::new(solver, 9, 6.0);
            let (t, sigma) = (schedule.times()[4], schedule.sigmas()[4]);
            let (mut calls, mut steps) = (0, Vec::new());
            let end = integrate_from(
                &schedule,
                4,
                vec![t * data + sigma * noise],
                &mut |_, _| {
                    calls += 1;
                    vec![data - noise]
                },
                &mut |state, _| state,
                &mut |interval| {
                    steps.push((interval.index, interval.total));
                    ControlFlow::Continue(())
                },
            );
            let ControlFlow::Continue(end) = end else { panic!("{solver} stopped") };
            assert!((end[0] - data).abs() < 1e-12, "{solver}: {end:?}");
            assert_eq!(calls, 5 * solver.evaluations_per_step() as usize, "{solver}");
            assert_eq!(steps, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)], "{solver}");
        }
    }

    #[test]
    fn the_next_step_goes_on_from_the_constrained_state() {
        let schedule = Schedule::new(Solver::Euler, 4, 1.0);
        let mut points = Vec::new();
        let end = integrate_from(
            &schedule,
            1,
            vec![0.25],
            &mut |_, _| vec![1.0],
            &mut |state, point| {
                points.push(point);
                vec![state[0] + 1.0]
            },
            &mut |_| ControlFlow::Continue(()),
        );
        assert_eq!((end, points), (ControlFlow::Continue(vec![4.0]), vec![2, 3, 4]));
    }

    #[test]
    fn one_interval_and_none() {
        for solver in SOLVERS {
            assert!(run(solver, 1, 6.0).0[0].is_finite(), "{solver}");
            assert_eq!(run(solver, 0, 6.0).0, vec![1.0], "{solver}");
        }
    }
}
