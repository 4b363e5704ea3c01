//! Sizes of the network, from `config.json` or, for missing keys, from the weights.

use serde_json::Value;

use crate::checkpoint::{ConfigFields, TensorReader};
use crate::error::ConfigError;

/// Features of the time sinusoid.
pub(super) const TIME_FEATURES: usize = 256;
/// Largest value of any size in a configuration, so that products cannot overflow.
const WIDTH_MAX: usize = 1 << 17;

/// Sizes and epsilons of a Next-DiT.
#[derive(Clone, Debug, PartialEq)]
pub struct NextDitConfig {
    /// Channels of the latents, in and out.
    pub in_channels: usize,
    /// Edge of a square patch, in latent positions.
    pub patch_size: usize,
    /// Width of the token stream.
    pub dim: usize,
    /// Blocks of the joint stream.
    pub n_layers: usize,
    /// Blocks of each refiner.
    pub n_refiner_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; query head `h` reads head `h / (n_heads / n_kv_heads)`.
    pub n_kv_heads: usize,
    /// Width inside the feed-forward part.
    pub ffn_dim: usize,
    /// Width of the vector that modulates the blocks.
    pub adaln_dim: usize,
    /// Width of the caption features (Gemma's hidden size).
    pub cap_feat_dim: usize,
    /// Width of the pooled text vector (Jina CLIP's), if the network reads one.
    pub clip_text_dim: Option<usize>,
    /// How many elements of a head each of the three position axes (caption, row, column) rotates.
    pub axes_dims: [usize; 3],
    /// Positions of each axis.
    pub axes_lens: [usize; 3],
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
    /// Epsilon of the blocks' and the caption's norms.
    pub norm_eps: f64,
    /// Epsilon of the query, key and pooled-text norms: the default of the reference's own RMSNorm class, which
    /// does not use `norm_eps`. The key `qk_norm_eps`, an extension of ours, overrides it.
    pub qk_norm_eps: f64,
}

impl NextDitConfig {
    /// Reads `config.json`. The published converter writes only a part of the keys; what is missing comes from the
    /// shapes of the weights (`cap_feat_dim`, `clip_text_dim`, the inner widths, query and key norms) and from the
    /// model's defaults (2 refiner blocks, epsilons 1e-5 and 1e-6, theta 10000).
    ///
    /// # Errors
    ///
    /// One error with every field that is missing, malformed or contradicts another.
    pub fn from_json(value: &Value, weights: &TensorReader) -> Result<Self, ConfigError> {
        let fields = ConfigFields::new(value);
        let width = |tensor: &str, axis: usize| weights.shape(tensor).and_then(|shape| shape.get(axis).copied());
        let width_or = |key: &str, tensor: &str, axis: usize, fallback: usize| {
            fields.count_or(key, width(tensor, axis).unwrap_or(fallback), 1..=WIDTH_MAX)
        };

        let dim = fields.count("dim", 2..=WIDTH_MAX);
        let n_heads = fields.count("n_heads", 1..=1024);
        let head_dim = dim / n_heads.max(1);
        let clip = weights.has("clip_text_pooled_proj.1.weight");
        let config = Self {
            in_channels: fields.count_or("in_channels", 16, 1..=1024),
            patch_size: fields.count_or("patch_size", 2, 1..=16),
            dim,
            n_layers: fields.count("n_layers", 1..=1024),
            n_refiner_layers: fields.count_or("n_refiner_layers", 2, 0..=64),
            n_heads,
            n_kv_heads: fields.count_or("n_kv_heads", n_heads, 1..=1024),
            ffn_dim: width("layers.0.feed_forward.w1.weight", 0).unwrap_or((4 * dim).next_multiple_of(256)),
            adaln_dim: width("t_embedder.mlp.0.weight", 0).unwrap_or(dim.min(1024)),
            cap_feat_dim: width_or("cap_feat_dim", "cap_embedder.0.weight", 0, 2560),
            clip_text_dim: clip.then(|| width_or("clip_text_dim", "clip_text_pooled_proj.0.weight", 0, 1024)),
            axes_dims: fields.counts("axes_dims", 2..=1024),
            axes_lens: fields.counts("axes_lens", 1..=1 << 20),
            rope_theta: fields.number_or("rope_theta", 10_000.0, 1.0..=1e12),
            qk_norm: fields.flag_or("qk_norm", weights.has("layers.0.attention.q_norm.weight")),
            norm_eps: fields.number_or("norm_eps", 1e-5, 0.0..=1.0),
            qk_norm_eps: fields.number_or("qk_norm_eps", 1e-6, 0.0..=1.0),
        };

        if !dim.is_multiple_of(n_heads) {
            fields.reject(format!("`dim` {dim} must be a multiple of `n_heads` {n_heads}"));
        }
        if !n_heads.is_multiple_of(config.n_kv_heads) {
            fields.reject(format!("`n_heads` {n_heads} must be a multiple of `n_kv_heads` {}", config.n_kv_heads));
        }
        if config.axes_dims.iter().any(|width| !width.is_multiple_of(2)) {
            fields.reject(format!("`axes_dims` {:?} must be even", config.axes_dims));
        }
        if config.axes_dims.iter().sum::<usize>() != head_dim {
            fields.reject(format!("`axes_dims` {:?} must add up to the head size {head_dim}", config.axes_dims));
        }
        fields.finish().map(|()| config)
    }

    /// Elements of one head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.n_heads
    }

    /// Elements of one patch: `patch_size^2 * in_channels`.
    pub fn patch_dim(&self) -> usize {
        self.patch_size * self.patch_size * self.in_channels
    }

    /// The longest supported caption: the image's position on the caption axis is one beyond it.
    pub fn caption_len_max(&self) -> usize {
        self.axes_lens[0].saturating_sub(1)
    }
}
