//! A cache of thumbnails in memory, with the least recently used ones evicted.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use sakuga_proto::digest::sha256_hex;
use tokio::sync::{OnceCell, Semaphore};

use crate::error::ServerError;

/// The most bytes of the thumbnails that are kept.
const BYTES_MAX: usize = 64 << 20;
/// The most thumbnails in the cache, those being made included.
const COUNT_MAX: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Pictures that are decoded at once: a picture of 4 megapixels takes about 80 MB and a tenth of a second.
const MADE_AT_ONCE: usize = 2;

/// A JPEG of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Thumbnail {
    /// The JPEG file.
    pub file: Bytes,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: Arc<str>,
}

/// Key of a thumbnail: the SHA-256 of the picture, and the maximum of the longer edge in pixels.
pub(crate) type Key = (String, u32);

/// A thumbnail that is kept, or is being made by the first call that asked for it.
#[derive(Default)]
struct Entry {
    thumbnail: Arc<OnceCell<Thumbnail>>,
    /// Its bytes, once it is made.
    bytes: usize,
}

/// The thumbnails that are kept.
pub(crate) struct Thumbnails {
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

    /// The thumbnail of this key. If it is not cached, `make` makes it, once for all calls that ask at the same time.
    pub(crate) async fn get(
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

    /// Counts the bytes of a thumbnail, and evicts the least recently used ones while the bound is exceeded.
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
