//! Times both text encoders of a checkpoint on a GPU: new texts, texts with a cached prefix, and cached texts.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example text_speed -- FOLDER
//! ```
//!
//! If FOLDER has no checkpoint, one of the published size with random weights is written first; the time does not
//! depend on the weights. A text is timed with the device idle before and after; the median of 20 is printed.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::networks::gemma3::{Gemma3, Gemma3Config};
use sakuga_model::networks::jina_clip::{JinaClip, JinaClipConfig};
use sakuga_model::tokens::TokenBatch;
use sakuga_model_core::{DeviceChoice, Precision};

const REPEATS: usize = 20;
const LENGTHS: [usize; 2] = [64, 544];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("name a folder for the checkpoint")?);
    if !folder.join("model_index.json").exists() {
        let clock = Instant::now();
        synthetic::write(&folder, &Preset::newbie(), 1)?;
        println!("wrote random weights of the published geometry in {:.1} s", clock.elapsed().as_secs_f64());
    }
    let folder = ModelFolder::open(&folder)?;
    let device = device::open(DeviceChoice::Cuda(0), Some(Precision::Bf16))?.device;
    let dtype = device::dtype(Precision::Bf16);

    let clock = Instant::now();
    let part = folder.component("text_encoder")?;
    let weights = part.reader(&device, dtype)?;
    let gemma = Gemma3::load(&part.parse(Gemma3Config::from_json)?, &weights);
    let bytes = weights.finish()?.bytes;
    device.sync()?;
    let seconds = clock.elapsed().as_secs_f64();
    println!("Gemma 3: {:.2} GB loaded in {seconds:.2} s, fast path: {}", bytes as f64 / 1e9, gemma.is_fast());

    let clock = Instant::now();
    let part = folder.component("clip_model")?;
    let weights = part.reader(&device, dtype)?;
    let jina = JinaClip::load(&part.parse(JinaClipConfig::from_json)?, &weights);
    let bytes = weights.finish()?.bytes;
    device.sync()?;
    let seconds = clock.elapsed().as_secs_f64();
    println!("Jina CLIP: {:.2} GB loaded in {seconds:.2} s, fast path: {}", bytes as f64 / 1e9, jina.is_fast());

    for length in LENGTHS {
        let read = |texts: &[Vec<u32>]| -> Result<(), Failure> {
            gemma.hidden_states(&TokenBatch::padded(texts, 0, 8)?)?;
            Ok(())
        };
        let forget = || gemma.forget_texts();
        let name = format!("Gemma 3, {length} tokens");
        report(&format!("{name}, cold"), &device, forget, |_| read(&[text(length, 0)]))?;
        report(&format!("{name} and a text of one, cold"), &device, forget, |_| read(&[text(length, 0), vec![2]]))?;
        report(&format!("{name}, another last token"), &device, || (), |repeat| read(&[text(length, 1 + repeat)]))?;
        report(&format!("{name}, cached"), &device, || (), |_| read(&[text(length, 1)]))?;
        report(&format!("{name} and a text of one, cached"), &device, || (), |_| read(&[text(length, 1), vec![2]]))?;

        let pool = |texts: &[Vec<u32>]| -> Result<(), Failure> {
            jina.pooled(&TokenBatch::padded(texts, 1, 1)?)?;
            Ok(())
        };
        let forget = || jina.forget_texts();
        let name = format!("Jina CLIP, {length} tokens");
        report(&format!("{name}, cold"), &device, forget, |_| pool(&[text(length, 0)]))?;
        report(&format!("{name}, cached"), &device, || (), |_| pool(&[text(length, 0)]))?;
    }
    println!("Gemma 3: {:?}", gemma.text_counts());
    println!("Jina CLIP: {:?}", jina.text_counts());
    #[cfg(feature = "cuda")]
    if let Some(fault) = sakuga_model::cuda::of(&device).and_then(|gpu| gpu.take_fault()) {
        return Err(format!("the figures are worthless: {fault}").into());
    }
    Ok(())
}

/// A text whose last token depends on `last`.
fn text(length: usize, last: usize) -> Vec<u32> {
    (0..length).map(|i| if i + 1 == length { 10 + last as u32 } else { (i as u32 * 7919) % 200_000 + 1000 }).collect()
}

/// Prints median, minimum and maximum of the time of `work`, after two warm-up rounds.
fn report(
    what: &str,
    device: &Device,
    prepare: impl Fn(),
    work: impl Fn(usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut times = Vec::new();
    for repeat in 0..REPEATS + 2 {
        prepare();
        device.sync()?;
        let clock = Instant::now();
        work(repeat)?;
        device.sync()?;
        times.push(clock.elapsed().as_secs_f64() * 1e3);
    }
    let mut times = times.split_off(2);
    times.sort_by(f64::total_cmp);
    println!("{what}: {:.2} ms ({:.2} to {:.2})", times[REPEATS / 2], times[0], times[REPEATS - 1]);
    Ok(())
}
