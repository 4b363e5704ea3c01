//! Small versions of pictures, made when they are asked for. Those that were used last are kept in memory.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lru::LruCache;
use parking_lot::Mutex;
use sakuga_model_core::{Rgb8, limits};
use sakuga_proto::digest::sha256_hex;
use tokio::sync::{OnceCell, Semaphore};

use super::artifacts;
use super::caller::Caller;
use super::registry::Jobs;
use crate::assets::{PictureLimits, decode_picture};
use crate::error::{ServerError, Violation};
use crate::limits::Limits;
use crate::preview::{self, PreviewFormat};

/// Bytes of the thumbnails that are kept.
const BYTES_MAX: usize = 64 << 20;
/// Thumbnails that are kept, also those that are in the making.
const COUNT_MAX: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Pictures that are decoded at once: a picture of 4 megapixels takes about 80 MB and a tenth of a second.
const MADE_AT_ONCE: usize = 2;

/// A JPEG of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Thumbnail {
    /// The file.
    pub file: Bytes,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: Arc<str>,
}

/// What a thumbnail is made from: the SHA-256 of the picture, and the most pixels of the longer edge.
type Key = (String, u32);

/// A thumbnail that is kept, or is being made by the first call that asked for it.
#[derive(Default)]
struct Entry {
    thumbnail: Arc<OnceCell<Thumbnail>>,
    /// Its bytes, once it is made.
    bytes: usize,
}

/// The thumbnails that are kept.
pub(super) struct Thumbnails {
    kept: Mutex<Kept>,
    making: Semaphore,
    bytes_max: usize,
}

struct Kept {
    entries: LruCache<Key, Entry>,
    bytes: usize,
}

impl Default for Thumbnails {
    fn default() -> Self {
        Self::bounded(COUNT_MAX, BYTES_MAX)
    }
}

impl Thumbnails {
    fn bounded(count_max: NonZeroUsize, bytes_max: usize) -> Self {
        let kept = Mutex::new(Kept { entries: LruCache::new(count_max), bytes: 0 });
        Self { kept, making: Semaphore::new(MADE_AT_ONCE), bytes_max }
    }

    /// The thumbnail of this key; made by `make`, once however many calls ask at the same time, unless it is kept.
    async fn get(
        &self,
        key: &Key,
        make: impl Future<Output = Result<Bytes, ServerError>>,
    ) -> Result<Thumbnail, ServerError> {
        let cell = self.entry(key);
        let made = cell.get_or_try_init(|| async {
            // The semaphore is never closed.
            let _permit = self.making.acquire().await.ok();
            let file = make.await?;
            Ok::<_, ServerError>(Thumbnail { sha256: sha256_hex(&file).into(), file })
        });
        let thumbnail = made.await?.clone();
        self.weigh(key, thumbnail.file.len());
        Ok(thumbnail)
    }

    fn entry(&self, key: &Key) -> Arc<OnceCell<Thumbnail>> {
        let mut kept = self.kept.lock();
        if let Some(entry) = kept.entries.get(key) {
            return entry.thumbnail.clone();
        }
        let entry = Entry::default();
        let cell = entry.thumbnail.clone();
        if let Some((_, oldest)) = kept.entries.push(key.clone(), entry) {
            kept.bytes -= oldest.bytes;
        }
        cell
    }

    /// Counts the bytes of a thumbnail, and drops those that were used longest ago while all have too many.
    fn weigh(&self, key: &Key, bytes: usize) {
        let mut kept = self.kept.lock();
        let Kept { entries, bytes: all } = &mut *kept;
        if let Some(entry) = entries.peek_mut(key) {
            *all = *all - entry.bytes + bytes;
            entry.bytes = bytes;
        }
        while *all > self.bytes_max
            && let Some((_, oldest)) = entries.pop_lru()
        {
            *all -= oldest.bytes;
        }
    }
}

