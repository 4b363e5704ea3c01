//! Initial images and masks.

use burn::tensor::Tensor;

use crate::networks::autoencoder_kl::AutoencoderKl;
use crate::sampler::State;
use crate::sampler::diffusion::Sampler;

/// The latents of an image of RGB in -1..1, `[B, 3, 8H, 8W]`: a sample of the posterior, by standard normal `noise`
/// `[B, C, H, W]`. `None` if the model was loaded without an encoder.
pub fn sampled_latents(vae: &AutoencoderKl, image: Tensor<4>, noise: Tensor<4>) -> Option<Tensor<4>> {
    let posterior = vae.posterior(image, &mut |_, _| ())?;
    Some(vae.to_model_latents(posterior.sample(noise)))
}

/// 1 where the image is redrawn, 0 where it is kept.
#[derive(Debug, Clone)]
pub struct Mask {
    /// `[1, 1, 8H, 8W]`
    pixels: Tensor<4>,
    /// Pixels of a latent position along an edge.
    factor: usize,
}

impl Mask {
    /// A mask of values in 0..1, `[1, 1, 8H, 8W]`; from one half on they count as 1.
    pub fn new(values: Tensor<4>, factor: usize) -> Self {
        let (device, dtype) = (values.device(), values.dtype());
        let pixels = values.greater_equal_elem(0.5).int().float().cast(dtype).to_device(&device);
        Self { pixels, factor }
    }

    /// `[1, 1, H, W]`: each latent position has the value of its first pixel.
    pub fn latents(&self) -> Tensor<4> {
        let [_, _, height, width] = self.pixels.dims();
        let factor = self.factor;
        let [rows, columns] = [height / factor, width / factor];
        self.pixels
            .clone()
            .reshape([rows, factor, columns, factor])
            .narrow(1, 0, 1)
            .narrow(3, 0, 1)
            .reshape([1, 1, rows, columns])
    }

    /// An image in -1..1, `[B, 3, 8H, 8W]`, with mid grey where it is redrawn.
    pub fn hide(&self, image: Tensor<4>) -> Tensor<4> {
        image * self.pixels.clone().mul_scalar(-1.0).add_scalar(1.0)
    }

    /// `drawn` where it is redrawn and the latents of the image elsewhere, with the noise of the beginning of step `next`.
    pub fn kept(
        &self,
        sampler: &Sampler,
        drawn: &Tensor<4>,
        image: &Tensor<4>,
        noise: &Tensor<4>,
        next: usize,
    ) -> Tensor<4> {
        let original = sampler.add_noise(image, noise, next);
        let mask = self.latents();
        let rest = mask.clone().mul_scalar(-1.0).add_scalar(1.0);
        Tensor::combine(&[(1.0, &(original * rest)), (1.0, &(drawn.clone() * mask))])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    #[test]
    fn masks_are_cut_at_one_half_and_sampled_at_the_first_pixel() {
        let values = [0.5, 0.0, 0.4, 1.0, 0.0, 0.0, 1.0, 1.0_f32];
        let values =
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 2, 4]), (&Device::flex(), DType::F32));
        let mask = Mask::new(values, 2);
        assert_eq!(mask.latents().try_into_vec_as::<f32>().expect("f32"), [1.0, 0.0]);
        let image = Tensor::<4>::ones([1, 3, 2, 4], (&Device::flex(), DType::F32));
        let hidden: Vec<f32> = mask.hide(image).narrow(1, 0, 1).try_into_vec_as().expect("f32");
        assert_eq!(hidden, [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
