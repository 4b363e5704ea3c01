//! How well jobs of devices with known costs are estimated: one like a GPU, which prepares kernels for each shape, and one like a CPU,
//! whose times vary.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::{
    GenerationSpec, Guidance, InitImage, Rgb8, Sampling, SecondPass, StepReport, Timings, TokenCount, Upscaler,
};

use super::work::tests::{info, policy, spec};
use super::{Estimator, JobMeasurements, JobMeter, JobWork, Part, Prediction, Seen};

/// Jobs that are learnt from.
const LEARNED: u32 = 20;
/// Jobs that are estimated.
const ESTIMATED: u32 = 100;

/// Costs of a device in seconds.
struct Costs {
    /// Of an evaluation: at least, for each token, and for each pair of tokens of one row.
    floor: f64,
    token: f64,
    pair: f64,
    /// Rows are padded to a multiple of this.
    padding: f64,
    /// Share of its own time that the second half of a guided evaluation adds.
    second_half: f64,
    /// Preparation of the attention of each number of rows and tokens, and of the products of each number of tokens.
    attention_plan: f64,
    product_plan: f64,
    /// Lengths that are equal when they are padded to this share their preparation.
    plan_padding: f64,
    /// Decoding and encoding a pixel, preparing a size, and preparing the first one of all.
    pixel: f64,
    size_plan: f64,
    first_size: f64,
    /// Reading a text that is not cached, by token.
    text: f64,
    /// Each batch, and each pixel that the host enlarges.
    batch: f64,
    enlarged: f64,
    /// Largest deviation of a job, and of a preparation.
    noise: f64,
    plan_noise: f64,
    /// One job in so many takes half as long again.
    slow: u32,
}

/// About one H200 with NewBie.
const GPU: Costs = Costs {
    floor: 0.012,
    token: 1.1e-5,
    pair: 4.5e-10,
    padding: 64.0,
    second_half: 1.0,
    attention_plan: 0.09,
    product_plan: 0.004,
    plan_padding: 1.0,
    pixel: 3.3e-8,
    size_plan: 0.2,
    first_size: 1.5,
    text: 3e-5,
    batch: 0.004,
    enlarged: 3e-8,
    noise: 0.01,
    plan_noise: 0.2,
    slow: 1000,
};

/// About 32 cores with the embedded model. Both halves of a guided evaluation run at the same time.
const CPU: Costs = Costs {
    floor: 0.004,
    token: 4e-5,
    pair: 2e-9,
    padding: 1.0,
    second_half: 0.3,
    attention_plan: 0.0,
    product_plan: 0.0,
    plan_padding: 1.0,
    pixel: 6e-7,
    size_plan: 0.0,
    first_size: 0.0,
    text: 1e-4,
    batch: 0.002,
    enlarged: 1e-7,
    noise: 0.05,
    plan_noise: 0.0,
    slow: 15,
};

/// Numbers that look random: SplitMix64.
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: u32) -> u32 {
        (self.unit() * f64::from(bound)) as u32
    }

    /// Around 1.
    fn factor(&mut self, deviation: f64) -> f64 {
        1.0 + deviation * (2.0 * self.unit() - 1.0)
    }
}

/// A request of the mix of `sakuga bench estimate` and the tokens of its texts.
fn request(draws: &mut Draws, edge_px: u32) -> (GenerationSpec, [u32; 2]) {
    const SIZES: [[u32; 2]; 6] = [[16, 16], [12, 12], [8, 8], [20, 12], [12, 20], [10, 16]];
    let [width_px, height_px] = SIZES[draws.below(6) as usize].map(|share| edge_px * share / 16 / 32 * 32);
    let steps = 4 + draws.below(3);
    let images = [1, 1, 1, 2, 3][draws.below(5) as usize];
    let guidance = match draws.below(3) {
        0 => Guidance::new(1.0),
        1 => Guidance { until: 0.5, ..Guidance::new(5.0) },
        _ => Guidance::new(5.0),
    };
    let text = draws.below(4);
    let sampling = Sampling { guidance, ..spec(64, steps).sampling };
    let mut wanted =
        GenerationSpec { images, ..GenerationSpec::new(format!("text {text}"), width_px, height_px, sampling) };
    match draws.below(5) {
        0 => {
            let image = Rgb8 { width_px, height_px, pixels: Vec::new() };
            wanted.init = Some(InitImage { image: Arc::new(image), strength: 0.6, mask: None, region: None });
        }
        1 => {
            let [width_px, height_px] = [width_px, height_px].map(|edge| edge * 3 / 2 / 16 * 16);
            let upscaler = Upscaler::Lanczos;
            wanted.second_pass = Some(SecondPass { width_px, height_px, upscaler, strength: 0.5, steps: 4 });
        }
        _ => {}
    }
    (wanted, [[40, 75, 120, 200][text as usize], 1])
}

