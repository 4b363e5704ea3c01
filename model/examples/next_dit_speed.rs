//! Times the Next-DiT of a checkpoint on a GPU: loading, and one evaluation of both halves of guidance.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example next_dit_speed -- FOLDER [SIZE_PX [CAPTION_TOKENS]] \
//!     [--fp8]
//! ```
//!
//! If FOLDER has no checkpoint, one of the published size with random weights is written first. Evaluations are timed
//! with the device idle before and after; the median of 20 is printed. With `--fp8` products are in fp8.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Tensor;
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::device;
use sakuga_model::families::newbie::load_transformer;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::networks::next_dit::{Caption, NextDit};
use sakuga_model::sampler::noise;
use sakuga_model_core::{DeviceChoice, Precision};

const REPEATS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) = std::env::args_os().skip(1).partition(|argument| argument == "--fp8");
    let precision = if flags.is_empty() { Precision::Bf16 } else { Precision::Fp8 };
    let mut arguments = arguments.into_iter();
    let folder = PathBuf::from(arguments.next().ok_or("name a folder for the checkpoint")?);
    let mut number = |default: usize| -> Result<usize, Box<dyn std::error::Error>> {
        match arguments.next() {
            Some(text) => Ok(text.to_str().ok_or("not a number")?.parse()?),
            None => Ok(default),
        }
    };
    let (size_px, caption_tokens) = (number(1024)?, number(256)?);
    if !folder.join("model_index.json").exists() {
        let clock = Instant::now();
        synthetic::write(&folder, &Preset::newbie(), 1)?;
        println!("wrote random weights of the published geometry in {:.1} s", seconds(clock));
    }
    let open = device::open(DeviceChoice::Cuda(0), Some(precision))?;
    let device = open.device;
    for round in ["first", "second"] {
        let clock = Instant::now();
        let (mut network, report) =
            load_transformer(&ModelFolder::open(&folder)?, &device, device::dtype(precision), &[])?;
        device.sync()?;
        let (elapsed, gigabytes) = (seconds(clock), report.bytes as f64 / 1e9);
        println!("{round} load: {gigabytes:.2} GB in {elapsed:.2} s, {:.2} GB/s", gigabytes / elapsed);
        if precision == Precision::Fp8 {
            let clock = Instant::now();
            network = network.into_fp8()?;
            device.memory_cleanup();
            println!(
                "rounded to 8 bits in {:.2} s: {:.2} GB less",
                seconds(clock),
                network.fp8_bytes_saved() as f64 / 1e9
            );
        }
        if round == "second" {
            println!("fast path: {}", network.is_fast());
            for (rows, lengths) in [
                (1, vec![caption_tokens]),
                (2, vec![caption_tokens; 2]),
                (2, vec![caption_tokens, 30]),
                (4, vec![caption_tokens; 4]),
            ] {
                time(&network, &device, size_px, rows, &lengths)?;
            }
        }
    }
    Ok(())
}

fn time(
    network: &NextDit,
    device: &burn::tensor::Device,
    size_px: usize,
    rows: usize,
    lengths: &[usize],
) -> Result<(), Box<dyn std::error::Error>> {
    let config = network.config();
    let width = lengths.iter().copied().max().unwrap_or(0);
    let features = noise::batch(1, 0, rows, [1, width, config.cap_feat_dim], device);
    let caption = Caption { features: features.reshape([rows, width, config.cap_feat_dim]), lengths: lengths.to_vec() };
    let pooled = config.clip_text_dim.map(|dim| noise::batch(2, 0, rows, [1, 1, dim], device).reshape([rows, dim]));
    let edge = size_px / 8;
    let grid = [edge / config.patch_size; 2];
    let latents: Tensor<4> = noise::batch(3, 0, rows, [config.in_channels, edge, edge], device);
    device.sync()?;
    let clock = Instant::now();
    let conditioned = network.condition(&caption, pooled.clone(), &vec![grid; rows]);
    device.sync()?;
    let cold_condition = seconds(clock);
    let clock = Instant::now();
    let warm = network.condition(&caption, pooled, &vec![grid; rows]);
    device.sync()?;
    let warm_condition = seconds(clock);
    drop(warm);

    let mut whole = Vec::new();
    let mut queued = Vec::new();
    for repeat in 0..=REPEATS {
        device.sync()?;
        let clock = Instant::now();
        let velocity = network.velocity(&conditioned, latents.clone(), &vec![0.5; rows]);
        device.flush()?;
        let host = seconds(clock);
        device.sync()?;
        if repeat == 0 {
            println!("rows {rows}, captions {lengths:?}: first evaluation {:.0} ms", seconds(clock) * 1e3);
        } else {
            whole.push(seconds(clock) * 1e3);
            queued.push(host * 1e3);
        }
        if repeat == REPEATS {
            let values: Vec<f32> = velocity.try_into_vec_as()?;
            let finite = values.iter().all(|value| value.is_finite());
            let spread = (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            println!("  finite {finite}, root mean square {spread:.3}");
        }
    }
    profile(network, &conditioned, &latents, rows)?;
    whole.sort_by(f64::total_cmp);
    queued.sort_by(f64::total_cmp);
    println!(
        "  {size_px} px: median {:.2} ms ({:.2} to {:.2}), queued by the host in {:.2} ms; condition {:.1} ms first, {:.1} ms then",
        whole[REPEATS / 2],
        whole[0],
        whole[REPEATS - 1],
        queued[REPEATS / 2],
        cold_condition * 1e3,
        warm_condition * 1e3
    );
    Ok(())
}

/// Prints the time of one evaluation by operation.
fn profile(
    network: &NextDit,
    conditioned: &sakuga_model::networks::next_dit::Conditioned,
    latents: &Tensor<4>,
    rows: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let Some(gpu) = sakuga_model::cuda::of(&latents.device()) else { return Ok(()) };
    gpu.start_profile();
    let velocity = network.velocity(conditioned, latents.clone(), &vec![0.5; rows]);
    latents.device().sync()?;
    drop(velocity);
    for span in gpu.finish_profile()? {
        let seconds = span.ms / 1e3;
        let rate = if span.cost.flops > 0.0 {
            format!("{:.0} TFLOP/s", span.cost.flops / seconds / 1e12)
        } else if span.cost.bytes > 0.0 {
            format!("{:.0} GB/s", span.cost.bytes / seconds / 1e9)
        } else {
            String::new()
        };
        println!("    {:<24} {:>4} {:>8.3} ms  {rate}", span.name, span.count, span.ms);
    }
    Ok(())
}

fn seconds(clock: Instant) -> f64 {
    clock.elapsed().as_secs_f64()
}
