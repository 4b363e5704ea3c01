//! [`HeldImages`]: bounds the memory of decoded images in jobs that have not ended.

use std::sync::Arc;

use sakuga_model_core::GenerationSpec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ServerError;
use crate::limits::Limits;

/// Unit of the accounts: a semaphore counts in 32 bits.
const UNIT_BYTES: usize = 1024;

/// Reserved memory for images; released when the last clone is dropped.
pub(crate) type HeldRoom = Arc<OwnedSemaphorePermit>;

/// The memory for images of all jobs that have not ended.
#[derive(Debug)]
pub(crate) struct HeldImages(Arc<Semaphore>);

impl Default for HeldImages {
    fn default() -> Self {
        Self::of_bytes(Limits::HELD_IMAGE_BYTES_MAX)
    }
}

impl HeldImages {
    fn of_bytes(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT_BYTES)))
    }

    /// Reserves memory for the images of a job; `None` if it has no images.
    ///
    /// # Errors
    ///
    /// [`ServerError::ImagesFull`] if there is not enough.
    pub(crate) fn hold<'a>(
        &self,
        specs: impl IntoIterator<Item = &'a GenerationSpec>,
    ) -> Result<Option<HeldRoom>, ServerError> {
        let bytes: usize = specs.into_iter().map(GenerationSpec::image_bytes).sum();
        if bytes == 0 {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let room = self.0.clone().try_acquire_many_owned(units);
        room.map(|room| Some(Arc::new(room))).map_err(|_| ServerError::ImagesFull)
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{Guidance, InitImage, NoiseSchedule, Quality, Rgb8, Sampling, Solver};

    use super::*;

    #[test]
    fn room_is_given_back_when_a_job_ends() {
        let sampling = Sampling {
            solver: Solver::Euler,
            schedule: NoiseSchedule::Native,
            steps: 4,
            guidance: Guidance::new(5.0),
            shift: 6.0,
            quality: Quality::Exact,
            step_cache: None,
        };
        let plain = GenerationSpec::new("", 64, 64, sampling);
        let image = Rgb8 { width_px: 64, height_px: 64, pixels: vec![0; 3 * 64 * 64] };
        let init = InitImage { image: Arc::new(image), strength: 0.5, mask: None, region: None };
        let spec = GenerationSpec { init: Some(init), ..plain.clone() };
        let held = HeldImages::of_bytes(25 * UNIT_BYTES);
        let two = [held.hold([&spec]), held.hold([&spec, &plain])].map(|room| room.expect("room for two of 12 KiB"));
        assert_eq!(held.hold([&spec]).map(|_| ()), Err(ServerError::ImagesFull));
        assert!(held.hold([&plain]).expect("nothing to hold").is_none());
        drop(two);
        assert!(held.hold([&spec]).expect("room again").is_some());
    }
}
