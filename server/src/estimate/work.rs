//! [`JobWork`]: the amount of work in each part of a job, computed from its request.

use std::borrow::Cow;

use sakuga_model_core::{
    AdapterChoice, EngineInfo, GenerationSpec, ModelInfo, Pass, ReuseRule, Sampling, SecondPass, TokenCount, Upscaler,
};

use super::amount::FIRST_USES;
use super::first_use::{Finder, Key, Seen};
use super::pass::{PassWork, Previews};
use super::{Part, Work};
use crate::preview::PreviewPolicy;

/// Work of a control network relative to its denoiser: it is a copy of the half that reduces the resolution.
const CONTROL_SHARE: f64 = 0.4;

/// The amount of work in each part of a job. It counts no first uses; [`JobWork::on`] adds
/// those of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JobWork {
    pub(super) passes: Vec<PassWork>,
    /// All parts except steps, previews and adapters.
    pub(super) parts: Vec<PartWork>,
    pub(super) previews: Option<Previews>,
    /// [`Part::LoadAdapters`], if the device has other adapters.
    pub(super) adapters: PartWork,
    texts: Texts,
    /// Everything that may be used for the first time.
    shapes: Vec<Key>,
}

/// The texts of a job.
#[derive(Clone, Debug, Default, PartialEq)]
struct Texts {
    /// Each of them, and then all of them together.
    keys: Vec<Key>,
    /// Tokens of each in all encoders.
    tokens: Vec<f64>,
}

/// The work of one part in one pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PartWork {
    pub(super) part: Part,
    /// Number of the pass, from 1.
    pub(super) pass: u32,
    /// Number of the job's steps that run before it.
    pub(super) after_steps: u32,
    pub(super) work: Vec<Work>,
    /// Identifies the shape of its operations; `None`: first uses are not counted.
    shape: Option<Key>,
}

impl JobWork {
    /// The work of a request. `tokens` has the token counts of the prompt and of the negative prompt, each in the order of the
    /// model's encoders.
    pub(crate) fn new(
        spec: &GenerationSpec,
        info: &EngineInfo,
        tokens: [&[TokenCount]; 2],
        preview: &PreviewPolicy,
    ) -> Self {
        let sizes: Vec<Pass> = spec.passes().collect();
        let first_pixels = sizes.first().map_or(0, Pass::pixels);
        let batches = spec.batches_of(info.images_at_once(spec.max_batch, first_pixels));
        let batches: Vec<u32> = batches.iter().map(|batch| batch.end - batch.start).collect();
        let is_guided = spec.sampling.guidance.is_ever_active();
        // The denoiser's sequence contains the tokens of the first encoder.
        let read = |counts: &[TokenCount], place: usize| -> f64 {
            counts.get(place).map_or(0.0, |count| f64::from(count.tokens.min(count.limit)))
        };
        let text_tokens = tokens.map(|counts| read(counts, 0));
        let token_pixels = f64::from(info.model.size.multiple_px.max(1)).powi(2);
        let shift = if info.model.has_shift { spec.sampling.shift } else { 1.0 };
        let acting: f32 = spec.controls.iter().map(|control| control.end - control.start).sum();
        let controlled = 1.0 + CONTROL_SHARE * f64::from(acting);
        let pass_work = |pass: &Pass| PassWork {
            batches: batches.clone(),
            guided: guided_steps(&spec.sampling, shift, pass),
            evaluations_per_step: spec.sampling.solver.evaluations_per_step(),
            computed_share: computed_share(&info.model, &spec.sampling, pass.steps()),
            controlled,
            image_tokens: pass.pixels() as f64 / token_pixels,
            text_tokens,
            pixels: pass.pixels() as f64,
            size_px: [pass.width_px, pass.height_px],
            first: Vec::new(),
            first_preview: [0.0; FIRST_USES],
        };
        let passes: Vec<PassWork> = sizes.iter().map(pass_work).collect();
        let encoded = |counts: &[TokenCount]| (0..counts.len()).map(|place| read(counts, place)).sum::<f64>();
        let texts = Texts::of(spec, tokens.map(encoded), is_guided);
        // The text encoder of a refiner reads the same texts again.
        let readings = if spec.refiner.is_some() { 2.0 } else { 1.0 };
        let text = Work { count: readings, length: texts.longest(), ..Work::default() };
        let previews = preview.method.map(|method| Previews {
            method,
            every_steps: preview.every_steps,
            min_interval: preview.min_interval,
        });
        let adapters = Work::each(1.0, (1 + spec.adapters.len()) as f64);
        let mut work = Self {
            passes,
            parts: vec![PartWork { shape: Some(Key::of(texts.count())), ..PartWork::new(Part::TextEncode, text) }],
            previews,
            adapters: PartWork { shape: adapters_key(spec), ..PartWork::new(Part::LoadAdapters, adapters) },
            texts,
            shapes: Vec::new(),
        };
        work.add_images(spec);
        let parts = work.parts.iter().chain([&work.adapters]).filter_map(PartWork::keys).flatten();
        let steps = work.passes.iter().flat_map(|pass| pass.shapes(work.previews));
        work.shapes = parts.chain(steps).collect();
        work
    }

