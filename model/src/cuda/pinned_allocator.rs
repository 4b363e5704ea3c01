//! Page-locked memory for a copy of a checkpoint's weights, which burn uploads without a copy between.

use std::sync::Arc;

use burn::tensor::{AllocationProperty, Bytes, DType};

use super::gpu::Gpu;
use super::locked_memory::LockedMemory;
use crate::checkpoint::{HostAllocator, HostValues, NoHostMemory};

/// Allocates page-locked memory for the copies to a GPU.
pub(crate) struct PinnedAllocator(pub Arc<Gpu>);

impl HostAllocator for PinnedAllocator {
    fn store(
        &self,
        elements: usize,
        dtype: DType,
        fill: &mut dyn FnMut(HostValues<'_>),
    ) -> Result<Bytes, NoHostMemory> {
        let bytes = elements * dtype.size();
        let allocated = self.0.run(|session| LockedMemory::new(session, bytes));
        let mut memory = allocated.map_err(|error| NoHostMemory { bytes, reason: error.to_string() })?;
        fill(match dtype {
            DType::BF16 => HostValues::Bf16(memory.values_mut()),
            _ => HostValues::F32(memory.values_mut()),
        });
        // burn keeps a clone until the device has read it, and copies before it would write.
        Ok(Bytes::from_shared(bytes::Bytes::from_owner(memory), AllocationProperty::Pinned))
    }
}
