//! Times Stable Diffusion XL on a GPU: one evaluation of the U-Net for both halves of guidance with the floor of its
//! operations and bytes, residuals of a control network, the switch of an adapter, and whole pictures.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example unet_speed -- FOLDER [SIZE_PX [PICTURES [REFINER]]]
//! ```
//!
//! If FOLDER has no checkpoint, one of the published geometry with random weights is written first, and so for REFINER, a folder, with
//! which further pictures are drawn: 30 steps in all, the last ones by the refiner from 0.8 of the training times on. Evaluations are timed
//! with the device idle before and after; the median of 40 is printed. A picture has 30 steps of DPM++ 2M with Karras'
//! schedule and guidance 7, from the text to its pixels, on the implementations that the model is opened with.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sakuga_model::checkpoint::{SafetensorsFile, TensorReader, weight_files};
use sakuga_model::cuda::Gpu;
use sakuga_model::device;
use sakuga_model::families::sdxl::synthetic::{self, Geometry};
use sakuga_model::networks::unet2d::{
    Conditioned, Conditioning, ControlConfig, ControlNet, Residuals, Unet, UnetConfig,
};
use sakuga_model::open::ModelFiles;
use sakuga_model::sampler::noise;
use sakuga_model_core::{
    AdapterChoice, DeviceChoice, GenerationSpec, Guidance, ModelOptions, NoiseSchedule, OpenModel, OpenOptions,
    Outcome, Precision, ProfileSpan, Refiner, Sampling, Solver, Timings, WarmUp, sum_spans,
};

const REPEATS: usize = 40;
const STEPS: u32 = 30;
const PROMPT: &str = "1girl, solo, silver hair, red eyes, school uniform, cherry blossoms, wind, looking at viewer, \
    masterpiece, best quality";
const NEGATIVE: &str = "lowres, bad anatomy, worst quality, blurry";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder for the checkpoint")?);
    let size_px = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let pictures = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let refiner = arguments.next().map(PathBuf::from);
    let geometry = Geometry::published();
    if !folder.join("model_index.json").exists() {
        let clock = Instant::now();
        synthetic::write_geometry(&folder, &geometry, 1)?;
        println!("wrote random weights of the published geometry in {:.1} s", clock.elapsed().as_secs_f64());
    }
    let device = device::open(DeviceChoice::Cuda(0), Some(Precision::Bf16))?.device;
    let gpu = sakuga_model::cuda::open(&device).ok_or("not a GPU")??;
    println!("{}", gpu.versions());
    evaluations(&folder, &device, &gpu, size_px)?;
    control_network(&folder, &geometry, &device, size_px)?;
    draw(&folder, None, &gpu, size_px, pictures)?;
    let Some(refiner) = refiner else { return Ok(()) };
    if !refiner.join("model_index.json").exists() {
        synthetic::write_published_refiner(&refiner, 2)?;
    }
    println!("base model and refiner:");
    draw(&folder, Some(&refiner), &gpu, size_px, pictures)
}

fn load(folder: &Path, device: &Device) -> Result<Unet, Failure> {
    let dir = folder.join("unet");
    let config = UnetConfig::from_json(&serde_json::from_str(&std::fs::read_to_string(dir.join("config.json"))?)?)?;
    let weights = TensorReader::open("unet", &weight_files(&dir)?, device, device::dtype(Precision::Bf16))?;
    Unet::rename(&config, &weights);
    let network = Unet::load(&config, &weights);
    let report = weights.finish()?;
    println!("U-Net of {} parameters, {:.2} GB", report.parameters, report.bytes as f64 / 1e9);
    Ok(network)
}

