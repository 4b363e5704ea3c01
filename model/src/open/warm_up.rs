//! Sizes that are generated before the first request, so that it finds memory allocated and kernels chosen.

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
