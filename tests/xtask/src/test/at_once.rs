//! Work that runs two pieces at a time.

use std::sync::Mutex;
use std::thread;

/// Pieces that run at the same time. Many tests wait for a server or a clock, so two share two cores well.
const AT_ONCE: usize = 2;

/// Does the work on each piece, in the order of the pieces, two at a time, and returns the results as they came. No further piece
/// begins after a result that `stops`.
pub(super) fn run<P: Sync, R: Send>(
    pieces: &[P],
    work: impl Fn(&P) -> R + Sync,
    stops: impl Fn(&R) -> bool + Sync,
) -> Vec<R> {
    let waiting = Mutex::new(pieces.iter());
    let done = Mutex::new(Vec::new());
    let worker = || {
        // The lock is released before the work begins.
        let next = || waiting.lock().ok()?.next();
        while let Some(piece) = next() {
            let result = work(piece);
            let is_last = stops(&result);
            let Ok(mut done) = done.lock() else { return };
            done.push(result);
            if is_last {
                // Nothing is left for the others.
                if let Ok(mut waiting) = waiting.lock() {
                    *waiting = [].iter();
                }
                return;
            }
        }
    };
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(worker))));
    done.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn two_pieces_run_at_once_and_each_is_done() {
        let both = Barrier::new(2);
        let work = |piece: &u32| {
            both.wait();
            2 * piece
        };
        let mut done = run(&[1, 2, 3, 4], work, |_| false);
        done.sort_unstable();
        assert_eq!(done, [2, 4, 6, 8]);
    }

    #[test]
    fn no_piece_begins_after_one_that_stops() {
        let both = Barrier::new(2);
        let pieces: Vec<u32> = (0..100).collect();
        let done = run(
            &pieces,
            |piece| {
                if *piece < 2 {
                    both.wait();
                }
                *piece
            },
            |piece| *piece < 2,
        );
        assert!((1..=2).contains(&done.len()), "{done:?}");
    }
}
