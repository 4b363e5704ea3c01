//! The message of a call, before it is decoded: whole, in time, within the bytes and fields of its method.
//!
//! prost decodes any number of fields: a message of 4 MB can contain two million empty messages, which take gigabytes of memory.
//! Therefore the fields are counted here before the message is decoded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor};
use tokio::sync::Semaphore;
use tonic::body::Body;

use super::compression::{Encoding, PREFIX_BYTES, PlainMessages};
use super::refusal::TransportRefusal;

/// Depth of nested messages that are counted; prost refuses deeper ones.
const DEPTH_MAX: usize = 100;
/// Bytes of the messages that are arriving at the same time, over all connections.
const ARRIVING_BYTES_MAX: usize = 64 << 20;

/// Limits of a method's messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLimits {
    pub bytes_max: usize,
    /// Fields of a message, those within its messages included, each element of a repeated field counted.
    pub fields_max: usize,
}

/// The methods of the server, with the limits of their messages.
#[derive(Clone)]
pub(crate) struct Messages {
    methods: Arc<HashMap<String, (MethodDescriptor, MessageLimits)>>,
    /// Paths of plain HTTP, with the bytes that the body of a request may have.
    bodies: Arc<HashMap<String, usize>>,
    arriving: Arc<Semaphore>,
    timeout: Duration,
}

impl Messages {
    /// `timeout` is how long a message may take to arrive.
    pub(crate) fn new(methods: impl IntoIterator<Item = (MethodDescriptor, MessageLimits)>, timeout: Duration) -> Self {
        let path = |method: &MethodDescriptor| format!("/{}/{}", method.parent_service().full_name(), method.name());
        let methods = methods.into_iter().map(|(method, limits)| (path(&method), (method, limits))).collect();
        let arriving = Arc::new(Semaphore::new(ARRIVING_BYTES_MAX));
        Self { methods: Arc::new(methods), bodies: Arc::default(), arriving, timeout }
    }

    /// With paths of plain HTTP whose requests have a body, and the bytes that it may have.
    pub(crate) fn with_bodies(self, bodies: impl IntoIterator<Item = (String, usize)>) -> Self {
        Self { bodies: Arc::new(bodies.into_iter().collect()), ..self }
    }

    /// Reads the message of a call, and returns it as a body without compression, whose header is removed. A call with
    /// several messages has each of them decompressed as it arrives; one of an unknown method keeps its body.
    ///
    /// # Errors
    ///
    /// [`TransportRefusal`] if the message is too large, has too many fields, cannot be decompressed or is late.
    pub(super) async fn read(&self, path: &str, headers: &mut HeaderMap, body: Body) -> Result<Body, TransportRefusal> {
        let Some((method, limits)) = self.methods.get(path) else { return self.read_body(path, body).await };
        let encoding = Encoding::take(headers)?;
        if method.is_client_streaming() {
            return Ok(match encoding {
                Encoding::Identity => body,
                encoding => Body::new(PlainMessages::new(body, encoding, limits.bytes_max)),
            });
        }
        let bytes = self.collect_in_time(body, limits.bytes_max + PREFIX_BYTES, Some(limits.bytes_max)).await?;
        let bytes = encoding.plain(bytes, limits.bytes_max)?;
        if let Some(message) = bytes.get(PREFIX_BYTES..) {
            let mut left = limits.fields_max;
            if count(message, &method.input(), &mut left, 0).is_none() {
                return Err(TransportRefusal::TooManyFields { limit: limits.fields_max });
            }
        }
        Ok(Body::new(Full::new(bytes)))
    }

    /// Reads the body of a request of plain HTTP; the body of another path is left as it is.
    async fn read_body(&self, path: &str, body: Body) -> Result<Body, TransportRefusal> {
        let Some(bytes_max) = self.bodies.get(path) else { return Ok(body) };
        let bytes = self.collect_in_time(body, *bytes_max, None).await?;
        Ok(Body::new(Full::new(bytes)))
    }

    async fn collect_in_time(
        &self,
        body: Body,
        bytes_max: usize,
        message_max: Option<usize>,
    ) -> Result<Bytes, TransportRefusal> {
        let read = tokio::time::timeout(self.timeout, self.collect(body, bytes_max, message_max)).await;
        read.map_err(|_| TransportRefusal::Slow { limit: self.timeout })?
    }

