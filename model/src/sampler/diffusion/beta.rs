//! Quantiles of a symmetric beta distribution.

/// Terms of the continued fraction; it converges in far fewer.
const TERMS: usize = 200;
/// Halvings of the interval that holds a quantile: more than an `f64` has digits.
const HALVINGS: usize = 80;

/// The value below which a share `p` of the beta distribution lies whose parameters are both `a`.
pub(super) fn beta_quantile(p: f64, a: f64) -> f64 {
    if p == 0.5 {
        // Symmetry has it exactly, and half of an odd number of times is rounded.
        return 0.5;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if beta_share(middle, a) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function `I_x(a, a)`.
fn beta_share(x: f64, a: f64) -> f64 {
    if x > 0.5 {
        return 1.0 - beta_share(1.0 - x, a);
    }
    if x <= 0.0 {
        return 0.0;
    }
    let log_beta = 2.0 * libm::lgamma(a) - libm::lgamma(2.0 * a);
    (a * (x.ln() + (1.0 - x).ln()) - log_beta).exp() / a / fraction(x, a)
}

/// The continued fraction of the incomplete beta function, `1 + d1 / (1 + d2 / (1 + ..))`, from its end
/// (<https://dlmf.nist.gov/8.17.E22>).
fn fraction(x: f64, a: f64) -> f64 {
    (1..=TERMS).rev().fold(1.0, |rest, n| {
        let m = (n / 2) as f64;
        let term = if n % 2 == 0 {
            m * (a - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (2.0 * a + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        1.0 + term / rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles() {
        // Uniform for a = 1; for a = 1/2 the arcsine distribution, whose quantiles are sin(pi p / 2)^2.
        for p in [0.01, 0.2, 0.5, 0.9, 0.999] {
            assert!((beta_quantile(p, 1.0) - p).abs() < 1e-12, "{p}");
            let arcsine = (std::f64::consts::FRAC_PI_2 * p).sin().powi(2);
            assert!((beta_quantile(p, 0.5) - arcsine).abs() < 1e-12, "{p}");
        }
        assert!((beta_quantile(1.0, 0.6) - 1.0).abs() < 1e-12);
    }
}
