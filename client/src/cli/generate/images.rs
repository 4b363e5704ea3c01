//! The images of `sakuga generate`: the one that pictures begin from, a mask, and a second pass.

use std::path::{Path, PathBuf};

use clap::Args;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::{self as wire, GenerateRequest, ImageSource, image_source};

use super::control::{self, ControlArgument};
use crate::cli::choice::Choice;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::units;

/// Bytes of a picture within a request.
const INLINE_BYTES_MAX: u64 = 2 << 20;
/// Prefix of the hash of an uploaded file in place of a path.
const ASSET: &str = "asset:";

/// An image to begin from, a mask, and a second pass
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct ImageArguments {
    /// Begin from this image, PNG, JPEG or WebP of at most 2 MiB; asset:SHA256 names an uploaded file
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,

    /// Share of the steps that are computed, up to 1: small values change the image little [default: 0.75]. For a scene without
    /// an image to begin from, the strength of the scene [default: 0.4]
    #[arg(long, value_name = "F")]
    pub strength: Option<f32>,

    /// How an image of another size gets the size of the picture. For a scene without an image to begin from, how the pictures of
    /// the first pass get the size of the scene
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "canvas")]
    pub resize: Option<Choice<wire::ResizeMode>>,

    /// Draw around the image: the picture has this size, the image keeps its own; use it with --strength 1
    #[arg(long, value_name = "WxH", conflicts_with = "size", value_parser = crate::cli::size::Size::parse)]
    pub canvas: Option<crate::cli::size::Size>,

    /// Where the image lies on the canvas: columns left of it and rows above it [default: in the middle]
    #[arg(long, value_name = "X,Y", requires = "canvas", value_parser = parse_place)]
    pub canvas_at: Option<[u32; 2]>,

    /// Draw only what is white in this image again, and keep every other pixel as it is
    #[arg(long, value_name = "FILE", conflicts_with = "mask_box")]
    pub mask: Option<PathBuf>,

    /// The same for a rectangle of the picture: column, row, width, height; may be repeated
    #[arg(long, value_name = "X,Y,W,H", value_parser = parse_box)]
    pub mask_box: Vec<MaskBox>,

    /// Width in pixels of the transition around the mask between drawn and kept pixels [default: 0]
    #[arg(long, value_name = "PX")]
    pub feather: Option<u32>,

    /// Draw only the surroundings of the mask, at the model's own size, and put them back: for small details
    #[arg(long)]
    pub masked_only: bool,

    /// Pixels around the mask that --masked-only draws with it [default: 32]
    #[arg(long, value_name = "PX", requires = "masked_only")]
    pub padding: Option<u32>,

    /// Steer the picture by an image through a control network, as `sakuga info` lists it; settings after commas: scale=0.8, start=0,
    /// end=0.6, resize=crop|pad|stretch, preprocess=canny or canny:LOW:HIGH. Can be given several times, and then replaces those of --from
    #[arg(long = "control", value_name = "NETWORK=FILE[,SETTING=VALUE]", value_parser = control::parse)]
    pub controls: Vec<ControlArgument>,

    /// Enlarge the picture by this factor and draw it again in a second pass, such as 1.5
    #[arg(long, value_name = "FACTOR")]
    pub hires: Option<f32>,

    /// How the second pass enlarges [default: lanczos]
    #[arg(long, value_enum, value_name = "HOW")]
    pub hires_upscaler: Option<Choice<wire::Upscaler>>,

    /// Share of its steps that the second pass computes [default: 0.5]
    #[arg(long, value_name = "F")]
    pub hires_strength: Option<f32>,

    /// Steps of the second pass [default: --steps]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub hires_steps: Option<u32>,
}

/// A rectangle of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaskBox(wire::Box);

impl MaskBox {
    pub(super) fn to_wire(self) -> wire::Box {
        self.0
    }
}

