//! `sakuga jobs`: what a server keeps, and what can be done with it.

use clap::{Args, Subcommand};
use sakuga_client::Client;
use sakuga_client::json;
use sakuga_client::proto::generation::v1::{
    CancelJobRequest, DeleteJobRequest, GetJobRequest, Job, JobFilter, JobState, ListJobsRequest,
};
use tokio::runtime::Runtime;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::output;
use super::server::{self, ServerArguments};
use super::terminal::Terminal;

mod fetch;
pub mod text;
mod watch;

/// List, watch, cancel, fetch and delete the jobs that a server keeps
///
/// A job outlives the program that asked for it, and with a data folder the server that drew it.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub struct JobsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List jobs, the newest first
    List(ListArguments),
    /// Show one job
    Get(OneArguments),
    /// Follow a job's events, the past ones first, through broken connections
    Watch(watch::WatchArguments),
    /// Give a job up, at its next step if it runs
    Cancel(OneArguments),
    /// Delete a job that has ended, with its pictures
    Delete(OneArguments),
    /// Write the pictures of a completed job
    Fetch(fetch::FetchArguments),
}

/// One job.
#[derive(Debug, Args)]
struct OneArguments {
    /// The job's name, as `generate --json`, `jobs list` and the server's log give it
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

    /// Only jobs in this state; can be given several times
    #[arg(long, value_enum, value_name = "STATE")]
    state: Vec<State>,

    /// Only jobs with this request_id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Print each job as protobuf JSON on a line
    #[arg(long)]
    json: bool,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum State {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl State {
    fn to_wire(self) -> JobState {
        match self {
            Self::Queued => JobState::Queued,
            Self::Running => JobState::Running,
            Self::Completed => JobState::Completed,
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
        }
    }
}

/// Runs the command.
pub fn run(arguments: &JobsArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let runtime = server::runtime()?;
    match &arguments.action {
        Action::List(arguments) => list(&runtime, arguments),
        Action::Get(arguments) => {
            let job = runtime.block_on(async {
                let client = arguments.server.connect().await?;
                get(&client, &arguments.job_id).await
            })?;
            show(&job, arguments.json)
        }
        Action::Cancel(arguments) => {
            let job = runtime.block_on(async {
                let client = arguments.server.connect().await?;
                let call = CancelJobRequest { job_id: arguments.job_id.clone() };
                let answer = client.jobs().cancel_job(call).await;
                answer.map_err(|status| Failure::from(client.explain(&status)))
            })?;
            show(&job.into_inner().job.unwrap_or_default(), arguments.json)
        }
        Action::Delete(arguments) => {
            runtime.block_on(async {
                let client = arguments.server.connect().await?;
                let call = DeleteJobRequest { job_id: arguments.job_id.clone() };
                client.jobs().delete_job(call).await.map_err(|status| Failure::from(client.explain(&status)))
            })?;
            output::say(format_args!("deleted {}", super::render::plain(&arguments.job_id)));
            Ok(Exit::Ok)
        }
        Action::Watch(arguments) => watch::run(&runtime, arguments, terminal),
        Action::Fetch(arguments) => fetch::run(&runtime, arguments),
    }
}

async fn get(client: &Client, job_id: &str) -> Result<Job, Failure> {
    let answer = client.jobs().get_job(GetJobRequest { job_id: job_id.to_owned() }).await;
    let answer = answer.map_err(|status| Failure::from(client.explain(&status)))?;
    Ok(answer.into_inner().job.unwrap_or_default())
}

fn list(runtime: &Runtime, arguments: &ListArguments) -> Result<Exit, Failure> {
    let filter = JobFilter {
        states: arguments.state.iter().map(|state| state.to_wire().into()).collect(),
        request_id: arguments.request_id.clone().unwrap_or_default(),
        ..JobFilter::default()
    };
    let jobs = runtime.block_on(async {
        let client = arguments.server.connect().await?;
        let (mut jobs, mut page_token) = (Vec::new(), String::new());
        while jobs.len() < arguments.limit {
            let page_size = u32::try_from(arguments.limit - jobs.len()).unwrap_or(u32::MAX);
            let call = ListJobsRequest { filter: Some(filter.clone()), page_size, page_token };
            let page = client.jobs().list_jobs(call).await;
            let page = page.map_err(|status| Failure::from(client.explain(&status)))?.into_inner();
            jobs.extend(page.jobs);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok::<_, Failure>(jobs)
    })?;
    if arguments.json {
        for job in &jobs {
            print_json(job)?;
        }
        return Ok(Exit::Ok);
    }
    if jobs.is_empty() {
        output::say("no jobs");
        return Ok(Exit::Ok);
    }
    output::print(text::table(&jobs))?;
    Ok(Exit::Ok)
}

fn show(job: &Job, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        print_json(job)?
    } else {
        output::print(text::describe(job))?
    }
    Ok(Exit::Ok)
}

fn print_json(job: &Job) -> Result<(), Failure> {
    let unreadable = |error| Failure::new(Exit::Server, format_args!("the server's answer cannot be shown: {error}"));
    output::print(format_args!("{}\n", json::to_string(job).map_err(unreadable)?))
}
