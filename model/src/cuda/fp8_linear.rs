//! A linear layer quantised to fp8, in memory that burn owns.
//!
//! burn has no e4m3 tensors here, so codes and scales are packed into one vector of type bf16 that is never computed
//! with.

use std::any::Any;
use std::sync::Arc;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Tensor};

use super::bridge::{self, Pins};
use super::error::CudaError;
use super::fp8_kernels::WIDTH_MAX;
use super::gpu::Gpu;
use super::operand::Operand;
use super::product::fp8::{Fp8Layer, Fp8Rows, SIZE_MULTIPLE};
use super::session::Session;
use crate::nn::block::Quantised;

/// A linear layer without bias whose weights are e4m3 values with a scale for each output.
pub struct Fp8Linear {
    gpu: Arc<Gpu>,
    /// `d_output * d_input` codes of a byte, then `d_output` scales of four.
    packed: Tensor<1>,
    d_input: usize,
    d_output: usize,
}

impl std::fmt::Debug for Fp8Linear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fp8Linear")
            .field("d_input", &self.d_input)
            .field("d_output", &self.d_output)
            .finish_non_exhaustive()
    }
}

/// Checks that a layer can be quantised to fp8.
///
/// # Errors
///
/// The type or size that does not fit, or a bias.
pub fn check(layer: &Linear) -> Result<(), CudaError> {
    let dtype = layer.weight.val().dtype();
    if dtype != DType::BF16 {
        let what = "the bytes of a weight that becomes fp8";
        return Err(CudaError::Unsupported { what, found: dtype.size(), wanted: "2, weights in bf16" });
    }
    let [d_input, d_output] = layer.weight.dims();
    for (what, found) in [("the input of a layer in fp8", d_input), ("the output of a layer in fp8", d_output)] {
        if !found.is_multiple_of(SIZE_MULTIPLE) {
            return Err(CudaError::Unsupported { what, found, wanted: "a multiple of 16" });
        }
    }
    if d_input > WIDTH_MAX {
        let what = "the input of a layer in fp8";
        return Err(CudaError::Unsupported { what, found: d_input, wanted: "at most 32768" });
    }
    match &layer.bias {
        Some(bias) => {
            let [found] = bias.dims();
            Err(CudaError::Unsupported { what: "the bias of a layer in fp8", found, wanted: "a layer without one" })
        }
        None => Ok(()),
    }
}

/// How many bytes smaller a layer of these inputs and outputs is than in bf16.
pub fn bytes_saved([d_input, d_output]: [usize; 2]) -> usize {
    (2 * d_output * d_input).saturating_sub(packed_bytes(d_input, d_output))
}

/// Bytes of a layer of these widths.
fn packed_bytes(d_input: usize, d_output: usize) -> usize {
    d_output * d_input + d_output * size_of::<f32>()
}

impl Fp8Linear {
    /// Quantises the bf16 weights of a layer and waits for the device, so the layer can be dropped afterwards.
    ///
    /// # Errors
    ///
    /// As [`check`]; the weights are not stored by output as in checkpoints; or the device fails.
    pub fn of(gpu: &Arc<Gpu>, layer: &Linear) -> Result<Self, CudaError> {
        let quantised = Self::queued(gpu, layer)?;
        let doing = "quantise weights to fp8";
        let done = quantised.packed.device().sync();
        done.map_err(|error| CudaError::Driver { doing, reason: error.to_string() })?;
        gpu.take_fault().map_or(Ok(quantised), Err)
    }

