//! Watches the device's memory over many pictures of mixed prompts, sizes and steps. After the warm-up it must not
//! change.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example flat_memory -- FOLDER [PICTURES [LARGEST_PX]] [--fp8]
//! ```
//!
//! If FOLDER has no checkpoint, one of the published size with random weights is written first. LARGEST_PX is the edge
//! of the largest picture, 1024 unless given; pictures are of that size or smaller, in eight shapes, each of which is
//! warmed up. They are drawn in two rounds, and the exit code is 1 if the memory changed in the second. With `--fp8`
//! the Next-DiT's products are in fp8.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::families::newbie::{LoadOptions, Pipeline, WarmUpSize};
use sakuga_model_core::{DeviceChoice, GenerationSpec, MemoryProbe, Outcome, Precision, Solver};

const MIB: f64 = (1 << 20) as f64;
/// Width and height in sixteenths of the largest edge.
const SHAPES: [(u32, u32); 8] = [(16, 16), (13, 16), (16, 13), (8, 16), (16, 8), (12, 12), (10, 15), (15, 10)];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) = std::env::args_os().skip(1).partition(|argument| argument == "--fp8");
    let precision = if flags.is_empty() { Precision::Bf16 } else { Precision::Fp8 };
    let mut arguments = arguments.into_iter();
    let folder = PathBuf::from(arguments.next().ok_or("name a folder for the checkpoint")?);
    let mut number = |default: u32| -> Result<u32, Box<dyn Error>> {
        match arguments.next() {
            Some(text) => Ok(text.to_str().ok_or("not a number")?.parse()?),
            None => Ok(default),
        }
    };
    let (pictures, largest_px) = (number(100)?, number(1024)?);
    if !folder.join("model_index.json").exists() {
        synthetic::write(&folder, &Preset::newbie(), 1)?;
    }
    let device = device::open(DeviceChoice::Cuda(0), Some(precision))?;
    let clock = Instant::now();
    let (pipeline, reports) = Pipeline::load(&folder, LoadOptions::new(device))?;
    for report in &reports {
        let (gigabytes, seconds) = (report.bytes as f64 / 1e9, report.duration.as_secs_f64());
        println!("{:<16} {gigabytes:6.2} GB in {seconds:5.2} s", report.component);
    }
    println!("loaded in {:.1} s", clock.elapsed().as_secs_f64());
    for path in pipeline.networks().compute_paths() {
        println!("{:<16} {} {}", path.network, path.implementation, path.reason);
    }
    let probe = pipeline.networks().memory_probe();
    tell("loaded", &probe)?;
    let clock = Instant::now();
    let sizes = SHAPES.map(|(width, height)| WarmUpSize {
        width_px: largest_px / 256 * 16 * width,
        height_px: largest_px / 256 * 16 * height,
        images: 1,
        every_length: true,
    });
    pipeline.warm_up(&sizes)?;
    println!("warmed up in {:.1} s", clock.elapsed().as_secs_f64());
    tell("warmed up", &probe)?;

    let mut moved_in_the_end = false;
    // The first round loads kernels of burn and of the libraries at their first use.
    for round in 0..2 {
        let moved = draw(&pipeline, &probe, round, pictures, largest_px)?;
        moved_in_the_end = moved > 0;
        println!(
            "round {}: over {pictures} pictures the device's memory moved by {:.1} MiB",
            round + 1,
            moved as f64 / MIB
        );
        tell("at its end", &probe)?;
    }
    Ok(if moved_in_the_end { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Draws pictures; returns by how many bytes the device's memory changed.
fn draw(
    pipeline: &Pipeline,
    probe: &MemoryProbe,
    round: u32,
    pictures: u32,
    largest_px: u32,
) -> Result<u64, Box<dyn Error>> {
    let before = used_bytes()?;
    let (mut low, mut high) = (before, before);
    let mut in_use = Vec::new();
    for picture in 0..pictures {
        let spec = spec(pipeline, round, picture, largest_px);
        let clock = Instant::now();
        let outcome = pipeline.generate(&spec, &mut |_| ControlFlow::Continue(()))?;
        let Outcome::Finished { images, .. } = outcome else { return Err("nobody stopped it".into()) };
        assert_eq!(images.len(), 1);
        let used = used_bytes()?;
        if used < low || used > high || picture % 20 == 0 {
            println!(
                "picture {picture}: {}x{}, {} steps of {}, {:.2} s, {:.1} MiB",
                spec.width_px,
                spec.height_px,
                spec.sampling.steps,
                spec.sampling.solver,
                clock.elapsed().as_secs_f64(),
                used as f64 / MIB
            );
        }
        (low, high) = (low.min(used), high.max(used));
        in_use.extend(probe().first().map(|pool| pool.used_bytes));
    }
    let (least, most) = (in_use.iter().min().unwrap_or(&0), in_use.iter().max().unwrap_or(&0));
    println!("tensors between pictures: {:.1} to {:.1} MiB", *least as f64 / MIB, *most as f64 / MIB);
    Ok(high - low)
}

/// One of many: another text, size, solver and number of steps each time.
fn spec(pipeline: &Pipeline, round: u32, picture: u32, largest_px: u32) -> GenerationSpec {
    let (width, height) = SHAPES[picture as usize % SHAPES.len()];
    let (width_px, height_px) = (largest_px / 256 * 16 * width, largest_px / 256 * 16 * height);
    let words = "blue_hair, ".repeat(1 + (picture as usize * 37) % 120);
    let text = format!("<general_tags>\n<style>{words}round_{round}</style>\n</general_tags>");
    let mut sampling = pipeline.info().sampling;
    sampling.steps = [4, 8, 12, 28][picture as usize % 4];
    sampling.guidance.until = if picture % 7 == 6 { 0.3 } else { 1.0 };
    if picture % 5 == 4 {
        sampling.solver = Solver::Midpoint;
    }
    GenerationSpec {
        system_prompt: pipeline.info().default_system_prompt.clone(),
        seed: u64::from(picture),
        ..GenerationSpec::new(text, width_px, height_px, sampling)
    }
}

fn tell(when: &str, probe: &MemoryProbe) -> Result<(), Box<dyn Error>> {
    print!("{when}: {:.1} MiB of the device", used_bytes()? as f64 / MIB);
    for pool in probe() {
        print!("; {} {:.1} of {:.1} MiB", pool.name, pool.used_bytes as f64 / MIB, pool.held_bytes as f64 / MIB);
    }
    println!();
    Ok(())
}

/// Device memory in use by all processes, from the driver.
fn used_bytes() -> Result<u64, Box<dyn Error>> {
    let (free, total) = cudarc::driver::result::mem_get_info()?;
    Ok((total - free) as u64)
}
