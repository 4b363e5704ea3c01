//! `POST /v1/images/generations` and `POST /v1/images/edits`.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::Response;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tonic::Status;
use tonic::body::Body;

use super::cursor::Presentation;
use super::drawing::{Drawing, Endpoint, in_own_terms};
use super::feed::Feed;
use super::finished::Finished;
use super::pictures::{Part, around_base64, body};
use super::{Api, with_job};
use crate::error::ServerError;
use crate::job_id::JobId;
use crate::jobs::{Call, Caller, OwnFiles};
use crate::service::caller::check_options;
use crate::service::{off_reactor, refuse};
use crate::wire::http::{json_answer, json_response};

impl Api {
    /// Creates the job of a request, and answers with its pictures or its events. The job is cancelled when the client
    /// disconnects before its end, unless its options say otherwise; a streaming job only if the stream is not resumed
    /// in time.
    pub(super) async fn draw(
        self: Arc<Self>,
        endpoint: Endpoint,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response<Body>, Status> {
        let permit = self.context.stream_permit()?;
        let caller = self.caller(parts, None)?;
        let drawing = self.read(endpoint, parts, body, &caller).await?;
        let refused = |error: ServerError| refuse(&in_own_terms(error, endpoint));
        check_options(&drawing.options).map_err(refused)?;
        let caller = match &drawing.user {
            Some(user) => self.caller(parts, Some(user))?,
            None => caller,
        };
        let Drawing { request, options, output, partials, has_urls, .. } = drawing;
        let trace_parent = parts.extensions.get().copied();
        let call = Call { caller: caller.clone(), request, options, trace_parent, is_watched: true };
        let created = self.context.jobs.create(call).await.map_err(refused)?;
        let Some(reader) = created.reader else {
            return Err(refuse(&ServerError::Internal("a job is not watched".into())));
        };
        let feed = Feed::new(reader);
        if let Some(partials) = partials {
            let presentation = Presentation { endpoint, partials, output };
            return Ok(self.stream(&created.job, feed, presentation, 0, permit));
        }
        let id = JobId::named(&created.job.job_id);
        let mut feed = feed;
        let (completed, time) = feed.completed().await?;
        let finished = Finished::of(&self, &id, completed, output).await;
        self.check(&caller, &finished).await?;
        let seeds: Vec<String> = finished.seeds.iter().map(|(_, seed)| seed.to_string()).collect();
        let rest = json!({
            "created": time,
            "background": "opaque",
            "output_format": output.format.name(),
            "quality": finished.quality,
            "size": finished.size,
            "usage": finished.usage,
            "sakuga": { "job_id": id.as_str(), "seeds": seeds },
        });
        let answer =
            if has_urls { self.urls(parts, &finished, rest) } else { json_answer(whole_body(finished, &rest, permit)) };
        Ok(with_job(answer, id.as_str()))
    }

    /// Reads the parameters of a request.
    async fn read(
        self: &Arc<Self>,
        endpoint: Endpoint,
        parts: &Parts,
        body: Bytes,
        caller: &Caller,
    ) -> Result<Drawing, Status> {
        let (context, headers, owner) = (self.context.clone(), parts.headers.clone(), caller.asset_owner());
        off_reactor(move |alive| {
            let parameters = Handle::current().block_on(super::body::read(&headers, body))?;
            alive.check()?;
            let uploads = OwnFiles { assets: &context.assets, owner: &owner, job: None };
            Drawing::read(endpoint, parameters, &context.models, &uploads)
        })
        .await
    }

    /// Compares the pictures with their checksums, before the answer begins.
    async fn check(&self, caller: &Caller, finished: &Finished) -> Result<(), Status> {
        for picture in &finished.pictures {
            let checked = self.context.jobs.picture(caller, picture.id.as_str(), picture.image_index).await;
            checked.map_err(|error| refuse(&error))?;
        }
        Ok(())
    }

    fn urls(&self, parts: &Parts, finished: &Finished, mut answer: Value) -> Response<Body> {
        let urls = finished.pictures.iter().map(|picture| json!({ "url": self.url(parts, picture) }));
        answer["data"] = urls.collect();
        json_response(&answer)
    }
}

/// An answer with the base64 of every picture. Each picture is read after the previous one was sent.
fn whole_body(finished: Finished, rest: &Value, permit: impl Send + 'static) -> Body {
    let [before, after] = around_base64(&json!({}));
    let mut parts = vec![Part::Text("{\"data\":[".into())];
    for (index, picture) in finished.pictures.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        parts.push(Part::Text(format!("{comma}{before}")));
        parts.push(Part::Picture(picture));
        parts.push(Part::Text(after.clone()));
    }
    let rest = rest.to_string();
    parts.push(Part::Text(format!("],{}", rest.strip_prefix('{').unwrap_or(&rest))));
    body(stream::iter(parts).map(move |part| {
        let _open = &permit;
        Ok(part)
    }))
}
