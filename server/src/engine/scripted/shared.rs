//! Jobs that two scripted devices draw: each computes half of a step, in half of its time.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use sakuga_model_core::{Assistant, EngineError, GenerationSpec, HalfPrediction, HalfTask, Leader};

use super::{ScriptedModel, play};

/// The halves of the steps of a job. Dropping it lets the other device go.
pub(super) struct Halves<'a> {
    /// `None`: both halves are computed here.
    assistant: Option<&'a dyn Assistant>,
}

impl<'a> Halves<'a> {
    pub(super) fn new(assistant: Option<&'a dyn Assistant>) -> Self {
        Self { assistant }
    }

    /// Computes a step and returns how long it took. A lost half is computed here.
    pub(super) fn step(&mut self, step_ms: u64, pass: u32, step: u32) -> Duration {
        let begun = Instant::now();
        let task = HalfTask { pass, evaluation: step, latents: step.to_le_bytes().into(), ..HalfTask::default() };
        let expected = half(&task);
        let begun_there = self.assistant.filter(|assistant| assistant.begin(task).is_ok());
        sleep_half(step_ms);
        let finished = begun_there.and_then(|assistant| assistant.finish().ok());
        if finished.as_ref() != Some(&expected) {
            self.assistant = None;
            sleep_half(step_ms);
        }
        begun.elapsed()
    }
}

impl Drop for Halves<'_> {
    fn drop(&mut self) {
        if let Some(assistant) = self.assistant {
            assistant.release();
        }
    }
}

impl ScriptedModel {
    /// Computes what the leading device hands out.
    pub(super) fn assist_in(&mut self, spec: &GenerationSpec, leader: &mut dyn Leader) -> Result<(), EngineError> {
        let job = self.counts.assists.fetch_add(1, Ordering::Relaxed) + 1;
        self.applied.clone_from(&spec.adapters);
        let mut evaluations = 0;
        play(&self.script.assist_faults, job, evaluations)?;
        while let Some(task) = leader.next() {
            sleep_half(self.script.step_ms);
            evaluations += 1;
            play(&self.script.assist_faults, job, evaluations)?;
            if leader.answer(half(&task)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// What a device answers to a task, so that the other one notices a wrong order.
fn half(task: &HalfTask) -> HalfPrediction {
    HalfPrediction { values: task.latents.iter().map(|byte| !byte).collect(), reused: Vec::new() }
}

fn sleep_half(step_ms: u64) {
    if step_ms > 0 {
        thread::sleep(Duration::from_micros(500 * step_ms));
    }
}
