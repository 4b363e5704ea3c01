//! A transformer block on the GPU: addresses of its weights, sizes, and the buffers between its products.

use super::error::CudaError;
use super::kernels::NormKind;
use super::launch;
use super::masked_attention;
use super::product::Layer;
use super::product::fp8::{self, Fp8Rows};
use super::row_attention::{clear_filling, whole_row};
use super::rows::Rows;
use super::session::{Layout, Place, Session};
use super::text_kernels::KEYS_MAX;
use crate::nn::block::{self, Block, Gate, Heads, Norm};

/// The weights of one block; its linear layers are [`Layer`]s or, where fp8 is possible, [`Projection`]s.
#[derive(Debug, Clone)]
pub(crate) struct BlockWeights<L = Layer> {
    /// Query, key and value in one product.
    pub qkv: L,
    /// After the attention.
    pub out: L,
    /// Gate and up in one product.
    pub gate_up: L,
    /// Back to the width of the stream.
    pub down: L,
    /// Norms before and after the attention.
    pub attention_norm: [u64; 2],
    /// Norms before and after the feed-forward part.
    pub ffn_norm: [u64; 2],
    /// Norms of query and key heads.
    pub head_norm: Option<(u64, u64)>,
}

impl<L> BlockWeights<L> {
    /// The same weights with other linear layers.
    pub(crate) fn map<M>(&self, layer: impl Fn(&L) -> M) -> BlockWeights<M> {
        let Self { qkv, out, gate_up, down, attention_norm, ffn_norm, head_norm } = self;
        BlockWeights {
            qkv: layer(qkv),
            out: layer(out),
            gate_up: layer(gate_up),
            down: layer(down),
            attention_norm: *attention_norm,
            ffn_norm: *ffn_norm,
            head_norm: *head_norm,
        }
    }

    /// The addresses of a block's weights.
    ///
    /// # Errors
    ///
    /// The first of `norm` and `projection`.
    pub(crate) fn pin(
        block: &Block,
        mut norm: impl FnMut(&Norm) -> Result<u64, CudaError>,
        mut projection: impl FnMut(&block::Projection) -> Result<L, CudaError>,
    ) -> Result<Self, CudaError> {
        let [[before_attention, after_attention], [before_ffn, after_ffn]] = [&block.attention_norm, &block.ffn_norm];
        let head_norm = block.head_norm.as_ref();
        Ok(Self {
            qkv: projection(&block.qkv)?,
            out: projection(&block.out)?,
            gate_up: projection(&block.gate_up)?,
            down: projection(&block.down)?,
            attention_norm: [norm(before_attention)?, norm(after_attention)?],
            ffn_norm: [norm(before_ffn)?, norm(after_ffn)?],
            head_norm: head_norm.map(|[q, k]| Ok::<_, CudaError>((norm(q)?, norm(k)?))).transpose()?,
        })
    }
}

/// What the blocks of a stack have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    /// Width of the stream.
    pub dim: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Numbers of query and key heads, and elements of one.
    pub heads: Heads,
    /// Norms over the width.
    pub norm: NormKind,
    /// Norms over heads.
    pub head_norm: NormKind,
    /// Unit of the feed-forward part.
    pub gate: Gate,
}

impl Geometry {
    /// Checks that the kernels support these sizes.
    ///
    /// # Errors
    ///
    /// The first size that they do not support.
    pub(crate) fn check(&self) -> Result<(), CudaError> {
        let unsupported = |what, found, wanted| Err(CudaError::Unsupported { what, found, wanted });
        if !launch::is_row_width(self.dim) {
            return unsupported("the width of the stream", self.dim, "a multiple of 8 up to 8192");
        }
        if !self.ffn.is_multiple_of(8) {
            return unsupported("the width of the feed-forward part", self.ffn, "a multiple of 8");
        }
        if !self.heads.dim.is_multiple_of(8) || self.heads.dim > 256 {
            return unsupported("the size of a head", self.heads.dim, "a multiple of 8 up to 256");
        }
        Ok(())
    }
}

