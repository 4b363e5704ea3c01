//! The configuration of the roles in a fleet: that of the server, without what a role does not have, and where the fleet is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches as _};
use sakuga_fleet::Settings as Place;

use super::layers::{self, Layers};
use super::model::EngineSettings;
use super::{Config, ConfigError, Loaded, ServerSettings, Settings};
use crate::settings::{number, seconds};
use crate::store::place::DataPlace;
use crate::studio::config::StudioConfig;
use crate::transport::TransportConfig;

/// The role of a process in a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetRole {
    /// Answers clients; has no device.
    Gateway,
    /// Draws; has no port for clients.
    Worker,
    /// Creates the streams and buckets, and ends.
    Setup,
}

impl FleetRole {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Worker, Self::Setup];

    /// The word after the name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Setup => "fleet-setup",
        }
    }

    /// The role that this word names.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == word)
    }

    fn about(self) -> &'static str {
        match self {
            Self::Gateway => "Answers clients for the workers of a fleet",
            Self::Worker => "Draws the jobs of a fleet",
            Self::Setup => "Creates the streams and buckets of a fleet in NATS, and ends",
        }
    }

    fn examples(self) -> &'static str {
        match self {
            Self::Gateway => {
                "Examples:\n  sakuga-server gateway --artifacts file:///var/lib/sakuga/pictures\n  \
                 sakuga-server gateway --nats nats://one:4222,nats://two:4222 --artifacts s3://bucket/folder --listen 0.0.0.0:50051 \
                 --tls-cert server.pem --tls-key server.key --tokens tokens"
            }
            Self::Worker => {
                "Examples:\n  sakuga-server worker --artifacts file:///var/lib/sakuga/pictures --model /models/anime --device all\n  \
                 sakuga-server worker --nats nats://one:4222,nats://two:4222 --artifacts s3://bucket/folder"
            }
            Self::Setup => "Examples:\n  sakuga-server fleet-setup --nats nats://one:4222 --replicas 3",
        }
    }
}

/// What a role needs besides the settings of the server.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Where the fleet is.
    pub place: Place,
    /// URL of the store of pictures.
    pub artifacts: String,
    /// The name of a worker.
    pub worker: String,
    /// The monitoring port of a server of NATS.
    pub monitor: Option<String>,
}

/// Where the fleet is, and how a role authenticates.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Fleet")]
struct FleetSettings {
    /// The servers of NATS with JetStream, such as `nats://host:4222` or `tls://user:password@host:4222`, separated by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',', default_value = "nats://127.0.0.1:4222")]
    nats: Vec<String>,
    /// The name of the fleet. Several fleets may use the same servers of NATS.
    #[arg(long, value_name = "NAME", default_value = "sakuga")]
    fleet: String,
    /// A file with the credentials (`.creds`) of a user of NATS.
    #[arg(long, value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// A file with the seed of an nkey of NATS.
    #[arg(long, value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// The certificates that sign those of the servers of NATS; the system's otherwise.
    #[arg(long, value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// The certificate of this process for servers of NATS that verify their clients. Needs --nats-key.
    #[arg(long, value_name = "FILE")]
    nats_cert: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "FILE")]
    nats_key: Option<PathBuf>,
    /// The monitoring port of a server of NATS, such as `127.0.0.1:8222`. The start warns if that server acknowledges messages before
    /// they are on its disk.
    #[arg(long, value_name = "HOST:PORT")]
    nats_monitor: Option<String>,
    /// Copies of each stream, when a role creates them: 1, 3 or 5. A cluster of three servers of NATS keeps 3.
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::<usize>(1..=5))]
    replicas: usize,
    /// How long a worker may be silent before its job goes to another one. The same for all workers.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds(1..=3600))]
    worker_silence: Duration,
    /// The name of a worker, which no other worker has. By default the name of the host and the id of the process.
    #[arg(long, value_name = "NAME")]
    worker_name: Option<String>,
}

