//! Diffusion with discrete training times: noise to latents as Stable Diffusion does it.
//!
//! `table` has the noise of each training time, [`levels`] the levels and times that a schedule chooses, `solver` walks them
//! over any state. Schedule and solver are independent choices. States are either of constant variance,
//! `x = alpha data + sigma noise` with `alpha² + sigma² = 1`, or of growing variance, the same divided by `alpha`: see
//! [`Scale`].

mod beta;
pub mod levels;
mod multistep;
pub(crate) mod solver;
pub(crate) mod table;
mod unipc;

pub use levels::{Curve, Ending, Grid, Named, Spacing, Step};
pub use multistep::Midway;
pub use solver::{Finished, Observe, Sampler, Scale, Solver, steps_to_run};
pub use table::{NoiseTable, SMALLEST_ALPHA};
pub use unipc::Growth;
