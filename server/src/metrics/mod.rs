//! Metrics of the service for Prometheus, counted where they occur and collected at each scrape.
//!
//! Names are in base units with the prefix `sakuga_`. No label takes a value that a client could make up.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sakuga_model_core::MemoryPool;
use sakuga_proto::code;
use tonic::Code;

use crate::devices::DeviceStatus;
use crate::gpu::DeviceSample;

mod device;
pub(crate) mod engine;
mod models;
mod pool;

use device::DeviceMetrics;
pub(crate) use models::ModelMetrics;
use pool::PoolMetrics;

/// The label of methods that this server does not have: a client must not fill the memory with invented names.
const OTHER: &str = "other";

pub(crate) struct Metrics {
    registry: Registry,
    pub connections: ConnectionMetrics,
    pub calls: CallMetrics,
    /// Metrics of the jobs that the engine runs.
    pub engine: EngineMetrics,
    pub models: ModelMetrics,
    queue: QueueMetrics,
    device: DeviceMetrics,
    pool: PoolMetrics,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionMetrics {
    /// Open now.
    pub open: Gauge,
    /// Closed because too many were open.
    pub refused: Counter,
    /// Closed to make room for new ones.
    pub evicted: Counter,
    /// Failed TLS handshakes.
    pub handshakes_failed: Counter,
    /// Bytes from clients, decrypted.
    pub received_bytes: Counter,
    /// Bytes to clients, before encryption.
    pub sent_bytes: Counter,
}

type MethodAndCode = [(&'static str, Arc<str>); 2];
type OneLabel = [(&'static str, &'static str); 1];

/// The name under which a request is counted, as an extension of it: that of its route, where the path has an id in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MethodName(pub(crate) &'static str);

#[derive(Clone, Debug)]
pub(crate) struct CallMetrics {
    methods: Arc<HashSet<Arc<str>>>,
    other: Arc<str>,
    /// Open now: unary ones and streams.
    pub open: Gauge,
    ended: Family<MethodAndCode, Counter>,
    refused: Family<OneLabel, Counter>,
}

impl CallMetrics {
    /// The method's name as a label.
    pub(crate) fn method(&self, path: &str) -> Arc<str> {
        self.methods.get(path.trim_start_matches('/')).unwrap_or(&self.other).clone()
    }

    /// Counts the end of a call.
    pub(crate) fn ended(&self, method: &Arc<str>, code: Code) {
        self.ended.get_or_create(&[("method", method.clone()), ("code", code::name(code).into())]).inc();
    }

    /// Counts a call that authentication, authorisation or a quota refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }
}

/// Metrics of the jobs that the engine runs.
#[derive(Clone, Debug)]
pub(crate) struct EngineMetrics {
    /// Jobs that devices work at: at most one each.
    pub running: Gauge,
    jobs: Family<OneLabel, Counter>,
    images: Counter,
    step: Histogram,
    stages: Family<OneLabel, Histogram>,
}

/// Metrics of the queue, set at each scrape.
#[derive(Debug, Default)]
struct QueueMetrics {
    jobs: Gauge,
    serving: Gauge,
}

/// The state of the scheduler, at the time of the scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueFigures {
    /// Jobs without a terminal event, the running ones included.
    pub live: usize,
    /// Whether a device takes jobs.
    pub is_serving: bool,
    /// Every model, and whether it is on a device.
    pub models: Vec<(Arc<str>, bool)>,
    /// In the order of the configuration.
    pub devices: Vec<DeviceFigures>,
}

/// A device of the server, at the time of the scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceFigures {
    pub status: DeviceStatus,
    pub is_busy: bool,
    /// Its memory as the engine manages it.
    pub pools: Vec<MemoryPool>,
}

impl Metrics {
    /// Every metric at zero. `methods` are those that the server has, written `package.Service/Method`.
    pub(crate) fn new(methods: impl IntoIterator<Item = String>) -> Self {
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let metrics = Self {
            registry: Registry::with_prefix("sakuga"),
            connections: ConnectionMetrics::default(),
            calls: CallMetrics {
                methods: Arc::new(methods.into_iter().map(Into::into).collect()),
                other: OTHER.into(),
                open: Gauge::default(),
                ended: Family::default(),
                refused: Family::default(),
            },
            engine: EngineMetrics {
                running: Gauge::default(),
                jobs: Family::default(),
                images: Counter::default(),
                step: histogram(),
                stages: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 18))),
            },
            models: ModelMetrics::new(),
            queue: QueueMetrics::default(),
            device: DeviceMetrics::default(),
            pool: PoolMetrics::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let Self { registry, connections, calls, engine, models, queue, device, pool } = &mut self;
        registry.register("connections", "Open connections", connections.open.clone());
        registry.register(
            "connections_refused",
            "Connections closed because too many were open",
            connections.refused.clone(),
        );
        registry.register("connections_evicted", "Idle connections closed for new ones", connections.evicted.clone());
        registry.register(
            "tls_handshakes_failed",
            "Handshakes that led to no connection",
            connections.handshakes_failed.clone(),
        );
        registry.register("received_bytes", "Bytes from clients", connections.received_bytes.clone());
        registry.register("sent_bytes", "Bytes to clients", connections.sent_bytes.clone());
        registry.register("grpc_calls_open", "Open calls, streams included", calls.open.clone());
        registry.register("grpc_calls", "Calls that ended, by method and gRPC code", calls.ended.clone());
        registry.register("grpc_calls_refused", "Calls that were not admitted, by reason", calls.refused.clone());
        registry.register("jobs", "Jobs that left their device, by outcome", engine.jobs.clone());
        registry.register("images", "Pictures drawn", engine.images.clone());
        registry.register("jobs_running", "Jobs that have a device", engine.running.clone());
        registry.register("step_seconds", "Time of a step", engine.step.clone());
        registry.register("stage_seconds", "Time of a part of the pipeline, by stage", engine.stages.clone());
        registry.register("jobs_live", "Jobs that wait or run", queue.jobs.clone());
        registry.register("engine_serving", "1 while a device takes jobs, 0 while none does", queue.serving.clone());
        models.register(registry);
        device.register(registry);
        pool.register(registry);
        self
    }

    /// The page that Prometheus reads, in the OpenMetrics text format.
    pub(crate) fn page(&self, queue: QueueFigures, samples: &[DeviceSample]) -> String {
        self.queue.jobs.set(queue.live as i64);
        self.queue.serving.set(queue.is_serving.into());
        self.models.set(&queue.models);
        self.pool.set(&queue.devices);
        samples.iter().for_each(|sample| self.device.set(sample));
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut page, &self.registry);
        page
    }
}

