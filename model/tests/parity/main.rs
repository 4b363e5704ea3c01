//! Parity with reference implementations: every part of the model, number by number.
//!
//! A fixture set is a directory with a `manifest.json` (tolerances) and a directory for each part with `cases.json`,
//! `cases.safetensors`, weights and `layouts/` (the same weights under other names). Sets are looked for in
//! `$SAKUGA_FIXTURES`, in `../shared/fixtures` beside the repository, and in `testdata/parity` of this crate. Nothing about a
//! set is known in advance: cases, sizes and tolerances are read from it. Where there is no set, the tests say so and pass.

mod gemma3;
mod harness;
mod jina_clip;
mod lora;
mod next_dit;
mod pipeline;
mod sampler;
mod vae;
