//! Reads the body of a request: JSON or a form.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::form;
use super::parameters::Parameters;
use crate::error::{ServerError, Violation};

/// Values of a JSON body, those within others included: a message of gRPC may have as many fields.
const VALUES_MAX: usize = 4096;

/// The parameters of a request.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] if the body is neither JSON nor a form, or has too many values.
pub(super) async fn read(headers: &HeaderMap, body: Bytes) -> Result<Parameters, ServerError> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let text = "the body is compressed; send it plain";
        return Err(ServerError::invalid("content-encoding", Violation::UNSUPPORTED, text));
    }
    let media_type = headers.get(CONTENT_TYPE).map_or("application/json", |value| value.to_str().unwrap_or_default());
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Parameters::of_json(object(&body)?)),
        "multipart/form-data" => form::read(media_type, body).await,
        _ => {
            let text = "send `application/json` or `multipart/form-data`";
            Err(ServerError::invalid("content-type", Violation::UNSUPPORTED, text))
        }
    }
}

/// The object of a JSON text.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] with line and column.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, ServerError> {
    if values(text) > VALUES_MAX {
        let text = format!("the JSON has more than {VALUES_MAX} values; send fewer");
        return Err(ServerError::invalid("body", Violation::OUT_OF_RANGE, text));
    }
    let malformed = |error: serde_json::Error| {
        ServerError::invalid("body", Violation::BAD_TEXT, format!("the body is not a JSON object: {error}"))
    };
    match serde_json::from_slice::<Unique>(text).map_err(malformed)? {
        Unique(Value::Object(object)) => Ok(object),
        Unique(_) => Err(ServerError::invalid("body", Violation::BAD_TEXT, "the body is not a JSON object")),
    }
}

/// A JSON value whose objects have each name once: which of two values would be meant cannot be known.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((name, Unique(value))) = object.next_entry::<String, Unique>()? {
            if values.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

/// At least how many values a JSON text has, before memory is taken for them.
fn values(text: &[u8]) -> usize {
    let (mut values, mut is_text, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        object(text.as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(values(br#"{"a": [1, 2], "b,[{": "\",,,"}"#), 4);
        let flat = format!("{{\"a\": [{}]}}", "0,".repeat(2_000_000));
        assert!(refused(&flat).contains("4096"));
        assert!(refused(&"[".repeat(5000)).contains("4096"));
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        assert!(refused("{\n\"n\": }").contains("line 2 column 6"));
        assert!(refused("{\"a\": 1,\n\"b\": {\"n\": 1, \"n\": 2}}").contains("`n` is there twice at line 2"));
        for text in ["", "[]", "7", "{\"a\": 1} {}", "\u{0}"] {
            assert!(refused(text).contains("not a JSON object"), "{text}");
        }
        assert!(refused(&format!("{{\"a\": {}", "[".repeat(1000))).contains("not a JSON object"));
    }
}
