//! The stories of clients against the single server and against a fleet, and a fleet whose processes are killed.
//!
//! They need `nats-server` 2.11 or newer, which `cargo xtask test fleet` installs; `SAKUGA_NATS_SERVER` names another one. They are built
//! with the feature `nats` of `sakuga-fleet` alone.

#[expect(dead_code, reason = "the tests of the crate sakuga-fleet use more of it")]
#[path = "../../fleet/tests/jetstream/servers.rs"]
mod servers;

mod calls;
mod faults;
mod missing;
mod models;
mod place;
#[path = "../shared/process.rs"]
mod process;
mod stories;
#[expect(dead_code, reason = "the tests of durability use more of it")]
#[path = "../durable/support.rs"]
mod support;
