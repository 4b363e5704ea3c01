//! Choosing the device and the floating-point precision, without ever touching a driver that is not there.

use std::fmt::{self, Display};
use std::str::FromStr;

use burn::tensor::{DType, Device};

use crate::error::DeviceError;

/// Which device to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceSpec {
    /// The first GPU; the CPU only in a program that has no GPU code at all.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA GPU of this index, counted from 0.
    Cuda(usize),
}

impl FromStr for DeviceSpec {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::UnknownName(text.to_owned());
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

impl Display for DeviceSpec {
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
    /// bfloat16, the type of the published weights. Norms, rotary embeddings and the sampler still compute in 32-bit.
    Bf16,
    /// As [`Bf16`](Self::Bf16), but the products of the Next-DiT's blocks are of 8-bit values: e4m3 with a scale for each
    /// token and each output.
    Fp8,
}

impl Precision {
    /// burn's type of activations, and of weights when they are read.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 | Self::Fp8 => DType::BF16,
        }
    }
}

impl FromStr for Precision {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "f32" | "float32" => Ok(Self::F32),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "fp8" | "float8" => Ok(Self::Fp8),
            _ => Err(DeviceError::UnknownPrecision(text.to_owned())),
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

/// A device that is there and works, with the precision to use on it.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// burn's handle.
    pub device: Device,
    /// Type of weights and activations.
    pub precision: Precision,
    /// `cpu` or `cuda:N`.
    pub name: String,
}

impl OpenDevice {
    /// The CPU in 32-bit precision.
    pub fn cpu() -> Self {
        Self { device: Device::flex(), precision: Precision::F32, name: "cpu".to_owned() }
    }
}

/// Whether a device is the CPU, where burn runs each elementwise operation on one core and copies are cheap.
pub(crate) fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Opens a device. Without a precision it is bf16 on a GPU and f32 on the CPU, whose kernels would convert bf16 on every call.
///
/// # Errors
/// When the device is not there, was not built in, or cannot compute in the precision. A program with GPU code never falls
/// back to the CPU by itself: a silent fallback would look like a hang.
pub fn open(spec: DeviceSpec, precision: Option<Precision>) -> Result<OpenDevice, DeviceError> {
    match spec {
        DeviceSpec::Cpu if precision == Some(Precision::Fp8) => {
            let reason = "products in fp8 need an NVIDIA GPU, and a program that was built with GPU code".to_owned();
            Err(DeviceError::NoFp8 { device: "cpu".to_owned(), reason })
        }
        DeviceSpec::Cpu => Ok(OpenDevice { precision: precision.unwrap_or(Precision::F32), ..OpenDevice::cpu() }),
        DeviceSpec::Auto if cfg!(feature = "cuda") => open_cuda(0, precision),
        DeviceSpec::Auto => open(DeviceSpec::Cpu, precision),
        DeviceSpec::Cuda(index) => open_cuda(index, precision),
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize, precision: Option<Precision>) -> Result<OpenDevice, DeviceError> {
    // Constructing a CUDA device panics where there is no driver; enumerating looks for the library first.
    let devices = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    let count = devices.len();
    let device = match devices.into_iter().nth(index) {
        Some(device) => device,
        None if count == 0 => return Err(DeviceError::NoGpu),
        None => return Err(DeviceError::NoSuchGpu { index, count }),
    };
    let precision = precision.unwrap_or(Precision::Bf16);
    let name = format!("cuda:{index}");
    if !device.supports_dtype(precision.dtype()) {
        return Err(DeviceError::UnsupportedPrecision { device: name, precision: precision.to_string() });
    }
    if precision == Precision::Fp8 {
        check_fp8(&device).map_err(|error| DeviceError::NoFp8 { device: name.clone(), reason: error.to_string() })?;
    }
    Ok(OpenDevice { device, precision, name })
}

/// Whether a GPU has the fast path and products of 8-bit values.
#[cfg(feature = "cuda")]
fn check_fp8(device: &Device) -> Result<(), crate::cuda::CudaError> {
    /// Rows, inner size and columns that everything divides.
    const PROBED: [usize; 3] = [1024; 3];
    let missing = || crate::cuda::CudaError::NoFp8 { found: "this device is no NVIDIA GPU".to_owned() };
    crate::cuda::open(device).ok_or_else(missing)??.check_fp8(&[PROBED])
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(index: usize, _precision: Option<Precision>) -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::NotBuilt { requested: format!("cuda:{index}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_round_trip() {
        for spec in [DeviceSpec::Auto, DeviceSpec::Cpu, DeviceSpec::Cuda(0), DeviceSpec::Cuda(7)] {
            assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        assert_eq!("CUDA".parse(), Ok(DeviceSpec::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"] {
            assert_eq!(text.parse::<DeviceSpec>(), Err(DeviceError::UnknownName(text.to_owned())));
        }
    }

    #[test]
    fn cpu_defaults_to_f32_and_keeps_what_was_asked_for() {
        assert_eq!(open(DeviceSpec::Cpu, None).unwrap().precision, Precision::F32);
        let open = open(DeviceSpec::Cpu, Some(Precision::Bf16)).unwrap();
        assert_eq!((open.precision, open.name.as_str()), (Precision::Bf16, "cpu"));
    }

    #[test]
    fn the_cpu_has_no_products_in_8_bits() {
        assert_eq!("fp8".parse(), Ok(Precision::Fp8));
        assert_eq!((Precision::Fp8.to_string().as_str(), Precision::Fp8.dtype()), ("fp8", DType::BF16));
        let error = open(DeviceSpec::Cpu, Some(Precision::Fp8)).unwrap_err();
        assert!(matches!(&error, DeviceError::NoFp8 { device, .. } if device == "cpu"), "{error:?}");
        assert!(error.to_string().contains("choose bf16"), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_is_refused_by_a_binary_without_gpu_code() {
        assert_eq!(
            open(DeviceSpec::Cuda(1), None).unwrap_err(),
            DeviceError::NotBuilt { requested: "cuda:1".to_owned() }
        );
        assert_eq!(open(DeviceSpec::Auto, None).unwrap().name, "cpu");
    }
}
