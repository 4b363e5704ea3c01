//! Assembles pictures from their pieces, and rejects whatever does not fit.

use std::collections::BTreeMap;

use sakuga_proto::generation::v1 as wire;
use sakuga_proto::generation::v1::{ImageFormat, ImageInfo, ImageMetadata};

use crate::error::ClientError;
use sakuga_proto::digest::sha256_hex;

/// The most pictures of one job, so that a server cannot fill the memory with small ones.
const MAX_PICTURES: usize = 1024;

/// One finished picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Index of the picture in the request.
    pub image_index: u32,
    /// How it is encoded.
    pub format: ImageFormat,
    /// The file.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`, in lower-case hexadecimal; equal to what the server named.
    pub sha256: String,
    /// SHA-256 of the pixels alone (RGB, 8 bit, row by row), as the server names it.
    pub pixels_sha256: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The metadata in the file.
    pub metadata: Option<ImageMetadata>,
}

/// The pictures of one job, as far as they have arrived.
#[derive(Debug)]
pub(crate) struct Assembler {
    parts: BTreeMap<u32, Part>,
    max_bytes: u64,
}

#[derive(Debug)]
struct Part {
    format: ImageFormat,
    total_bytes: u64,
    bytes: Vec<u8>,
}

/// How far a picture has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) image_index: u32,
    pub(crate) received_bytes: u64,
    pub(crate) total_bytes: u64,
}

