//! What to draw: one request for images, and the limits that it is checked against.

use crate::sampler::{Guidance, Solver};

/// How latents are integrated and guided unless a request says otherwise. The fields are those of [`GenerateSpec`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingDefaults {
    /// How the latents are integrated.
    pub solver: Solver,
    /// Intervals between noise and image.
    pub steps: usize,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f32,
    /// Guidance is active while t is below this.
    pub guidance_until: f32,
    /// Bound on the norm of the guided velocity. 0: none.
    pub guidance_renorm: f32,
    /// Time shift.
    pub shift: f32,
}

impl Default for SamplingDefaults {
    /// Those of the model's authors: 28 Euler intervals at shift 6, guidance 5 throughout.
    fn default() -> Self {
        Self {
            solver: Solver::Euler,
            steps: 28,
            guidance_scale: 5.0,
            guidance_until: 1.0,
            guidance_renorm: 0.0,
            shift: 6.0,
        }
    }
}

/// One request. Every field is checked before anything is computed; see [`GenerateSpec::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateSpec {
    /// The prompt as the text encoders read it, without a system prompt.
    pub text: String,
    /// What Gemma reads before `text`, joined without a separator. Jina CLIP never reads it.
    pub system_prompt: String,
    /// What the images must not be. Empty: both encoders read the empty text, and no system prompt is put before it.
    pub negative: String,
    /// Width in pixels, a multiple of [`SpecLimits::size_multiple_px`].
    pub width_px: u32,
    /// Height in pixels, a multiple of [`SpecLimits::size_multiple_px`].
    pub height_px: u32,
    /// How many images.
    pub images: usize,
    /// Seed of the noise; 0 is a seed like any other. Image `i` depends on the seed and on `i` alone.
    pub seed: u64,
    /// How the latents are integrated.
    pub solver: Solver,
    /// *Intervals* between noise and image, for every solver.
    pub steps: usize,
    /// Scale of classifier-free guidance; 1 leaves the unconditional half out.
    pub guidance_scale: f32,
    /// Guidance is active while `t < guidance_until`, strictly, at each evaluation and in shifted time. 1: always.
    pub guidance_until: f32,
    /// Bounds the norm of the guided velocity to this multiple of the conditional one's, per image. 0: no bound.
    pub guidance_renorm: f32,
    /// Time shift of the schedule; 1 is none.
    pub shift: f32,
    /// The most images computed at once. 0: all of them.
    pub max_batch: usize,
    /// Whether to measure where the device's time goes; costs some percent of it.
    pub profile: bool,
}

impl GenerateSpec {
    /// A request with [the defaults of the model's authors](SamplingDefaults).
    pub fn new(text: impl Into<String>, width_px: u32, height_px: u32) -> Self {
        Self::with_defaults(text, width_px, height_px, SamplingDefaults::default())
    }

    /// A request with the defaults of a checkpoint.
    pub fn with_defaults(text: impl Into<String>, width_px: u32, height_px: u32, defaults: SamplingDefaults) -> Self {
        let SamplingDefaults { solver, steps, guidance_scale, guidance_until, guidance_renorm, shift } = defaults;
        Self {
            text: text.into(),
            system_prompt: String::new(),
            negative: String::new(),
            width_px,
            height_px,
            images: 1,
            seed: 0,
            solver,
            steps,
            guidance_scale,
            guidance_until,
            guidance_renorm,
            shift,
            max_batch: 0,
            profile: false,
        }
    }

    /// The guidance part.
    pub fn guidance(&self) -> Guidance {
        Guidance { scale: self.guidance_scale, until: self.guidance_until, renorm: self.guidance_renorm }
    }

    /// Images computed at once.
    pub fn batch_size(&self) -> usize {
        match self.max_batch {
            0 => self.images,
            limit => limit.min(self.images),
        }
    }

    /// Checks every field against `limits`.
    ///
    /// # Errors
    ///
    /// The first field that is out of bounds, with what it may be.
    pub fn check(&self, limits: &SpecLimits) -> Result<(), SpecError> {
        limits.check_edge("width_px", self.width_px)?;
        limits.check_edge("height_px", self.height_px)?;
        limits.check_area(self.width_px, self.height_px)?;
        count("images", self.images, limits.images_max)?;
        count("steps", self.steps, limits.steps_max)?;
        number("guidance_scale", self.guidance_scale, 0.0, 100.0)?;
        number("guidance_until", self.guidance_until, 0.0, 100.0)?;
        number("guidance_renorm", self.guidance_renorm, 0.0, 100.0)?;
        number("shift", self.shift, 0.01, 100.0)
    }
}

fn count(field: &'static str, given: usize, max: usize) -> Result<(), SpecError> {
    if (1..=max).contains(&given) { Ok(()) } else { Err(SpecError::Count { field, given, max }) }
}

fn number(field: &'static str, given: f32, min: f32, max: f32) -> Result<(), SpecError> {
    // Written so that NaN fails.
    if (min..=max).contains(&given) { Ok(()) } else { Err(SpecError::Number { field, given, min, max }) }
}

/// What a loaded model can draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecLimits {
    /// Both edges are multiples of this: the VAE's factor times the patch size.
    pub size_multiple_px: u32,
    /// Longest edge, from the lengths of the model's position axes.
    pub edge_max_px: u32,
    /// Most pixels of one image: attention's cost grows with their square.
    pub pixels_max: u64,
    /// Most images of one request.
    pub images_max: usize,
    /// Most intervals.
    pub steps_max: usize,
}

