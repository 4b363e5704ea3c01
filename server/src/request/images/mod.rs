//! The image fields of a request: initial image, mask, control images and second pass; in the pass of a scene, how it begins from the
//! pictures of the first pass.
//!
//! [`UncheckedImages`] has the fields as received. [`UncheckedImages::check`] reads the files and checks everything. Its results are
//! [`Images`], with files as hashes and defaults filled in, and [`Drawn`], the pixels for the model.

mod canny;
mod check;
mod controls;
mod first_pass;
mod image_fit;
mod region;
mod source;

use bytes::Bytes;
use sakuga_model_core::{Area, Upscaler};

pub(crate) use check::{Checked, Surroundings, enlarged_edge, largest_factor};
pub(crate) use source::{NoUploads, Uploads, decode_alone, shown};

/// The strength of an image if a request gives none.
pub(crate) const STRENGTH_DEFAULT: f32 = 0.75;
/// The strength of the pass of a scene if it gives none: that of the article that the workflow comes from.
pub(crate) const SCENE_STRENGTH_DEFAULT: f32 = 0.4;
/// The strength of a second pass if a request gives none.
pub(crate) const SECOND_STRENGTH_DEFAULT: f32 = 0.5;
/// The factor of a second pass if a request gives none.
const FACTOR_DEFAULT: f32 = 1.5;
/// Pixels around a mask that are drawn with it if a request does not say how many.
const PADDING_DEFAULT_PX: u32 = 32;

/// The image fields of a request, as received.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedImages {
    /// The image to begin from.
    pub init: Option<UncheckedInit>,
    /// What of it is drawn again.
    pub mask: Option<UncheckedMask>,
    pub second_pass: Option<UncheckedSecondPass>,
    /// Images that steer it through control networks.
    pub controls: Vec<UncheckedControl>,
    /// In the pass of a scene, what it takes over; then there is no `init`, mask or second pass.
    pub first_pass: Option<UncheckedFirstPass>,
}

impl UncheckedImages {
    /// The files that are within the request itself.
    pub(crate) fn inline_files(&self) -> Vec<Bytes> {
        let init = self.init.as_ref().and_then(|init| init.image.as_ref());
        let mask = self.mask.as_ref().and_then(|mask| mask.image.as_ref());
        let inline = |source: &Source| match source {
            Source::Inline(bytes) => Some(bytes.clone()),
            Source::Asset(_) => None,
        };
        let controls = self.controls.iter().filter_map(|control| control.image.as_ref());
        let protection = self.first_pass.as_ref().and_then(|first| first.protection.as_ref()?.image.as_ref());
        [init, mask, protection].into_iter().flatten().chain(controls).filter_map(inline).collect()
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the request.
    Inline(Bytes),
    /// Uploaded before, under this hash.
    Asset(String),
}

/// The initial image, as received.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedInit {
    /// Its file.
    pub image: Option<Source>,
    /// The share of the schedule that is computed.
    pub strength: Option<f32>,
    /// How it gets the size of the picture.
    pub resize: Option<ResizeMode>,
    /// Where it lies on a larger picture.
    pub canvas: Option<UncheckedCanvas>,
}

/// Where an image lies on a larger picture, as received; `None`: centred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UncheckedCanvas {
    /// Columns left of it.
    pub left_px: Option<u32>,
    /// Rows above it.
    pub top_px: Option<u32>,
}

/// The mask, as received.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedMask {
    /// The file of a mask.
    pub image: Option<Source>,
    /// Rectangles.
    pub boxes: Vec<Area>,
    /// Pixels over which its edge is soft.
    pub feather_px: u32,
    /// Whether to generate only the area around it.
    pub masked_only: Option<UncheckedMaskedOnly>,
}

/// How to generate only the area around a mask, as received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UncheckedMaskedOnly {
    /// Pixels around the mask.
    pub padding_px: Option<u32>,
}

/// A second pass, as received; 0 and `None` mean the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct UncheckedSecondPass {
    /// The size after it, as a multiple of the size before it.
    pub factor: Option<f32>,
    /// How pictures are enlarged.
    pub upscaler: Option<Upscaler>,
    /// The share of its schedule that is computed.
    pub strength: Option<f32>,
    /// Intervals of its schedule.
    pub steps: u32,
}

