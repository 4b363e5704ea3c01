//! What a job will take, learnt from the jobs of the same model that this device has drawn.
//!
//! A job is a sum of parts: the text encoders, the evaluations of the denoiser, the VAE, previews and so on. [`JobWork`] states
//! the amount of work of each part from the request alone. [`JobMeter`] measures the parts while the job is drawn. A
//! [`Fit`](fit::Fit) for each part relates the two by a robust regression with coefficients that are not negative, so a larger
//! job is never expected to take less. An [`Estimator`] has the fits of one model, and the errors of its latest estimates, from
//! which its intervals follow.
//!
//! The queue's times, the check of deadlines, the `eta` of steps and the call `Estimate` all use it.

mod estimator;
mod fit;
mod interval;
mod meter;
mod report;
mod solve;
mod work;

pub(crate) use estimator::{Estimator, PartTime, Prediction};
pub(crate) use fit::{CAPACITY, Work};
pub(crate) use interval::Interval;
pub(crate) use meter::{JobMeasurements, JobMeter, Measurement};
pub(crate) use report::{Change, Load, Obstacle, ObstacleKind, Report};
pub(crate) use work::JobWork;

use sakuga_model_core::PreviewMethod;

/// The parts of a job whose times are learnt apart. Loading the model is not one of them: the table of models has its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// The weights are changed to those with the adapters of the request, or back.
    LoadAdapters,
    /// The text encoders.
    TextEncode,
    /// Pixels to latents.
    VaeEncode,
    /// The evaluations of the denoiser.
    Denoise,
    /// Previews.
    Preview(PreviewMethod),
    /// Latents to pixels.
    Decode,
    /// Pixels to PNG. This is done next to the following job.
    EncodeImage,
    /// Everything else on the device.
    Other,
}

impl Part {
    /// All parts, in the order in which they come.
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
