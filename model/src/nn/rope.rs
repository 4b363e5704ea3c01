//! Tables of rotary positions (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Cosines and sines of the positions of a sequence, each `[batch or 1, sequence, head_dim / 2]` in f32.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// Cosines.
    pub cos: Tensor<3>,
    /// Sines of the same angles and shape.
    pub sin: Tensor<3>,
}

impl RopeTable {
    /// Positions from 0 at these frequencies, `[1, sequence, frequencies]`. Angles are rounded to f32 before their
    /// cosines and sines are computed, as transformers does.
    pub(crate) fn of_frequencies(frequencies: &[f32], sequence: usize, device: &Device) -> Self {
        let angles =
            (0..sequence).flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency));
        let (cos, sin): (Vec<f32>, Vec<f32>) =
            angles.map(|angle| (f64::from(angle).cos() as f32, f64::from(angle).sin() as f32)).unzip();
        Self::of_values(cos, sin, [1, sequence, frequencies.len()], device)
    }

    pub(crate) fn of_values(cos: Vec<f32>, sin: Vec<f32>, shape: [usize; 3], device: &Device) -> Self {
        let tensor = |values| Tensor::from_data(TensorData::new(values, shape), (device, DType::F32));
        Self { cos: tensor(cos), sin: tensor(sin) }
    }

    /// The part `start..start + length` of the sequence.
    pub(crate) fn narrow(&self, start: usize, length: usize) -> Self {
        Self { cos: self.cos.clone().narrow(1, start, length), sin: self.sin.clone().narrow(1, start, length) }
    }

    /// The rows of the batch that `indices` names, in that order.
    pub(crate) fn select(&self, indices: &Tensor<1, Int>) -> Self {
        Self { cos: self.cos.clone().select(0, indices.clone()), sin: self.sin.clone().select(0, indices.clone()) }
    }
}
