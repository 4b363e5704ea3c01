//! Embeddings of time, pooled text and caption features.

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use super::NextDitConfig;
use super::block::norm;
use super::config::TIME_FEATURES;
use crate::checkpoint::TensorReader;
use crate::nn::block::Norm;
use crate::nn::ops;
use crate::nn::sinusoid::sinusoid;

/// `t_embedder`: the sinusoid through Linear, SiLU, Linear.
#[derive(Debug)]
pub(crate) struct TimeEmbedder {
    pub(super) input: Linear,
    pub(super) output: Linear,
}

impl TimeEmbedder {
    /// Loads `t_embedder.mlp.{0,2}`.
    pub(crate) fn load(config: &NextDitConfig, weights: &TensorReader) -> Self {
        let mlp = weights.at("t_embedder.mlp");
        Self {
            input: mlp.linear("0", TIME_FEATURES, config.adaln_dim, true),
            output: mlp.linear("2", config.adaln_dim, config.adaln_dim, true),
        }
    }

    /// `[batch]` times to `[batch, adaln_dim]`.
    pub(crate) fn forward(&self, times: &[f32]) -> Tensor<2> {
        let weight = self.input.weight.val();
        // The time is in 0..1, not multiplied by 1000.
        let sinusoid = sinusoid(times, TIME_FEATURES, &weight.device()).cast(weight.dtype());
        ops::linear(silu(ops::linear(sinusoid, &self.input)), &self.output)
    }
}

/// `clip_text_pooled_proj` and `time_text_embed`: how the pooled text joins the time.
#[derive(Debug)]
pub(crate) struct PooledTextEmbedder {
    pub(super) norm: Norm,
    pub(super) projection: Linear,
    pub(super) joined: Linear,
}

impl PooledTextEmbedder {
    /// Loads `clip_text_pooled_proj.{0,1}` and `time_text_embed.1`.
    pub(crate) fn load(config: &NextDitConfig, clip_text_dim: usize, weights: &TensorReader) -> Self {
        Self {
            norm: norm(weights, "clip_text_pooled_proj.0", clip_text_dim, config.qk_norm_eps),
            projection: weights.linear("clip_text_pooled_proj.1", clip_text_dim, clip_text_dim, true),
            joined: weights.linear("time_text_embed.1", config.adaln_dim + clip_text_dim, config.adaln_dim, true),
        }
    }

    /// The part that does not depend on the time: `[batch, clip_text_dim]` to the same.
    pub(crate) fn project(&self, pooled: Tensor<2>) -> Tensor<2> {
        let pooled = pooled.cast(self.norm.weight.dtype());
        ops::linear(self.norm.forward(pooled), &self.projection)
    }

    /// `Linear(SiLU([time, text]))`, which *replaces* the time embedding: `[batch, adaln_dim]`.
    pub(crate) fn join(&self, time: Tensor<2>, projected: Tensor<2>) -> Tensor<2> {
        ops::linear(silu(Tensor::cat(vec![time, projected], 1)), &self.joined)
    }
}

/// `cap_embedder`: RMSNorm and Linear.
#[derive(Debug)]
pub(crate) struct CaptionEmbedder {
    pub(super) norm: Norm,
    pub(super) projection: Linear,
}

impl CaptionEmbedder {
    /// Loads `cap_embedder.{0,1}`.
    pub(crate) fn load(config: &NextDitConfig, weights: &TensorReader) -> Self {
        Self {
            norm: norm(weights, "cap_embedder.0", config.cap_feat_dim, config.norm_eps),
            projection: weights.linear("cap_embedder.1", config.cap_feat_dim, config.dim, true),
        }
    }

    /// `[batch, caption, cap_feat_dim]` to `[batch, caption, dim]`.
    pub(crate) fn forward(&self, features: Tensor<3>) -> Tensor<3> {
        let features = features.cast(self.norm.weight.dtype());
        ops::linear(self.norm.forward(features), &self.projection)
    }
}
