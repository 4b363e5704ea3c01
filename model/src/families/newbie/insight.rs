//! Introspection of the networks: which implementation computes each, how much memory they hold, where time goes.

use std::sync::Arc;

use sakuga_model_core::{ComputePath, EngineError, MemoryPool, MemoryProbe, Peaks, ProfileSpan};

use super::networks::Networks;
use crate::shortage;

impl Networks {
    /// Which implementation computes each network, so that a fallback is visible.
    pub fn compute_paths(&self) -> Vec<ComputePath> {
        let networks = [
            ("next_dit", self.transformer.is_fast()),
            ("gemma3", self.gemma.is_fast()),
            ("jina_clip", self.jina.is_fast()),
            ("autoencoder_kl", self.vae.is_fast()),
        ];
        networks.map(|(network, is_fast)| self.compute_path(network, is_fast)).into()
    }

    #[cfg(feature = "cuda")]
    fn compute_path(&self, network: &'static str, is_fast: bool) -> ComputePath {
        use crate::cuda;
        let reason = match (&self.gpu, is_fast) {
            (Some(gpu), true) => {
                let in_fp8 = network == "next_dit" && self.transformer.is_fp8();
                let products = if in_fp8 { ", products in fp8" } else { "" };
                let implementation = format!("{} and kernels of our own{products}", gpu.versions());
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
    fn compute_path(&self, network: &'static str, _is_fast: bool) -> ComputePath {
        ComputePath { network, implementation: "burn".into(), reason: String::new() }
    }

    /// Reads how much device memory is held: none on a device that cannot say.
    pub fn memory_probe(&self) -> MemoryProbe {
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
    pub(super) fn device_error(&self, doing: &'static str, message: &str) -> EngineError {
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
    pub(super) fn start_profile(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            gpu.start_profile();
        }
    }

    /// Stops to measure and drops the measurements.
    pub(super) fn drop_profile(&self) {
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
    /// What the device says if it failed.
    pub(super) fn finish_profile(&self) -> Result<Vec<ProfileSpan>, String> {
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
    /// What the device says if it failed.
    pub(super) fn measure_peaks(&self) -> Result<Option<Peaks>, String> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.measure_peaks().map_err(|error| error.to_string());
        }
        Ok(None)
    }
}
