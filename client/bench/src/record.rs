//! A run with every sample, as JSON that other programs write and read too.
//!
//! The types are those of the file and not of the API, so that a change of the API changes no record. The format is named by
//! [`FORMAT`]. Times end in `_ms` and are milliseconds; a value that was not reported is absent. The PyTorch runner in
//! `tests/torch/bench.py` writes the same format.

mod job;

use std::collections::BTreeMap;

use sakuga_proto::text;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::BenchError;
use crate::protocol::Protocol;

pub use job::{EventTime, JobRecord, Profile, ProfileSpan, StageBegin, StatsSample, StepSample, Timings};

/// Name and version of the format. A reader of another version refuses the file.
pub const FORMAT: &str = "sakuga-bench/1";

/// The largest number that a record may hold: beyond any seed and any number of bytes, and with sums that stay finite.
const NUMBER_MAX: f64 = 1e20;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Always [`FORMAT`]: a reader refuses others.
    pub format: String,
    /// What wrote it, such as `sakuga 0.1.0`.
    pub program: String,
    /// The command that made it.
    pub command: String,
    /// When it started, in milliseconds since 1970.
    pub begun_unix_ms: u64,
    /// The settings.
    pub protocol: Protocol,
    /// The server or program that drew.
    pub system: System,
    /// The phases of its start, in order. Empty if they were not reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loading: Vec<LoadingPhase>,
    /// How the operations are computed. Empty if that was not reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compute_paths: Vec<ComputePath>,
    /// The pictures, case by case.
    pub cases: Vec<CaseRecord>,
    /// The text encoders alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextSample>,
    /// An additional picture with a [`profile`](JobRecord::profile). Its times count nowhere, since profiling costs some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiled: Option<JobRecord>,
}

/// The server or program that drew. A text that was not reported is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// `burn`, `scripted`, `pytorch eager` or `pytorch compiled`.
    pub engine: String,
    /// The version of the server program.
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
    /// The notice of the model, such as that its weights are random.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notice: String,
    /// Parameters of each part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, u64>,
}

/// A phase of the program's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadingPhase {
    /// The name of the phase.
    pub name: String,
    /// When it started, from the start of the program.
    pub begin_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// Bytes that were read.
    #[serde(default)]
    pub bytes: u64,
}

/// How an operation of the network is computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComputePath {
    /// The network that is computed, such as `next_dit`.
    pub operation: String,
    /// The implementation: `burn`, or our kernels with the versions of the libraries that they use.
    pub implementation: String,
    /// Why the fast implementation is not used; empty if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One prompt and the pictures that were drawn from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Its name, such as `two-xml`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The prompt. Empty if the event log does not have it.
    pub prompt: String,
    /// Pictures for warm-up.
    #[serde(default)]
    pub warmup: Vec<JobRecord>,
    /// Measured pictures.
    pub repeats: Vec<JobRecord>,
}

/// How much of a text the encoders have to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextKind {
    /// A text without a known prefix: all of it.
    Cold,
    /// A text of which only the last tag is new.
    Prefix,
    /// The previous text again: nothing.
    Cached,
}

impl TextKind {
    /// Every kind, the slowest first.
    pub const ALL: [Self; 3] = [Self::Cold, Self::Prefix, Self::Cached];

    /// The name of the kind in tables and charts.
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
    /// How the text is written.
    pub kind: TextKind,
    /// How long it took.
    pub ms: f64,
}

impl Record {
    /// Reads a record. Its texts are made safe to print.
    ///
    /// # Errors
    ///
    /// [`BenchError::NotARecord`], [`BenchError::Version`] or [`BenchError::Value`].
    pub fn parse(json: &[u8]) -> Result<Self, BenchError> {
        parse(json, FORMAT)
    }

    /// Refuses a record of another version within another file.
    ///
    /// # Errors
    ///
    /// [`BenchError::Version`].
    pub(crate) fn checked_format(&self) -> Result<(), BenchError> {
        match self.format == FORMAT {
            true => Ok(()),
            false => Err(BenchError::Version { found: self.format.clone(), known: FORMAT }),
        }
    }

    /// The record with its texts made safe to print.
    ///
    /// # Errors
    ///
    /// [`BenchError::Value`] for a number that no measurement can give.
    pub fn checked(&self) -> Result<Self, BenchError> {
        let wrong = |error: serde_json::Error| BenchError::Value(error.to_string());
        let value = serde_json::to_value(self).map_err(wrong)?;
        serde_json::from_value(safe(value)?).map_err(wrong)
    }

    /// The record as a line of JSON.
    ///
    /// # Errors
    ///
    /// [`BenchError::Value`] if it cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>, BenchError> {
        to_line(self)
    }

    /// Every measured picture.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRecord> {
        self.cases.iter().flat_map(|case| &case.repeats)
    }
}

/// Reads a file of this format. Its texts are made safe to print.
///
/// # Errors
///
/// [`BenchError::NotARecord`], [`BenchError::Version`] or [`BenchError::Value`].
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8], format: &'static str) -> Result<T, BenchError> {
    let unlike = |error: serde_json::Error| BenchError::NotARecord(error.to_string());
    let value: Value = serde_json::from_slice(json).map_err(unlike)?;
    // The version first, since nothing is known of the fields of another one.
    if let Some(found) = value["format"].as_str()
        && found != format
    {
        return Err(BenchError::Version { found: text::one_line(found), known: format });
    }
    serde_json::from_value(safe(value)?).map_err(unlike)
}

/// The value as a line of JSON.
///
/// # Errors
///
/// [`BenchError::Value`] if it cannot be written.
pub(crate) fn to_line(value: &impl Serialize) -> Result<Vec<u8>, BenchError> {
    let mut json = serde_json::to_vec(value).map_err(|error| BenchError::Value(error.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

/// The value with its texts made safe to print. Numbers that sums could overflow with are refused.
fn safe(value: Value) -> Result<Value, BenchError> {
    Ok(match value {
        Value::String(text) => Value::String(text::lines(&text)),
        Value::Number(number) => {
            if number.as_f64().is_none_or(|number| number.abs() > NUMBER_MAX) {
                let text = format!("it holds the number {number}, and none may be beyond {NUMBER_MAX:e}");
                return Err(BenchError::Value(text));
            }
            Value::Number(number)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(safe).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| Ok((text::one_line(&name), safe(value)?)));
            Value::Object(fields.collect::<Result<_, BenchError>>()?)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn another_version_is_refused_by_name() {
        let error = Record::parse(br#"{"format":"sakuga-bench/2","cases":3}"#).unwrap_err().to_string();
        assert_eq!(error, "it has the format `sakuga-bench/2`, and this program reads `sakuga-bench/1`");
        for text in ["", "{}", "[1]", r#"{"format":"sakuga-bench/1"}"#] {
            let error = Record::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("it is not a record of `sakuga bench`"), "{error}");
        }
    }

    #[test]
    fn texts_are_safe_to_print_and_numbers_to_compute_with() {
        let value = serde_json::json!({"a\u{1b}": ["two\nlines\u{1b}[2J", 1.5, true, u64::MAX]});
        let expected = serde_json::json!({"a\u{fffd}": ["two\nlines\u{fffd}[2J", 1.5, true, u64::MAX]});
        assert_eq!(safe(value).unwrap(), expected);
        let error = safe(serde_json::json!([[1e300]])).unwrap_err().to_string();
        assert!(error.contains("beyond 1e20"), "{error}");
    }

    #[test]
    fn absent_values_are_not_written() {
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
    fn a_record_of_python_is_read_without_loss() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/torch/testdata/run.json");
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
