//! `sakuga bench`: how fast and how steadily a server draws, as samples, figures and a page.

mod beside;
mod case;
mod chart;
mod compare;
mod event_file;
mod figures;
mod page;
mod profile;
mod progress;
mod record;
mod recorder;
mod report;
mod run;
mod stats;
mod summary;
mod table;
mod words;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::generate::Size;
use super::output::{self, say};
use super::server::{self, ServerArguments};
use super::terminal::Terminal;
use progress::Progress;
use record::Record;
use report::Pictures;
use run::Plan;

const AFTER_HELP: &str = "\
The protocol: one character and two, each as XML and as text of the same meaning; of each a picture for warm-up and then \
five that count, under fixed seeds; then the text encoders alone, with texts that are new, that are new in their last \
tag, and that were just read. Size and steps are the model's unless told otherwise. Nothing else should use the server \
meanwhile.

DIR gets run.json with every sample, report.html with all charts in it, and the charts as charts/*.svg and charts/*.png.

What a server does not tell is left out, and the report says so.";

/// Measure how fast a server draws
///
/// Asks for pictures by a fixed protocol and writes every sample, a report with charts, and the figures.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub struct BenchArguments {
    #[command(subcommand)]
    other: Option<Other>,

    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Other {
    Compare(CompareArguments),
    Report(ReportArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Where the results go
    #[arg(long, short, value_name = "DIR", default_value = "sakuga-bench")]
    out: PathBuf,

    /// Size in pixels, multiples of 16 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = Size::parse)]
    size: Option<Size>,

    /// Intervals from noise to picture [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,

    /// Pictures of each case that count [default: 5, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: Option<u32>,

    /// Pictures of each case before them
    #[arg(long, value_name = "N", default_value_t = 1)]
    warmup: u32,

    /// The model, as `sakuga info` lists it [default: the server's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Two characters as XML alone, two pictures
    #[arg(long)]
    quick: bool,

    /// Ask of one picture more where the device's time goes
    #[arg(long)]
    profile: bool,

    /// Print the figures as one JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Lay two runs side by side
///
/// Prints what each needed and how many times as much B needed as A. Runs of different sizes, steps, samplings, models or
/// prompts are refused.
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

    /// Compare also runs that did not do the same
    #[arg(long)]
    force: bool,
}

/// Make a report of a run that is there
///
/// From a run.json, which another program can have written, or from the events of one picture.
#[derive(Debug, Args)]
struct ReportArguments {
    /// The run
    #[arg(value_name = "RUN.json", required_unless_present = "events", conflicts_with = "events")]
    run: Option<PathBuf>,

    /// The events of one picture, as `sakuga generate --events` writes them
    #[arg(long, value_name = "FILE.jsonl")]
    events: Option<PathBuf>,

    /// That picture, to be shown in the report
    #[arg(long, value_name = "PNG", requires = "events")]
    picture: Option<PathBuf>,

    /// Its previews, as `sakuga generate --preview-dir` writes them
    #[arg(long, value_name = "DIR", requires = "events")]
    previews: Option<PathBuf>,

    /// Another run of the same protocol to set beside it, such as one of PyTorch; can be given several times
    #[arg(long, value_name = "RUN.json", conflicts_with = "events")]
    beside: Vec<PathBuf>,

    /// Where the report goes
    #[arg(long, short, value_name = "FILE.html")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &BenchArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    match &arguments.other {
        None => measure(&arguments.run, terminal),
        Some(Other::Compare(arguments)) => compare(arguments, terminal),
        Some(Other::Report(arguments)) => report(arguments),
    }
}

fn measure(arguments: &RunArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let places = Places::new(&arguments.out);
    // Found out before an hour of measuring, not behind it.
    output::check_writable(&places.run)?;
    let plan = Plan {
        cases: if arguments.quick { vec![case::QUICK] } else { case::CASES.to_vec() },
        repeats: arguments.repeats.unwrap_or(if arguments.quick { 2 } else { 5 }),
        warmup: arguments.warmup,
        size: arguments.size,
        steps: arguments.steps,
        model: arguments.model.clone(),
        is_profiled: arguments.profile,
        command: command_line(),
    };
    let progress = Progress::new(arguments.quiet || arguments.json, terminal, plan.calls());
    let measured = server::runtime()?.block_on(async {
        let client = arguments.server.connect().await?;
        run::measure(&client, &plan, &progress).await
    });
    progress.close();
    let record = measured?;
    record.write(&places.run)?;
    let charts = chart::of_run(&record)?;
    for chart in &charts {
        output::create_parent(&places.chart(chart.name, "svg"))?;
        output::write_file(&places.chart(chart.name, "svg"), chart.file().as_bytes())?;
        output::write_file(&places.chart(chart.name, "png"), &chart::png(chart)?)?;
    }
    let page = report::write(&record, &charts, &Pictures::default(), &[])?;
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
        report::protocol(&record),
        summary::times(&record).to_text(terminal.is_unicode),
        summary::device(&record).to_text(terminal.is_unicode),
        summary::texts(&record).to_text(terminal.is_unicode),
        places.report.display(),
        places.run.display(),
        places.charts.display(),
    ))?;
    Ok(Exit::Ok)
}

fn compare(arguments: &CompareArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let (a, b) = (Record::read(&arguments.a)?, Record::read(&arguments.b)?);
    let differences = compare::differences(&a, &b);
    if !differences.is_empty() && !arguments.force {
        let list = differences.join("; ");
        return Err(Failure::new(Exit::Invalid, format_args!("the runs did not do the same: {list}"))
            .with_help("--force compares them all the same"));
    }
    for difference in &differences {
        say(format_args!("not the same: {difference}"));
    }
    let lines = compare::lines(&a, &b);
    if let Some(out) = &arguments.out {
        output::create_parent(out)?;
        let chart = compare::chart(&lines)?;
        let page = compare::html(&a, &b, &lines, &chart, &differences, &command_line());
        output::write_file(out, page.as_bytes())?;
    }
    let side =
        |record: &Record| format!("{} on {}, {}", record.system.model, record.system.device, record.system.engine);
    output::print(format_args!(
        "A: {}\nB: {}\n\n{}",
        side(&a),
        side(&b),
        compare::table(&lines).to_text(terminal.is_unicode)
    ))?;
    if let Some(out) = &arguments.out {
        output::print(format_args!("\npage  {}\n", out.display()))?;
    }
    Ok(Exit::Ok)
}

fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let record = match (&arguments.run, &arguments.events) {
        (Some(run), _) => Record::read(run)?,
        (None, Some(events)) => event_file::read(events, command_line())?,
        (None, None) => return Err(Failure::new(Exit::Unreadable, "name a run or its events")),
    };
    let pictures = event_file::pictures(arguments.picture.as_deref(), arguments.previews.as_deref())?;
    output::create_parent(&arguments.out)?;
    let others = arguments.beside.iter().map(|path| Record::read(path)).collect::<Result<Vec<_>, _>>()?;
    let page = report::write(&record, &chart::of_run(&record)?, &pictures, &others)?;
    output::write_file(&arguments.out, page.as_bytes())?;
    output::print(format_args!("report  {}\n", arguments.out.display()))?;
    Ok(Exit::Ok)
}

/// Where the results of a run go.
struct Places {
    run: PathBuf,
    report: PathBuf,
    charts: PathBuf,
}

impl Places {
    fn new(out: &Path) -> Self {
        Self { run: out.join("run.json"), report: out.join("report.html"), charts: out.join("charts") }
    }

    fn chart(&self, name: &str, extension: &str) -> PathBuf {
        self.charts.join(format!("{name}.{extension}"))
    }
}

/// The command as it was typed, from the program's name on; its folder says nothing.
fn command_line() -> String {
    let mut words = vec!["sakuga".to_owned()];
    words.extend(std::env::args_os().skip(1).map(|word| {
        let word = word.to_string_lossy().into_owned();
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,+@%".contains(character);
        if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    }));
    words.join(" ")
}