/// A device that draws jobs, and what is known of its times.
struct Device {
    costs: Costs,
    draws: Draws,
    plans: HashSet<String>,
    seen: Seen,
    estimator: Estimator,
}

impl Device {
    fn new(costs: Costs) -> Self {
        Self { costs, draws: Draws(3), plans: HashSet::new(), seen: Seen::default(), estimator: Estimator::default() }
    }

    /// The cost of preparing something, once.
    fn plan(&mut self, name: String, seconds: f64) -> f64 {
        if self.plans.insert(name) { seconds * self.draws.factor(self.costs.plan_noise) } else { 0.0 }
    }

    /// An evaluation of `images` images with these lengths of a row in each half.
    fn evaluation(&mut self, images: u32, lengths: &[f64]) -> f64 {
        let rows = f64::from(images);
        let padding = self.costs.padding;
        let padded: Vec<f64> = lengths.iter().map(|length| (length / padding).ceil() * padding).collect();
        let work = |length: &f64| rows * length * (self.costs.token + self.costs.pair * length);
        let halves_s: f64 =
            padded.iter().zip([1.0, self.costs.second_half]).map(|(length, share)| share * work(length)).sum();
        let usual = self.costs.floor.max(0.004 + halves_s);
        let halves: f64 = lengths
            .iter()
            .map(|length| {
                let planned = (length / self.costs.plan_padding).ceil();
                self.plan(format!("attention {images} {planned}"), self.costs.attention_plan)
            })
            .sum();
        let tokens = rows * padded.iter().sum::<f64>();
        usual + halves + self.plan(format!("products {tokens}"), self.costs.product_plan)
    }

    fn sized(&mut self, part: &'static str, images: f64, pass: &GenerationSpec, share: f64) -> f64 {
        let pixels = f64::from(pass.width_px) * f64::from(pass.height_px);
        let size = self.plan(format!("{part} {}x{}", pass.width_px, pass.height_px), self.costs.size_plan);
        let first = self.plan(part.to_owned(), self.costs.first_size);
        images * share * self.costs.pixel * pixels + size + first
    }

