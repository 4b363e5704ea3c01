//! The settings of a run. Two runs can be compared where they are equal.

use std::collections::BTreeMap;
use std::fmt;

use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value};
use sakuga_proto::generation::v1::{GenerateRequest, Sampling, Solver};
use sakuga_proto::json::{self, UnknownFields};
use serde::{Deserialize, Serialize};

/// Fields of the request that two compared runs may differ in: they say what is drawn or reported, not how. Every other
/// field, also one that a later version adds, makes runs different.
const MAY_DIFFER: &[&str] =
    &["gpu_stats_interval_ms", "model", "preview", "profile", "request_id", "seed", "strictness", "typed", "xml"];

/// The settings that the server was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Protocol {
    /// The request of the first picture with every default filled in, as the server reported it, without its prompt.
    pub request: GenerateRequest,
    /// Measured pictures of each case.
    pub repeats: u32,
    /// Pictures of each case before the measured ones.
    pub warmup: u32,
    /// Whether the record holds the whole request. Records of other programs and of the first releases hold only the
    /// fields of `Written`.
    pub is_whole: bool,
}

impl Protocol {
    /// The settings that the server resolved for one picture.
    pub fn of(resolved: Option<&GenerateRequest>) -> Self {
        let request = resolved.map(|request| GenerateRequest { prompt: None, ..request.clone() });
        Self { is_whole: request.is_some(), request: request.unwrap_or_default(), repeats: 1, warmup: 0 }
    }

    /// Every setting in which the runs differ, such as `sampling.steps: 20 and 28`.
    ///
    /// A value that is absent equals 0: on the wire both say that a setting is off or was not reported. Where one record
    /// does not hold the whole request, only `sampling` and the size are compared, since it cannot hold the rest.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (first, second) = (settings(&self.request), settings(&other.request));
        let is_whole = self.is_whole && other.is_whole;
        let names: std::collections::BTreeSet<&String> = first.keys().chain(second.keys()).collect();
        let mut found = Vec::new();
        for name in names {
            let is_recorded = is_whole || name.starts_with("sampling.") || matches!(name.as_str(), "width" | "height");
            let (a, b) = (first.get(name), second.get(name));
            if is_recorded && a != b {
                let text = |value: Option<&String>| value.map_or("not reported", String::as_str).to_owned();
                found.push(format!("{name}: {} and {}", text(a), text(b)));
            }
        }
        found
    }

    /// The sampling options that every request of the measurement has.
    pub fn sampling(&self) -> Sampling {
        self.request.sampling.clone().unwrap_or_default()
    }
}

/// `1024 x 1024 px, 28 steps (euler), guidance 5, shift 6; 5 pictures of each case after 1 for warm-up, seeds from 7`.
impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (request, sampling) = (&self.request, self.sampling());
        write!(formatter, "{} x {} px, {} steps", request.width, request.height, sampling.steps)?;
        write!(formatter, " ({})", sampling.solver_name())?;
        let numbers = sampling.numbers();
        write!(formatter, "{}{numbers}; ", if numbers.is_empty() { "" } else { ", " })?;
        let seed = request.seed.unwrap_or_default();
        match (self.repeats, self.warmup) {
            // The events of a job, and not a measurement.
            (1, 0) => return write!(formatter, "1 picture, seed {seed}"),
            (1, _) => formatter.write_str("1 picture")?,
            (repeats, _) => write!(formatter, "{repeats} pictures")?,
        }
        write!(formatter, " of each case after {} for warm-up, seeds from {seed}", self.warmup)
    }
}

/// The settings of a request by their path, without those that are absent or 0.
fn settings(request: &GenerateRequest) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // A message of `sakuga-proto` always has its descriptor.
    if let Ok(message) = json::dynamic(request) {
        collect("", &message, &mut found);
    }
    found.retain(|name, _| !MAY_DIFFER.iter().any(|part| name.split('.').next() == Some(part)));
    found
}

