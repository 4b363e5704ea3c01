//! Creates a job, stops reading after the first step, and watches the rest over a new connection.
//!
//! The same works in another process: it needs the job's identifier and the number of the last event.
//!
//! ```sh
//! cargo run --locked -p sakuga-client --example resume
//! ```

use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::{CreateJobRequest, GenerateRequest};
use sakuga_client::{Client, DEFAULT_ADDRESS, EventKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("SAKUGA_SERVER").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;
    let request = GenerateRequest { prompt: Some(Prompt::Xml("1girl, solo".to_owned())), ..Default::default() };
    let call = CreateJobRequest { request: Some(request), options: None };
    let created = client.jobs().create_job(call).await.map_err(|status| client.explain(&status))?;
    let job_id = created.into_inner().job.unwrap_or_default().job_id;

    let mut last = None;
    let mut events = client.watch(&job_id, None);
    while let Some(event) = events.next_event().await? {
        last = Some(event.sequence);
        if matches!(event.kind, EventKind::Step(_)) {
            break;
        }
    }
    // As if the connection were lost. The job continues.
    drop((events, client));

    let client = Client::connect(&address).await?;
    let mut events = client.watch(&job_id, last).without_pictures();
    while let Some(event) = events.next_event().await? {
        println!("event {} of job {job_id}: {}", event.sequence, name(&event.kind));
    }
    println!("get the pictures with: sakuga jobs fetch {job_id}");
    Ok(())
}

fn name(kind: &EventKind) -> String {
    match kind {
        EventKind::Step(step) => format!("step {} of {}", step.index, step.total),
        EventKind::Completed(_) => "completed".to_owned(),
        EventKind::Cancelled(cancelled) => format!("cancelled after step {}", cancelled.at_step),
        _ => "other".to_owned(),
    }
}
