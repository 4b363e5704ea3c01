//! The networks of a checkpoint on one device: text encoders, denoiser and decoders.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use sakuga_model_core::{ComputePath, LoraChoice, MemoryProbe, Precision};

use super::LoadOptions;
use super::adaptable::{AdaptableParts, Masters, transformer_reader};
use super::layout::components;
use super::preview;
use crate::checkpoint::{Component, LoadReport, ModelFolder, TensorReader, WeightSource, weight_files};
use crate::device::{OpenDevice, dtype};
use crate::error::{LoadError, TokenError};
use crate::families::load_clock::LoadClock;
use crate::families::place::Place;
use crate::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use crate::networks::gemma3::{Gemma3, Gemma3Config};
use crate::networks::jina_clip::{JinaClip, JinaClipConfig};
use crate::networks::next_dit::{self, Caption, NextDit, NextDitConfig};
use crate::networks::tiny_decoder::TinyDecoder;
use crate::preview::LinearPreview;
use crate::tokens::TokenBatch;

/// All networks of a checkpoint.
pub struct Networks {
    /// Text to caption features.
    pub gemma: Gemma3,
    /// Text to one pooled vector.
    pub jina: JinaClip,
    /// Latents to velocities.
    pub transformer: NextDit,
    /// Latents to pixels and back.
    pub vae: AutoencoderKl,
    /// Latents to rough pixels, if the checkpoint has one.
    pub tiny_decoder: Option<TinyDecoder>,
    /// Latents to colours.
    pub linear_preview: LinearPreview,
    pub(super) place: Place,
    /// The tensors that adapters of requests may change.
    pub(super) adaptable: Arc<AdaptableParts>,
    pub(super) masters: Masters,
}

/// The output of both encoders for the rows of a request.
#[derive(Clone, Debug)]
pub struct TextFeatures {
    /// Gemma's part.
    pub caption: Caption,
    /// Jina CLIP's part, `[rows, clip_text_dim]`.
    pub pooled: Tensor<2>,
}

