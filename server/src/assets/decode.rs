//! [`decode_picture`]: PNG, JPEG and WebP files of clients as plain RGB, within bounds.
//!
//! The work is bounded before it begins: by the bytes of the file, by the pixels that its header states, and for JPEG by its
//! scans, each of which may touch every pixel. What a file says besides its pixels is applied or stated in [`PictureFacts`]:
//!
//! - An EXIF orientation is applied. Width and height are those after it.
//! - An RGB or grey ICC profile is converted to sRGB. One that cannot be is ignored, and the facts say why. A file without a
//!   profile counts as sRGB.
//! - Transparent pixels are composited on white, in sRGB values.
//! - 16 bits a channel are reduced to 8.

use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat};

use super::profile::{ColorProfile, to_srgb};

/// Bytes that a decoder may take for a file's metadata, such as a compressed colour profile.
const METADATA_BYTES_MAX: u64 = 16 << 20;
/// Scans of a JPEG. Encoders write about ten for a progressive one.
const JPEG_SCANS_MAX: usize = 32;

/// Bounds of a picture that clients upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Bytes of the file.
    pub bytes_max: u64,
    /// Pixels of its longer edge.
    pub edge_max: u32,
    pub pixels_max: u64,
}

impl Default for PictureLimits {
    /// 64 MiB, 16384 pixels, 4096 x 4096 pixels.
    fn default() -> Self {
        Self { bytes_max: 64 << 20, edge_max: 16_384, pixels_max: 1 << 24 }
    }
}

/// The format of a picture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureFormat {
    Png,
    Jpeg,
    /// WebP, lossy or lossless.
    Webp,
}

impl PictureFormat {
    /// The format of a file that begins with these bytes: 12 are enough.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match image::guess_format(head).ok()? {
            ImageFormat::Png => Some(Self::Png),
            ImageFormat::Jpeg => Some(Self::Jpeg),
            ImageFormat::WebP => Some(Self::Webp),
            _ => None,
        }
    }

    /// The name that people know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Webp => "WebP",
        }
    }
}

/// What a file says besides its pixels, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PictureFacts {
    pub format: PictureFormat,
    /// The EXIF orientation that was applied, 1 to 8; 1: none.
    pub orientation: u8,
    /// Whether there is an alpha channel, so that pixels were composited on white.
    pub has_alpha: bool,
    /// The colour profile.
    pub color_profile: ColorProfile,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecodedPicture {
    /// sRGB in 8 bits: rows from the top, `3 * width * height` bytes.
    pub rgb: Vec<u8>,
    /// Pixels of a row, after the orientation.
    pub width: u32,
    /// Rows, after the orientation.
    pub height: u32,
    /// What the file says besides.
    pub facts: PictureFacts,
}

/// Why a file is not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PictureError {
    /// The file is of another format.
    #[error("it is not a PNG, JPEG or WebP file; convert it to one of them")]
    UnknownFormat,
    /// The file is too large.
    #[error("the file has {bytes} bytes, and a picture may have {limit}; compress it, or make it smaller")]
    TooManyBytes {
        bytes: u64,
        /// The largest size allowed, in bytes.
        limit: u64,
    },
    /// The picture is too large.
    #[error(
        "it has {width}x{height} pixels; an edge may have {}, and the picture {} pixels: make it smaller",
        .limits.edge_max, .limits.pixels_max
    )]
    TooManyPixels {
        width: u32,
        height: u32,
        /// The limits that it exceeds.
        limits: PictureLimits,
    },
    /// The file has several frames.
    #[error("it is animated; save the frame that you mean as its own picture")]
    Animated,
    /// The JPEG has too many scans.
    #[error("the JPEG has {scans} scans, and {JPEG_SCANS_MAX} are decoded; save it again")]
    TooManyScans { scans: usize },
    /// The file is damaged, or uses what the decoder does not know.
    #[error("the {} file cannot be decoded: {why}; save it again", .format.name())]
    Broken {
        format: PictureFormat,
        /// What the decoder says.
        why: String,
    },
}

/// Decodes a picture. Takes CPU time in proportion to its pixels, at most a few seconds within the default limits: call it on
/// a thread that may block. It takes at most about 20 bytes of memory a pixel.
///
/// # Errors
///
/// [`PictureError`] says what is wrong with the file, and what to do.
pub(crate) fn decode_picture(bytes: &[u8], limits: &PictureLimits) -> Result<DecodedPicture, PictureError> {
    decode(bytes, limits)
}

/// The opacity of every pixel of a picture, in the order of its rows, with its width and height; `None` if it has no alpha
/// channel. Costs as much as [`decode_picture`].
///
/// # Errors
///
/// As of [`decode_picture`].
pub(crate) fn decode_alpha(bytes: &[u8], limits: &PictureLimits) -> Result<Option<AlphaChannel>, PictureError> {
    decode(bytes, limits)
}

/// Width and height of a picture after its EXIF orientation, from the beginning of the file: the pixels are not decoded.
///
/// # Errors
///
/// As of [`decode_picture`].
pub(crate) fn picture_size(bytes: &[u8], limits: &PictureLimits) -> Result<(u32, u32), PictureError> {
    decode(bytes, limits)
}

