//! The resources for work on a device: the stream, the libraries, our kernels and scratch memory.

use cudarc::driver::result;
use cudarc::driver::sys::{self, CUstream};

use super::attention::Attention;
use super::convolution::Convolutions;
use super::error::CudaError;
use super::fp8_kernels::Fp8Kernels;
use super::image_kernels::ImageKernels;
use super::kernels::Kernels;
use super::product::Products;
use super::profile::{Cost, Profile};
use super::text_kernels::TextKernels;
use super::transformer_kernels::TransformerKernels;

/// Alignment of every buffer, at least what the fastest kernels of cuBLASLt and cuDNN need.
const ALIGNMENT: usize = 256;

/// Memory that grows to the largest size used and is kept until the process ends.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    at: u64,
    pub(super) bytes: usize,
}

/// What work on a device may use. All of it is queued on one stream, in order.
pub struct Session<'a> {
    /// The stream on which everything is queued.
    pub stream: CUstream,
    /// Matrix products by cuBLASLt.
    pub products: &'a mut Products,
    /// Attention by cuDNN.
    pub attention: &'a mut Attention,
    /// Convolutions by cuDNN.
    pub convolutions: &'a mut Convolutions,
    /// Kernels for token streams and their heads.
    pub kernels: &'a Kernels,
    /// Kernels for channels-last images.
    pub image_kernels: &'a ImageKernels,
    /// Kernels of the text encoders.
    pub text_kernels: &'a TextKernels,
    /// Kernels of transformers with layer norms before their branches.
    pub transformer_kernels: &'a TransformerKernels,
    pub(super) fp8_kernels: Option<&'a Fp8Kernels>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) profile: Option<&'a mut Profile>,
}

/// The buffers of one pass, laid out before the first is used.
#[derive(Debug, Default)]
pub struct Layout {
    bytes: usize,
}

/// A buffer of a [`Layout`].
#[derive(Debug, Clone, Copy)]
pub struct Place(usize);

impl Layout {
    /// Adds a buffer for this many bf16 values.
    pub fn bf16(&mut self, elements: usize) -> Place {
        self.bytes(elements * 2)
    }

    /// Adds a buffer of this many bytes.
    pub fn bytes(&mut self, bytes: usize) -> Place {
        let place = Place(self.bytes);
        self.bytes += bytes.next_multiple_of(ALIGNMENT);
        place
    }
}

impl Session<'_> {
    /// The address of the first buffer; [`Place::in_scratch`] gives the others. Waits for the device and allocates if
    /// the layout is larger than every earlier one; otherwise it costs nothing.
    ///
    /// # Errors
    ///
    /// Out of memory.
    pub fn scratch(&mut self, layout: &Layout) -> Result<u64, CudaError> {
        if layout.bytes > self.scratch.bytes {
            // SAFETY: after the wait nothing on the stream uses the old memory, and no other stream ever does.
            unsafe {
                result::stream::synchronize(self.stream).map_err(CudaError::driver("wait before memory grows"))?;
                if self.scratch.at != 0 {
                    result::free_sync(self.scratch.at).map_err(CudaError::driver("free scratch memory"))?;
                    *self.scratch = Scratch::default();
                }
                let at = result::malloc_sync(layout.bytes).map_err(CudaError::driver("reserve scratch memory"))?;
                *self.scratch = Scratch { at, bytes: layout.bytes };
            }
            tracing::debug!(bytes = layout.bytes, "scratch memory of the device grew");
        }
        Ok(self.scratch.at)
    }

    /// Our kernels for fp8.
    ///
    /// # Errors
    ///
    /// The device has no fp8.
    pub fn fp8_kernels(&self) -> Result<&'_ Fp8Kernels, CudaError> {
        self.fp8_kernels.ok_or_else(|| CudaError::NoFp8 { found: "this device has no fp8".to_owned() })
    }

    /// Attributes later marks to this network and to none of its layers.
    pub fn enter(&mut self, network: &'static str) {
        if let Some(profile) = &mut self.profile {
            profile.enter(network);
        }
    }

    /// Attributes later marks to this layer, or to none.
    pub fn layer(&mut self, layer: Option<usize>) {
        if let Some(profile) = &mut self.profile {
            profile.layer(layer);
        }
    }

    /// Names what was queued since the last mark, if operations are timed.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub fn mark(&mut self, name: &'static str, cost: Cost) -> Result<(), CudaError> {
        match &mut self.profile {
            Some(profile) => profile.mark(name, cost, self.stream),
            None => Ok(()),
        }
    }

    /// Address and bytes of the scratch memory.
    pub fn held(&self) -> (u64, usize) {
        (self.scratch.at, self.scratch.bytes)
    }

    /// Waits until everything that was queued is done.
    ///
    /// # Errors
    ///
    /// Work that was queued failed.
    pub(crate) fn wait(&self, doing: &'static str) -> Result<(), CudaError> {
        // SAFETY: the stream lives as long as the session.
        unsafe { result::stream::synchronize(self.stream) }.map_err(CudaError::driver(doing))
    }

    /// Queues a copy on the device.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller guarantees the addresses.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }.map_err(CudaError::driver("copy"))
    }

    /// Queues a copy of `rows` rows of `width` bytes; `from` and `to` are an address and the bytes from one row to the
    /// next.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub fn copy_rows(&self, from: (u64, usize), to: (u64, usize), width: usize, rows: usize) -> Result<(), CudaError> {
        if from.1 == width && to.1 == width {
            return self.copy(from.0, to.0, width * rows);
        }
        let copy = sys::CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcHost: std::ptr::null(),
            srcDevice: from.0,
            srcArray: std::ptr::null_mut(),
            srcPitch: from.1,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstHost: std::ptr::null_mut(),
            dstDevice: to.0,
            dstArray: std::ptr::null_mut(),
            dstPitch: to.1,
            WidthInBytes: width,
            Height: rows,
        };
        // SAFETY: the caller guarantees the addresses.
        unsafe { sys::cuMemcpy2DAsync_v2(&raw const copy, self.stream) }.result().map_err(CudaError::driver("copy"))
    }

    /// Queues zeros.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub fn zero(&self, at: u64, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller guarantees the address.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream) }.map_err(CudaError::driver("clear memory"))
    }
}

impl Place {
    /// Its address in scratch memory that begins at `base`.
    pub fn in_scratch(self, base: u64) -> u64 {
        base + self.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_do_not_overlap() {
        let mut layout = Layout::default();
        let places = [layout.bf16(1), layout.bytes(300), layout.bf16(128)].map(|place| place.in_scratch(4096));
        assert_eq!(places, [4096, 4096 + 256, 4096 + 768]);
        assert_eq!(layout.bytes, 1024);
    }
}
