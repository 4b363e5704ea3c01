//! `sakuga top`: a live view of a server.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as TerminalEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::exit::{self, Exit};
use super::failure::Failure;
use super::output;
use super::server::{self, ServerArguments};
use super::terminal::Terminal;
use feed::Channels;
use model::{Action, Model, Update};

mod feed;
mod halfblocks;
mod model;
mod snapshot;
mod view;

/// Updates that wait to be shown.
const BUFFERED: usize = 64;
/// Interval at which the key thread checks whether its receiver still exists.
const KEY_PERIOD: Duration = Duration::from_millis(100);
/// How long `--once` waits for its samples, and for more devices after the first.
const ONCE_TIMEOUT: Duration = Duration::from_secs(5);
const ONCE_DEVICES: Duration = Duration::from_millis(300);

const AFTER_HELP: &str = "\
Keys: q quits, the arrows select a job, c cancels it after a confirmation, p pauses the display.

A lost connection is restored. The running job is watched for its steps and, if it has them, previews; a job that would be \
cancelled without readers continues while it is watched.

--once needs no terminal: it prints one snapshot as plain text.";

/// Watch devices, memory, the running job and the queue of a server
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct TopArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Time between two samples, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interval: u64,

    /// Print one snapshot as plain text
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &TopArguments, _: &Terminal) -> Result<Exit, Failure> {
    if arguments.once {
        let model = server::runtime()?.block_on(collect(arguments))?;
        output::print(snapshot::text(&model))?;
        return Ok(Exit::Ok);
    }
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Failure::new(Exit::Unreadable, "`top` needs a terminal").with_help("use `sakuga top --once`"));
    }
    let runtime = server::runtime()?;
    // A failed connection is reported before the screen changes.
    let client = runtime.block_on(arguments.server.connect())?;
    let mut model = Model::new(client.address());
    drop(client);
    let unusable = |error| Failure::new(Exit::Unwritable, format_args!("the terminal cannot be used: {error}"));
    let mut screen = ratatui::try_init().map_err(unusable)?;
    let ended = runtime.block_on(show(arguments, &mut screen, &mut model));
    ratatui::restore();
    ended
}

/// Shows updates and handles keys until the user quits.
async fn show(arguments: &TopArguments, screen: &mut DefaultTerminal, model: &mut Model) -> Result<Exit, Failure> {
    let (updates, mut received) = mpsc::channel(BUFFERED);
    let (cancel, cancels) = mpsc::channel(BUFFERED);
    let feed = feed::run(&arguments.server, Duration::from_millis(arguments.interval), Channels { updates, cancels });
    let mut feed = std::pin::pin!(feed);
    let mut keys = keys()?;
    loop {
        let unusable = |error| Failure::new(Exit::Unwritable, format_args!("the terminal cannot be used: {error}"));
        screen.draw(|frame| view::draw(frame, model)).map_err(unusable)?;
        tokio::select! {
            ended = &mut feed => return ended.map(|()| Exit::Ok),
            update = received.recv() => {
                // All updates so far, before the next frame.
                let mut next = update;
                while let Some(update) = next {
                    model.apply(update);
                    next = received.try_recv().ok();
                }
            }
            key = keys.recv() => match key {
                Some(TerminalEvent::Key(key)) => match model.press(key) {
                    Action::None => {}
                    Action::Quit => return Ok(Exit::Ok),
                    // The queue holds more cancellations than a user types.
                    Action::Cancel(job_id) => _ = cancel.try_send(job_id),
                },
                // A new size, for the next frame.
                Some(_) => {}
                None => return Err(Failure::new(Exit::Unreadable, "the terminal is gone")),
            },
        }
    }
}

/// The events of the terminal, read by a thread that ends with the receiver.
fn keys() -> Result<mpsc::Receiver<TerminalEvent>, Failure> {
    let (sender, receiver) = mpsc::channel(BUFFERED);
    let read = move || {
        while !sender.is_closed() {
            let event = event::poll(KEY_PERIOD).and_then(|is_there| is_there.then(event::read).transpose());
            match event {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if sender.blocking_send(event).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    };
    let cannot = |error| Failure::new(Exit::Unreadable, format_args!("cannot start: {error}"));
    std::thread::Builder::new().name("keys".into()).spawn(read).map_err(cannot)?;
    Ok(receiver)
}

/// Collects one sample of each device, the activity and the jobs.
async fn collect(arguments: &TopArguments) -> Result<Model, Failure> {
    let client = arguments.server.connect().await?;
    let mut model = Model::new(client.address());
    let (updates, mut received) = mpsc::channel(BUFFERED);
    let (_cancel, cancels) = mpsc::channel(1);
    let feed = feed::run(&arguments.server, Duration::from_millis(arguments.interval), Channels { updates, cancels });
    let mut feed = std::pin::pin!(feed);
    let mut until = Instant::now() + ONCE_TIMEOUT;
    let (mut is_complete, mut has_jobs) = (false, false);
    loop {
        let update = tokio::select! {
            ended = &mut feed => return ended.map(|()| model),
            update = timeout_at(until, received.recv()) => update,
        };
        match update {
            Ok(Some(Update::Lost(reason))) => return Err(Failure::new(Exit::Connection, reason)),
            Ok(Some(update)) => {
                has_jobs |= matches!(update, Update::Jobs(_));
                model.apply(update);
            }
            Ok(None) | Err(_) if is_complete => return Ok(model),
            Ok(None) | Err(_) => {
                return Err(Failure::new(Exit::Server, "the server sends no samples").with_help("see its log"));
            }
        }
        if !is_complete && has_jobs && model.now().is_some() && !model.devices.is_empty() {
            is_complete = true;
            until = Instant::now() + ONCE_DEVICES;
        }
    }
}
