//! What is generated before the first request, so that memory is allocated and kernels are chosen by then.

use std::time::Instant;

use sakuga_model_core::{ModelInfo, ModelOptions, WarmUp};

use super::OpenError;
use crate::families::{FamilyModel, WarmUpSize};

/// The sizes that are generated before the model is ready: none, or all that requests may ask for.
pub(super) fn sizes(info: &ModelInfo, options: &ModelOptions, is_gpu: bool) -> Vec<(u32, u32)> {
    match &options.warm_up {
        WarmUp::None => Vec::new(),
        WarmUp::Auto if !is_gpu => Vec::new(),
        WarmUp::Auto => {
            let multiple = info.size.multiple_px;
            let pixels_max = info.size.pixels_max.min(options.pixels_max);
            let largest = pixels_max.isqrt().min(u64::from(info.size.edge_max_px)) as u32;
            let largest = (largest / multiple * multiple).max(multiple);
            let default = info.default_size_px.min(largest);
            let mut edges = vec![default, largest];
            // Once if they are the same.
            edges.dedup();
            edges.into_iter().map(|edge| (edge, edge)).collect()
        }
        WarmUp::Sizes(sizes) => sizes.clone(),
    }
}

/// The pixels for which memory is allocated once these sizes were generated; `None`: there is no such bound.
pub(super) fn pixels(sizes: &[(u32, u32)]) -> Option<u64> {
    sizes.iter().map(|&(width, height)| u64::from(width) * u64::from(height)).max()
}

/// Generates these sizes.
pub(super) fn run(
    model: &dyn FamilyModel,
    sizes: &[(u32, u32)],
    options: &ModelOptions,
    is_gpu: bool,
) -> Result<(), OpenError> {
    let begun = Instant::now();
    let every_length = |place: usize| options.warm_up != WarmUp::Auto || place == 0;
    let batches: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(place, &(width_px, height_px))| {
            let every_length = is_gpu && every_length(place);
            WarmUpSize { width_px, height_px, images: 1, every_length }
        })
        .collect();
    if let Err(source) = model.warm_up(&batches) {
        return Err(OpenError::WarmUp { sizes: sizes.to_vec(), source });
    }
    tracing::info!(?sizes, warm_up_ms = begun.elapsed().as_millis() as u64, "warmed up");
    Ok(())
}

/// The most images in one evaluation: the fast path takes 64 rows, two for each image.
const BATCH_MAX: u64 = 32;

/// How many images of so many pixels are computed at once: at most those for which memory is allocated, and at most
/// `max_batch`; 0: no bound.
pub(super) fn batch(max_batch: u32, ready_pixels: Option<u64>, pixels: u64) -> u32 {
    let Some(ready) = ready_pixels else { return max_batch };
    let ready = (ready / pixels.max(1)).clamp(1, BATCH_MAX) as u32;
    if max_batch == 0 { ready } else { ready.min(max_batch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_no_larger_than_what_is_ready() {
        let ready = Some(1024 * 1024);
        assert_eq!(batch(0, ready, 1024 * 1024), 1);
        assert_eq!(batch(0, ready, 512 * 512), 4);
        assert_eq!(batch(2, ready, 512 * 512), 2);
        assert_eq!(batch(0, ready, 16 * 16), 32);
        assert_eq!((batch(0, None, 1), batch(3, None, 1)), (0, 3), "no bound but the given one");
    }
}
