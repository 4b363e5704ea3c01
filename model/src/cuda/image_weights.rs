//! Addresses of the weights of convolutional networks, copied to the layouts of the kernels where these differ.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use super::BF16;
use super::bridge::{self, Pins};
use super::error::CudaError;
use super::gpu::Gpu;
use super::image_kernels::{CHANNELS_MAX, GroupNorm};
use super::operand::Operand;
use super::product::{Layer, Matrix};
use crate::nn::conv::{self, Conv};

/// What keeps the weights of a network at their addresses.
#[derive(Default)]
pub(crate) struct Owned {
    /// The filters in the order of the kernels.
    #[expect(dead_code, reason = "it owns the memory of addresses")]
    filters: Vec<Tensor<4>>,
    #[expect(dead_code, reason = "it keeps weights at their addresses")]
    pins: Option<Pins>,
}

/// Addresses of the weights of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    /// Address of `[output, kernel, kernel, input]`.
    pub filter: u64,
    /// Address of `[output]`.
    pub bias: u64,
    /// Channels of the input, a multiple of 8.
    pub input: usize,
    /// Channels of the result.
    pub output: usize,
}

/// Locates weights, and copies those whose layout differs from that of the kernels.
pub(crate) struct ImagePins<'a> {
    /// For weights that need no copy.
    pub(crate) pins: &'a Pins,
    /// The copies of the first run, which the second one reads.
    copies: &'a RefCell<Vec<Tensor<4>>>,
    next: Cell<usize>,
}

impl ImagePins<'_> {
    /// What `locate` makes of a network's weights, and what keeps their addresses valid. `locate` runs twice, see
    /// [`Pins::batched`]; weights are copied once.
    ///
    /// # Errors
    ///
    /// Those of `locate`, or the device fails.
    pub(crate) fn batched<T>(
        gpu: &Arc<Gpu>,
        locate: impl Fn(&ImagePins<'_>) -> Result<T, CudaError>,
    ) -> Result<(T, Owned), CudaError> {
        let copies = RefCell::new(Vec::new());
        let (weights, pins) =
            Pins::batched(gpu, |pins| locate(&ImagePins { pins, copies: &copies, next: Cell::new(0) }))?;
        Ok((weights, Owned { filters: copies.into_inner(), pins: Some(pins) }))
    }

    /// The filter as `[output, kernel, kernel, input]`, with inputs zero-padded to whole vectors.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(crate) fn convolution(&self, conv: &Conv) -> Result<Convolution, CudaError> {
        let [output, ..] = conv.weight.dims();
        self.convolution_to(conv, output)
    }

    /// As [`convolution`](Self::convolution), with zeros for outputs beyond those of the filter, up to `output`. Its bias
    /// has no values for them.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(crate) fn convolution_to(&self, conv: &Conv, output: usize) -> Result<Convolution, CudaError> {
        let [_, input, kernel, _] = conv.weight.dims();
        let input = input.next_multiple_of(8);
        let filter = self.rearranged(&conv.weight, [0, 2, 3, 1], [output, kernel, kernel, input])?;
        Ok(Convolution { filter, bias: self.pins.vector(&conv.bias)?, input, output })
    }

    /// The filter as a matrix `[positions * output, input]`, zero-padded.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(crate) fn matrix(&self, conv: &Conv, [rows, input]: [usize; 2], bias: Option<u64>) -> Result<Layer, CudaError> {
        let at = self.rearranged(&conv.weight, [2, 3, 0, 1], [1, 1, rows, input])?;
        Ok(Layer { weight: Matrix { at, row_stride: input }, bias, d_input: input, d_output: rows })
    }

    /// A convolution of width 1 with its bias.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(crate) fn pointwise(&self, conv: &Conv) -> Result<Layer, CudaError> {
        let [output, input, ..] = conv.weight.dims();
        let bias = self.pins.vector(&conv.bias)?;
        self.matrix(conv, [output, input], Some(bias))
    }

    /// A group norm.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(crate) fn norm(&self, norm: &conv::GroupNorm) -> Result<GroupNorm, CudaError> {
        Ok(GroupNorm {
            weight: self.pins.vector(&norm.weight)?,
            bias: self.pins.vector(&norm.bias)?,
            groups: norm.kind.groups,
            eps: norm.kind.eps as f32,
        })
    }

    /// The address of a copy with its axes in this order, zero-padded to `shape`.
    fn rearranged(&self, weight: &Tensor<4>, order: [usize; 4], shape: [usize; 4]) -> Result<u64, CudaError> {
        let index = self.next.replace(self.next.get() + 1);
        let made = self.copies.borrow().get(index).cloned();
        let copy = made.unwrap_or_else(|| {
            let copy = rearranged(self.pins.gpu(), weight, order, shape);
            self.copies.borrow_mut().push(copy.clone());
            copy
        });
        let Operand { at, .. } = self.pins.tensor(&copy)?;
        Ok(at)
    }
}

fn rearranged(gpu: &Arc<Gpu>, weight: &Tensor<4>, order: [usize; 4], shape: [usize; 4]) -> Tensor<4> {
    let bytes = shape.iter().product::<usize>() * BF16 as usize;
    // Memory of exactly its size, as the loader takes for weights.
    weight.device().memory_persistent_allocations(weight.clone(), |weight: Tensor<4>| {
        bridge::call_as_stored(gpu, &[bridge::handle(&weight)], shape, DType::BF16, move |session, operands, out| {
            let [weight] = operands else { return Err(CudaError::operands(operands.len(), "1")) };
            session.zero(out, bytes)?;
            session.image_kernels.rearrange(session.stream, weight, order, out, shape[3])
        })
    })
}

/// Refuses channels that the kernels do not take.
///
/// # Errors
///
/// The first number of channels that is not a multiple of 8 or too large.
pub(crate) fn check_channels(channels: &[usize]) -> Result<(), CudaError> {
    match channels.iter().find(|channels| !channels.is_multiple_of(8) || **channels > CHANNELS_MAX) {
        None => Ok(()),
        Some(&found) => {
            Err(CudaError::Unsupported { what: "the number of channels", found, wanted: "a multiple of 8 up to 4096" })
        }
    }
}
