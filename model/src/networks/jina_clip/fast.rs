//! The tower on an NVIDIA GPU: a text is one operation of burn's graph, see [`cuda`](crate::cuda).
//!
//! Texts are computed one by one, and products add up in the same order for any number of tokens, so a text has the
//! same vector in every batch. Attention is that of [`masked_attention`]: cuDNN would need a plan for each length.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Tensor};

use super::JinaClip;
use super::encoder;
use crate::cuda::BF16;
use crate::cuda::bridge::{self, Pins};
use crate::cuda::kernels::{NormKind, RopeTables};
use crate::cuda::masked_attention::{self, MaskedAttention, rounded};
use crate::cuda::product::{Layer, Matrix};
use crate::cuda::profile::Cost;
use crate::cuda::rows::Rows;
use crate::cuda::session::{Layout, Session};
use crate::cuda::text_kernels::{KEYS_MAX, PositionTables, Visible};
use crate::cuda::text_rows::{self, Queued};
use crate::cuda::{self, CudaError, Gpu, launch};
use crate::networks::text_passes::FastTextPass;
use crate::networks::token_lru::{TextCounts, TokenLru};
use crate::nn::block::Heads;
use crate::nn::layer_norm::LayerNorm;
use crate::nn::rope::RopeTable;
use crate::tokens::TokenBatch;

/// Addresses of the tower's weights, and the cache of earlier texts.
pub(super) struct FastJinaClip {
    gpu: Arc<Gpu>,
    weights: Arc<Weights>,
    /// Owned because `weights` has its address.
    _rotary: RopeTable,
    /// The operand of the operation, which needs at least one.
    word_embeddings: Tensor<2>,
    pad_id: u32,
    kept: Mutex<Kept>,
}

struct Kept {
    pooled: TokenLru<Tensor<2>>,
    queued: Queued,
    counts: TextCounts,
}

struct Weights {
    dim: usize,
    ffn: usize,
    heads: Heads,
    eps: f32,
    embedding: Matrix,
    token_type: u64,
    embedding_norm: (u64, u64),
    layers: Vec<LayerWeights>,
    tables: PositionTables,
    _pins: Pins,
}

struct LayerWeights {
    qkv: Layer,
    out: Layer,
    attention_norm: (u64, u64),
    up: Layer,
    down: Layer,
    ffn_norm: (u64, u64),
}

