//! One job as the user sees it: each event goes to the progress display, the previews and the event log.

use std::path::PathBuf;

use sakuga_client::proto::generation::v1::Cancelled;
use sakuga_client::proto::prompt::v1::Diagnostic;
use sakuga_client::proto::text::one_line;
use sakuga_client::{Completed, Event, EventKind, cancel_reason};
use serde_json::{Value, json};

use super::arguments::GenerateArguments;
use super::compose::{CheckedText, Composed};
use super::facts::Facts;
use super::preview::{InlinePictures, PreviewFiles};
use super::summary;
use crate::cli::check::Kind;
use crate::cli::event_log::EventLog;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{self, say};
use crate::cli::progress::Progress;
use crate::cli::render::{self, Finding};
use crate::cli::terminal::{Stream, Terminal};
use crate::cli::units;

/// Profiles that are kept: several for each stage of each picture.
const PROFILES_MAX: usize = 1024;

/// How a job ended, if nothing went wrong.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The pictures are here.
    Completed(Box<Completed>),
    /// The server cancelled it.
    Cancelled(Cancelled),
    /// The user cancelled it, by this signal.
    Interrupted(&'static str),
}

/// The facts about the job so far, and where they are shown.
pub(crate) struct Session {
    progress: Progress,
    inline: Option<InlinePictures>,
    previews: Option<PreviewFiles>,
    events: Option<EventLog>,
    texts: Vec<CheckedText>,
    terminal: Terminal,
    is_quiet: bool,
    /// Facts for the summary.
    pub facts: Facts,
}

impl Session {
    /// Creates the files and the display that events go to.
    pub(crate) fn new(
        arguments: &GenerateArguments,
        composed: &Composed,
        inline: Option<InlinePictures>,
        events: Option<EventLog>,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let previews = arguments.previews.preview_dir.as_deref().map(PreviewFiles::create).transpose()?;
        Ok(Self {
            progress: Progress::new(arguments.quiet, terminal),
            inline,
            previews,
            events,
            texts: composed.texts.clone(),
            terminal: *terminal,
            is_quiet: arguments.quiet,
            facts: Facts::default(),
        })
    }

    /// Takes an event. Returns the ending if it is a terminal one.
    pub(crate) fn take(&mut self, event: Event) -> Result<Option<Ending>, Failure> {
        if let Some(events) = &self.events {
            events.check()?;
        }
        self.facts.missed_events = self.facts.missed_events.saturating_add(event.missed_before);
        if self.facts.job_id.is_empty() {
            self.facts.job_id.clone_from(&event.job_id);
        }
        self.progress.show(&event);
        match event.kind {
            EventKind::Accepted(accepted) => {
                self.facts.request_id = accepted.request_id;
                self.report_new(&accepted.diagnostics);
            }
            EventKind::Started(started) => {
                // The notice of a model, such as its licence, is printed even with --quiet.
                if self.is_quiet && !started.model_notice.is_empty() {
                    say(format_args!("notice: {}", one_line(&started.model_notice)));
                }
                let sampling = started.resolved.as_ref().and_then(|request| request.sampling.as_ref());
                self.facts.total_steps = sampling.map_or(0, |sampling| sampling.steps);
                self.facts.started = Some(*started);
            }
            EventKind::Requeued(_) => {
                self.facts.step = 0;
                self.facts.profiles.clear();
            }
            EventKind::Profile(profile) if self.facts.profiles.len() < PROFILES_MAX => {
                self.facts.profiles.push(*profile);
            }
            EventKind::Step(step) => {
                self.facts.step = step.index;
                self.facts.total_steps = step.total;
            }
            EventKind::Preview(preview) => {
                self.facts.previews += 1;
                if let Some(files) = &mut self.previews {
                    files.write(&preview)?;
                }
                if let Some(inline) = &mut self.inline
                    && inline.is_due(&preview, self.facts.total_steps)
                {
                    self.progress.suspend(|| inline.show_preview(&preview));
                }
            }
            EventKind::Completed(completed) => return Ok(Some(Ending::Completed(completed))),
            EventKind::Cancelled(cancelled) => return Ok(Some(Ending::Cancelled(cancelled))),
            _ => {}
        }
        Ok(None)
    }

