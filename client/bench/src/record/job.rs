//! One picture in a record: its steps, stages, samples of the device and events.
//!
//! These are types of the file and not messages of the API: programs without protobuf write the format too, times are
//! milliseconds from the start of the picture, and a file stays readable when the API changes. `recorder.rs` makes them
//! from the messages.

use serde::{Deserialize, Serialize};

/// One picture. Its `at_ms` count from its first event, by the server's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// When the request was sent, from the start of the run, by the client's clock.
    pub begun_ms: f64,
    /// The seed of its noise.
    pub seed: u64,
    /// The steps in the order of their events.
    pub steps: Vec<StepSample>,
    /// The start of each stage: `text_encode`, `denoise`, `decode`, `encode_image`.
    pub stages: Vec<StageBegin>,
    /// The time of each stage.
    pub timings: Timings,
    /// Samples of the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stats: Vec<StatsSample>,
    /// Device times of each stage, if they were requested and reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<Profile>,
    /// Every event in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventTime>,
    /// Events that the server dropped.
    #[serde(default)]
    pub missed_events: u64,
    /// SHA-256 of the pixels of each picture; empty if not reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pixels_sha256: Vec<String>,
}

/// A step of the sampler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSample {
    /// Number of the step, from 1.
    pub index: u32,
    /// How long it took.
    pub ms: f64,
    /// When it was done.
    pub at_ms: f64,
    /// Whether both halves of guidance were computed.
    pub guided: bool,
}

/// The start of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageBegin {
    /// The stage, such as `denoise`.
    pub name: String,
    /// When it began.
    pub at_ms: f64,
}

/// The time of each stage of a picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Milliseconds that the job waited in the queue.
    #[serde(default)]
    pub queued_ms: f64,
    /// Text encoders.
    pub text_encode_ms: f64,
    /// All steps.
    pub denoise_ms: f64,
    /// Latents to pixels.
    pub decode_ms: f64,
    /// Pixels to a file.
    #[serde(default)]
    pub encode_image_ms: f64,
    /// From the start of the job to its end.
    pub total_ms: f64,
}

/// One sample of the device. A value that the device does not report is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatsSample {
    /// When it was taken.
    pub at_ms: f64,
    /// `nvml` for a GPU, `host` for figures of the host.
    pub source: String,
    /// Busy share of the sample period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<f64>,
    /// Busy share of the memory interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_utilization_percent: Option<f64>,
    /// Bytes in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Bytes of memory that the device has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Bytes that the program holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_memory_bytes: Option<u64>,
    /// Clock of the multiprocessors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_clock_mhz: Option<u32>,
    /// Clock of the device's memory in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_clock_mhz: Option<u32>,
    /// Power in W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f64>,
    /// Temperature of the chip in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f64>,
    /// Energy since a fixed moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_joules: Option<f64>,
    /// Current rate received over PCIe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_receive_bytes_per_second: Option<u64>,
    /// Current rate sent over PCIe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_send_bytes_per_second: Option<u64>,
    /// Why the clocks are throttled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttle_reasons: Vec<String>,
}

/// Device times of the operations of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The stage that was measured, such as `denoise`.
    pub stage: String,
    /// Device time of all spans.
    pub device_ms: f64,
    /// Time of the stage by the host's clock.
    pub wall_ms: f64,
    /// Measured peak of a large matrix product, in floating-point operations a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_flops_per_second: Option<f64>,
    /// Measured peak of a large copy, in bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes_per_second: Option<f64>,
    /// The operations.
    pub spans: Vec<ProfileSpan>,
}

/// All operations of one name in one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileSpan {
    /// The network that the span is part of, such as `next_dit`.
    pub network: String,
    /// The layer, from 0; absent outside of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// The operation.
    pub name: String,
    /// How often it ran.
    pub count: u32,
    /// Time on the device.
    pub ms: f64,
    /// Floating-point operations; 0 if unknown.
    pub flops: f64,
    /// Bytes that must at least be read and written; 0 if unknown.
    pub bytes: f64,
}

/// When an event arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventTime {
    /// Its kind, such as `step`.
    pub name: String,
    /// When it happened.
    pub at_ms: f64,
    /// When it arrived, from the request; absent for an event from a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<f64>,
}
