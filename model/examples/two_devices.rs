//! Draws pictures on one device and on two, which compute one half of guidance each, compares their bits, and times both in turn.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example two_devices -- FOLDER [DEVICE,DEVICE [PICTURES]] [--fp8] [--steps=N]
//! ```
//!
//! DEVICE,DEVICE is `cuda:0,cuda:1` unless given; `cpu,cpu` works everywhere. Where FOLDER has no checkpoint, one of random weights
//! of the published size is written there first, with `--small` a tiny one; the time does not depend on the weights. Prints medians,
//! and ends with an error if a bit differs.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{
    AssistingLink, DeviceChoice, EngineError, GenerationSpec, ModelOptions, OpenModel, OpenOptions, Outcome, Precision,
    Rgb8, Sampling, Timings, WarmUp, link,
};

const PROMPT: &str = "<character_1>\n<n>$character_1$</n>\n<gender>1girl</gender>\n<appearance>blue_hair, long_hair, \
    red_eyes</appearance>\n<position>center_left</position>\n</character_1>\n\n<general_tags>\n<count>1girl</count>\n\
    <background>outdoors</background>\n</general_tags>";

/// What one picture took.
struct Drawn {
    images: Vec<Rgb8>,
    timings: Timings,
    /// From the call to the pixels.
    wall: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut arguments = arguments.into_iter();
    let folder = PathBuf::from(arguments.next().ok_or("name a folder")?);
    let devices = arguments.next().unwrap_or_else(|| "cuda:0,cuda:1".into());
    let devices = devices.split(',').map(str::parse).collect::<Result<Vec<DeviceChoice>, _>>()?;
    let [one, two] = devices[..] else { return Err("name two devices".into()) };
    let pictures: u64 = arguments.next().map_or(Ok(5), |count| count.parse())?;
    let precision = flags.iter().any(|flag| flag == "--fp8").then_some(Precision::Fp8);
    let steps = flags.iter().find_map(|flag| flag.strip_prefix("--steps=")).map(str::parse).transpose()?;
    if !folder.join("model_index.json").exists() {
        let preset = if flags.iter().any(|flag| flag == "--small") { Preset::tiny() } else { Preset::newbie() };
        synthetic::write(&folder, &preset, 1)?;
    }
    let mut first = open(&folder, one, precision)?;
    let second = Second::open(folder, two, precision)?;
    let info = &first.info;
    println!("{} in {} on {one} and {two}", info.model.name, info.precision);
    let size_px = info.model.default_size_px;
    let sampling = Sampling { steps: steps.unwrap_or(info.model.sampling.steps), ..info.model.sampling };
    let spec = GenerationSpec {
        system_prompt: info.model.default_system_prompt.clone(),
        ..GenerationSpec::new(PROMPT, size_px, size_px, sampling)
    };
    println!("{size_px}x{size_px}, {} steps, guidance {}", sampling.steps, sampling.guidance.scale);

    let (mut alone, mut shared) = (Vec::new(), Vec::new());
    let mut differing = 0;
    for seed in 0..=pictures {
        let spec = GenerationSpec { seed, ..spec.clone() };
        // Each goes first every other time.
        let (a, b) = if seed % 2 == 0 {
            let a = draw(&mut first, None, &spec)?;
            (a, draw(&mut first, Some(&second), &spec)?)
        } else {
            let b = draw(&mut first, Some(&second), &spec)?;
            (draw(&mut first, None, &spec)?, b)
        };
        let values = a.images.iter().zip(&b.images).flat_map(|(a, b)| a.pixels.iter().zip(&b.pixels));
        let farthest = values.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        let is_equal = a.images == b.images;
        differing += u32::from(!is_equal);
        println!(
            "seed {seed}: {}, denoising {:.1} and {:.1} ms, picture {:.1} and {:.1} ms",
            if is_equal { "equal bits".to_owned() } else { format!("bits DIFFER by up to {farthest} levels") },
            ms(a.timings.denoise()),
            ms(b.timings.denoise()),
            ms(a.wall),
            ms(b.wall)
        );
        // The first pair chooses kernels and allocates memory.
        if seed > 0 {
            alone.push(a);
            shared.push(b);
        }
    }
    let report = |name: &str, of: &dyn Fn(&Drawn) -> f64| {
        let [one, two] = [&alone, &shared].map(|drawn| median(drawn.iter().map(of).collect()));
        println!("{name}: {one:.2} ms on one device, {two:.2} ms on two, {:.3} x (medians of {pictures})", one / two);
    };
    report("a step", &|drawn| median(drawn.timings.steps.iter().copied().map(ms).collect()));
    report("denoising", &|drawn| ms(drawn.timings.denoise()));
    report("texts", &|drawn| ms(drawn.timings.text_encode));
    report("decoding", &|drawn| ms(drawn.timings.decode));
    report("picture without its file", &|drawn| ms(drawn.wall));
    if differing > 0 {
        return Err(format!("{differing} of {} pictures differ", pictures + 1).into());
    }
    println!("all pictures have the same bits");
    Ok(())
}

fn open(folder: &Path, device: DeviceChoice, precision: Option<Precision>) -> Result<OpenModel, Box<dyn Error>> {
    let options = ModelOptions {
        device,
        precision,
        model: Some(folder.to_owned()),
        warm_up: WarmUp::None,
        ..ModelOptions::default()
    };
    Ok(ModelFiles::new(options).open(OpenOptions::default())?)
}

/// The second device: a thread that opens the model and assists, as in a server.
struct Second {
    jobs: Sender<(GenerationSpec, AssistingLink)>,
    results: Receiver<Result<(), EngineError>>,
}

impl Second {
    fn open(folder: PathBuf, device: DeviceChoice, precision: Option<Precision>) -> Result<Self, Box<dyn Error>> {
        let (jobs, to_do) = mpsc::channel::<(GenerationSpec, AssistingLink)>();
        let (done, results) = mpsc::channel();
        thread::spawn(move || {
            let mut open = match open(&folder, device, precision) {
                Ok(open) => open,
                Err(error) => {
                    let _ = done.send(Err(EngineError::Model(error.to_string())));
                    return;
                }
            };
            let mut last = done.send(Ok(()));
            while last.is_ok()
                && let Ok((spec, mut link)) = to_do.recv()
            {
                last = done.send(open.model.assist(&spec, &mut link));
            }
        });
        let second = Self { jobs, results };
        second.wait()?;
        Ok(second)
    }

    /// Waits until it is open, or until its part in a picture has ended.
    fn wait(&self) -> Result<(), Box<dyn Error>> {
        self.results.recv().map_err(|_| "the assisting device has ended")??;
        Ok(())
    }
}

/// Draws a picture, with the help of `second` if there is one.
fn draw(first: &mut OpenModel, second: Option<&Second>, spec: &GenerationSpec) -> Result<Drawn, Box<dyn Error>> {
    let observer = &mut |_: sakuga_model_core::Progress<'_>| ControlFlow::Continue(());
    let begun = Instant::now();
    let outcome = match second {
        None => first.model.generate(spec, observer)?,
        Some(second) => {
            let (lead, assisting) = link();
            second.jobs.send((spec.clone(), assisting)).map_err(|_| "the assisting device has ended")?;
            let outcome = first.model.generate_with(spec, &lead, observer)?;
            drop(lead);
            second.wait()?;
            outcome
        }
    };
    let wall = begun.elapsed();
    match outcome {
        Outcome::Finished { images, timings, .. } => Ok(Drawn { images, timings, wall }),
        Outcome::Stopped { .. } => Err("nobody stopped it".into()),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
