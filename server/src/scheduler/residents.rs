//! [`Residents`]: the open models of one engine thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sakuga_model_core::{EngineError, MemoryProbe, ModelSource, OpenModel, OpenOptions};

use crate::models::ModelId;

/// The models of the configuration, in order.
pub(super) type Sources = Arc<[Arc<dyn ModelSource>]>;

/// The open models of one engine thread. Dropping it closes them.
pub(super) struct Residents {
    sources: Sources,
    /// By [`ModelId`].
    open: Vec<Option<OpenModel>>,
}

impl Residents {
    /// No model is open yet.
    pub(super) fn new(sources: Sources) -> Self {
        let open = sources.iter().map(|_| None).collect();
        Self { sources, open }
    }

    pub(super) fn is_open(&self, model: ModelId) -> bool {
        self.open[model.index()].is_some()
    }

    pub(super) fn get_mut(&mut self, model: ModelId) -> Option<&mut OpenModel> {
        self.open[model.index()].as_mut()
    }

    /// Opens a model, and returns it; a panic becomes an error.
    pub(super) fn open(&mut self, model: ModelId, how: OpenOptions) -> Result<&mut OpenModel, EngineError> {
        let source = &self.sources[model.index()];
        let opened = catch_unwind(AssertUnwindSafe(|| source.open(how)));
        let opened = opened.unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())))?;
        Ok(self.open[model.index()].insert(opened))
    }

    /// Frees the device memory that only the last requests of the open models needed.
    pub(super) fn release(&mut self) -> Result<(), EngineError> {
        let release = |open: &mut OpenModel| catch_unwind(AssertUnwindSafe(|| open.model.release()));
        for open in self.open.iter_mut().flatten() {
            release(open).unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())))?;
        }
        Ok(())
    }

    /// Closes a model, which frees its device memory.
    pub(super) fn close(&mut self, model: ModelId) {
        self.open[model.index()] = None;
    }

    pub(super) fn close_all(&mut self) {
        self.open.iter_mut().for_each(|open| *open = None);
    }

    /// Reads the memory of the whole device through one of the open models; `None` if no model is open.
    pub(super) fn memory_probe(&self) -> Option<MemoryProbe> {
        self.open.iter().flatten().next().map(|open| open.memory.clone())
    }

    /// Bytes of a model's copy in host memory.
    pub(super) fn host_bytes(&self, model: ModelId) -> u64 {
        self.sources[model.index()].host_copy_bytes()
    }

    /// Frees the copy in host memory of a model.
    pub(super) fn drop_host_copy(&self, model: ModelId) {
        self.sources[model.index()].drop_host_copy();
    }
}
