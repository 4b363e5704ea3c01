//! [`Weights`]: addresses of a network's weights.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::cuda::block::{BlockWeights, Geometry};
use crate::cuda::bridge::Pins;
use crate::cuda::fp8_linear::Fp8Linear;
use crate::cuda::kernels::NormKind;
use crate::cuda::product::Layer;
use crate::cuda::projection::Projection;
use crate::cuda::{CudaError, Gpu, launch};
use crate::networks::next_dit::NextDit;
use crate::networks::next_dit::block::heads;
use crate::nn::block::{self as nn, Block, Gate};

/// Addresses and sizes of the weights. They are valid as long as this value, which pins them.
pub(super) struct Weights {
    pub(super) geometry: Geometry,
    pub(super) adaln_dim: usize,
    pub(super) patch_dim: usize,
    pub(super) cap_feat_dim: usize,
    pub(super) time: [Layer; 2],
    pub(super) pooled: Option<Pooled>,
    pub(super) caption_norm: (u64, NormKind),
    pub(super) caption: Layer,
    pub(super) patches: Layer,
    pub(super) context_refiner: Vec<BlockWeights<Projection>>,
    pub(super) noise_refiner: Vec<BlockWeights<Projection>>,
    pub(super) noise_modulations: Vec<Layer>,
    pub(super) layers: Vec<BlockWeights<Projection>>,
    pub(super) modulations: Vec<Layer>,
    pub(super) final_modulation: Layer,
    pub(super) final_linear: Layer,
    _pins: Option<Pins>,
}

/// The layers that read the pooled text embedding.
pub(super) struct Pooled {
    pub(super) norm: (u64, NormKind),
    pub(super) projection: Layer,
    pub(super) joined: Layer,
}

impl Weights {
    /// Pins the weights of a network.
    ///
    /// # Errors
    ///
    /// The kernels do not support its sizes, or a library refuses.
    pub(super) fn pin(gpu: &Arc<Gpu>, network: &NextDit) -> Result<Self, CudaError> {
        let config = &network.config;
        let geometry = Geometry {
            dim: config.dim,
            ffn: config.ffn_dim,
            heads: heads(config),
            norm: norm_kind(config.norm_eps),
            head_norm: norm_kind(config.qk_norm_eps),
            gate: Gate::Silu,
        };
        geometry.check()?;
        for (what, found) in [
            ("the width of the modulation", config.adaln_dim),
            ("the width of a patch", config.patch_dim()),
            ("the width of the caption's features", config.cap_feat_dim),
            ("the width of the pooled text", config.clip_text_dim.unwrap_or(8)),
        ] {
            if !launch::is_row_width(found) {
                return Err(CudaError::Unsupported { what, found, wanted: "a multiple of 8 up to 8192" });
            }
        }
        let (weights, pins) = Pins::batched(gpu, |pins| Self::located(geometry, network, pins))?;
        Ok(Self { _pins: Some(pins), ..weights })
    }

    /// The addresses of the weights.
    fn located(geometry: Geometry, network: &NextDit, pins: &Pins) -> Result<Self, CudaError> {
        let config = &network.config;
        let linear = |layer: &burn::nn::Linear| pins.linear(layer);
        let vector = |tensor: &Tensor<1>| pins.vector(tensor);
        let projection = |layer: &nn::Projection| match layer {
            nn::Projection::Loaded(layer) => pins.linear(layer).map(Projection::Bf16),
            nn::Projection::Quantised(layer) => {
                Fp8Linear::downcast(layer.as_ref()).and_then(|layer| layer.pin(pins)).map(Projection::Fp8)
            }
        };
        let block = |block: &Block| BlockWeights::pin(block, |norm| vector(&norm.weight), projection);
        let blocks = |list: &[Block]| list.iter().map(block).collect::<Result<Vec<_>, _>>();
        let modulations = |list: &[Block]| {
            list.iter().filter_map(|block| block.modulation.as_ref()).map(linear).collect::<Result<Vec<_>, _>>()
        };
        let pooled = network.pooled.as_ref().map(|pooled| {
            Ok::<_, CudaError>(Pooled {
                norm: (vector(&pooled.norm.weight)?, norm_kind(pooled.norm.eps)),
                projection: linear(&pooled.projection)?,
                joined: linear(&pooled.joined)?,
            })
        });
        Ok(Self {
            geometry,
            adaln_dim: config.adaln_dim,
            patch_dim: config.patch_dim(),
            cap_feat_dim: config.cap_feat_dim,
            time: [linear(&network.time.input)?, linear(&network.time.output)?],
            pooled: pooled.transpose()?,
            caption_norm: (vector(&network.caption.norm.weight)?, norm_kind(network.caption.norm.eps)),
            caption: linear(&network.caption.projection)?,
            patches: linear(&network.patches)?,
            context_refiner: blocks(&network.context_refiner)?,
            noise_refiner: blocks(&network.noise_refiner)?,
            noise_modulations: modulations(&network.noise_refiner)?,
            layers: blocks(&network.layers)?,
            modulations: modulations(&network.layers)?,
            final_modulation: linear(&network.final_layer.modulation)?,
            final_linear: linear(&network.final_layer.linear)?,
            _pins: None,
        })
    }
}

/// A norm with this epsilon.
fn norm_kind(eps: f64) -> NormKind {
    NormKind { eps: eps as f32, weight_offset: 0.0 }
}
