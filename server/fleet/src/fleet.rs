//! [`Fleet`]: the connections of a process and everything that it shares with the others.

use async_nats::jetstream::{self, Context};

use crate::calls::Calls;
use crate::cancel::Cancels;
use crate::claims::Claims;
use crate::connection::Connection;
use crate::dead::DeadLetters;
use crate::dispatch::Dispatch;
use crate::error::FleetError;
use crate::layout::{Layout, bucket};
use crate::lease::Leases;
use crate::live::LiveEvents;
use crate::log::EventLog;
use crate::permissions::Role;
use crate::presence::Presence;
use crate::records::Records;
use crate::settings::Settings;
use crate::watched::Watchers;
use crate::work::WorkQueue;

/// Bytes of headers and subject besides the payload.
const OVERHEAD_BYTES: usize = 16 * 1024;

/// The connections of a process and everything that it shares with the others. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The events of all jobs: the truth.
    pub log: EventLog,
    /// The records of jobs, which follow the events.
    pub records: Records,
    /// Which job a repeated call means.
    pub claims: Claims,
    /// Which process schedules.
    pub leases: Leases,
    /// Jobs for workers.
    pub work: WorkQueue,
    /// Jobs whose workers were lost too often.
    pub dead: DeadLetters,
    /// Previews and samples.
    pub live: LiveEvents,
    /// The workers that are alive.
    pub presence: Presence,
    /// Cancellation of running jobs.
    pub cancels: Cancels,
    /// Questions that workers answer.
    pub calls: Calls,
    /// Which jobs have readers.
    pub watchers: Watchers,
    /// Which job a worker with a free device gets.
    pub dispatch: Dispatch,
    control: Connection,
    lossy: Connection,
}

impl Fleet {
    /// Creates the streams and buckets that do not exist, and checks those that do.
    ///
    /// # Errors
    ///
    /// [`FleetError::Settings`], [`FleetError::Connect`], [`FleetError::Layout`] or [`FleetError::Nats`].
    pub async fn set_up(settings: &Settings) -> Result<(), FleetError> {
        let connection = Connection::open(settings, Role::Setup.name()).await?;
        Layout::of(settings)?.ensure(&context(&connection)).await
    }

    /// Connects in a role. The streams and buckets exist.
    ///
    /// Previews have a connection of their own: a server cuts off a connection that does not read what it subscribed to, and then
    /// nothing but previews is lost.
    ///
    /// # Errors
    ///
    /// [`FleetError::Settings`], [`FleetError::Connect`] or [`FleetError::Nats`].
    pub async fn open(settings: &Settings, role: Role) -> Result<Self, FleetError> {
        let names = settings.names()?;
        let control = Connection::open(settings, role.name()).await?;
        let lossy = Connection::open(settings, role.name()).await?;
        let (context, client) = (context(&control), control.client().clone());
        let max_payload = client.max_payload().saturating_sub(OVERHEAD_BYTES);
        let work = WorkQueue::new(context.clone(), names.clone(), settings.ack_wait);
        Ok(Self {
            log: EventLog::open(context.clone(), names.clone(), max_payload).await?,
            records: Records::new(bucket(&context, names.records()).await?, max_payload),
            claims: Claims::new(bucket(&context, names.claims()).await?),
            leases: Leases::new(bucket(&context, names.leases()).await?, settings.lease),
            dispatch: Dispatch::new(client.clone(), names.clone(), work.clone()),
            work,
            dead: DeadLetters::new(context.clone(), names.clone()),
            live: LiveEvents::new(lossy.client().clone(), bucket(&context, names.previews()).await?, names.clone()),
            presence: Presence::new(bucket(&context, names.presence()).await?),
            calls: Calls::new(client.clone(), names.clone(), max_payload),
            watchers: Watchers::new(client.clone(), names.clone()),
            cancels: Cancels::new(client, names),
            control,
            lossy,
        })
    }

    /// The connection for everything but previews.
    pub fn control(&self) -> &Connection {
        &self.control
    }

    /// The connection for previews and samples.
    pub fn lossy(&self) -> &Connection {
        &self.lossy
    }
}

fn context(connection: &Connection) -> Context {
    jetstream::new(connection.client().clone())
}
