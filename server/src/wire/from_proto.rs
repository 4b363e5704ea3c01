//! Messages to domain types. A value that the domain types cannot express becomes a fault.

use std::time::Duration;

use sakuga_model_core::PreviewMethod;
use sakuga_proto::generation::v1 as generation;
use sakuga_proto::prompt::v1 as prompt;
use sakuga_schema::{Character, Gender, GeneralTags, NegativePrompt, Prompt, Strictness, TagList};

use crate::error::Violation;
use crate::preview::PreviewFormat;
use crate::request::{NegativeForm, PromptForm, UncheckedRequest};
use crate::wire::enumeration::known;
use crate::wire::sampling;

/// A request.
pub fn unchecked(request: generation::GenerateRequest) -> UncheckedRequest {
    let mut faults = Vec::new();
    let preview = request.preview.unwrap_or_default();
    UncheckedRequest {
        request_id: request.request_id,
        prompt: request.prompt.map(|form| match form {
            generation::generate_request::Prompt::Xml(text) => PromptForm::Text(text),
            generation::generate_request::Prompt::Typed(typed) => {
                PromptForm::Typed(Box::new(self::typed(typed, &mut faults)))
            }
        }),
        strictness: strictness(request.strictness, &mut faults),
        negative: request.negative.map(|form| match form {
            generation::generate_request::Negative::NegativeText(text) => NegativeForm::Text(text),
            generation::generate_request::Negative::NegativePrompt(typed) => {
                NegativeForm::Typed(Box::new(negative(typed)))
            }
        }),
        model: request.model,
        system_prompt: request.system_prompt,
        sampling: sampling::from_proto(request.sampling.unwrap_or_default(), &mut faults),
        width_px: request.width,
        height_px: request.height,
        images: request.images,
        seed: request.seed,
        preview_method: preview_method(preview.method, &mut faults),
        preview_format: preview_format(preview.format, &mut faults),
        preview_max_edge_px: preview.max_edge,
        preview_every_steps: preview.every_steps,
        preview_min_interval_ms: preview.min_interval_ms,
        stats_interval_ms: request.gpu_stats_interval_ms,
        profile: request.profile,
        faults,
    }
}

/// How strictly text is read.
pub fn strictness(value: i32, faults: &mut Vec<Violation>) -> Strictness {
    match known(value, "strictness", faults) {
        None | Some(prompt::Strictness::Unspecified | prompt::Strictness::Lenient) => Strictness::Lenient,
        Some(prompt::Strictness::Strict) => Strictness::Strict,
    }
}

fn preview_method(value: i32, faults: &mut Vec<Violation>) -> Option<PreviewMethod> {
    match known(value, "preview.method", faults)? {
        generation::PreviewMethod::Unspecified | generation::PreviewMethod::None => None,
        generation::PreviewMethod::Linear => Some(PreviewMethod::Linear),
        generation::PreviewMethod::Decoder => Some(PreviewMethod::Decoder),
    }
}

fn preview_format(value: i32, faults: &mut Vec<Violation>) -> PreviewFormat {
    match known(value, "preview.format", faults) {
        None | Some(generation::ImageFormat::Unspecified | generation::ImageFormat::Jpeg) => PreviewFormat::Jpeg,
        Some(generation::ImageFormat::Png) => PreviewFormat::Png,
        Some(generation::ImageFormat::Webp) => PreviewFormat::Webp,
    }
}

/// A typed prompt. An unknown gender is a fault; one that is not said is left to the checker.
pub fn typed(typed: prompt::Prompt, faults: &mut Vec<Violation>) -> Prompt {
    let characters = typed.characters.into_iter().enumerate();
    Prompt {
        characters: characters.map(|(index, one)| character(one, index + 1, faults)).collect(),
        general_tags: typed.general_tags.map(general_tags),
        caption: non_empty(typed.caption),
    }
}

fn character(one: prompt::Character, number: usize, faults: &mut Vec<Violation>) -> Character {
    Character {
        n: one.n,
        gender: match known(one.gender, &format!("character_{number}/gender"), faults) {
            None | Some(prompt::Gender::Unspecified) => None,
            Some(prompt::Gender::Gender1girl) => Some(Gender::Girl),
            Some(prompt::Gender::Gender1boy) => Some(Gender::Boy),
            Some(prompt::Gender::Gender1other) => Some(Gender::Other),
        },
        appearance: tags(one.appearance),
        clothing: tags(one.clothing),
        body_type: tags(one.body_type),
        expression: tags(one.expression),
        action: tags(one.action),
        interaction: tags(one.interaction),
        position: tags(one.position),
    }
}

fn general_tags(general: prompt::GeneralTags) -> GeneralTags {
    GeneralTags {
        count: tags(general.count),
        artists: tags(general.artists),
        style: tags(general.style),
        background: tags(general.background),
        environment: tags(general.environment),
        perspective: tags(general.perspective),
        atmosphere: tags(general.atmosphere),
        lighting: tags(general.lighting),
        quality: tags(general.quality),
        resolution: tags(general.resolution),
        objects: tags(general.objects),
        other: tags(general.other),
    }
}

/// A typed negative prompt.
pub fn negative(typed: prompt::NegativePrompt) -> NegativePrompt {
    NegativePrompt {
        danbooru_tags: tags(typed.danbooru_tags),
        e621_tags: tags(typed.e621_tags),
        resolution: tags(typed.resolution),
        caption: non_empty(typed.caption),
    }
}

fn tags(list: Option<prompt::TagList>) -> TagList {
    TagList::new(list.unwrap_or_default().tags)
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The longest time that a request may name, 100 years. protobuf allows 10 000, which end behind the last moment that
/// JSON can write.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// A time as protobuf writes one; `None` if it is negative or breaks protobuf's own bounds.
pub fn duration(time: prost_types::Duration) -> Option<Duration> {
    // The crate's own conversion negates, which overflows at the least of all numbers.
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.seconds).ok()?, nanos)).filter(|time| *time <= DURATION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_or_refused_whatever_its_parts_are() {
        let read = |seconds, nanos| duration(prost_types::Duration { seconds, nanos });
        assert_eq!(read(1, 500_000_000), Some(Duration::from_millis(1500)));
        assert_eq!(read(DURATION_MAX.as_secs() as i64, 0), Some(DURATION_MAX));
        assert_eq!(read(DURATION_MAX.as_secs() as i64, 1), None);
        assert_eq!([read(i64::MAX, 999_999_999), read(315_576_000_000, 0)], [None, None], "protobuf's longest");
        for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MIN, 0), (0, i32::MIN), (i64::MIN, i32::MIN), (0, i32::MAX)] {
            assert_eq!(read(seconds, nanos), None, "{seconds} s {nanos} ns");
        }
    }
}
