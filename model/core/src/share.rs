//! Two devices that draw the pictures of one request: of every guided evaluation the leading one computes the conditional half and
//! the assisting one the unconditional half.
//!
//! Both have the same model and read the texts of the request. The leading device does everything else, such as the steps of the
//! solver, evaluations without guidance, previews and pictures. Before a guided evaluation it sends the latents to the assisting
//! device, and after it takes its prediction. The latents of an evaluation are all that both share, so the picture is bit-identical to
//! that the leading device would draw alone.

/// The unconditional half of one evaluation, which the assisting device computes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HalfTask {
    /// The pass of the request, from 1.
    pub pass: u32,
    /// The batch of the pass, from 0.
    pub batch: u32,
    /// The number of the evaluation in the batch, from 1. Evaluations without guidance count.
    pub evaluation: u32,
    /// Its time, 0 (noise) to 1 (data).
    pub t: f64,
    /// The latents of the batch, `[images, channels, height, width]`, in a type that both devices derive from the model.
    pub latents: Vec<u8>,
}

/// What an evaluation gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HalfPrediction {
    /// The prediction for each image, of the shape and type of [`HalfTask::latents`].
    pub values: Vec<u8>,
    /// Whether the evaluation of each image reused blocks; empty without a step cache.
    pub reused: Vec<bool>,
}

/// The other device has left: it failed, it was stopped, or it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other device has left")]
pub struct PeerLost;

/// The assisting device, as the leading one sees it.
pub trait Assistant: Sync {
    /// Hands out an evaluation, and does not wait for it.
    ///
    /// # Errors
    ///
    /// The device has left.
    fn begin(&self, task: HalfTask) -> Result<(), PeerLost>;

    /// Waits for the evaluation that was begun last.
    ///
    /// # Errors
    ///
    /// The device has left, or the job has to stop.
    fn finish(&self) -> Result<HalfPrediction, PeerLost>;

    /// Releases the device: there are no more evaluations for it.
    fn release(&self);
}

/// The leading device, as the assisting one sees it.
pub trait Leader {
    /// Waits for the next evaluation; `None`: there are no more.
    fn next(&mut self) -> Option<HalfTask>;

    /// Returns what the evaluation that was handed out last gave.
    ///
    /// # Errors
    ///
    /// The device has left.
    fn answer(&mut self, half: HalfPrediction) -> Result<(), PeerLost>;
}