impl EngineMetrics {
    /// Counts a step.
    pub(crate) fn step(&self, took: Duration) {
        self.step.observe(took.as_secs_f64());
    }

    fn stage(&self, stage: &'static str, took: Duration) {
        self.stages.get_or_create(&[("stage", stage)]).observe(took.as_secs_f64());
    }

    fn job(&self, outcome: &'static str) {
        self.jobs.get_or_create(&[("outcome", outcome)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{DeviceInfo, DeviceState};
    use crate::gpu::PcieRate;

    #[test]
    fn methods_that_are_not_there_share_one_label() {
        let metrics = Metrics::new(["a.B/C".to_owned()]);
        assert_eq!(&*metrics.calls.method("/a.B/C"), "a.B/C");
        for path in ["/a.B/D", "", "/", "/a.B/C/"] {
            assert_eq!(&*metrics.calls.method(path), OTHER, "{path}");
        }
    }

    #[test]
    fn the_page_has_what_was_counted() {
        let metrics = Metrics::new([]);
        metrics.calls.ended(&"a.B/C".into(), Code::Unauthenticated);
        metrics.engine.step(Duration::from_millis(3));
        let pcie = PcieRate { receive_bytes_per_second: 2000, send_bytes_per_second: 3000 };
        let sample = DeviceSample {
            utilization_percent: Some(50.0),
            sm_clock_mhz: Some(1980),
            energy_joules: Some(12.5),
            pcie: Some(pcie),
            ..DeviceSample::default()
        };
        metrics.models.loaded(&"a".into(), Duration::from_millis(500));
        metrics.models.evicted(&"b".into());
        metrics.models.estimated(&"a".into(), 1.02);
        let models = vec![("a".into(), true), ("b".into(), false)];
        let pools = [MemoryPool { name: "scratch", used_bytes: 5, held_bytes: 8 }];
        let device = |name: &str, state| DeviceFigures {
            status: DeviceStatus { info: DeviceInfo::new(name), state, models: Vec::new(), jobs: 3, losses: 1 },
            is_busy: name == "cuda:0",
            pools: pools.to_vec(),
        };
        let devices = vec![device("cuda:0", DeviceState::Serving), device("cuda:1", DeviceState::Drained)];
        let disabled = DeviceFigures { pools: Vec::new(), ..device("cuda:1", DeviceState::Disabled) };
        let page = metrics.page(QueueFigures { live: 2, is_serving: true, models, devices }, &[sample]);
        for line in [
            "sakuga_grpc_calls_total{method=\"a.B/C\",code=\"UNAUTHENTICATED\"} 1",
            "sakuga_step_seconds_count 1",
            "sakuga_jobs_live 2",
            "sakuga_engine_serving 1",
            "sakuga_device_utilization_ratio{device=\"0\"} 0.5",
            "sakuga_device_sm_clock_hertz{device=\"0\"} 1980000000.0",
            "sakuga_device_energy_joules_total{device=\"0\"} 12.5",
            "sakuga_device_pcie_receive_bytes_per_second{device=\"0\"} 2000.0",
            "sakuga_engine_memory_used_bytes{engine=\"cuda:0\",pool=\"scratch\"} 5",
            "sakuga_engine_memory_held_bytes{engine=\"cuda:1\",pool=\"scratch\"} 8",
            "sakuga_engine_device_serving{engine=\"cuda:0\"} 1",
            "sakuga_engine_device_serving{engine=\"cuda:1\"} 0",
            "sakuga_engine_device_busy{engine=\"cuda:0\"} 1",
            "sakuga_engine_device_jobs_total{engine=\"cuda:0\"} 3",
            "sakuga_engine_device_losses_total{engine=\"cuda:1\"} 1",
            "sakuga_model_loaded{model=\"a\"} 1",
            "sakuga_model_loaded{model=\"b\"} 0",
            "sakuga_model_load_seconds_sum{model=\"a\"} 0.5",
            "sakuga_model_evictions_total{model=\"b\"} 1",
            "sakuga_job_time_ratio_bucket{le=\"1.0\",model=\"a\"} 0",
            "sakuga_job_time_ratio_bucket{le=\"1.05\",model=\"a\"} 1",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("power_watts{"), "an unknown value is left out");
        let page = metrics.page(QueueFigures { devices: vec![disabled], ..QueueFigures::default() }, &[]);
        assert!(page.contains("sakuga_engine_device_jobs_total{engine=\"cuda:1\"} 3"), "{page}");
        assert!(!page.contains("sakuga_engine_memory_held_bytes{"), "a disabled device holds none:\n{page}");
    }
}
