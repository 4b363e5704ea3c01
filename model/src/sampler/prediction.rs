//! What a denoiser predicts, and how it becomes the velocity that the solvers integrate.
//!
//! A noisy state is `x = alpha data + sigma noise`. Divided by `alpha + sigma` it lies on the straight path
//! `t data + (1 - t) noise` with `t = alpha / (alpha + sigma)`, along which the velocity is `data - noise`: the solvers work on
//! that path, whatever the schedule of the model (Lipman et al. 2024, arXiv:2412.06264). So each kind of
//! prediction is solved for data and noise:
//!
//! | prediction | is | data | noise | source |
//! |---|---|---|---|---|
//! | velocity | `data - noise` | `(x + sigma out) / (alpha + sigma)` | `(x - alpha out) / (alpha + sigma)` | Esser et al. 2024, arXiv:2403.03206, section 2 |
//! | epsilon | `noise` | `(x - sigma out) / alpha` | `out` | Ho et al. 2020, arXiv:2006.11239, equation 15 |
//! | v | `alpha noise - sigma data` | `(alpha x - sigma out) / (alpha² + sigma²)` | `(sigma x + alpha out) / (alpha² + sigma²)` | Salimans and Ho 2022, arXiv:2202.00512, appendix D |

use super::State;

/// What a denoiser predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prediction {
    /// `data - noise`, the velocity of the straight path.
    Velocity,
    /// The noise.
    Epsilon,
    /// `alpha noise - sigma data`.
    V,
}

/// The share of data and of noise in a state: `x = alpha data + sigma noise`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    /// Factor of the data, above 0 for [`Prediction::Epsilon`].
    pub alpha: f64,
    /// Factor of the noise.
    pub sigma: f64,
}

impl NoiseLevel {
    /// On the straight path at time `t`: 0 is noise, 1 is data.
    pub fn at(t: f64) -> Self {
        Self { alpha: t, sigma: 1.0 - t }
    }

    /// Of a model that keeps the variance and whose noise is `ratio` times the data: `alpha² + sigma² = 1`. `ratio` is what
    /// k-diffusion and diffusers' Euler scheduler call sigma.
    pub fn variance_preserving(ratio: f64) -> Self {
        let alpha = 1.0 / (1.0 + ratio * ratio).sqrt();
        Self { alpha, sigma: ratio * alpha }
    }

    /// Of a training time of such a model, by its entry of the table `alphas_cumprod`.
    pub fn of_alpha_cumprod(alpha: f64) -> Self {
        Self { alpha: alpha.sqrt(), sigma: (1.0 - alpha).sqrt() }
    }

    /// The ratio of noise to data.
    pub fn ratio(&self) -> f64 {
        self.sigma / self.alpha
    }

    /// The same ratio with an `alpha` of 1, the scale of k-diffusion and of diffusers' Euler scheduler. The noise must not be
    /// pure.
    #[must_use]
    pub fn variance_exploding(&self) -> Self {
        Self { alpha: 1.0, sigma: self.ratio() }
    }

    /// The time on the straight path with the same ratio of noise to data.
    pub fn t(&self) -> f64 {
        self.alpha / (self.alpha + self.sigma)
    }

    /// A state of the straight path at [`t`](Self::t) as the denoiser reads it at this level.
    pub fn input<S: State>(&self, straight: &S) -> S {
        S::combine(&[(self.alpha + self.sigma, straight)])
    }
}

