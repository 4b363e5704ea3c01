//! A safetensors file, mapped or in memory: a validated header and byte ranges.
//!
//! The format is an 8-byte little-endian header length, a JSON header, then the data
//! (<https://github.com/huggingface/safetensors#format>). The header is checked here rather than by the crate's own
//! reader so that a fault names its tensor and so that no offset, however large, can overflow.

use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use sakuga_model_core::{open_regular_file, truncated};
use serde_json::Value;

use super::other_format::other_format;
use crate::error::LoadError;

/// Bytes of the header length.
const PREFIX_BYTES: usize = 8;
/// Longer headers are rejected, as by the format's reference implementation.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// The longest name of a tensor, and the most axes: both are quoted in errors and lists.
const NAME_BYTES_MAX: usize = 1024;
const AXES_MAX: usize = 16;
/// The most bytes of an error about a header, which may quote it.
const QUOTED_BYTES_MAX: usize = 600;

/// Bytes at the beginning of a file by which other formats are recognised.
const OTHER_FORMAT_BYTES: usize = 16;

/// Type, shape and position of a tensor in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Element type in the file.
    pub dtype: Dtype,
    /// Shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Byte range in the file.
    pub(super) range: Range<usize>,
}

impl TensorEntry {
    /// The tensor divided along its first axis into `count` pieces of equal length, if it can be.
    pub(super) fn pieces(&self, count: usize) -> Option<Vec<Self>> {
        let (&rows, rest) = self.shape.split_first()?;
        if count == 0 || !rows.is_multiple_of(count) {
            return None;
        }
        let shape: Vec<usize> = std::iter::once(rows / count).chain(rest.iter().copied()).collect();
        let bytes = self.range.len() / count;
        let piece = |i: usize| {
            let start = self.range.start + i * bytes;
            Self { dtype: self.dtype, shape: shape.clone(), range: start..start + bytes }
        };
        Some((0..count).map(piece).collect())
    }
}

/// The bytes of a file.
#[derive(Debug)]
enum Content {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

/// A file with a header that has been checked.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    content: Content,
    entries: BTreeMap<String, TensorEntry>,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Maps a file and checks its header against its length. The file must not be changed while it is mapped.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular file, is truncated, or has an invalid header.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let file = open_regular_file(path).map_err(|source| LoadError::read(path, source))?;
        // SAFETY: the map is only read, and only within its length. Another process shrinking the file meanwhile would
        // fault the read; the documentation asks not to rewrite checkpoints in place while they are loaded.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| LoadError::read(path, source))?;
        Self::of(path, Content::Mapped(map))
    }

    /// Checks the header of a file that was read from `path`.
    ///
    /// # Errors
    /// It is truncated or has an invalid header.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, LoadError> {
        Self::of(path, Content::Memory(bytes))
    }

    fn of(path: &Path, content: Content) -> Result<Self, LoadError> {
        let parsed = parse(&content).map_err(|reason| {
            let begin = &content[..content.len().min(OTHER_FORMAT_BYTES)];
            let reason = match other_format(begin, path) {
                Some((kind, advice)) => format!("it is {kind}: {advice}"),
                None => reason,
            };
            LoadError::Safetensors { path: path.to_owned(), reason }
        })?;
        Ok(Self { path: path.to_owned(), content, entries: parsed.entries, metadata: parsed.metadata })
    }

    /// Bytes of the file.
    pub fn size(&self) -> usize {
        self.content.len()
    }

    /// The path that the file was opened at; errors name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors by name.
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.entries
    }

    /// The texts of `__metadata__` by key; empty without that entry.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The little-endian bytes of a tensor. `entry` must come from [`SafetensorsFile::entries`] of this file.
    pub fn bytes(&self, entry: &TensorEntry) -> &[u8] {
        &self.content[entry.range.clone()]
    }
}

struct Parsed {
    entries: BTreeMap<String, TensorEntry>,
    metadata: BTreeMap<String, String>,
}

/// Parses a file. Errors quote at most [`QUOTED_BYTES_MAX`] of it.
fn parse(file: &[u8]) -> Result<Parsed, String> {
    parse_header(file).map_err(|error| truncated(&error, QUOTED_BYTES_MAX))
}