impl SpecLimits {
    /// Most images of one request, whatever the model.
    pub const IMAGES_MAX: usize = 64;
    /// Most intervals of one request, whatever the model.
    pub const STEPS_MAX: usize = 1000;

    fn check_area(&self, width_px: u32, height_px: u32) -> Result<(), SpecError> {
        let pixels = u64::from(width_px) * u64::from(height_px);
        if pixels <= self.pixels_max {
            return Ok(());
        }
        // The largest legal size of the same shape, but for rounding.
        let scale = (self.pixels_max as f64 / pixels as f64).sqrt();
        let multiple = self.size_multiple_px;
        let smaller = |edge: u32| ((f64::from(edge) * scale) as u32 / multiple * multiple).max(multiple);
        Err(SpecError::Area {
            width_px,
            height_px,
            pixels_max: self.pixels_max,
            smaller_width_px: smaller(width_px),
            smaller_height_px: smaller(height_px),
        })
    }

    fn check_edge(&self, field: &'static str, given: u32) -> Result<(), SpecError> {
        let multiple = self.size_multiple_px;
        let in_range = (multiple..=self.edge_max_px).contains(&given);
        if in_range && given.is_multiple_of(multiple) {
            return Ok(());
        }
        let below = (given.min(self.edge_max_px) / multiple * multiple).max(multiple);
        Err(SpecError::Size {
            field,
            given_px: given,
            multiple_px: multiple,
            max_px: self.edge_max_px,
            below_px: below,
            above_px: if in_range { below + multiple } else { below },
        })
    }
}

/// A field of a request that is out of bounds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// An edge is no multiple, or too short or too long.
    #[error(
        "{field} is {given_px}: it must be a multiple of {multiple_px} from {multiple_px} to {max_px}; use {}",
        if below_px == above_px { below_px.to_string() } else { format!("{below_px} or {above_px}") }
    )]
    Size {
        /// `width_px` or `height_px`.
        field: &'static str,
        /// What was asked for.
        given_px: u32,
        /// What it must be a multiple of.
        multiple_px: u32,
        /// The longest edge.
        max_px: u32,
        /// The nearest legal size that is not larger, or the smallest.
        below_px: u32,
        /// The nearest legal size that is not smaller, or the largest.
        above_px: u32,
    },
    /// Both edges are legal, but the image is too large.
    #[error(
        "width_px x height_px is {width_px} x {height_px}, more than {pixels_max} pixels: use {smaller_width_px} x {smaller_height_px}"
    )]
    Area {
        /// What was asked for.
        width_px: u32,
        /// What was asked for.
        height_px: u32,
        /// The most pixels of one image.
        pixels_max: u64,
        /// Width of a legal size of about the same shape.
        smaller_width_px: u32,
        /// Its height.
        smaller_height_px: u32,
    },
    /// A count is zero or too large.
    #[error("{field} is {given}: use 1 to {max}")]
    Count {
        /// The field.
        field: &'static str,
        /// What was asked for.
        given: usize,
        /// The largest.
        max: usize,
    },
    /// A number is out of its range, or not a number.
    #[error("{field} is {given}: use {min} to {max}")]
    Number {
        /// The field.
        field: &'static str,
        /// What was asked for.
        given: f32,
        /// The smallest.
        min: f32,
        /// The largest.
        max: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpecLimits =
        SpecLimits { size_multiple_px: 16, edge_max_px: 8192, pixels_max: 2048 * 2048, images_max: 4, steps_max: 200 };

    #[test]
    fn the_default_passes() {
        assert_eq!(GenerateSpec::new("", 1024, 1536).check(&LIMITS), Ok(()));
    }

    #[test]
    fn sizes_name_their_neighbours() {
        for (given, below, above) in
            [(1000, 992, 1008), (0, 16, 16), (1, 16, 16), (8193, 8192, 8192), (u32::MAX, 8192, 8192)]
        {
            match GenerateSpec::new("", given, 64).check(&LIMITS) {
                Err(SpecError::Size { field, below_px, above_px, .. }) => {
                    assert_eq!((field, below_px, above_px), ("width_px", below, above));
                }
                other => panic!("{given}: {other:?}"),
            }
        }
    }

    #[test]
    fn areas_are_bounded_and_shrunk_in_shape() {
        assert_eq!(GenerateSpec::new("", 8192, 512).check(&LIMITS), Ok(()));
        match GenerateSpec::new("", 8192, 4096).check(&LIMITS) {
            Err(SpecError::Area { smaller_width_px, smaller_height_px, .. }) => {
                assert_eq!(GenerateSpec::new("", smaller_width_px, smaller_height_px).check(&LIMITS), Ok(()));
                assert_eq!((smaller_width_px, smaller_height_px), (2896, 1440));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_number_is_bounded() {
        let spec = || GenerateSpec::new("", 64, 64);
        let broken = [
            GenerateSpec { images: 0, ..spec() },
            GenerateSpec { images: usize::MAX, ..spec() },
            GenerateSpec { steps: 0, ..spec() },
            GenerateSpec { steps: usize::MAX, ..spec() },
            GenerateSpec { guidance_scale: f32::NAN, ..spec() },
            GenerateSpec { guidance_until: -1.0, ..spec() },
            GenerateSpec { guidance_renorm: f32::INFINITY, ..spec() },
            GenerateSpec { shift: 0.0, ..spec() },
        ];
        for spec in broken {
            let error = spec.check(&LIMITS).expect_err("out of bounds").to_string();
            assert!(error.contains("use "), "{error}");
        }
    }
}
