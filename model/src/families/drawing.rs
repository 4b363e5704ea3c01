//! Latents to images and previews.

use burn::tensor::{DType, Tensor};
use sakuga_model_core::{EngineError, PreviewMethod, Rgb8};

use super::place::Place;
use crate::networks::autoencoder_kl::AutoencoderKl;
use crate::networks::tiny_decoder::TinyDecoder;
use crate::pixels::{read_rgb8, signed_pixels};
use crate::preview::LinearPreview;

/// The decoders of a model's latents, and its encoder.
pub(crate) struct Drawing<'a> {
    /// Latents to pixels.
    pub(crate) vae: &'a AutoencoderKl,
    /// Latents to rough pixels, if the model has one.
    pub(crate) tiny_decoder: Option<&'a TinyDecoder>,
    /// Latents to colours.
    pub(crate) linear_preview: &'a LinearPreview,
    /// The device that they are on.
    pub(crate) place: &'a Place,
}

impl Drawing<'_> {
    /// The images of finished latents, `[batch, channels, height, width]` each in the model's scale.
    ///
    /// # Errors
    ///
    /// A value is not finite, or the device fails.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(crate) fn draw(&self, latents: Vec<Tensor<4>>) -> Result<Vec<Rgb8>, EngineError> {
        let mut images = Vec::new();
        for batch in latents {
            let values: Result<Vec<f32>, _> = batch.try_to_vec_as();
            let values = values.map_err(|error| self.device_error("reading the latents", error))?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(self.not_finite("latents"));
            }
            for image in self.vae.decode_each(batch) {
                let read = read_rgb8(image).map_err(|error| self.device_error("decoding", error))?;
                if !read.is_finite {
                    return Err(self.not_finite("image"));
                }
                images.extend(read.images);
            }
        }
        Ok(images)
    }

    /// The latents of images of one size, `[images, channels, height, width]` in f32 and in the model's scale: the mode of the
    /// posterior, so that nothing is drawn at random.
    ///
    /// # Errors
    ///
    /// The model has no encoder, or the device fails.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(crate) fn encode(&self, images: &[Rgb8]) -> Result<Tensor<4>, EngineError> {
        let encode = |image: &Rgb8| self.vae.encode(signed_pixels(image, self.place.device()));
        let latents: Option<Vec<Tensor<4>>> = images.iter().map(encode).collect();
        let Some(latents) = latents else {
            return Err(EngineError::Failed("the model has no encoder of pixels".into()));
        };
        let latents = Tensor::cat(latents, 0).cast(DType::F32);
        self.place.finish("encoding an image")?;
        Ok(latents)
    }

    /// Small images of unfinished latents.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub(crate) fn preview(&self, latents: Tensor<4>, method: PreviewMethod) -> Result<Vec<Rgb8>, EngineError> {
        const DOING: &str = "drawing a preview";
        let images = match method {
            PreviewMethod::Linear => {
                return self.linear_preview.draw(latents).map_err(|error| self.device_error(DOING, error));
            }
            PreviewMethod::Decoder => match self.tiny_decoder {
                Some(decoder) => vec![decoder.decode(latents)],
                None => self.vae.decode_each(latents).collect(),
            },
        };
        let mut previews = Vec::new();
        for batch in images {
            previews.extend(read_rgb8(batch).map_err(|error| self.device_error(DOING, error))?.images);
        }
        Ok(previews)
    }

    fn not_finite(&self, part: &'static str) -> EngineError {
        EngineError::NotFinite { part, precision: self.place.precision() }
    }

    fn device_error(&self, doing: &'static str, error: impl std::fmt::Display) -> EngineError {
        self.place.device_error(doing, &error.to_string())
    }
}
