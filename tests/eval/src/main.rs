//! The command line of the measurement.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sakuga_client::proto::generation::v1::{Sampling, Solver};
use sakuga_client::{Client, DEFAULT_ADDRESS};
use sakuga_eval::case::Case;
use sakuga_eval::compare::{Comparison, Part};
use sakuga_eval::error::EvalError;
use sakuga_eval::form::Form;
use sakuga_eval::progress::Progress;
use sakuga_eval::report;
use sakuga_eval::run::{Plan, run};
use sakuga_eval::store::Results;

/// Measures whether attributes stay with their character.
#[derive(Parser)]
#[command(name = "sakuga-eval", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Request pictures from a server and read each with the oracle; those that the folder has are not requested again.
    Run(RunArguments),
    /// Ask two models, NewBie by XML and by tags and Stable Diffusion XL by tags, for the same scenes until each is right, and
    /// write the page COMPARED.md. Pictures that the folder has are not requested again.
    Compare(CompareArguments),
    /// Write the page: RESULTS.md, a contact sheet of each case, and a chart of errors.
    Report {
        /// The folder that `run` has written.
        #[arg(long = "in", value_name = "DIR")]
        input: PathBuf,
        /// Where to write the page; created if missing.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Args)]
struct RunArguments {
    /// The address of the server
    #[arg(long, value_name = "URL", env = "SAKUGA_SERVER", default_value = DEFAULT_ADDRESS)]
    server: String,
    /// The folder for the results; created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pictures of each case in each form.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    images_per_case: u64,
    /// Where scenes and noise start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The cases, separated by commas [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    cases: Vec<Case>,
    /// Pictures of one request. They share their scene, so that fewer scenes are requested and the intervals are too
    /// narrow; 1 measures best.
    #[arg(long, value_name = "IMAGES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    batch: u32,
    /// Requests that the server has at a time.
    #[arg(long, value_name = "REQUESTS", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    in_flight: u8,
    /// Scenes of each case whose first picture in each form is kept for the contact sheets.
    #[arg(long, value_name = "N", default_value_t = report::SHEET_COLUMNS)]
    keep: u64,
    /// The model, as the server lists it; its default if absent.
    #[arg(long, default_value = "")]
    model: String,
    #[command(flatten)]
    sampling: SamplingArguments,
}

#[derive(Args)]
struct CompareArguments {
    /// The address of the server with NewBie
    #[arg(long, value_name = "URL", env = "SAKUGA_SERVER", default_value = DEFAULT_ADDRESS)]
    server: String,
    /// The address of the server with Stable Diffusion XL [default: that of --server]
    #[arg(long, value_name = "URL")]
    sd_server: Option<String>,
    /// The model of NewBie's family, as its server lists it
    #[arg(long, value_name = "MODEL", required_unless_present = "report_only")]
    newbie: Option<String>,
    /// The model of Stable Diffusion XL's family
    #[arg(long, value_name = "MODEL", required_unless_present = "report_only")]
    sd: Option<String>,
    /// The folder for the results and the page; created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where to write the page [default: --out]
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
    /// Scenes of each case.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    scenes: u64,
    /// Pictures of each scene, with different noise: how often it is tried until it is right.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    tries: u32,
    /// Where scenes and noise start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The cases, separated by commas [default: two-crossed,three-crossed,three-near,three-rare]
    #[arg(long, value_enum, value_delimiter = ',')]
    cases: Vec<Case>,
    /// Requests that a server has at a time.
    #[arg(long, value_name = "REQUESTS", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    in_flight: u8,
    /// Steps of both models [default: those of each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Write the page of what the folder has
    #[arg(long)]
    report_only: bool,
}

impl CompareArguments {
    fn to_plan(&self, forms: &[Form], model: &str) -> Plan {
        let is_wanted = |case: &Case| self.cases.is_empty() || self.cases.contains(case);
        let sampling = Sampling { steps: self.steps.unwrap_or_default(), ..Sampling::default() };
        Plan {
            cases: Case::COMPARED.iter().copied().filter(is_wanted).collect(),
            forms: forms.to_vec(),
            images_per_case: self.scenes * u64::from(self.tries),
            seed: self.seed,
            images_per_request: self.tries,
            in_flight: usize::from(self.in_flight),
            keep: report::SHEET_COLUMNS,
            model: model.to_owned(),
            sampling,
            sampling_options: self.steps.map(|steps| format!("--steps {steps}")).unwrap_or_default(),
        }
    }
}

/// An absent option takes the server's default.
#[derive(Args)]
struct SamplingArguments {
    /// Intervals from noise to picture.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Scale of classifier-free guidance.
    #[arg(long, value_name = "SCALE")]
    guidance_scale: Option<f32>,
    /// Guidance is active while t is below this.
    #[arg(long, value_name = "T")]
    guidance_until: Option<f32>,
    /// Time shift.
    #[arg(long)]
    shift: Option<f32>,
    /// The solver; the model's default otherwise
    #[arg(long, value_enum)]
    solver: Option<SolverName>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SolverName {
    Euler,
    Midpoint,
    Rk4,
    Dpm,
}

impl SamplingArguments {
    fn to_message(&self) -> Sampling {
        let solver = match self.solver {
            None => Solver::Unspecified,
            Some(SolverName::Euler) => Solver::Euler,
            Some(SolverName::Midpoint) => Solver::Midpoint,
            Some(SolverName::Rk4) => Solver::Rk4,
            Some(SolverName::Dpm) => Solver::Dpm,
        };
        Sampling {
            solver: solver.into(),
            steps: self.steps.unwrap_or_default(),
            guidance_scale: self.guidance_scale,
            guidance_until: self.guidance_until,
            shift: self.shift,
            ..Sampling::default()
        }
    }

    /// The options as they are typed.
    fn to_options(&self) -> String {
        let solver = self.solver.and_then(|solver| solver.to_possible_value()).map(|value| value.get_name().to_owned());
        let options = [
            ("steps", self.steps.map(|value| value.to_string())),
            ("guidance-scale", self.guidance_scale.map(|value| value.to_string())),
            ("guidance-until", self.guidance_until.map(|value| value.to_string())),
            ("shift", self.shift.map(|value| value.to_string())),
            ("solver", solver),
        ];
        let typed = options.into_iter().filter_map(|(name, value)| Some(format!("--{name} {}", value?)));
        typed.collect::<Vec<_>>().join(" ")
    }
}

impl RunArguments {
    fn to_plan(&self) -> Plan {
        // In the order of the page, and each once.
        let is_wanted = |case: &Case| self.cases.is_empty() || self.cases.contains(case);
        Plan {
            cases: Case::ALL.iter().copied().filter(is_wanted).collect(),
            forms: Form::ALL.to_vec(),
            images_per_case: self.images_per_case,
            seed: self.seed,
            images_per_request: self.batch,
            in_flight: usize::from(self.in_flight),
            keep: self.keep,
            model: self.model.clone(),
            sampling: self.sampling.to_message(),
            sampling_options: self.sampling.to_options(),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => measure(&arguments).await,
        Command::Compare(arguments) => compare(&arguments).await,
        Command::Report { input, out } => Results::read(&input).and_then(|results| {
            report::write(&results, &input, &out)?;
            eprintln!("wrote {}", out.join(report::PAGE).display());
            Ok(ExitCode::SUCCESS)
        }),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sakuga-eval: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &RunArguments) -> Result<ExitCode, EvalError> {
    let client = Client::connect(&arguments.server).await?;
    let is_whole = measure_plan(&arguments.to_plan(), &arguments.out, &client).await?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the whole plan was measured: it may be interrupted.
async fn measure_plan(plan: &Plan, out: &Path, client: &Client) -> Result<bool, EvalError> {
    tokio::select! {
        summary = run(plan, out, client, Progress::new) => {
            let summary = summary?;
            eprintln!("measured {} pictures; {} had been measured before", summary.measured, summary.had);
            Ok(true)
        }
        // Dropping the requests cancels their jobs.
        _ = tokio::signal::ctrl_c() => {
            eprintln!("interrupted; the same command continues from here");
            Ok(false)
        }
    }
}

async fn compare(arguments: &CompareArguments) -> Result<ExitCode, EvalError> {
    let comparison = Comparison::new(&arguments.out);
    if let (Some(newbie), Some(sd), false) = (&arguments.newbie, &arguments.sd, arguments.report_only) {
        let sd_server = arguments.sd_server.as_ref().unwrap_or(&arguments.server);
        let servers = [(Part::Newbie, &arguments.server, newbie), (Part::Sd, sd_server, sd)];
        for ((part, server, model), forms) in servers.into_iter().zip(Comparison::forms()) {
            let client = Client::connect(server).await?;
            let plan = arguments.to_plan(&forms, model);
            if !measure_plan(&plan, &comparison.folder(part), &client).await? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    let page = arguments.page.as_ref().unwrap_or(&arguments.out);
    report::write_comparison(&comparison, page)?;
    eprintln!("wrote {}", page.join(report::COMPARED).display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> RunArguments {
        match Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command) {
            Ok(Command::Run(arguments)) => arguments,
            Ok(Command::Report { .. } | Command::Compare(_)) => panic!("not a run: {line}"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_are_reported_as_they_were_typed() {
        let typed = "--steps 20 --guidance-scale 4.5 --solver dpm";
        let arguments = parse(&format!("sakuga-eval run --out x --cases unseen-one,one,one {typed}"));
        let plan = arguments.to_plan();
        assert_eq!(plan.sampling_options, typed);
        assert_eq!(plan.cases, [Case::One, Case::UnseenOne]);
        assert_eq!((plan.sampling.steps, plan.sampling.solver()), (20, Solver::Dpm));
        let plain = parse("sakuga-eval run --out x").to_plan();
        assert_eq!((plain.sampling_options.as_str(), plain.cases.as_slice()), ("", Case::ALL));
        assert_eq!(plain.sampling, Sampling::default());
    }
}