/// Buffers between the products of a block: places in scratch memory, or their addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffers<A = Place> {
    /// The normed stream, `[tokens, dim]`; a padded number of tokens here and below.
    pub normed: A,
    /// Queries, keys and values, `[tokens, heads]`.
    pub qkv: A,
    /// The result of the attention, `[tokens, query heads]`.
    pub attended: A,
    /// A branch before it is added to the stream, `[tokens, dim]`.
    pub branch: A,
    /// `[tokens, 2 ffn]`
    pub gate_up: A,
    /// `[tokens, ffn]`
    pub unit: A,
    /// Attention scores, for attention by two products.
    pub scores: Option<A>,
    /// Codes and scales of the input of an fp8 product.
    fp8: Option<(A, A)>,
}

impl Buffers {
    /// For at most `tokens` tokens.
    pub(crate) fn new(layout: &mut Layout, geometry: &Geometry, tokens: usize) -> Self {
        Self::with_scores(layout, geometry, tokens, None)
    }

    /// [`new`](Self::new) for blocks whose products may be in fp8.
    pub(crate) fn with_fp8(layout: &mut Layout, geometry: &Geometry, tokens: usize) -> Self {
        let rows = fp8::padded_rows(tokens);
        // Each input is read before the next is written, so one buffer serves all.
        let widest = geometry.dim.max(geometry.heads.query * geometry.heads.dim).max(geometry.ffn);
        let fp8 = (layout.bytes(rows * widest), layout.bytes(rows * size_of::<f32>()));
        Self { fp8: Some(fp8), ..Self::with_scores(layout, geometry, rows, None) }
    }

    /// For rows of at most `longest` tokens whose lengths rarely repeat. cuDNN would need a tenth of a second to plan
    /// each length, so attention is computed by two products, if the scores are few enough.
    pub(crate) fn for_texts(layout: &mut Layout, geometry: &Geometry, tokens: usize, longest: usize) -> Self {
        let scores = (longest <= KEYS_MAX).then(|| whole_row(geometry.heads, longest).score_bytes());
        Self::with_scores(layout, geometry, tokens + masked_attention::ROUND, scores)
    }

    /// [`new`](Self::new) with a buffer of this many bytes for the scores of masked attention.
    pub(crate) fn with_scores(
        layout: &mut Layout,
        geometry: &Geometry,
        tokens: usize,
        score_bytes: Option<usize>,
    ) -> Self {
        Self {
            scores: score_bytes.map(|bytes| layout.bytes(bytes)),
            normed: layout.bf16(tokens * geometry.dim),
            qkv: layout.bf16(tokens * geometry.heads.width()),
            attended: layout.bf16(tokens * geometry.heads.query * geometry.heads.dim),
            branch: layout.bf16(tokens * geometry.dim),
            gate_up: layout.bf16(tokens * 2 * geometry.ffn),
            unit: layout.bf16(tokens * geometry.ffn),
            fp8: None,
        }
    }

    /// Clears the padding of the attention's result, which attention does not write: scratch memory may contain NaN.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub(crate) fn clear_filling(
        &self,
        session: &Session<'_>,
        base: u64,
        geometry: &Geometry,
        rows: &Rows,
    ) -> Result<(), CudaError> {
        clear_filling(session, self.attended.in_scratch(base), geometry.heads.query * geometry.heads.dim, rows)
    }

    /// The address of the result of the last norm of a stack, `[tokens, dim]`.
    pub(crate) fn normed(&self, base: u64) -> u64 {
        self.normed.in_scratch(base)
    }

    /// Their addresses in the scratch memory at `base`.
    pub(crate) fn at(&self, base: u64) -> Buffers<u64> {
        let Self { normed, qkv, attended, branch, gate_up, unit, scores, fp8 } = *self;
        let at = |place: Place| place.in_scratch(base);
        Buffers {
            normed: at(normed),
            qkv: at(qkv),
            attended: at(attended),
            branch: at(branch),
            gate_up: at(gate_up),
            unit: at(unit),
            scores: scores.map(at),
            fp8: fp8.map(|(codes, scales)| (at(codes), at(scales))),
        }
    }
}

impl Buffers<u64> {
    /// Codes and scales of the input of an fp8 product.
    pub(crate) fn fp8(&self) -> Option<Fp8Rows> {
        self.fp8.map(|(codes, scales)| Fp8Rows { codes, scales })
    }
}
