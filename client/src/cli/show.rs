//! `sakuga show`: the request in a picture's file.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use sakuga_client::picture::{self, Record};
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{GenerateRequest, scene};
use sakuga_client::proto::json;
use serde_json::json;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::highlight;
use super::input::{self, Input};
use super::output;
use super::request_text;
use super::terminal::Terminal;
use super::units;
use sakuga_client::proto::text::one_line;

/// Show what made a picture
///
/// Prints the request that Sakuga stored in the PNG file: prompt, settings, seed, device, model, checksums. `sakuga generate
/// --from` draws the picture again.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct ShowArguments {
    /// A PNG file that Sakuga made; `-` for stdin
    #[arg(value_name = "FILE.png")]
    file: PathBuf,

    /// Print one JSON object: {"file", "width", "height", "bytes", "sha256", "pixels_sha256", "metadata"}, the metadata
    /// as protobuf JSON of sakuga.generation.v1.ImageMetadata
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &ShowArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let input = input::read_picture(&arguments.file)?;
    let record = picture::read_record(&input.bytes).map_err(|error| Failure::unreadable(&arguments.file, error))?;
    let sha256 = sha256_hex(&input.bytes);
    let pixels_sha256 =
        picture::pixels_sha256(&input.bytes).map_err(|error| Failure::unreadable(&arguments.file, error))?;
    if arguments.json {
        let unreadable = |error: &dyn std::fmt::Display| Failure::unreadable(&arguments.file, error);
        let metadata = json::dynamic(&record.metadata).map_err(|error| unreadable(&error))?;
        let mut metadata = serde_json::to_value(metadata).map_err(|error| unreadable(&error))?;
        // Canonical JSON leaves out 0, which is a seed like any other.
        metadata["seed"] = json!(record.metadata.seed.to_string());
        output::print_json(&json!({
            "file": input.name,
            "width": record.width,
            "height": record.height,
            "bytes": input.bytes.len(),
            "sha256": sha256,
            "pixels_sha256": pixels_sha256,
            "metadata": metadata,
        }))?;
    } else {
        output::print(describe(&input, &record, [&sha256, &pixels_sha256], terminal))?;
    }
    Ok(Exit::Ok)
}

fn describe(input: &Input, record: &Record, [sha256, pixels_sha256]: [&str; 2], terminal: &Terminal) -> String {
    let metadata = &record.metadata;
    let default = GenerateRequest::default();
    let request = metadata.request.as_ref().unwrap_or(&default);
    let bold = terminal.style().bold();
    let mut lines = vec![format!(
        "{}  {}x{}, {}",
        bold.apply_to(one_line(&input.name)),
        record.width,
        record.height,
        units::bytes(input.bytes.len() as u64)
    )];
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {name:<9} {}", one_line(value)));
        }
    };
    fact("made by", &metadata.software);
    fact("model", &metadata.model);
    fact("device", &metadata.device);
    fact("seed", &seed(metadata.seed, metadata.image_index, request));
    fact("sampling", &request.sampling.as_ref().map(ToString::to_string).unwrap_or_default());
    let (init, init_file) = request.init.as_ref().map(request_text::init).unwrap_or_default();
    let (mask, mask_file) = request.mask.as_ref().map(request_text::mask).unwrap_or_default();
    fact("begins as", &init);
    fact("mask", &mask);
    fact("2nd pass", &request.second_pass.as_ref().map(request_text::second_pass).unwrap_or_default());
    fact("control", &request.controls.iter().map(request_text::control).collect::<Vec<_>>().join("; "));
    fact("refiner", &metadata.refiner);
    fact("scene", &request.scene.as_ref().map(request_text::scene).unwrap_or_default());
    fact("scene by", &metadata.scene.as_ref().map(|scene| scene.model.clone()).unwrap_or_default());
    fact("sha256", sha256);
    fact("pixels", pixels_sha256);
    let mut sections: Vec<(Cow<'_, str>, String)> = Vec::new();
    if let Some(system_prompt) = &request.system_prompt {
        let text = if system_prompt.is_empty() { "(none)" } else { system_prompt };
        sections.push(("System prompt".into(), one_line(text)));
    }
    let scene = request.scene.as_ref();
    let scene_prompt = scene.and_then(|scene| scene.prompt.as_ref()).map(|prompt| match prompt {
        scene::Prompt::Xml(text) => text.clone(),
        scene::Prompt::Typed(prompt) => sakuga_schema::Prompt::from(prompt).to_xml(),
    });
    let scene_negative = scene.and_then(|scene| scene.negative.as_ref()).map(|negative| match negative {
        scene::Negative::NegativeText(text) => text.clone(),
        scene::Negative::NegativePrompt(negative) => sakuga_schema::NegativePrompt::from(negative).to_xml(),
    });
    match &request.prompt {
        Some(Prompt::Xml(text)) => sections.push(("Prompt".into(), text.clone())),
        Some(Prompt::Typed(prompt)) => sections.push(("Prompt".into(), sakuga_schema::Prompt::from(prompt).to_xml())),
        None => {}
    }
    match &request.negative {
        Some(Negative::NegativeText(text)) if text.is_empty() => {}
        Some(Negative::NegativeText(text)) => sections.push(("Negative prompt".into(), text.clone())),
        Some(Negative::NegativePrompt(negative)) => {
            sections.push(("Negative prompt".into(), sakuga_schema::NegativePrompt::from(negative).to_xml()));
        }
        None => {}
    }
    if let Some(system_prompt) = &request.negative_system_prompt {
        let text = if system_prompt.is_empty() { "(none)" } else { system_prompt };
        sections.push(("System prompt of the negative prompt".into(), one_line(text)));
    }
    sections.extend(scene_prompt.map(|text| ("Prompt of the scene".into(), text)));
    sections.extend(scene_negative.map(|text| ("Negative prompt of the scene".into(), text)));
    if let Some(expansion) = &request.expansion {
        let title = format!("Expanded from (seed {}, variation {})", expansion.seed, expansion.variation);
        // Indented, so that no line of a template looks like one of this program.
        let indented = |text: &str| text.trim_end().lines().map(|line| format!("  {line}\n")).collect::<String>();
        let mut text = indented(&expansion.template);
        if !expansion.negative_template.is_empty() {
            text += &format!("negative prompt:\n{}", indented(&expansion.negative_template));
        }
        let chosen: Vec<String> = expansion.choices.iter().map(|choice| one_line(choice)).collect();
        sections.push((title.into(), format!("{text}chosen: {}", chosen.join(" | "))));
    }
    for (title, text) in sections {
        let text = highlight::xml(text.trim_end(), &terminal.style());
        lines.push(format!("\n{}\n{text}", bold.apply_to(title)));
    }
    let mut again = format!("sakuga generate --from '{}' --out again.png", one_line(&input.name));
    for (option, is_needed) in [(" --init FILE", init_file), (" --mask FILE", mask_file)] {
        if is_needed {
            again.push_str(option);
        }
    }
    lines.push(format!("\nTo draw it again: {}\n", terminal.style().cyan().apply_to(again)));
    lines.join("\n")
}

fn seed(seed: u64, image_index: u32, request: &GenerateRequest) -> String {
    let images = request.images.max(1);
    let of = if images > 1 { format!(", picture {} of {images}", u64::from(image_index) + 1) } else { String::new() };
    match request.seed {
        Some(first) if first != seed => format!("{seed}{of}; the request's is {first}"),
        _ => format!("{seed}{of}"),
    }
}
