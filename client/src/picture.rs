//! The record in a picture's file: the request that made it, from the PNG's text chunk `sakuga`.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use sakuga_proto::generation::v1::ImageMetadata;

use sakuga_proto::digest::sha256_hex;
use sakuga_proto::json::{self, UnknownFields};

/// The keyword of the text chunk.
pub const KEYWORD: &str = "sakuga";

/// The version of the record that this crate reads.
const RECORD_VERSION: u32 = 1;

/// The most memory for reading a file, in bytes. A picture of 16 megapixels needs 48 MB.
const MAX_MEMORY_BYTES: usize = 512 * 1024 * 1024;

/// The longest record, in bytes, when it is compressed in the file. A prompt has at most 64 KiB.
const MAX_RECORD_BYTES: usize = 4 * 1024 * 1024;

/// Why the request of a picture cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file is not a PNG.
    #[error("it is not a PNG file")]
    NotPng,
    /// The file is a damaged PNG.
    #[error("the PNG file is damaged: {0}")]
    Damaged(String),
    /// The file has no record.
    #[error("the PNG file holds no record of a request: Sakuga did not make it, or another program removed the record")]
    NoRecord,
    /// The record cannot be read.
    #[error("the record in the PNG file cannot be read: {0}")]
    Record(String),
    /// The record was written by a newer version.
    #[error(
        "the record in the PNG file has version {found}, and this program reads version {RECORD_VERSION}; use a newer release"
    )]
    NewerRecord {
        /// The version that the file has.
        found: u32,
    },
}

/// The size and the record of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The record: request, seed, device, model.
    pub metadata: ImageMetadata,
}

/// Reads the record of a PNG file.
///
/// # Errors
///
/// See [`PictureError`].
pub fn read_record(file: &[u8]) -> Result<Record, PictureError> {
    let mut reader = open(file)?;
    let mut text = record_text(reader.info())?;
    if text.is_none() {
        // Text chunks may stand after the pixels.
        reader.finish().map_err(|error| damaged(&error))?;
        text = record_text(reader.info())?;
    }
    let text = text.ok_or(PictureError::NoRecord)?;
    let (width, height) = reader.info().size();
    Ok(Record { width, height, metadata: parse_record(&text)? })
}

/// SHA-256 of the pixels alone (RGB, 8 bit, row by row), in lower-case hexadecimal: equal for two files that show the
/// same, whatever their compression and metadata.
///
/// # Errors
///
/// [`PictureError::NotPng`] and [`PictureError::Damaged`]; the latter also for a file that is not RGB with 8 bit.
pub fn pixels_sha256(file: &[u8]) -> Result<String, PictureError> {
    let mut reader = open(file)?;
    if reader.output_color_type() != (ColorType::Rgb, BitDepth::Eight) {
        return Err(PictureError::Damaged("its pixels are not RGB with 8 bit each".to_owned()));
    }
    let size = reader.output_buffer_size().filter(|size| *size <= MAX_MEMORY_BYTES);
    let size = size.ok_or_else(|| PictureError::Damaged("it claims more pixels than fit into memory".to_owned()))?;
    let mut pixels = vec![0; size];
    reader.next_frame(&mut pixels).map_err(|error| damaged(&error))?;
    Ok(sha256_hex(&pixels))
}

fn open(file: &[u8]) -> Result<png::Reader<Cursor<&[u8]>>, PictureError> {
    if !file.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err(PictureError::NotPng);
    }
    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MAX_MEMORY_BYTES });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.read_info().map_err(|error| damaged(&error))
}

fn damaged(error: &png::DecodingError) -> PictureError {
    PictureError::Damaged(with_chunk_names(&error.to_string()))
}

/// A message of the decoder with the names of chunks in place of their debug texts: `ChunkType { type: IDAT, … }`.
fn with_chunk_names(message: &str) -> String {
    const OPEN: &str = "ChunkType { type: ";
    let mut parts = message.split(OPEN);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (fields, rest) = part.split_once(" }").unwrap_or((part, ""));
        let name = fields.split(',').next().unwrap_or_default();
        plain.push_str("the chunk `");
        plain.push_str(name);
        plain.push('`');
        plain.push_str(rest.strip_prefix(" chunk").unwrap_or(rest));
    }
    plain
}

/// The record's text. The server writes iTXt; older chunks are read as well, since image editors write them.
fn record_text(info: &png::Info<'_>) -> Result<Option<String>, PictureError> {
    if let Some(chunk) = info.utf8_text.iter().find(|chunk| chunk.keyword == KEYWORD) {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(MAX_RECORD_BYTES).map_err(|error| damaged(&error))?;
        return chunk.get_text().map(Some).map_err(|error| damaged(&error));
    }
    if let Some(chunk) = info.compressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD) {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(MAX_RECORD_BYTES).map_err(|error| damaged(&error))?;
        return chunk.get_text().map(Some).map_err(|error| damaged(&error));
    }
    let chunk = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD);
    Ok(chunk.map(|chunk| chunk.text.clone()))
}

