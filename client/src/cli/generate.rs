//! `sakuga generate`: from a prompt to pictures, through a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sakuga_client::Resume;
use sakuga_client::proto::generation::v1 as wire;
use serde_json::{Value, json};

use super::check::CheckArguments;
use super::compose::{self, Composed, Refusal};
use super::event_log::EventLog;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::output;
use super::preview::InlinePictures;
use super::server::{self, ServerArguments};
use super::session::{Ending, Session};
use super::terminal::Terminal;

/// How long a server may take to hear that a job is given up.
const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

const AFTER_HELP: &str = "\
The prompt is checked on this machine before the server is asked, as `sakuga validate` does.

Several pictures are written to OUT with -0, -1, ... before the extension. A picture appears under its name only when \
it is complete and its checksum is right; one that was there before is replaced.

Ctrl-C cancels the job at its next step. Nothing is written then but previews and events. A connection that breaks, or a \
server that is restarted, is waited for up to a minute, and the job goes on where it was.

--events writes each event as one line of protobuf JSON (sakuga.generation.v1.GenerateEvent) while it happens. The \
bytes of previews and pictures are not in it; the line says in `data` how many they were and their SHA-256.

--json prints one JSON object when the job is over; its `status` is `completed`, `cancelled`, `failed`, or `invalid` \
with the diagnostics of `sakuga validate --json`.

--profile asks the server to measure the operations of the networks: how long, what rate, and what share of the rate that \
the device reaches at its best. With --json they are in `profiles`, each as protobuf JSON (sakuga.generation.v1.Profile).";

/// Draw pictures
///
/// Sends a prompt to a server, shows the progress, and writes the pictures as PNG files. Each carries the request that
/// made it: `sakuga show` prints it, and --from sends it again.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub struct GenerateArguments {
    /// The prompt; `-` for stdin
    #[arg(value_name = "FILE", required_unless_present = "from")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub server: ServerArguments,

    /// Where to write the picture
    #[arg(long, short, value_name = "PNG")]
    pub out: PathBuf,

    /// Send the request that this picture carries; other arguments change parts of it
    #[arg(long, value_name = "FILE.png")]
    pub from: Option<PathBuf>,

    /// What the picture must not be: a negative prompt, as XML or plain tags
    #[arg(long, value_name = "FILE")]
    pub negative: Option<PathBuf>,

    /// Start of the noise; the server draws one if it is left out
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Size in pixels, multiples of 16 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = Size::parse)]
    pub size: Option<Size>,

    /// How many pictures, each from its own noise [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub images: Option<u32>,

    /// The model, as `sakuga info` lists it [default: the server's]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// What the text encoder reads before the prompt; empty for nothing [default: the model's]
    #[arg(long, value_name = "TEXT")]
    pub system_prompt: Option<String>,

    /// How long the job may take, waiting included: `90s`, `5min`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,

    #[command(flatten)]
    pub check: CheckArguments,

    #[command(flatten)]
    pub sampling: SamplingArguments,

    #[command(flatten)]
    pub previews: PreviewArguments,

    /// Write every event to this file, one line of JSON each
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    pub events: Option<PathBuf>,

    /// Measure on the device where the time goes, and print a table at the end; the picture is the same
    #[arg(long, help_heading = "Output")]
    pub profile: bool,

    /// Print one JSON object to stdout when the job is over
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Show no progress and no warnings
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

/// How the latents are integrated.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArguments {
    /// Intervals from noise to picture [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,

    /// The solver [default: the model's]
    #[arg(long, value_enum, value_name = "NAME")]
    pub solver: Option<Solver>,

    /// Scale of classifier-free guidance; 1 is none [default: the model's]
    #[arg(long, value_name = "F", value_parser = finite)]
    pub guidance: Option<f32>,

    /// Guide only while t (0 is noise, 1 the picture) is below this [default: the model's]
    #[arg(long, value_name = "T", value_parser = finite)]
    pub guidance_until: Option<f32>,

    /// Bound the guided velocity's norm to this multiple of the conditional one's; 0 for off [default: the
    /// model's]
    #[arg(long, value_name = "F", value_parser = finite)]
    pub guidance_renorm: Option<f32>,

    /// Time shift: larger values spend more steps on the composition [default: the model's]
    #[arg(long, value_name = "F", value_parser = finite)]
    pub shift: Option<f32>,
}

