//! Compressed messages: decompressed here, within the bytes that a method takes of a plain message.
//!
//! tonic's own decompression is not used: a method's limits of bytes and fields are checked before tonic decodes a message, and a
//! streaming zstd decoder allocates the window size that the message announces. Here a message is decompressed in one piece into a
//! buffer of the method's limit.

use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use tonic::body::Body;
use tonic::{Code, Status};

use super::refusal::TransportRefusal;

/// Bytes before a message: a flag and the length.
pub(super) const PREFIX_BYTES: usize = 5;

/// The header that names the compression of a call's messages.
const ENCODING: &str = "grpc-encoding";
/// The header that lists the compressions that its sender accepts.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// The compressions that this server accepts.
const ACCEPTED: &str = "identity,gzip,zstd";

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Adds to the headers of an answer which compressions this server accepts.
pub(super) fn offer(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
}

impl Encoding {
    /// Takes the compression of a call from its headers.
    ///
    /// # Errors
    ///
    /// [`TransportRefusal::Compressed`] if it is another one.
    pub(crate) fn take(headers: &mut HeaderMap) -> Result<Self, TransportRefusal> {
        match headers.remove(ENCODING).as_ref().map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(_) => Err(TransportRefusal::Compressed),
        }
    }

    /// A message with its prefix as it would be without compression. `bytes_max` bounds the message, compressed or not.
    ///
    /// # Errors
    ///
    /// [`TransportRefusal`] if the message is too large, is compressed and the call names no compression, or cannot be
    /// decompressed.
    pub(crate) fn plain(self, framed: Bytes, bytes_max: usize) -> Result<Bytes, TransportRefusal> {
        let Some(compressed) = framed.get(PREFIX_BYTES..).filter(|_| framed[0] == 1) else { return Ok(framed) };
        let message = match self {
            Self::Identity => return Err(TransportRefusal::Compressed),
            Self::Gzip => gunzip(compressed, bytes_max)?,
            Self::Zstd => unzstd(compressed, bytes_max)?,
        };
        let mut plain = BytesMut::with_capacity(PREFIX_BYTES + message.len());
        plain.put_u8(0);
        plain.put_u32(u32::try_from(message.len()).map_err(|_| TransportRefusal::TooLarge { limit: bytes_max })?);
        plain.extend_from_slice(&message);
        Ok(plain.freeze())
    }
}

fn gunzip(compressed: &[u8], bytes_max: usize) -> Result<Vec<u8>, TransportRefusal> {
    let mut message = Vec::new();
    let mut decoder = GzDecoder::new(compressed);
    let mut bounded = decoder.by_ref().take(bytes_max as u64 + 1);
    bounded.read_to_end(&mut message).map_err(|_| TransportRefusal::Malformed)?;
    if message.len() > bytes_max {
        return Err(TransportRefusal::TooLarge { limit: bytes_max });
    }
    // What follows the end of the stream is not part of the message.
    if decoder.into_inner().is_empty() { Ok(message) } else { Err(TransportRefusal::Malformed) }
}

fn unzstd(compressed: &[u8], bytes_max: usize) -> Result<Vec<u8>, TransportRefusal> {
    // The decoder takes no frame at all for an empty message.
    if compressed.is_empty() {
        return Err(TransportRefusal::Malformed);
    }
    // The buffer has one byte more than the limit, to distinguish a message that is too large from a damaged one.
    let mut message = vec![0; bytes_max + 1];
    match zstd::bulk::decompress_to_buffer(compressed, message.as_mut_slice()) {
        Ok(length) if length <= bytes_max => {
            message.truncate(length);
            Ok(message)
        }
        Err(error) if !error.to_string().contains("Destination buffer is too small") => {
            Err(TransportRefusal::Malformed)
        }
        Ok(_) | Err(_) => Err(TransportRefusal::TooLarge { limit: bytes_max }),
    }
}

/// The messages of a call with several, decompressed one by one. It holds one compressed message at most.
pub(super) struct PlainMessages {
    inner: Body,
    encoding: Encoding,
    bytes_max: usize,
    arrived: BytesMut,
    is_over: bool,
}

impl PlainMessages {
    pub(crate) fn new(inner: Body, encoding: Encoding, bytes_max: usize) -> Self {
        Self { inner, encoding, bytes_max, arrived: BytesMut::new(), is_over: false }
    }

    /// The next message, if it has arrived.
    fn next(&mut self) -> Result<Option<Bytes>, TransportRefusal> {
        let Some(mut length) = self.arrived.get(1..PREFIX_BYTES) else { return Ok(None) };
        let length = length.get_u32() as usize;
        if length > self.bytes_max {
            return Err(TransportRefusal::TooLarge { limit: self.bytes_max });
        }
        if self.arrived.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        let framed = self.arrived.split_to(PREFIX_BYTES + length).freeze();
        self.encoding.plain(framed, self.bytes_max).map(Some)
    }
}

