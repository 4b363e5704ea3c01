//! The pass of a scene, between the wire and the domain. It is checked, and resolved, as a request for its own model.

use sakuga_proto::generation::v1::{self as generation, generate_request, scene};

use super::images;
use crate::error::Violation;
use crate::request::images::{FirstPass, ProtectionFacts, UncheckedFirstPass, UncheckedProtection};

/// Splits a scene into a request for its model and what it takes over from the first pass, whose pictures have `size_px`; `None`: that
/// is not known. An enumeration number that this server does not know is a fault.
pub(crate) fn from_proto(
    scene: generation::Scene,
    size_px: Option<[u32; 2]>,
    faults: &mut Vec<Violation>,
) -> (generation::GenerateRequest, UncheckedFirstPass) {
    let first_pass = UncheckedFirstPass {
        size_px,
        strength: scene.strength,
        resize: images::resize(scene.resize, "resize", faults),
        protection: scene.protection.map(|protection| UncheckedProtection {
            image: protection.image.and_then(images::source),
            boxes: protection.boxes.iter().map(images::area).collect(),
            feather_px: protection.feather,
        }),
    };
    let [own_width, own_height] = size_px.unwrap_or_default();
    let or_own = |given, own| if given == 0 { own } else { given };
    let request = generation::GenerateRequest {
        prompt: scene.prompt.map(|form| match form {
            scene::Prompt::Xml(text) => generate_request::Prompt::Xml(text),
            scene::Prompt::Typed(typed) => generate_request::Prompt::Typed(typed),
        }),
        strictness: scene.strictness,
        negative: scene.negative.map(|form| match form {
            scene::Negative::NegativeText(text) => generate_request::Negative::NegativeText(text),
            scene::Negative::NegativePrompt(typed) => generate_request::Negative::NegativePrompt(typed),
        }),
        model: scene.model,
        system_prompt: scene.system_prompt,
        negative_system_prompt: scene.negative_system_prompt,
        sampling: scene.sampling,
        width: or_own(scene.width, own_width),
        height: or_own(scene.height, own_height),
        seed: scene.seed,
        adapters: scene.adapters,
        refiner: scene.refiner,
        ..generation::GenerateRequest::default()
    };
    (request, first_pass)
}

/// The scene of a resolved request for its model.
pub(crate) fn to_proto(resolved: generation::GenerateRequest, first_pass: &FirstPass) -> generation::Scene {
    let FirstPass { strength, resize, protection } = first_pass;
    generation::Scene {
        prompt: resolved.prompt.map(|form| match form {
            generate_request::Prompt::Xml(text) => scene::Prompt::Xml(text),
            generate_request::Prompt::Typed(typed) => scene::Prompt::Typed(typed),
        }),
        strictness: resolved.strictness,
        negative: resolved.negative.map(|form| match form {
            generate_request::Negative::NegativeText(text) => scene::Negative::NegativeText(text),
            generate_request::Negative::NegativePrompt(typed) => scene::Negative::NegativePrompt(typed),
        }),
        model: resolved.model,
        system_prompt: resolved.system_prompt,
        negative_system_prompt: resolved.negative_system_prompt,
        sampling: resolved.sampling,
        strength: Some(*strength),
        width: resolved.width,
        height: resolved.height,
        resize: images::to_resize(*resize).into(),
        seed: resolved.seed,
        protection: protection.as_ref().map(|ProtectionFacts { sha256, boxes, feather_px }| generation::Protection {
            image: sha256.as_deref().map(images::asset),
            boxes: boxes.iter().map(images::to_box).collect(),
            feather: *feather_px,
        }),
        adapters: resolved.adapters,
        refiner: resolved.refiner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_a_request_of_its_model_and_comes_back() {
        let given = generation::Scene {
            prompt: Some(scene::Prompt::Xml("a forest".into())),
            negative: Some(scene::Negative::NegativeText("rain".into())),
            model: "sdxl".into(),
            system_prompt: Some(String::new()),
            sampling: Some(generation::Sampling { steps: 9, ..generation::Sampling::default() }),
            strength: Some(0.6),
            width: 96,
            height: 64,
            resize: generation::ResizeMode::Crop.into(),
            seed: Some(7),
            protection: Some(generation::Protection {
                image: Some(images::asset("ab")),
                boxes: vec![generation::Box { left: 1, top: 2, width: 3, height: 4 }],
                feather: 5,
            }),
            adapters: vec![generation::Adapter::default()],
            refiner: Some(generation::Refiner::default()),
            ..generation::Scene::default()
        };
        let mut faults = Vec::new();
        let (request, first_pass) = from_proto(given.clone(), Some([32, 48]), &mut faults);
        assert_eq!((request.width, request.height, faults.len()), (96, 64, 0));
        let protection = first_pass.protection.clone().expect("it was given");
        let facts = FirstPass {
            strength: first_pass.strength.expect("it was given"),
            resize: first_pass.resize,
            protection: Some(ProtectionFacts {
                sha256: Some("ab".into()),
                boxes: protection.boxes,
                feather_px: protection.feather_px,
            }),
        };
        assert_eq!(to_proto(request, &facts), given);
        let small = generation::Scene { width: 0, resize: 99, ..given };
        let (request, _) = from_proto(small, Some([32, 48]), &mut faults);
        assert_eq!((request.width, request.height, faults[0].field.as_str()), (32, 64, "resize"));
    }
}
