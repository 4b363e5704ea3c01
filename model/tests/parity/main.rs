//! Parity with reference implementations: every part of the model, number by number.
//!
//! A fixture set is a directory with a `manifest.json` (tolerances) and a directory for each part with `cases.json`,
//! `cases.safetensors`, weights and `layouts/` (the same weights under other names). Sets are looked for in
//! `$SAKUGA_FIXTURES`, in `../shared/fixtures` next to the repository, and in `testdata/parity` of this crate. Cases,
//! sizes and tolerances are read from the set. Without a set the tests print that they are skipped, and pass.

mod gemma3;
#[allow(dead_code, reason = "two test programs share it and each uses a part")]
mod harness;
mod jina_clip;
mod lora;
mod next_dit;
mod pipeline;
mod sampler;
mod vae;

/// Where the fixture sets are.
const PLACES: harness::Places =
    harness::Places { variable: "SAKUGA_FIXTURES", shared: "../../shared/fixtures", own: Some("testdata/parity") };
