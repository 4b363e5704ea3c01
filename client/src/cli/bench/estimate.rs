//! `sakuga bench estimate`: how well the server's estimates hold.

use clap::Args;
use sakuga_bench::case;
use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::image_source::Source;
use sakuga_client::proto::generation::v1::{
    Estimate, EstimatedTime, GenerateRequest, ImageSource, InitImage, JobOptions, ResizeMode, SecondPass,
};
use sakuga_client::proto::system::v1::{ListModelsRequest, Model};
use sakuga_client::proto::text::count;
use sakuga_client::proto::time::milliseconds;
use sakuga_client::{Client, Completed, EventKind};
use serde_json::{Value, json};

use super::measure::wanted;
use super::progress::Progress;
use crate::cli::exit::{self, Exit};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::server::{self, ServerArguments, answer};
use crate::cli::terminal::Terminal;

/// An estimate within this share of the truth counts as close.
const CLOSE: f64 = 0.1;
/// The most bytes of the image that others begin from.
const INIT_BYTES_MAX: usize = 2 << 20;

/// Measure how well estimates hold
///
/// Draws jobs of many kinds one after the other: sizes, steps, numbers of pictures, guidance, image to image and second
/// passes, always the same ones in the same order. Each is estimated before it is drawn. The first ones are for learning; of
/// the others it reports how many took within 10 % of the estimate, and how many lay within its interval. Nothing else should
/// use the server or its device.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct EstimateArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Warm-up jobs, which are not evaluated
    #[arg(long, value_name = "N", default_value_t = 20)]
    learn: u32,

    /// Jobs that are evaluated
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,

    /// The most steps of a job
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(4..=200))]
    max_steps: u32,

    /// The model, as `sakuga info` lists it [default: the server's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Print one JSON object with every job
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// One job: its estimate and its true time.
struct Held {
    kind: String,
    expected_s: f64,
    low_s: f64,
    high_s: f64,
    actual_s: f64,
}

impl Held {
    fn ratio(&self) -> f64 {
        self.actual_s / self.expected_s.max(f64::MIN_POSITIVE)
    }

    fn is_close(&self) -> bool {
        (self.expected_s / self.actual_s.max(f64::MIN_POSITIVE) - 1.0).abs() <= CLOSE
    }

    fn is_covered(&self) -> bool {
        (self.low_s..=self.high_s).contains(&self.actual_s)
    }

    fn to_json(&self) -> Value {
        json!({
            "job": self.kind,
            "expected_s": self.expected_s,
            "low_s": self.low_s,
            "high_s": self.high_s,
            "actual_s": self.actual_s,
        })
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &EstimateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let total = u64::from(arguments.learn) + u64::from(arguments.jobs);
    let progress = Progress::new(arguments.quiet || arguments.json, terminal, total);
    let measured = server::runtime()?.block_on(measure(arguments, &progress));
    progress.close();
    let held = measured?;
    let share = |counted: usize| counted as f64 / held.len().max(1) as f64;
    let close = held.iter().filter(|job| job.is_close()).count();
    let covered = held.iter().filter(|job| job.is_covered()).count();
    let mut ratios: Vec<f64> = held.iter().map(Held::ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0);
    if arguments.json {
        output::print_json(&json!({
            "learned_jobs": arguments.learn,
            "jobs": held.iter().map(Held::to_json).collect::<Vec<_>>(),
            "share_within_10_percent": share(close),
            "share_within_interval": share(covered),
            "median_ratio": median,
        }))?;
        return Ok(Exit::Ok);
    }
    let mut worst: Vec<&Held> = held.iter().collect();
    worst.sort_unstable_by(|one, other| other.ratio().ln().abs().total_cmp(&one.ratio().ln().abs()));
    let worst = worst
        .iter()
        .take(5)
        .map(|job| format!("  {:.2} s expected, {:.2} s taken: {}\n", job.expected_s, job.actual_s, job.kind));
    output::print(format_args!(
        "after {} of learning, {}:\nwithin 10 %        {:.0} %\nwithin interval    {:.0} %\nmedian of taken to expected  {median:.3}\nfarthest off:\n{}",
        count(arguments.learn as usize, "job"),
        count(held.len(), "job"),
        100.0 * share(close),
        100.0 * share(covered),
        worst.collect::<String>(),
    ))?;
    Ok(Exit::Ok)
}

async fn measure(arguments: &EstimateArguments, progress: &Progress) -> Result<Vec<Held>, Failure> {
    let client = arguments.server.connect().await?;
    let models = answer(&client, client.system().list_models(ListModelsRequest {})).await?.models;
    let model = wanted(&models, arguments.model.as_deref())?;
    let mut mix = Mix { model, max_steps: arguments.max_steps, init: None };
    let mut held = Vec::new();
    for place in 0..arguments.learn + arguments.jobs {
        let (request, kind) = mix.job(place);
        progress.begin(&format!("job {} of {}: {kind}", place + 1, arguments.learn + arguments.jobs));
        let estimate = client.estimate(request.clone(), JobOptions::default()).await?;
        let completed = draw(&client, request).await?;
        progress.end();
        if mix.init.is_none() {
            mix.init = completed.pictures.first().map(|picture| picture.bytes.to_vec());
            mix.init.take_if(|file| file.len() > INIT_BYTES_MAX);
        }
        if place >= arguments.learn {
            held.push(compared(&estimate, &completed, kind));
        }
    }
    Ok(held)
}

async fn draw(client: &Client, request: GenerateRequest) -> Result<Completed, Failure> {
    let mut generation = client.generation().request(request).start().await?;
    while let Some(event) = generation.next_event().await? {
        if let EventKind::Completed(completed) = event.kind {
            return Ok(*completed);
        }
    }
    Err(Failure::new(Exit::Server, "a job ended without its pictures"))
}

fn compared(estimate: &Estimate, completed: &Completed, kind: String) -> Held {
    let seconds = |time| milliseconds(time) / 1e3;
    let EstimatedTime { expected, low, high } = estimate.time.unwrap_or_default();
    // From its start to its pictures.
    let actual_s = seconds(completed.timings.total) - seconds(completed.timings.queued);
    Held { kind, expected_s: seconds(expected), low_s: seconds(low), high_s: seconds(high), actual_s }
}

/// Jobs of many kinds, the same ones in every run.
struct Mix<'a> {
    model: &'a Model,
    max_steps: u32,
    /// The picture that others begin from.
    init: Option<Vec<u8>>,
}

