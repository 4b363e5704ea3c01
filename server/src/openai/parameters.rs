//! The parameters of a request by name. Each is taken once; those that are left are unknown. Faults are collected.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sakuga_proto::generation::v1::{ImageSource, image_source};
use serde_json::{Map, Value};

use crate::error::{ServerError, Violation};
use crate::models::suggestion;
use crate::request::images::shown;

/// Parameters of OpenAI's API that this server does not have.
const UNSUPPORTED: [&str; 9] = [
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "input_fidelity",
    "markup",
    "moderation",
    "safety_identifier",
    "style",
    "svg",
];

/// The parameters of a request, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Parameters {
    values: Map<String, Value>,
    images: Vec<Bytes>,
    mask: Vec<Bytes>,
    /// In a form every value is a text.
    is_form: bool,
    faults: Vec<Violation>,
}

impl Parameters {
    pub(super) fn of_json(values: Map<String, Value>) -> Self {
        Self { values, images: Vec::new(), mask: Vec::new(), is_form: false, faults: Vec::new() }
    }

    /// The parameters of a form. Each file comes with whether it is the mask.
    pub(super) fn of_form(values: Map<String, Value>, files: Vec<(bool, Bytes)>) -> Self {
        let (mask, images): (Vec<_>, Vec<_>) = files.into_iter().partition(|(is_mask, _)| *is_mask);
        let bytes = |files: Vec<(bool, Bytes)>| files.into_iter().map(|(_, bytes)| bytes).collect();
        Self { values, images: bytes(images), mask: bytes(mask), is_form: true, faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, field: impl Into<String>, reason: &'static str, text: impl Into<String>) {
        self.faults.push(Violation::new(field, reason, text));
    }

    pub(super) fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// A parameter that is there and is not null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.fault(name, Violation::BAD_TEXT, "is not a text; write a string");
                None
            }
        }
    }

    /// A whole number of this range.
    pub(super) fn whole(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        let number = match self.take(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if self.is_form => text.parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.fault(name, Violation::OUT_OF_RANGE, format!("write a whole number from {min} to {max}"));
        }
        number
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(Value::String(text)) if self.is_form && (text == "true" || text == "false") => text == "true",
            Some(_) => {
                self.fault(name, Violation::UNKNOWN_VALUE, "write `true` or `false`");
                false
            }
        }
    }

    /// One of these words, or the first of them if the parameter is absent.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(text) = self.text(name) else { return default };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return *choice;
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        let given: String = text.chars().take(40).collect();
        let text = format!("`{given}` is not supported here; write {}", words.join(" or "));
        self.fault(name, Violation::UNKNOWN_VALUE, text);
        default
    }

    /// The images and the mask of an edit.
    pub(super) fn files(&mut self) -> (Vec<ImageSource>, Option<ImageSource>) {
        let inline = |bytes: Bytes| ImageSource { source: Some(image_source::Source::Inline(bytes)) };
        let mut images: Vec<ImageSource> = std::mem::take(&mut self.images).into_iter().map(inline).collect();
        let mut masks: Vec<ImageSource> = std::mem::take(&mut self.mask).into_iter().map(inline).collect();
        if !self.is_form {
            if let Some(value) = self.take("images") {
                match value {
                    Value::Array(values) => {
                        for (index, value) in values.into_iter().enumerate() {
                            images.extend(self.reference(&format!("images[{index}]"), value));
                        }
                    }
                    _ => self.fault(
                        "images",
                        Violation::BAD_TEXT,
                        "is not a list; write `[{\"image_url\": \"data:…\"}]`",
                    ),
                }
            }
            if let Some(value) = self.take("mask") {
                masks.extend(self.reference("mask", value));
            }
        }
        if masks.len() > 1 {
            self.fault("mask", Violation::DUPLICATE, "there is more than one; send one");
        }
        (images, masks.pop())
    }

    /// An image of a JSON request: `{"image_url": "data:…"}` or `{"file_id": "<SHA-256 of an asset>"}`.
    fn reference(&mut self, field: &str, value: Value) -> Option<ImageSource> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let is_alone = value.as_object().is_some_and(|object| object.len() == 1);
        let source = match (text("image_url"), text("file_id")) {
            (Some(url), None) if is_alone => match data_url(url) {
                Ok(bytes) => Some(image_source::Source::Inline(bytes)),
                Err(why) => {
                    self.fault(format!("{field}.image_url"), Violation::BAD_IMAGE, why);
                    return None;
                }
            },
            (None, Some(id)) if is_alone => Some(image_source::Source::Asset(id.to_owned())),
            _ => {
                let text = "write `{\"image_url\": \"data:image/png;base64,…\"}`, or `{\"file_id\": \"…\"}` with the SHA-256 of an \
                            uploaded asset";
                self.fault(field, Violation::BAD_IMAGE, text);
                return None;
            }
        };
        Some(ImageSource { source })
    }

    /// The faults so far, and one for every parameter that was not taken.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] with all of them, if there are any.
    pub(super) fn finish(mut self, known: &[&str]) -> Result<(), ServerError> {
        let left: Vec<String> = self.values.keys().cloned().collect();
        for name in left {
            let shown = shown(&name);
            if UNSUPPORTED.contains(&name.as_str()) {
                self.fault(shown, Violation::UNSUPPORTED, "this server does not support it; leave it out");
                continue;
            }
            let suggestion = suggestion(&name, known);
            self.fault(shown, Violation::UNKNOWN_VALUE, format!("there is no such parameter; {suggestion}"));
        }
        if !self.images.is_empty() || !self.mask.is_empty() {
            self.fault("image", Violation::UNSUPPORTED, "images are sent to /v1/images/edits");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(ServerError::InvalidRequest(self.faults)) }
    }

    #[cfg(test)]
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    #[cfg(test)]
    pub(super) fn images(&self) -> &[Bytes] {
        &self.images
    }
}

