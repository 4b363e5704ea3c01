//! A job followed to its end, with everything that the server sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sakuga_client::{ClientError, Completed, EventKind, GenerationBuilder};
use sakuga_proto::generation::v1::{GenerateEvent, generate_event};

/// Longer than any job of a test takes, on a loaded machine too.
const JOB_LIMIT: Duration = Duration::from_secs(300);

/// A job that has ended.
#[derive(Debug)]
pub struct Run {
    /// Every event, as the server sent it.
    pub events: Vec<GenerateEvent>,
    /// The terminal event, or the error in its place.
    pub end: Result<EventKind, ClientError>,
}

impl Run {
    /// The pictures of a job that completed.
    ///
    /// # Panics
    ///
    /// The job did not complete.
    #[track_caller]
    pub fn completed(&self) -> &Completed {
        match &self.end {
            Ok(EventKind::Completed(completed)) => completed,
            other => panic!("the job did not complete: {other:?}"),
        }
    }

    /// The names of the kinds of events that came.
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.events.iter().filter_map(|event| event.event.as_ref()).map(generate_event::Event::kind_name).collect()
    }
}

/// Sends the request and reads its events to the end.
///
/// # Errors
///
/// The server refuses the request.
///
/// # Panics
///
/// The job has not ended after minutes.
pub async fn follow(request: GenerationBuilder) -> Result<Run, ClientError> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tap = Arc::clone(&seen);
    let request = request.tap(move |event| tap.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone()));
    let mut generation = request.start().await?;
    let to_the_end = async {
        loop {
            match generation.next_event().await {
                Ok(Some(event)) if event.kind.is_terminal() => return Ok(event.kind),
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a terminal event"),
                Err(error) => return Err(error),
            }
        }
    };
    let end = tokio::time::timeout(JOB_LIMIT, to_the_end).await.expect("the job ends");
    drop(generation);
    let events = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Run { events, end })
}
