//! `sakuga bench`: measures a server, compares runs and makes reports. The crate `sakuga-bench` computes and draws.

mod article;
mod estimate;
mod files;
mod loading;
mod measure;
mod progress;
mod quality;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sakuga_bench::report::Pictures;
use sakuga_bench::{BenchError, case, chart, compare, event_file, report, summary};
use sakuga_client::proto::generation::v1::{Placement, Sampling};
use sakuga_client::proto::text::one_line;
use serde_json::json;

use super::choice::Choice;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::output::{self, say, shown};
use super::server::{self, ServerArguments};
use super::size::Size;
use super::terminal::Terminal;
use measure::Plan;
use progress::Progress;

const AFTER_HELP: &str = "\
The protocol: one character and two, each as XML and as text of the same meaning; of each one picture for warm-up and \
five that are measured, with fixed seeds; then the text encoders alone, with texts that are new, that are new in their \
last tag, and that were just encoded. Size and steps are the model's by default. Nothing else should use the server.

DIR gets run.json with every sample, report.html with all charts, and the charts as charts/*.svg and charts/*.png.

Figures that a server does not report are left out, and the report lists them.";

/// Measure how fast a server draws
///
/// Draws pictures by a fixed protocol and writes every sample, a report with charts, and the figures.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    other: Option<Other>,

    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Other {
    Article(article::ArticleArguments),
    Compare(CompareArguments),
    Estimate(estimate::EstimateArguments),
    Quality(quality::QualityArguments),
    Report(ReportArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Directory of the results
    #[arg(long, short, value_name = "DIR", default_value = "sakuga-bench")]
    out: PathBuf,

    /// Size in pixels, multiples of 16 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = Size::parse)]
    size: Option<Size>,

    /// Number of steps from noise to picture [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,

    /// Measured pictures of each case [default: 5, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: Option<u32>,

    /// Pictures of each case before the measured ones
    #[arg(long, value_name = "N", default_value_t = 1)]
    warmup: u32,

    /// The model, as `sakuga info` lists it [default: the server's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// On how many devices of the server each picture is drawn [default: on one]
    #[arg(long, value_name = "PLACEMENT")]
    placement: Option<Choice<Placement>>,

    /// Only two characters as XML, two pictures
    #[arg(long)]
    quick: bool,

    /// Draw one more picture with the operations on the device measured
    #[arg(long)]
    profile: bool,

    /// Print the figures as one JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Compare two runs
///
/// Prints the figures of both and the ratio of B to A. Runs with different settings, networks or prompts are refused.
#[derive(Debug, Args)]
struct CompareArguments {
    /// The first run
    #[arg(value_name = "A.json")]
    a: PathBuf,

    /// The second run
    #[arg(value_name = "B.json")]
    b: PathBuf,

    /// Write a page with a chart
    #[arg(long, short, value_name = "FILE.html")]
    out: Option<PathBuf>,

    /// Compare runs with different settings too
    #[arg(long)]
    force: bool,
}

/// Make a report of an earlier run
///
/// From a run.json, of this or another program, or from the event log of one picture.
#[derive(Debug, Args)]
struct ReportArguments {
    /// The record of a run, as `sakuga bench run` writes it
    #[arg(value_name = "RUN.json", required_unless_present = "events", conflicts_with = "events")]
    run: Option<PathBuf>,

    /// The event log of one picture, as `sakuga generate --events` writes it
    #[arg(long, value_name = "FILE.jsonl")]
    events: Option<PathBuf>,

    /// The finished picture of the job, which the report shows
    #[arg(long, value_name = "PNG", requires = "events")]
    picture: Option<PathBuf>,

    /// Its previews, as `sakuga generate --preview-dir` writes them
    #[arg(long, value_name = "DIR", requires = "events")]
    previews: Option<PathBuf>,

    /// Another run of the same protocol to compare with, such as one of PyTorch; can be repeated
    #[arg(long, alias = "beside", value_name = "RUN.json", conflicts_with = "events")]
    with: Vec<PathBuf>,

    /// Where the page is written
    #[arg(long, short, value_name = "FILE.html")]
    out: PathBuf,
}

/// The failure of a chart, a page or a record.
fn failed(error: BenchError) -> Failure {
    Failure::new(Exit::Unwritable, error)
}

/// Runs the command.
pub(crate) fn run(arguments: &BenchArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    match &arguments.other {
        None => measure(&arguments.run, terminal),
        Some(Other::Article(arguments)) => article::run(arguments, terminal),
        Some(Other::Compare(arguments)) => compare(arguments, terminal),
        Some(Other::Estimate(arguments)) => estimate::run(arguments, terminal),
        Some(Other::Quality(arguments)) => quality::run(arguments, terminal),
        Some(Other::Report(arguments)) => report(arguments),
    }
}

fn measure(arguments: &RunArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let places = Places::new(&arguments.out);
    // Checked before the measurement, which may take an hour.
    output::check_writable(&places.run)?;
    let plan = Plan {
        cases: if arguments.quick { vec![case::QUICK] } else { case::CASES.to_vec() },
        repeats: arguments.repeats.unwrap_or(if arguments.quick { 2 } else { 5 }),
        warmup: arguments.warmup,
        size: arguments.size,
        steps: arguments.steps,
        sampling: Sampling::default(),
        is_refined: false,
        model: arguments.model.clone(),
        is_profiled: arguments.profile,
        placement: arguments.placement.map(|placement| placement.value),
        command: command_line(),
    };
    let progress = Progress::new(arguments.quiet || arguments.json, terminal, plan.calls());
    let measured = server::runtime()?.block_on(async {
        let client = arguments.server.connect().await?;
        measure::measure(&client, &plan, &progress).await
    });
    progress.close();
    let record = measured?;
    output::write_file(&places.run, &record.to_json().map_err(failed)?)?;
    let charts = chart::of_run(&record).map_err(failed)?;
    places.write_charts(&charts)?;
    let page = report::write(&record, &charts, &Pictures::default(), &[]).map_err(failed)?;
    output::write_file(&places.report, page.as_bytes())?;
    if arguments.json {
        output::print_json(&json!({
            "status": "completed",
            "run": places.run.display().to_string(),
            "report": places.report.display().to_string(),
            "charts": places.charts.display().to_string(),
        }))?;
        return Ok(Exit::Ok);
    }
    output::print(format_args!(
        "{} on {}\n{}\n\n{}\n{}\n{}\nreport   {}\nsamples  {}\ncharts   {}\n",
        record.system.model,
        record.system.device,
        record.protocol,
        summary::times(&record).to_text(terminal.is_unicode),
        summary::device(&record).to_text(terminal.is_unicode),
        summary::texts(&record).to_text(terminal.is_unicode),
        shown(&places.report),
        shown(&places.run),
        shown(&places.charts),
    ))?;
    Ok(Exit::Ok)
}

fn compare(arguments: &CompareArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let (a, b) = (files::record(&arguments.a)?, files::record(&arguments.b)?);
    let differences = compare::differences(&a, &b);
    if !differences.is_empty() && !arguments.force {
        let list = differences.join("; ");
        return Err(Failure::new(Exit::Invalid, format_args!("the runs have different settings: {list}"))
            .with_help("--force compares them anyway"));
    }
    for difference in &differences {
        say(format_args!("different: {}", one_line(difference)));
    }
    let lines = compare::lines(&a, &b);
    if let Some(out) = &arguments.out {
        output::create_parent(out)?;
        let chart = compare::chart(&lines).map_err(failed)?;
        let page = compare::html(&a, &b, &lines, &chart, &differences, &command_line());
        output::write_file(out, page.as_bytes())?;
    }
    let side = |record: &sakuga_bench::record::Record| {
        format!("{} on {}, {}", record.system.model, record.system.device, record.system.engine)
    };
    output::print(format_args!(
        "A: {}\nB: {}\n\n{}",
        side(&a),
        side(&b),
        compare::table(&lines).to_text(terminal.is_unicode)
    ))?;
    if let Some(out) = &arguments.out {
        output::print(format_args!("\npage  {}\n", shown(out)))?;
    }
    Ok(Exit::Ok)
}

fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let record = match (&arguments.run, &arguments.events) {
        (Some(run), _) => files::record(run)?,
        (None, Some(events)) => event_file::parse(&files::events(events)?, command_line())
            .map_err(|error| Failure::unreadable(events, error))?,
        (None, None) => return Err(Failure::new(Exit::Unreadable, "name a run or its events")),
    };
    let pictures = files::pictures(arguments.picture.as_deref(), arguments.previews.as_deref())?;
    output::create_parent(&arguments.out)?;
    let others = arguments.with.iter().map(|path| files::record(path)).collect::<Result<Vec<_>, _>>()?;
    let charts = chart::of_run(&record).map_err(failed)?;
    let page = report::write(&record, &charts, &pictures, &others).map_err(failed)?;
    output::write_file(&arguments.out, page.as_bytes())?;
    output::print(format_args!("report  {}\n", shown(&arguments.out)))?;
    Ok(Exit::Ok)
}

/// The files of a run.
struct Places {
    run: PathBuf,
    report: PathBuf,
    charts: PathBuf,
}

impl Places {
    fn new(out: &Path) -> Self {
        Self::named(out, "run.json", "report.html")
    }

    fn named(out: &Path, run: &str, report: &str) -> Self {
        Self { run: out.join(run), report: out.join(report), charts: out.join("charts") }
    }

    /// Each chart as SVG and as PNG.
    fn write_charts(&self, charts: &[chart::Chart]) -> Result<(), Failure> {
        for chart in charts {
            let path = |extension: &str| self.charts.join(format!("{}.{extension}", chart.name));
            output::create_parent(&path("svg"))?;
            output::write_file(&path("svg"), chart.file().as_bytes())?;
            output::write_file(&path("png"), &chart::png(chart).map_err(failed)?)?;
        }
        Ok(())
    }
}

/// The command line, without the directory of the program.
fn command_line() -> String {
    let mut words = vec!["sakuga".to_owned()];
    words.extend(std::env::args_os().skip(1).map(|word| {
        let word = word.to_string_lossy().into_owned();
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,+@%".contains(character);
        if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    }));
    words.join(" ")
}
