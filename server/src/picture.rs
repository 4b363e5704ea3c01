//! Encodes finished pictures, with text chunks that record how they were made.

pub(crate) use sakuga_proto::digest::sha256_hex;

use sakuga_model_core::Rgb8;

/// Keyword of the text chunk that holds the metadata as protobuf JSON.
pub(crate) const METADATA_KEYWORD: &str = "sakuga";
/// Keyword of the text chunk that people read; the PNG specification's own.
pub(crate) const DESCRIPTION_KEYWORD: &str = "Description";

/// Keyword of the text chunk that galleries read, in the form of AUTOMATIC1111's web UI.
pub(crate) const PARAMETERS_KEYWORD: &str = "parameters";

/// Keyword of the text chunk with the evaluations that the picture reused, as protobuf JSON.
pub(crate) const REUSE_KEYWORD: &str = "sakuga-reuse";

/// One international text chunk of a PNG file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextChunk {
    /// Its keyword, 1 to 79 Latin-1 characters.
    pub keyword: &'static str,
    pub text: String,
}

/// Why a picture could not be encoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    /// The pixels do not fit the size.
    #[error("a picture of {width_px}x{height_px} pixels came with {bytes} bytes")]
    Size {
        /// Width in pixels.
        width_px: u32,
        /// Height in pixels.
        height_px: u32,
        /// Bytes that came.
        bytes: usize,
    },
    /// The PNG encoder refused.
    #[error("the PNG encoder refused: {0}")]
    Png(#[from] png::EncodingError),
    /// The JPEG or WebP encoder refused.
    #[error("the encoder refused: {0}")]
    Image(#[from] image::ImageError),
}

/// Checks that the number of pixels matches width and height.
///
/// # Errors
///
/// [`EncodeError::Size`] otherwise.
pub(crate) fn check_size(picture: &Rgb8) -> Result<(), EncodeError> {
    let expected = 3 * u128::from(picture.width_px) * u128::from(picture.height_px);
    if expected == picture.pixels.len() as u128 && expected > 0 {
        return Ok(());
    }
    let (width_px, height_px) = (picture.width_px, picture.height_px);
    Err(EncodeError::Size { width_px, height_px, bytes: picture.pixels.len() })
}

/// The picture as a PNG file with the given texts.
///
/// # Errors
///
/// What the encoder says.
pub(crate) fn encode_png(picture: &Rgb8, texts: &[TextChunk]) -> Result<Vec<u8>, EncodeError> {
    check_size(picture)?;
    let mut file = Vec::new();
    let mut info = png::Info::with_size(picture.width_px, picture.height_px);
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    info.srgb = Some(png::SrgbRenderingIntent::Perceptual);
    info.utf8_text = texts
        .iter()
        .map(|chunk| png::text_metadata::ITXtChunk::new(chunk.keyword, chunk.text.replace('\0', "\u{fffd}")))
        .collect();
    let mut encoder = png::Encoder::with_info(&mut file, info)?;
    // Of 1024 x 1024 pixels `Balanced` takes 0.35 to 0.45 s, an eighth of the time that a GPU draws them in, where this takes
    // 0.02 s; painted pictures are smaller by 6 % then.
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.pixels)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Rgb8 {
        Rgb8 { width_px: 2, height_px: 3, pixels: (0..18).collect() }
    }

    #[test]
    fn pixels_and_texts_come_back() {
        let texts = [
            TextChunk { keyword: METADATA_KEYWORD, text: "{\"a\":\"初音ミク\"}".into() },
            TextChunk { keyword: DESCRIPTION_KEYWORD, text: "two\nlines".into() },
        ];
        let file = encode_png(&picture(), &texts).expect("a small picture");
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG header");
        let found: Vec<(String, String)> = reader
            .info()
            .utf8_text
            .iter()
            .map(|chunk| (chunk.keyword.clone(), chunk.get_text().expect("readable text")))
            .collect();
        assert_eq!(found, texts.map(|chunk| (chunk.keyword.to_owned(), chunk.text)));
        let mut pixels = vec![0; reader.output_buffer_size().expect("a small picture")];
        reader.next_frame(&mut pixels).expect("PNG data");
        assert_eq!(pixels, picture().pixels);
    }

    #[test]
    fn a_picture_of_the_wrong_size_is_refused() {
        for (width_px, height_px) in [(2, 2), (0, 0), (u32::MAX, u32::MAX)] {
            let broken = Rgb8 { width_px, height_px, ..picture() };
            assert!(matches!(encode_png(&broken, &[]), Err(EncodeError::Size { .. })), "{broken:?}");
        }
    }
}
