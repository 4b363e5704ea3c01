//! A stack of transformer blocks over a flat sequence of tokens: the rows of a batch, concatenated.

use super::error::CudaError;
use super::kernels::{Modulation, Next, NormKind, RopeTables};
use super::masked_attention::{self, MaskedAttention};
use super::product::fp8::{self, Fp8Rows};
use super::product::{Layer, Matrix};
use super::profile::Cost;
use super::projection::{Branch, Input, Projection};
use super::rows::Rows;
use super::session::{Layout, Place, Session};
use super::text_kernels::{KEYS_MAX, Visible};
use super::{BF16, attention, launch};
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

/// Scales and gates of a block: four vectors for each row, `[rows, 4 * dim]`: scale and gate of the attention, scale
/// and gate of the feed-forward part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockModulation(pub u64);

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

/// Buffers between the products of a block, in scratch memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffers {
    normed: Place,
    qkv: Place,
    attended: Place,
    branch: Place,
    gate_up: Place,
    unit: Place,
    /// Attention scores, for attention by two products.
    scores: Option<Place>,
    /// Codes and scales of the input of an fp8 product.
    fp8: Option<(Place, Place)>,
}

impl Buffers {
    /// For a sequence of at most `tokens` tokens.
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

    fn with_scores(layout: &mut Layout, geometry: &Geometry, tokens: usize, score_bytes: Option<usize>) -> Self {
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
}

/// The tokens that a stack runs over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens<'a> {
    /// Address of the stream `[tokens, dim]`, which is changed in place.
    pub x: u64,
    /// Where its rows begin.
    pub rows: &'a Rows,
    /// Positions of its tokens.
    pub tables: RopeTables,
    /// Index of the first block in the network, for profiles.
    pub first_layer: usize,
}

/// Runs the blocks over the tokens. `modulations` has one entry for each block, or is empty. `last` is computed from
/// the result and written to [`Buffers::normed`].
///
/// # Errors
///
/// A library refuses.
#[expect(clippy::too_many_arguments, reason = "the inputs of one pass over a stack")]
pub(crate) fn run(
    session: &mut Session<'_>,
    base: u64,
    geometry: &Geometry,
    blocks: &[BlockWeights<Projection>],
    modulations: &[BlockModulation],
    tokens: Tokens<'_>,
    buffers: &Buffers,
    last: (Next, f32),
) -> Result<(), CudaError> {
    let Some(first) = blocks.first() else { return Ok(()) };
    let Geometry { dim, ffn, heads, norm, .. } = *geometry;
    let Tokens { x, rows, tables, .. } = tokens;
    let stream = session.stream;
    let [normed, qkv, attended, branch, gate_up, unit] =
        [buffers.normed, buffers.qkv, buffers.attended, buffers.branch, buffers.gate_up, buffers.unit]
            .map(|place| place.in_scratch(base));
    let fp8 =
        buffers.fp8.map(|(codes, scales)| Fp8Rows { codes: codes.in_scratch(base), scales: scales.in_scratch(base) });
    let part = |block: usize, part: usize| match modulations.get(block) {
        Some(modulation) => Modulation { values: modulation.0 + (part * dim) as u64 * BF16, stride: (4 * dim) as i64 },
        None => Modulation::default(),
    };
    let sum = |after: u64, gate: Modulation| Branch { x, branch, after, norm, gate, dim };
    first.qkv.input(normed, fp8).norm(session, x, first.attention_norm[0], norm, part(0, 0), rows, dim)?;
    let (count, attended_width) = (rows.tokens(), heads.query * heads.dim);
    for (i, block) in blocks.iter().enumerate() {
        session.layer(Some(tokens.first_layer + i));
        block.qkv.run(session, count, block.qkv.input(normed, fp8), qkv)?;
        session.mark(product_name(QKV, &block.qkv), Cost::product(count, dim, heads.width()))?;
        session.kernels.norm_rotate(stream, qkv, block.head_norm, geometry.head_norm, tables, rows, heads)?;
        session.mark("norm and rotate heads", Cost::moved(2 * count * (heads.query + heads.kv) * heads.dim))?;
        match buffers.scores {
            None => attend(session, qkv, attended, rows, heads)?,
            Some(scores) => attend_by_products(session, qkv, attended, scores.in_scratch(base), rows, heads)?,
        }
        session.mark("attention", attention_cost(rows, heads))?;
        let input = block.out.input(attended, fp8);
        input.take(session, attended, count, attended_width)?;
        block.out.run(session, count, input, branch)?;
        session.mark(product_name(OUT, &block.out), Cost::product(count, attended_width, dim))?;
        let input = block.gate_up.input(normed, fp8);
        let next = Next::Rms { weight: block.ffn_norm[0], scale: part(i, 2) };
        input.add_branch(session, sum(block.attention_norm[1], part(i, 1)), rows, (next, norm.eps))?;
        block.gate_up.run(session, count, input, gate_up)?;
        session.mark(product_name(GATE_UP, &block.gate_up), Cost::product(count, dim, 2 * ffn))?;
        let input = block.down.input(unit, fp8);
        input.gated_unit(session, gate_up, count, ffn, geometry.gate)?;
        block.down.run(session, count, input, branch)?;
        session.mark(product_name(DOWN, &block.down), Cost::product(count, ffn, dim))?;
        // The layer after the last block reads bf16.
        let (input, next) = match blocks.get(i + 1) {
            Some(following) => {
                let next = Next::Rms { weight: following.attention_norm[0], scale: part(i + 1, 0) };
                (following.qkv.input(normed, fp8), (next, norm.eps))
            }
            None => (Input::Bf16(normed), last),
        };
        input.add_branch(session, sum(block.ffn_norm[1], part(i, 3)), rows, next)?;
    }
    session.layer(None);
    Ok(())
}