impl Jobs {
    /// A JPEG of a picture whose longer edge has at most `max_edge_px`. The file of the picture is compared with its SHA-256
    /// when it is read.
    ///
    /// # Errors
    ///
    /// As of [`Jobs::picture`], and [`ServerError::InvalidRequest`] for an edge that is out of range.
    pub(crate) async fn thumbnail(
        &self,
        caller: &Caller,
        job_id: &str,
        image_index: u32,
        max_edge_px: u32,
    ) -> Result<Thumbnail, ServerError> {
        if !limits::PREVIEW_EDGE_PX.contains(max_edge_px) {
            let fault = Violation::out_of_range("max_edge", &limits::PREVIEW_EDGE_PX, max_edge_px);
            return Err(ServerError::InvalidRequest(vec![fault]));
        }
        let (id, image) = self.described(caller, job_id, image_index).await?;
        let key = (image.sha256, max_edge_px);
        let make = async {
            let mut file = BytesMut::new();
            while (file.len() as u64) < image.size {
                let begin = file.len() as u64;
                let end = image.size.min(begin + Limits::CHUNK_BYTES_MAX as u64);
                file.extend_from_slice(&self.piece(&id, image_index, begin..end).await?);
            }
            let compared = artifacts::compare(image_index, &sha256_hex(&file), &key.0);
            compared.map_err(|error| error.of_job(id.as_str()))?;
            let made = tokio::task::spawn_blocking(move || shrink(&file, max_edge_px)).await;
            made.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
        };
        self.thumbnails.get(&key, make).await
    }
}

/// A JPEG of a file of this server.
fn shrink(file: &[u8], max_edge_px: u32) -> Result<Bytes, ServerError> {
    // The server made the picture within its own limits.
    let limits = PictureLimits { bytes_max: u64::MAX, edge_max: u32::MAX, pixels_max: u64::MAX };
    let picture = decode_picture(file, &limits).map_err(|error| ServerError::Internal(error.to_string()))?;
    let picture = Rgb8 { width_px: picture.width, height_px: picture.height, pixels: picture.rgb };
    let encoded = preview::encode(picture, PreviewFormat::Jpeg, max_edge_px);
    Ok(encoded.map_err(|error| ServerError::Internal(error.to_string()))?.data)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key(name: &str) -> Key {
        (name.to_owned(), 64)
    }

    #[tokio::test]
    async fn a_thumbnail_is_made_once_and_failures_are_tried_again() {
        let (thumbnails, made) = (Thumbnails::default(), AtomicUsize::new(0));
        let make = async || {
            tokio::task::yield_now().await;
            match made.fetch_add(1, Ordering::SeqCst) {
                0 => Err(ServerError::Internal("the first fails".into())),
                _ => Ok(Bytes::from_static(b"jpeg")),
            }
        };
        let name = key("a");
        let get = || thumbnails.get(&name, make());
        assert!(get().await.is_err());
        let (one, two) = tokio::join!(get(), get());
        assert_eq!((one.expect("made").file, two.expect("made").file), (b"jpeg"[..].into(), b"jpeg"[..].into()));
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_in_bytes_and_number() {
        let count_max = NonZeroUsize::new(3).expect("not 0");
        let thumbnails = Thumbnails::bounded(count_max, 10);
        let put = async |name: &str, bytes: usize| {
            let made = thumbnails.get(&key(name), async { Ok(Bytes::from(vec![0; bytes])) }).await;
            assert_eq!(made.expect("made").file.len(), bytes);
        };
        for (name, bytes) in [("a", 4), ("b", 4), ("c", 4), ("large", 11), ("d", 1), ("e", 1), ("f", 1), ("g", 1)] {
            put(name, bytes).await;
            let kept = thumbnails.kept.lock();
            let sum: usize = kept.entries.iter().map(|(_, entry)| entry.bytes).sum();
            assert_eq!(kept.bytes, sum, "after {name}");
            assert!(sum <= 10 && kept.entries.len() <= 3, "after {name}: {sum}");
        }
        let made = AtomicUsize::new(0);
        let count = async || {
            made.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::new())
        };
        for name in ["g", "d"] {
            thumbnails.get(&key(name), count()).await.expect("made");
        }
        assert_eq!(made.load(Ordering::SeqCst), 1, "the newest is kept, the oldest is not");
    }
}
