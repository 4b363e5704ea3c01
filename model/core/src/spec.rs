//! [`GenerationSpec`]: a request as the engine gets it, and the check of its numbers.

use std::ops::Range;

use crate::{
    AdapterChoice, ControlChoice, InitImage, Limit, Refiner, Sampling, SecondPass, SizeLimits, SpecError,
    computed_steps, least_strength, limits,
};

/// A request with every default filled in. The server has checked it.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationSpec {
    /// The prompt for the text encoders, without the system prompt.
    pub text: String,
    /// The system prompt. The model decides which encoders read it.
    pub system_prompt: String,
    /// The negative prompt for the text encoders, without its system prompt. It may be empty.
    pub negative: String,
    /// The system prompt of `negative`. The model decides which encoders read it.
    pub negative_system_prompt: String,
    /// Width at which the first pass draws, in pixels.
    pub width_px: u32,
    /// Height at which the first pass draws, in pixels.
    pub height_px: u32,
    /// Number of images, from 1.
    pub images: u32,
    /// Seed of the noise. 0 has no special meaning. The noise of image `i` depends on the seed and on `i` only.
    pub seed: u64,
    /// Solver, schedule, steps and guidance.
    pub sampling: Sampling,
    /// Indices of the images to return, ascending; empty for all. Each is bit for bit the same as in the whole request.
    pub image_indices: Vec<u32>,
    /// The image to start from; `None` starts from noise alone.
    pub init: Option<InitImage>,
    /// A second pass at a larger size.
    pub second_pass: Option<SecondPass>,
    /// Images that steer the denoiser through control networks.
    pub controls: Vec<ControlChoice>,
    /// The end of each pass is computed by the model's refiner.
    pub refiner: Option<Refiner>,
    /// The largest batch size; 0 leaves it to the model.
    pub max_batch: u32,
    /// Whether to measure the time of each kind of operation. This makes the job a few percent slower and changes no
    /// pixel.
    pub profile: bool,
    /// Adapters to apply for this request, in this order.
    pub adapters: Vec<AdapterChoice>,
}

impl GenerationSpec {
    /// A request for one image without system prompt and negative, with seed 0.
    pub fn new(text: impl Into<String>, width_px: u32, height_px: u32, sampling: Sampling) -> Self {
        Self {
            text: text.into(),
            system_prompt: String::new(),
            negative: String::new(),
            negative_system_prompt: String::new(),
            width_px,
            height_px,
            images: 1,
            seed: 0,
            sampling,
            image_indices: Vec::new(),
            init: None,
            second_pass: None,
            controls: Vec::new(),
            refiner: None,
            max_batch: 0,
            profile: false,
            adapters: Vec::new(),
        }
    }

    /// The first pass, then the second one if there is one.
    pub fn passes(&self) -> impl Iterator<Item = Pass> {
        let strength = self.init.as_ref().map_or(1.0, |init| init.strength);
        let first =
            Pass { width_px: self.width_px, height_px: self.height_px, grid_steps: self.sampling.steps, strength };
        let second = self.second_pass.as_ref().map(|second| Pass {
            width_px: second.width_px,
            height_px: second.height_px,
            grid_steps: second.steps,
            strength: second.strength,
        });
        std::iter::once(first).chain(second)
    }

    /// Number of steps of one batch, all passes together.
    pub fn computed_steps(&self) -> u32 {
        self.passes().map(|pass| pass.steps()).sum()
    }

    /// Indices of the images of the result, ascending.
    pub fn drawn(&self) -> Vec<u32> {
        if self.image_indices.is_empty() { (0..self.images).collect() } else { self.image_indices.clone() }
    }

    /// Whether the result contains an image.
    pub fn draws(&self, image_index: u32) -> bool {
        if self.image_indices.is_empty() {
            image_index < self.images
        } else {
            self.image_indices.contains(&image_index)
        }
    }

    /// The image indices of each batch, at most [`max_batch`](Self::max_batch) of them. Batches without an index in
    /// [`image_indices`](Self::image_indices) are left out; the others are the same as without `image_indices`, because sums
    /// are rounded differently in a batch of another size.
    pub fn batches(&self) -> Vec<Range<u32>> {
        self.batches_of(self.max_batch)
    }

