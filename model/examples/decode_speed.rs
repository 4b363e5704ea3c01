//! Times the decoder of the published geometry on a GPU: whole images, and each of its convolutions and kernels.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example decode_speed -- [SIZE_PX [FOLDER]]
//! ```
//!
//! If FOLDER has no checkpoint, one with an autoencoder of the published size and random weights is written first;
//! without FOLDER it is temporary. Decodings are timed with the device idle before and after.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor};
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::cuda::convolution::{Operands, Shape};
use sakuga_model::cuda::gpu::Gpu;
use sakuga_model::cuda::image_kernels::{Image, Terms};
use sakuga_model::cuda::session::{Layout, Session};
use sakuga_model::cuda::{self, CudaError};
use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use sakuga_model::sampler::noise;
use sakuga_model_core::{DeviceChoice, Precision};

type Failure = Box<dyn std::error::Error>;

/// Timed images, of which the median is printed.
const REPEATS: usize = 20;
/// Repetitions of a part between two readings of the clock.
const PART_REPEATS: usize = 10;
const GIB: f64 = (1_u64 << 30) as f64;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let size_px: usize = match arguments.next() {
        Some(text) => text.to_str().ok_or("the size is not a number")?.parse()?,
        None => 1024,
    };
    let given = arguments.next().map(PathBuf::from);
    let temporary = std::env::temp_dir().join(format!("sakuga-decode-speed-{}", std::process::id()));
    let folder = given.clone().unwrap_or_else(|| temporary.clone());
    if !folder.join("model_index.json").exists() {
        synthetic::write(&folder, &Preset { vae: Preset::newbie().vae, ..Preset::tiny() }, 1)?;
    }
    let outcome = measure(&folder, size_px);
    if given.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    outcome
}

fn measure(folder: &Path, size_px: usize) -> Result<(), Failure> {
    let device = device::open(DeviceChoice::Cuda(0), Some(Precision::Bf16))?.device;
    let clock = Instant::now();
    let vae = load(folder, &device)?;
    device.sync()?;
    println!("loaded in {:.2} s; fast path: {}", clock.elapsed().as_secs_f64(), vae.is_fast());
    let Some(gpu) = cuda::of(&device) else { return Err("there is no fast path here".into()) };
    println!("cuDNN {}, cuBLASLt {}", gpu.versions().cudnn, gpu.versions().cublaslt);
    whole(&vae, &device, &gpu, size_px)?;
    parts(&gpu, size_px)
}

fn load(folder: &Path, device: &Device) -> Result<AutoencoderKl, Failure> {
    let part = ModelFolder::open(folder)?.component("vae")?;
    let weights = part.reader(device, DType::BF16)?;
    let vae = AutoencoderKl::load_decoder(&part.parse(AutoencoderKlConfig::from_json)?, &weights);
    weights.finish()?;
    Ok(vae)
}

fn whole(vae: &AutoencoderKl, device: &Device, gpu: &Arc<Gpu>, size_px: usize) -> Result<(), Failure> {
    let edge = size_px / vae.config().factor();
    let latents: Tensor<4> = noise::batch(1, 0, 1, [vae.config().latent_channels, edge, edge], device);
    let mut first: Option<Vec<f32>> = None;
    let (mut ready, mut queued) = (Vec::new(), Vec::new());
    for repeat in 0..=REPEATS {
        idle(device, gpu)?;
        let clock = Instant::now();
        let image = vae.decode(latents.clone());
        device.flush()?;
        let host = milliseconds(clock);
        idle(device, gpu)?;
        let elapsed = milliseconds(clock);
        if let Some(fault) = gpu.take_fault() {
            return Err(fault.into());
        }
        if repeat == 0 {
            println!("{size_px}x{size_px}: the first decoding took {elapsed:.0} ms");
        } else {
            ready.push(elapsed);
            queued.push(host);
        }
        let values: Vec<f32> = image.try_into_vec_as()?;
        match &first {
            Some(first) if *first != values => return Err("the same latents gave another image".into()),
            Some(_) => {}
            None => {
                let mean = values.iter().sum::<f32>() / values.len() as f32;
                let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
                let finite = values.iter().all(|value| value.is_finite());
                println!("finite {finite}, mean {mean:.3}, spread {:.3}", spread.sqrt());
                first = Some(values);
            }
        }
    }
    ready.sort_by(f64::total_cmp);
    queued.sort_by(f64::total_cmp);
    println!(
        "decode: median {:.2} ms ({:.2} to {:.2}), queued by the host in {:.2} ms; scratch memory {:.2} GiB",
        ready[REPEATS / 2],
        ready[0],
        ready[REPEATS - 1],
        queued[REPEATS / 2],
        gpu.scratch_bytes() as f64 / GIB
    );
    Ok(())
}

