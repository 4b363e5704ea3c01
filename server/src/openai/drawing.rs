//! Converts the parameters of a request to the `GenerateRequest` of its job.
//!
//! Parameters of OpenAI's API set the fields with the same meaning. All other fields are in `sakuga`, which is a `GenerateRequest` in
//! protobuf JSON, so no option is described twice.

use sakuga_proto::generation::v1::{self as generation, GenerateRequest, JobOptions, Quality, generate_request};
use sakuga_proto::json;

use super::extension::{self, PARAMETER_OF};
use super::mask;
use super::output::{Format, Output};
use super::parameters::Parameters;
use super::partials::{self, PARTIALS_MAX};
use crate::error::{ServerError, Violation};
use crate::models::{Catalog, ServedModel};
use crate::request::images::Uploads;

/// How long a job that streams continues after its connection was cut, unless the request has options of its own.
const RESUME_GRACE_S: i64 = 30;
/// Parameters of both endpoints.
const COMMON: [&str; 13] = [
    "background",
    "model",
    "n",
    "output_compression",
    "output_format",
    "partial_images",
    "prompt",
    "quality",
    "response_format",
    "sakuga",
    "size",
    "stream",
    "user",
];
/// Further parameters of edits.
const OF_EDITS: [&str; 3] = ["image", "images", "mask"];

/// An endpoint that draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Generations,
    Edits,
}

impl Endpoint {
    pub(super) fn parameters(self) -> Vec<&'static str> {
        let edits: &[&str] = if self == Self::Edits { &OF_EDITS } else { &[] };
        COMMON.iter().chain(edits).copied().collect()
    }

    /// Prefix of the types of its events.
    pub(super) fn event_prefix(self) -> &'static str {
        match self {
            Self::Generations => "image_generation",
            Self::Edits => "image_edit",
        }
    }
}

/// A request that was read. Its prompt, numbers and images are checked when the job is created.
#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) request: GenerateRequest,
    pub(super) options: JobOptions,
    pub(super) output: Output,
    /// Partial pictures of each picture, if the answer is a stream.
    pub(super) partials: Option<u32>,
    /// Whether the answer has URLs.
    pub(super) has_urls: bool,
    /// The client, on a server that asks for no credentials.
    pub(super) user: Option<String>,
}

impl Drawing {
    /// Reads the parameters. Decodes the mask of an edit, so call it on a thread that may block.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] with every fault, or [`ServerError::UnknownModel`].
    pub(super) fn read(
        endpoint: Endpoint,
        mut parameters: Parameters,
        models: &Catalog,
        uploads: &dyn Uploads,
    ) -> Result<Self, ServerError> {
        let (mut request, options) = extension::read(&mut parameters);
        request.model = parameters.text("model").unwrap_or_default();
        if let Some(prompt) = parameters.text("prompt") {
            match request.prompt {
                // OpenAI's clients require a prompt.
                Some(_) if prompt.is_empty() => {}
                Some(_) => {
                    let text = "`prompt` and `sakuga.typed` are both set; leave `prompt` empty or remove the other";
                    parameters.fault("prompt", Violation::CONFLICT, text);
                }
                None => request.prompt = Some(generate_request::Prompt::Xml(prompt)),
            }
        }
        if request.prompt.is_none() && parameters.fault_count() == 0 {
            parameters.fault("prompt", Violation::REQUIRED, "there is nothing to draw; write a prompt");
        }
        request.images = parameters.whole("n", 1, sakuga_model_core::limits::IMAGES.max).unwrap_or(1);
        quality(&mut parameters, &mut request);
        parameters.choice("background", &[("auto", ()), ("opaque", ())]);
        let output = output(&mut parameters);
        let has_urls = parameters.choice("response_format", &[("b64_json", false), ("url", true)]);
        let is_stream = parameters.flag("stream");
        let partials = parameters.whole("partial_images", 0, PARTIALS_MAX);
        if is_stream && has_urls {
            parameters.fault("response_format", Violation::CONFLICT, "a stream has pictures as `b64_json` alone");
        }
        if !is_stream && partials.is_some_and(|partials| partials > 0) {
            parameters.fault("partial_images", Violation::CONFLICT, "partial pictures need `stream: true`");
        }
        let user = parameters.text("user").filter(|user| !user.is_empty());
        let size = size(&mut parameters);
        let model = models.find("model", &request.model)?;
        if endpoint == Endpoint::Edits {
            edit(&mut parameters, &mut request, size, model, uploads);
        }
        if let Size::Given(width, height) = size {
            (request.width, request.height) = (width, height);
        }
        let partials = is_stream.then(|| partials.unwrap_or(0));
        partials::ask(&mut parameters, &mut request, partials.unwrap_or(0), output.format, &model.info.model);
        parameters.finish(&endpoint.parameters())?;
        let options = options.unwrap_or_else(|| JobOptions {
            cancel_on_disconnect: true,
            disconnect_grace: is_stream.then_some(prost_types::Duration { seconds: RESUME_GRACE_S, nanos: 0 }),
            ..JobOptions::default()
        });
        Ok(Self { request, options, output, partials, has_urls, user })
    }
}

