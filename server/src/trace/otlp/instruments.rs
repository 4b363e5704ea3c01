//! The metrics: their names, units and buckets.

use opentelemetry::metrics::{Histogram, Meter, UpDownCounter};
use opentelemetry_semantic_conventions::metric::RPC_SERVER_CALL_DURATION;

/// Bounds in seconds that the conventions advise for calls.
const CALL_BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bounds in seconds for what a device does: a step of the small model takes 0.1 s, a large picture on a CPU minutes.
const WORK_BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0];

/// The instruments. The conventions have names for calls only; those of jobs are our own.
pub(super) struct Instruments {
    /// From the headers of a call to the end of its answer.
    pub(super) call: Histogram<f64>,
    /// From `accepted` to the terminal event.
    pub(super) job: Histogram<f64>,
    /// From `accepted` to `started`.
    pub(super) queue: Histogram<f64>,
    pub(super) step: Histogram<f64>,
    /// Jobs without a terminal event.
    pub(super) live: UpDownCounter<i64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, bounds: &[f64], help: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(help);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let live = meter.i64_up_down_counter("sakuga.jobs.live").with_unit("{job}");
        Self {
            call: seconds(RPC_SERVER_CALL_DURATION, &CALL_BOUNDS, "Measures the duration of inbound RPC calls."),
            job: seconds("sakuga.job.duration", &WORK_BOUNDS, "From a job's acceptance to its end."),
            queue: seconds("sakuga.job.queue.duration", &WORK_BOUNDS, "From a job's acceptance to its start."),
            step: seconds("sakuga.step.duration", &WORK_BOUNDS, "One step of denoising."),
            live: live.with_description("Jobs that have not ended.").build(),
        }
    }
}
