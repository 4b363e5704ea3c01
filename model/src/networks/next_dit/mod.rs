//! The Next-DiT: a diffusion transformer that predicts the velocity of latents, conditioned on a caption.
//!
//! ```text
//! caption features ── RMSNorm, Linear ── context refiner (2 blocks) ───────────┐
//!                                                                             ├─ joint stream (36 blocks) ── final layer ── velocity
//! latents ── patches, Linear ── noise refiner (2 modulated blocks) ────────────┘        ▲                        ▲
//! time ── sinusoid, MLP ──┐                                                             │                        │
//! pooled text ── RMSNorm, Linear ──┴─ SiLU, Linear ── adaLN vector ─────────────────────┴────────────────────────┘
//! ```
//!
//! Reference: `NextDiT_CLIP` in `models/model.py` of NewBie-image-Exp0.1. [`NextDit::condition`] computes
//! what depends on neither the time nor the latents; [`NextDit::velocity`] is one evaluation.

mod block;
mod conditioned;
mod config;
mod embed;
#[cfg(feature = "cuda")]
mod fast;
mod final_layer;
#[cfg(feature = "cuda")]
mod fp8;
pub mod key_map;
mod patchify;
pub(crate) mod reuse;
mod rope;
#[cfg(feature = "cuda")]
mod row_memory;

use burn::nn::Linear;
use burn::tensor::activation::silu;
use burn::tensor::{DType, Tensor};

use crate::checkpoint::TensorReader;
use crate::nn::accelerated::Accelerated;
use crate::nn::adaptable::{self, AdaptableWeight};
use crate::nn::block::{Block, Positions};
use crate::nn::ops;
pub use crate::nn::rope::RopeTable;
use conditioned::Layout;
pub use conditioned::{Caption, Conditioned};
pub use config::NextDitConfig;
use embed::{CaptionEmbedder, PooledTextEmbedder, TimeEmbedder};
use final_layer::FinalLayer;
pub use patchify::{patchify, unpatchify};
use reuse::Reusing;
pub use rope::{Position, joint_positions};

/// On the fast path the tokens of an image and its caption are padded to a multiple of this. Captions of different
/// lengths then share plans of products and of attention; a new plan takes longer than an evaluation.
pub const ROW_MULTIPLE: usize = 64;

/// Receives intermediate values under the names of the reference, for comparisons: `[batch, sequence, width]`, with a
/// sequence of 1 for vectors.
pub type Tap<'a> = dyn FnMut(&str, &Tensor<3>) + 'a;

/// What an evaluation reads or shows besides its inputs.
enum Reading<'a, 'b> {
    Nothing,
    /// What earlier evaluations have kept.
    Reuse(Reusing<'a>),
    /// Intermediate values are shown.
    Tap(&'a mut Tap<'b>),
}

/// The passes of the network in an accelerated implementation. `None`: it does not support this batch.
trait Passes: Send + Sync {
    /// The refined captions, `[batch, width, dim]`; `rope` is the table of their positions.
    fn refine(&self, caption: &Caption, width: usize, rope: &RopeTable) -> Option<Tensor<3>>;
    /// The pooled text, projected, `[batch, clip_text_dim]`.
    fn project(&self, pooled: &Tensor<2>) -> Option<Tensor<2>>;
    /// One evaluation, patch vectors to patch vectors `[batch, image width, patch_dim]`.
    fn evaluate(
        &self,
        conditioned: &Conditioned,
        patches: &Tensor<3>,
        times: &[f32],
        reusing: Option<Reusing<'_>>,
    ) -> Option<Tensor<3>>;
}

/// Next-DiT with its weights.
#[derive(Debug)]
pub struct NextDit {
    config: NextDitConfig,
    time: TimeEmbedder,
    pooled: Option<PooledTextEmbedder>,
    caption: CaptionEmbedder,
    patches: Linear,
    context_refiner: Vec<Block>,
    noise_refiner: Vec<Block>,
    layers: Vec<Block>,
    final_layer: FinalLayer,
    /// The same on an NVIDIA GPU. It holds addresses of the weights above.
    fast: Accelerated<dyn Passes>,
}

impl NextDit {
    /// Reads the weights. Call [`TensorReader::finish`] before using the result: it reports missing tensors.
    pub fn load(config: &NextDitConfig, weights: &TensorReader) -> Self {
        for pattern in key_map::TOLERATED {
            weights.tolerate(pattern);
        }
        let blocks = |name: &str, count: usize, modulated: bool| {
            (0..count).map(|i| block::load(config, &weights.at(format!("{name}.{i}")), modulated)).collect()
        };
        Self {
            time: TimeEmbedder::load(config, weights),
            pooled: config.clip_text_dim.map(|dim| PooledTextEmbedder::load(config, dim, weights)),
            caption: CaptionEmbedder::load(config, weights),
            patches: weights.linear("x_embedder", config.patch_dim(), config.dim, true),
            context_refiner: blocks("context_refiner", config.n_refiner_layers, false),
            noise_refiner: blocks("noise_refiner", config.n_refiner_layers, true),
            layers: blocks("layers", config.n_layers, true),
            final_layer: FinalLayer::load(config, weights),
            config: config.clone(),
            fast: Accelerated::new(),
        }
    }

