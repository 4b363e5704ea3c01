//! The program: log, configuration, server, drain.

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;

use sakuga_server::auth::token_command;
use sakuga_server::config::{Config, ConfigError, Loaded};
#[cfg(feature = "fleet")]
use sakuga_server::config::{FleetConfig, FleetRole, LoadedRole};
#[cfg(feature = "fleet")]
use sakuga_server::fleet::{self, GatewayApp, RoleError, WorkerApp};
use sakuga_server::maintenance::command as store_command;
use sakuga_server::{App, AppError, log};
use tokio::sync::oneshot;

/// Exit status of a program that was called wrongly, as `sysexits.h` has it.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == token_command::NAME) {
        return match token_command::run(std::env::args_os().skip(1)) {
            Ok(printed) => {
                // The line of the file, apart from the secret; see `token new --help`.
                eprint!("{}", printed.error);
                print(&printed.output)
            }
            Err(shown) => explain(&ConfigError::Flags(shown)),
        };
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == store_command::NAME) {
        return match store_command::run(std::env::args_os().skip(1)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(shown) => explain(&ConfigError::Flags(shown)),
        };
    }
    let environment = |name: &str| std::env::var(name).ok();
    #[cfg(feature = "burn")]
    if std::env::args_os().nth(1).is_some_and(|word| word == sakuga_server::pull::command::NAME) {
        return match sakuga_server::pull::command::run(std::env::args_os().skip(1), &environment) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(shown) => explain(&ConfigError::Flags(shown)),
        };
    }
    #[cfg(feature = "fleet")]
    if let Some(role) = std::env::args().nth(1).and_then(|word| FleetRole::named(&word)) {
        return fleet_role(role, environment);
    }
    let config = match Loaded::load(std::env::args_os(), environment) {
        Ok(Loaded { effective: Some(effective), .. }) => return print(&effective),
        Ok(Loaded { config, .. }) => config,
        Err(error) => return explain(&error),
    };
    log::init(&config.log);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a role of a fleet.
#[cfg(feature = "fleet")]
fn fleet_role(role: FleetRole, environment: impl Fn(&str) -> Option<String>) -> ExitCode {
    let arguments = std::env::args_os().take(1).chain(std::env::args_os().skip(2));
    let (config, place) = match LoadedRole::load(role, arguments, environment) {
        Ok(LoadedRole { effective: Some(effective), .. }) => return print(&effective),
        Ok(LoadedRole { config, fleet, .. }) => (config, fleet),
        Err(error) => return explain(&error),
    };
    log::init(&config.log);
    match run_role(role, config, place) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "fleet")]
fn run_role(role: FleetRole, config: Config, place: FleetConfig) -> Result<(), RoleError> {
    let started = end_on_signal().map_err(AppError::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(AppError::from)?;
    let run = runtime.block_on(async {
        let say = |line: String| {
            // The pipe may be closed; the log has it too.
            let _ = writeln!(std::io::stdout(), "{line}");
            tracing::info!("{line}");
        };
        match role {
            FleetRole::Gateway => {
                let app = GatewayApp::build(config, place).await?;
                let shutdown = shutdown_signal();
                drop(started);
                say(format!("listening on {}", app.url()));
                app.run_until(shutdown).await
            }
            FleetRole::Worker => {
                let app = WorkerApp::build(config, place).await?;
                let shutdown = shutdown_signal();
                drop(started);
                say(format!("drawing as {}", app.name()));
                app.run_until(shutdown).await;
                Ok(())
            }
            FleetRole::Setup => {
                fleet::set_up(&place).await?;
                say(format!("the fleet `{}` is set up", place.place.fleet));
                Ok(())
            }
        }
    });
    runtime.shutdown_background();
    run
}

fn print(text: &str) -> ExitCode {
    let written = std::io::stdout().write_all(text.as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explain(error: &ConfigError) -> ExitCode {
    match error {
        ConfigError::Flags(shown) => {
            // Ignored: the terminal may be closed.
            let _ = shown.print();
            if shown.use_stderr() { EX_USAGE.into() } else { ExitCode::SUCCESS }
        }
        ConfigError::Values(_) => {
            eprintln!("sakuga-server: {error}");
            EX_USAGE.into()
        }
    }
}

fn serve(config: Config) -> Result<(), AppError> {
    let started = end_on_signal()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let app = App::build(config).await?;
        let shutdown = shutdown_signal();
        drop(started);
        // The pipe may be closed; the log has the address too.
        let _ = writeln!(std::io::stdout(), "listening on {}", app.url());
        if let Some(url) = app.studio_url() {
            let _ = writeln!(std::io::stdout(), "studio at {url}");
        }
        tracing::info!(address = %app.local_addr(), studio = app.studio_url(), "listening");
        app.run_until(shutdown).await
    });
    // Checks that still run on other threads must not delay the exit.
    runtime.shutdown_background();
    served
}

/// Ends the process at SIGTERM or Ctrl-C until the returned sender is dropped. The signals are awaited on a thread of their own: a
/// start blocks the others while it reads checkpoints, and has nothing to finish.
fn end_on_signal() -> std::io::Result<oneshot::Sender<()>> {
    let (starting, started) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("sakuga-start".into()).spawn(move || {
        runtime.block_on(async {
            let shutdown = shutdown_signal();
            tokio::select! {
                _ = started => {}
                () = shutdown => {
                    tracing::info!("ended by a signal before the server was ready");
                    std::process::exit(0);
                }
            }
        });
    })?;
    Ok(starting)
}

/// Ready on SIGTERM or Ctrl-C. The handlers are installed by the call, before the first poll: a program that has read the
/// address may send a signal at once.
#[cfg(unix)]
fn shutdown_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    async fn next(signal: Option<Signal>) {
        match signal {
            Some(mut signal) => _ = signal.recv().await,
            None => std::future::pending().await,
        }
    }
    let listen = |kind, name| {
        signal(kind).inspect_err(|error| tracing::warn!(%error, "{name} cannot be handled and will not drain")).ok()
    };
    let terminate = listen(SignalKind::terminate(), "SIGTERM");
    let interrupt = listen(SignalKind::interrupt(), "Ctrl-C");
    async {
        tokio::select! {
            () = next(terminate) => {}
            () = next(interrupt) => {}
        }
    }
}

/// Ready on Ctrl-C.
#[cfg(not(unix))]
async fn shutdown_signal() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C cannot be handled and will not drain");
        std::future::pending::<()>().await;
    }
}
