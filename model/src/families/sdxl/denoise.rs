//! One evaluation of the denoiser: guidance, control networks, and the further inputs of a network for inpainting.

use burn::tensor::Tensor;
use sakuga_model_core::Guidance;

use super::text::TextFeatures;
use crate::networks::unet2d::{Conditioned, Conditioning, ControlConditioned, ControlNet, Residuals, Unet, acts};
use crate::sampler::diffusion::Step;
use crate::sampler::guidance;

/// An image that steers the U-Net through a control network.
#[derive(Clone)]
pub struct Control<'a> {
    /// The control network that reads `image`.
    pub network: &'a ControlNet,
    /// `[1, 3, 8H, 8W]`, 0..1.
    pub image: Tensor<4>,
    /// Factor on its residuals.
    pub scale: f64,
    /// The share of the steps at which it begins to act.
    pub start: f64,
    /// The share of the steps at which it ends.
    pub end: f64,
    /// Whether it acts on the conditional half only, less in shallow layers, so that it works without a prompt.
    pub guess_mode: bool,
}

/// A prompt and the sizes that the network reads with it.
#[derive(Debug, Clone)]
pub struct Prompted {
    /// What the network reads of the text.
    pub text: TextFeatures,
    /// In pixels: see [`Conditioning::sizes`].
    pub sizes: Vec<f32>,
}

/// A control network with the shared inputs of its evaluations: for both halves of guidance, and for the prompt alone.
struct Steering<'a> {
    control: Control<'a>,
    both: ControlConditioned,
    conditional: ControlConditioned,
}

/// The denoiser for one batch of images of the same prompt.
pub struct Denoiser<'a> {
    unet: &'a Unet,
    images: usize,
    /// Rows for the negative prompt, then for the prompt; without guidance for the prompt alone.
    conditioning: Conditioned,
    /// Of the prompt alone, for control networks in guess mode.
    conditional: Conditioned,
    guidance: Guidance,
    controls: Vec<Steering<'a>>,
    /// Mask and latents of the masked image, `[images, 5, H, W]`, for a network with 9 input channels.
    masked: Option<Tensor<4>>,
}

impl<'a> Denoiser<'a> {
    /// For `images` images. Both prompts have contexts of equal length; the negative one is left out where guidance never acts.
    pub fn new(unet: &'a Unet, images: usize, positive: &Prompted, negative: &Prompted, guidance: Guidance) -> Self {
        let conditional = conditioning(&[positive], images);
        let is_guided = guidance.is_ever_active();
        let conditioning = if is_guided { conditioning(&[negative, positive], images) } else { conditional.clone() };
        let [conditioning, conditional] = [conditioning, conditional].map(|rows| unet.condition(rows, &[]));
        Self { unet, images, conditioning, conditional, guidance, controls: Vec::new(), masked: None }
    }

    /// For these steps: an accelerated network computes what depends on their times once for all of them.
    #[must_use]
    pub fn for_steps(self, steps: &[Step]) -> Self {
        let times: Vec<f32> = steps.iter().map(|step| step.time as f32).collect();
        let conditioned = |rows: &Conditioned| self.unet.condition(rows.conditioning().clone(), &times);
        let (conditioning, conditional) = (conditioned(&self.conditioning), conditioned(&self.conditional));
        let controls = self.controls.into_iter().map(|steering| steering.control).collect();
        Self { conditioning, conditional, controls: Vec::new(), ..self }.with_controls(controls)
    }

    /// Whether a step computes both halves.
    pub fn is_guided(&self, step: &Step) -> bool {
        self.guidance.is_active(step.from.t() as f32)
    }

    /// Adds the residuals of these control networks to every evaluation in their part of the schedule.
    #[must_use]
    pub fn with_controls(self, controls: Vec<Control<'a>>) -> Self {
        let steering = |control: Control<'a>| {
            let conditioned = |rows: &Conditioned| {
                control.network.condition(rows.conditioning().clone(), control.image.clone(), rows.times())
            };
            let (both, conditional) = (conditioned(&self.conditioning), conditioned(&self.conditional));
            Steering { control, both, conditional }
        };
        let controls = controls.into_iter().map(steering).collect();
        Self { controls, ..self }
    }

    /// With mask and latents of the masked image, `[images, 5, H, W]`.
    #[must_use]
    pub fn with_masked(self, masked: Tensor<4>) -> Self {
        Self { masked: Some(masked), ..self }
    }

    /// What the network reads with the latents, rows of both halves of guidance.
    pub fn conditioning(&self) -> &Conditioning {
        self.conditioning.conditioning()
    }

    /// The input of the network for latents `[images, C, H, W]` in a step: rows of both halves, with the masked image if there
    /// is one.
    pub fn input(&self, latents: &Tensor<4>, step: &Step) -> Tensor<4> {
        let latents = match &self.masked {
            Some(masked) => Tensor::cat(vec![latents.clone(), masked.clone()], 1),
            None => latents.clone(),
        };
        latents.repeat_dim(0, if self.is_guided(step) { 2 } else { 1 })
    }

    /// The guided prediction `[images, C, H, W]` in a step, the `index`-th of `count`, for latents as the network reads them.
    pub fn evaluate(&self, latents: &Tensor<4>, step: &Step, (index, count): (usize, usize)) -> Tensor<4> {
        let is_guided = self.is_guided(step);
        let conditioning = if is_guided { &self.conditioning } else { &self.conditional };
        let control = self.residuals(latents, step, (index, count));
        let out = self.unet.predict(self.input(latents, step), step.time as f32, conditioning, control.as_ref());
        if !is_guided {
            return out;
        }
        let half = |i: usize| out.clone().narrow(0, i * self.images, self.images);
        let (unconditional, conditional) = (half(0), half(1));
        guidance::combine(&self.guidance, conditional, unconditional)
    }

    /// The sum of the control networks' residuals in this step.
    fn residuals(&self, latents: &Tensor<4>, step: &Step, (index, count): (usize, usize)) -> Option<Residuals> {
        let is_guided = self.is_guided(step);
        let acting = self.controls.iter().filter(|with| acts(index, count, with.control.start, with.control.end));
        let residuals = acting.map(|Steering { control, both, conditional }| {
            let on_both = is_guided && !control.guess_mode;
            let (rows, conditioned) = if on_both { (2, both) } else { (1, conditional) };
            let input = latents.clone().repeat_dim(0, rows);
            let residuals = control.network.residuals(&input, step.time as f32, conditioned);
            let residuals = if control.guess_mode { residuals.scaled_by_depth() } else { residuals };
            let residuals = residuals.scaled(control.scale);
            if is_guided && control.guess_mode { residuals.for_second_half() } else { residuals }
        });
        residuals.reduce(|sum, more| sum.plus(&more))
    }
}

/// Rows for `images` images of each prompt.
fn conditioning(prompts: &[&Prompted], images: usize) -> Conditioning {
    let context = prompts.iter().map(|prompt| prompt.text.context.clone().repeat_dim(0, images));
    let pooled = prompts.iter().map(|prompt| prompt.text.pooled.clone().repeat_dim(0, images));
    let sizes = prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt.sizes.clone(), images));
    Conditioning {
        context: Tensor::cat(context.collect(), 0),
        pooled: Tensor::cat(pooled.collect(), 0),
        sizes: sizes.collect(),
    }
}