    /// Estimates a job and then draws it. Returns the estimate, if there is one, its interval and what the job took.
    fn draw(&mut self, place: u32, spec: &GenerationSpec, tokens: [u32; 2]) -> (Option<(Prediction, [f64; 2])>, f64) {
        let count = |tokens| [TokenCount { encoder: "main", tokens, limit: 512, first_lost: None }];
        let [prompt, negative] = tokens.map(count);
        let work = JobWork::new(spec, &info(), [&prompt, &negative], &policy(None)).begin(&mut self.seen);
        let prediction = self.estimator.predict(&work, false);
        let slow = if place % self.costs.slow == self.costs.slow - 1 { 1.5 } else { 1.0 };
        let noise = slow * self.draws.factor(self.costs.noise);
        let mut meter = JobMeter::new(work.clone());
        let mut timings = Timings::default();
        let is_guided = spec.sampling.guidance.is_ever_active();
        let unread: u32 = (0..if is_guided { 2 } else { 1 })
            .map(|text| if self.plan(format!("text {text} {}", tokens[text]), 1.0) > 0.0 { tokens[text] } else { 0 })
            .sum();
        let in_time = |seconds: f64| Duration::from_secs_f64(noise * seconds);
        timings.text_encode = in_time(0.0005 + self.costs.text * f64::from(unread));
        let images = f64::from(spec.images);
        let (mut index, mut other) = (0, 0.0);
        if spec.init.is_some() {
            timings.vae_encode += in_time(self.sized("encode", 1.0, spec, 0.5));
        }
        for (number, pass) in (1..).zip(&work.passes) {
            if number == 2 {
                let large = spec.second_pass.map_or(spec.clone(), |second| GenerationSpec {
                    width_px: second.width_px,
                    height_px: second.height_px,
                    ..spec.clone()
                });
                timings.decode += in_time(self.sized("decode", images, spec, 1.0));
                timings.vae_encode += in_time(self.sized("encode", images, &large, 0.5));
                other += self.costs.enlarged * images * pass.pixels;
            }
            let mut first_image = 0;
            for batch in &pass.batches {
                other += self.costs.batch;
                for is_guided in &pass.guided {
                    let image = pass.pixels / 256.0;
                    let lengths = tokens.map(|tokens| image + f64::from(tokens));
                    let step = in_time(self.evaluation(*batch, &lengths[..if *is_guided { 2 } else { 1 }]));
                    index += 1;
                    let report = StepReport {
                        index,
                        total: work.steps(),
                        pass: number,
                        t: 0.5,
                        sigma: 0.5,
                        duration: step,
                        guidance_active: *is_guided,
                        evaluations: index,
                        reused_share: 0.0,
                    };
                    meter.step(&report, first_image);
                    timings.steps.push(step);
                }
                first_image += batch;
            }
        }
        let (width_px, height_px) =
            spec.second_pass.map_or((spec.width_px, spec.height_px), |p| (p.width_px, p.height_px));
        let last = GenerationSpec { width_px, height_px, ..spec.clone() };
        timings.decode += in_time(self.sized("decode", images, &last, 1.0));
        let all = timings.text_encode + timings.vae_encode + timings.decode + timings.steps.iter().sum::<Duration>();
        let took = all + in_time(other);
        let files = images * 1.5e-8 * f64::from(width_px) * f64::from(height_px);
        let measured = meter.finish(&timings, took);
        let expected = prediction.as_ref().map(Prediction::expected);
        let seconds = took.as_secs_f64() + files;
        self.estimator.learn_parts(&measured.parts);
        let part = super::Measurement {
            part: Part::EncodeImage,
            work: work.of(Part::EncodeImage),
            seconds: files,
            scale: files,
        };
        self.estimator.learn_part(&part);
        let interval = prediction.as_ref().map(|prediction| self.estimator.interval(prediction));
        self.estimator.learn_job(&JobMeasurements { expected, seconds, ..measured });
        (prediction.zip(interval.map(|interval| [interval.low, interval.high])), seconds)
    }
}

/// How many of [`ESTIMATED`] jobs take within a tenth of the estimate, and how many within its interval.
fn held(costs: Costs, edge_px: u32) -> [u32; 2] {
    let mut device = Device::new(costs);
    let mut held = [0; 2];
    for place in 0..LEARNED + ESTIMATED {
        let (spec, tokens) = request(&mut Draws(u64::from(place) + 1), edge_px);
        let (estimate, took) = device.draw(place, &spec, tokens);
        if place < LEARNED {
            continue;
        }
        let (prediction, [low, high]) = estimate.expect("measured");
        let is_close = (prediction.seconds() / took - 1.0).abs() <= 0.1;
        if !is_close {
            let size = [spec.width_px, spec.height_px];
            let guidance = spec.sampling.guidance;
            println!(
                "{place}: {:.3} s expected, {took:.3} s taken: {size:?} x {}, {} steps, {guidance:?}, {} {}",
                prediction.seconds(),
                spec.images,
                spec.sampling.steps,
                spec.init.is_some(),
                spec.second_pass.is_some()
            );
        }
        held[0] += u32::from(is_close);
        held[1] += u32::from((low..=high).contains(&took));
    }
    println!("{held:?}");
    held
}

#[test]
fn jobs_of_a_device_that_prepares_each_shape_are_estimated() {
    for plan_padding in [1.0, 64.0] {
        let [close, covered] = held(Costs { plan_padding, ..GPU }, 1024);
        assert!(close >= 95 && covered >= 90, "{close} of {ESTIMATED} are close, {covered} are covered");
    }
}

#[test]
fn jobs_of_a_device_whose_times_vary_are_estimated() {
    let [close, covered] = held(CPU, 256);
    assert!(close >= 90 && covered >= 75, "{close} of {ESTIMATED} are close, {covered} are covered");
}

#[test]
fn the_same_measurements_give_the_same_estimates() {
    let estimate = || {
        let mut device = Device::new(GPU);
        let mut last = 0.0;
        for place in 0..LEARNED {
            let (spec, tokens) = request(&mut Draws(u64::from(place) + 1), 1024);
            last = device.draw(place, &spec, tokens).0.map_or(0.0, |(prediction, _)| prediction.seconds());
        }
        last
    };
    assert_eq!(estimate().to_bits(), estimate().to_bits());
}
