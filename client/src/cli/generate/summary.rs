//! The summary of a finished job, for people and for programs.

use std::path::{Path, PathBuf};

use sakuga_client::proto::generation::v1::Timings;
use sakuga_client::proto::json;
use sakuga_client::proto::text::one_line;
use sakuga_client::proto::time::{self, milliseconds};
use sakuga_client::{Completed, Picture};
use serde_json::{Value, json};

use super::facts::Facts;
use super::origin::Origin;
use crate::cli::output::shown;
use crate::cli::profile;
use crate::cli::terminal::Terminal;
use crate::cli::units;

/// Where the results are.
pub(crate) struct Places<'a> {
    /// The pictures, in order.
    pub paths: &'a [PathBuf],
    /// Directory and number of previews.
    pub previews: Option<(&'a Path, usize)>,
    /// File and number of events.
    pub events: Option<(PathBuf, u64)>,
}

/// The summary for people.
pub(crate) fn text(
    completed: &Completed,
    facts: &Facts,
    places: &Places<'_>,
    origin: Option<&Origin>,
    terminal: &Terminal,
) -> String {
    let bold = terminal.style().bold();
    let mut lines = Vec::new();
    for (position, (picture, path)) in completed.pictures.iter().zip(places.paths).enumerate() {
        let seed = seed_of(position, picture, facts).map(|seed| format!(", seed {seed}")).unwrap_or_default();
        let size = units::bytes(picture.bytes.len() as u64);
        let name = shown(path);
        lines.push(format!("{}  {}x{}, {size}{seed}", bold.apply_to(name), picture.width, picture.height));
    }
    lines.push(format!("took {}", timings_text(&completed.timings)));
    if let Some((directory, count)) = places.previews {
        lines.push(format!("{} in {}", units::count(count, "preview"), shown(directory)));
    }
    if let Some((path, count)) = &places.events {
        let count = usize::try_from(*count).unwrap_or(usize::MAX);
        lines.push(format!("{} in {}", units::count(count, "event"), shown(path)));
    }
    if facts.missed_events > 0 {
        lines.push(format!(
            "{} dropped by the server because this side read too slowly: previews and statistics only",
            units::count(usize::try_from(facts.missed_events).unwrap_or(usize::MAX), "event")
        ));
    }
    if let Some(line) = origin.and_then(|origin| comparison_text(completed, facts, origin)) {
        lines.push(line);
    }
    lines.push(String::new());
    lines.join("\n") + &profile::table(&facts.profiles)
}

/// The summary for programs.
pub(crate) fn json(completed: &Completed, facts: &Facts, places: &Places<'_>, origin: Option<&Origin>) -> Value {
    let images: Vec<Value> = completed
        .pictures
        .iter()
        .zip(places.paths)
        .enumerate()
        .map(|(position, (picture, path))| {
            json!({
                "file": path.display().to_string(),
                "sha256": picture.sha256,
                "pixels_sha256": picture.pixels_sha256,
                "width": picture.width,
                "height": picture.height,
                "bytes": picture.bytes.len(),
                "seed": seed_of(position, picture, facts),
                "image_index": picture.image_index,
            })
        })
        .collect();
    let started = facts.started.as_ref();
    let timings = &completed.timings;
    json!({
        "status": "completed",
        "job_id": facts.job_id,
        "request_id": facts.request_id,
        "images": images,
        "device": started.map(|started| &started.device),
        "model_notice": started.map(|started| &started.model_notice),
        "steps": facts.total_steps,
        "timings_ms": {
            "queued": milliseconds(timings.queued),
            "load_model": milliseconds(timings.load_model),
            "text_encode": milliseconds(timings.text_encode),
            "vae_encode": milliseconds(timings.vae_encode),
            "denoise": milliseconds(timings.denoise),
            "decode": milliseconds(timings.decode),
            "encode_image": milliseconds(timings.encode_image),
            "total": milliseconds(timings.total),
        },
        // A message of this API always has its descriptor.
        "profiles": facts.profiles.iter().filter_map(|profile| json::dynamic(profile).ok()).collect::<Vec<_>>(),
        "previews": facts.previews,
        "missed_events": facts.missed_events,
        "preview_dir": places.previews.map(|(directory, _)| directory.display().to_string()),
        "events": places.events.as_ref().map(|(path, _)| path.display().to_string()),
        "same_pixels_as_origin": origin.and_then(|origin| is_same(completed, origin)),
    })
}

fn timings_text(timings: &Timings) -> String {
    let duration = |time: Option<prost_types::Duration>| time.and_then(time::duration).unwrap_or_default();
    let parts: Vec<String> = [
        ("queue", timings.queued),
        ("load", timings.load_model),
        ("text", timings.text_encode),
        ("encode", timings.vae_encode),
        ("denoise", timings.denoise),
        ("decode", timings.decode),
        ("PNG", timings.encode_image),
    ]
    .into_iter()
    .map(|(name, time)| (name, duration(time)))
    .filter(|(_, time)| !time.is_zero())
    .map(|(name, time)| format!("{name} {}", units::duration(time)))
    .collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{}{parts}", units::duration(duration(timings.total)))
}

/// The seed of the picture at `position` of those that were drawn.
fn seed_of(position: usize, picture: &Picture, facts: &Facts) -> Option<u64> {
    let from_record = picture.metadata.as_ref().map(|metadata| metadata.seed);
    let from_start = || facts.started.as_ref()?.seeds.get(position).copied();
    from_record.or_else(from_start)
}

/// Whether the picture has the same pixels as the one its request came from; `None` if the request was changed.
fn is_same(completed: &Completed, origin: &Origin) -> Option<bool> {
    if origin.is_changed {
        return None;
    }
    let again = completed.pictures.iter().find(|picture| picture.image_index == origin.image_index)?;
    Some(again.pixels_sha256 == origin.pixels_sha256)
}

fn comparison_text(completed: &Completed, facts: &Facts, origin: &Origin) -> Option<String> {
    let name = one_line(&origin.name);
    if is_same(completed, origin)? {
        return Some(format!("the pixels are the same as in {name}"));
    }
    let device = facts.started.as_ref().map(|started| started.device.as_str()).unwrap_or_default();
    let reason = if device == origin.device {
        "the model or the version of the server differs".to_owned()
    } else {
        format!("it was drawn on {}, this one on {}", one_line(&origin.device), one_line(device))
    };
    Some(format!("the pixels differ from {name}: {reason}"))
}
