//! What a denoiser predicts, and how the data is read from it.
//!
//! A noisy state is `x = alpha data + sigma noise`. Each kind of prediction is solved for the data, which is what the solvers of
//! [`diffusion`](super::diffusion) work on:
//!
//! | prediction | is | data | source |
//! |---|---|---|---|
//! | velocity | `data - noise` | `(x + sigma out) / (alpha + sigma)` | Esser et al. 2024, arXiv:2403.03206, section 2 |
//! | epsilon | `noise` | `(x - sigma out) / alpha` | Ho et al. 2020, arXiv:2006.11239, equation 15 |
//! | v | `alpha noise - sigma data` | `(alpha x - sigma out) / (alpha² + sigma²)` | Salimans and Ho 2022, arXiv:2202.00512, appendix D |

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

    /// The time on the straight path `t data + (1 - t) noise` with the same ratio of noise to data: what previews and the
    /// interval of guidance go by, whatever the schedule of the model.
    pub fn t(&self) -> f64 {
        self.alpha / (self.alpha + self.sigma)
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn known_data_comes_back() {
        let (data, noise) = (0.7, -1.3);
        for level in [
            NoiseLevel { alpha: 0.25, sigma: 0.75 },
            NoiseLevel::variance_preserving(3.5),
            NoiseLevel { alpha: 1.0, sigma: 14.6 },
        ] {
            let x = vec![level.alpha * data + level.sigma * noise];
            for prediction in ALL {
                let out = vec![output(prediction, data, noise, level)];
                let found = prediction.data(&x, &out, level)[0];
                assert!((found - data).abs() < 1e-12, "{prediction:?} {level:?}: {found}, not {data}");
            }
        }
    }

    #[test]
    fn levels_and_times_agree() {
        let level = NoiseLevel::variance_preserving(2.0);
        assert!((level.alpha * level.alpha + level.sigma * level.sigma - 1.0).abs() < 1e-12);
        assert!((level.sigma / level.alpha - 2.0).abs() < 1e-12 && (level.t() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(level.variance_exploding(), NoiseLevel { alpha: 1.0, sigma: level.ratio() });
    }
}
