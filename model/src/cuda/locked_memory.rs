//! One piece of page-locked host memory, from which the device copies at the speed of the bus.

use std::ffi::c_void;
use std::time::Instant;

use burn::tensor::bf16;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE, CUcontext};

use super::error::CudaError;
use super::gpu::Gpu;
use super::session::Session;

/// Page-locked memory, freed on drop. The device reads it at the same address as the host.
#[derive(Debug)]
pub(crate) struct LockedMemory {
    address: *mut c_void,
    bytes: usize,
    /// The context that it was allocated in, which lives as long as the process.
    context: CUcontext,
}

// SAFETY: this value owns the memory, and a context may be used from any thread.
unsafe impl Send for LockedMemory {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for LockedMemory {}

/// A number of which every bit pattern is a value.
pub(crate) trait Plain: Copy {}
impl Plain for bf16 {}
impl Plain for f32 {}

impl LockedMemory {
    /// Allocates memory of any contents in the context of `session`.
    ///
    /// # Errors
    ///
    /// The host cannot lock that much memory.
    pub(crate) fn new(_session: &Session<'_>, bytes: usize) -> Result<Self, CudaError> {
        let context = result::ctx::get_current().map_err(CudaError::driver("find the device's context"))?;
        let context = context.ok_or(CudaError::Driver {
            doing: "find the device's context",
            reason: "the thread has none".to_owned(),
        })?;
        // SAFETY: a fresh allocation, which only `drop` frees.
        let address =
            unsafe { result::malloc_host(bytes.max(1), CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE) }
                .map_err(CudaError::driver("lock host memory"))?;
        Ok(Self { address, bytes, context })
    }

    /// Size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its address on host and device.
    pub(crate) fn address(&self) -> u64 {
        self.address as u64
    }

    pub(crate) fn values_mut<T: Plain>(&mut self) -> &mut [T] {
        // SAFETY: the driver allocated `bytes` bytes, aligned to a page; the reference is exclusive; and every bit pattern is a
        // value of `T`, whatever the memory contains.
        unsafe { std::slice::from_raw_parts_mut(self.address.cast::<T>(), self.bytes / size_of::<T>()) }
    }
}

impl AsRef<[u8]> for LockedMemory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as in `values_mut`; nothing writes while there are shared references.
        unsafe { std::slice::from_raw_parts(self.address.cast::<u8>(), self.bytes) }
    }
}

impl Drop for LockedMemory {
    fn drop(&mut self) {
        // SAFETY: the memory was made by `malloc_host` in this context, which may not be the thread's. Its owner waits for the
        // copies from it. An error leaks the memory.
        unsafe {
            if sys::cuCtxPushCurrent_v2(self.context).result().is_ok() {
                let _ = result::free_host(self.address);
                let mut popped = std::ptr::null_mut();
                let _ = sys::cuCtxPopCurrent_v2(&raw mut popped).result();
            }
        }
    }
}

/// Bytes a second of a copy of `bytes` from page-locked memory to the device: the median of several.
///
/// # Errors
///
/// Host or device has not enough memory, or the driver refuses.
pub fn host_copy_rate(gpu: &Gpu, bytes: usize) -> Result<f64, CudaError> {
    const COPIES: usize = 11;
    gpu.run(|session| {
        let memory = LockedMemory::new(session, bytes)?;
        let stream = session.stream;
        // SAFETY: the stream lives as long as the session.
        let wait = || unsafe { result::stream::synchronize(stream) }.map_err(CudaError::driver("wait for a copy"));
        // SAFETY: a fresh allocation, freed below when nothing uses it.
        let to = unsafe { result::malloc_sync(bytes) }.map_err(CudaError::driver("allocate memory for a copy"))?;
        let timed = || {
            wait()?;
            let clock = Instant::now();
            copy(session, memory.address(), to, bytes)?;
            wait()?;
            Ok(bytes as f64 / clock.elapsed().as_secs_f64())
        };
        let rates: Result<Vec<f64>, CudaError> = (0..COPIES).map(|_| timed()).collect();
        // SAFETY: made above; the copies were waited for, or the device failed and frees everything.
        unsafe { result::free_sync(to) }.map_err(CudaError::driver("free memory of a copy"))?;
        let mut rates = rates?;
        rates.sort_by(f64::total_cmp);
        Ok(rates[COPIES / 2])
    })
}

/// Queues a copy between any two addresses that are valid on the device.
///
/// # Errors
///
/// The driver refuses.
pub(crate) fn copy(session: &Session<'_>, from: u64, to: u64, bytes: usize) -> Result<(), CudaError> {
    // SAFETY: the addresses are the caller's promise.
    unsafe { sys::cuMemcpyAsync(to, from, bytes, session.stream) }.result().map_err(CudaError::driver("copy weights"))
}
