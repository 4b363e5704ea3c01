//! A model that counts what another model draws.

use std::sync::Arc;
use std::time::Instant;

use sakuga_model_core::{
    Assistant, EngineError, GenerationSpec, ImageModel, Leader, ModelDescription, ModelSource, Observer, OpenModel,
    OpenOptions, Outcome, Progress,
};

use super::EngineMetrics;

/// A source whose models are counted, also when they are opened again.
pub(crate) fn metered(source: Arc<dyn ModelSource>, metrics: EngineMetrics) -> Arc<dyn ModelSource> {
    Arc::new(MeteredSource { inner: source, metrics })
}

struct MeteredSource {
    inner: Arc<dyn ModelSource>,
    metrics: EngineMetrics,
}

impl ModelSource for MeteredSource {
    fn describe(&self) -> Result<ModelDescription, EngineError> {
        self.inner.describe()
    }

    fn open(&self, options: OpenOptions) -> Result<OpenModel, EngineError> {
        let open = self.inner.open(options)?;
        let model = Box::new(MeteredModel { inner: open.model, metrics: self.metrics.clone() });
        Ok(OpenModel { model, ..open })
    }

    fn host_copy_bytes(&self) -> u64 {
        self.inner.host_copy_bytes()
    }

    fn drop_host_copy(&self) {
        self.inner.drop_host_copy();
    }
}

struct MeteredModel {
    inner: Box<dyn ImageModel>,
    metrics: EngineMetrics,
}

impl MeteredModel {
    /// Counts what `draw` does with the model.
    fn count(
        &mut self,
        observer: &mut Observer<'_>,
        draw: impl FnOnce(&mut dyn ImageModel, &mut Observer<'_>) -> Result<Outcome, EngineError>,
    ) -> Result<Outcome, EngineError> {
        let metrics = &self.metrics;
        let begun = Instant::now();
        let mut running = Running { metrics, outcome: "failed" };
        metrics.running.inc();
        let drawn = draw(&mut *self.inner, &mut |event| {
            if let Progress::Step(step) = &event {
                metrics.step(step.report.duration);
            }
            observer(event)
        });
        match &drawn {
            Ok(Outcome::Finished { images, timings, .. }) => {
                running.outcome = "completed";
                metrics.images.inc_by(images.len() as u64);
                metrics.stage("text_encode", timings.text_encode);
                metrics.stage("denoise", timings.denoise());
                metrics.stage("decode", timings.decode);
                metrics.stage("all", begun.elapsed());
            }
            Ok(Outcome::Stopped { .. }) => running.outcome = "cancelled",
            Err(_) => {}
        }
        drawn
    }
}

impl ImageModel for MeteredModel {
    fn generate(&mut self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        self.count(observer, |model, observer| model.generate(spec, observer))
    }

    fn generate_with(
        &mut self,
        spec: &GenerationSpec,
        assistant: &dyn Assistant,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        self.count(observer, |model, observer| model.generate_with(spec, assistant, observer))
    }

    /// The leading device counts the job.
    fn assist(&mut self, spec: &GenerationSpec, leader: &mut dyn Leader) -> Result<(), EngineError> {
        self.inner.assist(spec, leader)
    }

    fn release(&mut self) -> Result<(), EngineError> {
        self.inner.release()
    }
}

/// Counts the end of the job, including one by a panic.
struct Running<'a> {
    metrics: &'a EngineMetrics,
    outcome: &'static str,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.running.dec();
        self.metrics.job(self.outcome);
    }
}
