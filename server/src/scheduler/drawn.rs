//! [`Drawn`]: the part of a job that the engine draws at one time.

use sakuga_model_core::StepReport;

use crate::job::{JobRequest, ScenePass};
use crate::models::ModelId;

/// What the engine draws: all passes of the first model, or the pass of a scene over one picture. The engine counts passes, steps and
/// evaluations within it, and clients within the job.
#[derive(Clone, Copy)]
pub(super) struct Drawn {
    pub(super) model: ModelId,
    /// Passes of the job before it.
    pub(super) passes_before: u32,
    /// Steps of the job before it.
    steps_before: u32,
    /// Evaluations of the job before it.
    evaluations_before: u32,
    /// Steps of the job after it.
    steps_after: u32,
}

impl Drawn {
    /// The passes of the first model.
    pub(super) fn first(request: &JobRequest) -> Self {
        let steps_after = request.steps() - request.work.steps();
        Self { model: request.model, passes_before: 0, steps_before: 0, evaluations_before: 0, steps_after }
    }

    /// The pass of a scene over the next picture, after so many passes, steps and evaluations.
    pub(super) fn scene(
        self,
        scene: &ScenePass,
        passes_before: u32,
        [steps_before, evaluations_before]: [u32; 2],
    ) -> Self {
        let steps_after = self.steps_after.saturating_sub(scene.work.steps());
        Self { model: scene.model, passes_before, steps_before, evaluations_before, steps_after }
    }

    /// A report of the engine, counted within the job.
    pub(super) fn in_job(&self, report: StepReport) -> StepReport {
        StepReport {
            index: self.steps_before + report.index,
            total: self.steps_before + report.total + self.steps_after,
            pass: self.passes_before + report.pass,
            evaluations: self.evaluations_before + report.evaluations,
            ..report
        }
    }
}