impl ImageArguments {
    /// The files that are read, with their options.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let given = [("--init", self.init.as_deref()), ("--mask", self.mask.as_deref())];
        let controls = self.controls.iter().map(|control| ("--control", Some(control.file.as_path())));
        given
            .into_iter()
            .chain(controls)
            .filter_map(|(name, path)| Some((name, path.filter(|path| asset_of(path).is_none())?)))
    }

    /// Sets the given options in a request. Others keep their values.
    pub(crate) fn apply(&self, request: &mut GenerateRequest) -> Result<(), Failure> {
        if let Some(path) = &self.init {
            request.init.get_or_insert_default().image = Some(read_source(path, "--init")?);
        }
        match &mut request.scene {
            Some(scene) if request.init.is_none() => {
                scene.strength = self.strength.or(scene.strength);
                scene.resize = self.resize.map_or(scene.resize, |resize| resize.value.into());
            }
            _ => self.apply_init(request),
        }
        if let Some(size) = self.canvas {
            (request.width, request.height) = (size.width_px, size.height_px);
            let init = request.init.get_or_insert_default();
            let [left, top] = self.canvas_at.map_or([None; 2], |place| place.map(Some));
            (init.resize, init.canvas) = (wire::ResizeMode::Unspecified.into(), Some(wire::Canvas { left, top }));
        }
        if let Some(path) = &self.mask {
            let mask = request.mask.get_or_insert_default();
            (mask.image, mask.boxes) = (Some(read_source(path, "--mask")?), Vec::new());
        }
        if !self.mask_box.is_empty() {
            let mask = request.mask.get_or_insert_default();
            (mask.image, mask.boxes) = (None, self.mask_box.iter().map(|given| given.0).collect());
        }
        if let Some(feather) = self.feather {
            request.mask.get_or_insert_default().feather = feather;
        }
        if self.masked_only {
            let only = request.mask.get_or_insert_default().masked_only.get_or_insert_default();
            only.padding = self.padding.or(only.padding);
        }
        if !self.controls.is_empty() {
            request.controls = self.controls.iter().map(read_control).collect::<Result<_, _>>()?;
        }
        self.apply_second_pass(request);
        Ok(())
    }

    /// Sets how much of the initial image is changed, and how it is resized or placed.
    fn apply_init(&self, request: &mut GenerateRequest) {
        if let Some(strength) = self.strength {
            request.init.get_or_insert_default().strength = Some(strength);
        }
        if let Some(resize) = self.resize {
            let init = request.init.get_or_insert_default();
            (init.resize, init.canvas) = (resize.value.into(), None);
        }
    }

    fn apply_second_pass(&self, request: &mut GenerateRequest) {
        let Self { hires, hires_upscaler, hires_strength, hires_steps, .. } = self;
        if hires.is_none() && hires_upscaler.is_none() && hires_strength.is_none() && hires_steps.is_none() {
            return;
        }
        let second = request.second_pass.get_or_insert_default();
        second.factor = hires.or(second.factor);
        second.strength = hires_strength.or(second.strength);
        second.steps = hires_steps.unwrap_or(second.steps);
        if let Some(upscaler) = hires_upscaler {
            second.upscaler = upscaler.value.into();
        }
    }

    /// Notes about the files that the request of a picture names by their hashes.
    pub(crate) fn notes(&self, before: &GenerateRequest, origin: &str) -> Vec<String> {
        let init = before.init.as_ref().and_then(|init| init.image.as_ref());
        let mask = before.mask.as_ref().and_then(|mask| mask.image.as_ref());
        let named = [("--init", init, self.init.as_deref()), ("--mask", mask, self.mask.as_deref())];
        let note = |(option, recorded, given): (&str, Option<&ImageSource>, Option<&Path>)| {
            let recorded = recorded.and_then(hash_of)?;
            match given {
                None if option == "--mask" && !self.mask_box.is_empty() => None,
                None => Some(format!(
                    "{origin} was drawn with a file of SHA-256 {recorded}; unless the server has it, give the file with {option}"
                )),
                Some(path) => {
                    let found = read_source(path, option).ok().as_ref().and_then(hash_of)?;
                    (found != recorded).then(|| {
                        format!("{} is not the file that {origin} was drawn with, SHA-256 {recorded}", path.display())
                    })
                }
            }
        };
        let controls = before.controls.iter().filter_map(|control| hash_of(control.image.as_ref()?));
        let controls = controls.filter(|_| self.controls.is_empty()).map(|recorded| {
            format!(
                "{origin} was drawn with a control image of SHA-256 {recorded}; unless the server has it, give the file with --control"
            )
        });
        let protection = before.scene.as_ref().and_then(|scene| scene.protection.as_ref()?.image.as_ref());
        let protection = protection.and_then(hash_of).map(|recorded| {
            format!(
                "the scene of {origin} was drawn with a protected area of SHA-256 {recorded}; unless the server has the file, upload it \
                 with `sakuga assets upload`"
            )
        });
        named.into_iter().filter_map(note).chain(controls).chain(protection).collect()
    }
}

