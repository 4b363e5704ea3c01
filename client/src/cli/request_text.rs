//! Parts of a request as text for people.

use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::{
    Box as MaskBox, Canvas, Control, GenerateRequest, ImageSource, InitImage, Mask, ResizeMode, Scene, SecondPass,
    image_source, scene,
};
use sakuga_client::proto::text::one_line;
use sakuga_schema::{Gender, TagList};

use super::choice;
use super::units;

/// `1024x1024`, or `-` for a request whose size is not set.
pub(crate) fn size(request: &GenerateRequest) -> String {
    match (request.width, request.height) {
        (0, 0) => "-".to_owned(),
        (width, height) => format!("{width}x{height}"),
    }
}

/// The image that pictures begin from, and whether it is a file that the record names by its hash.
pub(crate) fn init(init: &InitImage) -> (String, bool) {
    let (file, is_named) = source(init.image.as_ref());
    let mut parts = vec![format!("an image, {file}")];
    parts.extend(init.strength.map(|strength| format!("strength {strength}")));
    match init.resize() {
        ResizeMode::Unspecified => {}
        ResizeMode::Crop => parts.push("cropped".to_owned()),
        ResizeMode::Pad => parts.push("padded".to_owned()),
        ResizeMode::Stretch => parts.push("stretched".to_owned()),
    }
    if let Some(Canvas { left, top }) = init.canvas {
        let place = |edge: Option<u32>| edge.map_or("the middle".to_owned(), |edge| edge.to_string());
        parts.push(format!("on a canvas at {}, {}", place(left), place(top)));
    }
    (parts.join(", "), is_named)
}

/// The part of an image that is drawn again, and whether it is given by a file that the record names by its hash.
pub(crate) fn mask(mask: &Mask) -> (String, bool) {
    let (file, is_named) = source(mask.image.as_ref());
    let mut parts = Vec::new();
    if mask.image.is_some() {
        parts.push(format!("an image, {file}"));
    }
    parts.extend(mask.boxes.iter().map(area));
    if mask.feather > 0 {
        parts.push(format!("feather {}", mask.feather));
    }
    if let Some(only) = mask.masked_only {
        let padding = only.padding.map(|padding| format!(" with padding {padding}")).unwrap_or_default();
        parts.push(format!("drawn alone{padding}"));
    }
    (parts.join(", "), is_named)
}

/// `1.5 times as large by lanczos, strength 0.5 of 20 steps`.
pub(crate) fn second_pass(second: &SecondPass) -> String {
    let upscaler = choice::name(second.upscaler()).unwrap_or("lanczos");
    let number = |value: Option<f32>| value.map_or("default".to_owned(), |value| value.to_string());
    let (factor, strength) = (number(second.factor), number(second.strength));
    format!("{factor} times as large by {upscaler}, strength {strength} of {} steps", second.steps)
}

/// The name of the model that draws a scene, as a person reads it.
pub(crate) fn scene_model(scene: &Scene) -> String {
    if scene.model.is_empty() { "the default model".to_owned() } else { one_line(&scene.model) }
}

/// `by sdxl, strength 0.4, 1024x1024, seed 8, one protected area`, with the sampling.
pub(crate) fn scene(scene: &Scene) -> String {
    let mut parts = vec![format!("by {}", scene_model(scene))];
    parts.extend(scene.strength.map(|strength| format!("strength {strength}")));
    if scene.width > 0 {
        parts.push(format!("{}x{}", scene.width, scene.height));
    }
    parts.extend(scene.seed.map(|seed| format!("seed {seed}")));
    parts.extend(scene.sampling.as_ref().map(ToString::to_string));
    if let Some(protection) = &scene.protection {
        let areas = protection.boxes.iter().map(area);
        let file = protection.image.as_ref().map(|image| source(Some(image)).0);
        let protected: Vec<String> = file.into_iter().chain(areas).collect();
        parts.push(format!("protects {} with feather {}", protected.join("; "), protection.feather));
    }
    parts.join(", ")
}

/// A rectangle as `--mask-box` takes it.
fn area(area: &MaskBox) -> String {
    format!("{},{},{},{}", area.left, area.top, area.width, area.height)
}

