//! [`ArtifactSink`]: writes finished pictures to the artifact store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ConstantBuilder, Retryable as _};
use bytes::Bytes;
use tokio::runtime::Handle;

use crate::job::JobHandle;
use crate::retention::RetentionGate;
use crate::store::{ArtifactStore, StoreError, StoreFault};

/// How long writing a picture is retried after an error that may be permanent, such as an unreachable object store.
const PUT_PATIENCE: Duration = Duration::from_secs(30);
/// Time between two attempts.
const PUT_PAUSE: Duration = Duration::from_millis(250);

/// Writes finished pictures to the artifact store.
pub(super) struct ArtifactSink {
    pub(super) artifacts: Arc<dyn ArtifactStore>,
    pub(super) gate: Arc<RetentionGate>,
    /// Set while a picture cannot be written, so that new jobs are refused.
    pub(super) fault: StoreFault,
    pub(super) runtime: Handle,
}

impl ArtifactSink {
    /// Writes a file, and tries again when that fails: until the job is cancelled while the host lacks space or file
    /// descriptors, for [`PUT_PATIENCE`] after any other error.
    ///
    /// # Errors
    ///
    /// The last [`StoreError`].
    pub(super) fn put(&self, job: &JobHandle, image_index: u32, file: Bytes) -> Result<(), StoreError> {
        let begun = Instant::now();
        let put = || self.artifacts.put(job.id.as_str(), image_index, file.clone());
        let retried = put
            .retry(ConstantBuilder::default().with_delay(PUT_PAUSE).without_max_times())
            .sleep(tokio::time::sleep)
            .when(|error: &StoreError| {
                job.cancel_reason().is_none() && (error.is_exhausted() || begun.elapsed() < PUT_PATIENCE)
            })
            .notify(|error: &StoreError, _| {
                if self.fault.set(error) {
                    tracing::warn!(%error, "a picture could not be written; trying again");
                }
            });
        let done = self.runtime.block_on(retried);
        self.fault.clear();
        done
    }

    /// Deletes the first `images` files of a job that ends without pictures. Files that cannot be deleted now are deleted with the
    /// job.
    pub(super) fn discard(&self, job: &JobHandle, images: u32) {
        let deleted = self.runtime.block_on(self.artifacts.delete(job.id.as_str(), images));
        if let Err(error) = deleted {
            tracing::warn!(job_id = %job.id, %error, "pictures of a job that has none could not be deleted");
        }
    }
}
