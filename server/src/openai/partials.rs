//! Which previews of a job are the partial pictures of a stream.

use sakuga_model_core::{ModelInfo, computed_steps};
use sakuga_proto::generation::v1::{self as generation, GenerateRequest};

use super::output::Format;
use super::parameters::Parameters;
use crate::error::Violation;
use crate::request::images::{SECOND_STRENGTH_DEFAULT, STRENGTH_DEFAULT};

/// The most partial pictures of one picture.
pub(super) const PARTIALS_MAX: u32 = 3;
/// The longer edge of partial pictures unless the request says otherwise, in pixels.
const PARTIAL_EDGE_PX: u32 = 1024;

/// Asks for as many previews as there are partial pictures.
pub(super) fn ask(
    parameters: &mut Parameters,
    request: &mut GenerateRequest,
    partials: u32,
    format: Format,
    model: &ModelInfo,
) {
    if partials == 0 {
        if request.preview.take().is_some() {
            let text = "describes partial pictures; set `stream` and `partial_images`, or remove it";
            parameters.fault("sakuga.preview", Violation::CONFLICT, text);
        }
        return;
    }
    let mut preview = request.preview.unwrap_or(generation::PreviewOptions {
        method: generation::PreviewMethod::Decoder.into(),
        format: format.of_previews().into(),
        max_edge: PARTIAL_EDGE_PX,
        ..generation::PreviewOptions::default()
    });
    preview.every_steps = every_steps(steps(request, model), partials);
    request.preview = Some(preview);
}

/// Steps that are computed, in both passes.
fn steps(request: &GenerateRequest, model: &ModelInfo) -> u32 {
    let given = request.sampling.as_ref().map_or(0, |sampling| sampling.steps);
    let steps = if given == 0 { model.sampling.steps } else { given };
    let first = match &request.init {
        Some(init) => computed_steps(steps, init.strength.unwrap_or(STRENGTH_DEFAULT)),
        None => steps,
    };
    let second = request.second_pass.as_ref().map_or(0, |second| {
        let steps = if second.steps == 0 { steps } else { second.steps };
        computed_steps(steps, second.strength.unwrap_or(SECOND_STRENGTH_DEFAULT))
    });
    first.saturating_add(second)
}

/// The number of steps between previews for `partials` previews before the last step, evenly spaced where possible.
fn every_steps(steps: u32, partials: u32) -> u32 {
    let even = steps.div_ceil(partials + 1).max(1);
    let before_the_last = steps.saturating_sub(1) / even;
    if before_the_last >= partials { even } else { (steps / (partials + 1)).max(1) }
}

/// The index of the partial picture that the preview after a step is; `None`: it is not one.
pub(super) fn partial_index(step: u32, every_steps: u32, partials: u32) -> Option<u32> {
    let every_steps = every_steps.max(1);
    let index = (step / every_steps).checked_sub(1)?;
    (step.is_multiple_of(every_steps) && index < partials).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_spread_over_the_steps() {
        for (steps, partials, expected) in [
            (28, 3, vec![7, 14, 21]),
            (28, 2, vec![10, 20]),
            (28, 1, vec![14]),
            (7, 3, vec![2, 4, 6]),
            (5, 3, vec![1, 2, 3]),
            (4, 3, vec![1, 2, 3]),
            (2, 3, vec![1, 2]),
            (1, 1, vec![1]),
            (200, 3, vec![50, 100, 150]),
        ] {
            let every = every_steps(steps, partials);
            let found: Vec<u32> = (1..=steps).filter(|step| partial_index(*step, every, partials).is_some()).collect();
            assert_eq!(found, expected, "{partials} of {steps}");
        }
        assert_eq!((every_steps(0, 3), partial_index(0, 1, 3), partial_index(5, 0, 3)), (1, None, None));
    }
}
