//! Reads events as the store has them: encoded messages of the API, without the bytes of pictures.

use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation, generate_event};

use crate::journal::{Entry, Piece};
use crate::store::StoreError;
use crate::wire::frame;

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
        // Previews are not stored.
        entries.push(Entry { sequence, frame: frame::of_encoded(message), is_preview: false, piece });
    }
    entries.reverse();
    Ok(entries)
}

/// The sequence number from which on a job's events are valid: all of them belong to the job, and an ended job has its terminal
/// event. One more than the last number if no event is valid. The store has already checked that none is missing.
pub(super) fn whole_from(job_id: &str, is_ended: bool, events: &[(u64, Bytes)]) -> u64 {
    use generate_event::Event;
    let mut whole = events.last().map_or(0, |(sequence, _)| sequence + 1);
    for (place, (sequence, message)) in events.iter().enumerate().rev() {
        let Ok(event) = decode(*sequence, message) else { return whole };
        let is_end = matches!(&event.event, Some(Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_)));
        let is_last = place + 1 == events.len();
        let is_its_own = event.job_id == job_id && event.sequence == *sequence && event.event.is_some();
        if !is_its_own || is_end != (is_last && is_ended) {
            return whole;
        }
        whole = *sequence;
    }
    whole
}

#[cfg(test)]
mod tests {
    use sakuga_proto::generation::v1::{Cancelled, Started};

    use super::*;

    #[test]
    fn events_of_others_and_a_missing_end_are_found() {
        use generate_event::Event;
        let bodies = [
            Event::Accepted(generation::Accepted::default()),
            Event::Started(Started::default()),
            Event::Cancelled(Cancelled::default()),
        ];
        let event = |(sequence, event)| {
            let (sequence, event) = (sequence as u64, Some(event));
            let message = generation::GenerateEvent { sequence, job_id: "job".into(), event, ..Default::default() };
            (sequence, Bytes::from(message.encode_to_vec()))
        };
        let whole: Vec<_> = bodies.into_iter().enumerate().map(event).collect();
        assert_eq!(whole_from("job", true, &whole), 0);
        assert_eq!(whole_from("job", false, &whole), 3, "it has an end and should not");
        assert_eq!(whole_from("other", true, &whole), 3);
        assert_eq!(whole_from("job", true, &whole[..2]), 2, "the end is missing");
        assert_eq!(whole_from("job", false, &whole[..2]), 0);
        assert_eq!(whole_from("job", true, &whole[1..]), 1);
        assert_eq!(whole_from("job", true, &[]), 0);
        let mut altered = whole.clone();
        altered[1].0 = 7;
        assert_eq!(whole_from("job", true, &altered), 2);
    }
}
