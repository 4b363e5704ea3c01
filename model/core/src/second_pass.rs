//! A second pass at a larger size.

use std::fmt;

/// Enlarges every image of a request and denoises it again over the last part of a schedule, with new noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecondPass {
    /// Width of the images after it, in pixels.
    pub width_px: u32,
    /// Height of the images after it, in pixels.
    pub height_px: u32,
    /// How the images of the first pass are enlarged.
    pub upscaler: Upscaler,
    /// Share of the schedule that is computed: its end. Above 0 and at most 1.
    pub strength: f32,
    /// Intervals of its whole schedule.
    pub steps: u32,
}

/// How images are enlarged between two passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upscaler {
    /// Decodes the latents, enlarges the pixels with Lanczos' kernel, and encodes them again.
    Lanczos,
    /// Bilinear interpolation of the latents. It needs no decoding, and gives softer edges.
    LatentBilinear,
}

impl Upscaler {
    /// Every upscaler, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Lanczos, Self::LatentBilinear];

    /// The lower-case name, such as `latent-bilinear`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lanczos => "lanczos",
            Self::LatentBilinear => "latent-bilinear",
        }
    }
}

impl fmt::Display for Upscaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
