//! Pinned host memory for weights that are copied to the device when they are needed. The device reads it at the same
//! addresses as the host.
//!
//! It is page-locked, so copies run at the speed of the bus, and allocated in pieces, because the size of a network is
//! not known beforehand. Host and device share one address space on every 64-bit system that CUDA supports.

use std::ffi::c_void;

use cudarc::driver::result;
use cudarc::driver::sys::{self, CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE, CUdeviceptr};

use super::error::CudaError;
use super::session::Session;

/// Pinned memory in pieces, freed on drop.
#[derive(Default)]
pub struct HostMemory {
    pieces: Vec<*mut c_void>,
    bytes: usize,
}

// SAFETY: the pieces are plain memory that this value owns; only the device and copies access it.
unsafe impl Send for HostMemory {}
// SAFETY: nothing is read or written through a shared reference.
unsafe impl Sync for HostMemory {}

impl std::fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostMemory").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl HostMemory {
    /// Bytes that are allocated.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Allocates a piece, copies `bytes` from the device to it, and waits for the copy. The address is valid on the
    /// device.
    ///
    /// # Errors
    ///
    /// The host cannot pin that much memory.
    pub fn keep(&mut self, session: &Session<'_>, from: CUdeviceptr, bytes: usize) -> Result<u64, CudaError> {
        // SAFETY: a fresh piece, which only `drop` frees.
        let piece = unsafe { result::malloc_host(bytes, CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE) }
            .map_err(CudaError::driver("pin host memory"))?;
        self.pieces.push(piece);
        self.bytes += bytes;
        let at = piece as u64;
        copy(session, from, at, bytes)?;
        // SAFETY: the stream lives as long as the session.
        unsafe { result::stream::synchronize(session.stream) }
            .map_err(CudaError::driver("copy weights to the host"))?;
        Ok(at)
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        for piece in self.pieces.drain(..) {
            // SAFETY: made by `malloc_host`, and taken out of the list. The owner of
            // the network waits for the device before dropping it; an error leaks the memory.
            let _ = unsafe { result::free_host(piece) };
        }
    }
}

/// Queues a copy between any two addresses that are valid on the device.
///
/// # Errors
///
/// The driver refuses.
pub fn copy(session: &Session<'_>, from: u64, to: u64, bytes: usize) -> Result<(), CudaError> {
    // SAFETY: the addresses are the caller's promise.
    unsafe { sys::cuMemcpyAsync(to, from, bytes, session.stream) }.result().map_err(CudaError::driver("copy weights"))
}
