//! Several jobs of one command, into one folder: `--batch`, `--matrix`, and more than one prompt of `--expand`.
//!
//! [`plan`](plan::plan) makes the requests, [`drawing`] draws them several at a time, [`state`] knows what the folder already
//! has, and [`sheet`] makes the contact sheet of a matrix.

mod drawing;
mod matrix;
mod plan;
mod rows;
mod sheet;
mod state;

use std::path::{Path, PathBuf};

use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::GenerateRequest;
use sakuga_client::proto::text::one_line;
use sakuga_client::{Client, Picture};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::arguments::GenerateArguments;
use super::expansion;
use super::interruption::interruption;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{self, say};
use crate::cli::server;
use crate::cli::terminal::Terminal;
use crate::cli::units;
use drawing::Running;
use matrix::Matrix;
use plan::{Planned, Source};
use state::{State, Written};

/// The name of the contact sheet.
const SHEET: &str = "sheet.png";

/// How a job ended.
enum Outcome {
    /// Its pictures were drawn.
    Drawn(Vec<Written>),
    /// Its pictures were there.
    Kept(Vec<Written>),
    /// It has no pictures.
    Failed(Failure),
    /// It was not begun.
    Left,
}

/// Runs the command.
pub(crate) fn run(arguments: &GenerateArguments, terminal: &Terminal) -> Result<(Exit, Value), Failure> {
    check_options(arguments)?;
    let source = match &arguments.many.batch {
        Some(path) => Source::Rows(rows::read(path)?),
        None if arguments.many.matrix.is_empty() => Source::One,
        None => Source::Matrix(Matrix::parse(&arguments.many.matrix)?),
    };
    let folder = &arguments.out;
    create_folder(folder)?;
    if matches!(source, Source::Matrix(_)) {
        output::check_writable(&folder.join(SHEET))?;
    }
    let mut state = State::open(folder)?;
    let seed = state.seed(expansion::given_seed(arguments), expansion::random_seed)?;
    let jobs = plan::plan(arguments, &source, seed, terminal)?.into_iter().map(Job::new).collect();
    let matrix = match &source {
        Source::Matrix(matrix) => Some(matrix),
        _ => None,
    };
    if (arguments.expand.expand.is_some() || matrix.is_some()) && !arguments.quiet {
        say(format_args!("note: seed {seed}"));
    }
    let mut jobs = Jobs { arguments, jobs, state, is_stopped: false };
    let interrupted = server::runtime()?.block_on(jobs.draw())?;
    let sheet = match matrix {
        Some(matrix) if interrupted.is_none() => jobs.sheet(matrix)?,
        _ => None,
    };
    jobs.conclude(interrupted, sheet.as_deref())
}

/// Options of one job have no meaning for several.
fn check_options(arguments: &GenerateArguments) -> Result<(), Failure> {
    let previews = &arguments.previews;
    for (option, is_given) in [
        ("--events", arguments.events.is_some()),
        ("--profile", arguments.profile),
        ("--preview-dir", previews.preview_dir.is_some()),
        ("--preview", previews.preview.is_some()),
    ] {
        if is_given {
            let text = format!("{option} is for one job, and this command draws several");
            return Err(Failure::new(Exit::Unreadable, text).with_help(format!("leave {option} out")));
        }
    }
    if !arguments.many.matrix.is_empty() && arguments.expand.expand.is_some_and(|count| count > 1) {
        let text = "--matrix draws one prompt in several ways, and --expand=N several prompts";
        return Err(Failure::new(Exit::Unreadable, text).with_help("use --expand without a number with --matrix"));
    }
    let has_stdin = arguments.file.as_deref() == Some(Path::new("-"));
    if arguments.many.batch.is_some() && has_stdin {
        return Err(Failure::new(Exit::Unreadable, "--batch takes a folder or a CSV file, not stdin"));
    }
    Ok(())
}

fn create_folder(folder: &Path) -> Result<(), Failure> {
    if std::fs::metadata(folder).is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(Failure::unwritable(folder, "it is not a folder")
            .with_help("--batch, --matrix and --expand=N write into a folder; name one with --out"));
    }
    std::fs::create_dir_all(folder).map_err(|error| Failure::unwritable(folder, error))
}

struct Job {
    name: String,
    /// `None` if it cannot be drawn.
    request: Option<GenerateRequest>,
    outcome: Outcome,
}

