//! A run as it is written down: every sample, in a form that other programs can write and read.
//!
//! The form is JSON, named by [`FORMAT`]. Times end in `_ms` and are milliseconds; what nobody told is absent. The PyTorch
//! runner in `tests/torch/bench.py` writes the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;

/// The form's name and version. A reader of another version refuses the file.
pub const FORMAT: &str = "sakuga-bench/1";

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: String,
    /// What wrote it, such as `sakuga 0.1.0`.
    pub program: String,
    /// The command that made it, to be typed again.
    pub command: String,
    /// When it began, in milliseconds since 1970.
    pub begun_unix_ms: u64,
    /// What was asked for.
    pub protocol: Protocol,
    /// What drew.
    pub system: System,
    /// How it became ready, in order. Empty: not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loading: Vec<LoadingPhase>,
    /// How the network's operations are computed. Empty: not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compute_paths: Vec<ComputePath>,
    /// The pictures, case by case.
    pub cases: Vec<CaseRecord>,
    /// The text encoders alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextSample>,
}

/// What was asked for. Two runs can be compared where these are equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Width of the pictures in pixels.
    pub width_px: u32,
    /// Height of the pictures in pixels.
    pub height_px: u32,
    /// Intervals from noise to picture.
    pub steps: u32,
    /// The solver: `euler`, `midpoint`, `rk4` or `dpm`.
    pub solver: String,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f32,
    /// Guidance is active while t is below this.
    pub guidance_until: f32,
    /// Time shift.
    pub shift: f32,
    /// Pictures of each case that count.
    pub repeats: u32,
    /// Pictures of each case before them.
    pub warmup: u32,
    /// Seed of the first picture of each case; the next has the next.
    pub seed: u64,
}

/// What drew. A text that nobody told is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// `burn`, `scripted`, `pytorch eager` or `pytorch compiled`.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// The device, such as `cuda:0 NVIDIA H100 80GB HBM3`.
    pub device: String,
    /// `bf16` or `f32`.
    pub precision: String,
    /// The model's name.
    pub model: String,
    /// The model's fingerprint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// What must be known of the model, such as that its weights are random.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notice: String,
    /// Parameters of each part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, u64>,
}

/// A part of the way from the program's start to its readiness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadingPhase {
    /// What was done.
    pub name: String,
    /// When it began, from the program's start.
    pub begin_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// Bytes that were read; 0 is none.
    #[serde(default)]
    pub bytes: u64,
}

/// How an operation of the network is computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComputePath {
    /// The operation.
    pub operation: String,
    /// What computes it.
    pub implementation: String,
    /// Why it is not the fast one; empty if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One prompt and the pictures that were drawn from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Its name, such as `two-xml`.
    pub name: String,
    /// What it is in words.
    pub title: String,
    /// The prompt. Empty: the log does not tell.
    pub prompt: String,
    /// Pictures that do not count.
    #[serde(default)]
    pub warmup: Vec<JobRecord>,
    /// Pictures that do.
    pub repeats: Vec<JobRecord>,
}

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

/// What the text encoders had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextKind {
    /// A text that begins as none before: all of it is computed.
    Cold,
    /// A text of which only the last tag is new.
    Prefix,
    /// The text that came last, again.
    Cached,
}

impl TextKind {
    /// Every kind, the slowest first.
    pub const ALL: [Self; 3] = [Self::Cold, Self::Prefix, Self::Cached];

    /// The kind in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cold => "new text",
            Self::Prefix => "new last tag",
            Self::Cached => "same text",
        }
    }
}

/// One prompt through the text encoders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextSample {
    /// What they had to do.
    pub kind: TextKind,
    /// How long it took.
    pub ms: f64,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no record, or is one of another version.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| Failure::unreadable(path, error))?;
        Self::parse(&bytes).map_err(|reason| Failure::unreadable(path, reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // The version first: of another one nothing else is known.
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let unlike = |error| format!("it is not a record of `sakuga bench`: {error}");
        let head: Head = serde_json::from_slice(bytes).map_err(unlike)?;
        if head.format != FORMAT {
            return Err(format!("it has the form `{}`, and this program reads `{FORMAT}`", head.format));
        }
        serde_json::from_slice(bytes).map_err(unlike)
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut json = serde_json::to_vec(self)
            .map_err(|error| Failure::new(Exit::Unwritable, format_args!("a run cannot be written down: {error}")))?;
        json.push(b'\n');
        output::write_file(path, &json)
    }

    /// Every picture that counts.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRecord> {
        self.cases.iter().flat_map(|case| &case.repeats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_by_name() {
        let error = Record::parse(br#"{"format":"sakuga-bench/2","cases":3}"#).unwrap_err();
        assert_eq!(error, "it has the form `sakuga-bench/2`, and this program reads `sakuga-bench/1`");
        for text in ["", "{}", "[1]", r#"{"format":"sakuga-bench/1"}"#] {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            assert!(error.starts_with("it is not a record of `sakuga bench`"), "{error}");
        }
    }

    #[test]
    fn what_is_not_told_is_not_written() {
        let sample = StatsSample { at_ms: 1.5, source: "host".to_owned(), ..StatsSample::default() };
        assert_eq!(serde_json::to_string(&sample).unwrap(), r#"{"at_ms":1.5,"source":"host"}"#);
    }

    /// Whether `whole` has all that `part` has, in the same place.
    fn holds(whole: &serde_json::Value, part: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => {
                part.iter().all(|(key, value)| whole.get(key).is_some_and(|held| holds(held, value)))
            }
            (Value::Array(whole), Value::Array(part)) => {
                whole.len() == part.len() && whole.iter().zip(part).all(|(held, value)| holds(held, value))
            }
            _ => whole.as_f64().map_or(whole == part, |number| Some(number) == part.as_f64()),
        }
    }

    #[test]
    fn what_python_writes_is_read_and_nothing_of_it_is_lost() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/torch/testdata/run.json");
        let text = std::fs::read_to_string(path).unwrap();
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!(record.cases[0].repeats[0].stats[0].energy_joules, Some(7.5));
        assert_eq!(record.texts[2].kind, TextKind::Cached);
        let written = serde_json::to_value(&record).unwrap();
        let read = serde_json::from_str(&text).unwrap();
        assert!(holds(&written, &read), "{written}\n{read}");
        let unknown = serde_json::json!({"format": FORMAT, "mood": 1});
        assert!(!holds(&written, &unknown));
    }
}
