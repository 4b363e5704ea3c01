//! `sakuga jobs watch`: a job's events as they come.

use clap::Args;
use sakuga_client::EventKind;
use sakuga_client::proto::generation::v1::GenerateEvent;
use tokio::runtime::Runtime;

use crate::cli::event_log;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{self, say};
use crate::cli::progress::Progress;
use crate::cli::server::ServerArguments;
use crate::cli::terminal::Terminal;

/// What to watch.
#[derive(Debug, Args)]
pub struct WatchArguments {
    /// The job's name
    #[arg(value_name = "JOB")]
    job_id: String,

    #[command(flatten)]
    server: ServerArguments,

    /// Go on behind the event of this number, instead of from the first
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,

    /// Print each event as protobuf JSON on a line, as `generate --events` writes them
    #[arg(long)]
    json: bool,
}

/// Runs the command. Ending it leaves the job alone.
pub fn run(runtime: &Runtime, arguments: &WatchArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut progress = Progress::new(arguments.json, terminal);
    let exit = runtime.block_on(follow(arguments, &mut progress));
    progress.close();
    exit
}

async fn follow(arguments: &WatchArguments, progress: &mut Progress) -> Result<Exit, Failure> {
    let client = arguments.server.connect().await?;
    let mut events = client.watch(&arguments.job_id, arguments.after);
    if arguments.json {
        events = events.with_tap(print);
    }
    // Pieces of a picture that came before `--after` are not here; `jobs fetch` has them.
    events = events.without_pictures();
    while let Some(event) = events.next_event().await? {
        progress.show(&event);
        match event.kind {
            EventKind::Completed(_) => {
                if !arguments.json {
                    progress.close();
                    say(format_args!("completed; its pictures: sakuga jobs fetch {}", arguments.job_id));
                }
                return Ok(Exit::Ok);
            }
            EventKind::Cancelled(cancelled) => {
                progress.close();
                say(format_args!("cancelled after step {}: {}", cancelled.at_step, cancelled.reason.as_str()));
                return Ok(Exit::Cancelled);
            }
            _ => {}
        }
    }
    Ok(Exit::Ok)
}

fn print(event: &GenerateEvent) {
    let printed = event_log::to_line(event).map_err(|error| Failure::new(Exit::Server, error));
    if let Err(failure) = printed.and_then(|line| output::print(format_args!("{line}\n"))) {
        say(failure.message());
    }
}