impl Job {
    fn new(planned: Planned) -> Self {
        let (request, outcome) = match planned.request {
            Ok(request) => (Some(request), Outcome::Left),
            Err(failure) => (None, Outcome::Failed(failure)),
        };
        Self { name: planned.name, request, outcome }
    }

    /// The key of its pictures in the state.
    fn key(&self) -> Option<String> {
        self.request.as_ref().map(|request| state::key(request, &self.name))
    }
}

/// The jobs of a command.
struct Jobs<'a> {
    arguments: &'a GenerateArguments,
    jobs: Vec<Job>,
    state: State,
    /// Whether no further job is begun.
    is_stopped: bool,
}

impl Jobs<'_> {
    /// Draws what is not there yet; returns the signal that ended it before.
    async fn draw(&mut self) -> Result<Option<&'static str>, Failure> {
        let mut waiting = Vec::new();
        for index in 0..self.jobs.len() {
            match self.jobs[index].key().map(|key| self.state.written(&key).map(<[Written]>::to_vec)) {
                Some(Some(files)) => self.jobs[index].outcome = Outcome::Kept(files),
                Some(None) => match self.check_files(index) {
                    Ok(()) => waiting.push(index),
                    Err(failure) => self.failed(index, failure),
                },
                None => {
                    self.is_stopped |= self.arguments.many.fail_fast;
                    self.say_failure(index);
                }
            }
        }
        if waiting.is_empty() || self.is_stopped {
            return Ok(None);
        }
        let client = self.arguments.server.connect().await?;
        let running = Running::default();
        let ended = self.draw_some(&client, waiting, &running).await;
        // If it ended early or with an error, some jobs still run.
        running.cancel(&client).await;
        ended
    }

    /// Fails if a picture of a job cannot be written.
    fn check_files(&self, index: usize) -> Result<(), Failure> {
        let Job { name, request, .. } = &self.jobs[index];
        let files = request.iter().flat_map(|request| plan::files(name, request));
        output::check_all_writable(&files.map(|file| self.arguments.out.join(file)).collect::<Vec<_>>())
    }

    async fn draw_some(
        &mut self,
        client: &Client,
        waiting: Vec<usize>,
        running: &Running,
    ) -> Result<Option<&'static str>, Failure> {
        let mut waiting = waiting.into_iter();
        let mut tasks = JoinSet::new();
        let signal = interruption();
        tokio::pin!(signal);
        loop {
            while tasks.len() < self.arguments.many.jobs as usize
                && !self.is_stopped
                && let Some(index) = waiting.next()
            {
                let Some(request) = self.jobs[index].request.clone() else { continue };
                let policy = (self.arguments.timeout, self.arguments.priority(), self.arguments.placement());
                let draw = drawing::draw(client.clone(), request, policy, running.clone());
                tasks.spawn(async move { (index, draw.await) });
            }
            let joined = tokio::select! {
                biased;
                by = &mut signal => return Ok(Some(by)),
                joined = tasks.join_next() => joined,
            };
            match joined {
                None => return Ok(None),
                Some(Ok((index, Ok(pictures)))) => self.drawn(index, &pictures)?,
                Some(Ok((index, Err(failure)))) => self.failed(index, failure),
                Some(Err(error)) => return Err(Failure::new(Exit::Server, format_args!("a job ended early: {error}"))),
            }
            if self.is_stopped && tasks.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Writes the pictures of a job.
    fn drawn(&mut self, index: usize, pictures: &[Picture]) -> Result<(), Failure> {
        let mut files = Vec::new();
        for picture in pictures {
            let file = plan::file(&self.jobs[index].name, pictures.len(), picture.image_index);
            let path = self.arguments.out.join(&file);
            output::write_file(&path, &picture.bytes)?;
            files.push(Written { file: file.display().to_string(), sha256: sha256_hex(&picture.bytes) });
            let seed = picture.metadata.as_ref().map(|metadata| format!(", seed {}", metadata.seed));
            let size = format!("{}x{}{}", picture.width, picture.height, seed.unwrap_or_default());
            self.say(index, &format!("{}  {size}", output::shown(&path)));
        }
        if let Some(key) = self.jobs[index].key() {
            self.state.done(key, files.clone())?;
        }
        self.jobs[index].outcome = Outcome::Drawn(files);
        Ok(())
    }

    fn failed(&mut self, index: usize, failure: Failure) {
        // Without a connection no other job can be drawn either.
        self.is_stopped |= self.arguments.many.fail_fast || failure.exit() == Exit::Connection;
        self.jobs[index].outcome = Outcome::Failed(failure);
        self.say_failure(index);
    }

    fn say_failure(&self, index: usize) {
        let Job { name, outcome: Outcome::Failed(failure), .. } = &self.jobs[index] else { return };
        let facts = failure.facts().iter().map(String::as_str).chain(failure.help());
        let facts: String = facts.map(|fact| format!("; {}", one_line(fact))).collect();
        self.say(index, &format!("{} failed: {}{facts}", one_line(name), one_line(failure.message())));
    }

    fn say(&self, index: usize, line: &str) {
        if !self.arguments.quiet {
            say(format_args!("[{}/{}] {line}", index + 1, self.jobs.len()));
        }
    }

    /// Makes the contact sheet of the pictures that are there; a job of several pictures has its first one on it.
    fn sheet(&self, matrix: &Matrix) -> Result<Option<PathBuf>, Failure> {
        let first = |outcome: &Outcome| match outcome {
            Outcome::Drawn(files) | Outcome::Kept(files) => {
                files.first().map(|written| self.arguments.out.join(&written.file))
            }
            Outcome::Failed(_) | Outcome::Left => None,
        };
        let pictures: Vec<_> = self.jobs.iter().map(|job| first(&job.outcome)).collect();
        if pictures.iter().all(Option::is_none) {
            return Ok(None);
        }
        let path = self.arguments.out.join(SHEET);
        output::write_file(&path, &sheet::draw(matrix, &pictures)?)?;
        Ok(Some(path))
    }

    /// The summary for people on stdout and for programs as JSON.
    fn conclude(self, interrupted: Option<&'static str>, sheet: Option<&Path>) -> Result<(Exit, Value), Failure> {
        let count = |is_so: fn(&Outcome) -> bool| self.jobs.iter().filter(|job| is_so(&job.outcome)).count();
        let drawn = count(|outcome| matches!(outcome, Outcome::Drawn(_)));
        let kept = count(|outcome| matches!(outcome, Outcome::Kept(_)));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let left = count(|outcome| matches!(outcome, Outcome::Left));
        let mut parts = vec![format!("{} drawn", units::count(drawn, "job"))];
        for (number, what) in [(kept, "already there"), (failed, "failed"), (left, "not begun")] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        let mut lines = vec![format!("{}: {}", output::shown(&self.arguments.out), parts.join(", "))];
        if let Some(sheet) = sheet {
            lines.push(format!("contact sheet: {}", output::shown(sheet)));
        }
        if let Some(by) = interrupted {
            lines.push(format!("cancelled: {by}; the same command continues"));
        } else if failed + left > 0 {
            lines.push("the same command draws what is missing".to_owned());
        }
        if !self.arguments.json {
            output::print(lines.join("\n") + "\n")?;
        }
        let mut failures = self.jobs.iter().filter_map(|job| match &job.outcome {
            Outcome::Failed(failure) => Some(failure.exit()),
            _ => None,
        });
        let exit = match interrupted {
            Some(_) => Exit::Cancelled,
            None => failures.next().unwrap_or(Exit::Ok),
        };
        let status = match exit {
            Exit::Ok => "completed",
            Exit::Cancelled => "cancelled",
            _ => "failed",
        };
        let jobs: Vec<Value> = self.jobs.iter().map(job_json).collect();
        let summary = json!({
            "status": status,
            "folder": self.arguments.out.display().to_string(),
            "drawn": drawn,
            "kept": kept,
            "failed": failed,
            "left": left,
            "sheet": sheet.map(|sheet| sheet.display().to_string()),
            "jobs": jobs,
        });
        Ok((exit, summary))
    }
}

fn job_json(Job { name, outcome, .. }: &Job) -> Value {
    match outcome {
        Outcome::Drawn(files) => json!({ "name": name, "status": "completed", "files": files }),
        Outcome::Kept(files) => json!({ "name": name, "status": "kept", "files": files }),
        Outcome::Left => json!({ "name": name, "status": "left" }),
        Outcome::Failed(failure) => {
            let mut object = failure.to_json();
            object["name"] = json!(name);
            object
        }
    }
}
