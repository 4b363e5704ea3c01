//! [`Settings`]: where the fleet is and how this process authenticates to it.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::FleetError;
use crate::names::Names;

/// Where the fleet is, how this process authenticates to it, and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses of the servers of NATS: `nats://host:4222` or `tls://host:4222`, with or without `user:password@`,
    /// which counts for all of them.
    pub servers: Vec<String>,
    /// Name of the fleet.
    pub fleet: String,
    /// A file of credentials (`.creds`) of a user.
    pub credentials: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey: Option<PathBuf>,
    /// The certificates that sign those of the servers; the system's otherwise.
    pub ca: Option<PathBuf>,
    /// Certificate and key of this process, for servers that verify their clients.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Copies of each stream. 3 in production, 1 for a single server.
    pub replicas: usize,
    /// How long the worker of a job may be silent before the job goes to another one. It reports every third of this.
    pub ack_wait: Duration,
    /// How long a lease is valid. A process that is killed is replaced after at most this time and a half second.
    pub lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            fleet: "sakuga".to_owned(),
            credentials: None,
            nkey: None,
            ca: None,
            certificate: None,
            replicas: 1,
            ack_wait: Duration::from_secs(30),
            lease: Duration::from_secs(4),
        }
    }
}

impl Settings {
    /// The names of the fleet.
    ///
    /// # Errors
    ///
    /// [`FleetError::Settings`] with what is wrong.
    pub fn names(&self) -> Result<Names, FleetError> {
        let refuse = |text: &str| Err(FleetError::Settings(text.to_owned()));
        if self.servers.is_empty() {
            return refuse("name at least one server of NATS");
        }
        if ![1, 3, 5].contains(&self.replicas) {
            return refuse("a stream has 1, 3 or 5 replicas");
        }
        if self.ack_wait < Duration::from_secs(1) || self.lease < Duration::from_secs(1) {
            return refuse("waits and leases last one second or longer");
        }
        if self.credentials.is_some() && self.nkey.is_some() {
            return refuse("give a file of credentials or an nkey, not both");
        }
        Names::new(&self.fleet)
    }

    /// User and password of the first address that has them. The client does not read them from addresses.
    pub(crate) fn user_and_password(&self) -> Option<(String, String)> {
        let of = |server: &String| {
            let (before, _) = server.rsplit_once('@')?;
            let (user, password) = before.split_once("://").map_or(before, |(_, user)| user).split_once(':')?;
            Some((user.to_owned(), password.to_owned()))
        };
        self.servers.iter().find_map(of)
    }

    /// The addresses without user and password, for messages.
    pub fn servers_shown(&self) -> String {
        let shown = |server: &String| match (server.split_once("://"), server.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            (None, Some((_, host))) => host.to_owned(),
            _ => server.clone(),
        };
        self.servers.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_password() {
        let servers =
            ["nats://worker:secret@host:4222", "worker:secret@other", "tls://plain"].map(str::to_owned).to_vec();
        let settings = Settings { servers, ..Settings::default() };
        assert_eq!(settings.servers_shown(), "nats://host:4222, other, tls://plain");
        assert_eq!(settings.user_and_password(), Some(("worker".into(), "secret".into())));
        assert_eq!(Settings::default().user_and_password(), None);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for settings in [
            Settings { servers: Vec::new(), ..Settings::default() },
            Settings { replicas: 2, ..Settings::default() },
            Settings { ack_wait: Duration::ZERO, ..Settings::default() },
            Settings { credentials: Some("a".into()), nkey: Some("b".into()), ..Settings::default() },
        ] {
            assert!(matches!(settings.names(), Err(FleetError::Settings(_))), "{settings:?}");
        }
        assert!(Settings::default().names().is_ok());
    }
}
