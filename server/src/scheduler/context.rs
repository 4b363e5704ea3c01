//! What the workers of all devices share.

use std::sync::Arc;

use super::shared::Shared;
use crate::encoder::Encoder;
use crate::gpu::Sampler;
use crate::metrics::ModelMetrics;
use crate::telemetry::{ActivityProbe, Telemetry};

/// What the workers of all devices share.
pub(super) struct WorkerContext {
    pub(super) shared: Arc<Shared>,
    pub(super) encoder: Encoder,
    pub(super) sampler: Arc<Sampler>,
    pub(super) telemetry: Telemetry,
    pub(super) metrics: ModelMetrics,
    pub(super) activity: ActivityProbe,
}
