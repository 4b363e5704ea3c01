//! Conversions of the image fields of a request.

use sakuga_model_core::{Area, Upscaler};
use sakuga_proto::generation::v1::{self as generation, image_source};

use super::enumeration::known;
use crate::error::Violation;
use crate::request::images::{
    ControlFacts, Images, Preprocessor, ResizeMode, Source, UncheckedCanvas, UncheckedControl, UncheckedImages,
    UncheckedInit, UncheckedMask, UncheckedMaskedOnly, UncheckedSecondPass,
};

/// What a request gives; an enumeration number that this server does not know is a fault.
pub(crate) fn from_proto(
    init: Option<generation::InitImage>,
    mask: Option<generation::Mask>,
    second_pass: Option<generation::SecondPass>,
    controls: Vec<generation::Control>,
    faults: &mut Vec<Violation>,
) -> UncheckedImages {
    UncheckedImages {
        init: init.map(|init| UncheckedInit {
            image: init.image.and_then(source),
            strength: init.strength,
            resize: resize(init.resize, "init.resize", faults),
            canvas: init.canvas.map(|canvas| UncheckedCanvas { left_px: canvas.left, top_px: canvas.top }),
        }),
        mask: mask.map(|mask| UncheckedMask {
            image: mask.image.and_then(source),
            boxes: mask.boxes.iter().map(area).collect(),
            feather_px: mask.feather,
            masked_only: mask.masked_only.map(|only| UncheckedMaskedOnly { padding_px: only.padding }),
        }),
        second_pass: second_pass.map(|second| UncheckedSecondPass {
            factor: second.factor,
            upscaler: upscaler(second.upscaler, faults),
            strength: second.strength,
            steps: second.steps,
        }),
        controls: controls.into_iter().enumerate().map(|(index, given)| control(index, given, faults)).collect(),
        first_pass: None,
    }
}

fn control(index: usize, given: generation::Control, faults: &mut Vec<Violation>) -> UncheckedControl {
    let preprocessor = known(given.preprocessor, &format!("controls[{index}].preprocessor"), faults);
    UncheckedControl {
        network: given.network,
        image: given.image.and_then(source),
        preprocessor: preprocessor.and_then(|word| match word {
            generation::Preprocessor::Unspecified => None,
            generation::Preprocessor::Canny => Some(Preprocessor::Canny),
        }),
        scale: given.scale,
        start: given.start,
        end: given.end,
        resize: resize(given.resize, &format!("controls[{index}].resize"), faults),
        canny: [given.canny_low, given.canny_high],
    }
}

/// Puts the images of a checked request into a message: files as their hashes, every default filled in.
pub(crate) fn fill(request: &mut generation::GenerateRequest, images: &Images) {
    request.init = images.init.as_ref().map(|init| generation::InitImage {
        image: Some(asset(&init.sha256)),
        strength: Some(init.strength),
        resize: to_resize(init.resize).into(),
        canvas: init.canvas.map(|[left, top]| generation::Canvas { left: Some(left), top: Some(top) }),
    });
    request.mask = images.mask.as_ref().map(|mask| generation::Mask {
        image: mask.sha256.as_deref().map(asset),
        boxes: mask.boxes.iter().map(to_box).collect(),
        feather: mask.feather_px,
        masked_only: mask.padding_px.map(|padding| generation::MaskedOnly { padding: Some(padding) }),
    });
    request.second_pass = images.second_pass.map(|second| generation::SecondPass {
        factor: Some(second.factor),
        upscaler: match second.upscaler {
            Upscaler::Lanczos => generation::Upscaler::Lanczos,
            Upscaler::LatentBilinear => generation::Upscaler::LatentBilinear,
        }
        .into(),
        strength: Some(second.strength),
        steps: second.steps,
    });
    request.controls = images.controls.iter().map(to_control).collect();
}

fn to_control(control: &ControlFacts) -> generation::Control {
    let preprocessor = match control.canny {
        None => generation::Preprocessor::Unspecified,
        Some(_) => generation::Preprocessor::Canny,
    };
    generation::Control {
        network: control.network.clone(),
        image: Some(asset(&control.sha256)),
        preprocessor: preprocessor.into(),
        scale: Some(control.scale),
        start: Some(control.start),
        end: Some(control.end),
        resize: to_resize(control.resize).into(),
        canny_low: control.canny.map(|[low, _]| low),
        canny_high: control.canny.map(|[_, high]| high),
    }
}

pub(super) fn to_resize(resize: Option<ResizeMode>) -> generation::ResizeMode {
    match resize {
        None => generation::ResizeMode::Unspecified,
        Some(ResizeMode::Crop) => generation::ResizeMode::Crop,
        Some(ResizeMode::Pad) => generation::ResizeMode::Pad,
        Some(ResizeMode::Stretch) => generation::ResizeMode::Stretch,
    }
}

