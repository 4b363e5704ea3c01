//! One job: a span from its acceptance to its end, and within it one for the wait and one for each stage. Steps are
//! events of their stage. Prompts are not exported.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;
use sakuga_model_core::StepReport;

use super::Reason;
use super::instruments::Instruments;
use crate::event::{Event, EventBody};
use crate::job::JobRequest;
use crate::job_id::JobId;
use crate::trace::JobObserver;

const OUTCOME: &str = "sakuga.job.outcome";

/// The spans of a job that is live.
pub(super) struct JobSpans {
    tracer: SdkTracer,
    instruments: Arc<Instruments>,
    reason: Reason,
    job: Span,
    /// The job's span as the parent of others.
    within: Context,
    /// The span of the wait or of the current stage.
    part: Option<Span>,
    begun: SystemTime,
    is_waiting: bool,
    is_over: bool,
}

impl JobSpans {
    pub(super) fn begin(
        tracer: SdkTracer,
        instruments: Arc<Instruments>,
        reason: Reason,
        parent: &Context,
        id: &JobId,
        request: &JobRequest,
    ) -> Self {
        let spec = &request.spec;
        let attributes = [
            KeyValue::new("sakuga.job.id", id.to_string()),
            KeyValue::new("sakuga.job.client", request.client.to_string()),
            KeyValue::new("sakuga.job.images", spec.drawn().len() as i64),
            KeyValue::new("sakuga.job.steps", i64::from(spec.computed_steps())),
            KeyValue::new("sakuga.job.width", i64::from(spec.width_px)),
            KeyValue::new("sakuga.job.height", i64::from(spec.height_px)),
        ];
        let begun = SystemTime::now();
        let builder = SpanBuilder::from_name("job").with_kind(SpanKind::Internal).with_start_time(begun);
        let job = tracer.build_with_context(builder.with_attributes(attributes), parent);
        let within = parent.with_remote_span_context(job.span_context().clone());
        instruments.live.add(1, &[]);
        let mut spans =
            Self { tracer, instruments, reason, job, within, part: None, begun, is_waiting: false, is_over: false };
        spans.waits(begun);
        spans
    }

    fn waits(&mut self, at: SystemTime) {
        self.begin_part("queued", at);
        self.is_waiting = true;
    }

    fn begin_part(&mut self, name: &'static str, at: SystemTime) {
        self.end_part(at);
        let builder = SpanBuilder::from_name(name).with_start_time(at);
        self.part = Some(self.tracer.build_with_context(builder, &self.within));
    }

    fn end_part(&mut self, at: SystemTime) {
        if let Some(mut part) = self.part.take() {
            part.end_with_timestamp(at);
        }
    }

    fn starts(&mut self, at: SystemTime) {
        self.end_part(at);
        if std::mem::take(&mut self.is_waiting) {
            let waited = at.duration_since(self.begun).unwrap_or_default();
            self.instruments.queue.record(waited.as_secs_f64(), &[]);
        }
    }

    fn step(&mut self, at: SystemTime, report: &StepReport) {
        self.instruments.step.record(report.duration.as_secs_f64(), &[]);
        let attributes = vec![
            KeyValue::new("sakuga.step.index", i64::from(report.index)),
            KeyValue::new("sakuga.step.total", i64::from(report.total)),
            KeyValue::new("sakuga.step.duration_ms", report.duration.as_secs_f64() * 1e3),
        ];
        self.part.as_mut().unwrap_or(&mut self.job).add_event_with_timestamp("step", at, attributes);
    }

    fn ends(&mut self, at: SystemTime, outcome: &'static str) {
        self.end_part(at);
        let outcome = KeyValue::new(OUTCOME, outcome);
        self.job.set_attribute(outcome.clone());
        self.job.end_with_timestamp(at);
        self.is_over = true;
        self.instruments.live.add(-1, &[]);
        let took = at.duration_since(self.begun).unwrap_or_default();
        self.instruments.job.record(took.as_secs_f64(), &[outcome]);
    }
}

impl JobObserver for JobSpans {
    fn note(&mut self, event: &Event) {
        let at = event.time;
        match &event.body {
            EventBody::Started { .. } => self.starts(at),
            EventBody::Requeued { .. } => self.waits(at),
            EventBody::Stage { stage, .. } => self.begin_part(stage.name(), at),
            EventBody::Step { report, .. } => self.step(at, report),
            EventBody::Completed { .. } => self.ends(at, "completed"),
            EventBody::Failed(error) => {
                // Without the message, which may quote the request.
                let reason = (self.reason)(error);
                self.job.set_attribute(KeyValue::new(ERROR_TYPE, reason));
                self.job.set_status(Status::error(reason));
                self.ends(at, "failed");
            }
            EventBody::Cancelled { at_step, .. } => {
                self.job.set_attribute(KeyValue::new("sakuga.job.cancelled_at_step", i64::from(*at_step)));
                self.ends(at, "cancelled");
            }
            EventBody::Accepted { .. }
            | EventBody::Queued { .. }
            | EventBody::Preview(_)
            | EventBody::GpuStats(_)
            | EventBody::Profile(_)
            | EventBody::ImageChunk { .. } => {}
        }
    }
}

impl Drop for JobSpans {
    /// A job without an end here was never stored, or waits for the next start of the server.
    fn drop(&mut self) {
        if !self.is_over {
            self.ends(SystemTime::now(), "left");
        }
    }
}
