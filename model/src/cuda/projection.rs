//! Linear layers of a block in bf16 or fp8, and the kernels that write their inputs in that type.

use super::error::CudaError;
use super::kernels::{Modulation, Next, NormKind};
use super::masked_attention::{self, rounded};
use super::product::fp8::{Fp8Layer, Fp8Rows};
use super::product::{Layer, Product};
use super::profile::Cost;
use super::rows::Rows;
use super::session::Session;
use crate::nn::block::Gate;

/// A linear layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Projection {
    /// Weights and input in bf16.
    Bf16(Layer),
    /// The same over a padded number of rows, whose bits do not depend on that number: [`masked_attention::linear`].
    Padded(Layer),
    /// Weights and input in e4m3 with a scale for each row.
    Fp8(Fp8Layer),
}

/// The input of a layer: contiguous rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input {
    /// Address of bf16 values.
    Bf16(u64),
    /// 8-bit values.
    Fp8(Fp8Rows),
}

impl Projection {
    /// Whether it reads 8-bit values.
    pub(crate) fn is_fp8(&self) -> bool {
        matches!(self, Self::Fp8(_))
    }

    /// The buffer for its input: `fp8` if it reads 8-bit values, else `bf16`.
    pub(crate) fn input(&self, bf16: u64, fp8: Option<Fp8Rows>) -> Input {
        match (self, fp8) {
            (Self::Fp8(_), Some(rows)) => Input::Fp8(rows),
            _ => Input::Bf16(bf16),
        }
    }

    /// The cost of the product of `count` rows, padding included.
    pub(crate) fn cost(&self, count: usize) -> Cost {
        match self {
            Self::Bf16(layer) => Cost::product(count, layer.d_input, layer.d_output),
            Self::Padded(layer) => Cost::product(rounded(count), layer.d_input, layer.d_output),
            Self::Fp8(layer) => Cost::product(count, layer.d_input, layer.d_output),
        }
    }

    /// Queues the product of `count` rows of `x` into `y`, in bf16 and without gaps.
    ///
    /// # Errors
    ///
    /// cuBLASLt refuses, or the type of the input differs from the type that the layer reads (a bug).
    pub(crate) fn run(&self, session: &mut Session<'_>, count: usize, x: Input, y: u64) -> Result<(), CudaError> {
        let stream = session.stream;
        match (self, x) {
            (Self::Bf16(layer), Input::Bf16(x)) => session.products.run(stream, &Product::linear(count, x, layer, y)),
            (Self::Padded(layer), Input::Bf16(x)) => masked_attention::linear(session, rounded(count), x, layer, y),
            (Self::Fp8(layer), Input::Fp8(x)) => session.products.run_fp8(stream, count, x, layer, y),
            (Self::Bf16(_) | Self::Padded(_), Input::Fp8(_)) | (Self::Fp8(_), Input::Bf16(_)) => {
                Err(CudaError::Driver { doing: "multiply", reason: "the factors are of two types".to_owned() })
            }
        }
    }
}

/// A branch of a block that is added to the stream: `x += tanh(gate[row]) * rms_norm(branch) * after`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    /// Address of the stream `[tokens, dim]`, which is changed in place.
    pub x: u64,
    /// Address of the branch `[tokens, dim]`.
    pub branch: u64,
    /// Address of the norm's weight.
    pub after: u64,
    /// How the norm is computed.
    pub norm: NormKind,
    /// Gates of the rows.
    pub gate: Modulation,
    /// Width of the stream.
    pub dim: usize,
}

impl Input {
    fn value_bytes(self) -> usize {
        match self {
            Self::Bf16(_) => 2,
            Self::Fp8(_) => 1,
        }
    }

    /// Queues the first norm of a stack over the stream at `x`, `[tokens, dim]`.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    #[expect(clippy::too_many_arguments, reason = "they are the operands of one kernel")]
    pub(crate) fn norm(
        self,
        session: &Session<'_>,
        x: u64,
        weight: u64,
        kind: NormKind,
        scale: Modulation,
        rows: &Rows,
        dim: usize,
    ) -> Result<(), CudaError> {
        let (stream, from) = (session.stream, (x, dim as i64));
        match self {
            Self::Bf16(out) => {
                session.kernels.rms_norm_scale(stream, from, weight, kind, scale, rows, (out, dim as i64), dim)
            }
            Self::Fp8(out) => session.fp8_kernels()?.rms_norm_scale(stream, from, weight, kind, scale, rows, out, dim),
        }
    }

    /// Queues the sum of a branch and the stream, followed by the norm `next`.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub(crate) fn add_branch(
        self,
        session: &mut Session<'_>,
        sum: Branch,
        rows: &Rows,
        (next, eps): (Next, f32),
    ) -> Result<(), CudaError> {
        let stream = session.stream;
        let Branch { x, branch, after, norm, gate, dim } = sum;
        match self {
            Self::Bf16(out) => {
                session.kernels.add_branch_norm(stream, x, branch, after, norm, gate, rows, next, eps, out, dim)?;
            }
            Self::Fp8(out) => {
                let kernels = session.fp8_kernels()?;
                kernels.add_branch_norm(stream, x, branch, after, norm, gate, rows, next, eps, out, dim)?;
            }
        }
        let name = if matches!(self, Self::Fp8(_)) { "add branch and norm fp8" } else { "add branch and norm" };
        session.mark(name, Cost::moved_bytes((6 + self.value_bytes()) * rows.tokens() * dim))
    }

    /// Queues the gated unit of `gate_up`, `[count, 2 width]` in bf16.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub(crate) fn gated_unit(
        self,
        session: &mut Session<'_>,
        gate_up: u64,
        count: usize,
        width: usize,
        gate: Gate,
    ) -> Result<(), CudaError> {
        let stream = session.stream;
        let name = match self {
            Self::Bf16(out) => {
                session.kernels.gated_unit(stream, gate_up, out, count, width, gate)?;
                "gated unit"
            }
            Self::Fp8(out) => {
                session.fp8_kernels()?.gated_unit(stream, gate_up, out, count, width, gate)?;
                "gated unit fp8"
            }
        };
        session.mark(name, Cost::moved_bytes((4 + self.value_bytes()) * count * width))
    }

    /// Makes `count` bf16 rows at `from` the input: queues their quantisation for fp8, nothing for bf16.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub(crate) fn take(
        self,
        session: &mut Session<'_>,
        from: u64,
        count: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let Self::Fp8(out) = self else { return Ok(()) };
        session.fp8_kernels()?.quantize_rows(session.stream, (from, width as i64), out, count, width)?;
        session.mark("quantize fp8", Cost::moved_bytes(3 * count * width))
    }
}
