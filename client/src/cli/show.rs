//! `sakuga show`: the request that a picture carries.

use std::path::PathBuf;

use clap::Args;
use sakuga_client::picture::{self, Record};
use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{GenerateRequest, Sampling};
use sakuga_client::{json, sha256_hex, typed};
use serde_json::json;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::highlight;
use super::input::{self, Input};
use super::output;
use super::render::plain;
use super::terminal::Terminal;
use super::units;

/// Show what made a picture
///
/// Prints the request that Sakuga stored in the PNG file: prompt, settings, seed, device, model, checksums. To make the
/// picture again, hand the file to `sakuga generate --from`.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub struct ShowArguments {
    /// A PNG file that Sakuga made; `-` for stdin
    #[arg(value_name = "FILE.png")]
    file: PathBuf,

    /// Print one JSON object: {"file", "width", "height", "bytes", "sha256", "pixels_sha256", "metadata"}, the metadata
    /// as protobuf JSON of sakuga.generation.v1.ImageMetadata
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &ShowArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let input = input::read_picture(&arguments.file)?;
    let record = picture::read_record(&input.bytes).map_err(|error| Failure::unreadable(&arguments.file, error))?;
    let sha256 = sha256_hex(&input.bytes);
    let pixels_sha256 =
        picture::pixels_sha256(&input.bytes).map_err(|error| Failure::unreadable(&arguments.file, error))?;
    if arguments.json {
        let metadata = json::dynamic(&record.metadata).map_err(|error| Failure::unreadable(&arguments.file, error))?;
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
        bold.apply_to(plain(&input.name)),
        record.width,
        record.height,
        units::bytes(input.bytes.len() as u64)
    )];
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {name:<9} {}", plain(value)));
        }
    };
    fact("made by", &metadata.software);
    fact("model", &metadata.model);
    fact("device", &metadata.device);
    fact("seed", &seed(metadata.seed, metadata.image_index, request));
    fact("sampling", &sampling(request.sampling.as_ref()));
    fact("sha256", sha256);
    fact("pixels", pixels_sha256);
    let mut sections: Vec<(&str, String)> = Vec::new();
    if let Some(system_prompt) = &request.system_prompt {
        let text = if system_prompt.is_empty() { "(none)" } else { system_prompt };
        sections.push(("System prompt", plain(text)));
    }
    match &request.prompt {
        Some(Prompt::Xml(text)) => sections.push(("Prompt", text.clone())),
        Some(Prompt::Typed(prompt)) => sections.push(("Prompt", typed::prompt_from_wire(prompt).to_xml())),
        None => {}
    }
    match &request.negative {
        Some(Negative::NegativeText(text)) if text.is_empty() => {}
        Some(Negative::NegativeText(text)) => sections.push(("Negative prompt", text.clone())),
        Some(Negative::NegativePrompt(negative)) => {
            sections.push(("Negative prompt", typed::negative_from_wire(negative).to_xml()));
        }
        None => {}
    }
    for (title, text) in sections {
        let text = highlight::xml(text.trim_end(), &terminal.style());
        lines.push(format!("\n{}\n{text}", bold.apply_to(title)));
    }
    let again = format!("sakuga generate --from '{}' --out again.png", plain(&input.name));
    lines.push(format!("\nTo make it again: {}\n", terminal.style().cyan().apply_to(again)));
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

/// `euler, 28 steps, guidance 5 while t < 0.25, shift 6`.
pub fn sampling(sampling: Option<&Sampling>) -> String {
    let Some(sampling) = sampling else { return String::new() };
    let mut parts = vec![sampling.solver().as_str_name().trim_start_matches("SOLVER_").to_lowercase()];
    parts.push(units::count(sampling.steps as usize, "step"));
    if let Some(scale) = sampling.guidance_scale {
        let until = sampling.guidance_until.filter(|until| *until < 1.0);
        parts.push(format!("guidance {scale}{}", until.map(|t| format!(" while t < {t}")).unwrap_or_default()));
    }
    if let Some(factor) = sampling.guidance_renorm.filter(|factor| *factor > 0.0) {
        parts.push(format!("renorm {factor}"));
    }
    if let Some(shift) = sampling.shift {
        parts.push(format!("shift {shift}"));
    }
    parts.join(", ")
}
