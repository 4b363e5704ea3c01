//! Bytes of a file to host buffers in the working type: one allocation for each tensor, converted in parallel.

use burn::tensor::{DType, Device, Tensor, TensorData, bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;

use super::{SafetensorsFile, TensorEntry};

/// The types of elements that are read. Those of 8 bits are read as they are: files with a scale for each tensor have further
/// tensors, which no network asks for.
pub(super) const READABLE: [Dtype; 6] =
    [Dtype::F32, Dtype::BF16, Dtype::F16, Dtype::F64, Dtype::F8_E4M3, Dtype::F8_E5M2];

/// Elements that one thread converts at a time.
const CONVERT_CHUNK: usize = 1 << 16;

/// A tensor of a file in f32. `shape` must have the entry's number of elements.
pub(crate) fn decode_f32<const D: usize>(
    file: &SafetensorsFile,
    entry: &TensorEntry,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    // Half of the bytes are copied to the device; the conversion is exact.
    if entry.dtype == Dtype::BF16 {
        let values = decode(&[(file, entry)], shape, DType::BF16);
        let values: Tensor<D> = Tensor::from_data(values, (device, DType::BF16));
        return values.cast(DType::F32);
    }
    Tensor::from_data(decode(&[(file, entry)], shape, DType::F32), (device, DType::F32))
}

/// Tensors, one after the other, as one host buffer of type `dtype` (`BF16` or `F32`).
pub(super) fn decode<const D: usize>(
    parts: &[(&SafetensorsFile, &TensorEntry)],
    shape: [usize; D],
    dtype: DType,
) -> TensorData {
    let elements = shape.iter().product();
    if dtype == DType::BF16 {
        let mut values = vec![bf16::ZERO; elements];
        fill_bf16(parts, &mut values);
        TensorData::new(values, shape)
    } else {
        let mut values = vec![0.0_f32; elements];
        fill_f32(parts, &mut values);
        TensorData::new(values, shape)
    }
}

/// Converts tensors, one after the other, into consecutive pieces of `out`.
pub(super) fn fill_bf16(parts: &[(&SafetensorsFile, &TensorEntry)], out: &mut [bf16]) {
    fill(parts, out, bf16::from_f32, |value| value);
}

/// As [`fill_bf16`], converted to f32.
pub(super) fn fill_f32(parts: &[(&SafetensorsFile, &TensorEntry)], out: &mut [f32]) {
    fill(parts, out, |value| value, bf16::to_f32);
}

/// Converts the parts into consecutive pieces of `out`. `from_bf16` keeps the type of the published weights from going
/// through f32 and back.
fn fill<T: Send>(
    parts: &[(&SafetensorsFile, &TensorEntry)],
    out: &mut [T],
    from_f32: impl Fn(f32) -> T + Sync,
    from_bf16: impl Fn(bf16) -> T + Sync,
) {
    let mut rest = out;
    for (file, entry) in parts {
        let bytes = file.bytes(entry);
        let (piece, tail) = rest.split_at_mut(entry.shape.iter().product());
        rest = tail;
        match entry.dtype {
            Dtype::BF16 => convert(bytes, piece, |bytes| from_bf16(bf16::from_le_bytes(bytes))),
            Dtype::F16 => convert(bytes, piece, |bytes| from_f32(f16::from_le_bytes(bytes).to_f32())),
            Dtype::F8_E4M3 => convert(bytes, piece, |[byte]| from_f32(e4m3(byte))),
            Dtype::F8_E5M2 => convert(bytes, piece, |[byte]| from_f32(f16::from_le_bytes([0, byte]).to_f32())),
            Dtype::F64 => convert(bytes, piece, |bytes| from_f32(f64::from_le_bytes(bytes) as f32)),
            _ => convert(bytes, piece, |bytes| from_f32(f32::from_le_bytes(bytes))),
        }
    }
}

/// The value of an 8-bit float with 4 bits of exponent and 3 of mantissa, without infinities (Micikevicius et al. 2022,
/// <https://arxiv.org/abs/2209.05433>).
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from((byte >> 3) & 15), byte & 7);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => f32::from(mantissa) * 2.0_f32.powi(-9),
        _ => f32::from(8 + mantissa) * 2.0_f32.powi(exponent - 10),
    };
    if byte < 0x80 { magnitude } else { -magnitude }
}

/// Little-endian elements of `N` bytes to values, in parallel.
fn convert<T: Send, const N: usize>(bytes: &[u8], out: &mut [T], value: impl Fn([u8; N]) -> T + Sync) {
    out.par_chunks_mut(CONVERT_CHUNK).zip(bytes.par_chunks(CONVERT_CHUNK * N)).for_each(|(out, bytes)| {
        for (slot, &element) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *slot = value(element);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_floats_by_hand() {
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 1.0 / 512.0),
            (0x08, 1.0 / 64.0),
            (0x38, 1.0),
            (0xbc, -1.5),
            (0x7e, 448.0),
            (0xfe, -448.0),
        ] {
            assert_eq!(e4m3(byte), value, "{byte:#04x}");
        }
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan());
    }
}
