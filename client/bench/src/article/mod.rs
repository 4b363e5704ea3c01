//! The comparison of two systems by which the protocol of `sakuga bench` began: our run, PyTorch's and its author's claims.
//!
//! The article compares NewBie-image-Exp0.1 with "SD-Anime", which is Stable Diffusion XL for anime, on one A100. `claims.json`
//! has its figures. They are claims and no measurements of ours: `claims` says for each what the sizes of the networks and the
//! data sheet of the card allow.

mod charts;
mod claims;
mod figures;
mod page;
mod record;
mod rows;

pub use charts::charts;
pub use claims::{Claims, Impossible};
pub use page::write;
pub use record::{Comparison, FormText, Load, Measured, System, system_of};
pub use rows::{table, texts_table};
