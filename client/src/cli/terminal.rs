//! The capabilities of the streams of this process.

use std::io::IsTerminal;

use clap::ColorChoice;
use console::{Style, Term};

/// The widest text that is comfortable to read, in columns.
const MAX_WIDTH: usize = 120;

/// The streams of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    stdout_is_coloured: bool,
    stderr_is_coloured: bool,
    /// Whether box-drawing characters are shown as such.
    pub is_unicode: bool,
    /// Columns to fill.
    pub width: usize,
    pub stderr_is_watched: bool,
}

impl Terminal {
    /// The streams of this process, with the user's choice of colours.
    pub(crate) fn new(color: ColorChoice) -> Self {
        let stdout_is_watched = std::io::stdout().is_terminal();
        let stderr_is_watched = std::io::stderr().is_terminal();
        let is_coloured = |is_watched: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set("NO_COLOR") => false,
            ColorChoice::Auto if is_set("CLICOLOR_FORCE") => true,
            ColorChoice::Auto => is_watched && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        let width = if stdout_is_watched || stderr_is_watched { Term::stderr().size().1.into() } else { MAX_WIDTH };
        Self {
            stdout_is_coloured: is_coloured(stdout_is_watched),
            stderr_is_coloured: is_coloured(stderr_is_watched),
            is_unicode: locale_is_unicode(),
            width: width.clamp(40, MAX_WIDTH),
            stderr_is_watched,
        }
    }

    /// A style for stdout.
    pub(crate) fn style(&self) -> Style {
        Style::new().force_styling(self.stdout_is_coloured)
    }

    /// A style for stderr.
    pub(crate) fn error_style(&self) -> Style {
        Style::new().force_styling(self.stderr_is_coloured)
    }

    /// Whether a stream shows colours.
    pub(crate) fn is_coloured(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout_is_coloured,
            Stream::Stderr => self.stderr_is_coloured,
        }
    }
}

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Results.
    Stdout,
    /// Progress and messages.
    Stderr,
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// A set locale decides. Without one, as in most containers, UTF-8 is assumed.
fn locale_is_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let Some(locale) = locale else { return true };
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
