//! Reads `multipart/form-data`: text parameters, the image and the mask.
//!
//! OpenAI's clients write an object as one part for each of its values: `sakuga[sampling][steps]`. Text of that kind is read as
//! protobuf JSON reads it, where a number may be a string.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use futures::stream;
use multer::{Field, Multipart, parse_boundary};
use serde_json::{Map, Value};

use super::parameters::Parameters;
use crate::error::{ServerError, Violation};
use crate::request::images::shown;

/// The most parts of a form.
const PARTS_MAX: usize = 256;
/// The deepest nesting of objects.
const DEPTH_MAX: usize = 8;

/// The parameters of a form.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] if it is not well formed.
pub(super) async fn read(media_type: &str, body: Bytes) -> Result<Parameters, ServerError> {
    let boundary = parse_boundary(media_type).map_err(malformed)?;
    let mut form = Multipart::new(stream::once(ready(Ok::<_, Infallible>(body))), boundary);
    let mut values = Map::new();
    let mut files = Vec::new();
    let mut parts = 0;
    while let Some(part) = form.next_field().await.map_err(malformed)? {
        parts += 1;
        if parts > PARTS_MAX {
            let text = format!("the form has more than {PARTS_MAX} parts; send fewer");
            return Err(ServerError::invalid("body", Violation::OUT_OF_RANGE, text));
        }
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(ServerError::invalid("body", Violation::BAD_TEXT, "a part of the form has no name"));
        };
        match name.as_str() {
            "image" | "image[]" => files.push((false, part.bytes().await.map_err(malformed)?)),
            "mask" => files.push((true, part.bytes().await.map_err(malformed)?)),
            _ => insert(&mut values, &name, text(&name, part).await?)?,
        }
    }
    Ok(Parameters::of_form(values, files))
}

fn malformed(error: multer::Error) -> ServerError {
    ServerError::invalid("body", Violation::BAD_TEXT, format!("the form is not well formed: {error}"))
}

async fn text(name: &str, part: Field<'_>) -> Result<String, ServerError> {
    let bytes = part.bytes().await.map_err(malformed)?;
    String::from_utf8(bytes.into())
        .map_err(|_| ServerError::invalid(shown(name), Violation::BAD_TEXT, "the text is not UTF-8"))
}

/// Puts the text of a part into the objects that its name leads through.
fn insert(values: &mut Map<String, Value>, name: &str, text: String) -> Result<(), ServerError> {
    let segments = segments(name).ok_or_else(|| {
        let text = "a name is `parameter`, or `parameter[field]` for a field of an object; send lists within `sakuga` as one \
                    part `sakuga` with JSON text";
        ServerError::invalid(shown(name), Violation::BAD_TEXT, text)
    })?;
    let twice = || ServerError::invalid(shown(name), Violation::DUPLICATE, "is given twice; give it once");
    let mut object = values;
    let (last, path) = segments.split_last().ok_or_else(twice)?;
    for segment in path {
        let entry = object.entry((*segment).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        object = entry.as_object_mut().ok_or_else(twice)?;
    }
    let value = match text.as_str() {
        // protobuf JSON reads numbers from strings, but not booleans.
        "true" | "false" if !path.is_empty() => Value::Bool(text == "true"),
        _ => Value::String(text),
    };
    if object.insert((*last).to_owned(), value).is_some() { Err(twice()) } else { Ok(()) }
}

/// `a`, `b` and `c` of `a[b][c]`.
fn segments(name: &str) -> Option<Vec<&str>> {
    let is_word = |word: &str| !word.is_empty() && !word.contains(['[', ']']);
    let Some((first, rest)) = name.split_once('[') else { return is_word(name).then(|| vec![name]) };
    let inner = rest.strip_suffix(']')?.split("][");
    let segments: Vec<&str> = std::iter::once(first).chain(inner).collect();
    (segments.len() <= DEPTH_MAX && segments.iter().all(|segment| is_word(segment))).then_some(segments)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn parsed(body: &str) -> Result<Parameters, ServerError> {
        let body = body.replace('\n', "\r\n");
        read("multipart/form-data; boundary=x", body.into()).await
    }

    fn part(name: &str, text: &str) -> String {
        format!("--x\ncontent-disposition: form-data; name=\"{name}\"\n\n{text}\n")
    }

    #[tokio::test]
    async fn values_files_and_objects_are_read() {
        let body = part("prompt", "a cat")
            + &part("sakuga[sampling][steps]", "7")
            + &part("sakuga[profile]", "true")
            + "--x\ncontent-disposition: form-data; name=\"image[]\"; filename=\"../../a.png\"\ncontent-type: image/png\n\n\u{1}PNG\n"
            + &part("mask", "mask")
            + "--x--\n";
        let parameters = parsed(&body).await.expect("a form");
        let sakuga = json!({ "sampling": { "steps": "7" }, "profile": true });
        assert_eq!(parameters.value("prompt"), Some(&json!("a cat")));
        assert_eq!(parameters.value("sakuga"), Some(&sakuga));
        assert_eq!((parameters.images().len(), &*parameters.images()[0]), (1, &b"\x01PNG"[..]));
    }

    #[tokio::test]
    async fn hostile_forms_are_refused() {
        let twice = part("n", "1") + &part("n", "2") + "--x--\n";
        let into_text = part("sakuga", "{}") + &part("sakuga[seed]", "2") + "--x--\n";
        let list = part("sakuga[adapters][][name]", "a") + "--x--\n";
        let deep = part(&format!("sakuga{}", "[a]".repeat(100)), "a") + "--x--\n";
        let many = part("a", "1").repeat(300) + "--x--\n";
        let no_name = "--x\ncontent-disposition: form-data\n\n1\n--x--\n".to_owned();
        let no_end = part("prompt", "cat");
        for (body, what) in [
            (twice, "given twice"),
            (into_text, "given twice"),
            (list, "JSON text"),
            (deep, "JSON text"),
            (many, "given twice"),
            (no_name, ""),
            (no_end, "not well formed"),
            (String::new(), ""),
            ("--y\n".into(), ""),
        ] {
            let error = parsed(&body).await.err().unwrap_or_else(|| panic!("{body}")).to_string();
            assert!(error.contains(what) && error.len() < 400, "{error}");
        }
        assert!(read("multipart/form-data", Bytes::new()).await.is_err(), "without a boundary");
    }

    #[test]
    fn names_are_split() {
        assert_eq!(segments("a[b][c]"), Some(vec!["a", "b", "c"]));
        for name in ["", "a[", "a]", "[a]", "a[]", "a[b]c", "a[b[c]]"] {
            assert_eq!(segments(name), None, "{name}");
        }
    }
}
