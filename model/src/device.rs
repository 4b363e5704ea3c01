//! Chooses the device and the floating-point precision, without calling a driver that is not installed.

use std::cell::OnceCell;

use burn::tensor::{DType, Device};
use rayon::{ThreadPool, ThreadPoolBuilder};
use sakuga_model_core::{DeviceChoice, Precision};

use crate::error::DeviceError;

/// burn's type of activations, and of weights when they are read.
pub fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::Bf16 | Precision::Fp8 => DType::BF16,
    }
}

/// A device that was opened, with the precision to use on it.
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

/// The number of GPUs; 0 in a program without GPU code.
pub fn gpu_count() -> usize {
    #[cfg(feature = "cuda")]
    return Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
    #[cfg(not(feature = "cuda"))]
    0
}

thread_local! {
    /// The pool that the thread computes with, if it is not the one of all threads. It ends with the thread.
    static POOL: OnceCell<ThreadPool> = const { OnceCell::new() };
}

/// Makes the calling thread compute on the CPU with `cores` threads, itself included. Other threads are not affected. A
/// second call of the same thread does nothing.
///
/// # Errors
///
/// The system provides no threads.
pub(crate) fn use_cores(cores: usize) -> Result<(), DeviceError> {
    POOL.with(|pool| {
        if pool.get().is_some() {
            return Ok(());
        }
        let built = ThreadPoolBuilder::new().num_threads(cores.max(1)).use_current_thread().build();
        let built = built.map_err(|error| DeviceError::NoThreads { cores, reason: error.to_string() })?;
        _ = pool.set(built);
        Ok(())
    })
}

/// Opens a device. Without a precision it is bf16 on a GPU and f32 on the CPU, whose kernels would convert bf16 on every call.
///
/// # Errors
/// When the device is not there, the program has no code for it, or it cannot compute in the precision. A program with GPU code never falls
/// back to the CPU by itself: a silent fallback would look like a hang.
pub fn open(spec: DeviceChoice, precision: Option<Precision>) -> Result<OpenDevice, DeviceError> {
    match spec {
        DeviceChoice::Cpu if precision == Some(Precision::Fp8) => {
            let reason = "products in fp8 need an NVIDIA GPU, and a program that was built with GPU code".to_owned();
            Err(DeviceError::NoFp8 { device: "cpu".to_owned(), reason })
        }
        DeviceChoice::Cpu => Ok(OpenDevice { precision: precision.unwrap_or(Precision::F32), ..OpenDevice::cpu() }),
        DeviceChoice::Auto if cfg!(feature = "cuda") => open_cuda(0, precision),
        DeviceChoice::Auto => open(DeviceChoice::Cpu, precision),
        DeviceChoice::Cuda(index) => open_cuda(index, precision),
    }
}

/// Looks for a device without opening it.
///
/// # Errors
/// The device is not there, or the program has no code for it.
pub fn find(spec: DeviceChoice) -> Result<(), DeviceError> {
    match spec {
        DeviceChoice::Cpu => Ok(()),
        DeviceChoice::Auto if cfg!(feature = "cuda") => find_cuda(0).map(drop),
        DeviceChoice::Auto => Ok(()),
        DeviceChoice::Cuda(index) => find_cuda(index).map(drop),
    }
}

#[cfg(feature = "cuda")]
fn find_cuda(index: usize) -> Result<Device, DeviceError> {
    // Constructing a CUDA device panics where there is no driver; enumerating looks for the library first.
    let devices = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    let count = devices.len();
    match devices.into_iter().nth(index) {
        Some(device) => Ok(device),
        None if count == 0 => Err(DeviceError::NoGpu),
        None => Err(DeviceError::NoSuchGpu { index, count }),
    }
}

#[cfg(not(feature = "cuda"))]
fn find_cuda(index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { requested: format!("cuda:{index}") })
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize, precision: Option<Precision>) -> Result<OpenDevice, DeviceError> {
    let device = find_cuda(index)?;
    let precision = precision.unwrap_or(Precision::Bf16);
    let name = format!("cuda:{index}");
    if !device.supports_dtype(dtype(precision)) {
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
    let missing = || crate::cuda::CudaError::NoFp8 { found: "this device is not an NVIDIA GPU".to_owned() };
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
    fn cpu_defaults_to_f32_and_keeps_what_was_asked_for() {
        assert_eq!(open(DeviceChoice::Cpu, None).unwrap().precision, Precision::F32);
        let open = open(DeviceChoice::Cpu, Some(Precision::Bf16)).unwrap();
        assert_eq!((open.precision, open.name.as_str()), (Precision::Bf16, "cpu"));
    }

    #[test]
    fn a_thread_computes_with_the_cores_that_it_is_given() {
        let cores = || std::thread::spawn(rayon::current_num_threads).join().unwrap();
        let all = cores();
        let own = std::thread::spawn(|| {
            use_cores(3).unwrap();
            use_cores(5).unwrap();
            let index = rayon::join(rayon::current_thread_index, || ()).0;
            (rayon::current_num_threads(), index)
        });
        assert_eq!(own.join().unwrap(), (3, Some(0)), "the thread itself is one of them");
        assert_eq!(cores(), all, "other threads are not affected");
    }

    #[test]
    fn the_cpu_has_no_products_in_8_bits() {
        assert_eq!(dtype(Precision::Fp8), DType::BF16);
        let error = open(DeviceChoice::Cpu, Some(Precision::Fp8)).unwrap_err();
        assert!(matches!(&error, DeviceError::NoFp8 { device, .. } if device == "cpu"), "{error:?}");
        assert!(error.to_string().contains("choose bf16"), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_is_refused_by_a_binary_without_gpu_code() {
        assert_eq!(
            open(DeviceChoice::Cuda(1), None).unwrap_err(),
            DeviceError::NotBuilt { requested: "cuda:1".to_owned() }
        );
        assert_eq!(find(DeviceChoice::Cuda(1)), Err(DeviceError::NotBuilt { requested: "cuda:1".to_owned() }));
        assert_eq!(open(DeviceChoice::Auto, None).unwrap().name, "cpu");
        assert_eq!([find(DeviceChoice::Auto), find(DeviceChoice::Cpu)], [Ok(()), Ok(())]);
    }
}
