//! When classifier-free guidance acts, and how strongly.

/// Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598) with truncation in time and a bound on the norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// `guided = unconditional + scale (conditional - unconditional)`. At exactly 1 the unconditional half is not computed.
    pub scale: f32,
    /// Guidance acts while `t < until`, strictly, for the shifted time `t` of each evaluation. 1: always.
    pub until: f32,
    /// Bounds the norm of the guided prediction to this multiple of the conditional one's, for each image. 0: no bound.
    pub renorm: f32,
}

impl Guidance {
    /// Whether an evaluation at time `t` needs the unconditional half.
    pub fn is_active(&self, t: f32) -> bool {
        self.scale != 1.0 && t < self.until
    }

    /// Whether there is a time from 0 to 1 at which guidance acts.
    pub fn is_ever_active(&self) -> bool {
        self.is_active(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_is_strict_and_scale_one_is_free() {
        let guidance = Guidance { scale: 4.5, until: 0.25, renorm: 0.0 };
        assert!(guidance.is_active(0.2499) && guidance.is_ever_active());
        assert!(!guidance.is_active(0.25));
        assert!(!Guidance { scale: 1.0, ..guidance }.is_ever_active());
        assert!(!Guidance { until: 0.0, ..guidance }.is_ever_active());
    }
}
