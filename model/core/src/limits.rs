//! Limits of a request that hold for every model and every server. They are part of the public API.
//!
//! The limits of [`Sampling`] are in [`Sampling::NUMBERS`]. [`all`] lists both, except those of adapters and controls. Tests
//! compare the comments of `proto/`, the clients and the help texts with it.

use crate::{Limit, Sampling};

pub use crate::limit::STEPS;

/// Images of one request. The last event repeats the request for each image and must fit into one message.
pub const IMAGES: Limit<u32> = Limit { field: "images", min: 1, max: 16 };
/// The longer edge of previews, in pixels.
pub const PREVIEW_EDGE_PX: Limit<u32> = Limit { field: "preview.max_edge", min: 16, max: 2048 };
/// Characters of the name that a caller gives a request. Empty: the server makes one.
pub const REQUEST_ID_CHARS: Limit<usize> = Limit { field: "request_id", min: 0, max: 64 };
/// Bytes of a prompt's text. The metadata of a picture contain up to three texts of this size: the prompt as a typed message, the
/// negative prompt, and the prompt as the text encoders read it.
pub const PROMPT_BYTES: Limit<usize> = Limit { field: "prompt", min: 1, max: 64 * 1024 };
/// Bytes of a system prompt in UTF-8.
pub const SYSTEM_PROMPT_BYTES: Limit<usize> = Limit { field: "system_prompt", min: 0, max: 8 * 1024 };
/// Adapters of one request. Limits of adapters and controls are not in [`all`], whose fields are found by the last part of
/// their name.
pub const ADAPTERS: Limit<usize> = Limit { field: "adapters", min: 0, max: 8 };
/// Factor on an adapter's effect on the denoiser.
pub const ADAPTER_SCALE: Limit<f32> = Limit { field: "adapters.scale", min: -10.0, max: 10.0 };
/// Factor on an adapter's effect on the text encoders.
pub const ADAPTER_TEXT_SCALE: Limit<f32> = Limit { field: "adapters.text_scale", min: -10.0, max: 10.0 };

/// Control images of one request.
pub const CONTROLS: Limit<usize> = Limit { field: "controls", min: 0, max: 4 };
/// Factor on what a control network adds.
pub const CONTROL_SCALE: Limit<f32> = Limit { field: "controls.scale", min: 0.0, max: 2.0 };
/// The share of the steps at which a control network begins to act.
pub const CONTROL_START: Limit<f32> = Limit { field: "controls.start", min: 0.0, max: 1.0 };
/// The share of the steps at which it stops.
pub const CONTROL_END: Limit<f32> = Limit { field: "controls.end", min: 0.0, max: 1.0 };

/// The share of a schedule that is computed when an image is changed. At least one step must also be computed.
pub const STRENGTH: Limit<f32> = Limit { field: "init.strength", min: 0.0, max: 1.0 };
/// Pixels over which the edge of a mask is soft.
pub const FEATHER_PX: Limit<u32> = Limit { field: "mask.feather", min: 0, max: 256 };
/// Pixels around a mask that are drawn with it if it is drawn alone.
pub const PADDING_PX: Limit<u32> = Limit { field: "mask.masked_only.padding", min: 0, max: 1024 };
/// Rectangles of a mask.
pub const BOXES: Limit<usize> = Limit { field: "mask.boxes", min: 0, max: 64 };
/// The size after a second pass, as a multiple of the size before it. The larger size must also be one that the model draws.
pub const FACTOR: Limit<f32> = Limit { field: "second_pass.factor", min: 1.0, max: 4.0 };
/// The share of its schedule that a second pass computes.
pub const SECOND_STRENGTH: Limit<f32> = Limit { field: "second_pass.strength", min: 0.0, max: 1.0 };
/// Intervals of the schedule of a second pass.
pub const SECOND_STEPS: Limit<u32> = Limit { field: "second_pass.steps", ..STEPS };
/// The share of the schedule's times that a model computes before its refiner.
pub const SWITCH_AT: Limit<f32> = Limit { field: "refiner.switch_at", min: 0.0, max: 1.0 };
/// The aesthetic score that a refiner reads with the prompt.
pub const AESTHETIC_SCORE: Limit<f32> = Limit { field: "refiner.aesthetic_score", min: 0.0, max: 10.0 };
/// The aesthetic score that a refiner reads with the negative prompt.
pub const NEGATIVE_AESTHETIC_SCORE: Limit<f32> = Limit { field: "refiner.negative_aesthetic_score", ..AESTHETIC_SCORE };
/// Bytes of a picture within a request.
pub const INLINE_BYTES: Limit<usize> = Limit { field: "inline", min: 1, max: 2 << 20 };

/// The field and the range of every limit, such as `("sampling.steps", "1 to 200")`.
pub fn all() -> Vec<(&'static str, String)> {
    let numbers = Sampling::NUMBERS.iter().map(|number| (number.limit.field, number.limit.to_string()));
    let counts = [STEPS, IMAGES, PREVIEW_EDGE_PX, FEATHER_PX, PADDING_PX, SECOND_STEPS];
    let mut all: Vec<_> = counts.map(|limit| (limit.field, limit.to_string())).into();
    let lengths = [REQUEST_ID_CHARS, PROMPT_BYTES, SYSTEM_PROMPT_BYTES, BOXES, INLINE_BYTES];
    all.extend(lengths.map(|limit| (limit.field, limit.to_string())));
    let shares = [STRENGTH, FACTOR, SECOND_STRENGTH, SWITCH_AT, AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE];
    all.extend(shares.map(|limit| (limit.field, limit.to_string())));
    all.extend(numbers);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_listed_once() {
        let all = all();
        assert!(all.contains(&("sampling.steps", "1 to 200".into())));
        assert!(all.contains(&("sampling.guidance_scale", "1 to 30".into())));
        let mut fields: Vec<_> = all.iter().map(|(field, _)| *field).collect();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), all.len());
    }
}
