//! Who waits, and behind whom: plain state without threads, clocks or channels.

use std::collections::VecDeque;

use crate::job::JobId;

/// First come, first served, up to a bound.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<(JobId, T)>,
    capacity: usize,
}

impl<T> Queue<T> {
    /// An empty queue for at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), capacity }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a further entry would be refused.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.capacity
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    ///
    /// The entry, if the queue is full.
    pub fn push(&mut self, id: JobId, entry: T) -> Result<(), T> {
        if self.is_full() {
            return Err(entry);
        }
        self.waiting.push_back((id, entry));
        Ok(())
    }

    /// Takes the first entry.
    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|(_, entry)| entry)
    }

    /// Takes the entry of that name out of the middle, with its place; those behind it move up.
    pub fn remove(&mut self, id: &JobId) -> Option<(usize, T)> {
        let place = self.waiting.iter().position(|(waiting, _)| waiting == id)?;
        self.waiting.remove(place).map(|(_, entry)| (place, entry))
    }

    /// Takes every entry, first to last.
    pub fn drain(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|(_, entry)| entry).collect()
    }

    /// Those who wait, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_comes_first_and_the_middle_can_leave() {
        let ids: Vec<JobId> = (0..3).map(|_| JobId::new()).collect();
        let mut queue = Queue::new(3);
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(queue.push(id.clone(), number), Ok(()));
        }
        assert_eq!(queue.push(JobId::new(), 3), Err(3));
        assert_eq!(queue.remove(&ids[1]), Some((1, 1)));
        assert_eq!(queue.remove(&ids[1]), None);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(0), Some(2), None));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push,
        Pop,
        Remove(prop::sample::Index),
    }

    proptest! {
        /// No entry is lost, doubled or overtaken, whatever happens.
        #[test]
        fn it_behaves_like_a_list(
            capacity in 0..8_usize,
            acts in prop::collection::vec(
                prop_oneof![3 => Just(Act::Push), 2 => Just(Act::Pop), 1 => any::<prop::sample::Index>().prop_map(Act::Remove)],
                0..60,
            ),
        ) {
            let mut queue = Queue::new(capacity);
            let mut list: Vec<(JobId, usize)> = Vec::new();
            for (number, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Push => {
                        let id = JobId::new();
                        let pushed = queue.push(id.clone(), number);
                        prop_assert_eq!(pushed.is_ok(), list.len() < capacity);
                        if pushed.is_ok() {
                            list.push((id, number));
                        }
                    }
                    Act::Pop => {
                        let expected = if list.is_empty() { None } else { Some(list.remove(0).1) };
                        prop_assert_eq!(queue.pop(), expected);
                    }
                    Act::Remove(index) if !list.is_empty() => {
                        let place = index.index(list.len());
                        let (id, number) = list.remove(place);
                        prop_assert_eq!(queue.remove(&id), Some((place, number)));
                    }
                    Act::Remove(_) => prop_assert!(queue.is_empty()),
                }
                prop_assert_eq!(queue.len(), list.len());
                prop_assert!(queue.iter().eq(list.iter().map(|(_, number)| number)));
            }
        }
    }
}
