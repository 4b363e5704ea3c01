//! The program: log, configuration, server, drain.

use std::io::Write as _;
use std::process::ExitCode;

use sakuga_server::config::{Config, ConfigError};
use sakuga_server::{App, log};

/// Exit status of a program that was called wrongly, as `sysexits.h` has it.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let config = match Config::load(std::env::args_os(), |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(ConfigError::Flags(shown)) => {
            // Nothing can be done about a terminal that is gone.
            let _ = shown.print();
            return if shown.use_stderr() { EX_USAGE.into() } else { ExitCode::SUCCESS };
        }
        Err(error) => {
            eprintln!("sakuga-server: {error}");
            return EX_USAGE.into();
        }
    };
    log::init(&config);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), sakuga_server::AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let app = App::build(config).await?;
        // Whoever reads the address may send a signal at once.
        let shutdown = shutdown_signal();
        // Whoever started us may have closed the pipe; the log has the address too.
        let _ = writeln!(std::io::stdout(), "listening on http://{}", app.local_addr());
        tracing::info!(address = %app.local_addr(), "listening");
        app.run_until(shutdown).await
    });
    // A check that is still running must not hold up the exit.
    runtime.shutdown_background();
    served
}

/// Listens for SIGTERM and Ctrl-C from now on; ready when one comes.
fn shutdown_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminate = {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).inspect_err(|error| tracing::warn!(%error, "SIGTERM will not drain")).ok()
    };
    async move {
        #[cfg(unix)]
        if let Some(mut terminate) = terminate {
            tokio::select! {
                _ = terminate.recv() => {}
                () = interrupt() => {}
            }
            return;
        }
        interrupt().await;
    }
}

async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C will not drain");
        std::future::pending::<()>().await;
    }
}
