//! A transformer block with a norm before and after each branch, as the Next-DiT and Gemma 3 have it.

use std::any::Any;
use std::fmt::Debug;

use burn::nn::Linear;
use burn::tensor::{Bool, Tensor, module};

use super::ops;
use super::rope::RopeTable;

/// An RMS norm.
#[derive(Debug)]
pub(crate) struct Norm {
    /// `[width]`
    pub(crate) weight: Tensor<1>,
    pub(crate) eps: f64,
    /// Whether 1 is added to the weight, as Gemma does.
    pub(crate) plus_one: bool,
}

impl Norm {
    /// Over the last axis.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let norm = if self.plus_one { ops::rms_norm_plus_one } else { ops::rms_norm };
        norm(x, self.weight.clone(), self.eps)
    }
}

/// A linear layer without bias.
#[derive(Debug)]
pub(crate) enum Projection {
    /// In the type that it was loaded in.
    Loaded(Linear),
    /// In a type that burn does not compute with.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only the GPU code quantises"))]
    Quantised(Box<dyn Quantised>),
}

/// The weights of a linear layer without bias in a type that burn does not compute with.
pub(crate) trait Quantised: Any + Debug + Send + Sync {
    /// The dequantised weight, `[d_input, d_output]` in bf16.
    fn weight(&self) -> Tensor<2>;

    fn d_input(&self) -> usize;

    /// Another weight of the same sizes in the same type, from `[d_input, d_output]` in bf16, stored by output as in
    /// checkpoints. The work is queued: a failure of the device shows when it is waited for.
    ///
    /// # Errors
    ///
    /// The weight has another type or layout.
    fn quantise(&self, weight: Tensor<2>) -> Result<Box<dyn Quantised>, String>;
}

impl Projection {
    /// `x W` over the last axis: `[.., d_input]` to `[.., d_output]`. Quantised weights are converted to bf16, the type that
    /// `x` must have then: for comparisons, and for batches that the fast path does not support.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Loaded(layer) => ops::linear(x, layer),
            Self::Quantised(layer) => module::linear(x, layer.weight(), None),
        }
    }
}

/// Heads of a fused projection to queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "cuda"), allow(unreachable_pub, reason = "the session of the GPU takes it"))]
pub struct Heads {
    /// Number of query heads.
    pub query: usize,
    /// Key heads, and as many value heads.
    pub kv: usize,
    /// Elements of a head.
    pub dim: usize,
}

#[cfg_attr(not(feature = "cuda"), allow(unreachable_pub, reason = "the session of the GPU takes it"))]
impl Heads {
    /// Elements of a token of the fused projection.
    pub fn width(&self) -> usize {
        (self.query + 2 * self.kv) * self.dim
    }
}

/// The activation of a gated feed-forward, `activation(gate) * up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "cuda"), allow(unreachable_pub, reason = "the session of the GPU takes it"))]
pub enum Gate {
    /// SwiGLU.
    Silu = 0,
    /// GEGLU with the tanh approximation.
    GeluTanh = 1,
}

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// 2i and 2i + 1.
    Neighbours,
    /// i and i + `head_dim` / 2.
    Halves,
}

/// What the blocks of a network have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockKind {
    pub(crate) heads: Heads,
    pub(crate) pairing: Pairing,
    pub(crate) gate: Gate,
    /// Multiplies queries, besides the 1 / sqrt(`head_dim`) of every attention.
    pub(crate) query_scale: f64,
}

/// Positions and masks of a batch.
pub(crate) struct Positions<'a> {
    pub(crate) rope: &'a RopeTable,
    /// `[batch or 1, 1, 1 or sequence, sequence]`, true where a key is hidden.
    pub(crate) mask: Option<&'a Tensor<4, Bool>>,
    /// Whether keys after the query are hidden.
    pub(crate) is_causal: bool,
}

/// `x += tanh(gate) * norm2(f(norm1(x) * (1 + scale)))`, first with attention for `f`, then with the gated
/// feed-forward. A block without modulation has neither scale nor gate.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    /// Queries, keys and values in one product.
    pub(crate) qkv: Projection,
    /// After the attention.
    pub(crate) out: Projection,
    /// Gate and up in one product.
    pub(crate) gate_up: Projection,
    /// Back to the width of the stream.
    pub(crate) down: Projection,
    /// Norms before and after the attention.
    pub(crate) attention_norm: [Norm; 2],
    /// Norms before and after the feed-forward.
    pub(crate) ffn_norm: [Norm; 2],
    /// Norms of query and key heads.
    pub(crate) head_norm: Option<[Norm; 2]>,
    /// To scale and gate of the attention and scale and gate of the feed-forward, `[adaln_dim]` to `[4 dim]`.
    pub(crate) modulation: Option<Linear>,
}

