//! Times on the device: an event after each operation, read when all is done.
//!
//! Off by default. An event costs the host about a microsecond and the device next to nothing, but operations that
//! would overlap at their ends no longer do: the sum is a few percent above an unobserved run.

use cudarc::driver::result::event;
use cudarc::driver::sys::{CUevent, CUevent_flags, CUstream};

use super::error::CudaError;
pub(crate) use sakuga_model_core::{Cost, ProfileSpan};

/// An event after an operation; the operation is `None` where the clock is reset.
struct Mark {
    operation: Option<ProfileSpan>,
    event: CUevent,
}

/// Events of the work since it was begun.
#[derive(Default)]
pub(crate) struct Profile {
    marks: Vec<Mark>,
    network: &'static str,
    layer: Option<u32>,
}

// SAFETY: an event may be used by any thread, and the profile is behind the lock of the `Gpu`.
unsafe impl Send for Profile {}

impl Profile {
    /// Sets the clock without naming what came before.
    pub(super) fn begin(&mut self, stream: CUstream) -> Result<(), CudaError> {
        (self.network, self.layer) = ("", None);
        self.record(None, stream)
    }

    /// Attributes the following operations to this network.
    pub(super) fn enter(&mut self, network: &'static str) {
        (self.network, self.layer) = (network, None);
    }

    /// Attributes the following operations to this layer, or to none.
    pub(super) fn layer(&mut self, layer: Option<usize>) {
        self.layer = layer.and_then(|layer| u32::try_from(layer).ok());
    }

    /// Names what was queued since the last mark.
    pub(super) fn mark(&mut self, name: &'static str, cost: Cost, stream: CUstream) -> Result<(), CudaError> {
        let operation = ProfileSpan { network: self.network, layer: self.layer, name, count: 1, ms: 0.0, cost };
        self.record(Some(operation), stream)
    }

    fn record(&mut self, operation: Option<ProfileSpan>, stream: CUstream) -> Result<(), CudaError> {
        let event = event::create(CUevent_flags::CU_EVENT_DEFAULT).map_err(CudaError::driver("make an event"))?;
        // Kept before anything can fail, so that it is destroyed with the others.
        self.marks.push(Mark { operation, event });
        // SAFETY: both are alive.
        unsafe { event::record(event, stream) }.map_err(CudaError::driver("mark a time"))
    }

    /// Waits for the last mark and returns how long each operation took, in order.
    pub(super) fn finish(mut self) -> Result<Vec<ProfileSpan>, CudaError> {
        if let Some(last) = self.marks.last() {
            // SAFETY: the event was recorded above.
            unsafe { event::synchronize(last.event) }.map_err(CudaError::driver("wait for a mark"))?;
        }
        let mut spans = Vec::with_capacity(self.marks.len());
        for pair in self.marks.windows(2) {
            let [before, Mark { operation: Some(operation), event }] = pair else { continue };
            // SAFETY: both events were recorded, and the later one has happened.
            let ms = unsafe { event::elapsed(before.event, *event) }.map_err(CudaError::driver("read a time"))?;
            spans.push(ProfileSpan { ms: f64::from(ms), ..operation.clone() });
        }
        self.destroy();
        Ok(spans)
    }

    fn destroy(&mut self) {
        for mark in self.marks.drain(..) {
            // SAFETY: made by `event::create`, and taken out of the list. A refusal leaks an event.
            let _ = unsafe { event::destroy(mark.event) };
        }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.destroy();
    }
}
