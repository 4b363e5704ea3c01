//! `sakuga generate`: from a prompt to pictures, through a server.

mod adapter;
mod arguments;
mod compose;
mod control;
mod expansion;
mod facts;
mod images;
mod inherited;
mod interruption;
mod many;
mod origin;
mod preview;
mod results;
mod sampling;
mod scene_file;
mod session;
mod setting;
mod shown;
pub(crate) mod step_cache;
mod summary;
mod texts;
mod variations;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sakuga_client::Resume;
use sakuga_client::proto::generation::v1 as wire;
use serde_json::{Value, json};

use super::estimated_time;
use super::event_log::EventLog;
use super::exit::Exit;
use super::failure::Failure;
use super::output;
use super::server::{self, ServerArguments};
use super::terminal::Terminal;
pub(crate) use arguments::GenerateArguments;
use compose::{Base, Composed, Refusal};
use expansion::Expander;
use interruption::interruption;
use preview::InlinePictures;
pub(crate) use scene_file::{PassTexts, SceneFile};
use session::{Ending, Session};
use texts::Texts;

/// How long CancelJob may take after an interruption.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) fn run(arguments: &GenerateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let result = match arguments.many.are_wanted(&arguments.expand) {
        true => many::run(arguments, terminal),
        false => compose_and_draw(arguments, terminal),
    };
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
    let base = Base::read(arguments, inline.is_some())?;
    let texts = texts(arguments)?;
    let composed = match compose::compose(arguments, &base, texts, terminal)? {
        Ok(composed) => composed,
        Err(refusal) => return Ok((Exit::Invalid, refusal_json(&refusal))),
    };
    check_results(arguments, &results::files(&arguments.out, &composed.request))?;
    let events = arguments.events.as_deref().map(EventLog::create).transpose()?;
    let mut session = Session::new(arguments, &composed, inline, events.clone(), terminal)?;
    let runtime = server::runtime()?;
    let ending = runtime.block_on(draw(arguments, &composed, events, &mut session));
    session.close();
    let ending = ending?;
    session.conclude(ending, arguments, &composed, terminal)
}

/// The request of the arguments, or what is wrong with the prompt as JSON. Nothing is sent.
pub(crate) fn request(
    arguments: &GenerateArguments,
    terminal: &Terminal,
) -> Result<Result<wire::GenerateRequest, Value>, Failure> {
    if arguments.many.are_wanted(&arguments.expand) {
        let text = "--batch, --matrix and --expand=N make several jobs, and an estimate is of one";
        return Err(Failure::new(Exit::Unreadable, text).with_help("estimate one of them alone"));
    }
    let base = Base::read(arguments, false)?;
    let texts = texts(arguments)?;
    let composed = compose::compose(arguments, &base, texts, terminal)?;
    Ok(composed.map(|composed| composed.request).map_err(|refusal| refusal_json(&refusal)))
}

/// Reads the texts of the arguments; with `--expand`, one choice of their alternatives.
fn texts(arguments: &GenerateArguments) -> Result<Texts, Failure> {
    let texts = Texts::read(arguments)?;
    if arguments.expand.expand.is_none() {
        return Ok(texts);
    }
    let seed = expansion::given_seed(arguments).unwrap_or_else(expansion::random_seed);
    Expander::new(arguments.expand.wildcards.as_deref(), seed)?.expand(&texts, 0)
}

/// Fails if a picture or the events cannot be written, or would replace what was read, or each other.
fn check_results(arguments: &GenerateArguments, pictures: &[PathBuf]) -> Result<(), Failure> {
    let texts = [("the prompt", arguments.file.as_deref()), ("--negative", arguments.negative.as_deref())];
    let texts = texts.into_iter().filter_map(|(name, path)| Some((name, path?)));
    let texts: Vec<(&str, &Path)> = texts.chain(arguments.images.files()).collect();
    for picture in pictures {
        output::check_apart(&[("--out", picture)], &texts)?;
    }
    output::check_pictures(&arguments.out, pictures)?;
    let Some(events) = arguments.events.as_deref() else { return Ok(()) };
    output::check_is_file(events, "--events")?;
    // A picture may be drawn again over itself; events may not be written over it.
    let pictures = pictures.iter().map(|picture| ("--out", picture.as_path()));
    let origin = arguments.from.as_deref().map(|path| ("--from", path));
    output::check_apart(&[("--events", events)], &texts.into_iter().chain(pictures).chain(origin).collect::<Vec<_>>())
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
        generation = generation.priority(arguments.priority()).placement(arguments.placement());
        if let Some(timeout) = arguments.timeout {
            generation = generation.deadline(timeout);
        }
        if let Some(events) = events {
            generation = generation.tap(move |event| events.record(event));
        }
        let mut generation = generation.start_resuming(Resume::default()).await?;
        // Only for people; scripts use `sakuga estimate --json`.
        let mut wants_hint = session.is_watched();
        while let Some(event) = generation.next_event().await? {
            if std::mem::take(&mut wants_hint)
                && let Some(hint) = estimated_time::hint(&client, &event.job_id).await
            {
                session.note(&hint);
            }
            if let Some(ending) = session.take(event)? {
                return Ok(ending);
            }
        }
        // `Generation` ends with a terminal event or an error; this is for a change of that.
        Err(Failure::new(Exit::Server, "the server ended the stream without a terminal event"))
    };
    let interrupted = tokio::select! {
        biased;
        signal = interruption() => signal,
        ending = follow => return ending,
    };
    // Dropping the stream cancels the job too, but this process ends before that call does.
    if !session.facts.job_id.is_empty() {
        cancel(&arguments.server, &session.facts.job_id).await;
    }
    Ok(Ending::Interrupted(interrupted))
}

/// Cancels a job. If this fails, the server cancels the job once its last reader has been gone for a while.
async fn cancel(server: &ServerArguments, job_id: &str) {
    let cancel = async {
        let client = server.connect().await.ok()?;
        client.jobs().cancel_job(wire::CancelJobRequest { job_id: job_id.to_owned() }).await.ok()
    };
    let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancel).await;
}

fn refusal_json(refusal: &Refusal) -> Value {
    let message = "the prompt is not valid; nothing was sent";
    json!({ "status": "invalid", "message": message, "diagnostics": refusal.diagnostics })
}
