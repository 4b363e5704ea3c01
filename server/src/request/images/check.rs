//! Checks the image fields of a request, reads its files, and prepares the input of the model.

use std::borrow::Cow;
use std::sync::Arc;

use sakuga_model_core::{
    Area, ControlChoice, InitImage, Limit, Mask, ModelInfo, Region, Rgb8, SecondPass, Upscaler, computed_steps,
    least_strength, limits,
};

use super::image_fit::ImageFit;
use super::region::{DrawnRegion, surroundings};
use super::source::{self, File, Uploads};
use super::{
    FACTOR_DEFAULT, Images, Init, MaskFacts, PADDING_DEFAULT_PX, ResizeMode, SECOND_STRENGTH_DEFAULT, STRENGTH_DEFAULT,
    SecondPassFacts, Source, UncheckedCanvas, UncheckedImages, UncheckedInit, UncheckedMask, UncheckedSecondPass,
};
use crate::error::Violation;

/// The inputs of the check.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Files that the caller uploaded.
    pub uploads: &'a dyn Uploads,
    pub model: &'a ModelInfo,
    /// Pixels that a picture may have.
    pub pixels_max: u64,
    /// Width of the picture before a second pass, in pixels.
    pub width_px: u32,
    /// Height of the picture before a second pass, in pixels.
    pub height_px: u32,
    /// Steps of the first pass.
    pub steps: u32,
}

/// The result of the check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// What the request says about images.
    pub images: Images,
    /// What the model gets.
    pub drawn: Drawn,
    /// What is wrong.
    pub faults: Vec<Violation>,
}

/// What the model gets of the images of a request.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    /// Size at which the first pass draws, if it is not that of the picture.
    pub size_px: Option<[u32; 2]>,
    /// What the pictures begin from.
    pub init: Option<InitImage>,
    pub second_pass: Option<SecondPass>,
    /// What steers the pictures.
    pub controls: Vec<ControlChoice>,
}

impl UncheckedImages {
    /// Checks everything. If there are faults, nothing can be drawn.
    pub(crate) fn check(self, around: Surroundings<'_>) -> Checked {
        let mut check = Check { around, faults: Vec::new() };
        let has_mask = self.mask.is_some();
        let has_canvas = self.init.as_ref().is_some_and(|init| init.canvas.is_some());
        let mut images = Images::default();
        let mut drawn = Drawn::default();
        if let Some(second) = self.second_pass {
            if has_mask || has_canvas {
                let with = if has_mask { "mask" } else { "init.canvas" };
                let text = format!(
                    "a second pass draws the whole picture again, also what `{with}` keeps; remove one of the two"
                );
                check.add("second_pass", Violation::CONFLICT, text);
            }
            if let Some((facts, second)) = check.second_pass(second) {
                images.second_pass = Some(facts);
                drawn.second_pass = Some(second);
            }
        }
        if self.init.is_some() && !around.model.encodes_images {
            let name = &around.model.name;
            let text =
                format!("`{name}` cannot begin from an image, its checkpoint has no VAE encoder; use another model");
            check.add("init", Violation::UNSUPPORTED, text);
        }
        match (self.init, self.mask) {
            (None, None) => {}
            (None, Some(mask)) => {
                let text = "`mask` says what of an image is drawn again, and there is no image; set `init.image`, or remove \
                            `mask`";
                check.add("init.image", Violation::REQUIRED, text);
                check.mask_numbers(&mask);
            }
            (Some(init), mask) => check.init(init, mask, &mut images, &mut drawn),
        }
        if let Some(first) = self.first_pass
            && let Some((facts, init)) = check.first_pass(first)
        {
            (images.first_pass, drawn.init) = (Some(facts), Some(init));
        }
        let size_px = drawn.size_px.unwrap_or([around.width_px, around.height_px]);
        let region = drawn.init.as_ref().and_then(|init| init.region.as_ref());
        (images.controls, drawn.controls) = check.controls(self.controls, region, size_px);
        Checked { images, drawn, faults: check.faults }
    }
}

/// Collects the faults of a request's images.
pub(super) struct Check<'a> {
    pub(super) around: Surroundings<'a>,
    pub(super) faults: Vec<Violation>,
}

