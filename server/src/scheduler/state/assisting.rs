//! [`Assisting`]: the job of another device in which a device assists, and how much time that saves.

use std::time::Instant;

use crate::devices::DeviceId;
use crate::estimate::JobWork;
use crate::job_id::JobId;
use crate::models::ModelId;

/// How much longer an evaluation takes when two devices compute it than half of what one needs for it, about.
const EXCHANGE: f64 = 1.04;

/// The job in which a device assists.
pub(in crate::scheduler) struct Assisting {
    pub(in crate::scheduler) job: JobId,
    pub(in crate::scheduler) model: ModelId,
    /// The device that draws it.
    pub(in crate::scheduler) leader: DeviceId,
    /// When the device last reported anything.
    pub(in crate::scheduler) last_report: Instant,
}

/// The time of the steps of some work on two devices, as a share of that on one: the halves of a guided evaluation are computed at
/// once.
pub(super) fn shared_time(work: &JobWork) -> f64 {
    let [all, guided] = work.evaluations().map(f64::from);
    if all > 0.0 { (all + (EXCHANGE - 1.0) * guided) / (all + guided) } else { 1.0 }
}
