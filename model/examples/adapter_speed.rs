//! Times adapters of requests on one GPU: a switch to an adapter, from one to another and back to none, and steps with and
//! without an adapter, in bf16 and in fp8.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example adapter_speed -- FOLDER [ROUNDS [RANK]] [cuda:N] [--host-copy]
//! ```
//!
//! If FOLDER has no checkpoint, one of the published size with random weights is written first, and two adapters of random
//! numbers for every linear layer of all joint blocks are written next to it. A switch is measured from the report of its stage
//! until the weights are changed and the device is idle. The first switch to an adapter also reads its file, and in fp8 the
//! originals of the weights from the checkpoint, or with `--host-copy` from their copy in page-locked memory; it is
//! printed apart.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sakuga_model::families::newbie::synthetic::{self, AdapterPreset, Preset, write_adapter};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{
    AdapterChoice, AdapterInspector, DeviceChoice, GenerationSpec, ModelOptions, OpenModel, OpenOptions, Outcome,
    Precision, Progress, Rgb8, Sampling, Stage, WarmUp,
};

/// Steps of each picture.
const STEPS: u32 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--host-copy");
    let mut arguments = arguments.into_iter();
    let folder = PathBuf::from(arguments.next().ok_or("name a checkpoint folder")?);
    let rounds: usize = arguments.next().map_or(Ok(5), |count| count.parse())?;
    let rank: usize = arguments.next().map_or(Ok(32), |rank| rank.parse())?;
    let device: DeviceChoice = arguments.next().map_or(Ok(DeviceChoice::Cuda(0)), |name| name.parse())?;
    let preset = Preset::newbie();
    if !folder.join("model_index.json").exists() {
        let clock = Instant::now();
        synthetic::write(&folder, &preset, 1)?;
        println!("wrote random weights of the published geometry in {:.1} s", clock.elapsed().as_secs_f64());
    }
    let adapters = folder.with_extension("adapters");
    let files = ["a", "b"].map(|name| adapters.join(format!("rank{rank}-{name}.safetensors")));
    for (seed, file) in (1..).zip(&files) {
        if !file.exists() {
            write_adapter(file, &preset, &AdapterPreset::new(rank), seed)?;
        }
    }
    for precision in [Precision::Bf16, Precision::Fp8] {
        let options = ModelOptions {
            device,
            precision: Some(precision),
            model: Some(folder.clone()),
            warm_up: WarmUp::Sizes(vec![(1024, 1024)]),
            pixels_max: 1024 * 1024,
            ..ModelOptions::default()
        };
        let how = OpenOptions { keeps_host_copy: !flags.is_empty(), skips_warm_up: false };
        measure(&mut ModelFiles::new(options).open(how)?, precision, &files, rounds)?;
    }
    Ok(())
}

/// One picture: how long its switch took, if there was one, its steps, and its pixels.
struct Drawn {
    switch: Option<Duration>,
    steps: Vec<Duration>,
    images: Vec<Rgb8>,
}

fn draw(open: &mut OpenModel, adapters: &[AdapterChoice]) -> Result<Drawn, Box<dyn Error>> {
    let sampling = Sampling { steps: STEPS, ..open.info.model.sampling };
    let spec = GenerationSpec {
        adapters: adapters.to_vec(),
        ..GenerationSpec::new("1girl, blue_hair, long_hair, red_eyes, outdoors", 1024, 1024, sampling)
    };
    let (mut begun, mut switch) = (None, None);
    let outcome = open.model.generate(&spec, &mut |progress| {
        match progress {
            Progress::Stage(Stage::LoadAdapters) => begun = Some(Instant::now()),
            Progress::Stage(Stage::TextEncode) => switch = begun.map(|begun| begun.elapsed()),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    match outcome {
        Outcome::Finished { images, timings, .. } => Ok(Drawn { switch, steps: timings.steps, images }),
        Outcome::Stopped { .. } => Err("nobody stopped it".into()),
    }
}

fn measure(
    open: &mut OpenModel,
    precision: Precision,
    files: &[PathBuf; 2],
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let inspector = open.adapters.clone().ok_or("this family takes no adapters")?;
    let [a, b] = [choice(inspector.as_ref(), &files[0])?, choice(inspector.as_ref(), &files[1])?];
    let held = |open: &OpenModel| (open.memory)().iter().map(|pool| pool.held_bytes).sum::<u64>();
    let before = draw(open, &[])?.images;
    let memory_before = held(open);
    let first = [draw(open, std::slice::from_ref(&a))?, draw(open, std::slice::from_ref(&b))?];
    let memory_with = held(open);
    let first: Vec<String> = first.iter().map(|drawn| format!("{:.0} ms", milliseconds(drawn.switch))).collect();
    println!("{precision}: first switches, with their files: {}", first.join(", "));
    println!("{precision}: device memory held: {memory_before} bytes, with an adapter {memory_with}");

    let mut switches: [Vec<f64>; 3] = Default::default();
    let mut steps: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        for (kind, adapters) in [(2, vec![]), (0, vec![a.clone()]), (1, vec![b.clone()])] {
            let drawn = draw(open, &adapters)?;
            switches[kind].push(milliseconds(drawn.switch));
            let times = drawn.steps.iter().skip(1).map(|step| milliseconds(Some(*step)));
            steps[usize::from(!adapters.is_empty())].extend(times);
        }
    }
    for (name, times) in
        ["from none to an adapter", "from one adapter to another", "back to none"].iter().zip(&mut switches)
    {
        println!(
            "{precision}: switch {name}: median {:.1} ms, slowest {:.1} ms of {}",
            median(times),
            slowest(times),
            times.len()
        );
    }
    let [without, with] = &mut steps;
    let (without, with) = (median(without), median(with));
    println!(
        "{precision}: step {without:.2} ms without adapters, {with:.2} ms with (medians): {:+.1} %",
        100.0 * (with / without - 1.0)
    );
    let after = draw(open, &[])?.images;
    println!(
        "{precision}: a picture without adapters has the same bits after {} switches: {}",
        3 * rounds + 3,
        after == before
    );
    Ok(())
}

fn choice(inspector: &dyn AdapterInspector, path: &Path) -> Result<AdapterChoice, Box<dyn Error>> {
    let found = inspector.inspect(path)?;
    if let Some(problem) = found.problems_at(1.0).first() {
        return Err(format!("{}: {problem}", path.display()).into());
    }
    println!("{}: rank {}, {} modules, {} bytes", path.display(), found.rank, found.modules, found.bytes);
    Ok(AdapterChoice {
        name: "style".into(),
        path: path.to_owned(),
        sha256: found.sha256,
        scale: 1.0,
        text_scale: 0.0,
        device_bytes: 0,
    })
}

fn milliseconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn slowest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::NAN, f64::max)
}