impl SamplingArguments {
    /// Whether any of them is there.
    pub fn is_given(&self) -> bool {
        self.steps.is_some()
            || self.solver.is_some()
            || self.guidance.is_some()
            || self.guidance_until.is_some()
            || self.guidance_renorm.is_some()
            || self.shift.is_some()
    }
}

/// What to see on the way.
#[derive(Debug, Args)]
#[command(next_help_heading = "Previews")]
pub struct PreviewArguments {
    /// How previews are made [default: linear if there is a place to show them, else
    /// none]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub preview: Option<PreviewMethod>,

    /// Write previews into this directory, as image0_step012.jpg
    #[arg(long, value_name = "DIR")]
    pub preview_dir: Option<PathBuf>,

    /// How previews are encoded [default: jpeg]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub preview_format: Option<PreviewFormat>,

    /// The longer edge of a preview at the most, in pixels, 16 to 2048 [default: 512]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=2048))]
    pub preview_max_edge: Option<u32>,

    /// A preview after every so many steps [default: 1]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..))]
    pub preview_every: Option<u32>,

    /// Show no pictures in the terminal, even if it can (kitty, iTerm2, sixel)
    #[arg(long)]
    pub no_inline: bool,
}

/// The solvers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Solver {
    /// One evaluation a step.
    Euler,
    /// Two evaluations a step.
    Midpoint,
    /// Four evaluations a step.
    Rk4,
    /// DPM-Solver++ multistep of order 2: one evaluation a step.
    Dpm,
}

impl Solver {
    /// The solver on the wire.
    pub fn to_wire(self) -> wire::Solver {
        match self {
            Self::Euler => wire::Solver::Euler,
            Self::Midpoint => wire::Solver::Midpoint,
            Self::Rk4 => wire::Solver::Rk4,
            Self::Dpm => wire::Solver::Dpm,
        }
    }
}

/// How previews are made.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PreviewMethod {
    /// No previews.
    None,
    /// A linear map of the latents: an eighth of the size, next to free.
    Linear,
    /// The tiny decoder if the model has one, else the full one.
    Decoder,
}

impl PreviewMethod {
    /// The method on the wire.
    pub fn to_wire(self) -> wire::PreviewMethod {
        match self {
            Self::None => wire::PreviewMethod::None,
            Self::Linear => wire::PreviewMethod::Linear,
            Self::Decoder => wire::PreviewMethod::Decoder,
        }
    }
}

/// How previews are encoded.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PreviewFormat {
    /// Quality 85.
    Jpeg,
    /// Without loss.
    Png,
    /// Without loss.
    Webp,
}

impl PreviewFormat {
    /// The format on the wire.
    pub fn to_wire(self) -> wire::ImageFormat {
        match self {
            Self::Jpeg => wire::ImageFormat::Jpeg,
            Self::Png => wire::ImageFormat::Png,
            Self::Webp => wire::ImageFormat::Webp,
        }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
}

impl Size {
    /// Reads `1024x1536`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("write width and height in pixels, such as `1024x1536`, not `{text}`");
        let (width, height) = text.split_once(['x', 'X', '×']).ok_or_else(wrong)?;
        let edge = |edge: &str| edge.trim().parse::<u32>().map_err(|_| wrong());
        let size = Self { width_px: edge(width)?, height_px: edge(height)? };
        for edge in [size.width_px, size.height_px] {
            if edge == 0 || edge % 16 != 0 {
                let (below, above) = (edge / 16 * 16, (edge / 16).saturating_add(1).saturating_mul(16));
                let near = if below == 0 { above.to_string() } else { format!("{below} or {above}") };
                return Err(format!("{edge} is not a multiple of 16; take {near}"));
            }
        }
        Ok(size)
    }
}

fn finite(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if number.is_finite() { Ok(number) } else { Err(format!("`{text}` is not a finite number")) }
}