/// `canny from 0 to 0.6 at 0.8, SHA-256 ab12...`
pub(crate) fn control(control: &Control) -> String {
    let (image, _) = source(control.image.as_ref());
    format!(
        "{} from {} to {} at {}, {image}",
        one_line(&control.network),
        control.start.unwrap_or(0.0),
        control.end.unwrap_or(1.0),
        control.scale.unwrap_or(1.0)
    )
}

fn source(source: Option<&ImageSource>) -> (String, bool) {
    match source.and_then(|source| source.source.as_ref()) {
        Some(image_source::Source::Asset(sha256)) => (format!("SHA-256 {sha256}"), true),
        Some(image_source::Source::Inline(bytes)) => (units::bytes(bytes.len() as u64), false),
        None => ("without a file".to_owned(), false),
    }
}

/// The prompt on one line of at most this many characters.
pub(crate) fn prompt(request: &GenerateRequest, characters: usize) -> String {
    let text = match &request.prompt {
        Some(Prompt::Xml(text)) => without_tags(text),
        Some(Prompt::Typed(prompt)) => typed(&prompt.into()),
        None => String::new(),
    };
    shortened(&text, characters)
}

/// The prompt of a scene on one line of at most this many characters.
pub(crate) fn scene_prompt(scene: &Scene, characters: usize) -> String {
    let text = match &scene.prompt {
        Some(scene::Prompt::Xml(text)) => without_tags(text),
        Some(scene::Prompt::Typed(prompt)) => typed(&prompt.into()),
        None => String::new(),
    };
    shortened(&text, characters)
}

/// A text on one line of at most this many characters.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    let text = one_line(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= characters {
        return text;
    }
    text.chars().take(characters.saturating_sub(3)).collect::<String>().trim_end().to_owned() + "..."
}

fn typed(prompt: &sakuga_schema::Prompt) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut add = |tags: &TagList| parts.extend(tags.iter().cloned());
    for character in &prompt.characters {
        let gender = match character.gender {
            Some(Gender::Girl) => "1girl",
            Some(Gender::Boy) => "1boy",
            Some(Gender::Other) => "1other",
            None => "",
        };
        add(&TagList::new([character.n.clone(), gender.to_owned()].into_iter().filter(|text| !text.is_empty())));
        add(&character.appearance);
        add(&character.clothing);
        add(&character.expression);
        add(&character.action);
    }
    if let Some(general) = &prompt.general_tags {
        for (_, tags) in general.tag_lists() {
            add(tags);
        }
    }
    parts.extend(prompt.caption.clone());
    parts.join(", ")
}

/// Text without what stands between angle brackets. A bracket that opens no tag, as in `>_<`, stays.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        plain.push_str(before);
        let name_follows = tag[1..].starts_with(|character: char| character.is_ascii_alphabetic() || character == '/');
        match tag.find('>').filter(|_| name_follows) {
            Some(end) => {
                plain.push(' ');
                rest = &tag[end + 1..];
            }
            None => {
                plain.push('<');
                rest = &tag[1..];
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> GenerateRequest {
        GenerateRequest { prompt: Some(Prompt::Xml(text.to_owned())), ..GenerateRequest::default() }
    }

    #[test]
    fn a_prompt_is_one_short_line() {
        let text = "<character_1>\n<n>fox</n>\n<gender>1girl</gender>\n</character_1> >_< \u{1b}[2J";
        assert_eq!(prompt(&of(text), 80), "fox 1girl >_< \u{fffd}[2J");
        assert_eq!(prompt(&of("a fox in the snow"), 10), "a fox i...");
        assert_eq!(prompt(&GenerateRequest::default(), 80), "");
        let checked = sakuga_schema::check(
            "<character_1><n>fox</n><gender>1girl</gender><appearance>long_hair</appearance></character_1>",
            &sakuga_schema::CheckOptions::default(),
        );
        let typed = Prompt::Typed(checked.prompt.as_ref().unwrap().into());
        let request = GenerateRequest { prompt: Some(typed), width: 64, height: 32, ..GenerateRequest::default() };
        assert_eq!(prompt(&request, 80), "fox, 1girl, long_hair");
        assert_eq!((size(&request).as_str(), size(&GenerateRequest::default()).as_str()), ("64x32", "-"));
    }
}
