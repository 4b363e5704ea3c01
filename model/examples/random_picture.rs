//! Draws a picture with random weights: the whole pipeline, without a checkpoint.
//!
//! ```text
//! cargo run --release -p sakuga-model --example random_picture -- PICTURE.ppm [SEED [FOLDER]]
//! ```
//!
//! Writes the picture, its last linear preview beside it, and prints the timings. FOLDER keeps the checkpoint.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sakuga_model::checkpoint::synthetic::{self, Preset};
use sakuga_model::device::OpenDevice;
use sakuga_model::pipeline::{LoadOptions, Pipeline};
use sakuga_model::progress::{Outcome, PreviewMethod, Progress, Rgb8};
use sakuga_model::spec::GenerateSpec;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let picture = PathBuf::from(arguments.next().ok_or("name the picture to write, such as picture.ppm")?);
    let seed: u64 = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    let kept = arguments.next().map(PathBuf::from);
    let temporary = std::env::temp_dir().join(format!("sakuga-random-{}", std::process::id()));
    let folder = kept.clone().unwrap_or_else(|| temporary.clone());

    synthetic::write(&folder, &Preset::tiny(), 1)?;
    let options = LoadOptions::new(OpenDevice::cpu());
    let (pipeline, reports) = Pipeline::load(&folder, options)?;
    let parameters: u64 = reports.iter().map(|report| report.parameters).sum();
    let info = pipeline.info();
    println!("{} with {parameters} parameters: {}", info.name, info.notice);

    let mut spec = GenerateSpec::new(
        "<character_1><gender>1girl</gender><appearance>silver hair, blue eyes</appearance></character_1>",
        info.default_size_px,
        info.default_size_px,
    );
    spec.system_prompt = info.default_system_prompt.clone();
    spec.seed = seed;
    let mut previews = Vec::new();
    let outcome = pipeline.generate(&spec, &mut |progress| {
        if let Progress::Step(step) = progress
            && step.index % 7 == 0
        {
            previews = step.preview(PreviewMethod::Linear);
        }
        ControlFlow::Continue(())
    })?;
    if kept.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    let Outcome::Finished { images, timings } = outcome else { return Err("nobody stopped it".into()) };
    write_ppm(&picture, &images[0])?;
    write_ppm(&picture.with_extension("preview.ppm"), &previews[0])?;
    let mut step_ms = timings.step_ms.clone();
    step_ms.sort_by(f64::total_cmp);
    println!(
        "text {:.1} ms, preparation {:.1} ms, {} steps of {:.1} ms (median), decoding {:.1} ms, all {:.1} ms",
        timings.text_encode_ms,
        timings.prepare_ms,
        step_ms.len(),
        step_ms[step_ms.len() / 2],
        timings.decode_ms,
        timings.total_ms
    );
    Ok(())
}

fn write_ppm(path: &Path, image: &Rgb8) -> std::io::Result<()> {
    let mut bytes = format!("P6\n{} {}\n255\n", image.width_px, image.height_px).into_bytes();
    bytes.extend(&image.pixels);
    std::fs::write(path, bytes)
}
