//! Times switching between two checkpoints on one GPU that are not on it together: from copies in host memory, and from
//! their files. Prints the bytes of their weights and the rate that each time implies, next to that of a plain copy from
//! page-locked memory, which is what the bus allows.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example switch_speed -- FOLDER_A FOLDER_B [ROUNDS] [cuda:N] [--fp8]
//! ```
//!
//! A switch is measured from the moment when one model is dropped until the other is open and the device is idle; models
//! are warmed up when they are first opened and not again, as the server does it. Files are read from the system's page
//! cache where it has them: run with cold caches (`echo 3 > /proc/sys/vm/drop_caches` as root) to time the disk.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use sakuga_model::cuda;
use sakuga_model::device;
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{DeviceChoice, ModelOptions, OpenModel, OpenOptions, Precision, WarmUp};

/// Bytes of the plain copy.
const COPY_BYTES: usize = 1 << 30;

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
    for (way, keeps_host_copy) in [("host memory", true), ("files", false)] {
        let mut open: Option<OpenModel> = Some(models[1].open(OpenOptions { keeps_host_copy, skips_warm_up: true })?);
        let mut seconds = [Vec::new(), Vec::new()];
        for round in 0..2 * rounds {
            let next = round % 2;
            let clock = Instant::now();
            drop(open.take());
            open = Some(models[next].open(OpenOptions { keeps_host_copy, skips_warm_up: true })?);
            device.device.sync().map_err(|error| error.to_string())?;
            seconds[next].push(clock.elapsed().as_secs_f64());
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
