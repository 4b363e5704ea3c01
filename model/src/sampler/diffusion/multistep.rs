//! DPM-Solver++ in its multistep form (Lu et al. 2022, <https://arxiv.org/abs/2211.01095>, algorithm 2 and appendix), as
//! diffusers' `DPMSolverMultistepScheduler` takes it.
//!
//! With `lambda = ln(alpha / sigma)` and `h` its growth in a step, `alpha expm1(-h)` is written as
//! `alpha_t (sigma_t alpha_s / (alpha_t sigma_s) - 1)`, which stays exact where the step ends without noise and `h` is infinite.

use crate::sampler::{NoiseLevel, State};

/// How the second order uses the slope of the data prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Midway {
    /// As at the middle of the step.
    Midpoint,
    /// As the mean over the step.
    Heun,
}

/// `ln(alpha / sigma)`, half the logarithm of the signal-to-noise ratio.
pub(super) fn lambda(level: &NoiseLevel) -> f64 {
    -level.ratio().ln()
}

/// `exp(-h)` for a step between two levels.
pub(super) fn decay(from: &NoiseLevel, to: &NoiseLevel) -> f64 {
    to.ratio() / from.ratio()
}

/// Data predictions of the last steps, the latest first, with the level at which each was made.
#[derive(Debug)]
pub(super) struct History<S> {
    pub(super) entries: Vec<(S, NoiseLevel)>,
    kept: usize,
}

impl<S: State> History<S> {
    /// An empty history that keeps the latest `kept` entries.
    pub(super) fn new(kept: usize) -> Self {
        Self { entries: Vec::new(), kept }
    }

    pub(super) fn push(&mut self, data: S, level: NoiseLevel) {
        self.entries.insert(0, (data, level));
        self.entries.truncate(self.kept);
    }
}

/// The state at `to`, from `x` at the level of the latest prediction, by at most this order and as many predictions as
/// there are.
pub(super) fn advance<S: State>(history: &History<S>, x: &S, to: &NoiseLevel, order: usize, midway: Midway) -> S {
    let (m0, from) = &history.entries[0];
    let decay = decay(from, to);
    // `-alpha_t (exp(-h) - 1)`
    let weight = to.alpha * (1.0 - decay);
    let base = [(to.sigma / from.sigma, x), (weight, m0)];
    let h = lambda(to) - lambda(from);
    // `(exp(-h) - 1) / h + 1` and `(exp(-h) - 1 + h) / h² - 1/2`
    let (first, second) = ((decay - 1.0) / h + 1.0, (decay - 1.0 + h) / (h * h) - 0.5);
    match (history.entries.as_slice(), order) {
        ([_, (m1, l1), (m2, l2), ..], 3..) => {
            let (h0, h1) = (lambda(from) - lambda(l1), lambda(l1) - lambda(l2));
            let (r0, r1) = (h0 / h, h1 / h);
            // D1 = d0 + r0 / (r0 + r1) (d0 - d1), D2 = (d0 - d1) / (r0 + r1), d0 = (m0 - m1) / r0, d1 = (m1 - m2) / r1
            let on_d0 = to.alpha * (first * (1.0 + r0 / (r0 + r1)) - second / (r0 + r1));
            let on_d1 = to.alpha * (second / (r0 + r1) - first * r0 / (r0 + r1));
            let [a, b] = [on_d0 / r0, on_d1 / r1];
            S::combine(&[base[0], (weight + a, m0), (b - a, m1), (-b, m2)])
        }
        ([_, (m1, l1), ..], 2..) => {
            let ratio = (lambda(from) - lambda(l1)) / h;
            let slope = match midway {
                Midway::Midpoint => 0.5 * weight / ratio,
                Midway::Heun => to.alpha * first / ratio,
            };
            S::combine(&[base[0], (weight + slope, m0), (-slope, m1)])
        }
        _ => S::combine(&base),
    }
}