impl Prediction {
    /// The data that an `output` for the state `x` predicts.
    pub fn data<S: State>(self, x: &S, output: &S, level: NoiseLevel) -> S {
        let NoiseLevel { alpha, sigma } = level;
        match self {
            Self::Velocity => S::combine(&[(1.0 / (alpha + sigma), x), (sigma / (alpha + sigma), output)]),
            Self::Epsilon => S::combine(&[(1.0 / alpha, x), (-sigma / alpha, output)]),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                S::combine(&[(alpha / norm, x), (-sigma / norm, output)])
            }
        }
    }

    /// The noise that an `output` for the state `x` predicts.
    pub fn noise<S: State>(self, x: &S, output: &S, level: NoiseLevel) -> S {
        let NoiseLevel { alpha, sigma } = level;
        match self {
            Self::Velocity => S::combine(&[(1.0 / (alpha + sigma), x), (-alpha / (alpha + sigma), output)]),
            Self::Epsilon => output.clone(),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                S::combine(&[(sigma / norm, x), (alpha / norm, output)])
            }
        }
    }

    /// The velocity `data - noise` of the straight path that an `output` for the state `x` predicts. Of
    /// [`Prediction::Velocity`] it is the output itself, bit for bit.
    pub fn velocity<S: State>(self, x: &S, output: &S, level: NoiseLevel) -> S {
        match self {
            Self::Velocity => output.clone(),
            Self::Epsilon | Self::V => {
                let (data, noise) = (self.data(x, output, level), self.noise(x, output, level));
                S::combine(&[(1.0, &data), (-1.0, &noise)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use sakuga_model_core::Solver;

    use super::*;
    use crate::sampler::{Schedule, integrate};

    const ALL: [Prediction; 3] = [Prediction::Velocity, Prediction::Epsilon, Prediction::V];

    /// What a perfect denoiser returns for known data and noise.
    fn output(prediction: Prediction, data: f64, noise: f64, level: NoiseLevel) -> f64 {
        match prediction {
            Prediction::Velocity => data - noise,
            Prediction::Epsilon => noise,
            Prediction::V => level.alpha * noise - level.sigma * data,
        }
    }

    #[test]
    fn known_data_and_noise_come_back() {
        let (data, noise) = (0.7, -1.3);
        for level in
            [NoiseLevel::at(0.25), NoiseLevel::variance_preserving(3.5), NoiseLevel { alpha: 1.0, sigma: 14.6 }]
        {
            let x = vec![level.alpha * data + level.sigma * noise];
            for prediction in ALL {
                let out = vec![output(prediction, data, noise, level)];
                let near = |found: Vec<f64>, expected: f64| {
                    assert!((found[0] - expected).abs() < 1e-12, "{prediction:?} {level:?}: {found:?}, not {expected}");
                };
                near(prediction.data(&x, &out, level), data);
                near(prediction.noise(&x, &out, level), noise);
                near(prediction.velocity(&x, &out, level), data - noise);
            }
        }
    }

    #[test]
    fn levels_and_times_agree() {
        let level = NoiseLevel::variance_preserving(2.0);
        assert!((level.alpha * level.alpha + level.sigma * level.sigma - 1.0).abs() < 1e-12);
        assert!((level.sigma / level.alpha - 2.0).abs() < 1e-12 && (level.t() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(NoiseLevel::at(0.3).t(), 0.3);
        // The straight path's state in the scale of the level.
        let straight = vec![level.t() * 5.0 + (1.0 - level.t()) * 2.0];
        assert!((level.input(&straight)[0] - (level.alpha * 5.0 + level.sigma * 2.0)).abs() < 1e-12);
    }

    /// Data that is normal with mean `m` and deviation `s` has a denoiser in closed form. Noise `n` is carried to the
    /// quantile `m + s n`, whatever is predicted and in whatever scale the denoiser reads the state.
    #[test]
    fn every_prediction_carries_noise_to_the_same_data() {
        let (mean, deviation, start) = (1.5, 0.4, 0.8);
        for prediction in ALL {
            let mut velocity = |x: &Vec<f64>, t: f64| {
                let level = if prediction == Prediction::Velocity || t == 0.0 {
                    NoiseLevel::at(t)
                } else {
                    NoiseLevel::variance_preserving((1.0 - t) / t)
                };
                let x = level.input(x);
                let NoiseLevel { alpha, sigma } = level;
                let variance = (alpha * deviation).powi(2) + sigma * sigma;
                let data = mean + alpha * deviation * deviation / variance * (x[0] - alpha * mean);
                let noise = sigma / variance * (x[0] - alpha * mean);
                // At pure noise an epsilon does not determine the data.
                let asked = if alpha == 0.0 { Prediction::V } else { prediction };
                asked.velocity(&x, &vec![output(asked, data, noise, level)], level)
            };
            let schedule = Schedule::new(Solver::Rk4, 200, 1.0);
            let end = integrate(&schedule, vec![start], &mut velocity, &mut |_| ControlFlow::Continue(()));
            let ControlFlow::Continue(end) = end else { panic!("nothing stops the walk") };
            let expected = mean + deviation * start;
            assert!((end[0] - expected).abs() < 1e-4, "{prediction:?}: {} instead of {expected}", end[0]);
        }
    }
}
