//! From noise to latents: flow matching, from noise at t = 0 to latents at t = 1, and in [`diffusion`] the discrete times of
//! Stable Diffusion.
//!
//! Nothing here names a network. [`schedule`] makes the grid of times in `f64`, `solver` walks it over any velocity
//! field and any state, [`guidance`] mixes the conditional and the unconditional velocity, and [`noise`] makes the state
//! to start from. `prediction` reads the data from what a denoiser predicts: the solvers of [`diffusion`] work on it. The
//! conventions of flow matching are those of NewBie's `transport` package: `t` runs from 0 (noise) to 1 (data),
//! `v = data - noise`, `sigma = 1 - t`.

pub mod diffusion;
pub mod guidance;
pub mod noise;
pub(crate) mod philox;
pub(crate) mod prediction;
pub(crate) mod reuse;
pub mod schedule;
pub(crate) mod solver;

pub use noise::standard_normal;
pub use prediction::{NoiseLevel, Prediction};
pub use schedule::{SOLVERS, Schedule};
pub use solver::{Interval, State, integrate, integrate_from};
