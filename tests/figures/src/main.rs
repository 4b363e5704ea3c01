//! Contact sheets, data sets and the oracle's own error rate.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use rayon::prelude::*;
use sakuga_figures::layout::SIDE_PX;
use sakuga_figures::oracle::{self, Degradation, Tally, wilson_interval};
use sakuga_figures::rng::Rng;
use sakuga_figures::{Constraints, HeldOut, Image, Scene, render_at, render_batch};
use serde_json::json;

/// Anime chibi figures drawn from prompts.
#[derive(Parser)]
#[command(name = "sakuga-figures", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write random scenes side by side as one PNG.
    Sheet {
        /// The picture to write.
        #[arg(long)]
        out: PathBuf,
        /// Where the random scenes start.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Pictures in a row.
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64))]
        columns: u32,
        /// Rows.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=64))]
        rows: u32,
        /// Figures in each picture; without it 1 to 3.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
        characters: Option<u8>,
        /// The side of each picture in pixels.
        #[arg(long, default_value_t = SIDE_PX, value_parser = clap::value_parser!(u32).range(16..=1024))]
        side: u32,
    },
    /// Write pictures as packed RGB (images.rgb, 256x256x3 bytes each) and their prompts (prompts.jsonl).
    Dataset {
        /// The folder to write to; it is made if need be.
        #[arg(long)]
        out: PathBuf,
        /// How many pictures.
        #[arg(long)]
        count: u64,
        /// Where the random scenes start.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Figures in each picture; without it 1 to 3.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
        characters: Option<u8>,
        /// Draw only combinations that are held out from training, instead of none of them.
        #[arg(long)]
        held_out: bool,
    },
    /// Read freshly drawn scenes, as drawn and slightly spoilt, and write the error rates.
    Oracle {
        /// How many scenes.
        #[arg(long, default_value_t = 200)]
        count: u64,
        /// Where the random scenes start.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write every wrong reading, too.
        #[arg(long)]
        verbose: bool,
    },
    /// Measure how fast one core draws.
    Speed {
        /// How many pictures.
        #[arg(long, default_value_t = 500)]
        count: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Sheet { out, seed, columns, rows, characters, side } => {
            sheet(&out, seed, (columns, rows), characters, side)
        }
        Command::Dataset { out, count, seed, characters, held_out } => dataset(&out, count, seed, characters, held_out),
        Command::Oracle { count, seed, verbose } => own_error_rate(count, seed, verbose),
        Command::Speed { count } => speed(count),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sakuga-figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn scene(seed: u64, index: u64, constraints: &Constraints) -> Scene {
    Scene::random(&mut Rng::for_stream(seed, index), constraints)
}

fn sheet(out: &Path, seed: u64, (columns, rows): (u32, u32), characters: Option<u8>, side: u32) -> io::Result<()> {
    let constraints = Constraints { figures: characters.map(usize::from), held_out: HeldOut::Either };
    let mut sheet = Image::blank(columns * side, rows * side);
    let indices: Vec<u32> = (0..columns * rows).collect();
    let pictures: Vec<Image> =
        indices.par_iter().map(|&index| render_at(&scene(seed, u64::from(index), &constraints), side)).collect();
    for (index, picture) in (0..).zip(&pictures) {
        sheet.paste(picture, index % columns * side, index / columns * side);
    }
    sheet.write_png(BufWriter::new(File::create(out)?))
}

fn dataset(out: &Path, count: u64, seed: u64, characters: Option<u8>, held_out: bool) -> io::Result<()> {
    const BATCH: u64 = 256;
    let held_out = if held_out { HeldOut::Always } else { HeldOut::Never };
    let constraints = Constraints { figures: characters.map(usize::from), held_out };
    fs::create_dir_all(out)?;
    let mut images = BufWriter::new(File::create(out.join("images.rgb"))?);
    let mut prompts = BufWriter::new(File::create(out.join("prompts.jsonl"))?);
    for first in (0..count).step_by(BATCH as usize) {
        let scenes: Vec<Scene> =
            (first..count.min(first + BATCH)).map(|index| scene(seed, index, &constraints)).collect();
        for (scene, image) in scenes.iter().zip(render_batch(&scenes)) {
            images.write_all(&image.rgb)?;
            let prompt = scene.to_prompt();
            let line =
                json!({ "xml": prompt.to_model_text(), "tags": scene.to_plain_tags(), "caption": scene.to_caption() });
            writeln!(prompts, "{line}")?;
        }
    }
    images.flush()?;
    prompts.flush()
}

fn own_error_rate(count: u64, seed: u64, is_verbose: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let constraints = Constraints { figures: None, held_out: HeldOut::Either };
    for (name, degradation) in [("as drawn", Degradation::NONE), ("slightly spoilt", Degradation::SLIGHT)] {
        let start = Instant::now();
        let reports: Vec<_> = (0..count)
            .into_par_iter()
            .filter_map(|index| {
                let scene = scene(seed, index, &constraints);
                let image = degradation.apply(&render_at(&scene, SIDE_PX), &mut Rng::for_stream(seed, !index));
                oracle::examine(&image, &scene.to_prompt()).ok().map(|report| (index, report))
            })
            .collect();
        let mut tally = Tally::default();
        for (index, report) in &reports {
            tally.add(report);
            if is_verbose && report.readings().any(|reading| !reading.is_right) {
                writeln!(out, "scene {index}: {}", scene(seed, *index, &constraints).to_plain_tags())?;
            }
            for reading in report.readings().filter(|reading| is_verbose && !reading.is_right) {
                writeln!(
                    out,
                    "  scene {index}: {} is {}, read {} ({:.3})",
                    reading.attribute.name(),
                    reading.asked,
                    reading.read,
                    reading.confidence
                )?;
            }
        }
        writeln!(out, "{name}: {} of {count} scenes in {:.1} s", reports.len(), start.elapsed().as_secs_f32())?;
        let rows = tally.counts.iter().map(|(attribute, count)| (attribute.name(), *count));
        for (name, count) in rows.chain([("all of figures", tally.figures()), ("all", tally.total())]) {
            let wrong = count.asked - count.right;
            let (low, high) = wilson_interval(wrong, count.asked);
            let share = 100.0 * wrong as f64 / count.asked.max(1) as f64;
            writeln!(
                out,
                "{name:16} {wrong:4} of {:6} wrong: {share:5.2} % ({:.2} to {:.2})",
                count.asked,
                100.0 * low,
                100.0 * high
            )?;
        }
    }
    Ok(())
}

fn speed(count: u64) -> io::Result<()> {
    let scenes: Vec<Scene> = (0..count).map(|index| scene(1, index, &Constraints::default())).collect();
    let start = Instant::now();
    let bytes: usize = scenes.iter().map(|scene| render_at(scene, SIDE_PX).rgb.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        "{count} pictures ({bytes} bytes) in {seconds:.2} s: {:.0} a second on one core",
        count as f64 / seconds
    )
}
