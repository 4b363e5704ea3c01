//! Reads the body of a request: JSON or a form.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
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
    serde_json::from_slice(text).map_err(malformed)
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
        for text in ["", "[]", "7", "{\"a\": 1} {}", "\u{0}"] {
            assert!(refused(text).contains("not a JSON object"), "{text}");
        }
        assert!(refused(&format!("{{\"a\": {}", "[".repeat(1000))).contains("not a JSON object"));
    }
}