/// The request with every file named by its hash, as records have it.
pub(crate) fn with_hashes(mut request: GenerateRequest) -> GenerateRequest {
    let init = request.init.as_mut().and_then(|init| init.image.as_mut());
    let mask = request.mask.as_mut().and_then(|mask| mask.image.as_mut());
    let controls = request.controls.iter_mut().filter_map(|control| control.image.as_mut());
    let protection = request.scene.as_mut().and_then(|scene| scene.protection.as_mut()?.image.as_mut());
    for source in [init, mask, protection].into_iter().flatten().chain(controls) {
        if let Some(sha256) = hash_of(source) {
            source.source = Some(image_source::Source::Asset(sha256));
        }
    }
    request
}

/// The hash of a source's file.
fn hash_of(source: &ImageSource) -> Option<String> {
    Some(match source.source.as_ref()? {
        image_source::Source::Asset(sha256) => sha256.clone(),
        image_source::Source::Inline(bytes) => sha256_hex(bytes),
    })
}

/// The hash of an uploaded file, if that is what was given.
pub(super) fn asset_of(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(ASSET)
}

pub(super) fn read_source(path: &Path, option: &str) -> Result<ImageSource, Failure> {
    let source = match asset_of(path) {
        Some(sha256) => image_source::Source::Asset(sha256.to_owned()),
        None => {
            let bytes = input::read_picture(path)?.bytes;
            if bytes.len() as u64 > INLINE_BYTES_MAX {
                let message = format!(
                    "{option} {} has {}, and a request takes files of at most {}",
                    path.display(),
                    units::bytes(bytes.len() as u64),
                    units::bytes(INLINE_BYTES_MAX)
                );
                return Err(Failure::new(Exit::Unreadable, message)
                    .with_help("save it smaller, or as JPEG or WebP; or upload it, and give asset:SHA256"));
            }
            image_source::Source::Inline(bytes.into())
        }
    };
    Ok(ImageSource { source: Some(source) })
}

fn read_control(given: &ControlArgument) -> Result<wire::Control, Failure> {
    let image = Some(read_source(&given.file, "--control")?);
    Ok(wire::Control { image, ..given.control.clone() })
}

