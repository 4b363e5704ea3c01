//! [`PreviewTask`]: encodes and publishes a preview.

use std::sync::Arc;

use sakuga_model_core::{PreviewMethod, Rgb8};

use crate::event::{EventBody, Preview};
use crate::job::JobHandle;
use crate::journal::Journal;
use crate::preview::{self, PreviewPolicy};

/// A picture to be previewed.
#[derive(Debug)]
pub(crate) struct PreviewTask {
    pub handle: JobHandle,
    /// Where the preview is published.
    pub events: Arc<Journal>,
    /// How it is encoded.
    pub policy: PreviewPolicy,
    /// Which picture of the job.
    pub image_index: u32,
    /// The step after which it was drawn.
    pub step: u32,
    /// How it was drawn.
    pub method: PreviewMethod,
    /// Its pixels.
    pub picture: Rgb8,
}

impl PreviewTask {
    /// Whether `newer` previews the same picture.
    pub(super) fn is_replaced_by(&self, newer: &Self) -> bool {
        self.handle.id == newer.handle.id && self.image_index == newer.image_index
    }

    pub(super) fn run(self) {
        if self.handle.cancel_reason().is_some() {
            return;
        }
        match preview::encode(self.picture, self.policy.format, self.policy.max_edge_px) {
            Ok(encoded) => {
                self.events.publish(EventBody::Preview(Preview {
                    image_index: self.image_index,
                    step: self.step,
                    method: self.method,
                    format: self.policy.format,
                    width_px: encoded.width_px,
                    height_px: encoded.height_px,
                    data: encoded.data,
                }));
            }
            Err(error) => tracing::warn!(job_id = %self.handle.id, %error, "a preview could not be encoded"),
        }
    }
}