/// Names of products for profiles, in bf16 and in fp8.
type ProductName = [&'static str; 2];
const QKV: ProductName = ["product qkv", "product qkv fp8"];
const OUT: ProductName = ["product out", "product out fp8"];
const GATE_UP: ProductName = ["product gate and up", "product gate and up fp8"];
const DOWN: ProductName = ["product down", "product down fp8"];

fn product_name([bf16, fp8]: ProductName, layer: &Projection) -> &'static str {
    if layer.is_fp8() { fp8 } else { bf16 }
}

/// Clears the padding of the rows of `[tokens, width]`.
///
/// # Errors
///
/// The driver refuses.
pub(crate) fn clear_filling(session: &Session<'_>, at: u64, width: usize, rows: &Rows) -> Result<(), CudaError> {
    for row in 0..rows.count() {
        let (length, span) = (rows.length(row), rows.span(row));
        if length < span {
            let first = ((rows.start(row) + length) * width) as u64 * BF16;
            session.zero(at + first, (span - length) * width * BF16 as usize)?;
        }
    }
    Ok(())
}

fn attention_cost(rows: &Rows, heads: Heads) -> Cost {
    let pairs: f64 = (0..rows.count()).map(|row| (rows.length(row) as f64).powi(2)).sum();
    Cost { flops: 4.0 * pairs * (heads.query * heads.dim) as f64, bytes: 0.0 }
}

/// Attention over a row of `tokens` tokens without a mask.
fn whole_row(heads: Heads, tokens: usize) -> MaskedAttention {
    let scale = 1.0 / (heads.dim as f32).sqrt();
    MaskedAttention { heads, scale, queries: tokens, keys: tokens, visible: Visible::First(tokens) }
}

/// [`attend`] by two products. Tokens are read and written up to the next multiple of [`masked_attention::ROUND`]:
/// values read from the next row are masked, and values written there are overwritten when that row is computed.
fn attend_by_products(
    session: &mut Session<'_>,
    qkv: u64,
    out: u64,
    scores: u64,
    rows: &Rows,
    heads: Heads,
) -> Result<(), CudaError> {
    let token_bytes = heads.width() as u64 * BF16;
    // Values beyond the last row must be finite.
    session.zero(qkv + rows.tokens() as u64 * token_bytes, masked_attention::ROUND * token_bytes as usize)?;
    for row in 0..rows.count() {
        let token = rows.start(row);
        let at = |head: usize| Matrix {
            at: qkv + token as u64 * token_bytes + (head * heads.dim) as u64 * BF16,
            row_stride: heads.width(),
        };
        let width = heads.query * heads.dim;
        let operands = masked_attention::Operands {
            q: at(0),
            k: at(heads.query),
            v: at(heads.query + heads.kv),
            scores,
            out: Matrix { at: out + (token * width) as u64 * BF16, row_stride: width },
        };
        whole_row(heads, rows.length(row)).run(session, operands)?;
    }
    Ok(())
}

/// Attention within each row. Consecutive rows of equal length are one call. Padding must be finite; it is left
/// unchanged or overwritten with zeros.
fn attend(session: &mut Session<'_>, qkv: u64, out: u64, rows: &Rows, heads: Heads) -> Result<(), CudaError> {
    for (first, count) in rows.runs() {
        let shape = attention::Shape::fused(count, rows.span(first), heads);
        let token = rows.start(first);
        let at = |head: usize| qkv + (token * heads.width() + head * heads.dim) as u64 * BF16;
        let operands = attention::Operands {
            q: at(0),
            k: at(heads.query),
            v: at(heads.query + heads.kv),
            out: out + (token * heads.query * heads.dim) as u64 * BF16,
        };
        session.attention.run_filled_up(session.stream, &shape, rows.length(first), operands)?;
    }
    Ok(())
}
