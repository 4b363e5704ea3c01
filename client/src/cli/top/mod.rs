//! `sakuga top`: what a server does, live.

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
use feed::Lines;
use model::{Action, Model, Update};

mod feed;
mod halfblocks;
mod model;
mod snapshot;
mod view;

/// News that waits to be shown.
const BUFFERED: usize = 64;
/// How long the thread of the keys waits before it looks whether anybody wants them.
const KEY_PERIOD: Duration = Duration::from_millis(100);
/// How long `--once` waits for its figures, and for more devices behind the first.
const ONCE_PATIENCE: Duration = Duration::from_secs(5);
const ONCE_DEVICES: Duration = Duration::from_millis(300);

const AFTER_HELP: &str = "\
Keys: q ends, the arrows choose a job, c gives it up after a question, p holds the display.

A connection that breaks is made again. The job that has the device is watched for its steps and previews, if it has \
asked for previews; a job that is to end with its last reader goes on while it is watched.

--once needs no terminal: it prints one look as plain text.";

/// Watch devices, memory, the running job and the queue of a server
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub struct TopArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Time between two samples, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interval: u64,

    /// Print one look as plain text and end
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub fn run(arguments: &TopArguments, _: &Terminal) -> Result<Exit, Failure> {
    if arguments.once {
        let model = server::runtime()?.block_on(look(arguments))?;
        output::print(snapshot::text(&model))?;
        return Ok(Exit::Ok);
    }
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Failure::new(Exit::Unreadable, "`top` needs a terminal").with_help("use `sakuga top --once`"));
    }
    let runtime = server::runtime()?;
    // What cannot be reached is told before the screen changes.
    let client = runtime.block_on(arguments.server.connect())?;
    let mut model = Model::new(client.address());
    drop(client);
    let unusable = |error| Failure::new(Exit::Unwritable, format_args!("the terminal cannot be used: {error}"));
    let mut screen = ratatui::try_init().map_err(unusable)?;
    let ended = runtime.block_on(show(arguments, &mut screen, &mut model));
    ratatui::restore();
    ended
}

/// Shows news and takes keys until the user ends it.
async fn show(arguments: &TopArguments, screen: &mut DefaultTerminal, model: &mut Model) -> Result<Exit, Failure> {
    let (updates, mut news) = mpsc::channel(BUFFERED);
    let (give_up, cancels) = mpsc::channel(BUFFERED);
    let feed = feed::run(&arguments.server, Duration::from_millis(arguments.interval), Lines { updates, cancels });
    let mut feed = std::pin::pin!(feed);
    let mut keys = keys()?;
    loop {
        let unusable = |error| Failure::new(Exit::Unwritable, format_args!("the terminal cannot be used: {error}"));
        screen.draw(|frame| view::draw(frame, model)).map_err(unusable)?;
        tokio::select! {
            ended = &mut feed => return ended.map(|()| Exit::Ok),
            update = news.recv() => {
                // All that has come, before the next drawing.
                let mut next = update;
                while let Some(update) = next {
                    model.apply(update);
                    next = news.try_recv().ok();
                }
            }
            key = keys.recv() => match key {
                Some(TerminalEvent::Key(key)) => match model.press(key) {
                    Action::None => {}
                    Action::Quit => return Ok(Exit::Ok),
                    // A queue that is full holds more orders than anybody gives.
                    Action::Cancel(job_id) => _ = give_up.try_send(job_id),
                },
                // Another size; it is drawn anew.
                Some(_) => {}
                None => return Err(Failure::new(Exit::Unreadable, "the terminal is gone")),
            },
        }
    }
}

/// What the terminal tells, read on a thread of its own that ends with the receiver.
fn keys() -> Result<mpsc::Receiver<TerminalEvent>, Failure> {
    let (sender, receiver) = mpsc::channel(BUFFERED);
    let read = move || {
        while !sender.is_closed() {
            let told = event::poll(KEY_PERIOD).and_then(|is_there| is_there.then(event::read).transpose());
            match told {
                Ok(None) => {}
                Ok(Some(told)) => {
                    if sender.blocking_send(told).is_err() {
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

/// Gathers one sample of each device, the activity and the jobs.
async fn look(arguments: &TopArguments) -> Result<Model, Failure> {
    let client = arguments.server.connect().await?;
    let mut model = Model::new(client.address());
    let (updates, mut news) = mpsc::channel(BUFFERED);
    let (_give_up, cancels) = mpsc::channel(1);
    let feed = feed::run(&arguments.server, Duration::from_millis(arguments.interval), Lines { updates, cancels });
    let mut feed = std::pin::pin!(feed);
    let mut until = Instant::now() + ONCE_PATIENCE;
    let (mut is_complete, mut has_jobs) = (false, false);
    loop {
        let update = tokio::select! {
            ended = &mut feed => return ended.map(|()| model),
            update = timeout_at(until, news.recv()) => update,
        };
        match update {
            Ok(Some(Update::Lost(reason))) => return Err(Failure::new(Exit::Connection, reason)),
            Ok(Some(update)) => {
                has_jobs |= matches!(update, Update::Jobs(_));
                model.apply(update);
            }
            Ok(None) | Err(_) if is_complete => return Ok(model),
            Ok(None) | Err(_) => {
                return Err(Failure::new(Exit::Server, "the server tells no figures").with_help("look at its log"));
            }
        }
        if !is_complete && has_jobs && model.now().is_some() && !model.devices.is_empty() {
            is_complete = true;
            until = Instant::now() + ONCE_DEVICES;
        }
    }
}
