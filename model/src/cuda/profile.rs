//! Where the time of a piece of work goes on the device: an event after each operation, read when all is done.
//!
//! Off unless asked for. An event costs the host about a microsecond and the device next to nothing, but operations that
//! would overlap at their ends no longer do: the sum is a few percent above an unobserved run.

use cudarc::driver::result::event;
use cudarc::driver::sys::{CUevent, CUevent_flags, CUstream};

use super::error::CudaError;

/// What an operation had to do, for comparison with what the device can.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of products and attention, two for each multiplication and addition.
    pub flops: f64,
    /// Bytes that must be read and written at least, of everything else.
    pub bytes: f64,
}

impl Cost {
    /// Of a product of these sizes.
    pub fn product(m: usize, k: usize, n: usize) -> Self {
        Self { flops: 2.0 * m as f64 * k as f64 * n as f64, bytes: 0.0 }
    }

    /// Of an operation that moves so many bf16 values.
    pub fn moved(elements: usize) -> Self {
        Self { flops: 0.0, bytes: elements as f64 * 2.0 }
    }
}

/// All operations of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The name.
    pub name: &'static str,
    /// How often it was done.
    pub count: usize,
    /// Time on the device in milliseconds.
    pub ms: f64,
    /// What it had to do in all.
    pub cost: Cost,
}

/// Events of the work since it was begun.
#[derive(Default)]
pub struct Profile {
    marks: Vec<(Option<(&'static str, Cost)>, CUevent)>,
}

// SAFETY: an event may be used by any thread, and the profile is behind the lock of the `Gpu`.
unsafe impl Send for Profile {}

impl Profile {
    /// Sets the clock without naming what came before.
    pub(super) fn begin(&mut self, stream: CUstream) -> Result<(), CudaError> {
        self.record(None, stream)
    }

    /// Names what was queued since the last mark.
    pub(super) fn mark(&mut self, name: &'static str, cost: Cost, stream: CUstream) -> Result<(), CudaError> {
        self.record(Some((name, cost)), stream)
    }

    fn record(&mut self, named: Option<(&'static str, Cost)>, stream: CUstream) -> Result<(), CudaError> {
        let event = event::create(CUevent_flags::CU_EVENT_DEFAULT).map_err(CudaError::driver("make an event"))?;
        // SAFETY: both are alive.
        unsafe { event::record(event, stream) }.map_err(CudaError::driver("mark a time"))?;
        self.marks.push((named, event));
        Ok(())
    }

    /// Waits for the last mark and sums up by name, in the order of first appearance.
    pub(super) fn finish(mut self) -> Result<Vec<Span>, CudaError> {
        let mut spans: Vec<Span> = Vec::new();
        if let Some((_, last)) = self.marks.last() {
            // SAFETY: the event was recorded above.
            unsafe { event::synchronize(*last) }.map_err(CudaError::driver("wait for a mark"))?;
        }
        for pair in self.marks.windows(2) {
            let [(_, before), (Some((name, cost)), after)] = pair else { continue };
            // SAFETY: both events were recorded, and the later one has happened.
            let ms = unsafe { event::elapsed(*before, *after) }.map_err(CudaError::driver("read a time"))?;
            let index = spans.iter().position(|span| span.name == *name).unwrap_or_else(|| {
                spans.push(Span { name, count: 0, ms: 0.0, cost: Cost::default() });
                spans.len() - 1
            });
            let span = &mut spans[index];
            span.count += 1;
            span.ms += f64::from(ms);
            span.cost.flops += cost.flops;
            span.cost.bytes += cost.bytes;
        }
        self.destroy();
        Ok(spans)
    }

    fn destroy(&mut self) {
        for (_, event) in self.marks.drain(..) {
            // SAFETY: made by `event::create`, and taken out of the list. A refusal leaks an event.
            let _ = unsafe { event::destroy(event) };
        }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.destroy();
    }
}
