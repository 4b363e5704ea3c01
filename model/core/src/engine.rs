//! The trait [`ImageModel`], and the description of an open model.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::{
    AdapterInspector, Assistant, ComputePath, EngineError, GenerationSpec, Leader, LoadingPhase, MemoryNeed,
    MemoryProbe, ModelInfo, Outcome, Progress, TokenCounter,
};

/// A loaded model. It generates the images of one request at a time, on one thread.
pub trait ImageModel: Send {
    /// Generates the images of `spec`. `observer` is called on this thread for every stage and step; when it returns
    /// [`ControlFlow::Break`], the model stops before its next step and returns [`Outcome::Stopped`].
    ///
    /// # Errors
    ///
    /// See [`EngineError`]. After an error that [is fatal](EngineError::is_fatal), and after a panic, the model must be dropped
    /// and opened again.
    fn generate(&mut self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError>;

    /// [`generate`](Self::generate) with the help of another device that has the same model, which [assists](Self::assist). The
    /// pictures are bit-identical to those of [`generate`](Self::generate), also if the other device is lost on the way. A model that cannot
    /// share draws alone.
    ///
    /// # Errors
    ///
    /// As for [`generate`](Self::generate).
    fn generate_with(
        &mut self,
        spec: &GenerationSpec,
        assistant: &dyn Assistant,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        assistant.release();
        self.generate(spec, observer)
    }

    /// Computes the evaluations that the leading device of a generation of `spec` hands out, until there are no more. A model that
    /// cannot share returns at once.
    ///
    /// # Errors
    ///
    /// As for [`generate`](Self::generate).
    fn assist(&mut self, _spec: &GenerationSpec, _leader: &mut dyn Leader) -> Result<(), EngineError> {
        Ok(())
    }

    /// Frees device memory that only the last request needed, such as that of its adapters, before another model takes memory.
    ///
    /// # Errors
    ///
    /// As for [`generate`](Self::generate).
    fn release(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Callback for every stage and step of a generation. Returning [`ControlFlow::Break`] stops the generation.
pub type Observer<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// A model that is ready, and handles that other threads may use while it runs.
pub struct OpenModel {
    /// The model itself. One thread owns it at a time.
    pub model: Box<dyn ImageModel>,
    /// Its model, device and precision as they were opened.
    pub info: EngineInfo,
    /// Its tokenizers.
    pub tokens: Arc<dyn TokenCounter>,
    /// Reads how much memory it holds.
    pub memory: MemoryProbe,
    /// Checks adapters of requests; `None`: the model takes none.
    pub adapters: Option<Arc<dyn AdapterInspector>>,
}

/// The engine and the model that it has opened.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineInfo {
    /// `burn` or `scripted`.
    pub kind: &'static str,
    /// The device, such as `cuda:0` or `cpu`.
    pub device: String,
    /// `bf16`, `f32` or `fp8`.
    pub precision: String,
    /// Name, sizes, encoders, stages and defaults.
    pub model: ModelInfo,
    /// Device memory that requests need.
    pub memory: MemoryNeed,
    /// Pixels of the largest image for which memory was allocated when the model was opened; `None`: no such bound.
    pub pixels_max: Option<u64>,
    /// The phases of opening it, in order.
    pub loading: Vec<LoadingPhase>,
    /// The implementation of each network.
    pub compute_paths: Vec<ComputePath>,
}

impl EngineInfo {
    /// Upper bound of the batch size: the fast path takes 64 rows, and guidance needs two for each image.
    const BATCH_MAX: u64 = 32;

    /// The batch size for images of `pixels` pixels: the smallest of `asked`, the model's own bound, and the images for which
    /// memory was allocated. 0 means no bound, in `asked` and in the result.
    pub fn images_at_once(&self, asked: u32, pixels: u64) -> u32 {
        let ready = self.pixels_max.map(|ready| (ready / pixels.max(1)).clamp(1, Self::BATCH_MAX) as u32);
        let bounds = [asked, self.memory.batch_max, ready.unwrap_or(0)];
        bounds.into_iter().filter(|bound| *bound > 0).min().unwrap_or(0)
    }
}
