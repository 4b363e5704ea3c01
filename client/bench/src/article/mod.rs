//! A published comparison of two systems, repeated: our run, PyTorch's, and the article's claims.
//!
//! The article compares NewBie-image-Exp0.1 with "SD-Anime" on one A100 40 GB PCIe: Stable Diffusion XL base and refiner with an
//! anime LoRA, DPM++ 2M Karras, 30 steps, guidance 7. Its protocol is the model of that of `sakuga bench`. `claims.json` has its
//! figures. They are claims and no measurements of ours: `claims` says for each what the sizes of the networks and the
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
