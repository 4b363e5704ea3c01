//! Which engine runs, on which device, with which model.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
#[cfg(feature = "burn")]
use sakuga_model_core::ModelOptions;
use sakuga_model_core::{DeviceChoice, LoraChoice, Precision, WarmUp, limits};

use crate::engine::scripted::Script;
use crate::settings::{Bound, number, read};

/// The engine.
#[derive(Clone, Debug)]
pub enum EngineChoice {
    /// Gradients on a timetable.
    Scripted(Script),
    /// The model.
    #[cfg(feature = "burn")]
    Burn(ModelOptions),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineKind {
    Burn,
    Scripted,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Engine and model")]
pub(super) struct EngineSettings {
    /// The engine. `burn` runs the model; `scripted` generates gradients on a timetable, for tests and for writing
    /// clients.
    #[arg(long, value_name = "burn|scripted", hide_possible_values = true, value_enum, default_value = if cfg!(feature = "burn") { "burn" } else { "scripted" })]
    engine: EngineKind,
    /// The device. `auto` is the first GPU if this program was built with GPU code, else the CPU; a machine without the
    /// GPU that was built for is an error, never a silent fallback to the CPU.
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value = "auto", value_parser = device)]
    device: DeviceChoice,
    /// How tensors are computed. `auto` is bf16 on a GPU and f32 on the CPU. `fp8` computes the denoiser's matrix products
    /// in 8 bits (e4m3, a scale for each token and each output) and everything else in bf16; it needs an NVIDIA GPU of compute
    /// capability 9.0 (H100, H200) and cuBLASLt 12.9 or newer, and the server says at its start what is missing.
    #[arg(long, value_name = "auto|bf16|f32|fp8", default_value = "auto", value_parser = precision)]
    precision: Bound<Precision>,
    /// The model: a diffusers folder as published (model_index.json, transformer, text_encoder, clip_model, vae), or
    /// `embedded`, the small one within this program.
    #[arg(long, value_name = "DIR|embedded", default_value = "embedded")]
    model: PathBuf,
    /// A LoRA or LoKr adapter to merge into the model: a .safetensors file or a PEFT folder, with a factor on its effect
    /// (1 is as trained). Can be given several times; a list in the file, and in the environment separated like the
    /// folders of PATH.
    #[arg(long = "lora", value_name = "PATH[=SCALE]", value_parser = lora)]
    loras: Vec<LoraChoice>,
    /// Where the embedded model is unpacked. By default $XDG_CACHE_HOME/sakuga, or ~/.cache/sakuga.
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Most images of one request that are computed at once; a larger request is computed in turns. 0: all.
    #[arg(long, value_name = "N", default_value = "0", value_parser = number::<u32>(0..=limits::IMAGES.max.into()))]
    max_batch: u32,
    /// Sizes in pixels that are generated once before the server is ready, so that the device's memory is allocated and
    /// kernels are chosen by then. Nothing larger is accepted afterwards. `auto` is, on a GPU, the model's default size and
    /// the largest that `max-pixels` allows, and nothing on the CPU.
    #[arg(long, value_name = "auto|none|WxH,WxH", default_value = "auto", value_parser = warm_up)]
    warm_up: WarmUp,
    /// Keep the weights of the large text encoder in the host's memory, 7.6 GB for NewBie; a prompt
    /// that was not seen before then takes some tenths of a second longer. For GPUs with less memory.
    #[arg(long = "offload-text-encoders", value_name = "true|false", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    offload_text_encoder: bool,
    /// With `--engine scripted`: how long a step takes, and at most the encoders and the decoder.
    #[arg(long, value_name = "MS", default_value = "50", value_parser = number::<u64>(0..=60_000))]
    scripted_step_ms: u64,
}

fn device(text: &str) -> Result<DeviceChoice, String> {
    read(text, "is not a device; write `auto`, `cpu` or `cuda:N` with N counted from 0")
}

