//! [`NamedSource`]: a model under the name that the operator gives it.

use std::sync::Arc;

use sakuga_model_core::{EngineError, ModelDescription, ModelSource, OpenModel, OpenOptions};

/// A model under another name than its own.
pub(crate) struct NamedSource {
    name: String,
    inner: Arc<dyn ModelSource>,
}

impl NamedSource {
    /// The model `inner` with the name `name`, or with its own if that is `None`.
    pub(crate) fn over(inner: Arc<dyn ModelSource>, name: Option<String>) -> Arc<dyn ModelSource> {
        match name {
            Some(name) => Arc::new(Self { name, inner }),
            None => inner,
        }
    }
}

impl ModelSource for NamedSource {
    fn describe(&self) -> Result<ModelDescription, EngineError> {
        let mut description = self.inner.describe()?;
        description.info.model.name.clone_from(&self.name);
        Ok(description)
    }

    fn open(&self, options: OpenOptions) -> Result<OpenModel, EngineError> {
        let mut open = self.inner.open(options)?;
        open.info.model.name.clone_from(&self.name);
        Ok(open)
    }

    fn host_copy_bytes(&self) -> u64 {
        self.inner.host_copy_bytes()
    }

    fn drop_host_copy(&self) {
        self.inner.drop_host_copy();
    }
}