/// Metadata from the protobuf JSON in a picture's text chunk. An error if a newer server wrote it, it has unknown
/// fields, or it has no request.
pub(crate) fn parse_record(text: &str) -> Result<ImageMetadata, PictureError> {
    let unreadable = |error: json::JsonError| PictureError::Record(error.to_string());
    // The version first, since a newer record may have unknown fields.
    let metadata: ImageMetadata = json::from_str(text, UnknownFields::Ignore).map_err(unreadable)?;
    if metadata.version > RECORD_VERSION {
        return Err(PictureError::NewerRecord { found: metadata.version });
    }
    let metadata: ImageMetadata = json::from_str(text, UnknownFields::Refuse).map_err(unreadable)?;
    if metadata.request.is_none() {
        return Err(PictureError::Record("it holds no request".to_owned()));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_proto::generation::v1::GenerateRequest;

    fn png_with(chunks: &[(&str, &str)]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        for (keyword, text) in chunks {
            encoder.add_itxt_chunk((*keyword).to_owned(), (*text).to_owned()).unwrap();
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[1, 2, 3, 4, 5, 6]).unwrap();
        writer.finish().unwrap();
        file
    }

    #[track_caller]
    fn refuses(file: &[u8], part: &str) {
        let message = read_record(file).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn the_record_is_read() {
        let metadata = ImageMetadata {
            version: 1,
            request: Some(GenerateRequest { model: "newbie".to_owned(), ..GenerateRequest::default() }),
            seed: 42,
            model_text: "猫, >_<".to_owned(),
            ..ImageMetadata::default()
        };
        let file = png_with(&[("Comment", "hello"), (KEYWORD, &json::to_string(&metadata).unwrap())]);
        assert_eq!(read_record(&file).unwrap(), Record { width: 2, height: 1, metadata });
        assert_eq!(pixels_sha256(&file).unwrap(), sha256_hex(&[1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_record_after_the_pixels_is_found() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1, 1);
        encoder.set_color(ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[0, 0, 0]).unwrap();
        let text = r#"{"version":1,"request":{}}"#;
        writer.write_text_chunk(&png::text_metadata::ITXtChunk::new(KEYWORD, text)).unwrap();
        writer.finish().unwrap();
        assert!(read_record(&file).unwrap().metadata.request.is_some());
    }

    #[test]
    fn a_fault_of_a_chunk_names_the_chunk() {
        let whole = png_with(&[]);
        // The lengths, names, contents and checksums begin behind 8 bytes; IHDR has 13 bytes of contents.
        const IHDR: std::ops::Range<usize> = 8..8 + 12 + 13;
        let without_header = [&whole[..IHDR.start], &whole[IHDR.end..]].concat();
        let with_two = [&whole[..IHDR.end], &whole[IHDR]].concat();
        let mut with_wrong_sum = whole.clone();
        with_wrong_sum[IHDR.end - 1] ^= 1;
        for (file, chunk) in [(without_header, "`IDAT`"), (with_two, "`IHDR`"), (with_wrong_sum, "`IHDR`")] {
            let message = read_record(&file).unwrap_err().to_string();
            assert!(message.contains(chunk) && !message.contains('{'), "{message}");
        }
    }

    #[test]
    fn files_without_a_record_say_so() {
        refuses(b"", "not a PNG");
        refuses(b"GIF89a", "not a PNG");
        refuses(b"\x89PNG\r\n\x1a\n", "damaged");
        refuses(&png_with(&[]), "holds no record");
        refuses(&png_with(&[("parameters", "1girl")]), "holds no record");
    }

    #[test]
    fn records_that_cannot_be_used_say_why() {
        refuses(&png_with(&[(KEYWORD, "not json")]), "cannot be read");
        refuses(&png_with(&[(KEYWORD, "{}")]), "holds no request");
        refuses(&png_with(&[(KEYWORD, r#"{"version":2,"request":{},"mood":1}"#)]), "version 2");
        refuses(&png_with(&[(KEYWORD, r#"{"version":1,"request":{"mood":1}}"#)]), "mood");
    }

    #[test]
    fn damage_never_panics() {
        let file = png_with(&[(KEYWORD, r#"{"version":1,"request":{}}"#)]);
        for length in 0..file.len() {
            let _ = (read_record(&file[..length]), pixels_sha256(&file[..length]));
        }
        for index in 0..file.len() {
            let mut file = file.clone();
            file[index] ^= 0xff;
            let _ = (read_record(&file), pixels_sha256(&file));
        }
    }
}
