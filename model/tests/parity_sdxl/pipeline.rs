//! Whole runs: text to image, base model and refiner, image to image, inpainting, control networks, adapters, embeddings.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Tensor;
use sakuga_model::checkpoint::adapters::{AdaptedPart, LoraSet, Selection};
use sakuga_model::families::sdxl::adapters::merge;
use sakuga_model::families::sdxl::denoise::{Control, Denoiser, Prompted};
use sakuga_model::families::sdxl::image::{Mask, sampled_latents};
use sakuga_model::families::sdxl::prompt::PromptRules;
use sakuga_model::families::sdxl::scheduler::SchedulerConfig;
use sakuga_model::families::sdxl::text::{STATE_FROM_END, TextEncoders, TextFeatures};
use sakuga_model::networks::autoencoder_kl::AutoencoderKl;
use sakuga_model::networks::clip_text::{ClipText, ClipTextConfig};
use sakuga_model::networks::unet2d::{ControlNet, Unet, UnetConfig};
use sakuga_model::sampler::diffusion::{Sampler, steps_to_run};
use sakuga_model_core::{Guidance, LoraChoice};
use serde_json::Value;

use crate::harness::{Part, for_each_set, json};
use crate::load::{self, names, tensor};
use crate::prompt::encoders;
use crate::schedulers::{compare_states, scheduler};
use crate::textual_inversion::embeddings;
use crate::vae::rounded;

#[test]
fn whole_runs_match_their_references() {
    for_each_set("pipeline", check);
}

/// The networks of a folder.
struct Model {
    unet: Unet,
    vae: AutoencoderKl,
    text: TextEncoders,
    zeros_for_no_negative: bool,
}

impl Model {
    fn open(dir: &Path) -> Self {
        let index = json(&dir.join("model_index.json"));
        Self {
            unet: load::unet(&dir.join("unet")),
            vae: load::vae(&dir.join("vae")),
            text: encoders(dir),
            zeros_for_no_negative: index["force_zeros_for_empty_prompt"].as_bool().unwrap_or(true),
        }
    }

    fn merge(&mut self, dir: &Path, choice: &LoraChoice) {
        let set = |part| {
            LoraSet::open(std::slice::from_ref(choice), Selection::one_of(part)).unwrap_or_else(|e| panic!("{e}"))
        };
        self.unet = load::folder(&dir.join("unet"), |config, reader| {
            let config = UnetConfig::from_json(config).expect("a valid configuration");
            Unet::rename(&config, reader);
            merge(reader, set(AdaptedPart::Denoiser), Some(&config)).unwrap_or_else(|error| panic!("{error}"));
            Unet::load(&config, reader)
        });
        let clip = |folder: &str, part| {
            load::folder(&dir.join(folder), |config, reader| {
                let config = ClipTextConfig::from_json(config).expect("a valid configuration");
                ClipText::rename(reader);
                merge(reader, set(part), None).unwrap_or_else(|error| panic!("{error}"));
                ClipText::load(&config, reader)
            })
        };
        self.text.l = Some(clip("text_encoder", AdaptedPart::TextEncoder));
        self.text.g = clip("text_encoder_2", AdaptedPart::TextEncoder2);
    }
}

/// All networks that the cases use.
struct Networks {
    base: Model,
    refiner: Model,
    inpaint: Unet,
    control: ControlNet,
}

fn check(part: &mut Part) {
    let networks = Networks {
        base: Model::open(&part.set.join("model")),
        refiner: Model::open(&part.set.join("refiner")),
        inpaint: load::unet(&part.set.join("inpaint_unet")),
        control: load::control(&part.set.join("controlnet/model")),
    };
    for case in part.cases() {
        Run::new(part, &networks, &case).run();
    }
}

/// One case.
struct Run<'a> {
    part: &'a mut Part,
    networks: &'a Networks,
    case: &'a Value,
    name: String,
    owner: String,
    config: SchedulerConfig,
    sampler: Sampler,
}

impl<'a> Run<'a> {
    fn new(part: &'a mut Part, networks: &'a Networks, case: &'a Value) -> Self {
        let (name, owner) = names(case);
        let base = part.description["base_scheduler_config"].clone();
        let config = scheduler(&case["scheduler"], &base);
        let steps = case["steps"].as_u64().expect("a case has steps") as usize;
        let sampler = config.sampler(steps);
        Self { part, networks, case, name, owner, config, sampler }
    }

