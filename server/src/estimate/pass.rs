//! [`PassWork`]: the steps and previews of one pass.

use std::time::Duration;

use sakuga_model_core::PreviewMethod;

use super::Work;
use super::amount::FIRST_USES;
use super::first_use::{Finder, Key};

/// Kernels often pad sequences to a multiple of this number of tokens, so that lengths in between share what is prepared.
const PADDING: f64 = 64.0;

/// The steps of one pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PassWork {
    /// Number of images in each batch.
    pub(super) batches: Vec<u32>,
    /// For each step, whether guidance is active at its start.
    pub(super) guided: Vec<bool>,
    pub(super) evaluations_per_step: u32,
    /// Expected share of the denoiser's blocks that are computed; below 1 where a step cache reuses some.
    pub(super) computed_share: f64,
    /// Work of an evaluation with control networks relative to one without, averaged over the steps.
    pub(super) controlled: f64,
    /// Tokens of one image in the denoiser's sequence.
    pub(super) image_tokens: f64,
    /// Tokens of the prompt and of the negative prompt in the denoiser's sequence.
    pub(super) text_tokens: [f64; 2],
    pub(super) pixels: f64,
    /// Width and height in pixels.
    pub(super) size_px: [u32; 2],
    /// The first uses of each batch, in its first step without guidance and in the first one with it.
    pub(super) first: Vec<[[f64; FIRST_USES]; 2]>,
    /// The first uses of previews.
    pub(super) first_preview: [f64; FIRST_USES],
}

/// How previews are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Previews {
    pub(super) method: PreviewMethod,
    pub(super) every_steps: u32,
    pub(super) min_interval: Duration,
}

impl PassWork {
    /// Steps of each batch.
    pub(super) fn steps(&self) -> u32 {
        self.guided.len() as u32
    }

    /// One evaluation of a batch of `images` images.
    pub(super) fn evaluation(&self, images: u32, is_guided: bool) -> Work {
        let (images, [text, negative]) = (f64::from(images), self.text_tokens);
        let extra = if is_guided { images * (self.image_tokens + negative) } else { 0.0 };
        let main = images * (self.image_tokens + text);
        Work {
            count: 1.0,
            main: self.controlled * main,
            extra: self.controlled * extra,
            length: self.image_tokens + text,
            ..Work::default()
        }
    }

    /// The preparation before the first step of a batch with or without guidance; `None` if nothing of it is used for the first time.
    pub(super) fn preparation(&self, batch: usize, is_guided: bool) -> Option<Work> {
        let first = self.first.get(batch)?[usize::from(is_guided)];
        Some(Work { first, ..Work::default() }).filter(Work::is_first)
    }

    /// The previews of a batch after one step.
    pub(super) fn preview(&self, images: u32) -> Work {
        Work::each(f64::from(images), self.pixels)
    }

    /// The preparation of its first previews.
    pub(super) fn preview_preparation(&self) -> Work {
        Work { first: self.first_preview, ..Work::default() }
    }

    /// Finds its first uses.
    pub(super) fn find_first(&mut self, previews: Option<Previews>, finder: &mut Finder<'_>) {
        let kinds = self.kinds();
        let find = |images: &u32| {
            let mut first = [[0.0; FIRST_USES]; 2];
            for is_guided in &kinds {
                let [part, shape, halves, padded] = self.keys(*images, *is_guided);
                let mut count = |keys: Vec<Key>| keys.into_iter().map(|key| finder.shape(key)).sum();
                first[usize::from(*is_guided)] = [part, shape, halves, padded].map(&mut count);
            }
            first
        };
        self.first = self.batches.iter().map(find).collect();
        if let Some(previews) = previews {
            self.first_preview = previews.keys(self.size_px).map(|key| finder.shape(key));
        }
    }

    /// All shapes of its steps and previews.
    pub(super) fn shapes(&self, previews: Option<Previews>) -> Vec<Key> {
        let kinds = self.kinds();
        let of_batch =
            |images: &u32| kinds.iter().flat_map(|is_guided| self.keys(*images, *is_guided)).flatten().collect();
        let steps = self.batches.iter().flat_map(|images| -> Vec<Key> { of_batch(images) });
        steps.chain(previews.into_iter().flat_map(|previews| previews.keys(self.size_px))).collect()
    }

    /// Whether it has steps with and without guidance, in their order.
    fn kinds(&self) -> Vec<bool> {
        let mut kinds = self.guided.clone();
        kinds.dedup();
        kinds.truncate(2);
        kinds
    }

    /// What the evaluations of `images` images use: all steps, their shape, the lengths of their halves, and these when they are padded.
    fn keys(&self, images: u32, is_guided: bool) -> [Vec<Key>; FIRST_USES] {
        let texts = if is_guided { &self.text_tokens[..] } else { &self.text_tokens[..1] };
        let lengths: Vec<f64> = texts.iter().map(|text| self.image_tokens + text).collect();
        let padded_to = |multiple: f64| {
            let padded = lengths.iter().map(|length| (length / multiple).ceil() as u64);
            padded.map(|length| Key::of((images, length, multiple as u64))).collect()
        };
        let shape = lengths.iter().map(|length| length.to_bits()).collect::<Vec<u64>>();
        let shape = Key::of((images, self.size_px, shape));
        [vec![Key::of("steps")], vec![shape], padded_to(1.0), padded_to(PADDING)]
    }
}

impl Previews {
    /// Number of previews in `steps` steps that take `step_s` seconds each.
    pub(super) fn count(&self, steps: f64, step_s: f64) -> f64 {
        let turns = steps / f64::from(self.every_steps.max(1));
        let interval_s = self.min_interval.as_secs_f64();
        if interval_s > 0.0 { turns.min((steps * step_s / interval_s).ceil()) } else { turns }
    }

    /// What previews of this size use: the method, and its shape.
    fn keys(&self, size_px: [u32; 2]) -> [Key; FIRST_USES] {
        let method = Key::of(self.method);
        [method, Key::of((self.method, size_px)), method, method]
    }
}
