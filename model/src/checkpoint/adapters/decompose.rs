//! DoRA: the magnitudes of a weight, learned apart from its direction (Liu et al. 2024,
//! <https://arxiv.org/abs/2402.09353>).
//!
//! With W the weight, D its low-rank change, s the strength, m the magnitudes and |X| the norms along the axis of the
//! magnitudes, three programs have three rules. At strength 1 and for magnitudes of outputs, those of LyCORIS and PEFT
//! agree.
//!
//! | rule | result |
//! |---|---|
//! | LyCORIS | `V (1 + s (m / |V| - 1))`, V = W + D |
//! | PEFT | `V m / |V|`, V = W + s D |
//! | ComfyUI | `W + s (V m / n - W)`, V = W + D; n is `|W|` for magnitudes of outputs and `|V|` for those of inputs |

use burn::tensor::Tensor;

use crate::checkpoint::{SafetensorsFile, TensorEntry, decode_f32};

/// Added to norms, as LyCORIS and ComfyUI do: `f32::EPSILON`.
const EPS: f32 = f32::EPSILON;

/// The program whose rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoraRule {
    /// The rule of LyCORIS, for files with `dora_scale`.
    Lycoris,
    /// The rule of PEFT, for files with `lora_magnitude_vector`.
    Peft,
    /// The rule of ComfyUI, which no file selects.
    ComfyUi,
}

/// The magnitudes of a module adapted by DoRA: the norms of its weight along one axis.
#[derive(Debug)]
pub(super) struct Magnitudes {
    pub(super) entry: TensorEntry,
    /// Whether they are a plain vector of the outputs.
    pub(super) is_vector: bool,
    pub(super) rule: DoraRule,
}

impl Magnitudes {
    /// The axis that they belong to, outputs (0) or inputs (1), for a weight of this shape.
    fn axis(&self, shape: &[usize]) -> Option<usize> {
        let (&outputs, &inputs) = (shape.first()?, shape.get(1)?);
        let count: usize = self.entry.shape.iter().product();
        let is_output = self.is_vector || self.entry.shape.first() == Some(&outputs);
        match is_output {
            true => (count == outputs).then_some(0),
            false => (count == inputs && self.entry.shape.get(1) == Some(&inputs)).then_some(1),
        }
    }

    /// Whether they belong to a weight of this shape, or why not.
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<(), String> {
        let fits = self.axis(shape).is_some();
        fits.then_some(())
            .ok_or_else(|| format!("its magnitudes {:?} do not fit `{name}`, {shape:?}", self.entry.shape))
    }

    /// The changed weight. `delta` is scaled, but not by the strength.
    pub(super) fn apply<const D: usize>(
        &self,
        file: &SafetensorsFile,
        base: Tensor<D>,
        delta: Tensor<D>,
        strength: f32,
    ) -> Tensor<D> {
        let axis = self.axis(&base.dims()).unwrap_or(0);
        let mut shape = [1; D];
        shape[axis] = base.dims()[axis];
        let magnitudes: Tensor<D> = decode_f32(file, &self.entry, shape, &base.device());
        match self.rule {
            DoraRule::Lycoris => {
                let moved = base + delta;
                let factor = (magnitudes / (norms(&moved, axis).add_scalar(EPS))).sub_scalar(1.0);
                moved * factor.mul_scalar(strength).add_scalar(1.0)
            }
            DoraRule::Peft => {
                let moved = base + delta.mul_scalar(strength);
                let norms = norms(&moved, axis);
                moved * (magnitudes / norms)
            }
            DoraRule::ComfyUi => {
                let moved = base.clone() + delta;
                let norms = norms(if axis == 0 { &base } else { &moved }, axis).add_scalar(EPS);
                let target = moved * (magnitudes / norms);
                base.clone() + (target - base).mul_scalar(strength)
            }
        }
    }
}

/// The Euclidean norms over all axes but `axis`.
fn norms<const D: usize>(x: &Tensor<D>, axis: usize) -> Tensor<D> {
    let others: Vec<usize> = (0..D).filter(|&other| other != axis).collect();
    others.into_iter().fold(x.clone().square(), |sum, axis| sum.sum_dim(axis)).sqrt()
}
