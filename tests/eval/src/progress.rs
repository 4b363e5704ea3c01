//! Progress of a measurement: a bar on a terminal, otherwise a line at intervals.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The interval of lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(20);

/// Progress of a measurement.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begin: Instant,
    last_line: Option<Instant>,
}

impl Progress {
    /// Progress towards `pictures` pictures, shown on standard error.
    #[must_use]
    pub fn new(pictures: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(pictures) } else { ProgressBar::hidden() };
        bar.set_length(pictures);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos} of {len} pictures, {per_sec}, {eta} left {msg}")
        {
            bar.set_style(style);
        }
        let begin = Instant::now();
        Self { bar, begin, last_line: (!is_terminal).then_some(begin) }
    }

    /// Progress without output.
    #[must_use]
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), begin: Instant::now(), last_line: None }
    }

    /// One more picture is done.
    pub fn advance(&mut self) {
        self.bar.inc(1);
        let Some(last_line) = &mut self.last_line else { return };
        if last_line.elapsed() >= LINE_INTERVAL {
            *last_line = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let rate = done as f64 / self.begin.elapsed().as_secs_f64();
            eprintln!("{done} of {all} pictures, {rate:.1} a second");
        }
    }

    /// Writes a message on its own line.
    pub fn say(&self, text: &str) {
        if self.bar.is_hidden() { eprintln!("{text}") } else { self.bar.println(text) }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