impl http_body::Body for PlainMessages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        while !this.is_over {
            match this.next() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(None) => {}
                Err(refusal) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(refusal.to_status())));
                }
            }
            match std::task::ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.arrived.extend_from_slice(&data),
                    // Trailers of a request have no meaning in gRPC.
                    Err(_) => this.is_over = true,
                },
                Some(Err(status)) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => {
                    this.is_over = true;
                    if !this.arrived.is_empty() {
                        return Poll::Ready(Some(Err(Status::new(Code::Internal, "the last message is not whole"))));
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn framed(flag: u8, message: &[u8]) -> Bytes {
        let mut framed = vec![flag];
        framed.put_u32(message.len() as u32);
        framed.extend_from_slice(message);
        framed.into()
    }

    fn gzip(message: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(message).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    fn zstd(message: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(message, 19).expect("compressed")
    }

    #[test]
    fn compressed_messages_become_plain() {
        let message = b"1girl, solo, ".repeat(40);
        let expected = framed(0, &message);
        assert_eq!(Encoding::Gzip.plain(framed(1, &gzip(&message)), 1000), Ok(expected.clone()));
        assert_eq!(Encoding::Zstd.plain(framed(1, &zstd(&message)), 1000), Ok(expected.clone()));
        // A stream without the size of its content, as clients send it.
        let streamed = zstd::stream::encode_all(message.as_slice(), 3).expect("compressed");
        assert_eq!(Encoding::Zstd.plain(framed(1, &streamed), 1000), Ok(expected.clone()));
        assert_eq!(Encoding::Gzip.plain(expected.clone(), 1000), Ok(expected), "a message may be plain all the same");
        assert_eq!(Encoding::Gzip.plain(Bytes::new(), 1000), Ok(Bytes::new()));
    }

    #[test]
    fn a_bomb_is_refused_at_the_bound_of_plain_messages() {
        let bomb = vec![0; 64 << 20];
        for (encoding, bomb) in [(Encoding::Gzip, gzip(&bomb)), (Encoding::Zstd, zstd(&bomb))] {
            assert!(bomb.len() < 80_000, "{} bytes", bomb.len());
            let refused = encoding.plain(framed(1, &bomb), 16 << 10);
            assert_eq!(refused, Err(TransportRefusal::TooLarge { limit: 16 << 10 }), "{encoding:?}");
        }
        let exact = [0; 1000];
        for (encoding, exact) in [(Encoding::Gzip, gzip(&exact)), (Encoding::Zstd, zstd(&exact))] {
            assert!(encoding.plain(framed(1, &exact), 1000).is_ok());
            assert_eq!(encoding.plain(framed(1, &exact), 999), Err(TransportRefusal::TooLarge { limit: 999 }));
        }
    }

    #[test]
    fn damaged_and_unannounced_compression_is_refused() {
        let message = b"1girl, solo".repeat(20);
        for (encoding, whole) in [(Encoding::Gzip, gzip(&message)), (Encoding::Zstd, zstd(&message))] {
            let cut = &whole[..whole.len() - 3];
            let more = [whole.as_slice(), b"more"].concat();
            for damaged in [&b""[..], b"not compressed", cut, &more] {
                let refused = encoding.plain(framed(1, damaged), 1000);
                assert_eq!(refused, Err(TransportRefusal::Malformed), "{encoding:?} {damaged:?}");
            }
        }
        assert_eq!(Encoding::Identity.plain(framed(1, &gzip(&message)), 1000), Err(TransportRefusal::Compressed));
    }

    #[test]
    fn the_compression_of_a_call_is_taken_from_its_headers() {
        for (name, expected) in [
            ("identity", Ok(Encoding::Identity)),
            ("gzip", Ok(Encoding::Gzip)),
            ("zstd", Ok(Encoding::Zstd)),
            ("deflate", Err(TransportRefusal::Compressed)),
            ("gzip,zstd", Err(TransportRefusal::Compressed)),
        ] {
            let mut headers =
                HeaderMap::from_iter([(http::HeaderName::from_static(ENCODING), HeaderValue::from_static(name))]);
            assert_eq!(Encoding::take(&mut headers), expected, "{name}");
            assert!(headers.is_empty(), "tonic gets plain messages");
        }
        assert_eq!(Encoding::take(&mut HeaderMap::new()), Ok(Encoding::Identity));
    }

    #[tokio::test]
    async fn each_message_of_a_stream_is_bounded() {
        let message = b"1girl, solo, ".repeat(20);
        let two = [framed(1, &gzip(&message)), framed(0, b"plain")].concat();
        let body = Body::new(Full::new(Bytes::from(two)));
        let plain = PlainMessages::new(body, Encoding::Gzip, 1000).collect().await.expect("both").to_bytes();
        assert_eq!(plain, [framed(0, &message), framed(0, b"plain")].concat());
        for (bytes, expected) in [
            (framed(1, &gzip(&[0; 1001])), Code::ResourceExhausted),
            (framed(0, &[0; 1001]), Code::ResourceExhausted),
            (framed(1, b"not compressed"), Code::Internal),
            (framed(0, b"whole").slice(..7), Code::Internal),
        ] {
            let body = Body::new(Full::new(bytes));
            let refused = PlainMessages::new(body, Encoding::Gzip, 1000).collect().await.expect_err("refused");
            assert_eq!(refused.code(), expected);
        }
    }
}
