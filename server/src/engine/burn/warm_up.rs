//! What is drawn before anybody asks, so that memory is taken and kernels are chosen by then.

use std::time::Instant;

use sakuga_model::pipeline::{Pipeline, WarmUpSize};

use crate::config::{BurnConfig, WarmUp};
use crate::engine::EngineError;

/// Draws what will be asked for, and tells how many pixels are ready to be computed at once; none if there is no bound.
pub(super) fn draw(pipeline: &Pipeline, config: &BurnConfig, is_gpu: bool) -> Result<Option<u64>, EngineError> {
    let info = pipeline.info();
    let sizes = match &config.warm_up {
        WarmUp::None => return Ok(None),
        WarmUp::Auto if !is_gpu => return Ok(None),
        WarmUp::Auto => {
            let limits = info.limits;
            let multiple = limits.size_multiple_px;
            let largest = limits.pixels_max.min(config.pixels_max).isqrt().min(u64::from(limits.edge_max_px)) as u32;
            let largest = (largest / multiple * multiple).max(multiple);
            let default = info.default_size_px.min(largest);
            let mut edges = vec![default, largest];
            // Drawn once if they are the same.
            edges.dedup();
            edges.into_iter().map(|edge| (edge, edge)).collect()
        }
        WarmUp::Sizes(sizes) => sizes.clone(),
    };
    let begun = Instant::now();
    let every_length = |place: usize| config.warm_up != WarmUp::Auto || place == 0;
    let batches: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(place, &(width_px, height_px))| {
            let every_length = is_gpu && every_length(place);
            WarmUpSize { width_px, height_px, images: 1, every_length }
        })
        .collect();
    pipeline.warm_up(&batches).map_err(|error| {
        EngineError::Model(format!(
            "cannot warm up for {sizes:?}: {error}; with less memory, draw smaller pictures (--max-pixels), keep the text \
             encoder in the host's memory (--offload-text-encoders), or leave it (--warm-up none)"
        ))
    })?;
    tracing::info!(?sizes, warm_up_ms = begun.elapsed().as_millis() as u64, "warmed up");
    Ok(sizes.iter().map(|&(width, height)| u64::from(width) * u64::from(height)).max())
}

/// Rows that the fast path takes in one evaluation are 64, two for each picture.
const BATCH_MAX: u64 = 32;

/// How many pictures of these pixels are computed at once: no more than are ready, and than are let.
pub(super) fn batch(max_batch: usize, ready_pixels: Option<u64>, pixels: u64) -> usize {
    let Some(ready) = ready_pixels else { return max_batch };
    let ready = (ready / pixels.max(1)).clamp(1, BATCH_MAX) as usize;
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
