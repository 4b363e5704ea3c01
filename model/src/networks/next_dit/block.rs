//! One transformer block, with or without modulation.

use burn::nn::Linear;
use burn::tensor::{Bool, Tensor};

use super::NextDitConfig;
use super::attention::Attention;
use super::block_linear::BlockLinear;
use super::rope::RopeTable;
use crate::checkpoint::TensorReader;
use crate::nn::ops;

/// `x += tanh(gate) * norm2(f(norm1(x) * (1 + scale)))`, once with attention and once with the feed-forward part for
/// `f`. The blocks of the context refiner have neither scale nor gate.
#[derive(Debug)]
pub struct Block {
    pub(super) attention: Attention,
    /// The rows of `w1` and then of `w3`: one product instead of two.
    pub(super) gate_up: BlockLinear,
    pub(super) down: BlockLinear,
    pub(super) attention_norm: [Tensor<1>; 2],
    pub(super) ffn_norm: [Tensor<1>; 2],
    norm_eps: f64,
    pub(super) modulation: Option<Linear>,
}

/// What one half of a block is modulated with, `[batch, 1, dim]` each.
struct Modulation {
    /// `1 + scale`
    scale: Tensor<3>,
    /// `tanh(gate)`
    gate: Tensor<3>,
}

impl Block {
    /// Loads one block; `modulated` says whether it has `adaLN_modulation`.
    pub fn load(config: &NextDitConfig, weights: &TensorReader, modulated: bool) -> Self {
        let dim = config.dim;
        let norm = |name: &str| weights.tensor(&format!("{name}.weight"), [dim]);
        let feed_forward = weights.at("feed_forward");
        Self {
            attention: Attention::load(config, &weights.at("attention")),
            gate_up: BlockLinear::Loaded(
                feed_forward.linear_stack(&[("w1", config.ffn_dim), ("w3", config.ffn_dim)], dim),
            ),
            down: BlockLinear::Loaded(feed_forward.linear("w2", config.ffn_dim, dim, false)),
            attention_norm: [norm("attention_norm1"), norm("attention_norm2")],
            ffn_norm: [norm("ffn_norm1"), norm("ffn_norm2")],
            norm_eps: config.norm_eps,
            modulation: modulated.then(|| weights.linear("adaLN_modulation.1", config.adaln_dim, 4 * dim, true)),
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, sequence, dim]`
    /// - conditioning: `[batch, adaln_dim]`, after its SiLU; ignored by a block without modulation
    /// - mask: `[batch, 1, 1, sequence]`, true where a key is padding
    /// - output: `[batch, sequence, dim]`
    pub fn forward(
        &self,
        x: Tensor<3>,
        conditioning: Option<&Tensor<2>>,
        rope: &RopeTable,
        mask: Option<&Tensor<4, Bool>>,
    ) -> Tensor<3> {
        let [attention_modulation, ffn_modulation] = self.modulate(conditioning);
        let x = self.residual(x, &self.attention_norm, attention_modulation, |h| self.attention.forward(h, rope, mask));
        self.residual(x, &self.ffn_norm, ffn_modulation, |h| {
            let gate_up = self.gate_up.forward(h);
            let ffn_dim = gate_up.dims()[2] / 2;
            let up = gate_up.clone().narrow(2, ffn_dim, ffn_dim);
            self.down.forward(ops::swiglu(gate_up.narrow(2, 0, ffn_dim), up))
        })
    }

    /// Query, key and value; the attention's output; gate and up; down.
    #[cfg(feature = "cuda")]
    pub(super) fn linears(&self) -> [&BlockLinear; 4] {
        [&self.attention.qkv, &self.attention.out, &self.gate_up, &self.down]
    }

    /// As [`linears`](Self::linears).
    #[cfg(feature = "cuda")]
    pub(super) fn linears_mut(&mut self) -> [&mut BlockLinear; 4] {
        [&mut self.attention.qkv, &mut self.attention.out, &mut self.gate_up, &mut self.down]
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

    fn residual(
        &self,
        x: Tensor<3>,
        [before, after]: &[Tensor<1>; 2],
        modulation: Option<Modulation>,
        inner: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let normed = ops::rms_norm(x.clone(), before.clone(), self.norm_eps);
        match modulation {
            Some(Modulation { scale, gate }) => {
                let branch = ops::rms_norm(inner(normed.mul(scale)), after.clone(), self.norm_eps);
                x.add(branch.mul(gate))
            }
            None => x.add(ops::rms_norm(inner(normed), after.clone(), self.norm_eps)),
        }
    }
}
