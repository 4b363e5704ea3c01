//! A loaded checkpoint as an [`ImageModel`]: bounds its batches by the memory that was allocated, and turns the panics of
//! the tensor library into errors.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::tensor::Device;
use sakuga_model_core::{
    Assistant, EngineError, EngineInfo, GenerationSpec, ImageModel, Leader, Observer, Outcome, Progress, Stage,
    panic_message,
};

use crate::families::FamilyModel;
use crate::shortage;

/// A loaded checkpoint, and the bounds of its batches.
pub(super) struct GuardedModel {
    inner: Box<dyn FamilyModel>,
    /// After the model, whose memory it returns.
    memory: ReturnMemory,
    /// Has the bounds of its batches.
    info: EngineInfo,
}

impl GuardedModel {
    pub(super) fn new(inner: Box<dyn FamilyModel>, device: Device, info: EngineInfo) -> Self {
        Self { inner, memory: ReturnMemory(device), info }
    }

    /// Does `work` with the weights that `spec` asks for, and the spec with its bounds. `None`: the observer stopped before.
    fn run<T>(
        &mut self,
        spec: &GenerationSpec,
        observer: &mut Observer<'_>,
        work: impl FnOnce(&dyn FamilyModel, &GenerationSpec, &mut Observer<'_>) -> Result<T, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        let pixels = u64::from(spec.width_px) * u64::from(spec.height_px);
        let max_batch = self.info.images_at_once(spec.max_batch, pixels);
        let spec = GenerationSpec { max_batch, ..spec.clone() };
        let inner = &mut self.inner;
        let run = AssertUnwindSafe(|| {
            if !inner.has_adapters(&spec.adapters) {
                if observer(Progress::Stage(Stage::LoadAdapters)).is_break() {
                    return Ok(None);
                }
                inner.switch_adapters(&spec.adapters)?;
            }
            work(&**inner, &spec, observer).map(Some)
        });
        match catch_unwind(run) {
            Ok(done) => done,
            // The tensor library panics when an allocation fails; other panics are resumed.
            Err(panic) => match shortage::read(panic_message(panic.as_ref()), || self.inner.memory_bytes()) {
                Some(shortage) => Err(EngineError::OutOfMemory(shortage)),
                None => resume_unwind(panic),
            },
        }
    }

    fn draw(
        &mut self,
        spec: &GenerationSpec,
        assistant: Option<&dyn Assistant>,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        let drawn = self.run(spec, observer, |model, spec, observer| model.generate_with(spec, assistant, observer));
        Ok(drawn?.unwrap_or(Outcome::Stopped { after_step: 0 }))
    }
}

/// Returns memory that no tensor uses to the device when it is dropped, so that another model can have it.
struct ReturnMemory(Device);

impl ReturnMemory {
    fn return_unused(&self) {
        // burn frees tensors when its queue is worked off. A device that failed has nothing to return.
        if self.0.sync().is_ok() {
            self.0.memory_cleanup();
        }
    }
}

impl Drop for ReturnMemory {
    fn drop(&mut self) {
        self.return_unused();
    }
}

impl ImageModel for GuardedModel {
    fn generate(&mut self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        self.draw(spec, None, observer)
    }

    fn generate_with(
        &mut self,
        spec: &GenerationSpec,
        assistant: &dyn Assistant,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        self.draw(spec, Some(assistant), observer)
    }

    fn assist(&mut self, spec: &GenerationSpec, leader: &mut dyn Leader) -> Result<(), EngineError> {
        let observer: &mut Observer<'_> = &mut |_| ControlFlow::Continue(());
        self.run(spec, observer, |model, spec, _| model.assist(spec, leader)).map(|_| ())
    }

    fn release(&mut self) -> Result<(), EngineError> {
        self.inner.release_adapters()?;
        self.memory.return_unused();
        Ok(())
    }
}
