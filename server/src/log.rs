//! The log: on standard error, as text or as JSON.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::settings::defaults;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Format and filter of the log.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// How the log is written, on standard error.
    #[arg(
        id = "log-format",
        long = "log-format",
        value_name = "text|json",
        hide_possible_values = true,
        value_enum,
        default_value = "text"
    )]
    pub format: LogFormat,
    /// What is logged: a level, or directives such as `info,sakuga_server=debug`. Prompts are logged at `debug` only.
    #[arg(id = "log", long = "log", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        defaults()
    }
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::builder().parse(text).map_err(|error| format!("is not a filter: {error}"))?;
    Ok(text.to_owned())
}

/// Runs `check` and writes its warnings and errors to standard error, as text.
pub(crate) fn with_warnings<T>(check: impl FnOnce() -> T) -> T {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .finish();
    tracing::subscriber::with_default(subscriber, check)
}

/// Writes events to standard error from now on. Does nothing if the process has a subscriber already.
pub fn init(config: &LogConfig) {
    let filter = EnvFilter::new(&config.filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // Fails only if a subscriber is set already.
    let _ = match config.format {
        LogFormat::Text => builder.with_ansi(is_terminal).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