/// The file within a `data:` URL.
fn data_url(url: &str) -> Result<Bytes, &'static str> {
    let Some(data) = url.strip_prefix("data:") else {
        return Err(
            "the server fetches nothing from elsewhere; send a `data:` URL, or upload the image and name it by `file_id`",
        );
    };
    let (_, base64) = data.split_once(";base64,").ok_or("the URL is not of the form `data:image/png;base64,…`")?;
    STANDARD.decode(base64).map(Bytes::from).map_err(|_| "what follows `;base64,` is not base64")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Parameters {
        let Value::Object(values) = value else { panic!("an object") };
        Parameters::of_json(values)
    }

    fn faults(parameters: Parameters, known: &[&str]) -> Vec<(String, String)> {
        match parameters.finish(known) {
            Err(ServerError::InvalidRequest(faults)) => {
                faults.into_iter().map(|fault| (fault.field, fault.description)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn unknown_parameters_are_named_with_the_nearest() {
        let found = faults(of(json!({ "promt": "a", "style": "vivid", "zzzz": 1 })), &["prompt", "size"]);
        assert!(found[0].0 == "promt" && found[0].1.contains("did you mean `prompt`"), "{found:?}");
        assert!(found[1].0 == "style" && found[1].1.contains("leave it out"), "{found:?}");
        assert!(found[2].1.contains("prompt, size"), "{found:?}");
    }

    #[test]
    fn values_of_a_wrong_kind_are_faults() {
        let mut parameters = of(json!({ "n": "2", "stream": "true", "prompt": 7, "quality": "low", "size": null }));
        assert_eq!(parameters.whole("n", 1, 8), None);
        assert!(!parameters.flag("stream"));
        assert_eq!(parameters.text("prompt"), None);
        assert_eq!(parameters.choice("quality", &[("auto", 1), ("high", 2)]), 1);
        assert_eq!(parameters.text("size"), None);
        let found = faults(parameters, &[]);
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["n", "stream", "prompt", "quality"]);
        assert!(found[3].1.contains("`low`") && found[3].1.contains("`auto` or `high`"), "{found:?}");
    }

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        for value in [json!(0), json!(9), json!(-1), json!(1.5), json!(1e99), json!(u64::MAX), json!([1])] {
            let mut parameters = of(json!({ "n": value }));
            assert_eq!(parameters.whole("n", 1, 8), None, "{value}");
        }
        assert_eq!(of(json!({ "n": 8 })).whole("n", 1, 8), Some(8));
    }

    #[test]
    fn images_of_json_are_files_or_names_of_assets() {
        let mut parameters = of(json!({
            "images": [
                { "image_url": "data:image/png;base64,AQID" },
                { "file_id": "ab" },
                { "image_url": "https://elsewhere.example/a.png" },
                { "image_url": "data:image/png;base64,*" },
                { "file_id": "ab", "image_url": "data:;base64,AQID" },
                "AQID",
            ],
            "mask": {},
        }));
        let (images, mask) = parameters.files();
        assert_eq!(images.len(), 2);
        assert_eq!(images[0].source, Some(image_source::Source::Inline(Bytes::from_static(&[1, 2, 3]))));
        assert_eq!(images[1].source, Some(image_source::Source::Asset("ab".into())));
        assert_eq!(mask, None);
        let found = faults(parameters, &[]);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[0].0 == "images[2].image_url" && found[0].1.contains("fetches nothing"), "{found:?}");
    }
}
