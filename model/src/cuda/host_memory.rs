//! Pinned host memory for weights that are copied to the device when they are needed. The device reads it at the same
//! addresses as the host.
//!
//! It is page-locked, so copies run at the speed of the bus, and allocated in pieces, because the size of a network is
//! not known beforehand. Host and device share one address space on every 64-bit system that CUDA supports.

use cudarc::driver::result;
use cudarc::driver::sys::CUdeviceptr;

use super::error::CudaError;
use super::locked_memory::LockedMemory;
pub(crate) use super::locked_memory::copy;
use super::session::Session;

/// Pinned memory in pieces, freed on drop. The owner waits for the device before.
#[derive(Debug, Default)]
pub(crate) struct HostMemory {
    pieces: Vec<LockedMemory>,
}

impl HostMemory {
    /// Size of all pieces in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(LockedMemory::bytes).sum()
    }

    /// Allocates a piece, copies `bytes` from the device to it, and waits for the copy. The address is valid on the
    /// device.
    ///
    /// # Errors
    ///
    /// The host cannot pin that much memory.
    pub(crate) fn keep(&mut self, session: &Session<'_>, from: CUdeviceptr, bytes: usize) -> Result<u64, CudaError> {
        let piece = LockedMemory::new(session, bytes)?;
        let at = piece.address();
        self.pieces.push(piece);
        copy(session, from, at, bytes)?;
        // SAFETY: the stream lives as long as the session.
        unsafe { result::stream::synchronize(session.stream) }
            .map_err(CudaError::driver("copy weights to the host"))?;
        Ok(at)
    }
}
