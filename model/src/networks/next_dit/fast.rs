//! The network on an NVIDIA GPU: each of its passes is one operation of burn's graph, see [`cuda`](crate::cuda).
//!
//! The tokens of all rows are concatenated, each row padded to a multiple of [`ROW_MULTIPLE`] tokens, so captions of
//! different lengths cost little. Images of different sizes in one batch are left to the implementation in burn's
//! operations.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use super::block::heads;
use super::conditioned::{Caption, Conditioned};
use super::config::TIME_FEATURES;
use super::fast_reuse::Joint;
use super::reuse::{ReuseRow, Reusing};
use super::row_memory::RowMemory;
use super::{NextDit, Passes, ROW_MULTIPLE, final_layer};
use crate::cuda::BF16;
use crate::cuda::block::{BlockWeights, Buffers, Geometry};
use crate::cuda::bridge::{self, Pins};
use crate::cuda::fp8_linear::Fp8Linear;
use crate::cuda::kernels::{Modulation, Next, NormKind, RopeTables};
use crate::cuda::operand::Operand;
use crate::cuda::product::{Layer, Matrix, Product};
use crate::cuda::profile::Cost;
use crate::cuda::projection::Projection;
use crate::cuda::row_attention;
use crate::cuda::rows::{ROWS_MAX, Rows};
use crate::cuda::session::{Layout, Place, Session};
use crate::cuda::stack::{self, BlockModulation, Tokens};
use crate::cuda::{self, CudaError, Gpu, launch};
use crate::nn::block::{self as nn, Block, Gate};
use crate::nn::rope::RopeTable;
use crate::nn::sinusoid;
use crate::sampler::reuse::Evaluation;

/// Addresses of a network's weights, valid as long as the network, which owns this value.
pub(crate) struct FastNextDit {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
}

struct Weights {
    geometry: Geometry,
    adaln_dim: usize,
    patch_dim: usize,
    cap_feat_dim: usize,
    time: [Layer; 2],
    pooled: Option<Pooled>,
    caption_norm: (u64, NormKind),
    caption: Layer,
    patches: Layer,
    context_refiner: Vec<BlockWeights<Projection>>,
    noise_refiner: Vec<BlockWeights<Projection>>,
    noise_modulations: Vec<Layer>,
    layers: Vec<BlockWeights<Projection>>,
    modulations: Vec<Layer>,
    final_modulation: Layer,
    final_linear: Layer,
    _pins: Option<Pins>,
}

struct Pooled {
    norm: (u64, NormKind),
    projection: Layer,
    joined: Layer,
}

