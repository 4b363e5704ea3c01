//! The traps of JetStream, against real servers on the loopback interface.
//!
//! They need `nats-server` 2.11 or newer, which `cargo xtask test fleet` installs; `SAKUGA_NATS_SERVER` names another one. Without it
//! each test prints `skipped: ` and the reason.

mod access;
mod claims;
mod dispatch;
mod events;
mod faults;
mod leases;
mod limits;
mod live;
mod permissions;
mod proxy;
mod servers;
mod story;
mod work;
