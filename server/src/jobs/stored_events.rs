//! Reads events as the store has them: encoded messages of the API, without the bytes of pictures.

use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation, generate_event};

use crate::journal::{Entry, Piece};
use crate::store::StoreError;

/// Decodes an event.
///
/// # Errors
///
/// [`StoreError::Damaged`] if the bytes are not an event.
pub(super) fn decode(sequence: u64, message: &Bytes) -> Result<generation::GenerateEvent, StoreError> {
    generation::GenerateEvent::decode(message.clone())
        .map_err(|error| StoreError::Damaged(format!("event {sequence} cannot be decoded: {error}")))
}

/// A job's events with their pieces. The store does not hold the length of a piece: it ends where the next one begins.
///
/// # Errors
///
/// [`StoreError::Damaged`] if an event cannot be decoded.
pub(super) fn entries(stored: Vec<(u64, Bytes)>) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::with_capacity(stored.len());
    // Picture and offset of the piece after the current one.
    let mut next_piece: Option<(u32, u64)> = None;
    for (sequence, message) in stored.into_iter().rev() {
        let mut piece = None;
        if let Some(generate_event::Event::ImageChunk(chunk)) = decode(sequence, &message)?.event {
            let end = match next_piece {
                Some((image_index, offset)) if image_index == chunk.image_index && offset > chunk.offset => offset,
                _ => chunk.total_size,
            };
            let len = end.saturating_sub(chunk.offset);
            piece = Some(Piece { image_index: chunk.image_index, offset: chunk.offset, len });
            next_piece = Some((chunk.image_index, chunk.offset));
        }
        entries.push(Entry { sequence, message, piece });
    }
    entries.reverse();
    Ok(entries)
}
