//! The networks of a checkpoint on one device.

use std::sync::Arc;

use burn::tensor::Device;
use sakuga_model_core::{ComputePath, LoraChoice, Precision};

use super::adapters::{AdaptableParts, adaptable};
use super::embedding::Embeddings;
use super::preview;
use super::source::{Source, SourcePart};
use super::text::TextEncoders;
use crate::checkpoint::adapters::{AdaptableTensors, AdaptedPart, AdapterContent, LoraSet, Selection};
use crate::checkpoint::{LoadReport, TensorReader, WeightSource};
use crate::device::{OpenDevice, dtype};
use crate::error::LoadError;
use crate::families::LoadOptions;
use crate::families::load_clock::LoadClock;
use crate::families::place::Place;
use crate::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use crate::networks::clip_text::{ClipText, ClipTextConfig};
use crate::networks::unet2d::{Unet, UnetConfig};
use crate::nn::adaptable::AdaptableWeight;
use crate::preview::LinearPreview;
use crate::tokenizer::TextTokenizer;

/// Sizes that the base model reads with the text.
const SIZES: usize = 6;

/// All networks of a checkpoint.
pub struct Networks {
    /// Noisy latents to predictions.
    pub unet: Unet,
    /// Texts to the features that the U-Net reads.
    pub text: TextEncoders,
    /// The embeddings of the adapters that were merged when the model was loaded.
    own_embeddings: Embeddings,
    /// Latents to pixels.
    pub vae: AutoencoderKl,
    /// Latents to colours.
    pub linear_preview: LinearPreview,
    pub(super) place: Place,
    /// The tensors that adapters of requests may change.
    pub(super) adaptable: Arc<AdaptableParts>,
}

impl Networks {
    /// Reads every part of a model, for these tokenizers.
    ///
    /// # Errors
    ///
    /// The first part that is missing, malformed, or does not fit the others; or options that this family does not have.
    pub(super) fn load(
        source: &Source,
        options: &LoadOptions,
        tokenizers: [TextTokenizer; 2],
    ) -> Result<(Self, Vec<LoadReport>), LoadError> {
        let OpenDevice { device, precision, .. } = &options.device;
        if *precision == Precision::Fp8 {
            return Err(LoadError::layout(source.path(), "this family does not compute in fp8; choose bf16 or f32"));
        }
        if options.offload_text_encoder {
            let reason = "this family does not keep its text encoders in the host's memory; leave that out";
            return Err(LoadError::layout(source.path(), reason));
        }
        let mut clock = LoadClock::new();
        let mut reports = Vec::new();
        let read = |part: usize| -> Result<SourcePart, LoadError> {
            let part = source.part(part, device, dtype(*precision))?;
            part.reader.read_from(options.weights.clone());
            Ok(part)
        };

        let part = read(0)?;
        let config = part.parse(UnetConfig::from_json)?;
        let weights = &part.reader;
        Unet::rename(&config, weights);
        let unet_tensors = adapt(weights, &options.loras, AdaptedPart::Denoiser, Some(&config))?;
        let unet = Unet::load(&config, weights);
        reports.push(clock.stamp(weights.finish()?));

        let mut clip = |index: usize, which: AdaptedPart| -> Result<(ClipText, AdaptableTensors), LoadError> {
            let part = read(index)?;
            let config = part.parse(ClipTextConfig::from_json)?;
            let weights = &part.reader;
            ClipText::rename(weights);
            let tensors = adapt(weights, &options.loras, which, None)?;
            let network = ClipText::load(&config, weights);
            reports.push(clock.stamp(weights.finish()?));
            Ok((network, tensors))
        };
        let (l, l_tensors) = clip(1, AdaptedPart::TextEncoder)?;
        let (g, g_tensors) = clip(2, AdaptedPart::TextEncoder2)?;

        let part = read(3)?;
        let vae = AutoencoderKl::load_available(&part.parse(AutoencoderKlConfig::from_json)?, &part.reader);
        reports.push(clock.stamp(part.reader.finish()?));

        check_widths(source, &unet, [&l, &g], &vae)?;
        let preview_dir = source.path().join("preview_decoder");
        let linear_preview = LinearPreview::find(&preview_dir, unet.config().out_channels, preview::LATENTS)?;
        if !matches!(options.weights, WeightSource::Headers) {
            device.memory_cleanup();
        }
        let mut embeddings = Embeddings::default();
        let widths = [l.config().hidden_size, g.config().hidden_size];
        for lora in &options.loras {
            embeddings.add_bundled(&AdapterContent::map(&lora.path)?, widths, device)?;
        }
        let own_embeddings = embeddings.clone();
        let text = TextEncoders { l: Some(l), g, tokenizers, embeddings };
        let place = Place::new(device, *precision);
        let tensors = [unet_tensors, l_tensors, g_tensors];
        let value_bytes = dtype(*precision).size() as u64;
        let adaptable = Arc::new(AdaptableParts { tensors, value_bytes });
        Ok((Self { unet, text, own_embeddings, vae, linear_preview, place, adaptable }, reports))
    }

