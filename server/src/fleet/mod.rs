//! The roles of a fleet: a gateway ([`GatewayApp`]) answers clients and has no device, a worker ([`WorkerApp`]) draws and has no port
//! for clients. What they share lies in [`sakuga_fleet`].
//!
//! A worker is the single server without its sockets and with its stores in memory. Each item of work becomes one of its own jobs,
//! whose events are appended to the fleet's log and whose pictures go to the fleet's object store. A gateway has the services of the
//! single server over that log. What needs a model, such as the check of a request, it asks a worker (`question`).

mod cancel;
mod class;
mod connect;
mod error;
mod gateway;
mod piece;
mod question;
mod record;
mod worker;

pub use error::RoleError;
pub use gateway::GatewayApp;
pub use worker::WorkerApp;

use sakuga_fleet::Fleet;

use crate::config::FleetConfig;

/// Creates the streams and buckets of a fleet.
///
/// # Errors
///
/// [`RoleError`].
pub async fn set_up(config: &FleetConfig) -> Result<(), RoleError> {
    Ok(Fleet::set_up(&config.place).await?)
}
