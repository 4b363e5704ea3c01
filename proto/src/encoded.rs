//! [`Encoded`]: a response that is encoded once and sent to many clients.

use std::fmt;
use std::marker::PhantomData;

use prost::bytes::{Buf, BufMut, Bytes};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use crate::generation::v1;

/// What the server sends as `GenerateResponse`.
#[cfg(feature = "server")]
pub(crate) type GenerateResponse = Encoded<v1::GenerateResponse>;
/// What the server sends as `WatchJobResponse`.
#[cfg(feature = "server")]
pub(crate) type WatchJobResponse = Encoded<v1::WatchJobResponse>;

/// A response of type `T` that holds one message, which is already encoded. On the wire it equals the `T`.
///
/// Clones share the bytes of the message, so a server encodes an event once for all clients that watch a job.
pub struct Encoded<T> {
    /// The number of the field that holds the message; 0: none.
    field: u32,
    message: Bytes,
    response: PhantomData<fn() -> T>,
}

impl Encoded<v1::GenerateResponse> {
    /// The response that carries an encoded `GenerateEvent`.
    pub fn event(event: Bytes) -> Self {
        Self::new(1, event)
    }
}

impl Encoded<v1::WatchJobResponse> {
    /// The response that carries an encoded `GenerateEvent`.
    pub fn event(event: Bytes) -> Self {
        Self::new(2, event)
    }
}

impl Encoded<v1::WatchJobResponse> {
    /// The response that says that the stream is open.
    pub fn created(created: &v1::WatchCreated) -> Self {
        Self::new(1, created.encode_to_vec().into())
    }

    /// The response that says that nothing happened for a while.
    pub fn progress(progress: &v1::WatchProgress) -> Self {
        Self::new(3, progress.encode_to_vec().into())
    }
}

impl<T: Message> Encoded<T> {
    /// The encoded form of a response that holds one message or none.
    pub fn of(response: &T) -> Self {
        // Its own encoding has message fields only, which are read without fail.
        Self::decode(response.encode_to_vec().as_slice()).unwrap_or_default()
    }
}

impl<T> Encoded<T> {
    fn new(field: u32, message: Bytes) -> Self {
        Self { field, message, response: PhantomData }
    }
}

impl<T> Default for Encoded<T> {
    fn default() -> Self {
        Self::new(0, Bytes::new())
    }
}

impl<T> Clone for Encoded<T> {
    fn clone(&self) -> Self {
        Self::new(self.field, self.message.clone())
    }
}

impl<T> fmt::Debug for Encoded<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encoded").field("field", &self.field).field("message", &self.message).finish()
    }
}

impl<T> Message for Encoded<T> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        if self.field != 0 {
            encoding::bytes::encode(self.field, &self.message, buffer);
        }
    }

    fn encoded_len(&self) -> usize {
        if self.field == 0 { 0 } else { encoding::bytes::encoded_len(self.field, &self.message) }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.field = tag;
        encoding::bytes::merge(wire_type, &mut self.message, buffer, context)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> v1::GenerateEvent {
        let step = v1::Step { index: 3, total: 28, ..v1::Step::default() };
        let event = Some(v1::generate_event::Event::Step(step));
        v1::GenerateEvent { sequence: 300, job_id: "job".into(), event, ..v1::GenerateEvent::default() }
    }

    /// On the wire both are the same, and each is read as the other.
    fn assert_same<T: Message + Default + PartialEq + fmt::Debug>(encoded: &Encoded<T>, typed: &T) {
        let bytes = typed.encode_to_vec();
        assert_eq!(encoded.encode_to_vec(), bytes);
        assert_eq!(encoded.encoded_len(), bytes.len());
        assert_eq!(T::decode(encoded.encode_to_vec().as_slice()).as_ref().ok(), Some(typed));
        let read = Encoded::of(typed);
        assert_eq!((read.field, &read.message), (encoded.field, &encoded.message));
    }

    #[test]
    fn it_equals_the_typed_response() {
        use v1::watch_job_response::Message::{Created, Event, Progress};
        let bytes = Bytes::from(event().encode_to_vec());
        assert_same(
            &Encoded::<v1::GenerateResponse>::event(bytes.clone()),
            &v1::GenerateResponse { event: Some(event()) },
        );
        let watch = |message| v1::WatchJobResponse { message: Some(message) };
        assert_same(&Encoded::<v1::WatchJobResponse>::event(bytes), &watch(Event(event())));
        let created = v1::WatchCreated { start_sequence: 7, ..v1::WatchCreated::default() };
        assert_same(&Encoded::created(&created), &watch(Created(created.clone())));
        let progress = v1::WatchProgress::default();
        assert_same(&Encoded::progress(&progress), &watch(Progress(progress.clone())));
        assert_same(&Encoded::<v1::WatchJobResponse>::default(), &v1::WatchJobResponse::default());
    }
}
