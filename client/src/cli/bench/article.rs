//! `sakuga bench article`: two systems on one device, next to PyTorch's run and the article's claims.

use std::path::{Path, PathBuf};

use clap::Args;
use sakuga_bench::article::{self as page, Claims, Comparison, Measured};
use sakuga_bench::case::CASES;
use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{NoiseSchedule, Sampling, Solver};
use sakuga_client::proto::system::v1::{ListModelsRequest, Model};
use serde_json::json;

use super::measure::{self, Plan, wanted};
use super::progress::Progress;
use super::{Places, command_line, failed, files, loading};
use crate::cli::exit::{self, Exit};
use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::output::{self, say, shown};
use crate::cli::server::{self, ServerArguments, answer};
use crate::cli::size::Size;
use crate::cli::terminal::Terminal;

/// The largest file of a comparison.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Steps of the article's pictures.
const NEWBIE_STEPS: u32 = 28;
const SD_STEPS: u32 = 30;
/// Its guidance for Stable Diffusion XL.
const SD_GUIDANCE: f32 = 7.0;

const AFTER_HELP: &str = "\
Each model is measured alone on the device: both are unloaded, then one is loaded while the device is sampled. It draws by the \
protocol of `sakuga bench`, after three pictures for warm-up. Then the text encoders are timed on new texts of each case, and one \
more picture is profiled. NewBie draws with 28 steps, Stable Diffusion XL with 30 of DPM++ 2M, Karras' schedule, guidance 7 and \
the model's refiner, if it has one. Unloading needs a token with the scope admin where the server requires one; without it loading is \
not measured. Nothing else should use the server.