    /// Adds the parts that encode and decode images.
    fn add_images(&mut self, spec: &GenerationSpec) {
        let drawn = spec.drawn().len() as f64;
        let pixels: Vec<f64> = self.passes.iter().map(|pass| pass.pixels).collect();
        let first = pixels.first().copied().unwrap_or(0.0);
        let last = pixels.last().copied().unwrap_or(0.0);
        let computed: f64 = self.passes.first().map_or(0.0, |pass| pass.batches.iter().copied().map(f64::from).sum());
        let (first_steps, all_steps) = (self.steps_of_pass(0), self.steps());
        let last_pass = pixels.len() as u32;
        let batches: usize = self.passes.iter().map(|pass| pass.batches.len()).sum();
        let sizes: Vec<[u32; 2]> = self.passes.iter().map(|pass| pass.size_px).collect();
        let mut add = |part, pass, after_steps, work, shape| {
            self.parts.push(PartWork { part, pass, after_steps, work: vec![work], shape });
        };
        let size_of = |pass: usize| sizes.get(pass).map(Key::of);
        if spec.init.is_some() {
            add(Part::VaeEncode, 1, 0, Work::each(1.0, first), size_of(0));
        }
        let is_enlarged = matches!(spec.second_pass, Some(SecondPass { upscaler: Upscaler::Lanczos, .. }));
        if is_enlarged {
            add(Part::Decode, 1, first_steps, Work::each(computed, first), size_of(0));
            add(Part::VaeEncode, 2, first_steps, Work::each(computed, last), size_of(1));
        }
        add(Part::Decode, last_pass, all_steps, Work::each(drawn, last), size_of(pixels.len().saturating_sub(1)));
        // What is prepared for each batch, and the pixels that the host enlarges.
        let count = batches.max(1) as f64;
        let main = computed * pixels.iter().sum::<f64>() / count;
        let extra = if is_enlarged { computed * last / count } else { 0.0 };
        let other = Work { count, main, extra, ..Work::default() };
        add(Part::Other, last_pass, all_steps, other, Some(Key::of((&sizes, computed.to_bits(), is_enlarged))));
        let region = spec.init.as_ref().and_then(|init| init.region.as_ref());
        let file = region.map_or(last, |region| f64::from(region.whole.width_px) * f64::from(region.whole.height_px));
        add(Part::EncodeImage, last_pass, all_steps, Work::each(drawn, file), None);
    }