impl FastJinaClip {
    /// The fast path of a loaded tower; `None` if it is not in bf16 or the GPU or a library does not support it.
    pub(super) fn of(network: &JinaClip) -> Option<Self> {
        let word_embeddings = &network.word_embeddings;
        if word_embeddings.dtype() != DType::BF16 {
            return None;
        }
        let gpu = cuda::of(&word_embeddings.device())?;
        let rotary = encoder::rotary(&network.config, KEYS_MAX, &word_embeddings.device());
        match Weights::pin(&gpu, network, &rotary) {
            Ok(weights) => Some(Self {
                gpu,
                weights: Arc::new(weights),
                _rotary: rotary,
                word_embeddings: word_embeddings.clone(),
                pad_id: network.config.pad_token_id,
                kept: Mutex::new(Kept {
                    pooled: TokenLru::new(super::KEPT_BYTES),
                    queued: Queued::default(),
                    counts: TextCounts::default(),
                }),
            }),
            Err(error) => {
                tracing::warn!(%error, "Jina CLIP runs on burn's own kernels, which are several times slower");
                None
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vector of one text, `[1, hidden]`.
    fn text(&self, kept: &mut Kept, ids: &[u32]) -> Tensor<2> {
        let found = kept.pooled.get(ids).cloned();
        kept.counts.note(ids.len(), if found.is_some() { ids.len() } else { 0 });
        if let Some(pooled) = found {
            return pooled;
        }
        let weights = Arc::clone(&self.weights);
        let (dim, text, done) = (weights.dim, ids.to_vec(), kept.queued.one());
        let operands = [bridge::handle(&self.word_embeddings)];
        let pooled = bridge::call(&self.gpu, &operands, [1, dim], DType::BF16, move |session, _, out| {
            weights.run(session, &text, out)?;
            done.set();
            Ok(())
        });
        kept.pooled.insert(ids.to_vec(), pooled.clone(), dim * BF16 as usize);
        pooled
    }
}

impl FastTextPass<2> for FastJinaClip {
    /// The pooled vectors of a batch, `[B, hidden]`. Padding between the tokens of a text is not supported.
    fn run(&self, tokens: &TokenBatch) -> Option<Tensor<2>> {
        let rows = || (0..tokens.batch()).map(|row| tokens.row(row));
        if rows().any(|ids| ids.len() > KEYS_MAX || ids.contains(&self.pad_id)) {
            return None;
        }
        let mut kept = self.kept();
        if !kept.queued.all_done() {
            tracing::warn!("an earlier text was not computed; the cache of texts is cleared");
            kept.pooled.clear();
        }
        let texts: Vec<_> = rows().map(|ids| self.text(&mut kept, ids)).collect();
        Some(text_rows::batch(&self.gpu, &texts, 1).squeeze_dim::<2>(1))
    }

    fn text_counts(&self) -> TextCounts {
        self.kept().counts
    }

    fn forget_texts(&self) {
        self.kept().pooled.clear();
    }
}

impl Weights {
    fn pin(gpu: &Arc<Gpu>, network: &JinaClip, rotary: &RopeTable) -> Result<Self, CudaError> {
        let config = &network.config;
        let (dim, ffn) = (config.hidden_size, config.intermediate_size);
        let heads = Heads { query: config.heads, kv: config.heads, dim: dim / config.heads };
        if !launch::is_row_width(dim) {
            return Err(CudaError::Unsupported {
                what: "the width of the stream",
                found: dim,
                wanted: "a multiple of 8 up to 8192",
            });
        }
        for (what, found) in [("the width of the MLP", ffn), ("the size of a head", heads.dim)] {
            if !found.is_multiple_of(8) {
                return Err(CudaError::Unsupported { what, found, wanted: "a multiple of 8" });
            }
        }
        if heads.dim > 256 {
            return Err(CudaError::Unsupported { what: "the size of a head", found: heads.dim, wanted: "at most 256" });
        }
        let pins = Pins::new(gpu);
        let norm = |norm: &LayerNorm| Ok::<_, CudaError>((pins.vector(&norm.weight)?, pins.vector(&norm.bias)?));
        let layer = |layer: &encoder::Layer| {
            Ok::<_, CudaError>(LayerWeights {
                qkv: pins.linear(&layer.qkv)?,
                out: pins.linear(&layer.out_proj)?,
                attention_norm: norm(&layer.norm1)?,
                up: pins.linear(&layer.fc1)?,
                down: pins.linear(&layer.fc2)?,
                ffn_norm: norm(&layer.norm2)?,
            })
        };
        Ok(Self {
            dim,
            ffn,
            heads,
            eps: config.layer_norm_eps as f32,
            embedding: pins.table(&network.word_embeddings)?,
            token_type: pins.tensor(&network.token_type)?.at,
            embedding_norm: norm(&network.emb_ln)?,
            layers: network.layers.iter().map(layer).collect::<Result<_, _>>()?,
            tables: pins.positions(&rotary.cos, &rotary.sin)?,
            _pins: pins,
        })
    }

    fn run(&self, session: &mut Session<'_>, ids: &[u32], out: u64) -> Result<(), CudaError> {
        let Self { dim, ffn, heads, eps, .. } = *self;
        let tokens = ids.len();
        let padded = rounded(tokens);
        let Some(rows) = Rows::of([tokens]) else { return Ok(()) };
        let attention = MaskedAttention {
            heads,
            scale: (heads.dim as f32).sqrt().recip(),
            queries: tokens,
            keys: tokens,
            visible: Visible::First(tokens),
        };
        let mut layout = Layout::default();
        let [x, branch, attended] = [(); 3].map(|()| layout.bf16(padded * dim));
        let (qkv, inner) = (layout.bf16(padded * heads.width()), layout.bf16(padded * ffn));
        let scores = layout.bytes(attention.score_bytes());
        let base = session.scratch(&layout)?;
        let [x, branch, attended, qkv, inner, scores] =
            [x, branch, attended, qkv, inner, scores].map(|place| place.in_scratch(base));
        let stream = session.stream;
        let PositionTables { cosine, sine, stride } = self.tables;
        let tables = RopeTables { cosine, sine, row_stride: 0, stride: stride as i64, interleaved: false };
        let no_norm = NormKind { eps, weight_offset: 0.0 };
        let matrix = |at: u64, row_stride: usize| Matrix { at, row_stride };

        session.enter("jina_clip");
        let product = |layer: &Layer| Cost::product(padded, layer.d_input, layer.d_output);
        let norms = Cost::moved(3 * tokens * dim);
        // Padding stays zero, because norms do not touch it; attention needs finite values there.
        session.zero(x, padded * dim * BF16 as usize)?;
        session.text_kernels.embed(stream, ids, self.embedding, self.token_type, 1.0, x, dim)?;
        session.text_kernels.add_layer_norm(stream, x, 0, self.embedding_norm, eps, tokens, dim)?;
        session.mark("embed tokens", Cost::moved(4 * tokens * dim))?;
        for (i, layer) in self.layers.iter().enumerate() {
            session.layer(Some(i));
            masked_attention::linear(session, padded, x, &layer.qkv, qkv)?;
            session.mark("product qkv", product(&layer.qkv))?;
            session.kernels.norm_rotate(stream, qkv, None, no_norm, tables, &rows, heads)?;
            session.mark("rotate heads", Cost::moved(4 * tokens * dim))?;
            let part = |index: usize| matrix(qkv + (index * dim) as u64 * BF16, heads.width());
            let operands =
                masked_attention::Operands { q: part(0), k: part(1), v: part(2), scores, out: matrix(attended, dim) };
            attention.run(session, operands)?;
            session.mark("attention", attention.cost())?;
            masked_attention::linear(session, padded, attended, &layer.out, branch)?;
            session.mark("product out", product(&layer.out))?;
            session.text_kernels.add_layer_norm(stream, x, branch, layer.attention_norm, eps, tokens, dim)?;
            session.mark("add branch and norm", norms)?;
            masked_attention::linear(session, padded, x, &layer.up, inner)?;
            session.mark("product up", product(&layer.up))?;
            session.text_kernels.gelu_each(stream, inner, tokens * ffn)?;
            session.mark("GELU", Cost::moved(2 * tokens * ffn))?;
            masked_attention::linear(session, padded, inner, &layer.down, branch)?;
            session.mark("product down", product(&layer.down))?;
            session.text_kernels.add_layer_norm(stream, x, branch, layer.ffn_norm, eps, tokens, dim)?;
            session.mark("add branch and norm", norms)?;
        }
        session.layer(None);
        session.text_kernels.mean_tokens(stream, x, tokens, dim, out)?;
        session.mark("mean of tokens", Cost::moved(tokens * dim))
    }
}