/// How the pass of a scene takes over the pictures of the first pass, as received; `None` means the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedFirstPass {
    /// Width and height of these pictures, in pixels; `None`: the first pass has faults, and they are not known.
    pub size_px: Option<[u32; 2]>,
    /// The share of the schedule that is computed.
    pub strength: Option<f32>,
    /// How they get the size of the scene.
    pub resize: Option<ResizeMode>,
    /// What of them is kept.
    pub protection: Option<UncheckedProtection>,
}

/// What of the first pass is kept, as received.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedProtection {
    /// The file of a mask.
    pub image: Option<Source>,
    /// Rectangles.
    pub boxes: Vec<Area>,
    /// Pixels around what is kept over which kept and drawn pixels are mixed.
    pub feather_px: u32,
}

/// A control image, as received; `None` means the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UncheckedControl {
    /// The name of its network.
    pub network: String,
    /// Its file.
    pub image: Option<Source>,
    /// How it is preprocessed.
    pub preprocessor: Option<Preprocessor>,
    /// Factor on what the network adds.
    pub scale: Option<f32>,
    /// The share of the steps at which it begins to act.
    pub start: Option<f32>,
    /// The share of the steps at which it stops.
    pub end: Option<f32>,
    /// How it gets the size of the picture.
    pub resize: Option<ResizeMode>,
    /// Lower and upper threshold of the edges.
    pub canny: [Option<u32>; 2],
}

/// Preprocessing of a control image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preprocessor {
    /// Its edges.
    Canny,
}

/// How an image gets the size of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResizeMode {
    /// Scaled to cover it, and cut.
    Crop,
    /// Scaled to fit into it, and extended.
    Pad,
    /// Scaled to its width and height.
    Stretch,
}

/// The image fields of a checked request, with defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Images {
    /// The image to begin from.
    pub init: Option<Init>,
    /// What of it is drawn again.
    pub mask: Option<MaskFacts>,
    pub second_pass: Option<SecondPassFacts>,
    /// Images that steer it through control networks.
    pub controls: Vec<ControlFacts>,
    /// In the pass of a scene, what it takes over.
    pub first_pass: Option<FirstPass>,
}

/// How the pass of a scene takes over the pictures of the first pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FirstPass {
    /// The share of the schedule that is computed.
    pub strength: f32,
    /// How they get the size of the scene; `None`: they have it.
    pub resize: Option<ResizeMode>,
    /// What of them is kept.
    pub protection: Option<ProtectionFacts>,
}

/// What of the first pass is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProtectionFacts {
    /// SHA-256 of its file, if it has one.
    pub sha256: Option<String>,
    /// Rectangles.
    pub boxes: Vec<Area>,
    /// Pixels around what is kept over which kept and drawn pixels are mixed.
    pub feather_px: u32,
}

/// A control image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ControlFacts {
    /// The name of its network.
    pub network: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Factor on what the network adds.
    pub scale: f32,
    /// The share of the steps at which it begins to act.
    pub start: f32,
    /// The share of the steps at which it stops.
    pub end: f32,
    /// How it was resized to the size of the picture; `None`: it had that size.
    pub resize: Option<ResizeMode>,
    /// The thresholds of its edges; `None`: the network reads the image itself.
    pub canny: Option<[u32; 2]>,
}

/// What the record of a picture states of its initial image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Init {
    /// SHA-256 of its file.
    pub sha256: String,
    /// The share of the schedule that is computed.
    pub strength: f32,
    /// How it was resized to the size of the picture; `None`: it had that size, or lies on a canvas.
    pub resize: Option<ResizeMode>,
    /// Columns left of it and rows above it, if the picture is larger.
    pub canvas: Option<[u32; 2]>,
}

/// What the record of a picture states of its mask.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MaskFacts {
    /// SHA-256 of its file, if it has one.
    pub sha256: Option<String>,
    /// Rectangles.
    pub boxes: Vec<Area>,
    /// Pixels over which its edge is soft.
    pub feather_px: u32,
    /// Pixels around it that are drawn with it, if its surroundings are drawn alone.
    pub padding_px: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SecondPassFacts {
    /// The size after it, as a multiple of the size before it.
    pub factor: f32,
    /// How pictures are enlarged.
    pub upscaler: Upscaler,
    /// The share of its schedule that is computed.
    pub strength: f32,
    /// Intervals of its schedule.
    pub steps: u32,
}
