//! A safetensors file written element by element: the header first, then each tensor in chunks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use half::bf16;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::init::Stream;
use super::tensors::TensorSpec;

/// Elements buffered at once: 8 MiB as bf16.
const CHUNK: usize = 4 << 20;
/// Elements that one thread computes at a time.
const PIECE: usize = 1 << 14;
/// Bytes of one bf16.
const ELEMENT_BYTES: usize = 2;

/// Writes `tensors` as bf16, in the order given, with these metadata.
pub(crate) fn write(path: &Path, tensors: &[TensorSpec], seed: u64, metadata: &[(&str, &str)]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let header = header(tensors, metadata);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut bytes = Vec::new();
    for tensor in tensors {
        let stream = Stream::new(seed, &tensor.name);
        let elements = tensor.elements();
        for start in (0..elements).step_by(CHUNK) {
            let count = CHUNK.min(elements - start);
            bytes.resize(count * ELEMENT_BYTES, 0);
            bytes.par_chunks_mut(PIECE * ELEMENT_BYTES).enumerate().for_each(|(piece, out)| {
                let first = start + piece * PIECE;
                let mut cursor = stream.cursor();
                for (i, slot) in out.as_chunks_mut::<ELEMENT_BYTES>().0.iter_mut().enumerate() {
                    let value = tensor.init.value(first + i, &tensor.shape, &mut cursor);
                    *slot = bf16::from_f64(value).to_le_bytes();
                }
            });
            file.write_all(&bytes)?;
        }
    }
    file.into_inner()?.sync_all()
}

/// The JSON header, padded with spaces to a multiple of 8 bytes as the format asks.
fn header(tensors: &[TensorSpec], metadata: &[(&str, &str)]) -> Vec<u8> {
    let mut entries = Map::new();
    let metadata = [("format", "pt")].iter().chain(metadata).map(|&(key, value)| (key.to_owned(), json!(value)));
    entries.insert("__metadata__".into(), Value::Object(metadata.collect()));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.elements() * ELEMENT_BYTES;
        let entry = json!({ "dtype": "BF16", "shape": tensor.shape, "data_offsets": [offset, end] });
        entries.insert(tensor.name.clone(), entry);
        offset = end;
    }
    let mut bytes = Value::Object(entries).to_string().into_bytes();
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    bytes
}
