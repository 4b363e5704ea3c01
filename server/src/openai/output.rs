//! [`Output`]: the format of the pictures in an answer. The store keeps them as PNG.

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _, ImageFormat};
use sakuga_proto::generation::v1 as generation;

use crate::error::ServerError;

/// A format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Webp,
}

impl Format {
    /// The default is first.
    pub(super) const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// OpenAI's name, which is also the end of a file's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    pub(super) fn of_previews(self) -> generation::ImageFormat {
        match self {
            Self::Png => generation::ImageFormat::Png,
            Self::Jpeg => generation::ImageFormat::Jpeg,
            Self::Webp => generation::ImageFormat::Webp,
        }
    }

    /// The format of a preview. JPEG is their default.
    pub(super) fn of(format: generation::ImageFormat) -> Self {
        match format {
            generation::ImageFormat::Png => Self::Png,
            generation::ImageFormat::Webp => Self::Webp,
            generation::ImageFormat::Jpeg | generation::ImageFormat::Unspecified => Self::Jpeg,
        }
    }
}

/// How the pictures of an answer are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    /// The quality of a JPEG, 0 to 100; 100 with every other format.
    pub(super) compression: u8,
}

impl Output {
    /// A picture of the store in this format. Without its metadata unless that is PNG. Call it on a thread that may block.
    ///
    /// # Errors
    ///
    /// [`ServerError::Internal`] if the picture cannot be decoded or encoded.
    pub(super) fn convert(self, png: Bytes) -> Result<Bytes, ServerError> {
        let failed =
            |error: image::ImageError| ServerError::Internal(format!("a picture cannot be converted: {error}"));
        if self.format == Format::Png {
            return Ok(png);
        }
        let picture = image::load_from_memory_with_format(&png, ImageFormat::Png).map_err(failed)?.into_rgb8();
        let (width, height) = picture.dimensions();
        let mut file = Vec::new();
        if self.format == Format::Jpeg {
            let encoder = JpegEncoder::new_with_quality(&mut file, self.compression.max(1));
            encoder.write_image(&picture, width, height, ExtendedColorType::Rgb8).map_err(failed)?;
        } else {
            let encoder = WebPEncoder::new_lossless(&mut file);
            encoder.write_image(&picture, width, height, ExtendedColorType::Rgb8).map_err(failed)?;
        }
        Ok(file.into())
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::Rgb8;

    use super::*;
    use crate::picture::encode_png;

    #[test]
    fn pictures_are_converted_to_each_format() {
        let picture = Rgb8 { width_px: 16, height_px: 8, pixels: (0..384).map(|value| value as u8).collect() };
        let png = Bytes::from(encode_png(&picture, &[]).expect("a file"));
        for format in Format::ALL {
            let file = Output { format, compression: 90 }.convert(png.clone()).expect("converted");
            let read = image::load_from_memory(&file).expect("a picture");
            assert_eq!((read.width(), read.height()), (16, 8));
            let expected = ImageFormat::from_extension(format.name());
            assert_eq!(Some(image::guess_format(&file).expect("known")), expected);
            if format != Format::Jpeg {
                assert_eq!(read.into_rgb8().into_raw(), picture.pixels, "{format:?} is lossless");
            }
        }
        assert!(Output { format: Format::Jpeg, compression: 0 }.convert(Bytes::new()).is_err());
    }
}
