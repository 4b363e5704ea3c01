//! Events and other answers as the messages of gRPC streams.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::watch_job_response::Message as Watched;
use sakuga_proto::generation::v1::{GenerateEvent, GenerateResponse, WatchJobResponse};

use crate::event_frame::EventFrame;

/// Bytes before a gRPC message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The frame of an event, within a `WatchJobResponse`.
pub(crate) fn of_event(event: GenerateEvent) -> EventFrame {
    let event_bytes = event.encoded_len();
    EventFrame::new(message(&WatchJobResponse { message: Some(Watched::Event(event)) }), event_bytes)
}

/// The frame of an encoded `GenerateEvent`, within a `WatchJobResponse`.
pub(crate) fn of_encoded(event: Bytes) -> EventFrame {
    let event_bytes = event.len();
    EventFrame::new(message(&Encoded::<WatchJobResponse>::event(event)), event_bytes)
}

/// The gRPC message of a `GenerateResponse` with an event. It is a copy: a job has one such stream at most.
pub(crate) fn of_generate(frame: &EventFrame) -> Bytes {
    message(&Encoded::<GenerateResponse>::event(frame.event()))
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

/// The gRPC message of an encoded message, not compressed.
#[cfg(feature = "fleet")]
pub(crate) fn of_message(encoded: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + encoded.len());
    frame.put_u8(0);
    frame.put_u32(encoded.len() as u32);
    frame.extend_from_slice(encoded);
    frame.freeze()
}

#[cfg(test)]
mod tests {
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
        let frame = of_event(event.clone());
        assert_eq!(GenerateEvent::decode(frame.event()).as_ref(), Ok(&event));
        assert_eq!(frame.event_bytes(), event.encoded_len());
        let watched: WatchJobResponse = read(&frame.message());
        assert_eq!(watched.message, Some(Watched::Event(event.clone())));
        let generated: GenerateResponse = read(&of_generate(&frame));
        assert_eq!(generated.event, Some(event));
        assert_eq!(frame.message().as_ptr(), frame.clone().message().as_ptr());
    }
}