impl Networks {
    /// Reads every part of `folder`.
    ///
    /// # Errors
    ///
    /// The first part that is missing, malformed, or does not fit its configuration.
    pub fn load(folder: &ModelFolder, options: &LoadOptions) -> Result<(Self, Vec<LoadReport>), LoadError> {
        let OpenDevice { device, precision, .. } = &options.device;
        let dtype = dtype(*precision);
        let is_description = matches!(options.weights, WeightSource::Headers);
        let reader = |part: &Component| -> Result<TensorReader, LoadError> {
            let weights = part.reader(device, dtype)?;
            weights.read_from(options.weights.clone());
            Ok(weights)
        };
        let mut clock = LoadClock::new();
        let [part, text_encoder, clip_model, vae] = components(folder)?;
        let weights = transformer_reader(&part, device, dtype, options.weights.clone(), &options.loras)?;
        let (mut transformer, mut report) = read_transformer(&part, &weights)?;
        let config = transformer.config().clone();
        let denoiser = weights.adaptable(&|path| next_dit::key_map::aliases(&config, path));
        drop(weights);
        let masters = Masters::new(part, options.weights.clone(), options.loras.clone());
        if *precision == Precision::Fp8 {
            report.bytes = report.bytes.saturating_sub(fp8_bytes_saved(&transformer));
            if !is_description {
                transformer = in_fp8(folder, transformer)?;
                // The pages of the weights in bf16, before the text encoder takes others.
                device.memory_cleanup();
            }
        }
        let transformer_report = clock.stamp(report);

        let weights = reader(&text_encoder)?;
        let config = text_encoder.parse(Gemma3Config::from_json)?;
        // A description places nothing in the host's memory, which a program without GPU code cannot do at all.
        let gemma = if options.offload_text_encoder && !(is_description && cfg!(feature = "cuda")) {
            load_offloaded(folder, &config, &weights)?
        } else {
            Gemma3::load(&config, &weights)
        };
        let gemma_tensors = (!options.offload_text_encoder).then(|| weights.at("layers").adaptable(&Gemma3::aliases));
        let value_bytes = dtype.size() as u64;
        let denoiser_value_bytes = if *precision == Precision::Fp8 { 1 + value_bytes } else { value_bytes };
        let value_bytes = [denoiser_value_bytes, value_bytes];
        let adaptable = Arc::new(AdaptableParts { denoiser, gemma: gemma_tensors, value_bytes });
        let gemma_report = clock.stamp(weights.finish()?);

        let weights = reader(&clip_model)?;
        let jina = JinaClip::load(&clip_model.parse(JinaClipConfig::from_json)?, &weights);
        let jina_report = clock.stamp(weights.finish()?);

        let weights = reader(&vae)?;
        let vae = AutoencoderKl::load_available(&vae.parse(AutoencoderKlConfig::from_json)?, &weights);
        let vae_report = clock.stamp(weights.finish()?);

        check_widths(folder, &transformer, &gemma, &jina, &vae)?;
        let mut reports = vec![transformer_report, gemma_report, jina_report, vae_report];

        let preview_dir = folder.dir().join("preview_decoder");
        // The folder may hold a linear map alone.
        let tiny_decoder = match preview_dir.is_dir().then(|| weight_files(&preview_dir)) {
            Some(Ok(_)) => {
                let (decoder, report) = TinyDecoder::load_from(&preview_dir, device, dtype, options.weights.clone())?;
                reports.push(clock.stamp(report));
                Some(decoder)
            }
            Some(Err(_)) | None => None,
        };
        let linear_preview = LinearPreview::find(&preview_dir, transformer.config().in_channels, preview::LATENTS)?;
        // Compacts the memory of the weights and frees what loading used. The fast paths take the addresses of the weights
        // afterwards, so the weights must not move after this.
        if !is_description {
            device.memory_cleanup();
        }
        let place = Place::new(device, *precision);
        let networks = Self { gemma, jina, transformer, vae, tiny_decoder, linear_preview, place, adaptable, masters };
        if is_description {
            return Ok((networks, reports));
        }
        for ComputePath { network, implementation, reason } in networks.compute_paths() {
            let reason = Some(reason).filter(|reason| !reason.is_empty());
            tracing::info!(network, implementation, reason, "computed by");
        }
        if *precision == Precision::Fp8 && !networks.transformer.is_fast() {
            let reason = "the Next-DiT in fp8 has no fast path here, the log says why; choose bf16 or f32";
            return Err(LoadError::layout(folder.dir(), reason));
        }
        // Frees memory that only the choice of kernels needed.
        device.memory_cleanup();
        Ok((networks, reports))
    }

    /// The device that everything lives on.
    pub fn device(&self) -> &Device {
        self.place.device()
    }

    /// Waits until everything that was asked for is computed.
    ///
    /// # Errors
    ///
    /// The device failed, now or at something that was queued since the last call. What was computed is worthless then.
    pub fn sync(&self) -> Result<(), String> {
        self.place.sync()
    }

    /// Reads how much device memory is held: none on a device that cannot say.
    pub fn memory_probe(&self) -> MemoryProbe {
        self.place.memory_probe()
    }

    /// Which implementation computes each network, so that a fallback is visible.
    pub fn compute_paths(&self) -> Vec<ComputePath> {
        let in_fp8 = if self.is_fp8() { ", products in fp8" } else { "" };
        [
            ("next_dit", self.transformer.is_fast(), in_fp8),
            ("gemma3", self.gemma.is_fast(), ""),
            ("jina_clip", self.jina.is_fast(), ""),
            ("autoencoder_kl", self.vae.is_fast(), ""),
        ]
        .map(|(network, is_fast, note)| self.place.compute_path(network, is_fast, note))
        .into()
    }

    /// Which of the networks that adapters may change are on the fast path.
    pub(super) fn is_fast(&self) -> [bool; 2] {
        [self.transformer.is_fast(), self.gemma.is_fast()]
    }

    #[cfg(feature = "cuda")]
    fn is_fp8(&self) -> bool {
        self.transformer.is_fp8()
    }

    #[cfg(not(feature = "cuda"))]
    #[expect(clippy::unused_self, reason = "the same call with GPU code needs it")]
    fn is_fp8(&self) -> bool {
        false
    }

