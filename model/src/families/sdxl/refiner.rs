//! The refiner: a second U-Net, conditioned on CLIP-G alone, that computes the end of the schedule on the latents of the base model.
//!
//! Adapters and control networks of a request change the base model only. The refiner's own autoencoder is not read: the latents
//! of both have one form, and the base model decodes them.

use std::path::Path;

use sakuga_model_core::{GenerationSpec, Refiner as Chosen};

use super::denoise::Prompted;
use super::prompt::PromptRules;
use super::source::{Source, SourcePart};
use super::text::{STATE_FROM_END, TextEncoders, TextFeatures, TokenizerPair};
use crate::checkpoint::LoadReport;
use crate::device::{OpenDevice, dtype};
use crate::error::LoadError;
use crate::families::LoadOptions;
use crate::families::load_clock::LoadClock;
use crate::networks::clip_text::{ClipText, ClipTextConfig};
use crate::networks::unet2d::{Unet, UnetConfig};

/// Sizes that the refiner reads with the text: the picture's, the crop's place, and an aesthetic score.
const SIZES: usize = 5;
/// Its parts, by their places among those of the base model.
const UNET: usize = 0;
const CLIP_G: usize = 2;

/// A loaded refiner.
pub(super) struct Refiner {
    pub(super) unet: Unet,
    text: TextEncoders,
    /// Its name and fingerprint, `name@fingerprint`.
    pub(super) identity: String,
    zeros_for_no_negative: bool,
}

impl Refiner {
    /// Loads the refiner at `path`, a diffusers folder or one file, for a base model with this number of latent channels.
    ///
    /// # Errors
    ///
    /// It is not a refiner, or a part is missing, malformed, or does not fit.
    pub(super) fn load(
        path: &Path,
        options: &LoadOptions,
        latent_channels: usize,
    ) -> Result<(Self, Vec<LoadReport>), LoadError> {
        let source = Source::open_refiner(path)?;
        let OpenDevice { device, precision, .. } = &options.device;
        let mut clock = LoadClock::new();
        let mut reports = Vec::new();
        let read = |part: usize| -> Result<SourcePart, LoadError> {
            let part = source.part(part, device, dtype(*precision))?;
            part.reader.read_from(options.weights.clone());
            Ok(part)
        };
        let mut report = |report: LoadReport| {
            let component = format!("refiner_{}", report.component);
            reports.push(clock.stamp(LoadReport { component, ..report }));
        };

        let part = read(UNET)?;
        let config = part.parse(UnetConfig::from_json)?;
        Unet::rename(&config, &part.reader);
        let unet = Unet::load(&config, &part.reader);
        report(part.reader.finish()?);

        let part = read(CLIP_G)?;
        let config = part.parse(ClipTextConfig::from_json)?;
        ClipText::rename(&part.reader);
        let g = ClipText::load(&config, &part.reader);
        report(part.reader.finish()?);

        check_widths(path, &unet, &g, latent_channels)?;
        let tokenizers = TokenizerPair::open(path)?.tokenizers;
        let name = if path.is_file() { path.file_stem() } else { path.file_name() }.unwrap_or_default();
        let refiner = Self {
            unet,
            text: TextEncoders { l: None, g, tokenizers, embeddings: Default::default() },
            identity: format!("{}@{}", name.display(), source.fingerprint()?),
            // The published refiner was trained with the empty text.
            zeros_for_no_negative: source.index()["force_zeros_for_empty_prompt"].as_bool().unwrap_or(false),
        };
        Ok((refiner, reports))
    }

    /// The features that it reads of the prompt and of the negative prompt.
    pub(super) fn texts(&self, spec: &GenerationSpec) -> [TextFeatures; 2] {
        self.text.pair(PromptRules::default(), STATE_FROM_END, [&spec.text, &spec.negative], self.zeros_for_no_negative)
    }

    /// Prompt and negative prompt with the refiner's other inputs: height and width in pixels, the crop, and the aesthetic score.
    pub(super) fn prompted(texts: &[TextFeatures; 2], [height, width]: [f32; 2], chosen: &Chosen) -> [Prompted; 2] {
        let [positive, negative] = texts.clone();
        let with = |text, score| Prompted { text, sizes: vec![height, width, 0.0, 0.0, score] };
        [with(positive, chosen.aesthetic_score), with(negative, chosen.negative_aesthetic_score)]
    }
}

/// Checks that the parts fit each other and the base model.
fn check_widths(path: &Path, unet: &Unet, g: &ClipText, latent_channels: usize) -> Result<(), LoadError> {
    let (unet, g) = (unet.config(), g.config());
    let pooled = g.projection_dim.unwrap_or(0);
    let facts = [
        ("values of each token", unet.cross_attention_dim, g.hidden_size),
        ("latent channels", unet.in_channels, latent_channels),
        ("latent channels (its output)", unet.out_channels, latent_channels),
        ("values of pooled text and sizes", unet.added_features, pooled + SIZES * unet.size_features),
    ];
    let differ = |(what, needed, found): &(&str, usize, usize)| {
        (needed != found).then(|| format!("the U-Net of the refiner has {needed} {what}, and {found} fit"))
    };
    let faults: Vec<String> = facts.iter().filter_map(differ).collect();
    if faults.is_empty() { Ok(()) } else { Err(LoadError::layout(path, faults.join("; "))) }
}