impl FleetSettings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.nats_cert.is_some() != self.nats_key.is_some() {
            problems.push("--nats-cert and --nats-key need each other".to_owned());
        }
        problems.extend(self.place().names().err().map(|error| error.to_string()));
        problems
    }

    fn place(&self) -> Place {
        Place {
            servers: self.nats.clone(),
            fleet: self.fleet.clone(),
            credentials: self.nats_creds.clone(),
            nkey: self.nats_nkey.clone(),
            ca: self.nats_ca.clone(),
            certificate: self.nats_cert.clone().zip(self.nats_key.clone()),
            replicas: self.replicas,
            ack_wait: self.worker_silence,
            ..Place::default()
        }
    }
}

/// What a role is to do.
#[derive(Clone, Debug)]
pub struct LoadedRole {
    /// The configuration of the server.
    pub config: Config,
    /// That of the fleet.
    pub fleet: FleetConfig,
    /// With `--check-config`: the effective configuration as a file.
    pub effective: Option<String>,
}

impl LoadedRole {
    /// Reads flags, environment and file for a role. `arguments` begins with the program's name, without the word of the role.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem that there is, also settings that the role does not have.
    pub fn load(
        role: FleetRole,
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut read = None;
        let loaded = Loaded::resolve(&command(role), arguments, &environment, |config, layers, matches| {
            let fleet = match FleetSettings::from_arg_matches(matches) {
                Ok(fleet) => fleet,
                Err(error) => return vec![error.to_string()],
            };
            let mut problems = fleet.problems();
            problems.extend(refused(role, layers));
            config.jobs.place = DataPlace::Memory;
            if role != FleetRole::Worker {
                config.models.models.clear();
            }
            let artifacts = config.jobs.artifacts.take();
            if artifacts.is_none() && role != FleetRole::Setup {
                problems.push(
                    "--artifacts is missing: name the store of pictures that gateways and workers share, such as \
                     s3://bucket/folder, or file:///folder on one machine"
                        .to_owned(),
                );
            }
            read = Some((fleet, artifacts.unwrap_or_default()));
            problems
        })?;
        let Loaded { config, effective } = loaded;
        // Without it there was a problem.
        let Some((fleet, artifacts)) = read else { return Err(ConfigError::Values(Vec::new())) };
        let worker = fleet.worker_name.clone().unwrap_or_else(default_name);
        let fleet = FleetConfig { place: fleet.place(), artifacts, worker, monitor: fleet.nats_monitor };
        Ok(Self { config, fleet, effective })
    }
}

/// A name that no other worker has.
fn default_name() -> String {
    let host = sysinfo::System::host_name().unwrap_or_else(|_| "worker".into());
    format!("{host}-{}", std::process::id())
}

/// The command line of a role.
fn command(role: FleetRole) -> Command {
    let command = Command::new(role.name()).bin_name(format!("sakuga-server {}", role.name())).about(role.about());
    let command = Settings::augment_args(FleetSettings::augment_args(command));
    let lacks: Vec<String> = lacks(role).into_iter().flat_map(|(names, _)| names).collect();
    let is_lacking = |name: Option<&str>| name.is_some_and(|name| lacks.iter().any(|lacking| lacking == name));
    layers::with_own_flags(command)
        .version(env!("CARGO_PKG_VERSION"))
        .long_about(None::<&str>)
        .after_help(role.examples())
        .mut_args(|argument| if is_lacking(argument.get_long()) { argument.hide(true) } else { argument })
}

/// The commands of the roles.
pub(super) fn subcommands() -> impl Iterator<Item = Command> {
    FleetRole::ALL.into_iter().map(command)
}

/// What is wrong with the settings that were given and that a role does not have.
fn refused(role: FleetRole, layers: &Layers) -> Vec<String> {
    let lists = lacks(role);
    let given = lists.iter().flat_map(|(names, why)| names.iter().map(move |name| (name, why)));
    given.filter_map(|(name, why)| Some(format!("{} {why}", layers.get(name)?.origin))).collect()
}

