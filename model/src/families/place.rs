//! The device of a model's networks: which implementation computes each, how much memory they hold, and where time is
//! spent.

use std::sync::Arc;

use burn::tensor::Device;
use sakuga_model_core::{ComputePath, EngineError, MemoryPool, MemoryProbe, Peaks, Precision, ProfileSpan};

use crate::shortage;

/// A device, with its GPU on the fast path.
pub(crate) struct Place {
    device: Device,
    precision: Precision,
    /// `None` if the fast path does not support the device.
    #[cfg(feature = "cuda")]
    gpu: Option<Arc<crate::cuda::Gpu>>,
}

impl Place {
    /// The place of networks on `device` that compute in `precision`.
    pub(crate) fn new(device: &Device, precision: Precision) -> Self {
        Self {
            device: device.clone(),
            precision,
            #[cfg(feature = "cuda")]
            gpu: crate::cuda::of(device),
        }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// What the networks compute in.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Waits until everything that was asked for is computed.
    ///
    /// # Errors
    ///
    /// The device failed, now or at something that was queued since the last call. What was computed is worthless then.
    pub(crate) fn sync(&self) -> Result<(), String> {
        self.device.sync().map_err(|error| error.to_string())?;
        #[cfg(feature = "cuda")]
        if let Some(fault) = self.gpu.as_ref().and_then(|gpu| gpu.take_fault()) {
            return Err(fault.to_string());
        }
        Ok(())
    }

    /// Waits as [`sync`](Self::sync) does for what was asked for while it was `doing` something.
    ///
    /// # Errors
    ///
    /// [`EngineError`] of the device.
    pub(crate) fn finish(&self, doing: &'static str) -> Result<(), EngineError> {
        self.sync().map_err(|error| self.device_error(doing, &error))
    }

    /// Which implementation computes a network, so that a fallback is visible. `note` is added to the fast one's name.
    #[cfg(feature = "cuda")]
    pub(crate) fn compute_path(&self, network: &'static str, is_fast: bool, note: &str) -> ComputePath {
        use crate::cuda;
        let reason = match (&self.gpu, is_fast) {
            (Some(gpu), true) => {
                let implementation = format!("{} and kernels of our own{note}", gpu.versions());
                return ComputePath { network, implementation, reason: String::new() };
            }
            (Some(_), false) => "this network's precision or sizes are not for the fast path; the log says which",
            (None, _) if crate::device::is_cpu(&self.device) => "",
            (None, _) => {
                let reason = cuda::refusal(&self.device).unwrap_or_default();
                return ComputePath { network, implementation: "burn".into(), reason };
            }
        };
        ComputePath { network, implementation: "burn".into(), reason: reason.into() }
    }

    #[cfg(not(feature = "cuda"))]
    #[expect(clippy::unused_self, reason = "the same call with GPU code needs it")]
    pub(crate) fn compute_path(&self, network: &'static str, _is_fast: bool, _note: &str) -> ComputePath {
        ComputePath { network, implementation: "burn".into(), reason: String::new() }
    }

    /// Reads how much device memory is held: none on a device that cannot say.
    pub(crate) fn memory_probe(&self) -> MemoryProbe {
        let device = self.device().clone();
        #[cfg(feature = "cuda")]
        let gpu = self.gpu.clone();
        Arc::new(move || {
            let usage = device.memory_pool_usage();
            #[cfg_attr(not(feature = "cuda"), expect(unused_mut, reason = "only GPUs have more than one pool"))]
            let mut pools: Vec<MemoryPool> = usage
                .into_iter()
                .map(|usage| MemoryPool {
                    name: "weights and tensors",
                    used_bytes: usage.bytes_in_use,
                    held_bytes: usage.bytes_reserved,
                })
                .collect();
            #[cfg(feature = "cuda")]
            if let Some(gpu) = &gpu {
                let whole =
                    |name, bytes: usize| MemoryPool { name, used_bytes: bytes as u64, held_bytes: bytes as u64 };
                pools.push(whole("scratch", gpu.scratch_bytes()));
                pools.push(whole("library workspace", crate::cuda::product::WORKSPACE_BYTES));
            }
            pools
        })
    }

    /// The error of a device that failed with this message while it was `doing` something: out of memory, with the
    /// numbers that are known, if the message says so.
    pub(crate) fn device_error(&self, doing: &'static str, message: &str) -> EngineError {
        shortage::read(message, || self.memory_bytes())
            .map_or_else(|| shortage::device_lost(doing, message), EngineError::OutOfMemory)
    }

    /// Free and total bytes of the device's memory, where they can be read.
    pub(crate) fn memory_bytes(&self) -> Option<(u64, u64)> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.memory_bytes();
        }
        None
    }

    /// Starts to measure the time of each operation, where the device can.
    pub(crate) fn start_profile(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            gpu.start_profile();
        }
    }

    /// Stops to measure and drops the measurements.
    pub(crate) fn drop_profile(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            gpu.drop_profile();
        }
    }

    /// Waits for the device and returns where the time went since [`start_profile`](Self::start_profile), summed up by
    /// network, layer and name.
    ///
    /// # Errors
    ///
    /// The message of the device if it failed.
    pub(crate) fn finish_profile(&self) -> Result<Vec<ProfileSpan>, String> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            let spans = gpu.finish_profile().map_err(|error| error.to_string())?;
            let is_same =
                |a: &ProfileSpan, b: &ProfileSpan| (a.network, a.layer, a.name) == (b.network, b.layer, b.name);
            return Ok(sakuga_model_core::sum_spans(&spans, is_same));
        }
        Ok(Vec::new())
    }

    /// What the device can do at most, where it can be measured.
    ///
    /// # Errors
    ///
    /// The message of the device if it failed.
    pub(crate) fn measure_peaks(&self) -> Result<Option<Peaks>, String> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.measure_peaks().map_err(|error| error.to_string());
        }
        Ok(None)
    }
}