/// What one half of a block is modulated with, `[batch, 1, dim]` each.
struct Modulation {
    /// `1 + scale`.
    scale: Tensor<3>,
    /// `tanh(gate)`
    gate: Tensor<3>,
}

impl Block {
    /// # Shapes
    ///
    /// - x: `[batch, sequence, dim]`
    /// - conditioning: `[batch, adaln_dim]`, after its SiLU; ignored by a block without modulation
    /// - output: `[batch, sequence, dim]`
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        conditioning: Option<&Tensor<2>>,
        positions: &Positions<'_>,
    ) -> Tensor<3> {
        let [attention, ffn] = self.modulate(conditioning);
        let x = residual(x, &self.attention_norm, attention, |h| self.attend(h, positions));
        residual(x, &self.ffn_norm, ffn, |h| self.feed_forward(h))
    }

    /// The large linear layers: query, key and value; the attention's output; gate and up; down.
    #[cfg(feature = "cuda")]
    pub(crate) fn projections(&self) -> [&Projection; 4] {
        [&self.qkv, &self.out, &self.gate_up, &self.down]
    }

    /// As [`projections`](Self::projections), to replace them.
    #[cfg(feature = "cuda")]
    pub(crate) fn projections_mut(&mut self) -> [&mut Projection; 4] {
        [&mut self.qkv, &mut self.out, &mut self.gate_up, &mut self.down]
    }

    fn modulate(&self, conditioning: Option<&Tensor<2>>) -> [Option<Modulation>; 2] {
        let (Some(layer), Some(conditioning)) = (&self.modulation, conditioning) else { return [None, None] };
        let all = ops::linear(conditioning.clone(), layer);
        let [_, width] = all.dims();
        let dim = width / 4;
        let chunk = |i: usize| all.clone().narrow(1, i * dim, dim).unsqueeze_dim::<3>(1);
        let half = |i: usize| Some(Modulation { scale: chunk(i).add_scalar(1.0), gate: chunk(i + 1).tanh() });
        [half(0), half(2)]
    }

    fn attend(&self, x: Tensor<3>, positions: &Positions<'_>) -> Tensor<3> {
        let BlockKind { heads, pairing, query_scale, .. } = self.kind;
        let [batch, sequence, _] = x.dims();
        let qkv = self.qkv.forward(x);
        let part = |first: usize, count: usize| {
            let part = qkv.clone().narrow(2, first * heads.dim, count * heads.dim);
            part.reshape([batch, sequence, count, heads.dim])
        };
        let mut q = part(0, heads.query);
        let mut k = part(heads.query, heads.kv);
        let v = part(heads.query + heads.kv, heads.kv);
        if let Some([q_norm, k_norm]) = &self.head_norm {
            q = q_norm.forward(q);
            k = k_norm.forward(k);
        }
        let rotate = match pairing {
            Pairing::Neighbours => ops::rope_interleaved,
            Pairing::Halves => ops::rope_half,
        };
        let RopeTable { cos, sin } = positions.rope;
        let mut q = rotate(q, cos.clone(), sin.clone());
        if query_scale != 1.0 {
            q = q.mul_scalar(query_scale);
        }
        let k = rotate(k, cos.clone(), sin.clone());
        let attended = ops::attention(q, k, v, positions.mask.cloned(), positions.is_causal);
        self.out.forward(attended.reshape([batch, sequence, heads.query * heads.dim]))
    }

    fn feed_forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate_up = self.gate_up.forward(x);
        let width = gate_up.dims()[2] / 2;
        let up = gate_up.clone().narrow(2, width, width);
        let gate = gate_up.narrow(2, 0, width);
        self.down.forward(match self.kind.gate {
            Gate::Silu => ops::swiglu(gate, up),
            Gate::GeluTanh => ops::gelu_tanh(gate) * up,
        })
    }
}

fn residual(
    x: Tensor<3>,
    [before, after]: &[Norm; 2],
    modulation: Option<Modulation>,
    inner: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let normed = before.forward(x.clone());
    match modulation {
        Some(Modulation { scale, gate }) => x.add(after.forward(inner(normed.mul(scale))).mul(gate)),
        None => x.add(after.forward(inner(normed))),
    }
}