/// The levels of quality by OpenAI's names. `auto` leaves the choice to `sakuga.sampling` and to the server's default.
const QUALITIES: [(&str, Quality); 4] =
    [("auto", Quality::Unspecified), ("high", Quality::Exact), ("medium", Quality::High), ("low", Quality::Fast)];

/// Puts `quality` into the request.
fn quality(parameters: &mut Parameters, request: &mut GenerateRequest) {
    let quality = parameters.choice("quality", &QUALITIES);
    if quality == Quality::Unspecified {
        return;
    }
    let sampling = request.sampling.get_or_insert_default();
    if sampling.quality() != Quality::Unspecified || sampling.step_cache.is_some() {
        let text = "`quality` and the quality of `sakuga.sampling` are both set; remove one of the two";
        parameters.fault("quality", Violation::CONFLICT, text);
        return;
    }
    sampling.quality = quality.into();
}

/// OpenAI's name for the quality that a resolved request has.
pub(super) fn quality_name(request: Option<&GenerateRequest>) -> &'static str {
    let sampling = request.and_then(|request| request.sampling.as_ref());
    let quality = sampling.map_or(Quality::Exact, generation::Sampling::quality);
    let named = QUALITIES.into_iter().skip(1).find(|(_, known)| *known == quality);
    named.map_or("auto", |(name, _)| name)
}

/// The value of `size`.
#[derive(Clone, Copy)]
enum Size {
    Auto,
    Given(u32, u32),
}

fn size(parameters: &mut Parameters) -> Size {
    let Some(text) = parameters.text("size").filter(|text| text != "auto") else { return Size::Auto };
    let edge = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let edges = text.split_once('x').and_then(|(width, height)| Some((edge(width)?, edge(height)?)));
    // 0 would be the default.
    match edges.filter(|(width, height)| *width > 0 && *height > 0) {
        Some((width, height)) => Size::Given(width, height),
        None => {
            parameters.fault("size", Violation::BAD_TEXT, "write `auto`, or width and height such as `1024x1024`");
            Size::Auto
        }
    }
}

fn output(parameters: &mut Parameters) -> Output {
    let formats = Format::ALL.map(|format| (format.name(), format));
    let format = parameters.choice("output_format", &formats);
    let compression = parameters.whole("output_compression", 0, 100);
    if format != Format::Jpeg && compression.is_some_and(|compression| compression != 100) {
        let text = format!("`{}` is lossless here; leave it out, or use `jpeg`", format.name());
        parameters.fault("output_compression", Violation::CONFLICT, text);
    }
    Output { format, compression: compression.unwrap_or(100) as u8 }
}

