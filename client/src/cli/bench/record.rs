//! A run as it is written down: every sample, in a form that other programs can write and read.
//!
//! The form is JSON, named by [`FORMAT`]. Times end in `_ms` and are milliseconds; what nobody told is absent. The PyTorch
//! runner in `tests/torch/bench.py` writes the same.

mod job;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::render::plain;

pub use job::{EventTime, JobRecord, Profile, ProfileSpan, StageBegin, StatsSample, StepSample, Timings};

/// The form's name and version. A reader of another version refuses the file.
pub const FORMAT: &str = "sakuga-bench/1";

/// The largest number that a record may hold: beyond any seed and any number of bytes, and with sums that stay finite.
const NUMBER_MAX: f64 = 1e20;

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
    /// A picture more, whose [`profile`](JobRecord::profile) was asked for; its times count nowhere, because that costs some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiled: Option<JobRecord>,
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
        let unlike = |error| format!("it is not a record of `sakuga bench`: {error}");
        let value: Value = serde_json::from_slice(bytes).map_err(unlike)?;
        // The version first: of another one nothing else is known.
        if let Some(format) = value["format"].as_str()
            && format != FORMAT
        {
            return Err(format!("it has the form `{}`, and this program reads `{FORMAT}`", plain(format)));
        }
        serde_json::from_value(harmless(value)?).map_err(unlike)
    }

    /// The record with every text from outside made harmless.
    ///
    /// # Errors
    ///
    /// A number is beyond what any measurement can give.
    pub fn checked(&self) -> Result<Self, Failure> {
        let wrong = |reason: String| Failure::new(Exit::Server, format_args!("the run cannot be used: {reason}"));
        let value = serde_json::to_value(self).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_value(harmless(value).map_err(wrong)?).map_err(|error| wrong(error.to_string()))
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

/// Texts without anything that a terminal would act on, and numbers that can be computed with.
fn harmless(value: Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(text.split('\n').map(plain).collect::<Vec<_>>().join("\n")),
        Value::Number(number) => {
            if number.as_f64().is_none_or(|number| number.abs() > NUMBER_MAX) {
                return Err(format!("it holds the number {number}, and none is beyond {NUMBER_MAX:e}"));
            }
            Value::Number(number)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(harmless).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| Ok((plain(&name), harmless(value)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        other => other,
    })
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
    fn what_comes_from_outside_can_be_shown_and_computed_with() {
        let value = serde_json::json!({"a\u{1b}": ["two\nlines\u{1b}[2J", 1.5, true, u64::MAX]});
        let expected = serde_json::json!({"a\u{fffd}": ["two\nlines\u{fffd}[2J", 1.5, true, u64::MAX]});
        assert_eq!(harmless(value), Ok(expected));
        let error = harmless(serde_json::json!([[1e300]])).unwrap_err();
        assert!(error.contains("beyond 1e20"), "{error}");
    }

    #[test]
    fn what_is_not_told_is_not_written() {
        let sample = StatsSample { at_ms: 1.5, source: "host".to_owned(), ..StatsSample::default() };
        assert_eq!(serde_json::to_string(&sample).unwrap(), r#"{"at_ms":1.5,"source":"host"}"#);
    }

    /// Whether `whole` has all that `part` has, in the same place.
    fn holds(whole: &Value, part: &Value) -> bool {
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