    /// Runs both encoders over the rows of a request.
    ///
    /// # Errors
    ///
    /// When an id is beyond an encoder's vocabulary.
    pub fn encode(&self, gemma: &TokenBatch, jina: &TokenBatch) -> Result<TextFeatures, TokenError> {
        let features = self.gemma.hidden_states(gemma)?;
        let caption = Caption { features, lengths: gemma.lengths().to_vec() };
        Ok(TextFeatures { caption, pooled: self.jina.pooled(jina)? })
    }

    /// Draws the images of a batch: [`AutoencoderKl::decode_each`].
    pub fn decode(&self, latents: Tensor<4>) -> impl Iterator<Item = Tensor<4>> {
        self.vae.decode_each(latents)
    }
}

#[cfg(feature = "cuda")]
fn load_offloaded(folder: &ModelFolder, config: &Gemma3Config, weights: &TensorReader) -> Result<Gemma3, LoadError> {
    Gemma3::load_offloaded(config, weights).map_err(|error| LoadError::layout(folder.dir(), error.to_string()))
}

#[cfg(not(feature = "cuda"))]
fn load_offloaded(folder: &ModelFolder, _: &Gemma3Config, _: &TensorReader) -> Result<Gemma3, LoadError> {
    let reason = "weights are kept in the host's memory for a GPU, and this program has no GPU code; leave that out";
    Err(LoadError::layout(folder.dir(), reason.to_owned()))
}

#[cfg(feature = "cuda")]
fn in_fp8(folder: &ModelFolder, transformer: NextDit) -> Result<NextDit, LoadError> {
    let refused = |error| LoadError::layout(folder.dir(), format!("the Next-DiT: {error}; choose bf16 or f32"));
    transformer.into_fp8().map_err(refused)
}

#[cfg(not(feature = "cuda"))]
fn in_fp8(folder: &ModelFolder, _: NextDit) -> Result<NextDit, LoadError> {
    let reason = "products in fp8 are for a GPU, and this program has no GPU code; choose f32";
    Err(LoadError::layout(folder.dir(), reason))
}

/// Bytes by which the Next-DiT is smaller in fp8 than in bf16.
#[cfg(feature = "cuda")]
fn fp8_bytes_saved(transformer: &NextDit) -> u64 {
    transformer.fp8_bytes_saved() as u64
}

#[cfg(not(feature = "cuda"))]
fn fp8_bytes_saved(_: &NextDit) -> u64 {
    0
}

/// Loads the Next-DiT of a checkpoint with adapters merged.
///
/// # Errors
///
/// When the part or an adapter is missing, malformed or does not fit.
pub fn load_transformer(
    folder: &ModelFolder,
    device: &Device,
    dtype: DType,
    loras: &[LoraChoice],
) -> Result<(NextDit, LoadReport), LoadError> {
    let component = folder.component("transformer")?;
    let weights = transformer_reader(&component, device, dtype, WeightSource::Files, loras)?;
    read_transformer(&component, &weights)
}

fn read_transformer(component: &Component, weights: &TensorReader) -> Result<(NextDit, LoadReport), LoadError> {
    let config = component.parse(|value| NextDitConfig::from_json(value, weights))?;
    let transformer = NextDit::load(&config, weights);
    Ok((transformer, weights.finish()?))
}

/// Each part may be sound on its own and yet not fit the others.
fn check_widths(
    folder: &ModelFolder,
    transformer: &NextDit,
    gemma: &Gemma3,
    jina: &JinaClip,
    vae: &AutoencoderKl,
) -> Result<(), LoadError> {
    let dit = transformer.config();
    let pairs = [
        ("cap_feat_dim", Some(dit.cap_feat_dim), "text_encoder", gemma.config().hidden_size),
        ("clip_text_dim", dit.clip_text_dim, "clip_model", jina.config().hidden_size),
        ("in_channels", Some(dit.in_channels), "vae", vae.config().latent_channels),
    ];
    for (key, wanted, part, found) in pairs {
        if wanted.is_some_and(|wanted| wanted != found) {
            let reason = format!(
                "transformer has `{key}` {wanted:?}, but {part} gives {found}; they belong to different models"
            );
            return Err(LoadError::layout(folder.dir(), reason));
        }
    }
    Ok(())
}
