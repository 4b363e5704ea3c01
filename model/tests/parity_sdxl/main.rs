//! Parity of Stable Diffusion XL with reference implementations, number by number.
//!
//! A fixture set is a directory with a `manifest.json` (tolerances), checkpoints and a directory for each part with
//! `cases.json` and `cases.safetensors`. It is looked for in `$SAKUGA_FIXTURES_SDXL` or `../shared/fixtures-sdxl` next to the
//! repository. Cases, sizes and tolerances are read from the set. Without a set the tests print that they are skipped, and
//! pass.

mod clip;
mod controlnet;
#[path = "../parity/harness.rs"]
#[allow(dead_code, reason = "two test programs share it and each uses a part")]
mod harness;
mod load;
mod lora;
mod pipeline;
mod prompt;
mod published;
mod schedulers;
mod single_file;
mod textual_inversion;
mod tokenizer;
mod unet;
mod vae;

/// Where the fixture sets are.
const PLACES: harness::Places =
    harness::Places { variable: "SAKUGA_FIXTURES_SDXL", shared: "../../shared/fixtures-sdxl", own: None };
