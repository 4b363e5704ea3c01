//! Classifier-free guidance: mixing the conditional and the unconditional prediction.
//!
//! Ho and Salimans 2022 (arXiv:2207.12598). Truncation, which is [`Guidance::is_active`], and the bound on the norm are those
//! of `forward_with_cfg` in NewBie's `models/model.py`, the latter for each sample, so that an image does not depend on its
//! batch.

use burn::tensor::Tensor;
use sakuga_model_core::Guidance;

/// The guided prediction.
///
/// # Shapes
///
/// - conditional, unconditional: `[batch, channels, height, width]` in f32
/// - output: the same
pub fn combine(guidance: &Guidance, conditional: Tensor<4>, unconditional: Tensor<4>) -> Tensor<4> {
    let difference = conditional.clone().sub(unconditional.clone());
    let guided = unconditional.add(difference.mul_scalar(guidance.scale));
    let guided = bounded(guidance.renorm, guided, &conditional);
    if guidance.rescale > 0.0 { rescale(guided, &conditional, f64::from(guidance.rescale)) } else { guided }
}

/// The guided prediction, its norm at most `renorm` times the conditional one's for each sample; 0: without a bound.
fn bounded(renorm: f32, guided: Tensor<4>, conditional: &Tensor<4>) -> Tensor<4> {
    if renorm <= 0.0 {
        return guided;
    }
    let bound = norms(conditional.clone()).mul_scalar(renorm);
    // A prediction of zero has nothing to bound; the floor keeps 0 / 0 out.
    let factor = bound.div(norms(guided.clone()).clamp_min(f32::MIN_POSITIVE)).clamp_max(1.0);
    guided.mul(factor)
}

/// Scales a guided prediction towards the deviation of the conditional one and mixes both by `share`: 0 keeps the guided one
/// (Lin et al. 2023, <https://arxiv.org/abs/2305.08891>, section 3.4). The deviation is over all axes but the first, with
/// N - 1.
///
/// # Shapes
///
/// - guided, conditional: `[batch, channels, height, width]` in f32
/// - output: the same
pub fn rescale(guided: Tensor<4>, conditional: &Tensor<4>, share: f64) -> Tensor<4> {
    let factor = deviations(conditional.clone()).div(deviations(guided.clone()).clamp_min(f32::MIN_POSITIVE));
    let scaled = guided.clone().mul(factor);
    scaled.mul_scalar(share).add(guided.mul_scalar(1.0 - share))
}

/// Standard deviation of each sample: `[batch, c, h, w]` to `[batch, 1, 1, 1]`.
fn deviations(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let rows = x.reshape([batch, channels * height * width]);
    rows.var(1).sqrt().reshape([batch, 1, 1, 1])
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
    fn the_bound_holds_for_each_row_on_its_own() {
        let conditional = rows([[3.0, 4.0], [1.0, 0.0]]);
        let unconditional = rows([[0.0, 0.0], [1.0, 0.0]]);
        let guidance = Guidance { renorm: 1.0, ..Guidance::new(2.0) };
        // Row 0 doubles to norm 10 and is scaled back to 5; row 1 is already within its bound.
        let guided = values(combine(&guidance, conditional, unconditional));
        for (value, expected) in guided.iter().zip([3.0, 4.0, 1.0, 0.0]) {
            assert!((value - expected).abs() < 1e-6, "{guided:?}");
        }
    }

    #[test]
    fn rescaling_gives_the_conditional_deviation() {
        let guided = rows([[0.0, 4.0], [1.0, 3.0]]);
        let conditional = rows([[0.0, 1.0], [5.0, 7.0]]);
        assert_eq!(values(rescale(guided.clone(), &conditional, 1.0)), [0.0, 1.0, 1.0, 3.0]);
        assert_eq!(values(rescale(guided, &conditional, 0.5)), [0.0, 2.5, 1.0, 3.0]);
    }

    #[test]
    fn zero_velocities_stay_zero() {
        let guidance = Guidance { renorm: 1.0, ..Guidance::new(2.0) };
        let zero = rows([[0.0; 2]; 2]);
        assert_eq!(values(combine(&guidance, zero.clone(), zero)), vec![0.0; 4]);
    }
}