fn collect(path: &str, message: &DynamicMessage, found: &mut BTreeMap<String, String>) {
    for field in message.descriptor().fields() {
        let name = format!("{path}{}", field.name());
        let value = message.get_field(&field);
        match (value.as_ref(), field.kind()) {
            (Value::Message(inner), _) if message.has_field(&field) => collect(&format!("{name}."), inner, found),
            (Value::EnumNumber(number), Kind::Enum(values)) if *number != 0 => {
                let known = values.get_value(*number).map(|value| value.name().to_owned());
                found.insert(name, known.unwrap_or_else(|| number.to_string()));
            }
            (value, kind) if message.has_field(&field) && *value != Value::default_value(&kind) => {
                found.insert(name, value.to_string());
            }
            _ => {}
        }
    }
}

/// The protocol in the file. The first releases and the PyTorch runner write the single fields only, and read them;
/// `request` adds all other settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Written {
    width_px: u32,
    height_px: u32,
    steps: u32,
    solver: String,
    guidance_scale: f32,
    guidance_until: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guidance_renorm: Option<f32>,
    shift: f32,
    repeats: u32,
    warmup: u32,
    seed: u64,
    /// `sakuga.generation.v1.GenerateRequest` as protobuf JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<serde_json::Value>,
}

impl TryFrom<Written> for Protocol {
    type Error = json::JsonError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let mut request = match &written.request {
            // A newer program may have written fields that this one does not know.
            Some(request) => json::from_str(&request.to_string(), UnknownFields::Ignore)?,
            None => GenerateRequest::default(),
        };
        let sampling = request.sampling.get_or_insert_default();
        let solver = Solver::from_str_name(&format!("SOLVER_{}", written.solver.to_uppercase()));
        sampling.solver = solver.map_or(sampling.solver, i32::from);
        sampling.steps = written.steps;
        sampling.guidance_scale = Some(written.guidance_scale);
        sampling.guidance_until = Some(written.guidance_until);
        sampling.guidance_renorm = written.guidance_renorm.or(sampling.guidance_renorm);
        sampling.shift = Some(written.shift);
        (request.width, request.height, request.seed) = (written.width_px, written.height_px, Some(written.seed));
        let Written { repeats, warmup, request: whole, .. } = written;
        Ok(Self { request, repeats, warmup, is_whole: whole.is_some() })
    }
}

