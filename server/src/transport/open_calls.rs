//! Calls that need no token: health checks and reflection. They are few, and a new one displaces an old one, so that
//! no client can lock the others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Calls that may be open, over all addresses.
pub(crate) const OPEN_CALLS_MAX: usize = 256;

/// The open calls without a token, at most [`OPEN_CALLS_MAX`].
#[derive(Default)]
pub(crate) struct OpenCalls {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    /// In the order in which they began.
    calls: Vec<Entry>,
}

struct Entry {
    id: u64,
    address: Option<IpAddr>,
    displaced: CancellationToken,
}

/// One of the calls, until it is dropped.
pub(crate) struct OpenCall {
    id: u64,
    displaced: CancellationToken,
    calls: Arc<OpenCalls>,
}

impl OpenCalls {
    /// Begins a call. At the limit of open calls, the oldest call of the address with the most open calls is closed.
    pub(crate) fn begin(self: &Arc<Self>, address: Option<IpAddr>) -> OpenCall {
        let mut state = self.state.lock();
        if state.calls.len() >= OPEN_CALLS_MAX
            && let Some(oldest) = oldest_of_the_busiest(&state.calls)
        {
            state.calls.remove(oldest).displaced.cancel();
        }
        let id = state.next_id;
        state.next_id += 1;
        let displaced = CancellationToken::new();
        state.calls.push(Entry { id, address, displaced: displaced.clone() });
        OpenCall { id, displaced, calls: self.clone() }
    }
}

fn oldest_of_the_busiest(calls: &[Entry]) -> Option<usize> {
    let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
    for call in calls {
        *counts.entry(call.address).or_default() += 1;
    }
    let (busiest, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    calls.iter().position(|call| call.address == busiest)
}

impl OpenCall {
    /// Cancelled when a newer call takes the place of this one.
    pub(crate) fn displaced(&self) -> CancellationToken {
        self.displaced.clone()
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.calls.state.lock().calls.retain(|call| call.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_with_the_most_calls_loses_its_oldest() {
        let calls = Arc::new(OpenCalls::default());
        let address = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
        let others: Vec<OpenCall> = (1..=3).map(|last| calls.begin(address(last))).collect();
        let mut flood: Vec<OpenCall> = (3..OPEN_CALLS_MAX).map(|_| calls.begin(address(9))).collect();
        assert!(flood.iter().all(|call| !call.displaced().is_cancelled()));
        let newest = calls.begin(address(4));
        assert!(flood[0].displaced().is_cancelled() && !flood[1].displaced().is_cancelled());
        assert!(others.iter().chain([&newest]).all(|call| !call.displaced().is_cancelled()));
        flood.truncate(10);
        drop(calls.begin(address(9)));
        assert!(flood[1..].iter().all(|call| !call.displaced().is_cancelled()), "there is room again");
    }
}