/// Each shape of convolution and the kernels at each size, with how often a decoding has them.
fn parts(gpu: &Arc<Gpu>, size_px: usize) -> Result<(), Failure> {
    let image =
        |divisor: usize, channels: usize| Image { height: size_px / divisor, width: size_px / divisor, channels };
    println!("convolutions:");
    let mut sum_ms = 0.0;
    for (count, divisor, input, output) in [
        (1, 8, 16, 512),
        (10, 8, 512, 512),
        (7, 4, 512, 512),
        (1, 2, 512, 512),
        (1, 2, 512, 256),
        (5, 2, 256, 256),
        (1, 1, 256, 256),
        (1, 1, 256, 128),
        (5, 1, 128, 128),
    ] {
        let at = image(divisor, output);
        let input_size = [at.height, at.width];
        let shape = Shape { batch: 1, input_size, input, output, kernel: 3, stride: 1, padding: 1 };
        let [x, y] = [at.with_channels(input), at].map(|image| image.elements() * 2);
        let elapsed = timed(gpu, &[x, y, input * output * 9 * 2], |session, places| {
            let operands = Operands { x: places[0], filter: places[2], y: places[1] };
            session.convolutions.run(session.stream, &shape, operands)
        })?;
        sum_ms += elapsed * f64::from(count);
        let rate = shape.flops() as f64 / elapsed / 1e9;
        println!("  {count:2} x {input} to {output} at {0}x{0}: {elapsed:.3} ms, {rate:.0} TFLOP/s", at.height);
    }
    println!("  all: {sum_ms:.2} ms");

    println!("kernels:");
    for (divisor, channels) in [(8, 512), (4, 512), (2, 256), (1, 128)] {
        let at = image(divisor, channels);
        let bytes = at.elements() * 2;
        let sizes = [bytes, bytes, at.partials_bytes(), channels * 8];
        let rate = |elapsed: f64, images: usize| (images * bytes) as f64 / elapsed / 1e9;
        let sums = timed(gpu, &sizes, |session, places| {
            let terms = Terms { x: places[0], ..Terms::default() };
            session.image_kernels.merge(session.stream, (at, 1), terms, 0, places[2])
        })?;
        let merged = timed(gpu, &sizes, |session, places| {
            let terms = Terms { x: places[0], residual: places[1], ..Terms::default() };
            session.image_kernels.merge(session.stream, (at, 1), terms, places[1], places[2])
        })?;
        let normed = timed(gpu, &sizes, |session, places| {
            session.image_kernels.scale_shift(session.stream, (at, 1), places[0], None, places[3], places[1], true)
        })?;
        println!(
            "  {channels} at {0}x{0}: sums {sums:.3} ms ({1:.2} TB/s), sum of two {merged:.3} ms ({2:.2} TB/s), norm and \
            SiLU {normed:.3} ms ({3:.2} TB/s)",
            at.height,
            rate(sums, 1),
            rate(merged, 3),
            rate(normed, 2)
        );
    }
    Ok(())
}

/// Mean time of queued repetitions in milliseconds, in buffers of these sizes with the contents of a decoding.
fn timed(
    gpu: &Arc<Gpu>,
    sizes: &[usize],
    queue: impl Fn(&mut Session<'_>, &[u64]) -> Result<(), CudaError>,
) -> Result<f64, Failure> {
    let mut layout = Layout::default();
    let places: Vec<_> = sizes.iter().map(|&bytes| layout.bytes(bytes)).collect();
    let repeat = |count: usize| -> Result<f64, Failure> {
        let clock = gpu.run(|session| {
            let base = session.scratch(&layout)?;
            let places: Vec<u64> = places.iter().map(|place| place.in_scratch(base)).collect();
            let clock = Instant::now();
            (0..count).try_for_each(|_| queue(session, &places))?;
            Ok(clock)
        })?;
        synchronize(gpu)?;
        Ok(milliseconds(clock))
    };
    // The first one creates plans and warms up.
    repeat(PART_REPEATS)?;
    Ok(repeat(PART_REPEATS)? / PART_REPEATS as f64)
}

/// Waits until burn has submitted all work and the device has finished it.
fn idle(device: &Device, gpu: &Arc<Gpu>) -> Result<(), Failure> {
    device.sync()?;
    synchronize(gpu)
}

fn synchronize(gpu: &Arc<Gpu>) -> Result<(), Failure> {
    let stream = gpu.run(|session| Ok(session.stream))?;
    // SAFETY: the stream is never destroyed, and `run` has made its context current on this thread.
    unsafe { cudarc::driver::result::stream::synchronize(stream) }.map_err(|error| error.to_string().into())
}

fn milliseconds(clock: Instant) -> f64 {
    clock.elapsed().as_secs_f64() * 1e3
}