impl Assembler {
    /// An assembler that accepts pictures of at most `max_bytes` together.
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { parts: BTreeMap::new(), max_bytes }
    }

    /// Adds the next piece.
    pub(crate) fn add(&mut self, chunk: wire::ImageChunk) -> Result<Received, ClientError> {
        let image_index = chunk.image_index;
        let format = chunk.format();
        let damaged = |reason: String| ClientError::Damaged { image_index, reason };
        if chunk.total_size == 0 {
            return Err(damaged("the server announced an empty file".to_owned()));
        }
        if !self.parts.contains_key(&image_index) {
            if self.parts.len() >= MAX_PICTURES {
                return Err(damaged(format!("the server sent more than {MAX_PICTURES} pictures")));
            }
            let announced: u64 = self.parts.values().map(|part| part.total_bytes).sum();
            if announced.saturating_add(chunk.total_size) > self.max_bytes {
                return Err(damaged(format!(
                    "the server announced {} bytes; this client takes at most {} for all pictures together",
                    chunk.total_size, self.max_bytes
                )));
            }
        }
        let part = self.parts.entry(image_index).or_insert_with(|| Part {
            format,
            total_bytes: chunk.total_size,
            bytes: Vec::new(),
        });
        let received_bytes = part.bytes.len() as u64;
        if chunk.total_size != part.total_bytes {
            return Err(damaged(format!("its size was {} bytes and became {}", part.total_bytes, chunk.total_size)));
        }
        if chunk.offset != received_bytes {
            return Err(damaged(format!(
                "{received_bytes} bytes arrived and the next piece starts at {}",
                chunk.offset
            )));
        }
        let after = received_bytes.saturating_add(chunk.data.len() as u64);
        if after > part.total_bytes {
            return Err(damaged(format!("more arrived than the announced {} bytes", part.total_bytes)));
        }
        part.bytes.extend_from_slice(&chunk.data);
        Ok(Received { image_index, received_bytes: after, total_bytes: part.total_bytes })
    }

    /// Checks the pictures against the descriptions of the server.
    pub(crate) fn finish(mut self, images: Vec<ImageInfo>) -> Result<Vec<Picture>, ClientError> {
        let mut pictures = Vec::with_capacity(images.len().min(self.parts.len()));
        for (position, image) in images.into_iter().enumerate() {
            let image_index = image.index_at(position);
            let damaged = |reason: String| ClientError::Damaged { image_index, reason };
            let Some(part) = self.parts.remove(&image_index) else {
                return Err(damaged("it was announced as finished and did not arrive".to_owned()));
            };
            let received_bytes = part.bytes.len() as u64;
            if received_bytes != part.total_bytes || received_bytes != image.size {
                return Err(damaged(format!(
                    "{received_bytes} bytes arrived; its pieces announced {}, its description {}",
                    part.total_bytes, image.size
                )));
            }
            let sha256 = sha256_hex(&part.bytes);
            if !sha256.eq_ignore_ascii_case(&image.sha256) {
                return Err(damaged(format!("its SHA-256 is {sha256}, the server named {}", image.sha256)));
            }
            pictures.push(Picture {
                image_index,
                format: part.format,
                bytes: part.bytes,
                sha256,
                pixels_sha256: image.pixels_sha256,
                width: image.width,
                height: image.height,
                metadata: image.metadata,
            });
        }
        if let Some((image_index, _)) = self.parts.pop_first() {
            let reason = "it arrived and the server does not describe it".to_owned();
            return Err(ClientError::Damaged { image_index, reason });
        }
        if pictures.is_empty() {
            return Err(ClientError::Protocol("the job is completed and has no picture".to_owned()));
        }
        Ok(pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(image_index: u32, offset: u64, total_size: u64, data: &[u8]) -> wire::ImageChunk {
        wire::ImageChunk {
            image_index,
            format: ImageFormat::Png.into(),
            offset,
            total_size,
            data: data.to_vec().into(),
        }
    }

    fn info(bytes: &[u8]) -> ImageInfo {
        ImageInfo { sha256: sha256_hex(bytes), size: bytes.len() as u64, ..ImageInfo::default() }
    }

    #[track_caller]
    fn refuses(result: Result<impl std::fmt::Debug, ClientError>, part: &str) {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn pieces_become_pictures() {
        let mut assembler = Assembler::new(100);
        assembler.add(chunk(0, 0, 4, b"ab")).unwrap();
        let received = assembler.add(chunk(0, 2, 4, b"cd")).unwrap();
        assert_eq!(received, Received { image_index: 0, received_bytes: 4, total_bytes: 4 });
        assembler.add(chunk(1, 0, 1, b"x")).unwrap();
        let pictures = assembler.finish(vec![info(b"abcd"), info(b"x")]).unwrap();
        assert_eq!(pictures.iter().map(|picture| picture.bytes.as_slice()).collect::<Vec<_>>(), [&b"abcd"[..], b"x"]);
        assert_eq!(pictures[1].image_index, 1);
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        refuses(Assembler::new(100).add(chunk(0, 2, 4, b"cd")), "0 bytes arrived and the next piece starts at 2");
        refuses(Assembler::new(100).add(chunk(0, 0, 1, b"ab")), "more arrived than the announced 1");
        refuses(Assembler::new(100).add(chunk(0, 0, 0, b"")), "empty file");
        refuses(Assembler::new(100).add(chunk(0, 0, 101, b"ab")), "at most 100");
        refuses(Assembler::new(u64::MAX).add(chunk(0, u64::MAX, u64::MAX, b"ab")), "starts at");
        let mut assembler = Assembler::new(100);
        assembler.add(chunk(0, 0, 60, b"ab")).unwrap();
        refuses(assembler.add(chunk(0, 2, 61, b"ab")), "its size was 60 bytes and became 61");
        refuses(assembler.add(chunk(7, 0, 60, b"ab")), "at most 100");
    }

    #[test]
    fn the_number_of_pictures_is_bounded() {
        let mut assembler = Assembler::new(u64::MAX);
        for index in 0..MAX_PICTURES as u32 {
            assembler.add(chunk(index, 0, 1, b"x")).unwrap();
        }
        refuses(assembler.add(chunk(u32::MAX, 0, 1, b"x")), "more than 1024 pictures");
    }

    #[test]
    fn pictures_that_differ_from_their_description_are_refused() {
        let with = |data: &[u8]| {
            let mut assembler = Assembler::new(100);
            assembler.add(chunk(0, 0, 4, data)).unwrap();
            assembler
        };
        refuses(with(b"abcd").finish(vec![info(b"abce")]), "its SHA-256 is");
        refuses(with(b"ab").finish(vec![info(b"ab")]), "2 bytes arrived; its pieces announced 4");
        refuses(with(b"abcd").finish(vec![info(b"abcd"), info(b"x")]), "picture 1 is damaged");
        refuses(with(b"abcd").finish(vec![]), "does not describe it");
        refuses(Assembler::new(100).finish(vec![]), "no picture");
    }
}