/// The opacity of the pixels of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlphaChannel {
    /// 0 is transparent, 255 opaque: rows from the top, `width * height` bytes.
    pub(crate) levels: Vec<u8>,
    /// Pixels of a row, after the orientation.
    pub(crate) width: u32,
    /// Rows, after the orientation.
    pub(crate) height: u32,
}

/// What is read of a file whose size is within the limits.
trait Reading: Sized {
    fn read(decoder: impl ImageDecoder, format: PictureFormat) -> Result<Self, PictureError>;
}

fn decode<T: Reading>(bytes: &[u8], limits: &PictureLimits) -> Result<T, PictureError> {
    let format = PictureFormat::of(bytes).ok_or(PictureError::UnknownFormat)?;
    if bytes.len() as u64 > limits.bytes_max {
        return Err(PictureError::TooManyBytes { bytes: bytes.len() as u64, limit: limits.bytes_max });
    }
    // Any client may send the bytes, so a panic of a decoder is an error of the file.
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| open(bytes, format, limits)));
    decoded.unwrap_or_else(|_| Err(PictureError::Broken { format, why: "the decoder failed on it".into() }))
}

fn open<T: Reading>(bytes: &[u8], format: PictureFormat, limits: &PictureLimits) -> Result<T, PictureError> {
    let broken = |error: image::ImageError| PictureError::Broken { format, why: error.to_string() };
    match format {
        PictureFormat::Png => {
            let mut bounds = image::Limits::no_limits();
            bounds.max_alloc = Some(METADATA_BYTES_MAX);
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), bounds).map_err(broken)?;
            if decoder.is_apng().map_err(broken)? {
                return Err(PictureError::Animated);
            }
            read(decoder, format, limits)
        }
        PictureFormat::Jpeg => {
            let scans = bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
            if scans > JPEG_SCANS_MAX {
                return Err(PictureError::TooManyScans { scans });
            }
            // The decoder fills what is missing with grey.
            let last_scan = bytes.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap_or(0);
            if !bytes[last_scan..].windows(2).any(|pair| pair == [0xff, 0xd9]) {
                return Err(PictureError::Broken { format, why: "it is cut off".into() });
            }
            read(JpegDecoder::new(Cursor::new(bytes)).map_err(broken)?, format, limits)
        }
        PictureFormat::Webp => {
            let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?;
            if decoder.has_animation() {
                return Err(PictureError::Animated);
            }
            read(decoder, format, limits)
        }
    }
}

fn read<T: Reading>(
    decoder: impl ImageDecoder,
    format: PictureFormat,
    limits: &PictureLimits,
) -> Result<T, PictureError> {
    let (width, height) = decoder.dimensions();
    if width.max(height) > limits.edge_max || u64::from(width) * u64::from(height) > limits.pixels_max {
        return Err(PictureError::TooManyPixels { width, height, limits: *limits });
    }
    T::read(decoder, format)
}

/// None if the metadata cannot be read: a picture does not depend on it.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// The picture after this orientation.
fn pixels(
    decoder: impl ImageDecoder,
    orientation: Orientation,
    format: PictureFormat,
) -> Result<DynamicImage, PictureError> {
    let broken = |error: image::ImageError| PictureError::Broken { format, why: error.to_string() };
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

impl Reading for DecodedPicture {
    fn read(mut decoder: impl ImageDecoder, format: PictureFormat) -> Result<Self, PictureError> {
        let orientation = orientation(&mut decoder);
        let profile = decoder.icc_profile().ok().flatten();
        let picture = pixels(decoder, orientation, format)?;
        let (width, height) = (picture.width(), picture.height());
        let has_alpha = picture.color().has_alpha();
        let is_grey = !picture.color().has_color();
        let (rgb, color_profile) = if has_alpha {
            let (rgba, profile) = to_srgb(picture.into_rgba8().into_raw(), profile.as_deref(), is_grey, true);
            (on_white(&rgba), profile)
        } else {
            to_srgb(picture.into_rgb8().into_raw(), profile.as_deref(), is_grey, false)
        };
        let facts = PictureFacts { format, orientation: orientation.to_exif(), has_alpha, color_profile };
        Ok(DecodedPicture { rgb, width, height, facts })
    }
}

impl Reading for Option<AlphaChannel> {
    fn read(mut decoder: impl ImageDecoder, format: PictureFormat) -> Result<Self, PictureError> {
        let orientation = orientation(&mut decoder);
        let picture = pixels(decoder, orientation, format)?;
        if !picture.color().has_alpha() {
            return Ok(None);
        }
        let (width, height) = (picture.width(), picture.height());
        let levels = picture.into_rgba8().into_raw().chunks_exact(4).map(|pixel| pixel[3]).collect();
        Ok(Some(AlphaChannel { levels, width, height }))
    }
}

impl Reading for (u32, u32) {
    fn read(mut decoder: impl ImageDecoder, _: PictureFormat) -> Result<Self, PictureError> {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let (width, height) = decoder.dimensions();
        let is_turned = matches!(orientation(&mut decoder), Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
        Ok(if is_turned { (height, width) } else { (width, height) })
    }
}

/// Composites pixels on white.
fn on_white(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.chunks_exact(4) {
        let alpha = u32::from(pixel[3]);
        rgb.extend(
            pixel[..3].iter().map(|value| ((u32::from(*value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8),
        );
    }
    rgb
}