impl Check<'_> {
    pub(super) fn add(&mut self, field: impl Into<String>, reason: &'static str, text: impl Into<String>) {
        self.faults.push(Violation::new(field, reason, text));
    }

    pub(super) fn within<T: PartialOrd + Copy + std::fmt::Display>(&mut self, limit: &Limit<T>, given: T) {
        if !limit.contains(given) {
            self.faults.push(Violation::out_of_range(limit.field, limit, given));
        }
    }

    pub(super) fn strength(&mut self, limit: &Limit<f32>, given: f32, steps: u32) {
        if !limit.contains(given) {
            self.within(limit, given);
        } else if computed_steps(steps, given) == 0 {
            let least = least_strength(steps);
            let text = format!("{given} of {steps} steps computes none; use at least {least}, or more steps");
            self.add(limit.field, Violation::OUT_OF_RANGE, text);
        }
    }

    /// Reads a file, or reports why it cannot be read.
    pub(super) fn file(&mut self, field: &str, source: &Source) -> Option<File> {
        source::read(field, source, self.around.uploads).map_err(|fault| self.faults.push(fault)).ok()
    }

    fn init(&mut self, init: UncheckedInit, mask: Option<UncheckedMask>, images: &mut Images, drawn: &mut Drawn) {
        let UncheckedInit { image, strength, resize, canvas } = init;
        let strength = strength.unwrap_or(STRENGTH_DEFAULT);
        self.strength(&limits::STRENGTH, strength, self.around.steps);
        if let Some(mask) = &mask {
            self.mask_numbers(mask);
        }
        if resize.is_some() && canvas.is_some() {
            let text = "an image on a canvas keeps its size; remove `resize` or `canvas`";
            self.add("init.resize", Violation::CONFLICT, text);
        }
        let file = match &image {
            Some(source) => self.file("init.image", source),
            None => {
                let text = "`init` has no image; set `inline` to a PNG, JPEG or WebP file, or remove `init`";
                self.add("init.image", Violation::REQUIRED, text);
                None
            }
        };
        let mask_file = mask.as_ref().and_then(|mask| mask.image.as_ref());
        let mask_file = mask_file.and_then(|source| self.file("mask.image", source));
        let Some(file) = file else { return };
        let Some(fit) = self.image_fit(&file.image, resize, canvas) else { return };
        let facts = Init {
            sha256: file.sha256.clone(),
            strength,
            resize,
            canvas: match fit {
                ImageFit::OnCanvas(area) => Some([area.left_px, area.top_px]),
                ImageFit::Resized(_) => None,
            },
        };
        let mask_facts = mask.as_ref().map(|mask| MaskFacts {
            sha256: mask_file.as_ref().map(|file| file.sha256.clone()),
            boxes: mask.boxes.clone(),
            feather_px: mask.feather_px,
            padding_px: mask.masked_only.map(|only| only.padding_px.unwrap_or(PADDING_DEFAULT_PX)),
        });
        let marked = self.marked(mask.as_ref(), mask_file.as_ref().map(|file| &file.image), &file.image, fit);
        if !self.faults.is_empty() {
            return;
        }
        let [width_px, height_px] = [self.around.width_px, self.around.height_px];
        let whole = Arc::new(fit.of(&file.image, width_px, height_px));
        let feather_px = mask_facts.as_ref().map_or(0, |mask| mask.feather_px);
        let marked = marked.map(|mask| Arc::new(mask.feathered(feather_px)));
        let padding = mask_facts.as_ref().and_then(|mask| mask.padding_px);
        let region = padding.zip(marked.as_ref()).and_then(|(padding_px, mask)| {
            let ModelInfo { default_size_px, size, .. } = self.around.model;
            let bounds = mask.bounds()?;
            Some((mask, surroundings(&bounds, padding_px, [width_px, height_px], *default_size_px, size)))
        });
        drawn.init = Some(match region {
            Some((mask, DrawnRegion { area, width_px, height_px })) => {
                drawn.size_px = Some([width_px, height_px]);
                InitImage {
                    image: Arc::new(whole.cropped(&area).resampled(width_px, height_px)),
                    strength,
                    mask: Some(Arc::new(mask.covering(&area, width_px, height_px))),
                    region: Some(Region { whole, mask: Arc::clone(mask), area }),
                }
            }
            None => InitImage { image: whole, strength, mask: marked, region: None },
        });
        (images.init, images.mask) = (Some(facts), mask_facts);
    }

    /// How the image is brought to the size of the picture; `None` if that is impossible.
    fn image_fit(
        &mut self,
        image: &Rgb8,
        resize: Option<ResizeMode>,
        canvas: Option<UncheckedCanvas>,
    ) -> Option<ImageFit> {
        let Surroundings { width_px, height_px, .. } = self.around;
        let (own_width, own_height) = (image.width_px, image.height_px);
        let Some(UncheckedCanvas { left_px, top_px }) = canvas else {
            if resize.is_none() && (own_width, own_height) != (width_px, height_px) {
                let text = format!(
                    "the image has {own_width}x{own_height} pixels and the picture {width_px}x{height_px}; set `resize` to \
                     crop, pad or stretch, or set `canvas` to draw around the image"
                );
                self.add("init.resize", Violation::REQUIRED, text);
                return None;
            }
            return Some(ImageFit::Resized(resize));
        };
        if own_width > width_px || own_height > height_px {
            let text = format!(
                "the image has {own_width}x{own_height} pixels and does not fit into the picture of \
                 {width_px}x{height_px}; use a larger width and height, or `resize` instead of `canvas`"
            );
            self.add("init.canvas", Violation::OUT_OF_RANGE, text);
            return None;
        }
        let mut place = |field: &str, given: Option<u32>, room: u32| {
            if let Some(given) = given.filter(|given| *given > room) {
                self.add(
                    field,
                    Violation::OUT_OF_RANGE,
                    format!("{given} leaves no room for the image; use 0 to {room}"),
                );
            }
            given.unwrap_or(room / 2)
        };
        let left_px = place("init.canvas.left", left_px, width_px - own_width);
        let top_px = place("init.canvas.top", top_px, height_px - own_height);
        let area = Area { left_px, top_px, width_px: own_width, height_px: own_height };
        area.fits(width_px, height_px).then_some(ImageFit::OnCanvas(area))
    }

    /// Checks what does not depend on the image.
    fn mask_numbers(&mut self, mask: &UncheckedMask) {
        self.within(&limits::FEATHER_PX, mask.feather_px);
        if let Some(padding_px) = mask.masked_only.and_then(|only| only.padding_px) {
            self.within(&limits::PADDING_PX, padding_px);
        }
        if mask.image.is_some() && !mask.boxes.is_empty() {
            self.add("mask", Violation::CONFLICT, "`image` and `boxes` are both set; remove one of the two");
        }
        self.boxes("mask.boxes", &mask.boxes);
    }

    /// Checks rectangles of the picture.
    pub(super) fn boxes(&mut self, field: &str, boxes: &[Area]) {
        if !limits::BOXES.contains(boxes.len()) {
            let text =
                format!("{} are too many; use at most {}, or a mask as an image", boxes.len(), limits::BOXES.max);
            self.add(field, Violation::OUT_OF_RANGE, text);
            return;
        }
        let Surroundings { width_px, height_px, .. } = self.around;
        for (index, area) in boxes.iter().enumerate() {
            if !area.fits(width_px, height_px) {
                let Area { left_px, top_px, width_px: wide, height_px: high } = area;
                let text = format!(
                    "{wide}x{high} pixels from column {left_px} and row {top_px} on do not lie within the picture of \
                     {width_px}x{height_px}; use a box of at least one pixel inside it"
                );
                self.add(format!("{field}[{index}]"), Violation::OUT_OF_RANGE, text);
            }
        }
    }

    /// The mask of what is drawn again, without its soft edge; `None`: everything.
    fn marked(
        &mut self,
        mask: Option<&UncheckedMask>,
        file: Option<&Rgb8>,
        image: &Rgb8,
        fit: ImageFit,
    ) -> Option<Mask> {
        let Surroundings { width_px, height_px, .. } = self.around;
        let mut marked = Mask::empty(width_px, height_px);
        if let ImageFit::OnCanvas(area) = fit {
            marked.mark(&Area { left_px: 0, top_px: 0, width_px, height_px });
            marked.keep(&area);
        } else if mask.is_none() {
            return None;
        }
        let is_canvas = matches!(fit, ImageFit::OnCanvas(_));
        if let Some(mask) = mask {
            if mask.image.is_none() && mask.boxes.is_empty() && !is_canvas {
                let text = "the mask is empty; set `image` or `boxes`, or remove `mask`";
                self.add("mask", Violation::REQUIRED, text);
                return None;
            }
            let fitting = mask.boxes.iter().filter(|area| area.fits(width_px, height_px));
            for area in fitting.take(limits::BOXES.max) {
                marked.mark(area);
            }
        }
        if let Some(file) = file {
            let drawn = self.placed_mask("mask.image", file, [image.width_px, image.height_px], fit)?;
            // A mask of the image's own size says nothing about what is around the image.
            marked = marked.union(&drawn);
        }
        if marked.bounds().is_none() && self.faults.is_empty() {
            let text = "the mask marks no pixel, so that nothing would be drawn; mark what is drawn again in white";
            self.add("mask", Violation::OUT_OF_RANGE, text);
        }
        Some(marked)
    }

    /// The white pixels of a mask's file. It has the size of the picture, or that of the image and then the image's
    /// fit. `None` after a fault: it has another size.
    pub(super) fn placed_mask(
        &mut self,
        field: &str,
        file: &Rgb8,
        [image_width_px, image_height_px]: [u32; 2],
        fit: ImageFit,
    ) -> Option<Mask> {
        let Surroundings { width_px, height_px, .. } = self.around;
        let size = (file.width_px, file.height_px);
        let placed = if size == (width_px, height_px) {
            Cow::Borrowed(file)
        } else if size == (image_width_px, image_height_px) {
            Cow::Owned(fit.of(file, width_px, height_px))
        } else {
            let text = format!(
                "the mask has {}x{} pixels; use the size of the picture, {width_px}x{height_px}, or that of the image, \
                 {image_width_px}x{image_height_px}",
                size.0, size.1
            );
            self.add(field, Violation::OUT_OF_RANGE, text);
            return None;
        };
        let levels: Vec<u8> = placed.pixels.as_chunks::<3>().0.iter().map(|pixel| brightness(*pixel)).collect();
        Mask::from_levels(width_px, height_px, &levels)
    }

    fn second_pass(&mut self, given: UncheckedSecondPass) -> Option<(SecondPassFacts, SecondPass)> {
        let Surroundings { model, pixels_max, width_px, height_px, steps, .. } = self.around;
        let facts = SecondPassFacts {
            factor: given.factor.unwrap_or(FACTOR_DEFAULT),
            upscaler: given.upscaler.unwrap_or(Upscaler::Lanczos),
            strength: given.strength.unwrap_or(SECOND_STRENGTH_DEFAULT),
            steps: if given.steps == 0 { steps } else { given.steps },
        };
        let faults_before = self.faults.len();
        self.within(&limits::SECOND_STEPS, facts.steps);
        self.strength(&limits::SECOND_STRENGTH, facts.strength, facts.steps);
        if facts.upscaler == Upscaler::Lanczos && !model.encodes_images {
            let text = format!(
                "`{}` cannot encode pixels, its checkpoint has no VAE encoder; use latent-bilinear",
                model.name
            );
            self.add("second_pass.upscaler", Violation::UNSUPPORTED, text);
        }
        self.within(&limits::FACTOR, facts.factor);
        if self.faults.len() > faults_before {
            return None;
        }
        let multiple = model.size.multiple_px.max(1);
        let edge_max = model.size.edge_max_px;
        let pixels_max = pixels_max.min(model.size.pixels_max);
        let enlarged = |factor: f32| [width_px, height_px].map(|edge| enlarged_edge(edge, factor, multiple));
        let fits = |[width, height]: [u32; 2]| {
            width <= edge_max && height <= edge_max && u64::from(width) * u64::from(height) <= pixels_max
        };
        let [width, height] = enlarged(facts.factor);
        if !fits([width, height]) {
            let most = largest_factor(|factor| fits(enlarged(factor)) && enlarged(factor) != [width_px, height_px]);
            let fix = most.map_or("remove `second_pass`, or draw a smaller picture".to_owned(), |most| {
                format!("use at most {most}")
            });
            let text = format!(
                "{} enlarges {width_px}x{height_px} to {width}x{height}, more than the {pixels_max} pixels or the edge of \
                 {edge_max} that can be drawn; {fix}",
                facts.factor
            );
            self.add(limits::FACTOR.field, Violation::OUT_OF_RANGE, text);
            return None;
        }
        if [width, height] == [width_px, height_px] {
            let least = (100 * (width_px.min(height_px) + multiple)).div_ceil(width_px.min(height_px).max(1));
            let text = format!(
                "{} leaves the picture at {width_px}x{height_px}, for sizes are multiples of {multiple}; use at least {}",
                facts.factor,
                f64::from(least) / 100.0
            );
            self.add(limits::FACTOR.field, Violation::OUT_OF_RANGE, text);
            return None;
        }
        let SecondPassFacts { upscaler, strength, steps, .. } = facts;
        Some((facts, SecondPass { width_px: width, height_px: height, upscaler, strength, steps }))
    }
}

/// The largest factor of a second pass that is allowed, in hundredths.
pub(crate) fn largest_factor(is_allowed: impl Fn(f32) -> bool) -> Option<f32> {
    let hundredths = (limits::FACTOR.min * 100.0) as u16..=(limits::FACTOR.max * 100.0) as u16;
    hundredths.rev().map(|hundredth| f32::from(hundredth) / 100.0).find(|factor| is_allowed(*factor))
}

/// An edge after a second pass: rounded down to a multiple. The factor counts as the decimal number that is written for it.
pub(crate) fn enlarged_edge(edge_px: u32, factor: f32, multiple_px: u32) -> u32 {
    let decimal: f64 = factor.to_string().parse().unwrap_or(f64::from(factor));
    // A product that is a whole number may be computed as slightly less.
    let edge = (f64::from(edge_px) * decimal + 1e-6) as u32;
    edge / multiple_px * multiple_px
}

/// The brightness of a pixel as ITU-R BT.601 weighs its colours.
fn brightness([red, green, blue]: [u8; 3]) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u8
}
