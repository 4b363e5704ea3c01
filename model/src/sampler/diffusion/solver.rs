//! The solvers, over any state and any denoiser.

use std::ops::{ControlFlow, Range};

use super::levels::Step;
use super::multistep::{self, History, Midway};
use super::unipc::{self, Growth};
use crate::sampler::{NoiseLevel, Prediction, State};

/// With fewer steps than this, the last ones of a multistep solver are of lower order.
const FEW_STEPS: usize = 15;

/// How a state is carried from one level to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Solver {
    /// DPM-Solver++ in its multistep form.
    DpmPp {
        /// From 1 to 3; 2 is "2M".
        order: usize,
        /// Of the second order.
        midway: Midway,
        /// Whether the last steps are of lower order if there are fewer than 15.
        lower_order_final: bool,
        /// Whether the last step is of the first order, however many there are.
        euler_at_final: bool,
    },
    /// Along the line through state and predicted data (Karras et al. 2022, <https://arxiv.org/abs/2206.00364>).
    Euler,
    /// Euler to a level below, with fresh noise up to the level.
    EulerAncestral,
    /// Song et al. 2020, <https://arxiv.org/abs/2010.02502>, equation 12.
    Ddim {
        /// The share of fresh noise: 0 draws none, 1 as much as DDPM.
        eta: f64,
    },
    /// A multistep predictor with a corrector.
    UniPc {
        /// 1 or more; 2 is usual.
        order: usize,
        /// The function `B(h)`.
        growth: Growth,
        /// Whether the last steps are of lower order.
        lower_order_final: bool,
    },
}

impl Solver {
    /// DPM-Solver++ of order 2 (Lu et al. 2022), multistep, with the defaults of diffusers.
    pub const DPM_PP_2M: Self =
        Self::DpmPp { order: 2, midway: Midway::Midpoint, lower_order_final: true, euler_at_final: false };
    /// UniPC of order 2 (Zhao et al. 2023) with `bh2`, the default of diffusers.
    pub const UNIPC: Self = Self::UniPc { order: 2, growth: Growth::Bh2, lower_order_final: true };

    /// The scale of the states in diffusers.
    pub fn scale(self) -> Scale {
        match self {
            Self::Euler | Self::EulerAncestral => Scale::GrowingVariance,
            Self::DpmPp { .. } | Self::Ddim { .. } | Self::UniPc { .. } => Scale::ConstantVariance,
        }
    }
}

/// The scale of a state, `x = alpha data + sigma noise`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// `alpha² + sigma² = 1`: what the network reads.
    ConstantVariance,
    /// `alpha = 1`: divided by `sqrt(1 + sigma²)` for the network.
    GrowingVariance,
}

impl Scale {
    /// Converts a level of constant variance to this scale.
    pub fn level(self, level: &NoiseLevel) -> NoiseLevel {
        match self {
            Self::ConstantVariance => *level,
            Self::GrowingVariance => level.variance_exploding(),
        }
    }

    /// Factor from the state to what the network reads.
    fn input_factor(self, level: &NoiseLevel) -> f64 {
        match self {
            Self::ConstantVariance => 1.0,
            Self::GrowingVariance => level.alpha,
        }
    }
}

/// A step that is done.
pub struct Finished<'a, S> {
    /// Its index among all steps of the schedule.
    pub index: usize,
    /// The state reached.
    pub state: &'a S,
    /// The data predicted at the beginning of the step.
    pub data: &'a S,
    /// The noise level reached, in the scale of the state.
    pub level: NoiseLevel,
}

/// Called after every step; may replace the state, and may stop the walk.
pub type Observe<'a, S> = dyn FnMut(&Finished<'_, S>) -> ControlFlow<(), Option<S>> + 'a;

/// How many of `steps` are run to change an image by `strength` (0..=1): the last `floor(steps * strength)`, in `f64` as diffusers
/// computes it. Convert an `f32` by its decimal digits: 0.7 of 30 steps are 21, but the nearest `f32` is smaller and gives 20.
pub fn steps_to_run(steps: usize, strength: f64) -> usize {
    ((steps as f64 * strength).max(0.0) as usize).min(steps)
}

/// A solver on the steps of a schedule, for a network that predicts data or noise in some form.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    /// How a step goes from one noise level to the next.
    pub solver: Solver,
    /// All steps of the schedule.
    pub steps: Vec<Step>,
    /// The scale of the states. [`Solver::DpmPp`] and [`Solver::UniPc`] take either.
    pub scale: Scale,
    /// What the network predicts.
    pub prediction: Prediction,
}

impl Sampler {
    /// Data with noise at the beginning of step `index`, or without it after the last step.
    pub fn add_noise<S: State>(&self, data: &S, noise: &S, index: usize) -> S {
        match self.steps.get(index) {
            Some(step) => {
                let NoiseLevel { alpha, sigma } = self.scale.level(&step.from);
                S::combine(&[(alpha, data), (sigma, noise)])
            }
            None => data.clone(),
        }
    }

