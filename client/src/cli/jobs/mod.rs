//! `sakuga jobs`: the jobs that a server keeps.

use clap::{Args, Subcommand};
use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{
    CancelJobRequest, DeleteJobRequest, GetJobRequest, Job, JobFilter, JobState, LabelJobRequest,
};
use sakuga_client::proto::text::one_line;
use tokio::runtime::Runtime;

use super::choice::Choice;
use super::clock;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::output;
use super::server::{self, ServerArguments, answer};
use super::terminal::Terminal;

mod fetch;
mod id;
mod pages;
pub(crate) mod text;
mod watch;

/// List, search, label, watch, cancel, fetch and delete the jobs that a server keeps
///
/// A job outlives the program that created it and, with a data folder, a restart of the server.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct JobsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List jobs, the newest first, or search them
    List(ListArguments),
    /// Show one job
    Get(OneArguments),
    /// Follow a job's events, past ones first, across lost connections
    Watch(watch::WatchArguments),
    /// Add and remove labels of a job, such as `favourite`
    Label(LabelArguments),
    /// Cancel a job, at its next step if it runs
    Cancel(OneArguments),
    /// Delete a job that has ended, with its pictures
    Delete(OneArguments),
    /// Write the pictures of a completed job
    Fetch(fetch::FetchArguments),
}

/// One job.
#[derive(Debug, Args)]
struct OneArguments {
    /// The job: its identifier, the beginning or end of one as `jobs list` prints it, or a request_id
    #[arg(value_name = "JOB")]
    job_id: String,

    #[command(flatten)]
    server: ServerArguments,

    /// Print the job as protobuf JSON (sakuga.generation.v1.Job)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Only jobs in this state; can be repeated
    #[arg(long, value_enum, value_name = "STATE")]
    state: Vec<Choice<JobState>>,

    /// Only jobs with this request_id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,

    /// Only jobs with these words in their prompt, request_id, model or labels, each anywhere
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,

    /// Only jobs with this label; repeated, only those with all of them
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,

    /// Only jobs of this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Only jobs accepted at this time or later: `2h` or `3days` ago, `2026-11-29`, or `2026-11-29 20:00`
    #[arg(long, value_name = "TIME", value_parser = clock::moment)]
    since: Option<prost_types::Timestamp>,

    /// Only jobs accepted before this time
    #[arg(long, value_name = "TIME", value_parser = clock::moment)]
    until: Option<prost_types::Timestamp>,

    /// Largest number of jobs to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Print each job as protobuf JSON on a line
    #[arg(long)]
    json: bool,
}

/// A job, and how its labels change.
#[derive(Debug, Args)]
struct LabelArguments {
    #[command(flatten)]
    job: OneArguments,

    /// A label that the job gets, at most 32 characters; can be repeated
    #[arg(long, value_name = "LABEL", required_unless_present = "remove")]
    add: Vec<String>,

    /// A label that the job loses; can be repeated
    #[arg(long, value_name = "LABEL")]
    remove: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(arguments: &JobsArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let runtime = server::runtime()?;
    match &arguments.action {
        Action::List(arguments) => list(&runtime, arguments),
        Action::Get(arguments) => {
            let job = runtime.block_on(async {
                let (client, job_id) = connect(&arguments.server, &arguments.job_id).await?;
                get(&client, job_id).await
            })?;
            show(&job, arguments.json)
        }
        Action::Label(LabelArguments { job, add, remove }) => {
            let labelled = runtime.block_on(async {
                let (client, job_id) = connect(&job.server, &job.job_id).await?;
                let call = LabelJobRequest { job_id, add: add.clone(), remove: remove.clone() };
                answer(&client, client.jobs().label_job(call)).await
            })?;
            show(&labelled.job.unwrap_or_default(), job.json)
        }
        Action::Cancel(arguments) => {
            let cancelled = runtime.block_on(async {
                let (client, job_id) = connect(&arguments.server, &arguments.job_id).await?;
                answer(&client, client.jobs().cancel_job(CancelJobRequest { job_id })).await
            })?;
            show(&cancelled.job.unwrap_or_default(), arguments.json)
        }
        Action::Delete(arguments) => {
            let job_id = runtime.block_on(async {
                let (client, job_id) = connect(&arguments.server, &arguments.job_id).await?;
                answer(&client, client.jobs().delete_job(DeleteJobRequest { job_id: job_id.clone() })).await?;
                Ok::<_, Failure>(job_id)
            })?;
            output::say(format_args!("deleted {}", one_line(&job_id)));
            Ok(Exit::Ok)
        }
        Action::Watch(arguments) => watch::run(&runtime, arguments, terminal),
        Action::Fetch(arguments) => fetch::run(&runtime, arguments),
    }
}

/// Connects, and finds the job that the user means.
async fn connect(server: &ServerArguments, job_id: &str) -> Result<(Client, String), Failure> {
    let client = server.connect().await?;
    let job_id = id::resolve(&client, job_id).await?;
    Ok((client, job_id))
}

async fn get(client: &Client, job_id: String) -> Result<Job, Failure> {
    Ok(answer(client, client.jobs().get_job(GetJobRequest { job_id })).await?.job.unwrap_or_default())
}

fn list(runtime: &Runtime, arguments: &ListArguments) -> Result<Exit, Failure> {
    let filter = JobFilter {
        states: arguments.state.iter().map(|state| state.value.into()).collect(),
        request_id: arguments.request_id.clone().unwrap_or_default(),
        text: arguments.query.clone().unwrap_or_default(),
        labels: arguments.label.clone(),
        model: arguments.model.clone().unwrap_or_default(),
        created_from: arguments.since,
        created_before: arguments.until,
        ..JobFilter::default()
    };
    let jobs = runtime.block_on(async {
        let client = arguments.server.connect().await?;
        pages::list(&client, &filter, arguments.limit).await
    })?;
    if arguments.json {
        for job in &jobs {
            output::print_message(job)?;
        }
        return Ok(Exit::Ok);
    }
    if jobs.is_empty() {
        output::say("no jobs");
        return Ok(Exit::Ok);
    }
    output::print(text::list(&jobs, &id::short(&jobs)))?;
    Ok(Exit::Ok)
}

fn show(job: &Job, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        output::print_message(job)?
    } else {
        output::print(text::describe(job))?
    }
    Ok(Exit::Ok)
}