pub(super) fn source(source: generation::ImageSource) -> Option<Source> {
    Some(match source.source? {
        image_source::Source::Inline(bytes) => Source::Inline(bytes),
        image_source::Source::Asset(sha256) => Source::Asset(sha256),
    })
}

pub(super) fn asset(sha256: &str) -> generation::ImageSource {
    generation::ImageSource { source: Some(image_source::Source::Asset(sha256.to_owned())) }
}

pub(super) fn area(given: &generation::Box) -> Area {
    let generation::Box { left, top, width, height } = *given;
    Area { left_px: left, top_px: top, width_px: width, height_px: height }
}

pub(super) fn to_box(area: &Area) -> generation::Box {
    let Area { left_px, top_px, width_px, height_px } = *area;
    generation::Box { left: left_px, top: top_px, width: width_px, height: height_px }
}

pub(super) fn resize(value: i32, field: &str, faults: &mut Vec<Violation>) -> Option<ResizeMode> {
    Some(match known(value, field, faults)? {
        generation::ResizeMode::Unspecified => return None,
        generation::ResizeMode::Crop => ResizeMode::Crop,
        generation::ResizeMode::Pad => ResizeMode::Pad,
        generation::ResizeMode::Stretch => ResizeMode::Stretch,
    })
}

fn upscaler(value: i32, faults: &mut Vec<Violation>) -> Option<Upscaler> {
    Some(match known(value, "second_pass.upscaler", faults)? {
        generation::Upscaler::Unspecified => return None,
        generation::Upscaler::Lanczos => Upscaler::Lanczos,
        generation::Upscaler::LatentBilinear => Upscaler::LatentBilinear,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::images::{Init, MaskFacts, SecondPassFacts};

    #[test]
    fn what_was_checked_comes_back_with_files_as_hashes() {
        let area = Area { left_px: 1, top_px: 2, width_px: 3, height_px: 4 };
        let modes = [ResizeMode::Crop, ResizeMode::Pad, ResizeMode::Stretch];
        for (mode, upscaler) in modes.into_iter().zip(Upscaler::ALL.into_iter().cycle()) {
            let images = Images {
                init: Some(Init { sha256: "ab".into(), strength: 0.6, resize: Some(mode), canvas: Some([5, 6]) }),
                mask: Some(MaskFacts {
                    sha256: Some("cd".into()),
                    boxes: vec![area],
                    feather_px: 7,
                    padding_px: Some(8),
                }),
                second_pass: Some(SecondPassFacts { factor: 1.5, upscaler, strength: 0.5, steps: 9 }),
                controls: vec![ControlFacts {
                    network: "canny".into(),
                    sha256: "ef".into(),
                    scale: 0.8,
                    start: 0.1,
                    end: 0.9,
                    resize: Some(mode),
                    canny: Some([50, 150]),
                }],
                first_pass: None,
            };
            let mut message = generation::GenerateRequest::default();
            fill(&mut message, &images);
            let mut faults = Vec::new();
            let UncheckedImages { init, mask, second_pass, controls, .. } =
                from_proto(message.init, message.mask, message.second_pass, message.controls, &mut faults);
            let control = UncheckedControl {
                network: "canny".into(),
                image: Some(Source::Asset("ef".into())),
                preprocessor: Some(Preprocessor::Canny),
                scale: Some(0.8),
                start: Some(0.1),
                end: Some(0.9),
                resize: Some(mode),
                canny: [Some(50), Some(150)],
            };
            assert_eq!(controls, [control]);
            assert!(faults.is_empty());
            let canvas = Some(UncheckedCanvas { left_px: Some(5), top_px: Some(6) });
            let image = Some(Source::Asset("ab".into()));
            assert_eq!(init, Some(UncheckedInit { image, strength: Some(0.6), resize: Some(mode), canvas }));
            let masked_only = Some(UncheckedMaskedOnly { padding_px: Some(8) });
            let image = Some(Source::Asset("cd".into()));
            assert_eq!(mask, Some(UncheckedMask { image, boxes: vec![area], feather_px: 7, masked_only }));
            let second =
                UncheckedSecondPass { factor: Some(1.5), upscaler: Some(upscaler), strength: Some(0.5), steps: 9 };
            assert_eq!(second_pass, Some(second));
        }
    }

    #[test]
    fn unknown_numbers_are_faults() {
        let mut faults = Vec::new();
        let init = generation::InitImage { resize: 99, ..generation::InitImage::default() };
        let second = generation::SecondPass { upscaler: 99, ..generation::SecondPass::default() };
        let control = generation::Control { preprocessor: 99, resize: 99, ..generation::Control::default() };
        from_proto(Some(init), None, Some(second), vec![control], &mut faults);
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        let of_control = ["controls[0].preprocessor", "controls[0].resize"];
        assert_eq!(fields, [&["init.resize", "second_pass.upscaler"][..], &of_control].concat());
    }
}
