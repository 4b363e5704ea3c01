//! The initial state of a pass.

use burn::tensor::{DType, Tensor, TensorData, TensorReadError};

/// What a pass begins from besides noise: latents in f32, in the model's scale.
pub(crate) enum Start {
    /// Nothing.
    Noise,
    /// The same image for every image of the request.
    Image(Box<KnownImage>),
    /// The images of an earlier pass, `[images, channels, height, width]` for each batch.
    Images(Vec<Tensor<4>>),
}

/// The latents of an image.
pub(crate) struct KnownImage {
    /// `[1, channels, height, width]`
    pub(crate) latents: Tensor<4>,
    /// 1 where latents are drawn, 0 where those of the image are kept, `[1, 1, height, width]`; `None`: all are drawn.
    pub(crate) mask: Option<Tensor<4>>,
}

impl Start {
    /// The latents that the images of a batch begin from; `None`: noise alone.
    pub(crate) fn latents(&self, batch: usize, images: usize) -> Option<Tensor<4>> {
        match self {
            Self::Noise => None,
            Self::Image(image) => Some(image.latents.clone().repeat_dim(0, images)),
            Self::Images(batches) => batches.get(batch).cloned(),
        }
    }

    /// `drawn` where latents are drawn, and `known`, latents of the image with the noise of the same time, elsewhere.
    pub(crate) fn keep(&self, drawn: Tensor<4>, known: impl FnOnce() -> Tensor<4>) -> Tensor<4> {
        let Self::Image(image) = self else { return drawn };
        let Some(mask) = &image.mask else { return drawn };
        let kept = mask.clone().mul_scalar(-1.0).add_scalar(1.0);
        drawn * mask.clone() + known() * kept
    }

    /// Whether some latents are kept.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self, Self::Image(image) if image.mask.is_some())
    }
}

/// Latents `[batch, channels, height, width]` at another size, bilinear with the corners of the outermost pixels aligned
/// (`align_corners=False` of PyTorch). The host computes: latents are small, and the result is the same on every device.
///
/// # Errors
///
/// The device fails.
pub(crate) fn enlarged(latents: Tensor<4>, [height, width]: [usize; 2]) -> Result<Tensor<4>, TensorReadError> {
    let [batch, channels, from_height, from_width] = latents.dims();
    let device = latents.device();
    let values: Vec<f32> = latents.cast(DType::F32).try_into_vec_as()?;
    let (down, across) = (neighbours(from_height, height), neighbours(from_width, width));
    let mut enlarged = Vec::with_capacity(batch * channels * height * width);
    for plane in values.chunks_exact(from_height * from_width) {
        for (above, below, share) in &down {
            let row = |y: &usize| &plane[y * from_width..][..from_width];
            let (above, below) = (row(above), row(below));
            enlarged.extend(across.iter().map(|(left, right, part)| {
                let mix = |row: &[f32]| row[*left] + part * (row[*right] - row[*left]);
                mix(above) + share * (mix(below) - mix(above))
            }));
        }
    }
    Ok(Tensor::from_data(TensorData::new(enlarged, [batch, channels, height, width]), (&device, DType::F32)))
}

/// For each place along an edge: its two neighbours in the source, and the share of the second.
fn neighbours(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let ratio = from as f64 / to as f64;
    let along = |place: usize| {
        let source = ((place as f64 + 0.5) * ratio - 0.5).max(0.0);
        let first = (source as usize).min(from - 1);
        (first, (first + 1).min(from - 1), (source - first as f64) as f32)
    };
    (0..to).map(along).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn tensor(values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F32))
    }

    #[test]
    fn enlarged_latents_lie_between_their_neighbours() {
        let latents = tensor(vec![0.0, 4.0, 8.0, 12.0], [1, 1, 2, 2]);
        let large: Vec<f32> = enlarged(latents, [4, 4]).expect("the CPU does not fail").try_into_vec_as().expect("f32");
        assert_eq!(large[..4], [0.0, 1.0, 3.0, 4.0]);
        assert_eq!([large[4], large[8], large[12], large[15]], [2.0, 6.0, 8.0, 12.0]);
    }

    #[test]
    fn what_the_mask_keeps_is_known() {
        let (latents, mask) = (tensor(vec![5.0; 4], [1, 2, 1, 2]), tensor(vec![1.0, 0.0], [1, 1, 1, 2]));
        let start = Start::Image(Box::new(KnownImage { latents, mask: Some(mask) }));
        let known = || start.latents(0, 2).expect("an image");
        let kept: Vec<f32> = start.keep(tensor(vec![9.0; 8], [2, 2, 1, 2]), known).try_into_vec_as().expect("f32");
        assert_eq!(kept, [9.0, 5.0].repeat(4));
    }
}