    /// The batches under another limit than that of the request; 0 puts all images into one.
    pub fn batches_of(&self, max_batch: u32) -> Vec<Range<u32>> {
        let size = if max_batch == 0 { self.images } else { max_batch.min(self.images) };
        let batches =
            (0..self.images).step_by(size.max(1) as usize).map(|first| first..(first + size).min(self.images));
        batches.filter(|batch| batch.clone().any(|image_index| self.draws(image_index))).collect()
    }

    /// Checks every number against [`limits`] and against `size`, the sizes that the model supports.
    ///
    /// # Errors
    ///
    /// The first field that is out of range, with the values that are allowed.
    pub fn check(&self, size: &SizeLimits) -> Result<(), SpecError> {
        size.check_edge("width_px", self.width_px)?;
        size.check_edge("height_px", self.height_px)?;
        size.check_area(self.width_px, self.height_px)?;
        check(&limits::IMAGES, self.images)?;
        check(&limits::STEPS, self.sampling.steps)?;
        if let Some(given) = self.image_indices.iter().find(|index| **index >= self.images) {
            let max = (self.images - 1).to_string();
            return Err(SpecError::OutOfRange {
                field: "image_indices",
                given: given.to_string(),
                min: "0".into(),
                max,
            });
        }
        check(&limits::ADAPTERS, self.adapters.len())?;
        for adapter in &self.adapters {
            check(&limits::ADAPTER_SCALE, adapter.scale)?;
            check(&limits::ADAPTER_TEXT_SCALE, adapter.text_scale)?;
        }
        if let Some(fault) = self.sampling.faults().into_iter().next() {
            return Err(SpecError::Sampling(fault));
        }
        if let Some(Refiner { switch_at, aesthetic_score, negative_aesthetic_score }) = self.refiner {
            check(&limits::SWITCH_AT, switch_at)?;
            check(&limits::AESTHETIC_SCORE, aesthetic_score)?;
            check(&limits::NEGATIVE_AESTHETIC_SCORE, negative_aesthetic_score)?;
        }
        self.check_controls()?;
        self.check_init()?;
        let Some(second) = &self.second_pass else { return Ok(()) };
        size.check_edge("second_pass.width_px", second.width_px)?;
        size.check_edge("second_pass.height_px", second.height_px)?;
        size.check_area(second.width_px, second.height_px)?;
        check(&limits::SECOND_STEPS, second.steps)?;
        check_strength(&limits::SECOND_STRENGTH, second.strength, second.steps)
    }

    fn check_controls(&self) -> Result<(), SpecError> {
        check(&limits::CONTROLS, self.controls.len())?;
        for control in &self.controls {
            check(&limits::CONTROL_SCALE, control.scale)?;
            check(&limits::CONTROL_START, control.start)?;
            check(&Limit { min: control.start, ..limits::CONTROL_END }, control.end)?;
            if (control.image.width_px, control.image.height_px) != (self.width_px, self.height_px) {
                let (width_px, height_px) = (self.width_px, self.height_px);
                return Err(SpecError::InitSize { field: "controls.image", width_px, height_px });
            }
        }
        Ok(())
    }

    /// Bytes of host memory that its images and masks take.
    pub fn image_bytes(&self) -> usize {
        let init = self.init.as_ref().map_or(0, InitImage::bytes);
        init + self.controls.iter().map(|control| control.image.pixels.len()).sum::<usize>()
    }

    fn check_init(&self) -> Result<(), SpecError> {
        let Some(init) = &self.init else { return Ok(()) };
        let size = (self.width_px, self.height_px);
        let same = |field, found| match found == size {
            true => Ok(()),
            false => Err(SpecError::InitSize { field, width_px: size.0, height_px: size.1 }),
        };
        same("init.image", (init.image.width_px, init.image.height_px))?;
        if let Some(mask) = &init.mask {
            same("init.mask", (mask.width_px(), mask.height_px()))?;
        }
        if self.second_pass.is_some() && (init.mask.is_some() || init.region.is_some()) {
            let (given, supported) = ("a mask as well".to_owned(), "one of the two".to_owned());
            return Err(SpecError::Unsupported { field: "second_pass", given, supported });
        }
        if let Some(region) = &init.region {
            let (width_px, height_px) = (region.whole.width_px, region.whole.height_px);
            let is_whole = (region.mask.width_px(), region.mask.height_px()) == (width_px, height_px);
            if !is_whole || !region.area.fits(width_px, height_px) {
                return Err(SpecError::InitSize { field: "init.region", width_px, height_px });
            }
        }
        check_strength(&limits::STRENGTH, init.strength, self.sampling.steps)
    }
}

