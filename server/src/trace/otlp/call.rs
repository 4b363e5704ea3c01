//! One call: a span of the kind `server`, and its duration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};
use sakuga_proto::code;
use tonic::Code;

use super::instruments::Instruments;
use super::named;
use crate::trace::{CallObserver, TraceParent};

const SYSTEM: &str = "grpc";
/// The conventions' name for methods that the server does not have, whose names clients make up.
const OTHER: &str = "_OTHER";

/// A call until its answer has ended.
pub(super) struct CallSpan {
    span: Span,
    instruments: Arc<Instruments>,
    method: String,
    begun: Instant,
    /// A call that is dropped before its end was cancelled by the client.
    code: Code,
}

impl CallSpan {
    pub(super) fn begin(
        tracer: &SdkTracer,
        instruments: Arc<Instruments>,
        parent: &Context,
        method: Option<&str>,
        peer: Option<SocketAddr>,
    ) -> Self {
        let method = method.unwrap_or(OTHER).to_owned();
        let mut attributes = vec![KeyValue::new(RPC_SYSTEM_NAME, SYSTEM), KeyValue::new(RPC_METHOD, method.clone())];
        if let Some(peer) = peer {
            attributes.push(KeyValue::new(NETWORK_PEER_ADDRESS, peer.ip().to_string()));
            attributes.push(KeyValue::new(NETWORK_PEER_PORT, i64::from(peer.port())));
        }
        let name = if method == OTHER { SYSTEM.to_owned() } else { method.clone() };
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = tracer.build_with_context(builder, parent);
        Self { span, instruments, method, begun: Instant::now(), code: Code::Cancelled }
    }
}

impl CallObserver for CallSpan {
    fn parent(&self) -> TraceParent {
        named(self.span.span_context())
    }

    fn ends(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        let name = code::name(self.code);
        let mut attributes = vec![
            KeyValue::new(RPC_SYSTEM_NAME, SYSTEM),
            KeyValue::new(RPC_METHOD, std::mem::take(&mut self.method)),
            KeyValue::new(RPC_RESPONSE_STATUS_CODE, name),
        ];
        if is_fault(self.code) {
            attributes.push(KeyValue::new(ERROR_TYPE, name));
            self.span.set_status(Status::error(""));
        }
        // The first two were set when the span began.
        self.span.set_attributes(attributes[2..].iter().cloned());
        self.span.end();
        self.instruments.call.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}

/// Whether the conventions count a gRPC code as an error of the server.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