    /// The same work with its first uses: shapes that `seen` lacks, and texts that were not read lately.
    pub(crate) fn on(&self, seen: &Seen) -> Cow<'_, Self> {
        if seen.has_all(&self.shapes, &self.texts.keys) {
            return Cow::Borrowed(self);
        }
        let mut work = self.clone();
        let mut finder = Finder::new(seen);
        let Texts { keys, tokens } = &self.texts;
        let is_new: Vec<f64> = keys.iter().map(|key| finder.text(*key)).collect();
        for part in &mut work.parts {
            let keys = part.keys();
            let Some(amount) = part.work.first_mut() else { continue };
            if part.part == Part::TextEncode {
                amount.main = is_new.last().map_or(0.0, |is_new| is_new * tokens.iter().sum::<f64>());
                amount.extra = tokens.iter().zip(&is_new).map(|(tokens, is_new)| tokens * is_new).sum();
            }
            if let Some(keys) = keys {
                amount.first = keys.map(|key| finder.shape(key));
            }
        }
        if let Some(keys) = work.adapters.keys() {
            work.adapters.work.iter_mut().for_each(|amount| amount.first = keys.map(|key| finder.shape(key)));
        }
        for pass in &mut work.passes {
            pass.find_first(self.previews, &mut finder);
        }
        Cow::Owned(work)
    }

    /// As [`JobWork::on`], and marks all of it as seen.
    pub(crate) fn begin(&self, seen: &mut Seen) -> Self {
        let work = self.on(seen).into_owned();
        self.mark(seen);
        work
    }

    /// Marks all of it as seen.
    pub(crate) fn mark(&self, seen: &mut Seen) {
        seen.add(&self.shapes, &self.texts.keys);
    }

    fn steps_of_pass(&self, pass: usize) -> u32 {
        self.passes.get(pass).map_or(0, |pass| pass.steps() * pass.batches.len() as u32)
    }

    /// The work of a part, all passes together; not of steps, previews and adapters.
    pub(crate) fn of(&self, part: Part) -> Vec<Work> {
        let of_part = self.parts.iter().filter(|found| found.part == part);
        of_part.flat_map(|found| found.work.iter().copied()).collect()
    }

    /// Number of steps of all passes and batches.
    pub(crate) fn steps(&self) -> u32 {
        (0..self.passes.len()).map(|pass| self.steps_of_pass(pass)).sum()
    }

    /// Number of evaluations of the denoiser, and how many of them are guided. A guided one computes both halves and counts
    /// once.
    pub(crate) fn evaluations(&self) -> [u32; 2] {
        let of_pass = |pass: &PassWork| {
            let each = pass.evaluations_per_step * pass.batches.len() as u32;
            [each * pass.steps(), each * pass.guided.iter().filter(|guided| **guided).count() as u32]
        };
        self.passes.iter().map(of_pass).fold([0, 0], |sum, pass| [sum[0] + pass[0], sum[1] + pass[1]])
    }

    /// Pass number `pass`, from 1, and the place of its batch that begins with `first_image`.
    pub(super) fn batch_of_step(&self, pass: u32, first_image: u32) -> Option<(&PassWork, usize)> {
        let pass = self.passes.get(pass.checked_sub(1)? as usize)?;
        // All batches but the last have the same size.
        let size = pass.batches.first().copied().unwrap_or(1).max(1);
        Some((pass, ((first_image / size) as usize).min(pass.batches.len().checked_sub(1)?)))
    }

    /// Tokens of all evaluations together, for the energy.
    pub(super) fn tokens_evaluated(&self) -> f64 {
        let of_pass = |pass: &PassWork| {
            let of_step = |guided: &bool| -> f64 {
                pass.batches
                    .iter()
                    .map(|images| pass.evaluation(*images, *guided))
                    .map(|work| work.main + work.extra)
                    .sum()
            };
            pass.guided.iter().map(of_step).sum::<f64>() * f64::from(pass.evaluations_per_step) * pass.computed_share
        };
        self.passes.iter().map(of_pass).sum()
    }
}

impl PartWork {
    /// At the beginning of the job.
    fn new(part: Part, work: Work) -> Self {
        Self { part, pass: 1, after_steps: 0, work: vec![work], shape: None }
    }

    /// What it uses: the part, and its shape.
    fn keys(&self) -> Option<[Key; FIRST_USES]> {
        let part = Key::of(self.part);
        self.shape.map(|shape| [part, Key::of((self.part, shape)), part, part])
    }
}

