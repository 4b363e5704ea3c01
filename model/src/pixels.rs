//! From tensors on the device to 8-bit images on the host, and back.

use burn::tensor::{DType, Device, Tensor, TensorData, TensorReadError};
use sakuga_model_core::Rgb8;

/// Images of a batch that were read back, and whether their values were finite.
#[derive(Debug)]
pub(crate) struct Read {
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
pub(crate) fn read_rgb8(images: Tensor<4>) -> Result<Read, TensorReadError> {
    let [batch, channels, height, width] = images.dims();
    debug_assert_eq!(channels, 3, "RGB");
    // As the device has them: the host interleaves the planes while it rounds, which costs it nothing more.
    let values: Vec<f32> = images.cast(DType::F32).try_into_vec_as()?;
    let plane = height * width;
    let mut is_finite = true;
    let images = (0..batch).map(|row| {
        let planes: [&[f32]; 3] = std::array::from_fn(|channel| &values[(row * channels + channel) * plane..][..plane]);
        let mut pixels = vec![0; channels * plane];
        for (index, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let values = planes.map(|plane| plane[index]);
            is_finite &= values.iter().all(|value| value.is_finite());
            *pixel = values.map(level);
        }
        Rgb8 { width_px: width as u32, height_px: height as u32, pixels }
    });
    let images = images.collect();
    Ok(Read { images, is_finite })
}

/// An image as the encoder reads it, `[1, 3, height, width]` in -1..1, in f32.
pub(crate) fn signed_pixels(image: &Rgb8, device: &Device) -> Tensor<4> {
    let signed =
        |channel: usize| image.pixels.iter().skip(channel).step_by(3).map(|&level| f32::from(level) / 127.5 - 1.0);
    let values: Vec<f32> = (0..3).flat_map(signed).collect();
    let shape = [1, 3, image.height_px as usize, image.width_px as usize];
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// `round(255 x)`, 0 for what is not a number. Half is added and the rest cut off: rounding itself is a call of a function for
/// each of three million values.
pub(crate) fn level(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_level_comes_back() {
        let pixels: Vec<u8> = (0..=255).flat_map(|level| [level, 255 - level, level / 2]).collect();
        let image = Rgb8 { width_px: 16, height_px: 16, pixels };
        let unit = signed_pixels(&image, &Device::flex()).add_scalar(1.0).div_scalar(2.0);
        assert_eq!(read_rgb8(unit).expect("the CPU does not fail").images, [image]);
    }

    #[test]
    fn every_row_of_a_batch_is_an_image() {
        let values: Vec<f32> = (0..12).map(|level| level as f32 / 255.0).collect();
        let images = Tensor::from_data(TensorData::new(values, [2, 3, 2, 1]), &Device::flex());
        let read = read_rgb8(images).expect("the CPU does not fail");
        let pixels: Vec<&[u8]> = read.images.iter().map(|image| image.pixels.as_slice()).collect();
        assert_eq!(pixels, [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]]);
    }

    #[test]
    fn what_is_not_finite_is_noticed() {
        let values = vec![f32::NAN, 0.0, 0.0];
        let images = Tensor::from_data(TensorData::new(values, [1, 3, 1, 1]), &Device::flex());
        assert!(!read_rgb8(images).expect("the CPU does not fail").is_finite);
    }
}