/// Runs the command.
pub fn run(arguments: &GenerateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let result = compose_and_draw(arguments, terminal);
    if !arguments.json {
        return result.map(|(exit, _)| exit);
    }
    match result {
        Ok((exit, summary)) => output::print_json(&summary).map(|()| exit),
        Err(failure) => {
            output::print_json(&failure.to_json())?;
            Err(failure)
        }
    }
}

fn compose_and_draw(arguments: &GenerateArguments, terminal: &Terminal) -> Result<(Exit, Value), Failure> {
    let may_show = !(arguments.previews.no_inline || arguments.json || arguments.quiet);
    let inline = if may_show { InlinePictures::detect() } else { None };
    let composed = match compose::compose(arguments, inline.is_some(), terminal)? {
        Ok(composed) => composed,
        Err(refusal) => return Ok((Exit::Invalid, refusal_json(&refusal))),
    };
    output::check_writable(&arguments.out)?;
    let events = arguments.events.as_deref().map(EventLog::create).transpose()?;
    let mut session = Session::new(arguments, &composed, inline, events.clone(), terminal)?;
    let runtime = server::runtime()?;
    let ending = runtime.block_on(draw(arguments, &composed, events, &mut session));
    session.close();
    let ending = ending?;
    session.conclude(ending, arguments, &composed, terminal)
}

async fn draw(
    arguments: &GenerateArguments,
    composed: &Composed,
    events: Option<EventLog>,
    session: &mut Session,
) -> Result<Ending, Failure> {
    let follow = async {
        let client = arguments.server.connect().await?;
        let mut generation = client.generation().request(composed.request.clone());
        if let Some(timeout) = arguments.timeout {
            generation = generation.deadline(timeout);
        }
        if let Some(events) = events {
            generation = generation.tap(move |event| events.record(event));
        }
        let mut generation = generation.start_resuming(Resume::default()).await?;
        while let Some(event) = generation.next_event().await? {
            if let Some(ending) = session.take(event)? {
                return Ok(ending);
            }
        }
        // The stream tells its end or its error; this is for a change of that promise.
        Err(Failure::new(Exit::Server, "the server ended the stream without saying how the job ended"))
    };
    let interrupted = tokio::select! {
        biased;
        signal = interruption() => signal,
        ending = follow => return ending,
    };
    // The stream is dropped, and that cancels the job; a server that keeps jobs is told, too.
    if !session.facts.job_id.is_empty() {
        give_up(&arguments.server, &session.facts.job_id).await;
    }
    Ok(Ending::Interrupted(interrupted))
}

/// Cancels a job, if the server can be told in time; else it finds out by itself.
async fn give_up(server: &ServerArguments, job_id: &str) {
    let cancel = async {
        let client = server.connect().await.ok()?;
        client.jobs().cancel_job(wire::CancelJobRequest { job_id: job_id.to_owned() }).await.ok()
    };
    let _ = tokio::time::timeout(CANCEL_PATIENCE, cancel).await;
}

/// Waits until the user or the system wants the program to end, and says how.
async fn interruption() -> &'static str {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
            };
        }
    }
    // Without a handler the system ends the program by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    "Ctrl-C"
}

fn refusal_json(refusal: &Refusal) -> Value {
    let diagnostics: Vec<_> = refusal.outcomes.iter().flat_map(|outcome| &outcome.diagnostics).collect();
    json!({ "status": "invalid", "message": "the prompt is not valid; nothing was sent", "diagnostics": diagnostics })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_width_and_height() {
        assert_eq!(Size::parse("1024x1536"), Ok(Size { width_px: 1024, height_px: 1536 }));
        assert_eq!(Size::parse("16 × 32"), Ok(Size { width_px: 16, height_px: 32 }));
        for (text, part) in [
            ("1024", "such as `1024x1536`"),
            ("ax16", "such as `1024x1536`"),
            ("1000x1024", "take 992 or 1008"),
            ("0x16", "take 16"),
            ("4294967295x16", "not a multiple of 16"),
        ] {
            let message = Size::parse(text).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(finite("5.5"), Ok(5.5));
        assert!(finite("NaN").is_err() && finite("inf").is_err() && finite("x").is_err());
    }
}
