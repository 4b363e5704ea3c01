//! The text chunks of a PNG file, without its pixels.
//!
//! The `png` crate reads the texts that follow the pixels only after decoding these, which a file of a few kilobytes can make cost
//! seconds; here chunks are skipped by their length.

use std::io::{self, Read};

use super::{ImportError, MAX_FILE_BYTES, MAX_TEXT_BYTES};

/// The first bytes of every PNG file.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The most text chunks that are read.
const MOST_CHUNKS: usize = 64;

const TOO_MUCH_TEXT: ImportError =
    ImportError::TooMuchText { what: "the texts of the PNG file have", most: MAX_TEXT_BYTES };

const CUT: ImportError = ImportError::Damaged("a chunk is longer than the file");

/// A text of a picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PngText {
    pub(super) keyword: String,
    pub(super) text: String,
}

/// The texts in the order of the file, which is read from behind its signature on.
///
/// # Errors
///
/// [`ImportError::Damaged`] if a chunk is cut, [`ImportError::TooMuchText`], [`ImportError::TooLarge`], and
/// [`ImportError::File`] if the file cannot be read.
pub(super) fn read(mut file: impl Read) -> Result<Vec<PngText>, ImportError> {
    let mut texts: Vec<PngText> = Vec::new();
    let (mut left, mut bytes) = (MAX_TEXT_BYTES, SIGNATURE.len());
    loop {
        let mut head = Vec::with_capacity(8);
        file.by_ref().take(8).read_to_end(&mut head)?;
        let Some(&[l0, l1, l2, l3, ref kind @ ..]) = head.first_chunk::<8>() else { break };
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        bytes = bytes.saturating_add(length).saturating_add(12);
        if bytes > MAX_FILE_BYTES {
            return Err(ImportError::TooLarge { bytes });
        }
        let text = match kind {
            b"tEXt" | b"zTXt" | b"iTXt" => {
                if length > MAX_TEXT_BYTES {
                    return Err(TOO_MUCH_TEXT);
                }
                let mut data = Vec::new();
                file.by_ref().take(length as u64).read_to_end(&mut data)?;
                if data.len() < length {
                    return Err(CUT);
                }
                match kind {
                    b"tEXt" => latin1_chunk(&data),
                    b"zTXt" => compressed_chunk(&data, left)?,
                    _ => international_chunk(&data, left)?,
                }
            }
            b"IEND" => break,
            _ => {
                skip(&mut file, length as u64)?;
                None
            }
        };
        if let Some(text) = text {
            left = left.checked_sub(text.text.len()).ok_or(TOO_MUCH_TEXT)?;
            texts.push(text);
            if texts.len() == MOST_CHUNKS {
                break;
            }
        }
        // The checksum is not compared: a text with a flipped bit is still the best there is.
        skip(&mut file, 4)?;
    }
    Ok(texts)
}

/// Reads `bytes` bytes and drops them.
fn skip(file: &mut impl Read, bytes: u64) -> Result<(), ImportError> {
    if io::copy(&mut file.take(bytes), &mut io::sink())? < bytes { Err(CUT) } else { Ok(()) }
}

/// Keyword, zero byte, text.
fn latin1_chunk(data: &[u8]) -> Option<PngText> {
    let (keyword, text) = split_zero(data)?;
    Some(PngText { keyword: latin1(keyword), text: latin1_or_utf8(text) })
}

/// Keyword, zero byte, method 0, text compressed by deflate.
fn compressed_chunk(data: &[u8], most: usize) -> Result<Option<PngText>, ImportError> {
    let Some((keyword, [0, packed @ ..])) = split_zero(data) else { return Ok(None) };
    Ok(Some(PngText { keyword: latin1(keyword), text: latin1_or_utf8(&inflate(packed, most)?) }))
}

/// Keyword, zero byte, whether compressed, method 0, language, zero byte, translated keyword, zero byte, text in UTF-8.
fn international_chunk(data: &[u8], most: usize) -> Result<Option<PngText>, ImportError> {
    let parts = split_zero(data).and_then(|(keyword, rest)| {
        let [is_compressed, 0, rest @ ..] = rest else { return None };
        let (_language, rest) = split_zero(rest)?;
        let (_translated, text) = split_zero(rest)?;
        Some((keyword, *is_compressed == 1, text))
    });
    let Some((keyword, is_compressed, text)) = parts else { return Ok(None) };
    let text = if is_compressed { inflate(text, most)? } else { text.to_vec() };
    Ok(Some(PngText { keyword: latin1(keyword), text: String::from_utf8_lossy(&text).into_owned() }))
}

fn inflate(packed: &[u8], most: usize) -> Result<Vec<u8>, ImportError> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(packed)
        .take(most as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|_| ImportError::Damaged("a compressed text cannot be read"))?;
    if text.len() > most { Err(TOO_MUCH_TEXT) } else { Ok(text) }
}

fn split_zero(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = data.iter().position(|byte| *byte == 0)?;
    Some((&data[..zero], &data[zero + 1..]))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The specification says Latin-1; many programs write UTF-8, which is hardly ever valid by accident.
fn latin1_or_utf8(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| latin1(bytes), str::to_owned)
}
