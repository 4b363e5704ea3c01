//! Messages to values of the domain. An enum number that the domain lacks becomes a violation.

use std::time::Duration;

use sakuga_model_core::PreviewMethod;
use sakuga_proto::generation::v1 as generation;
use sakuga_proto::prompt::v1 as prompt;
use sakuga_proto::schema::unknown_genders;
use sakuga_schema::{Prompt, Strictness};

use crate::adapters::{AdapterSource, RequestedAdapter};
use crate::error::Violation;
use crate::preview::PreviewFormat;
use crate::request::{Expansion, NegativeForm, PromptForm, UncheckedRefiner, UncheckedRequest};
use crate::wire::enumeration::known;
use crate::wire::{images, sampling};

pub(crate) fn unchecked(request: generation::GenerateRequest) -> UncheckedRequest {
    let mut faults = Vec::new();
    let preview = request.preview.unwrap_or_default();
    UncheckedRequest {
        request_id: request.request_id,
        prompt: request.prompt.map(|form| match form {
            generation::generate_request::Prompt::Xml(text) => PromptForm::Text(text),
            generation::generate_request::Prompt::Typed(typed) => {
                PromptForm::Typed(Box::new(self::typed(&typed, &mut faults)))
            }
        }),
        strictness: strictness(request.strictness, &mut faults),
        negative: request.negative.map(|form| match form {
            generation::generate_request::Negative::NegativeText(text) => NegativeForm::Text(text),
            generation::generate_request::Negative::NegativePrompt(typed) => {
                NegativeForm::Typed(Box::new((&typed).into()))
            }
        }),
        system_prompt: request.system_prompt,
        negative_system_prompt: request.negative_system_prompt,
        sampling: sampling::from_proto(request.sampling.unwrap_or_default(), &mut faults),
        width_px: request.width,
        height_px: request.height,
        count: request.images,
        image_indices: request.image_indices,
        seed: request.seed,
        preview_method: preview_method(preview.method, &mut faults),
        preview_format: preview_format(preview.format, &mut faults),
        preview_max_edge_px: preview.max_edge,
        preview_every_steps: preview.every_steps,
        preview_min_interval_ms: preview.min_interval_ms,
        stats_interval_ms: request.gpu_stats_interval_ms,
        profile: request.profile,
        expansion: request.expansion.map(|expansion| Expansion {
            template: expansion.template,
            negative_template: expansion.negative_template,
            seed: expansion.seed,
            variation: expansion.variation,
            choices: expansion.choices,
        }),
        images: images::from_proto(request.init, request.mask, request.second_pass, request.controls, &mut faults),
        refiner: request.refiner.map(|given| UncheckedRefiner {
            switch_at: given.switch_at,
            aesthetic_score: given.aesthetic_score,
            negative_aesthetic_score: given.negative_aesthetic_score,
        }),
        adapters: Vec::new(),
        faults,
    }
}

/// The adapters that a request names, as received.
pub(crate) fn adapters(adapters: Vec<generation::Adapter>) -> Vec<RequestedAdapter> {
    let adapter = |generation::Adapter { source, scale, text_scale }| {
        let source = source.map(|source| match source {
            generation::adapter::Source::Name(name) => AdapterSource::Name(name),
            generation::adapter::Source::Sha256(sha256) => AdapterSource::Sha256(sha256),
        });
        RequestedAdapter { source, scale, text_scale }
    };
    adapters.into_iter().map(adapter).collect()
}

/// How strictly text is read.
pub(crate) fn strictness(value: i32, faults: &mut Vec<Violation>) -> Strictness {
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

/// A typed prompt. An unknown gender is a violation; an absent one is left to the checker.
pub(crate) fn typed(typed: &prompt::Prompt, faults: &mut Vec<Violation>) -> Prompt {
    for (index, gender) in unknown_genders(typed) {
        known::<prompt::Gender>(gender, &format!("character_{}/gender", index + 1), faults);
    }
    typed.into()
}

/// The longest duration of a request, 100 years. protobuf allows 10 000 years, but from now on they would end after the
/// last timestamp that protobuf JSON can write.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// A time of a request; `None` if it is negative, not valid, or longer than [`DURATION_MAX`].
pub(crate) fn duration(time: prost_types::Duration) -> Option<Duration> {
    sakuga_proto::time::duration(time).filter(|time| *time <= DURATION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_up_to_the_longest() {
        let read = |seconds, nanos| duration(prost_types::Duration { seconds, nanos });
        assert_eq!(read(1, 500_000_000), Some(Duration::from_millis(1500)));
        assert_eq!(read(DURATION_MAX.as_secs() as i64, 0), Some(DURATION_MAX));
        assert_eq!(read(DURATION_MAX.as_secs() as i64, 1), None);
        assert_eq!([read(i64::MAX, 999_999_999), read(315_576_000_000, 0)], [None, None], "protobuf's longest");
        assert_eq!([read(-1, 0), read(0, i32::MIN)], [None, None]);
    }
}
