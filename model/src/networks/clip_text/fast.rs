//! The encoder on an NVIDIA GPU: the layers of a batch of texts are one operation of burn's graph, see
//! [`cuda`](crate::cuda). Attention is that of [`masked_attention`](crate::cuda::masked_attention).

use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use super::config::Activation;
use super::layer;
use super::{ClipText, Passes, TextFeatures};
use crate::cuda::bridge::{self, Pins};
use crate::cuda::masked_attention::{self, MaskedAttention, rounded};
use crate::cuda::operand::Operand;
use crate::cuda::product::{Layer, Matrix, Product};
use crate::cuda::profile::Cost;
use crate::cuda::session::{Layout, Session};
use crate::cuda::text_kernels::{KEYS_MAX, Visible};
use crate::cuda::transformer_kernels::NORM_WIDTH_MAX;
use crate::cuda::{self, BF16, CudaError, Gpu};
use crate::nn::block::Heads;
use crate::nn::layer_norm::LayerNorm;

/// Addresses of an encoder's weights, valid as long as the encoder, which owns this value.
pub(super) struct FastClipText {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
}

struct Weights {
    dim: usize,
    heads: Heads,
    activation: Activation,
    eps: f32,
    layers: Vec<LayerWeights>,
    norm: (u64, u64),
    _pins: Option<Pins>,
}

struct LayerWeights {
    norms: [(u64, u64); 2],
    qkv: [Layer; 3],
    out: Layer,
    up: Layer,
    down: Layer,
}

