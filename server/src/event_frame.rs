//! [`EventFrame`]: an encoded event as a stream sends it.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::{GenerateEvent, GenerateResponse, WatchJobResponse};

/// Bytes before a gRPC message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// An encoded `GenerateEvent` within the gRPC message of a `WatchJobResponse`. It is encoded once; clones share the bytes, so all
/// streams that watch a job send the same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventFrame {
    frame: Bytes,
    /// Bytes before the event.
    header_bytes: usize,
}

impl EventFrame {
    /// The frame of an encoded `GenerateEvent`.
    pub(crate) fn new(event: Bytes) -> Self {
        let event_bytes = event.len();
        let frame = message(&Encoded::<WatchJobResponse>::event(event));
        Self { header_bytes: frame.len() - event_bytes, frame }
    }

    /// The encoded `GenerateEvent`.
    pub(crate) fn event(&self) -> Bytes {
        self.frame.slice(self.header_bytes..)
    }

    /// Bytes of the encoded `GenerateEvent`.
    pub(crate) fn event_bytes(&self) -> usize {
        self.frame.len() - self.header_bytes
    }

    /// The gRPC message of a `WatchJobResponse`, shared by all who ask.
    pub(crate) fn of_watch_job(&self) -> Bytes {
        self.frame.clone()
    }

    /// The gRPC message of a `GenerateResponse`. It is a copy: a job has one such stream at most.
    pub(crate) fn of_generate(&self) -> Bytes {
        message(&Encoded::<GenerateResponse>::event(self.event()))
    }
}

impl From<&GenerateEvent> for EventFrame {
    fn from(event: &GenerateEvent) -> Self {
        Self::new(event.encode_to_vec().into())
    }
}

/// A gRPC message that is not compressed.
pub(crate) fn message(message: &impl Message) -> Bytes {
    let bytes = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + bytes);
    frame.put_u8(0);
    // Every message is within `Limits::ANSWER_BYTES_MAX`.
    frame.put_u32(bytes as u32);
    message.encode_raw(&mut frame);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use sakuga_proto::generation::v1::watch_job_response::Message as Watched;

    use super::*;

    /// The message within a frame.
    fn read<T: Message + Default>(frame: &Bytes) -> T {
        assert_eq!(frame[0], 0, "not compressed");
        let length: [u8; 4] = frame[1..PREFIX_BYTES].try_into().expect("four bytes");
        assert_eq!(u32::from_be_bytes(length) as usize, frame.len() - PREFIX_BYTES);
        T::decode(frame.slice(PREFIX_BYTES..)).expect("a message")
    }

    #[test]
    fn both_streams_send_the_event_and_those_that_watch_share_it() {
        let event = GenerateEvent { sequence: 300, job_id: "a".repeat(300), ..GenerateEvent::default() };
        let frame = EventFrame::from(&event);
        assert_eq!(GenerateEvent::decode(frame.event()).as_ref(), Ok(&event));
        assert_eq!(frame.event_bytes(), event.encoded_len());
        let watched: WatchJobResponse = read(&frame.of_watch_job());
        assert_eq!(watched.message, Some(Watched::Event(event.clone())));
        let generated: GenerateResponse = read(&frame.of_generate());
        assert_eq!(generated.event, Some(event));
        assert_eq!(frame.of_watch_job().as_ptr(), frame.clone().of_watch_job().as_ptr());
    }
}
