//! Estimates of the time, memory and energy of a job, learnt from the jobs of the same model on the same kind of device.
//!
//! The time of a job is the sum of its [`Part`]s: text encoders, evaluations of the denoiser, VAE, previews and so on.
//!
//! - [`JobWork`] computes the amount of work of each part from the request alone; [`Seen`] adds what the device has to prepare for it,
//!   since it computes a shape for the first time, and leaves out the texts that it has read lately.
//! - [`JobMeter`] measures the time of each part while the job runs.
//! - [`Fit`](fit::Fit) predicts the time of a part from its work, by a robust regression on the measurements. Coefficients are
//!   not negative, so more work never has a shorter estimate.
//! - [`Estimator`] holds the fits of one model and the errors of its latest estimates, from which it derives intervals.
//!
//! Start times in the queue, the check of deadlines, the `eta` of steps and the method `Estimate` use these estimates.

mod amount;
mod estimator;
mod first_use;
mod fit;
mod interval;
mod meter;
mod pass;
mod report;
mod solve;
#[cfg(test)]
mod synthetic_tests;
mod work;

pub(crate) use amount::{FIRST_USES, Work};
pub(crate) use estimator::{Estimator, PartTime, Prediction};
pub(crate) use first_use::Seen;
pub(crate) use fit::CAPACITY;
pub(crate) use interval::Interval;
pub(crate) use meter::{JobMeasurements, JobMeter, Measurement};
pub(crate) use report::{Change, Load, Obstacle, ObstacleKind, Report};
pub(crate) use work::JobWork;

use sakuga_model_core::PreviewMethod;

/// A part of a job. Each part has its own regression. Loading the model is not a part: the table of models keeps its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Applying the adapters of the request to the weights, or removing the adapters of the job before.
    LoadAdapters,
    /// The text encoders.
    TextEncode,
    /// Encoding images to latents.
    VaeEncode,
    /// The evaluations of the denoiser.
    Denoise,
    /// Decoding the latents of running steps to previews.
    Preview(PreviewMethod),
    /// Decoding the final latents to pixels.
    Decode,
    /// Compressing the pixels to image files on the CPU. The device can run the next job meanwhile.
    EncodeImage,
    /// Everything else on the device.
    #[default]
    Other,
}

impl Part {
    /// All parts, in the order in which they first run.
    pub(crate) const ALL: [Self; 9] = [
        Self::LoadAdapters,
        Self::TextEncode,
        Self::VaeEncode,
        Self::Denoise,
        Self::Preview(PreviewMethod::Linear),
        Self::Preview(PreviewMethod::Decoder),
        Self::Decode,
        Self::EncodeImage,
        Self::Other,
    ];

    /// Its place in [`Part::ALL`].
    fn index(self) -> usize {
        Self::ALL.iter().position(|part| *part == self).unwrap_or(Self::ALL.len() - 1)
    }
}
