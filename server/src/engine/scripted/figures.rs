//! What the scripted model reports: invented but consistent figures, so that their display can be tested.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sakuga_model_core::{
    ComputePath, Cost, GenerationSpec, LoadingPhase, MemoryPool, MemoryProbe, Peaks, ProfileSpan, Stage, StageProfile,
};

/// Bytes that a pixel takes while it is drawn: the picture and its noise.
pub(super) const PIXEL_BYTES: u64 = 6;
/// What the pretended device reaches.
const PEAKS: Peaks = Peaks { flops_per_second: 100e12, bytes_per_second: 2e12 };

/// How the engine was opened.
pub(super) fn loading(weight_bytes: u64) -> Vec<LoadingPhase> {
    let mut begin = Duration::ZERO;
    let part_bytes = weight_bytes / 2;
    [("device", 2, 0), ("text_encoder", 5, part_bytes), ("denoiser", 4, part_bytes), ("warm-up", 1, 0)]
        .map(|(name, took_ms, bytes)| {
            let duration = Duration::from_millis(took_ms);
            let phase = LoadingPhase { name: name.into(), begin, duration, bytes };
            begin += duration;
            phase
        })
        .into()
}

pub(super) fn compute_paths() -> Vec<ComputePath> {
    let path = |network, reason: &str| ComputePath { network, implementation: "script".into(), reason: reason.into() };
    vec![path("products", ""), path("attention", "the script loads no kernels")]
}

/// The memory that jobs take: written by the model's thread, read by any.
#[derive(Clone)]
pub(super) struct Memory {
    weight_bytes: u64,
    taken: Arc<AtomicU64>,
}

impl Memory {
    /// Memory with `weight_bytes` bytes of weights and no job.
    pub(super) fn of_weights(weight_bytes: u64) -> Self {
        Self { weight_bytes, taken: Arc::default() }
    }

    /// Takes what a job needs until the guard is dropped.
    pub(super) fn take(&self, spec: &GenerationSpec) -> Taken<'_> {
        let pixels = spec.passes().map(|pass| pass.pixels()).max().unwrap_or(0) * u64::from(spec.images);
        self.taken.store(pixels * PIXEL_BYTES, Ordering::Relaxed);
        Taken(&self.taken)
    }

    /// Reads what is taken.
    pub(super) fn probe(&self) -> MemoryProbe {
        let (weights, taken) = (self.weight_bytes, self.taken.clone());
        Arc::new(move || {
            let scratch = taken.load(Ordering::Relaxed);
            let pool = |name, used_bytes, held_bytes| MemoryPool { name, used_bytes, held_bytes };
            let held = if scratch == 0 { 0 } else { scratch.next_power_of_two() };
            vec![pool("weights and tensors", weights, weights), pool("scratch", scratch, held)]
        })
    }
}

/// Memory that a job has taken.
pub(super) struct Taken<'a>(&'a AtomicU64);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// An invented profile of a stage that took `took`: nine tenths on the device, in fixed shares.
pub(super) fn profile(stage: Stage, took: Duration, steps: u32) -> StageProfile {
    let wall_ms = took.as_secs_f64() * 1e3;
    let device_ms = wall_ms * 0.9;
    let spans = |network, layers: u32, count: u32| -> Vec<ProfileSpan> {
        let layer_ms = device_ms / f64::from(layers);
        let of_layer = |layer| {
            [("product qkv", 0.3, 0.6, 0.0), ("attention", 0.5, 0.4, 0.0), ("norm", 0.2, 0.0, 0.8)].map(
                |(name, share, of_flops, of_bytes)| ProfileSpan {
                    network,
                    layer: Some(layer),
                    name,
                    count,
                    ms: layer_ms * share,
                    cost: Cost {
                        flops: layer_ms * share / 1e3 * PEAKS.flops_per_second * of_flops,
                        bytes: layer_ms * share / 1e3 * PEAKS.bytes_per_second * of_bytes,
                    },
                },
            )
        };
        (0..layers).flat_map(of_layer).collect()
    };
    StageProfile {
        stage,
        spans: match stage {
            Stage::TextEncode => spans("text_encoder", 1, 1),
            Stage::Denoise => spans("denoiser", 2, steps),
            Stage::VaeEncode => spans("encoder", 1, 1),
            Stage::Decode => spans("decoder", 1, 1),
            Stage::LoadModel | Stage::LoadAdapters | Stage::EncodeImage => Vec::new(),
        },
        wall_ms,
        peaks: Some(PEAKS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_to_nine_tenths_of_the_time() {
        for stage in [Stage::TextEncode, Stage::Denoise, Stage::Decode] {
            let profile = profile(stage, Duration::from_millis(40), 4);
            assert!((profile.device_ms() - 0.9 * profile.wall_ms).abs() < 1e-9, "{profile:?}");
        }
    }

    #[test]
    fn phases_follow_one_another() {
        let phases = loading(64 << 20);
        assert!(phases.windows(2).all(|pair| pair[0].begin + pair[0].duration == pair[1].begin), "{phases:?}");
    }
}