/// Parses whole numbers separated by commas.
fn numbers<const N: usize>(text: &str, example: &str) -> Result<[u32; N], String> {
    let read: Result<Vec<u32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    let wrong = || format!("write pixels such as `{example}`, not `{text}`");
    read.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

fn parse_place(text: &str) -> Result<[u32; 2], String> {
    numbers(text, "64,0")
}

pub(super) fn parse_box(text: &str) -> Result<MaskBox, String> {
    let [left, top, width, height] = numbers(text, "40,10,120,80")?;
    Ok(MaskBox(wire::Box { left, top, width, height }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[arg(long, value_parser = crate::cli::size::Size::parse)]
        size: Option<crate::cli::size::Size>,
        #[command(flatten)]
        images: ImageArguments,
    }

    fn applied(line: &str, mut request: GenerateRequest) -> GenerateRequest {
        let line = Line::try_parse_from(std::iter::once("generate").chain(line.split_whitespace()));
        let Line { size, images } = line.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(size, None);
        images.apply(&mut request).unwrap_or_else(|failure| panic!("{}", failure.message()));
        request
    }

    #[test]
    fn every_argument_fills_its_field() {
        let request = applied(
            "--init asset:ab --strength 0.6 --resize pad --mask asset:cd --feather 7 --masked-only --padding 9 --hires 1.5 \
             --hires-upscaler latent-bilinear --hires-strength 0.4 --hires-steps 12 --control lines=asset:ef,scale=0.5",
            GenerateRequest::default(),
        );
        let asset = |sha256: &str| Some(ImageSource { source: Some(image_source::Source::Asset(sha256.to_owned())) });
        let init = wire::InitImage {
            image: asset("ab"),
            strength: Some(0.6),
            resize: wire::ResizeMode::Pad.into(),
            canvas: None,
        };
        let masked_only = Some(wire::MaskedOnly { padding: Some(9) });
        let mask = wire::Mask { image: asset("cd"), boxes: Vec::new(), feather: 7, masked_only };
        let upscaler = wire::Upscaler::LatentBilinear.into();
        let second = wire::SecondPass { factor: Some(1.5), upscaler, strength: Some(0.4), steps: 12 };
        assert_eq!((request.init, request.mask, request.second_pass), (Some(init), Some(mask), Some(second)));
        let control =
            wire::Control { network: "lines".into(), image: asset("ef"), scale: Some(0.5), ..wire::Control::default() };
        assert_eq!(request.controls, [control]);
    }

    #[test]
    fn a_canvas_is_the_size_of_the_picture_and_boxes_replace_a_mask() {
        let before = applied("--init asset:ab --resize crop --mask asset:cd", GenerateRequest::default());
        let request = applied("--canvas 96x64 --canvas-at 5,6 --mask-box 1,2,3,4 --mask-box 5,6,7,8", before);
        assert_eq!((request.width, request.height), (96, 64));
        let init = request.init.unwrap();
        assert_eq!(init.resize(), wire::ResizeMode::Unspecified);
        assert_eq!(init.canvas, Some(wire::Canvas { left: Some(5), top: Some(6) }));
        let mask = request.mask.unwrap();
        assert_eq!((mask.image, mask.boxes.len(), mask.boxes[1].width), (None, 2, 7));
    }

    #[test]
    fn without_init_strength_and_resize_change_the_scene() {
        let scene = wire::Scene { strength: Some(0.4), ..wire::Scene::default() };
        let before = GenerateRequest { scene: Some(scene.clone()), ..GenerateRequest::default() };
        assert_eq!(applied("", before.clone()), before);
        let changed = applied("--strength 0.6 --resize stretch", before.clone());
        let expected =
            wire::Scene { strength: Some(0.6), resize: wire::ResizeMode::Stretch.into(), ..wire::Scene::default() };
        assert_eq!((changed.scene, changed.init), (Some(expected), None));
        let begun = applied("--init asset:ab --strength 0.6 --resize stretch", before);
        assert_eq!((begun.scene, begun.init.unwrap().strength), (Some(scene), Some(0.6)));
    }

    #[test]
    fn what_is_not_given_stays() {
        let before = applied("--init asset:ab --hires 2 --hires-steps 9", GenerateRequest::default());
        assert_eq!(applied("", before.clone()), before);
        let changed = applied("--hires-strength 0.3", before).second_pass.unwrap();
        assert_eq!((changed.factor, changed.strength, changed.steps), (Some(2.0), Some(0.3), 9));
    }

    #[test]
    fn a_box_without_exactly_four_numbers_is_refused() {
        for text in ["", "1,2,3", "1,2,3,4,5", "a,2,3,4", "-1,2,3,4"] {
            assert!(parse_box(text).unwrap_err().contains("40,10,120,80"), "{text}");
        }
    }

    #[test]
    fn notes_name_the_files_that_are_needed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("init.png");
        std::fs::write(&path, "a file").unwrap();
        let given = ImageArguments { init: Some(path.clone()), ..ImageArguments::default() };
        let mut request = GenerateRequest::default();
        given.apply(&mut request).unwrap();
        let recorded = with_hashes(request.clone());
        assert_ne!(recorded, request);
        assert_eq!(given.notes(&recorded, "girl.png"), Vec::<String>::new());
        let missing = ImageArguments::default().notes(&recorded, "girl.png");
        assert!(missing[0].contains(&sha256_hex(b"a file")) && missing[0].contains("--init"), "{missing:?}");
        std::fs::write(&path, "another file").unwrap();
        let other = given.notes(&recorded, "girl.png");
        assert!(other[0].contains("is not the file"), "{other:?}");
    }
}
