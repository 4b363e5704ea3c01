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
        // Whoever started us may have closed the pipe; the log has the address too.
        let _ = writeln!(std::io::stdout(), "listening on http://{}", app.local_addr());
        tracing::info!(address = %app.local_addr(), "listening");
        app.run_until(shutdown_signal()).await
    });
    // A check that is still running must not hold up the exit.
    runtime.shutdown_background();
    served
}

/// Ready on SIGTERM or Ctrl-C.
async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                _ = terminate.recv() => {}
                () = interrupt() => {}
            },
            Err(error) => {
                tracing::warn!(%error, "SIGTERM will not drain");
                interrupt().await;
            }
        }
    }
    #[cfg(not(unix))]
    interrupt().await;
}

async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C will not drain");
        std::future::pending::<()>().await;
    }
}
