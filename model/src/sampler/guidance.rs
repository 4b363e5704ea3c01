//! Classifier-free guidance with truncation and renormalisation.
//!
//! Ho and Salimans 2022 (arXiv:2207.12598); truncation and the bound on the norm as `forward_with_cfg` in the model's
//! own `models/model.py` has them, the latter per sample so that an image does not depend on its batch.

use burn::tensor::Tensor;

/// How the conditional and the unconditional velocity are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// `v = u + scale (c - u)`.
    pub scale: f32,
    /// Guidance is active while `t < until`, strictly, for the shifted time `t` of each evaluation. 1 or more: always.
    pub until: f32,
    /// Bounds `|v|` to this multiple of `|c|`, per sample. 0: no bound.
    pub renorm: f32,
}

impl Guidance {
    /// Whether an evaluation at time `t` needs the unconditional half. A scale of exactly 1 never does.
    pub fn is_active(&self, t: f32) -> bool {
        self.scale != 1.0 && t < self.until
    }

    /// The guided velocity.
    ///
    /// # Shapes
    ///
    /// - conditional, unconditional: `[batch, channels, height, width]` in f32
    /// - output: the same
    pub fn combine(&self, conditional: Tensor<4>, unconditional: Tensor<4>) -> Tensor<4> {
        let difference = conditional.clone().sub(unconditional.clone());
        let guided = unconditional.add(difference.mul_scalar(self.scale));
        if self.renorm <= 0.0 {
            return guided;
        }
        let bound = norms(conditional).mul_scalar(self.renorm);
        // A velocity of zero has nothing to bound; the floor keeps 0 / 0 out.
        let factor = bound.div(norms(guided.clone()).clamp_min(f32::MIN_POSITIVE)).clamp_max(1.0);
        guided.mul(factor)
    }
}

/// Euclidean norm of each sample: `[batch, c, h, w]` to `[batch, 1, 1, 1]`.
fn norms(x: Tensor<4>) -> Tensor<4> {
    x.square().sum_dims(&[1, 2, 3]).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn rows(values: [[f32; 2]; 2]) -> Tensor<4> {
        let data = TensorData::new(values.concat(), [2, 2, 1, 1]);
        Tensor::from_data(data, &Device::flex())
    }

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.try_into_vec_as::<f32>().expect("f32 on the CPU")
    }

    #[test]
    fn truncation_is_strict_and_scale_one_is_free() {
        let guidance = Guidance { scale: 4.5, until: 0.25, renorm: 0.0 };
        assert!(guidance.is_active(0.2499));
        assert!(!guidance.is_active(0.25));
        let plain = Guidance { scale: 1.0, ..guidance };
        assert!(!plain.is_active(0.0));
    }

    #[test]
    fn the_bound_holds_for_each_row_on_its_own() {
        let conditional = rows([[3.0, 4.0], [1.0, 0.0]]);
        let unconditional = rows([[0.0, 0.0], [1.0, 0.0]]);
        let guidance = Guidance { scale: 2.0, until: 1.0, renorm: 1.0 };
        // Row 0 doubles to norm 10 and is scaled back to 5; row 1 is already within its bound.
        let guided = values(guidance.combine(conditional, unconditional));
        for (value, expected) in guided.iter().zip([3.0, 4.0, 1.0, 0.0]) {
            assert!((value - expected).abs() < 1e-6, "{guided:?}");
        }
    }

    #[test]
    fn zero_velocities_stay_zero() {
        let guidance = Guidance { scale: 2.0, until: 1.0, renorm: 1.0 };
        let zero = rows([[0.0; 2]; 2]);
        assert_eq!(values(guidance.combine(zero.clone(), zero)), vec![0.0; 4]);
    }
}
