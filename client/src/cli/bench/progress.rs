//! The progress of a run: a bar on a terminal, a line for each picture elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::say;
use crate::cli::terminal::Terminal;

/// Shows a run while it is measured.
#[derive(Debug)]
pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// A display of this many requests, suited to the terminal.
    pub(crate) fn new(is_quiet: bool, terminal: &Terminal, calls: u64) -> Self {
        if is_quiet {
            return Self::Nothing;
        }
        if !terminal.stderr_is_watched {
            return Self::Lines;
        }
        let bar = ProgressBar::new(calls);
        let template = "{spinner} {bar:24.green/black.bright} {pos}/{len}  {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(if terminal.is_unicode {
            style.progress_chars("━╸ ")
        } else {
            style.progress_chars("=> ").tick_chars("-\\|/ ")
        });
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    /// A request begins.
    pub(crate) fn begin(&self, what: &str) {
        match self {
            Self::Bar(bar) => bar.set_message(what.to_owned()),
            Self::Lines => say(what),
            Self::Nothing => {}
        }
    }

    /// A request has ended.
    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.inc(1);
        }
    }

    /// Removes the bar.
    pub(crate) fn close(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
