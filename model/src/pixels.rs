//! From tensors on the device to 8-bit images on the host.

use burn::tensor::{DType, Tensor, TensorReadError};

use crate::progress::Rgb8;

/// Images of a batch that were read back, with what they were made of.
#[derive(Debug)]
pub struct Read {
    /// One image per row of the batch.
    pub images: Vec<Rgb8>,
    /// Whether every value was finite.
    pub is_finite: bool,
}

/// Reads images back and rounds them to 8 bit, `round(255 x)`; values outside 0..1 are clamped.
///
/// # Shapes
///
/// - images: `[batch, 3, height, width]`
///
/// # Errors
///
/// When the device fails.
pub fn read_rgb8(images: Tensor<4>) -> Result<Read, TensorReadError> {
    let [batch, channels, height, width] = images.dims();
    debug_assert_eq!(channels, 3, "RGB");
    let values: Vec<f32> = images.permute([0, 2, 3, 1]).cast(DType::F32).try_into_vec_as()?;
    let is_finite = values.iter().all(|value| value.is_finite());
    let image = |values: &[f32]| Rgb8 {
        width_px: width as u32,
        height_px: height as u32,
        // A float that is not a number becomes 0; the caller knows from `is_finite`.
        pixels: values.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect(),
    };
    let per_image = channels * height * width;
    let images = (0..batch).map(|i| image(&values[i * per_image..(i + 1) * per_image])).collect();
    Ok(Read { images, is_finite })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn pixels_are_interleaved_rounded_and_clamped() {
        let values = vec![0.0f32, 1.0, 0.5, -3.0, 9.0, 0.001];
        let images = Tensor::from_data(TensorData::new(values, [1, 3, 1, 2]), &Device::flex());
        let read = read_rgb8(images).expect("the CPU does not fail");
        assert!(read.is_finite);
        assert_eq!((read.images[0].width_px, read.images[0].height_px), (2, 1));
        assert_eq!(read.images[0].pixels, [0, 128, 255, 255, 0, 0]);
    }

    #[test]
    fn what_is_not_finite_is_noticed() {
        let values = vec![f32::NAN, 0.0, 0.0];
        let images = Tensor::from_data(TensorData::new(values, [1, 3, 1, 1]), &Device::flex());
        assert!(!read_rgb8(images).expect("the CPU does not fail").is_finite);
    }
}
