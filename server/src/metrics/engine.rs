//! An engine that counts what another engine draws.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EngineMetrics;
use crate::engine::{Engine, EngineError, EngineEvent, EngineOpener, JobSpec, Observer, OpenEngine, Outcome};

/// An opener whose engines are counted, also after they were lost and opened anew.
pub fn metered(opener: EngineOpener, metrics: EngineMetrics) -> EngineOpener {
    Arc::new(move || {
        let open = opener()?;
        let engine = Box::new(MeteredEngine { inner: open.engine, metrics: metrics.clone() });
        Ok(OpenEngine { engine, ..open })
    })
}

struct MeteredEngine {
    inner: Box<dyn Engine>,
    metrics: EngineMetrics,
}

impl Engine for MeteredEngine {
    fn generate(&mut self, spec: &JobSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        let metrics = &self.metrics;
        let begun = Instant::now();
        let mut running = Running { metrics, outcome: "failed" };
        metrics.running.inc();
        let drawn = self.inner.generate(spec, &mut |event| {
            if let EngineEvent::Step(step) = &event {
                metrics.step(Duration::try_from_secs_f32(step.report.step_ms / 1000.0).unwrap_or_default());
            }
            observer(event)
        });
        match &drawn {
            Ok(Outcome::Finished { images, timings }) => {
                running.outcome = "completed";
                metrics.images.inc_by(images.len() as u64);
                metrics.stage("text_encode", timings.text_encode);
                metrics.stage("denoise", timings.denoise);
                metrics.stage("decode", timings.decode);
                metrics.stage("all", begun.elapsed());
            }
            Ok(Outcome::Stopped) => running.outcome = "cancelled",
            Err(_) => {}
        }
        drawn
    }
}

/// Counts the job's end, also that by a panic.
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
