//! Contact sheets, data sets and the oracle's own error rate.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rayon::prelude::*;
use sakuga_figures::oracle::{self, Degradation, Tally, wilson_interval};
use sakuga_figures::rng::Rng;
use sakuga_figures::size::SIDE_PX;
use sakuga_figures::training::Form;
use sakuga_figures::{Constraints, HeldOut, Image, Scene, Size, render_at, render_batch, render_sized};
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
        /// Rows of the sheet.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=64))]
        rows: u32,
        /// Figures in each picture; without it 1 to 3.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=4))]
        characters: Option<u8>,
        /// The side of each picture in pixels.
        #[arg(long, default_value_t = SIDE_PX, value_parser = clap::value_parser!(u32).range(16..=1024))]
        side: u32,
    },
    /// Write pictures as packed RGB (NNNNNN.rgb, three bytes a pixel) and texts that describe them (NNNNNN.jsonl).
    ///
    /// Shard after shard, each complete once its .jsonl is there. The pictures of a shard have one size.
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
        /// Pictures in a shard.
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
        shard: u64,
        /// Wait while the folder has this number of shards, until a reader removes some.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        ahead: Option<u64>,
        /// Loose texts of each picture, as training reads them.
        #[arg(long, default_value_t = 4)]
        texts: usize,
        /// Draw no figure to four in sizes from 192x320 to 384x256, another one in each shard.
        #[arg(long, conflicts_with_all = ["characters", "size"])]
        varied: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Read pictures that a model drew for the scenes of a data set, and write how many attributes are right.
    Judge {
        /// Packed RGB, three bytes a pixel, in the order of the data set.
        #[arg(long)]
        images: PathBuf,
        /// Where the data set started.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        which: Which,
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
        #[command(flatten)]
        which: Which,
    },
    /// Write the `vocabulary.json` of a checkpoint that is trained on these figures.
    Vocabulary,
    /// Measure how fast one core draws.
    Speed {
        /// How many pictures.
        #[arg(long, default_value_t = 500)]
        count: u64,
    },
}

/// Which scenes.
#[derive(clap::Args)]
struct Which {
    /// Figures in each picture, 0 to 4; without it 1 to 3.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=4))]
    characters: Option<u8>,
    /// The size of the pictures, such as 320x192.
    #[arg(long, default_value_t = Size::SQUARE)]
    size: Size,
    /// Only combinations that are held out from training, instead of none of them.
    #[arg(long)]
    held_out: bool,
}