fn precision(text: &str) -> Result<Bound<Precision>, String> {
    match text.trim() {
        "auto" => Ok(None),
        "bf16" => Ok(Some(Precision::Bf16)),
        "f32" => Ok(Some(Precision::F32)),
        "fp8" => Ok(Some(Precision::Fp8)),
        _ => Err("is not one of `auto`, `bf16`, `f32`, `fp8`".into()),
    }
}

fn lora(text: &str) -> Result<LoraChoice, String> {
    if let Some(hint) = misplaced_scale(text) {
        return Err(hint);
    }
    // A path is taken as it is, blanks included.
    text.parse()
        .map_err(|_| "is not an adapter; write a path, or a path, `=` and a finite number other than 0".to_owned())
}

/// What is wrong with a scale that is not `=NUMBER`, if there is no file of the whole name.
fn misplaced_scale(text: &str) -> Option<String> {
    if Path::new(text).exists() {
        return None;
    }
    let is_number = |text: &str| text.trim().parse::<f32>().is_ok_and(f32::is_finite);
    let (path, scale) = text.rsplit_once(['=', ':', '@', '*'])?;
    let is_separate = text.as_bytes().get(path.len()) == Some(&b'=');
    let with_point = scale.trim().replace(',', ".");
    if path.is_empty() || (is_separate && is_number(scale)) {
        return None;
    }
    if is_number(&with_point) {
        return Some(format!("has its factor in another form; write `{path}={with_point}`"));
    }
    let is_file = path.ends_with(".safetensors") && is_separate;
    is_file.then(|| format!("has `{scale}` in place of a factor; write a number, as in `{path}=0.8`"))
}

fn warm_up(text: &str) -> Result<WarmUp, String> {
    read(text, "is not a list of sizes; write `auto`, `none`, or sizes in pixels such as `1024x1024,832x1216`")
}

impl EngineSettings {
    /// An engine that this program was built without.
    pub(super) fn problem(&self) -> Option<String> {
        let is_missing = self.engine == EngineKind::Burn && !cfg!(feature = "burn");
        is_missing.then(|| "this program was built without the engine `burn`; use `--engine scripted`".to_owned())
    }

    /// `pixels_max` bounds the sizes of the warm-up.
    #[cfg_attr(not(feature = "burn"), expect(unused_variables, reason = "the scripted engine has no warm-up"))]
    pub(super) fn into_choice(self, pixels_max: u64) -> EngineChoice {
        #[cfg(feature = "burn")]
        if self.engine == EngineKind::Burn {
            return EngineChoice::Burn(ModelOptions {
                device: self.device,
                precision: self.precision,
                model: (self.model.as_os_str() != "embedded").then_some(self.model),
                loras: self.loras,
                cache_dir: self.cache_dir,
                max_batch: self.max_batch,
                warm_up: self.warm_up,
                pixels_max,
                offload_text_encoder: self.offload_text_encoder,
            });
        }
        let default = Script::default();
        let step_ms = self.scripted_step_ms;
        EngineChoice::Scripted(Script {
            step_ms,
            text_encode_ms: default.text_encode_ms.min(step_ms),
            decode_ms: default.decode_ms.min(step_ms),
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_in_another_form_gets_the_right_one() {
        for (text, right) in [
            ("x.safetensors:0.8", "x.safetensors=0.8"),
            ("x.safetensors=0,8", "x.safetensors=0.8"),
            ("x.safetensors@1", "x.safetensors=1"),
            ("x.safetensors=strong", "x.safetensors=0.8"),
        ] {
            assert!(lora(text).expect_err("not a factor").contains(&format!("`{right}`")), "{text}");
        }
        for text in ["x.safetensors", "x.safetensors=0.8", "a=b/x.safetensors", "C:/x.safetensors", "dir:1/x"] {
            assert!(lora(text).is_ok(), "{text}");
        }
    }
}