/// Puts the image and the mask of an edit into the request.
fn edit(
    parameters: &mut Parameters,
    request: &mut GenerateRequest,
    size: Size,
    model: &ServedModel,
    uploads: &dyn Uploads,
) {
    let (mut images, mask) = parameters.files();
    if images.len() > 1 {
        let text = format!("there are {} images, and a picture begins from one; send one", images.len());
        parameters.fault("image", Violation::UNSUPPORTED, text);
    }
    let init = request.init.get_or_insert_default();
    if let Some(image) = images.pop() {
        if init.image.replace(image).is_some() {
            let text = "the image is in the request and in `sakuga.init.image`; send it once";
            parameters.fault("image", Violation::CONFLICT, text);
        }
    } else if init.image.is_none() {
        parameters.fault("image", Violation::REQUIRED, "an edit begins from an image; send one");
        return;
    }
    let file = match mask::bytes(init.image.as_ref(), "image", uploads) {
        Ok(file) => file,
        Err(fault) => return parameters.fault(fault.field, fault.reason, fault.description),
    };
    match mask::size(&file) {
        Ok(size_px) => {
            if matches!(size, Size::Auto) {
                (request.width, request.height) = nearest_size(size_px, model);
            }
            // An image of another size is scaled to cover the picture, unless the request says how.
            if init.resize == 0 && init.canvas.is_none() {
                init.resize = generation::ResizeMode::Crop.into();
            }
        }
        Err(fault) => return parameters.fault(fault.field, fault.reason, fault.description),
    }
    let Some(mask) = mask else { return };
    let drawn = request.mask.get_or_insert_default();
    if drawn.image.is_some() || !drawn.boxes.is_empty() {
        parameters.fault("mask", Violation::CONFLICT, "the mask is in the request and in `sakuga.mask`; send it once");
        return;
    }
    match mask::white_where_transparent(&mask, uploads) {
        Ok(image) => drawn.image = Some(image),
        Err(fault) => parameters.fault(fault.field, fault.reason, fault.description),
    }
}

/// The size of the picture of an edit: that of the image as far as the model draws it.
fn nearest_size((width, height): (u32, u32), model: &ServedModel) -> (u32, u32) {
    let limits = &model.info.model.size;
    let pixels_max = limits.pixels_max.min(model.limits.pixels_max) as f64;
    let (wide, high) = (f64::from(width), f64::from(height));
    let by_pixels = (pixels_max / (wide * high)).sqrt();
    let by_edge = f64::from(limits.edge_max_px) / wide.max(high);
    let scale = by_pixels.min(by_edge).min(1.0);
    let multiple = limits.multiple_px.max(1);
    let edge = |pixels: f64| ((pixels * scale) as u32 / multiple * multiple).max(multiple);
    (edge(wide), edge(high))
}

/// The error with its fields named as this API names them.
pub(super) fn in_own_terms(error: ServerError, endpoint: Endpoint) -> ServerError {
    let ServerError::InvalidRequest(violations) = error else { return error };
    let renamed =
        violations.into_iter().map(|violation| Violation { field: own_name(&violation.field, endpoint), ..violation });
    ServerError::InvalidRequest(renamed.collect())
}