    fn fast(&self) -> Option<&dyn Passes> {
        self.fast.get_or_build(|| {
            #[cfg(feature = "cuda")]
            return fast::FastNextDit::of(self).map(|fast| -> Box<dyn Passes> { Box::new(fast) });
            #[cfg(not(feature = "cuda"))]
            return None;
        })
    }

    /// Whether evaluations run on vendor libraries and our kernels instead of burn's operations.
    pub fn is_fast(&self) -> bool {
        self.fast().is_some()
    }

    /// The same network on burn's operations only, for comparison with the fast path.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { fast: Accelerated::none(), ..self }
    }

    /// All weights under the names that [`load`](Self::load) reads. Call [`weights_changed`](Self::weights_changed) after a
    /// change.
    pub(crate) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let Self {
            config, time, pooled, caption, patches, context_refiner, noise_refiner, layers, final_layer, ..
        } = self;
        let config: &NextDitConfig = config;
        let mut weights = vec![adaptable::norm("cap_embedder.0", &mut caption.norm)];
        let mut linears = vec![
            ("t_embedder.mlp.0", &mut time.input),
            ("t_embedder.mlp.2", &mut time.output),
            ("cap_embedder.1", &mut caption.projection),
            ("x_embedder", patches),
            ("final_layer.linear", &mut final_layer.linear),
            ("final_layer.adaLN_modulation.1", &mut final_layer.modulation),
        ];
        if let Some(PooledTextEmbedder { norm, projection, joined }) = pooled {
            weights.push(adaptable::norm("clip_text_pooled_proj.0", norm));
            linears.extend([("clip_text_pooled_proj.1", projection), ("time_text_embed.1", joined)]);
        }
        weights.extend(linears.into_iter().flat_map(|(path, layer)| adaptable::linear(path, layer)));
        let stacks =
            [("context_refiner", context_refiner), ("noise_refiner", noise_refiner), ("layers", layers)].into_iter();
        weights.extend(stacks.flat_map(|(name, blocks)| {
            let blocks = blocks.iter_mut().enumerate();
            blocks.flat_map(move |(i, block)| adaptable::block(block::names(config, &format!("{name}.{i}")), block))
        }));
        weights
    }

    /// Drops the fast path, which holds the addresses of the weights before a change. The next evaluation builds it again.
    pub(crate) fn weights_changed(&mut self) {
        self.fast.rebuild();
    }

    /// Sizes of the network.
    pub fn config(&self) -> &NextDitConfig {
        &self.config
    }

    /// Computes what all evaluations of a batch share.
    ///
    /// # Shapes
    ///
    /// - caption: `[batch, width, cap_feat_dim]` with the rows' lengths
    /// - pooled: `[batch, clip_text_dim]`; without it only the time embedding modulates the blocks
    /// - grids: rows and columns of patches of each image
    ///
    /// # Panics
    ///
    /// If the batch sizes differ.
    pub fn condition(&self, caption: &Caption, pooled: Option<Tensor<2>>, grids: &[[usize; 2]]) -> Conditioned {
        if let Some(conditioned) = self.condition_fast(caption, pooled.as_ref(), grids) {
            return conditioned;
        }
        self.condition_with(caption, pooled, grids, &mut |_, _| ())
    }

    fn condition_fast(
        &self,
        caption: &Caption,
        pooled: Option<&Tensor<2>>,
        grids: &[[usize; 2]],
    ) -> Option<Conditioned> {
        let fast = self.fast()?;
        let layout = Layout::new(grids.to_vec(), caption.lengths.clone());
        let width = layout.caption_width();
        let device = caption.features.device();
        let refined = fast.refine(caption, width, &layout.caption_rope(&self.config, &device))?;
        let pooled = match (&self.pooled, pooled) {
            (Some(_), Some(pooled)) => Some(fast.project(pooled)?),
            _ => None,
        };
        Some(Conditioned::new(&self.config, layout, refined, pooled))
    }

    /// [`condition`](Self::condition), showing `cap_emb`, `context_refiner.i` and `clip_emb` to `tap`.
    #[doc(hidden)]
    pub fn condition_with(
        &self,
        caption: &Caption,
        pooled: Option<Tensor<2>>,
        grids: &[[usize; 2]],
        tap: &mut Tap<'_>,
    ) -> Conditioned {
        assert_eq!(caption.features.dims()[0], caption.lengths.len(), "one length per caption");
        assert_eq!(grids.len(), caption.lengths.len(), "one image per caption");
        let layout = Layout::new(grids.to_vec(), caption.lengths.clone());
        let width = layout.caption_width();
        let mut x = self.caption.forward(caption.features.clone().narrow(1, 0, width));
        tap("cap_emb", &x);
        let device = x.device();
        let mask = layout.caption_mask(&device);
        let rope = layout.caption_rope(&self.config, &device);
        let positions = Positions { rope: &rope, mask: mask.as_ref(), is_causal: false };
        for (i, block) in self.context_refiner.iter().enumerate() {
            x = block.forward(x, None, &positions);
            tap(&format!("context_refiner.{i}"), &x);
        }
        let pooled = self.pooled.as_ref().zip(pooled).map(|(embedder, pooled)| embedder.project(pooled));
        if let Some(pooled) = &pooled {
            tap("clip_emb", &pooled.clone().unsqueeze_dim(1));
        }
        Conditioned::new(&self.config, layout, x, pooled)
    }

    /// One evaluation: the velocity (data minus noise) of each row at its time, 0 (noise) to 1 (data).
    ///
    /// # Shapes
    ///
    /// - latents: `[batch, in_channels, height, width]`, of the size that `conditioned` was prepared for
    /// - output: the same, in f32
    ///
    /// # Panics
    ///
    /// If `latents` or `times` do not fit `conditioned`.
    pub fn velocity(&self, conditioned: &Conditioned, latents: Tensor<4>, times: &[f32]) -> Tensor<4> {
        self.velocity_through(conditioned, latents, times, Reading::Nothing)
    }

    /// [`velocity`](Self::velocity), in which rows may reuse blocks of earlier evaluations.
    pub(crate) fn velocity_reusing(
        &self,
        conditioned: &Conditioned,
        latents: Tensor<4>,
        times: &[f32],
        reusing: Reusing<'_>,
    ) -> Tensor<4> {
        self.velocity_through(conditioned, latents, times, Reading::Reuse(reusing))
    }

    /// [`velocity`](Self::velocity), showing `t_emb`, `adaln_input`, `img_emb`, `noise_refiner.i`, `joint_in`,
    /// `layers.i` and `final_layer` to `tap`. Joint sequences are in the order that [`Conditioned`] describes;
    /// `final_layer` has the image part alone.
    #[doc(hidden)]
    pub fn velocity_with(
        &self,
        conditioned: &Conditioned,
        latents: Tensor<4>,
        times: &[f32],
        tap: &mut Tap<'_>,
    ) -> Tensor<4> {
        self.velocity_through(conditioned, latents, times, Reading::Tap(tap))
    }

    fn velocity_through(
        &self,
        conditioned: &Conditioned,
        latents: Tensor<4>,
        times: &[f32],
        reading: Reading<'_, '_>,
    ) -> Tensor<4> {
        let patch = self.config.patch_size;
        let [batch, _, height, width] = latents.dims();
        let grid = [height / patch, width / patch];
        assert_eq!(conditioned.grids(), vec![grid; batch], "latents of the size that was prepared");
        let tokens = self.evaluate(conditioned, patchify(latents, patch), times, reading);
        unpatchify(tokens, grid, patch)
    }

    /// One evaluation of images of different sizes, each `[in_channels, height, width]`, in one batch.
    ///
    /// # Panics
    ///
    /// If `latents` or `times` do not fit `conditioned`.
    #[doc(hidden)]
    pub fn velocity_mixed(&self, conditioned: &Conditioned, latents: &[Tensor<3>], times: &[f32]) -> Vec<Tensor<3>> {
        let patch = self.config.patch_size;
        let width = conditioned.image_width();
        let rows = latents.iter().map(|image| {
            let tokens = patchify(image.clone().unsqueeze_dim(0), patch);
            let [_, count, channels] = tokens.dims();
            let padding = Tensor::zeros([1, width - count, channels], (&tokens.device(), tokens.dtype()));
            if count == width { tokens } else { Tensor::cat(vec![tokens, padding], 1) }
        });
        let tokens = self.evaluate(conditioned, Tensor::cat(rows.collect(), 0), times, Reading::Nothing);
        let images = conditioned.grids().iter().enumerate().map(|(row, &grid)| {
            let image = tokens.clone().narrow(0, row, 1).narrow(1, 0, grid[0] * grid[1]);
            unpatchify(image, grid, patch).squeeze_dim(0)
        });
        images.collect()
    }

    /// Prepares and evaluates once.
    ///
    /// # Shapes
    ///
    /// As [`condition`](Self::condition) and [`velocity`](Self::velocity).
    pub fn forward(
        &self,
        latents: Tensor<4>,
        times: &[f32],
        caption: &Caption,
        pooled: Option<Tensor<2>>,
    ) -> Tensor<4> {
        let [batch, _, height, width] = latents.dims();
        let patch = self.config.patch_size;
        let conditioned = self.condition(caption, pooled, &vec![[height / patch, width / patch]; batch]);
        self.velocity(&conditioned, latents, times)
    }

    /// Patch vectors to patch vectors, `[batch, image width, patch_dim]`. With a tap burn's operations are used,
    /// because only they give access to intermediate values.
    fn evaluate(
        &self,
        conditioned: &Conditioned,
        patches: Tensor<3>,
        times: &[f32],
        reading: Reading<'_, '_>,
    ) -> Tensor<3> {
        assert_eq!(times.len(), conditioned.batch(), "one time per row");
        let (reusing, tap) = match reading {
            Reading::Nothing => (None, None),
            Reading::Reuse(reusing) => (Some(reusing), None),
            Reading::Tap(tap) => (None, Some(tap)),
        };
        if tap.is_none()
            && let Some(tokens) = self.fast().and_then(|fast| fast.evaluate(conditioned, &patches, times, reusing))
        {
            return tokens.cast(DType::F32);
        }
        self.evaluate_plain(conditioned, patches, times, reusing, tap.unwrap_or(&mut |_, _| ()))
    }

    fn evaluate_plain(
        &self,
        conditioned: &Conditioned,
        patches: Tensor<3>,
        times: &[f32],
        reusing: Option<Reusing<'_>>,
        tap: &mut Tap<'_>,
    ) -> Tensor<3> {
        let modulation = self.modulation(conditioned, times, tap);
        let image_width = conditioned.image_width();

        let mut image = ops::linear(patches.cast(self.patches.weight.val().dtype()), &self.patches);
        tap("img_emb", &image);
        let image_rope = conditioned.rope.narrow(0, image_width);
        let positions = Positions { rope: &image_rope, mask: conditioned.image_mask.as_ref(), is_causal: false };
        for (i, block) in self.noise_refiner.iter().enumerate() {
            image = block.forward(image, Some(&modulation), &positions);
            tap(&format!("noise_refiner.{i}"), &image);
        }

        let mut x = Tensor::cat(vec![image, conditioned.caption.clone()], 1);
        tap("joint_in", &x);
        let positions = Positions { rope: &conditioned.rope, mask: conditioned.mask.as_ref(), is_causal: false };
        if let Some(reusing) = reusing {
            x = reuse::forward(&self.layers, x, &modulation, &positions, image_width, times, reusing);
        } else {
            for (i, block) in self.layers.iter().enumerate() {
                x = block.forward(x, Some(&modulation), &positions);
                tap(&format!("layers.{i}"), &x);
            }
        }
        let out = self.final_layer.forward(x.narrow(1, 0, image_width), &modulation);
        tap("final_layer", &out);
        out.cast(DType::F32)
    }

    /// `SiLU` of the vector that modulates every block: `[batch, adaln_dim]`. Each block's own Linear follows.
    fn modulation(&self, conditioned: &Conditioned, times: &[f32], tap: &mut Tap<'_>) -> Tensor<2> {
        let time = self.time.forward(times);
        tap("t_emb", &time.clone().unsqueeze_dim(1));
        let adaln = match (&self.pooled, &conditioned.pooled) {
            (Some(embedder), Some(pooled)) => embedder.join(time, pooled.clone()),
            _ => time,
        };
        tap("adaln_input", &adaln.clone().unsqueeze_dim(1));
        silu(adaln)
    }
}
