//! Stable Diffusion XL: a U-Net conditioned on two CLIP text encoders, with an autoencoder of 4 channels.
//!
//! [`scheduler`] reads the noise that the model was trained with, and the solver and schedule of its folder. [`prompt`]
//! has the grammars of prompts and their chunks, [`embedding`] the files of textual inversion, [`text`] the features
//! that the U-Net reads. `refiner` loads the second U-Net for the end of the schedule. [`denoise`] evaluates the U-Net
//! under guidance with control networks, which `controls` finds and loads. [`image`] prepares images and masks, and
//! [`adapters`] has the names of modules in adapter files.

pub mod adapters;
mod applied;
mod controls;
pub mod denoise;
pub mod embedding;
pub mod image;
mod info;
mod networks;
mod pipeline;
mod preview;
pub mod prompt;
mod refiner;
pub mod scheduler;
pub mod single_file;
mod source;
pub mod synthetic;
pub mod text;

pub use networks::Networks;
pub use pipeline::Pipeline;
pub(crate) use source::PARTS;
pub(super) use source::{FOLDER, REFINER_FOLDER};
