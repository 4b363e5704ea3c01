//! Checks how the pass of a scene takes over the pictures of the first pass.

use std::sync::Arc;

use sakuga_model_core::{InitImage, Limit, Mask, Rgb8, limits};

use super::check::{Check, Surroundings};
use super::image_fit::ImageFit;
use super::{FirstPass, ProtectionFacts, SCENE_STRENGTH_DEFAULT, UncheckedFirstPass, UncheckedProtection};
use crate::error::Violation;

/// [`limits::STRENGTH`] under its name in a scene.
const STRENGTH: Limit<f32> = Limit { field: "strength", ..limits::STRENGTH };
/// [`limits::FEATHER_PX`] under its name in a scene.
const FEATHER_PX: Limit<u32> = Limit { field: "protection.feather", ..limits::FEATHER_PX };

impl FirstPass {
    /// A picture of the first pass, brought to the size of the scene.
    pub(crate) fn placed(&self, picture: &Rgb8, [width_px, height_px]: [u32; 2]) -> Rgb8 {
        ImageFit::Resized(self.resize).of(picture, width_px, height_px)
    }
}

impl Check<'_> {
    /// The initial image of the pass. Its pixels are black until the first pass is drawn; its strength and mask are
    /// final.
    pub(super) fn first_pass(&mut self, given: UncheckedFirstPass) -> Option<(FirstPass, InitImage)> {
        let Surroundings { model, width_px, height_px, steps, .. } = self.around;
        if !model.encodes_images {
            let text = format!(
                "`{}` cannot draw over the first pass, its checkpoint has no VAE encoder; use another model",
                model.name
            );
            self.add("model", Violation::UNSUPPORTED, text);
        }
        let UncheckedFirstPass { size_px, strength, resize, protection } = given;
        let strength = strength.unwrap_or(SCENE_STRENGTH_DEFAULT);
        self.strength(&STRENGTH, strength, steps);
        let own_size_px = size_px.unwrap_or([width_px, height_px]);
        if resize.is_none() && own_size_px != [width_px, height_px] {
            let [own_width, own_height] = own_size_px;
            let text = format!(
                "the pictures of the first pass have {own_width}x{own_height} pixels and the scene {width_px}x{height_px}; set \
                 `resize` to crop, pad or stretch"
            );
            self.add("resize", Violation::REQUIRED, text);
        }
        let protected = protection.and_then(|given| self.protection(&given, own_size_px, ImageFit::Resized(resize)));
        if !self.faults.is_empty() {
            return None;
        }
        let (protection, mask) = protected.unzip();
        let black = Rgb8 { width_px, height_px, pixels: vec![0; 3 * width_px as usize * height_px as usize] };
        let init = InitImage { image: Arc::new(black), strength, mask: mask.map(Arc::new), region: None };
        Some((FirstPass { strength, resize, protection }, init))
    }

    /// What is kept, and the mask of what is drawn again.
    fn protection(
        &mut self,
        given: &UncheckedProtection,
        own_size_px: [u32; 2],
        fit: ImageFit,
    ) -> Option<(ProtectionFacts, Mask)> {
        let UncheckedProtection { image, boxes, feather_px } = given;
        self.within(&FEATHER_PX, *feather_px);
        match (image, boxes.as_slice()) {
            (Some(_), [_, ..]) => {
                let text = "`image` and `boxes` are both set; remove one of the two";
                self.add("protection", Violation::CONFLICT, text);
            }
            (None, []) => {
                let text = "nothing is protected; set `image` or `boxes`, or remove `protection`";
                self.add("protection", Violation::REQUIRED, text);
            }
            _ => {}
        }
        self.boxes("protection.boxes", boxes);
        let file = image.as_ref().and_then(|source| self.file("protection.image", source));
        let file_mask = match &file {
            Some(file) => Some(self.placed_mask("protection.image", &file.image, own_size_px, fit)?),
            None => None,
        };
        if !self.faults.is_empty() {
            return None;
        }
        let Surroundings { width_px, height_px, .. } = self.around;
        let mut kept = file_mask.unwrap_or_else(|| Mask::empty(width_px, height_px));
        boxes.iter().for_each(|area| kept.mark(area));
        // Kept pixels stay outside of the soft edge of what is drawn.
        let drawn = kept.grown(*feather_px).inverted();
        if drawn.bounds().is_none() {
            let text =
                "everything is protected, so that nothing would be drawn; protect less, or use a smaller feather";
            self.add("protection", Violation::OUT_OF_RANGE, text);
            return None;
        }
        let sha256 = file.map(|file| file.sha256);
        Some((ProtectionFacts { sha256, boxes: boxes.clone(), feather_px: *feather_px }, drawn.feathered(*feather_px)))
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{Area, ModelInfo};

    use super::super::{Checked, NoUploads, ResizeMode, UncheckedImages};
    use super::*;
    use crate::engine::scripted::{Script, source};

    fn checked(first_pass: UncheckedFirstPass) -> Checked {
        let described = source(Script::default()).describe().unwrap_or_else(|error| panic!("{error}"));
        let model: &ModelInfo = &described.info.model;
        let around =
            Surroundings { uploads: &NoUploads, model, pixels_max: u64::MAX, width_px: 64, height_px: 48, steps: 10 };
        UncheckedImages { first_pass: Some(first_pass), ..UncheckedImages::default() }.check(around)
    }

    fn fields(checked: &Checked) -> Vec<(&str, &str)> {
        checked.faults.iter().map(|fault| (fault.field.as_str(), fault.reason)).collect()
    }

    fn protected(boxes: Vec<Area>, feather_px: u32) -> UncheckedFirstPass {
        let protection = UncheckedProtection { boxes, feather_px, ..UncheckedProtection::default() };
        UncheckedFirstPass { size_px: Some([64, 48]), protection: Some(protection), ..UncheckedFirstPass::default() }
    }

    #[test]
    fn protected_pixels_are_kept_whatever_the_feather() {
        let area = Area { left_px: 8, top_px: 8, width_px: 16, height_px: 24 };
        for feather_px in [0, 7] {
            let Checked { images, drawn, faults } = checked(protected(vec![area], feather_px));
            assert_eq!(faults, []);
            let mask = drawn.init.and_then(|init| init.mask).expect("a mask");
            let kept = |x: usize, y: usize| mask.levels()[64 * y + x] == 0;
            assert!((8..32).all(|y| (8..24).all(|x| kept(x, y))), "feather {feather_px}");
            assert!(!kept(63, 47));
            assert_eq!(images.first_pass.expect("facts").strength, SCENE_STRENGTH_DEFAULT);
        }
    }

    #[test]
    fn every_fault_names_its_field() {
        let outside = Area { left_px: 60, top_px: 0, width_px: 16, height_px: 16 };
        let all = Area { left_px: 0, top_px: 0, width_px: 64, height_px: 48 };
        for (given, expected) in [
            (
                UncheckedFirstPass { size_px: Some([32, 32]), ..UncheckedFirstPass::default() },
                ("resize", Violation::REQUIRED),
            ),
            (
                UncheckedFirstPass { strength: Some(1.5), ..UncheckedFirstPass::default() },
                ("strength", Violation::OUT_OF_RANGE),
            ),
            (
                UncheckedFirstPass { strength: Some(0.05), ..UncheckedFirstPass::default() },
                ("strength", Violation::OUT_OF_RANGE),
            ),
            (protected(vec![outside], 0), ("protection.boxes[0]", Violation::OUT_OF_RANGE)),
            (protected(vec![all], 0), ("protection", Violation::OUT_OF_RANGE)),
            (protected(vec![outside; 65], 0), ("protection.boxes", Violation::OUT_OF_RANGE)),
            (protected(Vec::new(), 0), ("protection", Violation::REQUIRED)),
            (protected(vec![Area { width_px: 1, ..all }], 257), ("protection.feather", Violation::OUT_OF_RANGE)),
        ] {
            let checked = checked(given.clone());
            assert_eq!(fields(&checked), [expected], "{given:?}");
            assert!(checked.drawn.init.is_none());
        }
        let resized = UncheckedFirstPass {
            size_px: Some([32, 32]),
            resize: Some(ResizeMode::Crop),
            ..UncheckedFirstPass::default()
        };
        assert_eq!(fields(&checked(resized)), []);
    }
}
