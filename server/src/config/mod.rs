//! The configuration: settings from flags, environment and file, and every problem that they have.
//!
//! A setting is a field with clap's attributes, of one of the groups that `Settings` joins. `layers` finds out which
//! value of which layer is in force, and this module makes a [`Config`] of them.

mod addresses;
mod check;
mod devices;
#[cfg(feature = "fleet")]
mod fleet;
mod jobs;
mod layers;
mod model;
mod report;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches as _};

pub use self::devices::DevicesChoice;
#[cfg(feature = "fleet")]
pub use self::fleet::{FleetConfig, FleetRole, LoadedRole};
pub use self::jobs::JobsConfig;
pub use self::model::{ConfiguredModel, EngineChoice, ModelsConfig};
pub use self::report::{Setting, settings};
pub use crate::assets::AssetSettings;
use crate::auth::token_command;
use crate::engine::scripted::Script;
pub use crate::limits::Limits;
use crate::log;
pub use crate::log::LogConfig;
use crate::maintenance;
pub use crate::retention::Retention;
use crate::settings::{address, is_loopback, read, seconds};
pub use crate::store::place::DataPlace;
pub use crate::studio::config::{StudioConfig, StudioPlace};
use crate::transport::credentials::Credentials;
pub use crate::transport::{TlsFiles, TransportConfig};
use layers::{Layers, only_checks};

/// All that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address for gRPC; with port 0 the system chooses a port.
    pub listen: SocketAddr,
    /// Where the studio listens.
    pub studio: StudioConfig,
    /// Limits, keys and tokens of connections and calls.
    pub transport: TransportConfig,
    /// The models to serve, their memory and their devices.
    pub models: ModelsConfig,
    /// What a request may ask for.
    pub limits: Limits,
    /// Where jobs and assets are kept, and for how long.
    pub jobs: JobsConfig,
    /// How long the running job may go on after the signal to stop.
    pub drain_timeout: Duration,
    /// The collector of traces and metrics, if there is one.
    pub otlp_endpoint: Option<String>,
    /// How the log is written, and what is logged.
    pub log: LogConfig,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An unknown flag, or the help or the version was asked for.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// Values that are not valid; every one is listed.
    #[error("the configuration is wrong:\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
    Values(Vec<String>),
}

/// Every setting, in the order of the help.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    engine: model::EngineSettings,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    jobs: jobs::JobSettings,
    #[command(flatten)]
    studio: StudioConfig,
    #[command(flatten)]
    transport: TransportConfig,
    #[command(flatten)]
    log: LogConfig,
}

/// Where the server listens, when it stops, and where its traces go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
struct ServerSettings {
    /// Where to listen. With port 0 the system chooses one; the address is printed on standard output as `listening on
    /// http://ADDR:PORT`.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:50051", value_parser = address)]
    listen: SocketAddr,
    /// Allow an address that other machines can reach without --tls-cert. Without encryption everybody on the way can
    /// read the traffic, and without --tokens or --tls-client-ca everyone who reaches the port can generate images.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    insecure_listen: bool,
    /// How long the running job may go on after SIGTERM or Ctrl-C. Jobs that wait are kept for the next start, or
    /// cancelled at once with `--data-dir memory`.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds(0..=86_400))]
    drain_timeout: Duration,
    /// Send traces and metrics to the OpenTelemetry collector at this address, such as http://localhost:4317, by OTLP over
    /// gRPC without encryption. A collector that cannot be reached delays nothing. Also OTEL_EXPORTER_OTLP_ENDPOINT; the
    /// other OTEL_ variables apply too.
    #[arg(long, value_name = "URL", value_parser = collector)]
    otlp_endpoint: Option<String>,
}

fn collector(text: &str) -> Result<String, String> {
    let uri: http::Uri = read(text, "is not an address; write such as http://localhost:4317")?;
    if uri.scheme() != Some(&http::uri::Scheme::HTTP) || uri.host().is_none() {
        return Err("is not an http:// address; where encryption is needed, run a collector on this machine that \
                    forwards"
            .into());
    }
    Ok(uri.to_string())
}

impl Default for Config {
    /// The defaults, with the scripted engine, in memory, on a port that the system chooses: for tests.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            studio: StudioConfig::default(),
            transport: TransportConfig::default(),
            models: EngineChoice::Scripted(Script::default()).into(),
            limits: Limits::default(),
            jobs: JobsConfig::default(),
            drain_timeout: Duration::from_secs(30),
            otlp_endpoint: None,
            log: LogConfig::default(),
        }
    }
}

/// What the program is to do.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// With `--check-config`: the effective configuration as a file, each line with the source of its value.
    pub effective: Option<String>,
}

impl Loaded {
    /// Reads flags, environment and file. `arguments` begins with the program's name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem that there is; with `--check-config` also those of the addresses, devices, files
    /// and folders that the configuration names.
    pub fn load(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::resolve(&command(), arguments, &environment, |_, _, _| Vec::new())
    }

