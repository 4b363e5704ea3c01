//! One job as the user sees it: every event goes to the places that want it.

use std::path::{Path, PathBuf};

use sakuga_client::proto::generation::v1::Profile;
use sakuga_client::{Cancelled, Completed, Event, EventKind, Started};
use serde_json::{Value, json};

use super::compose::Composed;
use super::event_log::EventLog;
use super::exit::Exit;
use super::failure::Failure;
use super::generate::GenerateArguments;
use super::output::{self, say};
use super::preview::{InlinePictures, PreviewFiles};
use super::progress::Progress;
use super::render::{self, Finding};
use super::summary;
use super::terminal::{Stream, Terminal};
use super::units;

/// How a job ended, if nothing went wrong.
#[derive(Debug)]
pub enum Ending {
    /// The pictures are here.
    Completed(Box<Completed>),
    /// The server gave it up.
    Cancelled(Cancelled),
    /// The user gave it up, by what is named here.
    Interrupted(&'static str),
}

/// What is known of the job so far, and where it is shown.
pub struct Session {
    progress: Progress,
    inline: Option<InlinePictures>,
    previews: Option<PreviewFiles>,
    events: Option<EventLog>,
    local: Option<(String, Vec<u8>, Vec<Finding>)>,
    terminal: Terminal,
    is_quiet: bool,
    /// Facts for the summary.
    pub facts: Facts,
}

/// What is known of the job so far.
#[derive(Debug, Default)]
pub struct Facts {
    /// The job's name on the server.
    pub job_id: String,
    /// The request's name.
    pub request_id: String,
    /// What the server made of the request.
    pub started: Option<Started>,
    /// Steps that are done.
    pub step: u32,
    /// Steps of the job, once they are known.
    pub total_steps: u32,
    /// Events that the server left out.
    pub missed_events: u64,
    /// Previews that arrived.
    pub previews: usize,
    /// Where the time of each part went, if that was asked for.
    pub profiles: Vec<Profile>,
}

impl Session {
    /// Prepares the places that events go to.
    pub fn new(
        arguments: &GenerateArguments,
        composed: &Composed,
        inline: Option<InlinePictures>,
        events: Option<EventLog>,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let previews = arguments.previews.preview_dir.as_deref().map(PreviewFiles::create).transpose()?;
        let local = composed
            .prompt
            .as_ref()
            .map(|(input, findings)| (input.name.clone(), input.bytes.clone(), findings.clone()));
        Ok(Self {
            progress: Progress::new(arguments.quiet, terminal),
            inline,
            previews,
            events,
            local,
            terminal: *terminal,
            is_quiet: arguments.quiet,
            facts: Facts::default(),
        })
    }

    /// Takes an event; returns the ending if it is one.
    pub fn take(&mut self, event: Event) -> Result<Option<Ending>, Failure> {
        if let Some(events) = &self.events {
            events.check()?;
        }
        self.facts.missed_events = self.facts.missed_events.saturating_add(event.missed_before);
        if self.facts.job_id.is_empty() {
            self.facts.job_id.clone_from(&event.job_id);
        }
        self.progress.show(&event);
        match event.kind {
            EventKind::Accepted { request_id, diagnostics } => {
                self.facts.request_id = request_id;
                self.tell_new(&diagnostics.iter().map(Finding::from).collect::<Vec<_>>());
            }
            EventKind::Started(started) => {
                // What a user must know is said even where nothing else is.
                if self.is_quiet && !started.model_notice.is_empty() {
                    say(format_args!("notice: {}", render::plain(&started.model_notice)));
                }
                self.facts.total_steps = started.resolved.sampling.map_or(0, |sampling| sampling.steps);
                self.facts.started = Some(*started);
            }
            EventKind::Requeued { .. } => {
                self.facts.step = 0;
                self.facts.profiles.clear();
            }
            EventKind::Profile(profile) => self.facts.profiles.push(*profile),
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

    /// Takes the display away.
    pub fn close(&self) {
        self.progress.close();
    }

    /// Writes the pictures, if there are any, and says how it ended.
    pub fn conclude(
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
                return Ok(self.gave_up(cancelled.at_step, cancelled.reason.as_str()));
            }
            Ending::Interrupted(by) => return Ok(self.gave_up(self.facts.step, by)),
        };
        let several = completed.pictures.len() > 1;
        let paths: Vec<PathBuf> = completed
            .pictures
            .iter()
            .map(|picture| if several { numbered(&arguments.out, picture.image_index) } else { arguments.out.clone() })
            .collect();
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
        Ok((Exit::Ok, summary::json(&completed, &self.facts, &places, composed.origin.as_ref())))
    }

    fn gave_up(&self, at_step: u32, reason: &str) -> (Exit, Value) {
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

    /// Shows what the server found and the check on this machine did not: the server may be newer.
    fn tell_new(&self, findings: &[Finding]) {
        if self.is_quiet {
            return;
        }
        let Some((name, bytes, local)) = &self.local else { return };
        let new: Vec<Finding> =
            findings.iter().filter(|finding| !local.iter().any(|local| local.is_same_as(finding))).cloned().collect();
        if !new.is_empty() {
            let shown = render::findings(name, bytes, &new, &self.terminal, Stream::Stderr);
            let count = units::count(new.len(), "finding");
            self.progress.note(&format!("the server found more in the prompt: {count}\n\n{}", shown.trim_end()));
        }
    }
}

/// `out.png` and 1 to `out-1.png`.
pub fn numbered(path: &Path, image_index: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{image_index}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_have_numbers() {
        assert_eq!(numbered(Path::new("a/out.png"), 1), Path::new("a/out-1.png"));
        assert_eq!(numbered(Path::new("out"), 0), Path::new("out-0"));
        assert_eq!(numbered(Path::new("a.b.png"), 2), Path::new("a.b-2.png"));
    }
}
