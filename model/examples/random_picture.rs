//! Draws a picture with random weights: the whole pipeline, without a checkpoint.
//!
//! ```text
//! cargo run --release -p sakuga-model --example random_picture -- PICTURE.ppm [SEED [FOLDER]]
//! ```
//!
//! Writes the picture and, next to it, its last linear preview, and prints the timings. FOLDER keeps the checkpoint.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sakuga_model::device::OpenDevice;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::families::newbie::{LoadOptions, Pipeline};
use sakuga_model_core::{GenerationSpec, Outcome, PreviewMethod, Progress, Rgb8};

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

    let mut spec = GenerationSpec::new(
        "<character_1><gender>1girl</gender><appearance>silver hair, blue eyes</appearance></character_1>",
        info.default_size_px,
        info.default_size_px,
        info.sampling,
    );
    spec.system_prompt = info.default_system_prompt.clone();
    spec.seed = seed;
    let mut previews = Vec::new();
    let outcome = pipeline.generate(&spec, &mut |progress| {
        if let Progress::Step(step) = progress
            && step.report.index % 7 == 0
        {
            previews = step.previews(PreviewMethod::Linear);
        }
        ControlFlow::Continue(())
    })?;
    if kept.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    let Outcome::Finished { images, timings, .. } = outcome else { return Err("nobody stopped it".into()) };
    write_ppm(&picture, &images[0])?;
    write_ppm(&picture.with_extension("preview.ppm"), &previews[0])?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut step_ms: Vec<f64> = timings.steps.iter().copied().map(ms).collect();
    step_ms.sort_by(f64::total_cmp);
    println!(
        "text {:.1} ms, preparation {:.1} ms, {} steps of {:.1} ms (median), decoding {:.1} ms, all {:.1} ms",
        ms(timings.text_encode),
        ms(timings.prepare),
        step_ms.len(),
        step_ms[step_ms.len() / 2],
        ms(timings.decode),
        ms(timings.total)
    );
    Ok(())
}

fn write_ppm(path: &Path, image: &Rgb8) -> std::io::Result<()> {
    let mut bytes = format!("P6\n{} {}\n255\n", image.width_px, image.height_px).into_bytes();
    bytes.extend(&image.pixels);
    std::fs::write(path, bytes)
}