    fn input<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.part.tensors.tensor(&format!("{}.{name}", self.owner))
    }

    /// An input of bytes as values in 0..1.
    fn picture(&self, name: &str) -> Tensor<4> {
        let name = format!("{}.{name}", self.owner);
        let shape: [usize; 4] = self.part.tensors.shape(&name).try_into().expect("a picture");
        tensor(self.part.tensors.u8s(&name).iter().map(|&byte| f32::from(byte) / 255.0).collect(), shape)
    }

    fn number(&self, key: &str, default: f64) -> f64 {
        self.case[key].as_f64().unwrap_or(default)
    }

    fn run(self) {
        let networks = self.networks;
        match self.case["kind"].as_str() {
            Some("text2img" | "controlnet") => self.text_to_image(),
            Some("ensemble") => self.ensemble(),
            Some("img2img") => {
                let model =
                    if self.case["refiner"].as_bool() == Some(true) { &networks.refiner } else { &networks.base };
                self.image_to_image(model);
            }
            Some("inpaint") => self.inpaint(),
            other => {
                let message = format!("{}: unknown kind {other:?}", self.name);
                self.part.fail(message);
            }
        }
    }

    /// The prompt and the negative prompt of the case, with the sizes of a picture.
    fn prompts(&self, model: &Model, [height, width]: [usize; 2]) -> [Prompted; 2] {
        let state = STATE_FROM_END + self.case["clip_skip"].as_u64().unwrap_or(0) as usize;
        let given = |prefix: &str| TextFeatures {
            context: self.input(&format!("{prefix}prompt_embeds")),
            pooled: self.input(&format!("{prefix}pooled_prompt_embeds")),
        };
        let [positive, negative] = if self.case["prompt"].is_null() {
            [given(""), given("negative_")]
        } else {
            // The library skips layers for the prompt only.
            let encode = |text: &str| model.text.encode(PromptRules::Plain, text, STATE_FROM_END);
            let text = self.case["prompt"].as_str().expect("a text");
            let positive = model.text.encode(PromptRules::Plain, text, state);
            let negative = match self.case["negative_prompt"].as_str() {
                Some(text) => encode(text),
                None if model.zeros_for_no_negative => positive.zeros(),
                None => encode(""),
            };
            [positive, negative]
        };
        let pair = |key: &str, default: [usize; 2]| {
            let given = self.case[key].as_array().map(|pair| pair.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
            given.unwrap_or_else(|| default.map(|value| value as f64).into()).into_iter().map(|value| value as f32)
        };
        let picture = [height, width];
        let common: Vec<f32> = pair("original_size", picture).chain(pair("crops_coords_top_left", [0, 0])).collect();
        let pooled_dim = positive.pooled.dims()[1];
        let has_score = model.unet.config().sizes(pooled_dim) == 5;
        let sizes = |score: usize| -> Vec<f32> {
            let last: Vec<f32> = if has_score {
                vec![self.case["aesthetic"][score].as_f64().expect("a refiner's case has scores") as f32]
            } else {
                pair("target_size", picture).collect()
            };
            [common.clone(), last].concat()
        };
        [Prompted { text: positive, sizes: sizes(0) }, Prompted { text: negative, sizes: sizes(1) }]
    }

    fn denoiser<'d>(&self, unet: &'d Unet, [positive, negative]: &[Prompted; 2], images: usize) -> Denoiser<'d> {
        let rescale = self.number("guidance_rescale", 0.0) as f32;
        let guidance = Guidance { rescale, ..Guidance::new(self.number("cfg", 1.0) as f32) };
        Denoiser::new(unet, images, positive, negative, guidance)
    }

    /// Walks steps and compares what the network gets, the times and the states. `prefix` is before their names.
    fn walk(
        &mut self,
        denoiser: &Denoiser<'_>,
        range: std::ops::Range<usize>,
        start: Tensor<4>,
        change: &dyn Fn(&Tensor<4>, usize) -> Option<Tensor<4>>,
        prefix: &str,
    ) -> Tensor<4> {
        let tolerance = self.part.tolerance("unet_input_text_embeds_encoder_hidden_states");
        let conditioning = denoiser.conditioning().clone();
        let name = |tensor: &str| format!("{prefix}{tensor}");
        let case = self.name.clone();
        let sizes: Vec<f32> = conditioning.sizes.concat();
        let shape = [conditioning.sizes.len(), conditioning.sizes[0].len()];
        self.part.compare("input", &case, &name("encoder_hidden_states"), conditioning.context, None, tolerance);
        self.part.compare("input", &case, &name("text_embeds"), conditioning.pooled, None, tolerance);
        self.part.compare("input", &case, &name("time_ids"), tensor::<2>(sizes, shape), None, tolerance);
        let (mut times, mut states, mut first) = (Vec::new(), Vec::new(), None);
        // A control network's share of the steps is one of the steps that are run.
        let (begin, count) = (range.start, range.len());
        let noises: Vec<Tensor<4>> =
            (0..self.case["draws"].as_u64().unwrap_or(0)).map(|i| self.input(&format!("noise.{i}"))).collect();
        let steps = self.sampler.steps.clone();
        let walk = self.sampler.run(
            range,
            start,
            &mut |x, time, index| {
                times.push(time as f32);
                first.get_or_insert_with(|| denoiser.input(x, &steps[index]));
                denoiser.evaluate(x, &steps[index], (index - begin, count))
            },
            &mut |index| noises[index].clone(),
            &mut |finished| {
                let changed = change(finished.state, finished.index + 1);
                states.push(changed.clone().unwrap_or_else(|| finished.state.clone()));
                ControlFlow::Continue(changed)
            },
        );
        let ControlFlow::Continue(latents) = walk else { unreachable!("nothing stops the walk") };
        self.part.compare("input", &case, &name("unet_input"), first.expect("there are steps"), None, tolerance);
        let expected = self.part.tensors.f32s(&format!("{case}.{}", name("timesteps")));
        if times.len() != expected.len() || times.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 2e-3) {
            self.part.fail(format!("{case}.{} are {times:?}, the reference {expected:?}", name("timesteps")));
        }
        let label = format!("{case}.{prefix}");
        let expected = self.part.tensors.tensor::<5>(&format!("{case}.{}", name("states")));
        let has_zero_snr = self.sampler.steps[0].from.ratio() > 1000.0;
        compare_states(self.part, &label, &states, &expected, if has_zero_snr { "states_zero_snr" } else { "states" });
        latents
    }

    /// Compares the latents, the decoder's output and the pixels.
    fn finish(&mut self, model: &Model, latents: Tensor<4>) {
        let (tolerance, decoded) = (self.part.tolerance("latents"), self.part.tolerance("sample"));
        let name = self.name.clone();
        let sample = model.vae.decode_raw(latents.clone(), &mut |_, _| ());
        self.part.compare("end", &name, "latents", latents, None, tolerance);
        self.part.compare("end", &name, "sample", sample.clone(), None, decoded);
        self.part.compare_u8("end", &name, "image_u8", &rounded(sample), "u8");
    }

    fn text_to_image(mut self) {
        let networks = self.networks;
        let noise = self.input::<4>("initial_noise");
        let [images, _, height, width] = noise.dims();
        let factor = networks.base.vae.config().factor();
        let mut own = None;
        let dir = self.part.set.join("model");
        if let Some(pair) = self.case["lora"].as_array() {
            let file = pair[0].as_str().expect("an adapter has a name");
            let path = self.part.set.join("lora").join(file);
            let strength = pair[1].as_f64().expect("a strength") as f32;
            own.get_or_insert_with(|| Model::open(&dir)).merge(&dir, &LoraChoice { path, strength });
        }
        if let Some(pair) = self.case["textual_inversion"].as_array() {
            let text = |i: usize| pair[i].as_str().expect("a text");
            let model = own.get_or_insert_with(|| Model::open(&dir));
            model.text.embeddings = embeddings(self.part, text(0), text(1), &model.text);
        }
        let model = own.as_ref().unwrap_or(&networks.base);
        let prompts = self.prompts(model, [height * factor, width * factor]);
        let mut denoiser = self.denoiser(&model.unet, &prompts, images);
        if self.case["kind"].as_str() == Some("controlnet") {
            denoiser = denoiser.with_controls(vec![Control {
                network: &networks.control,
                image: self.picture("control_u8"),
                scale: self.number("control_scale", 1.0),
                start: self.number("control_start", 0.0),
                end: self.number("control_end", 1.0),
                guess_mode: self.case["guess_mode"].as_bool() == Some(true),
            }]);
        }
        let start = noise.mul_scalar(self.config.initial_factor(&self.sampler));
        let steps = 0..self.sampler.steps.len();
        let latents = self.walk(&denoiser, steps, start, &|_, _| None, "");
        self.finish(model, latents);
    }

    fn ensemble(mut self) {
        let networks = self.networks;
        let (base, refiner) = (&networks.base, &networks.refiner);
        let noise = self.input::<4>("initial_noise");
        let [images, _, height, width] = noise.dims();
        let factor = base.vae.config().factor();
        let picture = [height * factor, width * factor];
        let split = self.config.split(&self.sampler, self.number("split", 1.0));
        let start = noise.mul_scalar(self.config.initial_factor(&self.sampler));
        let prompts = self.prompts(base, picture);
        let denoiser = self.denoiser(&base.unet, &prompts, images);
        let middle = self.walk(&denoiser, 0..split, start, &|_, _| None, "base.");
        let prompts = self.prompts(refiner, picture);
        let denoiser = self.denoiser(&refiner.unet, &prompts, images);
        let steps = split..self.sampler.steps.len();
        let latents = self.walk(&denoiser, steps, middle, &|_, _| None, "");
        self.finish(refiner, latents);
    }

    fn image_to_image(mut self, model: &Model) {
        let image = self.picture("init_image_u8").mul_scalar(2.0).sub_scalar(1.0);
        let [images, _, height, width] = image.dims();
        let latents = sampled_latents(&model.vae, image, self.input("noise.0")).expect("the encoder was loaded");
        let total = self.sampler.steps.len();
        let first = total - steps_to_run(total, self.number("strength", 1.0));
        let start = self.sampler.add_noise(&latents, &self.input("noise.1"), first);
        let prompts = self.prompts(model, [height, width]);
        let denoiser = self.denoiser(&model.unet, &prompts, images);
        let latents = self.walk(&denoiser, first..total, start, &|_, _| None, "");
        self.finish(model, latents);
    }

    fn inpaint(mut self) {
        let networks = self.networks;
        let model = &networks.base;
        let is_nine = self.case["nine"].as_bool() == Some(true);
        let image = self.picture("init_image_u8").mul_scalar(2.0).sub_scalar(1.0);
        let [images, _, height, width] = image.dims();
        let mask = Mask::new(self.picture("mask_u8"), model.vae.config().factor());
        let total = self.sampler.steps.len();
        let strength = self.number("strength", 1.0);
        let first = total - steps_to_run(total, strength);
        let prompts = self.prompts(model, [height, width]);
        let encode = |image: Tensor<4>, noise: Tensor<4>| {
            sampled_latents(&model.vae, image, noise).expect("the encoder was loaded")
        };
        if is_nine {
            let start = self.input::<4>("noise.0").mul_scalar(self.config.initial_factor(&self.sampler));
            let masked = encode(mask.hide(image), self.input("noise.1"));
            let masked = Tensor::cat(vec![mask.latents().repeat_dim(0, images), masked], 1);
            let denoiser = self.denoiser(&networks.inpaint, &prompts, images).with_masked(masked);
            let latents = self.walk(&denoiser, first..total, start, &|_, _| None, "");
            self.finish(model, latents);
            return;
        }
        let latents = encode(image, self.input("noise.0"));
        let noise = self.input::<4>("noise.1");
        let start = if strength == 1.0 {
            noise.clone().mul_scalar(self.config.initial_factor(&self.sampler))
        } else {
            self.sampler.add_noise(&latents, &noise, first)
        };
        let denoiser = self.denoiser(&model.unet, &prompts, images);
        let sampler = self.sampler.clone();
        let keep = |drawn: &Tensor<4>, next: usize| Some(mask.kept(&sampler, drawn, &latents, &noise, next));
        let end = self.walk(&denoiser, first..total, start, &keep, "");
        self.finish(model, end);
    }
}