/// The settings that a role does not have, and why.
fn lacks(role: FleetRole) -> Vec<(Vec<String>, &'static str)> {
    let engine = names::<EngineSettings>();
    let (studio, transport) = (names::<StudioConfig>(), names::<TransportConfig>());
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let place = own(&["data-dir", "keep-steps-hours", "asset-mib", "asset-keep-hours", "otlp-endpoint"]);
    let drawing = own(&[
        "max-images",
        "max-steps",
        "max-pixels",
        "max-prompt-bytes",
        "job-memory-mib",
        "step-timeout",
        "max-attempts",
    ]);
    let keeping =
        own(&["keep-hours", "keep-jobs", "keep-mib", "queue-size", "max-streams", "client-jobs", "client-rate"]);
    let not_yet = "is not in a fleet yet; leave it out";
    let at_workers = "is for workers; give it to them";
    let at_gateways = "is for gateways; give it to them";
    match role {
        FleetRole::Gateway => vec![
            (engine, at_workers),
            (drawing, at_workers),
            (own(&["worker-name"]), at_workers),
            (place, not_yet),
            (studio, not_yet),
            (own(&["metrics-listen"]), not_yet),
        ],
        FleetRole::Worker => vec![
            (keeping, at_gateways),
            (studio, at_gateways),
            (transport, at_gateways),
            (own(&["listen", "insecure-listen"]), at_gateways),
            (place, not_yet),
        ],
        FleetRole::Setup => {
            let server = names::<ServerSettings>();
            [engine, drawing, keeping, place, studio, transport, server, own(&["worker-name", "artifacts"])]
                .into_iter()
                .map(|names| (names, "is not needed to set up a fleet; leave it out"))
                .collect()
        }
    }
}

/// The names of a group of settings.
fn names<T: Args>() -> Vec<String> {
    let command = T::augment_args(Command::new("group"));
    command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(role: FleetRole, flags: &[&str]) -> Result<LoadedRole, String> {
        let arguments = std::iter::once("sakuga-server").chain(flags.iter().copied()).map(OsString::from);
        LoadedRole::load(role, arguments, |_| None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_role_says_what_it_lacks_and_what_it_does_not_have() {
        let missing = load(FleetRole::Gateway, &[]).expect_err("no store");
        assert!(missing.contains("--artifacts is missing"), "{missing}");
        let refused = load(FleetRole::Gateway, &["--artifacts", "memory:", "--device", "cpu", "--studio=off"]);
        let refused = refused.expect_err("a gateway has no device");
        assert!(
            refused.contains("--device is for workers") && refused.contains("--studio is not in a fleet"),
            "{refused}"
        );
        let refused = load(FleetRole::Worker, &["--artifacts", "memory:", "--listen", "127.0.0.1:1"]);
        assert!(refused.expect_err("a worker has no port").contains("--listen is for gateways"));
        let refused = load(FleetRole::Worker, &["--artifacts", "memory:", "--nats-key", "k", "--replicas", "2"]);
        let refused = refused.expect_err("half of a pair");
        assert!(refused.contains("--nats-cert and --nats-key") && refused.contains("1, 3 or 5"), "{refused}");
    }

    #[test]
    fn a_role_keeps_nothing_of_its_own() {
        let flags = ["--artifacts", "file:///pictures", "--nats", "nats://a:1,nats://b:2", "--worker-silence", "5"];
        let role = load(FleetRole::Gateway, &flags).expect("valid");
        assert_eq!((role.config.jobs.place, role.config.jobs.artifacts), (DataPlace::Memory, None));
        assert_eq!(role.fleet.artifacts, "file:///pictures");
        assert_eq!(role.fleet.place.servers, ["nats://a:1", "nats://b:2"]);
        assert_eq!(role.fleet.place.ack_wait, Duration::from_secs(5));
        assert!(load(FleetRole::Setup, &["--replicas", "3"]).is_ok());
        let checked =
            load(FleetRole::Gateway, &["--artifacts", "file:///a", "--check-config"]).expect("valid").effective;
        let checked = checked.expect("a file");
        assert!(checked.contains("nats = [") && !checked.contains("step-timeout"), "{checked}");
    }
}
