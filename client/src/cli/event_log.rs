//! The events of a job as lines of JSON, written as they arrive.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::GenerateEvent;
use sakuga_client::proto::generation::v1::generate_event::Event;
use sakuga_client::proto::json;
use serde::Serialize;

use super::failure::Failure;
use super::{output, replace, units};

/// The most bytes of a log, so that a server cannot fill the disk.
const MAX_BYTES: u64 = 1 << 30;

/// One line: the event as canonical protobuf JSON, with the size and SHA-256 of a picture's bytes in their place.
#[derive(Serialize)]
struct Line {
    /// The number of the first event, 0, which canonical JSON leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<&'static str>,
    #[serde(flatten)]
    event: json::Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Serialize)]
struct Data {
    bytes: usize,
    sha256: String,
}

/// A file of events. Clones write to the same file.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    writer: LineWriter<File>,
    path: PathBuf,
    lines: u64,
    bytes: u64,
    error: Option<String>,
}

impl EventLog {
    /// Creates the file, or empties a regular one.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        output::create_parent(path)?;
        let file = replace::create(path).map_err(|error| Failure::unwritable(path, error))?;
        let state = State { writer: LineWriter::new(file), path: path.to_owned(), lines: 0, bytes: 0, error: None };
        Ok(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// Writes an event. An error is kept for [`EventLog::check`].
    pub(crate) fn record(&self, event: &GenerateEvent) {
        let mut state = self.lock();
        if state.error.is_some() {
            return;
        }
        let written = to_line(event).and_then(|line| {
            state.bytes = state.bytes.saturating_add(line.len() as u64 + 1);
            if state.bytes > MAX_BYTES {
                return Err(format!("the server sent more than {} of events", units::bytes(MAX_BYTES)));
            }
            writeln!(state.writer, "{line}").map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => state.lines += 1,
            Err(error) => state.error = Some(error),
        }
    }

    /// Fails if an event could not be written.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let state = self.lock();
        state.error.as_ref().map_or(Ok(()), |error| Err(Failure::unwritable(&state.path, error)))
    }

    /// The path and the number of lines.
    pub(crate) fn summary(&self) -> (PathBuf, u64) {
        let state = self.lock();
        (state.path.clone(), state.lines)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event as one line of JSON.
pub(crate) fn to_line(event: &GenerateEvent) -> Result<String, String> {
    let mut event = event.clone();
    let bytes = match &mut event.event {
        Some(Event::Preview(preview)) => Some(std::mem::take(&mut preview.data)),
        Some(Event::ImageChunk(chunk)) => Some(std::mem::take(&mut chunk.data)),
        _ => None,
    };
    let data = bytes.map(|bytes| Data { bytes: bytes.len(), sha256: sha256_hex(&bytes) });
    let described = json::dynamic(&event).map_err(|error| error.to_string())?;
    let sequence = (event.sequence == 0).then_some("0");
    match serde_json::to_string(&Line { sequence, event: described, data }) {
        Ok(line) => Ok(output::escape_json(&line)),
        // Details of an error can have a type without a descriptor here. The event is written without them.
        Err(_) => {
            if let Some(Event::Failed(status)) = &mut event.event {
                status.details.clear();
            }
            json::to_string(&event).map(|line| output::escape_json(&line)).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_client::proto::generation::v1::{Preview, Step};

    #[test]
    fn steps_are_protobuf_json() {
        let step = Step { index: 3, total: 28, t: 0.1, ..Step::default() };
        let event = GenerateEvent { sequence: 9, event: Some(Event::Step(step)), ..GenerateEvent::default() };
        assert_eq!(to_line(&event).unwrap(), r#"{"sequence":"9","step":{"index":3,"total":28,"t":0.1}}"#);
    }

    #[test]
    fn pictures_are_named_and_not_written_out() {
        let preview = Preview { step: 3, data: vec![7; 5000].into(), ..Preview::default() };
        let event = GenerateEvent { event: Some(Event::Preview(preview)), ..GenerateEvent::default() };
        let line = to_line(&event).unwrap();
        let expected = format!(
            r#"{{"sequence":"0","preview":{{"step":3}},"data":{{"bytes":5000,"sha256":"{}"}}}}"#,
            sha256_hex(&[7; 5000])
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn details_of_unknown_type_do_not_lose_the_event() {
        let any = prost_types::Any { type_url: "type.googleapis.com/no.such.Type".to_owned(), value: vec![1] };
        let status = tonic_types::pb::Status { code: 13, message: "broken".to_owned(), details: vec![any] };
        let event = GenerateEvent { event: Some(Event::Failed(status)), ..GenerateEvent::default() };
        assert_eq!(to_line(&event).unwrap(), r#"{"failed":{"code":13,"message":"broken"}}"#);
    }
}
