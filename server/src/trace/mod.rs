//! Traces of calls and jobs for a collector. A trace begins with the caller's span.
//!
//! The rest of the server uses the traits of this module; [`otlp`] implements them with OpenTelemetry. Without an observer nothing
//! is recorded.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use crate::event::Event;
use crate::event_frame::EventFrame;
use crate::job::JobRequest;
use crate::job_id::JobId;
use crate::journal::EventEncoder;

#[cfg(feature = "otlp")]
pub(crate) mod otlp;

/// Observes calls and jobs. It never blocks: what cannot be sent is dropped.
pub(crate) trait Observer: Send + Sync {
    /// A call begins. `method` is `package.Service/Method`, one that this server has, or `None`.
    fn call_begins(&self, method: Option<&str>, headers: &HeaderMap, peer: Option<SocketAddr>)
    -> Box<dyn CallObserver>;

    /// A job is accepted, or taken up again, on behalf of a span.
    fn job_begins(&self, id: &JobId, request: &JobRequest, parent: Option<TraceParent>) -> Box<dyn JobObserver>;

    /// Sends the remaining data and stops. Blocks for at most `patience`.
    fn close(&self, patience: Duration);
}

/// Observes one call. The call ends when this is dropped; without [`CallObserver::ends`] it was cancelled.
pub(crate) trait CallObserver: Send {
    /// The call's own span, for what is done on its behalf.
    fn parent(&self) -> TraceParent;

    /// The answer is whole.
    fn ends(&mut self, code: Code);
}

/// Observes one job.
pub(crate) trait JobObserver: Send {
    /// Called with each event of the job, in order.
    fn note(&mut self, event: &Event);
}

/// A span that others can be part of, by the names that W3C Trace Context gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
    /// Whether the trace is kept.
    pub is_sampled: bool,
}

/// The text is not a `traceparent` of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a traceparent")]
pub(crate) struct NoTraceParent;

impl fmt::Display for TraceParent {
    /// As the header `traceparent` has it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits).ok_or(NoTraceParent)?;
            let is_hex = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            u128::from_str_radix(part, 16).ok().filter(|_| is_hex).ok_or(NoTraceParent)
        };
        let (version, trace_id, span_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let span_id = u64::try_from(span_id).map_err(|_| NoTraceParent)?;
        if version != 0 || trace_id == 0 || span_id == 0 || parts.next().is_some() {
            return Err(NoTraceParent);
        }
        Ok(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
    }
}

/// An encoder whose job is observed.
pub(crate) struct ObservedEncoder {
    encoder: Box<dyn EventEncoder>,
    observer: Box<dyn JobObserver>,
}

impl ObservedEncoder {
    /// Observes the job of `encoder`; without an observer returns `encoder` itself.
    pub(crate) fn over(
        encoder: Box<dyn EventEncoder>,
        observer: Option<&Arc<dyn Observer>>,
        id: &JobId,
        request: &JobRequest,
        parent: Option<TraceParent>,
    ) -> Box<dyn EventEncoder> {
        match observer {
            Some(observer) => Box::new(Self { encoder, observer: observer.job_begins(id, request, parent) }),
            None => encoder,
        }
    }
}

impl EventEncoder for ObservedEncoder {
    fn encode(&mut self, event: Event) -> (EventFrame, Option<Vec<u8>>) {
        self.observer.note(&event);
        self.encoder.encode(event)
    }

    fn set_labels(&mut self, labels: Vec<String>) -> Vec<u8> {
        self.encoder.set_labels(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_named_as_in_the_header() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent: TraceParent = text.parse().expect("the example of the recommendation");
        assert_eq!((parent.trace_id >> 120, parent.span_id & 0xff, parent.is_sampled), (0x0a, 0x31, true));
        assert_eq!(parent.to_string(), text);
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(NoTraceParent), "{wrong}");
        }
    }
}