    /// Adds the words that adapters of a request hold, until [`forget_words`](Self::forget_words).
    ///
    /// # Errors
    ///
    /// Vectors of another width, too many, or none.
    pub(super) fn learn_words(&mut self, adapters: &[Arc<AdapterContent>]) -> Result<(), LoadError> {
        let widths = [self.text.l.as_ref().map_or(0, |l| l.config().hidden_size), self.text.g.config().hidden_size];
        let device = self.place.device();
        adapters.iter().try_for_each(|content| self.text.embeddings.add_bundled(content, widths, device))
    }

    /// Leaves the words that the model was loaded with.
    pub(super) fn forget_words(&mut self) {
        self.text.embeddings.clone_from(&self.own_embeddings);
    }

    /// The weights that adapters of requests may change: of the U-Net, CLIP-L and CLIP-G. Call
    /// [`weights_changed`](Self::weights_changed) after a change.
    pub(super) fn adaptable_weights(&mut self) -> [Vec<AdaptableWeight<'_>>; 3] {
        let TextEncoders { l, g, .. } = &mut self.text;
        let l = l.as_mut().map(ClipText::adaptable).unwrap_or_default();
        [self.unet.adaptable(), l, g.adaptable()]
    }

    /// Call this after a change of weights: fast paths hold the addresses of those before it.
    pub(super) fn weights_changed(&mut self) {
        self.unet.weights_changed();
        self.text.l.iter_mut().chain([&mut self.text.g]).for_each(ClipText::weights_changed);
    }

    /// The device that everything lives on.
    pub fn device(&self) -> &Device {
        self.place.device()
    }

    /// Which implementation computes each network.
    pub fn compute_paths(&self) -> Vec<ComputePath> {
        let TextEncoders { l, g, .. } = &self.text;
        let clip_l = l.as_ref().map(|l| ("clip_l", l.is_fast()));
        let networks = [("unet", self.unet.is_fast())].into_iter().chain(clip_l);
        networks
            .chain([("clip_g", g.is_fast()), ("autoencoder_kl", self.vae.is_fast())])
            .map(|(network, is_fast)| self.place.compute_path(network, is_fast, ""))
            .collect()
    }
}

/// Merges adapters into a part that will be read. Returns its tensors.
fn adapt(
    weights: &TensorReader,
    loras: &[LoraChoice],
    part: AdaptedPart,
    unet: Option<&UnetConfig>,
) -> Result<AdaptableTensors, LoadError> {
    let tensors = adaptable(weights, unet);
    if !loras.is_empty() {
        weights.merge_into(LoraSet::open(loras, Selection::one_of(part))?, &tensors)?;
    }
    Ok(tensors)
}

/// Checks that the parts fit each other.
fn check_widths(source: &Source, unet: &Unet, [l, g]: [&ClipText; 2], vae: &AutoencoderKl) -> Result<(), LoadError> {
    let (unet, [l, g]) = (unet.config(), [l.config(), g.config()]);
    let mut faults = Vec::new();
    let mut differ = |what: &str, needed: usize, found: usize| {
        if needed != found {
            faults.push(format!("the U-Net reads {needed} {what}, but there are {found}"));
        }
    };
    differ("values of each token", unet.cross_attention_dim, l.hidden_size + g.hidden_size);
    differ("latent channels", unet.in_channels, vae.config().latent_channels);
    differ("latent channels (its output)", unet.out_channels, vae.config().latent_channels);
    let pooled = g.projection_dim.unwrap_or(0);
    differ("values of pooled text and sizes", unet.added_features, pooled + SIZES * unet.size_features);
    differ("tokens of CLIP-L", g.tokens, l.tokens);
    if g.projection_dim.is_none() {
        faults.push("text_encoder_2 has no projection (CLIPTextModelWithProjection)".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(LoadError::layout(source.path(), faults.join("; "))) }
}
