//! Finds out what an uploaded file is.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sakuga_proto::asset::v1::{self as pb, asset};
use serde_json::Value;

use super::decode::{PictureFacts, PictureFormat, PictureLimits, decode_picture};
use super::error::AssetError;
use super::profile::ColorProfile;
use crate::store::StoreError;

/// Bytes from which the kind of a file is known.
pub(super) const HEAD_BYTES: usize = 16;
/// Bytes of the header of a file of tensors.
const HEADER_BYTES_MAX: u64 = 8 << 20;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Picture(PictureFormat),
    Tensors,
}

impl Kind {
    /// The kind of a file that begins with `head`, [`HEAD_BYTES`] of it or all, if `size` bytes of it can be used.
    ///
    /// # Errors
    ///
    /// [`AssetError::Unusable`].
    pub(super) fn of(head: &[u8], size: u64, limits: &PictureLimits) -> Result<Self, AssetError> {
        if let Some(format) = PictureFormat::of(head) {
            if size > limits.bytes_max {
                let limit = limits.bytes_max;
                return Err(AssetError::Unusable(format!("it has {size} bytes, and a picture may have {limit}")));
            }
            return Ok(Self::Picture(format));
        }
        match (header_bytes(head), head.get(8)) {
            (Some(bytes), Some(b'{')) if bytes <= size.saturating_sub(8) => match bytes <= HEADER_BYTES_MAX {
                true => Ok(Self::Tensors),
                false => Err(unusable(format!("its header has {bytes} bytes, and may have {HEADER_BYTES_MAX}"))),
            },
            _ => Err(unusable("it is neither a PNG, JPEG or WebP picture nor a safetensors file")),
        }
    }
}

fn unusable(why: impl Into<String>) -> AssetError {
    AssetError::Unusable(why.into())
}

/// Bytes of the header of a file of tensors, as its first eight bytes say.
fn header_bytes(head: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(head.get(..8)?.try_into().ok()?))
}

/// What a whole file is. Decodes pictures, and reads the header of a file of tensors.
///
/// # Errors
///
/// [`AssetError::Unusable`] with what is wrong with the file, or [`AssetError::Store`] if it cannot be read.
pub(super) fn examine(path: &Path, limits: &PictureLimits) -> Result<(pb::AssetKind, asset::Facts), AssetError> {
    let failed = |error: std::io::Error| AssetError::Store(StoreError::from_io(&error));
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut head = Vec::new();
    (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    match Kind::of(&head, size, limits)? {
        Kind::Picture(_) => {
            file.read_to_end(&mut head).map_err(failed)?;
            let picture = decode_picture(&head, limits).map_err(|error| unusable(error.to_string()))?;
            let kind = match picture.facts.format {
                PictureFormat::Png => pb::AssetKind::Png,
                PictureFormat::Jpeg => pb::AssetKind::Jpeg,
                PictureFormat::Webp => pb::AssetKind::Webp,
            };
            Ok((kind, asset::Facts::Picture(picture_facts(picture.width, picture.height, &picture.facts))))
        }
        Kind::Tensors => {
            let header = header_bytes(&head).unwrap_or(0);
            let mut text = head.split_off(8);
            file.take((header + 8).saturating_sub(HEAD_BYTES as u64)).read_to_end(&mut text).map_err(failed)?;
            text.truncate(header as usize);
            let tensors = tensors(&text, size - 8 - header).map_err(unusable)?;
            Ok((pb::AssetKind::Safetensors, asset::Facts::Tensors(pb::TensorFacts { tensors })))
        }
    }
}

fn picture_facts(width: u32, height: u32, facts: &PictureFacts) -> pb::PictureFacts {
    let (profile, detail) = match &facts.color_profile {
        ColorProfile::None => (pb::ColorProfile::None, ""),
        ColorProfile::Srgb => (pb::ColorProfile::Srgb, ""),
        ColorProfile::Converted(name) => (pb::ColorProfile::Converted, name.as_str()),
        ColorProfile::Ignored(why) => (pb::ColorProfile::Ignored, *why),
    };
    pb::PictureFacts {
        width,
        height,
        exif_orientation: facts.orientation.into(),
        has_alpha: facts.has_alpha,
        color_profile: profile.into(),
        color_profile_detail: detail.into(),
    }
}

/// How many tensors a header describes, if all of them lie within the `data` bytes after it.
fn tensors(header: &[u8], data: u64) -> Result<u32, String> {
    let header: Value = serde_json::from_slice(header).map_err(|error| format!("its header is not JSON: {error}"))?;
    let entries = header.as_object().ok_or("its header is not a JSON object")?;
    let mut count = 0_u32;
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "__metadata__") {
        let offset = |place: usize| entry["data_offsets"].get(place).and_then(Value::as_u64);
        match (offset(0), offset(1)) {
            (Some(begin), Some(end)) if begin <= end && end <= data => count = count.saturating_add(1),
            _ => {
                let name: String = sakuga_proto::text::one_line(name).chars().take(64).collect();
                return Err(format!("its tensor `{name}` does not lie within the file; download it again"));
            }
        }
    }
    if count == 0 { Err("it holds no tensor".into()) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors_file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    }

    fn examined(bytes: &[u8]) -> Result<(pb::AssetKind, asset::Facts), AssetError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        examine(file.path(), &PictureLimits::default())
    }

    #[test]
    fn tensors_are_counted_and_have_to_lie_within_the_file() {
        let entry = r#"{"__metadata__":{"a":"b"},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let (kind, facts) = examined(&tensors_file(entry, 8)).expect("tensors");
        assert_eq!((kind, facts), (pb::AssetKind::Safetensors, asset::Facts::Tensors(pb::TensorFacts { tensors: 1 })));
        for (header, data, what) in [
            (entry, 7, "within the file"),
            ("{}", 8, "no tensor"),
            (r#"{"t":{"data_offsets":[8,0]}}"#, 8, "within the file"),
            (r#"{"t":{"data_offsets":[0,-1]}}"#, 8, "within the file"),
            (r#"{"t":7}"#, 8, "within the file"),
            (r#"{"t": "#, 8, "not JSON"),
            ("{", 8, "not JSON"),
        ] {
            let error = examined(&tensors_file(header, data)).expect_err(header).to_string();
            assert!(error.contains(what), "{header}: {error}");
        }
        // Nested more deeply than the stack allows.
        let deep = format!("{{\"t\":{}", "[".repeat(100_000));
        assert!(examined(&tensors_file(&deep, 8)).is_err());
    }

    #[test]
    fn another_kind_is_known_by_the_first_bytes() {
        let limits = PictureLimits::default();
        for head in [&b"#!/bin/sh\n"[..], b"", b"PK\x03\x04", &[0; 16], &[0xff; 16]] {
            assert!(Kind::of(head, 1 << 20, &limits).is_err(), "{head:?}");
        }
        let large = [&(HEADER_BYTES_MAX + 1).to_le_bytes()[..], b"{"].concat();
        assert!(Kind::of(&large, 1 << 30, &limits).is_err());
        let longer_than_the_file = [&100_u64.to_le_bytes()[..], b"{"].concat();
        assert!(Kind::of(&longer_than_the_file, 50, &limits).is_err());
        assert_eq!(Kind::of(b"\x89PNG\r\n\x1a\n", 8, &limits), Ok(Kind::Picture(PictureFormat::Png)));
        assert!(Kind::of(b"\x89PNG\r\n\x1a\n", limits.bytes_max + 1, &limits).is_err());
    }
}