/// What one pass of a request computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Intervals of the whole schedule.
    pub grid_steps: u32,
    /// The share of the schedule that is computed.
    pub strength: f32,
}

impl Pass {
    /// Steps that are computed for each batch.
    pub fn steps(&self) -> u32 {
        computed_steps(self.grid_steps, self.strength)
    }

    /// Width times height of an image.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width_px) * u64::from(self.height_px)
    }
}

fn check_strength(limit: &Limit<f32>, given: f32, steps: u32) -> Result<(), SpecError> {
    check(limit, given)?;
    if computed_steps(steps, given) > 0 {
        return Ok(());
    }
    Err(SpecError::NoStep {
        field: limit.field,
        given: given.to_string(),
        steps,
        least: least_strength(steps).to_string(),
    })
}

fn check<T: PartialOrd + Copy + ToString>(limit: &Limit<T>, given: T) -> Result<(), SpecError> {
    if limit.contains(given) {
        return Ok(());
    }
    let (given, min, max) = (given.to_string(), limit.min.to_string(), limit.max.to_string());
    Err(SpecError::OutOfRange { field: limit.field, given, min, max })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Area, Guidance, Mask, NoiseSchedule, Quality, Region, Rgb8, Solver, Upscaler};

    const SIZE: SizeLimits = SizeLimits { multiple_px: 16, edge_max_px: 8192, pixels_max: 2048 * 2048 };

    fn spec(width_px: u32, height_px: u32) -> GenerationSpec {
        let guidance = Guidance::new(5.0);
        GenerationSpec::new(
            "",
            width_px,
            height_px,
            Sampling {
                solver: Solver::Euler,
                schedule: NoiseSchedule::Native,
                steps: 28,
                guidance,
                shift: 6.0,
                quality: Quality::Exact,
                step_cache: None,
            },
        )
    }

    #[test]
    fn what_is_in_bounds_passes() {
        assert_eq!(spec(1024, 1536).check(&SIZE), Ok(()));
    }

    #[test]
    fn sizes_name_their_neighbours() {
        for (given, below, above) in
            [(1000, 992, 1008), (0, 16, 16), (1, 16, 16), (8193, 8192, 8192), (u32::MAX, 8192, 8192)]
        {
            match spec(given, 64).check(&SIZE) {
                Err(SpecError::Size { field, below_px, above_px, .. }) => {
                    assert_eq!((field, below_px, above_px), ("width_px", below, above));
                }
                other => panic!("{given}: {other:?}"),
            }
        }
    }

    #[test]
    fn areas_are_bounded_and_shrunk_in_shape() {
        assert_eq!(spec(8192, 512).check(&SIZE), Ok(()));
        match spec(8192, 4096).check(&SIZE) {
            Err(SpecError::Area { smaller_width_px, smaller_height_px, .. }) => {
                assert_eq!(spec(smaller_width_px, smaller_height_px).check(&SIZE), Ok(()));
                assert_eq!((smaller_width_px, smaller_height_px), (2896, 1440));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn batches_are_those_of_the_whole_request_without_the_ones_that_nobody_wants() {
        let spec = |max_batch, image_indices: &[u32]| GenerationSpec {
            images: 5,
            max_batch,
            image_indices: image_indices.to_vec(),
            ..spec(64, 64)
        };
        let batches = |max_batch, image_indices: &[u32]| -> Vec<[u32; 2]> {
            spec(max_batch, image_indices).batches().iter().map(|batch| [batch.start, batch.end]).collect()
        };
        assert_eq!((batches(0, &[]), batches(0, &[3])), (vec![[0, 5]], vec![[0, 5]]));
        assert_eq!((batches(2, &[]), batches(2, &[0, 4])), (vec![[0, 2], [2, 4], [4, 5]], vec![[0, 2], [4, 5]]));
        assert_eq!((batches(1, &[2]), batches(9, &[1])), (vec![[2, 3]], vec![[0, 5]]));
        assert_eq!((spec(0, &[]).drawn(), spec(0, &[1, 4]).drawn()), (vec![0, 1, 2, 3, 4], vec![1, 4]));
        assert!(spec(0, &[1]).draws(1) && !spec(0, &[1]).draws(0) && spec(0, &[]).draws(4) && !spec(0, &[]).draws(5));
    }

    #[test]
    fn every_number_is_bounded() {
        let mut broken = vec![
            GenerationSpec { images: 0, ..spec(64, 64) },
            GenerationSpec { images: 17, ..spec(64, 64) },
            GenerationSpec { images: 3, image_indices: vec![0, 3], ..spec(64, 64) },
            GenerationSpec { sampling: Sampling { steps: 0, ..spec(64, 64).sampling }, ..spec(64, 64) },
            GenerationSpec { sampling: Sampling { steps: 201, ..spec(64, 64).sampling }, ..spec(64, 64) },
        ];
        for number in Sampling::NUMBERS {
            for value in [f32::NAN, number.limit.min - 0.01, f32::INFINITY] {
                let mut spec = spec(64, 64);
                number.set(&mut spec.sampling, value);
                broken.push(spec);
            }
        }
        broken.extend(broken_edits());
        for spec in broken {
            let error = spec.check(&SIZE).expect_err("out of bounds").to_string();
            assert!(error.contains("use "), "{error}");
        }
    }

    fn init(width_px: u32, height_px: u32, strength: f32) -> InitImage {
        let pixels = vec![0; 3 * (width_px * height_px) as usize];
        InitImage { image: Arc::new(Rgb8 { width_px, height_px, pixels }), strength, mask: None, region: None }
    }

    fn second(width_px: u32, strength: f32, steps: u32) -> SecondPass {
        SecondPass { width_px, height_px: 96, upscaler: Upscaler::Lanczos, strength, steps }
    }

    /// Initial images and second passes that no model draws.
    fn broken_edits() -> Vec<GenerationSpec> {
        let with = |init| GenerationSpec { init: Some(init), ..spec(64, 64) };
        let enlarged = |second| GenerationSpec { second_pass: Some(second), ..spec(64, 64) };
        let good = || init(64, 64, 0.5);
        let mask = |edge| Arc::new(Mask::empty(edge, 64));
        let area = |left_px| Area { left_px, top_px: 0, width_px: 64, height_px: 64 };
        let region = |left_px, mask| Region { whole: Arc::clone(&good().image), mask, area: area(left_px) };
        vec![
            with(init(64, 48, 0.5)),
            with(init(64, 64, 0.0)),
            with(init(64, 64, 1.1)),
            with(init(64, 64, f32::NAN)),
            with(init(64, 64, 0.01)),
            with(InitImage { mask: Some(mask(32)), ..good() }),
            with(InitImage { region: Some(region(1, mask(64))), ..good() }),
            with(InitImage { region: Some(region(0, mask(32))), ..good() }),
            GenerationSpec {
                second_pass: Some(second(96, 0.5, 20)),
                ..with(InitImage { mask: Some(mask(64)), ..good() })
            },
            enlarged(second(100, 0.5, 20)),
            enlarged(second(16_384, 0.5, 20)),
            enlarged(second(96, 0.01, 20)),
            enlarged(second(96, 0.5, 0)),
            enlarged(second(96, 0.5, 201)),
            GenerationSpec { refiner: Some(Refiner { switch_at: 1.1, ..Refiner::default() }), ..spec(64, 64) },
            GenerationSpec { refiner: Some(Refiner { aesthetic_score: -1.0, ..Refiner::default() }), ..spec(64, 64) },
        ]
    }

    #[test]
    fn passes_have_their_sizes_and_steps() {
        let both =
            GenerationSpec { init: Some(init(64, 64, 0.6)), second_pass: Some(second(96, 0.5, 21)), ..spec(64, 64) };
        assert_eq!(both.check(&SIZE), Ok(()));
        let passes: Vec<_> = both.passes().map(|pass| (pass.pixels(), pass.steps())).collect();
        assert_eq!(passes, [(64 * 64, 16), (96 * 96, 10)]);
        assert_eq!((both.computed_steps(), spec(64, 64).computed_steps()), (26, 28));
    }
}
