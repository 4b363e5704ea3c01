//! A stack of transformer blocks over a flat sequence of tokens: the rows of a batch, concatenated.

use super::BF16;
use super::block::{BlockWeights, Buffers, Geometry};
use super::error::CudaError;
use super::kernels::{Modulation, Next, RopeTables};
use super::profile::Cost;
use super::projection::{Branch, Input, Projection};
use super::row_attention::{self, attend, attend_by_products};
use super::rows::Rows;
use super::session::Session;

/// Scales and gates of a block: four vectors for each row, `[rows, 4 * dim]`: scale and gate of the attention, scale
/// and gate of the feed-forward part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockModulation(pub u64);

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
    let Geometry { dim, heads, norm, .. } = *geometry;
    let Tokens { x, rows, tables, .. } = tokens;
    let stream = session.stream;
    let buffers = buffers.at(base);
    let Buffers { normed, qkv, attended, .. } = buffers;
    let fp8 = buffers.fp8();
    let part = |block: usize, part: usize| match modulations.get(block) {
        Some(modulation) => Modulation { values: modulation.0 + (part * dim) as u64 * BF16, stride: (4 * dim) as i64 },
        None => Modulation::default(),
    };
    first.qkv.input(normed, fp8).norm(session, x, first.attention_norm[0], norm, part(0, 0), rows, dim)?;
    let count = rows.tokens();
    for (i, block) in blocks.iter().enumerate() {
        session.layer(Some(tokens.first_layer + i));
        project_qkv(session, block, &buffers, count)?;
        session.kernels.norm_rotate(stream, qkv, block.head_norm, geometry.head_norm, tables, rows, heads)?;
        session.mark("norm and rotate heads", Cost::moved(2 * count * (heads.query + heads.kv) * heads.dim))?;
        match buffers.scores {
            None => attend(session, qkv, attended, rows, heads)?,
            Some(scores) => attend_by_products(session, qkv, attended, scores, rows, heads)?,
        }
        session.mark("attention", row_attention::cost(rows, heads))?;
        // The layer after the last block reads bf16.
        let next = match blocks.get(i + 1) {
            Some(following) => {
                let next = Next::Rms { weight: following.attention_norm[0], scale: part(i + 1, 0) };
                (following.qkv.input(normed, fp8), (next, norm.eps))
            }
            None => (Input::Bf16(normed), last),
        };
        let modulation = BranchModulation { attention_gate: part(i, 1), ffn_scale: part(i, 2), ffn_gate: part(i, 3) };
        finish_block(session, geometry, block, &buffers, (x, rows), modulation, next)?;
    }
    session.layer(None);
    Ok(())
}

/// The scale of the feed-forward part's input and the gates of both branches. The default changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BranchModulation {
    attention_gate: Modulation,
    ffn_scale: Modulation,
    ffn_gate: Modulation,
}

/// Queues what follows the attention in a block: its output layer, the sum with the stream at `x`, the feed-forward part, and
/// its sum with the stream. `next` is computed from that sum, into its input.
///
/// # Errors
///
/// A library refuses.
pub(crate) fn finish_block(
    session: &mut Session<'_>,
    geometry: &Geometry,
    block: &BlockWeights<Projection>,
    buffers: &Buffers<u64>,
    (x, rows): (u64, &Rows),
    modulation: BranchModulation,
    next: (Input, (Next, f32)),
) -> Result<(), CudaError> {
    let Geometry { dim, ffn, heads, norm, gate, .. } = *geometry;
    let Buffers { normed, attended, branch, gate_up, unit, .. } = *buffers;
    let fp8 = buffers.fp8();
    let count = rows.tokens();
    let sum = |after: u64, gate: Modulation| Branch { x, branch, after, norm, gate, dim };
    let input = block.out.input(attended, fp8);
    input.take(session, attended, count, heads.query * heads.dim)?;
    product(session, OUT, &block.out, count, input, branch)?;
    let input = block.gate_up.input(normed, fp8);
    let ffn_norm = Next::Rms { weight: block.ffn_norm[0], scale: modulation.ffn_scale };
    input.add_branch(session, sum(block.attention_norm[1], modulation.attention_gate), rows, (ffn_norm, norm.eps))?;
    product(session, GATE_UP, &block.gate_up, count, input, gate_up)?;
    let input = block.down.input(unit, fp8);
    input.gated_unit(session, gate_up, count, ffn, gate)?;
    product(session, DOWN, &block.down, count, input, branch)?;
    next.0.add_branch(session, sum(block.ffn_norm[1], modulation.ffn_gate), rows, next.1)
}

/// Queues a product and marks it for profiles.
fn product(
    session: &mut Session<'_>,
    [bf16, fp8]: ProductName,
    layer: &Projection,
    count: usize,
    x: Input,
    y: u64,
) -> Result<(), CudaError> {
    layer.run(session, count, x, y)?;
    session.mark(if layer.is_fp8() { fp8 } else { bf16 }, layer.cost(count))
}

/// Queues the product to queries, keys and values.
///
/// # Errors
///
/// A library refuses.
pub(crate) fn project_qkv(
    session: &mut Session<'_>,
    block: &BlockWeights<Projection>,
    buffers: &Buffers<u64>,
    count: usize,
) -> Result<(), CudaError> {
    product(session, QKV, &block.qkv, count, block.qkv.input(buffers.normed, buffers.fp8()), buffers.qkv)
}

/// Names of products for profiles, in bf16 and in fp8.
type ProductName = [&'static str; 2];
const QKV: ProductName = ["product qkv", "product qkv fp8"];
const OUT: ProductName = ["product out", "product out fp8"];
const GATE_UP: ProductName = ["product gate and up", "product gate and up fp8"];
const DOWN: ProductName = ["product down", "product down fp8"];