    /// Walks the steps of `range` from `start`, a state at the beginning of its first one.
    ///
    /// `denoise(input, time, index)` returns the network's prediction for its scaled input; `noise(index)` draws standard normal
    /// noise for a step of a solver that does so. `observe` is called after every step, may replace the state, and may stop the
    /// walk. Returns the last state, or the index of the step after which the walk stopped.
    pub fn run<S: State>(
        &self,
        range: Range<usize>,
        start: S,
        denoise: &mut dyn FnMut(&S, f64, usize) -> S,
        noise: &mut dyn FnMut(usize) -> S,
        observe: &mut Observe<'_, S>,
    ) -> ControlFlow<usize, S> {
        let mut walk = Walk::new(self);
        let mut x = start;
        for index in range {
            let step = self.steps[index];
            let factor = self.scale.input_factor(&step.from);
            let input = if factor == 1.0 { x.clone() } else { S::combine(&[(factor, &x)]) };
            let output = denoise(&input, step.time, index);
            // The prediction is of the state as the network reads it.
            let data = self.prediction.data(&input, &output, step.from);
            let next = walk.advance(&x, &data, index, noise);
            let level = self.scale.level(&step.to);
            match observe(&Finished { index, state: &next, data: &data, level }) {
                ControlFlow::Break(()) => return ControlFlow::Break(index),
                ControlFlow::Continue(replaced) => x = replaced.unwrap_or(next),
            }
        }
        ControlFlow::Continue(x)
    }
}

/// The state that a solver keeps between steps.
struct Walk<'a, S> {
    sampler: &'a Sampler,
    history: History<S>,
    /// Of UniPC: the last state before its step, and the order of that step.
    last: Option<(S, usize)>,
}

impl<'a, S: State> Walk<'a, S> {
    fn new(sampler: &'a Sampler) -> Self {
        let kept = match sampler.solver {
            Solver::DpmPp { order, .. } | Solver::UniPc { order, .. } => order,
            Solver::Euler | Solver::EulerAncestral | Solver::Ddim { .. } => 0,
        };
        Self { sampler, history: History::new(kept), last: None }
    }

    fn advance(&mut self, x: &S, data: &S, index: usize, noise: &mut dyn FnMut(usize) -> S) -> S {
        let step = self.sampler.steps[index];
        let [from, to] = [step.from, step.to].map(|level| self.sampler.scale.level(&level));
        let total = self.sampler.steps.len();
        match self.sampler.solver {
            Solver::DpmPp { order, midway, lower_order_final, euler_at_final } => {
                self.history.push(data.clone(), from);
                let left = total - index;
                let few = lower_order_final && total < FEW_STEPS;
                let order = match left {
                    1 if euler_at_final || few || to.sigma == 0.0 => 1,
                    2 if few => order.min(2),
                    _ => order,
                };
                multistep::advance(&self.history, x, &to, order, midway)
            }
            Solver::UniPc { order, growth, lower_order_final } => {
                let corrected = match self.last.take() {
                    Some((last, order)) => unipc::correct(&self.history, &last, (data, &from), order, growth),
                    None => x.clone(),
                };
                self.history.push(data.clone(), from);
                // A step that ends without noise has no slope to use.
                let left = if to.sigma == 0.0 { 1 } else { total - index };
                let order = if lower_order_final || to.sigma == 0.0 { order.min(left) } else { order };
                let order = order.min(self.history.entries.len());
                let next = unipc::predict(&self.history, &corrected, &to, order, growth);
                self.last = Some((corrected, order));
                next
            }
            // Both write a state as data and noise, `x = alpha data + sigma noise`.
            Solver::Euler => redirected(x, data, &from, &to, 0.0, None),
            Solver::EulerAncestral => {
                let fresh = fresh_noise(&from, &to);
                let drawn = (to.sigma > 0.0).then(|| noise(index));
                redirected(x, data, &from, &to, fresh, drawn.as_ref())
            }
            Solver::Ddim { eta } => {
                let (kept, from_kept) = (from.alpha / to.alpha, to.sigma / from.sigma);
                let fresh = eta * from_kept * (1.0 - kept * kept).max(0.0).sqrt();
                let drawn = (eta > 0.0).then(|| noise(index));
                redirected(x, data, &from, &to, fresh, drawn.as_ref())
            }
        }
    }
}

/// The deviation of the fresh noise of an ancestral step in the scale of growing variance (k-diffusion's
/// `get_ancestral_step` with `eta` 1).
fn fresh_noise(from: &NoiseLevel, to: &NoiseLevel) -> f64 {
    let (from, to) = (from.sigma, to.sigma);
    to * ((from * from - to * to).max(0.0)).sqrt() / from
}