DIR gets article.json with every sample, article.html, and the charts as charts/*.svg and charts/*.png. --from makes the page again, \
for example with runs of PyTorch, as tests/torch/bench.py and bench_sdxl.py write them.";

/// Compare NewBie and Stable Diffusion XL on one device, next to PyTorch's runs and a published article's claims
///
/// Measures NewBie and Stable Diffusion XL on one server: loading, memory, utilisation, times, and prompts as XML and as text. The
/// page has them next to PyTorch's runs and to the article's claims, with the least that its card needs.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct ArticleArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// The model of NewBie's family, as `sakuga info` lists it
    #[arg(long, value_name = "MODEL", required_unless_present = "from", requires = "sd", conflicts_with = "from")]
    newbie: Option<String>,

    /// The model of Stable Diffusion XL's family
    #[arg(long, value_name = "MODEL", required_unless_present = "from", requires = "newbie", conflicts_with = "from")]
    sd: Option<String>,

    /// Make the page from samples that were measured before
    #[arg(long, value_name = "article.json")]
    from: Option<PathBuf>,

    /// A run of PyTorch for one of the systems; can be repeated
    #[arg(long, value_name = "RUN.json")]
    torch: Vec<PathBuf>,

    /// Directory of the results
    #[arg(long, short, value_name = "DIR", default_value = "sakuga-article")]
    out: PathBuf,

    /// Size in pixels, multiples of 16 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = Size::parse)]
    size: Option<Size>,

    /// Steps of NewBie
    #[arg(long, value_name = "N", default_value_t = NEWBIE_STEPS, value_parser = clap::value_parser!(u32).range(1..))]
    newbie_steps: u32,

    /// Steps of Stable Diffusion XL
    #[arg(long, value_name = "N", default_value_t = SD_STEPS, value_parser = clap::value_parser!(u32).range(1..))]
    sd_steps: u32,

    /// Measured pictures of each case
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,

    /// Pictures of each case before the measured ones
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: u32,

    /// Print the places of the files as one JSON object instead of tables
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &ArticleArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let places = Places::named(&arguments.out, "article.json", "article.html");
    let others = arguments.torch.iter().map(|path| files::record(path)).collect::<Result<Vec<_>, _>>()?;
    let comparison = match (&arguments.from, &arguments.newbie, &arguments.sd) {
        (Some(from), ..) => read(from)?,
        (None, Some(newbie), Some(sd)) => {
            // Fails before an hour of measuring, not after it.
            output::check_writable(&places.run)?;
            let plans = [arguments.newbie_plan(newbie), arguments.sd_plan(sd)];
            let texts = |plan: &Plan| plan.cases.len() as u64 * u64::from(plan.repeats);
            let calls = plans.iter().map(|plan| plan.calls() + texts(plan)).sum();
            let progress = Progress::new(arguments.quiet || arguments.json, terminal, calls);
            let measured = server::runtime()?.block_on(measure(arguments, plans, &progress));
            progress.close();
            measured?
        }
        _ => return Err(Failure::new(Exit::Unreadable, "name both models, or a file of --from")),
    };
    output::create_parent(&places.run)?;
    output::write_file(&places.run, &comparison.to_json().map_err(failed)?)?;
    let (html, charts) = page::write(&comparison, &others).map_err(failed)?;
    output::write_file(&places.report, html.as_bytes())?;
    places.write_charts(&charts)?;
    if arguments.json {
        output::print_json(&json!({
            "status": "completed",
            "samples": places.run.display().to_string(),
            "page": places.report.display().to_string(),
            "charts": places.charts.display().to_string(),
        }))?;
        return Ok(Exit::Ok);
    }
    let claims = Claims::of_article();
    output::print(format_args!(
        "{}\n{}\npage     {}\nsamples  {}\ncharts   {}\n",
        page::table(&comparison, &others, &claims).to_text(terminal.is_unicode),
        page::texts_table(&comparison, &others, &claims).to_text(terminal.is_unicode),
        shown(&places.report),
        shown(&places.run),
        shown(&places.charts),
    ))?;
    Ok(Exit::Ok)
}

fn read(path: &Path) -> Result<Comparison, Failure> {
    let json = input::read_file(path, MAX_FILE_BYTES)?;
    Comparison::parse(&json).map_err(|error| Failure::unreadable(path, error))
}

impl ArticleArguments {
    fn plan(&self, model: &str, steps: u32, sampling: Sampling) -> Plan {
        Plan {
            cases: CASES.to_vec(),
            repeats: self.repeats,
            warmup: self.warmup,
            size: self.size,
            steps: Some(steps),
            sampling,
            is_refined: false,
            model: Some(model.to_owned()),
            is_profiled: true,
            placement: None,
            command: command_line(),
        }
    }

    fn newbie_plan(&self, model: &str) -> Plan {
        self.plan(model, self.newbie_steps, Sampling::default())
    }

    fn sd_plan(&self, model: &str) -> Plan {
        let sampling = Sampling {
            solver: Solver::Dpm.into(),
            schedule: NoiseSchedule::Karras.into(),
            guidance_scale: Some(SD_GUIDANCE),
            ..Sampling::default()
        };
        self.plan(model, self.sd_steps, sampling)
    }
}

async fn measure(
    arguments: &ArticleArguments,
    [mut newbie, mut sd]: [Plan; 2],
    progress: &Progress,
) -> Result<Comparison, Failure> {
    let client = arguments.server.connect().await?;
    let models = answer(&client, client.system().list_models(ListModelsRequest {})).await?.models;
    for plan in [&mut newbie, &mut sd] {
        plan.is_refined = !wanted(&models, plan.model.as_deref())?.refiner.is_empty();
    }
    let loaded = loading::loaded(&client).await;
    let of_newbie = measure_alone(&client, &newbie, &models, progress).await?;
    let of_sd = measure_alone(&client, &sd, &models, progress).await?;
    // The server is left with the models that it had on its device.
    for name in loaded {
        if let Err(reason) = loading::load(&client, &name).await {
            say(format_args!("{name} was not loaded again: {reason}"));
        }
    }
    Comparison::new(command_line(), of_newbie, of_sd).map_err(|error| Failure::new(Exit::Server, error))
}

/// Measures a model with no other one on the device.
async fn measure_alone(
    client: &Client,
    plan: &Plan,
    models: &[Model],
    progress: &Progress,
) -> Result<Measured, Failure> {
    let name = wanted(models, plan.model.as_deref())?.name.clone();
    progress.begin(&format!("{name}: loading"));
    let (load, no_load) = match loading::load_alone(client, &name, models).await {
        Ok(load) => (Some(load), String::new()),
        Err(reason) => (None, reason),
    };
    let record = measure::measure(client, plan, progress).await?;
    let texts = measure::form_texts(client, plan, progress).await?;
    Ok(Measured { record, load, no_load, texts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ArticleArguments,
    }

    fn parse(line: &str) -> Result<ArticleArguments, clap::Error> {
        Line::try_parse_from(line.split_whitespace()).map(|line| line.arguments)
    }

    #[test]
    fn both_models_or_a_file_are_needed() {
        assert!(parse("article --newbie a --sd b").is_ok() && parse("article --from article.json").is_ok());
        for wrong in ["article", "article --newbie a", "article --newbie a --sd b --from article.json"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_system_draws_as_the_article_says() {
        let arguments = parse("article --newbie a --sd b").expect("valid");
        let (newbie, sd) = (arguments.newbie_plan("a"), arguments.sd_plan("b"));
        assert_eq!((newbie.steps, newbie.warmup, &newbie.sampling), (Some(28), 3, &Sampling::default()));
        assert_eq!((sd.steps, sd.sampling.solver(), sd.sampling.guidance_scale), (Some(30), Solver::Dpm, Some(7.0)));
        assert_eq!(sd.cases.len(), CASES.len());
    }
}