impl FastNextDit {
    /// The fast path of a loaded network; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(crate) fn of(network: &NextDit) -> Option<Self> {
        let weight = network.patches.weight.val();
        if weight.dtype() != DType::BF16 {
            return None;
        }
        let gpu = cuda::of(&weight.device())?;
        match Weights::pin(&gpu, network) {
            Ok(weights) => Some(Self { gpu, weights: Arc::new(weights) }),
            Err(error) => {
                tracing::warn!(%error, "the Next-DiT runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }
}

impl FastNextDit {
    /// Gives the rows of the step cache that have none their memory.
    fn allocate(&self, rows: &Rows, image: usize, device: &Device, reused: &[ReuseRow]) -> Result<(), CudaError> {
        for (index, row) in reused.iter().enumerate() {
            let mut row = row.lock();
            if row.memory.is_none() {
                let values = 1 + row.decisions.settings().taylor_order as usize;
                let sizes = [image, rows.span(index), self.weights.geometry.dim];
                row.memory = Some(RowMemory::new(&self.gpu, device, sizes, values)?);
            }
        }
        Ok(())
    }
}

impl Passes for FastNextDit {
    /// Tokens beyond a row's length are zeros.
    fn refine(&self, caption: &Caption, width: usize, rope: &RopeTable) -> Option<Tensor<3>> {
        let rows = Rows::of(caption.lengths.iter().copied())?;
        let weights = Arc::clone(&self.weights);
        let features = caption.features.clone().cast(DType::BF16);
        let operands = [bridge::handle(&features), bridge::handle(&rope.cos), bridge::handle(&rope.sin)];
        let dim = weights.geometry.dim;
        let shape = [rows.count(), width, dim];
        Some(bridge::call(&self.gpu, &operands, shape, DType::BF16, move |session, operands, out| {
            weights.refine(session, &rows, width, operands, out)
        }))
    }

    fn project(&self, pooled: &Tensor<2>) -> Option<Tensor<2>> {
        let width = self.weights.pooled.as_ref()?.projection.d_output;
        let weights = Arc::clone(&self.weights);
        let pooled = pooled.clone().cast(DType::BF16);
        let [batch, _] = pooled.dims();
        let rows = Rows::of(std::iter::repeat_n(1, batch))?;
        let operands = [bridge::handle(&pooled)];
        Some(bridge::call(&self.gpu, &operands, [batch, width], DType::BF16, move |session, operands, out| {
            weights.project(session, &rows, &operands[0], out)
        }))
    }

    /// Supports images of one size.
    fn evaluate(
        &self,
        conditioned: &Conditioned,
        patches: &Tensor<3>,
        times: &[f32],
        reusing: Option<Reusing<'_>>,
    ) -> Option<Tensor<3>> {
        if conditioned.image_mask.is_some() || times.len() > ROWS_MAX {
            return None;
        }
        let image = conditioned.image_width();
        let lengths = conditioned.caption_lengths().iter().map(|length| image + length);
        let rows = Rows::filled_up(lengths, ROW_MULTIPLE)?;
        if let Some(reusing) = reusing
            && let Err(error) = self.allocate(&rows, image, &patches.device(), reusing.rows)
        {
            self.gpu.note(error);
        }
        let reusing = reusing.map(|reusing| (reusing.rows.to_vec(), reusing.evaluation));
        let weights = Arc::clone(&self.weights);
        let patches = patches.clone().cast(DType::BF16);
        let mut operands = vec![
            bridge::handle(&patches),
            bridge::handle(&conditioned.caption),
            bridge::handle(&conditioned.rope.cos),
            bridge::handle(&conditioned.rope.sin),
        ];
        operands.extend(conditioned.pooled.as_ref().map(bridge::handle));
        let has_pooled = conditioned.pooled.is_some();
        let times = times.to_vec();
        let shape = [rows.count(), image, weights.patch_dim];
        Some(bridge::call(&self.gpu, &operands, shape, DType::BF16, move |session, operands, out| {
            let pooled = has_pooled.then(|| &operands[4]);
            let reusing = reusing.as_ref().map(|(rows, evaluation)| (rows.as_slice(), *evaluation));
            weights.evaluate(session, &rows, image, &times, operands, pooled, reusing, out)
        }))
    }
}

/// A norm with this epsilon.
fn norm_kind(eps: f64) -> NormKind {
    NormKind { eps: eps as f32, weight_offset: 0.0 }
}

impl Weights {
    fn pin(gpu: &Arc<Gpu>, network: &NextDit) -> Result<Self, CudaError> {
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

    fn refine(
        &self,
        session: &mut Session<'_>,
        rows: &Rows,
        width: usize,
        operands: &[Operand],
        out: u64,
    ) -> Result<(), CudaError> {
        let [features, cosine, sine] = operands else { return Err(CudaError::operands(operands.len(), "3")) };
        session.enter("next_dit");
        let (dim, tokens) = (self.geometry.dim, rows.tokens());
        let mut layout = Layout::default();
        let flat = layout.bf16(tokens * self.cap_feat_dim);
        let x = layout.bf16(tokens * dim);
        let longest = (0..rows.count()).map(|row| rows.length(row)).max().unwrap_or(0);
        let buffers = Buffers::for_texts(&mut layout, &self.geometry, tokens, longest);
        let base = session.scratch(&layout)?;
        let (flat, x) = (flat.in_scratch(base), x.in_scratch(base));

        let feature_bytes = self.cap_feat_dim * BF16 as usize;
        for row in 0..rows.count() {
            let to = flat + (rows.start(row) * feature_bytes) as u64;
            session.copy_rows(
                (row_address(features, row), features.strides[1] * BF16 as usize),
                (to, feature_bytes),
                feature_bytes,
                rows.length(row),
            )?;
        }
        let (norm, kind) = self.caption_norm;
        let span = (flat, self.cap_feat_dim as i64);
        let none = Modulation::default();
        session.kernels.rms_norm_scale(session.stream, span, norm, kind, none, rows, span, self.cap_feat_dim)?;
        session.products.run(session.stream, &Product::linear(tokens, flat, &self.caption, x))?;
        session.mark("embed captions", Cost::product(tokens, self.cap_feat_dim, dim))?;
        // Blocks are counted in the order of the published tensors: context refiner, noise refiner, layers.
        let over = Tokens { x, rows, tables: tables(cosine, sine), first_layer: 0 };
        stack::run(session, base, &self.geometry, &self.context_refiner, &[], over, &buffers, (Next::None, 0.0))?;

        let row_bytes = dim * BF16 as usize;
        session.zero(out, rows.count() * width * row_bytes)?;
        for row in 0..rows.count() {
            let from = x + (rows.start(row) * row_bytes) as u64;
            session.copy(from, out + (row * width * row_bytes) as u64, rows.length(row) * row_bytes)?;
        }
        Ok(())
    }

    fn project(&self, session: &mut Session<'_>, rows: &Rows, pooled: &Operand, out: u64) -> Result<(), CudaError> {
        let Some(Pooled { norm: (norm, kind), projection, .. }) = &self.pooled else { return Ok(()) };
        let width = projection.d_input;
        let mut layout = Layout::default();
        let normed = layout.bf16(rows.count() * width);
        let normed = normed.in_scratch(session.scratch(&layout)?);
        session.enter("next_dit");
        let from = (pooled.at, pooled.strides[0] as i64);
        let (stream, none) = (session.stream, Modulation::default());
        session.kernels.rms_norm_scale(stream, from, *norm, *kind, none, rows, (normed, width as i64), width)?;
        session.products.run(stream, &Product::linear(rows.count(), normed, projection, out))?;
        session.mark("project pooled text", Cost::default())
    }

    #[expect(clippy::too_many_arguments, reason = "the inputs of one evaluation")]
    fn evaluate(
        &self,
        session: &mut Session<'_>,
        rows: &Rows,
        image: usize,
        times: &[f32],
        operands: &[Operand],
        pooled: Option<&Operand>,
        reusing: Option<(&[ReuseRow], Evaluation)>,
        out: u64,
    ) -> Result<(), CudaError> {
        session.enter("next_dit");
        let [patches, caption, cosine, sine, ..] = operands else {
            return Err(CudaError::operands(operands.len(), "4 or 5"));
        };
        let (batch, dim) = (rows.count(), self.geometry.dim);
        let row_bytes = dim * BF16 as usize;
        let Some(image_rows) = Rows::of(std::iter::repeat_n(image, batch)) else { return Ok(()) };
        let mut layout = Layout::default();
        let vectors = Vectors::new(&mut layout, self, batch);
        let images = layout.bf16(batch * image * dim);
        let x = layout.bf16(rows.tokens() * dim);
        let has_fp8 = self.layers.iter().chain(&self.noise_refiner).any(|block| block.qkv.is_fp8());
        let buffers = if has_fp8 { Buffers::with_fp8 } else { Buffers::new };
        let buffers = buffers(&mut layout, &self.geometry, rows.tokens());
        let base = session.scratch(&layout)?;
        let (images, x) = (images.in_scratch(base), x.in_scratch(base));
        let stream = session.stream;

        let conditioning = self.condition_vectors(session, base, &vectors, times, pooled)?;
        let mut at = vectors.modulations.in_scratch(base);
        let mut modulate = |session: &mut Session<'_>, layer: &Layer| {
            let modulation = BlockModulation(at);
            at += (batch * layer.d_output) as u64 * BF16;
            let product = Product::linear(batch, conditioning, layer, modulation.0);
            session.products.run(stream, &product).map(|()| modulation)
        };
        let noise_modulations =
            self.noise_modulations.iter().map(|layer| modulate(session, layer)).collect::<Result<Vec<_>, _>>()?;
        let modulations =
            self.modulations.iter().map(|layer| modulate(session, layer)).collect::<Result<Vec<_>, _>>()?;
        let BlockModulation(final_scale) = modulate(session, &self.final_modulation)?;
        session.mark("times and modulations", Cost::default())?;

        for row in 0..batch {
            let product = Product {
                x: Matrix { at: row_address(patches, row), row_stride: patches.strides[1] },
                ..Product::linear(image, 0, &self.patches, images + (row * image * row_bytes) as u64)
            };
            session.products.run(stream, &product)?;
        }
        session.mark("embed patches", Cost::product(batch * image, self.patch_dim, dim))?;
        let tables = tables(cosine, sine);
        let refined = self.context_refiner.len();
        let over = Tokens { x: images, rows: &image_rows, tables, first_layer: refined };
        let none = (Next::None, 0.0);
        stack::run(session, base, &self.geometry, &self.noise_refiner, &noise_modulations, over, &buffers, none)?;

        for row in 0..batch {
            let to = x + (rows.start(row) * row_bytes) as u64;
            session.copy(images + (row * image * row_bytes) as u64, to, image * row_bytes)?;
            session.copy_rows(
                (row_address(caption, row), caption.strides[1] * BF16 as usize),
                (to + (image * row_bytes) as u64, row_bytes),
                row_bytes,
                rows.length(row) - image,
            )?;
        }
        row_attention::clear_filling(session, x, dim, rows)?;
        buffers.clear_filling(session, base, &self.geometry, rows)?;
        session.mark("join captions", Cost::moved(2 * rows.tokens() * dim))?;
        let scale = Modulation { values: final_scale, stride: dim as i64 };
        let last = (Next::Layer { scale }, final_layer::NORM_EPS as f32);
        let over = Tokens { x, rows, tables, first_layer: refined + self.noise_refiner.len() };
        match reusing {
            None => stack::run(session, base, &self.geometry, &self.layers, &modulations, over, &buffers, last)?,
            Some(reusing) => {
                let joint = Joint {
                    geometry: &self.geometry,
                    blocks: &self.layers,
                    modulations: &modulations,
                    tokens: over,
                    buffers: &buffers,
                    images,
                    image,
                };
                joint.run(session, base, last, reusing, times)?;
            }
        }

        for row in 0..batch {
            let from = buffers.normed(base) + (rows.start(row) * row_bytes) as u64;
            let to = out + (row * image * self.patch_dim) as u64 * BF16;
            session.products.run(stream, &Product::linear(image, from, &self.final_linear, to))?;
        }
        session.mark("final layer", Cost::product(batch * image, dim, self.patch_dim))?;
        Ok(())
    }

    /// The address of `[batch, adaln_dim]`, after its SiLU.
    fn condition_vectors(
        &self,
        session: &mut Session<'_>,
        base: u64,
        vectors: &Vectors,
        times: &[f32],
        pooled: Option<&Operand>,
    ) -> Result<u64, CudaError> {
        let batch = times.len();
        let stream = session.stream;
        let [a, b] = [vectors.a.in_scratch(base), vectors.b.in_scratch(base)];
        session.kernels.time_sinusoid(stream, times, a, TIME_FEATURES / 2, sinusoid::PERIOD_MAX)?;
        session.products.run(stream, &Product::linear(batch, a, &self.time[0], b))?;
        session.kernels.silu_each(stream, b, b, batch * self.adaln_dim)?;
        session.products.run(stream, &Product::linear(batch, b, &self.time[1], a))?;
        if let (Some(embedder), Some(pooled)) = (&self.pooled, pooled) {
            let text = (pooled.at, embedder.projection.d_output, pooled.strides[0] as i64);
            session.kernels.silu_join(stream, batch, (a, self.adaln_dim), text, b)?;
            session.products.run(stream, &Product::linear(batch, b, &embedder.joined, a))?;
        }
        session.kernels.silu_each(stream, a, a, batch * self.adaln_dim)?;
        Ok(a)
    }
}

/// Buffers of vectors.
struct Vectors {
    a: Place,
    b: Place,
    modulations: Place,
}

impl Vectors {
    fn new(layout: &mut Layout, weights: &Weights, batch: usize) -> Self {
        let text = weights.pooled.as_ref().map_or(0, |pooled| pooled.projection.d_output);
        let width = TIME_FEATURES.max(weights.adaln_dim + text);
        let layers = weights.noise_modulations.iter().chain(&weights.modulations).chain([&weights.final_modulation]);
        let modulations: usize = layers.map(|layer| layer.d_output).sum();
        Self {
            a: layout.bf16(batch * width),
            b: layout.bf16(batch * width),
            modulations: layout.bf16(batch * modulations),
        }
    }
}

/// The address of a row of a batch of bf16 values.
fn row_address(operand: &Operand, row: usize) -> u64 {
    operand.at + (row * operand.strides[0]) as u64 * BF16
}

fn tables(cosine: &Operand, sine: &Operand) -> RopeTables {
    RopeTables {
        cosine: cosine.at,
        sine: sine.at,
        row_stride: cosine.strides[0] as i64,
        stride: cosine.strides[1] as i64,
        interleaved: true,
    }
}