/// `alpha' data + sqrt(sigma'² - fresh²) noise + fresh drawn` for the noise that `x` and `data` imply.
fn redirected<S: State>(x: &S, data: &S, from: &NoiseLevel, to: &NoiseLevel, fresh: f64, drawn: Option<&S>) -> S {
    let direction = (to.sigma * to.sigma - fresh * fresh).max(0.0).sqrt() / from.sigma;
    let on_data = to.alpha - direction * from.alpha;
    let terms = [(direction, x), (on_data, data)];
    match drawn {
        Some(drawn) if fresh > 0.0 => S::combine(&[terms[0], terms[1], (fresh, drawn)]),
        _ => S::combine(&terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::diffusion::levels::{Curve, Ending, Grid, Spacing, library_steps};
    use crate::sampler::diffusion::table::NoiseTable;

    fn sampler(solver: Solver, prediction: Prediction, steps: usize) -> Sampler {
        let table = NoiseTable::scaled_linear(0.00085, 0.012, 1000);
        let rules = (Spacing::Trailing, Curve::Times, Ending::Zero);
        let grid = match solver {
            Solver::Euler | Solver::EulerAncestral => Grid::Euler,
            Solver::Ddim { .. } => Grid::Ddim,
            Solver::DpmPp { .. } | Solver::UniPc { .. } => Grid::Multistep,
        };
        Sampler { solver, steps: library_steps(&table, grid, rules, steps), scale: solver.scale(), prediction }
    }

    /// Data that is normal with mean `m` and deviation `s` has a perfect denoiser in closed form.
    fn end(sampler: &Sampler, noise: f64) -> f64 {
        let (mean, deviation) = (1.5_f64, 0.4_f64);
        // The first level has a little data in it.
        let start = sampler.add_noise(&vec![mean], &vec![noise], 0);
        let mut denoise = |x: &Vec<f64>, _: f64, index: usize| {
            let NoiseLevel { alpha, sigma } = sampler.steps[index].from;
            let variance = (alpha * deviation).powi(2) + sigma * sigma;
            let data = mean + alpha * deviation * deviation / variance * (x[0] - alpha * mean);
            let noise = sigma / variance * (x[0] - alpha * mean);
            match sampler.prediction {
                Prediction::Epsilon => vec![noise],
                Prediction::V => vec![alpha * noise - sigma * data],
                Prediction::Velocity => vec![data - noise],
            }
        };
        let walk = sampler
            .run(0..sampler.steps.len(), start, &mut denoise, &mut |_| vec![0.0], &mut |_| ControlFlow::Continue(None));
        match walk {
            ControlFlow::Continue(state) => state[0],
            ControlFlow::Break(_) => unreachable!("nothing stops the walk"),
        }
    }

    #[test]
    fn deterministic_solvers_carry_noise_to_the_same_data() {
        for solver in [Solver::DPM_PP_2M, Solver::Euler, Solver::Ddim { eta: 0.0 }, Solver::UNIPC] {
            for prediction in [Prediction::Epsilon, Prediction::V] {
                let found = end(&sampler(solver, prediction, 500), 0.8);
                assert!((found - (1.5 + 0.4 * 0.8)).abs() < 0.02, "{solver:?} {prediction:?}: {found}");
            }
        }
    }

    #[test]
    fn the_second_order_is_nearer_with_as_many_steps() {
        let at = |solver, steps| end(&sampler(solver, Prediction::Epsilon, steps), 0.8);
        let error = |solver| (at(solver, 40) - at(solver, 500)).abs();
        let first =
            Solver::DpmPp { order: 1, midway: Midway::Midpoint, lower_order_final: true, euler_at_final: false };
        assert!(error(Solver::DPM_PP_2M) < 0.8 * error(first), "{} and {}", error(Solver::DPM_PP_2M), error(first));
    }

    #[test]
    fn strengths_are_decimal_numbers() {
        assert_eq!((steps_to_run(30, 0.7), steps_to_run(30, f64::from(0.7_f32))), (21, 20));
        assert_eq!((steps_to_run(20, 0.58), steps_to_run(50, 0.58)), (11, 28));
        assert_eq!((steps_to_run(20, 0.0), steps_to_run(20, 1.0), steps_to_run(20, 0.01)), (0, 20, 0));
    }

    #[test]
    fn the_observer_replaces_and_stops() {
        let sampler = sampler(Solver::Euler, Prediction::Epsilon, 4);
        let walk = sampler.run(0..4, vec![1.0], &mut |x, _, _| vec![x[0]], &mut |_| vec![0.0], &mut |finished| {
            if finished.index == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(Some(vec![7.0])) }
        });
        assert_eq!(walk, ControlFlow::Break(2));
    }
}
