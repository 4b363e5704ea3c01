//! The object `sakuga` of a request: a `GenerateRequest` in protobuf JSON, and the options of its job.

use prost_reflect::{Kind, MessageDescriptor};
use sakuga_model_core::truncated;
use sakuga_proto::generation::v1::{GenerateRequest, JobOptions};
use sakuga_proto::json::{self, UnknownFields};
use serde_json::{Map, Value};

use super::body::object;
use super::parameters::Parameters;
use crate::error::Violation;
use crate::models::suggestion;
use crate::request::images::shown;

/// The extension object, and the options of the job within it.
pub(super) const NAME: &str = "sakuga";
pub(super) const OPTIONS: &str = "options";

/// Fields of the request that have a parameter.
pub(super) const PARAMETER_OF: [(&str, &str); 5] =
    [("xml", "prompt"), ("images", "n"), ("width", "size"), ("height", "size"), ("model", "model")];

/// The request within `sakuga`, and the options of its job.
pub(super) fn read(parameters: &mut Parameters) -> (GenerateRequest, Option<JobOptions>) {
    let mut object = match parameters.take(NAME) {
        None => return Default::default(),
        Some(Value::Object(object)) => object,
        // Forms and some clients send the object as a text.
        Some(Value::String(text)) => match object(text.as_bytes()) {
            Ok(object) => object,
            Err(error) => {
                parameters.fault(NAME, Violation::BAD_TEXT, error.to_string());
                return Default::default();
            }
        },
        Some(_) => {
            parameters.fault(NAME, Violation::BAD_TEXT, "is not an object");
            return Default::default();
        }
    };
    let options = object.remove(OPTIONS).and_then(|options| match options {
        Value::Object(options) => Some(message::<JobOptions>(parameters, "sakuga.options", &options)),
        _ => {
            parameters.fault("sakuga.options", Violation::BAD_TEXT, "is not an object");
            None
        }
    });
    for (field, parameter) in PARAMETER_OF {
        if object.remove(field).is_some() {
            let text = format!("is the parameter `{parameter}` outside of `sakuga`; write it there");
            parameters.fault(format!("sakuga.{field}"), Violation::CONFLICT, text);
        }
    }
    (message(parameters, NAME, &object), options)
}

/// A message from its JSON. Fields that it does not have are faults, and so is what cannot be read.
fn message<M: prost::Name + Default>(parameters: &mut Parameters, path: &str, object: &Map<String, Value>) -> M {
    let Ok(descriptor) = json::descriptor::<M>() else { return M::default() };
    let before = parameters.fault_count();
    unknown_fields(parameters, path, object, &descriptor);
    if parameters.fault_count() > before {
        return M::default();
    }
    let parsed = |object: &Map<String, Value>| {
        json::from_str::<M>(&Value::from(object.clone()).to_string(), UnknownFields::Refuse)
    };
    let error = match parsed(object) {
        Ok(message) => return message,
        Err(error) => error,
    };
    // Each field is parsed alone, so that the fault names it.
    for (name, value) in object {
        if let Err(error) = parsed(&Map::from_iter([(name.clone(), value.clone())])) {
            parameters.fault(format!("{path}.{name}"), Violation::BAD_TEXT, without_place(&error.to_string()));
        }
    }
    if parameters.fault_count() == before {
        parameters.fault(path, Violation::BAD_TEXT, without_place(&error.to_string()));
    }
    M::default()
}

/// The text without line and column, which are not those of the request. It may quote a value of any length.
fn without_place(text: &str) -> String {
    const LONGEST: usize = 200;
    truncated(text.split(" at line ").next().unwrap_or(text), LONGEST)
}

fn unknown_fields(parameters: &mut Parameters, path: &str, object: &Map<String, Value>, of: &MessageDescriptor) {
    for (name, value) in object {
        let field = of.get_field_by_name(name).or_else(|| of.get_field_by_json_name(name));
        let Some(field) = field else {
            let names: Vec<String> = of.fields().map(|field| field.json_name().to_owned()).collect();
            let suggestion = suggestion(name, &names);
            let text = format!("there is no such field; {suggestion}");
            parameters.fault(format!("{path}.{}", shown(name)), Violation::UNKNOWN_VALUE, text);
            continue;
        };
        let Kind::Message(inner) = field.kind() else { continue };
        match value {
            Value::Object(object) => unknown_fields(parameters, &format!("{path}.{name}"), object, &inner),
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    if let Value::Object(object) = value {
                        unknown_fields(parameters, &format!("{path}.{name}[{index}]"), object, &inner);
                    }
                }
            }
            _ => {}
        }
    }
}