/// Evaluations of both halves of guidance.
fn evaluations(folder: &Path, device: &Device, gpu: &Gpu, size_px: usize) -> Result<(), Failure> {
    let clock = Instant::now();
    let network = load(folder, device)?;
    device.sync()?;
    println!("loaded in {:.2} s", clock.elapsed().as_secs_f64());
    let clock = Instant::now();
    let is_fast = network.is_fast();
    println!("fast path: {is_fast}, prepared in {:.2} s", clock.elapsed().as_secs_f64());
    if !is_fast {
        return Err("the log says why the fast path is not taken".into());
    }
    let config = network.config().clone();
    let edge = size_px / 8;
    for (rows, has_control) in [(2, false), (2, true), (1, false)] {
        let context = noise::batch(1, 0, rows, [1, 77, config.cross_attention_dim], device);
        let context = context.reshape([rows, 77, config.cross_attention_dim]);
        let pooled_dim = config.added_features - 6 * config.size_features;
        let pooled = noise::batch(2, 0, rows, [1, 1, pooled_dim], device).reshape([rows, pooled_dim]);
        let sizes = vec![vec![size_px as f32, size_px as f32, 0.0, 0.0, size_px as f32, size_px as f32]; rows];
        let times: Vec<f32> = (0..STEPS).map(|step| 999.0 - 33.0 * step as f32).collect();
        let sample: Tensor<4> = noise::batch(3, 0, rows, [config.in_channels, edge, edge], device);
        let conditioning = Conditioning { context, pooled, sizes };
        let control = has_control.then(|| residuals(&config, device, rows, edge));
        let evaluate = |conditioned: &Conditioned, step: usize| {
            network.predict(sample.clone(), times[step], conditioned, control.as_ref())
        };
        let mut first = Vec::new();
        for _ in 0..3 {
            device.sync()?;
            let clock = Instant::now();
            let conditioned = network.condition(conditioning.clone(), &times);
            drop(evaluate(&conditioned, 0));
            device.sync()?;
            first.push(clock.elapsed().as_secs_f64() * 1e3);
        }
        let conditioned = network.condition(conditioning, &times);
        drop(evaluate(&conditioned, 0));
        let (mut whole, mut queued) = (Vec::new(), Vec::new());
        for repeat in 0..REPEATS {
            device.sync()?;
            let clock = Instant::now();
            let prediction = evaluate(&conditioned, repeat % STEPS as usize);
            device.flush()?;
            queued.push(clock.elapsed().as_secs_f64() * 1e3);
            device.sync()?;
            whole.push(clock.elapsed().as_secs_f64() * 1e3);
            if repeat == 0 {
                let values: Vec<f32> = prediction.try_into_vec_as()?;
                let spread = (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
                println!("  finite {}, root mean square {spread:.3}", values.iter().all(|value| value.is_finite()));
            }
        }
        whole.sort_by(f64::total_cmp);
        queued.sort_by(f64::total_cmp);
        println!(
            "rows {rows}, control {has_control}, {size_px} px: median {:.2} ms ({:.2} to {:.2}), queued by the host in {:.2} ms; the first \
             with keys, values and times of {STEPS} steps {:.1}, {:.1}, {:.1} ms",
            whole[REPEATS / 2],
            whole[0],
            whole[REPEATS - 1],
            queued[REPEATS / 2],
            first[0],
            first[1],
            first[2],
        );
        if let Some(fault) = gpu.take_fault() {
            return Err(fault.into());
        }
        if !has_control {
            profile(gpu, device, || drop(evaluate(&conditioned, 1)), whole[REPEATS / 2])?;
        }
    }
    Ok(())
}

/// The residuals of a control network of the published geometry, for both halves of guidance.
fn control_network(folder: &Path, geometry: &Geometry, device: &Device, size_px: usize) -> Result<(), Failure> {
    let dir = folder.join("controlnet");
    if !dir.join("config.json").exists() {
        synthetic::write_part(folder, "controlnet", &geometry.unet, 1)?;
    }
    let config = ControlConfig::from_json(&geometry.unet)?;
    let weights = TensorReader::open("controlnet", &weight_files(&dir)?, device, device::dtype(Precision::Bf16))?;
    let network = ControlNet::load(&config, &weights);
    let report = weights.finish()?;
    println!("control network of {} parameters, fast path: {}", report.parameters, network.is_fast());
    let (rows, edge, unet) = (2, size_px / 8, &config.unet);
    let context = noise::batch(1, 0, rows, [1, 77, unet.cross_attention_dim], device);
    let context = context.reshape([rows, 77, unet.cross_attention_dim]);
    let pooled_dim = unet.added_features - 6 * unet.size_features;
    let pooled = noise::batch(2, 0, rows, [1, 1, pooled_dim], device).reshape([rows, pooled_dim]);
    let conditioning = Conditioning { context, pooled, sizes: vec![vec![size_px as f32; 6]; rows] };
    let image = noise::batch(4, 0, 1, [3, size_px, size_px], device);
    let conditioned = network.condition(conditioning, image, &[500.0]);
    let sample: Tensor<4> = noise::batch(3, 0, rows, [unet.in_channels, edge, edge], device);
    let mut taken = Vec::new();
    for repeat in 0..=REPEATS / 2 {
        device.sync()?;
        let clock = Instant::now();
        let residuals = network.residuals(&sample, 500.0, &conditioned);
        device.sync()?;
        drop(residuals);
        if repeat > 0 {
            taken.push(clock.elapsed().as_secs_f64() * 1e3);
        }
    }
    taken.sort_by(f64::total_cmp);
    println!("residuals: median {:.2} ms ({:.2} to {:.2})", taken[taken.len() / 2], taken[0], taken[taken.len() - 1]);
    Ok(())
}

/// Residuals as a control network returns them.
fn residuals(config: &UnetConfig, device: &Device, rows: usize, edge: usize) -> Residuals {
    let mut edge = edge;
    let image = |channels: usize, edge: usize| {
        noise::batch(9, 0, rows, [channels, edge, edge], device).mul_scalar(0.1).cast(device::dtype(Precision::Bf16))
    };
    let mut skips = vec![image(config.levels[0].channels, edge)];
    for (index, level) in config.levels.iter().enumerate() {
        skips.extend((0..config.layers_per_block).map(|_| image(level.channels, edge)));
        if index + 1 < config.levels.len() {
            edge = edge.div_ceil(2);
            skips.push(image(level.channels, edge));
        }
    }
    let mid = image(config.levels[config.levels.len() - 1].channels, edge);
    Residuals { skips, mid }
}

/// Prints the time of some work by operation, and the floor of its operations and bytes.
fn profile(gpu: &Gpu, device: &Device, work: impl Fn(), median_ms: f64) -> Result<(), Failure> {
    device.sync()?;
    gpu.start_profile();
    work();
    device.sync()?;
    let spans = sum_spans(&gpu.finish_profile()?, |a: &ProfileSpan, b: &ProfileSpan| a.name == b.name);
    let mut spans = spans;
    spans.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    let (mut flops, mut bytes, mut total) = (0.0, 0.0, 0.0);
    for span in &spans {
        let seconds = span.ms / 1e3;
        let rate = if span.cost.flops > 0.0 {
            format!("{:.0} TFLOP/s", span.cost.flops / seconds / 1e12)
        } else {
            format!("{:.0} GB/s", span.cost.bytes / seconds / 1e9)
        };
        println!("    {:<28} {:>4} {:>8.3} ms  {rate}", span.name, span.count, span.ms);
        flops += span.cost.flops;
        bytes += span.cost.bytes;
        total += span.ms;
    }
    let peaks = gpu.measure_peaks()?.ok_or("no memory to measure the device's rates")?;
    let floor = [flops / peaks.flops_per_second, bytes / peaks.bytes_per_second].map(|seconds| seconds * 1e3);
    println!(
        "    sum {total:.2} ms; {:.2} TFLOP at {:.0} TFLOP/s take {:.2} ms, {:.2} GB between them at {:.0} GB/s take {:.2} ms: the median is \
         {:.2} times the first and {:.2} times both",
        flops / 1e12,
        peaks.flops_per_second / 1e12,
        floor[0],
        bytes / 1e9,
        peaks.bytes_per_second / 1e9,
        floor[1],
        median_ms / floor[0],
        median_ms / (floor[0] + floor[1]),
    );
    Ok(())
}

/// Whole pictures, and the memory that they take; without a refiner, also the switch of adapters.
fn draw(folder: &Path, refiner: Option<&Path>, gpu: &Gpu, size_px: usize, pictures: usize) -> Result<(), Failure> {
    let options = ModelOptions {
        device: DeviceChoice::Cuda(0),
        precision: Some(Precision::Bf16),
        model: Some(folder.to_owned()),
        refiner: refiner.map(Path::to_owned),
        warm_up: WarmUp::None,
        ..ModelOptions::default()
    };
    let clock = Instant::now();
    let mut model = ModelFiles::new(options).open(OpenOptions { keeps_host_copy: false, skips_warm_up: true })?;
    println!("opened in {:.2} s", clock.elapsed().as_secs_f64());
    for path in &model.info.compute_paths {
        println!("  {}: {} {}", path.network, path.implementation, path.reason);
    }
    let sampling = Sampling {
        steps: STEPS,
        solver: Solver::Dpm,
        schedule: NoiseSchedule::Karras,
        guidance: Guidance::new(7.0),
        ..model.info.model.sampling
    };
    let edge = size_px as u32;
    let mut all = Vec::new();
    for picture in 0..pictures {
        let spec = GenerationSpec {
            negative: NEGATIVE.to_owned(),
            seed: picture as u64,
            refiner: refiner.map(|_| Refiner::default()),
            ..GenerationSpec::new(PROMPT, edge, edge, sampling)
        };
        let clock = Instant::now();
        let outcome = model.model.generate(&spec, &mut |_| ControlFlow::Continue(()))?;
        let Outcome::Finished { timings, .. } = outcome else { return Err("nobody stopped it".into()) };
        let memory = gpu.memory_bytes().map_or(0, |(free, total)| total - free);
        println!(
            "  picture {picture}: {}, device memory {:.2} GiB",
            described(&timings, clock.elapsed()),
            memory as f64 / 1024_f64.powi(3)
        );
        if picture > 1 {
            all.push(clock.elapsed().as_secs_f64() * 1e3);
        }
    }
    all.sort_by(f64::total_cmp);
    if let Some(median) = all.get(all.len() / 2) {
        println!("{size_px} px, {STEPS} steps, guidance 7: median {median:.0} ms a picture");
    }
    if refiner.is_some() { Ok(()) } else { switches(folder, &mut model, edge) }
}

/// Pictures of one step with adapters of rank 32 in turns: the difference is what a switch takes.
fn switches(folder: &Path, model: &mut OpenModel, edge: u32) -> Result<(), Failure> {
    let inspector = model.adapters.clone().ok_or("this model takes adapters")?;
    let mut choices = Vec::new();
    for seed in [1, 2] {
        let path = folder.join(format!("rank32-{seed}.safetensors"));
        write_adapter(folder, &path, seed)?;
        let found = inspector.inspect(&path)?;
        println!("adapter for {} modules, {:.0} MB", found.modules, std::fs::metadata(&path)?.len() as f64 / 1e6);
        let (name, sha256) = (format!("rank32-{seed}"), found.sha256);
        choices.push(AdapterChoice { name, path, sha256, scale: 1.0, text_scale: 0.0, device_bytes: 0 });
    }
    let sampling = Sampling { steps: 1, ..model.info.model.sampling };
    let [a, b] = [0, 1].map(|index| vec![choices[index].clone()]);
    for (name, adapters) in [
        ("none", vec![]),
        ("a", a.clone()),
        ("a", a.clone()),
        ("b", b.clone()),
        ("a", a),
        ("b", b.clone()),
        ("b", b),
        ("none", vec![]),
    ] {
        let spec = GenerationSpec { adapters, ..GenerationSpec::new(PROMPT, edge, edge, sampling) };
        let clock = Instant::now();
        model.model.generate(&spec, &mut |_| ControlFlow::Continue(()))?;
        println!("  one step, adapter {name}: {:.0} ms", clock.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// An adapter of rank 32 under kohya's names for every matrix of the U-Net's transformers.
fn write_adapter(folder: &Path, to: &Path, seed: usize) -> Result<(), Failure> {
    const RANK: usize = 32;
    let file = SafetensorsFile::open(&folder.join("unet").join("diffusion_pytorch_model.safetensors"))?;
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, entry) in file.entries() {
        let (&[output, input], Some(module)) = (&entry.shape[..], name.strip_suffix(".weight")) else { continue };
        if !module.contains("attentions") {
            continue;
        }
        let key = format!("lora_unet_{}", module.replace('.', "_"));
        for (end, shape) in [("lora_down", vec![RANK, input]), ("lora_up", vec![output, RANK])] {
            let value = |place: usize| half::bf16::from_f32(0.01 * ((place * 7 + seed * 13) as f32 * 0.37).sin());
            let bytes = (0..shape.iter().product()).flat_map(|place| value(place).to_le_bytes()).collect();
            tensors.push((format!("{key}.{end}.weight"), shape, bytes));
        }
    }
    let views =
        tensors.iter().map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::BF16, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    std::fs::write(to, safetensors::serialize(views, None)?)?;
    Ok(())
}

fn described(timings: &Timings, whole: Duration) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut steps: Vec<f64> = timings.steps.iter().copied().map(ms).collect();
    steps.sort_by(f64::total_cmp);
    format!(
        "{:.0} ms: texts {:.1}, preparation {:.1}, step {:.2} (median; {:.2} to {:.2}), decoding {:.1}",
        ms(whole),
        ms(timings.text_encode),
        ms(timings.prepare),
        steps.get(steps.len() / 2).copied().unwrap_or(0.0),
        steps.first().copied().unwrap_or(0.0),
        steps.last().copied().unwrap_or(0.0),
        ms(timings.decode),
    )
}
