//! What can be seen of the networks from outside: how they are computed, what memory they hold, where time goes.

use burn::tensor::Device;

use super::networks::Networks;
use crate::profile::{Peaks, Span};

/// How one network is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputePath {
    /// The network: `next_dit`, `gemma3`, `jina_clip` or `autoencoder_kl`.
    pub network: &'static str,
    /// What computes it, such as `cuBLASLt 13.1, cuDNN 9.14 and kernels of our own` or `burn`. Products of 8-bit
    /// values are named.
    pub implementation: String,
    /// Why it is not the fast one. Empty: it is, or there is no other.
    pub reason: String,
}

/// Memory of the device that is held for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPool {
    /// What for.
    pub name: &'static str,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes held, in use or not.
    pub held_bytes: u64,
}

/// Tells on any thread what memory the networks hold.
#[derive(Clone)]
pub struct MemoryProbe {
    device: Device,
    #[cfg(feature = "cuda")]
    gpu: Option<std::sync::Arc<crate::cuda::Gpu>>,
}

impl std::fmt::Debug for MemoryProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryProbe").field("device", &self.device).finish_non_exhaustive()
    }
}

impl MemoryProbe {
    /// The pools; none on a device that does not tell.
    pub fn pools(&self) -> Vec<MemoryPool> {
        let usage = self.device.memory_pool_usage();
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
        if let Some(gpu) = &self.gpu {
            let whole = |name, bytes: usize| MemoryPool { name, used_bytes: bytes as u64, held_bytes: bytes as u64 };
            pools.push(whole("scratch", gpu.scratch_bytes()));
            pools.push(whole("library workspace", crate::cuda::product::WORKSPACE_BYTES));
        }
        pools
    }
}

impl Networks {
    /// How each network is computed, so that a silent fallback is none.
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

    /// Tells what memory the networks hold.
    pub fn memory_probe(&self) -> MemoryProbe {
        MemoryProbe {
            device: self.device().clone(),
            #[cfg(feature = "cuda")]
            gpu: self.gpu.clone(),
        }
    }

    /// From now on, notes where the time of each operation goes, where the device can tell.
    pub(super) fn start_profile(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            gpu.start_profile();
        }
    }

    /// Notes nothing any more, and forgets what was noted.
    pub(super) fn drop_profile(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            gpu.drop_profile();
        }
    }

    /// Waits for the device, and tells where the time went since [`start_profile`](Self::start_profile), summed up by
    /// network, layer and name.
    ///
    /// # Errors
    ///
    /// What the device says if it failed.
    pub(super) fn finish_profile(&self) -> Result<Vec<Span>, String> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            let spans = gpu.finish_profile().map_err(|error| error.to_string())?;
            let is_same = |a: &Span, b: &Span| (a.network, a.layer, a.name) == (b.network, b.layer, b.name);
            return Ok(crate::profile::summed(&spans, is_same));
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
