//! Jobs, events and work of many Sakuga hosts on NATS JetStream, and their files in an object store.
//!
//! This crate is the shared truth of a fleet and its protocol, tested against real servers of NATS. The roles `sakuga-server gateway` and
//! `sakuga-server worker` use it.
//!
//! # What lies where
//!
//! | the single server has | a fleet has | here |
//! |---|---|---|
//! | the events of a job in its data folder | one stream, one subject a job, our own sequence numbers in the payload | [`EventLog`] |
//! | the job's record next to them | a bucket, changed by compare-and-set | [`Records`] |
//! | the `request_id` of a client | a bucket, decided by compare-and-set | [`Claims`] |
//! | one fair queue in memory | the same queue in the gateway that holds a lease | [`Leases`], [`Dispatch`] |
//! | the thread of a device takes a job | a worker with a free device asks, and takes one item of a work queue | [`WorkQueue`] |
//! | attempts after a restart | [`Attempt`]: the fence against workers that are late | [`Attempt`] |
//! | a job that fails too often | the stream of dead letters, with the reason | [`DeadLetters`] |
//! | previews and samples in the journal | plain messages, and the last preview of each image in memory | [`LiveEvents`] |
//! | cancellation by a flag | a request to the worker | [`Cancels`] |
//! | the readers of a job's journal | gateways with readers say so when they are asked | [`Watchers`] |
//! | models of the process | a worker answers calls that need one | [`Calls`] |
//! | devices of the process | announcements that expire | [`Presence`] |
//! | pictures in a folder | files under their SHA-256 in S3 or a shared folder | [`Objects`] |
//!
//! # What decides
//!
//! The events of a job decide what happened to it; everything else follows them and can be rebuilt from them. An event is appended
//! only after the last one that its writer knows (`Nats-Expected-Last-Subject-Sequence`), so of two writers the later one fails. This
//! is also how a result is fenced by the number of its attempt: the event `requeued` of the next attempt makes every append of the
//! earlier one fail, also that of a terminal event. Hence a job has one terminal event however often its item of work was delivered
//! and however many workers believe that they have it.
//!
//! 1. A gateway claims the `request_id`, appends `accepted` after nothing, creates the record, and answers its client. Without the
//!    record the job does not exist: a gateway that dies before leaves a claim that [`Claims::replace`] gives to the repeated call.
//! 2. The gateway with the lease picks the job when a worker asks, and publishes an item of work.
//! 3. The worker takes the item, [begins](Attempt::begin) an attempt, appends events, stores pictures under their hashes, appends the
//!    terminal event, brings the record up to it, and then confirms the item twice.
//! 4. If the worker dies, the item is delivered again after `ack_wait`, and the next worker supersedes the attempt.
//!
//! Leases are no part of these guarantees: two schedulers at once publish a job twice, and it is drawn once.
//!
//! # The roles
//!
//! - `worker`: the parts of the single server with its store in memory and no port. Each item of work becomes one of its own jobs, from
//!   the resolved request in the record. Its events are appended here under the numbers of the attempt, its pictures go to [`Objects`],
//!   and a [`FleetError::Superseded`] cancels it. It also answers [`Calls`] that need a model, such as the check of a request.
//! - `gateway`: the services of the single server. Each stream of events is a [`Follower`]; [`RecordWatch`] feeds the index of
//!   `ListJobs`, limits and retention.
//! - The gateway with the lease builds the fair queue of the single server from that index and answers workers by it. It ends jobs whose
//!   deadline has passed or whose readers have gone ([`Watchers`]), and deletes old ones.
//!
//! # Sequence numbers
//!
//! A job's events have the job's own numbers, since those of the stream have holes for one job. Each stored event names the stored one
//! before it, so a [`Follower`] notices a missing event instead of skipping it. Previews take numbers in between, up to 1024 after a
//! stored event; an attempt that supersedes another begins behind them, so that no number is used twice.
//!
//! # Pitfalls of JetStream, and the tests that cover them
//!
//! | trap | what is done | test in `tests/jetstream` |
//! |---|---|---|
//! | a long job outlives `ack_wait` | the worker reports every third of it | `a_long_job_is_delivered_once` |
//! | a late worker's acknowledgement is no error | its events are refused, not its acknowledgement | `a_late_worker_changes_nothing` |
//! | a pull takes 200 messages by default | one, and only when a device is free | `a_worker_takes_one_item` |
//! | the dedupe window ends after two minutes | claims by compare-and-set | `one_of_many_calls_gets_a_request_id` |
//! | the numbers of a stream have holes | the job's own chain of numbers | `events_of_one_job_have_no_hole` |
//! | a message has 1 MB at most | checked with the size; pictures go to the object store | `what_is_too_large_is_refused_with_its_size` |
//! | no dead letter queue | a stream of our own, with the reason | `a_job_that_kills_its_workers_becomes_a_dead_letter` |
//! | messages are acknowledged before they are on a disk | [`durability`] finds it, and the operator is warned | `a_server_that_syncs_late_is_found` |
//! | a consumer is lost with its server | it is recreated after the last event | `a_reader_goes_on_when_a_server_is_killed` |
//! | a stream has 1000 consumers at most by default | it says how many it has, and readers that go remove theirs | `a_thousand_readers_are_no_limit_and_leave_nothing` |
//! | a slow reader is cut off | previews have their own connection | `a_slow_reader_of_previews_loses_nothing_else` |
//! | a replica lags behind | records and tails are read from the leader | `the_next_gateway_finds_what_was_acknowledged` |
//! | an answer is lost although the write was done | each append has a mark that is looked up | `a_lost_answer_is_no_second_event` |
//! | the clocks of hosts differ | leases count durations of one clock | `a_lease_passes_on_within_five_seconds` |
//! | everyone may do everything | [`Permissions`] for each role | `a_worker_may_not_do_what_a_gateway_does` |

#![forbid(unsafe_code)]

mod attempt;
mod calls;
mod cancel;
mod claims;
mod connection;
mod dead;
mod dispatch;
mod durability;
mod error;
mod fleet;
mod follow;
mod layout;
mod lease;
mod live;
mod log;
mod names;
mod objects;
mod permissions;
mod presence;
mod records;
mod settings;
mod tail;
mod watched;
mod work;

pub use attempt::{Attempt, Begun, LOSSY_NUMBERS};
pub use calls::Calls;
pub use cancel::{Asked, CancelRequests, Cancels};
pub use claims::{Claim, Claims};
pub use connection::{Connection, Faults};
pub use dead::{DeadLetter, DeadLetters};
pub use dispatch::{Ask, Dispatch, Offer, Order};
pub use durability::{Durability, durability};
pub use error::FleetError;
pub use fleet::Fleet;
pub use follow::{Follower, StoredEvent};
pub use lease::{Lease, Leases};
pub use live::{LIVE_BYTES_MAX, LiveEvents, LiveReader};
pub use log::EventLog;
pub use names::{Names, token};
pub use objects::Objects;
pub use permissions::{Permissions, Role};
pub use presence::{AnnouncedDevice, Announcement, Presence};
pub use records::{RecordChange, RecordWatch, Records, Revised};
pub use settings::Settings;
pub use tail::{Phase, Tail};
pub use watched::{Watchers, Watching};
pub use work::{Taken, WorkItem, WorkQueue, WorkSource};