impl Texts {
    /// The texts that are read, with the tokens of the prompt and of the negative prompt.
    fn of(spec: &GenerationSpec, tokens: [f64; 2], is_guided: bool) -> Self {
        let GenerationSpec { text, system_prompt, negative, negative_system_prompt, .. } = spec;
        // Adapters may change the encoders, whose results are not kept then.
        let adapters = adapters_key(spec);
        let read = if is_guided { 2 } else { 1 };
        let prompts = [(system_prompt, text), (negative_system_prompt, negative)];
        let mut keys: Vec<Key> = prompts[..read].iter().map(|texts| Key::of((texts, adapters))).collect();
        keys.push(Key::of(&keys));
        Self { keys, tokens: tokens[..read].to_vec() }
    }

    /// Tokens of all.
    fn count(&self) -> u64 {
        self.tokens.iter().sum::<f64>() as u64
    }

    /// Tokens of the longest one.
    fn longest(&self) -> f64 {
        self.tokens.iter().copied().fold(0.0, f64::max)
    }
}

/// Identifies the adapters of a request, if it has some.
fn adapters_key(spec: &GenerationSpec) -> Option<Key> {
    let bits = |adapter: &AdapterChoice| [adapter.scale.to_bits(), adapter.text_scale.to_bits()];
    let adapters: Vec<_> = spec.adapters.iter().map(|adapter| (&adapter.sha256, bits(adapter))).collect();
    (!adapters.is_empty()).then(|| Key::of(adapters))
}

/// Expected share of the denoiser's blocks that a pass of `steps` steps computes. Settings of the step cache without a measured
/// share count as 1, so they never make an estimate too short.
fn computed_share(model: &ModelInfo, sampling: &Sampling, steps: u32) -> f64 {
    let (Some(support), Some(cache)) = (&model.step_cache, &sampling.step_cache) else { return 1.0 };
    let reused_steps = match cache.rule {
        ReuseRule::Steps(set) => set.iter().filter(|step| *step <= steps).count() as f64 / f64::from(steps.max(1)),
        ReuseRule::Change { .. } => support
            .promise(sampling.quality, Some(cache))
            .map_or(0.0, |promise| 1.0 - f64::from(promise.computed_share)),
    };
    1.0 - reused_steps * f64::from(cache.middle_blocks(support.blocks)) / f64::from(support.blocks.max(1))
}

