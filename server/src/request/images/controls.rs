//! Checks the images that steer a request through control networks.

use std::sync::Arc;

use sakuga_model_core::{ControlChoice, Limit, Region, Rgb8, limits};

use super::canny;
use super::check::Check;
use super::image_fit::ImageFit;
use super::{ControlFacts, Preprocessor, UncheckedControl};
use crate::error::Violation;

/// OpenCV's usual thresholds.
const CANNY_LOW: u32 = 100;
const CANNY_HIGH: u32 = 200;
/// The largest gradient: four times 255 in each direction.
const CANNY_MAX: u32 = 2040;

impl Check<'_> {
    /// The control images for the model at `size_px`, and their entries in the record. `region` is the part that is
    /// drawn alone.
    pub(super) fn controls(
        &mut self,
        given: Vec<UncheckedControl>,
        region: Option<&Region>,
        size_px: [u32; 2],
    ) -> (Vec<ControlFacts>, Vec<ControlChoice>) {
        let max = limits::CONTROLS.max;
        if given.len() > max {
            let text = format!("{} control images are too many; use at most {max}", given.len());
            self.add(limits::CONTROLS.field, Violation::OUT_OF_RANGE, text);
            return Default::default();
        }
        let checked = given.into_iter().enumerate();
        checked.filter_map(|(index, control)| self.control(index, control, region, size_px)).unzip()
    }

    fn control(
        &mut self,
        index: usize,
        given: UncheckedControl,
        region: Option<&Region>,
        [width_px, height_px]: [u32; 2],
    ) -> Option<(ControlFacts, ControlChoice)> {
        let field = |name: &str| format!("controls[{index}].{name}");
        let UncheckedControl { network, image, preprocessor, scale, start, end, resize, canny } = given;
        let device_bytes = self.network(&field("network"), &network);
        let mut within = |name: &str, limit: &Limit<f32>, given: f32| {
            if !limit.contains(given) {
                self.faults.push(Violation::out_of_range(field(name), limit, given));
            }
            given
        };
        let scale = within("scale", &limits::CONTROL_SCALE, scale.unwrap_or(1.0));
        let start = within("start", &limits::CONTROL_START, start.unwrap_or(0.0));
        let end = within("end", &limits::CONTROL_END, end.unwrap_or(1.0));
        if start > end {
            let text = format!("{end} is before `start`, {start}; use at least that");
            self.add(field("end"), Violation::OUT_OF_RANGE, text);
        }
        let canny = [canny[0].unwrap_or(CANNY_LOW), canny[1].unwrap_or(CANNY_HIGH)];
        if canny[0] > canny[1] || canny[1] > CANNY_MAX {
            let text = format!(
                "{} and {} are not thresholds; use two in ascending order, 0 to {CANNY_MAX}",
                canny[0], canny[1]
            );
            self.add(field("canny_high"), Violation::OUT_OF_RANGE, text);
        }
        let Some(source) = image else {
            let text = "there is no image; set `inline` to a PNG, JPEG or WebP file, or `asset` to an uploaded one";
            self.add(field("image"), Violation::REQUIRED, text);
            return None;
        };
        let file = self.file(&field("image"), &source)?;
        let size = [self.around.width_px, self.around.height_px];
        if resize.is_none() && [file.image.width_px, file.image.height_px] != size {
            let text = format!(
                "the image has {}x{} pixels and the picture {}x{}; set `resize` to crop, pad or stretch",
                file.image.width_px, file.image.height_px, size[0], size[1]
            );
            self.add(field("resize"), Violation::REQUIRED, text);
            return None;
        }
        if !self.faults.is_empty() {
            return None;
        }
        let placed = ImageFit::Resized(resize).of(&file.image, size[0], size[1]);
        let part = |image: Rgb8| match region {
            Some(region) => image.cropped(&region.area).resampled(width_px, height_px),
            None => image,
        };
        let image = match preprocessor {
            None => part(placed),
            Some(Preprocessor::Canny) => canny::edges(&part(placed), canny[0], canny[1]),
        };
        let choice = ControlChoice {
            network: network.clone(),
            image: Arc::new(image),
            scale,
            start,
            end,
            device_bytes: device_bytes?,
        };
        let canny = preprocessor.map(|Preprocessor::Canny| canny);
        Some((ControlFacts { network, sha256: file.sha256, scale, start, end, resize, canny }, choice))
    }

    /// Bytes of device memory that a network takes, or a fault that says which ones there are.
    fn network(&mut self, field: &str, name: &str) -> Option<u64> {
        let model = self.around.model;
        if let Some(network) = model.control(name) {
            return Some(network.device_bytes);
        }
        let shown = super::shown(name);
        let usable = model.controls.iter().filter(|network| network.problem.is_empty());
        let names: Vec<String> = usable.map(|network| format!("`{}`", network.name)).collect();
        let problem =
            model.controls.iter().find(|network| network.name == name).map(|network| network.problem.as_str());
        let (reason, text) = match problem {
            _ if model.controls.is_empty() => (
                Violation::UNSUPPORTED,
                format!(
                    "`{}` has no control networks; the operator names their folder with --controlnets, and they are for Stable \
                     Diffusion XL models",
                    model.name
                ),
            ),
            Some(problem) => (Violation::UNSUPPORTED, format!("`{}` cannot use `{shown}`: {problem}", model.name)),
            None if names.is_empty() => (
                Violation::UNKNOWN_VALUE,
                format!(
                    "there is no control network `{shown}`, and `{}` can use none of those in its folder",
                    model.name
                ),
            ),
            None => {
                (Violation::UNKNOWN_VALUE, format!("there is no control network `{shown}`; use {}", names.join(" or ")))
            }
        };
        self.add(field, reason, text);
        None
    }
}
