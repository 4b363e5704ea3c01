//! [`JobPolicy`]: how a job is treated.

use std::time::Duration;

use sakuga_proto::generation::v1::{self as generation};

use crate::job::{Placement, Priority};
use crate::wire::from_proto;

/// How a job is treated, from the options of its call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobPolicy {
    /// Its share of the device.
    pub priority: Priority,
    /// On how many devices it is drawn.
    pub placement: Placement,
    /// How long it continues without a reader; `None`: to its end.
    pub grace: Option<Duration>,
    /// How long after its acceptance it is cancelled; `None`: never.
    pub timeout: Option<Duration>,
}

impl JobPolicy {
    /// Reads the options. Unknown priorities and placements and negative times count as absent; new calls that have them are refused
    /// before.
    pub(crate) fn read(options: &generation::JobOptions) -> Self {
        let time = |time: Option<prost_types::Duration>| time.and_then(from_proto::duration);
        Self {
            priority: match options.priority() {
                generation::Priority::Low => Priority::Low,
                generation::Priority::Unspecified | generation::Priority::Normal => Priority::Normal,
                generation::Priority::High => Priority::High,
            },
            placement: match options.placement() {
                generation::Placement::Unspecified => Placement::Deadline,
                generation::Placement::Throughput => Placement::Throughput,
                generation::Placement::Latency => Placement::Latency,
            },
            grace: options.cancel_on_disconnect.then(|| time(options.disconnect_grace).unwrap_or_default()),
            timeout: time(options.timeout),
        }
    }
}
