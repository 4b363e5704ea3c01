//! `cargo xtask demo`: the two-character example, from XML to PNG, or with `--scene` a scene of two models over it, through its
//! own server.

mod outcome;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};

use crate::build::{self, Built};
use crate::process;
use crate::server::{self, Server};
use crate::workspace::Workspace;

/// Where a server without options serves the studio.
const STUDIO: &str = "http://127.0.0.1:50052/";

/// Checking a prompt takes milliseconds.
const VALIDATE_LIMIT: Duration = Duration::from_secs(60);

/// So does making a page of what came.
const REPORT_LIMIT: Duration = Duration::from_secs(60);

/// The picture took well under a minute on two cores; a loaded machine may be far slower.
const GENERATE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What the demo draws.
struct Subject {
    /// What `sakuga validate` and `sakuga generate` read.
    file: &'static str,
    /// The seed, unless the file has it: fixed, so that every demo draws the pictures of the documents.
    seed: Option<&'static str>,
    /// The server's models.
    models: &'static [&'static str],
    /// The name of the picture without its ending.
    name: &'static str,
}

const TWO_GIRLS: Subject =
    Subject { file: "schema/examples/two_girls.xml", seed: Some("7"), models: &["embedded"], name: "two_girls" };

/// The same characters, and a scene over them by the other embedded model.
const SCENE: Subject = Subject {
    file: "client/examples/small_scene.toml",
    seed: None,
    models: &["embedded", "embedded-sd-anime"],
    name: "scene",
};

/// How the demo runs.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the picture, the previews and the events go [default: target/demo].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The device to draw on; any but `cpu` builds the server with CUDA.
    #[arg(long, value_name = "cpu|auto|cuda:N", default_value = "cpu")]
    device: String,
    /// Draw a scene of two models: characters by the NewBie model, and a scene over them by the Stable Diffusion XL model.
    #[arg(long)]
    scene: bool,
    /// Leave the server running at the end, until Ctrl-C, for drawing in its studio.
    #[arg(long)]
    stay: bool,
}

/// Runs the demo and prints where its results are.
///
/// # Errors
///
/// A build fails, the server does not start, a call fails, or a result is missing. The server has been stopped.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let out = options.out.clone().unwrap_or_else(|| workspace.target.join("demo"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    // Cargo may be called from anywhere in the repository; paths a person gave are relative to where they stand.
    let out = out.canonicalize().with_context(|| format!("cannot use the folder {}", out.display()))?;
    let subject = if options.scene { &SCENE } else { &TWO_GIRLS };
    let files = Files::new(&out, subject.name);
    files.remove_old()?;

    println!("building the server and the command line");
    let built = build::release(workspace, options.device != "cpu")?;
    perform(workspace, &built, subject, &options.device, &files, options.stay)
}

/// Runs both demos with the programs that the tests use, as a test of the demo.
///
/// # Errors
///
/// Those of [`run`].
pub(crate) fn rehearse(workspace: &Workspace) -> anyhow::Result<()> {
    let out = workspace.target.join("demo-rehearsal");
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let built = build::like_tests(workspace)?;
    for subject in [&TWO_GIRLS, &SCENE] {
        let files = Files::new(&out, subject.name);
        files.remove_old()?;
        perform(workspace, &built, subject, "cpu", &files, false)?;
    }
    Ok(())
}

