//! The tower on an NVIDIA GPU: a text is one operation of burn's graph, see [`cuda`](crate::cuda).
//!
//! Texts are computed one by one, and padding does not affect results. The features of a token depend only on the
//! tokens up to it: every product adds up in the same order for any number of tokens (see [`masked_attention`]). So the
//! keys and values of a text are reused for a later one with the same prefix, with the same features as a complete
//! computation: tests allow a few roundings to bf16, because cuBLASLt guarantees the order only where it supports the
//! requested algorithm.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Device, Tensor};

use super::block::heads;
use super::offload::{Offload, Offloaded, Staging};
use super::pin::pin;
use super::rope;
use super::{Gemma3, Gemma3Config, LayerKind};
use crate::cuda::BF16;
use crate::cuda::block::{BlockWeights, Buffers, Geometry};
use crate::cuda::bridge::{self, Pins};
use crate::cuda::kernels::{Modulation, Next, NormKind};
use crate::cuda::masked_attention::{self, MaskedAttention, rounded};
use crate::cuda::operand::Operand;
use crate::cuda::product::Matrix;
use crate::cuda::profile::Cost;
use crate::cuda::projection::{Input, Projection};
use crate::cuda::rows::Rows;
use crate::cuda::session::{Layout, Session};
use crate::cuda::stack::{self, BranchModulation};
use crate::cuda::text_kernels::{KEYS_MAX, PositionTables, Visible};
use crate::cuda::text_rows::{self, Queued};
use crate::cuda::{self, CudaError, Gpu};
use crate::networks::text_passes::FastTextPass;
use crate::networks::token_lru::{TextCounts, TokenLru};
use crate::nn::block::{Block, Gate};
use crate::nn::rope::RopeTable;
use crate::tokens::TokenBatch;

/// Size of the cache of keys and values: five texts of 544 tokens at full size.
const STORE_BYTES: usize = 384 << 20;
/// The shortest prefix that is reused; every text begins with the same token.
const PREFIX_MIN: usize = 8;

/// Addresses of the tower's weights, and the caches of earlier texts.
pub(super) struct FastGemma3 {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
    /// Owned because `weights` has their addresses.
    _tables: [RopeTable; 2],
    /// The weights in host memory, if they are offloaded; all others belong to the network.
    _offloaded: Option<Offloaded>,
    device: Device,
    kept: Mutex<Kept>,
}

struct Weights {
    geometry: Geometry,
    embedding: Matrix,
    embedding_scale: f32,
    attention_scale: f32,
    blocks: Vec<(LayerKind, BlockWeights)>,
    /// Whether the blocks' large weights are in host memory.
    is_offloaded: bool,
    window: usize,
    /// Of sliding and of full layers.
    tables: [PositionTables; 2],
    _pins: Pins,
}

struct Kept {
    features: TokenLru<Tensor<2>>,
    stores: TokenLru<Store>,
    queued: Queued,
    counts: TextCounts,
}

/// Keys and values of a text in every layer, and its features.
#[derive(Clone)]
struct Store {
    /// `[layers, room, keys and values]`, contiguous. Only our kernels read and write it.
    values: Tensor<1>,
    /// Capacity in tokens.
    room: usize,
    features: Tensor<2>,
}

/// A text and the cached prefix that it continues.
struct Text {
    ids: Vec<u32>,
    /// Tokens of the cached prefix, and the capacity of its store.
    prefix: usize,
    prefix_room: usize,
    room: usize,
}

