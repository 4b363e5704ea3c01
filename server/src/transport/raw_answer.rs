//! [`RawAnswer`]: the body of a response that a service writes itself, in place of tonic's.
//!
//! tonic encodes every message of a stream into a buffer of that stream. Events are encoded once, and their streams send the same
//! bytes without a copy.

use std::sync::Arc;

use http::Extensions;
use parking_lot::Mutex;
use tonic::body::Body;

/// The body that a service attaches to its response, whose own stream is empty. Its frames are within
/// [`Outgoing`](super::outgoing::Outgoing) already.
#[derive(Clone)]
pub(crate) struct RawAnswer(Arc<Mutex<Option<Body>>>);

impl RawAnswer {
    /// The body, to be attached as an extension of the response.
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// Takes the body from the extensions of a response.
    pub(super) fn take(extensions: &mut Extensions) -> Option<Body> {
        let Self(body) = extensions.remove()?;
        body.lock().take()
    }
}