impl Mix<'_> {
    /// The request of job number `place`, and its description. The same number gives the same request.
    fn job(&mut self, place: u32) -> (GenerateRequest, String) {
        let mut draws = Draws(u64::from(place) + 1);
        // Shares of the default edge, in sixteenths, and of both edges.
        const SIZES: [[u32; 2]; 6] = [[16, 16], [12, 12], [8, 8], [20, 12], [12, 20], [10, 16]];
        let edge = self.model.default_size.max(64);
        let [width, height] = SIZES[draws.below(6) as usize].map(|share| (edge * share / 16 / 32 * 32).max(32));
        let steps = 4 + draws.below(self.max_steps - 3);
        let images = [1, 1, 1, 2, 3][draws.below(5) as usize];
        let guidance = draws.below(3);
        let kind = draws.below(5);
        let mut request = GenerateRequest {
            model: self.model.name.clone(),
            width,
            height,
            images,
            seed: Some(u64::from(place)),
            prompt: Some(Prompt::Xml(case::CASES[draws.below(4) as usize].prompt.to_owned())),
            ..GenerateRequest::default()
        };
        let sampling = request.sampling.get_or_insert_default();
        sampling.steps = steps;
        match guidance {
            0 => sampling.guidance_scale = Some(1.0),
            1 => (sampling.guidance_scale, sampling.guidance_until) = (Some(5.0), Some(0.5)),
            _ => sampling.guidance_scale = Some(5.0),
        }
        let mut text = format!(
            "{width}x{height}, {steps} steps, {images} images, guidance {}",
            ["off", "to 0.5", "on"][guidance as usize]
        );
        match (kind, &self.init) {
            (0, Some(file)) => {
                let image = ImageSource { source: Some(Source::Inline(file.clone().into())) };
                let resize = ResizeMode::Crop.into();
                request.init = Some(InitImage { image: Some(image), strength: Some(0.6), resize, canvas: None });
                text.push_str(", image to image");
            }
            (1, _) => {
                request.second_pass =
                    Some(SecondPass { factor: Some(1.5), steps: 4.max(steps / 2), ..SecondPass::default() });
                text.push_str(", second pass");
            }
            _ => {}
        }
        (request, text)
    }
}

/// Numbers that look random and are the same in every run: SplitMix64.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((((mixed ^ (mixed >> 31)) >> 32) * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_has_every_kind_and_is_the_same_each_time() {
        let model = Model { name: "a".into(), default_size: 256, ..Model::default() };
        let mix = || {
            let mut mix = Mix { model: &model, max_steps: 16, init: Some(vec![1]) };
            (0..100).map(|place| mix.job(place)).collect::<Vec<_>>()
        };
        let jobs = mix();
        assert_eq!(jobs, mix());
        for part in ["256x256", "128x128", "3 images", "guidance off", "to 0.5", "image to image", "second pass"] {
            assert!(jobs.iter().any(|(_, kind)| kind.contains(part)), "{part}");
        }
        for (request, kind) in &jobs {
            let steps = request.sampling.as_ref().expect("set").steps;
            assert!((4..=16).contains(&steps) && request.width % 32 == 0 && request.height % 32 == 0, "{kind}");
        }
    }

    #[test]
    fn an_estimate_is_close_by_its_ratio_and_covered_by_its_range() {
        let held = |expected_s, actual_s| Held { kind: String::new(), expected_s, low_s: 8.0, high_s: 13.0, actual_s };
        assert!(held(10.5, 10.0).is_close() && !held(11.5, 10.0).is_close());
        assert!(held(11.5, 10.0).is_covered() && !held(10.0, 14.0).is_covered());
        assert!((held(10.0, 12.0).ratio() - 1.2).abs() < 1e-9);
    }
}