impl Which {
    fn constraints(&self) -> Constraints {
        let held_out = if self.held_out { HeldOut::Always } else { HeldOut::Never };
        Constraints { figures: self.characters.map(usize::from), held_out }
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Sheet { out, seed, columns, rows, characters, side } => {
            sheet(&out, seed, (columns, rows), characters, side)
        }
        Command::Dataset { out, count, seed, shard, ahead, texts, varied, which } => {
            let which = if varied { None } else { Some(which) };
            dataset(&out, count, seed, (shard, ahead), texts, which.as_ref())
        }
        Command::Judge { images, seed, which } => judge(&images, seed, &which),
        Command::Oracle { count, seed, verbose, which } => own_error_rate(count, seed, verbose, &which),
        Command::Vocabulary => writeln!(io::stdout(), "{:#}", sakuga_figures::vocabulary()),
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

fn dataset(
    out: &Path,
    count: u64,
    seed: u64,
    (shard, ahead): (u64, Option<u64>),
    texts: usize,
    which: Option<&Which>,
) -> io::Result<()> {
    const BATCH: u64 = 256;
    fs::create_dir_all(out)?;
    for (number, start) in (0..count).step_by(shard as usize).enumerate() {
        wait_for_room(out, ahead)?;
        let size = which.map_or_else(|| Size::TRAINED[number % Size::TRAINED.len()], |which| which.size);
        let draw = |index| match which {
            Some(which) => scene(seed, index, &which.constraints()),
            None => Scene::random_for(&mut Rng::for_stream(seed, index), size, HeldOut::Never),
        };
        let end = count.min(start + shard);
        let mut images = BufWriter::new(File::create(out.join(format!("{number:06}.rgb")))?);
        let draft = out.join(format!("{number:06}.draft"));
        let mut lines = BufWriter::new(File::create(&draft)?);
        for first in (start..end).step_by(BATCH as usize) {
            let indices = first..end.min(first + BATCH);
            let (scenes, lines_of): (Vec<Scene>, Vec<_>) = indices
                .into_par_iter()
                .map(|index| {
                    let scene = draw(index);
                    let line = describe(&scene, size, texts, &mut Rng::for_stream(seed ^ 0x7e87, index));
                    (scene, line)
                })
                .unzip();
            for (line, image) in lines_of.iter().zip(render_batch(&scenes, size)) {
                images.write_all(&image.rgb)?;
                writeln!(lines, "{line}")?;
            }
        }
        images.flush()?;
        lines.flush()?;
        // The name appears when the shard is complete.
        fs::rename(&draft, draft.with_extension("jsonl"))?;
    }
    Ok(())
}

/// A picture's line: its size, the canonical texts, complete texts with unknown words, and what training reads, for a model
/// that knows lists of tags alone under `flat-`.
fn describe(scene: &Scene, size: Size, texts: usize, rng: &mut Rng) -> serde_json::Value {
    let loose: Vec<String> = (0..texts).map(|_| scene.to_training_text(rng)).collect();
    // From a stream of its own, so that the other texts of a seed stay what they were.
    let mut flat = rng.clone();
    let flat: Vec<String> = (0..texts).map(|_| scene.to_training_tags(&mut flat)).collect();
    let mut unknown = |form| scene.with_unknown_words(form, rng);
    json!({
        "width": size.width_px,
        "height": size.height_px,
        "xml": scene.to_prompt().to_model_text(),
        "tags": scene.to_plain_tags(),
        "caption": scene.to_caption(),
        "unknown-xml": unknown(Form::Xml),
        "unknown-tags": unknown(Form::Tags),
        "unknown-caption": unknown(Form::Caption),
        "texts": loose,
        "flat-tags": scene.to_flat_tags(),
        "flat-texts": flat,
    })
}

/// Waits until fewer than `ahead` shards lie in the folder.
fn wait_for_room(folder: &Path, ahead: Option<u64>) -> io::Result<()> {
    let Some(ahead) = ahead else { return Ok(()) };
    loop {
        let entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        let shards = entries.iter().filter(|entry| entry.path().extension().is_some_and(|kind| kind == "jsonl"));
        if (shards.count() as u64) < ahead {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn judge(images: &Path, seed: u64, which: &Which) -> io::Result<()> {
    let bytes = fs::read(images)?;
    let (size, constraints) = (which.size, which.constraints());
    let length = 3 * (size.width_px * size.height_px) as usize;
    let start = Instant::now();
    let reports: Vec<_> = bytes
        .par_chunks_exact(length)
        .enumerate()
        .filter_map(|(index, rgb)| {
            let image = Image { width_px: size.width_px, height_px: size.height_px, rgb: rgb.to_vec() };
            oracle::examine_scene(&image, &scene(seed, index as u64, &constraints)).ok()
        })
        .collect();
    let mut tally = Tally::default();
    reports.iter().for_each(|report| tally.add(report));
    let mut out = io::stdout().lock();
    writeln!(out, "{} pictures in {:.1} s", reports.len(), start.elapsed().as_secs_f32())?;
    write_tally(&mut out, &tally)
}

fn write_tally(out: &mut impl Write, tally: &Tally) -> io::Result<()> {
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
    Ok(())
}

fn own_error_rate(count: u64, seed: u64, is_verbose: bool, which: &Which) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let constraints = Constraints { figures: which.characters.map(usize::from), held_out: HeldOut::Either };
    for (name, degradation) in [("as drawn", Degradation::NONE), ("slightly spoilt", Degradation::SLIGHT)] {
        let start = Instant::now();
        let reports: Vec<_> = (0..count)
            .into_par_iter()
            .filter_map(|index| {
                let scene = scene(seed, index, &constraints);
                let image = degradation.apply(&render_sized(&scene, which.size), &mut Rng::for_stream(seed, !index));
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
        write_tally(&mut out, &tally)?;
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
