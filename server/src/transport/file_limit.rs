//! The limit of open files: each connection is one, and so is each picture that is read.

/// Files that are kept for the store, pictures, checkpoints and the runtime.
const RESERVED: u64 = 192;

/// Raises the process's limit of open files as far as the system allows. Returns the new limit.
pub(crate) fn raise() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        if limit.current != limit.maximum
            && let Err(error) = setrlimit(Resource::Nofile, raised)
        {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
        getrlimit(Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

/// The connections that may be open when `wanted` were configured and the process may open `files` files.
pub(crate) fn connections_max(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files else { return wanted };
    // Where the limit is very low, connections get half of it.
    let room = files.saturating_sub(RESERVED).max(files / 2).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        assert_eq!(connections_max(4096, None), 4096);
        assert_eq!(connections_max(4096, Some(1 << 20)), 4096);
        assert_eq!(connections_max(4096, Some(1024)), 832);
        assert_eq!(connections_max(4096, Some(100)), 50);
        assert_eq!(connections_max(4, Some(100)), 4);
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_the_highest_that_the_system_allows() {
        let raised = raise();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!((raised, limit.current), (limit.maximum, limit.maximum));
    }
}
