//! Measures where the time of a stage is spent.

use std::ops::ControlFlow;
use std::time::Instant;

use sakuga_model_core::{EngineError, Observer, Progress, Stage, StageProfile};

use super::place::Place;

/// Measures where the time of one stage is spent, if the request asks for it. Stops measuring when it is dropped.
pub(crate) struct Profiler<'a> {
    place: &'a Place,
    stage: Stage,
    begun: Option<Instant>,
}

impl<'a> Profiler<'a> {
    pub(crate) fn begin(place: &'a Place, is_wanted: bool, stage: Stage) -> Self {
        if is_wanted {
            place.start_profile();
        }
        Self { place, stage, begun: is_wanted.then(Instant::now) }
    }

    /// Reports what was measured.
    pub(crate) fn finish(mut self, observer: &mut Observer<'_>) -> Result<ControlFlow<()>, EngineError> {
        let Some(begun) = self.begun.take() else { return Ok(ControlFlow::Continue(())) };
        let wall_ms = begun.elapsed().as_secs_f64() * 1e3;
        let place = self.place;
        let failed = |doing| move |error: String| place.device_error(doing, &error);
        let spans = place.finish_profile().map_err(failed("measuring where the time goes"))?;
        // A ceiling for each part: clocks fall under load and recover after it.
        let peaks = place.measure_peaks().map_err(failed("measuring what the device can do"))?;
        Ok(observer(Progress::Profile(StageProfile { stage: self.stage, spans, wall_ms, peaks })))
    }
}

impl Drop for Profiler<'_> {
    fn drop(&mut self) {
        if self.begun.is_some() {
            self.place.drop_profile();
        }
    }
}
