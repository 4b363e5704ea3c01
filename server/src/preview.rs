//! Previews: which steps get one, how large they are, and how they are encoded.

use std::io::Cursor;
use std::time::{Duration, Instant};

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use sakuga_model_core::{PreviewMethod, Rgb8};

use crate::picture::{self, EncodeError};

/// JPEG quality: artefacts are hard to see and a file is about a tenth of the PNG.
const JPEG_QUALITY: u8 = 85;
/// Most bytes of one preview, so that its event fits into a message. Lossless ones of noise can be larger; they are
/// sent at half the size.
const PREVIEW_BYTES_MAX: usize = 3 * 1024 * 1024;

/// How previews are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PreviewFormat {
    /// JPEG, quality 85.
    #[default]
    Jpeg,
    Png,
    /// WebP, lossless.
    Webp,
}

/// What previews to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PreviewPolicy {
    /// How they are made; `None` for no previews.
    pub method: Option<PreviewMethod>,
    /// How they are encoded.
    pub format: PreviewFormat,
    /// Most pixels of the longer edge.
    pub max_edge_px: u32,
    /// Steps between two previews, at least 1.
    pub every_steps: u32,
    /// Least time between two previews.
    pub min_interval: Duration,
}

impl PreviewPolicy {
    /// The longer edge unless a request says otherwise, in pixels.
    pub(crate) const MAX_EDGE_DEFAULT_PX: u32 = 512;

    /// How to draw previews after this step, if they are due. `last` is when each picture was drawn last.
    pub(crate) fn due(&self, step: u32, last: Option<Instant>, now: Instant) -> Option<PreviewMethod> {
        let is_turn = step.is_multiple_of(self.every_steps.max(1));
        let is_time = last.is_none_or(|last| now.duration_since(last) >= self.min_interval);
        self.method.filter(|_| is_turn && is_time)
    }
}

/// A preview, resized and encoded.
#[derive(Clone, Debug)]
pub(crate) struct EncodedPreview {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// The file.
    pub data: Bytes,
}

/// Shrinks a picture to `max_edge_px` if it is larger, and encodes it.
///
/// # Errors
///
/// What the encoder says.
pub(crate) fn encode(picture: Rgb8, format: PreviewFormat, max_edge_px: u32) -> Result<EncodedPreview, EncodeError> {
    let mut picture = shrink(picture, max_edge_px)?;
    loop {
        let data = encode_file(&picture, format)?;
        let longer_px = picture.width_px.max(picture.height_px);
        if data.len() <= PREVIEW_BYTES_MAX || longer_px < 2 {
            return Ok(EncodedPreview { width_px: picture.width_px, height_px: picture.height_px, data: data.into() });
        }
        picture = shrink(picture, longer_px / 2)?;
    }
}

fn shrink(picture: Rgb8, max_edge_px: u32) -> Result<Rgb8, EncodeError> {
    picture::check_size(&picture)?;
    let longer_px = picture.width_px.max(picture.height_px);
    if longer_px <= max_edge_px {
        return Ok(picture);
    }
    let scaled = |edge_px: u32| {
        let exact = f64::from(edge_px) * f64::from(max_edge_px) / f64::from(longer_px);
        (exact.round() as u32).max(1)
    };
    let (width_px, height_px) = (scaled(picture.width_px), scaled(picture.height_px));
    let bytes = picture.pixels.len();
    let size = EncodeError::Size { width_px: picture.width_px, height_px: picture.height_px, bytes };
    let full = RgbImage::from_raw(picture.width_px, picture.height_px, picture.pixels).ok_or(size)?;
    let small = imageops::resize(&full, width_px, height_px, FilterType::Triangle);
    Ok(Rgb8 { width_px, height_px, pixels: small.into_raw() })
}

fn encode_file(picture: &Rgb8, format: PreviewFormat) -> Result<Vec<u8>, EncodeError> {
    let (pixels, width_px, height_px) = (&picture.pixels, picture.width_px, picture.height_px);
    let mut file = Cursor::new(Vec::new());
    match format {
        PreviewFormat::Png => return picture::encode_png(picture, &[]),
        PreviewFormat::Jpeg => JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY).write_image(
            pixels,
            width_px,
            height_px,
            ExtendedColorType::Rgb8,
        )?,
        PreviewFormat::Webp => {
            WebPEncoder::new_lossless(&mut file).write_image(pixels, width_px, height_px, ExtendedColorType::Rgb8)?;
        }
    }
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width_px: u32, height_px: u32) -> Rgb8 {
        Rgb8 { width_px, height_px, pixels: (0..3 * width_px * height_px).map(|index| (index % 251) as u8).collect() }
    }

    #[test]
    fn every_format_decodes_to_the_size_that_it_says() {
        for (format, magic) in [
            (PreviewFormat::Jpeg, &b"\xff\xd8\xff"[..]),
            (PreviewFormat::Png, &b"\x89PNG"[..]),
            (PreviewFormat::Webp, &b"RIFF"[..]),
        ] {
            let encoded = encode(ramp(100, 30), format, 50).expect("a small picture");
            assert_eq!((encoded.width_px, encoded.height_px), (50, 15));
            assert!(encoded.data.starts_with(magic), "{format:?}");
        }
    }

    #[test]
    fn small_pictures_are_not_enlarged_and_thin_ones_keep_a_pixel() {
        let encoded = encode(ramp(8, 8), PreviewFormat::Png, 512).expect("a small picture");
        assert_eq!((encoded.width_px, encoded.height_px), (8, 8));
        let encoded = encode(ramp(400, 1), PreviewFormat::Png, 16).expect("a thin picture");
        assert_eq!((encoded.width_px, encoded.height_px), (16, 1));
    }

    #[test]
    fn a_lossless_preview_fits_into_a_message() {
        let mut state = 1_u32;
        let noise = (0..3 * 1200 * 1200)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let noise = Rgb8 { width_px: 1200, height_px: 1200, pixels: noise };
        let encoded = encode(noise, PreviewFormat::Png, 2048).expect("a picture");
        assert!(encoded.data.len() <= PREVIEW_BYTES_MAX);
        assert_eq!(encoded.width_px, 600);
    }

    #[test]
    fn the_policy_keeps_its_rate() {
        let policy = PreviewPolicy {
            method: Some(PreviewMethod::Linear),
            format: PreviewFormat::Jpeg,
            max_edge_px: 64,
            every_steps: 3,
            min_interval: Duration::from_millis(100),
        };
        let now = Instant::now();
        assert_eq!(policy.due(3, None, now), Some(PreviewMethod::Linear));
        assert_eq!(policy.due(4, None, now), None);
        assert_eq!(policy.due(6, Some(now), now + Duration::from_millis(99)), None);
        assert_eq!(policy.due(6, Some(now), now + Duration::from_millis(100)), Some(PreviewMethod::Linear));
        assert_eq!(PreviewPolicy { method: None, ..policy }.due(3, None, now), None);
    }
}