    /// Whether a person watches the progress.
    pub(crate) fn is_watched(&self) -> bool {
        self.terminal.stderr_is_watched && !self.is_quiet
    }

    /// Prints a line that stays.
    pub(crate) fn note(&self, line: &str) {
        self.progress.note(line);
    }

    /// Removes the progress display.
    pub(crate) fn close(&self) {
        self.progress.close();
    }

    /// Writes the pictures, if there are any, and prints the summary.
    pub(crate) fn conclude(
        &self,
        ending: Ending,
        arguments: &GenerateArguments,
        composed: &Composed,
        terminal: &Terminal,
    ) -> Result<(Exit, Value), Failure> {
        if let Some(events) = &self.events {
            events.check()?;
        }
        let completed = match ending {
            Ending::Completed(completed) => completed,
            Ending::Cancelled(cancelled) => {
                return Ok(self.cancelled(cancelled.at_step, cancel_reason(cancelled.reason())));
            }
            Ending::Interrupted(by) => return Ok(self.cancelled(self.facts.step, by)),
        };
        let pictures = completed.pictures.len();
        let file = |image_index: u32| output::picture_file(&arguments.out, pictures, image_index);
        let paths: Vec<PathBuf> = completed.pictures.iter().map(|picture| file(picture.image_index)).collect();
        for (picture, path) in completed.pictures.iter().zip(&paths) {
            output::write_file(path, &picture.bytes)?;
            if let Some(inline) = &self.inline {
                inline.show_result(&picture.bytes);
            }
        }
        let places = summary::Places {
            paths: &paths,
            previews: self.previews.as_ref().map(PreviewFiles::summary),
            events: self.events.as_ref().map(EventLog::summary),
        };
        if !arguments.json {
            output::print(summary::text(&completed, &self.facts, &places, composed.origin.as_ref(), terminal))?;
        }
        let mut summary = summary::json(&completed, &self.facts, &places, composed.origin.as_ref());
        summary["notes"] = json!(composed.notes);
        Ok((Exit::Ok, summary))
    }

    fn cancelled(&self, at_step: u32, reason: &str) -> (Exit, Value) {
        let total = self.facts.total_steps;
        let place = match (at_step, total) {
            (0, _) => "before the first step".to_owned(),
            (step, 0) => format!("after step {step}"),
            (step, total) => format!("after step {step} of {total}"),
        };
        say(format_args!("cancelled {place}: {reason}; no picture was written"));
        let summary = json!({
            "status": "cancelled",
            "message": format!("cancelled {place}: {reason}"),
            "job_id": self.facts.job_id,
            "at_step": at_step,
            "total_steps": total,
        });
        (Exit::Cancelled, summary)
    }

    /// Prints the findings of a newer server that the check on this machine did not make, each in its own text.
    fn report_new(&self, diagnostics: &[Diagnostic]) {
        if self.is_quiet {
            return;
        }
        for text in &self.texts {
            let new: Vec<Finding> = diagnostics
                .iter()
                .map(|found| Finding::from(found).split_scene())
                .filter_map(|(is_of_scene, finding)| (is_of_scene == text.is_of_scene).then_some(finding))
                .filter(|finding| finding.is_of_negative() == (text.kind == Kind::Negative))
                .filter(|finding| !text.findings.iter().any(|known| known.is_same_as(finding)))
                .collect();
            if !new.is_empty() {
                let input = &text.input;
                let shown = render::findings(&input.name, &input.bytes, &new, &self.terminal, Stream::Stderr);
                let count = units::count(new.len(), "finding");
                let name = one_line(&input.name);
                self.progress.note(&format!("{name}: {count} of the server\n\n{}", shown.trim_end()));
            }
        }
    }
}
