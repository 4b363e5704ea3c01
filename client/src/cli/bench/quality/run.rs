//! The measurement: draws, compares and chooses.

use std::io::Cursor;

use image::ImageFormat;
use sakuga_bench::levels::{self, LEVELS, Level, Measured};
use sakuga_bench::{flip, similarity};
use sakuga_client::proto::generation::v1::{Quality, Sampling, StepCache};
use sakuga_client::proto::system::v1::{GetServerInfoRequest, ListModelsRequest};
use sakuga_client::{Client, EventKind};
use serde_json::Value;

use super::QualityArguments;
use super::prompts::{Oracle, Prompted, prompts};
use crate::cli::bench::measure::wanted;
use crate::cli::bench::progress::Progress;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::server::answer;

/// Settings whose PSNR in the trial is below a bound by more than this are not measured for it, in decibels.
const TRIAL_MARGIN_DB: f64 = 1.0;
/// Settings that are measured over all prompts for one level, at the most.
const MEASURED_MAX: usize = 8;

/// What the measurement found.
pub(super) struct Found {
    fingerprint: String,
    pub(super) conditions: String,
    /// Blocks of the model.
    pub(super) blocks: u32,
    /// The settings of each level.
    pub(super) levels: [Level; 2],
    /// The exact pictures, compared with themselves.
    exact: Measured,
    /// Everything that was tried on a few prompts.
    pub(super) tried: Vec<(StepCache, Measured)>,
    /// What was measured over all prompts, in that order.
    pub(super) measured: Vec<(StepCache, Measured)>,
}

impl Found {
    /// The profile of the model.
    pub(super) fn profile(&self) -> Value {
        levels::profile_json(&self.fingerprint, &self.conditions, &self.levels, &self.exact, &self.tried, self.blocks)
    }
}

/// A picture as pixels.
struct Drawn {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    /// The reused share of each step.
    shares: Vec<f32>,
    /// The sampling options in use, as text.
    sampling: String,
}

struct Bench<'a> {
    client: &'a Client,
    arguments: &'a QualityArguments,
    progress: &'a Progress,
    prompts: Vec<Prompted>,
    oracle: Option<Oracle>,
    /// The exact picture of each prompt, and what is right in it.
    exact: Vec<(Drawn, Option<[u64; 2]>)>,
}

/// Runs the measurement.
///
/// # Errors
///
/// The server refuses, fails, cannot be reached, does not have the model, or the model has no step cache.
pub(super) async fn measure(
    client: &Client,
    arguments: &QualityArguments,
    progress: &Progress,
) -> Result<Found, Failure> {
    let info = answer(client, client.system().get_server_info(GetServerInfoRequest {})).await?;
    let models = answer(client, client.system().list_models(ListModelsRequest {})).await?.models;
    let model = wanted(&models, arguments.model.as_deref())?;
    let blocks = model.step_cache_blocks;
    if blocks == 0 {
        return Err(Failure::new(Exit::Server, format_args!("the model `{}` has no step cache", model.name)));
    }
    let prompts = prompts(arguments.prompts.as_deref(), arguments.pictures, arguments.seed)?;
    let oracle = Oracle::of(&model.name, model.default_size);
    let mut bench = Bench { client, arguments, progress, prompts, oracle, exact: Vec::new() };
    bench.draw_exact().await?;

    let settings = match arguments.settings.as_slice() {
        [] => levels::candidates(),
        given => given.to_vec(),
    };
    let trials = (arguments.trials as usize).min(bench.prompts.len());
    let mut tried = Vec::new();
    for cache in settings {
        let measured = bench.compare(&cache, trials, false).await?;
        tried.push((cache, measured));
    }
    tried.sort_by(|(a, of_a), (b, of_b)| of_a.cost(a, blocks).total_cmp(&of_b.cost(b, blocks)));

    let mut measured: Vec<(StepCache, Measured)> = Vec::new();
    let mut levels: [Level; 2] = [None, None];
    for (bounds, level) in LEVELS.iter().zip(&mut levels) {
        let may_be = tried.iter().filter(|(_, trial)| trial.mean_psnr_db() >= bounds.psnr_db - TRIAL_MARGIN_DB);
        for (cache, _) in may_be.take(MEASURED_MAX) {
            let known = measured.iter().find(|(other, _)| other == cache).map(|(_, found)| found.clone());
            let found = match known {
                Some(found) => found,
                None => {
                    let found = bench.compare(cache, bench.prompts.len(), true).await?;
                    measured.push((cache.clone(), found.clone()));
                    found
                }
            };
            if found.is_within(bounds) {
                *level = Some((cache.clone(), found));
                break;
            }
        }
    }
    let first = bench.exact.first().map(|(drawn, _)| drawn);
    let conditions = format!(
        "{} prompts, {}, {}x{}, {} in {}",
        bench.prompts.len(),
        first.map(|drawn| drawn.sampling.as_str()).unwrap_or_default(),
        first.map_or(0, |drawn| drawn.width),
        first.map_or(0, |drawn| drawn.height),
        info.device,
        info.precision,
    );
    let exact = bench.compared_with_itself();
    Ok(Found { fingerprint: model.fingerprint.clone(), conditions, blocks, levels, exact, tried, measured })
}