    /// As [`Loaded::load`], with the settings of `command`; `adjust` changes the configuration and finds further problems.
    fn resolve(
        command: &Command,
        arguments: impl IntoIterator<Item = OsString>,
        environment: &dyn Fn(&str) -> Option<String>,
        adjust: impl FnOnce(&mut Config, &Layers, &clap::ArgMatches) -> Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let flags = layers::raw(command).try_get_matches_from(arguments)?;
        let mut layers = Layers::collect(command, &flags, environment, &mut problems);
        let is_encrypted = layers.is_given("tls-cert");
        if let Some(problem) = half_of_tls(&layers) {
            problems.push(problem);
            layers.remove(&TLS);
        }
        // Values that are not valid are already reported and left out, so the others can be checked together.
        let matches = command.clone().try_get_matches_from(layers.arguments())?;
        let settings = Settings::from_arg_matches(&matches)?;
        problems.extend(settings.problems(is_encrypted, environment));
        let mut config = settings.into_config(&layers, environment);
        problems.extend(adjust(&mut config, &layers, &matches));
        let only_checks = only_checks(&flags);
        if only_checks && problems.is_empty() {
            problems.extend(Credentials::problems(&config.transport));
            // What a start would only warn about is logged as it would log it.
            problems.extend(log::with_warnings(|| [config.address_problems(), config.path_problems()].concat()));
        }
        if !problems.is_empty() {
            return Err(ConfigError::Values(problems));
        }
        let effective = only_checks.then(|| report::effective(command, &layers, &config));
        Ok(Self { config, effective })
    }
}

impl Config {
    /// The configuration of flags, environment and file; see [`Loaded::load`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem that there is.
    pub fn load(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Loaded::load(arguments, environment).map(|loaded| loaded.config)
    }
}

/// The program's command line.
fn command() -> Command {
    let command = Settings::augment_args(Command::new("sakuga-server"));
    let command = layers::with_own_flags(command)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Generates anime images from typed XML prompts, over gRPC.")
        .long_about(None::<&str>)
        .after_help(
            "Examples:\n  sakuga-server\n  sakuga-server --model /models/anime --device cuda:0 --data-dir /var/lib/sakuga\n  \
             sakuga-server --listen 0.0.0.0:50051 --tls-cert server.pem --tls-key server.key --tokens tokens\n  \
             sakuga-server --config sakuga-server.toml --check-config\n\n\
             Every option can also be given as an environment variable or, under the same name without the dashes, in \
             the TOML file of --config. Flags win over the environment, and that over the file.\n\n\
             Exit status: 0 after a shutdown by signal, 1 if the server cannot start or fails, 64 if the configuration \
             is wrong.",
        )
        .args_conflicts_with_subcommands(true)
        .subcommand(token_command::command())
        .subcommand(maintenance::command::command());
    #[cfg(feature = "burn")]
    let command = command.subcommand(crate::pull::command::command());
    #[cfg(feature = "fleet")]
    let command = command.subcommands(fleet::subcommands());
    command
}

/// The files of TLS.
const TLS: [&str; 4] = ["tls-cert", "tls-key", "tls-client-ca", "tls-client-crl"];

/// A file of TLS without those that it needs.
fn half_of_tls(layers: &Layers) -> Option<String> {
    let [cert, key, client_ca, client_crl] = TLS.map(|name| layers.is_given(name));
    if client_crl && !client_ca {
        return Some(
            "--tls-client-ca is missing: --tls-client-crl lists certificates that its CAs have revoked".into(),
        );
    }
    let missing = match (cert, key) {
        (true, true) => return None,
        (false, false) if !client_ca => return None,
        (false, _) => "--tls-cert",
        (true, false) => "--tls-key",
    };
    Some(format!("{missing} is missing: TLS needs --tls-cert and --tls-key, and --tls-client-ca needs both"))
}

impl Settings {
    /// What is wrong with a combination of settings that are each valid.
    fn problems(&self, is_encrypted: bool, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let mut problems = Vec::new();
        let ServerSettings { listen, insecure_listen, .. } = self.server;
        if !is_loopback(listen.ip()) && !insecure_listen && !is_encrypted {
            problems.push(format!(
                "{listen} can be reached by other machines, without encryption; encrypt with --tls-cert and --tls-key, \
                 listen on 127.0.0.1, or allow it with --insecure-listen"
            ));
        }
        if let Some(metrics) = self.transport.metrics_listen
            && !is_loopback(metrics.ip())
            && !insecure_listen
        {
            problems.push(format!(
                "--metrics-listen {metrics} can be reached by other machines, and metrics are not encrypted; serve them on \
                 127.0.0.1, or allow it with --insecure-listen"
            ));
        }
        let has_identities =
            self.transport.tokens.is_some() || self.transport.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        problems.extend(self.studio.problem(is_encrypted, has_identities, insecure_listen));
        problems.extend(self.engine.problems(environment));
        problems
    }

    fn into_config(self, layers: &Layers, environment: &dyn Fn(&str) -> Option<String>) -> Config {
        let Self { server, engine, limits, jobs, studio, transport, log } = self;
        Config {
            listen: server.listen,
            models: engine.into_models(limits.pixels_max, environment),
            jobs: jobs.into_config(server.listen.port(), &|setting| layers.is_given(setting), environment),
            limits,
            studio,
            transport,
            drain_timeout: server.drain_timeout,
            otlp_endpoint: server.otlp_endpoint,
            log,
        }
    }
}

#[cfg(test)]
mod tests;