/// Starts a server, draws through it, checks the results, and stops it; with `stay` only when a person says so.
fn perform(
    workspace: &Workspace,
    built: &Built,
    subject: &Subject,
    device: &str,
    files: &Files,
    stay: bool,
) -> anyhow::Result<()> {
    let sakuga = |arguments: &[&str]| {
        let mut command = Command::new(&built.client);
        command.args(arguments).current_dir(&workspace.root);
        command
    };

    let cache = workspace.target.join("demo-cache");
    let server = Server::start(&built.server, subject.models, device, &cache, &files.log)?;
    println!("server at {} on {device}, log in {}", server.url(), workspace.shorten(&files.log).display());
    let drawn = draw(sakuga, subject, &server, files);
    // Stopped after a failure too, before the failure is reported.
    let (server, stopped) = if stay && drawn.is_ok() { (Some(server), Ok(())) } else { (None, server.stop()) };
    let called = drawn.map_err(|error| anyhow!("{error:#}{}", server::tail_of(&files.log)))?;
    stopped?;
    report(sakuga, files)?;

    let results = outcome::verify(files, called)?;
    let seconds = |time: Duration| format!("{:.1} s after the call", time.as_secs_f64());
    println!("\npicture   {} ({})", workspace.shorten(&files.png).display(), seconds(results.picture));
    println!(
        "previews  {} ({} files, the first {})",
        workspace.shorten(&files.previews).display(),
        results.previews,
        seconds(results.first_preview)
    );
    println!("events    {} ({} lines)", workspace.shorten(&files.events).display(), results.events);
    println!("report    {}", workspace.shorten(&files.report).display());
    match server {
        Some(server) => {
            let studio = server.studio().context("the server does not serve the studio")?;
            println!("studio    {studio} (until Ctrl-C)");
            server.stay()
        }
        None => {
            let program = workspace.shorten(&built.server).display();
            println!("studio    start {program} and open {STUDIO}, or run `cargo xtask demo --stay`");
            Ok(())
        }
    }
}

/// Checks the prompt, then draws it, both on the inherited terminal. Returns when drawing was called for.
fn draw(
    sakuga: impl Fn(&[&str]) -> Command,
    subject: &Subject,
    server: &Server,
    files: &Files,
) -> anyhow::Result<SystemTime> {
    let file = subject.file;
    println!("\nsakuga validate {file}");
    process::run(&mut sakuga(&["validate", file]), VALIDATE_LIMIT)?;
    println!("\nsakuga generate {file}");
    let mut generate = sakuga(&["generate", file, "--server", server.url(), "--preview", "linear"]);
    generate.args(subject.seed.iter().flat_map(|seed| ["--seed", seed]));
    generate.arg("--out").arg(&files.png).arg("--preview-dir").arg(&files.previews).arg("--events").arg(&files.events);
    let called = SystemTime::now();
    process::run(&mut generate, GENERATE_LIMIT)?;
    Ok(called)
}

/// Makes a page of the events, the previews and the picture.
fn report(sakuga: impl Fn(&[&str]) -> Command, files: &Files) -> anyhow::Result<()> {
    let mut report = sakuga(&["bench", "report"]);
    report.arg("--events").arg(&files.events).arg("--previews").arg(&files.previews);
    report.arg("--picture").arg(&files.png).arg("--out").arg(&files.report);
    // The paths that it prints are printed below, with the others.
    report.stdout(Stdio::null());
    process::run(&mut report, REPORT_LIMIT)
}

/// What the demo writes.
pub(crate) struct Files {
    /// The picture.
    pub png: PathBuf,
    /// The folder of the step previews.
    pub previews: PathBuf,
    /// Every event as a line of JSON.
    pub events: PathBuf,
    /// A page with all of that, and where the time went.
    pub report: PathBuf,
    /// The server's log.
    pub log: PathBuf,
}

impl Files {
    fn new(out: &Path, name: &str) -> Self {
        Self {
            png: out.join(name).with_extension("png"),
            previews: out.join("previews"),
            events: out.join("events.jsonl"),
            report: out.join("report.html"),
            log: out.join("server.log"),
        }
    }

    /// Removes what an earlier run left, so that nothing old can pass for a result. Other files stay: the folder may be
    /// in use for something else.
    fn remove_old(&self) -> anyhow::Result<()> {
        let previews = outcome::previews(&self.previews)?;
        for path in previews.iter().chain([&self.png, &self.events, &self.report, &self.log]) {
            if path.exists() {
                fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}
