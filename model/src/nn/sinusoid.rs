//! Sinusoids of times and sizes.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Largest period of a sinusoid.
pub(crate) const PERIOD_MAX: f64 = 10_000.0;

/// Numbers as cosines followed by sines of the frequencies `PERIOD_MAX^(-i / half)` for i from 0 to half, half of `width`
/// (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>). `width` is even.
///
/// # Shapes
///
/// - output: `[numbers, width]` in f32
pub(crate) fn sinusoid(numbers: &[f32], width: usize, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let mut values = Vec::with_capacity(numbers.len() * width);
    for &number in numbers {
        let angle = |i: usize| f64::from(number) * (-PERIOD_MAX.ln() * i as f64 / half as f64).exp();
        values.extend((0..half).map(|i| angle(i).cos() as f32));
        values.extend((0..half).map(|i| angle(i).sin() as f32));
    }
    Tensor::from_data(TensorData::new(values, [numbers.len(), 2 * half]), (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_come_first() {
        let values: Vec<f32> = sinusoid(&[0.0, 0.5], 256, &Device::flex()).try_into_vec_as().expect("f32 on the CPU");
        assert_eq!(values[..128], [1.0; 128]);
        assert_eq!(values[128..256], [0.0; 128]);
        assert_eq!(values[256], 0.5f32.cos());
        assert_eq!(values[256 + 128], 0.5f32.sin());
    }
}