impl From<Protocol> for Written {
    fn from(protocol: Protocol) -> Self {
        let (sampling, request) = (protocol.sampling(), &protocol.request);
        let whole = || serde_json::from_str(&json::to_string(request).ok()?).ok();
        Self {
            width_px: request.width,
            height_px: request.height,
            steps: sampling.steps,
            solver: sampling.solver_name(),
            guidance_scale: sampling.guidance_scale.unwrap_or_default(),
            guidance_until: sampling.guidance_until.unwrap_or_default(),
            guidance_renorm: sampling.guidance_renorm,
            shift: sampling.shift.unwrap_or_default(),
            repeats: protocol.repeats,
            warmup: protocol.warmup,
            seed: request.seed.unwrap_or_default(),
            request: if protocol.is_whole { whole() } else { None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_reflect::FieldDescriptor;

    fn protocol() -> Protocol {
        let resolved = r#"{"width": 1024, "height": 1024, "images": 1, "seed": "7", "sampling": {"solver": "SOLVER_EULER",
            "steps": 28, "guidanceScale": 5, "guidanceUntil": 1, "guidanceRenorm": 0, "shift": 6}}"#;
        let resolved = json::from_str(resolved, UnknownFields::Refuse).unwrap();
        Protocol { repeats: 5, warmup: 1, ..Protocol::of(Some(&resolved)) }
    }

    /// A value that differs from the one in `protocol`; `None` for a message, whose fields are changed one by one.
    fn other_value(field: &FieldDescriptor) -> Option<Value> {
        let value = match field.kind() {
            Kind::Float => Value::F32(0.375),
            Kind::Double => Value::F64(0.375),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(37),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(37),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(37),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(37),
            Kind::Bool => Value::Bool(true),
            Kind::String => Value::String("other".to_owned()),
            Kind::Bytes => Value::Bytes(b"other".to_vec().into()),
            Kind::Enum(values) => Value::EnumNumber(values.values().map(|value| value.number()).max()?),
            Kind::Message(_) => return None,
        };
        Some(if field.is_list() { Value::List(vec![value]) } else { value })
    }

    fn with(change: impl FnOnce(&mut DynamicMessage)) -> Protocol {
        let mut message = json::dynamic(&protocol().request).unwrap();
        change(&mut message);
        Protocol { request: message.transcode_to().unwrap(), ..protocol() }
    }

    #[test]
    fn every_field_of_sampling_makes_runs_different() {
        let sampling = json::descriptor::<Sampling>().unwrap();
        assert!(sampling.fields().len() >= 6);
        for field in sampling.fields() {
            let changed = with(|message| {
                let mut sampling = message.get_field_by_name("sampling").unwrap().into_owned();
                let inner = sampling.as_message_mut().unwrap();
                let value = match field.kind() {
                    Kind::Message(kind) => {
                        let mut message = DynamicMessage::new(kind.clone());
                        let (field, value) = kind
                            .fields()
                            .find_map(|field| Some((field.clone(), other_value(&field)?)))
                            .expect("a value");
                        message.set_field(&field, value);
                        Value::Message(message)
                    }
                    _ => other_value(&field).expect("a value"),
                };
                inner.set_field(&field, value);
                message.set_field_by_name("sampling", sampling);
            });
            let found = protocol().differences(&changed);
            assert_eq!(found.len(), 1, "{}: {found:?}", field.name());
            assert!(found[0].starts_with(&format!("sampling.{}", field.name())), "{found:?}");
            assert_eq!(changed.differences(&protocol()).len(), 1, "in both directions");
        }
    }

    #[test]
    fn every_other_setting_of_the_request_makes_runs_different() {
        for field in json::descriptor::<GenerateRequest>().unwrap().fields() {
            let Some(value) = other_value(&field) else { continue };
            let changed = with(|message| message.set_field(&field, value));
            let may_differ = MAY_DIFFER.contains(&field.name());
            assert_eq!(protocol().differences(&changed).is_empty(), may_differ, "{}", field.name());
        }
    }

    #[test]
    fn the_file_keeps_the_whole_request_and_the_fields_of_older_readers() {
        let mut protocol = protocol();
        protocol.request.system_prompt = Some("You are an assistant.".to_owned());
        let written = serde_json::to_value(&protocol).unwrap();
        assert_eq!((written["steps"].as_u64(), written["solver"].as_str()), (Some(28), Some("euler")));
        assert_eq!(written["request"]["sampling"]["guidanceScale"], 5.0);
        assert_eq!(serde_json::from_value::<Protocol>(written).unwrap(), protocol);
    }

    #[test]
    fn a_record_of_an_older_release_is_read_and_compared_by_what_it_holds() {
        let old = r#"{"width_px":1024,"height_px":1024,"steps":28,"solver":"euler","guidance_scale":5.0,
            "guidance_until":1.0,"shift":6.0,"repeats":5,"warmup":1,"seed":7}"#;
        let old: Protocol = serde_json::from_str(old).unwrap();
        assert!(!old.is_whole);
        let mut new = protocol();
        new.request.system_prompt = Some("You are an assistant.".to_owned());
        assert_eq!(old.differences(&new), [""; 0], "renorm 0 is off, and a system prompt was not recorded");
        new.request.sampling.get_or_insert_default().guidance_renorm = Some(0.7);
        assert_eq!(old.differences(&new), ["sampling.guidance_renorm: not reported and 0.7"]);
        let text = "1024 x 1024 px, 28 steps (euler), guidance 5, renorm 0.7, shift 6; 5 pictures of each case after 1 for \
                    warm-up, seeds from 7";
        assert_eq!(new.to_string(), text);
        (new.repeats, new.warmup) = (1, 0);
        assert!(new.to_string().ends_with("shift 6; 1 picture, seed 7"), "{new}");
    }

    #[test]
    fn repeats_and_seeds_are_the_same_work() {
        let mut other = protocol();
        other.repeats = 9;
        other.request.seed = Some(8);
        assert_eq!(protocol().differences(&other), [""; 0]);
    }
}
