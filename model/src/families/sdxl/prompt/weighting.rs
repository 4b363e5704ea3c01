//! Applies weights to the outputs of the encoders.

use burn::tensor::{DType, Tensor, TensorData};

/// Multiplies the states of a chunk by the weights. With `restores_mean` the chunk is then scaled to the mean that it had, over
/// all positions and features of one encoder, as AUTOMATIC1111's web UI does.
///
/// # Shapes
///
/// - states: `[1, L, width]`
/// - weights: L
/// - output: `[1, L, width]`
pub(crate) fn multiplied(states: Tensor<3>, weights: &[f32], restores_mean: bool) -> Tensor<3> {
    let weighted = states.clone() * column(&states, weights);
    if !restores_mean {
        return weighted;
    }
    let mean = |x: &Tensor<3>| x.clone().mean().reshape([1, 1, 1]);
    let factor = mean(&states) / mean(&weighted);
    weighted * factor
}

/// Moves the states of a chunk away from those of the empty prompt, or towards them, as ComfyUI does:
/// `(states - empty) weight + empty`.
///
/// # Shapes
///
/// - states, empty: `[1, L, width]`
/// - weights: L
/// - output: `[1, L, width]`
pub(crate) fn interpolated(states: Tensor<3>, empty: &Tensor<3>, weights: &[f32]) -> Tensor<3> {
    let unchanged = column(&states, &weights.iter().map(|&weight| f32::from(weight == 1.0)).collect::<Vec<_>>());
    let moved = (states.clone() - empty.clone()) * column(&states, weights) + empty.clone();
    // A weight of 1 changes no bit.
    let moved_too = unchanged.clone().mul_scalar(-1.0).add_scalar(1.0);
    states * unchanged + moved * moved_too
}

/// `[1, L, 1]` in the type of `like`.
fn column(like: &Tensor<3>, weights: &[f32]) -> Tensor<3> {
    let data = TensorData::new(weights.to_vec(), [1, weights.len(), 1]);
    Tensor::<3>::from_data(data, (&like.device(), DType::F32)).cast(like.dtype())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn states(values: [f32; 4]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 2, 2]), (&Device::flex(), DType::F32))
    }

    fn values(tensor: Tensor<3>) -> Vec<f32> {
        tensor.try_into_vec_as().expect("f32 on the CPU")
    }

    #[test]
    fn both_ways_by_hand() {
        let x = states([1.0, 3.0, 2.0, 2.0]);
        assert_eq!(values(multiplied(x.clone(), &[1.0, 2.0], false)), [1.0, 3.0, 4.0, 4.0]);
        // The mean grows from 2 to 3.
        let restored = values(multiplied(x.clone(), &[1.0, 2.0], true));
        for (found, expected) in restored.iter().zip([2.0 / 3.0, 2.0, 8.0 / 3.0, 8.0 / 3.0]) {
            assert!((found - expected).abs() < 1e-6, "{restored:?}");
        }
        let empty = states([9.0, 9.0, 1.0, 1.0]);
        assert_eq!(values(interpolated(x, &empty, &[1.0, 2.0])), [1.0, 3.0, 3.0, 3.0]);
    }
}