/// For each computed step of a pass, whether guidance is active at its start, on the shifted grid of flow matching. The grid of
/// a diffusion model is slightly different, so the bounds of its guidance interval may be off by a step or two.
fn guided_steps(sampling: &Sampling, shift: f32, pass: &Pass) -> Vec<bool> {
    let skipped = pass.grid_steps - pass.steps();
    let guided = |step: u32| {
        let linear = (skipped + step) as f32 / pass.grid_steps.max(1) as f32;
        sampling.guidance.is_active(linear / (linear + shift - shift * linear))
    };
    (0..pass.steps()).map(guided).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use sakuga_model_core::{
        Guidance, InitImage, NoiseSchedule, PreviewMethod, Quality, Rgb8, Solver, StepCache, StepSet,
    };

    use super::*;
    use crate::engine::scripted::{Script, source};

    pub(in crate::estimate) fn info() -> EngineInfo {
        source(Script::default()).describe().unwrap_or_else(|error| panic!("{error}")).info
    }

    pub(in crate::estimate) fn spec(edge_px: u32, steps: u32) -> GenerationSpec {
        let sampling = Sampling {
            solver: Solver::Euler,
            schedule: NoiseSchedule::Native,
            steps,
            guidance: Guidance::new(5.0),
            shift: 6.0,
            quality: Quality::Exact,
            step_cache: None,
        };
        GenerationSpec { seed: 1, ..GenerationSpec::new("a sentence", edge_px, edge_px, sampling) }
    }

    pub(in crate::estimate) fn policy(method: Option<PreviewMethod>) -> PreviewPolicy {
        PreviewPolicy {
            method,
            format: crate::preview::PreviewFormat::Jpeg,
            max_edge_px: 512,
            every_steps: 2,
            min_interval: Duration::ZERO,
        }
    }

    pub(in crate::estimate) fn work(spec: &GenerationSpec) -> JobWork {
        let count = |tokens| [TokenCount { encoder: "main", tokens, limit: 16, first_lost: None }];
        JobWork::new(spec, &info(), [&count(20), &count(4)], &policy(None))
    }

    fn amounts(work: &JobWork, part: Part) -> Vec<(u32, f64, f64)> {
        let of = work.parts.iter().filter(|found| found.part == part);
        of.flat_map(|found| found.work.iter().map(|work| (found.after_steps, work.count, work.main))).collect()
    }

    #[test]
    fn reused_steps_are_less_work() {
        let set = StepSet::of([3, 4, 6, 8]).expect("few steps");
        let cache = StepCache { front_blocks: 1, back_blocks: 2, rule: ReuseRule::Steps(set), taylor_order: 0 };
        let whole = spec(64, 8);
        let reusing = GenerationSpec {
            sampling: Sampling { quality: Quality::Custom, step_cache: Some(cache), ..whole.sampling },
            ..whole.clone()
        };
        // Half of the steps compute 3 of 12 blocks.
        let ratio = work(&reusing).tokens_evaluated() / work(&whole).tokens_evaluated();
        assert!((ratio - 0.625).abs() < 1e-9, "{ratio}");
        let rule = ReuseRule::Change { threshold: 0.1, warmup_steps: 0, consecutive_max: 0 };
        let unmeasured = Sampling { step_cache: Some(StepCache { rule, ..cache }), ..reusing.sampling };
        let unmeasured = work(&GenerationSpec { sampling: unmeasured, ..whole.clone() });
        assert_eq!(unmeasured.tokens_evaluated(), work(&whole).tokens_evaluated());
    }

    #[test]
    fn one_redrawn_picture_is_decoded_alone_and_computed_with_its_batch() {
        let four = GenerationSpec { images: 4, ..spec(64, 10) };
        let one = GenerationSpec { image_indices: vec![2], ..four.clone() };
        assert_eq!(work(&four).passes, work(&one).passes, "sums are rounded differently in other batches");
        assert_eq!(
            (amounts(&work(&four), Part::Decode), amounts(&work(&one), Part::Decode)),
            (vec![(10, 4.0, 4096.0)], vec![(10, 1.0, 4096.0)])
        );
        // In batches of one, the others are not computed.
        let alone = work(&GenerationSpec { max_batch: 1, ..one });
        assert_eq!((alone.passes[0].batches.clone(), alone.steps()), (vec![1], 10));
        let pairs = work(&GenerationSpec { max_batch: 2, images: 5, ..spec(64, 10) });
        assert_eq!((pairs.passes[0].batches.clone(), pairs.steps()), (vec![2, 2, 1], 30));
    }

    #[test]
    fn passes_and_images_have_their_places() {
        let image = Rgb8 { width_px: 64, height_px: 64, pixels: vec![0; 3 * 64 * 64] };
        let init = InitImage { image: Arc::new(image), strength: 0.6, mask: None, region: None };
        let second = SecondPass { width_px: 128, height_px: 128, upscaler: Upscaler::Lanczos, strength: 0.5, steps: 8 };
        let both = work(&GenerationSpec { init: Some(init), second_pass: Some(second), images: 2, ..spec(64, 10) });
        assert_eq!((both.steps(), both.evaluations()), (6 + 4, [10, 10]));
        assert_eq!(amounts(&both, Part::VaeEncode), [(0, 1.0, 4096.0), (6, 2.0, 16_384.0)]);
        assert_eq!(amounts(&both, Part::Decode), [(6, 2.0, 4096.0), (10, 2.0, 16_384.0)]);
        let latents = SecondPass { upscaler: Upscaler::LatentBilinear, ..second };
        let latents = work(&GenerationSpec { second_pass: Some(latents), ..spec(64, 10) });
        assert_eq!((amounts(&latents, Part::VaeEncode), amounts(&latents, Part::Decode).len()), (vec![], 1));
    }

    #[test]
    fn guidance_and_solvers_count() {
        let with = |solver, guidance| {
            let spec =
                GenerationSpec { sampling: Sampling { solver, guidance, ..spec(64, 10).sampling }, ..spec(64, 10) };
            work(&spec)
        };
        assert_eq!(with(Solver::Rk4, Guidance::new(5.0)).evaluations(), [40, 40]);
        assert_eq!(with(Solver::Euler, Guidance::new(1.0)).evaluations(), [10, 0]);
        let [all, guided] = with(Solver::Euler, Guidance { until: 0.3, ..Guidance::new(5.0) }).evaluations();
        assert!(all == 10 && guided > 5 && guided < 10, "{guided}: shifted times are small for long");
        let off = with(Solver::Euler, Guidance::new(1.0));
        assert_eq!(off.passes[0].evaluation(2, false).extra, 0.0);
        let on = with(Solver::Euler, Guidance::new(5.0));
        // 16 tokens of the image, and of the text what the encoder reads.
        let evaluation = on.passes[0].evaluation(2, true);
        assert_eq!((evaluation.main, evaluation.extra, evaluation.length), (64.0, 40.0, 32.0));
    }

    #[test]
    fn texts_count_until_they_were_read_and_shapes_until_they_were_used() {
        let mut seen = Seen::default();
        let one = work(&spec(64, 10));
        let first = one.begin(&mut seen);
        assert!(*one.on(&seen) == one && *one.on(&Seen::default()) == first);
        let text =
            |work: &JobWork| work.of(Part::TextEncode).iter().map(|text| [text.main, text.extra]).collect::<Vec<_>>();
        // The encoder reads 16 tokens of the prompt and 4 of the negative prompt.
        assert_eq!((text(&first), text(&one.on(&seen))), (vec![[20.0, 20.0]], vec![[0.0, 0.0]]));
        let unguided = Sampling { guidance: Guidance::new(1.0), ..spec(64, 10).sampling };
        let unguided = work(&GenerationSpec { sampling: unguided, ..spec(64, 10) });
        assert_eq!(text(&unguided.on(&seen)), [[16.0, 0.0]], "read, but not alone");

        let firsts = |work: &JobWork| {
            let preparation = |is_guided| work.passes[0].preparation(0, is_guided).map(|work| work.first);
            [preparation(false), preparation(true)]
        };
        assert_eq!(firsts(&first), [None, Some([1.0, 1.0, 2.0, 1.0])], "both halves are padded to one length");
        assert_eq!(
            (firsts(&one.on(&seen)), firsts(&unguided.on(&seen))),
            ([None; 2], [Some([0.0, 1.0, 0.0, 0.0]), None])
        );
        let two = work(&GenerationSpec { images: 2, ..spec(64, 10) }).on(&seen).into_owned();
        assert_eq!(firsts(&two), [None, Some([0.0, 1.0, 2.0, 1.0])]);
        let decoded = |work: &JobWork| work.of(Part::Decode)[0].first;
        assert_eq!((decoded(&first), decoded(&two)), ([1.0, 1.0, 0.0, 0.0], [0.0; 4]));
        let large = work(&spec(128, 10)).on(&seen).into_owned();
        assert_eq!((decoded(&large), firsts(&large)[1]), ([0.0, 1.0, 0.0, 0.0], Some([0.0, 1.0, 2.0, 1.0])));
    }

    #[test]
    fn a_batch_is_no_larger_than_what_is_ready() {
        let at_once = |asked, pixels_max, pixels| EngineInfo { pixels_max, ..info() }.images_at_once(asked, pixels);
        let ready = Some(1024 * 1024);
        assert_eq!((at_once(0, ready, 1024 * 1024), at_once(0, ready, 512 * 512)), (1, 4));
        assert_eq!((at_once(2, ready, 512 * 512), at_once(0, ready, 16 * 16)), (2, 32));
        assert_eq!((at_once(0, None, 1), at_once(3, None, 1)), (0, 3), "no bound but the given one");
    }

    #[test]
    fn previews_are_counted() {
        let policy = policy(Some(PreviewMethod::Linear));
        let previews = JobWork::new(&spec(64, 10), &info(), [&[], &[]], &policy).previews.expect("wanted");
        assert_eq!(previews.count(10.0, 1.0), 5.0);
        let seldom = Previews { min_interval: Duration::from_secs(5), ..previews };
        assert_eq!(seldom.count(10.0, 1.0), 2.0);
    }
}
