//! Spans and metrics over OTLP/gRPC, under the names of OpenTelemetry's semantic conventions where they have one.
//!
//! Two threads of the SDK send batches. If the collector is unreachable or slow, their buffers fill and further data is dropped.
//! The SDK's own `OTEL_` variables (sampler, headers, intervals, resource attributes) apply.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use opentelemetry_semantic_conventions::SCHEMA_URL;

use super::{CallObserver, JobObserver, Observer, TraceParent};
use crate::error::ServerError;
use crate::job::JobRequest;
use crate::job_id::JobId;

mod call;
mod instruments;
mod job;

use call::CallSpan;
use instruments::Instruments;
use job::JobSpans;

/// Name of the service unless `OTEL_SERVICE_NAME` is set.
const SERVICE: &str = "sakuga-server";
/// Events of one span: a step is one, and a job of many pictures has more steps than the SDK's default of 128.
const EVENTS_MAX: u32 = 4096;

/// The reason of an error, as in its `ErrorInfo`.
pub(crate) type Reason = fn(&ServerError) -> &'static str;

/// Exports to a collector.
pub(crate) struct Collector {
    tracer: SdkTracer,
    instruments: Arc<Instruments>,
    reason: Reason,
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Collector {
    /// Prepares the exporters. The collector may be unreachable. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Why the address cannot be used.
    pub(crate) fn at(endpoint: &str, reason: Reason) -> Result<Self, ExporterBuildError> {
        let resource = resource();
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let spans = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_max_events_per_span(EVENTS_MAX)
            .with_resource(resource.clone())
            .build();
        let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let metrics = SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource).build();
        let scope = InstrumentationScope::builder(SERVICE).with_version(env!("CARGO_PKG_VERSION"));
        let scope = scope.with_schema_url(SCHEMA_URL).build();
        let instruments = Arc::new(Instruments::new(&metrics.meter_with_scope(scope.clone())));
        Ok(Self { tracer: spans.tracer_with_scope(scope), instruments, reason, spans, metrics })
    }
}

/// Checks the address of a collector as [`Collector::at`] does, and sends nothing.
///
/// # Errors
///
/// What is wrong with the address.
pub(crate) fn check(endpoint: &str) -> Result<(), String> {
    let endpoint = endpoint.to_owned();
    // The exporter needs a runtime, which may not end on a thread of another one.
    let built = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let _within = runtime.enter();
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        exporter.map(drop).map_err(|error| error.to_string())
    });
    built.join().unwrap_or_else(|_| Err("the exporter cannot be made".to_owned()))
}

fn resource() -> Resource {
    let builder = Resource::builder();
    match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder.build(),
        None => builder.with_service_name(SERVICE).build(),
    }
}

impl Observer for Collector {
    fn call_begins(
        &self,
        method: Option<&str>,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Box<dyn CallObserver> {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        Box::new(CallSpan::begin(&self.tracer, self.instruments.clone(), &parent, method, peer))
    }

    fn job_begins(&self, id: &JobId, request: &JobRequest, parent: Option<TraceParent>) -> Box<dyn JobObserver> {
        let parent = parent.map_or_else(Context::new, within);
        Box::new(JobSpans::begin(self.tracer.clone(), self.instruments.clone(), self.reason, &parent, id, request))
    }

    fn close(&self, patience: Duration) {
        // The SDK waits for as long as an export may take, regardless of its timeout.
        let (spans, metrics) = (self.spans.clone(), self.metrics.clone());
        let (done, closed) = mpsc::channel();
        let closing = thread::Builder::new().name("sakuga-otlp-end".into()).spawn(move || {
            let closed = spans.shutdown_with_timeout(patience).and(metrics.shutdown_with_timeout(patience));
            // The receiver is gone after its timeout.
            let _ = done.send(closed.map_err(|error| error.to_string()));
        });
        let closed = match closing {
            Ok(_) => closed.recv_timeout(patience).unwrap_or_else(|_| Err("it does not answer".into())),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = closed {
            tracing::warn!(error, "not all data was sent to the collector");
        }
    }
}

/// A context within a span of another task or an earlier run.
fn within(parent: TraceParent) -> Context {
    let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(parent.trace_id), SpanId::from(parent.span_id));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

fn named(span: &SpanContext) -> TraceParent {
    TraceParent {
        trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(span.span_id().to_bytes()),
        is_sampled: span.is_sampled(),
    }
}

/// Headers as OpenTelemetry reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