impl FastGemma3 {
    /// The fast path of a tower that was loaded without its last layer; `None` if it is not in bf16 or the GPU or a
    /// library does not support it.
    pub(super) fn of(network: &Gemma3) -> Option<Self> {
        let embed_tokens = &network.embed_tokens;
        if embed_tokens.dtype() != DType::BF16 || network.norm.is_some() {
            return None;
        }
        let device = embed_tokens.device();
        let gpu = cuda::of(&device)?;
        let tables = tables(&network.config, &device);
        match Weights::pin(&gpu, network, &tables) {
            Ok(weights) => Some(Self::new(gpu, weights, tables, None, device)),
            Err(error) => {
                tracing::warn!(%error, "Gemma 3 runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }

    /// The fast path of a tower whose weights are moved to host memory while they are loaded: each of `blocks` is
    /// dropped before the next is loaded.
    ///
    /// # Errors
    ///
    /// The device does not support the fast path, or the host cannot pin that much memory.
    pub(super) fn offloaded(
        config: &Gemma3Config,
        device: &Device,
        embed_tokens: Tensor<2>,
        blocks: impl Iterator<Item = Block>,
    ) -> Result<Self, CudaError> {
        let no_gpu = CudaError::Unsupported { what: "the number of GPUs", found: 0, wanted: "1" };
        let gpu = cuda::open(device).unwrap_or(Err(no_gpu))?;
        let tables = tables(config, device);
        let scale = super::embedding_scale(config, embed_tokens.dtype());
        let mut offload = Offload::new(&gpu);
        let embedding = offload.table(&embed_tokens)?;
        drop(embed_tokens);
        let blocks = config
            .layers
            .iter()
            .zip(blocks)
            .map(|(&kind, block)| Ok((kind, pin(&block, &mut offload)?)))
            .collect::<Result<_, CudaError>>()?;
        let (pins, offloaded) = offload.finish();
        let weights = Weights::new(pins, config, (embedding, scale), blocks, true, &tables)?;
        Ok(Self::new(gpu, weights, tables, Some(offloaded), device.clone()))
    }

    fn new(
        gpu: Arc<Gpu>,
        weights: Weights,
        tables: [RopeTable; 2],
        offloaded: Option<Offloaded>,
        device: Device,
    ) -> Self {
        let kept = Mutex::new(Kept {
            features: TokenLru::new(super::KEPT_BYTES),
            stores: TokenLru::new(STORE_BYTES),
            queued: Queued::default(),
            counts: TextCounts::default(),
        });
        Self { gpu, weights: Arc::new(weights), _tables: tables, _offloaded: offloaded, device, kept }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Features of one text, `[length, hidden]`.
    fn text(&self, kept: &mut Kept, ids: &[u32]) -> Tensor<2> {
        if let Some(features) = kept.features.get(ids).cloned() {
            kept.counts.note(ids.len(), ids.len());
            return features;
        }
        let earlier = kept.stores.longest_prefix(ids).map(|(length, store)| (length, store.clone()));
        let earlier = earlier.filter(|(length, _)| *length >= PREFIX_MIN || *length == ids.len());
        let prefix = earlier.as_ref().map_or(0, |(length, _)| *length);
        kept.counts.note(ids.len(), prefix);

        let weights = Arc::clone(&self.weights);
        let (room, dim) = (rounded(ids.len()), weights.geometry.dim);
        let elements = weights.blocks.len() * room * weights.store_width();
        let values = Tensor::<1>::empty([elements], (&self.device, DType::BF16));
        let mut operands = vec![bridge::handle(&values)];
        if let Some((_, earlier)) = &earlier {
            operands.extend([bridge::handle(&earlier.values), bridge::handle(&earlier.features)]);
        }
        let prefix_room = earlier.as_ref().map_or(0, |(_, earlier)| earlier.room);
        let text = Text { ids: ids.to_vec(), prefix, prefix_room, room };
        let done = kept.queued.one();
        let features =
            bridge::call(&self.gpu, &operands, [ids.len(), dim], DType::BF16, move |session, operands, out| {
                weights.run(session, &text, operands, out)?;
                done.set();
                Ok(())
            });

        let feature_bytes = ids.len() * dim * BF16 as usize;
        kept.features.insert(ids.to_vec(), features.clone(), feature_bytes);
        // The longer text serves every request for its prefix.
        kept.stores.retain(|other| !ids.starts_with(other));
        let store = Store { values, room, features: features.clone() };
        kept.stores.insert(ids.to_vec(), store, elements * BF16 as usize + feature_bytes);
        features
    }
}

impl FastTextPass<3> for FastGemma3 {
    /// Features of a batch, `[B, L, hidden]`, zeros beyond a text's length.
    fn run(&self, tokens: &TokenBatch) -> Option<Tensor<3>> {
        if tokens.lengths().iter().any(|&length| length > KEYS_MAX) {
            return None;
        }
        let mut kept = self.kept();
        if !kept.queued.all_done() {
            tracing::warn!("an earlier text was not computed; the cache of texts is cleared");
            kept.clear();
        }
        let texts: Vec<_> = (0..tokens.batch()).map(|row| self.text(&mut kept, tokens.row(row))).collect();
        Some(text_rows::batch(&self.gpu, &texts, tokens.width()))
    }

    fn text_counts(&self) -> TextCounts {
        self.kept().counts
    }

    fn forget_texts(&self) {
        self.kept().clear();
    }
}

/// Rotary tables of sliding and of full layers.
fn tables(config: &Gemma3Config, device: &Device) -> [RopeTable; 2] {
    let table = |base, factor| rope::table(base, factor, config.head_dim, KEYS_MAX, device);
    [table(config.rope_base_sliding, 1.0), table(config.rope_base_full, config.rope_factor_full)]
}

impl Kept {
    fn clear(&mut self) {
        self.features.clear();
        self.stores.clear();
    }
}

impl Weights {
    fn pin(gpu: &Arc<Gpu>, network: &Gemma3, tables: &[RopeTable; 2]) -> Result<Self, CudaError> {
        let mut pins = Pins::new(gpu);
        let blocks = network.config.layers.iter().zip(&network.blocks);
        let blocks =
            blocks.map(|(&kind, block)| Ok((kind, pin(block, &mut pins)?))).collect::<Result<_, CudaError>>()?;
        let scale = super::embedding_scale(&network.config, network.embed_tokens.dtype());
        let embedding = (pins.table(&network.embed_tokens)?, scale);
        Self::new(pins, &network.config, embedding, blocks, false, tables)
    }

    fn new(
        pins: Pins,
        config: &Gemma3Config,
        (embedding, embedding_scale): (Matrix, f32),
        blocks: Vec<(LayerKind, BlockWeights)>,
        is_offloaded: bool,
        tables: &[RopeTable; 2],
    ) -> Result<Self, CudaError> {
        let norm = NormKind { eps: config.rms_norm_eps as f32, weight_offset: 1.0 };
        let geometry = Geometry {
            dim: config.hidden_size,
            ffn: config.intermediate_size,
            heads: heads(config),
            norm,
            head_norm: norm,
            gate: Gate::GeluTanh,
        };
        geometry.check()?;
        let table = |table: &RopeTable| pins.positions(&table.cos, &table.sin);
        let [sliding, full] = tables;
        let tables = [table(sliding)?, table(full)?];
        Ok(Self {
            geometry,
            embedding,
            embedding_scale,
            attention_scale: config.query_pre_attn_scalar.sqrt().recip() as f32,
            blocks,
            is_offloaded,
            window: config.sliding_window,
            tables,
            _pins: pins,
        })
    }

    /// Elements of a token in one layer of a store.
    fn store_width(&self) -> usize {
        2 * self.geometry.heads.kv * self.geometry.heads.dim
    }

    /// Computes the features of a text at `out`, `[length, dim]`. The operands are its store and, if it has a cached
    /// prefix, the store and the features of the earlier text.
    fn run(&self, session: &mut Session<'_>, text: &Text, operands: &[Operand], out: u64) -> Result<(), CudaError> {
        let [store, earlier @ ..] = operands else { return Err(CudaError::operands(operands.len(), "1 or 3")) };
        let Text { ref ids, prefix, prefix_room, room } = *text;
        let Geometry { dim, heads, norm, head_norm, .. } = self.geometry;
        let row_bytes = dim * BF16 as usize;
        let store_bytes = self.store_width() * BF16 as usize;
        if let [earlier, earlier_features] = earlier {
            let (from, to) = ((earlier.at, prefix_room * store_bytes), (store.at, room * store_bytes));
            session.copy_rows(from, to, prefix * store_bytes, self.blocks.len())?;
            let stride = earlier_features.strides[0] * BF16 as usize;
            session.copy_rows((earlier_features.at, stride), (out, row_bytes), row_bytes, prefix)?;
        }
        let tokens = ids.len() - prefix;
        let Some(rows) = Rows::of([tokens]).filter(|_| tokens > 0) else { return Ok(()) };

        let padded = rounded(tokens);
        let attention = |kind: LayerKind| MaskedAttention {
            heads,
            scale: self.attention_scale,
            queries: tokens,
            keys: ids.len(),
            visible: Visible::Causal { first: prefix, window: (kind == LayerKind::Sliding).then_some(self.window) },
        };
        let mut layout = Layout::default();
        let score_bytes = attention(LayerKind::Full).score_bytes();
        let buffers = Buffers::with_scores(&mut layout, &self.geometry, padded, Some(score_bytes));
        let staging = self.blocks.first().filter(|_| self.is_offloaded);
        let staging = staging.map(|(_, block)| Staging::new(&mut layout, block));
        let base = session.scratch(&layout)?;
        let buffers = buffers.at(base);
        let Buffers { normed, qkv, attended, .. } = buffers;
        let scores = buffers.scores.unwrap_or_default();
        let (stream, none) = (session.stream, Modulation::default());

        session.enter("gemma3");
        // The stream is in the result buffer. Only norms access it, and they do not touch padding.
        let x = out + (prefix * row_bytes) as u64;
        session.text_kernels.embed(stream, &ids[prefix..], self.embedding, 0, self.embedding_scale, x, dim)?;
        session.zero(normed, padded * row_bytes)?;
        let Some((_, first)) = self.blocks.first() else { return Ok(()) };
        let width = dim as i64;
        let first_norm = first.attention_norm[0];
        session.kernels.rms_norm_scale(stream, (x, width), first_norm, norm, none, &rows, (normed, width), dim)?;
        session.mark("embed tokens", Cost::moved(4 * tokens * dim))?;
        for (i, (kind, block)) in self.blocks.iter().enumerate() {
            let keys = store.at + (i * room * store_bytes) as u64;
            let values = keys + (heads.kv * heads.dim) as u64 * BF16;
            let tables = self.tables[usize::from(*kind == LayerKind::Full)].from(prefix);
            session.layer(Some(i));
            let staged = staging.map(|staging| staging.fill(session, base, block)).transpose()?;
            let block = staged.as_ref().unwrap_or(block);
            if staged.is_some() {
                session.mark("copy of weights", Cost::default())?;
            }
            let block = block.map(|layer| Projection::Padded(*layer));
            stack::project_qkv(session, &block, &buffers, tokens)?;
            session.text_kernels.place_heads(
                stream,
                qkv,
                keys + (prefix * store_bytes) as u64,
                block.head_norm.unwrap_or_default(),
                head_norm,
                tables,
                [tokens, room - prefix],
                heads,
            )?;
            session.mark("norm and rotate heads", Cost::moved(2 * tokens * heads.width()))?;
            let operands = masked_attention::Operands {
                q: Matrix { at: qkv, row_stride: heads.width() },
                k: Matrix { at: keys, row_stride: self.store_width() },
                v: Matrix { at: values, row_stride: self.store_width() },
                scores,
                out: Matrix { at: attended, row_stride: heads.query * heads.dim },
            };
            attention(*kind).run(session, operands)?;
            session.mark("attention", attention(*kind).cost())?;
            let next = self
                .blocks
                .get(i + 1)
                .map_or(Next::None, |(_, following)| Next::Rms { weight: following.attention_norm[0], scale: none });
            let next = (Input::Bf16(normed), (next, norm.eps));
            stack::finish_block(
                session,
                &self.geometry,
                &block,
                &buffers,
                (x, &rows),
                BranchModulation::default(),
                next,
            )?;
        }
        Ok(())
    }
}