fn parse_header(file: &[u8]) -> Result<Parsed, String> {
    let (prefix, rest) = file
        .split_first_chunk::<PREFIX_BYTES>()
        .ok_or_else(|| format!("it has {} bytes, not even the header's length", file.len()))?;
    let header_len = usize::try_from(u64::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if header_len > MAX_HEADER_BYTES {
        return Err("it does not begin with a plausible header length; is it another format?".into());
    }
    let header = rest.get(..header_len).ok_or_else(|| {
        format!("it ends inside its header ({} of {header_len} bytes); download it again", rest.len())
    })?;
    let header: BTreeMap<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header is not a JSON object: {error}"))?;
    let data_start = PREFIX_BYTES + header_len;
    let data_len = file.len() - data_start;

    let mut metadata = BTreeMap::new();
    let mut entries = BTreeMap::new();
    for (name, value) in header {
        if name == "__metadata__" {
            metadata = serde_json::from_value(value)
                .map_err(|error| format!("its __metadata__ is not made of texts: {error}"))?;
            continue;
        }
        if name.len() > NAME_BYTES_MAX {
            let bytes = name.len();
            return Err(format!("the name of a tensor has {bytes} bytes; a name has at most {NAME_BYTES_MAX}"));
        }
        let info: TensorInfo = serde_json::from_value(value)
            .map_err(|error| format!("the header of tensor `{name}` is malformed: {error}"))?;
        if info.shape.len() > AXES_MAX {
            let axes = info.shape.len();
            return Err(format!("tensor `{name}` has {axes} axes; a tensor has at most {AXES_MAX}"));
        }
        let (start, end) = info.data_offsets;
        let bits = info
            .shape
            .iter()
            .try_fold(info.dtype.bitsize(), |bits, &len| bits.checked_mul(len))
            .ok_or_else(|| format!("the shape of tensor `{name}` is too large: {:?}", info.shape))?;
        if start > end || !bits.is_multiple_of(8) || end - start != bits / 8 {
            return Err(format!(
                "the offsets {start}..{end} of tensor `{name}` do not fit its type and shape {:?}",
                info.shape
            ));
        }
        if end > data_len {
            return Err(format!(
                "tensor `{name}` ends at byte {end} of the data, which has only {data_len} bytes: the file is truncated; download it again"
            ));
        }
        let range = data_start + start..data_start + end;
        entries.insert(name, TensorEntry { dtype: info.dtype, shape: info.shape, range });
    }

    let mut ranges: Vec<&TensorEntry> = entries.values().collect();
    ranges.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let mut covered = data_start;
    for entry in ranges {
        if entry.range.start != covered {
            return Err("its tensors overlap or leave gaps".into());
        }
        covered = entry.range.end;
    }
    if covered != file.len() {
        return Err(format!("{} bytes at its end belong to no tensor", file.len() - covered));
    }
    Ok(Parsed { entries, metadata })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn reads_scalars_vectors_and_metadata() {
        let bytes = file(
            r#"{"__metadata__":{"format":"pt"},"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"v":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]}}"#,
            &[0; 8],
        );
        let parsed = parse(&bytes).unwrap();
        assert_eq!(parsed.metadata["format"], "pt");
        assert_eq!(parsed.entries["s"].shape, Vec::<usize>::new());
        assert_eq!(parsed.entries["v"].range.len(), 4);
    }

    #[test]
    fn names_the_tensor_at_fault() {
        let truncated = file(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 7]);
        assert!(parse(&truncated).err().unwrap().contains("`w`"));
        let overflow =
            file(r#"{"w":{"dtype":"F64","shape":[2305843009213693951],"data_offsets":[0,18446744073709551608]}}"#, &[]);
        assert!(parse(&overflow).err().unwrap().contains("`w`"));
        let lying = file(r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, &[0; 8]);
        assert!(parse(&lying).err().unwrap().contains("offsets"));
        let unknown = file(r#"{"w":{"dtype":"F99","shape":[1],"data_offsets":[0,8]}}"#, &[0; 8]);
        assert!(parse(&unknown).err().unwrap().contains("`w`"));
        let gap = file(r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, &[0; 2]);
        assert!(parse(&gap).err().unwrap().contains("gaps"));
        let tail = file(r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, &[0; 3]);
        assert!(parse(&tail).err().unwrap().contains("2 bytes"));
    }

    #[test]
    fn errors_quote_little_of_a_hostile_header() {
        let long = "x".repeat(100_000);
        let ones = vec!["1"; 100_000].join(",");
        for (header, part) in [
            (format!(r#"{{"{long}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#), "100000 bytes"),
            (format!(r#"{{"w":{{"dtype":"{long}","shape":[1],"data_offsets":[0,4]}}}}"#), "`w` is malformed"),
            (format!(r#"{{"w":{{"dtype":"F32","shape":[{ones}],"data_offsets":[0,4]}}}}"#), "100000 axes"),
            (format!(r#"{{"__metadata__":{{"a":["{long}"]}}}}"#), "not made of texts"),
        ] {
            let error = parse(&file(&header, &[0; 4])).err().unwrap();
            assert!(error.contains(part) && error.len() < 700, "{part}: {} bytes: {error:.300}", error.len());
        }
    }

    #[test]
    fn refuses_what_is_not_a_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/zero")] {
            let refused = SafetensorsFile::open(path).unwrap_err().to_string();
            assert!(refused.contains("not a regular file"), "{refused}");
        }
    }

    #[test]
    fn refuses_other_formats() {
        for bytes in [b"".as_slice(), b"PK\x03\x04", b"version https://git-lfs.github.com/spec/v1\n", &[0xff; 64]] {
            assert!(parse(bytes).is_err());
        }
        assert!(parse(&file("[]", &[])).is_err());
        assert!(parse(&file("{", &[])).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), header in "[\\[\\]{}\":,a-zF0-9]{0,80}") {
            let _ = parse(&bytes);
            let _ = parse(&file(&header, &bytes));
        }
    }
}
