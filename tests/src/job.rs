//! A job followed to its end, with everything that the server sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sakuga_client::{ClientError, Completed, EventKind, GenerationBuilder, kind_name};
use sakuga_proto::generation::v1::GenerateEvent;

/// Longer than any job of a test takes, on a loaded machine too.
const JOB_LIMIT: Duration = Duration::from_secs(300);

/// How a job went.
#[derive(Debug)]
pub struct Told {
    /// Every event, as it came over the wire.
    pub events: Vec<GenerateEvent>,
    /// The terminal event, or the error that stands for it.
    pub end: Result<EventKind, ClientError>,
}

impl Told {
    /// The pictures of a job that completed.
    ///
    /// # Panics
    ///
    /// It did not.
    #[track_caller]
    pub fn completed(&self) -> &Completed {
        match &self.end {
            Ok(EventKind::Completed(completed)) => completed,
            other => panic!("the job did not complete: {other:?}"),
        }
    }

    /// The names of the kinds of events that came.
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.events.iter().filter_map(|event| event.event.as_ref()).map(kind_name).collect()
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
pub async fn follow(request: GenerationBuilder) -> Result<Told, ClientError> {
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
    Ok(Told { events, end })
}
