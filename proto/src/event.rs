//! What every reader of the event stream asks of an event.

use crate::generation::v1::ImageInfo;
use crate::generation::v1::generate_event::Event;

impl ImageInfo {
    /// The index of the picture in its batch. `position` is the place of this description among those of its job, which is
    /// the index where the description has no metadata.
    pub fn index_at(&self, position: usize) -> u32 {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        self.metadata.as_ref().map_or(position, |metadata| metadata.image_index)
    }
}

impl Event {
    /// The field's name in `event.proto`, such as `gpu_stats`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Queued(_) => "queued",
            Self::Started(_) => "started",
            Self::Stage(_) => "stage",
            Self::Step(_) => "step",
            Self::Preview(_) => "preview",
            Self::GpuStats(_) => "gpu_stats",
            Self::ImageChunk(_) => "image_chunk",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::Requeued(_) => "requeued",
            Self::Profile(_) => "profile",
        }
    }

    /// Whether it is the last event of a job.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_) | Self::Cancelled(_))
    }
}
