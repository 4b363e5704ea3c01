//! For encoders that compute one text at a time: batches their results, and tracks which of them were computed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Tensor};

use super::BF16;
use super::bridge;
use super::gpu::Gpu;

/// Operands of one operation.
const ROWS_MAX: usize = 5;

/// Texts `[length, dim]` in bf16 as one batch `[texts, width, dim]`, with zeros beyond their lengths.
///
/// # Panics
///
/// If there is no text.
pub(crate) fn batch(gpu: &Arc<Gpu>, texts: &[Tensor<2>], width: usize) -> Tensor<3> {
    let parts = texts.chunks(ROWS_MAX).map(|texts| {
        let lengths: Vec<usize> = texts.iter().map(|text| text.dims()[0]).collect();
        let dim = texts[0].dims()[1];
        let operands: Vec<_> = texts.iter().map(bridge::handle).collect();
        bridge::call(gpu, &operands, [texts.len(), width, dim], DType::BF16, move |session, operands, out| {
            let bytes = dim * BF16 as usize;
            for (row, (&length, text)) in lengths.iter().zip(operands).enumerate() {
                let to = out + (row * width * bytes) as u64;
                session.copy_rows((text.at, text.strides[0] * BF16 as usize), (to, bytes), bytes, length)?;
                if length < width {
                    session.zero(to + (length * bytes) as u64, (width - length) * bytes)?;
                }
            }
            Ok(())
        })
    });
    let mut parts: Vec<Tensor<3>> = parts.collect();
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            Tensor::cat(parts, 0)
        }
    }
}

/// Tracks whether all queued work was done.
///
/// Results are cached before the device has computed them. If the work on one fails, the cache is invalid, which the
/// next [`Queued::all_done`] reports.
#[derive(Debug, Default)]
pub(crate) struct Queued(Vec<Arc<AtomicBool>>);

/// Marks one piece of work as done.
#[derive(Debug)]
pub(crate) struct Done(Arc<AtomicBool>);

impl Queued {
    /// Adds a piece of work.
    pub(crate) fn one(&mut self) -> Done {
        let done = Arc::new(AtomicBool::new(false));
        self.0.push(Arc::clone(&done));
        Done(done)
    }

    /// Whether every piece was done; then forgets all. Work that is still queued counts as not done.
    pub(crate) fn all_done(&mut self) -> bool {
        self.0.drain(..).all(|done| done.load(Ordering::Acquire))
    }
}

impl Done {
    /// The work is queued on the device, and the driver took it.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_until_it_is_done() {
        let mut queued = Queued::default();
        assert!(queued.all_done());
        let [first, second] = [queued.one(), queued.one()];
        first.set();
        assert!(!queued.all_done());
        assert!(queued.all_done(), "forgotten");
        second.set();
        queued.one().set();
        assert!(queued.all_done());
    }
}
