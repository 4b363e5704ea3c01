//! Which device a model runs on, and in which floating-point precision.

use std::fmt::{self, Display};
use std::str::FromStr;

/// The device to run on: `auto`, `cpu` or `cuda:N` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU; the CPU only in a program that has no GPU code at all.
    #[default]
    Auto,
    /// The CPU; always available.
    Cpu,
    /// The CUDA GPU of this index, counted from 0.
    Cuda(usize),
}

/// The text is not a device name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a device; write `auto`, `cpu` or `cuda:N` with N counted from 0")]
pub struct UnknownDevice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(text.to_owned());
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Floating-point type of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit.
    F32,
    /// bfloat16, the type of most published weights. Norms, rotary embeddings and the sampler still compute in 32-bit.
    Bf16,
    /// As [`Bf16`](Self::Bf16), but the matrix products of the denoiser's blocks are of 8-bit values: e4m3 with a scale
    /// for each token and each output.
    Fp8,
}

/// The text is not a floating-point precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a precision; write `f32`, `bf16` or `fp8`")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        match text.trim().to_ascii_lowercase().as_str() {
            "f32" | "float32" => Ok(Self::F32),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "fp8" | "float8" => Ok(Self::Fp8),
            _ => Err(UnknownPrecision(text.to_owned())),
        }
    }
}

impl Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_round_trip() {
        for device in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(7)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("CUDA".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"] {
            assert_eq!(text.parse::<DeviceChoice>(), Err(UnknownDevice(text.to_owned())));
        }
    }

    #[test]
    fn precisions_round_trip() {
        for precision in [Precision::F32, Precision::Bf16, Precision::Fp8] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert_eq!("int8".parse::<Precision>(), Err(UnknownPrecision("int8".into())));
    }
}
