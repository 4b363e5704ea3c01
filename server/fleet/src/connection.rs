//! Connections to NATS: they reconnect without end, and their events are logged and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};

use crate::error::{FleetError, causes};
use crate::settings::Settings;

/// How long a call waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause between two attempts to reconnect.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Messages that a subscription buffers. Beyond it the newest are dropped and counted.
const SUBSCRIPTION_MESSAGES: usize = 1024;

/// A connection, and what went wrong on it so far.
#[derive(Clone, Debug)]
pub struct Connection {
    client: Client,
    faults: Arc<Faults>,
}

/// Counters of one connection.
#[derive(Debug, Default)]
pub struct Faults {
    reconnects: AtomicU64,
    dropped: AtomicU64,
}

impl Faults {
    /// How often the connection was lost and restored.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Messages that were dropped because their subscription did not read them in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Connection {
    /// Connects in a role, which names the connection at the server and its reply subjects.
    ///
    /// # Errors
    ///
    /// [`FleetError::Settings`] or [`FleetError::Connect`]. Later losses are not errors: the client reconnects.
    pub async fn open(settings: &Settings, role: &'static str) -> Result<Self, FleetError> {
        let names = settings.names()?;
        let failed = |reason: String| FleetError::Connect { servers: settings.servers_shown(), reason };
        let faults = Arc::new(Faults::default());
        let counted = faults.clone();
        let mut options = ConnectOptions::new()
            .name(format!("sakuga {role}"))
            .custom_inbox_prefix(names.inbox(role))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .subscription_capacity(SUBSCRIPTION_MESSAGES)
            .reconnect_delay_callback(|attempts| {
                let exponent = u32::try_from(attempts).unwrap_or(u32::MAX).min(6);
                Duration::from_millis(20 << exponent).min(RECONNECT_MAX)
            })
            .event_callback(move |event| {
                let faults = counted.clone();
                async move { note(&event, &faults, role) }
            });
        if let Some((user, password)) = settings.user_and_password() {
            options = options.user_and_password(user, password);
        }
        if let Some(file) = &settings.credentials {
            options =
                options.credentials_file(file).await.map_err(|error| failed(format!("{}: {error}", file.display())))?;
        }
        if let Some(file) = &settings.nkey {
            let seed = tokio::fs::read_to_string(file).await;
            options =
                options.nkey(seed.map_err(|error| failed(format!("{}: {error}", file.display())))?.trim().to_owned());
        }
        if let Some(ca) = &settings.ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some((certificate, key)) = &settings.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        let client = options.connect(settings.servers.as_slice()).await.map_err(|error| failed(causes(&error)))?;
        Ok(Self { client, faults })
    }

    /// Whether there is a connection at the moment.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What went wrong so far.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

fn note(event: &Event, faults: &Faults, role: &str) {
    match event {
        Event::Connected => tracing::info!(role, "connected to NATS"),
        Event::Disconnected => {
            faults.reconnects.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(role, "the connection to NATS is lost; reconnecting");
        }
        Event::SlowConsumer(_) => {
            let dropped = faults.dropped.fetch_add(1, Ordering::Relaxed);
            // Each of thousands in the log would slow the reader further.
            if dropped.is_power_of_two() || dropped == 0 {
                tracing::warn!(role, dropped = dropped + 1, "messages are dropped: a subscription reads too slowly");
            }
        }
        other => tracing::info!(role, event = %other, "NATS"),
    }
}
