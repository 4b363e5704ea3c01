//! The files of an edit: their sizes, and masks in OpenAI's form.
//!
//! In OpenAI's masks transparent pixels are changed, in ours white ones.

use bytes::Bytes;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use sakuga_model_core::limits;
use sakuga_proto::generation::v1::{ImageSource, image_source::Source};

use crate::assets::{AlphaChannel, PictureLimits, decode_alpha, picture_size};
use crate::error::Violation;
use crate::request::images::{Uploads, decode_alone, shown};

/// Pixels below this opacity are changed.
const OPAQUE_MIN: u8 = 128;

/// The bytes of a file of the parameter `field`.
///
/// # Errors
///
/// It is too large, or there is no such asset.
pub(super) fn bytes(source: Option<&ImageSource>, field: &str, uploads: &dyn Uploads) -> Result<Bytes, Violation> {
    match source.and_then(|source| source.source.as_ref()) {
        Some(Source::Inline(bytes)) if bytes.len() > limits::INLINE_BYTES.max => {
            let (given, max) = (bytes.len(), limits::INLINE_BYTES.max);
            let text = format!(
                "{given} bytes are too many; send at most {max}, or upload the file as an asset and name it by `file_id`"
            );
            Err(Violation::new(field, Violation::OUT_OF_RANGE, text))
        }
        Some(Source::Inline(bytes)) => Ok(bytes.clone()),
        Some(Source::Asset(sha256)) => uploads
            .bytes(sha256)
            .map_err(|why| Violation::new(field, Violation::REQUIRED, format!("the asset {} {why}", shown(sha256)))),
        None => Err(Violation::new(field, Violation::REQUIRED, "there is no file; send a PNG, JPEG or WebP file")),
    }
}

/// Width and height of the image of an edit.
///
/// # Errors
///
/// It is not an image, or is too large.
pub(super) fn size(file: &[u8]) -> Result<(u32, u32), Violation> {
    let size = picture_size(file, &PictureLimits::default());
    size.map_err(|error| Violation::new("image", Violation::BAD_IMAGE, error.to_string()))
}

/// Converts a mask of OpenAI's API to one of ours. Decodes it: call this on a thread that may block.
///
/// # Errors
///
/// It is not an image, has no transparent pixel, or is too large.
pub(super) fn white_where_transparent(mask: &ImageSource, uploads: &dyn Uploads) -> Result<ImageSource, Violation> {
    let file = bytes(Some(mask), "mask", uploads)?;
    let bad = |text: String| Violation::new("mask", Violation::BAD_IMAGE, text);
    let alpha = decode_alone(|| decode_alpha(&file, &PictureLimits::default()));
    let alpha = alpha.map_err(|error| bad(error.to_string()))?;
    let alpha = alpha.filter(|alpha| alpha.levels.iter().any(|level| *level < OPAQUE_MIN));
    let Some(AlphaChannel { levels, width, height }) = alpha else {
        let text = "the mask has no transparent pixel, and what is transparent is drawn again; send a mask that is white there as \
                    `sakuga.mask.image` instead";
        return Err(bad(text.into()));
    };
    let white: Vec<u8> = levels.into_iter().map(|level| if level < OPAQUE_MIN { 255 } else { 0 }).collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&white, width, height, ExtendedColorType::L8)
        .map_err(|error| bad(error.to_string()))?;
    Ok(ImageSource { source: Some(Source::Inline(png.into())) })
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, RgbaImage};

    use super::*;
    use crate::request::images::NoUploads;

    fn file(pixels: &RgbaImage, color: ExtendedColorType) -> ImageSource {
        let mut png = Vec::new();
        PngEncoder::new(&mut png).write_image(pixels, 2, 1, color).expect("a file");
        ImageSource { source: Some(Source::Inline(png.into())) }
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        let pixels = RgbaImage::from_raw(2, 1, vec![255, 255, 255, 255, 0, 0, 0, 0]).expect("two pixels");
        let mask = white_where_transparent(&file(&pixels, ExtendedColorType::Rgba8), &NoUploads).expect("a mask");
        let Some(Source::Inline(png)) = mask.source else { panic!("a file") };
        let levels: GrayImage = image::load_from_memory(&png).expect("a picture").into_luma8();
        assert_eq!(levels.into_raw(), [0, 255]);
    }

    #[test]
    fn a_mask_without_transparency_and_no_image_are_refused() {
        let opaque = RgbaImage::from_raw(2, 1, vec![255; 8]).expect("two pixels");
        let error = white_where_transparent(&file(&opaque, ExtendedColorType::Rgba8), &NoUploads).expect_err("opaque");
        assert!(error.description.contains("no transparent pixel"), "{error:?}");
        for bytes in [&b""[..], b"GIF89a", &[0; 64]] {
            let source = ImageSource { source: Some(Source::Inline(Bytes::copy_from_slice(bytes))) };
            assert_eq!(
                white_where_transparent(&source, &NoUploads).expect_err("no image").reason,
                Violation::BAD_IMAGE
            );
            assert_eq!(size(bytes).expect_err("no image").field, "image");
        }
        let asset = ImageSource { source: Some(Source::Asset("../../etc/passwd".into())) };
        assert_eq!(bytes(Some(&asset), "image", &NoUploads).expect_err("no asset").reason, Violation::REQUIRED);
        let large = ImageSource { source: Some(Source::Inline(vec![0; limits::INLINE_BYTES.max + 1].into())) };
        assert_eq!(bytes(Some(&large), "image", &NoUploads).expect_err("too large").reason, Violation::OUT_OF_RANGE);
    }
}
