//! A job is exported as one trace, which begins with the caller's span; a collector that does not answer delays
//! nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{CreateJobRequest, WatchJobRequest};
use sakuga_server::Config;
use sakuga_server::engine::scripted::{Fault, Script};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::{Server, expect_event, fault, quick, request, run, scripted, steps_of_ms};

/// The example of the recommendation.
const TRACE_PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.spans.lock().expect("no panic").push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().expect("no panic").push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

impl Collector {
    /// Listens, and returns where.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        url
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.spans.lock().expect("no panic");
        let scopes = requests.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn service_names(&self) -> Vec<String> {
        let requests = self.spans.lock().expect("no panic");
        let spans = requests.iter().flat_map(|request| &request.resource_spans);
        let resources = spans.filter_map(|spans| spans.resource.as_ref());
        resources.map(|resource| text(&resource.attributes, "service.name")).collect()
    }

    /// The points of a histogram as last exported.
    fn points(&self, name: &str) -> Vec<HistogramDataPoint> {
        let requests = self.metrics.lock().expect("no panic");
        let scopes = requests.last().into_iter().flat_map(|request| &request.resource_metrics);
        let metrics = scopes.flat_map(|metrics| &metrics.scope_metrics).flat_map(|scope| &scope.metrics);
        let found: Vec<&Metric> = metrics.filter(|metric| metric.name == name).collect();
        let [Metric { data: Some(Data::Histogram(histogram)), unit, .. }] = found[..] else {
            panic!("one histogram {name}, found {found:?}")
        };
        assert_eq!(unit, "s", "{name}");
        histogram.data_points.clone()
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.as_ref().and_then(|AnyValue { value }| value.as_ref())
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?} in {attributes:?}"),
    }
}

fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found[..] else { panic!("one span {name}, found {}", found.len()) };
    span
}

fn observed(script: Script, url: String) -> Config {
    Config { otlp_endpoint: Some(url), ..scripted(script) }
}

/// Has one job of three steps drawn, on behalf of [`TRACE_PARENT`].
async fn draw_one(server: &Server) -> String {
    let mut jobs = JobServiceClient::new(server.channel.clone());
    let mut call = Request::new(CreateJobRequest { request: Some(request(3)), options: None });
    call.metadata_mut().insert("traceparent", TRACE_PARENT.parse().expect("ASCII"));
    let made = jobs.create_job(call).await.expect("accepted").into_inner();
    let job_id = made.job.expect("a job").job_id;
    let watch = WatchJobRequest { job_id: job_id.clone(), ..WatchJobRequest::default() };
    let mut stream = jobs.watch_job(watch).await.expect("there").into_inner();
    while stream.message().await.expect("it lives").is_some() {}
    job_id
}

#[tokio::test]
async fn a_job_is_a_part_of_its_callers_trace() {
    let collector = Collector::default();
    let server = Server::start(observed(steps_of_ms(2), collector.listen().await)).await;
    let job_id = draw_one(&server).await;
    server.stop().await;

    let spans = collector.spans();
    let call = only(&spans, "sakuga.generation.v1.JobService/CreateJob");
    let trace: u128 = 0x0af7651916cd43dd8448eb211c80319c;
    assert_eq!(call.trace_id, trace.to_be_bytes());
    assert_eq!(call.parent_span_id, 0xb7ad6b7169203331_u64.to_be_bytes());
    assert_eq!(call.kind(), SpanKind::Server);
    for (key, expected) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "sakuga.generation.v1.JobService/CreateJob"),
        ("rpc.response.status_code", "OK"),
        ("network.peer.address", "127.0.0.1"),
    ] {
        assert_eq!(text(&call.attributes, key), expected);
    }

    let job = only(&spans, "job");
    assert_eq!((&job.trace_id, &job.parent_span_id), (&call.trace_id, &call.span_id));
    assert_eq!(text(&job.attributes, "sakuga.job.id"), job_id);
    assert_eq!(text(&job.attributes, "sakuga.job.outcome"), "completed");
    let mut end = job.start_time_unix_nano;
    for name in ["queued", "text_encode", "denoise", "decode", "encode_image"] {
        let part = only(&spans, name);
        assert_eq!((&part.trace_id, &part.parent_span_id), (&job.trace_id, &job.span_id), "{name}");
        assert!(part.start_time_unix_nano >= end && part.end_time_unix_nano >= part.start_time_unix_nano, "{name}");
        end = part.end_time_unix_nano;
    }
    assert_eq!(end, job.end_time_unix_nano);
    let steps: Vec<_> = only(&spans, "denoise").events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(steps, ["step"; 3]);
    // The call that watched had no traceparent: a separate trace.
    assert_ne!(only(&spans, "sakuga.generation.v1.JobService/WatchJob").trace_id, job.trace_id);
    assert!(spans.iter().all(|span| !format!("{span:?}").contains("blue_hair")), "no prompt is exported");
    assert_eq!(collector.service_names()[0], "sakuga-server");

    let calls = collector.points("rpc.server.call.duration");
    let created = calls.iter().find(|point| text(&point.attributes, "rpc.method").ends_with("/CreateJob"));
    let created = created.expect("the call was measured");
    assert_eq!((created.count, text(&created.attributes, "rpc.response.status_code").as_str()), (1, "OK"));
    assert_eq!(collector.points("sakuga.step.duration")[0].count, 3);
    assert_eq!(text(&collector.points("sakuga.job.duration")[0].attributes, "sakuga.job.outcome"), "completed");
}

#[tokio::test]
async fn what_goes_wrong_is_exported_with_its_reason() {
    let collector = Collector::default();
    let script = Script { faults: vec![fault(1, 1, Fault::Fail)], ..quick() };
    let server = Server::start(observed(script, collector.listen().await)).await;
    expect_event!(run(&server, request(3)).await.last().unwrap(), Failed);
    let refused = server.generation().generate(request(0x7fff_ffff)).await.expect_err("too many steps");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let mut unknown = tonic::client::Grpc::new(server.channel.clone());
    unknown.ready().await.expect("ready");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = http::uri::PathAndQuery::from_static("/no.such.Service/Whatever");
    unknown.unary(Request::new(()), path, codec).await.expect_err("there is none");
    drop(unknown);
    server.stop().await;

    let spans = collector.spans();
    let job = only(&spans, "job");
    assert_eq!(text(&job.attributes, "error.type"), "ENGINE_FAILED");
    assert_eq!(job.status.as_ref().expect("a status").code(), StatusCode::Error);
    let calls = spans.iter().filter(|span| span.name == "sakuga.generation.v1.GenerationService/Generate");
    let codes: Vec<String> = calls.map(|span| text(&span.attributes, "rpc.response.status_code")).collect();
    // A fault of the caller is not an error of the server.
    assert_eq!(codes, ["OK", "INVALID_ARGUMENT"]);
    let other = only(&spans, "grpc");
    assert_eq!(text(&other.attributes, "rpc.method"), "_OTHER");
    assert_eq!(text(&other.attributes, "error.type"), "UNIMPLEMENTED");
}

#[tokio::test]
async fn a_collector_that_does_not_answer_delays_nothing() {
    // One accepts and says nothing; nobody listens at the other.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    for url in [silent_url, "http://127.0.0.1:1".to_owned()] {
        let server = Server::start(observed(quick(), url)).await;
        let begun = Instant::now();
        for _ in 0..10 {
            expect_event!(run(&server, request(50)).await.last().unwrap(), Completed);
        }
        // Were each of them delayed until an attempt to export times out, they would take 100 s.
        assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
        let begun = Instant::now();
        server.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
