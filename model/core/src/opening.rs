//! What is known of a model before it is opened, and how it is opened.

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

    /// Bytes of host memory that the copy of the weights takes now; 0: there is none.
    fn host_copy_bytes(&self) -> u64;

    /// Frees the copy of the weights in host memory. A model that is open stays open, and the next one reads the files.
    fn drop_host_copy(&self);
}

/// Choices of one call of [`ModelSource::open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Keep a copy of the weights in host memory, from which a later opening with this option reads them. The first one fills
    /// it from the files. On the CPU there is never a copy: host memory is the device's memory.
    pub keeps_host_copy: bool,
    /// Do not warm up: the model was open before in this process, so its kernels are compiled and chosen. Its working memory
    /// is allocated by the first request.
    pub skips_warm_up: bool,
}

/// A model that is not open. It is enough to check requests and to plan memory.
#[derive(Clone)]
pub struct ModelDescription {
    /// The open model's, without the phases of loading and the compute paths. [`MemoryNeed::fixed_bytes`] are the bytes of
    /// its weights on the device in the chosen precision.
    ///
    /// [`MemoryNeed::fixed_bytes`]: crate::MemoryNeed::fixed_bytes
    pub info: EngineInfo,
    /// Its tokenizers.
    pub tokens: Arc<dyn TokenCounter>,
    /// Checks adapters of requests; `None`: the model takes none.
    pub adapters: Option<Arc<dyn AdapterInspector>>,
    /// Bytes that a copy of its weights takes in host memory; 0: there can be none on this device.
    pub host_copy_bytes: u64,
}
