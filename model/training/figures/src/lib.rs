//! Anime chibi figures drawn from prompts, and the oracle that reads the prompts' attributes back from pictures.

pub mod attributes;
mod canvas;
mod caption;
mod draw;
pub mod figure;
pub mod heldout;
pub mod image;
mod layer;
pub mod layout;
pub mod oracle;
mod outline;
pub mod palette;
pub mod prompt;
mod raster;
mod render;
pub mod rng;
pub mod scene;
mod shape;
pub mod size;
pub mod training;
mod vocabulary;

pub use figure::Figure;
pub use image::Image;
pub use render::{render, render_at, render_batch, render_sized};
pub use scene::{Constraints, HeldOut, Scene};
pub use size::Size;
pub use vocabulary::vocabulary;