fn own_name(field: &str, endpoint: Endpoint) -> String {
    let top = field.split(['.', '[', '/']).next().unwrap_or(field);
    if let Some((_, parameter)) = PARAMETER_OF.iter().find(|(of, _)| *of == top) {
        return (*parameter).to_owned();
    }
    if endpoint == Endpoint::Edits {
        for (of, parameter) in [("init.image", "image"), ("mask.image", "mask")] {
            if field.starts_with(of) {
                return parameter.to_owned();
            }
        }
    }
    let is_field = json::descriptor::<GenerateRequest>().is_ok_and(|request| request.get_field_by_name(top).is_some());
    // Anything else is a place in the prompt; the description has its line and column.
    if (!is_field || field.contains('/')) && !matches!(top, "negative" | extension::OPTIONS) {
        return "prompt".to_owned();
    }
    format!("{}.{field}", extension::NAME)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::scripted::{Script, source};
    use crate::limits::Limits;
    use crate::models::ModelId;
    use crate::request::images::NoUploads;

    fn read(endpoint: Endpoint, body: Value) -> Result<Drawing, ServerError> {
        let description = source(Script::default()).describe().expect("a script has no files");
        let sakuga_model_core::ModelDescription { info, tokens, adapters, .. } = description;
        let models =
            Catalog::new(vec![ServedModel { id: ModelId::DEFAULT, info, tokens, limits: Limits::default(), adapters }]);
        let Value::Object(values) = body else { panic!("an object") };
        Drawing::read(endpoint, Parameters::of_json(values), &models, &NoUploads)
    }

    fn generation(body: Value) -> Drawing {
        read(Endpoint::Generations, body).expect("a request")
    }

    fn faults(body: Value) -> Vec<(String, String)> {
        match read(Endpoint::Generations, body) {
            Err(ServerError::InvalidRequest(faults)) => {
                faults.into_iter().map(|fault| (fault.field, fault.description)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn qualities_have_the_names_of_openai() {
        for (name, expected) in QUALITIES {
            let request = generation(json!({ "prompt": "1girl", "quality": name })).request;
            let found = request.sampling.as_ref().map_or(Quality::Unspecified, generation::Sampling::quality);
            assert_eq!(found, expected, "{name}");
            if expected != Quality::Unspecified {
                assert_eq!(quality_name(Some(&request)), name);
            }
        }
        let sampling = generation::Sampling { quality: Quality::Custom.into(), ..generation::Sampling::default() };
        let custom = GenerateRequest { sampling: Some(sampling), ..GenerateRequest::default() };
        assert_eq!((quality_name(Some(&custom)), quality_name(None)), ("auto", "high"));
    }

    #[test]
    fn parameters_and_extension_become_one_request() {
        let drawing = generation(json!({
            "prompt": "1girl", "n": 2, "size": "320x192", "model": "scripted", "quality": "high", "user": "a",
            "output_format": "jpeg", "output_compression": 80,
            "sakuga": {
                "seed": "7", "sampling": { "steps": 9, "guidanceScale": 3.5 }, "negative_text": "blurry",
                "options": { "timeout": "30s" },
            },
        }));
        let request = drawing.request;
        assert_eq!((request.images, request.width, request.height, request.seed), (2, 320, 192, Some(7)));
        assert_eq!(request.prompt, Some(generate_request::Prompt::Xml("1girl".into())));
        assert_eq!(request.negative, Some(generate_request::Negative::NegativeText("blurry".into())));
        let sampling = request.sampling.expect("options");
        assert_eq!((sampling.steps, sampling.guidance_scale), (9, Some(3.5)));
        assert_eq!(drawing.options.timeout.map(|timeout| timeout.seconds), Some(30));
        assert!(!drawing.options.cancel_on_disconnect, "the options are those of the request");
        assert_eq!(drawing.output, Output { format: Format::Jpeg, compression: 80 });
        assert_eq!((drawing.partials, drawing.has_urls, drawing.user.as_deref()), (None, false, Some("a")));
        assert_eq!(request.preview, None);
    }

    #[test]
    fn a_job_ends_with_its_connection_and_a_stream_may_resume() {
        let plain = generation(json!({ "prompt": "1girl" })).options;
        assert!(plain.cancel_on_disconnect && plain.disconnect_grace.is_none());
        let stream = generation(json!({ "prompt": "1girl", "stream": true, "partial_images": 2 }));
        assert!(stream.options.cancel_on_disconnect && stream.options.disconnect_grace.is_some());
        assert_eq!(stream.partials, Some(2));
        assert_eq!(stream.request.preview.expect("previews").every_steps, 10, "of 28 steps");
    }

    #[test]
    fn unknown_fields_are_named_with_path_and_nearest() {
        let found = faults(json!({
            "prompt": "1girl", "siez": "auto",
            "sakuga": { "sampling": { "stepz": 9 }, "adapters": [{ "name": "a", "scales": 1 }], "zzzz": 1 },
        }));
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["sakuga.adapters[0].scales", "sakuga.sampling.stepz", "sakuga.zzzz", "siez"]);
        assert!(found[1].1.contains("did you mean `steps`"), "{found:?}");
    }

    #[test]
    fn what_has_a_parameter_or_a_wrong_kind_is_refused_in_the_extension() {
        let found =
            faults(json!({ "prompt": "1girl", "sakuga": { "images": 2, "seed": "x", "sampling": { "steps": -1 } } }));
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["sakuga.images", "sakuga.sampling", "sakuga.seed"]);
        assert!(found[0].1.contains("`n`"), "{found:?}");
        for sakuga in [json!(7), json!("{"), json!("[]"), json!({ "options": 7 }), json!({ "options": { "prio": 1 } })]
        {
            assert!(faults(json!({ "prompt": "1girl", "sakuga": sakuga }))[0].0.starts_with("sakuga"), "{sakuga}");
        }
        let long = faults(json!({ "prompt": "1girl", "sakuga": { "init": "A".repeat(100_000) } }));
        assert!(long[0].1.len() < 300, "{} bytes", long[0].1.len());
    }

    #[test]
    fn combinations_that_contradict_are_refused() {
        for (body, field) in [
            (json!({}), "prompt"),
            (json!({ "stream": true, "response_format": "url" }), "response_format"),
            (json!({ "partial_images": 2 }), "partial_images"),
            (json!({ "stream": true, "partial_images": 4 }), "partial_images"),
            (json!({ "output_compression": 50 }), "output_compression"),
            (json!({ "output_format": "gif" }), "output_format"),
            (json!({ "quality": "standard" }), "quality"),
            (json!({ "quality": "low", "sakuga": { "sampling": { "quality": "QUALITY_HIGH" } } }), "quality"),
            (json!({ "background": "transparent" }), "background"),
            (json!({ "size": "0x64" }), "size"),
            (json!({ "size": "+64x64" }), "size"),
            (json!({ "size": "64" }), "size"),
            (json!({ "n": 1_000_000_000 }), "n"),
            (json!({ "image": "a" }), "image"),
            (json!({ "sakuga": { "preview": { "method": "PREVIEW_METHOD_LINEAR" } } }), "sakuga.preview"),
            (json!({ "prompt": "a", "sakuga": { "typed": { "caption": "b" } } }), "prompt"),
        ] {
            let mut body = body;
            if field != "prompt" {
                body["prompt"] = json!("1girl");
            }
            assert_eq!(faults(body.clone())[0].0, field, "{body}");
        }
        let typed = generation(json!({ "prompt": "", "sakuga": { "typed": { "caption": "b" } } }));
        assert!(matches!(typed.request.prompt, Some(generate_request::Prompt::Typed(_))));
    }

    #[test]
    fn faults_are_named_as_the_request_names_them() {
        for (field, endpoint, expected) in [
            ("images", Endpoint::Generations, "n"),
            ("width", Endpoint::Generations, "size"),
            ("xml", Endpoint::Generations, "prompt"),
            ("character_2/appearance", Endpoint::Generations, "prompt"),
            ("negative_prompt/general", Endpoint::Generations, "prompt"),
            ("sampling.steps", Endpoint::Generations, "sakuga.sampling.steps"),
            ("adapters[0]", Endpoint::Generations, "sakuga.adapters[0]"),
            ("options.timeout", Endpoint::Generations, "sakuga.options.timeout"),
            ("init.image.inline", Endpoint::Generations, "sakuga.init.image.inline"),
            ("init.image.inline", Endpoint::Edits, "image"),
            ("mask.image", Endpoint::Edits, "mask"),
            ("init.strength", Endpoint::Edits, "sakuga.init.strength"),
        ] {
            assert_eq!(own_name(field, endpoint), expected, "{field}");
        }
    }
}