    /// As [`of`](Self::of), without waiting: a failure of the device shows at the next wait.
    fn queued(gpu: &Arc<Gpu>, layer: &Linear) -> Result<Self, CudaError> {
        check(layer)?;
        let weight = layer.weight.val();
        let [d_input, d_output] = weight.dims();
        let length = packed_bytes(d_input, d_output) / 2;
        let round = move |session: &mut Session<'_>, operands: &[Operand], out: u64| {
            let [weight] = operands else { return Err(CudaError::operands(operands.len(), "1")) };
            let rows = rows(out, d_input, d_output);
            let from = (weight.at, weight.output_stride()? as i64);
            session.fp8_kernels()?.quantize_rows(session.stream, from, rows, d_output, d_input)
        };
        let device = weight.device();
        // Memory of exactly its size, as the loader takes for weights.
        let packed: Tensor<1> = device.memory_persistent_allocations(weight, |weight| {
            bridge::call_as_stored(gpu, &[bridge::handle(&weight)], [length], DType::BF16, round)
        });
        Ok(Self { gpu: Arc::clone(gpu), packed, d_input, d_output })
    }

    /// Its inputs and outputs.
    pub fn dims(&self) -> [usize; 2] {
        [self.d_input, self.d_output]
    }

    /// Its dequantised weight, `[d_input, d_output]`: code times scale, rounded to bf16 once.
    pub fn weight(&self) -> Tensor<2> {
        let Self { d_input, d_output, .. } = *self;
        let operands = [bridge::handle(&self.packed)];
        let values: Tensor<2> =
            bridge::call(&self.gpu, &operands, [d_output, d_input], DType::BF16, move |session, operands, out| {
                let [packed] = operands else { return Err(CudaError::operands(operands.len(), "1")) };
                let rows = rows(packed.at, d_input, d_output);
                session.fp8_kernels()?.dequantize_rows(session.stream, rows, out, d_output, d_input)
            });
        values.transpose()
    }

    /// The layer behind quantised weights.
    ///
    /// # Errors
    ///
    /// They are not in fp8, which is a bug.
    pub(crate) fn downcast(layer: &dyn Quantised) -> Result<&Self, CudaError> {
        let layer: &dyn Any = layer;
        layer.downcast_ref().ok_or_else(|| CudaError::NoFp8 { found: "weights in another type".to_owned() })
    }

    /// Its codes and scales by output: `d_output * d_input` and `d_output` values.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub fn read(&self) -> Result<(Vec<u8>, Vec<f32>), CudaError> {
        let failed = |reason: String| CudaError::Driver { doing: "read weights in 8 bits", reason };
        let data = self.packed.clone().try_into_data().map_err(|error| failed(error.to_string()))?;
        let bytes = data.as_bytes();
        let codes = self.d_output * self.d_input;
        if bytes.len() != packed_bytes(self.d_input, self.d_output) {
            return Err(failed(format!("{} bytes came", bytes.len())));
        }
        let scales =
            bytes[codes..].chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        Ok((bytes[..codes].to_vec(), scales.collect()))
    }

    /// Its address, valid as long as `pins` live.
    ///
    /// # Errors
    ///
    /// As [`Pins::tensor`].
    pub(crate) fn pin(&self, pins: &Pins) -> Result<Fp8Layer, CudaError> {
        let Self { d_input, d_output, .. } = *self;
        let weight = rows(pins.vector(&self.packed)?, d_input, d_output);
        Ok(Fp8Layer { weight, d_input, d_output })
    }
}

impl Quantised for Fp8Linear {
    fn weight(&self) -> Tensor<2> {
        Self::weight(self)
    }

    fn d_input(&self) -> usize {
        self.d_input
    }

    fn quantise(&self, weight: Tensor<2>) -> Result<Box<dyn Quantised>, String> {
        let layer = Linear { weight: Param::from_tensor(weight), bias: None };
        Self::queued(&self.gpu, &layer)
            .map(|layer| -> Box<dyn Quantised> { Box::new(layer) })
            .map_err(|error| error.to_string())
    }
}

/// Codes and scales of a packed layer at this address.
fn rows(at: u64, d_input: usize, d_output: usize) -> Fp8Rows {
    Fp8Rows { codes: at, scales: at + (d_output * d_input) as u64 }
}
