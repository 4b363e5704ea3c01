//! `sakuga jobs watch`: a job's events as they arrive.

use clap::Args;
use sakuga_client::proto::generation::v1::GenerateEvent;
use sakuga_client::proto::text::one_line;
use sakuga_client::{EventKind, cancel_reason};
use tokio::runtime::Runtime;

use crate::cli::event_log;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{self, say};
use crate::cli::progress::Progress;
use crate::cli::server::ServerArguments;
use crate::cli::terminal::Terminal;

/// Which job to follow, and from where.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// The job, as for `jobs get`
    #[arg(value_name = "JOB")]
    job_id: String,

    #[command(flatten)]
    server: ServerArguments,

    /// Start after the event with this number, instead of at the first
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,

    /// Print each event as protobuf JSON on a line, as `generate --events` writes them
    #[arg(long)]
    json: bool,
}

/// Runs the command. The job continues if the command ends early.
pub(crate) fn run(runtime: &Runtime, arguments: &WatchArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut progress = Progress::new(arguments.json, terminal);
    let exit = runtime.block_on(follow(arguments, &mut progress));
    progress.close();
    exit
}

async fn follow(arguments: &WatchArguments, progress: &mut Progress) -> Result<Exit, Failure> {
    let (client, job_id) = super::connect(&arguments.server, &arguments.job_id).await?;
    let mut events = client.watch(&job_id, arguments.after);
    if arguments.json {
        events = events.with_tap(print);
    }
    // With `--after`, earlier pieces of a picture are missing; `jobs fetch` gets whole pictures.
    events = events.without_pictures();
    while let Some(event) = events.next_event().await? {
        progress.show(&event);
        match event.kind {
            EventKind::Completed(_) => {
                if !arguments.json {
                    progress.close();
                    say(format_args!("completed; get its pictures with: sakuga jobs fetch {}", one_line(&job_id)));
                }
                return Ok(Exit::Ok);
            }
            EventKind::Cancelled(cancelled) => {
                progress.close();
                let reason = cancel_reason(cancelled.reason());
                say(format_args!("cancelled after step {}: {reason}", cancelled.at_step));
                return Ok(Exit::Cancelled);
            }
            _ => {}
        }
    }
    Ok(Exit::Ok)
}

fn print(event: &GenerateEvent) {
    let printed = event_log::to_line(event).map_err(|error| Failure::new(Exit::Server, error));
    if let Err(failure) = printed.and_then(|line| output::print_json_text(&line)) {
        say(failure.message());
    }
}
