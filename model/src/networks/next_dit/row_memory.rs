//! Device memory of one row of the step cache.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use crate::cuda::bridge::Pins;
use crate::cuda::locked_memory::LockedMemory;
use crate::cuda::operand::Operand;
use crate::cuda::{BF16, CudaError, Gpu};

/// Alignment of its parts in elements, that of the vectors of our kernels.
const ALIGNMENT: usize = 128;

/// Where a row of the step cache is kept on the device, valid as long as this lives.
pub(super) struct RowMemory {
    /// What the front added to the image tokens, `[image width, dim]`.
    pub(super) front: u64,
    /// What the middle added at the last and at the last but one evaluation that computed it, `[span, dim]`; the same twice where
    /// one is enough.
    pub(super) middle: [u64; 2],
    /// Sums of [`Kernels::difference_change`](crate::cuda::kernels::Kernels::difference_change), which the device writes and the
    /// host reads.
    pub(super) sums: Option<LockedMemory>,
    /// Keeps the memory, which is a tensor of burn's: so it comes from the pages that the decoder needs later.
    _held: Operand,
}

impl RowMemory {
    /// Allocates memory for a row. The sizes are image tokens, tokens in all and elements of a token; `orders` is the number of
    /// values kept of the middle blocks, 1 or 2. Waits for the device.
    ///
    /// # Errors
    ///
    /// The device has no memory.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        device: &Device,
        [image, span, dim]: [usize; 3],
        values: usize,
    ) -> Result<Self, CudaError> {
        let front = (image * dim).next_multiple_of(ALIGNMENT);
        let middle = (span * dim).next_multiple_of(ALIGNMENT);
        let tensor = Tensor::<1>::zeros([front + values * middle], (device, DType::BF16));
        let held = Pins::new(gpu).tensor(&tensor)?;
        let at = |elements: usize| held.at + elements as u64 * BF16;
        let last = at(front);
        let before = if values > 1 { at(front + middle) } else { last };
        Ok(Self { front: held.at, middle: [last, before], sums: None, _held: held })
    }
}
