//! [`Piece`]: what the event of a piece of a picture has in place of its bytes while it is stored.

use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::ImageChunk;

/// Where the bytes of a piece are: in the file of this SHA-256 among those of the job.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Piece {
    /// SHA-256 of the picture.
    #[prost(string, tag = "1")]
    pub(super) sha256: String,
    /// Length of the piece in bytes.
    #[prost(uint64, tag = "2")]
    pub(super) len: u64,
}

impl Piece {
    /// The event as it is stored.
    pub(super) fn stored(&self, chunk: ImageChunk) -> ImageChunk {
        ImageChunk { data: Bytes::from(self.encode_to_vec()), ..chunk }
    }

    /// The piece of a stored event; `None` if it is damaged.
    pub(super) fn of(chunk: &ImageChunk) -> Option<Self> {
        Self::decode(chunk.data.clone()).ok().filter(|piece| piece.len > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_event_says_where_its_bytes_are() {
        let piece = Piece { sha256: "ab".into(), len: 7 };
        let stored = piece.stored(ImageChunk { offset: 5, total_size: 12, ..ImageChunk::default() });
        assert_eq!((Piece::of(&stored), stored.offset), (Some(piece), 5));
        assert_eq!(Piece::of(&ImageChunk::default()), None, "a piece has at least one byte");
        assert_eq!(Piece::of(&ImageChunk { data: Bytes::from_static(&[0xff; 9]), ..ImageChunk::default() }), None);
    }
}
