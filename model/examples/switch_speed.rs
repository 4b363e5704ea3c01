//! Times switching between two checkpoints on one GPU that are not on it together: from copies in host memory, and from
//! their files. Prints the bytes of their weights and the rate that each time implies, next to that of a plain copy from
//! page-locked memory, which is what the bus allows.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example switch_speed -- FOLDER_A FOLDER_B [ROUNDS] [cuda:N] [--fp8]
//! ```
//!
//! If a FOLDER has no checkpoint, one of the published size with random weights is written first. A switch is measured from
//! the moment when one model is dropped until the other is open and the device is idle; models are warmed up when they are
//! first opened and not again, as the server does it. Files are read from the system's page cache; as root, they are also read
//! with an empty one, from the disk.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use sakuga_model::cuda;
use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{DeviceChoice, ModelOptions, OpenModel, OpenOptions, Precision, WarmUp};

/// Bytes of the plain copy.
const COPY_BYTES: usize = 1 << 30;
/// Files that are read with an empty page cache.
const DISK: &str = "the disk";

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--fp8");
    let mut arguments = arguments.into_iter();
    let usage = "name two checkpoint folders";
    let folders = [arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?].map(PathBuf::from);
    let rounds: usize = arguments.next().map_or(Ok(5), |count| count.parse())?;
    let choice: DeviceChoice = arguments.next().map_or(Ok(DeviceChoice::Cuda(0)), |name| name.parse())?;
    let precision = (!flags.is_empty()).then_some(Precision::Fp8);
    let device = device::open(choice, precision)?;
    let gpu = cuda::open(&device.device).ok_or("this needs an NVIDIA GPU")??;
    let bus = cuda::host_copy_rate(&gpu, COPY_BYTES)?;
    println!("plain copy of {COPY_BYTES} bytes from page-locked memory: {:.2} GB/s", bus / 1e9);

    for (folder, seed) in folders.iter().zip(1..) {
        if !folder.join("model_index.json").exists() {
            let clock = Instant::now();
            synthetic::write(folder, &Preset::newbie(), seed)?;
            println!("wrote random weights of the published geometry in {:.1} s", clock.elapsed().as_secs_f64());
        }
    }
    let models = folders.map(|model| {
        ModelFiles::new(ModelOptions {
            device: choice,
            precision,
            model: Some(model),
            warm_up: WarmUp::Auto,
            pixels_max: 1024 * 1024,
            ..ModelOptions::default()
        })
    });
    let mut bytes = Vec::new();
    for files in &models {
        let described = files.describe()?;
        let clock = Instant::now();
        drop(files.open(OpenOptions { keeps_host_copy: true, skips_warm_up: false })?);
        println!(
            "{}: {} bytes of weights on the device, {} in host memory; first opened with its copy and the warm-up in {:.2} s",
            described.info.model.name,
            described.info.memory.fixed_bytes,
            files.host_copy_bytes(),
            clock.elapsed().as_secs_f64()
        );
        bytes.push(files.host_copy_bytes());
    }
    for (way, keeps_host_copy) in [("host memory", true), ("cached files", false), (DISK, false)] {
        if way == DISK && !empty_page_cache() {
            println!("the page cache cannot be emptied: reading from the disk is not timed");
            continue;
        }
        let mut open: Option<OpenModel> = Some(models[1].open(OpenOptions { keeps_host_copy, skips_warm_up: true })?);
        let mut seconds = [Vec::new(), Vec::new()];
        for round in 0..2 * rounds {
            let next = round % 2;
            if way == DISK {
                empty_page_cache();
            }
            let clock = Instant::now();
            drop(open.take());
            let dropped = clock.elapsed();
            let opened = models[next].open(OpenOptions { keeps_host_copy, skips_warm_up: true })?;
            device.device.sync().map_err(|error| error.to_string())?;
            seconds[next].push(clock.elapsed().as_secs_f64());
            if round < 2 {
                print!("to {} from {way}: dropped in {} ms", ["A", "B"][next], dropped.as_millis());
                opened
                    .info
                    .loading
                    .iter()
                    .for_each(|phase| print!(", {} {} ms", phase.name, phase.duration.as_millis()));
                println!();
            }
            open = Some(opened);
        }
        for (index, times) in seconds.iter_mut().enumerate() {
            times.sort_by(f64::total_cmp);
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            let rate = bytes[index] as f64 / median;
            println!(
                "to {} from {way}: median {median:.3} s, slowest {worst:.3} s of {}; {} bytes are {:.2} GB/s, {:.0} % of the plain copy",
                ["A", "B"][index],
                times.len(),
                bytes[index],
                rate / 1e9,
                100.0 * rate / bus
            );
        }
    }
    Ok(())
}

/// Drops the system's cache of files; only root can.
fn empty_page_cache() -> bool {
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
