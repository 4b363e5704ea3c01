//! The inputs of the U-Net and its control network besides the noisy latents.

use std::sync::OnceLock;

use burn::tensor::Tensor;

/// The inputs of the network besides the noisy latents and the time.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// The text's features, `[B, T, cross_attention_dim]`.
    pub context: Tensor<3>,
    /// The pooled text, `[B, pooled_dim]`.
    pub pooled: Tensor<2>,
    /// Sizes of each row, in pixels. The base model reads the height and the width of the original, the top and the left of the
    /// crop, the height and the width of the target; the refiner the first four and an aesthetic score.
    pub sizes: Vec<Vec<f32>>,
}

/// A conditioning with what all evaluations of a batch share, which the accelerated network computes once: keys and values
/// of the text, and the time embeddings of all steps.
#[derive(Debug)]
pub struct Conditioned {
    conditioning: Conditioning,
    /// The times of the steps, as the network reads them.
    times: Vec<f32>,
    /// Computed with the first evaluation; `None` where burn's operations evaluate the network.
    prepared: OnceLock<Option<Prepared>>,
}

impl Conditioned {
    pub(super) fn new(conditioning: Conditioning, times: &[f32]) -> Self {
        Self { conditioning, times: times.to_vec(), prepared: OnceLock::new() }
    }

    /// The index of a time and what `prepare` computes for all times, once; for a time that is not among them, alone.
    pub(super) fn at(
        &self,
        time: f32,
        prepare: impl Fn(&Conditioning, &[f32]) -> Option<Prepared>,
    ) -> Option<(usize, Prepared)> {
        match self.times.iter().position(|known| *known == time) {
            Some(step) => {
                let prepared = self.prepared.get_or_init(|| prepare(&self.conditioning, &self.times));
                prepared.clone().map(|prepared| (step, prepared))
            }
            None => prepare(&self.conditioning, &[time]).map(|prepared| (0, prepared)),
        }
    }

    /// The times of the steps; empty: they are not known.
    pub fn times(&self) -> &[f32] {
        &self.times
    }

    /// The inputs of the network besides the noisy latents and the time.
    pub fn conditioning(&self) -> &Conditioning {
        &self.conditioning
    }
}

/// Values that the accelerated network computes once for a batch.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only the GPU code reads it"))]
pub(super) struct Prepared {
    /// Keys and values of the text for each block, as the implementation lays them out.
    pub(super) keys_values: Tensor<1>,
    /// What the residual blocks add for each time and row, `[times * B, channels of all blocks]`.
    pub(super) shifts: Tensor<2>,
    /// Rows of the batch, B.
    pub(super) rows: usize,
    /// Tokens of the text.
    pub(super) tokens: usize,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use burn::tensor::{DType, Device};

    use super::*;

    #[test]
    fn all_times_are_prepared_together_and_once() {
        let options = (&Device::flex(), DType::F32);
        let conditioning = Conditioning {
            context: Tensor::zeros([2, 3, 4], options),
            pooled: Tensor::zeros([2, 4], options),
            sizes: vec![vec![8.0; 6]; 2],
        };
        let calls = RefCell::new(Vec::new());
        let prepare = |conditioning: &Conditioning, times: &[f32]| {
            calls.borrow_mut().push(times.to_vec());
            let [rows, tokens, _] = conditioning.context.dims();
            let (keys_values, shifts) = (Tensor::zeros([1], options), Tensor::zeros([1, 1], options));
            Some(Prepared { keys_values, shifts, rows, tokens })
        };
        let conditioned = Conditioned::new(conditioning, &[900.0, 500.5, 1.0]);
        let step =
            |time: f32| conditioned.at(time, prepare).map(|(step, prepared)| (step, prepared.rows, prepared.tokens));
        assert_eq!([900.0, 1.0, 500.5].map(step), [Some((0, 2, 3)), Some((2, 2, 3)), Some((1, 2, 3))]);
        assert_eq!(step(42.0), Some((0, 2, 3)));
        assert_eq!(calls.into_inner(), [vec![900.0, 500.5, 1.0], vec![42.0]]);
    }
}