impl Bench<'_> {
    /// Draws the exact picture of every prompt.
    async fn draw_exact(&mut self) -> Result<(), Failure> {
        for index in 0..self.prompts.len() {
            self.progress.begin(&format!("exact: picture {} of {}", index + 1, self.prompts.len()));
            let drawn = self.draw(index, None).await?;
            let right = self.read(index, &drawn);
            self.exact.push((drawn, right));
            self.progress.end();
        }
        Ok(())
    }

    /// Compares the first `pictures` prompts, drawn with these settings, with their exact pictures. MS-SSIM, FLIP and binding are
    /// measured if `is_whole`.
    async fn compare(&self, cache: &StepCache, pictures: usize, is_whole: bool) -> Result<Measured, Failure> {
        self.progress.begin(&format!("{pictures} pictures with {}", levels::cache_text(cache)));
        let mut measured = Measured::default();
        let mut binding = [[0, 0], [0, 0]];
        for (index, (exact, right)) in self.exact.iter().enumerate().take(pictures) {
            let drawn = self.draw(index, Some(cache)).await?;
            if (drawn.width, drawn.height) != (exact.width, exact.height) {
                return Err(Failure::new(Exit::Server, "the server drew one prompt in two sizes"));
            }
            measured.psnr_db.push(similarity::psnr_db(&exact.rgb, &drawn.rgb));
            measured.add_steps(&drawn.shares);
            if is_whole {
                let width = drawn.width as usize;
                measured.ms_ssim.push(similarity::ms_ssim(&exact.rgb, &drawn.rgb, width));
                measured.flip.push(flip::flip(&exact.rgb, &drawn.rgb, width));
                if let (Some(exact), Some(found)) = (right, self.read(index, &drawn)) {
                    for (sum, one) in binding.iter_mut().zip([*exact, found]) {
                        *sum = [sum[0] + one[0], sum[1] + one[1]];
                    }
                }
            }
        }
        // Closed eyes have no colour to read, so the two may have different numbers of readings; each is a share of its
        // own number.
        let [[right, all], [found, all_found]] = binding;
        if all > 0 && all_found > 0 {
            measured.binding = Some(([right, found * all / all_found], all));
        }
        Ok(measured)
    }

    /// The figures of exact pictures in the profile.
    fn compared_with_itself(&self) -> Measured {
        let count = self.exact.len();
        let right = self.exact.iter().filter_map(|(_, right)| *right);
        let [right, all] = right.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        Measured {
            psnr_db: vec![similarity::PSNR_MAX_DB; count],
            ms_ssim: vec![1.0; count],
            flip: vec![0.0; count],
            binding: (all > 0).then_some(([right, right], all)),
            reused: Vec::new(),
        }
    }

    fn read(&self, index: usize, drawn: &Drawn) -> Option<[u64; 2]> {
        self.oracle.as_ref()?.count(&self.prompts[index], drawn.width, drawn.height, &drawn.rgb)
    }

    /// Draws a prompt, exactly without settings.
    async fn draw(&self, index: usize, cache: Option<&StepCache>) -> Result<Drawn, Failure> {
        let QualityArguments { model, steps, seed, .. } = self.arguments;
        let request = self.client.generation().xml(&self.prompts[index].text).seed(seed.wrapping_add(index as u64));
        let mut request = request.as_request().clone();
        request.model = model.clone().unwrap_or_default();
        let quality = if cache.is_some() { Quality::Custom } else { Quality::Exact };
        request.sampling = Some(Sampling {
            steps: steps.unwrap_or_default(),
            quality: quality.into(),
            step_cache: cache.cloned(),
            ..Sampling::default()
        });
        let mut generation = self.client.generation().request(request).start().await?;
        let (mut shares, mut sampling) = (Vec::new(), String::new());
        while let Some(event) = generation.next_event().await? {
            match event.kind {
                EventKind::Started(started) => {
                    let resolved = started.resolved.and_then(|resolved| resolved.sampling).unwrap_or_default();
                    sampling = Sampling { quality: 0, ..resolved }.to_string();
                }
                EventKind::Step(step) => shares.push(step.reused_share),
                EventKind::Completed(completed) => {
                    let picture = completed.pictures.into_iter().next();
                    let bytes = picture.map(|picture| picture.bytes).unwrap_or_default();
                    let decoded = image::load(Cursor::new(bytes), ImageFormat::Png).map_err(|error| {
                        Failure::new(Exit::Server, format_args!("a picture is unreadable: {error}"))
                    })?;
                    let (width, height) = (decoded.width(), decoded.height());
                    return Ok(Drawn { width, height, rgb: decoded.into_rgb8().into_raw(), shares, sampling });
                }
                _ => {}
            }
        }
        Err(Failure::new(Exit::Server, "a picture was cancelled"))
    }
}
