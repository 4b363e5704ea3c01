//! The throughput that a device reaches in a large product and in a large copy, which operations are compared with.

use cudarc::driver::result::{event, stream};
use cudarc::driver::sys::CUevent_flags;
use sakuga_model_core::Peaks;

use super::BF16;
use super::error::CudaError;
use super::gpu::Gpu;
use super::product::{Factor, Matrix, Output, Product};
use super::session::Session;

/// Edge of the largest product: 1.1e12 operations, some milliseconds on a large card.
const EDGE_MAX: usize = 8192;
/// A smaller product does not fill a large card.
const EDGE_MIN: usize = 2048;
/// Edges are multiples of this.
const EDGE_STEP: usize = 1024;
/// Repetitions of each, after one warm-up.
const REPEATS: usize = 5;

impl Gpu {
    /// Measures the rate of a large product and of a large copy over the scratch memory and what the last pass left
    /// there, so no memory is taken. `None` if too little is reserved for a meaningful figure.
    ///
    /// # Errors
    ///
    /// A library refuses, or the device failed.
    pub fn measure_peaks(&self) -> Result<Option<Peaks>, CudaError> {
        self.run(measure)
    }
}

/// The contents of the scratch memory affect the figures slightly: what a pass left there is more realistic than zeros.
fn measure(session: &mut Session<'_>) -> Result<Option<Peaks>, CudaError> {
    let (at, bytes) = session.held();
    let Some(edge) = edge(bytes) else { return Ok(None) };
    let matrix = |place: usize| Matrix { at: at + (place * edge * edge) as u64 * BF16, row_stride: edge };
    let product = Product {
        size: [edge; 3],
        x: matrix(0),
        w: matrix(1),
        factor: Factor::OutIn,
        bias: None,
        y: matrix(2),
        output: Output::Bf16,
        alpha: 1.0,
        batch: None,
    };
    let product_s = seconds(session, |session| session.products.run(session.stream, &product))?;
    let half = bytes / 2;
    let copy_s = seconds(session, |session| session.copy(at, at + half as u64, half))?;
    Ok(Some(Peaks {
        flops_per_second: 2.0 * (edge as f64).powi(3) / product_s,
        bytes_per_second: 2.0 * half as f64 / copy_s,
    }))
}

/// The largest edge for which three matrices fit.
fn edge(bytes: usize) -> Option<usize> {
    let room = (bytes / (3 * BF16 as usize)).isqrt();
    let edge = room.min(EDGE_MAX) / EDGE_STEP * EDGE_STEP;
    (edge >= EDGE_MIN).then_some(edge)
}

/// Mean time of a run over several in a row.
fn seconds(
    session: &mut Session<'_>,
    mut work: impl FnMut(&mut Session<'_>) -> Result<(), CudaError>,
) -> Result<f64, CudaError> {
    work(session)?;
    let event = || event::create(CUevent_flags::CU_EVENT_DEFAULT).map_err(CudaError::driver("make an event"));
    let (begin, end) = (event()?, event()?);
    let stream = session.stream;
    // SAFETY: event and stream are alive.
    unsafe { event::record(begin, stream) }.map_err(CudaError::driver("mark a time"))?;
    for _ in 0..REPEATS {
        work(session)?;
    }
    // SAFETY: all three are alive, both events were recorded, and after the wait both have happened.
    let ms = unsafe {
        event::record(end, stream).map_err(CudaError::driver("mark a time"))?;
        stream::synchronize(stream).map_err(CudaError::driver("wait for a measurement"))?;
        let ms = event::elapsed(begin, end).map_err(CudaError::driver("read a time"))?;
        // A refusal leaks an event.
        let _ = (event::destroy(begin), event::destroy(end));
        ms
    };
    Ok(f64::from(ms) / 1e3 / REPEATS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_fits_the_memory_that_is_there() {
        assert_eq!(edge(1 << 20), None);
        assert_eq!(edge(3 * 2 * 2048 * 2048), Some(2048));
        assert_eq!(edge(3 * 2 * 5000 * 5000), Some(4096));
        assert_eq!(edge(usize::MAX / 2), Some(8192));
    }
}