impl FastClipText {
    /// The fast path of a loaded encoder; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(super) fn of(network: &ClipText) -> Option<Self> {
        if network.tokens.dtype() != DType::BF16 {
            return None;
        }
        let gpu = cuda::of(&network.tokens.device())?;
        match Weights::pin(&gpu, network) {
            Ok(weights) => Some(Self { gpu, weights: Arc::new(weights) }),
            Err(error) => {
                tracing::warn!(%error, "a CLIP text encoder runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }
}

impl Passes for FastClipText {
    fn run(&self, embedded: &Tensor<3>, layers: usize) -> Option<TextFeatures> {
        let embedded = embedded.clone().cast(DType::BF16);
        let [batch, length, dim] = embedded.dims();
        if length > KEYS_MAX || layers > self.weights.layers.len() {
            return None;
        }
        let weights = Arc::clone(&self.weights);
        let shape = [2, batch, length, dim];
        let both: Tensor<4> =
            bridge::call(&self.gpu, &[bridge::handle(&embedded)], shape, DType::BF16, move |session, operands, out| {
                let [embedded] = operands else { return Err(CudaError::operands(operands.len(), "1")) };
                weights.run(session, embedded, layers, out)
            });
        let part = |i: usize| both.clone().narrow(0, i, 1).squeeze_dim::<3>(0);
        Some(TextFeatures { state: part(0), last: part(1) })
    }
}

impl Weights {
    fn pin(gpu: &Arc<Gpu>, network: &ClipText) -> Result<Self, CudaError> {
        let config = &network.config;
        let dim = config.hidden_size;
        let heads = Heads { query: config.heads, kv: config.heads, dim: dim / config.heads };
        if !dim.is_multiple_of(8) || dim > NORM_WIDTH_MAX {
            let what = "the width of a text encoder";
            return Err(CudaError::Unsupported { what, found: dim, wanted: "a multiple of 8 up to 2048" });
        }
        for (what, found) in [("the width of the MLP", config.intermediate_size), ("the size of a head", heads.dim)] {
            if !found.is_multiple_of(8) {
                return Err(CudaError::Unsupported { what, found, wanted: "a multiple of 8" });
            }
        }
        // Here, where a failure leaves the encoder on burn's operations.
        gpu.run(|session| session.transformer_kernels.prepare())?;
        let (weights, pins) = Pins::batched(gpu, |pins| {
            let norm = |norm: &LayerNorm| Ok::<_, CudaError>((pins.vector(&norm.weight)?, pins.vector(&norm.bias)?));
            let layer = |layer: &layer::Layer| {
                Ok::<_, CudaError>(LayerWeights {
                    norms: [norm(&layer.norm1)?, norm(&layer.norm2)?],
                    qkv: [pins.linear(&layer.q)?, pins.linear(&layer.k)?, pins.linear(&layer.v)?],
                    out: pins.linear(&layer.out)?,
                    up: pins.linear(&layer.fc1)?,
                    down: pins.linear(&layer.fc2)?,
                })
            };
            Ok(Self {
                dim,
                heads,
                activation: config.activation,
                eps: config.layer_norm_eps as f32,
                layers: network.layers.iter().map(layer).collect::<Result<_, _>>()?,
                norm: norm(&network.norm)?,
                _pins: None,
            })
        })?;
        Ok(Self { _pins: Some(pins), ..weights })
    }

    /// Embeddings `[batch, length, dim]` to the state after `state` layers and the last one through the final norm,
    /// `[2, batch, length, dim]` at `out`.
    fn run(&self, session: &mut Session<'_>, embedded: &Operand, state: usize, out: u64) -> Result<(), CudaError> {
        let Self { dim, heads, eps, .. } = *self;
        let [batch, length, _] = embedded.shape[..] else { return Err(CudaError::operands(0, "texts")) };
        let padded = rounded(length);
        let count = batch * padded;
        let attention = MaskedAttention {
            heads,
            scale: (heads.dim as f32).sqrt().recip(),
            queries: padded,
            keys: padded,
            visible: Visible::Causal { first: 0, window: None },
        };
        let inner_width = self.layers.first().map_or(dim, |layer| layer.up.d_output);
        let mut layout = Layout::default();
        let [x, normed, q, k, v] = [(); 5].map(|()| layout.bf16(count * dim));
        let inner = layout.bf16(count * inner_width);
        let scores = layout.bytes(attention.score_bytes());
        let base = session.scratch(&layout)?;
        let [x, normed, q, k, v, inner, scores] =
            [x, normed, q, k, v, inner, scores].map(|place| place.in_scratch(base));
        let stream = session.stream;
        let row_bytes = dim * BF16 as usize;
        let text_bytes = (padded * row_bytes) as u64;

        session.enter("clip_text");
        // Padding is computed like tokens, so that it stays finite; no token of a text attends to what comes after it.
        session.zero(x, count * row_bytes)?;
        for text in 0..batch {
            let from = embedded.at + (text * embedded.strides[0]) as u64 * BF16;
            let to = x + text as u64 * text_bytes;
            session.copy_rows((from, embedded.strides[1] * BF16 as usize), (to, row_bytes), row_bytes, length)?;
        }
        let keep = |session: &Session<'_>, from: u64, index: usize| {
            (0..batch).try_for_each(|text| {
                let to = out + ((index * batch + text) * length * row_bytes) as u64;
                session.copy(from + text as u64 * text_bytes, to, length * row_bytes)
            })
        };
        for (i, layer) in self.layers.iter().enumerate() {
            session.layer(Some(i));
            if i == state {
                keep(session, x, 0)?;
            }
            let kernels = session.transformer_kernels;
            kernels.layer_norm(stream, x, layer.norms[0], eps, normed, count, dim)?;
            session.mark("layer norm", Cost::moved(2 * count * dim))?;
            for (layer, to) in layer.qkv.iter().zip([q, k, v]) {
                session.products.run(stream, &Product::linear(count, normed, layer, to))?;
            }
            session.mark("products q, k and v", Cost::product(count, dim, 3 * dim))?;
            for text in 0..batch {
                let at = |at: u64| Matrix { at: at + text as u64 * text_bytes, row_stride: dim };
                let operands = masked_attention::Operands { q: at(q), k: at(k), v: at(v), scores, out: at(normed) };
                attention.run(session, operands)?;
                session.mark("attention", attention.cost())?;
            }
            session.products.add(stream, &Product::linear(count, normed, &layer.out, x))?;
            session.mark("product out", Cost::product(count, dim, dim))?;
            kernels.layer_norm(stream, x, layer.norms[1], eps, normed, count, dim)?;
            session.mark("layer norm", Cost::moved(2 * count * dim))?;
            session.products.run(stream, &Product::linear(count, normed, &layer.up, inner))?;
            session.mark("product up", Cost::product(count, dim, inner_width))?;
            match self.activation {
                Activation::QuickGelu => kernels.quick_gelu_each(stream, inner, count * inner_width)?,
                Activation::Gelu => session.text_kernels.gelu_each(stream, inner, count * inner_width)?,
            }
            session.mark("GELU", Cost::moved(2 * count * inner_width))?;
            session.products.add(stream, &Product::linear(count, inner, &layer.down, x))?;
            session.mark("product down", Cost::product(count, inner_width, dim))?;
        }
        session.layer(None);
        if state == self.layers.len() {
            keep(session, x, 0)?;
        }
        session.transformer_kernels.layer_norm(stream, x, self.norm, eps, normed, count, dim)?;
        keep(session, normed, 1)?;
        session.mark("layer norm", Cost::moved(2 * count * dim))
    }
}
