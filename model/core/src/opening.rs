//! [`ModelSource`]: describes a model before it is opened, and opens it.

use std::sync::Arc;

use crate::{AdapterInspector, EngineError, EngineInfo, OpenModel, TokenCounter};

/// A model on disk that can be described, opened on its device, dropped, and opened again.
pub trait ModelSource: Send + Sync {
    /// Describes the model from its configuration, the headers of its files and its tokenizers. No weights are read, and no
    /// device memory is allocated for them.
    ///
    /// # Errors
    ///
    /// Every fault of these files that [`open`](Self::open) would find, or the device cannot be used.
    fn describe(&self) -> Result<ModelDescription, EngineError>;

    /// Opens the model. Dropping it returns its memory to the device, before the drop returns.
    ///
    /// # Errors
    ///
    /// The device, the checkpoint or an adapter cannot be used, or the warm-up fails.
    fn open(&self, options: OpenOptions) -> Result<OpenModel, EngineError>;

    /// Bytes of host memory that the copy of the weights takes now; 0 without a copy.
    fn host_copy_bytes(&self) -> u64;

    /// Frees the copy of the weights in host memory. An open model stays open; the next opening reads the files.
    fn drop_host_copy(&self);
}

/// Choices of one call of [`ModelSource::open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Keep a copy of the weights in host memory. The first opening fills it from the files; later openings with this option
    /// read it. Ignored on the CPU, whose device memory is host memory.
    pub keeps_host_copy: bool,
    /// Skip the warm-up, because this process has opened the model before and its kernels are compiled and tuned. The first
    /// request allocates the working memory.
    pub skips_warm_up: bool,
}

/// Facts about a model that is not open: enough to check requests and to plan memory.
#[derive(Clone)]
pub struct ModelDescription {
    /// The information that the open model will have, without loading phases and compute paths. Its
    /// [`MemoryNeed::fixed_bytes`] is the size of the weights on the device in the chosen precision.
    ///
    /// [`MemoryNeed::fixed_bytes`]: crate::MemoryNeed::fixed_bytes
    pub info: EngineInfo,
    /// Its tokenizers.
    pub tokens: Arc<dyn TokenCounter>,
    /// Checks adapters of requests; `None`: the model takes none.
    pub adapters: Option<Arc<dyn AdapterInspector>>,
    /// Bytes that a copy of its weights takes in host memory; 0 if this device has no such copies.
    pub host_copy_bytes: u64,
}
