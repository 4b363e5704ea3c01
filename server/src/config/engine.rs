//! How the model is run, as it is written in settings.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

/// How the model is run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BurnConfig {
    /// The device.
    pub device: DeviceChoice,
    /// How tensors are computed; `None` leaves it to the device.
    pub precision: Option<PrecisionChoice>,
    /// The model's folder; `None` for the embedded model.
    pub model: Option<PathBuf>,
    /// Adapters that are merged into it.
    pub loras: Vec<LoraChoice>,
    /// Where the embedded model is kept; `None` for the user's cache.
    pub cache_dir: Option<PathBuf>,
    /// Most pictures computed at once; 0: all.
    pub max_batch: u32,
    /// What is drawn before the server is ready.
    pub warm_up: WarmUp,
    /// Pixels of the largest picture that requests may ask for.
    pub pixels_max: u64,
    /// Keeps the large text encoder's weights in the host's memory.
    pub offload_text_encoder: bool,
}

/// What is drawn before the server is ready, so that memory is taken and kernels are chosen by then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WarmUp {
    /// On a GPU the default size and the largest that may be asked for, on the CPU nothing.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// These, width and height in pixels; nothing larger can be asked for then.
    Sizes(Vec<(u32, u32)>),
}

/// An adapter, written `PATH` or `PATH=SCALE`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraChoice {
    /// A `.safetensors` file or a PEFT folder.
    pub path: PathBuf,
    /// Factor on its effect; 1 is as trained.
    pub scale: f32,
}

/// The device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if the program has GPU code, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU.
    Cuda(usize),
}

/// How tensors are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// bfloat16.
    Bf16,
    /// 32-bit.
    F32,
    /// bfloat16, but the Next-DiT's products in 8 bits.
    Fp8,
}

/// The text is no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDevice;

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or(UnknownDevice)?;
                index.parse().map(Self::Cuda).map_err(|_| UnknownDevice)
            }
        }
    }
}

/// The text is no adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLora;

impl FromStr for LoraChoice {
    type Err = BadLora;

    /// A path may hold `=` too: only a number behind the last one is a scale.
    fn from_str(text: &str) -> Result<Self, BadLora> {
        let scaled = text.rsplit_once('=').and_then(|(path, scale)| Some((path, scale.trim().parse::<f32>().ok()?)));
        let (path, scale) = scaled.unwrap_or((text, 1.0));
        if path.trim().is_empty() || !scale.is_finite() || scale == 0.0 {
            return Err(BadLora);
        }
        Ok(Self { path: PathBuf::from(path), scale })
    }
}

impl Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

/// The text is no list of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSizes;

impl FromStr for WarmUp {
    type Err = BadSizes;

    fn from_str(text: &str) -> Result<Self, BadSizes> {
        let size = |text: &str| {
            let (width, height) = text.trim().split_once('x').ok_or(BadSizes)?;
            let edge = |text: &str| text.parse::<u32>().ok().filter(|edge| *edge > 0).ok_or(BadSizes);
            Ok((edge(width)?, edge(height)?))
        };
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            sizes => sizes.split(',').map(size).collect::<Result<_, _>>().map(Self::Sizes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_have_a_path_and_perhaps_a_scale() {
        let lora = |path: &str, scale| LoraChoice { path: path.into(), scale };
        for (text, read) in [
            ("a.safetensors", Ok(lora("a.safetensors", 1.0))),
            ("dir/a=b=-0.5", Ok(lora("dir/a=b", -0.5))),
            ("a=b.safetensors", Ok(lora("a=b.safetensors", 1.0))),
            ("", Err(BadLora)),
            ("=1", Err(BadLora)),
            ("a=0", Err(BadLora)),
            ("a=nan", Err(BadLora)),
        ] {
            assert_eq!(text.parse(), read, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_what_is_none_is_refused() {
        assert_eq!("auto".parse(), Ok(WarmUp::Auto));
        assert_eq!("none".parse(), Ok(WarmUp::None));
        assert_eq!("1024x1024, 832x1216".parse(), Ok(WarmUp::Sizes(vec![(1024, 1024), (832, 1216)])));
        for text in ["", "1024", "0x16", "16x", "1024x1024,", "-1x16", "axb"] {
            assert_eq!(text.parse::<WarmUp>(), Err(BadSizes), "{text}");
        }
    }
}
