//! Embeddings of the time, the pooled text and the sizes.

use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor};

use super::config::UnetConfig;
use super::tap::{Tap, Tapped};
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::ops;
use crate::nn::sinusoid::sinusoid;

/// Linear, SiLU, Linear.
#[derive(Debug)]
pub(super) struct Mlp {
    pub(super) input: Linear,
    pub(super) output: Linear,
}

impl Mlp {
    fn load(weights: &TensorReader, input: usize, output: usize) -> Self {
        Self {
            input: weights.linear("linear_1", input, output, true),
            output: weights.linear("linear_2", output, output, true),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = x.cast(self.input.weight.val().dtype());
        ops::linear(ops::silu(ops::linear(x, &self.input)), &self.output)
    }
}

/// `time_embedding` and `add_embedding`.
#[derive(Debug)]
pub(super) struct TimeEmbedding {
    pub(super) time: Mlp,
    pub(super) added: Mlp,
    features: Features,
}

/// What the embeddings read: their widths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    /// Of a time's sinusoid.
    time: usize,
    /// Of a size's sinusoid.
    pub(super) size: usize,
    /// Of the pooled text and all sizes together.
    pub(super) added: usize,
}

impl Features {
    /// The sinusoids of times, `[times, features]` in f32.
    pub(super) fn of_times(&self, times: &[f32], device: &Device) -> Tensor<2> {
        sinusoid(times, self.time, device)
    }

    /// The pooled text and the sinusoids of the sizes, `[B, features]` in f32.
    pub(super) fn of_rows(&self, pooled: &Tensor<2>, sizes: &[Vec<f32>]) -> Tensor<2> {
        let [batch, pooled_dim] = pooled.dims();
        let features = self.added - pooled_dim;
        let sizes = sinusoid(&sizes.concat(), self.size, &pooled.device()).reshape([batch, features]);
        Tensor::cat(vec![pooled.clone().cast(DType::F32), sizes], 1)
    }
}

impl TimeEmbedding {
    pub(super) fn load(config: &UnetConfig, weights: &TensorReader) -> Self {
        let time_features = config.levels[0].channels;
        Self {
            time: Mlp::load(&weights.at("time_embedding"), time_features, config.time_dim()),
            added: Mlp::load(&weights.at("add_embedding"), config.added_features, config.time_dim()),
            features: Features { time: time_features, size: config.size_features, added: config.added_features },
        }
    }

    /// The weights that adapters may change, by their names in diffusers.
    pub(super) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let layers = [
            ("time_embedding.linear_1", &mut self.time.input),
            ("time_embedding.linear_2", &mut self.time.output),
            ("add_embedding.linear_1", &mut self.added.input),
            ("add_embedding.linear_2", &mut self.added.output),
        ];
        layers.into_iter().flat_map(|(path, layer)| adaptable::linear(path, layer)).collect()
    }

    /// The embedding that every residual block reads, after its SiLU.
    ///
    /// # Shapes
    ///
    /// - times: one for each row, or one for all
    /// - pooled: `[B, pooled_dim]`
    /// - sizes: the same number for each row, so that `pooled_dim + numbers * size_features` is `added_features`
    /// - output: `[B, time_dim]`
    pub(super) fn forward(
        &self,
        times: &[f32],
        pooled: &Tensor<2>,
        sizes: &[Vec<f32>],
        tap: &mut Tap<'_>,
    ) -> Tensor<2> {
        let sinusoids = self.features.of_times(times, &pooled.device());
        tap("time_proj", Tapped::Vectors(sinusoids.clone()));
        let time = self.time.forward(sinusoids);
        tap("time_embedding", Tapped::Vectors(time.clone()));
        let added = self.features.of_rows(pooled, sizes);
        tap("add_embedding_input", Tapped::Vectors(added.clone()));
        let added = self.added.forward(added);
        tap("add_embedding", Tapped::Vectors(added.clone()));
        ops::silu(time + added)
    }

    /// What the embeddings read.
    #[cfg(feature = "cuda")]
    pub(super) fn features(&self) -> Features {
        self.features
    }
}