    /// All of a body. With `message_max` it is a message of gRPC, which is refused as soon as its length is known.
    async fn collect(
        &self,
        mut body: Body,
        bytes_max: usize,
        message_max: Option<usize>,
    ) -> Result<Bytes, TransportRefusal> {
        let too_large = TransportRefusal::TooLarge { limit: message_max.unwrap_or(bytes_max) };
        let mut bytes = BytesMut::new();
        let mut held = Vec::new();
        while let Some(frame) = body.frame().await {
            // The client has disconnected, or has reset the call.
            let frame = frame.map_err(|_| TransportRefusal::Broken)?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Err(too_large);
            }
            let permit = self.arriving.clone().try_acquire_many_owned(data.len() as u32);
            held.push(permit.map_err(|_| TransportRefusal::Busy)?);
            bytes.extend_from_slice(&data);
            if let (Some(message_max), Some(mut length)) = (message_max, bytes.get(1..PREFIX_BYTES))
                && length.get_u32() as usize > message_max
            {
                return Err(too_large);
            }
        }
        Ok(bytes.freeze())
    }
}

/// Counts the fields of a message down from `left`; `None` if there are more. Bytes that are not a message end the count:
/// prost refuses them.
fn count(mut bytes: &[u8], message: &MessageDescriptor, left: &mut usize, depth: usize) -> Option<()> {
    while let Some((tag, rest)) = varint(bytes) {
        *left = left.checked_sub(1)?;
        let value_bytes = match tag & 7 {
            0 => varint(rest).map(|(_, behind)| rest.len() - behind.len()),
            1 => Some(8),
            5 => Some(4),
            2 => varint(rest).and_then(|(length, behind)| {
                let length = usize::try_from(length).ok()?;
                (rest.len() - behind.len()).checked_add(length)
            }),
            // The beginning or the end of a group: what is in between is counted as fields of this message.
            3 | 4 => Some(0),
            _ => None,
        };
        let Some((value, behind)) = value_bytes.and_then(|length| rest.split_at_checked(length)) else {
            return Some(());
        };
        if tag & 7 == 2
            && let Some((_, value)) = varint(value)
            && let Some(field) = u32::try_from(tag >> 3).ok().and_then(|number| message.get_field(number))
        {
            match field.kind() {
                Kind::Message(inner) if depth < DEPTH_MAX => count(value, &inner, left, depth + 1)?,
                kind if field.is_list() => *left = left.checked_sub(packed(&kind, value))?,
                _ => {}
            }
        }
        bytes = behind;
    }
    Some(())
}

/// Elements of a packed field.
fn packed(kind: &Kind, value: &[u8]) -> usize {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => 0,
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => value.len() / 8,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => value.len() / 4,
        _ => value.iter().filter(|byte| **byte < 0x80).count(),
    }
}

/// A number of at most ten bytes, and what is after it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f).wrapping_shl(7 * place as u32);
        if *byte < 0x80 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_reflect::DescriptorPool;
    use prost_types::source_code_info::Location;
    use prost_types::{DescriptorProto, FieldDescriptorProto};

    use super::*;

    fn fields(name: &str, bytes: &[u8]) -> usize {
        let message = DescriptorPool::global().get_message_by_name(name).expect("a well-known message");
        let mut left = 1_000_000;
        count(bytes, &message, &mut left, 0).expect("fewer than a million");
        1_000_000 - left
    }

    #[test]
    fn elements_are_counted_in_every_message() {
        let empty =
            DescriptorProto { field: vec![FieldDescriptorProto::default(); 1000], ..DescriptorProto::default() };
        assert_eq!(fields("google.protobuf.DescriptorProto", &empty.encode_to_vec()), 1000);
        let nested = DescriptorProto { nested_type: vec![empty; 3], ..DescriptorProto::default() };
        assert_eq!(fields("google.protobuf.DescriptorProto", &nested.encode_to_vec()), 3003);
        let packed = Location { path: vec![1; 500], ..Location::default() };
        assert_eq!(fields("google.protobuf.SourceCodeInfo.Location", &packed.encode_to_vec()), 501);
    }

    #[test]
    fn bytes_that_are_not_a_message_end_the_count() {
        for bytes in [
            &[0xff_u8; 20][..],
            &[0x0a, 0xff, 0xff],
            // A length that overflows a usize when the bytes of the length itself are added.
            &[0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x0a],
            &[0x0f],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert!(fields("google.protobuf.DescriptorProto", bytes) <= 2, "{bytes:?}");
        }
        assert_eq!(fields("google.protobuf.DescriptorProto", &[0x0b, 0x0b, 0x0c, 0x0c]), 4, "groups");
    }

    #[test]
    fn more_fields_than_are_left_are_refused() {
        let message = DescriptorPool::global().get_message_by_name("google.protobuf.DescriptorProto");
        let message = message.expect("a well-known message");
        assert!(count(&[0x12, 0x00].repeat(10), &message, &mut 10, 0).is_some());
        assert!(count(&[0x12, 0x00].repeat(11), &message, &mut 10, 0).is_none());
    }
}
