//! Streams of events: partial pictures, then the finished ones. `GET /v1/images/generations/{id}/events` continues one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt as _};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};
use sakuga_proto::generation::v1::{self as generation, GenerateEvent, generate_event::Event};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::cursor::{Cursor, Presentation};
use super::drawing::{Endpoint, quality_name};
use super::feed::{Feed, end, seconds};
use super::finished::Finished;
use super::output::{Format, Output};
use super::parameters::Parameters;
use super::partials::{PARTIALS_MAX, partial_index};
use super::pictures::{Part, around_base64, body};
use super::{Api, with_job};
use crate::error::{ServerError, Violation};
use crate::job_id::JobId;
use crate::service::refuse;
use crate::studio::api::EVENT_STREAM;

/// How often a comment is sent while there is no event, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment. No empty line follows it: some clients take one for the end of an event.
const COMMENT: &str = ": keep-alive\n";
/// The header of a client that continues a stream.
const LAST_EVENT_ID: &str = "last-event-id";
/// Asks proxies not to hold events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events of one stream.
struct Events {
    api: Arc<Api>,
    id: JobId,
    feed: Feed,
    presentation: Presentation,
    /// Steps between two previews.
    every_steps: u32,
    /// OpenAI's name for the quality of the request.
    quality: &'static str,
    /// Finished pictures that an earlier stream has sent.
    sent: u32,
    is_ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Api {
    /// Answers with the events of a job from where `feed` begins.
    pub(super) fn stream(
        self: Arc<Self>,
        job: &generation::Job,
        feed: Feed,
        presentation: Presentation,
        sent: u32,
        permit: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let preview = job.request.as_ref().and_then(|request| request.preview);
        let events = Events {
            id: JobId::named(&job.job_id),
            api: self,
            feed,
            presentation,
            every_steps: preview.map_or(1, |preview| preview.every_steps),
            quality: quality_name(job.request.as_ref()),
            sent,
            is_ended: false,
            _permit: permit,
        };
        let parts = stream::unfold(events, |mut events| async move {
            let parts = events.next().await?;
            Some((parts, events))
        });
        let parts = parts.flat_map(|parts| match parts {
            Ok(parts) => stream::iter(parts.into_iter().map(Ok)).boxed(),
            Err(status) => stream::iter([Err(status)]).boxed(),
        });
        let mut answer = Response::new(body(parts));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
        with_job(answer, &job.job_id)
    }

    /// Continues the events of a job after `Last-Event-ID`, or begins with the oldest that are kept.
    pub(super) async fn resume(self: Arc<Self>, parts: &Parts, id: &str) -> Result<Response<Body>, Status> {
        let permit = self.context.stream_permit()?;
        let caller = self.caller(parts, None)?;
        let cursor = cursor(parts).map_err(|error| refuse(&error))?;
        let start = cursor.map_or(0, Cursor::start);
        let watched = self.context.jobs.watch(&caller, id, start).await;
        let (job, reader) = watched.map_err(|error| refuse(&error))?;
        let presentation = match cursor {
            Some(cursor) => cursor.presentation,
            None => presentation(parts, &job).map_err(|error| refuse(&error))?,
        };
        let sent = cursor.map_or(0, |cursor| cursor.pictures);
        Ok(self.stream(&job, Feed::new(reader), presentation, sent, permit))
    }
}

/// The cursor of `Last-Event-ID`; `None` without that header.
fn cursor(parts: &Parts) -> Result<Option<Cursor>, ServerError> {
    let Some(value) = parts.headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let cursor = value.to_str().ok().and_then(|text| text.parse().ok());
    let text = "is not the id of an event of this server; send the one of the last event that arrived";
    cursor.map(Some).ok_or_else(|| ServerError::invalid(LAST_EVENT_ID, Violation::BAD_TEXT, text))
}

/// The format that the query of a new stream asks for.
fn presentation(parts: &Parts, job: &generation::Job) -> Result<Presentation, ServerError> {
    const KNOWN: [&str; 3] = ["partial_images", "output_format", "output_compression"];
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let values = pairs.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut query = Parameters::of_form(values, Vec::new());
    let partials = query.whole("partial_images", 0, PARTIALS_MAX).unwrap_or(PARTIALS_MAX);
    let format = query.choice("output_format", &Format::ALL.map(|format| (format.name(), format)));
    let compression = query.whole("output_compression", 0, 100).unwrap_or(100) as u8;
    query.finish(&KNOWN)?;
    let is_edit = job.request.as_ref().is_some_and(|request| request.init.is_some());
    let endpoint = if is_edit { Endpoint::Edits } else { Endpoint::Generations };
    Ok(Presentation { endpoint, partials, output: Output { format, compression } })
}

impl Events {
    /// The next part of the stream; `None` after the end.
    async fn next(&mut self) -> Option<Result<Vec<Part>, Status>> {
        while !self.is_ended {
            let event = match tokio::time::timeout(KEEP_ALIVE, self.feed.next()).await {
                Err(_) => return Some(Ok(vec![Part::Text(COMMENT.to_owned())])),
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    self.is_ended = true;
                    return Some(Err(refuse(&error)));
                }
            };
            let (sequence, time) = (event.sequence, seconds(&event));
            if let Some(parts) = self.partial(&event) {
                return Some(Ok(parts));
            }
            match event.event.and_then(end) {
                None => {}
                Some(Ok(completed)) => {
                    self.is_ended = true;
                    let output = self.presentation.output;
                    let finished = Finished::of(&self.api, &self.id, completed, output).await;
                    return Some(Ok(self.completed(finished, sequence, time)));
                }
                Some(Err(status)) => {
                    self.is_ended = true;
                    return Some(Err(status));
                }
            }
        }
        None
    }

