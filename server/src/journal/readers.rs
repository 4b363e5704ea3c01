//! [`Readers`]: the readers of a journal and their wakers.

use std::task::Waker;

use slab::Slab;

/// The readers of a journal. Each keeps its slot and its waker from one event to the next, so that waking costs neither an
/// allocation nor a clone.
#[derive(Debug, Default)]
pub(super) struct Readers {
    slots: Slab<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    waker: Option<Waker>,
    /// Whether the reader found no event and was not woken since.
    is_waiting: bool,
}

impl Readers {
    /// Adds a reader and returns its key.
    pub(super) fn add(&mut self) -> usize {
        self.slots.insert(Slot::default())
    }

    /// Removes a reader and returns its waker, to be dropped without a lock.
    pub(super) fn remove(&mut self, key: usize) -> Option<Waker> {
        self.slots.try_remove(key)?.waker
    }

    /// Has a reader woken by the next [`wake`](Self::wake). Returns the waker that is replaced, to be dropped without a
    /// lock.
    pub(super) fn wait(&mut self, key: usize, waker: &Waker) -> Option<Waker> {
        let slot = self.slots.get_mut(key)?;
        slot.is_waiting = true;
        if slot.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return None;
        }
        slot.waker.replace(waker.clone())
    }

    /// Wakes all readers that wait.
    pub(super) fn wake(&mut self) {
        for (_, slot) in &mut self.slots {
            if std::mem::take(&mut slot.is_waiting)
                && let Some(waker) = &slot.waker
            {
                waker.wake_by_ref();
            }
        }
    }

    /// Whether there is no reader.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn a_reader_is_woken_once_for_each_time_that_it_waits() {
        let mut readers = Readers::default();
        let (count, waker) = counted();
        let key = readers.add();
        readers.wake();
        for _ in 0..3 {
            assert!(readers.wait(key, &waker).is_none(), "the same waker is kept");
        }
        readers.wake();
        readers.wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        readers.wait(key, &waker);
        readers.wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn only_the_latest_waker_of_a_reader_is_woken() {
        let mut readers = Readers::default();
        let ((first, first_waker), (second, second_waker)) = (counted(), counted());
        let key = readers.add();
        readers.wait(key, &first_waker);
        assert!(readers.wait(key, &second_waker).is_some_and(|replaced| replaced.will_wake(&first_waker)));
        readers.wake();
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn a_removed_reader_is_neither_woken_nor_counted() {
        let mut readers = Readers::default();
        let (count, waker) = counted();
        let (gone, stays) = (readers.add(), readers.add());
        readers.wait(gone, &waker);
        assert!(readers.remove(gone).is_some() && readers.remove(stays).is_none());
        assert!(readers.is_empty());
        readers.wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }
}
