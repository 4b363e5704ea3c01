//! One picture in a record: its steps, stages, samples of the device and events.

use serde::{Deserialize, Serialize};

/// One picture from the request to its end. Its `at_ms` count from its own first event, by the clock of what drew it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// When it was asked for, from the run's begin, by the clock of who asked.
    pub begun_ms: f64,
    /// The seed of its noise.
    pub seed: u64,
    /// Every step.
    pub steps: Vec<StepSample>,
    /// Where each part of the pipeline begins: `text_encode`, `denoise`, `decode`, `encode_image`.
    pub stages: Vec<StageBegin>,
    /// Where the time went.
    pub timings: Timings,
    /// The device while it was drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stats: Vec<StatsSample>,
    /// Where the device's time went, if that was asked for and told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<Profile>,
    /// Every event in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventTime>,
    /// Events that the server left out.
    #[serde(default)]
    pub missed_events: u64,
    /// SHA-256 of the pixels of each picture; empty if not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pixels_sha256: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSample {
    /// From 1.
    pub index: u32,
    /// How long it took.
    pub ms: f64,
    /// When it was done.
    pub at_ms: f64,
    /// Whether both halves of guidance were computed.
    pub guided: bool,
}

/// Where a part of the pipeline begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageBegin {
    /// The part.
    pub name: String,
    /// When.
    pub at_ms: f64,
}

/// Where the time of a picture went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// In the queue.
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
    /// All of it.
    pub total_ms: f64,
}

/// One sample of the device; what it cannot tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatsSample {
    /// When it was taken.
    pub at_ms: f64,
    /// `nvml` for a GPU, `host` where the figures are those of the host.
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
    /// Bytes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Bytes that the program holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_memory_bytes: Option<u64>,
    /// Clock of the multiprocessors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_clock_mhz: Option<u32>,
    /// Clock of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_clock_mhz: Option<u32>,
    /// Power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f64>,
    /// Temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f64>,
    /// Energy since some fixed moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_joules: Option<f64>,
    /// What the device received over PCIe of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_receive_bytes_per_second: Option<u64>,
    /// What the device sent over PCIe of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_send_bytes_per_second: Option<u64>,
    /// Why the clocks are held down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttle_reasons: Vec<String>,
}

/// Where the device's time in one part of the pipeline went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The part.
    pub stage: String,
    /// The device's time in all spans.
    pub device_ms: f64,
    /// The time of the part by the host's clock.
    pub wall_ms: f64,
    /// What the device reaches in a large product, in floating-point operations a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_flops_per_second: Option<f64>,
    /// What it reaches in a large copy, in bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes_per_second: Option<f64>,
    /// The operations.
    pub spans: Vec<ProfileSpan>,
}

/// All operations of one name in one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileSpan {
    /// The network.
    pub network: String,
    /// The layer, from 0; absent outside of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// What was done.
    pub name: String,
    /// How often.
    pub count: u32,
    /// Time on the device.
    pub ms: f64,
    /// Floating-point operations; 0 is not told.
    pub flops: f64,
    /// Bytes that must be read and written at least; 0 is not told.
    pub bytes: f64,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventTime {
    /// Its kind, such as `step`.
    pub name: String,
    /// When it happened.
    pub at_ms: f64,
    /// When it arrived here, from the request on; absent of an event that was read from a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<f64>,
}