    fn cursor(&self, sequence: u64, pictures: u32) -> Cursor {
        Cursor { sequence, pictures, presentation: self.presentation }
    }

    /// The event of a partial picture, if the job's event is one.
    fn partial(&self, event: &GenerateEvent) -> Option<Vec<Part>> {
        let Some(Event::Preview(preview)) = &event.event else { return None };
        let index = partial_index(preview.step, self.every_steps, self.presentation.partials)?;
        let rest = json!({
            "type": format!("{}.partial_image", self.presentation.endpoint.event_prefix()),
            "partial_image_index": index,
            "created_at": seconds(event),
            "size": format!("{}x{}", preview.width, preview.height),
            "quality": self.quality,
            "background": "opaque",
            "output_format": Format::of(preview.format()).name(),
            "sakuga": {
                "job_id": self.id.as_str(),
                "event_id": self.cursor(event.sequence, 0).to_string(),
                "image_index": preview.image_index,
                "step": preview.step,
            },
        });
        let [before, after] = around_base64(&rest);
        let data = format!("{before}{}{after}", STANDARD.encode(&preview.data));
        let head = self.head("partial_image", self.cursor(event.sequence, 0));
        Some(vec![Part::Text(format!("{head}{data}\n\n"))])
    }

    /// The events of the finished pictures that were not sent before.
    fn completed(&self, finished: Finished, sequence: u64, time: i64) -> Vec<Part> {
        let Finished { pictures, seeds, size, usage, .. } = finished;
        let mut parts = Vec::new();
        for (number, (picture, (image_index, seed))) in (1..).zip(pictures.into_iter().zip(seeds)) {
            if number <= self.sent {
                continue;
            }
            let cursor = self.cursor(sequence, number);
            let rest = json!({
                "type": format!("{}.completed", self.presentation.endpoint.event_prefix()),
                "created_at": time,
                "size": size,
                "quality": self.quality,
                "background": "opaque",
                "output_format": self.presentation.output.format.name(),
                "usage": usage,
                "sakuga": {
                    "job_id": self.id.as_str(),
                    "event_id": cursor.to_string(),
                    "image_index": image_index,
                    "seed": seed.to_string(),
                },
            });
            let [before, after] = around_base64(&rest);
            parts.push(Part::Text(format!("{}{before}", self.head("completed", cursor))));
            parts.push(Part::Picture(picture));
            parts.push(Part::Text(format!("{after}\n\n")));
        }
        parts
    }

    /// The lines of an event before its data.
    fn head(&self, kind: &str, cursor: Cursor) -> String {
        format!("id: {cursor}\nevent: {}.{kind}\ndata: ", self.presentation.endpoint.event_prefix())
    }
}
